#include "daemon/wiring_replay.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "daemon/config/problems.h"
#include "daemon/config/quantity.h"
#include "daemon/lab_stepper.h"
#include "daemon/wiring.h"
#include "drivers/api/errors.h"
#include "drivers/testing/fake_bus.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

// Keeps nothing; shows what happens.
class Recorder final : public AuditLog, public AlarmStore {
 public:
  Recorder(const Clock* clock, const std::function<void(const ReplayEvent&)>* on_event)
      : clock_(clock), on_event_(on_event), start_(clock->Now()) {}

  void Show(const std::string& kind, const std::string& text) {
    // What is tried again and again is told once for each trip.
    const size_t end = text.find("incomplete");
    const std::string key = kind + " " + (end == std::string::npos ? text : text.substr(0, end));
    if (text.find(" tripped: ") != std::string::npos) shown_.clear();
    if (!shown_.insert(key).second || !*on_event_) return;
    (*on_event_)({clock_->Now() - start_, clock_->WallNow(), kind, text});
  }

  absl::Status Append(AuditEntry entry) override {
    if (entry.kind == "safe_action") {
      Show(entry.kind, entry.device_id + ": " + entry.text);
    } else if (entry.kind == "interlock") {
      Show(entry.kind, entry.text);
    } else if (IsDaemonsOwn(entry.identity) && entry.kind != "result") {
      // A step that sets an item, or that may not.
      Show("set", entry.device_id + ": " + entry.text + " (" + entry.identity + ")");
    }
    return absl::OkStatus();
  }
  absl::Status AppendReserved(AuditEntry entry) override { return Append(std::move(entry)); }
  bool writable() const override { return true; }
  std::string problem() const override { return ""; }
  absl::StatusOr<AuditPage> Query(const AuditQuery&) override { return AuditPage(); }

  // When it changes, not when it would be on a disk.
  void ShowAlarm(const AlarmRecord& alarm) {
    if (alarm.active == active_.contains(alarm.id())) return;
    if (alarm.active) {
      active_.insert(alarm.id());
    } else {
      active_.erase(alarm.id());
    }
    shown_.erase("alarm " + alarm.id() + (alarm.active ? " is over" : ": " + alarm.text));
    Show("alarm", alarm.id() + (alarm.active ? ": " + alarm.text : " is over"));
  }

  absl::Status Save(const AlarmRecord&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<AlarmRecord>> LoadAll() override { return std::vector<AlarmRecord>(); }

 private:
  const Clock* const clock_;
  const std::function<void(const ReplayEvent&)>* const on_event_;
  const MonoTime start_;
  std::set<std::string> shown_, active_;
};

std::string_view NameOf(SafetyState state) {
  switch (state) {
    case SafetyState::kInit:
      return "INIT";
    case SafetyState::kNormal:
      return "NORMAL";
    case SafetyState::kWarning:
      return "WARNING";
    case SafetyState::kDangerous:
      return "DANGEROUS";
    case SafetyState::kSecurity:
      return "SECURITY";
    case SafetyState::kPrecharge:
      return "PRECHARGE";
  }
  return "";
}

absl::Status Wrong(const std::string& text) {
  return MakeError(absl::StatusCode::kInvalidArgument, "LOG_INVALID", text);
}

// One run.
class Replay {
 public:
  Replay(const Config& config, const ReplayOptions& options)
      : config_(config), options_(options), recorder_(&clock_, &options_.on_event) {}

  absl::Status Prepare() {
    for (const auto& [name, bus] : options_.buses) {
      if (config_.FindBus(bus) != nullptr) continue;
      std::vector<std::string> ids;
      for (const BusConfig& known : config_.buses) ids.push_back(known.id);
      return Wrong(name + ": found the bus " + Quote(bus) + Suggestion(bus, ids) +
                   ", expected one of " + JoinNames(ids));
    }
    LabOptions lab{.clock = &clock_, .audit = &recorder_, .alarm_store = &recorder_};
    for (const BusConfig& bus : config_.buses) {
      lab.buses[bus.id] = buses_[bus.id] = std::make_shared<FakeBus>(&clock_);
    }
    absl::StatusOr<std::unique_ptr<Lab>> made = Lab::Create(config_, std::move(lab));
    if (!made.ok()) return made.status();
    lab_ = *std::move(made);
    alarms_ = lab_->hub().alarms().Watch("", [] {});
    stepper_ = std::make_unique<LabStepper>(lab_.get(), &clock_);
    return absl::OkStatus();
  }

