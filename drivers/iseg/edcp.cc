#include "drivers/iseg/edcp.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "drivers/api/errors.h"
#include "drivers/iseg/registers.h"

namespace canhub::iseg {
namespace {

constexpr uint32_t kAddressMask = 0x1F8;
constexpr uint32_t kStandardMask = 0x7FF;
constexpr uint32_t kConfigurationBit = 0x800;  // of the 29-bit form; 0 in all traffic
constexpr std::array<uint8_t, 2> kFactoryResetKey = {0x15, 0xE6};
constexpr uint32_t kSetValuesResetOffset = 0x01000000;

std::string Hex(uint32_t v, int digits) {
  std::string s;
  for (int i = digits - 1; i >= 0; --i) s += "0123456789ABCDEF"[(v >> (4 * i)) & 0xF];
  return "0x" + s;
}

absl::Status WrongLength(std::string_view what, size_t found, std::string_view expected,
                         bool too_short) {
  return BadFrame(too_short ? "short_frame" : "long_frame",
                  std::string(what) + ": found " + std::to_string(found) + " bytes, expected " +
                      std::string(expected));
}

CanFrame FrameTo(uint32_t id, std::span<const uint8_t> payload) {
  CanFrame frame = MakeFrame(id & kStandardMask, payload);
  frame.id = id;
  frame.extended = id > kStandardMask;
  return frame;
}

// Collects up to 8 bytes.
class PayloadBuilder {
 public:
  PayloadBuilder& Byte(uint8_t b) {
    data_[size_++] = b;
    return *this;
  }
  PayloadBuilder& Word(uint16_t w) { return Byte(w >> 8).Byte(w & 0xFF); }
  PayloadBuilder& Bytes(std::span<const uint8_t> bytes) {
    for (const uint8_t b : bytes) Byte(b);
    return *this;
  }
  std::span<const uint8_t> view() const { return {data_.data(), size_}; }

 private:
  std::array<uint8_t, 8> data_{};
  size_t size_ = 0;
};

void PutUnsigned(WireBytes* bytes, uint32_t value, int length) {
  for (int i = length - 1; i >= 0; --i) {
    bytes->data[bytes->size++] = static_cast<uint8_t>(value >> (8 * i));
  }
}

uint32_t GetUnsigned(std::span<const uint8_t> bytes) {
  uint32_t value = 0;
  for (const uint8_t b : bytes) value = value << 8 | b;
  return value;
}

absl::StatusOr<double> DecodeR4(std::span<const uint8_t> bytes) {
  const float f = std::bit_cast<float>(GetUnsigned(bytes));
  if (!std::isfinite(f)) {
    return BadFrame("not_finite", "found the binary32 " + Hex(GetUnsigned(bytes), 8) +
                                      ", expected a finite number");
  }
  return ShortestDecimal(f);
}

// Printable characters; NULs and blanks at the end are padding.
absl::StatusOr<std::string> DecodeText(std::span<const uint8_t> bytes) {
  std::string text(bytes.begin(), bytes.end());
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  for (const char c : text) {
    if (c < 0x20 || c > 0x7E) {
      return BadFrame("bad_text", "found the byte " + Hex(static_cast<uint8_t>(c), 2) +
                                      " in a text, expected printable ASCII");
    }
  }
  return text;
}

absl::StatusOr<std::string> DecodeRelease(std::span<const uint8_t> bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] > 9) {
      return BadFrame("bad_digits", "found the byte " + Hex(bytes[i], 2) +
                                        " in a firmware release, expected 0 to 9");
    }
    if (i == 2) text += '.';
    text += static_cast<char>('0' + bytes[i]);
  }
  return text;
}

absl::Status NotOnWire(WireType type, const Value& value, std::string_view expected) {
  return MakeError(absl::StatusCode::kOutOfRange, "VALUE_DOES_NOT_FIT_WIRE",
                   "found " + value.ToString() + " (" + std::string(ToString(value.type())) +
                       "), the frame holds " + std::string(expected),
                   {{"value", value.ToString()}, {"wire_type", std::to_string(int(type))}});
}

