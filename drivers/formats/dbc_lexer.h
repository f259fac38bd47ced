// The words of a DBC file. Used only by the parser and its tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace canhub::dbc {

enum class TokenKind : uint8_t { kWord, kNumber, kString, kSign, kEnd };

struct Token {
  TokenKind kind = TokenKind::kEnd;  // kSign: one of ( ) [ ] , | @ ; : + -
  std::string_view text;             // a string without its quotes, escapes still in it
  int line = 0;
};

// INVALID_ARGUMENT "file:line: found …, expected …". Views into `text`; the last token is kEnd.
// Comments (//), line ends of either kind and a byte order mark are passed over.
absl::StatusOr<std::vector<Token>> Tokenize(std::string_view text, const std::string& file);

// A quoted text as UTF-8: \" becomes a quote; what is no UTF-8 is read as Windows-1252.
std::string CleanText(std::string_view quoted);

}  // namespace canhub::dbc
