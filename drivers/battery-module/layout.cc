#include "drivers/battery-module/layout.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "drivers/api/battery.h"
#include "drivers/api/errors.h"

namespace canhub::battery_module {
namespace {

namespace module_item = battery::module;

// What the host sends, and the answers to it: no values of a module (facts, section 4.2).
bool IsTransport(const dbc::Message& message) { return message.FindSignal("SDO_Command") >= 0; }

// "BMU07_pdo1" → 7; 0: no message of a module.
int ModuleOf(const dbc::Message& message, const std::string& prefix) {
  std::string_view name = message.name;
  if (!name.starts_with(prefix)) return 0;
  name.remove_prefix(prefix.size());
  if (name.size() < 4 || name[2] != '_' || name[0] < '0' || name[0] > '9' || name[1] < '0' ||
      name[1] > '9') {
    return 0;
  }
  const int module = 10 * (name[0] - '0') + name[1] - '0';
  return module <= kMaxModules && !IsTransport(message) ? module : 0;
}

// "Cell_#_Voltage", "Cell_7_Voltage" → 7; 0: no such name.
int NumberIn(std::string_view pattern, std::string_view name) {
  const size_t hash = pattern.find('#');
  if (hash == std::string_view::npos) return 0;
  const std::string_view before = pattern.substr(0, hash), after = pattern.substr(hash + 1);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) ||
      !name.ends_with(after)) {
    return 0;
  }
  name = name.substr(before.size(), name.size() - before.size() - after.size());
  int number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() && number > 0 ? number : 0;
}

Target Classify(const dbc::Signal& signal, const Settings& settings, const PackItems* items) {
  const SignalNames& names = settings.names;
  const auto item = [&](SignalRole role, std::string_view name, int number = 0) {
    return Target{role, number, items == nullptr ? -1 : items->FindSpec(name)};
  };
  const std::pair<const std::string&, std::pair<SignalRole, const char*>> fixed[] = {
      {names.voltage, {SignalRole::kVoltage, module_item::kVoltage}},
      {names.current, {SignalRole::kCurrent, module_item::kCurrent}},
      {names.cell_min, {SignalRole::kReportedCellMin, "reported_cell_min"}},
      {names.cell_max, {SignalRole::kReportedCellMax, "reported_cell_max"}},
      {names.temperature_min, {SignalRole::kTemperatureMin, module_item::kTemperatureMin}},
      {names.temperature_max, {SignalRole::kTemperatureMax, module_item::kTemperatureMax}},
      {names.soc, {SignalRole::kSoc, module_item::kSoc}},
      {names.soh, {SignalRole::kOther, module_item::kSoh}}};
  for (const auto& [name, what] : fixed) {
    if (signal.name == name) return item(what.first, what.second);
  }
  if (const int cell = NumberIn(names.cell, signal.name); cell > 0) {
    if (cell > settings.cells) return {};  // not fitted
    return item(SignalRole::kCell, "cell" + std::to_string(cell) + "_voltage", cell);
  }
  if (const int sensor = NumberIn(names.sensor, signal.name); sensor > 0) {
    if (sensor > settings.sensors) return {};
    return item(SignalRole::kSensor, "temperature" + std::to_string(sensor), sensor);
  }
  for (const AlarmBit& bit : AlarmBits()) {
    if (signal.name == bit.signal) return {SignalRole::kAlarmBit, bit.bit, -1};
  }
  struct Row {
    const char* signal;
    SignalRole role;
    const char* item;
  };
  static constexpr Row kRows[] = {{"CMA_Status", SignalRole::kOther, "status"},
                                  {"CellBalancingStatus", SignalRole::kOther, "balancing"},
                                  {"Charge_Ah_from_BMU", SignalRole::kOther, "charge"},
                                  {"Discharge_Ah_from_BMU", SignalRole::kOther, "discharge"},
                                  {"AL_WorstCell", SignalRole::kOther, "worst_cell"},
                                  {"AL_WorstTempSensor", SignalRole::kOther, "worst_sensor"},
                                  {"FaultCode", SignalRole::kFaultCode, "fault_code"},
                                  {"LiveCounter", SignalRole::kLiveCounter, "live_counter"},
                                  {"Crc8", SignalRole::kCrc, ""},
                                  {"InfoPage", SignalRole::kInfoPage, "info_page"},
                                  {"CellCount", SignalRole::kOther, "cell_count"},
                                  {"TempSensorCount", SignalRole::kOther, "sensor_count"},
                                  {"HwRevision", SignalRole::kOther, "hardware_revision"},
                                  {"SwMajor", SignalRole::kOther, "software_major"},
                                  {"SwMinor", SignalRole::kOther, "software_minor"},
                                  {"SerialNumber", SignalRole::kOther, "serial_number"},
                                  {"BuildWeek", SignalRole::kOther, "build_week"},
                                  {"BuildYear", SignalRole::kOther, "build_year"},
                                  {"RatedCapacity", SignalRole::kOther, "rated_capacity"},
                                  {"TempOffset", SignalRole::kOther, "temperature_offset"},
                                  {"CellResistance", SignalRole::kCellResistance, ""}};
  for (const Row& row : kRows) {
    if (signal.name == row.signal) return item(row.role, row.item);
  }
  // Cell01_SOC … of pdo7 and pdo8.
  if (signal.name.starts_with("Cell") && signal.name.ends_with("_SOC")) {
    int cell = 0;
    std::from_chars(signal.name.data() + 4, signal.name.data() + signal.name.size(), cell);
    if (cell >= 1 && cell <= settings.cells) {
      return item(SignalRole::kOther, "cell" + std::to_string(cell) + "_soc");
    }
  }
  return {};
}

