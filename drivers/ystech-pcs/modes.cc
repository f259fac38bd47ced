#include "drivers/ystech-pcs/modes.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "drivers/api/errors.h"
#include "drivers/api/value.h"

namespace canhub::ystech_pcs {
namespace {

using M = Mode;
using Q = Quantity;

constexpr int kMilli = 1000;
constexpr int kCenti = 100;  // times and duties of pulse modes

// Section 7, row by row.
constexpr ModeParameter kVoltage[] = {{"voltage_setpoint", Q::kVoltage, "V", kMilli}};
constexpr ModeParameter kLimitedVoltage[] = {
    {"voltage_setpoint", Q::kVoltage, "V", kMilli},
    {"max_charge_current", Q::kChargeCurrent, "A", kMilli},
    {"max_discharge_current", Q::kDischargeCurrent, "A", kMilli},
};
constexpr ModeParameter kCurrent[] = {{"current_setpoint", Q::kCurrent, "A", kMilli}};
constexpr ModeParameter kPower[] = {{"power_setpoint", Q::kPower, "W", kMilli}};
constexpr ModeParameter kResistance[] = {{"resistance_setpoint", Q::kResistance, "ohm", kMilli}};
constexpr ModeParameter kRampCurrent[] = {
    {"start_current", Q::kCurrent, "A", kMilli},
    {"end_current", Q::kCurrent, "A", kMilli},
    {"cycle_time", Q::kTime, "s", kMilli},
};
constexpr ModeParameter kRampPower[] = {
    {"start_power", Q::kPower, "W", kMilli},
    {"end_power", Q::kPower, "W", kMilli},
    {"cycle_time", Q::kTime, "s", kMilli},
};
constexpr ModeParameter kMagnification[] = {{"magnification", Q::kMagnification, "", kMilli}};
constexpr ModeParameter kRampVoltage[] = {
    {"start_voltage", Q::kVoltage, "V", kMilli},
    {"end_voltage", Q::kVoltage, "V", kMilli},
    {"cycle_time", Q::kTime, "s", kMilli},
};
constexpr ModeParameter kPulseCurrent[] = {
    {"current_1", Q::kCurrent, "A", kMilli},
    {"current_2", Q::kCurrent, "A", kMilli},
    {"cycle_time", Q::kTime, "s", kCenti},
    {"duty_cycle", Q::kDuty, "%", kCenti},
};
constexpr ModeParameter kCcCv[] = {
    {"voltage_setpoint", Q::kVoltage, "V", kMilli},
    {"current_setpoint", Q::kCurrent, "A", kMilli},
    {"end_current", Q::kEndCurrent, "A", kMilli},
};
constexpr ModeParameter kPulseResistance[] = {
    {"resistance_1", Q::kResistance, "ohm", kMilli},
    {"resistance_2", Q::kResistance, "ohm", kMilli},
    {"cycle_time", Q::kTime, "s", kCenti},
    {"duty_cycle", Q::kDuty, "%", kCenti},
};
constexpr ModeParameter kPulsePower[] = {
    {"power_1", Q::kPower, "W", kMilli},
    {"power_2", Q::kPower, "W", kMilli},
    {"cycle_time", Q::kTime, "s", kCenti},
    {"duty_cycle", Q::kDuty, "%", kCenti},
};
constexpr ModeParameter kResistanceTest[] = {
    {"current_setpoint", Q::kCurrent, "A", kMilli},
    {"time_1", Q::kTime, "s", kMilli},
    {"time_2", Q::kTime, "s", kMilli},
    {"time_3", Q::kTime, "s", kMilli},
};
constexpr ModeParameter kAcPower[] = {
    {"active_power", Q::kPower, "W", kMilli},
    {"reactive_power", Q::kReactivePower, "var", kMilli},
};
constexpr ModeParameter kInverter[] = {
    {"inverter_voltage", Q::kAcVoltage, "V", kMilli},
    {"inverter_frequency", Q::kFrequency, "Hz", kMilli},
};
constexpr ModeParameter kPulseVoltage[] = {
    {"voltage_1", Q::kVoltage, "V", kMilli},
    {"voltage_2", Q::kVoltage, "V", kMilli},
    {"cycle_time", Q::kTime, "s", kCenti},
    {"duty_cycle", Q::kDuty, "%", kCenti},
};

constexpr State kCv = State::kConstantVoltage;
constexpr State kCc = State::kConstantCurrent;

constexpr ModeSpec kModes[] = {
    {M::kDcConstantVoltage, "DC_CONSTANT_VOLTAGE", "DC constant voltage", kVoltage, kCv},
    {M::kDcConstantVoltageCurrentLimiting, "DC_CONSTANT_VOLTAGE_CURRENT_LIMITING",
     "DC constant voltage with current limits", kLimitedVoltage, kCv},
    {M::kDcConstantCurrent, "DC_CONSTANT_CURRENT", "DC constant current", kCurrent, kCc},
    {M::kDcConstantPower, "DC_CONSTANT_POWER", "DC constant power", kPower, kCc},
    {M::kDcConstantResistance, "DC_CONSTANT_RESISTANCE", "DC constant resistance", kResistance,
     kCc},
    {M::kDcRampCurrent, "DC_RAMP_CURRENT", "DC ramp of current", kRampCurrent, kCc},
    {M::kDcRampPower, "DC_RAMP_POWER", "DC ramp of power", kRampPower, kCc},
    {M::kDcConstantMagnification, "DC_CONSTANT_MAGNIFICATION",
     "DC constant multiple of the nominal capacity", kMagnification, kCc},
    {M::kDcRampVoltage, "DC_RAMP_VOLTAGE", "DC ramp of voltage", kRampVoltage, kCv},
    {M::kDcPulseCurrent, "DC_PULSE_CURRENT", "DC pulses of current", kPulseCurrent, kCc},
    {M::kDcCcCv, "DC_CC_CV", "DC constant current, then constant voltage", kCcCv, kCc},
    {M::kDcPulseResistance, "DC_PULSE_RESISTANCE", "DC pulses of resistance", kPulseResistance,
     kCc},
    {M::kDcPulsePower, "DC_PULSE_POWER", "DC pulses of power", kPulsePower, kCc},
    {M::kDcInternalResistanceTest, "DC_INTERNAL_RESISTANCE_TEST", "DC internal-resistance test",
     kResistanceTest, kCc},
    {M::kAcConstantPower, "AC_CONSTANT_POWER", "AC constant power", kAcPower,
     State::kAcConstantPower},
    {M::kIndependentInverter, "INDEPENDENT_INVERTER", "independent inverter, off grid", kInverter,
     State::kOffGridInverter},
    {M::kDcPulseVoltage, "DC_PULSE_VOLTAGE", "DC pulses of voltage", kPulseVoltage, kCv},
    {M::kIdle, "IDLE", "idle", {}, State::kStandby},
    {M::kStandby, "STANDBY", "standby", {}, State::kStandby},
};

}  // namespace

std::span<const ModeSpec> Modes() { return kModes; }

const ModeSpec* FindMode(int code) {
  const auto* found = std::find_if(std::begin(kModes), std::end(kModes), [code](const ModeSpec& m) {
    return static_cast<int>(m.mode) == code;
  });
  return found == std::end(kModes) ? nullptr : found;
}

const ModeSpec* FindMode(std::string_view name) {
  const auto* found = std::find_if(std::begin(kModes), std::end(kModes),
                                   [name](const ModeSpec& m) { return name == m.name; });
  return found == std::end(kModes) ? nullptr : found;
}

absl::StatusOr<ModeCounts> ToCounts(const ModeSpec& mode, std::span<const double> values) {
  if (values.size() != mode.parameters.size()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "WRONG_PARAMETER_COUNT",
                     absl::StrCat(mode.name, ": found ", values.size(), " parameters, expected ",
                                  mode.parameters.size()),
                     {{"mode", mode.name}});
  }
  ModeCounts counts{};
  for (size_t i = 0; i < values.size(); ++i) {
    const ModeParameter& parameter = mode.parameters[i];
    if (!std::isfinite(values[i])) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, "NOT_FINITE",
          absl::StrCat(mode.name, ", ", parameter.name, ": found a value that is not finite"),
          {{"mode", mode.name}, {"parameter", parameter.name}});
    }
    constexpr double kLowest = std::numeric_limits<int32_t>::min();
    constexpr double kHighest = std::numeric_limits<int32_t>::max();
    const double rounded = std::round(values[i] * parameter.counts);
    if (rounded < kLowest || rounded > kHighest) {
      const std::string found = Value::Number(values[i]).ToString();
      const std::string minimum = Value::Number(kLowest / parameter.counts).ToString();
      const std::string maximum = Value::Number(kHighest / parameter.counts).ToString();
      return MakeError(absl::StatusCode::kOutOfRange, "VALUE_DOES_NOT_FIT_FRAME",
                       absl::StrCat(mode.name, ", ", parameter.name, ": found ", found, " ",
                                    parameter.unit, ", the frame holds ", minimum, " to ", maximum),
                       {{"mode", mode.name},
                        {"parameter", parameter.name},
                        {"found", found},
                        {"minimum", minimum},
                        {"maximum", maximum}});
    }
    counts[i] = static_cast<int32_t>(rounded);
  }
  return counts;
}

double FromCounts(const ModeSpec& mode, size_t index, int32_t counts) {
  return static_cast<double>(counts) / mode.parameters[index].counts;
}

}  // namespace canhub::ystech_pcs
