#include "drivers/ystech-pcs/simulator_profile.h"

#include <algorithm>
#include <cmath>

namespace canhub::ystech_pcs {
namespace {

// From the first value to the second in one cycle, which is not repeated.
double Ramp(const ModeValues& p, double elapsed_s) {
  const double cycle_s = p[2];
  if (elapsed_s >= cycle_s) return p[1];
  return p[0] + (p[1] - p[0]) * elapsed_s / cycle_s;
}

// The first value for its share of each cycle, then the second.
double Pulse(const ModeValues& p, double elapsed_s) {
  const double cycle_s = p[2];
  const double duty = p[3] / 100;
  if (cycle_s <= 0) return duty > 0 ? p[0] : p[1];
  return std::fmod(elapsed_s, cycle_s) < duty * cycle_s ? p[0] : p[1];
}

// Rest, pulse, rest.
Target ResistanceTest(const ModeValues& p, double elapsed_s) {
  const double pulse_s = p[1];
  const double end_s = pulse_s + p[2];
  if (elapsed_s < pulse_s) return {.control = Control::kCurrent};
  if (elapsed_s < end_s) return {.control = Control::kCurrent, .value = p[0]};
  return {.control = Control::kCurrent, .over = elapsed_s >= end_s + p[3]};
}

}  // namespace

Target TargetAt(Mode mode, const ModeValues& p, double elapsed_s, double capacity_ah) {
  switch (mode) {
    case Mode::kDcConstantVoltage:
      return {.control = Control::kVoltage, .value = p[0]};
    case Mode::kDcConstantVoltageCurrentLimiting:
      return {.control = Control::kVoltage,
              .value = p[0],
              .charge_limit_a = p[1],
              .discharge_limit_a = p[2]};
    case Mode::kDcConstantCurrent:
      return {.control = Control::kCurrent, .value = p[0]};
    case Mode::kDcConstantPower:
      return {.control = Control::kPower, .value = p[0]};
    case Mode::kDcConstantResistance:
      return {.control = Control::kResistance, .value = p[0]};
    case Mode::kDcRampCurrent:
      return {.control = Control::kCurrent, .value = Ramp(p, elapsed_s)};
    case Mode::kDcRampPower:
      return {.control = Control::kPower, .value = Ramp(p, elapsed_s)};
    case Mode::kDcConstantMagnification:
      return {.control = Control::kCurrent, .value = p[0] * capacity_ah};
    case Mode::kDcRampVoltage:
      return {.control = Control::kVoltage, .value = Ramp(p, elapsed_s)};
    case Mode::kDcPulseCurrent:
      return {.control = Control::kCurrent, .value = Pulse(p, elapsed_s)};
    case Mode::kDcCcCv:
      return {.control = Control::kCcCv, .value = p[1], .second = p[0], .end_current_a = p[2]};
    case Mode::kDcPulseResistance:
      return {.control = Control::kResistance, .value = Pulse(p, elapsed_s)};
    case Mode::kDcPulsePower:
      return {.control = Control::kPower, .value = Pulse(p, elapsed_s)};
    case Mode::kDcInternalResistanceTest:
      return ResistanceTest(p, elapsed_s);
    case Mode::kAcConstantPower:
      return {.control = Control::kAcPower, .value = p[0], .second = p[1]};
    case Mode::kIndependentInverter:
      return {.control = Control::kInverter, .value = p[0], .second = p[1]};
    case Mode::kDcPulseVoltage:
      return {.control = Control::kVoltage, .value = Pulse(p, elapsed_s)};
    case Mode::kIdle:
    case Mode::kStandby:
      return {};
  }
  return {};
}

}  // namespace canhub::ystech_pcs
