#include "drivers/iseg/simulator_channel.h"

#include <algorithm>
#include <cmath>

namespace canhub::iseg {
namespace {

// Inside the module: discharges an output that is off, in tenths of a second.
constexpr double kBleederOhm = 50e6;
constexpr double kInternalFarad = 1e-9;
constexpr double kShortOhm = 1.0;

// Status conditions that set the event bit of the same number.
constexpr uint32_t kConditionEvents =
    Bit(channel_bit::kArc) | Bit(channel_bit::kInputError) | Bit(channel_bit::kEmergencyOff) |
    Bit(channel_bit::kCurrentControl) | Bit(channel_bit::kVoltageControl) |
    Bit(channel_bit::kArcError) | Bit(channel_bit::kCurrentBounds) |
    Bit(channel_bit::kVoltageBounds) | Bit(channel_bit::kExternalInhibit) |
    Bit(channel_bit::kTrip) | Bit(channel_bit::kCurrentLimit) | Bit(channel_bit::kVoltageLimit) |
    Bit(channel_bit::kVoltageRampUp) | Bit(channel_bit::kVoltageRampDown) |
    Bit(channel_bit::kUpperBound) | Bit(channel_bit::kLowerBound);
constexpr uint32_t kNarrowBits = 0xFFFF;

}  // namespace

SimulatedChannel::SimulatedChannel(std::vector<OutputMode> modes, int polarity, Load load)
    : modes_(std::move(modes)), polarity_(polarity), load_(load) {}

void SimulatedChannel::PowerOn() {
  on_ = driving_ = limited_ = emergency_off_ = tripped_ = at_bottom_ = input_error_ = false;
  was_ramping_ = false;
  ramp_ = 0;
  limit_time_ = 0;
  events_ = 0;
  settled_ = false;
}

double SimulatedChannel::Goal() const {
  if (!on_) return 0;
  const double set = std::abs(settings.voltage_set);
  return at_bottom_ ? set * settings.voltage_bottom / 100 : set;
}

SimulatedChannel::Effect SimulatedChannel::Advance(double dt, bool kill) {
  const double before = output_;
  const double resistance = shorted_ ? kShortOhm : load_.resistance_ohm;
  const double capacitance = load_.capacitance_f;
  // Without the source the output falls by load and bleeder alone.
  const double passive_ohm = 1 / (1 / resistance + 1 / kBleederOhm);
  const double discharged =
      output_ * std::exp(-dt / (passive_ohm * (capacitance + kInternalFarad)));
  Effect effect = Effect::kNone;

  if (!driving_) {
    limited_ = false;
    limit_time_ = 0;
    output_ = discharged;
    current_ = output_ / resistance;
  } else {
    const double goal = Goal();
    if (ramp_ < goal) {
      ramp_ = std::min(goal, ramp_ + settings.ramp_up * dt);
    } else if (ramp_ > goal) {
      ramp_ = std::max(goal, ramp_ - settings.ramp_down * dt);
    }
    const double wanted = std::max(ramp_, discharged);
    const double needed = wanted / resistance + capacitance * (wanted - output_) / dt;
    const double limit = settings.current_set;
    if (needed <= limit) {
      limited_ = false;
      limit_time_ = 0;
      output_ = wanted;
      current_ = std::max(needed, 0.0);
    } else if (kill) {
      effect = Trip();
      output_ = discharged;
      current_ = output_ / resistance;
    } else {
      limited_ = true;
      const double end = limit * resistance;
      const double tau = resistance * capacitance;
      const double limited = tau > 0 ? end + (output_ - end) * std::exp(-dt / tau) : end;
      output_ = std::clamp(limited, 0.0, wanted);
      current_ = limit;
      limit_time_ += dt;
      effect = DelayedTrip();
    }
    if (driving_ && !on_ && ramp_ == 0) driving_ = false;
  }
  if (dead_) {
    output_ = 0;
    current_ = 0;
  }

  const bool now_ramping = ramping();
  if (was_ramping_ && !now_ramping) events_ |= Bit(channel_bit::kRamp);
  was_ramping_ = now_ramping;
  const bool timing = limited_ && settings.trip_time_ms > 0 && !tripped_;
  settled_ = !now_ramping && !timing && std::abs(output_ - before) <= 1e-9 * nominal_voltage();
  return effect;
}

SimulatedChannel::Effect SimulatedChannel::DelayedTrip() {
  if (tripped_ || settings.trip_time_ms == 0 || settings.trip_action > 3) return Effect::kNone;
  if (limit_time_ * 1000 < settings.trip_time_ms) return Effect::kNone;
  tripped_ = true;
  limit_time_ = 0;
  switch (settings.trip_action) {
    case 1:
      SwitchOff();
      break;
    case 2:
      if (settings.voltage_bottom > 0) {
        at_bottom_ = true;
        events_ |= Bit(channel_bit::kVoltageBottom);
      } else {
        ShutOff();
      }
      break;
    case 3:
      return Effect::kModuleOff;
    default:
      break;
  }
  return Effect::kNone;
}

SimulatedChannel::Effect SimulatedChannel::Trip() {
  tripped_ = true;
  settled_ = false;
  if (settings.voltage_bottom > 0 && on_) {
    // Stacked outputs: reduced instead of shut off (section 15.2).
    at_bottom_ = true;
    ramp_ = std::min(ramp_, Goal());
    events_ |= Bit(channel_bit::kVoltageBottom);
  } else {
    ShutOff();
  }
  return Effect::kNone;
}

void SimulatedChannel::SwitchOn() {
  settled_ = false;
  if (on_) return;
  on_ = true;
  tripped_ = false;  // its event stays
  // From the present voltage.
  if (!driving_) ramp_ = output_;
  driving_ = true;
  was_ramping_ = ramping();
}

void SimulatedChannel::SwitchOff() {
  settled_ = false;
  on_ = false;
  at_bottom_ = false;
  was_ramping_ = ramping();
  if (driving_ && ramp_ == 0) driving_ = false;
}

void SimulatedChannel::ShutOff() {
  settled_ = false;
  if (driving_) events_ |= Bit(channel_bit::kOn);
  on_ = driving_ = limited_ = at_bottom_ = was_ramping_ = false;
  ramp_ = 0;
}

void SimulatedChannel::SetEmergencyOff(bool on) {
  if (on) ShutOff();
  emergency_off_ = on;
}

SimulatedChannel::Effect SimulatedChannel::SetInhibited(bool inhibited, bool carry_out) {
  const bool begins = inhibited && !inhibited_;
  inhibited_ = inhibited;
  settled_ = false;
  if (!begins || !carry_out) return Effect::kNone;
  switch (settings.inhibit_action) {
    case 1:
      SwitchOff();
      break;
    case 2:
      ShutOff();
      break;
    case 3:
      return Effect::kModuleOff;
    default:
      break;
  }
  return Effect::kNone;
}

void SimulatedChannel::SetDead(bool dead) {
  dead_ = dead;
  settled_ = false;
}

void SimulatedChannel::SetShorted(bool shorted) {
  shorted_ = shorted;
  settled_ = false;
}

// A set voltage without tolerance would be exceeded by noise: bounds of 0 switch the check off.
bool SimulatedChannel::VoltageBoundsExceeded() const {
  return on_ && !ramping() && settings.voltage_bounds > 0 &&
         std::abs(output_ - std::abs(settings.voltage_set)) > settings.voltage_bounds;
}

bool SimulatedChannel::CurrentBoundsExceeded() const {
  return on_ && !ramping() && settings.current_bounds > 0 &&
         std::abs(current_ - settings.current_set) > settings.current_bounds;
}

bool SimulatedChannel::has_sum_error() const {
  return tripped_ || inhibited_ || VoltageBoundsExceeded() || CurrentBoundsExceeded();
}

uint32_t SimulatedChannel::Status(bool switchable_polarity, bool ranged) const {
  uint32_t status = 0;
  const auto set = [&status](int bit, bool value) {
    if (value) status |= Bit(bit);
  };
  const bool voltage_bounds = VoltageBoundsExceeded();
  set(channel_bit::kPositive, switchable_polarity && polarity_ > 0);
  set(channel_bit::kArc, arc_);
  set(channel_bit::kInputError, input_error_);
  set(channel_bit::kOn, on_);
  set(channel_bit::kRamp, ramping());
  set(channel_bit::kEmergencyOff, emergency_off_);
  set(channel_bit::kCurrentControl, driving_ && limited_);
  set(channel_bit::kVoltageControl, driving_ && !limited_);
  set(channel_bit::kLowRange, ranged && current_ < nominal_current_low());
  set(channel_bit::kCurrentBounds, CurrentBoundsExceeded());
  set(channel_bit::kVoltageBounds, voltage_bounds);
  set(channel_bit::kExternalInhibit, inhibited_);
  set(channel_bit::kTrip, tripped_);
  set(channel_bit::kVoltageRampUp, ramping() && ramp_ < Goal());
  set(channel_bit::kVoltageRampDown, ramping() && ramp_ > Goal());
  set(channel_bit::kUpperBound, voltage_bounds && output_ > std::abs(settings.voltage_set));
  set(channel_bit::kLowerBound, voltage_bounds && output_ < std::abs(settings.voltage_set));
  return status;
}

void SimulatedChannel::LatchEvents(bool wide) {
  events_ |= Status(false, false) & kConditionEvents;
  if (!wide) events_ &= kNarrowBits;
}

void SimulatedChannel::ClearEvents(uint32_t ones, bool wide) {
  events_ &= ~ones;
  if ((ones & Bit(channel_bit::kTrip)) != 0 && tripped_) {
    // The trip itself is over when its event is acknowledged: else it could never be cleared.
    tripped_ = false;
    at_bottom_ = false;
    settled_ = false;
  }
  if ((ones & Bit(channel_bit::kInputError)) != 0) input_error_ = false;
  LatchEvents(wide);
}

}  // namespace canhub::iseg
