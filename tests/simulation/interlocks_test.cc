// A battery, a converter, a high-voltage module and interlocks in one lab, with random faults and
// clients, judged from outside: by the frames on the lines, read as the facts have them, and by
// nothing that the engine or the drivers say of the cells.
//
//  1  From the second frame in a row with a cell at or beyond 4.2 V or 2.7 V (battery facts, 4.3
//     and 5.4), received by the daemon, to the first frame that stops the converter, and to the
//     first that cuts the high voltage: at most kWithin, where the actors turn, the buses work, and
//     the interlock does not hold already (S10).
//  2  While the pack's actor hangs: the stop goes out at the latest kUnknownWithin after it began.
//  3  From that stop until somebody acknowledged, no frame starts the converter, and none but those
//     of safe actions goes to the high voltage.
//  4  Every frame by which a device may change is explained by what a client asked for and was not
//     refused, or by a step of an interlock in the record (S01, S08).
//  5  A warning sets the current away from the bound that a cell is at, never towards it: +2 A only
//     while a cell is too high, -2 A only while one is too low.
//  6  A lease that nobody keeps begins its safe action 50 ms after its end at the latest, whatever
//     interlocks do (S05); jumps of the wall clock change nothing of all this (S12).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "daemon/config/loader.h"
#include "daemon/core/gate_impl.h"
#include "daemon/lab_stepper.h"
#include "drivers/all_drivers.h"
#include "tests/simulation/family_iseg.h"
#include "tests/simulation/family_ystech_pcs.h"
#include "tests/simulation/random.h"
#include "tests/simulation/stores.h"

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using namespace std::chrono_literals;  // NOLINT

// A frame of others on the device's line, and the device's own driver.
constexpr Duration kWithin = milliseconds(5);
// A command of several frames ends in this time, or it was given up.
constexpr Duration kLongest = seconds(60);
// A second of GOOD, a second of `unknown_for`, the engine's look, and kWithin.
constexpr Duration kUnknownWithin = milliseconds(2300);
// 0.01 V from 2.2 V: dangerous; warning, and where it is over.
constexpr uint8_t kTooHigh = 200, kTooLow = 50;
constexpr uint8_t kHigh = 190, kHighOver = 188, kLow = 60, kLowOver = 62;
constexpr int kModules = 3, kCells = 12;
constexpr char kDaemonNode[] = "canhubd";

constexpr char kLab[] = R"(
buses:
  battery: {type: simulated, bitrate: 250000}
  modules: {type: simulated, bitrate: 500000}
  hv: {type: simulated, bitrate: 250000}
devices:
  pcs1: {driver: ystech-pcs, bus: battery, address: 0xFA, simulate: true, sim_battery: bat0/dc_open_voltage,
         sim_battery_voltage: 130 V}
  bat0: {driver: battery-module, bus: modules, simulate: true, expected_modules: 3, sim_modules: 3,
         sim_current_of: pcs1/dc_current, sim_capacity: 20 Ah}
  hv0: {driver: iseg, bus: hv, address: 3, simulate: true, sim_model: E08F2, limits: {voltage: 1 kV}}
levels:
  cells: {items: 'bat0/module*.cell*_voltage', count: 36, dangerous_low: 2.7 V, warning_low: 2.8 V,
          warning_high: 4.1 V, dangerous_high: 4.2 V, hysteresis: 20 mV, samples_to_warning: 2,
          samples_to_dangerous: 2}
interlocks:
  danger:
    when: [level cells is dangerous, bat0/pack.level is dangerous,
           {all: [level cells is warning_low, level cells is warning_high]}]
    unknown_for: 1 s
    do: [pcs1/stop, hv0/emergency_off]
    verify: pcs1/is_running is false
  cells_high:
    when: level cells is warning_high
    severity: warning
    latch: false
    do: [{set: pcs1/current_setpoint, to: 2 A,
          if: {all: [pcs1/is_running is true, pcs1/mode is dc_constant_current]}}]
    verify: {any: [pcs1/is_running is false, pcs1/mode is not dc_constant_current,
                   pcs1/current_setpoint >= 0 A]}
    on_clear: [{set: pcs1/current_setpoint, to: 0 A, if: pcs1/current_setpoint == 2 A}]
    refuse: [pcs1/update_parameters, pcs1/current_setpoint]
    yields_to: [danger]
  cells_low:
    when: level cells is warning_low
    severity: warning
    latch: false
    do: [{set: pcs1/current_setpoint, to: -2 A,
          if: {all: [pcs1/is_running is true, pcs1/mode is dc_constant_current]}}]
    verify: {any: [pcs1/is_running is false, pcs1/mode is not dc_constant_current,
                   pcs1/current_setpoint <= 0 A]}
    on_clear: [{set: pcs1/current_setpoint, to: 0 A, if: pcs1/current_setpoint == -2 A}]
    refuse: [pcs1/update_parameters, pcs1/current_setpoint]
    yields_to: [danger]
)";

