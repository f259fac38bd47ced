// A device that exists for benchmarks: readings that change as fast as asked for, and a write that
// becomes one frame.
#pragma once

#include "drivers/api/driver.h"

namespace canhub::bench {

// Items: "v0.value" … change together, "rate_hz" times a second (an item that can be set; 0 at the
// start); "frames" counts what came in; "out" is sent when it is set, and by
// the safe action "stop".
const DriverInfo& BenchDriverInfo();

// Frames with these identifiers, plus the device's address, go to it.
inline constexpr uint32_t kFramesToDevice = 0x200;
inline constexpr uint32_t kFramesFromDevice = 0x300;

}  // namespace canhub::bench
