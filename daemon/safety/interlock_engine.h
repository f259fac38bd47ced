// The engine that runs levels and interlocks: an actor of its own.
#pragma once

#include <memory>

#include "daemon/core/interlock_table.h"
#include "daemon/safety/rules.h"

namespace canhub {

// Looks at its inputs whenever a device that they are of has news, and at the latest after this
// (battery safety facts, section 5.4).
inline constexpr Duration kSafetyTick = std::chrono::milliseconds(100);

// Requires rules that were checked against what there is. Its own items (device "safety"): "state",
// "<level>.level", "<interlock>.state"; its alarms: "safety/<level>", "safety/<interlock>",
// "safety/<interlock>.incomplete".
std::unique_ptr<InterlockTable> MakeInterlockEngine(SafetyRules rules,
                                                    InterlockDependencies dependencies);

}  // namespace canhub
