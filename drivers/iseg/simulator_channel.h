// The physics and the registers of one simulated channel.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/iseg/registers.h"

namespace canhub::iseg {

struct OutputMode {
  double nominal_voltage;  // V, magnitude
  double nominal_current;  // A
};

struct Load {
  double resistance_ohm;
  double capacitance_f;
};

// What can be written and survives a power cycle when the module keeps set values.
struct ChannelSettings {
  double voltage_set = 0;  // V; sign as written
  double current_set = 0;  // A
  double voltage_bounds = 0;
  double current_bounds = 0;
  double ramp_up = 0;  // V/s
  double ramp_down = 0;
  double current_ramp_up = 0;  // A/s
  double current_ramp_down = 0;
  double voltage_bottom = 0;  // % of voltage_set after a trip; 0: shut off
  double vct_coefficient = 0;
  double resistance_external = 0;
  double power_set = 0;
  uint16_t event_mask = 0;
  uint16_t trip_time_ms = 0;
  uint8_t trip_action = 0;
  uint8_t inhibit_action = 0;
  uint16_t ramp_priority = 0;
  uint8_t group_number = 0;
};

// A source with a voltage and a current regulation, behind it R parallel to C. Magnitudes inside;
// the polarity is applied where values leave. Sources: sections 12 and 15; what is chosen freely is
// listed in README.md.
class SimulatedChannel {
 public:
  enum class Effect : uint8_t { kNone, kModuleOff };

  SimulatedChannel(std::vector<OutputMode> modes, int polarity, Load load);

  // Off, events cleared, output as it is: it discharges.
  void PowerOn();
  // Moves by `dt` seconds; small enough for the load's time constant to be resolved.
  Effect Advance(double dt, bool kill);
  // Nothing changes until something is written.
  bool settled() const { return settled_; }
  void Touch() { settled_ = false; }

  void SwitchOn();
  void SwitchOff();  // with ramp
  void ShutOff();    // without ramp
  void SetEmergencyOff(bool on);
  // The inhibit's action is carried out when it begins.
  Effect SetInhibited(bool inhibited, bool carry_out);
  // Current trip as with kill enable.
  Effect Trip();
  void SetArc(bool arc) { arc_ = arc; }
  void SetDead(bool dead);
  void SetShorted(bool shorted);
  void SetInputError(bool error) { input_error_ = error; }

  uint32_t Status(bool switchable_polarity, bool ranged) const;
  // Sets the events whose condition holds.
  void LatchEvents(bool wide);
  uint32_t events() const { return events_; }
  void ClearEvents(uint32_t ones, bool wide);

  bool on() const { return on_; }
  bool driving() const { return driving_; }
  bool ramping() const { return driving_ && ramp_ != Goal(); }
  bool emergency_off() const { return emergency_off_; }
  bool inhibited() const { return inhibited_; }
  bool has_sum_error() const;
  double voltage() const { return output_; }  // magnitude
  double current() const { return current_; }
  int polarity() const { return polarity_; }
  void set_polarity(int polarity) { polarity_ = polarity; }
  int mode() const { return mode_; }  // 1 …
  void set_mode(int mode) { mode_ = mode; }
  const std::vector<OutputMode>& modes() const { return modes_; }
  double nominal_voltage() const { return modes_[mode_ - 1].nominal_voltage; }
  double nominal_current() const { return modes_[mode_ - 1].nominal_current; }
  // Currents below a hundredth of nominal are measured in the low range.
  double nominal_current_low() const { return nominal_current() / 100; }
  Load& load() { return load_; }

  ChannelSettings settings;
  ChannelSettings saved;

 private:
  double Goal() const;  // where the ramp leads to
  bool VoltageBoundsExceeded() const;
  bool CurrentBoundsExceeded() const;
  Effect DelayedTrip();

  std::vector<OutputMode> modes_;
  int mode_ = 1;
  int polarity_;
  Load load_;
  bool on_ = false;
  bool driving_ = false;  // on, or ramping down after it was switched off
  bool limited_ = false;  // current regulation
  bool emergency_off_ = false;
  bool inhibited_ = false;
  bool tripped_ = false;
  bool at_bottom_ = false;  // output reduced after a trip
  bool arc_ = false;
  bool input_error_ = false;
  bool dead_ = false;
  bool shorted_ = false;
  bool settled_ = false;
  bool was_ramping_ = false;
  double ramp_ = 0;    // V, what the source is told now
  double output_ = 0;  // V at the terminals
  double current_ = 0;
  double limit_time_ = 0;  // s in current regulation so far
  uint32_t events_ = 0;
};

}  // namespace canhub::iseg
