#include "daemon/rpc/group_call.h"

#include <algorithm>
#include <memory>

#include "daemon/core/lease_impl.h"
#include "daemon/rpc/status_mapping.h"
#include "drivers/api/errors.h"
#include "drivers/api/mutex.h"

namespace canhub {
namespace {

constexpr char kOtherRefused[] = "OTHER_MEMBER_REFUSED";

using Done = absl::AnyInvocable<void(absl::StatusOr<std::vector<CommandReceipt>>)>;

std::string Outcome(const std::string& device_id, const absl::Status& status) {
  return device_id + (status.ok() ? ": done" : ": " + std::string(status.message()));
}

// Of a member that could do it, when another one may not.
absl::Status NotSent(const std::string& device_id, const std::string& refused) {
  return MakeError(absl::StatusCode::kFailedPrecondition, kOtherRefused,
                   device_id + ": nothing was sent, because " + refused + " was refused",
                   {{"device_id", device_id}, {"refused", refused}});
}

// The first failure, with what became of all.
absl::Status Failure(const DeviceGroup& group, const std::vector<CommandResult>& results,
                     const std::string& safe) {
  const CommandResult* first = nullptr;
  std::string outcomes;
  for (const CommandResult& result : results) {
    // One that failed by itself says more than one that was held back.
    const bool better = first == nullptr || GetErrorInfo(first->status).reason == kOtherRefused;
    if (!result.status.ok() && better) first = &result;
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

// A command that ends when its frames are out would leave nobody to see a member fail.
absl::Status RequireConfirmation(const GroupCommands& commands) {
  if (!commands.make_safe || commands.group == nullptr ||
      commands.group->on_failure == kHoldAction) {
    return absl::OkStatus();
  }
  for (const CommandRequest& command : commands.commands) {
    if (command.wait_for >= Stage::kConfirmed) continue;
    return InvalidField("options.wait_for", "WAIT_FOR_SENT for the group " + commands.group->id,
                        "WAIT_FOR_CONFIRMED or WAIT_FOR_SETTLED, because " +
                            commands.group->on_failure +
                            " is to be done when a member fails; nothing was sent");
  }
  return absl::OkStatus();
}

}  // namespace

void RunGroup(Hub& hub, GroupCommands commands, Done done) {
  if (absl::Status status = RequireConfirmation(commands); !status.ok()) {
    return done(std::move(status));
  }
  std::vector<CommandResult> results(commands.commands.size());
  std::vector<size_t> places, refused;
  for (size_t i = 0; i < results.size(); ++i) {
    results[i].receipt.device_id = commands.commands[i].device_id;
    places.push_back(i);
    if (!hub.gate().Check(commands.commands[i]).ok()) refused.push_back(i);
  }
  if (!refused.empty()) {
    for (CommandResult& result : results) {
      result.status = NotSent(result.receipt.device_id, results[refused[0]].receipt.device_id);
    }
    places = refused;  // submitted all the same, for the audit record
  }
  std::vector<CommandRequest> submitted;
  for (const size_t i : places) submitted.push_back(std::move(commands.commands[i]));
  SubmitAll(hub, std::move(submitted),
            [&hub, group = commands.group, make_safe = commands.make_safe, places,
             results = std::move(results),
             done = std::move(done)](std::vector<CommandResult> ended) mutable {
              for (size_t i = 0; i < ended.size(); ++i) {
                ended[i].receipt.device_id = results[places[i]].receipt.device_id;
                results[places[i]] = std::move(ended[i]);
              }
              const auto ok = [](const CommandResult& result) { return result.status.ok(); };
              if (std::all_of(results.begin(), results.end(), ok)) {
                std::vector<CommandReceipt> receipts;
                for (CommandResult& result : results) receipts.push_back(std::move(result.receipt));
                return done(std::move(receipts));
              }
              if (group == nullptr) {
                return done(OfDevice(results[0].receipt.device_id, results[0].status));
              }
              // Refused by the gate, for whatever reason, or by the device.
              const bool untouched =
                  std::all_of(results.begin(), results.end(), [](const CommandResult& result) {
                    return result.receipt.accepted == MonoTime{} || IsRefusal(result.status);
                  });
              if (!make_safe || untouched || group->on_failure == kHoldAction) {
                return done(Failure(*group, results, ""));
              }
              MakeSafe(hub, *group, std::move(results), std::move(done));
            });
}

}  // namespace canhub