struct Outcome {
  std::string violation;  // "" for none
  int crossings = 0, hangs = 0, trips = 0, starts = 0, cuts = 0, corrections = 0, lapses = 0;
};
enum class Mutant { kNone, kNotWoken, kRefusesNothing, kForgetsTheRecord, kWrongDirection };
// The lab's devices that are commanded, for the families' readers.
const PlannedDevice kConverter{.id = "pcs1", .bus = "battery", .address = 0xFA};
const PlannedDevice kHighVoltage{.id = "hv0", .bus = "hv", .address = 3, .channels = 8};
const Family& FamilyOf(const PlannedDevice& device) {
  return &device == &kConverter ? YstechPcsFamily() : IsegFamily();
}

class InterlockLab {
 public:
  InterlockLab(uint64_t seed, Mutant mutant)
      : random_(Mix(seed, 77)), mutant_(mutant), seed_(seed) {
    config_ = ParseConfig(kLab, "lab.yaml", AllDrivers()).value();
    if (mutant == Mutant::kWrongDirection) {
      // Charged where it should be discharged, and the other way round.
      std::swap(config_.safety.interlocks[1].when, config_.safety.interlocks[2].when);
    }
    lab_ = Lab::Create(config_,
                       {.clock = &clock_, .audit = &audit_, .alarm_store = &alarms_, .seed = seed})
               .value();
    judge_ = lab_->line("modules")->CreateNode("judge");
    judge_->AddTap(&tap_);
    lab_->line("battery")->SetFaultHook([this](const CanFrame& frame, std::string_view sender) {
      if (sender.ends_with(kDaemonNode)) OnConverter(frame);
      return LineFault();
    });
    lab_->line("hv")->SetFaultHook([this](const CanFrame& frame, std::string_view sender) {
      if (sender.ends_with(kDaemonNode)) OnHighVoltage(frame);
      return LineFault();
    });
    lab_->line("modules")->SetFaultHook([this](const CanFrame&, std::string_view) {
      LineFault fault;
      fault.lose = random_.Chance(lose_);
      return fault;
    });
    stepper_ = std::make_unique<LabStepper>(lab_.get(), &clock_);
    if (mutant_ == Mutant::kNotWoken) lab_->hub().cache().SetFirstListener(nullptr);
  }
  ~InterlockLab() {
    stepper_.reset();
    judge_->RemoveTap(&tap_);
    for (const char* bus : kBuses) lab_->line(bus)->SetFaultHook(nullptr);
  }

  Outcome Go(Duration length) {
    const MonoTime end = clock_.Now() + length;
    Advance(seconds(6));
    while (clock_.Now() < end && outcome_.violation.empty()) {
      Happen();
      Advance(random_.Exponential(milliseconds(700)));
    }
    outcome_.trips = static_cast<int>(lab_->hub().interlocks()->List().at(0).trips);
    return outcome_;
  }

 private:
  // Frames of modules as the daemon's controller gets them.
  class Tap final : public FrameTap {
   public:
    explicit Tap(InterlockLab* run) : run_(run) {}
    void OnFrame(const TappedFrame& frame) override { run_->OnModules(frame); }

   private:
    InterlockLab* const run_;
  };

  void Fail(const std::string& text) {
    if (!outcome_.violation.empty()) return;
    const auto at = std::chrono::duration_cast<milliseconds>(clock_.Now() - began_).count();
    outcome_.violation =
        "seed " + std::to_string(seed_) + ", " + std::to_string(at) + " ms: " + text;
  }
  bool Holds() const {
    const InterlockState state = lab_->hub().interlocks()->List().at(0).state;
    return state == InterlockState::kTripped || state == InterlockState::kLatched;
  }
  static constexpr const char* kDevices[] = {"pcs1", "bat0", "hv0"};
  static constexpr const char* kBuses[] = {"battery", "modules", "hv"};
  bool Works() const {
    return !hangs_["bat0"] && !hangs_["pcs1"] && !away_["battery"] && !away_["modules"];
  }
  bool HighVoltageWorks() const { return !hangs_["hv0"] && !away_["hv"]; }

