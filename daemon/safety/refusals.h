// What interlocks refuse at one moment, and why: asked on the threads of callers.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "daemon/core/gate_impl.h"
#include "daemon/core/interlock_table.h"
#include "daemon/safety/rules.h"
#include "drivers/api/mutex.h"

namespace canhub {

// One interlock that holds. `rule` outlives the list.
struct RefusingInterlock {
  const InterlockRule* rule = nullptr;
  bool settling = false, latched = false, ending = false;
  std::vector<InterlockCause> causes;
  std::optional<MonoTime> tripped;
};

// Thread-safe, never blocks.
class Refusals final : public InterlockAuthority {
 public:
  // Both outlive it.
  Refusals(const Clock* clock, const SafetyRules* rules) : clock_(clock), rules_(rules) {}

  void Set(std::vector<RefusingInterlock> now);
  // Whether anything is refused at all; costs a load.
  bool any() const { return any_.load(std::memory_order_acquire); }

  absl::Status MayCommand(const std::string& device_id,
                          const std::vector<std::string>& names) const override;
  absl::Status MaySet(const InterlockWrite& write) const override;
  absl::Status MaySendFrames(const std::vector<std::string>& device_ids) const override;

 private:
  using List = std::vector<RefusingInterlock>;
  // The first that refuses, in words; OK: none.
  absl::Status Find(
      const std::function<bool(const RefusingInterlock&, const Refusal&)>& refuses) const;
  absl::Status RefusedBy(const RefusingInterlock& interlock, const std::string& device_id) const;

  const Clock* const clock_;
  const SafetyRules* const rules_;
  std::atomic<bool> any_{false};
  mutable Mutex mutex_;
  std::shared_ptr<const List> list_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace canhub
