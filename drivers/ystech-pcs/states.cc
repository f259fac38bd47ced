#include "drivers/ystech-pcs/states.h"

#include <iterator>

namespace canhub::ystech_pcs {
namespace {

using C = StateClass;

// Section 9; the classes are inferred there.
constexpr StateSpec kStates[] = {
    {State::kLongPause, "LONG_PAUSE", "long pause", C::kStopped},
    {State::kShortStop, "SHORT_STOP", "short stop", C::kStopped},
    {State::kLongIdle, "LONG_IDLE", "long idle", C::kStopped},
    {State::kShortIdle, "SHORT_IDLE", "short idle", C::kStopped},
    {State::kStop, "STOP", "stop", C::kStopped},
    {State::kFault, "FAULT", "fault", C::kFault},
    {State::kAcConstantPower, "AC_CONSTANT_POWER", "AC constant-power operation", C::kRunning},
    {State::kPowerFailure, "POWER_FAILURE", "power failure", C::kStopped},
    {State::kSelfCheck, "SELF_CHECK", "self check", C::kStarting},
    {State::kSoftStart, "SOFT_START", "soft start", C::kStarting},
    {State::kConstantVoltage, "CONSTANT_VOLTAGE", "constant-voltage operation", C::kRunning},
    {State::kConstantCurrent, "CONSTANT_CURRENT", "constant-current operation", C::kRunning},
    {State::kStandby, "STANDBY", "standby", C::kStopped},
    {State::kOffGridInverter, "OFF_GRID_INVERTER", "off-grid inverter operation", C::kRunning},
};

}  // namespace

std::span<const StateSpec> States() { return kStates; }

const StateSpec* FindState(int state) {
  return state >= 1 && state <= static_cast<int>(std::size(kStates)) ? &kStates[state - 1]
                                                                     : nullptr;
}

StateClass ClassOf(int state) {
  const StateSpec* spec = FindState(state);
  return spec == nullptr ? StateClass::kUnknown : spec->state_class;
}

std::string StateName(int state) {
  const StateSpec* spec = FindState(state);
  return spec == nullptr ? "UNKNOWN(" + std::to_string(state) + ")" : spec->name;
}

}  // namespace canhub::ystech_pcs