  // ---- the lines
  void OnModules(const TappedFrame& tapped) {
    const CanFrame& frame = tapped.frame;
    const uint32_t base = frame.id & ~uint32_t{0xF};
    const uint32_t module = frame.id & 0xF;
    if (tapped.own || tapped.error || frame.extended || frame.dlc != 8) return;
    if ((base != 0x380 && base != 0x480) || module < 1 || module > kModules) return;
    const bool ones = std::all_of(frame.data.begin(), frame.data.end(),
                                  [](uint8_t byte) { return byte == 0xFF; });
    if (ones) return;
    const int first = base == 0x380 ? 0 : 8;
    bool crossed = false;
    for (int i = 0; i < 8 && first + i < kCells; ++i) {
      const uint8_t raw = frame.data[static_cast<size_t>(i)];
      const int cell = static_cast<int>(module) * 16 + first + i;
      int& beyond = beyond_[cell];
      beyond = raw >= kTooHigh || raw <= kTooLow ? beyond + 1 : 0;
      crossed |= beyond == 2;
      Warn(raw >= kHigh, raw <= kHighOver, &high_[cell]);
      Warn(raw <= kLow, raw >= kLowOver, &low_[cell]);
    }
    if (!crossed || !Works() || expected_ || held_before_ || clock_.Now() < quiet_until_) return;
    ++outcome_.crossings;
    expected_ = clock_.Now();
    if (HighVoltageWorks() && clock_.Now() >= hv_quiet_until_) hv_expected_ = expected_;
  }
  // Two in a row beyond the bound begin a warning; one behind the hysteresis ends it.
  struct Warning {
    int beyond = 0;
    bool on = false;
  };
  static void Warn(bool beyond, bool over, Warning* warning) {
    warning->beyond = beyond ? warning->beyond + 1 : 0;
    warning->on = warning->beyond >= 2 || (warning->on && !over);
  }
  static bool Any(const std::map<int, Warning>& warnings) {
    return std::any_of(warnings.begin(), warnings.end(),
                       [](const auto& entry) { return entry.second.on; });
  }

  static bool Does(const PlannedDevice& device, const char* action, const CanFrame& frame) {
    return FamilyOf(device).Allows(ActionCall{action, {}}, device, frame) > 0;
  }
  void OnConverter(const CanFrame& frame) {
    Explain(kConverter, frame);
    if (Does(kConverter, "stop", frame)) {
      expected_.reset();
      hang_expected_.reset();
      if (Holds()) held_ = true;
    }
    if (Does(kConverter, "start", frame)) {
      ++outcome_.starts;
      if (held_) Fail("a start although the interlock was not acknowledged");
    }
  }
  void OnHighVoltage(const CanFrame& frame) {
    Explain(kHighVoltage, frame);
    if (IsegFamily().Read(frame, true).kind != FrameMeaning::Kind::kAct) return;
    const bool cuts = Does(kHighVoltage, "emergency_off", frame);
    if (cuts) {
      hv_expected_.reset();
      ++outcome_.cuts;
      if (Holds()) hv_held_ = true;
    } else if (hv_held_ && !Explained(kHighVoltage, frame, /*safe=*/true)) {
      Fail(FormatFrame(frame) + " to the high voltage although nobody acknowledged");
    }
  }

