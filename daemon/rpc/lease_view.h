// What a caller may see of a lease.
#pragma once

#include <string>

#include "daemon/core/lease_table.h"

namespace canhub {

// A lease's id is the key to its devices: only the holder and engineers see it whole, others its
// first characters, enough to tell leases apart.
inline std::string ShownLeaseId(const LeaseInfo& lease, const Caller& caller) {
  constexpr size_t kShown = 4;
  const bool whole = caller.identity == lease.holder || caller.role >= Role::kEngineer;
  return whole ? lease.lease_id : lease.lease_id.substr(0, kShown) + "…";
}

}  // namespace canhub
