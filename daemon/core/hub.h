// The running lab: buses, devices, cache, gate, leases, alarms. Built by daemon/wiring.cc from the
// configuration; run by threads, or stepped by hand on a virtual clock.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/access.h"
#include "daemon/core/alarm_book.h"
#include "daemon/core/command_gate.h"
#include "daemon/core/device_group.h"
#include "daemon/core/interlock_table.h"
#include "daemon/core/lease_table.h"
#include "daemon/core/state_cache.h"
#include "daemon/core/store_api.h"
#include "daemon/core/watch_hub.h"
#include "drivers/api/bus.h"
#include "drivers/api/driver.h"
#include "drivers/api/step.h"

namespace canhub {

struct BusSetup {
  std::string id;
  uint32_t bitrate = 125000;
  bool simulated = false;
  double max_load = 0.7;  // share of the line that polling may take
  std::shared_ptr<CanBus> bus;
};

struct DeviceSetup {
  DeviceConfig config;
  const DriverInfo* driver = nullptr;
  std::string bus_id;
  bool simulated = false;
  std::string on_lease_lost;   // safe action; "hold" does nothing
  std::string on_shutdown;     // safe action before the daemon exits; "hold" does nothing
  bool require_lease = false;  // commands need a lease
  double poll_weight = 1;      // share of the bus's polling budget, relative to its neighbours
};

struct SimulatorSetup {
  std::string device_id;
  Simulator* simulator = nullptr;  // called only through SimulatorAccess
};

struct HubOptions {
  AccessRules access;
  int realtime_priority = 0;  // SCHED_FIFO of bus and actor threads; 0: ordinary scheduling
  // Called on actor threads with what drivers log, must not block; empty: nothing is logged.
  std::function<void(LogLevel level, const std::string& device_id, std::string_view text)> log =
      nullptr;
  // What drivers keep over restarts; outlives the hub. nullptr: it ends with the hub.
  DeviceValueStore* device_values = nullptr;
  // Of devices that there are, each group's all of one driver.
  std::vector<DeviceGroup> groups = {};
  // Makes the interlocks; nullptr: there are none.
  InterlockFactory interlocks = nullptr;
};

struct DeviceCounters {
  uint64_t frames_received = 0, frames_sent = 0, timeouts = 0, mailbox_overflows = 0;
  uint64_t commands = 0, commands_refused = 0;
  std::map<std::string, uint64_t> bad_frames;
  std::string last_bad_frame;
  std::optional<MonoTime> last_frame_time;
};

// What services ask of a simulated device; runs on the simulator's own thread.
class SimulatorAccess {
 public:
  virtual ~SimulatorAccess() = default;
  virtual absl::Status InjectFault(std::string_view fault, const Arguments& parameters) = 0;
  virtual absl::StatusOr<int> ClearFaults(std::string_view fault) = 0;
  virtual std::vector<std::pair<std::string, Arguments>> ActiveFaults() = 0;
  virtual absl::Status SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                               std::optional<double> capacitance_f) = 0;
};

// All methods are thread-safe unless said otherwise.
class Hub {
 public:
  // `clock`, `audit`, `alarm_store` outlive the hub. Nothing runs yet.
  static absl::StatusOr<std::unique_ptr<Hub>> Create(const Clock* clock, AuditLog* audit,
                                                     AlarmStore* alarm_store, HubOptions options,
                                                     std::vector<BusSetup> buses,
                                                     std::vector<DeviceSetup> devices);
  virtual ~Hub() = default;

  // Everything to be stepped by hand on a virtual clock, in a fixed order. Not with StartThreads.
  virtual std::vector<Steppable*> Steppables() = 0;
  // One thread per device, one for watches, one for leases, one for housekeeping.
  virtual absl::Status StartThreads() = 0;
  // Runs on_shutdown of every device, waits for them at most `timeout`, then stops all threads.
  // Returns one line per device that was not made safe.
  virtual std::vector<std::string> Shutdown(Duration timeout) = 0;
  // Devices whose actor has not turned for this long: what the watchdog asks (S04).
  virtual std::vector<std::string> HungDevices(Duration longer_than) const = 0;
  // The same of the threads that all devices share: "leases" (S05), "watches" (S03), "interlocks".
  // Not of the one that waits for the disk.
  virtual std::vector<std::string> HungThreads(Duration longer_than) const = 0;

  virtual const Clock& clock() const = 0;
  virtual StateCache& cache() = 0;
  virtual WatchHub& watches() = 0;
  virtual CommandGate& gate() = 0;
  virtual LeaseTable& leases() = 0;
  virtual AlarmBook& alarms() = 0;
  virtual AuditLog& audit() = 0;
  // nullptr: there are none.
  virtual InterlockTable* interlocks() = 0;

  struct DeviceView {
    DeviceIndex index = 0;
    const DeviceSetup* setup = nullptr;
  };
  virtual std::vector<DeviceView> devices() const = 0;  // in the order of the configuration
  virtual std::optional<DeviceView> FindDevice(std::string_view device_id) const = 0;
  virtual DeviceCounters Counters(DeviceIndex device) const = 0;
  virtual const std::vector<DeviceGroup>& groups() const = 0;  // in the order of the configuration
  virtual std::vector<const BusSetup*> buses() const = 0;
  virtual const BusSetup* FindBus(std::string_view bus_id) const = 0;

  // FAILED_PRECONDITION: a command is under way.
  virtual absl::Status RestartDevice(std::string_view device_id) = 0;
  // Reads items from the device, then calls done on its actor's thread. UNAVAILABLE,
  // DEADLINE_EXCEEDED.
  virtual void Refresh(DeviceIndex device, std::vector<ItemId> items, MonoTime deadline,
                       absl::AnyInvocable<void(absl::Status)> done) = 0;
  // Calls `ready` with the devices not polled yet ("id: why"): at once when there are none, when
  // the last one is polled, or at the deadline.
  virtual void WaitReady(MonoTime deadline,
                         absl::AnyInvocable<void(std::vector<std::string>)> ready) = 0;

  // Reload: takes effect for the next command. Limits, access, lease and shutdown actions.
  virtual void SetAccess(AccessRules access) = 0;
  virtual Role RoleOf(std::string_view identity) const = 0;
  virtual void UpdateDevice(const std::string& device_id, DeviceConfig config,
                            std::string on_lease_lost, std::string on_shutdown,
                            bool require_lease) = 0;
};

}  // namespace canhub
