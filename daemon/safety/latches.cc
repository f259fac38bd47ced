#include "daemon/safety/latches.h"

#include <algorithm>
#include <utility>

#include "daemon/core/safety_device.h"

namespace canhub {
namespace {

// What could not be written is tried again so often.
constexpr Duration kRetry = std::chrono::seconds(1);

std::string KeyOf(const InterlockRule& rule) { return "latched." + rule.id; }

}  // namespace

Latches::Latches(const SafetyRules* rules, DeviceValues* values, AlarmBook* alarms,
                 std::function<void()> wake)
    : rules_(rules),
      values_(values),
      alarms_(alarms),
      latches_(rules->interlocks.size()),
      ends_(std::make_shared<Ends>(std::move(wake))) {}

Latches::~Latches() {
  ends_->Close();
  for (size_t i = 0; i < latches_.size(); ++i) {
    if (latches_[i].saved != latches_[i].version) Save(i);
  }
}

std::vector<std::string> Latches::Loaded() const {
  std::vector<std::string> loaded(latches_.size());
  if (values_ == nullptr) return loaded;
  const DeviceValues::Values values = values_->Loaded(kSafetyDevice);
  for (size_t i = 0; i < loaded.size(); ++i) {
    const InterlockRule& rule = rules_->interlocks[i];
    const auto found = values.find(KeyOf(rule));
    if (found != values.end() && rule.latch) loaded[i] = found->second;
  }
  return loaded;
}

void Latches::Set(size_t interlock, const std::string& why) {
  if (values_ == nullptr || !rules_->interlocks[interlock].latch) return;
  Latch& latch = latches_[interlock];
  latch.why = why;
  ++latch.version;
  Save(interlock);
}

void Latches::Save(size_t interlock) {
  Latch& latch = latches_[interlock];
  latch.retry = kNever;
  values_->Put({.device_id = kSafetyDevice,
                .key = KeyOf(rules_->interlocks[interlock]),
                .value = latch.why,
                .done = [ends = ends_, interlock, version = latch.version](absl::Status status) {
                  ends->Push({interlock, version, 0, std::move(status)});
                }});
}

MonoTime Latches::RunUntil(MonoTime now) {
  for (const End& end : ends_->Take()) {
    Latch& latch = latches_[end.interlock];
    if (end.run != latch.version) continue;
    const std::string& id = rules_->interlocks[end.interlock].id;
    if (end.status.ok()) {
      latch.saved = latch.version;
      alarms_->Clear(kSafetyDevice, id + ".not_saved");
      continue;
    }
    latch.retry = now + kRetry;
    alarms_->Raise(kSafetyDevice, id + ".not_saved", AlarmSeverity::kCritical,
                   "interlock " + id +
                       (latch.why.empty() ? ": that it was let go is not on disk, after a restart "
                                            "it is latched again: "
                                          : ": that it is latched is not on disk, a restart would "
                                            "forget it: ") +
                       std::string(end.status.message()) + ". Tried again every second.");
  }
  MonoTime next = kNever;
  for (size_t i = 0; i < latches_.size(); ++i) {
    if (now >= latches_[i].retry) Save(i);
    next = std::min(next, latches_[i].retry);
  }
  return next;
}

}  // namespace canhub
