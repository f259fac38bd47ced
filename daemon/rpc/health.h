// grpc.health.v1 of the daemon, its services and its devices.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/rpc/rpc_context.h"

namespace grpc {
class HealthCheckServiceInterface;
}

namespace canhub {

// "" and every service: SERVING. A device's id: SERVING only while it is online and polled.
class HealthReporter {
 public:
  // `health` outlives the reporter.
  HealthReporter(RpcContext* rpc, grpc::HealthCheckServiceInterface* health,
                 const std::vector<std::string>& services);
  // Waits for nothing but an update under way.
  ~HealthReporter();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace canhub
