// The kind "power_converter": names that every driver of the kind uses, and the typed service
// reads.
//
// Sign: positive current and power discharge the battery (DC into AC), negative charge it. Items
// and actions a device does not have are simply absent from its table and its description.
// Arguments of actions are named as the fields of the typed messages are, without the unit at their
// end: "current_setpoint" in A is current_setpoint_a.
#pragma once

namespace canhub::power_converter {

inline constexpr char kKind[] = "power_converter";

// Numbers in V, A, W, var, VA, Hz, degC, Ah, Wh. AC voltages are phase to neutral.
namespace item {
// What it is doing: integers with labels. is_running is true while power can flow, and while it
// starts; fault_code is 0 without a fault.
inline constexpr char kState[] = "state";
inline constexpr char kIsRunning[] = "is_running";
inline constexpr char kIsFaulty[] = "is_faulty";
inline constexpr char kFaultCode[] = "fault_code";
// DC side: in full resolution, and as the coarse frame has it.
inline constexpr char kDcVoltage[] = "dc_voltage";
inline constexpr char kDcCurrent[] = "dc_current";
inline constexpr char kDcVoltageCoarse[] = "dc_voltage_coarse";
inline constexpr char kDcCurrentCoarse[] = "dc_current_coarse";
inline constexpr char kDcPower[] = "dc_power";
inline constexpr char kCapacity[] = "capacity";  // of the run
inline constexpr char kEnergy[] = "energy";      // of the run
inline constexpr char kInletTemperature[] = "inlet_temperature";
inline constexpr char kOutletTemperature[] = "outlet_temperature";
// AC side; u, v, w and a, b, c are the same three phases.
inline constexpr char kGridVoltageU[] = "grid_voltage_u";
inline constexpr char kGridVoltageV[] = "grid_voltage_v";
inline constexpr char kGridVoltageW[] = "grid_voltage_w";
inline constexpr char kGridCurrentU[] = "grid_current_u";
inline constexpr char kGridCurrentV[] = "grid_current_v";
inline constexpr char kGridCurrentW[] = "grid_current_w";
inline constexpr char kPowerFactor[] = "power_factor";
inline constexpr char kActivePower[] = "active_power";
inline constexpr char kReactivePower[] = "reactive_power";
inline constexpr char kApparentPower[] = "apparent_power";
inline constexpr char kGridFrequency[] = "grid_frequency";
inline constexpr char kLoadVoltageU[] = "load_voltage_u";
inline constexpr char kLoadVoltageV[] = "load_voltage_v";
inline constexpr char kLoadVoltageW[] = "load_voltage_w";
inline constexpr char kLoadCurrentU[] = "load_current_u";
inline constexpr char kLoadCurrentV[] = "load_current_v";
inline constexpr char kLoadCurrentW[] = "load_current_w";
inline constexpr char kLoadActivePower[] = "load_active_power";
inline constexpr char kLoadReactivePower[] = "load_reactive_power";
inline constexpr char kLoadApparentPower[] = "load_apparent_power";
inline constexpr char kPhaseActivePowerA[] = "phase_active_power_a";
inline constexpr char kPhaseActivePowerB[] = "phase_active_power_b";
inline constexpr char kPhaseActivePowerC[] = "phase_active_power_c";
inline constexpr char kPhaseReactivePowerA[] = "phase_reactive_power_a";
inline constexpr char kPhaseReactivePowerB[] = "phase_reactive_power_b";
inline constexpr char kPhaseReactivePowerC[] = "phase_reactive_power_c";
inline constexpr char kPhaseApparentPowerA[] = "phase_apparent_power_a";
inline constexpr char kPhaseApparentPowerB[] = "phase_apparent_power_b";
inline constexpr char kPhaseApparentPowerC[] = "phase_apparent_power_c";
// Mode: an integer whose labels are the modes that the device has, named as the fields of the typed
// SetMode are ("dc_cc_cv"). Its parameters in the order of the mode's message, each in its unit.
inline constexpr char kMode[] = "mode";
inline constexpr char kParameterPrefix[] = "mode_parameter_";  // 1 … 4
// Those of them that several modes have, by name: read while the mode that is set has it. Writing
// one sets this parameter alone, also while it runs; FAILED_PRECONDITION in a mode without it.
inline constexpr char kVoltageSetpoint[] = "voltage_setpoint";
inline constexpr char kCurrentSetpoint[] = "current_setpoint";
inline constexpr char kPowerSetpoint[] = "power_setpoint";
// Starts by itself at power-on. Where it cannot be read back it is what was sent last: STALE, as it
// was remembered, until it is sent again after a restart of the daemon.
inline constexpr char kSelfStart[] = "self_start";
// What the device is told that the battery has, with every heartbeat.
inline constexpr char kHeartbeatVoltage[] = "heartbeat_voltage";
inline constexpr char kHeartbeatCurrent[] = "heartbeat_current";
inline constexpr char kHeartbeatMeasured[] = "heartbeat_is_measured";  // flag
}  // namespace item

// Protection parameters and stored settings have items named as the arguments of the action that
// sets them: "max_charge_current", "hall_ratio".

// Identity keys.
namespace identity {
inline constexpr char kArmHardware[] = "arm_hardware";  // "1.2.3"
inline constexpr char kArmSoftware[] = "arm_software";
inline constexpr char kDspHardware[] = "dsp_hardware";
inline constexpr char kDspSoftware[] = "dsp_software";
}  // namespace identity

// Actions. Arguments stand in the driver's description.
namespace action {
// mode: text, a label of the item "mode"; stop_first: flag; and exactly the mode's own parameters.
// Without stop_first it is refused while the converter runs.
inline constexpr char kSetMode[] = "set_mode";
// The parameters of the mode that is set, all of them; also while it runs.
inline constexpr char kUpdateParameters[] = "update_parameters";
inline constexpr char kStart[] = "start";
inline constexpr char kStop[] = "stop";        // safe
inline constexpr char kStandby[] = "standby";  // safe: stop, then the mode in which it does nothing
inline constexpr char kClearFaults[] = "clear_faults";
inline constexpr char kSetSelfStart[] = "set_self_start";  // engineer; enable: flag
// Engineer. What is not given keeps the value that the device has.
inline constexpr char kSetProtection[] = "set_protection";
inline constexpr char kSetTime[] = "set_time";  // year … second: integers
// One for each stored setting, "set_" and the name of the typed message's field: set_io, …
inline constexpr char kSettingPrefix[] = "set_";
}  // namespace action

// The argument of kSetMode that names the mode.
inline constexpr char kModeArgument[] = "mode";
inline constexpr char kStopFirstArgument[] = "stop_first";

}  // namespace canhub::power_converter
