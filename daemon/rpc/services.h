// The services, each in its own file. `rpc` outlives them.
#pragma once

#include <memory>

namespace grpc {
class Service;
}

namespace canhub {

struct RpcContext;

std::unique_ptr<grpc::Service> MakeHubService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeDeviceService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeItemService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeBusService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeLeaseService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeAlarmService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeInterlockService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeHighVoltageService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakePowerConverterService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeStuderService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeBatteryService(RpcContext* rpc);
std::unique_ptr<grpc::Service> MakeSimulationService(RpcContext* rpc);

}  // namespace canhub
