// The made-up plant behind the simulated gateway: sun, load, grid, battery, and what its units
// measure of them. Behaviour only as far as clients can see it; numbers are invented.
#pragma once

#include <cstdint>
#include <optional>
#include <random>

#include "drivers/api/time.h"
#include "drivers/studer/catalogue.h"

namespace canhub::studer {

struct PlantOptions {
  double start_hour = 10;       // of the day, at Start
  Duration day{};               // how long a day takes
  double nominal_voltage = 48;  // 12, 24, 48
  double mains_voltage = 230;
  int xtenders = 0, variotracks = 0, variostrings = 0;
};

// What one unit has to say that comes from its own settings.
struct UnitState {
  bool on = true;
  double output_voltage = 230;  // Xtender, set value
  bool inverter_allowed = true;
  bool charger_allowed = true;
  bool transfer_allowed = true;
  double charge_current = 60;  // A, at most
  double input_limit = 32;     // A
};

// Stepped by the clock that it is given; nothing happens between two calls.
class Plant {
 public:
  Plant(PlantOptions options, uint64_t seed, MonoTime start);

  // Integrates to `now` with the units as they are.
  void AdvanceTo(MonoTime now);
  void SetGrid(bool present) { grid_ = present; }
  void SetClouds(double share) { clouds_ = share; }  // 0: none, 1: dark
  // `xtender` from 0. What the unit may do from now on.
  void SetXtender(int xtender, const UnitState& state);
  void SetSolar(bool on) { solar_on_ = on; }

  // The info of unit `number` (from 0) of the family; nullopt: this plant does not model it.
  std::optional<double> Info(Family family, int number, uint16_t id) const;

  double hour() const { return hour_; }
  double state_of_charge() const { return soc_; }  // 0 … 1
  double battery_voltage() const;
  bool grid() const { return grid_; }

 private:
  void Step(double seconds);
  std::optional<double> Xtender(int number, uint16_t id) const;
  std::optional<double> VarioTrack(uint16_t id) const;
  std::optional<double> VarioString(uint16_t id) const;
  std::optional<double> Battery(uint16_t id, bool bms) const;
  double SolarUnits() const { return options_.variotracks + options_.variostrings; }

  const PlantOptions options_;
  std::mt19937_64 random_;
  MonoTime now_;
  double hour_;
  bool grid_ = true;
  bool solar_on_ = true;
  double clouds_ = 0;
  double wind_ = 0;  // slow noise of the clouds and of the load
  UnitState xtenders_[9];
  // All W, positive: produced, consumed, taken from the grid, into the battery.
  double solar_ = 0, load_ = 0, from_grid_ = 0, into_battery_ = 0;
  bool transfer_ = false;
  double soc_ = 0.6;
  // Of the day, Wh or Ah.
  double produced_ = 0, consumed_ = 0, grid_energy_ = 0, discharged_ = 0;
  double charged_ah_ = 0, discharged_ah_ = 0;
};

}  // namespace canhub::studer
