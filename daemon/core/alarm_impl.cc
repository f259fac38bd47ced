#include "daemon/core/alarm_impl.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "daemon/core/gate_checks.h"
#include "drivers/api/errors.h"
#include "drivers/api/mutex.h"

namespace canhub {
namespace {

using absl::StatusCode;

constexpr size_t kMaxAlarmText = 1000;
// Alarms written per step, so that a flood of them does not hold up the rest of the housekeeping.
constexpr int kWritesPerStep = 16;

struct Alarm {
  AlarmRecord record;
  // Rises with every change of the record.
  uint64_t version = 1;
  // The version on disk.
  uint64_t saved = 0;
  // Rises each time that somebody must look again.
  uint64_t occurrence = 0;
  // Active when the last run of the daemon ended, not heard of since.
  bool from_last_run = false;
  // When the shelving ends; kNever when not shelved. The wall clock may jump (S12).
  MonoTime shelved_until = kNever;

  bool normal() const { return !record.active && record.acknowledged; }
  bool shelved() const { return shelved_until != kNever; }
};

// One watcher. Shared by the book and the client's AlarmWatch.
struct Watcher {
  std::string device_id;
  // Held while on_ready runs, so that the watch's destructor waits for it. Never taken by Drain.
  Mutex call_mutex;
  std::function<void()> on_ready ABSL_GUARDED_BY(call_mutex);
  // Guarded by the book's mutex.
  std::map<std::string, uint64_t> changes;  // alarm id → how many
  bool armed = false;                       // the next change calls on_ready
};
using Watchers = std::vector<std::shared_ptr<Watcher>>;

void CallReady(const Watchers& watchers) {
  for (const std::shared_ptr<Watcher>& watcher : watchers) {
    MutexLock lock(&watcher->call_mutex);
    if (watcher->on_ready) watcher->on_ready();
  }
}

// What book and watches share.
struct Core {
  Mutex mutex;
  std::map<std::string, Alarm> alarms ABSL_GUARDED_BY(mutex);
  Watchers watchers ABSL_GUARDED_BY(mutex);
};

// As clients see it.
AlarmRecord View(const Alarm& alarm) {
  AlarmRecord view = alarm.record;
  view.from_last_run = alarm.from_last_run;
  if (alarm.from_last_run) view.text += " (from before the daemon's restart, not reported since)";
  return view;
}

class WatchImpl final : public AlarmWatch {
 public:
  WatchImpl(std::shared_ptr<Core> core, std::shared_ptr<Watcher> watcher)
      : core_(std::move(core)), watcher_(std::move(watcher)) {}
  ~WatchImpl() override {
    {
      MutexLock lock(&core_->mutex);
      std::erase(core_->watchers, watcher_);
    }
    MutexLock lock(&watcher_->call_mutex);
    watcher_->on_ready = nullptr;
  }
  Batch Drain() override {
    Batch batch;
    MutexLock lock(&core_->mutex);
    for (const auto& [id, count] : watcher_->changes) {
      batch.alarms.push_back(View(core_->alarms.at(id)));
      batch.coalesced += count - 1;
    }
    watcher_->changes.clear();
    watcher_->armed = batch.alarms.empty();
    return batch;
  }

 private:
  const std::shared_ptr<Core> core_;
  const std::shared_ptr<Watcher> watcher_;
};

absl::Status NotOnDisk(const std::string& id, const absl::Status& status) {
  return MakeError(
      StatusCode::kUnavailable, "ALARM_NOT_SAVED",
      id + ": could not be written to disk, nothing was changed: " + std::string(status.message()),
      {{"alarm_id", id}});
}

absl::Status CheckCaller(const Caller& caller, const std::string& comment) {
  if (caller.role < Role::kOperator) {
    return MakeError(StatusCode::kPermissionDenied, "ROLE_TOO_LOW",
                     "alarms are acknowledged and shelved by the role operator; " +
                         caller.identity + " has the role " + std::string(ToString(caller.role)),
                     {{"needed", std::string(ToString(Role::kOperator))},
                      {"role", std::string(ToString(caller.role))},
                      {"identity", caller.identity}});
  }
  if (comment.size() > kMaxAlarmComment) {
    return MakeError(StatusCode::kInvalidArgument, "COMMENT_TOO_LONG",
                     "found a comment of " + std::to_string(comment.size()) +
                         " bytes, expected at most " + std::to_string(kMaxAlarmComment),
                     {{"maximum", std::to_string(kMaxAlarmComment)}});
  }
  return absl::OkStatus();
}

class Book final : public AlarmBook {
 public:
  Book(const Clock* clock, AlarmStore* store, AuditLog* audit)
      : clock_(clock), store_(store), audit_(audit), core_(std::make_shared<Core>()) {
    Load();
  }

