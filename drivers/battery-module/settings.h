// The YAML's keys of one battery, checked and typed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/driver.h"
#include "drivers/api/levels.h"
#include "drivers/formats/dbc.h"

namespace canhub::battery_module {

inline constexpr int kMaxModules = 15;  // node identifiers 1 … 15 (facts, section 4.1)
inline constexpr int kMaxCells = 32;
inline constexpr int kMaxSensors = 16;

// Names of the DBC's signals by what they mean (facts, section 12.5); '#' stands for a number.
struct SignalNames {
  std::string voltage, current, cell, cell_min, cell_max, sensor, temperature_min, temperature_max,
      soc, soh;
};

struct Settings {
  std::shared_ptr<const dbc::Database> database;
  std::string message_prefix;  // letters before the module's two digits
  SignalNames names;
  int cells = 12;
  int sensors = 7;
  int expected_modules = 0;  // 0: as many as answer
  bool charging_is_positive = true;
  bool poll = true;
  Duration sync_period{};
  Duration request_period{};  // 0: never
  Duration stale_after{};
  Duration sensors_stale_after{};
  Duration dangerous_after{};
  LevelLimits cell_limits, module_limits, temperature_limits;
  double cell_hysteresis = 0, module_hysteresis = 0, temperature_low_hysteresis = 0;
  std::optional<double> temperature_release;
  int samples_to_warning = 2, samples_to_dangerous = 2;
  double cell_sum_tolerance = 0.3;       // V
  double cell_extreme_tolerance = 0.01;  // V
  double pack_tolerance_percent = 2;
  std::string pack_voltage_item;  // "" for none
};

// INVALID_ARGUMENT: the DBC, or what does not fit together. Whether the DBC has the modules,
// CheckLayout tells.
absl::StatusOr<Settings> ParseSettings(const DeviceConfig& config);
// The driver's own keys, without the simulator's.
std::vector<ParameterSpec> DriverParameters();

}  // namespace canhub::battery_module
