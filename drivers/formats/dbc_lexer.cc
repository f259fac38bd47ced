#include "drivers/formats/dbc_lexer.h"

#include <cstdio>

namespace canhub::dbc {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

// The length of the number at the front: sign, digits, point, digits, exponent. 0: none.
size_t NumberLength(std::string_view text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t from = at;
    while (at < text.size() && IsDigit(text[at])) ++at;
    return at - from;
  };
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
  const size_t whole = digits();
  size_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    fraction = digits();
  }
  if (whole + fraction == 0) return 0;
  const size_t mantissa = at;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) at = mantissa;
  }
  return at;
}

// Windows-1252 from 0x80 to 0x9F; the rest is Latin-1. 0: not assigned, kept as the control
// character that Latin-1 has there.
constexpr uint16_t kWindows[32] = {0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                   0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017D, 0,
                                   0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                   0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | code >> 6));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xE0 | code >> 12));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t more = lead < 0x80                   ? 0
                        : lead >= 0xC2 && lead < 0xE0 ? 1
                        : lead >= 0xE0 && lead < 0xF0 ? 2
                        : lead >= 0xF0 && lead < 0xF5 ? 3
                                                      : 9;
    if (i + more >= text.size()) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    const uint8_t second = more > 0 ? static_cast<uint8_t>(text[i + 1]) : 0;
    // Overlong forms, surrogates, beyond the last code point.
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0) ||
        (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90)) {
      return false;
    }
    i += more + 1;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(std::string_view text, const std::string& file) {
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 5);
  int line = 1;
  size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  const auto fail = [&](const std::string& found, const char* expected) {
    return absl::InvalidArgumentError(file + ":" + std::to_string(line) + ": found " + found +
                                      ", expected " + expected);
  };
  while (at < text.size()) {
    const char c = text[at];
    const std::string_view rest = text.substr(at);
    if (c == '\n') ++line;
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      ++at;
      continue;
    }
    if (rest.starts_with("//")) {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (c == '"') {
      const int first_line = line;
      size_t end = at + 1;
      while (end < text.size() && text[end] != '"') {
        if (text[end] == '\n') ++line;
        // Only before a quote does a backslash mean anything.
        end += text[end] == '\\' && end + 1 < text.size() && text[end + 1] == '"' ? 2 : 1;
      }
      if (end >= text.size()) {
        line = first_line;
        return fail("a text that does not end", "a closing quote");
      }
      tokens.push_back({TokenKind::kString, text.substr(at + 1, end - at - 1), first_line});
      at = end + 1;
      continue;
    }
    // "8@1+ (1,0)": the sign after a digit belongs to the format, not to the next number.
    if (const size_t length = NumberLength(rest);
        length > 0 && (length == rest.size() || !IsLetter(rest[length]))) {
      tokens.push_back({TokenKind::kNumber, rest.substr(0, length), line});
      at += length;
      continue;
    }
    if (IsLetter(c) || IsDigit(c)) {
      size_t length = 1;
      while (length < rest.size() && (IsLetter(rest[length]) || IsDigit(rest[length]))) ++length;
      tokens.push_back({TokenKind::kWord, rest.substr(0, length), line});
      at += length;
      continue;
    }
    if (std::string_view("()[],|@;:+-").find(c) == std::string_view::npos) {
      char byte[24];
      const auto code = static_cast<unsigned char>(c);
      std::snprintf(byte, sizeof byte, code > 0x20 && code < 0x7F ? "'%c'" : "the byte 0x%02X",
                    code);
      return fail(byte, "a name, a number, a text or one of ( ) [ ] , | @ ; : + -");
    }
    tokens.push_back({TokenKind::kSign, rest.substr(0, 1), line});
    ++at;
  }
  tokens.push_back({TokenKind::kEnd, "", line});
  return tokens;
}

std::string CleanText(std::string_view quoted) {
  const bool utf8 = IsUtf8(quoted);
  std::string out;
  out.reserve(quoted.size());
  for (size_t i = 0; i < quoted.size(); ++i) {
    const auto byte = static_cast<uint8_t>(quoted[i]);
    if (byte == '\\' && i + 1 < quoted.size() && quoted[i + 1] == '"') continue;
    if (utf8 || byte < 0x80) {
      out.push_back(quoted[i]);
    } else if (byte < 0xA0 && kWindows[byte - 0x80] != 0) {
      AppendUtf8(kWindows[byte - 0x80], &out);
    } else {
      AppendUtf8(byte, &out);
    }
  }
  return out;
}

}  // namespace canhub::dbc