  absl::Status Take(const CandumpLine& line) {
    if (!first_) {
      first_ = line.time;
      clock_.JumpWall(line.time - clock_.WallNow());
      stepper_->Settle();
      ShowState();
    }
    const auto bus = buses_.find(BusOf(line.interface));
    if (bus == buses_.end()) {
      ++summary_.other_frames;
      return absl::OkStatus();
    }
    // A log whose clock was set back goes on where it stood.
    const Duration pause = std::max((line.time - *first_) - (clock_.Now() - start_), Duration(0));
    if (pause > options_.longest_pause) {
      const auto text = [](Duration time) {
        return FormatQuantity(std::chrono::duration<double>(time).count(), "s");
      };
      return Wrong("found a frame " + text(pause) + " after the one before, expected at most " +
                   text(options_.longest_pause) +
                   "; was the recorder's clock set? Cut the log there");
    }
    const MonoTime at = clock_.Now() + pause;
    stepper_->RunUntilTrue(
        [&] {
          ShowNews();
          return clock_.Now() >= at;
        },
        pause);
    bus->second->Receive(line.frame);
    stepper_->Settle();
    ShowNews();
    ++summary_.frames;
    return absl::OkStatus();
  }

  ReplaySummary Finish() {
    summary_.length = clock_.Now() - start_;
    for (const InterlockInfo& info : lab_->hub().interlocks()->List()) {
      summary_.trips[info.id] = info.trips;
    }
    stepper_.reset();
    return summary_;
  }

 private:
  std::string BusOf(const std::string& name) const {
    if (const auto given = options_.buses.find(name); given != options_.buses.end()) {
      return given->second;
    }
    if (config_.FindBus(name) != nullptr) return name;
    for (const BusConfig& bus : config_.buses) {
      if (bus.interface == name) return bus.id;
    }
    return config_.buses.size() == 1 ? config_.buses[0].id : "";
  }

  void ShowState() {
    const SafetyState state = lab_->hub().interlocks()->state();
    if (state_ == state) return;
    if (options_.on_event) {
      options_.on_event(
          {clock_.Now() - start_, clock_.WallNow(), "state", std::string(NameOf(state))});
    }
    state_ = state;
  }

  void ShowNews() {
    ShowState();
    for (const AlarmRecord& alarm : alarms_->Drain().alarms) recorder_.ShowAlarm(alarm);
    for (const auto& [id, bus] : buses_) {
      for (const TxFrame& tx : bus->TakeTransmitted()) {
        if (tx.urgency == Urgency::kSafe) recorder_.Show("frame", id + " " + FormatFrame(tx.frame));
      }
    }
  }

  const Config& config_;
  const ReplayOptions& options_;
  SimulatedClock clock_;
  const MonoTime start_ = clock_.Now();
  Recorder recorder_;
  std::map<std::string, std::shared_ptr<FakeBus>> buses_;
  std::unique_ptr<Lab> lab_;
  std::unique_ptr<AlarmWatch> alarms_;
  std::unique_ptr<LabStepper> stepper_;
  std::optional<WallTime> first_;
  std::optional<SafetyState> state_;
  ReplaySummary summary_;
};

}  // namespace

absl::StatusOr<ReplaySummary> ReplayLog(const Config& config, std::istream& log,
                                        const ReplayOptions& options) {
  if (config.safety.empty()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NO_RULES",
                     config.file + ": found neither levels nor interlocks, expected some to test");
  }
  Replay replay(config, options);
  if (absl::Status status = replay.Prepare(); !status.ok()) return status;
  std::string text;
  size_t number = 0;
  bool any = false;
  while (std::getline(log, text)) {
    ++number;
    if (!text.empty() && text.back() == '\r') text.pop_back();
    if (text.empty()) continue;
    const absl::StatusOr<CandumpLine> line = ParseCandumpLine(text);
    const absl::Status taken = line.ok() ? replay.Take(*line) : line.status();
    if (!taken.ok()) {
      return Wrong("line " + std::to_string(number) + ": " + std::string(taken.message()));
    }
    any = true;
  }
  if (!any) return Wrong("found no frame, expected a log in the form of candump -l");
  return replay.Finish();
}

}  // namespace canhub
