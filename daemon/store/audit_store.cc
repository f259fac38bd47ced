#include "daemon/store/audit_store.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

// Entries per transaction: enough that the disk's flush is shared by many, few enough that their
// copies stay small.
constexpr size_t kBatchSize = 2048;
// How many entries go by between two looks at how full the journal is.
constexpr uint32_t kLookEvery = 64;

bool Matches(const AuditEntry& entry, const AuditQuery& query) {
  return (query.device_id.empty() || entry.device_id == query.device_id) &&
         (query.identity.empty() || entry.identity.find(query.identity) != std::string::npos) &&
         (!query.from || entry.time >= *query.from) && (!query.to || entry.time < *query.to) &&
         (query.before_sequence == 0 || entry.sequence < query.before_sequence);
}

}  // namespace

AuditStore::AuditStore(std::unique_ptr<Journal> journal, StateDatabase* database,
                       const Clock* clock, AuditRetention retention,
                       absl::AnyInvocable<void() const> wake)
    : journal_(std::move(journal)),
      database_(database),
      clock_(clock),
      retention_(retention),
      wake_(std::move(wake)) {}

absl::Status AuditStore::Append(AuditEntry entry) {
  if (!writable()) {
    MutexLock lock(&problem_mutex_);
    if (!problem_.ok()) return problem_;
  }
  absl::Status status = journal_->Append(entry, /*reserved=*/false);
  WakeWhenFilling();
  return status;
}

absl::Status AuditStore::AppendReserved(AuditEntry entry) {
  absl::Status status = journal_->Append(entry, /*reserved=*/true);
  WakeWhenFilling();
  return status;
}

void AuditStore::WakeWhenFilling() {
  if (appended_.fetch_add(1, std::memory_order_relaxed) % kLookEvery != 0) return;
  if (journal_->used() > journal_->capacity() / 4) wake_();
}

std::string AuditStore::problem() const {
  MutexLock lock(&problem_mutex_);
  return std::string(problem_.message());
}

void AuditStore::SetProblem(const absl::Status& status) {
  absl::Status problem;
  if (!status.ok()) {
    // The callers' contract knows two ways to fail.
    const bool full = absl::IsResourceExhausted(status);
    problem =
        MakeError(full ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kUnavailable,
                  full ? "AUDIT_DISK_FULL" : "AUDIT_NOT_WRITABLE", std::string(status.message()),
                  GetErrorInfo(status).fields);
  }
  MutexLock lock(&problem_mutex_);
  problem_ = std::move(problem);
  writable_.store(problem_.ok(), std::memory_order_release);
}

AuditEntry AuditStore::OwnEntry(const std::string& text) const {
  AuditEntry entry;
  entry.time = clock_->WallNow();
  entry.kind = "config";
  entry.identity = "canhubd";
  entry.text = text;
  return entry;
}

void AuditStore::Note(const std::string& text) {
  journal_->Append(OwnEntry(text), /*reserved=*/true).IgnoreError();
}

absl::Status AuditStore::WriteOrStartAnew(const std::vector<AuditEntry>& entries) {
  absl::Status status = database_->WriteAudit(entries, retention_);
  if (!absl::IsDataLoss(status)) return status;
  absl::StatusOr<std::string> note = database_->StartAnew();
  if (!note.ok()) return note.status();
  Note(*note);
  return database_->WriteAudit(entries, retention_);
}

absl::Status AuditStore::FlushLocked() {
  for (;;) {
    const Journal::Batch batch = journal_->Peek(kBatchSize);
    if (batch.entries.empty()) return absl::OkStatus();
    if (absl::Status status = WriteOrStartAnew(batch.entries); !status.ok()) {
      SetProblem(status);
      return status;
    }
    journal_->Release(batch.end);
    if (!writable()) SetProblem(absl::OkStatus());
    // What came meanwhile is the next call's, so that a flood does not keep this one for ever.
    if (batch.entries.size() < kBatchSize) return absl::OkStatus();
  }
}

absl::Status AuditStore::Flush() {
  MutexLock lock(&flush_mutex_);
  if (!writable() && journal_->used() == 0) {
    // Nothing waits: only trying shows whether the disk takes entries again.
    absl::Status status = WriteOrStartAnew({});
    SetProblem(status);
    return status;
  }
  return FlushLocked();
}

absl::StatusOr<AuditPage> AuditStore::Query(const AuditQuery& query) {
  Journal::Batch waiting;
  {
    MutexLock lock(&flush_mutex_);
    // What cannot be written now is shown from the journal: just then somebody will look.
    if (!FlushLocked().ok()) waiting = journal_->Peek(SIZE_MAX);
  }
  absl::StatusOr<AuditPage> page = database_->QueryAudit(query);
  if (!page.ok() || waiting.entries.empty()) return page;
  std::vector<AuditEntry> merged;
  for (auto entry = waiting.entries.rbegin(); entry != waiting.entries.rend(); ++entry) {
    if (Matches(*entry, query)) merged.push_back(std::move(*entry));
  }
  for (AuditEntry& entry : page->entries) {
    // A batch that was written in between is in both.
    if (merged.empty() || entry.sequence < merged.back().sequence) {
      merged.push_back(std::move(entry));
    }
  }
  const size_t limit = query.limit == 0 ? 100 : std::min<size_t>(query.limit, 1000);
  if (merged.size() > limit) {
    merged.resize(limit);
    page->more = true;
  }
  page->entries = std::move(merged);
  return page;
}

namespace {

// Calls once more after the database had to be begun anew because it is damaged.
template <typename Call>
auto OrAnew(StateDatabase* database, AuditStore* audit, Call call) -> decltype(call()) {
  auto result = call();
  absl::Status status;
  if constexpr (std::is_same_v<decltype(result), absl::Status>) {
    status = result;
  } else {
    status = result.status();
  }
  if (!absl::IsDataLoss(status)) return result;
  const absl::StatusOr<std::string> note = database->StartAnew();
  if (!note.ok()) return note.status();
  audit->Note(*note);
  return call();
}

}  // namespace

absl::Status DatabaseAlarmStore::Save(const AlarmRecord& alarm) {
  return OrAnew(database_, audit_, [&] { return database_->SaveAlarm(alarm); });
}

absl::StatusOr<std::vector<AlarmRecord>> DatabaseAlarmStore::LoadAll() {
  return OrAnew(database_, audit_, [&] { return database_->LoadAlarms(); });
}

absl::Status DatabaseValueStore::Save(const DeviceValue& value) {
  return OrAnew(database_, audit_, [&] { return database_->SaveDeviceValue(value); });
}

absl::StatusOr<std::vector<DeviceValue>> DatabaseValueStore::LoadAll() {
  return OrAnew(database_, audit_, [&] { return database_->LoadDeviceValues(); });
}

}  // namespace canhub