absl::StatusOr<WireBytes> EncodeInteger(WireType type, const Value& value) {
  int64_t minimum = 0;
  int64_t maximum = 0;
  int length = 0;
  switch (type) {
    case WireType::kUi1:
      maximum = std::numeric_limits<uint8_t>::max();
      length = 1;
      break;
    case WireType::kSi1:
      minimum = std::numeric_limits<int8_t>::min();
      maximum = std::numeric_limits<int8_t>::max();
      length = 1;
      break;
    case WireType::kUi2:
      maximum = std::numeric_limits<uint16_t>::max();
      length = 2;
      break;
    default:
      maximum = std::numeric_limits<uint32_t>::max();
      length = 4;
      break;
  }
  int64_t number = 0;
  if (value.type() == ValueType::kInteger) {
    number = value.integer();
  } else if (value.type() == ValueType::kFlag) {
    number = value.flag() ? 1 : 0;
  } else {
    return NotOnWire(type, value, "an integer");
  }
  if (number < minimum || number > maximum) {
    return NotOnWire(type, value, std::to_string(minimum) + " to " + std::to_string(maximum));
  }
  WireBytes bytes;
  PutUnsigned(&bytes, static_cast<uint32_t>(number), length);
  return bytes;
}

absl::StatusOr<WireBytes> EncodeR4(const Value& value) {
  double number = 0;
  if (value.type() == ValueType::kNumber) {
    number = value.number();
  } else if (value.type() == ValueType::kInteger) {
    number = static_cast<double>(value.integer());
  } else {
    return NotOnWire(WireType::kR4, value, "a number");
  }
  if (!(std::abs(number) <= std::numeric_limits<float>::max())) {
    return NotOnWire(WireType::kR4, value, "finite binary32 numbers");
  }
  WireBytes bytes;
  PutUnsigned(&bytes, std::bit_cast<uint32_t>(static_cast<float>(number)), 4);
  return bytes;
}

absl::StatusOr<WireBytes> EncodeText(WireType type, const Value& value) {
  const size_t length = WireLength(type);
  if (value.type() != ValueType::kText || value.text().size() != length) {
    return NotOnWire(type, value, "a text of " + std::to_string(length) + " characters");
  }
  WireBytes bytes;
  for (const char c : value.text()) {
    if (c < 0x20 || c > 0x7E) return NotOnWire(type, value, "printable ASCII");
    bytes.data[bytes.size++] = static_cast<uint8_t>(c);
  }
  return bytes;
}

absl::StatusOr<WireBytes> EncodeRelease(const Value& value) {
  if (value.type() != ValueType::kText) return NotOnWire(WireType::kRelease, value, "a text");
  const std::string& text = value.text();
  WireBytes bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 2 && text[i] == '.') continue;
    if (text[i] < '0' || text[i] > '9' || bytes.size == 4) {
      return NotOnWire(WireType::kRelease, value, "four digits as in 05.71");
    }
    bytes.data[bytes.size++] = static_cast<uint8_t>(text[i] - '0');
  }
  if (bytes.size != 4) return NotOnWire(WireType::kRelease, value, "four digits as in 05.71");
  return bytes;
}

void KeepBytes(std::span<const uint8_t> from, WireBytes* to) {
  to->size = static_cast<uint8_t>(std::min(from.size(), to->data.size()));
  std::copy_n(from.begin(), to->size, to->data.begin());
}

}  // namespace

uint32_t WriteId(const DeviceAddress& address) {
  const uint32_t id = kPassiveBit | (address.crate ? kCrateBit : 0) |
                      (static_cast<uint32_t>(address.number) << kAddressShift);
  return static_cast<uint32_t>(address.line) << kLineShift | id;
}

uint32_t ReadId(const DeviceAddress& address) { return WriteId(address) | kReadBit; }

CanFilter DeviceFilter(const DeviceAddress& address) {
  constexpr uint32_t kIgnored = kReadBit | kExtendedListBit | kAntiCollisionBit;
  if (address.line == 0) return {WriteId(address), kStandardMask & ~kIgnored, false};
  return {WriteId(address), 0x1FFFFFFF & ~kIgnored, true};
}

