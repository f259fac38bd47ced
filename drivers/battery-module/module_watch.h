// What is known of one module, and how bad it is. No frames, no alarms: the driver feeds and asks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "drivers/api/levels.h"
#include "drivers/api/time.h"
#include "drivers/battery-module/layout.h"
#include "drivers/battery-module/settings.h"

namespace canhub::battery_module {

// Levels in the counts of the DBC's own signals.
struct Bounds {
  LevelBounds cell, voltage, temperature_min, temperature_max, sensor, reported_min, reported_max;
  bool has_cells = false;  // the DBC has them one by one
};
Bounds MakeBounds(const Settings& settings, const Layout& layout);

// A value as it last came; none before, and none after an impossible one.
struct Measured {
  std::optional<double> value;
  MonoTime time{};
  bool FreshAt(MonoTime now, Duration stale_after) const {
    return value.has_value() && now - time < stale_after;
  }
};

struct Extremes {
  double min = 0, max = 0, sum = 0;
  int min_number = 0, max_number = 0;  // cells, from 1; 0: not told
  MonoTime time{};                     // of the oldest
};

// Not thread-safe.
class ModuleWatch {
 public:
  ModuleWatch(const Settings& settings, const Bounds& bounds);

  // A good value. `counts` as the module sent them.
  void Sample(const Target& target, int64_t counts, double value, MonoTime time);
  // A value that cannot be: what stood there is not known any more.
  void Lose(const Target& target);

  struct Sides {
    Level low = Level::kNormal, high = Level::kNormal;
  };
  Sides cells() const;
  Sides voltage() const { return {voltage_level_.low(), voltage_level_.high()}; }
  Sides temperature() const;

  // Of all fitted cells, where all are fresh; of the reported extremes where the DBC has no cells.
  std::optional<Extremes> CellExtremes(MonoTime now, Duration stale_after) const;
  const Measured& cell(int number) const { return cells_[static_cast<size_t>(number - 1)]; }

  Measured volt, ampere, soc, temperature_min, temperature_max, reported_min, reported_max;

 private:
  const bool has_cells_;
  std::vector<Measured> cells_;
  std::vector<LevelTracker> cell_levels_, sensor_levels_;
  LevelTracker voltage_level_, temperature_min_level_, temperature_max_level_, reported_min_level_,
      reported_max_level_;
};

}  // namespace canhub::battery_module
