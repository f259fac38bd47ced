#include "tests/simulation/checker.h"

#include <algorithm>

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// S05: the promise, and the frames of others that may be on the line first.
constexpr Duration kSafeWithin = milliseconds(50);
constexpr Duration kLineFirst = milliseconds(30);
// S06.
constexpr Duration kAnswerGrace = milliseconds(100);
// Raw frames: the gate waits a second more for a bus that forgot them.
constexpr Duration kRawGrace = milliseconds(2100);
// S09: beside the other poll period; a device that cannot be used is looked at every 30 s.
constexpr Duration kCadenceGrace = seconds(6);
constexpr Duration kUnsupportedPause = seconds(30);
constexpr Duration kSlowCheckPeriod = milliseconds(500);
// A given that is over is remembered this long: what it may not do any more must be recognised.
constexpr Duration kRemember = seconds(30);
constexpr size_t kMostRemembered = 4000;

}  // namespace

Checker::Checker(std::vector<PlannedDevice> devices, std::vector<BusFacts> buses,
                 const SimulatedClock* clock, EventLog* log)
    : clock_(clock), log_(log) {
  for (BusFacts& facts : buses) buses_.push_back({.facts = std::move(facts)});
  for (PlannedDevice& plan : devices) {
    Device device{.plan = std::move(plan)};
    device.bus = BusOf(device.plan.bus);
    device.turns_since = Now();
    devices_.push_back(std::move(device));
  }
}

void Checker::Fail(const char* invariant, std::string text) {
  if (violation_) return;
  log_->Text(Now(), std::string("VIOLATION ") + invariant + ": " + text);
  violation_ = Violation{invariant, std::move(text), Now()};
}

size_t Checker::BusOf(const std::string& id) const {
  size_t bus = 0;
  while (buses_[bus].facts.id != id) ++bus;
  return bus;
}

std::optional<size_t> Checker::DeviceAt(const std::string& bus, uint32_t address) const {
  for (size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i].plan.address == address && devices_[i].plan.bus == bus) return i;
  }
  return std::nullopt;
}

bool Checker::Turns(const Device& device) const {
  return !device.paused && !buses_[device.bus].away;
}

std::string Checker::Milliseconds(Duration d) {
  return Value::Number(std::chrono::duration<double, std::milli>(d).count()).ToString() + " ms";
}

// ---------------------------------------------------------------- the strain

void Checker::OnPaused(size_t index, bool paused) {
  Device& device = devices_[index];
  if (paused && !device.paused) device.paused_since = Now();
  if (!paused && device.paused) device.turns_since = Now();
  device.paused = paused;
}

void Checker::OnMute(size_t device, bool mute) { devices_[device].mute = mute; }

// ---------------------------------------------------------------- after every step

void Checker::AfterStep() {
  if (violation_ || hub_ == nullptr) return;
  CheckLeases();
  CheckExpected();
  if (!malformed_.empty()) CheckMalformed();
  if (Now() < next_slow_check_) return;
  next_slow_check_ = Now() + kSlowCheckPeriod;
  CheckCadence();
  CheckAnswers();
}

void Checker::CheckLeases() {
  for (auto& [id, lease] : leases_) {
    if (!lease.over && !lease.releasing && lease.expires <= Now()) {
      EndLease(lease, lease.expires, true);
    }
  }
}

void Checker::CheckExpected() {
  for (const Expected& expected : expected_) {
    if (Now() <= expected.since + kSafeWithin) continue;
    Fail("S05", Name(expected.device) + ": the lease ended " +
                    Milliseconds(Now() - expected.since) + " ago, and its safe action " +
                    expected.action + " has not begun");
    return;
  }
  std::erase_if(expected_frames_, [&](const ExpectedFrame& expected) {
    const auto given = std::find_if(given_.begin(), given_.end(),
                                    [&](const Given& g) { return g.number == expected.number; });
    if (given == given_.end() || given->answered || given->first_frame != kNever) return true;
    // Whatever happens to the device meanwhile ends the promise: it is not online any more.
    const Device& device = devices_[given->device];
    const bool online = hub_->cache().Snapshot(static_cast<DeviceIndex>(given->device))->link() ==
                        LinkState::kOnline;
    if (!online || !Turns(device) || device.turns_since > expected.since) return true;
    if (Now() <= expected.since + kSafeWithin + kLineFirst) return false;
    Fail("S05", Name(given->device) + ": the lease ended " + Milliseconds(Now() - expected.since) +
                    " ago, and no frame of its safe action was on the line");
    return true;
  });
}

