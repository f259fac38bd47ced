// The bus side of simulated modules (facts, section 12.6); physics is in pack_model.*.
#include "drivers/battery-module/simulator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "drivers/api/simulated_faults.h"
#include "drivers/api/timer_scope.h"
#include "drivers/battery-module/codec.h"
#include "drivers/battery-module/layout.h"
#include "drivers/battery-module/pack_model.h"

namespace canhub::battery_module {
namespace {

using std::chrono::milliseconds;

constexpr uint32_t kSyncId = 0x080;
constexpr uint32_t kRequestId = 0x600;
constexpr uint32_t kAnswerId = 0x580;
constexpr Duration kModelStep = milliseconds(100);
constexpr Duration kAlarmPeriod = milliseconds(500);
constexpr Duration kInfoPeriod = std::chrono::seconds(1);
// All modules answer a SYNC within 20 ms, in their order.
constexpr Duration kModuleDelay = milliseconds(1);
constexpr int kInfoPages[] = {0, 1, 2, 3, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29};
// A module's own opinion of itself: the thresholds of section 5.4, coarse.
// Of the fault "heat", and what a sensor without its wire reads.
constexpr double kHeat = 60, kOpenSensor = -40;
constexpr double kHotWarning = 40, kHotDanger = 50;
constexpr double kCellLowWarning = 2.8, kCellLowDanger = 2.7, kCellHighWarning = 4.1,
                 kCellHighDanger = 4.2;
constexpr int kFaultOverTemperature = 308, kFaultCellOverVoltage = 301,
              kFaultCellUnderVoltage = 300;

class BatterySimulator final : public Simulator {
 public:
  BatterySimulator(SimulatorContext context, Settings settings);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  absl::Status InjectFault(std::string_view fault, const Arguments& parameters) override;
  absl::StatusOr<int> ClearFaults(std::string_view fault) override;
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() const override;
  absl::Status SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                       std::optional<double> capacitance_f) override;

 private:
  using Frozen = std::map<const Route*, CanFrame>;

  // Whether the fault is in force for this module; a fault without "module" is for all.
  bool Has(std::string_view fault, int module) const;
  bool IsThere(int module) const;

  // Takes the current of who drives the pack, and tells its voltage.
  void JoinWorld();
  void AnswerSync(int module);
  void SendGroup(int module, Group group);
  void SendRoute(const Route& route, int page);
  void SendAlarm(int module);
  void Transmit(const Route& route, CanFrame frame);
  CanFrame Encode(const Route& route, int page) const;
  double ValueOf(const Route& route, size_t signal, int page) const;
  double Cell(int module, int cell) const;
  double Temperature(int module) const;
  double SensorTemperature(int module, int sensor) const;
  int64_t AlarmFlags(int module) const;
  int FaultCode(int module) const;

