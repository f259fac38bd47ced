// What the service manager is told of a running lab: when it is ready, how it is, that it turns.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/wiring.h"

namespace canhub {

struct DeviceHealth {
  std::string id;
  LinkState link = LinkState::kSearching;
  std::string link_text;
  bool polled = false;  // every item has been asked for once
  bool hangs = false;   // its actor
  // Since it was last heard; nothing when it never was.
  std::optional<Duration> silent_for;
};

struct LabHealth {
  std::vector<DeviceHealth> devices;      // in the order of the configuration
  std::vector<std::string> hung_threads;  // Lab::HungThreads
  bool audit_writable = true;
  // Every device has been polled once, or the time for that is over.
  bool ready = false;

  // "hv1: its actor", "bus can0": whatever must turn and does not.
  std::vector<std::string> Hung() const;
};

// Looks at a lab. One thread.
class LabObserver {
 public:
  // A driver returns within a millisecond; what stands still for this long hangs.
  static constexpr Duration kHung = std::chrono::seconds(2);

  // Ready as HubService.WaitReady decides it, at the latest `ready_timeout` from now.
  LabObserver(Lab* lab, Duration ready_timeout);
  LabHealth Look() const;

 private:
  Lab* const lab_;
  const std::shared_ptr<std::atomic<bool>> ready_;
};

// Turns what was seen into messages of sd_notify(3). One thread.
class SupervisorNotice {
 public:
  // By this much the start may go on from each notice; the next one comes much earlier.
  static constexpr Duration kStartExtension = std::chrono::seconds(10);

  // `watchdog`: the service manager expects to be fed.
  explicit SupervisorNotice(bool watchdog) : watchdog_(watchdog) {}

  // What to send now; "" for nothing. READY=1 comes once. While something hangs there is neither
  // WATCHDOG=1 nor, before ready, EXTEND_TIMEOUT_USEC, so that the service manager ends the daemon
  // (S04).
  std::string Turn(const LabHealth& health);
  // READY=1 has been said.
  bool ready() const { return ready_; }

 private:
  const bool watchdog_;
  bool ready_ = false;
  std::string status_;
};

// "2 of 3 devices online; hv1: silent for 12 s". At most five devices are named.
std::string StatusText(const LabHealth& health);

}  // namespace canhub
