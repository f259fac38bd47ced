#include "drivers/ystech-pcs/items.h"

#include <array>
#include <cassert>
#include <cctype>
#include <cmath>
#include <deque>
#include <limits>
#include <string>
#include <utility>

#include "drivers/api/power_converter.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/modes.h"
#include "drivers/ystech-pcs/settings.h"
#include "drivers/ystech-pcs/states.h"

namespace canhub::ystech_pcs {
namespace {

namespace item = power_converter::item;
using T = ValueType;

constexpr double kKilo = 1000;

constexpr ValueLabel kInverterPhases[] = {{7, "a_host"},   {8, "b_host"},   {9, "c_host"},
                                          {10, "a_slave"}, {11, "b_slave"}, {12, "c_slave"}};
constexpr ValueLabel kReactiveControls[] = {{0, "reactive_power"}, {1, "power_factor"}};
constexpr ValueLabel kGridModes[] = {{0, "off"}, {1, "automatic"}, {2, "by_io"}};
constexpr ValueLabel kParallelRoles[] = {{0, "single"}, {1, "host"}, {2, "slave"}};
constexpr ValueLabel kChannelRoles[] = {{0, "single"}, {1, "main"}, {2, "slave"}};
constexpr ValueLabel kChannelKinds[] = {{0, "none"}, {1, "one_module"}, {2, "several_modules"}};

// Lives to the end of the program, as items do.
struct Labels {
  std::deque<std::string> names;
  std::vector<ValueLabel> states, modes, faults;
  Labels() {
    for (const StateSpec& state : States()) {
      states.push_back({static_cast<int>(state.state), Keep(LowerName(state.name))});
    }
    for (const ModeSpec& mode : Modes()) {
      modes.push_back({static_cast<int>(mode.mode), Keep(LowerName(mode.name))});
    }
    for (const FaultCode& fault : FaultCodes()) faults.push_back({fault.code, fault.meaning});
  }
  const char* Keep(std::string name) { return names.emplace_back(std::move(name)).c_str(); }
};
const Labels& AllLabels() {
  static const Labels* const labels = new Labels;
  return *labels;
}

struct Rows {
  std::vector<ItemRow> rows;
  std::vector<std::vector<size_t>> by_pf = std::vector<std::vector<size_t>>(kFrameCount + 1);

  void Add(ItemSpec spec, std::optional<Pf> pf = std::nullopt, size_t field = 0,
           double factor = 1) {
    if (pf) {
      by_pf[static_cast<size_t>(*pf)].push_back(rows.size());
      assert(field < FrameOf(*pf).fields.size());
    }
    rows.push_back({spec, pf, field, factor});
  }
  void Number(const char* name, const char* unit, Pf pf, size_t field, const char* description,
              Confidence confidence = Confidence::kOneSource, double factor = 1) {
    Add({.name = name,
         .unit = unit,
         .description = description,
         .source = FrameOf(pf).name,
         .confidence = confidence},
        pf, field, factor);
  }
  void Integer(const char* name, Pf pf, size_t field, const char* description,
               std::span<const ValueLabel> labels = {}) {
    Add({.name = name,
         .type = T::kInteger,
         .description = description,
         .source = FrameOf(pf).name,
         .confidence = Confidence::kOneSource,
         .labels = labels},
        pf, field);
  }
  void Flag(const char* name, Pf pf, size_t field, const char* description) {
    Add({.name = name,
         .type = T::kFlag,
         .description = description,
         .source = FrameOf(pf).name,
         .confidence = Confidence::kOneSource},
        pf, field);
  }
  // What the driver computes or remembers.
  void Own(const char* name, ValueType type, const char* unit, const char* description) {
    Add({.name = name,
         .type = type,
         .unit = unit,
         .description = description,
         .confidence = Confidence::kDerived});
  }
  // A parameter of the mode that is set.
  void SetPoint(const char* name, const char* unit, const char* limit, const char* description) {
    Own(name, T::kNumber, unit, description);
    rows.back().spec.access = Access::kReadWrite;
    rows.back().spec.limit = limit;
  }
  // What cannot be read back: the value that was sent last.
  void Sent(const char* name, ValueType type, const char* unit, const char* description,
            double factor = 1) {
    Add({.name = name,
         .type = type,
         .unit = unit,
         .description = description,
         .confidence = Confidence::kInferred},
        std::nullopt, 0, factor);
  }

  Rows() {
    AddState();
    AddDcSide();
    AddAcSide();
    AddMode();
    AddProtection();
    AddSettings();
  }

