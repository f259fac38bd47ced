#include "daemon/rpc/emergency_off.h"

#include <utility>
#include <vector>

#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/high_voltage_target.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

namespace hv = high_voltage;

absl::StatusOr<std::vector<HighVoltageTarget>> Targets(RpcContext& rpc,
                                                       const v1::EmergencyOffRequest& request) {
  std::vector<HighVoltageTarget> targets;
  if (!request.all_devices()) {
    absl::StatusOr<HighVoltageTarget> target =
        HighVoltageTarget::Find(*rpc.hub, rpc.hub->cache(), request.device_id());
    if (!target.ok()) return target.status();
    if (absl::Status module = target->RequireModule(); !module.ok()) return module;
    targets.push_back(*std::move(target));
    return targets;
  }
  if (!request.device_id().empty()) {
    return InvalidField("all_devices", "true beside a device_id", "one of the two");
  }
  if (request.has_channel()) {
    return InvalidField("all_devices", "true beside a channel", "one of the two");
  }
  for (const Hub::DeviceView& device : rpc.hub->devices()) {
    if (std::string_view(device.setup->driver->kind) != hv::kKind) continue;
    absl::StatusOr<HighVoltageTarget> target =
        HighVoltageTarget::Find(*rpc.hub, rpc.hub->cache(), device.setup->config.id);
    // A crate controller has no outputs. What has not been identified may have some. A driver
    // without the action must not keep the others on.
    if (!target.ok() || target->is_crate() ||
        !target->Action(hv::action::kEmergencyOff, std::nullopt).ok()) {
      continue;
    }
    targets.push_back(*std::move(target));
  }
  if (targets.empty()) {
    return MakeError(absl::StatusCode::kNotFound, "NO_HIGH_VOLTAGE",
                     "this daemon has no high-voltage module that can be cut off");
  }
  return targets;
}

absl::Status Fill(const Hub& hub, const std::vector<std::string>& device_ids, bool all,
                  const std::vector<CommandResult>& results, v1::EmergencyOffResponse* response) {
  const TimeView time(hub.clock());
  std::string failures;
  for (size_t i = 0; i < results.size(); ++i) {
    const CommandResult& result = results[i];
    if (result.status.ok()) {
      SetReceipt(result.receipt, IsSimulated(hub, device_ids[i]), time, response->add_receipts());
      continue;
    }
    if (!all) return OfDevice(device_ids[i], result.status);
    const std::string failure = device_ids[i] + ": " + std::string(result.status.message());
    response->add_failures(CleanText(failure));
    failures += (failures.empty() ? "" : "; ") + failure;
  }
  if (response->receipts_size() > 0) return absl::OkStatus();
  return Annotate(results.front().status, "no device was switched off: " + failures + "; ",
                  {{"failures", failures}});
}

}  // namespace

grpc::ServerUnaryReactor* AnswerEmergencyOff(RpcContext& rpc, grpc::CallbackServerContext* context,
                                             const v1::EmergencyOffRequest& request,
                                             v1::EmergencyOffResponse* response) {
  return AnswerLater(
      rpc, context, Role::kNone,
      [&](const Caller& caller, std::shared_ptr<PendingCall> call) {
        const absl::StatusOr<std::vector<HighVoltageTarget>> targets = Targets(rpc, request);
        if (!targets.ok()) return call->End(targets.status());
        std::optional<uint32_t> channel;
        if (request.has_channel()) channel = request.channel();
        std::vector<CommandRequest> commands;
        std::vector<std::string> device_ids;
        for (const HighVoltageTarget& target : *targets) {
          absl::StatusOr<CommandContent> content =
              target.Action(hv::action::kEmergencyOff, channel);
          if (!content.ok()) return call->End(content.status());
          absl::StatusOr<CommandRequest> command = MakeCommand(
              rpc, *context, caller, target.id(), *std::move(content), request.options());
          if (!command.ok()) return call->End(command.status());
          commands.push_back(*std::move(command));
          device_ids.push_back(target.id());
        }
        SubmitAll(
            *rpc.hub, std::move(commands),
            [hub = rpc.hub, call = std::move(call), response, device_ids = std::move(device_ids),
             all = request.all_devices()](const std::vector<CommandResult>& results) {
              call->Finish([&] { return Fill(*hub, device_ids, all, results, response); });
            });
      },
      Limited::kNo);
}

}  // namespace canhub
