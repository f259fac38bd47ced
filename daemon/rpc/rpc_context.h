// What all services share.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/hub.h"
#include "daemon/rpc/admission.h"
#include "daemon/rpc/identity.h"
#include "daemon/rpc/live_calls.h"
#include "daemon/rpc/rpc_timers.h"
#include "daemon/rpc/server.h"
#include "daemon/rpc/worker.h"

namespace grpc {
class ServerContextBase;
}

namespace canhub {

struct RpcContext {
  RpcContext(Hub* hub, RpcHooks hooks, const RpcOptions& options);

  Hub* const hub;
  const RpcHooks hooks;
  const MonoTime started;
  const std::vector<bool> simulated;  // by DeviceIndex; never changes while the daemon runs
  Admission admission;
  PinnedDescriptors descriptors;
  RpcTimers timers;
  // Whether an in-process channel was made: only then is a peer without an address one of ours.
  std::atomic<bool> in_process{false};
  // Handlers and workers that are just at work for a unary call; see RpcServer::AwaitsTime.
  std::atomic<int> handling{0};
  LiveCalls live;     // unary calls that wait
  LiveCalls watches;  // streams
  // Tasks that wait in each: a client can have one open call per stream of its connection; more
  // than this many at once is no use to anybody.
  Worker disk{256};   // audit queries, alarms to disk
  Worker program{8};  // reload, stepping a simulation
  // A simulator answers on its own thread, on a stepped clock only when that is advanced: by
  // `program`, which must not wait here.
  Worker simulation{64};
};

// Who makes this call, whose peer() is `peer`. INTERNAL: gRPC gave no usable peer.
absl::StatusOr<std::string> IdentifyCaller(const RpcContext& rpc,
                                           const grpc::ServerContextBase& call,
                                           const std::string& peer);

enum class Limited { kYes, kNo };
// Identity, rate limit, least role. PERMISSION_DENIED, RESOURCE_EXHAUSTED.
absl::StatusOr<Caller> Admit(RpcContext& rpc, const grpc::ServerContextBase& call, Role least,
                             Limited limited = Limited::kYes);
absl::Status RequireRole(const Caller& caller, Role least);

// The call's gRPC deadline on the daemon's clock; kNever when it has none, or when the daemon runs
// on a stepped clock, which no client's deadline can be measured on.
MonoTime DeadlineOf(const RpcContext& rpc, const grpc::ServerContextBase& call);

// NOT_FOUND, DEVICE_UNKNOWN: lists the devices there are. INVALID_ARGUMENT: empty id.
absl::StatusOr<Hub::DeviceView> RequireDevice(const Hub& hub, const std::string& device_id);
// UNIMPLEMENTED, KIND_WRONG.
absl::Status RequireKind(const Hub::DeviceView& device, const std::string& kind);
// Both at once.
absl::StatusOr<Hub::DeviceView> RequireDeviceOfKind(const Hub& hub, const std::string& device_id,
                                                    const std::string& kind);
// UNIMPLEMENTED, NOT_SUPPORTED: its driver does not have the action.
absl::StatusOr<const ActionSpec*> RequireAction(const Hub::DeviceView& device,
                                                const std::string& action);
// That device, or with an empty id all of the kind, in the order of the configuration.
absl::StatusOr<std::vector<Hub::DeviceView>> DevicesOfKind(const Hub& hub,
                                                           const std::string& device_id,
                                                           const std::string& kind);

}  // namespace canhub
