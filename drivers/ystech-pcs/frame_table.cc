#include <array>
#include <iterator>

#include "drivers/ystech-pcs/frames.h"

namespace canhub::ystech_pcs {
namespace {

using E = Encoding;

// Zero counts of the fields with an offset: -1000 A at 0.1 A and 0.001 A, -50 degC at 0.1 degC.
constexpr int kZeroAmpere = 10000;
constexpr int kZeroAmpereHighRes = 1000000;
constexpr int kZeroCelsius = 500;

// Each layout's columns: name, unit, byte, length, encoding, counts per unit, count of zero, range.

// Section 6.1.
constexpr FieldSpec kReadProtection[] = {{"set", "", 0, 1, E::kUnsigned, 1, 0, 1, 3}};

// Section 6.2.
constexpr FieldSpec kProtection1[] = {
    {"max_output_voltage", "V", 0, 2, E::kUnsigned, 10, 0, 0, 1000},
    {"min_output_voltage", "V", 2, 2, E::kUnsigned, 10, 0, 0, 1000},
    {"max_charge_current", "A", 4, 2, E::kUnsigned, 10, 0, 0, 1000},
    {"max_discharge_current", "A", 6, 2, E::kUnsigned, 10, 0, 0, 1000},
};
constexpr FieldSpec kProtection2[] = {
    {"max_charge_power", "kW", 0, 2, E::kUnsigned, 10, 0, 0, 1000},
    {"max_discharge_power", "kW", 2, 2, E::kUnsigned, 10, 0, 0, 1000},
    {"ac_voltage_upper", "V", 4, 2, E::kUnsigned, 10, 0, 0, 300},
    {"ac_voltage_lower", "V", 6, 2, E::kUnsigned, 10, 0, 0, 300},
};
constexpr FieldSpec kProtection3[] = {
    {"discharge_freq_upper", "Hz", 0, 2, E::kUnsigned, 10, 0, 40, 70},
    {"charge_freq_lower", "Hz", 2, 2, E::kUnsigned, 10, 0, 40, 70},
    {"ac_freq_upper", "Hz", 4, 1, E::kUnsigned, 1, 0, 40, 70},
    {"ac_freq_lower", "Hz", 5, 1, E::kUnsigned, 1, 0, 40, 70},
};

// Sections 6.3 and 6.9.
constexpr FieldSpec kProtectionReply[] = {{"set", "", 0, 1}, {"result", "", 1, 1}};
constexpr FieldSpec kSpecialReply[] = {{"type", "", 0, 1}, {"result", "", 1, 1}};
constexpr FieldSpec kResult[] = {{"result", "", 0, 1}};

// Section 6.4; the ranges are the calendar's.
constexpr FieldSpec kTime[] = {
    {"year", "", 0, 2},
    {"month", "", 2, 1, E::kUnsigned, 1, 0, 1, 12},
    {"day", "", 3, 1, E::kUnsigned, 1, 0, 1, 31},
    {"hour", "", 4, 1, E::kUnsigned, 1, 0, 0, 23},
    {"minute", "", 5, 1, E::kUnsigned, 1, 0, 0, 59},
    {"second", "", 6, 1, E::kUnsigned, 1, 0, 0, 59},
};

// Section 6.5; counts of the parameters depend on the mode.
constexpr FieldSpec kMode[] = {{"mode", "", 0, 1}};
constexpr FieldSpec kParams12[] = {{"parameter_1", "", 0, 4, E::kSigned},
                                   {"parameter_2", "", 4, 4, E::kSigned}};
constexpr FieldSpec kParams34[] = {{"parameter_3", "", 0, 4, E::kSigned},
                                   {"parameter_4", "", 4, 4, E::kSigned}};

// Section 6.6.
constexpr FieldSpec kStartStopFields[] = {
    {"start", "", 0, 1, E::kUnsigned, 1, 0, 0, 1},
    {"clear_fault", "", 1, 1, E::kUnsigned, 1, 0, 0, 1},
    {"self_start", "", 2, 1, E::kUnsigned, 1, 0, 0, 1},
};

// Section 6.7.
constexpr FieldSpec kDc[] = {
    {"voltage", "V", 0, 2, E::kUnsigned, 10},
    {"current", "A", 2, 2, E::kUnsigned, 10, kZeroAmpere},
    {"power", "kW", 4, 2, E::kPower, 10},
    {"inlet_temperature", "degC", 6, 2, E::kUnsigned, 10, kZeroCelsius},
};
constexpr FieldSpec kCapacity[] = {
    {"capacity", "Ah", 0, 2, E::kUnsigned, 10},
    {"energy", "Wh", 2, 4, E::kUnsigned, 10},
    {"outlet_temperature", "degC", 6, 2, E::kUnsigned, 10, kZeroCelsius},
};
constexpr FieldSpec kStatusFields[] = {{"running_state", "", 0, 1}, {"fault_code", "", 2, 2}};
constexpr FieldSpec kVoltages[] = {
    {"u_voltage", "V", 0, 2, E::kUnsigned, 10},
    {"v_voltage", "V", 2, 2, E::kUnsigned, 10},
    {"w_voltage", "V", 4, 2, E::kUnsigned, 10},
};
constexpr FieldSpec kGridCurrents[] = {
    {"u_current", "A", 0, 2, E::kUnsigned, 10},
    {"v_current", "A", 2, 2, E::kUnsigned, 10},
    {"w_current", "A", 4, 2, E::kUnsigned, 10},
    {"power_factor", "", 6, 2, E::kPowerFactor},
};
constexpr std::span<const FieldSpec> kLoadCurrents = std::span(kGridCurrents).first(3);
constexpr FieldSpec kGridPower[] = {
    {"active_power", "kW", 0, 2, E::kPower, 10},
    {"reactive_power", "kvar", 2, 2, E::kPower, 10},
    {"apparent_power", "kVA", 4, 2, E::kUnsigned, 10},
    {"frequency", "Hz", 6, 2, E::kUnsigned, 10},
};
constexpr std::span<const FieldSpec> kPower = std::span(kGridPower).first(3);
constexpr FieldSpec kHighRes[] = {
    {"voltage", "V", 0, 4, E::kUnsigned, 1000},
    {"current", "A", 4, 4, E::kUnsigned, 1000, kZeroAmpereHighRes},
};

// Section 6.8.
constexpr FieldSpec kHeartbeatFields[] = {
    {"voltage", "V", 0, 2, E::kUnsigned, 10},
    {"current", "A", 2, 2, E::kUnsigned, 10, kZeroAmpere},
    {"state", "", 4, 1, E::kUnsigned, 1, 0, 1, 3},
};

// Section 6.9. Only what is set has the vendor's range for voltage and reactive power.
constexpr FieldSpec kSetBusVoltage[] = {
    {"bus_voltage", "V", 0, 2, E::kUnsigned, 10, 0, 680, 1000},
    {"reactive_power", "kvar", 2, 2, E::kPower, 10, 0, -1000, 1000},
};
constexpr FieldSpec kStoredBusVoltage[] = {
    {"bus_voltage", "V", 0, 2, E::kUnsigned, 10},
    {"reactive_power", "kvar", 2, 2, E::kPower, 10},
};
constexpr FieldSpec kSpecialType[] = {{"type", "", 0, 1, E::kUnsigned, 1, 0, 1, 11}};
constexpr FieldSpec kIo[] = {
    {"io1", "", 0, 1, E::kUnsigned, 1, 0, 0, 1},    {"io2", "", 1, 1, E::kUnsigned, 1, 0, 0, 1},
    {"io3", "", 2, 1, E::kUnsigned, 1, 0, 0, 1},    {"io4", "", 3, 1, E::kUnsigned, 1, 0, 0, 1},
    {"ad1_voltage", "V", 4, 2, E::kUnsigned, 1000}, {"ad2_voltage", "V", 6, 2, E::kUnsigned, 1000},
};
constexpr std::span<const FieldSpec> kIoOutputs = std::span(kIo).first(4);
constexpr FieldSpec kPhaseActive[] = {
    {"phase_a", "kW", 0, 2, E::kPower, 10},
    {"phase_b", "kW", 2, 2, E::kPower, 10},
    {"phase_c", "kW", 4, 2, E::kPower, 10},
};
constexpr FieldSpec kPhaseReactive[] = {
    {"phase_a", "kvar", 0, 2, E::kPower, 10},
    {"phase_b", "kvar", 2, 2, E::kPower, 10},
    {"phase_c", "kvar", 4, 2, E::kPower, 10},
};
constexpr FieldSpec kSplitPhase[] = {{"split_phase", "", 0, 1, E::kUnsigned, 1, 0, 0, 1}};
constexpr FieldSpec kInverterPhase[] = {{"inverter_phase", "", 0, 1, E::kUnsigned, 1, 0, 7, 12}};
constexpr FieldSpec kReactive[] = {
    {"reactive_mode", "", 0, 1, E::kUnsigned, 1, 0, 0, 1},
    {"power_factor", "", 1, 2, E::kSigned, 1000, 0, -0.999, 1},
};
constexpr FieldSpec kSetGrid[] = {{"grid_mode", "", 0, 1, E::kUnsigned, 1, 0, 0, 1}};
constexpr FieldSpec kStoredGrid[] = {{"grid_mode", "", 0, 1, E::kUnsigned, 1, 0, 0, 2}};
constexpr FieldSpec kModules[] = {
    {"parallel_mode", "", 0, 1, E::kUnsigned, 1, 0, 0, 2},
    {"modules", "", 1, 1, E::kUnsigned, 1, 0, 1, 10},
    {"hall_ratio", "", 2, 2},
};
constexpr FieldSpec kChannels[] = {
    {"channel_role", "", 0, 1, E::kUnsigned, 1, 0, 0, 2},
    {"channel_kind", "", 1, 1, E::kUnsigned, 1, 0, 0, 2},
    {"channels", "", 2, 1, E::kUnsigned, 1, 0, 1, 10},
};
constexpr FieldSpec kBusParallel[] = {{"bus_parallel", "", 0, 1, E::kUnsigned, 1, 0, 0, 1}};
constexpr FieldSpec kVersionFields[] = {
    {"hw_v", "", 0, 1}, {"hw_b", "", 1, 1}, {"hw_d", "", 2, 1},
    {"sw_v", "", 3, 1}, {"sw_b", "", 4, 1}, {"sw_d", "", 5, 1},
};

constexpr Direction kTo = Direction::kToPcs;
constexpr Direction kFrom = Direction::kFromPcs;
constexpr Sent kDemand = Sent::kOnDemand;
constexpr Sent kReply = Sent::kReply;
constexpr Sent kCycle = Sent::kPeriodic;

// Section 5.
constexpr FrameSpec kFrames[] = {
    {Pf::kReadProtectionParams, "ReadProtectionParams", kTo, kDemand, kReadProtection},
    {Pf::kProtectionParams1Reply, "ProtectionParams1Reply", kFrom, kReply, kProtection1},
    {Pf::kProtectionParams2Reply, "ProtectionParams2Reply", kFrom, kReply, kProtection2},
    {Pf::kProtectionParams3Reply, "ProtectionParams3Reply", kFrom, kReply, kProtection3},
    {Pf::kSetProtectionParams1, "SetProtectionParams1", kTo, kDemand, kProtection1},
    {Pf::kSetProtectionParams2, "SetProtectionParams2", kTo, kDemand, kProtection2},
    {Pf::kSetProtectionParams3, "SetProtectionParams3", kTo, kDemand, kProtection3},
    {Pf::kSetProtectionReply, "SetProtectionReply", kFrom, kReply, kProtectionReply},
    {Pf::kSetTime, "SetTime", kTo, kDemand, kTime},
    {Pf::kSetTimeReply, "SetTimeReply", kFrom, kReply, kResult},
    {Pf::kSetWorkingMode, "SetWorkingMode", kTo, kDemand, kMode},
    {Pf::kSetModeParams12, "SetModeParams12", kTo, kDemand, kParams12},
    {Pf::kSetModeParams34, "SetModeParams34", kTo, kDemand, kParams34},
    {Pf::kSetModeReply, "SetModeReply", kFrom, kReply, kResult},
    {Pf::kStartStop, "StartStop", kTo, kDemand, kStartStopFields},
    {Pf::kStartStopReply, "StartStopReply", kFrom, kReply, kResult},
    {Pf::kDcData, "DCData", kFrom, kCycle, kDc},
    {Pf::kCapacityEnergy, "CapacityEnergy", kFrom, kCycle, kCapacity},
    {Pf::kStatus, "Status", kFrom, kCycle, kStatusFields},
    {Pf::kGridVoltage, "GridVoltage", kFrom, kCycle, kVoltages},
    {Pf::kGridCurrent, "GridCurrent", kFrom, kCycle, kGridCurrents},
    {Pf::kSystemPower, "SystemPower", kFrom, kCycle, kGridPower},
    {Pf::kLoadVoltage, "LoadVoltage", kFrom, kCycle, kVoltages},
    {Pf::kLoadCurrent, "LoadCurrent", kFrom, kCycle, kLoadCurrents},
    {Pf::kLoadPower, "LoadPower", kFrom, kCycle, kPower},
    {Pf::kHeartbeat, "Heartbeat", kTo, kCycle, kHeartbeatFields},
    {Pf::kSetBusVoltageReactive, "SetBusVoltageReactive", kTo, kDemand, kSetBusVoltage},
    {Pf::kSpecialSetReply, "SpecialSetReply", kFrom, kReply, kSpecialReply},
    {Pf::kReadSpecialData, "ReadSpecialData", kTo, kDemand, kSpecialType},
    {Pf::kStoredBusVoltageReactive, "StoredBusVoltageReactive", kFrom, kReply, kStoredBusVoltage},
    {Pf::kSetIo, "SetIO", kTo, kDemand, kIoOutputs},
    {Pf::kIoAndAd, "IOAndAD", kFrom, kReply, kIo},
    {Pf::kSetPhaseActivePower, "SetPhaseActivePower", kTo, kDemand, kPhaseActive},
    {Pf::kSetPhaseReactivePower, "SetPhaseReactivePower", kTo, kDemand, kPhaseReactive},
    {Pf::kPhaseAPower, "PhaseAPower", kFrom, kCycle, kPower},
    {Pf::kPhaseBPower, "PhaseBPower", kFrom, kCycle, kPower},
    {Pf::kPhaseCPower, "PhaseCPower", kFrom, kCycle, kPower},
    {Pf::kSetSplitPhaseEnable, "SetSplitPhaseEnable", kTo, kDemand, kSplitPhase},
    {Pf::kSplitPhaseEnableReply, "SplitPhaseEnableReply", kFrom, kReply, kSplitPhase},
    {Pf::kSetInverterPhase, "SetInverterPhase", kTo, kDemand, kInverterPhase},
    {Pf::kInverterPhaseReply, "InverterPhaseReply", kFrom, kReply, kInverterPhase},
    {Pf::kSetReactiveControl, "SetReactiveControl", kTo, kDemand, kReactive},
    {Pf::kReactiveControlReply, "ReactiveControlReply", kFrom, kReply, kReactive},
    {Pf::kSetGridMode, "SetGridMode", kTo, kDemand, kSetGrid},
    {Pf::kGridModeReply, "GridModeReply", kFrom, kReply, kStoredGrid},
    {Pf::kSetModuleParallel, "SetModuleParallel", kTo, kDemand, kModules},
    {Pf::kModuleParallelReply, "ModuleParallelReply", kFrom, kReply, kModules},
    {Pf::kSetChannelParallel, "SetChannelParallel", kTo, kDemand, kChannels},
    {Pf::kChannelParallelReply, "ChannelParallelReply", kFrom, kReply, kChannels},
    {Pf::kSetBusParallel, "SetBusParallel", kTo, kDemand, kBusParallel},
    {Pf::kBusParallelReply, "BusParallelReply", kFrom, kReply, kBusParallel},
    {Pf::kArmVersion, "ARMVersion", kFrom, kReply, kVersionFields},
    {Pf::kDspVersion, "DSPVersion", kFrom, kReply, kVersionFields},
    {Pf::kWorkingModeReply, "WorkingModeReply", kFrom, kReply, kMode},
    {Pf::kModeParams12Reply, "ModeParams12Reply", kFrom, kReply, kParams12},
    {Pf::kModeParams34Reply, "ModeParams34Reply", kFrom, kReply, kParams34},
    {Pf::kHighResDc, "HighResDC", kFrom, kCycle, kHighRes},
};
static_assert(std::size(kFrames) == kFrameCount);

// FindFrame and FrameOf take the code as index.
constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kFrames); ++i) {
    if (static_cast<size_t>(kFrames[i].pf) != i + 1) return false;
  }
  return true;
}
static_assert(InOrder());

