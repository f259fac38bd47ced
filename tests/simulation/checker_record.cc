// The daemon: its lives and what it writes down.
#include <algorithm>
#include <set>
#include <tuple>

#include "tests/simulation/checker.h"
#include "tests/simulation/random.h"

namespace canhub::simulation {
namespace {

constexpr size_t kMostTaken = 5000;

}  // namespace

void Checker::OnDaemonStarts(Hub* hub, int life) {
  hub_ = hub;
  life_ = life;
  started_ = Now();
  for (Device& device : devices_) device.turns_since = Now();
}

void Checker::OnDaemonKilled() {
  // What the dying daemon's record held as acknowledged then must be so afterwards.
  std::set<std::string> still;
  for (const AlarmRecord& alarm :
       hub_->alarms().List({.include_history = true, .include_shelved = true})) {
    if (alarm.acknowledged) still.insert(alarm.id());
  }
  std::erase_if(acknowledged_, [&](const std::string& id) { return !still.contains(id); });
  hub_ = nullptr;
  open_.clear();
  leases_.clear();
  expected_.clear();
  expected_frames_.clear();
  malformed_.clear();
}

void Checker::OnWallJump() {
  for (auto& [id, lease] : leases_) lease.wall_jumped = true;
}

void Checker::OnAudit(const AuditEntry& entry) {
  if (hub_ == nullptr) return;  // neither does it write
  log_->Count(Now(), Mix(HashText(entry.kind + entry.device_id + entry.status), entry.command_id));
  taken_.push_back(entry);
  if (taken_.size() > 2 * kMostTaken) {
    taken_.erase(taken_.begin(), taken_.begin() + static_cast<ptrdiff_t>(kMostTaken));
  }
  const bool daemon = entry.identity == "canhubd";
  if (entry.kind == "safe_action" && daemon) return OnSafeActionOfDaemon(entry);
  if (entry.kind == "result" && daemon) {
    for (Given& given : given_) {
      if (!given.by_daemon || given.command_id != entry.command_id || given.life != life_) continue;
      given.answered = true;
      given.answer_time = Now();
    }
  }
}

void Checker::OnSafeActionOfDaemon(const AuditEntry& entry) {
  CheckLeases();
  size_t device = 0;
  while (device < devices_.size() && Name(device) != entry.device_id) ++device;
  if (device == devices_.size()) return;
  const std::string action = entry.text.substr(0, entry.text.find(' '));
  log_->Text(Now(), "safe action of the daemon: " + Name(device) + " " + action);
  const auto expected = std::find_if(expected_.begin(), expected_.end(), [&](const Expected& e) {
    return e.device == device && e.action == action;
  });
  MonoTime since = Now();
  if (expected != expected_.end()) {
    since = expected->since;
    expected_.erase(expected);
  } else {
    const auto lease =
        std::find_if(leases_.begin(), leases_.end(), [&](const auto& entry_of_lease) {
          const GivenLease& l = entry_of_lease.second;
          return !l.over && l.actions.contains(device) && l.actions.at(device) == action;
        });
    if (lease == leases_.end()) {
      Fail("S01", Name(device) + ": the daemon did " + action + " and no lease had ended");
    } else if (lease->second.releasing) {
      lease->second.made_safe.push_back(device);
    } else {
      Fail(lease->second.wall_jumped ? "S12" : "S05",
           Name(device) + ": a lease lapsed " + Milliseconds(lease->second.expires - Now()) +
               " before its time");
    }
  }
  Given given{.device = device,
              .bus = devices_[device].plan.bus,
              .what = Act(ActionCall{action, {}}),
              .safe = true,
              .by_daemon = true};
  given.number = ++next_number_;
  given.life = life_;
  given.given = Now();
  given.deadline = Now() + kSafeDeadline;
  given.command_id = entry.command_id;
  given_.push_back(std::move(given));
  const bool online =
      hub_->cache().Snapshot(static_cast<DeviceIndex>(device))->link() == LinkState::kOnline;
  if (online && Turns(devices_[device]) && devices_[device].turns_since < since) {
    expected_frames_.push_back({given_.back().number, device, since});
  }
}

void Checker::OnAcknowledged(const std::string& alarm_id) { acknowledged_.push_back(alarm_id); }

void Checker::CheckRecord() {
  const auto key = [](const AuditEntry& e) {
    return std::tuple(e.kind, e.identity, e.device_id, e.command_id, e.request_id, e.text,
                      e.status);
  };
  std::multiset<decltype(key(AuditEntry{}))> missing;
  for (const AuditEntry& entry : taken_) missing.insert(key(entry));
  AuditQuery query{.limit = 1000};
  for (int page = 0; page < 100 && !missing.empty(); ++page) {
    const absl::StatusOr<AuditPage> found = hub_->audit().Query(query);
    if (!found.ok()) return Fail("S11", "the record cannot be read: " + found.status().ToString());
    for (const AuditEntry& entry : found->entries) {
      if (const auto it = missing.find(key(entry)); it != missing.end()) missing.erase(it);
      query.before_sequence = entry.sequence;
    }
    if (!found->more) break;
  }
  if (!missing.empty()) {
    const auto& [kind, identity, device, id, request, text, status] = *missing.begin();
    Fail("S11", std::to_string(missing.size()) + " of " + std::to_string(taken_.size()) +
                    " entries are lost, for example " + kind + " " + device + " " + text);
  }
  taken_.clear();
  std::set<std::string> acknowledged;
  for (const AlarmRecord& alarm :
       hub_->alarms().List({.include_history = true, .include_shelved = true})) {
    if (alarm.acknowledged) acknowledged.insert(alarm.id());
  }
  for (const std::string& id : acknowledged_) {
    if (!acknowledged.contains(id)) Fail("S11", "the acknowledgement of " + id + " is lost");
  }
  acknowledged_.clear();
}

}  // namespace canhub::simulation
