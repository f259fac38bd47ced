// What happened on a line during the last second.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "drivers/api/time.h"

namespace canhub {

struct LineUse {
  double bits = 0;
  uint64_t frames = 0;
  uint64_t errors = 0;
};

// Sums of the last whole second, in ten slots of 100 ms: the slot under way does not count yet, so
// the numbers are exact for one second and at most 100 ms old. Not thread-safe.
class RateMeter {
 public:
  void Add(MonoTime time, const LineUse& use) {
    const int64_t slot = SlotOf(time);
    Entry& entry = ring_[static_cast<size_t>(slot % kRing)];
    if (entry.slot > slot) return;  // older than the ring
    if (entry.slot < slot) entry = {slot, {}};
    entry.use.bits += use.bits;
    entry.use.frames += use.frames;
    entry.use.errors += use.errors;
  }
  LineUse LastSecond(MonoTime now) const {
    const int64_t current = SlotOf(now);
    LineUse sum;
    for (const Entry& entry : ring_) {
      if (entry.slot < current - kSlots || entry.slot >= current) continue;
      sum.bits += entry.use.bits;
      sum.frames += entry.use.frames;
      sum.errors += entry.use.errors;
    }
    return sum;
  }

 private:
  static constexpr int64_t kSlots = 10;
  static constexpr int64_t kRing = kSlots + 1;
  static int64_t SlotOf(MonoTime time) {
    return time.time_since_epoch() / Duration(std::chrono::milliseconds(100));
  }
  struct Entry {
    int64_t slot = -1;
    LineUse use;
  };
  std::array<Entry, kRing> ring_;
};

}  // namespace canhub
