// The kind "high_voltage": names that every driver of the kind uses, and the typed service reads.
//
// Channels are the block "ch": "ch3.voltage_set". A device of the kind has channels, or is a crate
// (identity "class" = "crate"). Items a device does not have are simply absent from its table.
#pragma once

namespace canhub::high_voltage {

inline constexpr char kKind[] = "high_voltage";
inline constexpr char kChannelBlock[] = "ch";

namespace channel {
// Numbers: V, A, V/s.
inline constexpr char kVoltageSet[] = "voltage_set";
inline constexpr char kCurrentSet[] = "current_set";
inline constexpr char kVoltageMeasure[] = "voltage_measure";
inline constexpr char kCurrentMeasure[] = "current_measure";
inline constexpr char kVoltageNominal[] = "voltage_nominal";
inline constexpr char kCurrentNominal[] = "current_nominal";
inline constexpr char kVoltageLimit[] = "voltage_limit";
inline constexpr char kCurrentLimit[] = "current_limit";
inline constexpr char kVoltageBounds[] = "voltage_bounds";
inline constexpr char kCurrentBounds[] = "current_bounds";
inline constexpr char kRampUp[] =
    "voltage_ramp_speed_up";  // in force, derived or the channel's own
inline constexpr char kRampDown[] = "voltage_ramp_speed_down";
// Integers: registers.
inline constexpr char kStatus[] = "status";
inline constexpr char kEventStatus[] = "event_status";
// Flags that can be set: on (ramp up, ramp down), emergency off (lock, release).
inline constexpr char kOn[] = "on";
inline constexpr char kEmergencyOff[] = "emergency_off";
// Policies: integer ms; enumerations as section 15.2 of the EDCP facts numbers them (0 … 4, 0 … 3).
inline constexpr char kDelayedTripTime[] = "delayed_trip_time";
inline constexpr char kDelayedTripAction[] = "delayed_trip_action";
inline constexpr char kExternalInhibitAction[] = "external_inhibit_action";
inline constexpr char kOutputMode[] = "output_mode";
inline constexpr char kOutputPolarity[] = "output_polarity";  // +1, -1
// Flags of the status register.
inline constexpr char kIsOn[] = "is_on";
inline constexpr char kIsRamping[] = "is_voltage_ramp";
inline constexpr char kIsTripped[] = "is_trip";
inline constexpr char kIsEmergencyOff[] = "is_emergency_off";
inline constexpr char kIsInhibited[] = "is_external_inhibit";
// Flag of the event register, latched until it is cleared; read at another moment than the status.
inline constexpr char kTripEvent[] = "event_trip";
}  // namespace channel

namespace module {
inline constexpr char kStatus[] = "status";
inline constexpr char kEventStatus[] = "event_status";
inline constexpr char kTemperature[] = "temperature";
inline constexpr char kRampPercent[] = "voltage_ramp_speed";  // %/s
inline constexpr char kVoltageLimit[] = "voltage_limit";      // % of nominal
inline constexpr char kCurrentLimit[] = "current_limit";      // % of nominal
inline constexpr char kKillEnable[] = "kill_enable";          // flag, can be set
inline constexpr char kFineAdjustment[] = "fine_adjustment";  // flag, can be set
inline constexpr char kSafetyLoopGood[] = "is_safety_loop_good";
inline constexpr char kHighVoltageOn[] = "is_high_voltage_on";
inline constexpr char kSupplyPrefix[] = "supply_";                   // numbers in V
inline constexpr char kTemperaturePrefix[] = "temperature_sensor_";  // numbers in degC
// Identity keys of the device, beside the items of the same names.
inline constexpr char kSerialNumber[] = "serial_number";
inline constexpr char kFirmwareName[] = "firmware_name";
inline constexpr char kFirmwareRelease[] = "firmware_release";
inline constexpr char kArticle[] = "article";
inline constexpr char kChannels[] = "channels";
inline constexpr char kClass[] = "class";    // "module" or "crate"
inline constexpr char kQuirks[] = "quirks";  // comma-separated
}  // namespace module

namespace crate {
inline constexpr char kStatus[] = "status";
inline constexpr char kEventStatus[] = "event_status";
inline constexpr char kPowerOn[] = "power";  // flag, can be set
inline constexpr char kIsPowerOn[] = "is_power_on";
inline constexpr char kFanSpeed[] = "fan_speed";  // %
}  // namespace crate

// Actions. "channel" (integer) is optional where it stands in brackets; without it: all.
namespace action {
inline constexpr char kSwitchOn[] = "switch_on";                         // [channel]
inline constexpr char kSwitchOff[] = "switch_off";                       // [channel]
inline constexpr char kRampDown[] = "ramp_down";                         // safe: all off with ramp
inline constexpr char kEmergencyOff[] = "emergency_off";                 // safe; [channel]
inline constexpr char kReleaseEmergencyOff[] = "release_emergency_off";  // [channel]
inline constexpr char kClearEvents[] =
    "clear_events";  // [channel]; result still_active: text, comma-separated
inline constexpr char kSetRamp[] =
    "set_ramp";  // [channel], up, down: numbers, V/s, at least one; results applies_to_module:
                 // flag, percent_per_s: number
inline constexpr char kPrepareRemoval[] = "prepare_removal";  // result highest_voltage: number, V
inline constexpr char kSaveSetValues[] = "save_set_values";   // engineer
inline constexpr char kRecallSetValues[] = "recall_set_values";    // engineer
inline constexpr char kResetSetValues[] = "reset_set_values";      // engineer
inline constexpr char kFactoryReset[] = "factory_reset";           // engineer
inline constexpr char kLiveInsertionOn[] = "live_insertion_on";    // engineer
inline constexpr char kLiveInsertionOff[] = "live_insertion_off";  // engineer
inline constexpr char kRestartScan[] = "restart_scan";             // engineer
inline constexpr char kRawExchange[] =
    "raw_exchange";  // engineer; data: text (hex), write: flag; result answers: text, hex fields
                     // separated by spaces
// on: flag. Off is refused while the crate reports high voltage on; the forced form is not, and
// needs the role engineer.
inline constexpr char kCratePower[] = "crate_power";
inline constexpr char kCratePowerForced[] = "crate_power_forced";
}  // namespace action

// Above this magnitude (V) an output is not safe to touch, and a module not to be pulled (iCS
// manual; EDCP facts, section 12.4 bit 3).
inline constexpr double kSafeToTouchVolt = 63.0;

}  // namespace canhub::high_voltage
