// How bad it is: levels, alarms, and the values of the pack (facts, section 5.4).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "drivers/battery-module/battery_driver.h"

namespace canhub::battery_module {
namespace {

namespace pack = battery::pack;
using battery::Presence;

// Ticks in a row in which the pack's voltage differs from what another device measures.
constexpr int kPackImplausible = 3;
// What is the driver's own judgement is good for so many ticks.
constexpr int kOwnPeriods = 10;

std::string Volts(double value) {
  return Value::Number(std::round(value * 1e3) / 1e3).ToString() + " V";
}

std::string Degrees(double value) { return Value::Number(value).ToString() + " degC"; }

Value LevelValue(Level level) { return Value::Integer(static_cast<int>(level)); }

}  // namespace

bool BatteryDriver::MainIsFresh(int number, MonoTime now) const {
  for (size_t r = 0; r < layout_.routes().size(); ++r) {
    const Route& route = layout_.routes()[r];
    if (route.module != number || route.group != Group::kMain) continue;
    if (route_times_[r] == MonoTime{} || now - route_times_[r] >= stale_after_) return false;
  }
  const ModuleWatch& watch = modules_[static_cast<size_t>(number - 1)].watch;
  // A frame whose values cannot be is no sign of health.
  return watch.volt.FreshAt(now, stale_after_) &&
         watch.temperature_max.FreshAt(now, stale_after_) &&
         watch.CellExtremes(now, stale_after_).has_value();
}

void BatteryDriver::SetOwn(ItemId item, Value value) {
  const Duration tick = std::max<Duration>(kTick, settings_.stale_after / 10);
  context_.state.Set(item, std::move(value), context_.clock.Now(), kOwnPeriods * tick);
}

void BatteryDriver::Tick() {
  const MonoTime now = context_.clock.Now();
  double sum = 0;
  bool complete = latched_ > 0;
  for (int number = 1; number <= kMaxModules; ++number) {
    Module& module = At(number);
    const bool supervised = IsSupervised(module);
    if (supervised && !module.latched && !MainIsFresh(number, now)) {
      // Nobody expected it, nobody misses it.
      module.seen = 0;
      alarms_.Forget(number);
    } else if (supervised) {
      const bool fresh = MainIsFresh(number, now);
      if (!fresh && !module.stale) module.stale_since = now;
      module.stale = !fresh;
      if (module.alarm_seen && now - module.alarm_time >= std::chrono::milliseconds(1500)) {
        AlarmIsBad(number, "its alarm frame has not come for 1.5 s");
      }
      JudgeModule(number, now);
    }
    PublishModule(number, now);
    if (!module.latched) continue;
    complete = complete && module.watch.volt.FreshAt(now, stale_after_);
    sum += module.watch.volt.value.value_or(0);
  }
  if (phase_ == Phase::kLatched || latched_ > 0) {
    level_published_ = false;  // it is good for a while only
    JudgePack(now);
    PublishPack(now);
    if (complete) CheckPackVoltage(sum);
  }
  UpdateLink(now);
  if (!polled_ && latched_ > 0 && link_ == LinkState::kOnline) {
    bool all = true;
    for (int number = 1; number <= kMaxModules; ++number) {
      all = all && (!At(number).latched || MainIsFresh(number, now));
    }
    if (all) context_.state.SetPolled(polled_ = true);
  }
}

void BatteryDriver::PublishModule(int number, MonoTime) {
  const Module& module = At(number);
  const bool supervised = IsSupervised(module);
  if (!supervised && route_times_.empty()) return;
  const Presence presence = !supervised       ? Presence::kAbsent
                            : !module.latched ? Presence::kUnexpected
                            : module.stale    ? Presence::kStale
                                              : Presence::kGood;
  if (phase_ != Phase::kLatched && latched_ == 0) return;  // not known yet
  SetOwn(items_.Module(number, spec_.presence), Value::Integer(static_cast<int>(presence)));
  if (supervised) SetOwn(items_.Module(number, spec_.level), LevelValue(module.level));
}

void BatteryDriver::JudgeModule(int number, MonoTime now) {
  Module& module = At(number);
  const ModuleWatch& watch = module.watch;
  const LevelLimits& cells = settings_.cell_limits;
  const LevelLimits& volts = settings_.module_limits;
  const LevelLimits& degrees = settings_.temperature_limits;
  const auto set = [&](ModuleAlarm warning, Level level, auto text) {
    const auto dangerous = static_cast<ModuleAlarm>(static_cast<int>(warning) + 1);
    alarms_.Set(number, warning, level >= Level::kWarning, [&] { return text(false); });
    alarms_.Set(number, dangerous, level == Level::kDangerous, [&] { return text(true); });
  };
  const auto cell_text = [&](bool low, std::optional<double> warning,
                             std::optional<double> dangerous) {
    return [&watch, now, low, warning, dangerous, this](bool danger) {
      const auto found = watch.CellExtremes(now, stale_after_);
      std::string text = "a cell";
      if (found) {
        const int cell = low ? found->min_number : found->max_number;
        if (cell > 0) text = "cell " + std::to_string(cell);
        text += ": " + Volts(low ? found->min : found->max);
      }
      const std::optional<double> bound = danger ? dangerous : warning;
      return text + (low ? " is at or below " : " is at or above ") +
             (danger ? "dangerous " : "warning ") + (bound ? Volts(*bound) : "the signal's floor");
    };
  };
  const auto module_text = [&](const Measured& value, bool low, std::optional<double> warning,
                               std::optional<double> dangerous, auto format) {
    return [&value, low, warning, dangerous, format](bool danger) {
      const std::optional<double> bound = danger ? dangerous : warning;
      return (value.value ? format(*value.value) : std::string("a value")) +
             (low ? " is at or below " : " is at or above ") +
             (danger ? "dangerous " : "warning ") + (bound ? format(*bound) : std::string());
    };
  };
  const ModuleWatch::Sides cell = watch.cells(), volt = watch.voltage(), heat = watch.temperature();
  set(ModuleAlarm::kCellLowWarning, cell.low,
      cell_text(true, cells.warning_low, cells.dangerous_low));
  set(ModuleAlarm::kCellHighWarning, cell.high,
      cell_text(false, cells.warning_high, cells.dangerous_high));
  set(ModuleAlarm::kVoltageLowWarning, volt.low,
      module_text(watch.volt, true, volts.warning_low, volts.dangerous_low, Volts));
  set(ModuleAlarm::kVoltageHighWarning, volt.high,
      module_text(watch.volt, false, volts.warning_high, volts.dangerous_high, Volts));
  set(ModuleAlarm::kTemperatureLowWarning, heat.low,
      module_text(watch.temperature_min, true, degrees.warning_low, degrees.dangerous_low,
                  Degrees));
  set(ModuleAlarm::kTemperatureHighWarning, heat.high,
      module_text(watch.temperature_max, false, degrees.warning_high, degrees.dangerous_high,
                  Degrees));
  set(ModuleAlarm::kFaultWarning, module.fault, [&](bool) { return module.fault_text; });
  const bool sensors_stale = module.latched && settings_.sensors > 0 &&
                             settings_.request_period > Duration(0) &&
                             layout_.FramesOf(number, Group::kSensors) > 0 &&
                             now - module.sensors_time >= settings_.sensors_stale_after;
  const auto stale_for = [&](bool stale, MonoTime since) {
    if (!stale) return Level::kNormal;
    return now - since >= settings_.dangerous_after ? Level::kDangerous : Level::kWarning;
  };
  module.data =
      std::max(stale_for(module.stale, module.stale_since),
               stale_for(sensors_stale, module.sensors_time + settings_.sensors_stale_after));
  alarms_.Set(number, ModuleAlarm::kStale, module.stale, [&] {
    return "no believable values for " +
           Value::Number(std::chrono::duration<double>(stale_after_).count()).ToString() + " s";
  });
  alarms_.Set(number, ModuleAlarm::kStaleDangerous, module.data == Level::kDangerous, [&] {
    return std::string(module.stale ? "it stays silent" : "its temperature sensors stay silent");
  });
  alarms_.Set(number, ModuleAlarm::kSensorsStale, sensors_stale,
              [] { return std::string("its temperature sensors are not answered"); });
  module.level = std::max(
      {cell.low, cell.high, volt.low, volt.high, heat.low, heat.high, module.fault, module.data});
}

Level BatteryDriver::DataLevel(MonoTime now, int* good) const {
  Level level = Level::kNormal;
  *good = 0;
  for (const Module& module : modules_) {
    if (!module.latched) continue;
    *good += module.stale ? 0 : 1;
    level = std::max(level, module.data);
  }
  if (*good == 0) return Level::kDangerous;
  if (latched_ < settings_.expected_modules) {
    // One that never came is as silent as one that fell silent.
    level = std::max(level, now - latched_at_ >= settings_.dangerous_after ? Level::kDangerous
                                                                           : Level::kWarning);
  }
  return level;
}

void BatteryDriver::JudgePack(MonoTime now) {
  if (latched_ == 0) return;
  ModuleWatch::Sides cell, volt, heat;
  Level fault = Level::kNormal, other = Level::kNormal;
  const auto worsen = [](const ModuleWatch::Sides& sides, ModuleWatch::Sides* worst) {
    worst->low = std::max(worst->low, sides.low);
    worst->high = std::max(worst->high, sides.high);
  };
  for (const Module& module : modules_) {
    if (!IsSupervised(module)) continue;
    worsen(module.watch.cells(), &cell);
    worsen(module.watch.voltage(), &volt);
    worsen(module.watch.temperature(), &heat);
    fault = std::max(fault, module.fault);
    const bool alarm_bad =
        module.alarm_garbled || module.live_stands >= 3 ||
        (module.alarm_seen && now - module.alarm_time >= std::chrono::milliseconds(1500));
    if (alarm_bad || !module.latched || module.implausible >= 2 || module.doubled >= kSeenOften) {
      other = std::max(other, Level::kWarning);
    }
  }
  int good = 0;
  const Level data = DataLevel(now, &good);
  const bool too_low = std::max(cell.low, volt.low) >= Level::kWarning;
  const bool too_high = std::max(cell.high, volt.high) >= Level::kWarning;
  const bool contradictory = too_low && too_high;
  alarms_.Set(PackAlarm::kContradiction, contradictory, [] {
    return std::string(
        "a voltage is too low and another too high: neither charging nor discharging mends it");
  });
  alarms_.Set(PackAlarm::kAllStale, good == 0, [] { return std::string("no module sends"); });
  alarms_.Set(PackAlarm::kMissingDangerous,
              latched_ < settings_.expected_modules && data == Level::kDangerous, [&] {
                return std::to_string(settings_.expected_modules - latched_) +
                       " of the expected modules never came";
              });
  if (latched_ != settings_.expected_modules && settings_.expected_modules > 0) {
    other = std::max(other, Level::kWarning);
  }
  const Level level =
      std::max({cell.low, cell.high, volt.low, volt.high, heat.low, heat.high, fault, data, other,
                contradictory ? Level::kDangerous : Level::kNormal});
  const bool changed = level != pack_level_ || !level_published_;
  pack_level_ = level;
  if (!changed) return;
  level_published_ = true;
  SetOwn(items_.Pack(pack::kLevel), LevelValue(level));
  SetOwn(items_.Pack(pack::kCellLowLevel), LevelValue(cell.low));
  SetOwn(items_.Pack(pack::kCellHighLevel), LevelValue(cell.high));
  SetOwn(items_.Pack(pack::kModuleLowLevel), LevelValue(volt.low));
  SetOwn(items_.Pack(pack::kModuleHighLevel), LevelValue(volt.high));
  SetOwn(items_.Pack(pack::kTemperatureLowLevel), LevelValue(heat.low));
  SetOwn(items_.Pack(pack::kTemperatureHighLevel), LevelValue(heat.high));
  SetOwn(items_.Pack(pack::kDataLevel), LevelValue(data));
  SetOwn(items_.Pack(pack::kFaultLevel), LevelValue(fault));
  SetOwn(items_.Pack(pack::kIsContradictory), Value::Flag(contradictory));
}

// ---------------------------------------------------------------- the pack's values

void BatteryDriver::PublishPack(MonoTime now) {
  struct Range {
    double min = 0, max = 0, sum = 0;
    int min_module = 0, max_module = 0, min_cell = 0, max_cell = 0, count = 0;
    bool complete = true;
    MonoTime time = kNever;
    void Add(double value, int module, MonoTime when) { Add(value, value, module, when); }
    void Add(double low, double high, int module, MonoTime when, int low_cell = 0,
             int high_cell = 0) {
      if (count == 0 || low < min) {
        min = low;
        min_module = module;
        min_cell = low_cell;
      }
      if (count == 0 || high > max) {
        max = high;
        max_module = module;
        max_cell = high_cell;
      }
      ++count;
      time = std::min(time, when);
    }
  };
  Range cell, volt, ampere, heat, soc;
  int good = 0, unexpected = 0;
  for (int number = 1; number <= kMaxModules; ++number) {
    const Module& module = At(number);
    if (!module.latched) {
      unexpected += IsSupervised(module) ? 1 : 0;
      continue;
    }
    good += module.stale ? 0 : 1;
    const ModuleWatch& watch = module.watch;
    const auto add = [&](const Measured& measured, Range* range) {
      if (!measured.FreshAt(now, stale_after_)) {
        range->complete = false;
      } else {
        range->sum += *measured.value;
        range->Add(*measured.value, number, measured.time);
      }
    };
    add(watch.volt, &volt);
    add(watch.ampere, &ampere);
    add(watch.soc, &soc);
    if (watch.temperature_min.value && !watch.temperature_min.FreshAt(now, stale_after_)) {
      heat.complete = false;
    }
    if (watch.temperature_max.FreshAt(now, stale_after_)) {
      heat.Add(watch.temperature_min.value.value_or(*watch.temperature_max.value),
               *watch.temperature_max.value, number, watch.temperature_max.time);
    } else {
      heat.complete = false;
    }
    if (const auto found = watch.CellExtremes(now, stale_after_)) {
      cell.sum += found->sum;
      cell.Add(found->min, found->max, number, found->time, found->min_number, found->max_number);
    } else {
      cell.complete = false;
    }
  }
  SetOwn(items_.Pack(pack::kModuleCount), Value::Integer(latched_));
  SetOwn(items_.Pack(pack::kModulesGood), Value::Integer(good));
  SetOwn(items_.Pack(pack::kModulesUnexpected), Value::Integer(unexpected));
  const auto set = [&](const Range& range, const char* name, const Value& value) {
    const ItemId item = items_.Pack(name);
    if (!range.complete || range.count == 0) {
      // A pack of which a part is not known has no extremes: the unknown one may be it.
      if (context_.state.Pending(item).quality == Quality::kGood) {
        context_.state.Invalidate(item, Quality::kStale);
      }
      return;
    }
    context_.state.Set(item, value, range.time, stale_after_);
  };
  const auto number = [](double value) { return Value::Number(value); };
  const auto whole = [](int value) { return Value::Integer(value); };
  set(volt, pack::kVoltage, number(volt.sum));
  set(volt, pack::kModuleMin, number(volt.min));
  set(volt, pack::kModuleMax, number(volt.max));
  set(volt, pack::kModuleSpread, number(volt.max - volt.min));
  set(volt, pack::kModuleMinModule, whole(volt.min_module));
  set(volt, pack::kModuleMaxModule, whole(volt.max_module));
  set(cell, pack::kCellSum, number(cell.sum));
  set(cell, pack::kCellMin, number(cell.min));
  set(cell, pack::kCellMax, number(cell.max));
  set(cell, pack::kCellSpread, number(cell.max - cell.min));
  set(cell, pack::kCellMinModule, whole(cell.min_module));
  set(cell, pack::kCellMaxModule, whole(cell.max_module));
  set(cell, pack::kCellMinCell, whole(cell.min_cell));
  set(cell, pack::kCellMaxCell, whole(cell.max_cell));
  set(ampere, pack::kCurrentMean, number(ampere.count > 0 ? ampere.sum / ampere.count : 0));
  set(ampere, pack::kCurrentMin, number(ampere.min));
  set(ampere, pack::kCurrentMax, number(ampere.max));
  set(heat, pack::kTemperatureMin, number(heat.min));
  set(heat, pack::kTemperatureMax, number(heat.max));
  set(heat, pack::kTemperatureSpread, number(heat.max - heat.min));
  set(heat, pack::kTemperatureMinModule, whole(heat.min_module));
  set(heat, pack::kTemperatureMaxModule, whole(heat.max_module));
  set(soc, pack::kSocMin, number(soc.min));
  set(soc, pack::kSocMax, number(soc.max));
}

void BatteryDriver::CheckPackVoltage(double sum) {
  if (settings_.pack_voltage_item.empty()) return;
  const std::optional<OtherReading> other = context_.readings.Read(settings_.pack_voltage_item);
  // What nobody measures contradicts nothing; that it is not measured, its own device tells.
  if (!other || other->quality != Quality::kGood || !other->value.has_value() ||
      other->value.type() == ValueType::kText) {
    pack_implausible_ = 0;
    return;
  }
  const double measured = other->value.AsNumber();
  const bool differs =
      std::abs(sum - measured) > std::abs(measured) * settings_.pack_tolerance_percent / 100;
  pack_implausible_ = differs ? pack_implausible_ + 1 : 0;
  alarms_.Set(PackAlarm::kImplausible, pack_implausible_ >= kPackImplausible, [&] {
    return "its modules make " + Volts(sum) + ", " + settings_.pack_voltage_item + " says " +
           Volts(measured);
  });
}

}  // namespace canhub::battery_module
