// Timers that die with their owner: a driver may be destroyed before its actor's timers are.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "drivers/api/timers.h"

namespace canhub {

// On the actor's thread. `timers` outlives it.
class TimerScope {
 public:
  explicit TimerScope(Timers& timers) : timers_(timers) {}
  TimerScope(const TimerScope&) = delete;
  TimerScope& operator=(const TimerScope&) = delete;
  ~TimerScope() { CancelAll(); }

  TimerId At(MonoTime when, std::function<void()> callback) {
    // The id is only known once the timer is set; it never fires before.
    auto id = std::make_shared<TimerId>(0);
    *id = timers_.At(when, [this, id, callback = std::move(callback)] {
      pending_.erase(*id);
      callback();
    });
    pending_.insert(*id);
    return *id;
  }
  TimerId Every(Duration period, std::function<void()> callback) {
    const TimerId id = timers_.Every(period, std::move(callback));
    pending_.insert(id);
    return id;
  }
  void Cancel(TimerId id) {
    if (pending_.erase(id) > 0) timers_.Cancel(id);
  }
  void CancelAll() {
    for (const TimerId id : std::exchange(pending_, {})) timers_.Cancel(id);
  }

 private:
  Timers& timers_;
  std::set<TimerId> pending_;
};

}  // namespace canhub
