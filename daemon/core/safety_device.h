// The id that readings and alarms of the safety system itself stand under: "safety/state".
#pragma once

namespace canhub {

// No device of a configuration has it.
inline constexpr char kSafetyDevice[] = "safety";

}  // namespace canhub
