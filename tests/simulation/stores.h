// The audit record and the alarms as the simulation sees and breaks them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "daemon/core/store_api.h"

namespace canhub::simulation {

// A record in memory that outlives the daemon, like a disk: cheap, for long runs.
class MemoryAudit final : public AuditLog {
 public:
  absl::Status Append(AuditEntry entry) override { return AppendReserved(std::move(entry)); }
  absl::Status AppendReserved(AuditEntry entry) override;
  bool writable() const override { return true; }
  std::string problem() const override { return ""; }
  absl::StatusOr<AuditPage> Query(const AuditQuery& query) override;

 private:
  std::vector<AuditEntry> entries_;
  uint64_t last_sequence_ = 0;
};

class MemoryAlarms final : public AlarmStore {
 public:
  absl::Status Save(const AlarmRecord& alarm) override;
  absl::StatusOr<std::vector<AlarmRecord>> LoadAll() override;

 private:
  std::map<std::string, AlarmRecord> alarms_;
};

// Passes on to the record behind it, tells of everything that was taken, and can be full.
class WatchedAudit final : public AuditLog {
 public:
  using Told = std::function<void(const AuditEntry&)>;
  WatchedAudit(AuditLog* behind, Told told) : behind_(behind), told_(std::move(told)) {}
  void SetFull(bool full) { full_ = full; }

  absl::Status Append(AuditEntry entry) override;
  absl::Status AppendReserved(AuditEntry entry) override;
  bool writable() const override { return !full_ && behind_->writable(); }
  std::string problem() const override { return full_ ? "no space left" : behind_->problem(); }
  absl::StatusOr<AuditPage> Query(const AuditQuery& query) override {
    return behind_->Query(query);
  }

 private:
  AuditLog* const behind_;
  const Told told_;
  bool full_ = false;
};

class WatchedAlarms final : public AlarmStore {
 public:
  explicit WatchedAlarms(AlarmStore* behind) : behind_(behind) {}
  void SetFull(bool full) { full_ = full; }
  absl::Status Save(const AlarmRecord& alarm) override;
  absl::StatusOr<std::vector<AlarmRecord>> LoadAll() override { return behind_->LoadAll(); }

 private:
  AlarmStore* const behind_;
  bool full_ = false;
};

}  // namespace canhub::simulation
