// The lease table as the hub builds it.
#pragma once

#include <memory>

#include "daemon/core/alarm_book.h"
#include "daemon/core/gate_impl.h"
#include "daemon/core/lease_table.h"
#include "daemon/core/store_api.h"

namespace canhub {

// All outlive the table; `alarms` also outlives the last callback of an actor.
struct LeaseDependencies {
  const Clock* clock = nullptr;
  HubGate* gate = nullptr;  // knows the devices; runs safe actions; the table installs itself there
  AuditLog* audit = nullptr;
  AlarmBook* alarms = nullptr;
};

// When a lease lapses, "<device>/lease_lost" is raised for each of its devices. It is cleared (and
// stays latched until acknowledged) once the safe action has ended well, or when the device is
// leased again; a safe action that fails makes it critical.
std::unique_ptr<LeaseTable> MakeLeaseTable(LeaseDependencies dependencies);

inline constexpr char kLeaseLostAlarm[] = "lease_lost";
// The safe action that does nothing.
inline constexpr char kHoldAction[] = "hold";

}  // namespace canhub
