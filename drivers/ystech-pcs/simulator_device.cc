#include "drivers/ystech-pcs/simulator_device.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "drivers/api/errors.h"
#include "drivers/ystech-pcs/codec_settings.h"
#include "drivers/ystech-pcs/simulator.h"

namespace canhub::ystech_pcs {
namespace {

using std::chrono::milliseconds;

// Of the power stage while it runs: pulse modes have a resolution of 10 ms.
constexpr Duration kStep = milliseconds(10);

// Faults of the device itself that have a code of their own (section 11).
constexpr uint16_t kOverTemperature = 5;
constexpr uint16_t kHeatSinkTooHot = 280;
constexpr uint16_t kGridFrequencyHigh = 260;
constexpr uint16_t kGridFrequencyLow = 261;
constexpr double kHottestHeatSink = 90;  // degC, section 11.1
constexpr double kTooHot = 95;

// What a regulation at its limit may be above it.
constexpr double kLimitSlack = 1.02;

// The inverter's own set-point, where switching off grid is automatic (section 7).
constexpr ModeValues kIslandInverter = {220, 50, 0, 0};

// Protection parameters of section 12, the values of unit tests and simulator.
constexpr std::array<std::array<double, kMaxFields>, 3> kFactoryProtection = {{
    {800, 50, 150, 150},
    {120, 120, 264, 176},
    {55, 45, 55, 45},
}};

// BT02.02.01V02.01.39: the first that takes heartbeats without measured values (section 6.8).
constexpr std::array<double, kMaxFields> kVersion = {2, 2, 1, 2, 1, 39};

double ToSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }

PowerStage::Settings StageSettings(const DeviceConfig& config) {
  const auto number = [&config](std::string_view name) {
    return config.Parameter(name).AsNumber();
  };
  return {.battery_voltage_v = number("sim_battery_voltage"),
          .battery_capacity_ah = number("sim_battery_capacity"),
          .battery_resistance_ohm = number("sim_battery_resistance"),
          .state_of_charge = number("sim_state_of_charge") / 100,
          .ramp_a_per_s = number("sim_ramp"),
          .efficiency = number("sim_efficiency") / 100,
          .ambient_degc = number("sim_ambient")};
}

}  // namespace

PcsSimulator::PcsSimulator(SimulatorContext context)
    : context_(context),
      codec_(ParseCodecOptions(context.config)),
      address_(static_cast<uint8_t>(context.config.Parameter("address").integer())),
      random_(context.seed),
      faults_(Faults()),
      timers_(context.timers),
      power_(StageSettings(context.config)),
      load_resistance_ohm_(Setting("sim_load_resistance")) {
  stored_.protection = kFactoryProtection;
  stored_.specials = {{kSpecialBusVoltageReactive, {750, 0}},
                      {kSpecialIo, {}},
                      {kSpecialSplitPhase, {}},
                      {kSpecialInverterPhase, {7}},
                      {kSpecialReactiveControl, {0, 1}},
                      {kSpecialGridMode, {}},
                      {kSpecialModuleParallel, {0, 1, 1000}},
                      {kSpecialChannelParallel, {0, 0, 1}},
                      {kSpecialBusParallel, {}},
                      {kSpecialVersions, kVersion}};
}

double PcsSimulator::Setting(std::string_view name) const {
  return context_.config.Parameter(name).AsNumber();
}

Duration PcsSimulator::Time(std::string_view name) const {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(Setting(name)));
}

void PcsSimulator::Start() {
  // Converters of a bus do not send at once.
  timers_.At(Now() + milliseconds(address_ % 20 * 10), [this] { PowerOn(); });
}

void PcsSimulator::PowerOn() {
  if (powered_ || faults_.Active("power_off")) return;
  powered_ = true;
  advanced_ = last_data_ = last_answer_ = Now();
  fault_code_ = kNoFault;
  ApplyWorld();
  Enter(State::kStandby);
  if (stored_.self_start) BeginStart();
  sent_status_ = ShownStatus();  // the first cycle tells it
  Cycle();
}

