#include "drivers/api/timer_queue.h"

namespace canhub {
namespace {

// kNever instead of an overflow.
MonoTime Later(MonoTime from, Duration delay) {
  if (delay > Duration::zero() && from > kNever - delay) return kNever;
  return from + delay;
}

}  // namespace

void TimerQueue::Insert(MonoTime when, Timer timer) {
  const Key key{when, ++last_order_};
  keys_[timer.id] = key;
  queue_.emplace(key, std::move(timer));
}

TimerId TimerQueue::At(MonoTime when, std::function<void()> callback) {
  const TimerId id = ++last_id_;
  Insert(when, {std::move(callback), Duration::zero(), id});
  return id;
}

TimerId TimerQueue::Every(Duration period, std::function<void()> callback) {
  // A period of nothing would keep its actor busy for ever.
  if (period <= Duration::zero()) period = Duration(1);
  const TimerId id = ++last_id_;
  Insert(Later(clock_->Now(), period), {std::move(callback), period, id});
  return id;
}

TimerId TimerQueue::After(Duration delay, std::function<void()> callback) {
  return At(Later(clock_->Now(), delay), std::move(callback));
}

void TimerQueue::Cancel(TimerId id) {
  if (id != 0 && id == running_) {
    running_ = 0;
    return;
  }
  const auto it = keys_.find(id);
  if (it == keys_.end()) return;
  queue_.erase(it->second);
  keys_.erase(it);
}

MonoTime TimerQueue::RunDue(MonoTime now) {
  const uint64_t last_order = last_order_;
  auto it = queue_.begin();
  while (it != queue_.end() && it->first.first <= now) {
    if (it->first.second > last_order) {  // set during this run
      ++it;
      continue;
    }
    Timer timer = std::move(it->second);
    keys_.erase(timer.id);
    queue_.erase(it);
    running_ = timer.period > Duration::zero() ? timer.id : 0;
    timer.callback();
    if (running_ != 0 && running_ == timer.id) {
      running_ = 0;
      Insert(Later(now, timer.period), std::move(timer));
    }
    it = queue_.begin();  // the callback may have changed anything
  }
  return NextDue();
}

void TimerQueue::Clear() {
  queue_.clear();
  keys_.clear();
  running_ = 0;
}

}  // namespace canhub
