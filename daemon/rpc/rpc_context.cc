#include "daemon/rpc/rpc_context.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/status_mapping.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

std::vector<bool> SimulatedDevices(Hub& hub) {
  std::vector<bool> simulated;
  for (const Hub::DeviceView& device : hub.devices()) {
    if (device.index >= simulated.size()) simulated.resize(device.index + 1);
    simulated[device.index] = device.setup->simulated;
  }
  // What the safety system says of them is as real as the least real of them.
  const bool any = std::find(simulated.begin(), simulated.end(), true) != simulated.end();
  simulated.resize(hub.cache().size(), any);
  return simulated;
}

}  // namespace

RpcContext::RpcContext(Hub* hub, RpcHooks hooks, const RpcOptions& options)
    : hub(hub),
      hooks(std::move(hooks)),
      started(hub->clock().Now()),
      simulated(SimulatedDevices(*hub)),
      admission(hub->clock(), {.calls_per_second = options.max_calls_per_second,
                               .burst = options.call_burst,
                               .streams_per_client = options.max_streams_per_client,
                               .streams_per_identity = options.max_streams_per_identity}),
      descriptors(options.max_connections_per_identity) {}

absl::StatusOr<std::string> IdentifyCaller(const RpcContext& rpc,
                                           const grpc::ServerContextBase& call,
                                           const std::string& peer) {
  std::string identity = rpc.descriptors.IdentityOf(peer);
  if (!identity.empty()) return identity;
  // Connections handed over as descriptors have no certificate; all others may.
  if (const auto auth = call.auth_context(); auth != nullptr && auth->IsPeerAuthenticated()) {
    const std::vector<grpc::string_ref> subject =
        auth->FindPropertyValues(GRPC_X509_SUBJECT_PROPERTY_NAME);
    const std::string name =
        subject.empty() ? "" : std::string(subject.front().data(), subject.front().size());
    return "cert:" + (name.empty() ? "(no subject)" : CleanText(name, 512));
  }
  // gRPC 1.51 has no name for the peer of an in-process channel; every other transport has set one
  // before the handler runs.
  if (peer == "unknown" && rpc.in_process) return "inproc";
  identity = IdentityOfAddress(peer);
  if (!identity.empty()) return identity;
  return MakeError(
      absl::StatusCode::kInternal, "PEER_UNKNOWN",
      "gRPC names the peer \"" + peer + "\", expected ipv4:, ipv6: or fd:", {{"peer", peer}});
}

absl::Status RequireRole(const Caller& caller, Role least) {
  if (caller.role >= least) return absl::OkStatus();
  const std::string role(ToString(caller.role));
  const std::string needed(ToString(least));
  return MakeError(absl::StatusCode::kPermissionDenied, "ROLE_TOO_LOW",
                   caller.identity + " has the role " + role + "; this call needs " + needed +
                       " (`access` in the configuration gives roles to identities)",
                   {{"identity", caller.identity}, {"role", role}, {"needed", needed}});
}

absl::StatusOr<Caller> Admit(RpcContext& rpc, const grpc::ServerContextBase& call, Role least,
                             Limited limited) {
  const std::string peer = call.peer();
  absl::StatusOr<std::string> identity = IdentifyCaller(rpc, call, peer);
  if (!identity.ok()) return identity.status();
  if (limited == Limited::kYes) {
    absl::Status admitted = rpc.admission.AdmitCall(*identity, peer);
    if (!admitted.ok()) return admitted;
  }
  const Role role = rpc.hub->RoleOf(*identity);
  Caller caller{*std::move(identity), role};
  absl::Status allowed = RequireRole(caller, least);
  if (!allowed.ok()) return allowed;
  return caller;
}

MonoTime DeadlineOf(const RpcContext& rpc, const grpc::ServerContextBase& call) {
  if (rpc.hooks.advance) return kNever;
  const auto deadline = call.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return kNever;
  const Clock& clock = rpc.hub->clock();
  // gRPC keeps the deadline on its monotonic clock and has converted it just now, so that a jump
  // of the wall clock since the call came in does not count.
  const auto left = deadline.time_since_epoch() - clock.WallNow().time_since_epoch();
  if (left > std::chrono::hours(24 * 365)) return kNever;
  return clock.Now() + std::chrono::duration_cast<Duration>(left);
}

absl::StatusOr<Hub::DeviceView> RequireDevice(const Hub& hub, const std::string& device_id) {
  if (device_id.empty()) return MissingField("device_id", "the id of a device");
  if (std::optional<Hub::DeviceView> device = hub.FindDevice(device_id)) return *device;
  std::string known;
  for (const Hub::DeviceView& device : hub.devices()) {
    if (known.size() > 400) {
      known += ", …";
      break;
    }
    known += (known.empty() ? "" : ", ") + device.setup->config.id;
  }
  const std::string found = CleanText(device_id, 80);
  return MakeError(absl::StatusCode::kNotFound, "DEVICE_UNKNOWN",
                   "no device \"" + found + "\"; there are: " + (known.empty() ? "none" : known),
                   {{"device_id", found}, {"known", known}});
}

absl::Status RequireKind(const Hub::DeviceView& device, const std::string& kind) {
  const std::string& id = device.setup->config.id;
  const std::string found = device.setup->driver->kind;
  if (found == kind) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnimplemented, "KIND_WRONG",
                   id + " is of the kind " + found + ", this call needs " + kind,
                   {{"device_id", id}, {"kind", found}, {"expected", kind}});
}

absl::StatusOr<Hub::DeviceView> RequireDeviceOfKind(const Hub& hub, const std::string& device_id,
                                                    const std::string& kind) {
  absl::StatusOr<Hub::DeviceView> device = RequireDevice(hub, device_id);
  if (!device.ok()) return device.status();
  if (absl::Status status = RequireKind(*device, kind); !status.ok()) return status;
  return device;
}

absl::StatusOr<const ActionSpec*> RequireAction(const Hub::DeviceView& device,
                                                const std::string& action) {
  for (const ActionSpec& spec : device.setup->driver->actions) {
    if (action == spec.name) return &spec;
  }
  const std::string& id = device.setup->config.id;
  return MakeError(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                   id + " cannot do " + action + "; nothing was sent",
                   {{"device_id", id}, {"action", action}});
}

absl::StatusOr<std::vector<Hub::DeviceView>> DevicesOfKind(const Hub& hub,
                                                           const std::string& device_id,
                                                           const std::string& kind) {
  std::vector<Hub::DeviceView> devices;
  if (!device_id.empty()) {
    absl::StatusOr<Hub::DeviceView> device = RequireDeviceOfKind(hub, device_id, kind);
    if (!device.ok()) return device.status();
    devices.push_back(*std::move(device));
    return devices;
  }
  for (const Hub::DeviceView& device : hub.devices()) {
    if (kind == device.setup->driver->kind) devices.push_back(device);
  }
  return devices;
}

}  // namespace canhub
