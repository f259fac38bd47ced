#include "drivers/battery-module/pack_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

namespace canhub::battery_module {
namespace {

// The open-circuit voltage: a line is enough (facts, section 12.6).
constexpr double kEmptyVolt = 3.0;
constexpr double kFullVolt = 4.2;
// First order, chosen: 100 A through twelve cells of 1 milliohm end 24 K above the ambient.
constexpr double kKelvinPerWatt = 0.2;
constexpr double kThermalSeconds = 600;

}  // namespace

PackModel::PackModel(const PackOptions& options) : options_(options) {
  std::mt19937_64 random(options.seed);
  const double spread = options.imbalance_v / (kFullVolt - kEmptyVolt);
  for (int m = 0; m < options.modules; ++m) {
    Module module{.degc = options.ambient_degc};
    for (int c = 0; c < options.cells; ++c) {
      // -1 … 1, by the generator's own bits: distributions differ from library to library.
      const double unit = static_cast<double>(random() >> 11) * 0x1p-52 - 1;
      module.cells.push_back({options.soc + unit * spread});
    }
    modules_.push_back(std::move(module));
  }
}

void PackModel::Advance(Duration time) {
  const double seconds = std::chrono::duration<double>(time).count();
  const double used = ampere_ * seconds / 3600 / options_.capacity_ah;
  for (Module& module : modules_) {
    for (Cell& cell : module.cells) cell.soc = std::clamp(cell.soc - used, -0.2, 1.3);
    (ampere_ > 0 ? module.discharge_as : module.charge_as) += std::abs(ampere_) * seconds;
    const double watt = ampere_ * ampere_ * options_.cell_resistance_ohm * options_.cells;
    const double end = options_.ambient_degc + watt * kKelvinPerWatt;
    module.degc = end + (module.degc - end) * std::exp(-seconds / kThermalSeconds);
  }
}

double PackModel::CellSoc(int module, int cell) const {
  return modules_[At(module)].cells[At(cell)].soc;
}

double PackModel::CellVoltage(int module, int cell) const {
  return kEmptyVolt + (kFullVolt - kEmptyVolt) * CellSoc(module, cell) -
         ampere_ * options_.cell_resistance_ohm;
}

double PackModel::ModuleVoltage(int module) const {
  double sum = 0;
  for (int cell = 1; cell <= options_.cells; ++cell) sum += CellVoltage(module, cell);
  return sum;
}

double PackModel::PackVoltage(int modules) const {
  double sum = 0;
  for (int module = 1; module <= modules; ++module) sum += ModuleVoltage(module);
  return sum;
}

}  // namespace canhub::battery_module
