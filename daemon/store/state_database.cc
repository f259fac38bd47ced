#include "daemon/store/state_database.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

using absl::StatusCode;

constexpr int64_t kSchemaVersion = 1;
// WAL and FULL: a commit is on disk when it returns (S11).
constexpr char kPragmas[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;";
constexpr char kSchema[] = R"(
BEGIN IMMEDIATE;
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('last_sequence', 0);
CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, kind TEXT NOT NULL,
  identity TEXT NOT NULL, device_id TEXT NOT NULL, command_id INTEGER NOT NULL,
  request_id TEXT NOT NULL, text TEXT NOT NULL, status TEXT NOT NULL);
CREATE INDEX audit_device ON audit (device_id, sequence);
CREATE TABLE alarms (
  device_id TEXT NOT NULL, code TEXT NOT NULL, severity INTEGER NOT NULL, text TEXT NOT NULL,
  active INTEGER NOT NULL, acknowledged INTEGER NOT NULL, first_ns INTEGER NOT NULL,
  last_ns INTEGER NOT NULL, clear_ns INTEGER, acknowledge_ns INTEGER, count INTEGER NOT NULL,
  acknowledged_by TEXT NOT NULL, comment TEXT NOT NULL, shelved_until_ns INTEGER,
  shelved_by TEXT NOT NULL, PRIMARY KEY (device_id, code)) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
)";
// Later than the schema above, which older daemons understand as well: they leave it alone.
constexpr char kDeviceValues[] = R"(
CREATE TABLE IF NOT EXISTS device_values (
  device_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (device_id, key)) WITHOUT ROWID;
)";
constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kLargestPage = 1000;
constexpr uint64_t kDeletedPerBatch = 500;

int64_t Nanoseconds(WallTime time) { return time.time_since_epoch().count(); }
WallTime ToWallTime(int64_t ns) { return WallTime(Duration(ns)); }

// "20260131T235959Z".
std::string Stamp(WallTime time) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
  return text;
}

// FAILED_PRECONDITION: not ours to touch. DATA_LOSS: damaged.
absl::Status CheckSchema(SqlDatabase& database) {
  const absl::StatusOr<int64_t> version = database.QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*version > kSchemaVersion) {
    return MakeError(StatusCode::kFailedPrecondition, "DATABASE_TOO_NEW",
                     database.path() + ": found schema version " + std::to_string(*version) +
                         ", expected at most " + std::to_string(kSchemaVersion) +
                         ": it was written by a newer canhubd; install that one again, or give "
                         "this one another state directory",
                     {{"path", database.path()}, {"found", std::to_string(*version)}});
  }
  const absl::StatusOr<int64_t> tables =
      database.QueryInteger("SELECT count(*) FROM sqlite_master");
  if (!tables.ok()) return tables.status();
  if (*version == 0) {
    if (*tables == 0) return database.Execute(kSchema);
    return MakeError(StatusCode::kFailedPrecondition, "DATABASE_FOREIGN",
                     database.path() + " is a database of another program",
                     {{"path", database.path()}});
  }
  // Touches each table and names each column; a page that is damaged elsewhere shows when it is
  // used.
  for (const char* probe :
       {"SELECT value FROM meta WHERE name = 'last_sequence'",
        "SELECT max(sequence), time_ns, kind, identity, device_id, command_id, request_id, text, "
        "status FROM audit",
        "SELECT count(*), device_id, code, severity, text, active, acknowledged, first_ns, "
        "last_ns, clear_ns, acknowledge_ns, count, acknowledged_by, comment, shelved_until_ns, "
        "shelved_by FROM alarms"}) {
    const absl::StatusOr<int64_t> value = database.QueryInteger(probe);
    if (!value.ok()) return value.status();
  }
  return absl::OkStatus();
}

