// The grammar: section 11.1, with the differences of section 11.4's last paragraph.
#include "drivers/formats/dbc_parser.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

namespace canhub::dbc {
namespace {

class Reader {
 public:
  Reader(const std::vector<Token>& tokens, FileText* out, Problems* problems)
      : tokens_(tokens), out_(*out), problems_(*problems) {}
  // False: a fault of the grammar, reported.
  bool Run() {
    while (fine_ && Here().kind != TokenKind::kEnd) Statement();
    return fine_;
  }

 private:
  const Token& Here() const { return tokens_[at_]; }
  const Token& After(size_t count = 1) const {
    return tokens_[std::min(at_ + count, tokens_.size() - 1)];
  }
  bool IsSign(const Token& token, char sign) const {
    return token.kind == TokenKind::kSign && token.text[0] == sign;
  }
  void Next() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }

  void Fail(const std::string& expected) {
    if (!fine_) return;
    fine_ = false;
    const Token& token = Here();
    std::string found = token.kind == TokenKind::kEnd      ? "the end of the file"
                        : token.kind == TokenKind::kString ? "a text"
                                                           : "\"" + std::string(token.text) + "\"";
    problems_.Error(token.line, statement_ + ": found " + found + ", expected " + expected);
  }
  bool Sign(char sign) {
    if (fine_ && IsSign(Here(), sign)) {
      Next();
      return true;
    }
    Fail(std::string("\"") + sign + "\"");
    return false;
  }
  bool TakeSign(char sign) {
    if (!fine_ || !IsSign(Here(), sign)) return false;
    Next();
    return true;
  }
  std::string_view Word(const char* what) {
    if (fine_ && Here().kind == TokenKind::kWord) {
      const std::string_view text = Here().text;
      Next();
      return text;
    }
    Fail(what);
    return "";
  }
  std::string_view NumberText(const char* what) {
    if (fine_ && Here().kind == TokenKind::kNumber) {
      const std::string_view text = Here().text;
      Next();
      return text;
    }
    Fail(what);
    return "0";
  }
  double Number(const char* what) {
    std::string_view text = NumberText(what);
    if (text.starts_with('+')) text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range || !std::isfinite(value)) {
      --at_;
      Fail(std::string(what) + " that a double can hold");
    }
    return value;
  }
  // Whole, within the bounds.
  int64_t Integer(const char* what, int64_t minimum, int64_t maximum) {
    const size_t here = at_;
    std::string_view text = NumberText(what);
    if (!fine_) return 0;
    if (text.starts_with('+')) text.remove_prefix(1);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < minimum ||
        value > maximum) {
      at_ = here;
      Fail(std::string(what) + ", a whole number from " + std::to_string(minimum) + " to " +
           std::to_string(maximum));
    }
    return value;
  }
  uint64_t MessageId() { return static_cast<uint64_t>(Integer("an identifier", 0, 0xFFFFFFFF)); }
  std::string QuotedText(const char* what) {
    if (fine_ && Here().kind == TokenKind::kString) {
      std::string text = CleanText(Here().text);
      Next();
      return text;
    }
    Fail(what);
    return "";
  }
  void SkipStatement() {
    while (Here().kind != TokenKind::kEnd && !IsSign(Here(), ';')) Next();
    Sign(';');
  }

  void Statement();
  void SkipNewSymbols();
  void ReadMessage();
  void ReadSignal(MessageText* message);
  Mark ReadMark();
  void ReadComment();
  void ReadDefinition();
  void ReadDefault();
  void ReadAttribute();
  void ReadNames();
  void ReadPages();
  std::vector<ValueName> ReadPairs();

  const std::vector<Token>& tokens_;
  FileText& out_;
  Problems& problems_;
  size_t at_ = 0;
  bool fine_ = true;
  std::string statement_;
};

