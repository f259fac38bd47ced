// A thread for what may block: the disk, the configuration file, stepping a simulation.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Thread-safe. One task at a time, in the order posted. The thread starts with the first task.
class Worker {
 public:
  explicit Worker(size_t max_waiting);
  ~Worker();  // Stop
  // False when the queue is full or the worker stopped; the task is dropped.
  bool Post(std::function<void()> task);
  // Finishes the task under way, drops those that wait.
  void Stop();

 private:
  void Run();

  const size_t max_waiting_;
  Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  Condition changed_;
  std::thread thread_;
};

}  // namespace canhub
