// A clock that a test moves by hand.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "drivers/api/time.h"

namespace canhub {

// Thread-safe. Starts at 1000 s (not at the epoch, which means "not reached" in receipts) and at
// 2026-01-01 00:00:00 UTC on the wall.
class SimulatedClock final : public Clock {
 public:
  MonoTime Now() const override { return MonoTime(Duration(mono_.load())); }
  WallTime WallNow() const override {
    return WallTime(Duration(mono_.load() - kStart + kWallStart + wall_jumps_.load()));
  }

  void Advance(Duration by) { mono_.fetch_add(by.count()); }
  // Never backwards: an earlier moment changes nothing.
  void AdvanceTo(MonoTime t) {
    int64_t now = mono_.load();
    const int64_t wanted = t.time_since_epoch().count();
    while (now < wanted && !mono_.compare_exchange_weak(now, wanted)) {
    }
  }
  // Moves the wall clock alone, forwards or backwards (S12).
  void JumpWall(Duration by) { wall_jumps_.fetch_add(by.count()); }

 private:
  static constexpr int64_t kStart = Duration(std::chrono::seconds(1000)).count();
  static constexpr int64_t kWallStart = Duration(std::chrono::seconds(1767225600)).count();
  std::atomic<int64_t> mono_{kStart};
  std::atomic<int64_t> wall_jumps_{0};
};

}  // namespace canhub
