// Those who wait until every device has been polled.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "daemon/core/state_cache.h"
#include "daemon/core/watch_hub.h"
#include "drivers/api/step.h"

namespace canhub {

// What a device that is not ready waits for: "searching, looking for a device at address 1", or
// "first poll under way" when it answers.
std::string NotReadyText(LinkState link, const std::string& link_text);

// Thread-safe. Stepped on the thread of the watches, which it does not hold up.
class ReadyWaiters final : public Steppable {
 public:
  // Both outlive it.
  ReadyWaiters(StateCache* cache, WatchHub* watches) : cache_(cache), watches_(watches) {}
  ~ReadyWaiters() override;

  // Calls `ready` once, with a line per device that has not been polled: at once when there are
  // none, else when the last one has been, or at the deadline.
  void Add(MonoTime deadline, absl::AnyInvocable<void(std::vector<std::string>)> ready);
  std::vector<std::string> NotReady() const;

  MonoTime RunUntil(MonoTime now) override;

 private:
  struct Waiter {
    MonoTime deadline = kNever;
    absl::AnyInvocable<void(std::vector<std::string>)> ready;
  };

  StateCache* const cache_;
  WatchHub* const watches_;
  std::mutex mutex_;
  std::vector<Waiter> waiters_;   // under mutex_
  std::unique_ptr<Watch> watch_;  // the step's; there while somebody waits
};

}  // namespace canhub
