// The EDCP decoder on any bytes: what it accepts it has understood whole, so that encoding the
// result gives the same bytes again; what it refuses has one of the stable reasons.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "drivers/iseg/edcp.h"
#include "drivers/iseg/registers.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::iseg {
namespace {

constexpr std::array kTypes = {
    WireType::kUi1,   WireType::kSi1,     WireType::kUi2,       WireType::kUi4,
    WireType::kUiAny, WireType::kR4,      WireType::kR4Range,   WireType::kName5,
    WireType::kText6, WireType::kRelease, WireType::kIndexedR4, WireType::kTextPiece,
    WireType::kKey6,
};

bool Equal(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

void CheckRefusal(const absl::Status& status) {
  static const std::set<std::string> kReasons = {
      "short_frame",    "long_frame", "not_finite", "unknown_data_id", "bad_identifier",
      "foreign_master", "bad_text",   "bad_digits", "bad_class"};
  Require(kReasons.contains(BadFrameReason(status)), "a refusal has a stable reason",
          status.ToString());
}

void CheckIdentifier(const CanFrame& frame) {
  const std::optional<Identifier> found = ParseIdentifier(frame);
  if (!found) return;
  const DeviceAddress& device = found->device;
  Require(device.number >= 0 && device.number <= kMaxAddress, "address", FormatFrame(frame));
  Require(device.line >= 0 && device.line <= kMaxLine, "line", FormatFrame(frame));
  uint32_t id = static_cast<uint32_t>(device.line) << kLineShift;
  if (found->nmt) {
    id |= kNmtId;
  } else {
    id = WriteId(device);
    if (!found->passive) id &= ~kPassiveBit;
    if (found->read) id |= kReadBit;
    if (found->anti_collision) id |= kAntiCollisionBit;
  }
  if (found->extended_list) id |= kExtendedListBit;
  Require(id == frame.id, "an identifier is understood whole", FormatFrame(frame));
  Require(DeviceFilter(device).Matches(frame) == (found->passive && !found->nmt),
          "a device's filter passes its frames alone", FormatFrame(frame));
}

// The payload that an answer stands for.
std::vector<uint8_t> PayloadOf(const Answer& answer) {
  using Kind = Answer::Kind;
  std::vector<uint8_t> payload;
  if (answer.kind == Kind::kAnnouncement) {
    return {kDcpLogOn, answer.general_status, answer.device_class};
  }
  const uint16_t id = answer.data_id | (answer.multiple ? kMultipleBit : 0);
  if (answer.kind != Kind::kDcp) payload.push_back(static_cast<uint8_t>(id >> 8));
  payload.push_back(static_cast<uint8_t>(id));
  if (answer.index >= 0) payload.push_back(static_cast<uint8_t>(answer.index));
  const std::span<const uint8_t> bytes = answer.bytes.view();
  payload.insert(payload.end(), bytes.begin(), bytes.end());
  return payload;
}

void CheckAnswer(const CanFrame& frame) {
  const absl::StatusOr<Answer> answer = ParseAnswer(frame);
  if (!answer.ok()) return CheckRefusal(answer.status());
  std::vector<uint8_t> expected(frame.payload().begin(), frame.payload().end());
  // The lowest two bits of a log-on are a group number, which nobody uses.
  if (answer->kind == Answer::Kind::kAnnouncement) expected[0] &= 0xFC;
  Require(PayloadOf(*answer) == expected, "an answer is understood whole", FormatFrame(frame));
  if (answer->kind != Answer::Kind::kValue) return;
  const absl::StatusOr<WireValue> value = DecodeAnswer(*answer);
  if (!value.ok()) return CheckRefusal(value.status());
  const Register* row = FindRegister(answer->data_id);
  Require(row != nullptr, "only what is in the table has a value", FormatFrame(frame));
}

std::string Trimmed(std::string text) {
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

// Bytes → value → the same bytes.
void CheckDecode(WireType type, std::span<const uint8_t> bytes) {
  const absl::StatusOr<WireValue> decoded = DecodeValue(type, bytes);
  if (!decoded.ok()) return CheckRefusal(decoded.status());
  const size_t length = WireLength(type);
  Require(length == 0 || bytes.size() == length ||
              (type == WireType::kName5 && bytes.size() == length + 1),
          "a value has its length", std::to_string(bytes.size()));
  const Value& value = decoded->value;
  switch (type) {
    case WireType::kUi1:
    case WireType::kSi1:
    case WireType::kUi2:
    case WireType::kUi4:
    case WireType::kR4:
    case WireType::kIndexedR4:
    case WireType::kRelease: {
      const absl::StatusOr<WireBytes> again = EncodeValue(type, value);
      Require(again.ok() && Equal(again->view(), bytes), "a value gives its bytes again",
              value.ToString());
      return;
    }
    case WireType::kUiAny: {
      const absl::StatusOr<WireBytes> again = EncodeValue(type, value);
      Require(again.ok() && Equal(again->view().last(bytes.size()), bytes),
              "a value gives its bytes again", value.ToString());
      return;
    }
    case WireType::kName5:
    case WireType::kText6:
    case WireType::kTextPiece:
      Require(value.text().size() <= bytes.size(), "a text is no longer than its bytes");
      return;
    case WireType::kR4Range:
      Require(EncodeValue(WireType::kR4, value).ok(), "a measured value is a number");
      return;
    case WireType::kKey6:
      Require(false, "no device sends a key");
      return;
  }
}

// Value → bytes → the same value.
void CheckEncode(WireType type, const Value& value) {
  const absl::StatusOr<WireBytes> bytes = EncodeValue(type, value);
  if (!bytes.ok()) return;
  const absl::StatusOr<WireValue> again = DecodeValue(type, bytes->view());
  Require(again.ok(), "what we send can be read", value.ToString());
  if (value.type() == ValueType::kText) {
    const std::string text = again->value.text();
    const bool release = type == WireType::kRelease;
    Require(release ? text.size() == 5 : text == Trimmed(value.text()), "a text stays",
            value.ToString());
  } else if (again->value.type() == ValueType::kInteger) {
    Require(again->value.integer() == static_cast<int64_t>(value.AsNumber()), "an integer stays",
            value.ToString());
  } else {
    Require(static_cast<float>(again->value.number()) == static_cast<float>(value.AsNumber()),
            "a number stays, as binary32", value.ToString());
  }
}

Value TakeValue(FuzzInput& input) {
  switch (input.Below(4)) {
    case 0:
      return Value::Flag(input.Byte() != 0);
    case 1:
      return Value::Integer(input.Take<int64_t>());
    case 2: {
      const double number = std::bit_cast<double>(input.Take<uint64_t>());
      return std::isfinite(number) ? Value::Number(number) : Value();
    }
    default:
      return Value::Text(input.Text(input.Below(10)));
  }
}

void CheckRequests(FuzzInput& input) {
  const DeviceAddress address{static_cast<int>(input.Below(kMaxAddress + 1)),
                              (input.Byte() & 1) != 0, static_cast<int>(input.Below(kMaxLine + 1))};
  const uint16_t data_id = input.Take<uint16_t>();
  const int channel = static_cast<int>(input.Below(kMaxChannels));
  WireBytes value;
  for (const uint8_t byte : input.Bytes(5)) value.data[value.size++] = byte;
  for (const CanFrame& frame :
       {ReadModuleFrame(address, data_id), ReadChannelFrame(address, data_id, channel),
        ReadMultipleFrame(address, data_id, input.Take<uint16_t>(), input.Byte()),
        WriteModuleFrame(address, data_id, value),
        WriteChannelFrame(address, data_id, channel, value), LogOnFrame(address),
        LogOffFrame(address), FactoryResetFrame(address, input.Take<uint32_t>(), false),
        AnnouncementFrame(address, input.Byte(), input.Byte())}) {
    const std::optional<Identifier> found = ParseIdentifier(frame);
    Require(found && found->device == address && !found->nmt, "a request reaches its device",
            FormatFrame(frame));
    CheckIdentifier(frame);
    CheckAnswer(frame);
  }
}

void CheckIdentity(FuzzInput& input) {
  const std::span<const uint8_t> bytes = input.Bytes(input.Below(8));
  const absl::StatusOr<DcpIdentity> identity = DecodeDcpIdentity(bytes);
  if (!identity.ok()) return CheckRefusal(identity.status());
  const CanFrame again = DcpIdentityFrame({}, *identity);
  Require(Equal(again.payload().subspan(1), bytes), "an identity gives its bytes again",
          FormatFrame(again));
}

void CheckTextPieces(FuzzInput& input) {
  TextAssembler assembler;
  while (!input.empty()) {
    const int piece = static_cast<int8_t>(input.Byte());
    assembler.Add(piece, input.Bytes(input.Below(8)));
    Require(assembler.text().size() <= 64, "a text has at most 64 characters");
    if (assembler.complete()) {
      Require(assembler.text().size() == 64 || assembler.text().size() % 5 < 5, "complete");
    }
  }
  assembler.Clear();
  Require(assembler.text().empty() && !assembler.complete(), "an empty text is not complete");
}

}  // namespace
}  // namespace canhub::iseg

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace canhub::iseg;  // NOLINT(google-build-using-namespace)
  canhub::FuzzInput input(data, size);
  switch (input.Below(5)) {
    case 0:
      while (!input.empty()) {
        const canhub::CanFrame frame = input.Frame();
        CheckIdentifier(frame);
        CheckAnswer(frame);
      }
      break;
    case 1: {
      const WireType type = kTypes[input.Below(kTypes.size())];
      CheckDecode(type, input.Bytes(input.Below(8)));
      CheckEncode(type, TakeValue(input));
      break;
    }
    case 2:
      CheckRequests(input);
      break;
    case 3:
      CheckIdentity(input);
      break;
    default:
      CheckTextPieces(input);
      break;
  }
  return 0;
}
