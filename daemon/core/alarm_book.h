// All alarms: raised by drivers, buses and the daemon; kept on disk; watched by clients.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/access.h"
#include "daemon/core/store_api.h"
#include "drivers/api/driver.h"
#include "drivers/api/step.h"

namespace canhub {

class AlarmWatch {
 public:
  virtual ~AlarmWatch() = default;
  struct Batch {
    std::vector<AlarmRecord> alarms;
    uint64_t coalesced = 0;
  };
  virtual Batch Drain() = 0;
};

// Thread-safe. Raise and Clear never block on the disk: RunUntil, on the housekeeping thread,
// writes them. Acknowledge and Shelve are on disk when they return.
class AlarmBook : public Steppable {
 public:
  virtual void Raise(std::string_view device_id, std::string_view code, AlarmSeverity severity,
                     std::string_view text) = 0;
  virtual void Clear(std::string_view device_id, std::string_view code) = 0;
  // NOT_FOUND; FAILED_PRECONDITION: acknowledged already; UNAVAILABLE: not on disk, nothing
  // changed.
  virtual absl::StatusOr<AlarmRecord> Acknowledge(const Caller& caller, const std::string& alarm_id,
                                                  const std::string& comment) = 0;
  virtual absl::StatusOr<AlarmRecord> Shelve(const Caller& caller, const std::string& alarm_id,
                                             Duration duration, const std::string& comment) = 0;
  struct Query {
    std::string device_id;
    bool include_history = false;
    bool include_shelved = false;
  };
  // The worst first, then the newest.
  virtual std::vector<AlarmRecord> List(const Query& query) const = 0;
  virtual int ActiveCount(std::string_view device_id) const = 0;
  // The first Drain gives every alarm that is not normal. on_ready must not block.
  virtual std::unique_ptr<AlarmWatch> Watch(const std::string& device_id,
                                            std::function<void()> on_ready) = 0;
};

}  // namespace canhub
