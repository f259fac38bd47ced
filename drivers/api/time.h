// Time as drivers see it: monotonic for intervals, wall only to show.
#pragma once

#include <chrono>
#include <cstdint>

namespace canhub {

using Duration = std::chrono::nanoseconds;

// A point on the injected monotonic clock. Not convertible to wall time.
struct MonotonicTag {
  using rep = int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicTag, Duration>;
  static constexpr bool is_steady = true;
};
using MonoTime = std::chrono::time_point<MonotonicTag, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

inline constexpr MonoTime kNever = MonoTime::max();

// Thread-safe. The only sources of time; the real one is daemon/core/real_clock.cc.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime Now() const = 0;
  // May jump at any moment; nothing may depend on it but what is shown.
  virtual WallTime WallNow() const = 0;
  // The wall time of a monotonic moment, by the offset of now.
  WallTime ToWall(MonoTime t) const { return WallNow() + (t - Now()); }
};

}  // namespace canhub
