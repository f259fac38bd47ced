// The power stage of a simulated converter: a battery behind the DC side, grid and load on the AC
// side, losses, temperatures and counters. Knows no frames and no states.
#pragma once

#include <limits>
#include <optional>

#include "drivers/ystech-pcs/simulator_profile.h"

namespace canhub::ystech_pcs {

// Positive current and power discharge the battery; AC power is positive into the grid or the load.
class PowerStage {
 public:
  struct Settings {
    double battery_voltage_v = 400;  // open-circuit, half charged
    double battery_capacity_ah = 100;
    double battery_resistance_ohm = 0.1;
    double state_of_charge = 0.5;  // at the beginning
    double ramp_a_per_s = 500;     // of the DC current
    double efficiency = 0.97;      // 0 … 1, both ways
    double ambient_degc = 25;
  };
  // Magnitudes that the regulation keeps to, except off grid, where the load decides.
  struct Limits {
    double charge_a = std::numeric_limits<double>::infinity();
    double discharge_a = std::numeric_limits<double>::infinity();
    double charge_w = std::numeric_limits<double>::infinity();
    double discharge_w = std::numeric_limits<double>::infinity();
  };
  // Reactive power as the special settings have it; mode AC constant power sets its own.
  struct Reactive {
    double var = 0;
    std::optional<double> power_factor;  // instead of `var`
  };
  struct Ac {
    double voltage_v = 0;  // per phase
    double frequency_hz = 0;
    double active_w = 0;  // of all phases, as are the others
    double reactive_var = 0;
    double apparent_va() const;
  };

  explicit PowerStage(const Settings& settings);

  // ---- the world around it; volts per phase
  void SetGrid(double voltage_v, double frequency_hz);
  void SetLoad(double resistance_ohm, double capacitance_f);  // per phase
  void SetBatteryConnected(bool connected) { connected_ = connected; }
  // nullopt: by the state of charge.
  void SetOpenVoltage(std::optional<double> voltage_v) { fixed_open_voltage_ = voltage_v; }
  void SetHeatSink(std::optional<double> degc) { fixed_heat_sink_ = degc; }

  // ---- what it does
  void BeginRun();  // counters from zero, current from zero
  void EndRun();    // contactors open: no current at once
  // Requires dt_s ≥ 0. While it runs, steps should be short against the set-point's changes.
  void Step(const Target& target, const Limits& limits, const Reactive& reactive, double dt_s);

  double dc_voltage_v() const;
  double dc_current_a() const { return current_a_; }
  double dc_power_w() const { return dc_voltage_v() * current_a_; }
  double capacity_ah() const { return capacity_ah_; }  // moved in this run, both directions add
  double energy_wh() const { return energy_wh_; }
  double state_of_charge() const { return state_of_charge_; }
  double inlet_degc() const;
  double outlet_degc() const;
  double heat_sink_degc() const { return fixed_heat_sink_.value_or(heat_sink_degc_); }
  // CC-CV is at its voltage.
  bool holds_voltage() const { return holds_voltage_; }
  Ac grid() const;  // what the converter gives to the grid, and the grid's voltage
  Ac load() const;  // fed by the inverter off grid, else by the grid

 private:
  double OpenVoltage() const;
  double CurrentForPower(double watt) const;
  double WantedCurrent(const Target& target, const Limits& limits);
  double LoadPower() const;
  double LoadVoltage() const;
  double LoadFrequency() const;
  double ToDc(double ac_watt) const;
  double ToAc(double dc_watt) const;

  const Settings settings_;
  double grid_voltage_v_ = 0;
  double grid_frequency_hz_ = 0;
  double load_resistance_ohm_ = std::numeric_limits<double>::infinity();
  double load_capacitance_f_ = 0;
  bool connected_ = true;
  std::optional<double> fixed_open_voltage_;
  std::optional<double> fixed_heat_sink_;

  double state_of_charge_;
  double current_a_ = 0;
  double capacity_ah_ = 0;
  double energy_wh_ = 0;
  double heat_sink_degc_;
  bool holds_voltage_ = false;
  bool running_ = false;
  std::optional<Target> inverter_;  // set while off grid
  double reactive_var_ = 0;
};

}  // namespace canhub::ystech_pcs