  // ---- what was asked for
  struct Given {
    const PlannedDevice* device;
    Act act;
    MonoTime time;
    bool safe = false;  // the daemon's own safe action
    bool refused = false;
  };
  bool Explained(const PlannedDevice& device, const CanFrame& frame, bool safe) const {
    return std::any_of(given_.begin(), given_.end(), [&](const auto& given) {
      return given->device == &device && !given->refused && (given->safe || !safe) &&
             FamilyOf(device).Allows(given->act, device, frame) > 0;
    });
  }
  void Explain(const PlannedDevice& device, const CanFrame& frame) {
    if (FamilyOf(device).Read(frame, true).kind != FrameMeaning::Kind::kAct) return;
    while (!given_.empty() && clock_.Now() - given_.front()->time > kLongest) given_.pop_front();
    if (!Explained(device, frame, /*safe=*/false))
      Fail(device.id + ": nobody asked for " + FormatFrame(frame));
  }
  void OnAudit(const AuditEntry& entry) {
    if (mutant_ == Mutant::kForgetsTheRecord) return;
    const PlannedDevice& device = entry.device_id == "pcs1" ? kConverter : kHighVoltage;
    if (entry.kind == "safe_action") {
      const std::string action = entry.text.substr(0, entry.text.find(' '));
      Give(device, ActionCall{action, {}})->safe = true;
      const auto due = leases_.find(device.id);
      if (due != leases_.end() && clock_.Now() >= due->second) {
        leases_.erase(due);
        ++outcome_.lapses;
      }
    } else if (entry.kind == "command" && entry.identity.starts_with("interlock:")) {
      // "current_setpoint = 2 A, wait for confirmed".
      const size_t equals = entry.text.find(" = ");
      const double ampere = std::strtod(entry.text.c_str() + equals + 3, nullptr);
      Give(device, std::vector<NamedWrite>{{entry.text.substr(0, equals), Value::Number(ampere)}});
      Correct(ampere);
    }
  }
  void Correct(double ampere) {
    ++outcome_.corrections;
    const bool known = Works() && clock_.Now() >= quiet_until_;
    if (!known || ampere == 0) return;
    if (!Any(ampere > 0 ? high_ : low_)) {
      Fail("the current was set to " + std::to_string(ampere) + " A, and no cell asks for it");
    }
  }
  std::shared_ptr<Given> Give(const PlannedDevice& device, Act act) {
    given_.push_back(std::make_shared<Given>(
        Given{.device = &device, .act = std::move(act), .time = clock_.Now()}));
    return given_.back();
  }

  // ---- after every moment
  void Check() {
    if (mutant_ == Mutant::kRefusesNothing) {
      static_cast<HubGate&>(lab_->hub().gate()).SetInterlocks(nullptr);
    }
    const MonoTime now = clock_.Now();
    if (!Works()) {
      expected_.reset();
      hv_expected_.reset();
      quiet_until_ = now + seconds(2);
    }
    if (!HighVoltageWorks()) {
      hv_expected_.reset();
      hv_quiet_until_ = now + seconds(2);
    }
    if (hv_expected_ && now - *hv_expected_ > kWithin) {
      Fail("the high voltage is not cut within " + std::to_string(kWithin / milliseconds(1)) +
           " ms of the frame with a dangerous cell");
    }
    held_before_ = Holds();
    for (const auto& [id, end] : leases_) {
      if (now > end + milliseconds(50)) Fail(id + ": the lease is over, and nothing was done");
    }
    if (expected_ && now - *expected_ > kWithin) {
      Fail("no stop within " + std::to_string(kWithin / milliseconds(1)) +
           " ms of the frame with a dangerous cell");
    }
    if (hang_expected_ && (hangs_["pcs1"] || away_["battery"])) hang_expected_.reset();
    if (hang_expected_ && now - *hang_expected_ > kUnknownWithin) {
      Fail("no stop although nobody knows the cells");
    }
  }
  void Advance(Duration time) {
    stepper_->RunUntilTrue(
        [this] {
          Check();
          return !outcome_.violation.empty();
        },
        time);
  }

