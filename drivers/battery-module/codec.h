// The frames that are no matter of the DBC: what the host sends, and what guards an alarm frame.
#pragma once

#include <cstdint>
#include <span>

#include "drivers/api/can_frame.h"
#include "drivers/api/levels.h"

namespace canhub::battery_module {

// Poll of all modules (facts, section 4.2): one byte, 0xFF.
CanFrame SyncFrame();
// The request to one module, 1 … 15, for its temperature sensors (facts, section 4.4): CANopen's
// expedited download of 0 to object 0x1805, sub-index 1. The bytes are certain, the meaning is
// inferred. It sets nothing that outlives the answer.
CanFrame SensorRequestFrame(int module);

// Of an alarm frame (facts, section 12.2): polynomial 0x1D, start 0xFF, inverted at the end, over
// the module's number and the first seven bytes. Requires at least seven.
uint8_t AlarmCrc(int module, std::span<const uint8_t> data);
uint8_t Crc8(std::span<const uint8_t> data);

// How bad a fault code is (facts, section 12.2): 100 … 106 and 300 … 499 dangerous; 1 and
// 200 … 299 a warning; a code outside of all ranges is a warning, too.
Level LevelOfFault(int64_t code);

}  // namespace canhub::battery_module