// A group by what is in it.
Group GroupOf(const std::vector<Target>& targets) {
  const auto has = [&](SignalRole role) {
    return std::any_of(targets.begin(), targets.end(),
                       [&](const Target& target) { return target.role == role; });
  };
  if (has(SignalRole::kVoltage) || has(SignalRole::kCell) || has(SignalRole::kTemperatureMax) ||
      has(SignalRole::kReportedCellMin)) {
    return Group::kMain;
  }
  if (has(SignalRole::kSensor)) return Group::kSensors;
  if (has(SignalRole::kAlarmBit)) return Group::kAlarm;
  if (has(SignalRole::kInfoPage)) return Group::kInfo;
  return Group::kExtra;
}

bool HasLevels(SignalRole role) {
  return role == SignalRole::kVoltage || role == SignalRole::kCell ||
         role == SignalRole::kTemperatureMin || role == SignalRole::kTemperatureMax ||
         role == SignalRole::kSensor || role == SignalRole::kReportedCellMin ||
         role == SignalRole::kReportedCellMax;
}

bool SameScaling(const dbc::Signal& a, const dbc::Signal& b) {
  return a.factor == b.factor && a.offset == b.offset && a.is_signed == b.is_signed;
}

std::string ScalingText(const dbc::Signal& signal) {
  return "factor " + Value::Number(signal.factor).ToString() + ", offset " +
         Value::Number(signal.offset).ToString() + (signal.is_signed ? ", signed" : ", unsigned");
}

}  // namespace

Layout::Layout(const Settings& settings, const PackItems& items) : by_id_(0x800, -1) {
  for (const dbc::Message& message : settings.database->messages) {
    const int module = ModuleOf(message, settings.message_prefix);
    if (module == 0 || message.extended) continue;
    Route route{.message = &message, .module = module};
    for (const dbc::Signal& signal : message.signals) {
      route.targets.push_back(Classify(signal, settings, &items));
      route.has_voltage |= route.targets.back().role == SignalRole::kVoltage;
    }
    route.group = GroupOf(route.targets);
    by_id_[message.id] = static_cast<int16_t>(routes_.size());
    routes_.push_back(std::move(route));
  }
}

const Route* Layout::Find(const CanFrame& frame) const {
  if (frame.extended || frame.remote || frame.id >= by_id_.size()) return nullptr;
  const int16_t index = by_id_[frame.id];
  return index < 0 ? nullptr : &routes_[static_cast<size_t>(index)];
}

int Layout::FramesOf(int module, Group group) const {
  return static_cast<int>(std::count_if(routes_.begin(), routes_.end(), [&](const Route& route) {
    return route.module == module && route.group == group;
  }));
}

