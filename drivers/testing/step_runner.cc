#include "drivers/testing/step_runner.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace canhub {

namespace {
// A moment that does not end after so many rounds is a Steppable that asks for "now" for ever.
constexpr int kMaxRoundsPerMoment = 100000;
}  // namespace

void StepRunner::Add(Steppable* step) {
  Entry* entry = entries_.emplace_back(std::make_unique<Entry>()).get();
  entry->step = step;
  step->SetWaker([entry] { entry->woken = true; });
}

void StepRunner::Remove(Steppable* step) {
  step->SetWaker(nullptr);
  std::erase_if(entries_, [step](const auto& entry) { return entry->step == step; });
}

void StepRunner::Pause(Steppable* step, bool paused) {
  for (const auto& entry : entries_) {
    if (entry->step == step) entry->paused = paused;
  }
}

void StepRunner::Settle() {
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

MonoTime StepRunner::NextDue() const {
  MonoTime next = kNever;
  for (const auto& entry : entries_) {
    if (!entry->paused) next = std::min(next, entry->next);
  }
  return next;
}

void StepRunner::RunUntil(MonoTime until) {
  Settle();
  for (MonoTime next = NextDue(); next <= until; next = NextDue()) {
    clock_->AdvanceTo(next);
    Settle();
  }
  clock_->AdvanceTo(until);
  Settle();
}

}  // namespace canhub