  // ---- what happens
  void Submit(const PlannedDevice& device, Act act) {
    const std::shared_ptr<Given> given = Give(device, act);
    CommandRequest request{.caller = {"client", Role::kEngineer}, .device_id = device.id};
    std::visit([&](auto& what) { request.what = std::move(what); }, act);
    const auto in_call = std::make_shared<bool>(true);
    lab_->hub().gate().Submit(std::move(request), [given, in_call](const CommandResult& result) {
      given->refused |= *in_call && !result.status.ok();
    });
    *in_call = false;
  }
  void Submit(const std::string& action, Arguments arguments = {}) {
    Submit(kConverter, ActionCall{action, std::move(arguments)});
  }
  // By somebody who is never heard of again.
  void TakeLease() {
    const std::string id = random_.Chance(0.5) ? "pcs1" : "hv0";
    const auto lease = lab_->hub().leases().Acquire(
        {.caller = {"holder", Role::kOperator},
         .device_ids = {id},
         .window = random_.Between(Duration(milliseconds(200)), Duration(seconds(3)))});
    if (lease.ok()) leases_[id] = lease->expires;
  }
  // Switched on again after an emergency off, or whatever clients do with it.
  void UseHighVoltage() {
    if (random_.Chance(0.5)) {
      for (Act& act : IsegFamily().Recovery(kHighVoltage)) Submit(kHighVoltage, std::move(act));
      return Submit(kHighVoltage, ActionCall{"switch_on", {}});
    }
    Submit(kHighVoltage, random_.Chance(0.5) ? IsegFamily().MakeSetting(random_, kHighVoltage)
                                             : IsegFamily().MakeAct(random_, kHighVoltage));
  }
  void Inject(const std::string& fault, Arguments arguments = {}) {
    lab_->simulator("bat0")->InjectFault(fault, arguments).IgnoreError();
  }
  Steppable* Actor(const std::string& id) {
    // Devices stand before everything else of the hub, in the order of the configuration.
    const auto* const at = std::find(std::begin(kDevices), std::end(kDevices), id);
    return lab_->hub().Steppables()[static_cast<size_t>(at - std::begin(kDevices))];
  }
  void SetHangs(const std::string& id, bool hangs) {
    hangs_[id] = hangs;
    stepper_->runner().Pause(Actor(id), hangs);
    if (id != "bat0") return;
    hang_expected_.reset();
    if (!hangs || Holds() || !ConverterWorks()) return;
    hang_expected_ = clock_.Now();
    ++outcome_.hangs;
  }
  bool ConverterWorks() const { return !hangs_["pcs1"] && !away_["battery"]; }
  void SetAway(const std::string& bus, bool away) {
    away_[bus] = away;
    lab_->line(bus)->SetNodeState(kDaemonNode, away ? BusState::kBusOff : BusState::kActive, "");
  }
  Arguments SomeCell(double volts) {
    return {
        {"module", Value::Integer(1 + static_cast<int64_t>(random_.Below(kModules)))},
        {"signal", Value::Text("Cell_" + std::to_string(1 + random_.Below(kCells)) + "_Voltage")},
        {"value", Value::Number(volts)}};
  }
  void Happen() {
    static const std::vector<double> kVolts = {4.25, 4.2,  4.19, 4.75, 2.7, 2.71, 2.2,
                                               3.9,  4.12, 4.1,  2.79, 2.8, 4.09, 2.81};
    if (random_.Chance(0.2)) return UseHighVoltage();
    if (random_.Chance(0.04)) return TakeLease();
    if (random_.Chance(0.02)) return clock_.JumpWall(seconds(random_.Below(200'000)) - 100'000s);
    const double at = random_.Unit();
    if (at < 0.12) return Inject("force", SomeCell(random_.Pick(kVolts)));
    if (at < 0.34) {
      lab_->simulator("bat0")->ClearFaults("").status().IgnoreError();
      return;
    }
    if (at < 0.60) {
      const auto done =
          lab_->hub().interlocks()->Acknowledge({"op", Role::kOperator}, "danger", "");
      if (done.ok()) held_ = hv_held_ = held_before_ = false;
      return;
    }
    if (at < 0.63) {
      return Submit(kConverter, YstechPcsFamily().MakeSetting(random_, kConverter));
    }
    if (at < 0.66) {
      return Submit("set_mode", {{"mode", Value::Text("dc_constant_current")},
                                 {"current_setpoint", Value::Number(random_.Between(-80, 80))}});
    }
    if (at < 0.82) return Submit("start");
    if (at < 0.85) return Inject("silence", {{"module", Value::Integer(2)}});
    if (at < 0.90) {
      const std::string id = random_.Chance(0.6) ? "bat0" : random_.Chance(0.5) ? "pcs1" : "hv0";
      return SetHangs(id, !hangs_[id]);
    }
    if (at < 0.92) {
      const std::string bus = kBuses[random_.Below(3)];
      return SetAway(bus, !away_[bus]);
    }
    if (at < 0.94) {
      lose_ = random_.Chance(0.5) ? 0 : random_.Between(0.0, 0.3);
      return;
    }
    // Back to order, so that there is something to break.
    for (const char* id : kDevices) {
      if (hangs_[id]) SetHangs(id, false);
    }
    for (const char* bus : kBuses) {
      if (away_[bus]) SetAway(bus, false);
    }
    lose_ = 0;
  }

  Random random_;
  const Mutant mutant_;
  const uint64_t seed_;
  SimulatedClock clock_;
  const MonoTime began_ = clock_.Now();
  MemoryAudit record_;
  WatchedAudit audit_{&record_, [this](const AuditEntry& entry) { OnAudit(entry); }};
  MemoryAlarms alarms_;
  Config config_;
  std::unique_ptr<Lab> lab_;
  std::shared_ptr<CanBus> judge_;
  Tap tap_{this};
  std::unique_ptr<LabStepper> stepper_;

  double lose_ = 0;
  mutable std::map<std::string, bool> hangs_, away_;
  std::map<int, int> beyond_;  // frames in a row, by module and cell
  std::map<int, Warning> high_, low_;
  std::optional<MonoTime> expected_, hang_expected_, hv_expected_;
  // What was read before a strain ended is told late.
  MonoTime quiet_until_{}, hv_quiet_until_{};
  bool held_before_ = false;
  bool held_ = false;     // stopped by the interlock, not acknowledged
  bool hv_held_ = false;  // the same of the high voltage
  std::deque<std::shared_ptr<Given>> given_;
  std::map<std::string, MonoTime> leases_;  // their ends
  Outcome outcome_;
};

// In shares, so that they can run side by side, and each in its time under ThreadSanitizer:
// CANHUB_INTERLOCK_LABS in each.
class RandomInterlockLabs : public testing::TestWithParam<uint64_t> {};
constexpr uint64_t kShares = 4;

TEST_P(RandomInterlockLabs, StopAndRefuseInTime) {
  const char* const wanted = std::getenv("CANHUB_INTERLOCK_LABS");
  const uint64_t labs = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 5;
  ASSERT_GT(labs, 0u) << "CANHUB_INTERLOCK_LABS=" << wanted;
  Outcome all;
  for (uint64_t seed = 1 + GetParam() * labs; seed <= (GetParam() + 1) * labs; ++seed) {
    const Outcome outcome = InterlockLab(seed, Mutant::kNone).Go(minutes(4));
    ASSERT_EQ(outcome.violation, "");
    all.crossings += outcome.crossings;
    all.hangs += outcome.hangs;
    all.trips += outcome.trips;
    all.starts += outcome.starts;
    all.cuts += outcome.cuts;
    all.corrections += outcome.corrections;
    all.lapses += outcome.lapses;
  }
  // What never happened proves nothing.
  EXPECT_GT(all.crossings, 5);
  EXPECT_GT(all.hangs, 1);
  EXPECT_GT(all.trips, 10);
  EXPECT_GT(all.starts, 10);
  EXPECT_GT(all.cuts, 10);
  EXPECT_GT(all.corrections, 5);
  EXPECT_GT(all.lapses, 5);
}
INSTANTIATE_TEST_SUITE_P(Simulation, RandomInterlockLabs, testing::Range<uint64_t>(0, kShares));

// Whether the judge says this of what is broken, with one of some seeds.
bool Caught(Mutant mutant, const std::string& text) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome outcome = InterlockLab(seed, mutant).Go(minutes(4));
    if (outcome.violation.find(text) != std::string::npos) return true;
  }
  return false;
}

TEST(RandomInterlocks, AnEngineThatIsNotWokenIsCaught) {
  EXPECT_TRUE(Caught(Mutant::kNotWoken, "no stop within 5 ms of the frame with a dangerous cell"));
}

TEST(RandomInterlocks, AGateThatRefusesNothingIsCaught) {
  EXPECT_TRUE(Caught(Mutant::kRefusesNothing, "a start although"));
  EXPECT_TRUE(Caught(Mutant::kRefusesNothing, "to the high voltage although"));
}

TEST(RandomInterlocks, WhatNobodyAskedForIsCaught) {
  EXPECT_TRUE(Caught(Mutant::kForgetsTheRecord, "nobody asked for"));
}

TEST(RandomInterlocks, ACorrectionInTheWrongDirectionIsCaught) {
  EXPECT_TRUE(Caught(Mutant::kWrongDirection, "and no cell asks for it"));
}

}  // namespace
}  // namespace canhub::simulation
