#include "drivers/api/can_frame.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstdio>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr uint32_t kMaxStandardId = 0x7FF;
constexpr uint32_t kMaxExtendedId = 0x1FFFFFFF;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

absl::Status BadText(std::string_view text, size_t position, const std::string& expected) {
  const std::string found =
      position < text.size() ? "'" + std::string(1, text[position]) + "'" : "the end of the text";
  return MakeError(absl::StatusCode::kInvalidArgument, "FRAME_TEXT",
                   "\"" + std::string(text) + "\", position " + std::to_string(position + 1) +
                       ": found " + found + ", expected " + expected,
                   {{"text", std::string(text)},
                    {"position", std::to_string(position + 1)},
                    {"found", found},
                    {"expected", expected}});
}

// Counts bits as they go over the wire, from start of frame to the end of the CRC sequence: a run
// of five equal bits is followed by one stuff bit, which itself begins a new run.
class BitStuffer {
 public:
  void Add(uint32_t value, int bits) {
    for (int i = bits - 1; i >= 0; --i) AddBit((value >> i) & 1);
  }
  uint16_t crc() const { return crc_; }
  void AddCrc() {
    const uint16_t crc = crc_;
    Add(crc, 15);
  }
  int count() const { return count_; }

 private:
  void AddBit(uint32_t bit) {
    // CRC-15/CAN: x15 + x14 + x10 + x8 + x7 + x4 + x3 + 1.
    const bool carry = ((crc_ >> 14) & 1) != bit;
    crc_ = static_cast<uint16_t>((crc_ << 1) & 0x7FFF);
    if (carry) crc_ ^= 0x4599;
    ++count_;
    if (static_cast<int>(bit) == last_) {
      ++run_;
    } else {
      last_ = static_cast<int>(bit);
      run_ = 1;
    }
    if (run_ == 5) {
      ++count_;
      last_ = 1 - last_;
      run_ = 1;
    }
  }
  int count_ = 0, last_ = -1, run_ = 0;
  uint16_t crc_ = 0;
};

// CRC delimiter, acknowledge slot and delimiter, 7 bits end of frame, 3 bits interframe space.
constexpr int kUnstuffedTail = 1 + 1 + 1 + 7 + 3;

}  // namespace

CanFrame MakeFrame(uint32_t id, std::span<const uint8_t> payload) {
  assert(payload.size() <= 8 && id <= kMaxStandardId);
  CanFrame frame;
  frame.id = id;
  frame.dlc = static_cast<uint8_t>(payload.size());
  std::copy(payload.begin(), payload.end(), frame.data.begin());
  return frame;
}

CanFrame MakeFrame(uint32_t id, std::initializer_list<uint8_t> payload) {
  return MakeFrame(id, std::span<const uint8_t>(payload.begin(), payload.size()));
}

std::string FormatFrame(const CanFrame& frame) {
  char text[48];
  int n = std::snprintf(text, sizeof text, frame.extended ? "%08X#" : "%03X#", frame.id);
  if (frame.remote) {
    n += std::snprintf(text + n, sizeof text - n, frame.dlc > 0 ? "R%d" : "R", frame.dlc);
  } else {
    for (int i = 0; i < frame.dlc; ++i) {
      n += std::snprintf(text + n, sizeof text - n, "%02X", frame.data[i]);
    }
  }
  return std::string(text, static_cast<size_t>(n));
}

