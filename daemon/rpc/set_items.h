// ItemService.SetItems: one request, writes to any number of devices.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "canhub/v1/item_service.pb.h"
#include "daemon/rpc/call.h"

namespace canhub {

grpc::ServerUnaryReactor* AnswerSetItems(RpcContext& rpc, grpc::CallbackServerContext* context,
                                         const v1::SetItemsRequest& request,
                                         v1::SetItemsResponse* response);

}  // namespace canhub
