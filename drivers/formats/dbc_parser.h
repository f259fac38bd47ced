// What a DBC file says, statement by statement, before it is joined and checked.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/formats/dbc.h"
#include "drivers/formats/dbc_lexer.h"

namespace canhub::dbc {

struct Problems {
  std::string file;
  std::vector<std::string> errors, warnings;
  void Error(int line, const std::string& text);
  void Warn(int line, const std::string& text);
};

// The mark of SG_: M, m<n>, m<n>M.
struct Mark {
  bool selector = false;
  bool child = false;
  int64_t page = 0;
};

struct SignalText {
  Signal signal;
  Mark mark;
  std::string_view value_type;  // SIG_VALTYPE_; "" for none
};

struct MessageText {
  Message message;  // without signals
  uint64_t dbc_id = 0;
  std::vector<SignalText> signals;
};

struct Key {
  uint64_t message = 0;
  std::string_view signal;  // "": of the message
  auto operator<=>(const Key&) const = default;
};

struct Pages {
  int line = 0;
  std::string_view selector;
  std::vector<PageRange> ranges;
};

struct AttributeDefinition {
  std::string_view type;  // INT, HEX, FLOAT, STRING, ENUM
  std::vector<std::string> choices;
  std::string default_text;
};

struct FileText {
  std::string version;
  std::vector<std::string> nodes;
  std::vector<MessageText> messages;
  std::map<uint64_t, std::vector<std::string>> more_senders;
  std::map<Key, std::string> comments;
  std::map<Key, std::vector<ValueName>> names;
  std::map<Key, std::string_view> value_types;
  std::map<Key, Pages> pages;
  std::map<std::string, AttributeDefinition, std::less<>> definitions;
  std::map<std::string, std::string, std::less<>> of_file;  // attributes
  std::map<Key, std::map<std::string, std::string, std::less<>>> attributes;
};

// Stops at the first fault of the grammar; the views are into the tokens' text.
FileText ReadStatements(const std::vector<Token>& tokens, Problems* problems);

// Joins the statements to messages and checks them.
Database Join(FileText text, Problems* problems);

}  // namespace canhub::dbc
