#include "daemon/rpc/group_call.h"

#include <memory>

#include "daemon/core/lease_impl.h"
#include "drivers/api/errors.h"
#include "drivers/api/mutex.h"

namespace canhub {
namespace {

using Done = absl::AnyInvocable<void(absl::StatusOr<std::vector<CommandReceipt>>)>;

std::string Outcome(const std::string& device_id, const absl::Status& status) {
  return device_id + (status.ok() ? ": done" : ": " + std::string(status.message()));
}

// The first failure, with what became of all.
absl::Status Failure(const DeviceGroup& group, const std::vector<CommandResult>& results,
                     const std::string& safe) {
  const CommandResult* first = nullptr;
  std::string outcomes;
  for (const CommandResult& result : results) {
    if (first == nullptr && !result.status.ok()) first = &result;
    outcomes += (outcomes.empty() ? "" : "; ") + Outcome(result.receipt.device_id, result.status);
  }
  ErrorInfo info = GetErrorInfo(first->status);
  info.fields["group_id"] = group.id;
  info.fields["device_id"] = first->receipt.device_id;
  info.fields["outcomes"] = outcomes;
  std::string text = "group " + group.id + ": " + outcomes;
  if (!safe.empty()) {
    info.fields["made_safe"] = safe;
    text += "; then " + group.on_failure + ": " + safe;
  }
  return MakeError(first->status.code(), info.reason, text, std::move(info.fields));
}

void MakeSafe(Hub& hub, const DeviceGroup& group, std::vector<CommandResult> results, Done done) {
  struct Safe {
    Mutex mutex;
    size_t waiting ABSL_GUARDED_BY(mutex);
    std::string outcomes ABSL_GUARDED_BY(mutex);
    std::vector<CommandResult> results;
    Done done;
  };
  const auto safe = std::make_shared<Safe>();
  {
    MutexLock lock(&safe->mutex);
    safe->waiting = group.device_ids.size();
  }
  safe->results = std::move(results);
  safe->done = std::move(done);
  for (const std::string& device_id : group.device_ids) {
    hub.gate().SubmitSafeAction(device_id, group.on_failure,
                                "group " + group.id + ": a command to it failed",
                                [safe, &group, device_id](const CommandResult& result) {
                                  std::string outcomes;
                                  {
                                    MutexLock lock(&safe->mutex);
                                    safe->outcomes += (safe->outcomes.empty() ? "" : "; ") +
                                                      Outcome(device_id, result.status);
                                    if (--safe->waiting > 0) return;
                                    outcomes = safe->outcomes;
                                  }
                                  safe->done(Failure(group, safe->results, outcomes));
                                });
  }
}

}  // namespace

void RunGroup(Hub& hub, GroupCommands commands, Done done) {
  std::vector<std::string> device_ids;
  for (const CommandRequest& command : commands.commands) device_ids.push_back(command.device_id);
  SubmitAll(hub, std::move(commands.commands),
            [&hub, group = commands.group, make_safe = commands.make_safe,
             device_ids = std::move(device_ids),
             done = std::move(done)](std::vector<CommandResult> results) mutable {
              bool failed = false;
              std::vector<CommandReceipt> receipts;
              for (size_t i = 0; i < results.size(); ++i) {
                results[i].receipt.device_id = device_ids[i];
                failed |= !results[i].status.ok();
                receipts.push_back(results[i].receipt);
              }
              if (!failed) return done(std::move(receipts));
              if (group == nullptr) return done(OfDevice(device_ids[0], results[0].status));
              if (!make_safe || group->on_failure == kHoldAction) {
                return done(Failure(*group, results, ""));
              }
              MakeSafe(hub, *group, std::move(results), std::move(done));
            });
}

}  // namespace canhub