  void Raise(std::string_view device_id, std::string_view code, AlarmSeverity severity,
             std::string_view text) override;
  void Clear(std::string_view device_id, std::string_view code) override;
  absl::StatusOr<AlarmRecord> Acknowledge(const Caller& caller, const std::string& alarm_id,
                                          const std::string& comment) override;
  absl::StatusOr<AlarmRecord> Shelve(const Caller& caller, const std::string& alarm_id,
                                     Duration duration, const std::string& comment) override;
  std::vector<AlarmRecord> List(const Query& query) const override;
  int ActiveCount(std::string_view device_id) const override;
  std::unique_ptr<AlarmWatch> Watch(const std::string& device_id,
                                    std::function<void()> on_ready) override;
  MonoTime RunUntil(MonoTime now) override;

 private:
  void Load();
  // A change of the record: to be written, to be told. Returns whom to call once unlocked.
  Watchers Changed(Alarm& alarm) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_->mutex);
  static absl::Status Unknown(const std::string& id) {
    const std::string printable = Printable(id, kMaxQuotedName);
    return MakeError(StatusCode::kNotFound, "ALARM_UNKNOWN",
                     "there is no alarm \"" + printable + "\"", {{"alarm_id", printable}});
  }
  void Audit(const std::string& identity, const AlarmRecord& record, const std::string& text);
  // Drops the oldest history beyond the bound.
  void TrimHistory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_->mutex);
  void EndShelvings(MonoTime now);
  void WatchAudit();
  enum class Written { kAll, kSome, kFailed };
  Written WriteChanges();

  const Clock* const clock_;
  AlarmStore* const store_;
  AuditLog* const audit_;
  const std::shared_ptr<Core> core_;
  // Held over copy and save, so that an older copy never overwrites a newer one on disk. Taken
  // before core_->mutex; never by Raise and Clear.
  Mutex disk_mutex_ ABSL_ACQUIRED_BEFORE(core_->mutex);
};

void Book::Load() {
  absl::StatusOr<std::vector<AlarmRecord>> records = store_->LoadAll();
  if (!records.ok()) {
    Raise("", kAlarmStoreAlarm, AlarmSeverity::kCritical,
          "alarms of earlier runs could not be read: " + std::string(records.status().message()));
    return;
  }
  const MonoTime now = clock_->Now();
  const WallTime wall = clock_->WallNow();
  MutexLock lock(&core_->mutex);
  for (AlarmRecord& record : *records) {
    Alarm alarm;
    alarm.saved = alarm.version;
    alarm.from_last_run = record.active;
    if (record.shelved_until) {
      // The wall clock may have jumped while nothing ran: never longer than a shelving can be.
      alarm.shelved_until =
          now + std::clamp(Duration(*record.shelved_until - wall), Duration::zero(), kMaxShelve);
    }
    const std::string id = record.id();
    alarm.record = std::move(record);
    core_->alarms.insert_or_assign(id, std::move(alarm));
  }
  TrimHistory();
}

Watchers Book::Changed(Alarm& alarm) {
  ++alarm.version;
  Watchers ready;
  const std::string id = alarm.record.id();
  for (const std::shared_ptr<Watcher>& watcher : core_->watchers) {
    if (!watcher->device_id.empty() && watcher->device_id != alarm.record.device_id) continue;
    ++watcher->changes[id];
    if (std::exchange(watcher->armed, false)) ready.push_back(watcher);
  }
  return ready;
}

