#include "drivers/battery-module/module_watch.h"

#include <algorithm>

namespace canhub::battery_module {
namespace {

LevelBounds Scaled(const Settings& settings, const LevelLimits& limits, double hysteresis,
                   const dbc::Signal* signal) {
  if (signal == nullptr) return {};
  LevelBounds bounds = ToBounds(limits, signal->factor, signal->offset, hysteresis);
  bounds.samples_to_warning = settings.samples_to_warning;
  bounds.samples_to_dangerous = settings.samples_to_dangerous;
  return bounds;
}

LevelLimits OnlyLow(LevelLimits limits) {
  limits.warning_high = limits.dangerous_high = std::nullopt;
  return limits;
}
LevelLimits OnlyHigh(LevelLimits limits) {
  limits.warning_low = limits.dangerous_low = std::nullopt;
  return limits;
}

void Worsen(Level level, Level* worst) { *worst = std::max(*worst, level); }

}  // namespace

Bounds MakeBounds(const Settings& settings, const Layout& layout) {
  const auto temperature = [&](const LevelLimits& limits, SignalRole role) {
    const dbc::Signal* signal = layout.SignalOf(role);
    LevelBounds bounds = Scaled(settings, limits, settings.temperature_low_hysteresis, signal);
    if (signal != nullptr && settings.temperature_release) {
      bounds.release_high = ToCounts(*settings.temperature_release, signal->factor, signal->offset);
    }
    return bounds;
  };
  const auto cell = [&](const LevelLimits& limits, SignalRole role) {
    return Scaled(settings, limits, settings.cell_hysteresis, layout.SignalOf(role));
  };
  Bounds bounds{.cell = cell(settings.cell_limits, SignalRole::kCell),
                .voltage = Scaled(settings, settings.module_limits, settings.module_hysteresis,
                                  layout.SignalOf(SignalRole::kVoltage)),
                .temperature_min =
                    temperature(OnlyLow(settings.temperature_limits), SignalRole::kTemperatureMin),
                .temperature_max =
                    temperature(OnlyHigh(settings.temperature_limits), SignalRole::kTemperatureMax),
                .sensor = temperature(settings.temperature_limits, SignalRole::kSensor),
                .reported_min = cell(OnlyLow(settings.cell_limits), SignalRole::kReportedCellMin),
                .reported_max = cell(OnlyHigh(settings.cell_limits), SignalRole::kReportedCellMax),
                .has_cells = layout.SignalOf(SignalRole::kCell) != nullptr};
  // Raw 0 is what a cell at or below the signal's floor gives: dangerous on a fitted cell, whatever
  // is configured (facts, section 4.3).
  for (LevelBounds* of_cells : {&bounds.cell, &bounds.reported_min}) {
    of_cells->dangerous_low = std::max<int64_t>(of_cells->dangerous_low.value_or(0), 0);
  }
  return bounds;
}

ModuleWatch::ModuleWatch(const Settings& settings, const Bounds& bounds)
    : has_cells_(bounds.has_cells),
      cells_(static_cast<size_t>(settings.cells)),
      cell_levels_(static_cast<size_t>(settings.cells), LevelTracker(&bounds.cell)),
      sensor_levels_(static_cast<size_t>(settings.sensors), LevelTracker(&bounds.sensor)),
      voltage_level_(&bounds.voltage),
      temperature_min_level_(&bounds.temperature_min),
      temperature_max_level_(&bounds.temperature_max),
      reported_min_level_(&bounds.reported_min),
      reported_max_level_(&bounds.reported_max) {}

void ModuleWatch::Sample(const Target& target, int64_t counts, double value, MonoTime time) {
  const auto keep = [&](Measured* measured, LevelTracker* level) {
    *measured = {value, time};
    if (level != nullptr) level->Sample(counts);
  };
  const auto at = static_cast<size_t>(target.number - 1);
  switch (target.role) {
    case SignalRole::kVoltage:
      return keep(&volt, &voltage_level_);
    case SignalRole::kCurrent:
      return keep(&ampere, nullptr);
    case SignalRole::kCell:
      return keep(&cells_[at], &cell_levels_[at]);
    case SignalRole::kReportedCellMin:
      return keep(&reported_min, &reported_min_level_);
    case SignalRole::kReportedCellMax:
      return keep(&reported_max, &reported_max_level_);
    case SignalRole::kTemperatureMin:
      return keep(&temperature_min, &temperature_min_level_);
    case SignalRole::kTemperatureMax:
      return keep(&temperature_max, &temperature_max_level_);
    case SignalRole::kSensor:
      return sensor_levels_[at].Sample(counts);
    case SignalRole::kSoc:
      return keep(&soc, nullptr);
    default:
      return;
  }
}

void ModuleWatch::Lose(const Target& target) {
  switch (target.role) {
    case SignalRole::kVoltage:
      volt.value.reset();
      return;
    case SignalRole::kCurrent:
      ampere.value.reset();
      return;
    case SignalRole::kCell:
      cells_[static_cast<size_t>(target.number - 1)].value.reset();
      return;
    case SignalRole::kReportedCellMin:
      reported_min.value.reset();
      return;
    case SignalRole::kReportedCellMax:
      reported_max.value.reset();
      return;
    case SignalRole::kTemperatureMin:
      temperature_min.value.reset();
      return;
    case SignalRole::kTemperatureMax:
      temperature_max.value.reset();
      return;
    case SignalRole::kSoc:
      soc.value.reset();
      return;
    default:
      return;
  }
}

ModuleWatch::Sides ModuleWatch::cells() const {
  Sides worst{reported_min_level_.low(), reported_max_level_.high()};
  if (has_cells_) worst = {};
  for (const LevelTracker& cell : cell_levels_) {
    Worsen(cell.low(), &worst.low);
    Worsen(cell.high(), &worst.high);
  }
  return worst;
}

ModuleWatch::Sides ModuleWatch::temperature() const {
  Sides worst{temperature_min_level_.low(), temperature_max_level_.high()};
  for (const LevelTracker& sensor : sensor_levels_) {
    Worsen(sensor.low(), &worst.low);
    Worsen(sensor.high(), &worst.high);
  }
  return worst;
}

std::optional<Extremes> ModuleWatch::CellExtremes(MonoTime now, Duration stale_after) const {
  if (!has_cells_) {
    if (!reported_min.FreshAt(now, stale_after) || !reported_max.FreshAt(now, stale_after) ||
        !volt.FreshAt(now, stale_after)) {
      return std::nullopt;
    }
    return Extremes{.min = *reported_min.value,
                    .max = *reported_max.value,
                    .sum = *volt.value,
                    .time = std::min({reported_min.time, reported_max.time, volt.time})};
  }
  Extremes found;
  for (size_t i = 0; i < cells_.size(); ++i) {
    const Measured& cell = cells_[i];
    if (!cell.FreshAt(now, stale_after)) return std::nullopt;
    const int number = static_cast<int>(i) + 1;
    found.sum += *cell.value;
    if (i == 0 || *cell.value < found.min) {
      found.min = *cell.value;
      found.min_number = number;
    }
    if (i == 0 || *cell.value > found.max) {
      found.max = *cell.value;
      found.max_number = number;
    }
    found.time = i == 0 ? cell.time : std::min(found.time, cell.time);
  }
  return found;
}

}  // namespace canhub::battery_module