void PcsSimulator::PowerOff() {
  powered_ = false;
  timers_.CancelAll();
  tick_armed_ = false;
  waiting_answers_ = 0;
  island_ = false;
  power_.EndRun();
  ApplyBattery();
}

void PcsSimulator::Cycle() {
  timers_.At(Now() + kPeriod, [this] { Cycle(); });
  Advance();
  const PowerStage::Ac grid = power_.grid();
  const PowerStage::Ac load = power_.load();
  const auto phase_current = [](const PowerStage::Ac& ac) {
    return ac.voltage_v > 0 ? ac.apparent_va() / kPhases / ac.voltage_v : 0;
  };
  const double voltage = power_.dc_voltage_v();
  const double current = power_.dc_current_a();
  const double factor = grid.apparent_va() > 0 ? grid.active_w / grid.apparent_va() : 1;
  SendMeasured(Pf::kDcData,
               std::array{voltage, current, power_.dc_power_w() / 1e3, power_.inlet_degc()});
  Send(Pf::kCapacityEnergy,
       std::array{power_.capacity_ah(), power_.energy_wh(), power_.outlet_degc()});
  SendStatus();
  SendMeasured(Pf::kGridVoltage, std::array{grid.voltage_v, grid.voltage_v, grid.voltage_v});
  const double grid_current = phase_current(grid);
  SendMeasured(Pf::kGridCurrent, std::array{grid_current, grid_current, grid_current, factor});
  SendMeasured(Pf::kSystemPower, std::array{grid.active_w / 1e3, grid.reactive_var / 1e3,
                                            grid.apparent_va() / 1e3, grid.frequency_hz});
  SendMeasured(Pf::kLoadVoltage, std::array{load.voltage_v, load.voltage_v, load.voltage_v});
  const double load_current = phase_current(load);
  SendMeasured(Pf::kLoadCurrent, std::array{load_current, load_current, load_current});
  SendMeasured(Pf::kLoadPower,
               std::array{load.active_w / 1e3, load.reactive_var / 1e3, load.apparent_va() / 1e3});
  // Split phases run at their own set-points, of which the stage knows the sum only.
  const bool split = Running() && !island_ && stored_.mode == Mode::kAcConstantPower &&
                     stored_.specials[kSpecialSplitPhase][0] == 1;
  constexpr std::array kPhaseFrames = {Pf::kPhaseAPower, Pf::kPhaseBPower, Pf::kPhaseCPower};
  for (size_t i = 0; i < kPhaseFrames.size(); ++i) {
    const double active = split ? stored_.phase_kw[i] : grid.active_w / kPhases / 1e3;
    const double reactive = split ? stored_.phase_kvar[i] : grid.reactive_var / kPhases / 1e3;
    SendMeasured(kPhaseFrames[i], std::array{active, reactive, std::hypot(active, reactive)});
  }
  SendMeasured(Pf::kHighResDc, std::array{voltage, current});
}

void PcsSimulator::ArmTick() {
  if (tick_armed_ || !Active()) return;
  tick_armed_ = true;
  timers_.At(Now() + kTick, [this] {
    tick_armed_ = false;
    Advance();
    ArmTick();
  });
}

bool PcsSimulator::Active() const {
  const StateClass state = ClassOf(static_cast<int>(state_));
  return state == StateClass::kStarting || state == StateClass::kRunning;
}

void PcsSimulator::Enter(State state) {
  if (state == state_) return;
  state_ = state;
  state_since_ = Now();
}

void PcsSimulator::BeginStart() {
  const ModeSpec& mode = *FindMode(static_cast<int>(stored_.mode));
  if (Active() || ClassOf(static_cast<int>(mode.running)) != StateClass::kRunning) return;
  if (faults_.Active("no_start")) return;
  last_data_ = Now();
  Enter(State::kSelfCheck);
  ArmTick();
}

void PcsSimulator::BeginRun() {
  power_.BeginRun();
  run_since_ = Now();
  Enter(FindMode(static_cast<int>(stored_.mode))->running);
}

void PcsSimulator::EndRun(State state) {
  power_.EndRun();
  island_ = false;
  Enter(state);
}