void Checker::CheckCadence() {
  for (size_t i = 0; i < devices_.size(); ++i) {
    const Device& device = devices_[i];
    if (!Turns(device)) continue;
    const auto snapshot = hub_->cache().Snapshot(static_cast<DeviceIndex>(i));
    Duration period = device.plan.poll;
    if (snapshot->link() == LinkState::kUnsupported) period = std::max(period, kUnsupportedPause);
    const MonoTime since = std::max({device.last_asked, device.turns_since, started_});
    if (Now() - since <= 2 * period + kCadenceGrace) continue;
    Fail(stalled_watches_ > 0 ? "S06" : "S09",
         Name(i) + " was not asked for " + Milliseconds(Now() - since) + ", its period is " +
             Milliseconds(device.plan.poll) + "; link " + std::string(ToString(snapshot->link())));
  }
}

void Checker::CheckAnswers() {
  for (const uint64_t number : open_) {
    const auto given = std::find_if(given_.begin(), given_.end(),
                                    [&](const Given& g) { return g.number == number; });
    if (given == given_.end()) continue;
    MonoTime due = given->deadline + (given->raw() ? kRawGrace : kAnswerGrace);
    if (!given->raw()) {
      const Device& device = devices_[given->device];
      if (device.paused) continue;
      due = std::max(due, device.turns_since + kAnswerGrace);
    }
    if (Now() <= due) continue;
    Fail(stalled_watches_ > 0 ? "S06" : "S09", Describe(*given) + " was not answered, " +
                                                   Milliseconds(Now() - given->deadline) +
                                                   " after its deadline");
  }
}

void Checker::CheckMalformed() {
  for (const Malformed& bad : malformed_) {
    const Device& device = devices_[bad.device];
    if (device.paused) continue;
    const auto snapshot = hub_->cache().Snapshot(static_cast<DeviceIndex>(bad.device));
    const Origins& origins = OriginsOf(bad.device, *snapshot);
    for (ItemId item = 0; item < origins.size(); ++item) {
      if (!origins[item] || origins[item]->first != bad.meaning.what) continue;
      const Reading reading = snapshot->Read(item);
      if (reading.quality == Quality::kGood && reading.read_time == bad.time) {
        Fail("S07", Name(bad.device) + "/" + snapshot->items().Name(item) +
                        " was taken from a malformed frame");
      }
    }
    if (bad.asked && snapshot->link() == LinkState::kOnline &&
        BadFrames(bad.device) <= bad.bad_before) {
      Fail("S07", Name(bad.device) + ": a malformed answer of register " +
                      std::to_string(bad.meaning.what) + " was not counted");
    }
  }
  malformed_.clear();
}

uint64_t Checker::BadFrames(size_t device) const {
  uint64_t sum = 0;
  for (const auto& [reason, count] : hub_->Counters(static_cast<DeviceIndex>(device)).bad_frames) {
    sum += count;
  }
  return sum;
}

void Checker::Forget() {
  // In order; one that is still open keeps those behind it, within bounds.
  while (!given_.empty()) {
    const Given& oldest = given_.front();
    const bool over = oldest.answered ? Now() > oldest.answer_time + kRemember
                                      : Now() > oldest.deadline + kRemember;
    if (!over && given_.size() < kMostRemembered) break;
    std::erase(open_, oldest.number);
    given_.pop_front();
  }
  std::erase_if(leases_, [&](const auto& entry) {
    return entry.second.over && Now() > entry.second.over_since + minutes(12);
  });
}

}  // namespace canhub::simulation
