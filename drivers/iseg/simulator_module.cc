#include "drivers/iseg/simulator_module.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "drivers/api/errors.h"

namespace canhub::iseg {
namespace {

// Longest step of the physics; loads with a shorter time constant follow the source at once.
constexpr double kMaxStep = 0.01;
constexpr double kMaxStepsAtOnce = 10000;
// "A channel measures more": section 12.4 bit 3 (one source says 63).
constexpr double kHighVoltage = 60;
constexpr double kDefaultRampPercent = 10;
constexpr uint16_t kDefaultSampleRate = 500;
constexpr uint16_t kDefaultDigitalFilter = 64;
constexpr double kTemperature = 26.3;  // checklist 23
constexpr double kTooHot = 61.0;       // above the 55 degC of section 12.4 bit 14

// Sections 10 (0x4140) and 20.5: the SHR family's three modes share one power.
std::vector<OutputMode> ModesOf(const SimulatedModel& model, double voltage, double current) {
  if ((model.features & feature::kOutputModes) == 0) return {{voltage, current}};
  return {{voltage / 3, current * 2}, {voltage * 2 / 3, current * 1.5}, {voltage, current}};
}

const SimulatedModel& ModelOf(const DeviceConfig& config) {
  // The parameter is a choice among the models' names.
  return *FindSimulatedModel(config.Parameter("sim_model").text());
}

DeviceAddress AddressOf(const DeviceConfig& config) {
  return {static_cast<int>(config.Parameter("address").AsNumber()), false,
          static_cast<int>(config.Parameter("line").AsNumber())};
}

// Zero stands for the model's own value.
double OrOwn(double parameter, double own) { return parameter == 0 ? own : parameter; }

}  // namespace

IsegModuleSimulator::IsegModuleSimulator(SimulatorContext context)
    : IsegModuleSimulator(context, ModelOf(context.config)) {}

IsegModuleSimulator::IsegModuleSimulator(SimulatorContext context, const SimulatedModel& model)
    : SimulatedDevice(context, AddressOf(context.config),
                      context.config.Parameter("sim_dcp_only").flag() ? 0 : model.device_class),
      model_(model),
      noise_(context.config.Parameter("sim_noise").AsNumber()),
      keep_set_values_(context.config.Parameter("sim_keep_set_values").flag()),
      dcp_only_(context.config.Parameter("sim_dcp_only").flag()),
      crate_(static_cast<int>(context.config.Parameter("sim_crate").AsNumber())),
      bit_rate_(static_cast<uint16_t>(context.config.Parameter("sim_bit_rate").AsNumber())) {
  const DeviceConfig& config = context.config;
  const double voltage =
      OrOwn(config.Parameter("sim_nominal_voltage").AsNumber(), model.nominal_voltage);
  const double current =
      OrOwn(config.Parameter("sim_nominal_current").AsNumber(), model.nominal_current);
  const int count =
      static_cast<int>(OrOwn(config.Parameter("sim_channels").AsNumber(), model.channels));
  const Load load = {config.Parameter("sim_load_resistance").AsNumber(),
                     config.Parameter("sim_load_capacitance").AsNumber()};
  const std::vector<OutputMode> modes = ModesOf(model, std::abs(voltage), current);
  for (int i = 0; i < count; ++i) {
    SimulatedChannel channel(modes, voltage < 0 ? -1 : 1, load);
    channel.set_mode(static_cast<int>(modes.size()));
    DefaultSettings(&channel.settings, channel);
    channel.saved = channel.settings;
    channels_.push_back(std::move(channel));
  }
}

void IsegModuleSimulator::DefaultSettings(ChannelSettings* settings,
                                          const SimulatedChannel& channel) const {
  *settings = ChannelSettings();
  // As after a SCPI reset (section 15.5).
  settings->current_set = channel.nominal_current();
  settings->ramp_up = settings->ramp_down = channel.nominal_voltage() * kDefaultRampPercent / 100;
  settings->current_ramp_up = settings->current_ramp_down =
      channel.nominal_current() * kDefaultRampPercent / 100;
  settings->power_set = channel.nominal_voltage() * channel.nominal_current();
}

void IsegModuleSimulator::Reset(bool cold) {
  if (started_) Update();
  updated_ = Now();
  voltage_ramp_ = current_ramp_ = kDefaultRampPercent;
  kill_enable_ = interlock_ = ramp_limit_disabled_ = live_insertion_ = input_error_ = false;
  fine_adjustment_ = true;
  event_mask_ = 0;
  event_channels_ = event_channel_mask_ = 0;
  event_groups_ = event_group_mask_ = 0;
  control_2_ = 0;
  sample_rate_ = kDefaultSampleRate;
  digital_filter_ = kDefaultDigitalFilter;
  // Not at the very first start: a module that was always there shows no event.
  events_ = started_ ? Bit(module_bit::kRestartEvent) : 0;
  if (cold) set_values_changed_ = 0;
  for (SimulatedChannel& channel : channels_) {
    channel.PowerOn();
    if (!keep_set_values_) channel.settings = channel.saved;
  }
  started_ = true;
  OnFaultsChanged();
}

void IsegModuleSimulator::Update() {
  const MonoTime now = Now();
  // Who looks after an hour does not wait for every step of it.
  const double step =
      std::max(kMaxStep, std::chrono::duration<double>(now - updated_).count() / kMaxStepsAtOnce);
  while (updated_ < now) {
    const bool settled = std::all_of(channels_.begin(), channels_.end(),
                                     [](const SimulatedChannel& c) { return c.settled(); });
    if (settled) {
      updated_ = now;
      break;
    }
    const double left = std::chrono::duration<double>(now - updated_).count();
    const double dt = std::min(left, step);
    Step(dt);
    updated_ =
        left <= step
            ? now
            : updated_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(dt));
  }
  LatchEvents();
}

