#include "drivers/formats/dbc.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/mutex.h"

namespace canhub::dbc {
namespace {

double FromHalf(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int mantissa = half & 1023;
  double value = 0;
  if (exponent == 31) {
    value = mantissa == 0 ? HUGE_VAL : std::nan("");
  } else if (exponent == 0) {
    value = std::ldexp(mantissa, -24);
  } else {
    value = std::ldexp(1024 + mantissa, exponent - 25);
  }
  return (half & 0x8000) != 0 ? -value : value;
}

// Halves to even; infinity above the largest.
uint16_t ToHalf(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::abs(value);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7E00);
  if (magnitude < std::ldexp(1, -14)) {
    return static_cast<uint16_t>(sign |
                                 static_cast<int>(std::nearbyint(std::ldexp(magnitude, 24))));
  }
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  if (std::isinf(value) || exponent > 17) return static_cast<uint16_t>(sign | 0x7C00);
  // The carry of the mantissa runs into the exponent, as it must.
  const int mantissa = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 11 - exponent)));
  const int half = ((exponent + 14) << 10) + mantissa - 1024;
  return static_cast<uint16_t>(sign | std::min(half, 0x7C00));
}

double FloatOf(const Signal& signal, Bits bits) {
  switch (signal.length) {
    case 16:
      return FromHalf(static_cast<uint16_t>(bits));
    case 32:
      return std::bit_cast<float>(static_cast<uint32_t>(bits));
    default:
      return std::bit_cast<double>(bits);
  }
}

Bits MaskOf(int length) { return length == 64 ? ~Bits{0} : (Bits{1} << length) - 1; }

Bits Extend(const Signal& signal, Bits bits) {
  if (!signal.is_signed || signal.is_float || signal.length == 64) return bits;
  const Bits sign = Bits{1} << (signal.length - 1);
  return (bits ^ sign) - sign;
}

std::string Text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

absl::Status OutOfRange(const std::string& text) { return absl::OutOfRangeError(text); }

uint64_t KeyOf(uint32_t id, bool extended) { return id | (extended ? uint64_t{1} << 32 : 0); }

}  // namespace

const std::string* Signal::NameOf(Bits bits) const {
  if (names.empty()) return nullptr;
  const auto value = static_cast<int64_t>(bits);
  if (!is_signed && value < 0) return nullptr;
  const auto found =
      std::lower_bound(names.begin(), names.end(), value,
                       [](const ValueName& name, int64_t wanted) { return name.value < wanted; });
  return found != names.end() && found->value == value ? &found->name : nullptr;
}

double Signal::Physical(Bits bits) const {
  const double raw = is_float    ? FloatOf(*this, bits)
                     : is_signed ? static_cast<double>(static_cast<int64_t>(bits))
                                 : static_cast<double>(bits);
  return raw * factor + offset;
}

std::optional<int64_t> Signal::PhysicalInteger(Bits bits) const {
  if (!integral) return std::nullopt;
  const __int128 raw =
      is_signed ? static_cast<__int128>(static_cast<int64_t>(bits)) : static_cast<__int128>(bits);
  const __int128 value = raw * static_cast<int64_t>(factor) + static_cast<int64_t>(offset);
  if (value < INT64_MIN || value > INT64_MAX) return std::nullopt;
  return static_cast<int64_t>(value);
}

absl::StatusOr<Bits> Signal::FromRaw(int64_t raw) const {
  if (is_float) return OutOfRange("a float has no whole raw value");
  if (is_signed ? length < 64 &&
                      (raw < -(int64_t{1} << (length - 1)) || raw >= int64_t{1} << (length - 1))
                : raw < 0 || (length < 64 && static_cast<Bits>(raw) > MaskOf(length))) {
    return OutOfRange("the raw value " + std::to_string(raw) + " does not fit into " +
                      std::to_string(length) + (is_signed ? " signed bits" : " bits"));
  }
  return static_cast<Bits>(raw);
}

std::optional<std::pair<double, double>> Signal::PhysicalRange() const {
  if (is_float) return std::nullopt;
  const double steps = std::ldexp(1.0, length);
  const double low = (is_signed ? -steps / 2 : 0) * factor + offset;
  const double high = (is_signed ? steps / 2 - 1 : steps - 1) * factor + offset;
  return std::minmax({low, high});
}

