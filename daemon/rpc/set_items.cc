#include "daemon/rpc/set_items.h"

#include <utility>
#include <vector>

#include "daemon/core/gate_checks.h"
#include "daemon/core/item_pattern.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/command_call.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr size_t kMaxWrites = 1024;

struct DeviceWrites {
  DeviceIndex device = 0;
  std::string device_id;
  std::vector<NamedWrite> writes;
};

// The writes by device, in the order given, patterns expanded. A plain name is left to the gate's
// judgement, which knows what to say of it, unless its device does not exist.
absl::StatusOr<std::vector<DeviceWrites>> SplitByDevice(const Hub& hub, const StateCache& cache,
                                                        const v1::SetItemsRequest& request) {
  if (request.writes_size() == 0) return MissingField("writes", "at least one");
  std::vector<DeviceWrites> devices;
  size_t count = 0;
  const auto add = [&](DeviceIndex device, std::string item, const Value& value) {
    ++count;
    for (DeviceWrites& known : devices) {
      if (known.device == device) {
        known.writes.push_back({std::move(item), value});
        return;
      }
    }
    devices.push_back({device, cache.DeviceId(device), {{std::move(item), value}}});
  };
  for (const v1::ItemWrite& write : request.writes()) {
    const absl::StatusOr<ItemPattern> pattern = ItemPattern::Parse(write.name());
    if (!pattern.ok()) return pattern.status();
    const absl::StatusOr<Value> value = ReadValue(write.value(), CleanText(write.name(), 256));
    if (!value.ok()) return value.status();
    bool any = false;
    for (const DeviceIndex device : pattern->MatchDevices(cache)) {
      if (pattern->exact()) {
        add(device, pattern->item(), *value);
        any = true;
        continue;
      }
      const std::shared_ptr<const DeviceSnapshot> snapshot = cache.Snapshot(device);
      for (const ItemId item : pattern->Match(snapshot->items())) {
        add(device, snapshot->items().Name(item), *value);
        any = true;
      }
    }
    if (!any) {
      if (pattern->exact()) return RequireDevice(hub, pattern->device()).status();
      // A pattern that sets nothing is a mistake: the caller believes that something was set.
      return MakeError(absl::StatusCode::kNotFound, "ITEM_UNKNOWN",
                       "\"" + pattern->text() + "\" matches no item; nothing was sent",
                       {{"pattern", pattern->text()}});
    }
    if (count > kMaxWrites) {
      return InvalidField("writes", "more than " + std::to_string(kMaxWrites) + " items",
                          "at most " + std::to_string(kMaxWrites));
    }
  }
  return devices;
}

// What the gate will refuse because of its content or a foreign lease, before the first device is
// sent anything. The gate checks again.
absl::Status CheckAll(Hub& hub, const Caller& caller, const std::vector<DeviceWrites>& devices,
                      const std::string& lease_id) {
  for (const DeviceWrites& device : devices) {
    const std::optional<Hub::DeviceView> view = hub.FindDevice(device.device_id);
    if (!view) return RequireDevice(hub, device.device_id).status();
    GatedDevice gated;
    gated.index = view->index;
    gated.config = view->setup->config;
    gated.driver = view->setup->driver;
    const std::shared_ptr<const DeviceSnapshot> snapshot = hub.cache().Snapshot(view->index);
    const auto checked = CheckWrites(gated, *snapshot, device.writes);
    if (!checked.ok()) return checked.status();
    if (hub.interlocks() != nullptr && hub.interlocks()->refuses()) {
      std::vector<std::string> names;
      for (const ItemWrite& write : *checked) names.push_back(snapshot->items().Name(write.item));
      const absl::Status allowed = hub.interlocks()->MayCommand(device.device_id, names);
      if (!allowed.ok()) return allowed;
    }
    const std::optional<LeaseInfo> lease = hub.leases().Covering(device.device_id);
    if (lease && (lease->holder != caller.identity || lease->lease_id != lease_id)) {
      return MakeError(absl::StatusCode::kPermissionDenied, "LEASED_BY_OTHER",
                       device.device_id + " is leased by " + lease->holder +
                           "; the request does not name that lease; nothing was sent",
                       {{"device_id", device.device_id}, {"holder", lease->holder}});
    }
    if (!lease && view->setup->require_lease) {
      return MakeError(absl::StatusCode::kPermissionDenied, "LEASE_REQUIRED",
                       device.device_id +
                           " takes commands only under a lease (require_lease in its "
                           "configuration); acquire one first; nothing was sent",
                       {{"device_id", device.device_id}});
    }
  }
  return absl::OkStatus();
}