  void AddState() {
    Integer(item::kState, Pf::kStatus, 0, "what it is doing", AllLabels().states);
    Integer(item::kFaultCode, Pf::kStatus, 1, "0: no fault", AllLabels().faults);
    Own(item::kIsRunning, T::kFlag, "", "running, or starting");
    Own(item::kIsFaulty, T::kFlag, "", "in the state fault, or a fault code stands");
  }

  void AddDcSide() {
    const auto inferred = Confidence::kInferred;
    Number(item::kDcVoltage, "V", Pf::kHighResDc, 0, "DC voltage");
    Number(item::kDcCurrent, "A", Pf::kHighResDc, 1, "DC current; negative charges", inferred);
    Number(item::kDcVoltageCoarse, "V", Pf::kDcData, 0, "DC voltage, in steps of 0.1 V");
    Number(item::kDcCurrentCoarse, "A", Pf::kDcData, 1,
           "DC current, in steps of 0.1 A; negative charges", inferred);
    Number(item::kDcPower, "W", Pf::kDcData, 2, "DC power; negative charges", inferred, kKilo);
    Number(item::kInletTemperature, "degC", Pf::kDcData, 3, "air inlet");
    Number(item::kCapacity, "Ah", Pf::kCapacityEnergy, 0,
           "charge of the run; begins anew with each start", inferred);
    Number(item::kEnergy, "Wh", Pf::kCapacityEnergy, 1,
           "energy of the run; begins anew with each start", inferred);
    Number(item::kOutletTemperature, "degC", Pf::kCapacityEnergy, 2, "air outlet");
    Own(item::kHeartbeatVoltage, T::kNumber, "V", "battery voltage told with the heartbeat");
    Own(item::kHeartbeatCurrent, T::kNumber, "A", "battery current told with the heartbeat");
    Own(item::kHeartbeatMeasured, T::kFlag, "",
        "both are what another device measures now; off: zero, which says that nothing is "
        "measured");
  }

  void AddAcSide() {
    const auto inferred = Confidence::kInferred;
    const auto phases = [&](std::array<const char*, 3> names, const char* unit, Pf pf,
                            const char* text) {
      for (size_t i = 0; i < 3; ++i) Number(names[i], unit, pf, i, text);
    };
    phases({item::kGridVoltageU, item::kGridVoltageV, item::kGridVoltageW}, "V", Pf::kGridVoltage,
           "grid voltage, phase to neutral");
    phases({item::kGridCurrentU, item::kGridCurrentV, item::kGridCurrentW}, "A", Pf::kGridCurrent,
           "grid current of the phase");
    Number(item::kPowerFactor, "", Pf::kGridCurrent, 3, "power factor at the grid",
           Confidence::kInferred);
    Number(item::kActivePower, "W", Pf::kSystemPower, 0, "active power at the grid", inferred,
           kKilo);
    Number(item::kReactivePower, "var", Pf::kSystemPower, 1, "reactive power at the grid", inferred,
           kKilo);
    Number(item::kApparentPower, "VA", Pf::kSystemPower, 2, "apparent power at the grid",
           Confidence::kOneSource, kKilo);
    Number(item::kGridFrequency, "Hz", Pf::kSystemPower, 3, "grid frequency");
    phases({item::kLoadVoltageU, item::kLoadVoltageV, item::kLoadVoltageW}, "V", Pf::kLoadVoltage,
           "load voltage, phase to neutral");
    phases({item::kLoadCurrentU, item::kLoadCurrentV, item::kLoadCurrentW}, "A", Pf::kLoadCurrent,
           "load current of the phase");
    Number(item::kLoadActivePower, "W", Pf::kLoadPower, 0, "active power of the load", inferred,
           kKilo);
    Number(item::kLoadReactivePower, "var", Pf::kLoadPower, 1, "reactive power of the load",
           inferred, kKilo);
    Number(item::kLoadApparentPower, "VA", Pf::kLoadPower, 2, "apparent power of the load",
           Confidence::kOneSource, kKilo);
    const auto phase = [&](Pf pf, const char* active, const char* reactive, const char* apparent) {
      Number(active, "W", pf, 0, "active power of the phase at the grid", inferred, kKilo);
      Number(reactive, "var", pf, 1, "reactive power of the phase at the grid", inferred, kKilo);
      Number(apparent, "VA", pf, 2, "apparent power of the phase at the grid",
             Confidence::kOneSource, kKilo);
    };
    phase(Pf::kPhaseAPower, item::kPhaseActivePowerA, item::kPhaseReactivePowerA,
          item::kPhaseApparentPowerA);
    phase(Pf::kPhaseBPower, item::kPhaseActivePowerB, item::kPhaseReactivePowerB,
          item::kPhaseApparentPowerB);
    phase(Pf::kPhaseCPower, item::kPhaseActivePowerC, item::kPhaseReactivePowerC,
          item::kPhaseApparentPowerC);
  }