const dbc::Signal* Layout::SignalOf(SignalRole role) const {
  for (const Route& route : routes_) {
    for (size_t i = 0; i < route.targets.size(); ++i) {
      if (route.targets[i].role == role) return &route.message->signals[i];
    }
  }
  return nullptr;
}

double HighestModuleVolt(const Settings& settings, const Layout& layout) {
  const dbc::Signal* cell = layout.SignalOf(SignalRole::kCell);
  if (cell == nullptr || !cell->maximum) return std::numeric_limits<double>::infinity();
  return settings.cells * *cell->maximum + settings.cell_sum_tolerance;
}

absl::Status CheckLayout(const Settings& settings, const std::string& device_id) {
  const auto wrong = [&](const std::string& text) {
    return MakeError(absl::StatusCode::kInvalidArgument, "DBC_DOES_NOT_FIT",
                     device_id + ": " + settings.database->file + ": " + text,
                     {{"device_id", device_id}, {"file", settings.database->file}});
  };
  // The first of each role: bounds are in its counts, for all modules, cells and sensors.
  std::map<SignalRole, std::pair<const dbc::Signal*, std::string>> judged_as;
  int modules = 0;
  for (int module = 1; module <= kMaxModules; ++module) {
    std::set<std::string> missing = {settings.names.voltage, settings.names.temperature_max};
    std::set<int> cells;
    bool any = false, extremes[2] = {false, false};
    for (const dbc::Message& message : settings.database->messages) {
      if (ModuleOf(message, settings.message_prefix) != module) continue;
      any = true;
      if (message.extended) {
        return wrong(message.name + ": found a 29-bit identifier, expected 11 bits");
      }
      if (!message.problem.empty()) return wrong(message.problem);
      if (message.length > 8) {
        return wrong(message.name + ": found " + std::to_string(message.length) +
                     " bytes, expected at most 8");
      }
      for (const dbc::Signal& signal : message.signals) {
        missing.erase(signal.name);
        const Target target = Classify(signal, settings, nullptr);
        if (target.role == SignalRole::kCell) cells.insert(target.number);
        extremes[0] |= target.role == SignalRole::kReportedCellMin;
        extremes[1] |= target.role == SignalRole::kReportedCellMax;
        if (HasLevels(target.role) &&
            (signal.is_float || signal.factor <= 0 || signal.length > 32)) {
          return wrong(message.name + "." + signal.name +
                       ": found a float, a factor that is not above 0 or more than 32 bits, "
                       "expected counts that rise with the quantity");
        }
        if (!HasLevels(target.role)) continue;
        const std::string name = message.name + "." + signal.name;
        const auto& [first, first_name] =
            judged_as.try_emplace(target.role, &signal, name).first->second;
        if (!SameScaling(*first, signal)) {
          return wrong(name + ": found " + ScalingText(signal) + ", expected " +
                       ScalingText(*first) + " as " + first_name +
                       " has: one bound is for both, in counts");
        }
      }
    }
    if (!any) continue;
    ++modules;
    const std::string name =
        settings.message_prefix + (module < 10 ? "0" : "") + std::to_string(module) + "_…";
    if (!missing.empty()) {
      return wrong(name + ": found no signal " + *missing.begin() + ", expected one");
    }
    const bool all_cells = static_cast<int>(cells.size()) == settings.cells;
    if (!all_cells && !(cells.empty() && extremes[0] && extremes[1])) {
      return wrong(name + ": found " + std::to_string(cells.size()) + " cells, expected the " +
                   std::to_string(settings.cells) +
                   " of cells_per_module, or none and a lowest and a highest cell");
    }
  }
  if (modules == 0) {
    return wrong("found no message named " + settings.message_prefix +
                 ", two digits, underscore, and more; expected at least one module");
  }
  if (settings.expected_modules > modules) {
    return wrong("found " + std::to_string(modules) + " modules, expected at least the " +
                 std::to_string(settings.expected_modules) + " of expected_modules");
  }
  return absl::OkStatus();
}

std::vector<CanFilter> ModuleFilters(const Settings& settings) {
  std::vector<CanFilter> filters;
  for (const dbc::Message& message : settings.database->messages) {
    if (ModuleOf(message, settings.message_prefix) > 0) {
      filters.push_back({.id = message.id, .mask = 0x7FF});
    }
  }
  return filters;
}

}  // namespace canhub::battery_module
