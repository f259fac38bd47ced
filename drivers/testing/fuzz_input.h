// For fuzz targets: what a fuzzer's bytes mean, and properties that must hold for all of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "drivers/api/can_frame.h"

namespace canhub {

// Ends the program, as a crash does, when a property does not hold: the fuzzer keeps the input.
inline void Require(bool holds, std::string_view property, std::string_view found = {}) {
  if (holds) return;
  std::fprintf(stderr, "PROPERTY BROKEN: %s: %s\n", std::string(property).c_str(),
               std::string(found).c_str());
  std::abort();
}

// Bytes taken from the front; zeros once there are none left.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }
  // Big-endian.
  template <typename T>
  T Take() {
    static_assert(std::is_integral_v<T>);
    std::make_unsigned_t<T> value = 0;
    for (const uint8_t byte : Bytes(sizeof(T))) {
      value = static_cast<std::make_unsigned_t<T>>(uint64_t{value} << 8 | byte);
    }
    return static_cast<T>(value);
  }
  uint8_t Byte() { return Take<uint8_t>(); }
  // 0 … count - 1, of one byte.
  size_t Below(size_t count) { return Byte() % count; }
  // At most so many.
  std::span<const uint8_t> Bytes(size_t count) {
    const std::span<const uint8_t> taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::string Text(size_t count) {
    const std::span<const uint8_t> bytes = Bytes(count);
    return {bytes.begin(), bytes.end()};
  }
  std::string Rest() { return Text(rest_.size()); }
  // Any frame that a bus can deliver: a byte of flags and length, the identifier, the data.
  CanFrame Frame() {
    const uint8_t form = Byte();
    CanFrame frame;
    frame.extended = (form & 0x10) != 0;
    frame.remote = (form & 0x20) != 0;
    frame.id = frame.extended ? Take<uint32_t>() & 0x1FFFFFFF : Take<uint16_t>() & 0x7FF;
    frame.dlc = std::min<uint8_t>(form & 0xF, 8);
    if (!frame.remote) {
      const std::span<const uint8_t> bytes = Bytes(frame.dlc);
      std::copy(bytes.begin(), bytes.end(), frame.data.begin());
    }
    return frame;
  }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace canhub
