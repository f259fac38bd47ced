// The audit record: journal in front, database behind.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "daemon/core/store_api.h"
#include "daemon/store/journal.h"
#include "daemon/store/state_database.h"
#include "drivers/api/mutex.h"

namespace canhub {

class AuditStore final : public AuditLog {
 public:
  // `wake` is called from Append when the journal fills faster than the batches empty it.
  AuditStore(std::unique_ptr<Journal> journal, StateDatabase* database, const Clock* clock,
             AuditRetention retention, absl::AnyInvocable<void() const> wake);

  absl::Status Append(AuditEntry entry) override;
  absl::Status AppendReserved(AuditEntry entry) override;
  bool writable() const override { return writable_.load(std::memory_order_acquire); }
  std::string problem() const override;
  absl::StatusOr<AuditPage> Query(const AuditQuery& query) override;

  // Moves everything that waits into the database. After a failure nothing ordinary is taken until
  // it succeeds.
  absl::Status Flush();
  // Appends an entry of the daemon's own, out of the reserve.
  void Note(const std::string& text);

 private:
  absl::Status FlushLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(flush_mutex_);
  absl::Status WriteOrStartAnew(const std::vector<AuditEntry>& entries)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(flush_mutex_);
  void SetProblem(const absl::Status& status);
  AuditEntry OwnEntry(const std::string& text) const;
  void WakeWhenFilling();

  const std::unique_ptr<Journal> journal_;
  StateDatabase* const database_;
  const Clock* const clock_;
  const AuditRetention retention_;
  const absl::AnyInvocable<void() const> wake_;
  std::atomic<bool> writable_{true};
  std::atomic<uint32_t> appended_{0};
  mutable Mutex problem_mutex_;
  absl::Status problem_ ABSL_GUARDED_BY(problem_mutex_);
  Mutex flush_mutex_;  // batches are taken out by one thread at a time
};

// The alarms in the same database.
class DatabaseAlarmStore final : public AlarmStore {
 public:
  // `audit` is told when the database had to be begun anew; both outlive the object.
  DatabaseAlarmStore(StateDatabase* database, AuditStore* audit)
      : database_(database), audit_(audit) {}
  absl::Status Save(const AlarmRecord& alarm) override;
  absl::StatusOr<std::vector<AlarmRecord>> LoadAll() override;

 private:
  StateDatabase* const database_;
  AuditStore* const audit_;
};

// What drivers keep, in the same database.
class DatabaseValueStore final : public DeviceValueStore {
 public:
  // As DatabaseAlarmStore.
  DatabaseValueStore(StateDatabase* database, AuditStore* audit)
      : database_(database), audit_(audit) {}
  absl::Status Save(const DeviceValue& value) override;
  absl::StatusOr<std::vector<DeviceValue>> LoadAll() override;

 private:
  StateDatabase* const database_;
  AuditStore* const audit_;
};

}  // namespace canhub
