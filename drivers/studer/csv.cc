#include "drivers/studer/csv.h"

#include <utility>

#include "drivers/api/errors.h"

namespace canhub::studer {
namespace {

absl::Status Wrong(std::string_view name, int line, const std::string& found,
                   const std::string& expected) {
  const std::string at = std::to_string(line);
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TABLE",
                   std::string(name) + ":" + at + ": found " + found + ", expected " + expected,
                   {{"file", std::string(name)}, {"line", at}});
}

std::string Join(const std::vector<std::string>& fields) {
  std::string text;
  for (const std::string& field : fields) text += (text.empty() ? "" : ",") + field;
  return text;
}

}  // namespace

absl::StatusOr<std::vector<CsvRow>> ParseCsv(std::string_view text, std::string_view name,
                                             const std::vector<std::string>& columns) {
  std::vector<CsvRow> rows;
  size_t at = 0;
  int line = 1;
  while (at < text.size()) {
    CsvRow row{.line = line};
    bool row_ends = false;
    while (!row_ends) {
      std::string field;
      const bool quoted = at < text.size() && text[at] == '"';
      if (quoted) {
        bool closed = false;
        for (++at; at < text.size() && !closed; ++at) {
          if (text[at] != '"') {
            if (text[at] == '\n') ++line;
            field += text[at];
          } else if (at + 1 < text.size() && text[at + 1] == '"') {
            field += text[at++];
          } else {
            closed = true;
          }
        }
        if (!closed) return Wrong(name, row.line, "a quote that does not end", "its end");
      } else {
        for (; at < text.size() && text[at] != ',' && text[at] != '\n' && text[at] != '\r'; ++at) {
          if (text[at] == '"') return Wrong(name, line, "a quote within a field", "none");
          if (static_cast<unsigned char>(text[at]) < 0x20) {
            return Wrong(name, line, "a control character", "none");
          }
          field += text[at];
        }
      }
      row.fields.push_back(std::move(field));
      if (text.substr(at).starts_with("\r\n")) ++at;
      if (at == text.size() || text[at] == '\n') {
        row_ends = true;
      } else if (text[at] != ',') {
        return Wrong(name, line, "text after a field", "a comma or the end of the row");
      }
      ++at;
    }
    ++line;
    if (rows.empty() && row.line == 1) {
      if (row.fields != columns) {
        return Wrong(name, 1, "the columns " + Join(row.fields), Join(columns));
      }
      rows.push_back({});  // stands for the header until the end
      continue;
    }
    if (row.fields.size() != columns.size()) {
      return Wrong(name, row.line, std::to_string(row.fields.size()) + " fields",
                   std::to_string(columns.size()));
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return Wrong(name, 1, "an empty table", "the columns " + Join(columns));
  rows.erase(rows.begin());
  return rows;
}

}  // namespace canhub::studer
