#include "drivers/battery-module/pack_alarms.h"

namespace canhub::battery_module {
namespace {

struct Row {
  const char* name;
  AlarmSeverity severity;
};
constexpr AlarmSeverity kWarning = AlarmSeverity::kWarning;
constexpr AlarmSeverity kCritical = AlarmSeverity::kCritical;

constexpr Row kModuleRows[] = {{"cell_low_warning", kWarning},
                               {"cell_low_dangerous", kCritical},
                               {"cell_high_warning", kWarning},
                               {"cell_high_dangerous", kCritical},
                               {"voltage_low_warning", kWarning},
                               {"voltage_low_dangerous", kCritical},
                               {"voltage_high_warning", kWarning},
                               {"voltage_high_dangerous", kCritical},
                               {"temperature_low_warning", kWarning},
                               {"temperature_low_dangerous", kCritical},
                               {"temperature_high_warning", kWarning},
                               {"temperature_high_dangerous", kCritical},
                               {"stale", kWarning},
                               {"stale_dangerous", kCritical},
                               {"sensors_stale", kWarning},
                               {"fault_warning", kWarning},
                               {"fault_dangerous", kCritical},
                               {"alarm_frame", kWarning},
                               {"implausible", kWarning},
                               {"unexpected", kWarning},
                               {"doubled", kWarning}};
constexpr Row kPackRows[] = {{"pack.none", kWarning},           {"pack.module_count", kWarning},
                             {"pack.missing", kCritical},       {"pack.all_stale", kCritical},
                             {"pack.contradiction", kCritical}, {"pack.implausible", kWarning}};

}  // namespace

std::string PackAlarms::CodeOf(int module, ModuleAlarm alarm) {
  return "module" + std::to_string(module) + "." + kModuleRows[static_cast<int>(alarm)].name;
}
std::string PackAlarms::CodeOf(PackAlarm alarm) { return kPackRows[static_cast<int>(alarm)].name; }
AlarmSeverity PackAlarms::SeverityOf(ModuleAlarm alarm) {
  return kModuleRows[static_cast<int>(alarm)].severity;
}
AlarmSeverity PackAlarms::SeverityOf(PackAlarm alarm) {
  return kPackRows[static_cast<int>(alarm)].severity;
}

void PackAlarms::Forget(int module) {
  for (size_t alarm = 0; alarm < std::size(kModuleRows); ++alarm) {
    Set(module, static_cast<ModuleAlarm>(alarm), false, [] { return std::string(); });
  }
}

}  // namespace canhub::battery_module