constexpr Pf kBusVoltageReplies[] = {Pf::kStoredBusVoltageReactive};
constexpr Pf kIoReplies[] = {Pf::kIoAndAd};
constexpr Pf kSplitPhaseReplies[] = {Pf::kSplitPhaseEnableReply};
constexpr Pf kInverterPhaseReplies[] = {Pf::kInverterPhaseReply};
constexpr Pf kReactiveReplies[] = {Pf::kReactiveControlReply};
constexpr Pf kGridReplies[] = {Pf::kGridModeReply};
constexpr Pf kModuleReplies[] = {Pf::kModuleParallelReply};
constexpr Pf kChannelReplies[] = {Pf::kChannelParallelReply};
constexpr Pf kBusParallelReplies[] = {Pf::kBusParallelReply};
constexpr Pf kVersionReplies[] = {Pf::kArmVersion, Pf::kDspVersion};
constexpr Pf kModeReplies[] = {Pf::kWorkingModeReply, Pf::kModeParams12Reply,
                               Pf::kModeParams34Reply};

// Section 6.9.
constexpr SpecialSpec kSpecials[] = {
    {kSpecialBusVoltageReactive, "bus_voltage_reactive", Pf::kSetBusVoltageReactive,
     kBusVoltageReplies},
    {kSpecialIo, "io", Pf::kSetIo, kIoReplies},
    {kSpecialSplitPhase, "split_phase", Pf::kSetSplitPhaseEnable, kSplitPhaseReplies},
    {kSpecialInverterPhase, "inverter_phase", Pf::kSetInverterPhase, kInverterPhaseReplies},
    {kSpecialReactiveControl, "reactive_control", Pf::kSetReactiveControl, kReactiveReplies},
    {kSpecialGridMode, "grid_mode", Pf::kSetGridMode, kGridReplies},
    {kSpecialModuleParallel, "module_parallel", Pf::kSetModuleParallel, kModuleReplies},
    {kSpecialChannelParallel, "channel_parallel", Pf::kSetChannelParallel, kChannelReplies},
    {kSpecialBusParallel, "bus_parallel", Pf::kSetBusParallel, kBusParallelReplies},
    {kSpecialVersions, "versions", std::nullopt, kVersionReplies},
    {kSpecialWorkingMode, "working_mode", std::nullopt, kModeReplies},
};

}  // namespace

std::span<const FrameSpec> Frames() { return kFrames; }

const FrameSpec* FindFrame(uint8_t pf) {
  return pf >= 1 && pf <= kFrameCount ? &kFrames[pf - 1] : nullptr;
}

const FrameSpec& FrameOf(Pf pf) { return kFrames[static_cast<size_t>(pf) - 1]; }

std::span<const SpecialSpec> Specials() { return kSpecials; }

const SpecialSpec* FindSpecial(uint8_t type) {
  return type >= 1 && type <= std::size(kSpecials) ? &kSpecials[type - 1] : nullptr;
}

}  // namespace canhub::ystech_pcs
