// Ends of what the engine began, on their way from other threads.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Of a safe action, of an item that was set, or of a write to the disk.
struct End {
  size_t interlock;
  uint64_t run;  // of the sequence, or of the latch
  size_t step;   // of the sequence
  absl::Status status;
};

// Thread-safe. Outlives the engine.
class Ends {
 public:
  // `wake` is called from any thread when there is one.
  explicit Ends(std::function<void()> wake) : wake_(std::move(wake)) {}
  void Push(End end) {
    MutexLock lock(&mutex_);
    if (!wake_) return;
    ends_.push_back(std::move(end));
    wake_();
  }
  std::vector<End> Take() {
    MutexLock lock(&mutex_);
    return std::exchange(ends_, {});
  }
  // Nobody is woken any more.
  void Close() {
    MutexLock lock(&mutex_);
    wake_ = nullptr;
  }

 private:
  Mutex mutex_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);
  std::vector<End> ends_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace canhub
