// The least of SQLite that the store needs, with absl::Status for errors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace canhub {

// A prepared statement. Bind (from 1), Step until false, Reset. An error of Bind shows in Step.
class SqlStatement {
 public:
  explicit SqlStatement(sqlite3_stmt* statement) : statement_(statement) {}
  SqlStatement(SqlStatement&& other) noexcept;
  SqlStatement& operator=(SqlStatement&&) = delete;
  ~SqlStatement();
  void Bind(int index, int64_t value);
  void Bind(int index, std::string_view text);
  void BindNull(int index);
  // True: there is a row.
  absl::StatusOr<bool> Step();
  // Steps a statement that has no rows, and resets it.
  absl::Status Run();
  void Reset();
  int64_t Integer(int column) const;
  std::string Text(int column) const;
  bool IsNull(int column) const;

 private:
  sqlite3_stmt* statement_;
  int bind_error_ = 0;
};

// One connection. Not thread-safe.
class SqlDatabase {
 public:
  // RESOURCE_EXHAUSTED: no room on the disk. DATA_LOSS: not a database, or damaged. UNAVAILABLE:
  // anything else. Every text names the file.
  static absl::StatusOr<std::unique_ptr<SqlDatabase>> Open(const std::string& path, bool read_only);
  ~SqlDatabase();
  SqlDatabase(const SqlDatabase&) = delete;
  SqlDatabase& operator=(const SqlDatabase&) = delete;

  absl::Status Execute(const char* sql);
  absl::StatusOr<SqlStatement> Prepare(const char* sql);
  // Of a statement with one row and one number.
  absl::StatusOr<int64_t> QueryInteger(const char* sql);
  const std::string& path() const { return path_; }

 private:
  SqlDatabase(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}
  const std::string path_;
  sqlite3* const handle_;
};

}  // namespace canhub
