// Reads the configuration again and applies what can be applied to a running hub.
#pragma once

#include <functional>
#include <mutex>
#include <span>

#include "absl/status/statusor.h"
#include "daemon/config/diff.h"
#include "daemon/core/hub.h"

namespace canhub {

// Thread-safe.
class ConfigReloader {
 public:
  // `running` is what the file said at the start. `hub` outlives this.
  ConfigReloader(Config running, std::span<const DriverInfo* const> drivers, Hub* hub,
                 std::function<void(LogLevel)> set_log_level);

  // INVALID_ARGUMENT, NOT_FOUND, …: the file is wrong or cannot be read. UNAVAILABLE: the change
  // cannot be audited. Nothing is changed then.
  absl::StatusOr<ConfigChanges> Reload(bool check_only);

 private:
  const std::span<const DriverInfo* const> drivers_;
  Hub* const hub_;
  const std::function<void(LogLevel)> set_log_level_;
  std::mutex mutex_;
  Config running_;  // by mutex_
};

}  // namespace canhub