  SimulatorContext context_;
  const Settings settings_;
  const PackItems items_;
  const Layout layout_;
  const int count_;
  const bool cell_soc_;
  TimerScope timers_;
  PackModel model_;
  std::mt19937_64 random_;
  SimulatedFaults faults_;
  std::optional<double> load_ohm_;
  std::optional<double> own_ampere_;
  int alarm_counter_[kMaxModules + 1] = {};
  int64_t alarm_flags_[kMaxModules + 1] = {};
  size_t info_page_ = 0;
  bool status_toggle_[kMaxModules + 1] = {};
  Frozen frozen_;
};

PackOptions OptionsOf(const SimulatorContext& context, const Settings& settings) {
  const auto number = [&](const char* name) { return context.config.Parameter(name).AsNumber(); };
  return {.modules = kMaxModules,
          .cells = settings.cells,
          .soc = number("sim_soc") / 100,
          .capacity_ah = number("sim_capacity"),
          .imbalance_v = number("sim_imbalance"),
          .ambient_degc = number("sim_ambient"),
          .seed = context.seed};
}

BatterySimulator::BatterySimulator(SimulatorContext context, Settings settings)
    : context_(context),
      settings_(std::move(settings)),
      items_(settings_.cells, settings_.sensors),
      layout_(settings_, items_),
      count_(static_cast<int>(context.config.Parameter("sim_modules").integer())),
      cell_soc_(context.config.Parameter("sim_cell_soc").flag()),
      timers_(context.timers),
      model_(OptionsOf(context, settings_)),
      random_(context.seed),
      faults_(Faults()) {
  model_.SetCurrent(context.config.Parameter("sim_current").AsNumber());
}

void BatterySimulator::Start() {
  timers_.Every(kModelStep, [this] {
    if (load_ohm_) model_.SetCurrent(model_.PackVoltage(count_) / *load_ohm_);
    if (context_.world != nullptr) JoinWorld();
    model_.Advance(kModelStep);
    for (int module = 1; module <= kMaxModules; ++module) {
      if (IsThere(module) && AlarmFlags(module) != alarm_flags_[module]) SendAlarm(module);
    }
  });
  timers_.Every(kAlarmPeriod, [this] {
    for (int module = 1; module <= kMaxModules; ++module) {
      if (IsThere(module)) SendAlarm(module);
    }
    if (!faults_.Active("babble")) return;
    // What belongs to nobody here.
    for (uint32_t id = 0x700; id < 0x710; ++id) {
      context_.bus.Send({.frame = MakeFrame(id, {0xBA, 0xBB, 0x1E})}).IgnoreError();
    }
  });
  timers_.Every(kInfoPeriod, [this] {
    info_page_ = (info_page_ + 1) % std::size(kInfoPages);
    for (const Route& route : layout_.routes()) {
      if (route.group == Group::kInfo && IsThere(route.module)) {
        SendRoute(route, kInfoPages[info_page_]);
      }
    }
  });
}

void BatterySimulator::JoinWorld() {
  const std::string& source = context_.config.Parameter("sim_current_of").text();
  const std::optional<double> current = context_.world->Get(source);
  if (current && !own_ampere_) model_.SetCurrent(*current);
  const double drop = model_.current() * model_.resistance() * settings_.cells * count_;
  context_.world->Put(context_.config.id, simulated::kDcOpenVoltage,
                      model_.PackVoltage(count_) + drop);
}

// ---------------------------------------------------------------- faults

bool BatterySimulator::Has(std::string_view fault, int module) const {
  return faults_.FindActive(fault, "module", module) != nullptr;
}

bool BatterySimulator::IsThere(int module) const {
  return (module <= count_ || Has("extra_module", module)) && !Has("silence", module);
}

absl::Status BatterySimulator::InjectFault(std::string_view fault, const Arguments& parameters) {
  if (absl::Status status = faults_.Check(fault, parameters); !status.ok()) return status;
  for (const FaultSpec& spec : Faults()) {
    if (fault != spec.name) continue;
    for (const auto& [name, text] : spec.parameters) {
      if (std::string_view(text).ends_with("needed") && FindArgument(parameters, name) == nullptr) {
        return absl::InvalidArgumentError(std::string(fault) + ": found no " + name +
                                          ", expected " + text);
      }
    }
  }
  const Value* number = FindArgument(parameters, "module");
  const double of = number == nullptr ? 1 : number->AsNumber();
  if (of < 1 || of > kMaxModules || of != std::floor(of)) {
    return absl::InvalidArgumentError(std::string(fault) + ": module: expected 1 to 15");
  }
  if (fault == "force") {
    const std::string signal = FindArgument(parameters, "signal")->ToString();
    const bool known = std::any_of(
        layout_.routes().begin(), layout_.routes().end(), [&signal](const Route& route) {
          return std::any_of(route.message->signals.begin(), route.message->signals.end(),
                             [&signal](const dbc::Signal& own) { return own.name == signal; });
        });
    if (!known) {
      return absl::InvalidArgumentError("force: signal: found \"" + signal +
                                        "\", expected a name of the DBC, like \"" +
                                        layout_.routes()[0].message->signals[0].name + "\"");
    }
  }
  if (fault == "heat") {
    for (int module = 1; module <= kMaxModules; ++module) {
      if (number == nullptr || module == of) {
        const Value* degrees = FindArgument(parameters, "degrees");
        model_.SetTemperature(module, degrees == nullptr ? kHeat : degrees->AsNumber());
      }
    }
    return absl::OkStatus();  // it cools down by itself
  }
  if (fault == "current") {
    own_ampere_ = own_ampere_.value_or(model_.current());
    model_.SetCurrent(FindArgument(parameters, "ampere")->AsNumber());
  }
  faults_.Add(fault, parameters, fault == "force" ? "signal" : "module");
  return absl::OkStatus();
}

absl::StatusOr<int> BatterySimulator::ClearFaults(std::string_view fault) {
  const absl::StatusOr<int> cleared = faults_.Clear(fault);
  if (!cleared.ok()) return cleared;
  if (own_ampere_ && !faults_.Active("current")) {
    model_.SetCurrent(*own_ampere_);
    own_ampere_.reset();
  }
  if (!faults_.Active("freeze")) frozen_.clear();
  return cleared;
}

std::vector<std::pair<std::string, Arguments>> BatterySimulator::ActiveFaults() const {
  return faults_.active();
}

absl::Status BatterySimulator::SetLoad(std::optional<int> channel,
                                       std::optional<double> resistance_ohm,
                                       std::optional<double> capacitance_f) {
  if (channel || capacitance_f || (resistance_ohm && !(*resistance_ohm > 0))) {
    return absl::InvalidArgumentError(
        "expected a resistance across the whole pack, above 0 ohm, or none");
  }
  load_ohm_ = resistance_ohm;
  if (!load_ohm_) model_.SetCurrent(context_.config.Parameter("sim_current").AsNumber());
  return absl::OkStatus();
}

// ---------------------------------------------------------------- frames

void BatterySimulator::OnFrame(const RxFrame& rx) {
  const CanFrame& frame = rx.frame;
  if (frame.extended || frame.remote) return;
  if (frame.id == kSyncId) {
    for (int module = 1; module <= kMaxModules; ++module) {
      if (!IsThere(module)) continue;
      const Duration late = Has("delay", module) ? faults_.delay() : Duration(0);
      timers_.At(context_.clock.Now() + module * kModuleDelay + late,
                 [this, module] { AnswerSync(module); });
    }
    return;
  }
  const uint32_t module = frame.id - kRequestId;
  if (module < 1 || module > kMaxModules || !IsThere(static_cast<int>(module))) return;
  // Only the one request is known (facts, section 4.4).
  if (!(frame == SensorRequestFrame(static_cast<int>(module)))) return;
  context_.bus.Send({.frame = MakeFrame(kAnswerId + module, {0x60, 0x05, 0x18, 0x01, 0, 0, 0, 0})})
      .IgnoreError();
  SendGroup(static_cast<int>(module), Group::kSensors);
}

void BatterySimulator::AnswerSync(int module) {
  if (!IsThere(module)) return;
  status_toggle_[module] = !status_toggle_[module];
  SendGroup(module, Group::kMain);
  SendGroup(module, Group::kExtra);
}

void BatterySimulator::SendGroup(int module, Group group) {
  for (const Route& route : layout_.routes()) {
    if (route.module != module || route.group != group) continue;
    // pdo7 and pdo8 were never seen on the plant (facts, section 4.2).
    const std::string_view name = route.message->name;
    if (!cell_soc_ && (name.ends_with("pdo7") || name.ends_with("pdo8"))) continue;
    SendRoute(route, -1);
    if (Has("doubled", module)) SendRoute(route, -1);
  }
}

void BatterySimulator::SendRoute(const Route& route, int page) {
  CanFrame frame = Encode(route, page);
  if (Has("freeze", route.module)) {
    frame = frozen_.try_emplace(&route, frame).first->second;
  } else {
    frozen_.erase(&route);
  }
  Transmit(route, frame);
}

void BatterySimulator::SendAlarm(int module) {
  for (const Route& route : layout_.routes()) {
    if (route.module != module || route.group != Group::kAlarm) continue;
    alarm_flags_[module] = AlarmFlags(module);
    if (!Has("stuck_counter", module)) alarm_counter_[module] = (alarm_counter_[module] + 1) & 15;
    CanFrame frame = Encode(route, -1);
    if (frame.dlc == 8) {
      frame.data[7] = AlarmCrc(module, frame.payload());
      if (Has("bad_crc", module)) frame.data[7] ^= 0x5A;
    }
    Transmit(route, frame);
  }
}

void BatterySimulator::Transmit(const Route& route, CanFrame frame) {
  if (Has("wrong_length", route.module) && frame.dlc > 0) --frame.dlc;
  if (Has("all_ones", route.module)) frame.data.fill(0xFF);
  if (faults_.Lost(random_)) return;
  // A line that is full loses it, as a real one does.
  context_.bus.Send({.frame = frame}).IgnoreError();
}

CanFrame BatterySimulator::Encode(const Route& route, int page) const {
  const dbc::Message& message = *route.message;
  CanFrame frame{.id = message.id, .dlc = static_cast<uint8_t>(message.length)};
  const std::span<uint8_t> bytes(frame.data.data(), frame.dlc);
  for (size_t i = 0; i < message.signals.size(); ++i) {
    const dbc::Signal& signal = message.signals[i];
    if (signal.selected_by >= 0) {
      const bool here = std::any_of(
          signal.pages.begin(), signal.pages.end(),
          [&](const dbc::PageRange& range) { return range.first <= page && page <= range.last; });
      if (!here) continue;
    }
    const double value = ValueOf(route, i, page);
    // What the wire cannot hold is sent as the nearest that it can.
    const double low = signal.minimum.value_or(-1e9), high = signal.maximum.value_or(1e9);
    const absl::StatusOr<dbc::Bits> bits = signal.FromPhysical(std::clamp(value, low, high));
    if (bits.ok()) dbc::InsertBits(signal, *bits, bytes);
  }
  return frame;
}

double BatterySimulator::Cell(int module, int cell) const {
  return model_.CellVoltage(module, cell);
}

double BatterySimulator::Temperature(int module) const { return model_.Temperature(module); }

double BatterySimulator::SensorTemperature(int module, int sensor) const {
  if (const Arguments* open = faults_.FindActive("sensor_open", "module", module)) {
    const Value* of = FindArgument(*open, "sensor");
    if ((of == nullptr ? 1 : of->AsNumber()) == sensor) return kOpenSensor;
  }
  // The one in the middle is the warmest.
  const int middle = (settings_.sensors + 1) / 2;
  return Temperature(module) - 0.3 * std::abs(sensor - middle);
}

int64_t BatterySimulator::AlarmFlags(int module) const {
  double low = 10, high = 0;
  for (int cell = 1; cell <= settings_.cells; ++cell) {
    low = std::min(low, Cell(module, cell));
    high = std::max(high, Cell(module, cell));
  }
  const double degc = Temperature(module);
  int64_t flags = int64_t{1} << 18;  // its contactor is closed
  const auto set = [&](int bit, bool on) { flags |= on ? int64_t{1} << bit : 0; };
  set(0, high >= kCellHighWarning);
  set(1, high >= kCellHighDanger);
  set(2, low <= kCellLowWarning);
  set(3, low <= kCellLowDanger);
  set(4, degc >= kHotWarning);
  set(5, degc >= kHotDanger);
  set(15, Has("sensor_open", module));
  return flags;
}

int BatterySimulator::FaultCode(int module) const {
  const int64_t flags = AlarmFlags(module);
  return (flags & 1 << 5) != 0   ? kFaultOverTemperature
         : (flags & 1 << 1) != 0 ? kFaultCellOverVoltage
         : (flags & 1 << 3) != 0 ? kFaultCellUnderVoltage
                                 : 0;
}

double BatterySimulator::ValueOf(const Route& route, size_t index, int page) const {
  const int module = route.module;
  const dbc::Signal& signal = route.message->signals[index];
  const Target& target = route.targets[index];
  for (const auto& [name, arguments] : faults_.active()) {
    if (name != "force" || FindArgument(arguments, "signal")->text() != signal.name) continue;
    const Value* of = FindArgument(arguments, "module");
    if (of == nullptr || of->AsNumber() == module) {
      return FindArgument(arguments, "value")->AsNumber();
    }
  }
  double low = 10, high = 0;
  for (int cell = 1; cell <= settings_.cells; ++cell) {
    low = std::min(low, Cell(module, cell));
    high = std::max(high, Cell(module, cell));
  }
  switch (target.role) {
    case SignalRole::kVoltage:
      return model_.ModuleVoltage(module);
    case SignalRole::kCurrent:
      return settings_.charging_is_positive ? -model_.current() : model_.current();
    case SignalRole::kCell:
      return Cell(module, target.number);
    case SignalRole::kReportedCellMin:
      return low;
    case SignalRole::kReportedCellMax:
      return high;
    case SignalRole::kTemperatureMin:
      return std::round(SensorTemperature(module, 1));
    case SignalRole::kTemperatureMax:
      return Temperature(module);
    case SignalRole::kSensor:
      return SensorTemperature(module, target.number);
    case SignalRole::kSoc:
      return 100 * std::clamp(model_.CellSoc(module, 1), 0.0, 1.0);
    case SignalRole::kAlarmBit:
      return static_cast<double>(AlarmFlags(module) >> target.number & 1);
    case SignalRole::kFaultCode:
      return FaultCode(module);
    case SignalRole::kLiveCounter:
      return alarm_counter_[module];
    case SignalRole::kInfoPage:
      return page;
    case SignalRole::kCellResistance:
      return 1000 * model_.resistance();  // mOhm
    case SignalRole::kCrc:
    case SignalRole::kOther:
      break;
  }
  const std::string_view name = signal.name;
  if (name == "CMA_Status") return status_toggle_[module] ? 0x43 : 0x03;
  if (name == "SOH") return 100;
  if (name == "Charge_Ah_from_BMU") return std::floor(model_.charge_as(module));
  if (name == "Discharge_Ah_from_BMU") return std::floor(model_.discharge_as(module));
  if (name == "CellCount") return settings_.cells;
  if (name == "TempSensorCount") return settings_.sensors;
  if (name == "HwRevision") return 2;
  if (name == "SwMajor") return 1;
  if (name == "SwMinor") return 4;
  if (name == "SerialNumber") return 20260000 + module;
  if (name == "BuildWeek") return 21;
  if (name == "BuildYear") return 2021;
  if (name == "RatedCapacity") return context_.config.Parameter("sim_capacity").AsNumber();
  if (name.starts_with("Cell") && name.ends_with("_SOC") && target.spec >= 0) {
    const int cell = (name[4] - '0') * 10 + name[5] - '0';
    return 100 * std::clamp(model_.CellSoc(module, cell), 0.0, 1.0);
  }
  return signal.offset;  // raw 0: a position that is not fitted
}

}  // namespace

