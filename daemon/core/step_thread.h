// Runs Steppables in real time, on a thread of their own.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/real_clock.h"
#include "drivers/api/step.h"
#include "drivers/api/turn_meter.h"

namespace canhub {

struct StepThreadOptions {
  std::string name;           // as `top -H` shows it; cut to 15 characters
  int realtime_priority = 0;  // SCHED_FIFO, 1 … 99; 0: ordinary scheduling
};

class StepThread {
 public:
  // `clock` must be the real one (its times are waited for) or agree with it. The Steppables
  // outlive the thread and are stepped by nothing else meanwhile. INVALID_ARGUMENT: the priority.
  // PERMISSION_DENIED: no right to real-time scheduling; the text says how to give it.
  // RESOURCE_EXHAUSTED: the system has no thread left.
  static absl::StatusOr<std::unique_ptr<StepThread>> Start(const Clock* clock,
                                                           std::vector<Steppable*> steps,
                                                           StepThreadOptions options);
  // Ends the step under way, then the thread.
  ~StepThread();
  StepThread(const StepThread&) = delete;
  StepThread& operator=(const StepThread&) = delete;

  // For how long the thread has owed a turn at `now`: since the step under way began, or since the
  // moment it should have begun. Zero while it rightly waits. Any thread.
  Duration Overdue(MonoTime now) const { return turns_.Overdue(now); }
  const std::string& name() const { return name_; }

 private:
  StepThread(const Clock* clock, std::vector<Steppable*> steps, std::string name);
  static void* Main(void* self);
  void Run();

  // Enough for a driver's step and the callbacks of gRPC under it. Not the default of 8 MiB: with
  // a thousand devices and locked memory, address space becomes memory.
  static constexpr size_t kStackBytes = size_t{512} << 10;

  const Clock* const clock_;
  const std::vector<Steppable*> steps_;
  const std::string name_;
  // Wakers may outlive the thread.
  const std::shared_ptr<Doorbell> bell_ = std::make_shared<Doorbell>();
  std::atomic<bool> stop_{false};
  TurnMeter turns_;
  pthread_t thread_{};
};

// Keeps all memory of the process, present and future, from being paged out. PERMISSION_DENIED,
// RESOURCE_EXHAUSTED: the text says what is missing.
absl::Status LockMemory();

}  // namespace canhub