bool OpensStatement(std::string_view word) {
  static const std::set<std::string_view> kKeywords = {"BA_",
                                                       "BA_DEF_",
                                                       "BA_DEF_DEF_",
                                                       "BA_DEF_DEF_REL_",
                                                       "BA_DEF_REL_",
                                                       "BA_REL_",
                                                       "BA_DEF_SGTYPE_",
                                                       "BA_SGTYPE_",
                                                       "BO_",
                                                       "BO_TX_BU_",
                                                       "BS_",
                                                       "BU_",
                                                       "CAT_",
                                                       "CAT_DEF_",
                                                       "CM_",
                                                       "ENVVAR_DATA_",
                                                       "EV_",
                                                       "EV_DATA_",
                                                       "NS_",
                                                       "SG_",
                                                       "SG_MUL_VAL_",
                                                       "SGTYPE_",
                                                       "SGTYPE_VAL_",
                                                       "SIG_GROUP_",
                                                       "SIG_TYPE_REF_",
                                                       "SIG_VALTYPE_",
                                                       "SIGTYPE_VALTYPE_",
                                                       "VAL_",
                                                       "VAL_TABLE_",
                                                       "VERSION"};
  return kKeywords.contains(word);
}

void Reader::Statement() {
  statement_ = "a statement";
  const int line = Here().line;
  const std::string_view keyword = Word("a keyword such as BO_");
  if (!fine_) return;
  statement_ = std::string(keyword);
  if (keyword == "VERSION") {
    out_.version = QuotedText("a text");
  } else if (keyword == "NS_") {
    SkipNewSymbols();
  } else if (keyword == "BS_") {
    // Empty, or baud rate and timer values that nobody uses any more.
    Sign(':');
    while (fine_ && Here().kind == TokenKind::kNumber) {
      Next();
      if (IsSign(Here(), ':') || IsSign(Here(), ',')) Next();
    }
    TakeSign(';');
  } else if (keyword == "BU_") {
    Sign(':');
    while (fine_ && Here().kind == TokenKind::kWord && !OpensStatement(Here().text)) {
      out_.nodes.emplace_back(Here().text);
      Next();
    }
  } else if (keyword == "BO_") {
    ReadMessage();
  } else if (keyword == "BO_TX_BU_") {
    std::vector<std::string>& senders = out_.more_senders[MessageId()];
    Sign(':');
    while (fine_ && Here().kind == TokenKind::kWord) {
      senders.emplace_back(Here().text);
      Next();
      TakeSign(',');
    }
    Sign(';');
  } else if (keyword == "CM_") {
    ReadComment();
  } else if (keyword == "BA_DEF_") {
    ReadDefinition();
  } else if (keyword == "BA_DEF_DEF_") {
    ReadDefault();
  } else if (keyword == "BA_") {
    ReadAttribute();
  } else if (keyword == "VAL_TABLE_") {
    Word("the table's name");
    ReadPairs();
    Sign(';');
  } else if (keyword == "VAL_") {
    ReadNames();
  } else if (keyword == "SIG_VALTYPE_") {
    const uint64_t id = MessageId();
    const std::string_view signal = Word("a signal's name");
    TakeSign(':');  // circulating specifications have none, files have one
    const std::string_view type = NumberText("0, 1 or 2");
    Sign(';');
    if (fine_) out_.value_types[{id, signal}] = type;
  } else if (keyword == "SG_MUL_VAL_") {
    ReadPages();
  } else if (keyword == "SG_") {
    at_ -= 1;
    Fail("BO_ before the first signal");
  } else {
    if (!OpensStatement(keyword)) {
      problems_.Warn(line,
                     "found the statement \"" + statement_ + "\", which is not known; skipped");
    }
    SkipStatement();
  }
}

// Its names are no statements: they end where a word is followed by what a name is not followed by.
void Reader::SkipNewSymbols() {
  Sign(':');
  while (fine_ && Here().kind == TokenKind::kWord) {
    const Token& next = After();
    const bool table = Here().text == "VAL_TABLE_" && After(2).kind == TokenKind::kNumber;
    if (OpensStatement(Here().text) && (IsSign(next, ':') || next.kind == TokenKind::kNumber ||
                                        next.kind == TokenKind::kString || table)) {
      return;
    }
    Next();
  }
}

void Reader::ReadMessage() {
  MessageText text;
  text.message.line = Here().line;
  text.dbc_id = MessageId();
  text.message.name = Word("the message's name");
  Sign(':');
  text.message.length = static_cast<int>(Integer("a length in bytes", 0, 64));
  if (const std::string_view sender = Word("the transmitter's name");
      fine_ && sender != "Vector__XXX") {
    text.message.senders.emplace_back(sender);
  }
  while (fine_ && Here().kind == TokenKind::kWord && Here().text == "SG_") ReadSignal(&text);
  if (fine_) out_.messages.push_back(std::move(text));
}

