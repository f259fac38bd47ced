// Every DATA_ID of sections 10, 11 and 13.1: how its value lies on the wire and how it is used.
#pragma once

#include <cstdint>
#include <span>

#include "drivers/iseg/edcp.h"

namespace canhub::iseg {

// DATA_IDs that the driver or the simulator names in code. All others live in the tables only.
namespace id {
inline constexpr uint16_t kModuleStatus = 0x1000;
inline constexpr uint16_t kModuleControl = 0x1001;
inline constexpr uint16_t kModuleEventStatus = 0x1002;
inline constexpr uint16_t kModuleEventMask = 0x1003;
inline constexpr uint16_t kEventChannelStatus = 0x1004;
inline constexpr uint16_t kEventChannelMask = 0x1005;
inline constexpr uint16_t kEventGroupStatus = 0x1006;
inline constexpr uint16_t kEventGroupMask = 0x1007;
inline constexpr uint16_t kModuleStatus2 = 0x1010;
inline constexpr uint16_t kModuleControl2 = 0x1011;
inline constexpr uint16_t kWideModuleStatus = 0x1080;
inline constexpr uint16_t kSetValuesChanged = 0x1090;
inline constexpr uint16_t kModuleVoltageRamp = 0x1100;
inline constexpr uint16_t kModuleCurrentRamp = 0x1101;
inline constexpr uint16_t kModuleVoltageLimit = 0x1102;
inline constexpr uint16_t kModuleCurrentLimit = 0x1103;
inline constexpr uint16_t kSupply24 = 0x1104;
inline constexpr uint16_t kSupply5 = 0x1105;
inline constexpr uint16_t kTemperature = 0x1106;
inline constexpr uint16_t kTemperatureTrip = 0x1115;
inline constexpr uint16_t kSerialNumber = 0x1200;
inline constexpr uint16_t kFirmwareRelease = 0x1201;
inline constexpr uint16_t kBitRate = 0x1202;
inline constexpr uint16_t kFirmwareName = 0x1203;
inline constexpr uint16_t kSampleRate = 0x1204;
inline constexpr uint16_t kDigitalFilter = 0x1205;
inline constexpr uint16_t kChannelNumber = 0x1208;
inline constexpr uint16_t kArticle = 0x1209;
inline constexpr uint16_t kSampleRateList = 0x120B;
inline constexpr uint16_t kHighVoltageOk = 0x1240;
inline constexpr uint16_t kHardwareOptions = 0x1280;
inline constexpr uint16_t kAntiCollision = 0x12A0;
inline constexpr uint16_t kFactoryReset = 0x12F0;
inline constexpr uint16_t kBootLoader = 0x1599;
inline constexpr uint16_t kTemperatures = 0x2001;
inline constexpr uint16_t kSupplies = 0x2002;
inline constexpr uint16_t kVoltageLimits = 0x2005;
inline constexpr uint16_t kCurrentLimits = 0x2006;
inline constexpr uint16_t kOnList = 0x2200;
inline constexpr uint16_t kEmergencyOffList = 0x2201;
inline constexpr uint16_t kChannelStatus = 0x4000;
inline constexpr uint16_t kChannelControl = 0x4001;
inline constexpr uint16_t kChannelEventStatus = 0x4002;
inline constexpr uint16_t kChannelEventMask = 0x4003;
inline constexpr uint16_t kDelayedTripTime = 0x4005;
inline constexpr uint16_t kDelayedTripAction = 0x4006;
inline constexpr uint16_t kExternalInhibitAction = 0x4007;
inline constexpr uint16_t kVoltageRampPriority = 0x4010;
inline constexpr uint16_t kWideChannelStatus = 0x4080;
inline constexpr uint16_t kWideChannelEventStatus = 0x4082;
inline constexpr uint16_t kVoltageSet = 0x4100;
inline constexpr uint16_t kCurrentSet = 0x4101;
inline constexpr uint16_t kVoltageMeasure = 0x4102;
inline constexpr uint16_t kCurrentMeasure = 0x4103;
inline constexpr uint16_t kVoltageBounds = 0x4104;
inline constexpr uint16_t kCurrentBounds = 0x4105;
inline constexpr uint16_t kVoltageNominal = 0x4106;
inline constexpr uint16_t kCurrentNominal = 0x4107;
inline constexpr uint16_t kPowerNominal = 0x4108;
inline constexpr uint16_t kCurrentMeasureRange = 0x4109;
inline constexpr uint16_t kVoltageBottom = 0x410A;
inline constexpr uint16_t kVctCoefficient = 0x4120;
inline constexpr uint16_t kTemperatureExternal = 0x4121;
inline constexpr uint16_t kResistanceExternal = 0x4122;
inline constexpr uint16_t kVoltageRampUp = 0x4123;
inline constexpr uint16_t kVoltageRampDown = 0x4124;
inline constexpr uint16_t kCurrentRampUp = 0x4125;
inline constexpr uint16_t kCurrentRampDown = 0x4126;
inline constexpr uint16_t kVoltageRampMin = 0x4127;
inline constexpr uint16_t kVoltageRampMax = 0x4128;
inline constexpr uint16_t kCurrentRampMin = 0x4129;
inline constexpr uint16_t kCurrentRampMax = 0x4130;  // not 0x412A: section 11
inline constexpr uint16_t kCurrentNominalLow = 0x4131;
inline constexpr uint16_t kPowerSet = 0x4134;
inline constexpr uint16_t kPowerMeasure = 0x4135;
inline constexpr uint16_t kOutputMode = 0x4140;
inline constexpr uint16_t kOutputPolarity = 0x4141;
inline constexpr uint16_t kOutputVoltageMode = 0x4142;
inline constexpr uint16_t kOutputCurrentMode = 0x4143;
inline constexpr uint16_t kVoltageModeList = 0x4150;  // … 0x4155
inline constexpr uint16_t kVoltageModeListIsegcan = 0x415F;
inline constexpr uint16_t kCurrentModeList = 0x4160;  // … 0x4165
inline constexpr uint16_t kGroupNumber = 0x4200;
inline constexpr uint16_t kCrateStatus = 0x1A00;
inline constexpr uint16_t kCrateControl = 0x1A01;
inline constexpr uint16_t kCrateEventStatus = 0x1A02;
inline constexpr uint16_t kCrateEventMask = 0x1A03;
inline constexpr uint16_t kCrateFanSpeed = 0x1A04;
inline constexpr uint16_t kCratePower = 0x1A05;
inline constexpr uint16_t kCrateBackplane = 0x1A07;
}  // namespace id

// Channel status bits (section 12.1); the event bits of section 12.3 are the same where both exist.
namespace channel_bit {
inline constexpr int kPositive = 0;
inline constexpr int kArc = 1;
inline constexpr int kInputError = 2;
inline constexpr int kOn = 3;    // status; event: on to off without ramp
inline constexpr int kRamp = 4;  // status; event: end of ramp
inline constexpr int kEmergencyOff = 5;
inline constexpr int kCurrentControl = 6;
inline constexpr int kVoltageControl = 7;
inline constexpr int kLowRange = 8;
inline constexpr int kArcError = 9;
inline constexpr int kCurrentBounds = 10;
inline constexpr int kVoltageBounds = 11;
inline constexpr int kExternalInhibit = 12;
inline constexpr int kTrip = 13;
inline constexpr int kCurrentLimit = 14;
inline constexpr int kVoltageLimit = 15;
inline constexpr int kVoltageRampUp = 19;
inline constexpr int kVoltageRampDown = 20;
inline constexpr int kUpperBound = 21;
inline constexpr int kLowerBound = 22;
inline constexpr int kVoltageBottom = 25;
inline constexpr int kTemperature = 26;
inline constexpr int kKillEnable = 29;
inline constexpr int kFineAdjustment = 30;
}  // namespace channel_bit

// Module status and event bits (sections 12.4 and 12.6).
namespace module_bit {
inline constexpr int kFineAdjustment = 0;
inline constexpr int kRestartEvent = 1;
inline constexpr int kLiveInsertion = 2;
inline constexpr int kHighVoltageOn = 3;
inline constexpr int kNeedService = 4;
inline constexpr int kHardwareVoltageLimitGood = 5;
inline constexpr int kInputError = 6;
inline constexpr int kCommandComplete = 7;
inline constexpr int kNoSumError = 8;
inline constexpr int kNoRamp = 9;
inline constexpr int kSafetyLoop = 10;
inline constexpr int kEventActive = 11;
inline constexpr int kModuleGood = 12;
inline constexpr int kSupply = 13;
inline constexpr int kTemperature = 14;
inline constexpr int kKillEnable = 15;
}  // namespace module_bit

// Control bits (sections 12.2, 12.5, 13.1).
namespace control_bit {
inline constexpr int kChannelOn = 3;
inline constexpr int kChannelEmergencyOff = 5;
inline constexpr int kRecallSetValues = 1;
inline constexpr int kInterlock = 5;
inline constexpr int kClear = 6;
inline constexpr int kBigEndian = 11;  // must always be written as 1
inline constexpr int kFineAdjustment = 12;
inline constexpr int kKillEnable = 14;
inline constexpr int kSaveSetValues = 15;
inline constexpr int kCrateClear = 0;
}  // namespace control_bit

namespace crate_bit {
inline constexpr int kTemperature = 7;
inline constexpr int kSumError = 12;
inline constexpr int kPowerOn = 16;
inline constexpr int kPowerFail = 17;
inline constexpr int kHighVoltageOn = 18;
inline constexpr int kCrateEnabled = 20;
}  // namespace crate_bit

inline constexpr uint32_t Bit(int n) { return uint32_t{1} << n; }

// Events that, with their mask bit, keep a channel from being switched on or raised (12.3, 12.6).
inline constexpr uint32_t kBlockingChannelEvents =
    Bit(channel_bit::kEmergencyOff) | Bit(channel_bit::kExternalInhibit) | Bit(channel_bit::kTrip) |
    Bit(channel_bit::kCurrentLimit) | Bit(channel_bit::kVoltageLimit);
inline constexpr uint32_t kBlockingModuleEvents =
    Bit(module_bit::kNeedService) | Bit(module_bit::kSafetyLoop) | Bit(module_bit::kSupply) |
    Bit(module_bit::kTemperature);

enum class RegisterAccess : uint8_t { kRead, kReadWrite, kWrite };

// One DATA_ID. Wide forms and both faces of 0x6xxx share the row of the channel's 0x4xxx.
struct Register {
  uint16_t data_id = 0;
  WireType type = WireType::kUi2;
  RegisterAccess access = RegisterAccess::kRead;
};

// The row of a DATA_ID as it stands in a frame: 0x6102 finds 0x4102, 0x1080 finds its own row with
// type kUi4. nullptr: not in the facts.
const Register* FindRegister(uint16_t data_id);
// All rows, in ascending order of DATA_ID, wide forms included, 0x6xxx not.
std::span<const Register> Registers();

}  // namespace canhub::iseg
