// The physics of a simulated pack: cells with an open-circuit curve and a resistance, modules that
// warm and cool. Knows no frames and no clock; whoever couples it to a converter sets its current.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/api/time.h"

namespace canhub::battery_module {

struct PackOptions {
  int modules = 15;
  int cells = 12;
  double soc = 0.5;  // 0 … 1
  double capacity_ah = 100;
  double imbalance_v = 0.01;  // largest difference of a cell's open-circuit voltage, either way
  double ambient_degc = 20;
  double cell_resistance_ohm = 0.001;  // facts, section 12.6
  uint64_t seed = 1;
};

// Modules and cells from 1.
class PackModel {
 public:
  explicit PackModel(const PackOptions& options);

  // Positive: discharge, as everywhere outside of the wire.
  void SetCurrent(double ampere) { ampere_ = ampere; }
  double current() const { return ampere_; }
  void Advance(Duration time);

  double CellVoltage(int module, int cell) const;
  double CellSoc(int module, int cell) const;
  double ModuleVoltage(int module) const;  // the sum of its cells
  double PackVoltage(int modules) const;   // of the first so many
  double Temperature(int module) const { return modules_[At(module)].degc; }
  double charge_as(int module) const { return modules_[At(module)].charge_as; }
  double discharge_as(int module) const { return modules_[At(module)].discharge_as; }
  double ambient() const { return options_.ambient_degc; }
  double resistance() const { return options_.cell_resistance_ohm; }

  // Heats, or cools, a module to this at once.
  void SetTemperature(int module, double degc) { modules_[At(module)].degc = degc; }

 private:
  struct Cell {
    double soc = 0;
  };
  struct Module {
    std::vector<Cell> cells;
    double degc = 0;
    double charge_as = 0, discharge_as = 0;
  };
  static size_t At(int number) { return static_cast<size_t>(number - 1); }

  const PackOptions options_;
  std::vector<Module> modules_;
  double ampere_ = 0;
};

}  // namespace canhub::battery_module
