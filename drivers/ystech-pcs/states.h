// Running states of 0x13 byte 0 (PCS facts, section 9).
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace canhub::ystech_pcs {

enum class State : uint8_t {
  kLongPause = 1,
  kShortStop = 2,
  kLongIdle = 3,
  kShortIdle = 4,
  kStop = 5,
  kFault = 6,
  kAcConstantPower = 7,
  kPowerFailure = 8,
  kSelfCheck = 9,
  kSoftStart = 10,
  kConstantVoltage = 11,
  kConstantCurrent = 12,
  kStandby = 13,
  kOffGridInverter = 14,
};

enum class StateClass : uint8_t {
  kUnknown,  // 0 and 15 … 255: undefined
  kStopped,  // also kPowerFailure: the grid is lost
  kStarting,
  kRunning,
  kFault,
};

struct StateSpec {
  State state;
  const char* name;  // "SOFT_START": the Python application's identifier
  const char* description;
  StateClass state_class;
};

// All states, in order of their numbers.
std::span<const StateSpec> States();
// nullptr: undefined.
const StateSpec* FindState(int state);
StateClass ClassOf(int state);
// "SOFT_START", "UNKNOWN(77)".
std::string StateName(int state);

}  // namespace canhub::ystech_pcs
