// A classic CAN frame and its text forms.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "drivers/api/time.h"

namespace canhub {

struct CanFrame {
  uint32_t id = 0;  // 11 bits, or 29 when extended
  bool extended = false;
  bool remote = false;
  uint8_t dlc = 0;  // 0 … 8
  std::array<uint8_t, 8> data{};

  std::span<const uint8_t> payload() const { return {data.data(), remote ? size_t{0} : dlc}; }
  friend bool operator==(const CanFrame& a, const CanFrame& b) {
    return a.id == b.id && a.extended == b.extended && a.remote == b.remote && a.dlc == b.dlc &&
           (a.remote || std::equal(a.data.begin(), a.data.begin() + a.dlc, b.data.begin()));
  }
};

// A standard frame with this payload; at most 8 bytes.
CanFrame MakeFrame(uint32_t id, std::span<const uint8_t> payload);
CanFrame MakeFrame(uint32_t id, std::initializer_list<uint8_t> payload);

// cansend's form: "210#41000344BB8000", "00001229#1000", "201#R2". Three digits: 11-bit; eight:
// 29-bit.
std::string FormatFrame(const CanFrame& frame);
// INVALID_ARGUMENT names the position, found and expected. Dots between bytes are allowed, as in
// cansend.
absl::StatusOr<CanFrame> ParseFrame(std::string_view text);
// candump -l's line: "(1700000000.123456) can0 210#41000344BB8000".
std::string FormatCandumpLine(WallTime time, std::string_view interface, const CanFrame& frame);
struct CandumpLine {
  WallTime time;
  std::string interface;
  CanFrame frame;
};
absl::StatusOr<CandumpLine> ParseCandumpLine(std::string_view line);

// A received frame.
struct RxFrame {
  CanFrame frame;
  MonoTime time;  // when it was on the wire, on the daemon's clock
};

// Passes frames with (id & mask) == (this id & mask) and the same form. Remote frames never pass.
struct CanFilter {
  uint32_t id = 0;
  uint32_t mask = 0;
  bool extended = false;
  bool Matches(const CanFrame& frame) const {
    return !frame.remote && frame.extended == extended && (frame.id & mask) == (id & mask);
  }
};

// Bits the frame takes on the wire, with its real stuff bits, CRC and 3 bits of interframe space.
// (ISO 11898-1 frame format; stuffing from start of frame to the end of the CRC sequence.)
int WireBits(const CanFrame& frame);

}  // namespace canhub