  void AddMode() {
    Integer(item::kMode, Pf::kWorkingModeReply, 0, "working mode", AllLabels().modes);
    for (const char* name :
         {"mode_parameter_1", "mode_parameter_2", "mode_parameter_3", "mode_parameter_4"}) {
      Own(name, T::kNumber, "", "parameter of the mode that is set, in that parameter's own unit");
    }
    SetPoint(item::kVoltageSetpoint, "V", kLimitVoltage, "DC voltage");
    SetPoint(item::kCurrentSetpoint, "A", kLimitCurrent, "DC current; negative charges");
    SetPoint(item::kPowerSetpoint, "W", kLimitPower, "DC power; negative charges");
    Sent(item::kSelfStart, T::kFlag, "",
         "starts by itself at power-on; as it was sent last, the device does not tell it");
  }

  void AddProtection() {
    Number("max_output_voltage", "V", Pf::kProtectionParams1Reply, 0, "highest DC voltage");
    Number("min_output_voltage", "V", Pf::kProtectionParams1Reply, 1, "lowest DC voltage");
    Number("max_charge_current", "A", Pf::kProtectionParams1Reply, 2, "most charging current");
    Number("max_discharge_current", "A", Pf::kProtectionParams1Reply, 3,
           "most discharging current");
    Number("max_charge_power", "W", Pf::kProtectionParams2Reply, 0, "most charging power",
           Confidence::kOneSource, kKilo);
    Number("max_discharge_power", "W", Pf::kProtectionParams2Reply, 1, "most discharging power",
           Confidence::kOneSource, kKilo);
    Number("ac_voltage_upper", "V", Pf::kProtectionParams2Reply, 2, "highest AC voltage",
           Confidence::kInferred);
    Number("ac_voltage_lower", "V", Pf::kProtectionParams2Reply, 3, "lowest AC voltage",
           Confidence::kInferred);
    Number("discharge_frequency_upper", "Hz", Pf::kProtectionParams3Reply, 0,
           "highest frequency while discharging");
    Number("charge_frequency_lower", "Hz", Pf::kProtectionParams3Reply, 1,
           "lowest frequency while charging");
    Number("ac_frequency_upper", "Hz", Pf::kProtectionParams3Reply, 2, "highest AC frequency");
    Number("ac_frequency_lower", "Hz", Pf::kProtectionParams3Reply, 3, "lowest AC frequency");
  }

