// Steps any number of Steppables on one virtual clock, deterministically.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
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
  // A moment that does not end after so many rounds is a Steppable that asks for "now" for ever.
  static constexpr int kMaxRoundsPerMoment = 100000;
  MonoTime NextDue() const;

  SimulatedClock* const clock_;
  std::vector<std::unique_ptr<Entry>> entries_;
  uint64_t steps_ = 0;
};

inline void StepRunner::Add(Steppable* step) {
  Entry* entry = entries_.emplace_back(std::make_unique<Entry>()).get();
  entry->step = step;
  step->SetWaker([entry] { entry->woken = true; });
}

inline void StepRunner::Remove(Steppable* step) {
  step->SetWaker(nullptr);
  std::erase_if(entries_, [step](const auto& entry) { return entry->step == step; });
}

inline void StepRunner::Pause(Steppable* step, bool paused) {
  for (const auto& entry : entries_) {
    if (entry->step == step) entry->paused = paused;
  }
}

inline void StepRunner::Settle() {
  const MonoTime now = clock_->Now();
  for (int round = 0; round < kMaxRoundsPerMoment; ++round) {
    bool ran = false;
    for (size_t i = 0; i < entries_.size(); ++i) {
      Entry& entry = *entries_[i];
      if (entry.paused || (!entry.woken && entry.next > now)) continue;
      entry.woken.exchange(false);  // sees what the waker's caller did before
      entry.next = entry.step->RunUntil(now);
      ++steps_;
      ran = true;
    }
    if (!ran) return;
  }
  std::fprintf(stderr, "StepRunner: still not settled after %d rounds at one moment\n",
               kMaxRoundsPerMoment);
  std::abort();
}

inline MonoTime StepRunner::NextDue() const {
  MonoTime next = kNever;
  for (const auto& entry : entries_) {
    if (!entry->paused) next = std::min(next, entry->next);
  }
  return next;
}

inline void StepRunner::RunUntil(MonoTime until) {
  Settle();
  for (MonoTime next = NextDue(); next <= until; next = NextDue()) {
    clock_->AdvanceTo(next);
    Settle();
  }
  clock_->AdvanceTo(until);
  Settle();
}

}  // namespace canhub
