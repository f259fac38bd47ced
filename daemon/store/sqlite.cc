#include "daemon/store/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

using absl::StatusCode;

// How long to wait for another connection of this process, or for a person's sqlite3 shell.
constexpr int kBusyTimeoutMs = 2000;

absl::Status SqlError(sqlite3* handle, int code) {
  const char* file = handle == nullptr ? nullptr : sqlite3_db_filename(handle, "main");
  const std::string path = file == nullptr ? "" : file;
  const std::string text = handle == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle);
  const int system_error = handle == nullptr ? 0 : sqlite3_system_errno(handle);
  StatusCode status = StatusCode::kUnavailable;
  if ((code & 0xFF) == SQLITE_FULL) status = StatusCode::kResourceExhausted;
  // Our statements are fixed: when SQLite finds an error in one, the tables that it names, or the
  // file's format, are not what we made.
  if ((code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB ||
      (code & 0xFF) == SQLITE_ERROR) {
    status = StatusCode::kDataLoss;
  }
  std::string message = path + ": " + text + " (" + sqlite3_errstr(code) + ")";
  if ((code & 0xFF) == SQLITE_IOERR && system_error != 0) {
    message += ", system error " + std::to_string(system_error);
  }
  return MakeError(status, "DATABASE", message, {{"path", path}, {"error", text}});
}

}  // namespace

SqlStatement::SqlStatement(SqlStatement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)), bind_error_(other.bind_error_) {}

SqlStatement::~SqlStatement() { sqlite3_finalize(statement_); }

void SqlStatement::Bind(int index, int64_t value) {
  const int code = sqlite3_bind_int64(statement_, index, value);
  if (code != SQLITE_OK) bind_error_ = code;
}

void SqlStatement::Bind(int index, std::string_view text) {
  // An empty view may have no data, which SQLite would take for NULL.
  const int code = sqlite3_bind_text(statement_, index, text.empty() ? "" : text.data(),
                                     static_cast<int>(text.size()), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) bind_error_ = code;
}

void SqlStatement::BindNull(int index) {
  const int code = sqlite3_bind_null(statement_, index);
  if (code != SQLITE_OK) bind_error_ = code;
}

absl::StatusOr<bool> SqlStatement::Step() {
  if (bind_error_ != SQLITE_OK) return SqlError(sqlite3_db_handle(statement_), bind_error_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqlError(sqlite3_db_handle(statement_), code);
}

absl::Status SqlStatement::Run() {
  const absl::StatusOr<bool> row = Step();
  Reset();
  return row.status();
}

void SqlStatement::Reset() {
  bind_error_ = SQLITE_OK;
  sqlite3_reset(statement_);
}

int64_t SqlStatement::Integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string SqlStatement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return "";
  return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

bool SqlStatement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

absl::StatusOr<std::unique_ptr<SqlDatabase>> SqlDatabase::Open(const std::string& path,
                                                               bool read_only) {
  sqlite3* handle = nullptr;
  const int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  if (code != SQLITE_OK) {
    absl::Status status = SqlError(handle, code);
    sqlite3_close(handle);
    return status;
  }
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  return std::unique_ptr<SqlDatabase>(new SqlDatabase(path, handle));
}

SqlDatabase::~SqlDatabase() { sqlite3_close(handle_); }

absl::Status SqlDatabase::Execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : SqlError(handle_, code);
}

absl::StatusOr<SqlStatement> SqlDatabase::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr);
  if (code != SQLITE_OK) return SqlError(handle_, code);
  return SqlStatement(statement);
}

absl::StatusOr<int64_t> SqlDatabase::QueryInteger(const char* sql) {
  absl::StatusOr<SqlStatement> statement = Prepare(sql);
  if (!statement.ok()) return statement.status();
  const absl::StatusOr<bool> row = statement->Step();
  if (!row.ok()) return row.status();
  return *row ? statement->Integer(0) : 0;
}

}  // namespace canhub
