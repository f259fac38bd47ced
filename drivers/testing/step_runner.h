// Steps any number of Steppables on one virtual clock, deterministically.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "drivers/api/step.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {

// Not thread-safe, but the wakers that it gives may be called by any thread. Within one moment the
// Steppables run in the order in which they were added, again and again until none has anything
// left to do; then the clock jumps to the next moment that one of them asked for.
class StepRunner {
 public:
  explicit StepRunner(SimulatedClock* clock) : clock_(clock) {}
  StepRunner(const StepRunner&) = delete;
  StepRunner& operator=(const StepRunner&) = delete;

  // Sets the waker of `step`, which must outlive the runner or be removed.
  void Add(Steppable* step);
  void Remove(Steppable* step);
  // A paused one is not stepped: an actor that hangs.
  void Pause(Steppable* step, bool paused);

  // Runs everything that is due now, without moving the clock.
  void Settle();
  // Moves the clock to `until`, stopping at every moment something is due.
  void RunUntil(MonoTime until);
  void RunFor(Duration time) { RunUntil(clock_->Now() + time); }
  // Runs until `done()` is true, at most for `limit`. Returns whether it became true.
  template <typename Predicate>
  bool RunUntilTrue(Predicate done, Duration limit) {
    const MonoTime end = clock_->Now() + limit;
    Settle();
    while (!done()) {
      const MonoTime next = NextDue();
      if (next > end) {
        clock_->AdvanceTo(end);
        Settle();
        return done();
      }
      clock_->AdvanceTo(next);
      Settle();
    }
    return true;
  }
  // Number of steps taken so far.
  uint64_t steps() const { return steps_; }

 private:
  struct Entry {
    Steppable* step = nullptr;
    MonoTime next{};  // the epoch: at once
    std::atomic<bool> woken = true;
    bool paused = false;
  };
  MonoTime NextDue() const;

  SimulatedClock* const clock_;
  std::vector<std::unique_ptr<Entry>> entries_;
  uint64_t steps_ = 0;
};

}  // namespace canhub
