// Alarms of a pack: each raised when its condition begins, cleared when it ends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub::battery_module {

// Of a module: "module3.cell_low_warning".
enum class ModuleAlarm : uint8_t {
  kCellLowWarning,
  kCellLowDangerous,
  kCellHighWarning,
  kCellHighDangerous,
  kVoltageLowWarning,
  kVoltageLowDangerous,
  kVoltageHighWarning,
  kVoltageHighDangerous,
  kTemperatureLowWarning,
  kTemperatureLowDangerous,
  kTemperatureHighWarning,
  kTemperatureHighDangerous,
  kStale,
  kStaleDangerous,
  kSensorsStale,
  kFaultWarning,
  kFaultDangerous,
  kAlarmFrame,
  kImplausible,
  kUnexpected,
  kDoubled,
};

// Of the pack: "pack.contradiction".
enum class PackAlarm : uint8_t {
  kNone,
  kCount,
  kMissingDangerous,
  kAllStale,
  kContradiction,
  kImplausible
};

class PackAlarms {
 public:
  explicit PackAlarms(AlarmSink& sink) : sink_(sink) {}
  // `text` is a function that gives the text; called only when the condition begins.
  template <typename Text>
  void Set(int module, ModuleAlarm alarm, bool active, Text text) {
    uint32_t& mask = modules_[module];
    const uint32_t bit = uint32_t{1} << static_cast<int>(alarm);
    if (((mask & bit) != 0) == active) return;
    mask ^= bit;
    if (active) {
      sink_.Raise(CodeOf(module, alarm), SeverityOf(alarm),
                  "module " + std::to_string(module) + ": " + text());
    } else {
      sink_.Clear(CodeOf(module, alarm));
    }
  }
  template <typename Text>
  void Set(PackAlarm alarm, bool active, Text text) {
    const uint32_t bit = uint32_t{1} << static_cast<int>(alarm);
    if (((pack_ & bit) != 0) == active) return;
    pack_ ^= bit;
    if (active) {
      sink_.Raise(CodeOf(alarm), SeverityOf(alarm), text());
    } else {
      sink_.Clear(CodeOf(alarm));
    }
  }
  // Of modules that are no part of the pack any more.
  void Forget(int module);

  static std::string CodeOf(int module, ModuleAlarm alarm);
  static std::string CodeOf(PackAlarm alarm);
  static AlarmSeverity SeverityOf(ModuleAlarm alarm);
  static AlarmSeverity SeverityOf(PackAlarm alarm);

 private:
  AlarmSink& sink_;
  uint32_t modules_[16] = {};  // by number; 0 is not used
  uint32_t pack_ = 0;
};

}  // namespace canhub::battery_module
