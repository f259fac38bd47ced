// The database file of the store: schema, batches of audit entries, alarms, what drivers keep.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/store_api.h"
#include "daemon/store/sqlite.h"
#include "drivers/api/mutex.h"

namespace canhub {

// What is kept of the audit record. The oldest entries beyond are deleted, a few with each batch.
struct AuditRetention {
  uint64_t max_entries = 1'000'000;  // about 300 MB
  // Zero: no bound. The newest kAlwaysKept entries are kept whatever their age, because the wall
  // clock can jump.
  Duration max_age{};
  static constexpr uint64_t kAlwaysKept = 10'000;
};

// Thread-safe; every call may block on the disk. Writing and reading use connections of their own,
// so that a long query holds up no batch.
//
// A disk that is full when the daemon starts has no room even for the files that SQLite shares
// between connections. Then the file is opened for one connection alone, which can be read; every
// write tries to open it properly first.
class StateDatabase {
 public:
  // Opens or makes the file. One that is damaged is renamed, a new one is made in its place, and
  // its alarms and device values are taken over as far as they can be read; `notes` says so.
  // FAILED_PRECONDITION: it is of a newer release, or another program's.
  static absl::StatusOr<std::unique_ptr<StateDatabase>> Open(const std::string& path,
                                                             const Clock* clock,
                                                             std::vector<std::string>* notes);

  // The highest sequence number ever written.
  absl::StatusOr<uint64_t> LastSequence();
  // All or nothing, on disk when it returns. Entries that are there already are left alone.
  absl::Status WriteAudit(const std::vector<AuditEntry>& entries, const AuditRetention& retention);
  absl::StatusOr<AuditPage> QueryAudit(const AuditQuery& query);

  absl::Status SaveAlarm(const AlarmRecord& alarm);
  absl::StatusOr<std::vector<AlarmRecord>> LoadAlarms();

  absl::Status SaveDeviceValue(const DeviceValue& value);
  absl::StatusOr<std::vector<DeviceValue>> LoadDeviceValues();

  // After DATA_LOSS: as Open does with a damaged file. Returns what happened, in words.
  absl::StatusOr<std::string> StartAnew();

 private:
  StateDatabase(std::string path, const Clock* clock) : path_(std::move(path)), clock_(clock) {}
  absl::Status Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_, read_mutex_);
  absl::Status ConnectBoth() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_, read_mutex_);
  absl::Status ConnectAlone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_, read_mutex_);
  // OK when the database is open for writing, perhaps only now.
  absl::Status Writable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::StatusOr<std::string> MoveAside() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_, read_mutex_);
  absl::Status InsertAudit(const std::vector<AuditEntry>& entries, const AuditRetention& retention)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status InsertAlarm(const AlarmRecord& alarm) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status InsertDeviceValue(const DeviceValue& value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  const std::string path_;
  const Clock* const clock_;
  Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(read_mutex_);
  Mutex read_mutex_;
  // nullptr: not open. Opened alone: reader_ is nullptr, and problem_ says why.
  std::unique_ptr<SqlDatabase> writer_ ABSL_GUARDED_BY(write_mutex_);
  absl::Status problem_ ABSL_GUARDED_BY(write_mutex_);
  std::unique_ptr<SqlDatabase> reader_ ABSL_GUARDED_BY(read_mutex_);
};

}  // namespace canhub
