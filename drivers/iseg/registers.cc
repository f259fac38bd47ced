#include "drivers/iseg/registers.h"

#include <algorithm>
#include <iterator>

namespace canhub::iseg {
namespace {

using WT = WireType;
constexpr RegisterAccess kR = RegisterAccess::kRead;
constexpr RegisterAccess kRw = RegisterAccess::kReadWrite;
constexpr RegisterAccess kW = RegisterAccess::kWrite;

// Sections 10, 10.1, 11 and 13.1, ascending. Where sources differ, the choice is in README.md.
constexpr Register kRegisters[] = {
    {id::kModuleStatus, WT::kUi2, kR},
    {id::kModuleControl, WT::kUi2, kRw},
    {id::kModuleEventStatus, WT::kUi2, kRw},
    {id::kModuleEventMask, WT::kUi2, kRw},
    {id::kEventChannelStatus, WT::kUi2, kRw},
    {id::kEventChannelMask, WT::kUi2, kRw},
    {id::kEventGroupStatus, WT::kUiAny, kRw},
    {id::kEventGroupMask, WT::kUiAny, kRw},
    {id::kModuleStatus2, WT::kUiAny, kR},
    {id::kModuleControl2, WT::kUi4, kRw},
    {0x1080, WT::kUi4, kR},
    {0x1081, WT::kUi4, kRw},
    {0x1082, WT::kUi4, kRw},
    {0x1083, WT::kUi4, kRw},
    {0x1084, WT::kUi4, kRw},
    {0x1085, WT::kUi4, kRw},
    {id::kSetValuesChanged, WT::kUiAny, kR},
    {id::kModuleVoltageRamp, WT::kR4, kRw},
    {id::kModuleCurrentRamp, WT::kR4, kRw},
    {id::kModuleVoltageLimit, WT::kR4, kR},
    {id::kModuleCurrentLimit, WT::kR4, kR},
    {id::kSupply24, WT::kR4, kR},
    {id::kSupply5, WT::kR4, kR},
    {id::kTemperature, WT::kR4, kR},
    {id::kTemperatureTrip, WT::kR4, kR},
    {id::kSerialNumber, WT::kUi4, kR},
    {id::kFirmwareRelease, WT::kRelease, kR},
    {id::kBitRate, WT::kUi2, kR},
    {id::kFirmwareName, WT::kName5, kR},
    {id::kSampleRate, WT::kUi2, kRw},
    {id::kDigitalFilter, WT::kUi2, kRw},
    {id::kChannelNumber, WT::kUi1, kR},
    {id::kArticle, WT::kTextPiece, kR},
    {id::kSampleRateList, WT::kTextPiece, kR},
    {id::kHighVoltageOk, WT::kText6, kRw},
    {id::kHardwareOptions, WT::kUi4, kR},
    {id::kAntiCollision, WT::kUi2, kW},
    {id::kFactoryReset, WT::kKey6, kW},
    {id::kCrateStatus, WT::kUi4, kR},
    {id::kCrateControl, WT::kUi4, kRw},
    {id::kCrateEventStatus, WT::kUi4, kRw},
    {id::kCrateEventMask, WT::kUi4, kRw},
    {id::kCrateFanSpeed, WT::kR4, kR},
    {id::kCratePower, WT::kUi1, kRw},
    {id::kCrateBackplane, WT::kUi4, kR},
    {id::kTemperatures, WT::kIndexedR4, kR},
    {id::kSupplies, WT::kIndexedR4, kR},
    {id::kVoltageLimits, WT::kIndexedR4, kR},
    {id::kCurrentLimits, WT::kIndexedR4, kR},
    {id::kOnList, WT::kUi4, kRw},
    {id::kEmergencyOffList, WT::kUi4, kW},
    {id::kChannelStatus, WT::kUi2, kR},
    {id::kChannelControl, WT::kUi2, kRw},
    {id::kChannelEventStatus, WT::kUi2, kRw},
    {id::kChannelEventMask, WT::kUi2, kRw},
    {id::kDelayedTripTime, WT::kUi2, kRw},
    {id::kDelayedTripAction, WT::kUi1, kRw},
    {id::kExternalInhibitAction, WT::kUi1, kRw},
    {id::kVoltageRampPriority, WT::kUi2, kRw},
    {id::kWideChannelStatus, WT::kUi4, kR},
    {id::kWideChannelEventStatus, WT::kUi4, kRw},
    {id::kVoltageSet, WT::kR4, kRw},
    {id::kCurrentSet, WT::kR4, kRw},
    {id::kVoltageMeasure, WT::kR4, kR},
    {id::kCurrentMeasure, WT::kR4, kR},
    {id::kVoltageBounds, WT::kR4, kRw},
    {id::kCurrentBounds, WT::kR4, kRw},
    {id::kVoltageNominal, WT::kR4, kR},
    {id::kCurrentNominal, WT::kR4, kR},
    {id::kPowerNominal, WT::kR4, kR},
    {id::kCurrentMeasureRange, WT::kR4Range, kR},
    {id::kVoltageBottom, WT::kR4, kRw},
    {id::kVctCoefficient, WT::kR4, kRw},
    {id::kTemperatureExternal, WT::kR4, kR},
    {id::kResistanceExternal, WT::kR4, kRw},
    {id::kVoltageRampUp, WT::kR4, kRw},
    {id::kVoltageRampDown, WT::kR4, kRw},
    {id::kCurrentRampUp, WT::kR4, kRw},
    {id::kCurrentRampDown, WT::kR4, kRw},
    {id::kVoltageRampMin, WT::kR4, kR},
    {id::kVoltageRampMax, WT::kR4, kR},
    {id::kCurrentRampMin, WT::kR4, kR},
    {id::kCurrentRampMax, WT::kR4, kR},
    {id::kCurrentNominalLow, WT::kR4, kR},
    {id::kPowerSet, WT::kR4, kRw},
    {id::kPowerMeasure, WT::kR4, kR},
    {id::kOutputMode, WT::kUi1, kRw},
    {id::kOutputPolarity, WT::kSi1, kRw},
    {id::kOutputVoltageMode, WT::kR4, kR},
    {id::kOutputCurrentMode, WT::kR4, kR},
    {0x4150, WT::kR4, kR},
    {0x4151, WT::kR4, kR},
    {0x4152, WT::kR4, kR},
    {0x4153, WT::kR4, kR},
    {0x4154, WT::kR4, kR},
    {0x4155, WT::kR4, kR},
    {id::kVoltageModeListIsegcan, WT::kR4, kR},
    {0x4160, WT::kR4, kR},
    {0x4161, WT::kR4, kR},
    {0x4162, WT::kR4, kR},
    {0x4163, WT::kR4, kR},
    {0x4164, WT::kR4, kR},
    {0x4165, WT::kR4, kR},
    {id::kGroupNumber, WT::kUi1, kRw},
};
static_assert(std::is_sorted(std::begin(kRegisters), std::end(kRegisters),
                             [](const Register& a, const Register& b) {
                               return a.data_id < b.data_id;
                             }));

}  // namespace

const Register* FindRegister(uint16_t data_id) {
  if (ClassOf(data_id) == AccessClass::kMultiple) data_id &= kMultipleMask;
  const auto* found =
      std::lower_bound(std::begin(kRegisters), std::end(kRegisters), data_id,
                       [](const Register& row, uint16_t wanted) { return row.data_id < wanted; });
  if (found == std::end(kRegisters) || found->data_id != data_id) return nullptr;
  return found;
}

std::span<const Register> Registers() { return kRegisters; }

}  // namespace canhub::iseg
