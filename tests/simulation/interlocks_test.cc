// A battery, a converter and an interlock in one lab, with random faults and clients, judged from
// outside: by the frames on the lines, read as the facts have them, and by nothing that the engine
// or the drivers say of the cells.
//
//  1  From the second frame in a row with a cell at or beyond 4.2 V or 2.7 V (battery facts, 4.3
//     and 5.4), received by the daemon, to the first frame that stops the converter: at most
//     kWithin, where the actors turn, both buses work, and the interlock does not hold already.
//  2  While the pack's actor hangs: the stop goes out at the latest kUnknownWithin after it began.
//  3  From that stop until somebody acknowledged, no frame starts the converter.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>

#include "daemon/config/loader.h"
#include "daemon/core/gate_impl.h"
#include "daemon/lab_stepper.h"
#include "drivers/all_drivers.h"
#include "tests/simulation/family_ystech_pcs.h"
#include "tests/simulation/random.h"
#include "tests/simulation/stores.h"

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// A frame of others on the converter's line, and the converter's own driver.
constexpr Duration kWithin = milliseconds(5);
// A second of GOOD, a second of `unknown_for`, the engine's look, and kWithin.
constexpr Duration kUnknownWithin = milliseconds(2300);
constexpr uint8_t kTooHigh = 200, kTooLow = 50;  // 0.01 V from 2.2 V
constexpr int kModules = 3, kCells = 12;
constexpr char kDaemonNode[] = "canhubd";

constexpr char kLab[] = R"(
buses:
  battery: {type: simulated, bitrate: 250000}
  modules: {type: simulated, bitrate: 500000}
devices:
  pcs1: {driver: ystech-pcs, bus: battery, address: 0xFA, simulate: true, sim_battery: bat0/dc_open_voltage,
         sim_battery_voltage: 130 V}
  bat0: {driver: battery-module, bus: modules, simulate: true, expected_modules: 3, sim_modules: 3,
         sim_current_of: pcs1/dc_current, sim_capacity: 20 Ah}
levels:
  cells: {items: 'bat0/module*.cell*_voltage', count: 36, dangerous_low: 2.7 V, dangerous_high: 4.2 V,
          hysteresis: 20 mV, samples_to_dangerous: 2}
interlocks:
  danger:
    when: [level cells is dangerous, bat0/pack.level is dangerous]
    unknown_for: 1 s
    do: [pcs1/stop]
    verify: pcs1/is_running is false
)";

struct Outcome {
  std::string violation;  // "" for none
  int crossings = 0, hangs = 0, trips = 0, starts = 0;
};
enum class Mutant { kNone, kNotWoken, kRefusesNothing };