std::vector<ParameterSpec> SimulatorParameters() {
  return {
      {.name = "sim_modules",
       .type = ParameterType::kInteger,
       .default_text = "8",
       .minimum = 1,
       .maximum = kMaxModules,
       .description = "simulated modules, from number 1"},
      {.name = "sim_soc",
       .type = ParameterType::kNumber,
       .unit = "%",
       .default_text = "50 %",
       .minimum = 0,
       .maximum = 100,
       .description = "state of charge at the start"},
      {.name = "sim_capacity",
       .type = ParameterType::kNumber,
       .unit = "Ah",
       .default_text = "100 Ah",
       .minimum = 0.01,
       .maximum = 10000,
       .description = "capacity of every cell"},
      {.name = "sim_imbalance",
       .type = ParameterType::kNumber,
       .unit = "V",
       .default_text = "0.01 V",
       .minimum = 0,
       .maximum = 1,
       .description = "largest difference of a cell from the mean, either way"},
      {.name = "sim_ambient",
       .type = ParameterType::kNumber,
       .unit = "degC",
       .default_text = "20 degC",
       .minimum = -40,
       .maximum = 80,
       .description = "temperature around the modules"},
      {.name = "sim_current",
       .type = ParameterType::kNumber,
       .unit = "A",
       .default_text = "0 A",
       .minimum = -1000,
       .maximum = 1000,
       .description = "current until SetLoad or a fault changes it; positive: discharge"},
      {.name = "sim_current_of",
       .type = ParameterType::kItem,
       .default_text = "",
       .description = "the current is that of another simulated device instead, "
                      "\"pcs1/dc_current\""},
      {.name = "sim_cell_soc",
       .type = ParameterType::kFlag,
       .default_text = "false",
       .description = "the modules also send the state of charge of each cell"},
  };
}

