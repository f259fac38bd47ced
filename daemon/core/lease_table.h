// Leases: the right of one client to command some devices.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/access.h"
#include "drivers/api/step.h"

namespace canhub {

struct LeaseInfo {
  std::string lease_id;
  std::string holder;
  std::vector<std::string> device_ids;
  std::string purpose;
  Duration window{};
  MonoTime acquired{}, expires{};
  std::map<std::string, std::string> safe_actions;  // device → action
};

// Thread-safe. RunUntil lapses leases; it runs on a thread of its own, so that nothing else the
// daemon does delays a safe action (S05).
class LeaseTable : public Steppable {
 public:
  static constexpr Duration kMinWindow = std::chrono::milliseconds(200);
  static constexpr Duration kMaxWindow = std::chrono::hours(1);
  static constexpr Duration kDefaultWindow = std::chrono::seconds(5);

  struct AcquireRequest {
    Caller caller;
    std::vector<std::string> device_ids;
    std::optional<Duration> window;
    std::string purpose;
    std::string safe_action;  // "" = each device's own
  };
  virtual absl::StatusOr<LeaseInfo> Acquire(const AcquireRequest& request) = 0;
  virtual absl::StatusOr<LeaseInfo> KeepAlive(const Caller& caller,
                                              const std::string& lease_id) = 0;
  virtual absl::Status Release(const Caller& caller, const std::string& lease_id,
                               bool run_safe_actions) = 0;
  virtual std::vector<LeaseInfo> List() const = 0;
  virtual std::optional<LeaseInfo> Covering(std::string_view device_id) const = 0;
};

}  // namespace canhub