class InterlockLab {
 public:
  InterlockLab(uint64_t seed, Mutant mutant)
      : random_(Mix(seed, 77)), mutant_(mutant), seed_(seed) {
    config_ = ParseConfig(kLab, "lab.yaml", AllDrivers()).value();
    lab_ = Lab::Create(config_,
                       {.clock = &clock_, .audit = &audit_, .alarm_store = &alarms_, .seed = seed})
               .value();
    judge_ = lab_->line("modules")->CreateNode("judge");
    judge_->AddTap(&tap_);
    lab_->line("battery")->SetFaultHook([this](const CanFrame& frame, std::string_view sender) {
      return OnBattery(frame, sender);
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
    lab_->line("battery")->SetFaultHook(nullptr);
    lab_->line("modules")->SetFaultHook(nullptr);
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
  bool Works() const {
    return !hangs_["bat0"] && !hangs_["pcs1"] && !away_["battery"] && !away_["modules"];
  }

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
      int& beyond = beyond_[static_cast<int>(module) * 16 + first + i];
      beyond = raw >= kTooHigh || raw <= kTooLow ? beyond + 1 : 0;
      crossed |= beyond == 2;
    }
    if (!crossed || !Works() || expected_ || held_before_ || clock_.Now() < quiet_until_) return;
    ++outcome_.crossings;
    expected_ = clock_.Now();
  }

  static bool Does(const char* action, const CanFrame& frame) {
    const PlannedDevice pcs{.id = "pcs1", .bus = "battery", .address = 0xFA};
    return YstechPcsFamily().Allows(ActionCall{action, {}}, pcs, frame) > 0;
  }
  LineFault OnBattery(const CanFrame& frame, std::string_view sender) {
    if (!sender.ends_with(kDaemonNode)) return {};
    if (Does("stop", frame)) {
      expected_.reset();
      hang_expected_.reset();
      if (Holds()) held_ = true;
    }
    if (Does("start", frame)) {
      ++outcome_.starts;
      if (held_) Fail("a start although the interlock was not acknowledged");
    }
    return {};
  }

  // ---- after every moment
  void Check() {
    if (mutant_ == Mutant::kRefusesNothing) {
      static_cast<HubGate&>(lab_->hub().gate()).SetInterlocks(nullptr);
    }
    const MonoTime now = clock_.Now();
    if (!Works()) {
      expected_.reset();
      quiet_until_ = now + seconds(2);
    }
    held_before_ = Holds();
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
  void Submit(const std::string& action, Arguments arguments = {}) {
    lab_->hub().gate().Submit({.caller = {"client", Role::kEngineer},
                               .device_id = "pcs1",
                               .what = ActionCall{action, std::move(arguments)}},
                              [](CommandResult) {});
  }
  void Inject(const std::string& fault, Arguments arguments = {}) {
    lab_->simulator("bat0")->InjectFault(fault, arguments).IgnoreError();
  }
  Steppable* Actor(const std::string& id) {
    // Devices stand before everything else of the hub, in the order of the configuration.
    return lab_->hub().Steppables()[id == "pcs1" ? 0 : 1];
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
    static const std::vector<double> kVolts = {4.25, 4.2, 4.19, 4.75, 2.7, 2.71, 2.2, 3.9};
    const double at = random_.Unit();
    if (at < 0.12) return Inject("force", SomeCell(random_.Pick(kVolts)));
    if (at < 0.34) {
      lab_->simulator("bat0")->ClearFaults("").status().IgnoreError();
      return;
    }
    if (at < 0.60) {
      const auto done =
          lab_->hub().interlocks()->Acknowledge({"op", Role::kOperator}, "danger", "");
      if (done.ok()) held_ = held_before_ = false;
      return;
    }
    if (at < 0.66) {
      return Submit("set_mode", {{"mode", Value::Text("dc_constant_current")},
                                 {"current_setpoint", Value::Number(random_.Between(-80, 80))}});
    }
    if (at < 0.82) return Submit("start");
    if (at < 0.85) return Inject("silence", {{"module", Value::Integer(2)}});
    if (at < 0.90) {
      const std::string id = random_.Chance(0.7) ? "bat0" : "pcs1";
      return SetHangs(id, !hangs_[id]);
    }
    if (at < 0.92) {
      const std::string bus = random_.Chance(0.5) ? "battery" : "modules";
      return SetAway(bus, !away_[bus]);
    }
    if (at < 0.94) {
      lose_ = random_.Chance(0.5) ? 0 : random_.Between(0.0, 0.3);
      return;
    }
    // Back to order, so that there is something to break.
    for (const char* id : {"bat0", "pcs1"}) {
      if (hangs_[id]) SetHangs(id, false);
    }
    for (const char* bus : {"battery", "modules"}) {
      if (away_[bus]) SetAway(bus, false);
    }
    lose_ = 0;
  }

  Random random_;
  const Mutant mutant_;
  const uint64_t seed_;
  SimulatedClock clock_;
  const MonoTime began_ = clock_.Now();
  MemoryAudit audit_;
  MemoryAlarms alarms_;
  Config config_;
  std::unique_ptr<Lab> lab_;
  std::shared_ptr<CanBus> judge_;
  Tap tap_{this};
  std::unique_ptr<LabStepper> stepper_;

  double lose_ = 0;
  mutable std::map<std::string, bool> hangs_, away_;
  std::map<int, int> beyond_;  // frames in a row, by module and cell
  std::optional<MonoTime> expected_, hang_expected_;
  MonoTime quiet_until_{};  // what was read before a strain ended is told late
  bool held_before_ = false;
  bool held_ = false;  // stopped by the interlock, not acknowledged
  Outcome outcome_;
};

// In shares, so that they can run side by side, and each in its time under ThreadSanitizer.
class RandomInterlockLabs : public testing::TestWithParam<uint64_t> {};
constexpr uint64_t kSeeds = 5;

TEST_P(RandomInterlockLabs, StopAndRefuseInTime) {
  Outcome all;
  for (uint64_t seed = GetParam(); seed < GetParam() + kSeeds; ++seed) {
    const Outcome outcome = InterlockLab(seed, Mutant::kNone).Go(minutes(4));
    ASSERT_EQ(outcome.violation, "");
    all.crossings += outcome.crossings;
    all.hangs += outcome.hangs;
    all.trips += outcome.trips;
    all.starts += outcome.starts;
  }
  // What never happened proves nothing.
  EXPECT_GT(all.crossings, 5);
  EXPECT_GT(all.hangs, 1);
  EXPECT_GT(all.trips, 10);
  EXPECT_GT(all.starts, 10);
}
INSTANTIATE_TEST_SUITE_P(Simulation, RandomInterlockLabs,
                         testing::Values(1, 1 + kSeeds, 1 + 2 * kSeeds, 1 + 3 * kSeeds));

// The first of some seeds in which the judge sees what is broken; "" when it never does.
std::string Caught(Mutant mutant) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome outcome = InterlockLab(seed, mutant).Go(minutes(4));
    if (!outcome.violation.empty()) return outcome.violation;
  }
  return "";
}

TEST(RandomInterlocks, AnEngineThatIsNotWokenIsCaught) {
  EXPECT_NE(Caught(Mutant::kNotWoken).find("of the frame with a dangerous cell"),
            std::string::npos);
}

TEST(RandomInterlocks, AGateThatRefusesNothingIsCaught) {
  EXPECT_NE(Caught(Mutant::kRefusesNothing).find("a start although"), std::string::npos);
}

}  // namespace
}  // namespace canhub::simulation