void PcsSimulator::Trip(uint16_t code) {
  if (state_ == State::kFault) return;
  fault_code_ = code;
  EndRun(State::kFault);
}

uint16_t PcsSimulator::StandingCause() const {
  if (faults_.Active("fault_code")) {
    return static_cast<uint16_t>(faults_.Number("fault_code", "code", kNoFault));
  }
  if (faults_.Active("emergency_stop")) return kEmergencyStop;
  if (faults_.Active("battery_reversed")) return kBatteryReversed;
  if (faults_.Active("over_temperature")) return kOverTemperature;
  return kNoFault;
}

void PcsSimulator::ApplyWorld() {
  const bool lost = faults_.Active("grid_lost");
  power_.SetGrid(
      lost ? 0 : faults_.Number("grid_voltage", "volts", Setting("sim_grid_voltage")),
      lost ? 0 : faults_.Number("grid_frequency", "hertz", Setting("sim_grid_frequency")));
  power_.SetLoad(load_resistance_ohm_, load_capacitance_f_);
  power_.SetBatteryConnected(!faults_.Active("battery_disconnected") &&
                             !faults_.Active("battery_reversed"));
  ApplyBattery();
  power_.SetHeatSink(faults_.Active("over_temperature") ? std::optional(kTooHot) : std::nullopt);
}

void PcsSimulator::ApplyBattery() {
  std::optional<double> voltage;
  if (context_.world != nullptr) {
    context_.world->Put(context_.config.id, simulated::kDcCurrent, power_.dc_current_a());
    voltage = context_.world->Get(context_.config.Parameter("sim_battery").text());
  }
  if (faults_.Active("battery_voltage")) voltage = faults_.Number("battery_voltage", "volts", 0);
  power_.SetOpenVoltage(voltage);
}

PowerStage::Limits PcsSimulator::PowerLimits() const {
  return {.charge_a = Protection(1, 2),
          .discharge_a = Protection(1, 3),
          .charge_w = Protection(2, 0) * 1e3,
          .discharge_w = Protection(2, 1) * 1e3};
}

PowerStage::Reactive PcsSimulator::ReactiveSetting() const {
  const Values& control = stored_.specials.at(kSpecialReactiveControl);
  if (control[0] == 1) return {.power_factor = control[1]};
  return {.var = stored_.specials.at(kSpecialBusVoltageReactive)[1] * 1e3};
}

ModeValues PcsSimulator::Parameters() const {
  const ModeSpec& mode = *FindMode(static_cast<int>(stored_.mode));
  ModeValues values{};
  for (size_t i = 0; i < mode.parameters.size(); ++i) {
    values[i] = FromCounts(mode, i, stored_.parameters[i]);
  }
  return values;
}

Target PcsSimulator::WantedTarget(MonoTime at) const {
  if (!Running()) return {};
  const double elapsed = ToSeconds(at - run_since_);
  if (island_) return TargetAt(Mode::kIndependentInverter, kIslandInverter, elapsed, 0);
  ModeValues values = Parameters();
  if (stored_.mode == Mode::kAcConstantPower && stored_.specials.at(kSpecialSplitPhase)[0] == 1) {
    const auto& kw = stored_.phase_kw;
    const auto& kvar = stored_.phase_kvar;
    values = {(kw[0] + kw[1] + kw[2]) * 1e3, (kvar[0] + kvar[1] + kvar[2]) * 1e3, 0, 0};
  }
  return TargetAt(stored_.mode, values, elapsed, Setting("sim_battery_capacity"));
}

