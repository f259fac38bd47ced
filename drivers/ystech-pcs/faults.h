// Fault codes of 0x13 bytes 2 and 3, with their meaning and remedy (PCS facts, section 11).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "drivers/api/driver.h"

namespace canhub::ystech_pcs {

inline constexpr uint16_t kNoFault = 0;
inline constexpr uint16_t kBatteryVoltageHigh = 1;
inline constexpr uint16_t kBatteryVoltageLow = 2;
inline constexpr uint16_t kBatteryReversed = 3;
inline constexpr uint16_t kCurrentOverLimit = 4;
inline constexpr uint16_t kSoftStartTimeout = 6;
inline constexpr uint16_t kPowerOverLimit = 17;
inline constexpr uint16_t kEmergencyStop = 18;
inline constexpr uint16_t kGridVoltageHigh = 257;
inline constexpr uint16_t kGridVoltageLow = 258;
inline constexpr uint16_t kCan1Failure = 0x800D;  // 5 s without data of the controller

// All known codes, in their order: the 24 of the CAN protocol document (section 11.1), and those of
// the user manual alone (section 11.2, one source). The vendor's own remedy is "remove the cause,
// then run again"; what the cause may be is ours.
std::span<const FaultCode> FaultCodes();
// nullptr: not in the table ("other": internal failure, contact the maker).
const FaultCode* FindFaultCode(int code);
// "battery voltage too high (fault 1)", "CAN1 communication failure (fault 0x800d)", "unknown fault
// 999: internal failure, contact the maker"; "no fault" for 0.
std::string FaultText(int code);

}  // namespace canhub::ystech_pcs
