#include "daemon/core/item_pattern.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "daemon/core/closest_names.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

// Longer than any name a driver has; bounds what a request can cost.
constexpr size_t kMaxPatternLength = 256;

bool IsNameLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// As it can be shown in an error: a letter, or the byte's number.
std::string Show(char c) {
  if (c > ' ' && c <= '~') return std::string("'") + c + "'";
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  return std::string("byte 0x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

absl::Status Malformed(std::string_view pattern, size_t position, const std::string& found,
                       const std::string& expected) {
  const std::string at = std::to_string(position + 1);
  // What is shown is bounded, and text that is no text is not repeated.
  std::string shown;
  for (const char c : pattern.substr(0, kMaxPatternLength)) {
    shown += c >= ' ' && c <= '~' ? c : '?';
  }
  return MakeError(
      absl::StatusCode::kInvalidArgument, "MALFORMED_PATTERN",
      "pattern \"" + shown + "\", position " + at + ": found " + found + ", expected " + expected,
      {{"pattern", shown}, {"position", at}, {"found", found}});
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

absl::StatusOr<ItemPattern::Pieces> ItemPattern::ParsePieces(std::string_view whole, size_t from,
                                                             size_t to) {
  Pieces pieces;
  size_t at = from;
  const auto found = [&](size_t i) -> std::string {
    return i < to ? Show(whole[i]) : i < whole.size() ? Show(whole[i]) : "the end";
  };
  const auto number = [&]() -> absl::StatusOr<uint32_t> {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(whole.data() + at, whole.data() + to, value);
    if (error == std::errc::result_out_of_range) {
      return Malformed(whole, at, "a number beyond 32 bits", "a channel or block number");
    }
    if (error != std::errc()) return Malformed(whole, at, found(at), "a number");
    at = static_cast<size_t>(end - whole.data());
    return value;
  };

  while (at < to) {
    const char c = whole[at];
    if (c == '*') {
      if (pieces.empty() || pieces.back().kind != Piece::Kind::kAny) {
        pieces.push_back({.kind = Piece::Kind::kAny});
      }
      ++at;
    } else if (c == '[') {
      Piece piece{.kind = Piece::Kind::kNumbers};
      do {
        ++at;  // the '[' or ','
        const absl::StatusOr<uint32_t> first = number();
        if (!first.ok()) return first.status();
        uint32_t last = *first;
        if (at < to && whole[at] == '-') {
          const size_t start = ++at;
          const absl::StatusOr<uint32_t> end = number();
          if (!end.ok()) return end.status();
          last = *end;
          if (last < *first) {
            return Malformed(whole, start, std::to_string(last),
                             "at least " + std::to_string(*first) + ", the start of the range");
          }
        }
        piece.numbers.emplace_back(*first, last);
      } while (at < to && whole[at] == ',');
      if (at >= to || whole[at] != ']') {
        return Malformed(whole, at, found(at), "',', '-' or ']'");
      }
      ++at;
      pieces.push_back(std::move(piece));
    } else if (IsNameLetter(c)) {
      if (pieces.empty() || pieces.back().kind != Piece::Kind::kLetters) pieces.emplace_back();
      pieces.back().letters.push_back(c);
      ++at;
    } else {
      return Malformed(whole, at, found(at), "a letter, a digit, '_', '-', '.', '*' or '['");
    }
  }
  return pieces;
}

absl::StatusOr<ItemPattern> ItemPattern::Parse(std::string_view text) {
  if (text.size() > kMaxPatternLength) {
    return Malformed(text, kMaxPatternLength, std::to_string(text.size()) + " characters",
                     "at most " + std::to_string(kMaxPatternLength));
  }
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return Malformed(text, text.size(), "the end",
                     "'/' and an item, as in \"hv0/ch3.voltage_measure\" or \"hv0/*\"");
  }
  if (slash == 0) return Malformed(text, 0, "'/'", "a device id before it");
  if (slash + 1 == text.size()) return Malformed(text, text.size(), "the end", "an item's name");

  absl::StatusOr<Pieces> device = ParsePieces(text, 0, slash);
  if (!device.ok()) return device.status();
  absl::StatusOr<Pieces> item = ParsePieces(text, slash + 1, text.size());
  if (!item.ok()) return item.status();

  const auto plain = [](const Pieces& pieces) {
    return pieces.size() == 1 && pieces[0].kind == Piece::Kind::kLetters;
  };
  ItemPattern pattern;
  pattern.text_ = std::string(text);
  pattern.device_ = std::string(text.substr(0, slash));
  pattern.item_ = std::string(text.substr(slash + 1));
  pattern.exact_device_ = plain(*device);
  pattern.exact_item_ = plain(*item);
  pattern.exact_ = pattern.exact_device_ && pattern.exact_item_;
  pattern.device_pieces_ = std::move(*device);
  pattern.item_pieces_ = std::move(*item);
  return pattern;
}

bool ItemPattern::Piece::HasNumber(uint32_t number) const {
  return std::any_of(numbers.begin(), numbers.end(), [number](const auto& range) {
    return number >= range.first && number <= range.second;
  });
}

// Greedy with one point of return: every other piece has a fixed length at a place (a number takes
// all its digits), so that only the last "*" ever has to give way. Time: length x pieces at worst.
bool ItemPattern::Matches(const Pieces& pieces, std::string_view name) {
  size_t piece = 0, at = 0;
  std::optional<std::pair<size_t, size_t>> retry;  // the piece after the last "*"; its next place
  while (true) {
    bool fits = false;
    if (piece == pieces.size()) {
      if (at == name.size()) return true;
    } else {
      const Piece& p = pieces[piece];
      switch (p.kind) {
        case Piece::Kind::kAny:
          retry = {piece + 1, at};
          ++piece;
          continue;
        case Piece::Kind::kLetters:
          fits = name.substr(at).starts_with(p.letters);
          if (fits) at += p.letters.size();
          break;
        case Piece::Kind::kNumbers: {
          // Not within a number: "[3]" is no match for the end of "13".
          if (at > 0 && IsDigit(name[at - 1])) break;
          uint32_t value = 0;
          const auto [end, error] =
              std::from_chars(name.data() + at, name.data() + name.size(), value);
          if (error != std::errc()) break;
          fits = p.HasNumber(value);
          if (fits) at = static_cast<size_t>(end - name.data());
          break;
        }
      }
      if (fits) {
        ++piece;
        continue;
      }
    }
    if (!retry || retry->second >= name.size()) return false;
    piece = retry->first;
    at = ++retry->second;
  }
}

bool ItemPattern::MatchesDevice(std::string_view device_id) const {
  return exact_device_ ? device_ == device_id : Matches(device_pieces_, device_id);
}

std::vector<DeviceIndex> ItemPattern::MatchDevices(const StateCache& cache) const {
  std::vector<DeviceIndex> devices;
  if (exact_device_) {
    if (const std::optional<DeviceIndex> device = cache.FindDevice(device_)) {
      devices.push_back(*device);
    }
    return devices;
  }
  for (DeviceIndex device = 0; device < cache.size(); ++device) {
    if (Matches(device_pieces_, cache.DeviceId(device))) devices.push_back(device);
  }
  return devices;
}

std::vector<ItemId> ItemPattern::Match(const ItemTable& table) const {
  std::vector<ItemId> items;
  if (exact_item_) {
    if (const std::optional<ItemId> id = table.Find(item_)) items.push_back(*id);
    return items;
  }
  // A table has hundreds of names, made of few parts. Letters at either end of the pattern rule out
  // most parts before a name is put together.
  const auto letters = [](const Piece& piece) {
    return piece.kind == Piece::Kind::kLetters ? std::string_view(piece.letters)
                                               : std::string_view();
  };
  const std::string_view head = letters(item_pieces_.front()), tail = letters(item_pieces_.back());
  const auto can_begin = [&](std::string_view part) {
    return part.starts_with(head) || head.starts_with(part);
  };
  // For most parts the last letter decides.
  const auto can_end = [&](std::string_view part) {
    if (part.empty() || tail.empty()) return true;
    return part.back() == tail.back() && (part.ends_with(tail) || tail.ends_with(part));
  };
  // "ch*.on" and "ch[0-3].on", the usual ones, need no name put together: after the block's prefix
  // and a number the rest of the pattern has to be what the names of the block are without them.
  const Piece* between =
      item_pieces_.size() == 3 && !head.empty() && !IsDigit(head.back()) && tail.starts_with('.')
          ? &item_pieces_[1]
          : nullptr;
  const bool any = between != nullptr && between->kind == Piece::Kind::kAny;
  const bool numbers = between != nullptr && between->kind == Piece::Kind::kNumbers;
  struct Candidate {
    int spec;
    std::string_view last;  // its name or alias
    bool every;             // matches, whichever instance
  };
  std::string name, prefix;
  std::vector<Candidate> candidates;
  for (int b = 0; b < static_cast<int>(table.blocks().size()); ++b) {
    const ItemBlock& block = table.blocks()[static_cast<size_t>(b)];
    const bool some = numbers && block.prefix == head;  // instances
    candidates.clear();
    for (const ItemTable::Named& named : table.NamesOf(b)) {
      if (some ? named.name != tail.substr(1) : !can_end(named.name)) continue;
      const bool every = any && block.prefix.starts_with(head) && named.name == tail.substr(1);
      candidates.push_back({named.spec, named.name, some || every});
    }
    if (candidates.empty()) continue;
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& x, const Candidate& y) { return x.spec < y.spec; });
    const bool every = std::all_of(candidates.begin(), candidates.end(),
                                   [](const Candidate& c) { return c.every; });
    for (int instance = 0; instance < block.count; ++instance) {
      if (some && !between->HasNumber(static_cast<uint32_t>(block.first + instance))) continue;
      prefix.clear();
      if (!every && !block.prefix.empty()) {
        prefix.append(block.prefix).append(std::to_string(block.first + instance)).append(".");
        if (!can_begin(prefix)) continue;
      }
      for (const Candidate& c : candidates) {
        const ItemId id = table.Id(b, instance, c.spec);
        if (!items.empty() && items.back() == id) continue;  // by its name already
        if (c.every || Matches(item_pieces_, name.assign(prefix).append(c.last))) {
          items.push_back(id);
        }
      }
    }
  }
  return items;
}