void Book::Audit(const std::string& identity, const AlarmRecord& record, const std::string& text) {
  AuditEntry entry;
  entry.time = clock_->WallNow();
  entry.kind = "alarm";
  entry.identity = Printable(identity, kMaxAlarmText);
  entry.device_id = record.device_id;
  entry.text = Printable(record.code + " " + text, kMaxAuditText);
  // Alarms are kept in their own store; the reserve of the audit record is not for them.
  audit_->Append(std::move(entry)).IgnoreError();
}

void Book::Raise(std::string_view device_id, std::string_view code, AlarmSeverity severity,
                 std::string_view text) {
  AlarmRecord raised;
  raised.device_id = device_id;
  raised.code = code;
  const std::string printable = Printable(text, kMaxAlarmText);
  const int level = static_cast<int>(severity);
  const WallTime wall = clock_->WallNow();
  Watchers ready;
  bool again = true;
  {
    MutexLock lock(&core_->mutex);
    Alarm& alarm = core_->alarms[raised.id()];
    AlarmRecord& record = alarm.record;
    const bool fresh = record.count == 0 || alarm.normal();
    const bool worse = record.active && level > record.severity;
    again = record.active && !worse;
    if (again) {
      if (record.text == printable && !alarm.from_last_run) return;
      alarm.from_last_run = false;
      record.text = printable;
    } else {
      if (fresh) {
        // A new occurrence; a shelving goes on.
        raised.shelved_until = record.shelved_until;
        raised.shelved_by = record.shelved_by;
        record = std::move(raised);
        record.first_time = wall;
      }
      record.active = true;
      record.acknowledged = false;
      record.acknowledged_by.clear();
      record.acknowledge_time.reset();
      record.clear_time.reset();
      record.severity = level;
      record.text = printable;
      record.last_time = wall;
      ++record.count;
      ++alarm.occurrence;
      alarm.from_last_run = false;
    }
    raised = record;
    ready = Changed(alarm);
  }
  if (!again) Audit(DaemonCaller().identity, raised, "raised: " + printable);
  CallReady(ready);
}

void Book::Clear(std::string_view device_id, std::string_view code) {
  AlarmRecord cleared;
  cleared.device_id = device_id;
  cleared.code = code;
  Watchers ready;
  {
    MutexLock lock(&core_->mutex);
    const auto found = core_->alarms.find(cleared.id());
    if (found == core_->alarms.end() || !found->second.record.active) return;
    Alarm& alarm = found->second;
    alarm.record.active = false;
    alarm.record.clear_time = clock_->WallNow();
    alarm.from_last_run = false;
    cleared = alarm.record;
    ready = Changed(alarm);
  }
  Audit(DaemonCaller().identity, cleared, "cleared");
  CallReady(ready);
}

absl::StatusOr<AlarmRecord> Book::Acknowledge(const Caller& caller, const std::string& alarm_id,
                                              const std::string& comment) {
  if (absl::Status status = CheckCaller(caller, comment); !status.ok()) return status;
  MutexLock disk(&disk_mutex_);
  const WallTime wall = clock_->WallNow();
  AlarmRecord record;
  uint64_t occurrence = 0, version = 0;
  bool ends = false;
  const auto acknowledge = [&](AlarmRecord& r) {
    r.acknowledged = true;
    r.acknowledged_by = Printable(caller.identity, kMaxAlarmText);
    r.acknowledge_time = wall;
    r.comment = Printable(comment, kMaxAlarmComment);
    if (ends && r.active) {
      r.active = false;
      r.clear_time = wall;
    }
  };
  {
    MutexLock lock(&core_->mutex);
    const auto found = core_->alarms.find(alarm_id);
    if (found == core_->alarms.end()) return Unknown(alarm_id);
    const Alarm& alarm = found->second;
    if (alarm.record.acknowledged && !alarm.from_last_run) {
      return MakeError(StatusCode::kFailedPrecondition, "ALARM_ACKNOWLEDGED",
                       alarm_id + " was acknowledged already by " + alarm.record.acknowledged_by,
                       {{"alarm_id", alarm_id}, {"by", alarm.record.acknowledged_by}});
    }
    record = alarm.record;
    occurrence = alarm.occurrence;
    version = alarm.version;
    ends = alarm.from_last_run;
  }
  acknowledge(record);
  if (absl::Status status = store_->Save(record); !status.ok()) return NotOnDisk(alarm_id, status);
  Watchers ready;
  {
    MutexLock lock(&core_->mutex);
    // An alarm that is not normal is never dropped, hence it is still there.
    Alarm& alarm = core_->alarms.at(alarm_id);
    if (alarm.occurrence != occurrence) {
      // RunUntil writes the newer state.
      return MakeError(StatusCode::kFailedPrecondition, "ALARM_RAISED_AGAIN",
                       alarm_id + " was raised again meanwhile: " + alarm.record.text,
                       {{"alarm_id", alarm_id}});
    }
    // Reported meanwhile: its source has it, so it is not ended here.
    ends = ends && alarm.from_last_run;
    const bool unchanged = alarm.version == version;
    acknowledge(alarm.record);
    if (ends) alarm.from_last_run = false;
    ready = Changed(alarm);
    if (unchanged) alarm.saved = alarm.version;
    record = alarm.record;
    TrimHistory();
  }
  Audit(caller.identity, record,
        "acknowledged" + (record.comment.empty() ? "" : ": " + record.comment));
  CallReady(ready);
  return record;
}

