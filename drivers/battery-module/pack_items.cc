#include "drivers/battery-module/pack_items.h"

#include <cassert>
#include <utility>

#include "drivers/api/battery.h"
#include "drivers/battery-module/settings.h"

namespace canhub::battery_module {
namespace {

namespace pack = battery::pack;
namespace module = battery::module;
using Meaning = AlarmBit::Meaning;

constexpr AlarmBit kAlarmBits[] = {
    {0, "AL_CellOverVoltWarn", "is_cell_over_voltage_warning", Meaning::kWarning},
    {1, "AL_CellOverVoltDanger", "is_cell_over_voltage_danger", Meaning::kDangerous},
    {2, "AL_CellUnderVoltWarn", "is_cell_under_voltage_warning", Meaning::kWarning},
    {3, "AL_CellUnderVoltDanger", "is_cell_under_voltage_danger", Meaning::kDangerous},
    {4, "AL_OverTempWarn", "is_over_temperature_warning", Meaning::kWarning},
    {5, "AL_OverTempDanger", "is_over_temperature_danger", Meaning::kDangerous},
    {6, "AL_UnderTempWarn", "is_under_temperature_warning", Meaning::kWarning},
    {7, "AL_UnderTempDanger", "is_under_temperature_danger", Meaning::kDangerous},
    {8, "AL_ModuleOverVoltWarn", "is_module_over_voltage_warning", Meaning::kWarning},
    {9, "AL_ModuleOverVoltDanger", "is_module_over_voltage_danger", Meaning::kDangerous},
    {10, "AL_ModuleUnderVoltWarn", "is_module_under_voltage_warning", Meaning::kWarning},
    {11, "AL_ModuleUnderVoltDanger", "is_module_under_voltage_danger", Meaning::kDangerous},
    {12, "AL_OverCurrentCharge", "is_over_current_charge", Meaning::kWarning},
    {13, "AL_OverCurrentDischarge", "is_over_current_discharge", Meaning::kWarning},
    {14, "AL_CellImbalance", "is_cell_imbalance", Meaning::kWarning},
    {15, "AL_SensorFault", "is_sensor_fault", Meaning::kWarning},
    {16, "AL_SelfTestFailed", "is_self_test_failed", Meaning::kDangerous},
    {17, "AL_BalancingActive", "is_balancing_active", Meaning::kInformation},
    {18, "AL_ContactorClosed", "is_contactor_closed", Meaning::kInformation},
};

constexpr ValueLabel kLevelLabels[] = {{0, "normal"}, {1, "warning"}, {2, "dangerous"}};
constexpr ValueLabel kPresenceLabels[] = {
    {0, "absent"}, {1, "good"}, {2, "stale"}, {3, "unexpected"}};
// Facts, sections 4.9 and 12.2; the texts are the DBC's.
constexpr ValueLabel kFaultLabels[] = {{0, "None"},
                                       {1, "Unspecified"},
                                       {101, "PrechargeTimeout"},
                                       {104, "ContactorFailedToOpen"},
                                       {105, "ContactorStuckOpen"},
                                       {106, "ContactorStuckClosed"},
                                       {200, "WarnCellUndervoltage"},
                                       {201, "WarnCellOvervoltage"},
                                       {206, "WarnOvertemperature"},
                                       {207, "WarnUndertemperature"},
                                       {208, "WarnTemperatureSpread"},
                                       {209, "WarnModuleOvervoltage"},
                                       {210, "WarnModuleUndervoltage"},
                                       {211, "WarnSocHigh"},
                                       {212, "WarnSocLow"},
                                       {300, "ErrCellUndervoltage"},
                                       {301, "ErrCellOvervoltage"},
                                       {304, "ErrOvercurrentCharge"},
                                       {307, "ErrOvercurrentDischarge"},
                                       {308, "ErrOvertemperature"},
                                       {309, "ErrUndertemperature"},
                                       {310, "ErrTemperatureSpread"},
                                       {311, "ErrModuleOvervoltage"},
                                       {312, "ErrModuleUndervoltage"},
                                       {313, "ErrSocHigh"},
                                       {314, "ErrSocLow"},
                                       {320, "ErrInsulation"},
                                       {400, "ErrAdcGroup1"},
                                       {401, "ErrAdcGroup2"},
                                       {402, "ErrMemoryCorrupt"}};

constexpr char kPdo1[] = "battery facts 4.3, pdo1";
constexpr char kPdo2[] = "battery facts 4.3, pdo2";
constexpr char kPdo5[] = "battery facts 4.3, pdo5";
constexpr char kAlarm[] = "battery facts 12.2";
constexpr char kInfo[] = "battery facts 12.3";

ItemSpec Number(const char* name, const char* unit, const char* description, const char* source,
                Confidence confidence = Confidence::kOneSource) {
  return {.name = name,
          .unit = unit,
          .description = description,
          .source = source,
          .confidence = confidence};
}

ItemSpec Whole(const char* name, const char* unit, const char* description, const char* source,
               Confidence confidence = Confidence::kOneSource) {
  ItemSpec spec = Number(name, unit, description, source, confidence);
  spec.type = ValueType::kInteger;
  return spec;
}

ItemSpec Derived(const char* name, const char* unit, const char* description) {
  return Number(name, unit, description, "", Confidence::kDerived);
}

ItemSpec DerivedWhole(const char* name, const char* description,
                      std::span<const ValueLabel> labels = {}) {
  ItemSpec spec = Whole(name, "", description, "", Confidence::kDerived);
  spec.labels = labels;
  return spec;
}

std::vector<ItemSpec> PackSpecs() {
  const auto level = [](const char* name, const char* description) {
    return DerivedWhole(name, description, kLevelLabels);
  };
  ItemSpec contradictory = Derived(pack::kIsContradictory, "",
                                   "a voltage is too low and another "
                                   "too high: dangerous");
  contradictory.type = ValueType::kFlag;
  return {
      level(pack::kLevel, "the worst of all levels"),
      level(pack::kCellLowLevel, "the worst of all cells"),
      level(pack::kCellHighLevel, "the worst of all cells"),
      level(pack::kModuleLowLevel, "the worst of all modules"),
      level(pack::kModuleHighLevel, "the worst of all modules"),
      level(pack::kTemperatureLowLevel, "the worst of all modules and sensors"),
      level(pack::kTemperatureHighLevel, "the worst of all modules and sensors"),
      level(pack::kDataLevel, "modules that are silent or missing"),
      level(pack::kFaultLevel, "what the modules report of themselves"),
      contradictory,
      DerivedWhole(pack::kModuleCount, "modules, as counted at the start"),
      DerivedWhole(pack::kModulesGood, "modules that send"),
      DerivedWhole(pack::kModulesUnexpected, "modules that came after the count"),
      Derived(pack::kVoltage, "V", "sum of the modules' voltages"),
      Derived(pack::kCellSum, "V", "sum of all fitted cells"),
      Derived(pack::kCellMin, "V", "lowest cell"),
      Derived(pack::kCellMax, "V", "highest cell"),
      Derived(pack::kCellSpread, "V", "highest less lowest cell"),
      Derived(pack::kModuleMin, "V", "lowest module"),
      Derived(pack::kModuleMax, "V", "highest module"),
      Derived(pack::kModuleSpread, "V", "highest less lowest module"),
      Derived(pack::kCurrentMean, "A", "mean of the modules, positive: discharge"),
      Derived(pack::kCurrentMin, "A", "lowest of the modules"),
      Derived(pack::kCurrentMax, "A", "highest of the modules"),
      Derived(pack::kTemperatureMin, "degC", "lowest of the modules"),
      Derived(pack::kTemperatureMax, "degC", "highest of the modules"),
      Derived(pack::kTemperatureSpread, "degC", "highest less lowest"),
      Derived(pack::kSocMin, "%", "lowest of the modules"),
      Derived(pack::kSocMax, "%", "highest of the modules"),
      DerivedWhole(pack::kCellMinModule, "module of the lowest cell"),
      DerivedWhole(pack::kCellMinCell, "its number within the module"),
      DerivedWhole(pack::kCellMaxModule, "module of the highest cell"),
      DerivedWhole(pack::kCellMaxCell, "its number within the module"),
      DerivedWhole(pack::kModuleMinModule, "lowest module"),
      DerivedWhole(pack::kModuleMaxModule, "highest module"),
      DerivedWhole(pack::kTemperatureMinModule, "coldest module"),
      DerivedWhole(pack::kTemperatureMaxModule, "hottest module"),
  };
}

}  // namespace

std::span<const AlarmBit> AlarmBits() { return kAlarmBits; }

PackItems::PackItems(int cells, int sensors) {
  auto storage = std::make_shared<Storage>();
  const auto keep = [&](std::string name) {
    storage->names.push_back(std::move(name));
    return storage->names.back().c_str();
  };
  const auto numbered = [&](const char* before, int number, const char* after) {
    return keep(std::string(before) + std::to_string(number) + after);
  };
  storage->pack = PackSpecs();
  std::vector<ItemSpec>& specs = storage->module;
  specs = {
      DerivedWhole(module::kPresence, "whether the module sends", kPresenceLabels),
      DerivedWhole(module::kLevel, "the worst of this module", kLevelLabels),
      Number(module::kVoltage, "V", "voltage, as the module measures it", kPdo1),
      Number(module::kCurrent, "A", "current, positive: discharge", kPdo1,
             Confidence::kSourcesDiffer),
      Number("reported_cell_min", "V", "lowest cell, as the module says", kPdo1),
      Number("reported_cell_max", "V", "highest cell, as the module says", kPdo1),
      Number(module::kTemperatureMin, "degC", "lowest temperature", kPdo1),
      Number(module::kTemperatureMax, "degC", "highest temperature", kPdo1),
      Whole("status", "", "undocumented bits; bit 6 toggles", kPdo2),
      Number(module::kSoc, "%", "state of charge; not valid on every plant", kPdo2),
      Number(module::kSoh, "%", "state of health", kPdo2),
      Whole("balancing", "", "a bit for each cell", kPdo2, Confidence::kInferred),
      Whole(module::kCharge, "As", "charge taken in, since ever", kPdo5),
      Whole(module::kDischarge, "As", "charge given, since ever", kPdo5),
      Derived(module::kCellMin, "V", "lowest fitted cell"),
      Derived(module::kCellMax, "V", "highest fitted cell"),
      Derived(module::kCellSum, "V", "sum of the fitted cells"),
      Derived(module::kCellSpread, "V", "highest less lowest fitted cell"),
      DerivedWhole(module::kCellMinCell, "number of the lowest fitted cell"),
      DerivedWhole(module::kCellMaxCell, "number of the highest fitted cell"),
  };
  for (int k = 1; k <= cells; ++k) {
    specs.push_back(Number(numbered("cell", k, "_voltage"), "V", "voltage of a cell",
                           k <= 8 ? "battery facts 4.3, pdo3" : "battery facts 4.3, pdo4"));
  }
  for (int k = 1; k <= cells; ++k) {
    specs.push_back(Number(numbered("cell", k, "_soc"), "%", "state of charge of a cell",
                           k <= 8 ? "battery facts 4.3, pdo7" : "battery facts 4.3, pdo8"));
  }
  for (int k = 1; k <= sensors; ++k) {
    specs.push_back(Number(numbered("temperature", k, ""), "degC", "a temperature sensor",
                           "battery facts 4.3, pdo6"));
  }
  const int flags = static_cast<int>(specs.size());
  specs.push_back(Whole("alarm_flags", "", "bits 0 to 19 of the alarm frame", kAlarm));
  for (const AlarmBit& bit : kAlarmBits) {
    ItemSpec spec = Number(bit.item, "", bit.signal, kAlarm);
    spec.type = ValueType::kFlag;
    spec.flag_of = flags;
    spec.bit = bit.bit;
    specs.push_back(spec);
  }
  specs.push_back(Whole("worst_cell", "", "cell that the alarm is of; 0: none", kAlarm));
  specs.push_back(Whole("worst_sensor", "", "sensor that the alarm is of; 0: none", kAlarm));
  specs.push_back(Whole(module::kFaultCode, "", "what is wrong with the module", kAlarm));
  specs.back().labels = kFaultLabels;
  specs.push_back(Whole("live_counter", "", "rises with every alarm frame", kAlarm));
  specs.push_back(Whole("info_page", "", "page of the information frame", kInfo));
  specs.push_back(Whole("cell_count", "", "fitted cells, as the module says", kInfo));
  specs.push_back(Whole("sensor_count", "", "fitted sensors, as the module says", kInfo));
  specs.push_back(Whole("hardware_revision", "", "of the module's electronics", kInfo));
  specs.push_back(Whole("software_major", "", "of the module's software", kInfo));
  specs.push_back(Whole("software_minor", "", "of the module's software", kInfo));
  specs.push_back(Whole("serial_number", "", "of the module", kInfo));
  specs.push_back(Whole("build_week", "", "week of manufacture", kInfo));
  specs.push_back(Whole("build_year", "", "year of manufacture", kInfo));
  specs.push_back(Number("rated_capacity", "Ah", "capacity of the module", kInfo));
  specs.push_back(Number("temperature_offset", "degC", "correction of its sensors", kInfo));
  for (int k = 1; k <= cells; ++k) {
    specs.push_back(Number(numbered("cell", k, "_resistance"), "mOhm", "of a cell", kInfo));
  }
  std::vector<ItemBlock> blocks = {
      {.specs = storage->pack},
      {.prefix = battery::kModuleBlock, .first = 1, .count = kMaxModules, .specs = specs}};
  table_ = std::make_shared<const ItemTable>(std::move(blocks), std::move(storage));
}

int PackItems::FindSpec(std::string_view name) const {
  const std::span<const ItemSpec> specs = table_->blocks()[kModules].specs;
  for (size_t s = 0; s < specs.size(); ++s) {
    if (name == specs[s].name) return static_cast<int>(s);
  }
  return -1;
}

int PackItems::Spec(std::string_view name) const {
  const int spec = FindSpec(name);
  assert(spec >= 0);
  return spec;
}

int PackItems::Spec(std::string_view before, int number, std::string_view after) const {
  return Spec(std::string(before) + std::to_string(number) + std::string(after));
}

ItemId PackItems::Pack(std::string_view name) const {
  const std::optional<ItemId> item = table_->Find(name);
  assert(item.has_value());
  return *item;
}

}  // namespace canhub::battery_module