AlarmRecord ReadAlarm(const SqlStatement& row) {
  AlarmRecord alarm;
  alarm.device_id = row.Text(0);
  alarm.code = row.Text(1);
  alarm.severity = static_cast<int>(row.Integer(2));
  alarm.text = row.Text(3);
  alarm.active = row.Integer(4) != 0;
  alarm.acknowledged = row.Integer(5) != 0;
  alarm.first_time = ToWallTime(row.Integer(6));
  alarm.last_time = ToWallTime(row.Integer(7));
  if (!row.IsNull(8)) alarm.clear_time = ToWallTime(row.Integer(8));
  if (!row.IsNull(9)) alarm.acknowledge_time = ToWallTime(row.Integer(9));
  alarm.count = static_cast<uint32_t>(row.Integer(10));
  alarm.acknowledged_by = row.Text(11);
  alarm.comment = row.Text(12);
  if (!row.IsNull(13)) alarm.shelved_until = ToWallTime(row.Integer(13));
  alarm.shelved_by = row.Text(14);
  return alarm;
}

// Adds what can be read to `alarms`; the status says why it ended early.
absl::Status ReadAlarms(SqlDatabase& database, std::vector<AlarmRecord>* alarms) {
  absl::StatusOr<SqlStatement> rows = database.Prepare(
      "SELECT device_id, code, severity, text, active, acknowledged, first_ns, last_ns, clear_ns, "
      "acknowledge_ns, count, acknowledged_by, comment, shelved_until_ns, shelved_by FROM alarms");
  if (!rows.ok()) return rows.status();
  for (;;) {
    const absl::StatusOr<bool> row = rows->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    alarms->push_back(ReadAlarm(*rows));
  }
}

// The same for what drivers keep; nothing where no daemon that knows the table has written yet.
absl::Status ReadDeviceValues(SqlDatabase& database, std::vector<DeviceValue>* values) {
  const absl::StatusOr<int64_t> there = database.QueryInteger(
      "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'device_values'");
  if (!there.ok()) return there.status();
  if (*there == 0) return absl::OkStatus();
  absl::StatusOr<SqlStatement> rows =
      database.Prepare("SELECT device_id, key, value FROM device_values");
  if (!rows.ok()) return rows.status();
  for (;;) {
    const absl::StatusOr<bool> row = rows->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    values->push_back({rows->Text(0), rows->Text(1), rows->Text(2)});
  }
}

absl::StatusOr<AuditPage> ReadAudit(SqlDatabase& database, const AuditQuery& query) {
  std::string sql =
      "SELECT sequence, time_ns, kind, identity, device_id, command_id, request_id, text, status "
      "FROM audit WHERE 1";
  if (!query.device_id.empty()) sql += " AND device_id = :device";
  if (query.before_sequence != 0) sql += " AND sequence < :before";
  // A + keeps the planner from an index for what only filters.
  if (query.from) sql += " AND +time_ns >= :from";
  if (query.to) sql += " AND +time_ns < :to";
  if (!query.identity.empty()) sql += " AND instr(identity, :identity) > 0";
  sql += " ORDER BY sequence DESC LIMIT :limit";
  const uint32_t limit = query.limit == 0 ? kDefaultPage : std::min(query.limit, kLargestPage);

  absl::StatusOr<SqlStatement> rows = database.Prepare(sql.c_str());
  if (!rows.ok()) return rows.status();
  // Parameters are numbered in the order in which they stand.
  int next = 1;
  if (!query.device_id.empty()) rows->Bind(next++, query.device_id);
  if (query.before_sequence != 0) rows->Bind(next++, static_cast<int64_t>(query.before_sequence));
  if (query.from) rows->Bind(next++, Nanoseconds(*query.from));
  if (query.to) rows->Bind(next++, Nanoseconds(*query.to));
  if (!query.identity.empty()) rows->Bind(next++, query.identity);
  rows->Bind(next++, static_cast<int64_t>(limit) + 1);
  AuditPage page;
  for (;;) {
    const absl::StatusOr<bool> row = rows->Step();
    if (!row.ok()) return row.status();
    if (!*row) return page;
    if (page.entries.size() == limit) {
      page.more = true;
      return page;
    }
    AuditEntry& entry = page.entries.emplace_back();
    entry.sequence = static_cast<uint64_t>(rows->Integer(0));
    entry.time = ToWallTime(rows->Integer(1));
    entry.kind = rows->Text(2);
    entry.identity = rows->Text(3);
    entry.device_id = rows->Text(4);
    entry.command_id = static_cast<uint64_t>(rows->Integer(5));
    entry.request_id = rows->Text(6);
    entry.text = rows->Text(7);
    entry.status = rows->Text(8);
  }
}

