#include "daemon/rpc/command_call.h"

#include "drivers/api/errors.h"

namespace canhub {

absl::StatusOr<Stage> ReadWaitFor(const v1::CommandOptions& options, Stage otherwise) {
  switch (options.wait_for()) {
    case v1::WAIT_FOR_UNSPECIFIED:
      return otherwise;
    case v1::WAIT_FOR_SENT:
      return Stage::kSent;
    case v1::WAIT_FOR_CONFIRMED:
      return Stage::kConfirmed;
    case v1::WAIT_FOR_SETTLED:
      return Stage::kSettled;
    default:
      return InvalidField("options.wait_for", std::to_string(options.wait_for()),
                          "WAIT_FOR_SENT, WAIT_FOR_CONFIRMED or WAIT_FOR_SETTLED");
  }
}

absl::StatusOr<CommandRequest> MakeCommand(const RpcContext& rpc,
                                           const grpc::ServerContextBase& context,
                                           const Caller& caller, const std::string& device_id,
                                           CommandContent what, const v1::CommandOptions& options) {
  const absl::StatusOr<Stage> wait_for = ReadWaitFor(options, Stage::kConfirmed);
  if (!wait_for.ok()) return wait_for.status();
  return CommandRequest{.caller = caller,
                        .device_id = device_id,
                        .what = std::move(what),
                        .wait_for = *wait_for,
                        .deadline = DeadlineOf(rpc, context),
                        .request_id = options.request_id(),
                        .lease_id = options.lease_id()};
}

absl::Status OfDevice(const std::string& device_id, const absl::Status& status) {
  return Annotate(status, "", {{"device_id", device_id}});
}

bool IsSimulated(const Hub& hub, const std::string& device_id) {
  const std::optional<Hub::DeviceView> device = hub.FindDevice(device_id);
  return device && device->setup->simulated;
}

}  // namespace canhub