void IsegModuleSimulator::Step(double dt) {
  for (SimulatedChannel& channel : channels_) {
    if (channel.settled()) continue;
    Carry(channel.Advance(dt, kill_enable_));
    channel.LatchEvents(model_.wide);
  }
}

void IsegModuleSimulator::Carry(SimulatedChannel::Effect effect) {
  if (effect == SimulatedChannel::Effect::kModuleOff) AllOff(false);
}

void IsegModuleSimulator::AllOff(bool with_ramp) {
  for (SimulatedChannel& channel : channels_) {
    if (with_ramp) {
      if (channel.on()) channel.SwitchOff();
    } else {
      channel.ShutOff();
    }
  }
}

// Conditions under which a channel cannot be on, whatever the masks say (section 15.3).
bool IsegModuleSimulator::CanSwitchOn(const SimulatedChannel& channel) const {
  const bool inhibited = channel.inhibited() && channel.settings.inhibit_action != 0;
  return !channel.emergency_off() && !inhibited && !interlock_ && safety_loop_closed() &&
         !service_needed() && temperature_good();
}

// Blocking events with their masks (section 15.3).
bool IsegModuleSimulator::Blocked(const SimulatedChannel& channel) const {
  return (channel.events() & channel.settings.event_mask & kBlockingChannelEvents) != 0 ||
         (events_ & event_mask_ & kBlockingModuleEvents) != 0;
}

void IsegModuleSimulator::LatchEvents() {
  const auto latch = [this](int bit, bool condition) {
    if (condition) events_ |= Bit(bit);
  };
  latch(module_bit::kLiveInsertion, live_insertion_);
  latch(module_bit::kNeedService, service_needed());
  latch(module_bit::kInputError, input_error_);
  latch(module_bit::kSafetyLoop, !safety_loop_closed());
  latch(module_bit::kSupply, !supply_good());
  latch(module_bit::kTemperature, !temperature_good());
  for (size_t i = 0; i < channels_.size(); ++i) {
    channels_[i].LatchEvents(model_.wide);
    if ((channels_[i].events() & channels_[i].settings.event_mask) != 0) {
      event_channels_ |= uint64_t{1} << i;
    }
  }
}

uint32_t IsegModuleSimulator::ModuleStatus() const {
  const auto any = [this](auto predicate) {
    return std::any_of(channels_.begin(), channels_.end(), predicate);
  };
  const bool sum_error = any([](const SimulatedChannel& c) { return c.has_sum_error(); });
  uint32_t status = 0;
  const auto set = [&status](int bit, bool value) {
    if (value) status |= Bit(bit);
  };
  set(module_bit::kFineAdjustment, fine_adjustment_);
  set(module_bit::kLiveInsertion, live_insertion_);
  set(module_bit::kHighVoltageOn, any([](const SimulatedChannel& c) {
        return (c.driving() && c.voltage() > 0) || c.voltage() > kHighVoltage;
      }));
  set(module_bit::kNeedService, service_needed());
  set(module_bit::kInputError, input_error_);
  set(module_bit::kNoSumError, !sum_error);
  set(module_bit::kNoRamp, !any([](const SimulatedChannel& c) { return c.ramping(); }));
  set(module_bit::kSafetyLoop, safety_loop_closed());
  set(module_bit::kEventActive,
      (event_channels_ & event_channel_mask_) != 0 || (event_groups_ & event_group_mask_) != 0);
  constexpr uint32_t kBad =
      Bit(module_bit::kSafetyLoop) | Bit(module_bit::kSupply) | Bit(module_bit::kTemperature);
  set(module_bit::kModuleGood, !sum_error && (events_ & kBad) == 0);
  set(module_bit::kSupply, supply_good());
  set(module_bit::kTemperature, temperature_good());
  set(module_bit::kKillEnable, kill_enable_);
  // Internal communication, CRC, initial CRC: row 16.
  status |= Bit(17) | Bit(18) | Bit(19);
  set(22, ramp_limit_disabled_);
  return status;
}

void IsegModuleSimulator::ClearAllEvents() {
  events_ = 0;
  input_error_ = false;
  event_channels_ = 0;
  event_groups_ = 0;
  for (SimulatedChannel& channel : channels_) channel.ClearEvents(0xFFFFFFFF, model_.wide);
  LatchEvents();
}

double IsegModuleSimulator::BoardTemperature() const {
  return temperature_good() ? kTemperature : kTooHot;
}

