// What a working mode wants at a moment of its run (PCS facts, section 7; what they infer about
// ramps, pulses and times is decided here, see README.md).
#pragma once

#include <array>
#include <limits>

#include "drivers/ystech-pcs/modes.h"

namespace canhub::ystech_pcs {

// How the power stage regulates. Positive current, power and resistance discharge the battery.
enum class Control : uint8_t {
  kRest,
  kVoltage,     // `value` V
  kCurrent,     // `value` A
  kPower,       // `value` W, DC
  kResistance,  // `value` ohm
  kCcCv,        // `value` A until `second` V, then that
  kAcPower,     // `value` W and `second` var, AC
  kInverter,    // `value` V per phase and `second` Hz for the load, off grid
};

struct Target {
  Control control = Control::kRest;
  double value = 0;
  double second = 0;
  // Beside the protection parameters, magnitudes in A.
  double charge_limit_a = std::numeric_limits<double>::infinity();
  double discharge_limit_a = std::numeric_limits<double>::infinity();
  // CC-CV: the run ends when the current's magnitude falls below this while the voltage is held.
  double end_current_a = 0;
  bool over = false;  // the mode has done all it does
};

// P1 … P4 in their units; unused ones 0.
using ModeValues = std::array<double, kMaxModeParameters>;

// `elapsed_s`: since the run or these parameters began. `capacity_ah`: of the battery, for the
// magnification.
Target TargetAt(Mode mode, const ModeValues& p, double elapsed_s, double capacity_ah);

}  // namespace canhub::ystech_pcs
