// HighVoltageService.EmergencyOff: one device, or all of them at once.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "canhub/v1/high_voltage_service.pb.h"
#include "daemon/rpc/call.h"

namespace canhub {

// Never limited by rate; everything else that could stand in its way, the gate lets it pass.
grpc::ServerUnaryReactor* AnswerEmergencyOff(RpcContext& rpc, grpc::CallbackServerContext* context,
                                             const v1::EmergencyOffRequest& request,
                                             v1::EmergencyOffResponse* response);

}  // namespace canhub