std::optional<Identifier> ParseIdentifier(const CanFrame& frame) {
  if (frame.remote) return std::nullopt;
  Identifier result;
  if (frame.extended) {
    const uint32_t line = frame.id >> kLineShift;
    if (line == 0 || line > kMaxLine || (frame.id & kConfigurationBit) != 0) return std::nullopt;
    result.device.line = static_cast<int>(line);
  } else if (frame.id > kStandardMask) {
    return std::nullopt;
  }
  const uint32_t id = frame.id & kStandardMask;
  result.extended_list = (id & kExtendedListBit) != 0;
  if ((id & ~kExtendedListBit) == kNmtId) {
    result.nmt = true;
    return result;
  }
  result.device.number = static_cast<int>((id & kAddressMask) >> kAddressShift);
  result.device.crate = (id & kCrateBit) != 0;
  result.read = (id & kReadBit) != 0;
  result.anti_collision = (id & kAntiCollisionBit) != 0;
  result.passive = (id & kPassiveBit) != 0;
  return result;
}

CanFrame LogOnFrame(const DeviceAddress& address) {
  return FrameTo(WriteId(address), PayloadBuilder().Byte(kDcpLogOn).Byte(1).view());
}

CanFrame LogOffFrame(const DeviceAddress& address) {
  return FrameTo(WriteId(address), PayloadBuilder().Byte(kDcpLogOn).Byte(0).view());
}

CanFrame AnnouncementFrame(const DeviceAddress& address, uint8_t general_status,
                           uint8_t device_class) {
  return FrameTo(ReadId(address),
                 PayloadBuilder().Byte(kDcpLogOn).Byte(general_status).Byte(device_class).view());
}

CanFrame DcpReadFrame(const DeviceAddress& address, uint8_t data_id) {
  return FrameTo(ReadId(address), PayloadBuilder().Byte(data_id).view());
}

CanFrame DcpWriteFrame(const DeviceAddress& address, uint8_t data_id,
                       std::span<const uint8_t> value) {
  return FrameTo(WriteId(address), PayloadBuilder().Byte(data_id).Bytes(value).view());
}

CanFrame NmtFrame(int line, Nmt command, std::span<const uint8_t> data) {
  return FrameTo(static_cast<uint32_t>(line) << kLineShift | kNmtId,
                 PayloadBuilder().Byte(static_cast<uint8_t>(command)).Bytes(data).view());
}

CanFrame LiveInsertionFrame(int line, bool on) {
  const std::array<uint8_t, 1> data = {on ? kLiveInsertionOnByte : uint8_t{0}};
  return NmtFrame(line, Nmt::kLiveInsertion, data);
}

CanFrame BroadcastFrame(int line, uint16_t multiple_id, uint16_t value) {
  return NmtFrame(line, Nmt::kBroadcastWrite,
                  PayloadBuilder().Byte(0).Word(multiple_id | kMultipleBit).Word(value).view());
}

absl::StatusOr<DcpIdentity> DecodeDcpIdentity(std::span<const uint8_t> after_id) {
  constexpr size_t kLength = 6;
  if (after_id.size() != kLength) {
    return WrongLength("DCP identity", after_id.size(), "6", after_id.size() < kLength);
  }
  std::array<int, 10> digits{};  // six of the serial number, mode, three of the release
  for (size_t i = 0; i < digits.size(); ++i) {
    digits[i] = i % 2 == 0 ? after_id[i / 2] >> 4 : after_id[i / 2] & 0xF;
    if (digits[i] > 9) {
      return BadFrame("bad_digits", "DCP identity: found the digit " + Hex(digits[i], 1) +
                                        " at place " + std::to_string(i) + ", expected 0 to 9");
    }
  }
  DcpIdentity identity;
  for (int i = 0; i < 6; ++i) identity.serial_number = identity.serial_number * 10 + digits[i];
  identity.message_mode = digits[6];
  identity.release = digits[7] * 100 + digits[8] * 10 + digits[9];
  identity.channels = after_id[5];
  return identity;
}