// Row 1: bits 0, 1, 2 and 5 on a healthy module; bit 4 (fine adjustment) is not used by it.
uint8_t IsegModuleSimulator::GeneralStatus() {
  Update();
  const uint32_t status = ModuleStatus();
  const auto bit = [status](int n) { return (status & Bit(n)) != 0; };
  uint8_t general = 0;
  if (bit(module_bit::kNoSumError)) general |= 0x01;
  if (bit(module_bit::kNoRamp)) general |= 0x02;
  if (bit(module_bit::kSafetyLoop)) general |= 0x04;
  if (bit(module_bit::kSupply) && bit(module_bit::kTemperature)) general |= 0x20;
  if (bit(module_bit::kKillEnable)) general |= 0x40;
  return general;
}

void IsegModuleSimulator::OnLiveInsertion(bool on) {
  Update();
  live_insertion_ = on;
  LatchEvents();
}

void IsegModuleSimulator::OnForeignFrame(const CanFrame& frame) {
  if (crate_ < 0) return;
  const std::optional<Identifier> identifier = ParseIdentifier(frame);
  if (!identifier->device.crate || identifier->device.number != crate_) return;
  // The power switch, as a master writes it or the crate reports it: both say what is meant.
  const std::span<const uint8_t> payload = frame.payload();
  if (identifier->read || payload.size() != 3) return;
  if ((payload[0] << 8 | payload[1]) != id::kCratePower || payload[2] > 1) return;
  if (powered()) Update();
  SetSupply(payload[2] == 1);
}

absl::StatusOr<bool> IsegModuleSimulator::OnFault(std::string_view fault,
                                                  const Arguments& arguments) {
  for (const std::string_view other : {"power_fail", "battery_bad"}) {
    if (fault == other) {
      return MakeError(absl::StatusCode::kInvalidArgument, "FAULT_OF_CRATES",
                       "the fault \"" + std::string(fault) + "\" is one of crate controllers",
                       {{"fault", std::string(fault)}});
    }
  }
  Update();
  const bool of_channel = fault == "trip" || fault == "overcurrent" || fault == "inhibit" ||
                          fault == "dead_channel" || fault == "arc";
  if (!of_channel) return false;
  const Value* argument = FindArgument(arguments, "channel");
  const double channel = argument == nullptr ? -1 : argument->AsNumber();
  if (channel < 0 || channel >= channels() || channel != std::floor(channel)) {
    const std::string found = argument == nullptr ? "none" : argument->ToString();
    return MakeError(absl::StatusCode::kInvalidArgument, "FAULT_CHANNEL",
                     "found channel " + found + ", expected 0 to " + std::to_string(channels() - 1),
                     {{"fault", std::string(fault)}, {"channel", found}});
  }
  if (fault != "trip") return false;
  Carry(channels_[static_cast<size_t>(channel)].Trip());
  LatchEvents();
  return true;
}

void IsegModuleSimulator::OnFaultsChanged() {
  Update();
  for (int i = 0; i < channels(); ++i) {
    SimulatedChannel& channel = channels_[i];
    channel.SetShorted(FaultActive("overcurrent", i));
    channel.SetDead(FaultActive("dead_channel", i));
    channel.SetArc(FaultActive("arc", i));
    Carry(channel.SetInhibited(interlock_ || FaultActive("inhibit", i), FaultActive("inhibit", i)));
  }
  if (!safety_loop_closed() || service_needed()) AllOff(false);
  if (!temperature_good()) AllOff(true);
  LatchEvents();
}

absl::Status IsegModuleSimulator::SetLoad(std::optional<int> channel,
                                          std::optional<double> resistance_ohm,
                                          std::optional<double> capacitance_f) {
  if (channel.has_value() && (*channel < 0 || *channel >= channels())) {
    return MakeError(absl::StatusCode::kNotFound, "NO_SUCH_CHANNEL",
                     "found channel " + std::to_string(*channel) + ", expected 0 to " +
                         std::to_string(channels() - 1),
                     {{"channel", std::to_string(*channel)}});
  }
  if (resistance_ohm.has_value() && !(*resistance_ohm > 0 && std::isfinite(*resistance_ohm))) {
    return MakeError(absl::StatusCode::kOutOfRange, "LOAD_RESISTANCE",
                     "found " + std::to_string(*resistance_ohm) + " ohm, expected more than 0");
  }
  if (capacitance_f.has_value() && !(*capacitance_f >= 0 && *capacitance_f <= 1)) {
    return MakeError(absl::StatusCode::kOutOfRange, "LOAD_CAPACITANCE",
                     "found " + std::to_string(*capacitance_f) + " F, expected 0 to 1");
  }
  Update();
  for (int i = 0; i < channels(); ++i) {
    if (channel.has_value() && *channel != i) continue;
    Load& load = channels_[i].load();
    load.resistance_ohm = resistance_ohm.value_or(load.resistance_ohm);
    load.capacitance_f = capacitance_f.value_or(load.capacitance_f);
    channels_[i].Touch();
  }
  return absl::OkStatus();
}

}  // namespace canhub::iseg