void PcsSimulator::Advance() {
  if (!powered_) return;
  const MonoTime now = Now();
  ApplyBattery();
  while (advanced_ < now) {
    const MonoTime next = Active() ? std::min(now, advanced_ + kStep) : now;
    power_.Step(WantedTarget(advanced_), PowerLimits(), ReactiveSetting(),
                ToSeconds(next - advanced_));
    advanced_ = next;
  }
  const Duration in_state = now - state_since_;
  if (Active() && now - last_data_ > Time("sim_heartbeat_timeout")) {
    Trip(kCan1Failure);
  }
  if (const uint16_t cause = StandingCause(); cause != kNoFault) Trip(cause);
  const bool grid_lost = faults_.Active("grid_lost");
  const bool needs_grid = stored_.mode != Mode::kIndependentInverter;
  const bool automatic = stored_.specials[kSpecialGridMode][0] == 1;
  if (Active() && grid_lost && needs_grid) {
    if (Running() && automatic) {
      island_ = true;
    } else {
      EndRun(State::kPowerFailure);
    }
  }
  if (!grid_lost) {
    island_ = false;
    if (state_ == State::kPowerFailure) Enter(State::kStandby);
  } else if (ClassOf(static_cast<int>(state_)) == StateClass::kStopped) {
    Enter(State::kPowerFailure);
  }
  if (state_ == State::kSelfCheck && in_state >= Time("sim_self_check")) {
    CheckRunning();
    if (state_ == State::kSelfCheck) Enter(State::kSoftStart);
  } else if (state_ == State::kSoftStart) {
    if (in_state > kLongestSoftStart) {
      Trip(kSoftStartTimeout);
    } else if (in_state >= Time("sim_soft_start") && !faults_.Active("slow_soft_start")) {
      BeginRun();
    }
  } else if (Running()) {
    CheckRunning();
  }
  if (ShownStatus() != sent_status_) SendStatus();
}

// What trips a converter that is connected to battery and grid.
void PcsSimulator::CheckRunning() {
  const double voltage = power_.dc_voltage_v();
  const double current = power_.dc_current_a();
  const double power = power_.dc_power_w();
  const PowerStage::Limits limits = PowerLimits();
  if (voltage > Protection(1, 0) * kLimitSlack) return Trip(kBatteryVoltageHigh);
  if (voltage < Protection(1, 1)) return Trip(kBatteryVoltageLow);
  if (current > limits.discharge_a * kLimitSlack || -current > limits.charge_a * kLimitSlack) {
    return Trip(kCurrentOverLimit);
  }
  if (power > limits.discharge_w * kLimitSlack || -power > limits.charge_w * kLimitSlack) {
    return Trip(kPowerOverLimit);
  }
  if (power_.heat_sink_degc() > kHottestHeatSink) return Trip(kHeatSinkTooHot);
  const PowerStage::Ac grid = power_.grid();
  const bool off_grid = island_ || stored_.mode == Mode::kIndependentInverter;
  if (!off_grid) {
    if (grid.voltage_v > Protection(2, 2)) return Trip(kGridVoltageHigh);
    if (grid.voltage_v < Protection(2, 3)) return Trip(kGridVoltageLow);
    if (grid.frequency_hz > Protection(3, 2)) return Trip(kGridFrequencyHigh);
    if (grid.frequency_hz < Protection(3, 3)) return Trip(kGridFrequencyLow);
  }
  if (!Running()) return;
  const Target target = WantedTarget(Now());
  const bool ended = target.control == Control::kCcCv && power_.holds_voltage() &&
                     std::abs(current) < target.end_current_a;
  if (target.over || ended) return EndRun(State::kStop);
  if (island_) return Enter(State::kOffGridInverter);
  const bool holds = target.control == Control::kCcCv && power_.holds_voltage();
  Enter(holds ? State::kConstantVoltage : FindMode(static_cast<int>(stored_.mode))->running);
}

std::pair<int, int> PcsSimulator::ShownStatus() const {
  const int state =
      static_cast<int>(faults_.Number("odd_state", "state", static_cast<double>(state_)));
  return {state, fault_code_};
}

void PcsSimulator::SendStatus() {
  sent_status_ = ShownStatus();
  Send(Pf::kStatus, std::array{double(sent_status_.first), double(sent_status_.second)});
}

void PcsSimulator::SendMeasured(Pf pf, std::span<const double> values) {
  const double noise = Setting("sim_noise");
  Values noisy{};
  std::copy(values.begin(), values.end(), noisy.begin());
  if (noise > 0) {
    std::normal_distribution<double> distribution(0, noise);
    for (double& value : noisy) value *= 1 + distribution(random_);
  }
  Send(pf, std::span(noisy).first(values.size()));
}

