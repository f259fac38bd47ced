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

// Collects the results of all devices.
class EmergencyOffCall {
 public:
  EmergencyOffCall(RpcContext* rpc, std::shared_ptr<PendingCall> call,
                   v1::EmergencyOffResponse* response, std::vector<std::string> device_ids,
                   bool all)
      : rpc_(rpc),
        call_(std::move(call)),
        response_(response),
        device_ids_(std::move(device_ids)),
        all_(all),
        results_(device_ids_.size()),
        waiting_(device_ids_.size()) {}

  void Done(size_t place, CommandResult result) {
    {
      MutexLock lock(&mutex_);
      results_[place] = std::move(result);
      if (--waiting_ > 0) return;
    }
    call_->Finish([this] { return Fill(); });
  }

 private:
  absl::Status Fill() {
    MutexLock lock(&mutex_);
    const TimeView time(rpc_->hub->clock());
    std::string failures;
    for (size_t i = 0; i < results_.size(); ++i) {
      const CommandResult& result = results_[i];
      if (result.status.ok()) {
        SetReceipt(result.receipt, IsSimulated(*rpc_->hub, device_ids_[i]), time,
                   response_->add_receipts());
        continue;
      }
      if (!all_) return OfDevice(device_ids_[i], result.status);
      const std::string failure = device_ids_[i] + ": " + std::string(result.status.message());
      response_->add_failures(CleanText(failure));
      failures += (failures.empty() ? "" : "; ") + failure;
    }
    if (response_->receipts_size() > 0) return absl::OkStatus();
    return Annotate(results_.front().status, "no device was switched off: " + failures + "; ",
                    {{"failures", failures}});
  }

  RpcContext* const rpc_;  // used only while the call is not over
  const std::shared_ptr<PendingCall> call_;
  v1::EmergencyOffResponse* const response_;
  const std::vector<std::string> device_ids_;
  const bool all_;
  Mutex mutex_;
  std::vector<CommandResult> results_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_ ABSL_GUARDED_BY(mutex_);
};

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
        auto collect = std::make_shared<EmergencyOffCall>(
            &rpc, std::move(call), response, std::move(device_ids), request.all_devices());
        for (size_t i = 0; i < commands.size(); ++i) {
          rpc.hub->gate().Submit(std::move(commands[i]), [collect, i](CommandResult result) {
            collect->Done(i, std::move(result));
          });
        }
      },
      Limited::kNo);
}

}  // namespace canhub
