// A device that exists for benchmarks: readings that change as fast as asked for, a heartbeat on a
// grid of time, and a write that becomes one frame.
#pragma once

#include <span>

#include "drivers/api/driver.h"
#include "tests/bench/beats.h"

namespace canhub::bench {

// Items: "v0.value" … change together, "rate_hz" times a second (an item that can be set; 0 at the
// start); "frames" counts what came in; "out" is sent when it is set.
std::span<const DriverInfo* const> BenchDrivers();

// Of the heartbeats of all devices in this process: from the moment on the grid to the bus's stamp.
Lateness& HeartbeatLateness();

// Frames with these identifiers, plus the device's address, go to it.
inline constexpr uint32_t kFramesToDevice = 0x200;
inline constexpr uint32_t kFramesFromDevice = 0x300;

}  // namespace canhub::bench
