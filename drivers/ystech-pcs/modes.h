// The 19 working modes and what their parameters are (PCS facts, section 7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "drivers/ystech-pcs/frames.h"
#include "drivers/ystech-pcs/states.h"

namespace canhub::ystech_pcs {

enum class Mode : uint8_t {
  kDcConstantVoltage = 0x02,
  kDcConstantVoltageCurrentLimiting = 0x08,
  kDcConstantCurrent = 0x21,
  kDcConstantPower = 0x22,
  kDcConstantResistance = 0x23,
  kDcRampCurrent = 0x24,
  kDcRampPower = 0x25,
  kDcConstantMagnification = 0x26,
  kDcRampVoltage = 0x27,
  kDcPulseCurrent = 0x28,
  kDcCcCv = 0x29,
  kDcPulseResistance = 0x2A,
  kDcPulsePower = 0x2B,
  kDcInternalResistanceTest = 0x2C,
  kAcConstantPower = 0x40,
  kIndependentInverter = 0x41,
  kDcPulseVoltage = 0x61,
  kIdle = 0x91,
  kStandby = 0x94,
};

// What a parameter is, and so which protection parameter bounds it.
enum class Quantity : uint8_t {
  kVoltage,           // DC, V
  kCurrent,           // A; negative charges
  kChargeCurrent,     // A, magnitude (inferred)
  kDischargeCurrent,  // A, magnitude (inferred)
  kEndCurrent,        // A, magnitude (inferred)
  kPower,             // DC or AC active, W; negative charges
  kReactivePower,     // var
  kResistance,        // ohm; negative charges
  kMagnification,     // 1; presumably the C-rate (inferred)
  kTime,              // s
  kDuty,              // percent of the cycle spent at the first value (inferred)
  kAcVoltage,         // V, phase to neutral (inferred)
  kFrequency,         // Hz
};

struct ModeParameter {
  const char* name;  // "voltage_setpoint": the Python application's
  Quantity quantity;
  const char* unit;  // "V", "A", "W", "var", "ohm", "", "s", "%", "Hz"
  int counts;        // raw counts per unit: 1000, or 100 for times and duties of pulse modes
};
inline constexpr size_t kMaxModeParameters = 4;

struct ModeSpec {
  Mode mode;
  const char* name;  // "DC_CC_CV": the Python application's identifier
  const char* description;
  std::span<const ModeParameter> parameters;  // P1 first; 0 … 4
  // What 0x13 shows while the mode runs (suggested in section 15, no source has it). CC-CV begins
  // with constant current and goes on with constant voltage.
  State running;
};

// All modes, in order of their codes.
std::span<const ModeSpec> Modes();
// nullptr: no such mode.
const ModeSpec* FindMode(int code);
const ModeSpec* FindMode(std::string_view name);

// Counts for 0x0C and 0x0D: P1 … P4, unused ones 0. Rounds to nearest. INVALID_ARGUMENT: not as
// many values as the mode has parameters, NaN or infinite. OUT_OF_RANGE: more than 32 bits hold.
// Both name mode, parameter, found and expected.
using ModeCounts = std::array<int32_t, kMaxModeParameters>;
absl::StatusOr<ModeCounts> ToCounts(const ModeSpec& mode, std::span<const double> values);
// Value of the parameter at `index` (below mode.parameters.size()), in its unit.
double FromCounts(const ModeSpec& mode, size_t index, int32_t counts);

}  // namespace canhub::ystech_pcs