Mark Reader::ReadMark() {
  Mark mark;
  if (!fine_ || Here().kind != TokenKind::kWord) return mark;
  std::string_view text = Here().text;
  mark.selector = text.ends_with('M');
  if (mark.selector) text.remove_suffix(1);
  if (text.starts_with('m')) {
    mark.child = true;
    text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mark.page);
    if (error != std::errc() || end != text.data() + text.size() || mark.page < 0) {
      Fail("M, m<number> or m<number>M");
    }
  } else if (!text.empty() || !mark.selector) {
    Fail("M, m<number> or m<number>M, or \":\"");
  }
  Next();
  return mark;
}

void Reader::ReadSignal(MessageText* message) {
  Next();
  SignalText text;
  Signal& signal = text.signal;
  signal.line = Here().line;
  statement_ = message->message.name + ": SG_";
  signal.name = Word("the signal's name");
  statement_ = message->message.name + "." + signal.name;
  text.mark = ReadMark();
  Sign(':');
  signal.start = static_cast<int>(Integer("a start bit", 0, 511));
  Sign('|');
  signal.length = static_cast<int>(Integer("a length in bits", 0, 512));
  Sign('@');
  // "1+" is a number for the lexer only when no space follows; the sign comes as its own token.
  const std::string_view order = NumberText("the byte order, 0 or 1");
  signal.big_endian = order == "0";
  if (TakeSign('-')) {
    signal.is_signed = true;
  } else if (!TakeSign('+')) {
    Fail("\"+\" or \"-\"");
  }
  Sign('(');
  signal.factor = Number("the factor");
  Sign(',');
  signal.offset = Number("the offset");
  Sign(')');
  Sign('[');
  const double minimum = Number("the minimum");
  Sign('|');
  const double maximum = Number("the maximum");
  Sign(']');
  if (minimum != 0 || maximum != 0) {
    signal.minimum = minimum;
    signal.maximum = maximum;
  }
  signal.unit = QuotedText("the unit, a text");
  while (fine_ && Here().kind == TokenKind::kWord && !OpensStatement(Here().text)) {
    if (Here().text != "Vector__XXX") signal.receivers.emplace_back(Here().text);
    Next();
    TakeSign(',');
  }
  statement_ = "BO_ " + message->message.name;
  if (fine_) message->signals.push_back(std::move(text));
}

void Reader::ReadComment() {
  const Token& first = Here();
  Key key;
  bool keep = false;
  if (first.kind == TokenKind::kWord) {
    const std::string_view of = first.text;
    Next();
    if (of == "BO_" || of == "SG_") {
      key.message = MessageId();
      if (of == "SG_") key.signal = Word("a signal's name");
      keep = true;
    } else if (of == "BU_" || of == "EV_") {
      Word("a name");
    } else {
      --at_;
      Fail("BU_, BO_, SG_, EV_ or a text");
    }
  }
  std::string text = QuotedText("a text");
  Sign(';');
  if (fine_ && keep) out_.comments[key] = std::move(text);
}

void Reader::ReadDefinition() {
  if (Here().kind == TokenKind::kWord) Next();  // BU_, BO_, SG_, EV_
  const std::string name = QuotedText("the attribute's name");
  AttributeDefinition definition{.type = Word("INT, HEX, FLOAT, STRING or ENUM")};
  while (fine_ && Here().kind == TokenKind::kString) {
    definition.choices.push_back(QuotedText("a choice"));
    TakeSign(',');
  }
  while (fine_ && Here().kind == TokenKind::kNumber) Next();
  Sign(';');
  if (fine_) out_.definitions[name] = std::move(definition);
}

void Reader::ReadDefault() {
  const int line = Here().line;
  const std::string name = QuotedText("the attribute's name");
  std::string value = Here().kind == TokenKind::kString ? QuotedText("a value")
                                                        : std::string(NumberText("a value"));
  Sign(';');
  if (!fine_) return;
  const auto found = out_.definitions.find(name);
  if (found == out_.definitions.end()) {
    return problems_.Warn(line,
                          "BA_DEF_DEF_: a default for \"" + name + "\", which is not defined");
  }
  found->second.default_text = std::move(value);
}

