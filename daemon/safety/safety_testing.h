// For tests: two supplies, hv0 and hv1, on a bus without a line, with rules over them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/fake_device.h"
#include "daemon/core/hub.h"
#include "daemon/safety/interlock_engine.h"
#include "drivers/api/errors.h"
#include "drivers/testing/fake_bus.h"
#include "drivers/testing/simulated_clock.h"
#include "drivers/testing/step_runner.h"

namespace canhub::safety_testing {

using Kind = RuleCondition::Kind;

inline RuleCondition Compared(const std::string& item, Comparison comparison, double bound) {
  RuleCondition condition{.kind = Kind::kValue,
                          .subject = item,
                          .comparison = comparison,
                          .text = item + " " + std::string(ToString(comparison)) + " " +
                                  Value::Number(bound).ToString(),
                          .line = 1};
  SetBound(bound, &condition);
  return condition;
}
inline RuleCondition IsQuality(const std::string& item, Quality quality) {
  return {.kind = Kind::kQuality,
          .subject = item,
          .mask = uint32_t{1} << static_cast<int>(quality),
          .text = item + " is " + std::string(ToString(quality))};
}
inline RuleCondition IsLevel(const std::string& id, Level level, LevelSide side = LevelSide::kAny) {
  return {.kind = Kind::kLevel,
          .subject = id,
          .side = side,
          .level = level,
          .text = "level " + id + " is " + std::string(ToString(level))};
}
inline RuleCondition IsAlarm(const std::string& id) {
  return {.kind = Kind::kAlarm, .subject = id, .text = "alarm " + id};
}
inline RuleCondition IsBus(const std::string& id, BusState state) {
  return {.kind = Kind::kBus,
          .subject = id,
          .mask = uint32_t{1} << static_cast<int>(state),
          .text = "bus " + id + " is " + std::string(ToString(state))};
}
inline RuleCondition IsInterlock(const std::string& id) {
  return {.kind = Kind::kInterlock, .subject = id, .text = "interlock " + id};
}
inline RuleCondition Group(Kind kind, std::vector<RuleCondition> parts) {
  return {.kind = kind, .parts = std::move(parts), .text = "a group"};
}
inline SafeStep Act(const std::string& device, const std::string& action = "ramp_down") {
  return {.device = device, .action = action, .text = device + "/" + action};
}

// Sets the voltage of a supply.
inline SafeStep SetTo(const std::string& device, double volt) {
  return {.device = device,
          .item = "voltage_set",
          .value = Value::Number(volt),
          .text = device + "/voltage_set = " + Value::Number(volt).ToString() + " V"};
}

// Trips from 100 V on hv0, ramps hv1 down and refuses its commands.
inline InterlockRule Rule(const std::string& id = "guard") {
  return {.id = id,
          .when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 100),
          .steps = {Act("hv1")},
          .verify_within = std::chrono::seconds(1),
          .refuse = {{"hv1", ""}}};
}
// From 100 V dangerous, from 80 V a warning, 5 V hysteresis.
inline LevelRule VoltageLevel(const std::string& items = "hv0/voltage_measure", int count = 1) {
  return {.id = "volts",
          .items = items,
          .count = count,
          .unit = "V",
          .limits = {.warning_high = 80, .dangerous_high = 100},
          .bounds = {.warning_high = SafetyCounts(80, kResolution),
                     .dangerous_high = SafetyCounts(100, kResolution),
                     .hysteresis = SafetyCounts(5, kResolution)},
          .stale_to_warning = Duration(0),
          .stale_to_dangerous = std::chrono::seconds(3)};
}
inline SafetyRules Rules(std::vector<InterlockRule> interlocks,
                         std::vector<LevelRule> levels = {}) {
  return {.settle = std::chrono::seconds(2),
          .levels = std::move(levels),
          .interlocks = std::move(interlocks)};
}

class MemoryValues final : public DeviceValueStore {
 public:
  int failures = 0;  // of the next writes
  absl::Status Save(const DeviceValue& value) override {
    if (failures > 0) {
      --failures;
      return absl::UnavailableError("disk full");
    }
    values_[value.device_id + "/" + value.key] = value;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<DeviceValue>> LoadAll() override {
    std::vector<DeviceValue> all;
    for (const auto& [key, value] : values_) all.push_back(value);
    return all;
  }

 private:
  std::map<std::string, DeviceValue> values_;
};

// hv0 at 1 and hv1 at 2, on this bus.
inline std::unique_ptr<Hub> MakeHub(const Clock* clock, CanBus* line, AuditLog* audit,
                                    AlarmStore* alarm_store, DeviceValueStore* values,
                                    SafetyRules rules) {
  BusSetup bus{.id = "can0", .bitrate = 125000};
  bus.bus = std::shared_ptr<CanBus>(line, [](CanBus*) {});
  std::vector<DeviceSetup> devices;
  for (int i = 0; i < 2; ++i) {
    DeviceSetup& device = devices.emplace_back();
    const std::string id = "hv" + std::to_string(i);
    fake::FreshControl(id);
    device.config = fake::Config(id, i + 1);
    device.driver = &fake::Info();
    device.bus_id = "can0";
    device.on_lease_lost = device.on_shutdown = "hold";
  }
  HubOptions options;
  options.device_values = values;
  options.interlocks = [rules = std::move(rules)](InterlockDependencies dependencies) {
    return MakeInterlockEngine(rules, std::move(dependencies));
  };
  return Hub::Create(clock, audit, alarm_store, std::move(options), {bus}, std::move(devices))
      .value();
}

inline const Caller kEngineer{"unix:uid=1000(alice)", Role::kEngineer};

class SafetyTest : public ::testing::Test {
 protected:
  // A daemon with these rules; another one after the first, if there was one.
  void Start(SafetyRules rules) {
    Stop();
    hub_ = MakeHub(&clock_, &bus_, &audit_, &alarm_store_, &values_, std::move(rules));
    runner_ = std::make_unique<StepRunner>(&clock_);
    for (Steppable* step : hub_->Steppables()) runner_->Add(step);
    runner_->Settle();
    bus_.TakeSent();
  }
  void Stop() {
    if (hub_ == nullptr) return;
    for (Steppable* step : hub_->Steppables()) runner_->Remove(step);
    runner_.reset();
    hub_.reset();
  }
  ~SafetyTest() override { Stop(); }