absl::StatusOr<CanFrame> ParseFrame(std::string_view text) {
  CanFrame frame;
  const size_t hash = text.find('#');
  if (hash == std::string_view::npos) {
    return BadText(text, text.size(), "an identifier of 3 or 8 hexadecimal digits and '#'");
  }
  for (size_t i = 0; i < hash; ++i) {
    const int digit = HexDigit(text[i]);
    if (digit < 0) return BadText(text, i, "a hexadecimal digit of the identifier");
    if (i >= 8) break;
    frame.id = frame.id << 4 | static_cast<uint32_t>(digit);
  }
  if (hash != 3 && hash != 8) {
    return BadText(text, hash, "'#' after 3 (11-bit) or 8 (29-bit) hexadecimal digits");
  }
  frame.extended = hash == 8;
  if (frame.id > (frame.extended ? kMaxExtendedId : kMaxStandardId)) {
    return BadText(
        text, 0,
        frame.extended ? "an identifier of at most 1FFFFFFF" : "an identifier of at most 7FF");
  }
  size_t i = hash + 1;
  if (i < text.size() && (text[i] == 'R' || text[i] == 'r')) {
    frame.remote = true;
    ++i;
    if (i < text.size()) {
      if (text[i] < '0' || text[i] > '8') return BadText(text, i, "a length of 0 to 8");
      frame.dlc = static_cast<uint8_t>(text[i] - '0');
      ++i;
    }
    if (i != text.size()) return BadText(text, i, "the end of a remote frame");
    return frame;
  }
  while (i < text.size()) {
    if (text[i] == '.' && frame.dlc > 0 && i + 1 < text.size()) {
      ++i;
      continue;
    }
    if (frame.dlc == 8) return BadText(text, i, "the end: a frame has at most 8 bytes");
    const int high = HexDigit(text[i]);
    if (high < 0) return BadText(text, i, "a hexadecimal digit");
    const int low = i + 1 < text.size() ? HexDigit(text[i + 1]) : -1;
    if (low < 0) return BadText(text, i + 1, "a second hexadecimal digit of the byte");
    frame.data[frame.dlc++] = static_cast<uint8_t>(high << 4 | low);
    i += 2;
  }
  return frame;
}

std::string FormatCandumpLine(WallTime time, std::string_view interface, const CanFrame& frame) {
  const int64_t us = std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch()).count();
  char stamp[40];
  const int n =
      std::snprintf(stamp, sizeof stamp, "(%010lld.%06lld) ", static_cast<long long>(us / 1000000),
                    static_cast<long long>(us % 1000000));
  return std::string(stamp, static_cast<size_t>(n)) + std::string(interface) + " " +
         FormatFrame(frame);
}

absl::StatusOr<CandumpLine> ParseCandumpLine(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) {
    line.remove_suffix(1);
  }
  CandumpLine result;
  if (line.empty() || line[0] != '(') return BadText(line, 0, "'(' before the time");
  const char* const begin = line.data();
  const char* const end = begin + line.size();
  const auto at = [&](const char* p) { return static_cast<size_t>(p - begin); };
  // Nanoseconds reach to the year 2262.
  uint64_t seconds = 0;
  auto [p, error] = std::from_chars(begin + 1, end, seconds);
  if (error != std::errc() || p == begin + 1 || seconds > 9'223'372'035u) {
    return BadText(line, 1, "seconds since 1970");
  }
  if (p == end || *p != '.') return BadText(line, at(p), "'.' after the seconds");
  ++p;
  int64_t nanoseconds = 0;
  int digits = 0;
  for (; p != end && *p >= '0' && *p <= '9' && digits < 9; ++p, ++digits) {
    nanoseconds = nanoseconds * 10 + (*p - '0');
  }
  if (digits == 0) return BadText(line, at(p), "a fraction of the second");
  for (int i = digits; i < 9; ++i) nanoseconds *= 10;
  if (p == end || *p != ')') return BadText(line, at(p), "')' after the time");
  ++p;
  if (p == end || *p != ' ') return BadText(line, at(p), "a blank");
  ++p;
  const char* const name = p;
  while (p != end && *p != ' ') ++p;
  if (p == name || p == end) return BadText(line, at(p), "an interface and a blank");
  result.interface.assign(name, p);
  ++p;
  std::string_view frame_text(p, static_cast<size_t>(end - p));
  // "candump -l -x" and newer versions add the direction.
  if (frame_text.ends_with(" R") || frame_text.ends_with(" T")) frame_text.remove_suffix(2);
  absl::StatusOr<CanFrame> frame = ParseFrame(frame_text);
  if (!frame.ok()) return frame.status();
  result.frame = *frame;
  result.time = WallTime(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds));
  return result;
}

int WireBits(const CanFrame& frame) {
  BitStuffer bits;
  bits.Add(0, 1);  // start of frame
  if (frame.extended) {
    bits.Add(frame.id >> 18, 11);
    bits.Add(0b11, 2);  // SRR, IDE
    bits.Add(frame.id & 0x3FFFF, 18);
    bits.Add(frame.remote ? 1 : 0, 1);
    bits.Add(0, 2);  // r1, r0
  } else {
    bits.Add(frame.id, 11);
    bits.Add(frame.remote ? 1 : 0, 1);
    bits.Add(0, 2);  // IDE, r0
  }
  bits.Add(frame.dlc, 4);
  for (const uint8_t byte : frame.payload()) bits.Add(byte, 8);
  bits.AddCrc();
  return bits.count() + kUnstuffedTail;
}

}  // namespace canhub