absl::StatusOr<AlarmRecord> Book::Shelve(const Caller& caller, const std::string& alarm_id,
                                         Duration duration, const std::string& comment) {
  if (absl::Status status = CheckCaller(caller, comment); !status.ok()) return status;
  const bool back = duration == Duration::zero();
  if (!back && (duration < kMinShelve || duration > kMaxShelve)) {
    const std::string found =
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
    return MakeError(StatusCode::kInvalidArgument, "SHELVE_DURATION",
                     "found a shelving of " + found + " ms, expected 1 s to 24 h, or 0",
                     {{"found_ms", found}});
  }
  MutexLock disk(&disk_mutex_);
  const WallTime wall = clock_->WallNow();
  const MonoTime now = clock_->Now();
  AlarmRecord record;
  uint64_t version = 0;
  const auto shelve = [&](AlarmRecord& r) {
    r.shelved_until = back ? std::nullopt : std::optional<WallTime>(wall + duration);
    r.shelved_by = back ? "" : Printable(caller.identity, kMaxAlarmText);
    if (!comment.empty()) r.comment = Printable(comment, kMaxAlarmComment);
  };
  {
    MutexLock lock(&core_->mutex);
    const auto found = core_->alarms.find(alarm_id);
    if (found == core_->alarms.end()) return Unknown(alarm_id);
    record = found->second.record;
    version = found->second.version;
  }
  shelve(record);
  if (absl::Status status = store_->Save(record); !status.ok()) return NotOnDisk(alarm_id, status);
  Watchers ready;
  {
    MutexLock lock(&core_->mutex);
    const auto found = core_->alarms.find(alarm_id);
    if (found == core_->alarms.end()) return Unknown(alarm_id);
    Alarm& alarm = found->second;
    const bool unchanged = alarm.version == version;
    shelve(alarm.record);
    alarm.shelved_until = back ? kNever : now + duration;
    ready = Changed(alarm);
    if (unchanged) alarm.saved = alarm.version;
    record = alarm.record;
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  Audit(caller.identity, record,
        (back ? "taken off the shelf" : "shelved for " + std::to_string(seconds) + " s") +
            (comment.empty() ? "" : ": " + Printable(comment, kMaxAlarmComment)));
  CallReady(ready);
  return record;
}

std::vector<AlarmRecord> Book::List(const Query& query) const {
  std::vector<AlarmRecord> list;
  {
    MutexLock lock(&core_->mutex);
    const MonoTime now = clock_->Now();
    for (const auto& [id, alarm] : core_->alarms) {
      if (!query.device_id.empty() && query.device_id != alarm.record.device_id) continue;
      if (alarm.normal() && !query.include_history) continue;
      if (alarm.shelved() && now < alarm.shelved_until && !query.include_shelved) continue;
      list.push_back(View(alarm));
    }
  }
  std::stable_sort(list.begin(), list.end(), [](const AlarmRecord& a, const AlarmRecord& b) {
    if (a.severity != b.severity) return a.severity > b.severity;
    return a.last_time > b.last_time;
  });
  return list;
}

int Book::ActiveCount(std::string_view device_id) const {
  MutexLock lock(&core_->mutex);
  return static_cast<int>(
      std::count_if(core_->alarms.begin(), core_->alarms.end(), [&](const auto& entry) {
        return entry.second.record.active && entry.second.record.device_id == device_id;
      }));
}

std::unique_ptr<AlarmWatch> Book::Watch(const std::string& device_id,
                                        std::function<void()> on_ready) {
  auto watcher = std::make_shared<Watcher>();
  watcher->device_id = device_id;
  {
    MutexLock lock(&watcher->call_mutex);
    watcher->on_ready = std::move(on_ready);
  }
  MutexLock lock(&core_->mutex);
  for (const auto& [id, alarm] : core_->alarms) {
    if (!device_id.empty() && device_id != alarm.record.device_id) continue;
    if (!alarm.normal()) watcher->changes[id] = 1;
  }
  core_->watchers.push_back(watcher);
  return std::make_unique<WatchImpl>(core_, std::move(watcher));
}

void Book::TrimHistory() {
  std::vector<std::pair<WallTime, std::string>> history;
  for (const auto& [id, alarm] : core_->alarms) {
    // What is not on disk yet, or not told yet, is still needed.
    if (alarm.normal() && alarm.saved == alarm.version) {
      history.emplace_back(alarm.record.last_time, id);
    }
  }
  if (history.size() <= kMaxAlarmHistory) return;
  std::sort(history.begin(), history.end());
  history.resize(history.size() - kMaxAlarmHistory);
  for (const auto& [time, id] : history) {
    const bool untold = std::any_of(
        core_->watchers.begin(), core_->watchers.end(),
        [&id = id](const std::shared_ptr<Watcher>& w) { return w->changes.contains(id); });
    if (!untold) core_->alarms.erase(id);
  }
}

void Book::EndShelvings(MonoTime now) {
  Watchers ready;
  {
    MutexLock lock(&core_->mutex);
    for (auto& [id, alarm] : core_->alarms) {
      if (!alarm.shelved() || now < alarm.shelved_until) continue;
      alarm.shelved_until = kNever;
      alarm.record.shelved_until.reset();
      alarm.record.shelved_by.clear();
      const Watchers changed = Changed(alarm);
      ready.insert(ready.end(), changed.begin(), changed.end());
    }
  }
  CallReady(ready);
}

void Book::WatchAudit() {
  if (audit_->writable()) {
    Clear("", kAuditAlarm);
  } else {
    Raise("", kAuditAlarm, AlarmSeverity::kCritical,
          "the audit record cannot be written, commands are refused, safe actions still go out: " +
              audit_->problem());
  }
}

Book::Written Book::WriteChanges() {
  for (int written = 0; written < kWritesPerStep; ++written) {
    MutexLock disk(&disk_mutex_);
    AlarmRecord record;
    uint64_t version = 0;
    {
      MutexLock lock(&core_->mutex);
      const auto changed = std::find_if(
          core_->alarms.begin(), core_->alarms.end(),
          [](const auto& entry) { return entry.second.saved != entry.second.version; });
      if (changed == core_->alarms.end()) {
        TrimHistory();
        return Written::kAll;
      }
      record = changed->second.record;
      version = changed->second.version;
    }
    if (absl::Status status = store_->Save(record); !status.ok()) {
      Raise("", kAlarmStoreAlarm, AlarmSeverity::kCritical,
            "alarms cannot be written to disk and would be lost with the daemon: " +
                std::string(status.message()));
      return Written::kFailed;
    }
    MutexLock lock(&core_->mutex);
    core_->alarms.at(record.id()).saved = version;
  }
  return Written::kSome;
}

MonoTime Book::RunUntil(MonoTime now) {
  EndShelvings(now);
  WatchAudit();
  const Written written = WriteChanges();
  if (written == Written::kSome) return now;
  // The clearing is the next thing to be written.
  if (written == Written::kAll) Clear("", kAlarmStoreAlarm);
  return now + kAlarmHousekeeping;
}

}  // namespace

std::unique_ptr<AlarmBook> MakeAlarmBook(const Clock* clock, AlarmStore* store, AuditLog* audit) {
  return std::make_unique<Book>(clock, store, audit);
}

}  // namespace canhub
