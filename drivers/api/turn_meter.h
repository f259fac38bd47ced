// How long a thread that works in turns has owed one: what the watchdog asks (S04).
#pragma once

#include <atomic>

#include "drivers/api/time.h"

namespace canhub {

// Begin and Wait on the thread itself, Overdue on any.
class TurnMeter {
 public:
  explicit TurnMeter(MonoTime now) : due_(now) {}
  // A turn begins.
  void Begin(MonoTime now) { due_.store(now, std::memory_order_relaxed); }
  // It has ended; the next one is due at `until`, kNever: when the thread is called.
  void Wait(MonoTime until) { due_.store(until, std::memory_order_relaxed); }

  // Since the turn under way began, or since the moment it should have begun. Zero while the thread
  // rightly waits.
  Duration Overdue(MonoTime now) const {
    const MonoTime due = due_.load(std::memory_order_relaxed);
    return due < now ? now - due : Duration::zero();
  }

 private:
  std::atomic<MonoTime> due_;
};

}  // namespace canhub
