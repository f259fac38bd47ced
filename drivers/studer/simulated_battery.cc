#include "drivers/studer/simulated_battery.h"

#include <chrono>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/simulated_faults.h"
#include "drivers/api/timer_scope.h"
#include "drivers/studer/bms_codec.h"

namespace canhub::studer {
namespace {

constexpr Duration kPeriod = std::chrono::seconds(1);
constexpr char kAlarmFault[] = "alarm";

// Sends what a Pylontech-type battery sends, every second; its charge goes up and down over a day.
class SimulatedBattery final : public Simulator {
 public:
  explicit SimulatedBattery(SimulatorContext context)
      : context_(context), timers_(context.timers), random_(context.seed) {}

  void Start() override {
    started_ = context_.clock.Now();
    timers_.Every(kPeriod, [this] { SendAll(); });
  }
  void OnFrame(const RxFrame&) override {}
  absl::Status InjectFault(std::string_view fault, const Arguments& arguments) override {
    if (absl::Status status = faults_.Check(fault, arguments); !status.ok()) return status;
    faults_.Add(fault, arguments);
    return absl::OkStatus();
  }
  absl::StatusOr<int> ClearFaults(std::string_view fault) override { return faults_.Clear(fault); }
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() const override {
    return faults_.active();
  }
  absl::Status SetLoad(std::optional<int>, std::optional<double>, std::optional<double>) override {
    return MakeError(absl::StatusCode::kUnimplemented, "NO_LOAD",
                     context_.config.id + ": a simulated battery has no load of its own",
                     {{"device_id", context_.config.id}});
  }

 private:
  void SendAll() {
    const double days =
        std::chrono::duration<double>(context_.clock.Now() - started_).count() / 86400;
    const double swing = std::sin(2 * std::numbers::pi * days);
    const double soc = 60 + 30 * swing;
    const BatteryReport report{.charge_voltage = 56.5,
                               .charge_current_limit = 100,
                               .discharge_current_limit = 100,
                               .discharge_voltage = 44.8,
                               .soc = soc,
                               .soh = 99,
                               .voltage = 48 + soc / 20,
                               .current = 40 * std::cos(2 * std::numbers::pi * days),
                               .temperature = 21.5,
                               .charge_enable = true,
                               .discharge_enable = true,
                               .maker = "PYLON"};
    for (const uint32_t id : {kBmsLimits, kBmsState, kBmsMeasured, kBmsRequest, kBmsMaker}) {
      Send(*EncodeBattery(id, report));
    }
    // A healthy BYD sends 0xAA in all bytes (section 13): everything cleared.
    CanFrame alarms = MakeFrame(kBmsAlarms, {0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA});
    if (faults_.Active(kAlarmFault)) alarms.data[0] = 0xA6;  // high voltage raised
    Send(alarms);
  }
  void Send(CanFrame frame) {
    if (!faults_.Distort(&frame, random_)) return;
    context_.bus.Send({.frame = frame}).IgnoreError();  // the next one is a second away
  }

  const SimulatorContext context_;
  TimerScope timers_;
  std::mt19937_64 random_;
  SimulatedFaults faults_{SimulatedBatteryFaults()};
  MonoTime started_{};
};

}  // namespace

const std::vector<FaultSpec>& SimulatedBatteryFaults() {
  static const std::vector<FaultSpec>* const kFaults = [] {
    auto* faults = new std::vector<FaultSpec>(LineFaults());
    faults->push_back({kAlarmFault, "the battery reports high voltage", {}});
    return faults;
  }();
  return *kFaults;
}

std::unique_ptr<Simulator> CreateSimulatedBattery(SimulatorContext context) {
  return std::make_unique<SimulatedBattery>(context);
}

}  // namespace canhub::studer