  // The device says a value, GOOD for half a second; nobody's clock moves.
  void Measure(int device, uint8_t volt) {
    bus_.Receive(fake::ReadingFrame(device + 1, fake::kVoltageMeasure, volt));
    runner_->Settle();
  }
  // Time passes while both go on saying what they said.
  void RunMeasuring(Duration time, uint8_t hv0, uint8_t hv1) {
    const Duration beat = std::chrono::milliseconds(100);
    for (; time > Duration(0); time -= beat) {
      Measure(0, hv0);
      Measure(1, hv1);
      runner_->RunFor(std::min(time, beat));
    }
    Measure(0, hv0);
    Measure(1, hv1);
  }
  void AcknowledgeAction(int device) {
    bus_.Receive(fake::AcknowledgeFrame(device + 1));
    runner_->Settle();
  }
  // Devices whose safe action went out since the last call, in that order.
  std::vector<std::string> Acts() {
    std::vector<std::string> acts;
    for (const CanFrame& frame : bus_.TakeSent()) {
      if (frame.data[0] == fake::kAction) acts.push_back("hv" + std::to_string(frame.id - 0x301));
    }
    return acts;
  }
  // Everything read and below every bound; nothing sent yet.
  void StartQuiet(SafetyRules rules) {
    Start(std::move(rules));
    Measure(0, 10);
    Measure(1, 10);
    bus_.TakeSent();
  }
  // What went out since the last call, in that order: "hv1 safe", "hv1 = 25".
  std::vector<std::string> Sent() {
    std::vector<std::string> sent;
    for (const CanFrame& frame : bus_.TakeSent()) {
      const std::string device = "hv" + std::to_string(frame.id - 0x301);
      if (frame.data[0] == fake::kAction) sent.push_back(device + " safe");
      if (frame.data[0] == fake::kWrite) {
        sent.push_back(device + " = " + std::to_string(frame.data[1]));
      }
    }
    return sent;
  }
  // A write of the set voltage by an engineer: its status, UNKNOWN while it is under way.
  std::shared_ptr<absl::Status> Write(const std::string& device) {
    auto status = std::make_shared<absl::Status>(absl::UnknownError("under way"));
    hub_->gate().Submit({.caller = kEngineer,
                         .device_id = device,
                         .what = std::vector<NamedWrite>{{"voltage_set", Value::Number(1)}}},
                        [status](CommandResult result) { *status = std::move(result.status); });
    runner_->Settle();
    return status;
  }
  InterlockInfo Info(size_t index = 0) { return hub_->interlocks()->List().at(index); }
  InterlockState State(size_t index = 0) { return Info(index).state; }
  LevelInfo LevelNow() { return hub_->interlocks()->Levels().at(0); }
  absl::Status Acknowledge(const std::string& id = "guard", Role role = Role::kOperator,
                           const std::string& comment = "seen") {
    const absl::Status status =
        hub_->interlocks()->Acknowledge({"unix:uid=1000(alice)", role}, id, comment).status();
    runner_->Settle();
    return status;
  }
  // "active", "gone" or "none".
  std::string Alarm(const std::string& code) {
    for (const AlarmRecord& alarm : hub_->alarms().List({.device_id = "safety"})) {
      if (alarm.code == code) return alarm.active ? "active" : "gone";
    }
    return "none";
  }
  std::string AlarmText(const std::string& code) {
    for (const AlarmRecord& alarm : hub_->alarms().List({.device_id = "safety"})) {
      if (alarm.code == code) return alarm.text;
    }
    return "";
  }
  // The reading of one of the safety system's own items.
  Reading Own(const std::string& item) {
    const auto device = hub_->cache().FindDevice("safety");
    const auto snapshot = hub_->cache().Snapshot(device.value());
    return snapshot->Read(snapshot->items().Find(item).value());
  }

  SimulatedClock clock_;
  FakeBus bus_{&clock_};
  fake::MemoryAudit audit_;
  fake::MemoryAlarms alarm_store_;
  MemoryValues values_;
  std::unique_ptr<Hub> hub_;
  std::unique_ptr<StepRunner> runner_;
};

}  // namespace canhub::safety_testing