bool IsSound(SqlDatabase& database) {
  absl::StatusOr<SqlStatement> check = database.Prepare("PRAGMA quick_check(1)");
  if (!check.ok()) return false;
  const absl::StatusOr<bool> row = check->Step();
  return row.ok() && *row && check->Text(0) == "ok";
}

void BindTime(SqlStatement& statement, int index, const std::optional<WallTime>& time) {
  if (time) {
    statement.Bind(index, Nanoseconds(*time));
  } else {
    statement.BindNull(index);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateDatabase>> StateDatabase::Open(
    const std::string& path, const Clock* clock, std::vector<std::string>* notes) {
  auto database = std::unique_ptr<StateDatabase>(new StateDatabase(path, clock));
  absl::Status connected;
  {
    MutexLock write(&database->write_mutex_);
    MutexLock read(&database->read_mutex_);
    connected = database->Connect();
  }
  if (absl::IsDataLoss(connected)) {
    absl::StatusOr<std::string> note = database->StartAnew();
    if (!note.ok()) return note.status();
    notes->push_back(*std::move(note));
  } else if (!connected.ok()) {
    return connected;
  }
  return database;
}

absl::Status StateDatabase::Connect() {
  problem_ = ConnectBoth();
  if (problem_.ok() || absl::IsDataLoss(problem_) || absl::IsFailedPrecondition(problem_)) {
    return problem_;
  }
  return ConnectAlone().ok() ? absl::OkStatus() : problem_;
}

absl::Status StateDatabase::ConnectBoth() {
  reader_.reset();
  writer_.reset();
  absl::StatusOr<std::unique_ptr<SqlDatabase>> writer = SqlDatabase::Open(path_, false);
  if (!writer.ok()) return writer.status();
  // Kept even when what follows fails, so that the alarms of a damaged file can be read.
  writer_ = *std::move(writer);
  if (absl::Status status = writer_->Execute(kPragmas); !status.ok()) return status;
  if (absl::Status status = CheckSchema(*writer_); !status.ok()) return status;
  if (absl::Status status = writer_->Execute(kDeviceValues); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<SqlDatabase>> reader = SqlDatabase::Open(path_, true);
  if (!reader.ok()) return reader.status();
  reader_ = *std::move(reader);
  return absl::OkStatus();
}

absl::Status StateDatabase::ConnectAlone() {
  writer_.reset();
  absl::StatusOr<std::unique_ptr<SqlDatabase>> writer = SqlDatabase::Open(path_, false);
  if (!writer.ok()) return writer.status();
  // In this mode the index of the write-ahead log is kept in memory instead of a shared file.
  absl::Status status = (*writer)->Execute("PRAGMA locking_mode = EXCLUSIVE");
  if (status.ok()) status = CheckSchema(**writer);
  if (status.ok()) writer_ = *std::move(writer);
  return status;
}

absl::Status StateDatabase::Writable() {
  if (writer_ != nullptr && problem_.ok()) return absl::OkStatus();
  MutexLock read(&read_mutex_);
  if (absl::Status status = Connect(); !status.ok()) return status;
  return problem_;
}

absl::StatusOr<std::string> StateDatabase::MoveAside() {
  reader_.reset();
  writer_.reset();
  std::string kept = path_ + ".damaged-" + Stamp(clock_->WallNow());
  // One that was kept before is not overwritten.
  for (int i = 2; std::FILE* taken = std::fopen(kept.c_str(), "r"); ++i) {
    std::fclose(taken);
    kept = path_ + ".damaged-" + Stamp(clock_->WallNow()) + "-" + std::to_string(i);
  }
  for (const char* suffix : {"", "-wal", "-shm"}) {
    if (std::rename((path_ + suffix).c_str(), (kept + suffix).c_str()) != 0 && errno != ENOENT) {
      return MakeError(
          StatusCode::kUnavailable, "DATABASE_DAMAGED",
          path_ + suffix + " is damaged and cannot be renamed: " + std::strerror(errno),
          {{"path", path_ + suffix}});
    }
  }
  return kept;
}

absl::StatusOr<std::string> StateDatabase::StartAnew() {
  MutexLock write(&write_mutex_);
  MutexLock read(&read_mutex_);
  std::vector<AlarmRecord> alarms;
  if (reader_ != nullptr && IsSound(*writer_)) {
    return path_ + " is sound: another thread has begun it anew already";
  }
  std::vector<DeviceValue> values;
  if (writer_ != nullptr) {
    ReadAlarms(*writer_, &alarms).IgnoreError();
    ReadDeviceValues(*writer_, &values).IgnoreError();
  }
  const absl::StatusOr<std::string> kept = MoveAside();
  if (!kept.ok()) return kept.status();
  if (absl::Status status = Connect(); !status.ok()) return status;
  for (const AlarmRecord& alarm : alarms) {
    if (absl::Status status = InsertAlarm(alarm); !status.ok()) return status;
  }
  for (const DeviceValue& value : values) {
    if (absl::Status status = InsertDeviceValue(value); !status.ok()) return status;
  }
  return path_ + " was damaged; it is kept as " + *kept + ", a new one was begun, " +
         std::to_string(alarms.size()) + " alarms and " + std::to_string(values.size()) +
         " values of devices were taken over";
}

absl::StatusOr<uint64_t> StateDatabase::LastSequence() {
  MutexLock lock(&write_mutex_);
  const absl::StatusOr<int64_t> last =
      writer_->QueryInteger("SELECT value FROM meta WHERE name = 'last_sequence'");
  if (!last.ok()) return last.status();
  return static_cast<uint64_t>(*last);
}

absl::Status StateDatabase::WriteAudit(const std::vector<AuditEntry>& entries,
                                       const AuditRetention& retention) {
  MutexLock lock(&write_mutex_);
  absl::Status status = Writable();
  if (status.ok()) status = writer_->Execute("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  status = InsertAudit(entries, retention);
  if (status.ok()) status = writer_->Execute("COMMIT");
  // SQLite may have rolled back by itself already.
  if (!status.ok()) writer_->Execute("ROLLBACK").IgnoreError();
  return status;
}

absl::Status StateDatabase::InsertAudit(const std::vector<AuditEntry>& entries,
                                        const AuditRetention& retention) {
  absl::StatusOr<SqlStatement> insert =
      writer_->Prepare("INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  if (!insert.ok()) return insert.status();
  uint64_t last = 0;
  for (const AuditEntry& entry : entries) {
    insert->Bind(1, static_cast<int64_t>(entry.sequence));
    insert->Bind(2, Nanoseconds(entry.time));
    insert->Bind(3, entry.kind);
    insert->Bind(4, entry.identity);
    insert->Bind(5, entry.device_id);
    insert->Bind(6, static_cast<int64_t>(entry.command_id));
    insert->Bind(7, entry.request_id);
    insert->Bind(8, entry.text);
    insert->Bind(9, entry.status);
    if (absl::Status status = insert->Run(); !status.ok()) return status;
    last = std::max(last, entry.sequence);
  }
  absl::StatusOr<SqlStatement> meta =
      writer_->Prepare("UPDATE meta SET value = max(value, ?) WHERE name = 'last_sequence'");
  if (!meta.ok()) return meta.status();
  meta->Bind(1, static_cast<int64_t>(last));
  if (absl::Status status = meta->Run(); !status.ok()) return status;

  // Sequence numbers have no gaps, so the first one says how many there are.
  const absl::StatusOr<int64_t> first = writer_->QueryInteger("SELECT min(sequence) FROM audit");
  if (!first.ok()) return first.status();
  const auto oldest = static_cast<uint64_t>(*first);
  const uint64_t deletable = std::max<uint64_t>(kDeletedPerBatch, 2 * entries.size());
  // Everything below may go.
  const auto all_but = [last](uint64_t kept) { return last >= kept ? last - kept + 1 : 0; };
  const uint64_t by_count = std::min(all_but(retention.max_entries), oldest + deletable);
  if (by_count > oldest) {
    absl::StatusOr<SqlStatement> erase = writer_->Prepare("DELETE FROM audit WHERE sequence < ?");
    if (!erase.ok()) return erase.status();
    erase->Bind(1, static_cast<int64_t>(by_count));
    if (absl::Status status = erase->Run(); !status.ok()) return status;
  }
  const uint64_t by_age =
      std::min(all_but(AuditRetention::kAlwaysKept), std::max(oldest, by_count) + deletable);
  if (retention.max_age > Duration::zero() && by_age > oldest) {
    absl::StatusOr<SqlStatement> erase =
        writer_->Prepare("DELETE FROM audit WHERE sequence < ? AND time_ns < ?");
    if (!erase.ok()) return erase.status();
    erase->Bind(1, static_cast<int64_t>(by_age));
    erase->Bind(2, Nanoseconds(clock_->WallNow() - retention.max_age));
    if (absl::Status status = erase->Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<AuditPage> StateDatabase::QueryAudit(const AuditQuery& query) {
  {
    MutexLock lock(&read_mutex_);
    if (reader_ != nullptr) return ReadAudit(*reader_, query);
  }
  MutexLock lock(&write_mutex_);
  if (writer_ == nullptr) return problem_;
  return ReadAudit(*writer_, query);
}

absl::Status StateDatabase::SaveAlarm(const AlarmRecord& alarm) {
  MutexLock lock(&write_mutex_);
  if (absl::Status status = Writable(); !status.ok()) return status;
  return InsertAlarm(alarm);
}

absl::Status StateDatabase::InsertAlarm(const AlarmRecord& alarm) {
  absl::StatusOr<SqlStatement> insert = writer_->Prepare(
      "INSERT OR REPLACE INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  if (!insert.ok()) return insert.status();
  insert->Bind(1, alarm.device_id);
  insert->Bind(2, alarm.code);
  insert->Bind(3, alarm.severity);
  insert->Bind(4, alarm.text);
  insert->Bind(5, alarm.active ? 1 : 0);
  insert->Bind(6, alarm.acknowledged ? 1 : 0);
  insert->Bind(7, Nanoseconds(alarm.first_time));
  insert->Bind(8, Nanoseconds(alarm.last_time));
  BindTime(*insert, 9, alarm.clear_time);
  BindTime(*insert, 10, alarm.acknowledge_time);
  insert->Bind(11, alarm.count);
  insert->Bind(12, alarm.acknowledged_by);
  insert->Bind(13, alarm.comment);
  BindTime(*insert, 14, alarm.shelved_until);
  insert->Bind(15, alarm.shelved_by);
  return insert->Run();
}

absl::StatusOr<std::vector<AlarmRecord>> StateDatabase::LoadAlarms() {
  MutexLock lock(&write_mutex_);
  if (writer_ == nullptr) return problem_;
  std::vector<AlarmRecord> alarms;
  if (absl::Status status = ReadAlarms(*writer_, &alarms); !status.ok()) return status;
  return alarms;
}

absl::Status StateDatabase::SaveDeviceValue(const DeviceValue& value) {
  MutexLock lock(&write_mutex_);
  if (absl::Status status = Writable(); !status.ok()) return status;
  return InsertDeviceValue(value);
}

absl::Status StateDatabase::InsertDeviceValue(const DeviceValue& value) {
  absl::StatusOr<SqlStatement> insert =
      writer_->Prepare("INSERT OR REPLACE INTO device_values VALUES (?, ?, ?)");
  if (!insert.ok()) return insert.status();
  insert->Bind(1, value.device_id);
  insert->Bind(2, value.key);
  insert->Bind(3, value.value);
  return insert->Run();
}

absl::StatusOr<std::vector<DeviceValue>> StateDatabase::LoadDeviceValues() {
  MutexLock lock(&write_mutex_);
  if (writer_ == nullptr) return problem_;
  std::vector<DeviceValue> values;
  if (absl::Status status = ReadDeviceValues(*writer_, &values); !status.ok()) return status;
  return values;
}

}  // namespace canhub