void PcsSimulator::Send(Pf pf, std::span<const double> values) {
  const FrameSpec& spec = FrameOf(pf);
  Values clamped{};
  for (size_t i = 0; i < spec.fields.size(); ++i) {
    const FieldSpec& field = spec.fields[i];
    const auto [minimum, maximum] = FieldLimits(field, codec_);
    const bool magnitude = field.encoding == Encoding::kPower && !codec_.signed_powers;
    clamped[i] = std::clamp(magnitude ? std::abs(values[i]) : values[i], minimum, maximum);
  }
  absl::StatusOr<CanFrame> frame =
      Encode(pf, address_, std::span(clamped).first(spec.fields.size()), codec_);
  // A full queue of the line loses the frame, as a full controller would.
  if (frame.ok() && faults_.Distort(&*frame, random_)) (void)context_.bus.Send({*frame});
}

absl::Status PcsSimulator::InjectFault(std::string_view fault, const Arguments& parameters) {
  if (absl::Status status = faults_.Check(fault, parameters); !status.ok()) return status;
  const FaultSpec& spec = *std::find_if(Faults().begin(), Faults().end(),
                                        [fault](const FaultSpec& s) { return fault == s.name; });
  for (const auto& [name, text] : spec.parameters) {
    const Value* value = FindArgument(parameters, name);
    const bool needed = std::string_view(text).ends_with("needed");
    const std::string_view argument = name;
    const double least = argument == "code" ? 1 : 0;
    const double most = argument == "code" ? 0xFFFF : argument == "state" ? 0xFF : 1e9;
    if (value == nullptr ? needed : value->AsNumber() < least || value->AsNumber() > most) {
      const std::string found = value == nullptr ? "none" : value->ToString();
      return MakeError(absl::StatusCode::kInvalidArgument, "FAULT_ARGUMENT",
                       "found " + std::string(argument) + " " + found + ", expected " + text,
                       {{"fault", std::string(fault)}, {"argument", name}, {"found", found}});
    }
  }
  Advance();
  if (fault == "reboot") {
    PowerOff();
    timers_.At(Now() + kBoot, [this] { PowerOn(); });
    return absl::OkStatus();
  }
  if (fault == "trip") {
    if (powered_) Trip(static_cast<uint16_t>(FindArgument(parameters, "code")->AsNumber()));
    Advance();
    return absl::OkStatus();
  }
  faults_.Add(fault, parameters);
  if (fault == "power_off") PowerOff();
  ApplyWorld();
  Advance();
  return absl::OkStatus();
}

absl::StatusOr<int> PcsSimulator::ClearFaults(std::string_view fault) {
  Advance();
  const bool was_off = faults_.Active("power_off");
  const absl::StatusOr<int> removed = faults_.Clear(fault);
  if (!removed.ok()) return removed;
  if (was_off && !faults_.Active("power_off")) {
    timers_.At(Now() + kBoot, [this] { PowerOn(); });
  }
  ApplyWorld();
  Advance();
  return removed;
}

std::vector<std::pair<std::string, Arguments>> PcsSimulator::ActiveFaults() const {
  return faults_.active();
}

absl::Status PcsSimulator::SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                                   std::optional<double> capacitance_f) {
  const bool good_resistance =
      !resistance_ohm || (std::isfinite(*resistance_ohm) && *resistance_ohm >= 1e-3);
  const bool good_capacitance = !capacitance_f || (*capacitance_f >= 0 && *capacitance_f <= 1);
  if (channel.value_or(0) != 0 || !good_resistance || !good_capacitance) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_LOAD",
                     context_.config.id +
                         ": a converter has one AC output: expected channel 0 or none, 0.001 ohm "
                         "or more, 0 to 1 F, each per phase",
                     {{"device_id", context_.config.id}});
  }
  Advance();
  load_resistance_ohm_ = resistance_ohm.value_or(load_resistance_ohm_);
  load_capacitance_f_ = capacitance_f.value_or(load_capacitance_f_);
  ApplyWorld();
  return absl::OkStatus();
}

}  // namespace canhub::ystech_pcs
