#include "daemon/safety/refusals.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {

void Refusals::Set(std::vector<RefusingInterlock> now) {
  const bool any = !now.empty();
  auto list = std::make_shared<const List>(std::move(now));
  {
    const MutexLock lock(&mutex_);
    list_ = std::move(list);
  }
  any_.store(any, std::memory_order_release);
}

absl::Status Refusals::RefusedBy(const RefusingInterlock& interlock,
                                 const std::string& device_id) const {
  const MonoTime now = clock_->Now();
  const std::string& id = interlock.rule->id;
  std::string why;
  for (const InterlockCause& cause : interlock.causes) {
    why += (why.empty() ? "" : "; ") + cause.ToText(now);
  }
  ErrorFields fields = {{"device_id", device_id}, {"interlock", id}};
  if (!interlock.causes.empty()) {
    const InterlockCause& first = interlock.causes.front();
    fields.insert(
        {{"condition", first.condition}, {"reading", first.subject}, {"found", first.found}});
    if (first.time) {
      fields["age_ms"] = std::to_string(
          std::chrono::duration_cast<std::chrono::milliseconds>(now - *first.time).count());
    }
  }
  std::string state = interlock.settling  ? " waits for what it has not read yet"
                      : interlock.ending  ? " is about to end: its condition is over"
                      : interlock.latched ? " is latched: its condition is over, and somebody must "
                                            "acknowledge it"
                                          : " has tripped";
  if (interlock.tripped) {
    const auto ago =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - *interlock.tripped);
    fields["tripped_ms_ago"] = std::to_string(ago.count());
    state += " (tripped " + std::to_string(ago.count()) + " ms ago)";
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, "INTERLOCKED",
                   device_id + ": interlock " + id + state + ": " + why + "; nothing was sent",
                   std::move(fields));
}

absl::Status Refusals::Find(
    const std::function<bool(const RefusingInterlock&, const Refusal&)>& refuses) const {
  std::shared_ptr<const List> list;
  {
    const MutexLock lock(&mutex_);
    list = list_;
  }
  if (list == nullptr) return absl::OkStatus();
  for (const RefusingInterlock& interlock : *list) {
    for (const Refusal& refusal : interlock.rule->refuse) {
      if (refuses(interlock, refusal)) return RefusedBy(interlock, refusal.device);
    }
  }
  return absl::OkStatus();
}

absl::Status Refusals::MayCommand(const std::string& device_id,
                                  const std::vector<std::string>& names) const {
  return Find([&](const RefusingInterlock&, const Refusal& refusal) {
    return refusal.device == device_id &&
           (refusal.name.empty() ||
            std::find(names.begin(), names.end(), refusal.name) != names.end());
  });
}

absl::Status Refusals::MaySet(const InterlockWrite& write) const {
  const InterlockRule& own = *rules_->FindInterlock(write.interlock);
  const auto sets_the_same = [&](const SafeStep& step) {
    return step.device == write.device_id && step.item == write.write.item &&
           step.value == write.write.value;
  };
  return Find([&](const RefusingInterlock& interlock, const Refusal& refusal) {
    const InterlockRule& other = *interlock.rule;
    if (refusal.device != write.device_id) return false;
    if (!refusal.name.empty() && refusal.name != write.write.item) return false;
    // One that settles has done nothing yet that could be undone.
    return &other != &own && !interlock.settling && !interlock.ending &&
           own.severity <= other.severity &&
           std::none_of(other.steps.begin(), other.steps.end(), sets_the_same);
  });
}

absl::Status Refusals::MaySendFrames(const std::vector<std::string>& device_ids) const {
  return Annotate(Find([&](const RefusingInterlock&, const Refusal& refusal) {
                    return std::find(device_ids.begin(), device_ids.end(), refusal.device) !=
                           device_ids.end();
                  }),
                  "a raw frame may reach any device, and ");
}

}  // namespace canhub
