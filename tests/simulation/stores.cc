#include "tests/simulation/stores.h"

#include <utility>

namespace canhub::simulation {

namespace {
// As the real one, the record does not grow for ever; more than any check here looks back.
constexpr size_t kKept = 20000;
}  // namespace

absl::Status MemoryAudit::AppendReserved(AuditEntry entry) {
  entry.sequence = ++last_sequence_;
  if (entries_.size() >= 2 * kKept) entries_.erase(entries_.begin(), entries_.begin() + kKept);
  entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::StatusOr<AuditPage> MemoryAudit::Query(const AuditQuery& query) {
  AuditPage page;
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (query.before_sequence != 0 && entry->sequence >= query.before_sequence) continue;
    if (!query.device_id.empty() && entry->device_id != query.device_id) continue;
    if (entry->identity.find(query.identity) == std::string::npos) continue;
    if (page.entries.size() == query.limit) {
      page.more = true;
      break;
    }
    page.entries.push_back(*entry);
  }
  return page;
}

absl::Status MemoryAlarms::Save(const AlarmRecord& alarm) {
  alarms_[alarm.id()] = alarm;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AlarmRecord>> MemoryAlarms::LoadAll() {
  std::vector<AlarmRecord> all;
  for (const auto& [id, alarm] : alarms_) all.push_back(alarm);
  return all;
}

absl::Status WatchedAudit::Append(AuditEntry entry) {
  if (full_) return absl::ResourceExhaustedError("no space left");
  absl::Status status = behind_->Append(entry);
  if (status.ok()) told_(entry);
  return status;
}

absl::Status WatchedAudit::AppendReserved(AuditEntry entry) {
  absl::Status status = behind_->AppendReserved(entry);
  if (status.ok()) told_(entry);
  return status;
}

absl::Status WatchedAlarms::Save(const AlarmRecord& alarm) {
  if (full_) return absl::UnavailableError("no space left");
  return behind_->Save(alarm);
}

}  // namespace canhub::simulation
