// The kind "battery": names that every driver of the kind uses, and the typed service reads.
//
// A device of the kind is one pack: modules in series, each with cells in series. Items of the pack
// begin with "pack."; modules are the block "module", from 1: "module3.cell7_voltage". Items a
// device does not have are simply absent from its table. Current is positive when it discharges.
// The bounds of its levels are parameters named as BatteryLimits in the proto is:
// "cell_warning_high" in V.
#pragma once

namespace canhub::battery {

inline constexpr char kKind[] = "battery";
inline constexpr char kModuleBlock[] = "module";
inline constexpr char kPackPrefix[] = "pack.";

namespace pack {
// Integers: a Level of drivers/api/levels.h.
inline constexpr char kLevel[] = "pack.level";
inline constexpr char kCellLowLevel[] = "pack.cell_voltage_low_level";
inline constexpr char kCellHighLevel[] = "pack.cell_voltage_high_level";
inline constexpr char kModuleLowLevel[] = "pack.module_voltage_low_level";
inline constexpr char kModuleHighLevel[] = "pack.module_voltage_high_level";
inline constexpr char kTemperatureLowLevel[] = "pack.temperature_low_level";
inline constexpr char kTemperatureHighLevel[] = "pack.temperature_high_level";
inline constexpr char kDataLevel[] = "pack.data_level";    // modules that are silent or missing
inline constexpr char kFaultLevel[] = "pack.fault_level";  // what the modules themselves report
inline constexpr char kIsContradictory[] = "pack.is_contradictory";  // flag: too low and too high
// Integers.
inline constexpr char kModuleCount[] = "pack.module_count";  // as latched: never smaller by itself
inline constexpr char kModulesGood[] = "pack.modules_good";
inline constexpr char kModulesUnexpected[] = "pack.modules_unexpected";
// Numbers: V, A, degC, %. Over all latched modules; no value while one of them is silent.
inline constexpr char kVoltage[] = "pack.voltage";  // sum of the modules' own
inline constexpr char kCellSum[] = "pack.cell_voltage_sum";
inline constexpr char kCellMin[] = "pack.cell_voltage_min";
inline constexpr char kCellMax[] = "pack.cell_voltage_max";
inline constexpr char kCellSpread[] = "pack.cell_voltage_spread";
inline constexpr char kModuleMin[] = "pack.module_voltage_min";
inline constexpr char kModuleMax[] = "pack.module_voltage_max";
inline constexpr char kModuleSpread[] = "pack.module_voltage_spread";
inline constexpr char kCurrentMean[] = "pack.current_mean";
inline constexpr char kCurrentMin[] = "pack.current_min";
inline constexpr char kCurrentMax[] = "pack.current_max";
inline constexpr char kTemperatureMin[] = "pack.temperature_min";
inline constexpr char kTemperatureMax[] = "pack.temperature_max";
inline constexpr char kTemperatureSpread[] = "pack.temperature_spread";
inline constexpr char kSocMin[] = "pack.soc_min";
inline constexpr char kSocMax[] = "pack.soc_max";
// Of a battery that tells only of itself as a whole: %, Ah, and what it allows now: V, A, flags.
inline constexpr char kSoh[] = "pack.soh";
inline constexpr char kCapacity[] = "pack.capacity";
inline constexpr char kChargeVoltageLimit[] = "pack.charge_voltage_limit";
inline constexpr char kDischargeVoltageLimit[] = "pack.discharge_voltage_limit";
inline constexpr char kChargeCurrentLimit[] = "pack.charge_current_limit";
inline constexpr char kDischargeCurrentLimit[] = "pack.discharge_current_limit";
inline constexpr char kChargeEnable[] = "pack.charge_enable";
inline constexpr char kDischargeEnable[] = "pack.discharge_enable";
// Integers from 1: which module and cell the extreme is of.
inline constexpr char kCellMinModule[] = "pack.cell_voltage_min_module";
inline constexpr char kCellMinCell[] = "pack.cell_voltage_min_cell";
inline constexpr char kCellMaxModule[] = "pack.cell_voltage_max_module";
inline constexpr char kCellMaxCell[] = "pack.cell_voltage_max_cell";
inline constexpr char kModuleMinModule[] = "pack.module_voltage_min_module";
inline constexpr char kModuleMaxModule[] = "pack.module_voltage_max_module";
inline constexpr char kTemperatureMinModule[] = "pack.temperature_min_module";
inline constexpr char kTemperatureMaxModule[] = "pack.temperature_max_module";
}  // namespace pack

namespace module {
inline constexpr char kPresence[] = "presence";  // integer: a Presence
inline constexpr char kLevel[] = "level";        // integer: a Level
inline constexpr char kVoltage[] = "voltage";
inline constexpr char kCurrent[] = "current";
inline constexpr char kTemperatureMin[] = "temperature_min";
inline constexpr char kTemperatureMax[] = "temperature_max";
inline constexpr char kCellMin[] = "cell_voltage_min";
inline constexpr char kCellMax[] = "cell_voltage_max";
inline constexpr char kCellSum[] = "cell_voltage_sum";
inline constexpr char kCellSpread[] = "cell_voltage_spread";
inline constexpr char kCellMinCell[] = "cell_voltage_min_cell";
inline constexpr char kCellMaxCell[] = "cell_voltage_max_cell";
inline constexpr char kSoc[] = "soc";
inline constexpr char kSoh[] = "soh";
inline constexpr char kCharge[] = "charge";        // As, since ever
inline constexpr char kDischarge[] = "discharge";  // As, since ever
inline constexpr char kFaultCode[] = "fault_code";
// Numbered from 1: "cell7_voltage", "cell7_soc", "temperature3".
inline constexpr char kCell[] = "cell";
inline constexpr char kSensor[] = "temperature";
}  // namespace module

// Of a module, as the pack sees it.
enum class Presence : int { kAbsent = 0, kGood = 1, kStale = 2, kUnexpected = 3 };

namespace action {
inline constexpr char kDetect[] = "detect";  // engineer: counts the modules anew
}  // namespace action

}  // namespace canhub::battery
