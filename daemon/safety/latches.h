// What of interlocks outlives the daemon: that they are latched, and why.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/core/alarm_book.h"
#include "daemon/core/device_values.h"
#include "daemon/safety/ends.h"
#include "daemon/safety/rules.h"
#include "drivers/api/time.h"

namespace canhub {

// Not thread-safe. What cannot be written is tried again, with the alarm <interlock>.not_saved.
class Latches {
 public:
  // All outlive it. `values` may be nullptr: nothing outlives the daemon. `wake` is called from any
  // thread when RunUntil has something to do.
  Latches(const SafetyRules* rules, DeviceValues* values, AlarmBook* alarms,
          std::function<void()> wake);
  // Has what is not on disk written once more.
  ~Latches();
  Latches(const Latches&) = delete;
  Latches& operator=(const Latches&) = delete;

  // By interlock: why an earlier run of the daemon left it latched; "": it did not.
  std::vector<std::string> Loaded() const;
  // Why the interlock is latched; "": it is not. Nothing for one that does not latch.
  void Set(size_t interlock, const std::string& why);
  // Returns when it wants to be called next.
  MonoTime RunUntil(MonoTime now);

 private:
  struct Latch {
    std::string why;
    uint64_t version = 0, saved = 0;
    MonoTime retry = kNever;
  };
  void Save(size_t interlock);

  const SafetyRules* const rules_;
  DeviceValues* const values_;
  AlarmBook* const alarms_;
  std::vector<Latch> latches_;  // by interlock
  const std::shared_ptr<Ends> ends_;
};

}  // namespace canhub
