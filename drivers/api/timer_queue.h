// The timers of one actor: a queue that is run by whoever steps the actor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

#include "drivers/api/time.h"
#include "drivers/api/timers.h"

namespace canhub {

// Not thread-safe: used only on the actor's thread.
class TimerQueue final : public Timers {
 public:
  // `clock` outlives the queue; it is asked only when a timer is set.
  explicit TimerQueue(const Clock* clock) : clock_(clock) {}
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  TimerId At(MonoTime when, std::function<void()> callback) override;
  TimerId Every(Duration period, std::function<void()> callback) override;
  TimerId After(Duration delay, std::function<void()> callback) override;
  void Cancel(TimerId id) override;

  // Calls what is due at `now`, in order of time and, within one moment, in the order in which it
  // was set. A timer that a callback sets for now or earlier is left to the next run, so that a run
  // always ends. Returns when the next one is due; kNever for none.
  MonoTime RunDue(MonoTime now);
  // When the next one is due; kNever for none.
  MonoTime NextDue() const { return queue_.empty() ? kNever : queue_.begin()->first.first; }
  size_t size() const { return queue_.size(); }
  void Clear();

 private:
  struct Timer {
    std::function<void()> callback;
    Duration period{};  // 0: fires once
    TimerId id = 0;
  };
  // Time, then a number that rises with every setting: the order within one moment.
  using Key = std::pair<MonoTime, uint64_t>;

  void Insert(MonoTime when, Timer timer);

  const Clock* const clock_;
  std::map<Key, Timer> queue_;
  std::unordered_map<TimerId, Key> keys_;
  TimerId last_id_ = 0;
  uint64_t last_order_ = 0;
  TimerId running_ = 0;  // the periodic timer whose callback runs now; 0 once it is cancelled
};

}  // namespace canhub