void Reader::ReadAttribute() {
  const int line = Here().line;
  const std::string name = QuotedText("the attribute's name");
  Key key;
  bool of_file = true, keep = true;
  if (Here().kind == TokenKind::kWord) {
    const std::string_view of = Here().text;
    of_file = false;
    Next();
    if (of == "BO_" || of == "SG_") {
      key.message = MessageId();
      if (of == "SG_") key.signal = Word("a signal's name");
    } else if (of == "BU_" || of == "EV_") {
      Word("a name");
      keep = false;
    } else {
      --at_;
      Fail("BU_, BO_, SG_, EV_ or a value");
    }
  }
  std::string value = Here().kind == TokenKind::kString ? QuotedText("a value")
                                                        : std::string(NumberText("a value"));
  Sign(';');
  if (!fine_) return;
  const auto definition = out_.definitions.find(name);
  if (definition == out_.definitions.end()) {
    return problems_.Error(
        line, "BA_: found the attribute \"" + name + "\", expected one that BA_DEF_ defines");
  }
  if (definition->second.type == "ENUM") {
    size_t index = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), index);
    if (error == std::errc() && end == value.data() + value.size() &&
        index < definition->second.choices.size()) {
      value = definition->second.choices[index];
    }
  }
  if (of_file) {
    out_.of_file[name] = std::move(value);
  } else if (keep) {
    out_.attributes[key][name] = std::move(value);
  }
}

std::vector<ValueName> Reader::ReadPairs() {
  std::vector<ValueName> names;
  while (fine_ && Here().kind == TokenKind::kNumber) {
    const int64_t value = Integer("a value", INT64_MIN, INT64_MAX);
    names.push_back({value, QuotedText("the value's name")});
  }
  return names;
}

void Reader::ReadNames() {
  if (Here().kind == TokenKind::kWord) return SkipStatement();  // of an environment variable
  Key key{.message = MessageId()};
  key.signal = Word("a signal's name");
  std::vector<ValueName> names = ReadPairs();
  Sign(';');
  if (!fine_) return;
  // The last of two names of one value counts.
  std::stable_sort(names.begin(), names.end(),
                   [](const ValueName& a, const ValueName& b) { return a.value < b.value; });
  std::vector<ValueName>& kept = out_.names[key];
  kept.clear();
  for (ValueName& name : names) {
    if (!kept.empty() && kept.back().value == name.value) kept.pop_back();
    kept.push_back(std::move(name));
  }
}

void Reader::ReadPages() {
  Pages pages{.line = Here().line};
  Key key{.message = MessageId()};
  key.signal = Word("a signal's name");
  pages.selector = Word("the selector's name");
  while (fine_ && Here().kind == TokenKind::kNumber) {
    PageRange range{.first = Integer("a page", 0, INT64_MAX)};
    // "3-5" reads as 3 and -5.
    std::string_view last = NumberText("the last page, as -<number>");
    if (last.starts_with('-')) last.remove_prefix(1);
    const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), range.last);
    if (error != std::errc() || end != last.data() + last.size() || range.last < range.first) {
      --at_;
      Fail("a last page that is not below the first, " + std::to_string(range.first));
    }
    pages.ranges.push_back(range);
    TakeSign(',');
  }
  if (fine_ && pages.ranges.empty()) Fail("a range of pages such as 0-3");
  Sign(';');
  if (!fine_) return;
  Pages& all = out_.pages[key];
  if (all.ranges.empty()) {
    all = std::move(pages);
  } else if (all.selector != pages.selector) {
    problems_.Error(pages.line, "SG_MUL_VAL_: " + std::string(key.signal) +
                                    ": found a second selector " + std::string(pages.selector) +
                                    ", expected " + std::string(all.selector));
  } else {
    all.ranges.insert(all.ranges.end(), pages.ranges.begin(), pages.ranges.end());
  }
}

}  // namespace

void Problems::Error(int line, const std::string& text) {
  errors.push_back(file + ":" + std::to_string(line) + ": " + text);
}

void Problems::Warn(int line, const std::string& text) {
  warnings.push_back(file + ":" + std::to_string(line) + ": " + text);
}

FileText ReadStatements(const std::vector<Token>& tokens, Problems* problems) {
  FileText text;
  Reader(tokens, &text, problems).Run();
  return text;
}

}  // namespace canhub::dbc