CanFrame DcpIdentityFrame(const DeviceAddress& address, const DcpIdentity& identity) {
  // Newer serial numbers have seven digits; the frame has room for the last six.
  const uint32_t serial = identity.serial_number;
  const auto digit = [serial](uint32_t power) { return static_cast<uint8_t>(serial / power % 10); };
  return FrameTo(
      WriteId(address),
      PayloadBuilder()
          .Byte(kDcpIdentity)
          .Byte(digit(100000) << 4 | digit(10000))
          .Byte(digit(1000) << 4 | digit(100))
          .Byte(digit(10) << 4 | digit(1))
          .Byte(static_cast<uint8_t>(identity.message_mode << 4 | identity.release / 100 % 10))
          .Byte(static_cast<uint8_t>(identity.release / 10 % 10 << 4 | identity.release % 10))
          .Byte(static_cast<uint8_t>(identity.channels))
          .view());
}

std::optional<AccessClass> ClassOf(uint16_t data_id) {
  if (data_id & 0x8000) return std::nullopt;
  switch (data_id & 0x6000) {
    case 0x6000:
      return AccessClass::kMultiple;
    case 0x4000:
      return AccessClass::kChannel;
    case 0x2000:
      return AccessClass::kGroup;
    default:
      if (data_id & 0x1000) return AccessClass::kModule;
      return std::nullopt;
  }
}

size_t WireLength(WireType type) {
  switch (type) {
    case WireType::kUi1:
    case WireType::kSi1:
      return 1;
    case WireType::kUi2:
      return 2;
    case WireType::kUi4:
    case WireType::kR4:
    case WireType::kIndexedR4:
    case WireType::kRelease:
      return 4;
    case WireType::kR4Range:
    case WireType::kName5:
      return 5;
    case WireType::kText6:
    case WireType::kKey6:
      return 6;
    case WireType::kUiAny:
    case WireType::kTextPiece:
      return 0;
  }
  return 0;
}

absl::StatusOr<WireBytes> EncodeValue(WireType type, const Value& value) {
  switch (type) {
    case WireType::kUi1:
    case WireType::kSi1:
    case WireType::kUi2:
    case WireType::kUi4:
    case WireType::kUiAny:
      return EncodeInteger(type, value);
    case WireType::kR4:
    case WireType::kIndexedR4:
      return EncodeR4(value);
    case WireType::kName5:
    case WireType::kText6:
      return EncodeText(type, value);
    case WireType::kRelease:
      return EncodeRelease(value);
    case WireType::kR4Range:
    case WireType::kTextPiece:
    case WireType::kKey6:
      return NotOnWire(type, value, "nothing that is written as one value");
  }
  return absl::InternalError("unknown wire type");
}

absl::StatusOr<WireValue> DecodeValue(WireType type, std::span<const uint8_t> bytes) {
  const size_t expected = WireLength(type);
  if (type == WireType::kUiAny) {
    if (bytes.empty() || bytes.size() > 4) {
      return WrongLength("integer", bytes.size(), "1 to 4", bytes.empty());
    }
  } else if (type == WireType::kTextPiece) {
    if (bytes.size() > 5) return WrongLength("piece of text", bytes.size(), "0 to 5", false);
  } else if (type == WireType::kName5) {
    // Section 18 knows names of six characters (H101C0); the frame has room for them.
    if (bytes.size() < expected || bytes.size() > expected + 1) {
      return WrongLength("firmware name", bytes.size(), "5 or 6", bytes.size() < expected);
    }
  } else if (bytes.size() != expected) {
    return WrongLength("value", bytes.size(), std::to_string(expected), bytes.size() < expected);
  }
  switch (type) {
    case WireType::kUi1:
    case WireType::kUi2:
    case WireType::kUi4:
    case WireType::kUiAny:
      return WireValue{Value::Integer(GetUnsigned(bytes))};
    case WireType::kSi1:
      return WireValue{Value::Integer(static_cast<int8_t>(bytes[0]))};
    case WireType::kR4:
    case WireType::kIndexedR4:
    case WireType::kR4Range: {
      const absl::StatusOr<double> number = DecodeR4(bytes.first(4));
      if (!number.ok()) return number.status();
      return WireValue{Value::Number(*number), type == WireType::kR4Range && (bytes[4] & 1) != 0};
    }
    case WireType::kName5:
    case WireType::kText6:
    case WireType::kTextPiece: {
      const absl::StatusOr<std::string> text = DecodeText(bytes);
      if (!text.ok()) return text.status();
      return WireValue{Value::Text(*text)};
    }
    case WireType::kRelease: {
      const absl::StatusOr<std::string> text = DecodeRelease(bytes);
      if (!text.ok()) return text.status();
      return WireValue{Value::Text(*text)};
    }
    case WireType::kKey6:
      break;
  }
  return BadFrame("unknown_data_id", "no device sends a value of this type");
}

