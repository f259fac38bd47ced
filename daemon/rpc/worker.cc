#include "daemon/rpc/worker.h"

#include <utility>

namespace canhub {

Worker::Worker(size_t max_waiting) : max_waiting_(max_waiting) {}

Worker::~Worker() { Stop(); }

bool Worker::Post(std::function<void()> task) {
  MutexLock lock(&mutex_);
  if (stopped_ || tasks_.size() >= max_waiting_) return false;
  tasks_.push_back(std::move(task));
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  changed_.NotifyAll();
  return true;
}

void Worker::Stop() {
  std::deque<std::function<void()>> dropped;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    dropped.swap(tasks_);
    changed_.NotifyAll();
  }
  // Nobody starts it any more, so it may be looked at without the lock.
  if (thread_.joinable()) thread_.join();
}

void Worker::Run() {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(&mutex_);
      while (!stopped_ && tasks_.empty()) changed_.Wait(&mutex_);
      if (stopped_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace canhub
