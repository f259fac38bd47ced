#include "daemon/rpc/rpc_timers.h"

namespace canhub {

void RpcTimers::Post(std::function<void()> task) {
  bool first = false;
  {
    MutexLock lock(&mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (first) Wake();
}

RpcTimers::TimerId RpcTimers::At(MonoTime when, std::function<void()> task) {
  TimerId id;
  bool earliest = false;
  {
    MutexLock lock(&mutex_);
    id = {when, next_id_++};
    timers_.emplace(id, std::move(task));
    earliest = timers_.begin()->first == id;
  }
  if (earliest) Wake();
  return id;
}

void RpcTimers::Cancel(TimerId id) {
  // Declared before the lock, so destroyed after it is released: a task may own a lot.
  std::function<void()> dropped;
  MutexLock lock(&mutex_);
  const auto found = timers_.find(id);
  if (found == timers_.end()) return;
  dropped = std::move(found->second);
  timers_.erase(found);
}

MonoTime RpcTimers::RunUntil(MonoTime now) {
  std::vector<std::function<void()>> due;
  {
    MutexLock lock(&mutex_);
    due.swap(posted_);
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
      due.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
  }
  for (const auto& task : due) task();
  due.clear();
  MutexLock lock(&mutex_);
  if (!posted_.empty()) return now;
  return timers_.empty() ? kNever : timers_.begin()->first.first;
}

}  // namespace canhub
