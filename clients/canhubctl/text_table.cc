#include "clients/canhubctl/text_table.h"

#include <algorithm>
#include <cassert>

namespace canhub::ctl {
namespace {

// Length in bytes of the ANSI sequence or UTF-8 character at the start of a text that is not empty.
struct Glyph {
  size_t bytes;
  size_t places;
};
Glyph FirstGlyph(std::string_view text) {
  if (text[0] == '\x1b') {
    const size_t end = text.find('m');
    return {end == std::string_view::npos ? text.size() : end + 1, 0};
  }
  size_t bytes = 1;
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) ++bytes;
  return {bytes, 1};
}

std::string Padded(const std::string& text, size_t width, Align align) {
  const size_t have = DisplayWidth(text);
  const std::string spaces(width > have ? width - have : 0, ' ');
  return align == Align::kLeft ? text + spaces : spaces + text;
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Glyph glyph = FirstGlyph(text);
    width += glyph.places;
    text.remove_prefix(glyph.bytes);
  }
  return width;
}

std::string CutToWidth(std::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::string result;
  size_t places = 0;
  bool coloured = false;
  while (!text.empty()) {
    const Glyph glyph = FirstGlyph(text);
    if (places + glyph.places > width - 1) break;
    if (glyph.places == 0) coloured = true;
    result += text.substr(0, glyph.bytes);
    places += glyph.places;
    text.remove_prefix(glyph.bytes);
  }
  result += "…";
  if (coloured) result += "\x1b[0m";
  return result;
}

void TextTable::AddRow(std::vector<std::string> cells) {
  assert(cells.size() <= columns_.size());
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<std::string> TextTable::Lines() const {
  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::vector<bool> shown(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    shown[i] = rows_.empty() || widths[i] > 0;
    widths[i] = std::max(widths[i], DisplayWidth(columns_[i].title));
  }
  const auto line = [&](const auto& cell) {
    std::string text;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!shown[i]) continue;
      if (!text.empty()) text += "  ";
      text += Padded(cell(i), widths[i], columns_[i].align);
    }
    while (text.ends_with(' ')) text.pop_back();
    return text;
  };
  std::vector<std::string> lines;
  lines.push_back(line([&](size_t i) { return columns_[i].title; }));
  for (const auto& row : rows_) lines.push_back(line([&](size_t i) { return row[i]; }));
  return lines;
}

std::string TextTable::ToString() const {
  std::string text;
  for (const std::string& line : Lines()) text += line + "\n";
  return text;
}

}  // namespace canhub::ctl