// Collects the results of all devices.
class SetItemsCall {
 public:
  SetItemsCall(RpcContext* rpc, std::shared_ptr<PendingCall> call, v1::SetItemsResponse* response,
               std::vector<std::string> device_ids)
      : rpc_(rpc),
        call_(std::move(call)),
        response_(response),
        device_ids_(std::move(device_ids)),
        results_(device_ids_.size()) {}

  void Done(size_t place, CommandResult result) {
    {
      MutexLock lock(&mutex_);
      failed_ |= !result.status.ok();
      results_[place] = std::move(result);
      if (--waiting_ > 0) return;
    }
    Answer();
  }
  // Before each Submit: whether a device has failed already, so that no more is to be sent.
  bool Begin() {
    MutexLock lock(&mutex_);
    if (failed_) return false;
    ++waiting_;
    return true;
  }
  // All that will be submitted is.
  void EndOfSubmits() {
    {
      MutexLock lock(&mutex_);
      if (--waiting_ > 0) return;
    }
    Answer();
  }

 private:
  void Answer() {
    call_->Finish([&] {
      MutexLock lock(&mutex_);
      const TimeView time(rpc_->hub->clock());
      if (failed_) return Failure();
      for (size_t i = 0; i < results_.size(); ++i) {
        SetReceipt(results_[i]->receipt, IsSimulated(*rpc_->hub, device_ids_[i]), time,
                   response_->add_receipts());
      }
      return absl::OkStatus();
    });
  }

  // The first failure, with what became of every device (S08).
  absl::Status Failure() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    absl::Status first;
    std::string done, failed, not_sent, others;
    for (size_t i = 0; i < results_.size(); ++i) {
      const std::optional<CommandResult>& result = results_[i];
      std::string& group = !result ? not_sent : result->status.ok() ? done : failed;
      group += (group.empty() ? "" : ", ") + device_ids_[i];
      if (!result || result->status.ok()) continue;
      if (first.ok()) {
        first = OfDevice(device_ids_[i], result->status);
      } else {
        others += std::string(result->status.message()) + "; ";
      }
    }
    if (results_.size() == 1) return first;
    std::string text =
        done.empty() ? "no device was set completely; " : "only set completely: " + done + "; ";
    if (!not_sent.empty()) text += "sent nothing: " + not_sent + "; ";
    return Annotate(
        first, text + others,
        {{"devices_done", done}, {"devices_failed", failed}, {"devices_not_sent", not_sent}});
  }

  RpcContext* const rpc_;  // used only while the call is not over
  const std::shared_ptr<PendingCall> call_;
  v1::SetItemsResponse* const response_;
  const std::vector<std::string> device_ids_;
  Mutex mutex_;
  std::vector<std::optional<CommandResult>> results_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 1;  // one: the submitting handler
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerUnaryReactor* AnswerSetItems(RpcContext& rpc, grpc::CallbackServerContext* context,
                                         const v1::SetItemsRequest& request,
                                         v1::SetItemsResponse* response) {
  // The gate checks the role, and audits the refusal.
  return AnswerLater(
      rpc, context, Role::kNone, [&](const Caller& caller, std::shared_ptr<PendingCall> call) {
        absl::StatusOr<std::vector<DeviceWrites>> devices =
            SplitByDevice(*rpc.hub, rpc.hub->cache(), request);
        if (!devices.ok()) return call->End(devices.status());
        if (devices->size() > 1) {
          absl::Status status = RequireRole(caller, Role::kOperator);
          if (status.ok()) {
            status = CheckAll(*rpc.hub, caller, *devices, request.options().lease_id());
          }
          if (!status.ok()) return call->End(status);
        }
        std::vector<CommandRequest> commands;
        for (DeviceWrites& device : *devices) {
          absl::StatusOr<CommandRequest> command = MakeCommand(
              rpc, *context, caller, device.device_id, std::move(device.writes), request.options());
          if (!command.ok()) return call->End(command.status());
          commands.push_back(*std::move(command));
        }
        std::vector<std::string> device_ids;
        for (const DeviceWrites& device : *devices) device_ids.push_back(device.device_id);
        auto collect =
            std::make_shared<SetItemsCall>(&rpc, std::move(call), response, std::move(device_ids));
        for (size_t i = 0; i < commands.size() && collect->Begin(); ++i) {
          rpc.hub->gate().Submit(std::move(commands[i]), [collect, i](CommandResult result) {
            collect->Done(i, std::move(result));
          });
        }
        collect->EndOfSubmits();
      });
}

}  // namespace canhub