  void AddSettings() {
    Number("bus_voltage_setting", "V", Pf::kStoredBusVoltageReactive, 0, "inner bus");
    Number("reactive_power_setting", "var", Pf::kStoredBusVoltageReactive, 1, "reactive power",
           Confidence::kInferred, kKilo);
    Flag("io1", Pf::kIoAndAd, 0, "signal 1");
    Flag("io2", Pf::kIoAndAd, 1, "signal 2");
    Flag("io3", Pf::kIoAndAd, 2, "signal 3");
    Flag("io4", Pf::kIoAndAd, 3, "signal 4");
    Number("ad1_voltage", "V", Pf::kIoAndAd, 4, "analog input 1");
    Number("ad2_voltage", "V", Pf::kIoAndAd, 5, "analog input 2");
    const char* const output = "output, as it was sent last; the device does not tell it";
    for (const char* name : {"io1_output", "io2_output", "io3_output", "io4_output"}) {
      Sent(name, T::kFlag, "", output);
    }
    Flag("split_phase_enabled", Pf::kSplitPhaseEnableReply, 0, "power control of each phase");
    Integer("inverter_phase", Pf::kInverterPhaseReply, 0, "phase of a single-phase module",
            kInverterPhases);
    Integer("reactive_control", Pf::kReactiveControlReply, 0, "what controls reactive power",
            kReactiveControls);
    Number("power_factor_setting", "", Pf::kReactiveControlReply, 1, "power factor to keep");
    Integer("grid_mode", Pf::kGridModeReply, 0, "whether it leaves the grid", kGridModes);
    Integer("parallel_role", Pf::kModuleParallelReply, 0, "among modules in parallel",
            kParallelRoles);
    Integer("parallel_modules", Pf::kModuleParallelReply, 1, "modules in parallel");
    Integer("hall_ratio", Pf::kModuleParallelReply, 2, "ratio of the Hall sensor");
    Integer("channel_role", Pf::kChannelParallelReply, 0, "among channels in parallel",
            kChannelRoles);
    Integer("channel_parallel", Pf::kChannelParallelReply, 1, "which channels are in parallel",
            kChannelKinds);
    Integer("parallel_channels", Pf::kChannelParallelReply, 2, "channels in parallel");
    Flag("bus_parallel_enabled", Pf::kBusParallelReply, 0, "inner buses in parallel");
    const char* const sent = "of the phase, as it was sent last; the device does not tell it";
    for (const char* name :
         {"phase_active_setting_a", "phase_active_setting_b", "phase_active_setting_c"}) {
      Sent(name, T::kNumber, "W", sent, kKilo);
    }
    for (const char* name :
         {"phase_reactive_setting_a", "phase_reactive_setting_b", "phase_reactive_setting_c"}) {
      Sent(name, T::kNumber, "var", sent, kKilo);
    }
  }
};

const Rows& AllRows() {
  static const Rows* const rows = new Rows;
  return *rows;
}

}  // namespace

std::span<const ItemRow> ItemRows() { return AllRows().rows; }

std::span<const size_t> RowsOf(Pf pf) { return AllRows().by_pf[static_cast<size_t>(pf)]; }

const std::shared_ptr<const ItemTable>& Items() {
  static const auto* const specs = [] {
    auto* const all = new std::vector<ItemSpec>;
    for (const ItemRow& row : ItemRows()) all->push_back(row.spec);
    return all;
  }();
  static const auto* const table = new std::shared_ptr<const ItemTable>(
      std::make_shared<const ItemTable>(std::vector<ItemBlock>{{.prefix = "", .specs = *specs}}));
  return *table;
}

std::shared_ptr<const ItemTable> ItemsWithRanges(const CodecOptions& options) {
  auto specs = std::make_shared<std::vector<ItemSpec>>();
  for (const ItemRow& row : ItemRows()) {
    ItemSpec& spec = specs->emplace_back(row.spec);
    if (row.pf) {
      const auto [low, high] = FieldRange(FrameOf(*row.pf).fields[row.field], options);
      spec.lowest = low * row.factor;
      spec.highest = high * row.factor;
    }
    if (SetPointOf(spec.name)) {
      // As a parameter of a mode, whichever.
      for (const ModeSpec& mode : Modes()) {
        for (size_t i = 0; i < mode.parameters.size(); ++i) {
          if (std::string_view(mode.parameters[i].name) != spec.name) continue;
          spec.lowest = FromCounts(mode, i, std::numeric_limits<int32_t>::min());
          spec.highest = FromCounts(mode, i, std::numeric_limits<int32_t>::max());
        }
      }
    }
  }
  std::vector<ItemBlock> blocks = {{.prefix = "", .specs = *specs}};
  return std::make_shared<const ItemTable>(std::move(blocks), std::move(specs));
}

std::span<const char* const> SetPointNames() {
  static constexpr const char* kNames[] = {item::kVoltageSetpoint, item::kCurrentSetpoint,
                                           item::kPowerSetpoint};
  return kNames;
}

std::optional<ItemId> SetPointOf(std::string_view parameter) {
  for (const char* name : SetPointNames()) {
    if (parameter == name) return IdOf(name);
  }
  return std::nullopt;
}

ItemId IdOf(std::string_view name) {
  const std::optional<ItemId> id = Items()->Find(name);
  assert(id.has_value());
  return *id;
}

Value ToValue(const ItemRow& row, double field) {
  switch (row.spec.type) {
    case ValueType::kFlag:
      return Value::Flag(field != 0);
    case ValueType::kInteger:
      return Value::Integer(std::llround(field));
    default:
      return Value::Number(field * row.factor);
  }
}

std::optional<double> ToField(const ItemRow& row, const Value& value) {
  if (value.type() != ValueType::kText) return value.AsNumber() / row.factor;
  for (const ValueLabel& label : row.spec.labels) {
    if (value.text() == label.name) return label.value;
  }
  return std::nullopt;
}

std::string LowerName(std::string_view name) {
  std::string lower;
  for (const char c : name) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace canhub::ystech_pcs