const std::vector<FaultSpec>& Faults() {
  static const std::pair<const char*, const char*> kModule = {"module", "1 … 15; without it: all"};
  static const std::pair<const char*, const char*> kOneModule = {"module", "1 … 15, needed"};
  static const std::vector<FaultSpec>* const kFaults = new std::vector<FaultSpec>{
      {"silence", "a module neither answers nor sends", {kModule}},
      {"freeze", "a module repeats what it sent last", {kModule}},
      {"force",
       "a signal has this value",
       {kModule, {"signal", "text, its name in the DBC, needed"}, {"value", "± physical, needed"}}},
      {"sensor_open",
       "a temperature sensor reads -40 degC",
       {kModule, {"sensor", "1 …, default 1"}}},
      {"heat",
       "a module is this hot at once, and cools down by itself",
       {kModule, {"degrees", "± degC, default 60"}}},
      {"current", "the pack carries this current", {{"ampere", "± positive: discharge, needed"}}},
      {"extra_module", "one module more than sim_modules sends", {kOneModule}},
      {"doubled", "two modules have the same number", {kModule}},
      {"wrong_length", "frames lose their last byte", {kModule}},
      {"all_ones", "every bit of a module's frames is 1", {kModule}},
      {"bad_crc", "the check sum of the alarm frame is wrong", {kModule}},
      {"stuck_counter", "the counter of the alarm frame stands still", {kModule}},
      {"lost_frames", "frames are lost", {{"probability", "0 … 1, default 1"}}},
      {"delay", "answers to SYNC come later", {kModule, {"milliseconds", "0 …, needed"}}},
      {"babble", "frames that belong to no module", {}},
  };
  return *kFaults;
}

std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context) {
  absl::StatusOr<Settings> settings = ParseSettings(context.config);
  if (!settings.ok()) return nullptr;  // the configuration has been checked
  return std::make_unique<BatterySimulator>(context, *std::move(settings));
}

}  // namespace canhub::battery_module
