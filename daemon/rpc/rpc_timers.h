// Timers and small tasks of the services, on the injected clock.
//
// Stepped like everything else in the daemon: by one thread in real time, by hand on a virtual
// clock. Watches are pumped here, so that neither an actor nor the watch hub ever runs gRPC code.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "drivers/api/mutex.h"
#include "drivers/api/step.h"

namespace canhub {

// Thread-safe. Callbacks must not block; they may call Post, At and Cancel.
class RpcTimers final : public Steppable {
 public:
  using TimerId = std::pair<MonoTime, uint64_t>;

  // Runs the task at the next step, in the order of the calls.
  void Post(std::function<void()> task);
  TimerId At(MonoTime when, std::function<void()> task);
  // A task that is running just now is not waited for: it must hold what it uses.
  void Cancel(TimerId id);

  MonoTime RunUntil(MonoTime now) override;

 private:
  Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  std::map<TimerId, std::function<void()>> timers_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace canhub