absl::Status NoSuchDevice(const StateCache& cache, const std::string& device_id) {
  std::vector<std::string> ids;
  for (DeviceIndex i = 0; i < cache.size(); ++i) ids.push_back(cache.DeviceId(i));
  std::string hint = DidYouMean(device_id, ids);
  if (hint.empty()) {
    hint = ids.empty() ? "; there are none" : "; there are: ";
    constexpr size_t kMaxListed = 10;
    for (size_t i = 0; i < ids.size() && i < kMaxListed; ++i) {
      hint += (i > 0 ? ", " : "") + ids[i];
    }
    if (ids.size() > kMaxListed) hint += ", …";
  }
  return MakeError(absl::StatusCode::kNotFound, "DEVICE_UNKNOWN",
                   "no device \"" + device_id + "\"" + hint, {{"device_id", device_id}});
}

absl::Status NoSuchItem(const StateCache& cache, const ItemPattern& pattern) {
  const std::optional<DeviceIndex> device = cache.FindDevice(pattern.device());
  if (!device) return NoSuchDevice(cache, pattern.device());
  const std::shared_ptr<const DeviceSnapshot> snapshot = cache.Snapshot(*device);
  const ItemTable& table = snapshot->items();
  std::string hint;
  if (table.size() == 0) {
    hint = "; it has none yet: " + std::string(ToString(snapshot->link()));
    if (!snapshot->link_text().empty()) hint += ", " + snapshot->link_text();
  } else {
    std::vector<std::string> names;
    names.reserve(table.size());
    for (ItemId i = 0; i < table.size(); ++i) names.push_back(table.Name(i));
    hint = DidYouMean(pattern.item(), names);
    if (hint.empty()) hint = "; ListItems names all " + std::to_string(table.size());
  }
  return MakeError(absl::StatusCode::kNotFound, "ITEM_UNKNOWN",
                   pattern.device() + " has no item \"" + pattern.item() + "\"" + hint,
                   {{"device_id", pattern.device()}, {"item", pattern.item()}});
}

absl::StatusOr<std::vector<ItemRef>> Resolve(const StateCache& cache,
                                             const std::vector<std::string>& patterns) {
  std::vector<ItemRef> refs;
  for (const std::string& text : patterns) {
    const absl::StatusOr<ItemPattern> pattern = ItemPattern::Parse(text);
    if (!pattern.ok()) return pattern.status();
    bool any = false;
    for (const DeviceIndex device : pattern->MatchDevices(cache)) {
      for (const ItemId item : pattern->Match(cache.Snapshot(device)->items())) {
        refs.push_back({device, item});
        any = true;
      }
    }
    if (!any && pattern->exact()) return NoSuchItem(cache, *pattern);
  }
  return refs;
}

}  // namespace canhub
