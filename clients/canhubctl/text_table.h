// Aligned columns for a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace canhub::ctl {

// Places that a text takes on a terminal: one per code point, none for ANSI colours.
size_t DisplayWidth(std::string_view text);
// Cut to `width` places; "…" stands for what is missing. Colours are kept and closed.
std::string CutToWidth(std::string_view text, size_t width);

enum class Align { kLeft, kRight };
struct Column {
  std::string title;
  Align align = Align::kLeft;
};

class TextTable {
 public:
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Missing cells are empty; more cells than columns are not allowed.
  void AddRow(std::vector<std::string> cells);
  size_t row_count() const { return rows_.size(); }
  // The title line first; no trailing spaces. Columns that are empty in every row are left out.
  std::vector<std::string> Lines() const;
  // All lines, each with its line end.
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace canhub::ctl
