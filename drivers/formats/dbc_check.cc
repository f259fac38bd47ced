// From statements to messages: what belongs together is joined, and what cannot be is refused or
// warned about as section 11.4 has it.
#include <algorithm>
#include <bitset>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/formats/dbc_parser.h"

namespace canhub::dbc {
namespace {

constexpr char kUnusedSignals[] = "VECTOR__INDEPENDENT_SIG_MSG";
constexpr uint64_t kUnusedSignalsId = 0xC0000000;
constexpr uint64_t kExtendedBit = 0x80000000;
constexpr size_t kMostSignals = 2048;  // of a message; 512 bits, and pages
constexpr int kMostSelectors = 8;
constexpr size_t kMostErrors = 20;
constexpr int kMostBits = 512;
// Whole factors up to here keep raw * factor + offset exact in 128 bits and the factor in a double.
constexpr double kMostWhole = 9007199254740992.0;

using BitSet = std::bitset<kMostBits>;

class Joiner {
 public:
  Joiner(FileText text, Problems* problems) : text_(std::move(text)), problems_(*problems) {}
  Database Run();

 private:
  struct MessagePart {
    MessageText& text;
    Message& message;
  };
  const std::string* Attribute(const Key& key, std::string_view name) const;
  bool CheckId(MessagePart part);
  void JoinSignals(MessagePart part);
  bool PlaceSignal(const Message& message, Signal* signal);
  void JoinPages(MessagePart part);
  void SelectBy(MessagePart part, size_t child, size_t selector, std::vector<PageRange> pages);
  void SortSignals(Message* message);
  void FindOverlaps(Message* message);

  void Spoil(Message* message, int line, const std::string& text) {
    problems_.Warn(line, text);
    if (message->problem.empty()) {
      message->problem = problems_.file + ":" + std::to_string(line) + ": " + text;
    }
  }