absl::StatusOr<Bits> Signal::FromPhysical(double physical) const {
  if (!std::isfinite(physical)) return OutOfRange("found a value that is not finite");
  if (is_float) {
    const double value = (physical - offset) / factor;
    Bits bits = length == 16   ? Bits{ToHalf(value)}
                : length == 32 ? Bits{std::bit_cast<uint32_t>(static_cast<float>(value))}
                               : std::bit_cast<Bits>(value);
    if (!std::isfinite(FloatOf(*this, bits))) {
      return OutOfRange(Text(physical) + " does not fit into a float of " + std::to_string(length) +
                        " bits");
    }
    return bits;
  }
  const double exact = (physical - offset) / factor;
  const double rounded = std::nearbyint(exact);  // halves to even
  const double most = std::ldexp(1, is_signed ? length - 1 : length);
  if (!(rounded < most) || !(rounded >= (is_signed ? -most : 0))) {
    return OutOfRange(Text(physical) + " does not fit into " + std::to_string(length) +
                      (is_signed ? " signed bits" : " bits"));
  }
  Bits bits =
      rounded < 0 ? static_cast<Bits>(static_cast<int64_t>(rounded)) : static_cast<Bits>(rounded);
  if (NameOf(bits) != nullptr) return bits;
  const double tolerance = std::abs(factor) * 1e-6;
  if (minimum && physical < *minimum - tolerance) {
    return OutOfRange(Text(physical) + " is below the minimum of " + Text(*minimum));
  }
  if (maximum && physical > *maximum + tolerance) {
    return OutOfRange(Text(physical) + " is above the maximum of " + Text(*maximum));
  }
  return bits;
}

Payload::Payload(std::span<const uint8_t> data) : data_(data) {
  const size_t bytes = std::min<size_t>(data.size(), 8);
  for (size_t i = 0; i < bytes; ++i) {
    little_ |= uint64_t{data[i]} << (8 * i);
    big_ |= uint64_t{data[i]} << (56 - 8 * i);
  }
}

Bits Payload::Get(const Signal& signal) const {
  if (signal.wide) return ExtractBits(signal, data_);
  const uint64_t word = signal.big_endian ? big_ : little_;
  return Extend(signal, word >> signal.shift & MaskOf(signal.length));
}

Bits ExtractBits(const Signal& signal, std::span<const uint8_t> data) {
  Bits bits = 0;
  if (signal.big_endian) {
    const int first = 8 * (signal.start / 8) + 7 - signal.start % 8;
    for (int i = first; i < first + signal.length; ++i) {
      bits = bits << 1 | (data[static_cast<size_t>(i / 8)] >> (7 - i % 8) & 1);
    }
  } else {
    for (int k = signal.length - 1; k >= 0; --k) {
      const int bit = signal.start + k;
      bits = bits << 1 | (data[static_cast<size_t>(bit / 8)] >> (bit % 8) & 1);
    }
  }
  return Extend(signal, bits);
}

void InsertBits(const Signal& signal, Bits bits, std::span<uint8_t> data) {
  const auto put = [&](int byte, int bit, bool on) {
    uint8_t& place = data[static_cast<size_t>(byte)];
    place = static_cast<uint8_t>(on ? place | 1 << bit : place & ~(1 << bit));
  };
  for (int k = 0; k < signal.length; ++k) {
    const bool on = (bits >> k & 1) != 0;
    if (signal.big_endian) {
      const int i = 8 * (signal.start / 8) + 7 - signal.start % 8 + signal.length - 1 - k;
      put(i / 8, 7 - i % 8, on);
    } else {
      put((signal.start + k) / 8, (signal.start + k) % 8, on);
    }
  }
}

int Message::FindSignal(std::string_view wanted) const {
  for (size_t i = 0; i < signals.size(); ++i) {
    if (signals[i].name == wanted) return static_cast<int>(i);
  }
  return -1;
}

const Message* Database::Find(uint32_t id, bool extended) const {
  const auto found = by_id.find(KeyOf(id, extended));
  return found == by_id.end() ? nullptr : &messages[static_cast<size_t>(found->second)];
}

const Message* Database::Find(std::string_view name) const {
  for (const Message& message : messages) {
    if (message.name == name) return &message;
  }
  return nullptr;
}

absl::StatusOr<std::shared_ptr<const Database>> Load(std::string_view text, std::string file) {
  static Mutex* const mutex = new Mutex;  // lives to the end
  static auto* const loaded =
      new std::map<std::pair<std::string, std::string>, std::weak_ptr<const Database>>;
  std::pair<std::string, std::string> key(file, text);
  {
    const MutexLock lock(mutex);
    const auto found = loaded->find(key);
    if (found != loaded->end()) {
      if (auto database = found->second.lock()) return database;
    }
  }
  absl::StatusOr<Database> parsed = Parse(text, std::move(file));
  if (!parsed.ok()) return parsed.status();
  auto database = std::make_shared<const Database>(*std::move(parsed));
  const MutexLock lock(mutex);
  std::erase_if(*loaded, [](const auto& entry) { return entry.second.expired(); });
  (*loaded)[std::move(key)] = database;
  return database;
}

std::vector<std::string_view> SplitList(std::string_view list) {
  std::vector<std::string_view> pieces;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view piece = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (!piece.empty() && piece.front() == ' ') piece.remove_prefix(1);
    while (!piece.empty() && piece.back() == ' ') piece.remove_suffix(1);
    if (!piece.empty()) pieces.push_back(piece);
  }
  return pieces;
}

namespace {

// '*' is the only special character; each of them is tried greedily from the left.
bool MatchesPattern(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool MatchesAny(std::string_view patterns, std::string_view name) {
  for (const std::string_view pattern : SplitList(patterns)) {
    if (MatchesPattern(pattern, name)) return true;
  }
  return false;
}

}  // namespace canhub::dbc
