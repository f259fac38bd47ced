// The kind "studer": names that the driver uses and the typed service reads.
//
// A device of the kind is one unit behind an Xcom-CAN, or the gateway. Its items are the vendor's
// catalogue: user infos by name ("battery_voltage") or id ("3000"); parameters as "parameter.NAME",
// in force, and "flash.NAME", stored. Identity key "unit": "xtender 1".
#pragma once

#include <cstdint>

namespace canhub::studer {

inline constexpr char kKind[] = "studer";
inline constexpr char kIdentityUnit[] = "unit";
inline constexpr char kParameterItems[] = "parameter.";
inline constexpr char kFlashItems[] = "flash.";
// Text: flash writes by parameter id, "1107=12 1138=3"; none that are 0.
inline constexpr char kFlashWearItem[] = "flash_wear";
// Writes of one flash cell that the vendor guarantees (Studer facts, section 7).
inline constexpr int64_t kGuaranteedFlashWrites = 1000;
// Alarms are named by the message's number: "message.16".
inline constexpr char kMessageAlarm[] = "message.";

namespace action {
inline constexpr char kWriteParameter[] = "write_parameter";  // to RAM
inline constexpr char kWriteFlash[] = "write_flash";
inline constexpr char kTrigger[] = "trigger";
inline constexpr char kSwitchOn[] = "switch_on";
inline constexpr char kSwitchOff[] = "switch_off";
inline constexpr char kScan[] = "scan";  // of a gateway

inline constexpr char kArgumentParameter[] = "parameter";  // text: id or name
inline constexpr char kArgumentValue[] = "value";          // number
inline constexpr char kArgumentLabel[] = "label";          // text, instead of the value
inline constexpr char kArgumentForce[] = "force";          // flag: also when it is equal
inline constexpr char kArgumentSignal[] = "signal";        // text: id or name

inline constexpr char kResultParameter[] = "parameter";  // text: id
inline constexpr char kResultWritten[] = "written";      // after rounding to the step
inline constexpr char kResultPart[] = "part";            // text: "ram", "flash"
inline constexpr char kResultSkipped[] = "skipped";      // flag: it was equal, nothing was sent
inline constexpr char kResultFlashWrites[] = "flash_writes";
inline constexpr char kResultWarning[] = "warning";
inline constexpr char kResultUnits[] = "units";  // text: "xtender 1, xtender 2, bsp 1"

// The vendor's (section 7 of the Studer facts), of every write.
inline constexpr char kRestartWarning[] =
    "writing a parameter may restart the algorithm behind it: a delay begins anew";
}  // namespace action

}  // namespace canhub::studer