CanFrame ReadModuleFrame(const DeviceAddress& address, uint16_t data_id) {
  return FrameTo(ReadId(address), PayloadBuilder().Word(data_id).view());
}

CanFrame ReadChannelFrame(const DeviceAddress& address, uint16_t data_id, int channel) {
  return FrameTo(ReadId(address),
                 PayloadBuilder().Word(data_id).Byte(static_cast<uint8_t>(channel)).view());
}

CanFrame ReadMultipleFrame(const DeviceAddress& address, uint16_t data_id, uint16_t mask,
                           uint8_t offset) {
  return FrameTo(ReadId(address),
                 PayloadBuilder().Word(data_id | kMultipleBit).Word(mask).Byte(offset).view());
}

CanFrame WriteModuleFrame(const DeviceAddress& address, uint16_t data_id, const WireBytes& value) {
  const auto head = value.view().first(std::min<size_t>(value.size, 6));
  return FrameTo(WriteId(address), PayloadBuilder().Word(data_id).Bytes(head).view());
}

CanFrame WriteChannelFrame(const DeviceAddress& address, uint16_t data_id, int channel,
                           const WireBytes& value) {
  const auto head = value.view().first(std::min<size_t>(value.size, 5));
  return FrameTo(
      WriteId(address),
      PayloadBuilder().Word(data_id).Byte(static_cast<uint8_t>(channel)).Bytes(head).view());
}

CanFrame FactoryResetFrame(const DeviceAddress& address, uint32_t serial_number,
                           bool set_values_only) {
  WireBytes value;
  PutUnsigned(&value, serial_number + (set_values_only ? kSetValuesResetOffset : 0), 4);
  for (const uint8_t b : kFactoryResetKey) value.data[value.size++] = b;
  return WriteModuleFrame(address, id::kFactoryReset, value);
}

namespace {

absl::StatusOr<Answer> ParseDcp(const Identifier& identifier, std::span<const uint8_t> payload,
                                Answer answer) {
  answer.data_id = payload[0];
  KeepBytes(payload.subspan(1), &answer.bytes);
  // The two lowest bits are a group number of old modules (section 9.1).
  const bool log_on = (payload[0] & 0xFC) == kDcpLogOn;
  if (log_on && identifier.read) {
    if (payload.size() != 3) {
      return WrongLength("announcement", payload.size(), "3", payload.size() < 3);
    }
    answer.kind = Answer::Kind::kAnnouncement;
    answer.general_status = payload[1];
    answer.device_class = payload[2];
    return answer;
  }
  if (log_on) return BadFrame("foreign_master", "another master logs a device on or off");
  if (payload.size() == 1) {
    if (identifier.read) return BadFrame("foreign_master", "another master reads over DCP");
    return WrongLength("DCP frame", payload.size(), "2 to 8", true);
  }
  answer.kind = Answer::Kind::kDcp;
  return answer;
}

}  // namespace

