// Comma-separated tables as RFC 4180 has them: the first row names the columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace canhub::studer {

struct CsvRow {
  int line = 0;  // from 1, where the row begins
  std::vector<std::string> fields;
};

// The rows below the header. INVALID_ARGUMENT, with `name` and line: a header other than
// `columns`, a row with another number of fields, a quote that does not end or stands within a
// field, a control character.
absl::StatusOr<std::vector<CsvRow>> ParseCsv(std::string_view text, std::string_view name,
                                             const std::vector<std::string>& columns);

}  // namespace canhub::studer
