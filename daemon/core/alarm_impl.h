// The alarm book as the hub builds it.
//
// States (IEC 62682), by (active, acknowledged):
//
//   normal ──raise──▶ active, unacknowledged ──acknowledge──▶ active, acknowledged ──clear──▶
//   normal
//                       │            ▲                                │
//                     clear        raise                   raise with a higher severity
//                       ▼            │                                ▼
//                     cleared, unacknowledged ──acknowledge──▶ normal   active, unacknowledged
//
// After a restart nobody knows whether the condition of an active alarm still holds. It stays as it
// was, neither forgotten nor called over, until its source raises or clears it. Because a source
// may never speak of it again (the condition went away while the daemon was down, the device is
// gone from the configuration), acknowledging such an alarm also ends it, even if it was
// acknowledged before; if its condition holds, its source raises it anew.
#pragma once

#include <memory>

#include "daemon/core/alarm_book.h"
#include "daemon/core/store_api.h"

namespace canhub {

// All outlive the book and its watches. Loads what the store has; when that fails, the book starts
// empty with the daemon's alarm "alarm_store" raised, which says why.
std::unique_ptr<AlarmBook> MakeAlarmBook(const Clock* clock, AlarmStore* store, AuditLog* audit);

// How many alarms that are normal again are kept in memory: List's history.
inline constexpr size_t kMaxAlarmHistory = 1000;
// An alarm can be shelved for 1 s … 24 h; zero takes it back.
inline constexpr Duration kMinShelve = std::chrono::seconds(1);
inline constexpr Duration kMaxShelve = std::chrono::hours(24);
inline constexpr size_t kMaxAlarmComment = 500;
// The daemon's own alarms (device id ""): alarms, or the audit record, cannot be written.
inline constexpr char kAlarmStoreAlarm[] = "alarm_store";
inline constexpr char kAuditAlarm[] = "audit_record";
// How often RunUntil looks whether the audit record can be written, and tries the disk again.
inline constexpr Duration kAlarmHousekeeping = std::chrono::seconds(1);

}  // namespace canhub
