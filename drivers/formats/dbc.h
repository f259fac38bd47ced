// CAN databases (DBC): messages, signals, multiplexing, value names; decoding and encoding.
// Facts: battery safety facts, section 11. Immutable once loaded; all of it is thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/time.h"

namespace canhub::dbc {

// Inclusive; of a selector's raw values.
struct PageRange {
  int64_t first = 0;
  int64_t last = 0;
};

// Of a raw value.
struct ValueName {
  int64_t value = 0;
  std::string name;
};

// A signal's raw value: its bits, sign-extended to 64 when it is signed; the IEEE pattern when it
// is a float.
using Bits = uint64_t;

struct Signal {
  std::string name;
  std::string unit;  // UTF-8
  std::string comment;
  int line = 0;
  int start = 0;   // as the file has it: of the least (Intel) or most (Motorola) significant bit
  int length = 0;  // 1 … 64
  bool big_endian = false;
  bool is_signed = false;
  bool is_float = false;  // of 16, 32 or 64 bits
  double factor = 1;
  double offset = 0;
  std::optional<double> minimum, maximum;  // physical; [0|0] is none
  std::vector<std::string> receivers;      // without Vector__XXX
  std::vector<ValueName> names;            // by rising value
  bool selector = false;
  int selected_by = -1;          // index of its selector in Message::signals; -1: always there
  std::vector<PageRange> pages;  // of that selector
  std::optional<int64_t> start_value;  // GenSigStartValue, raw

  // Factor and offset are whole: physical values are whole numbers.
  bool integral = false;

  // Where it lies, made once: the fast way for what lies within eight bytes.
  uint8_t shift = 0;  // of the word that all eight bytes make in its order
  bool wide = false;  // beyond eight bytes
  uint8_t last_byte = 0;

  const std::string* NameOf(Bits bits) const;  // nullptr: none
  // raw * factor + offset in double, multiplied and then added; floats may give NaN or infinity.
  double Physical(Bits bits) const;
  // Exact; empty when it is not integral or does not fit.
  std::optional<int64_t> PhysicalInteger(Bits bits) const;
  // The nearest raw value, halves to even. OUT_OF_RANGE: outside [minimum|maximum] (with a
  // tolerance of a millionth of a step; not for values that have a name) or outside what the bits
  // can hold; the text names the bound, not the message.
  absl::StatusOr<Bits> FromPhysical(double physical) const;
  // The same from a whole raw value: OUT_OF_RANGE when the bits cannot hold it.
  absl::StatusOr<Bits> FromRaw(int64_t raw) const;
  // The lowest and the highest physical value that the bits can hold; nothing for floats.
  std::optional<std::pair<double, double>> PhysicalRange() const;
};

// The bytes of one frame, ready to be taken apart. Does not copy: `data` outlives it.
class Payload {
 public:
  explicit Payload(std::span<const uint8_t> data);
  bool Has(const Signal& signal) const { return signal.last_byte < data_.size(); }
  Bits Get(const Signal& signal) const;  // requires Has
  std::span<const uint8_t> data() const { return data_; }

 private:
  std::span<const uint8_t> data_;
  uint64_t little_ = 0, big_ = 0;
};
// By the extraction rule of section 11.2, bit by bit: the slow way, for any length.
Bits ExtractBits(const Signal& signal, std::span<const uint8_t> data);
// Requires that the signal lies within `data`.
void InsertBits(const Signal& signal, Bits bits, std::span<uint8_t> data);

struct Message {
  std::string name;
  std::string comment;
  std::vector<std::string> senders;  // without Vector__XXX
  int line = 0;
  uint32_t id = 0;
  bool extended = false;
  int length = 0;  // bytes, 0 … 64
  std::vector<Signal> signals;
  Duration cycle{};       // GenMsgCycleTime; 0: none given
  std::string send_type;  // GenMsgSendType; "" for none
  // Why it cannot be used (overlapping signals, a float of 24 bits), with line and name; "" for
  // fine. Whoever needs this very message refuses it with this.
  std::string problem;

  int FindSignal(std::string_view name) const;  // index; -1: none
  // Calls visit(index, bits) for every signal that is there: always, or on the page that its
  // selector shows; selectors before what they select. Returns the index of a selector that shows a
  // page nobody describes, -1 for none. Requires payload of at least `length` bytes.
  template <typename Visit>
  int ForEach(const Payload& payload, Visit visit) const;

  std::vector<int> order;  // of signals: selectors before what they select
};

struct Database {
  std::string file;  // as it was named
  std::string version;
  std::vector<std::string> nodes;
  std::vector<Message> messages;      // in the order of the file
  uint32_t bitrate = 0;               // attribute Baudrate; 0: none given
  std::vector<std::string> warnings;  // "file:line: name: …"

  const Message* Find(uint32_t id, bool extended) const;
  const Message* Find(std::string_view name) const;

  std::unordered_map<uint64_t, int> by_id;  // identifier, bit 32 for the extended form
};

// INVALID_ARGUMENT (reason DBC_INVALID): one line for each of the first twenty faults,
// "cells.dbc:41: BMU01_pdo1.CMA_Voltage: found start bit 60 and length 16 in 8 bytes, expected …".
absl::StatusOr<Database> Parse(std::string_view text, std::string file);

// The same, shared by all who load the same text under the same name at one time. Any thread.
absl::StatusOr<std::shared_ptr<const Database>> Load(std::string_view text, std::string file);

// Names as a list of patterns has them, "BMU*_pdo1, SYNC"; '*' stands for any letters.
bool MatchesAny(std::string_view patterns, std::string_view name);
// The pieces of a list separated by commas, without spaces around them or empty ones.
std::vector<std::string_view> SplitList(std::string_view list);

// ---------------------------------------------------------------- the template

template <typename Visit>
int Message::ForEach(const Payload& payload, Visit visit) const {
  int unknown = -1;
  // Of the selectors met so far: the page each shows; few messages have more than one.
  constexpr int kMost = 8;
  struct Shown {
    int selector;
    bool known;
    int64_t page;
  };
  Shown shown[kMost];
  int count = 0;
  for (const int index : order) {
    const Signal& signal = signals[static_cast<size_t>(index)];
    if (signal.selected_by >= 0) {
      int at = 0;
      while (at < count && shown[at].selector != signal.selected_by) ++at;
      if (at == count) continue;  // its selector is itself on another page
      bool here = false;
      for (const PageRange& range : signal.pages) {
        here |= range.first <= shown[at].page && shown[at].page <= range.last;
      }
      if (!here) continue;
      shown[at].known = true;
    }
    const Bits bits = payload.Get(signal);
    if (signal.selector && count < kMost) {
      const auto page = static_cast<int64_t>(bits);
      shown[count++] = {index, signal.NameOf(bits) != nullptr, page};
    }
    visit(index, bits);
  }
  for (int at = count - 1; at >= 0; --at) {
    if (!shown[at].known) unknown = shown[at].selector;
  }
  return unknown;
}

}  // namespace canhub::dbc
