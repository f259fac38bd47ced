// What the core asks of whatever keeps things on disk. Implemented in daemon/store/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/time.h"

namespace canhub {

struct AuditEntry {
  uint64_t sequence = 0;  // given by the record
  WallTime time{};
  // "command", "refused", "result", "safe_action", "lease", "alarm", "config", "frame", "interlock"
  std::string kind;
  std::string identity;  // who; "canhubd" for the daemon itself
  std::string device_id;
  uint64_t command_id = 0;
  std::string request_id;
  std::string text;
  std::string status;  // gRPC status code's name, "OK", or ""
};

struct AuditQuery {
  std::string device_id;  // "" = any
  std::string identity;   // contained in; "" = any
  std::optional<WallTime> from, to;
  uint32_t limit = 100;
  uint64_t before_sequence = 0;  // 0 = newest
};
struct AuditPage {
  std::vector<AuditEntry> entries;  // newest first
  bool more = false;
};

// Thread-safe.
class AuditLog {
 public:
  virtual ~AuditLog() = default;
  // Takes the entry so that kill -9 cannot lose it once this has returned, and power loss at most
  // the last second's (S11). Costs about a microsecond; never waits for a disk.
  // RESOURCE_EXHAUSTED or UNAVAILABLE: the record is full or cannot be written; nothing was kept.
  virtual absl::Status Append(AuditEntry entry) = 0;
  // The same, out of a reserve kept for what must happen anyway: safe actions and their results.
  virtual absl::Status AppendReserved(AuditEntry entry) = 0;
  // False while ordinary entries are refused (disk full, not writable).
  virtual bool writable() const = 0;
  // Why, in words; "" while writable.
  virtual std::string problem() const = 0;
  // Entries appended before the call are found. May block on the disk: not for actor threads.
  virtual absl::StatusOr<AuditPage> Query(const AuditQuery& query) = 0;
};

// One alarm as it is kept; the fields' meaning: proto/canhub/v1/alarm_service.proto.
struct AlarmRecord {
  std::string device_id;  // device or bus; "" for the daemon
  std::string code;
  int severity = 1;  // AlarmSeverity
  std::string text;
  bool active = false;
  bool acknowledged = false;
  WallTime first_time{}, last_time{};
  std::optional<WallTime> clear_time, acknowledge_time;
  uint32_t count = 0;
  std::string acknowledged_by, comment;
  std::optional<WallTime> shelved_until;
  std::string shelved_by;
  // Active when the last run of the daemon ended, not reported since. Not stored.
  bool from_last_run = false;

  std::string id() const { return device_id + "/" + code; }
  friend bool operator==(const AlarmRecord&, const AlarmRecord&) = default;
};

// Thread-safe; both calls may block on the disk: not for actor threads.
class AlarmStore {
 public:
  virtual ~AlarmStore() = default;
  // On disk (fdatasync) when it returns OK.
  virtual absl::Status Save(const AlarmRecord& alarm) = 0;
  virtual absl::StatusOr<std::vector<AlarmRecord>> LoadAll() = 0;
};

// What one driver wants to find again, by key.
struct DeviceValue {
  std::string device_id, key, value;
  friend bool operator==(const DeviceValue&, const DeviceValue&) = default;
};

// Thread-safe; both calls may block on the disk: not for actor threads.
class DeviceValueStore {
 public:
  virtual ~DeviceValueStore() = default;
  // Instead of the key's earlier value; on disk (fdatasync) when it returns OK.
  virtual absl::Status Save(const DeviceValue& value) = 0;
  virtual absl::StatusOr<std::vector<DeviceValue>> LoadAll() = 0;
};

}  // namespace canhub