  FileText text_;
  Problems& problems_;
  std::set<uint64_t> ids_;
};

std::string NameIn(const Message& message, const Signal& signal) {
  return message.name + "." + signal.name;
}

const std::string* Joiner::Attribute(const Key& key, std::string_view name) const {
  const auto of = text_.attributes.find(key);
  if (of == text_.attributes.end()) return nullptr;
  const auto value = of->second.find(name);
  return value == of->second.end() ? nullptr : &value->second;
}

std::optional<int64_t> WholeNumber(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value != std::floor(value) ||
      std::abs(value) > kMostWhole) {
    return std::nullopt;
  }
  return static_cast<int64_t>(value);
}

bool Joiner::CheckId(MessagePart part) {
  auto& [text, message] = part;
  message.extended = (text.dbc_id & kExtendedBit) != 0;
  message.id = static_cast<uint32_t>(text.dbc_id & ~kExtendedBit);
  const uint32_t most = message.extended ? 0x1FFFFFFF : 0x7FF;
  if (message.id > most) {
    problems_.Error(message.line, message.name + ": found the identifier " +
                                      std::to_string(text.dbc_id) + ", expected at most " +
                                      (message.extended ? "29 bits" : "0x7FF without bit 31"));
    return false;
  }
  if (!ids_.insert(text.dbc_id).second) {
    problems_.Error(message.line, message.name + ": found the identifier " +
                                      std::to_string(text.dbc_id) +
                                      " of a message above, expected one of its own");
    return false;
  }
  return true;
}

// Where it lies; false when it cannot.
bool Joiner::PlaceSignal(const Message& message, Signal* signal) {
  const std::string name = NameIn(message, *signal);
  if (signal->length < 1 || signal->length > 64) {
    problems_.Error(signal->line, name + ": found a length of " + std::to_string(signal->length) +
                                      " bits, expected 1 to 64");
    return false;
  }
  const int first =
      signal->big_endian ? 8 * (signal->start / 8) + 7 - signal->start % 8 : signal->start;
  const int end = first + signal->length;
  if (end > 8 * message.length) {
    problems_.Error(signal->line,
                    name + ": found start bit " + std::to_string(signal->start) + " and length " +
                        std::to_string(signal->length) + ", which end beyond the message's " +
                        std::to_string(message.length) + " bytes, expected them within");
    return false;
  }
  signal->last_byte = static_cast<uint8_t>((end - 1) / 8);
  signal->wide = end > 64;
  if (!signal->wide) {
    signal->shift = static_cast<uint8_t>(signal->big_endian ? 64 - end : first);
  }
  return true;
}

void Joiner::JoinSignals(MessagePart part) {
  auto& [text, message] = part;
  if (text.signals.size() > kMostSignals) {
    return problems_.Error(message.line,
                           message.name + ": found " + std::to_string(text.signals.size()) +
                               " signals, expected at most " + std::to_string(kMostSignals));
  }
  std::set<std::string_view> names;
  bool placed = true;
  for (SignalText& source : text.signals) {
    Signal& signal = source.signal;
    const Key key{text.dbc_id, signal.name};
    if (!names.insert(signal.name).second) {
      problems_.Error(signal.line, NameIn(message, signal) +
                                       ": found a second signal of this name, expected one");
      placed = false;
    }
    if (const auto found = text_.names.find(key); found != text_.names.end()) {
      signal.names = found->second;
    }
    if (const auto found = text_.comments.find(key); found != text_.comments.end()) {
      signal.comment = found->second;
    }
    if (const std::string* start = Attribute(key, "GenSigStartValue")) {
      signal.start_value = WholeNumber(*start);
    }
    if (const auto found = text_.value_types.find(key); found != text_.value_types.end()) {
      signal.is_float = found->second != "0";
    }
    signal.selector = source.mark.selector;
    signal.integral = !signal.is_float && signal.factor == std::floor(signal.factor) &&
                      signal.offset == std::floor(signal.offset) &&
                      std::abs(signal.factor) <= kMostWhole &&
                      std::abs(signal.offset) <= kMostWhole;
    placed &= PlaceSignal(message, &signal);
    if (signal.is_float && signal.length != 16 && signal.length != 32 && signal.length != 64) {
      Spoil(&message, signal.line,
            NameIn(message, signal) + ": found a float of " + std::to_string(signal.length) +
                " bits, expected 16, 32 or 64; the message cannot be used");
    }
    if (signal.factor == 0) {
      Spoil(&message, signal.line,
            NameIn(message, signal) +
                ": found the factor 0, expected another; the message cannot "
                "be used");
    }
    message.signals.push_back(signal);
  }
  if (!placed) return;
  JoinPages(part);
  SortSignals(&message);
  FindOverlaps(&message);
  for (size_t i = 0; i < message.signals.size(); ++i) {
    const std::string* name =
        Attribute({text.dbc_id, text.signals[i].signal.name}, "SystemSignalLongSymbol");
    if (name != nullptr && !name->empty()) message.signals[i].name = *name;
  }
}

void Joiner::SelectBy(MessagePart part, size_t child, size_t selector,
                      std::vector<PageRange> pages) {
  Signal& signal = part.message.signals[child];
  signal.selected_by = static_cast<int>(selector);
  signal.pages = std::move(pages);
}

void Joiner::JoinPages(MessagePart part) {
  // No structured binding: lambdas cannot capture one in every C++20 compiler.
  auto& text = part.text;
  auto& message = part.message;
  std::vector<size_t> selectors;
  bool any_pages = false;
  const auto pages_of = [&](const Signal& signal) {
    const auto found = text_.pages.find({text.dbc_id, signal.name});
    return found == text_.pages.end() ? nullptr : &found->second;
  };
  for (size_t i = 0; i < message.signals.size(); ++i) {
    if (message.signals[i].selector) selectors.push_back(i);
    any_pages |= pages_of(message.signals[i]) != nullptr;
  }
  for (const size_t selector : selectors) {
    if (message.signals[selector].is_float) {
      problems_.Error(message.signals[selector].line,
                      NameIn(message, message.signals[selector]) +
                          ": found a float as selector, expected a whole number");
      return;
    }
  }
  for (size_t i = 0; i < message.signals.size(); ++i) {
    const Signal& signal = message.signals[i];
    const Mark& mark = text.signals[i].mark;
    const Pages* pages = pages_of(signal);
    const std::string name = NameIn(message, signal);
    const auto warn = [&](const std::string& what) {
      problems_.Warn(signal.line, name + ": " + what);
    };
    if (!mark.child && !mark.selector) {
      if (pages != nullptr) warn("found SG_MUL_VAL_ for a signal without m; it is always there");
      continue;
    }
    if (selectors.size() == 1) {
      if (i == selectors[0]) continue;
      std::vector<PageRange> ranges = {{mark.page, mark.page}};
      if (pages != nullptr) {
        if (pages->selector == text.signals[selectors[0]].signal.name) {
          ranges.insert(ranges.end(), pages->ranges.begin(), pages->ranges.end());
        } else {
          warn("found SG_MUL_VAL_ with the selector " + std::string(pages->selector) +
               ", which is none of this message; ignored");
        }
      }
      SelectBy(part, i, selectors[0], std::move(ranges));
      continue;
    }
    if (pages == nullptr) {
      if (mark.child) {
        warn(selectors.empty()
                 ? "found a page without a selector in the message; it is always there"
             : any_pages ? "found no SG_MUL_VAL_ beside several selectors; it is always there"
                         : "found several selectors and no SG_MUL_VAL_; it is always there");
      }
      continue;
    }
    const auto selector = std::find_if(selectors.begin(), selectors.end(), [&](size_t s) {
      return text.signals[s].signal.name == pages->selector;
    });
    if (selector == selectors.end() || *selector == i) {
      problems_.Error(pages->line, "SG_MUL_VAL_: " + name + ": found the selector " +
                                       std::string(pages->selector) +
                                       ", expected another signal with M in the same message");
      return;
    }
    SelectBy(part, i, *selector, pages->ranges);
  }
}

void Joiner::SortSignals(Message* message) {
  const size_t count = message->signals.size();
  std::vector<size_t> depth(count, 0);
  int selectors = 0;
  for (size_t i = 0; i < count; ++i) {
    selectors += message->signals[i].selector ? 1 : 0;
    for (int up = message->signals[i].selected_by; up >= 0;
         up = message->signals[static_cast<size_t>(up)].selected_by) {
      if (++depth[i] > count) {
        problems_.Error(message->signals[i].line,
                        NameIn(*message, message->signals[i]) +
                            ": found selectors that select each other, expected a tree");
        return;
      }
    }
  }
  if (selectors > kMostSelectors) {
    Spoil(message, message->line,
          message->name + ": found " + std::to_string(selectors) + " selectors, expected at most " +
              std::to_string(kMostSelectors) + "; the message cannot be used");
  }
  message->order.resize(count);
  for (size_t i = 0; i < count; ++i) message->order[i] = static_cast<int>(i);
  std::stable_sort(message->order.begin(), message->order.end(), [&](int a, int b) {
    return depth[static_cast<size_t>(a)] < depth[static_cast<size_t>(b)];
  });
}

BitSet BitsOf(const Signal& signal) {
  BitSet bits;
  for (int k = 0; k < signal.length; ++k) {
    if (signal.big_endian) {
      const int i = 8 * (signal.start / 8) + 7 - signal.start % 8 + k;
      bits.set(static_cast<size_t>(8 * (i / 8) + 7 - i % 8));
    } else {
      bits.set(static_cast<size_t>(signal.start + k));
    }
  }
  return bits;
}

bool Disjoint(const std::vector<PageRange>& a, const std::vector<PageRange>& b) {
  for (const PageRange& x : a) {
    for (const PageRange& y : b) {
      if (x.first <= y.last && y.first <= x.last) return false;
    }
  }
  return true;
}

// Whether some selector keeps the two from ever being there together.
bool NeverTogether(const Message& message, const Signal& a, const Signal& b) {
  for (const Signal* x = &a; x->selected_by >= 0;
       x = &message.signals[static_cast<size_t>(x->selected_by)]) {
    for (const Signal* y = &b; y->selected_by >= 0;
         y = &message.signals[static_cast<size_t>(y->selected_by)]) {
      if (x->selected_by == y->selected_by && Disjoint(x->pages, y->pages)) return true;
    }
  }
  return false;
}

void Joiner::FindOverlaps(Message* message) {
  if (message->order.size() != message->signals.size()) return;  // selectors in a circle
  std::vector<BitSet> bits;
  for (const Signal& signal : message->signals) bits.push_back(BitsOf(signal));
  for (size_t b = 1; b < bits.size(); ++b) {
    for (size_t a = 0; a < b; ++a) {
      if ((bits[a] & bits[b]).none()) continue;
      if (NeverTogether(*message, message->signals[a], message->signals[b])) continue;
      Spoil(message, message->signals[b].line,
            NameIn(*message, message->signals[b]) + ": found bits that " +
                message->signals[a].name + " (line " + std::to_string(message->signals[a].line) +
                ") has too, expected bits of its own; the message cannot be used");
      return;
    }
  }
}

Database Joiner::Run() {
  Database database;
  database.file = problems_.file;
  database.version = text_.version;
  database.nodes = std::move(text_.nodes);
  if (const auto found = text_.of_file.find("Baudrate"); found != text_.of_file.end()) {
    database.bitrate = static_cast<uint32_t>(
        std::clamp<int64_t>(WholeNumber(found->second).value_or(0), 0, 100'000'000));
  }
  const auto default_of = [&](std::string_view name) {
    const auto found = text_.definitions.find(name);
    return found == text_.definitions.end() ? std::string() : found->second.default_text;
  };
  const std::string cycle_default = default_of("GenMsgCycleTime");
  const std::string send_default = default_of("GenMsgSendType");
  std::set<std::string> names;
  for (MessageText& source : text_.messages) {
    if (source.message.name == kUnusedSignals || source.dbc_id == kUnusedSignalsId) continue;
    Message message = source.message;
    const Key key{source.dbc_id, ""};
    if (!CheckId({source, message})) continue;
    JoinSignals({source, message});
    if (const auto found = text_.comments.find(key); found != text_.comments.end()) {
      message.comment = found->second;
    }
    if (const auto found = text_.more_senders.find(source.dbc_id);
        found != text_.more_senders.end()) {
      for (std::string& sender : found->second) {
        if (std::find(message.senders.begin(), message.senders.end(), sender) ==
            message.senders.end()) {
          message.senders.push_back(std::move(sender));
        }
      }
    }
    const std::string* cycle = Attribute(key, "GenMsgCycleTime");
    const int64_t ms = WholeNumber(cycle != nullptr ? *cycle : cycle_default).value_or(0);
    message.cycle = std::chrono::milliseconds(std::clamp<int64_t>(ms, 0, 86'400'000));
    const std::string* send = Attribute(key, "GenMsgSendType");
    message.send_type = send != nullptr ? *send : send_default;
    const std::string* name = Attribute(key, "SystemMessageLongSymbol");
    if (name != nullptr && !name->empty()) message.name = *name;
    if (!names.insert(message.name).second) {
      Spoil(&message, message.line,
            message.name +
                ": found the name of a message above, expected one of its own; the "
                "message cannot be used");
    }
    database.by_id[message.id | (message.extended ? uint64_t{1} << 32 : 0)] =
        static_cast<int>(database.messages.size());
    database.messages.push_back(std::move(message));
  }
  return database;
}

}  // namespace

Database Join(FileText text, Problems* problems) { return Joiner(std::move(text), problems).Run(); }

absl::StatusOr<Database> Parse(std::string_view text, std::string file) {
  Problems problems{.file = std::move(file)};
  const absl::StatusOr<std::vector<Token>> tokens = Tokenize(text, problems.file);
  Database database;
  if (!tokens.ok()) {
    problems.errors.emplace_back(tokens.status().message());
  } else {
    FileText statements = ReadStatements(*tokens, &problems);
    if (problems.errors.empty()) database = Join(std::move(statements), &problems);
  }
  if (!problems.errors.empty()) {
    std::string all;
    for (size_t i = 0; i < problems.errors.size() && i < kMostErrors; ++i) {
      all += (i > 0 ? "\n" : "") + problems.errors[i];
    }
    if (problems.errors.size() > kMostErrors) {
      all += "\nand " + std::to_string(problems.errors.size() - kMostErrors) + " more";
    }
    return MakeError(absl::StatusCode::kInvalidArgument, "DBC_INVALID", all,
                     {{"file", problems.file}, {"errors", std::to_string(problems.errors.size())}});
  }
  database.warnings = std::move(problems.warnings);
  return database;
}

}  // namespace canhub::dbc
