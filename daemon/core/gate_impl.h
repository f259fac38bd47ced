// The gate as the hub builds it: CommandGate, plus what the hub and the lease table need of it.
//
// Locks: the gate never calls out (leases, audit, targets, buses, callbacks) with its own lock
// held, so those may call it from anywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "daemon/core/command_gate.h"
#include "daemon/core/command_target.h"
#include "daemon/core/state_cache.h"
#include "daemon/core/store_api.h"
#include "drivers/api/bus.h"
#include "drivers/api/driver.h"
#include "drivers/api/step.h"

namespace canhub {

// What the gate must know of a device. Immutable: a reload installs a new one, which holds for the
// next command.
struct GatedDevice {
  DeviceIndex index = 0;
  DeviceConfig config;  // id, limits and where they come from
  const DriverInfo* driver = nullptr;
  std::string bus_id;               // "" when it sits on no CAN bus
  std::string on_lease_lost;        // safe action; "hold" does nothing
  bool require_lease = false;       // commands need a lease
  CommandTarget* target = nullptr;  // outlives the gate
};

// What the gate asks of the lease table. Thread-safe, never blocks.
class LeaseAuthority {
 public:
  virtual ~LeaseAuthority() = default;
  // May the caller command the device under this lease ("" for none) at this moment?
  // PERMISSION_DENIED: LEASED_BY_OTHER, LEASE_REQUIRED, LEASE_UNKNOWN (unknown, lapsed, or not for
  // this device).
  virtual absl::Status MayCommand(const std::string& device_id, const Caller& caller,
                                  const std::string& lease_id, bool lease_required) const = 0;
  // May the caller send raw frames on a bus with these devices?
  virtual absl::Status MaySendFrames(const std::string& bus_id,
                                     const std::vector<std::string>& device_ids,
                                     const Caller& caller, const std::string& lease_id) const = 0;
};

// A step of an interlock that sets an item.
struct InterlockWrite {
  std::string interlock;
  std::string device_id;
  NamedWrite write;
};

// What the gate asks of the interlocks, while one holds. Thread-safe, never blocks.
class InterlockAuthority {
 public:
  virtual ~InterlockAuthority() = default;
  // Of items by their own names, or of one action. FAILED_PRECONDITION: INTERLOCKED, with the
  // chain of reasons.
  virtual absl::Status MayCommand(const std::string& device_id,
                                  const std::vector<std::string>& names) const = 0;
  // Of a step of an interlock. Dangerous goes before warning, and what an interlock refuses is no
  // hindrance to itself, to who sets the same, and once its condition is over.
  virtual absl::Status MaySet(const InterlockWrite& write) const = 0;
  // Of raw frames on a bus with these devices: any of them may be meant.
  virtual absl::Status MaySendFrames(const std::vector<std::string>& device_ids) const = 0;
};

struct GateCounters {
  uint64_t accepted = 0;
  uint64_t refused = 0;
};

// Steps: RunUntil ends raw frames that the bus never reported; it belongs on the housekeeping
// thread and is not urgent.
class HubGate : public CommandGate, public Steppable {
 public:
  // How long a command may take when its caller sets no deadline. A confirmed write takes a few
  // frames and one poll; a ramp to kilovolts at the slowest speed that is used takes minutes.
  static constexpr Duration kDefaultDeadline = std::chrono::seconds(10);
  static constexpr Duration kDefaultSettledDeadline = std::chrono::minutes(10);
  // A safe action has all the time it needs, but not for ever: its outcome must be reported.
  static constexpr Duration kSafeActionDeadline = std::chrono::minutes(10);
  static constexpr size_t kMaxWrites = 1024;  // ItemService.SetItems

  // Adds a device, or replaces what is known of it. Any thread.
  virtual void SetDevice(std::shared_ptr<const GatedDevice> device) = 0;
  // nullptr when unknown.
  virtual std::shared_ptr<const GatedDevice> FindDevice(std::string_view device_id) const = 0;
  // In the order they were added.
  virtual std::vector<std::string> DeviceIds() const = 0;

  // Attaches the gate's own port, for raw frames. `bus` outlives the gate, or DetachBuses.
  virtual void AddBus(const std::string& bus_id, CanBus* bus) = 0;
  // Gives up all ports; frames under way end with UNAVAILABLE. Before the buses are destroyed.
  virtual void DetachBuses() = 0;

  // Called by the lease table when it is made and (nullptr) destroyed.
  virtual void SetLeases(const LeaseAuthority* leases) = 0;

  // Set while an interlock refuses anything; nullptr costs a command one load. The authority
  // outlives the gate, or sets nullptr while nothing is submitted.
  virtual void SetInterlocks(const InterlockAuthority* interlocks) = 0;

  // A step of an interlock: as Submit, but no lease is asked, and of interlocks MaySet. In the
  // audit record as InterlockCaller, from the reserve if need be.
  virtual void SubmitInterlockWrite(InterlockWrite write, MonoTime deadline,
                                    CommandCallback done) = 0;

  // Withdraws every command and frame under way that was given under this lease, or to this
  // device (safe actions, and steps of interlocks that still may, excepted): revokes the guards at
  // once, then cancels them with `why`. Returns how many.
  virtual int RevokeLease(const std::string& lease_id, const absl::Status& why) = 0;
  virtual int RevokeDevice(const std::string& device_id, const absl::Status& why) = 0;
  // Raw frames on this bus.
  virtual int RevokeFrames(const std::string& bus_id, const absl::Status& why) = 0;

  // Commands accepted and not finished.
  virtual int UnderWay(std::string_view device_id) const = 0;
  virtual GateCounters Counters(std::string_view device_id) const = 0;
};

// All outlive the gate.
struct GateDependencies {
  const Clock* clock = nullptr;
  const StateCache* cache = nullptr;
  AuditLog* audit = nullptr;
};

// Callbacks of actors (CommandDone) may outlive the gate: they hold what they need. Only `audit`
// and `clock` must outlive the last of them.
std::unique_ptr<HubGate> MakeCommandGate(GateDependencies dependencies);

}  // namespace canhub