absl::StatusOr<Answer> ParseAnswer(const CanFrame& frame) {
  const std::optional<Identifier> identifier = ParseIdentifier(frame);
  if (!identifier.has_value() || identifier->nmt) {
    return BadFrame("bad_identifier", "found " + FormatFrame(frame) +
                                          ", expected the identifier of a module or crate");
  }
  const std::span<const uint8_t> payload = frame.payload();
  Answer answer;
  answer.from = identifier->device;
  if (payload.empty()) return WrongLength("frame", 0, "1 to 8", true);
  if (payload[0] & 0x80) return ParseDcp(*identifier, payload, std::move(answer));
  if (payload.size() < 2) return WrongLength("EDCP frame", payload.size(), "2 to 8", true);

  const uint16_t data_id = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  answer.data_id = data_id;
  if (data_id == id::kBootLoader) {
    if (payload.size() < 4) {
      return WrongLength("boot loader announcement", payload.size(), "at least 4", true);
    }
    answer.kind = Answer::Kind::kBootLoader;
    answer.device_class = payload[3];
    KeepBytes(payload.subspan(2), &answer.bytes);
    return answer;
  }
  if (identifier->read) return BadFrame("foreign_master", "another master reads from the device");
  const std::optional<AccessClass> access = ClassOf(data_id);
  if (!access.has_value()) {
    return BadFrame("bad_class", "found DATA_ID " + Hex(data_id, 4) +
                                     ", expected a module, group or channel DATA_ID");
  }
  const Register* row = FindRegister(data_id);
  std::span<const uint8_t> rest = payload.subspan(2);
  if (*access == AccessClass::kChannel || *access == AccessClass::kMultiple) {
    if (rest.empty()) return WrongLength("channel answer", payload.size(), "3 to 8", true);
    answer.multiple = *access == AccessClass::kMultiple;
    answer.data_id = data_id & (answer.multiple ? kMultipleMask : 0xFFFF);
    answer.index = rest[0];
    rest = rest.subspan(1);
  } else if (row != nullptr && !rest.empty() &&
             (row->type == WireType::kIndexedR4 || row->type == WireType::kTextPiece)) {
    answer.index = rest[0];
    rest = rest.subspan(1);
    if (row->type == WireType::kTextPiece) {
      // A piece without characters ends a text whose length is a multiple of five.
      KeepBytes(rest, &answer.bytes);
      answer.kind = Answer::Kind::kValue;
      return answer;
    }
    if (rest.empty()) return WrongLength("group answer", payload.size(), "7", true);
  } else if (rest.size() == 3 &&
             (data_id == id::kEventChannelStatus || data_id == id::kEventChannelMask)) {
    // isegcan's form: offset, then the word of the channels from there (section 6.1).
    answer.index = rest[0];
    rest = rest.subspan(1);
  }
  KeepBytes(rest, &answer.bytes);
  answer.kind = rest.empty() ? Answer::Kind::kNotImplemented : Answer::Kind::kValue;
  return answer;
}

absl::StatusOr<WireValue> DecodeAnswer(const Answer& answer) {
  const Register* row = FindRegister(answer.data_id);
  if (row == nullptr) {
    return BadFrame("unknown_data_id", "no item has DATA_ID " + Hex(answer.data_id, 4));
  }
  absl::StatusOr<WireValue> value = DecodeValue(row->type, answer.bytes.view());
  if (!value.ok()) return Annotate(value.status(), Hex(answer.data_id, 4) + ": ");
  return value;
}

bool TextAssembler::Add(int piece, std::span<const uint8_t> characters) {
  if (piece < 0 || piece >= static_cast<int>(pieces_.size()) || characters.size() > kPieceLength ||
      piece * kPieceLength + characters.size() > static_cast<size_t>(kMaxLength)) {
    return false;
  }
  pieces_[piece] = std::string(characters.begin(), characters.end());
  return true;
}

bool TextAssembler::complete() const {
  int length = 0;
  for (const std::optional<std::string>& piece : pieces_) {
    if (!piece.has_value()) return false;
    length += static_cast<int>(piece->size());
    if (piece->size() < kPieceLength) return true;
  }
  return length >= kMaxLength;
}

std::string TextAssembler::text() const {
  std::string text;
  for (const std::optional<std::string>& piece : pieces_) {
    if (!piece.has_value()) break;
    text += *piece;
    if (piece->size() < kPieceLength) break;
  }
  return text;
}

void TextAssembler::Clear() { pieces_.fill(std::nullopt); }

}  // namespace canhub::iseg
