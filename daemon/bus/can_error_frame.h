// What the kernel's CAN error frames say. Facts: linux/can/error.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "drivers/api/can_bus.h"

namespace canhub {

struct ErrorFrame {
  std::string text;  // every bit in words
  // The controller's state after it; unset when the frame does not tell.
  std::optional<BusState> state;
  // The controller began anew after a bus-off: what waited in it is gone.
  bool restarted = false;
  // The device driver gave up on a frame that it was sending.
  bool transmit_timeout = false;
  // Something was wrong on the line or in the controller, not merely a change of state.
  bool is_error = false;
  std::optional<uint32_t> transmit_error_counter;
  std::optional<uint32_t> receive_error_counter;
};

// `error_class`: the identifier without its flags. Less than 8 bytes (socketcand sends none) means
// unknown details.
ErrorFrame DecodeErrorFrame(uint32_t error_class, std::span<const uint8_t> data);

}  // namespace canhub
