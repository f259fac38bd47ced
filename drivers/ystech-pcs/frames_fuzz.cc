// The decoder on any frames: what it accepts it has understood whole, so that encoding the values
// gives the same bytes again (but for reserved ones); what it refuses has one of the stable
// reasons. And the encoder on any values: what it sends reads back as what was meant.
#include <bit>
#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "drivers/testing/fuzz_input.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/frames.h"
#include "drivers/ystech-pcs/modes.h"

namespace canhub::ystech_pcs {
namespace {

CodecOptions TakeOptions(FuzzInput& input) {
  const uint8_t form = input.Byte();
  return {.signed_powers = (form & 1) != 0, .power_factor_counts = (form & 2) != 0 ? 10 : 1000};
}

// Mostly a frame of the protocol: a fuzzer finds the identifiers seldom.
CanFrame TakeFrame(FuzzInput& input) {
  const uint8_t form = input.Byte();
  if (form >= 0xC0) return input.Frame();
  CanFrame frame;
  frame.extended = true;
  const uint32_t pf = form % 0x3C;
  const FrameSpec* spec = FindFrame(static_cast<uint8_t>(pf));
  const bool to_pcs = spec != nullptr && spec->direction == Direction::kToPcs;
  const uint32_t address = input.Byte();
  frame.id = 0x18000000 | pf << 16 |
             (to_pcs ? address << 8 | kControllerAddress : kControllerAddress << 8 | address);
  for (const uint8_t byte : input.Bytes(kFrameBytes)) frame.data[frame.dlc++] = byte;
  return frame;
}

void CheckDecode(FuzzInput& input) {
  const CodecOptions options = TakeOptions(input);
  CanFrame frame = TakeFrame(input);
  const absl::StatusOr<Message> message = Decode(frame, options);
  if (!message.ok()) {
    static const std::set<std::string> kReasons = {"bad_identifier", "unknown_frame", "bad_address",
                                                   "short_frame"};
    Require(kReasons.contains(BadFrameReason(message.status())), "a refusal has a stable reason",
            message.status().ToString());
    Require(!message.status().message().empty(), "a refusal has words");
    return;
  }
  const FrameSpec& spec = FrameOf(message->pf);
  const bool to_pcs = spec.direction == Direction::kToPcs;
  Require(
      (to_pcs ? ControllerFilter(message->address) : DeviceFilter(message->address)).Matches(frame),
      "the filter of its sender passes it", FormatFrame(frame));
  // Reserved bytes do not count.
  std::array<bool, kFrameBytes> used{};
  bool in_range = true;
  for (size_t i = 0; i < spec.fields.size(); ++i) {
    const FieldSpec& field = spec.fields[i];
    const double value = message->values[i];
    Require(std::isfinite(value), "a value is a number", field.name);
    if (HasRange(field) && (value < field.minimum || value > field.maximum)) in_range = false;
    for (int b = 0; b < field.length; ++b) used[field.byte + b] = true;
  }
  for (size_t b = 0; b < used.size(); ++b) {
    if (!used[b]) frame.data[b] = 0;
  }
  const absl::StatusOr<CanFrame> again = Encode(
      message->pf, message->address, std::span(message->values).first(spec.fields.size()), options);
  Require(again.ok() == in_range, "what is in range can be sent", FormatFrame(frame));
  if (again.ok()) {
    Require(*again == frame, "a frame gives its bytes again", FormatFrame(frame));
  } else {
    Require(again.status().code() == absl::StatusCode::kOutOfRange, "beyond the range",
            again.status().ToString());
  }
}

void CheckEncode(FuzzInput& input) {
  const CodecOptions options = TakeOptions(input);
  const FrameSpec& spec = Frames()[input.Below(kFrameCount)];
  const uint8_t address = input.Byte();
  std::array<double, kMaxFields> values{};
  for (double& value : values) {
    value = (input.Byte() & 1) != 0 ? std::bit_cast<double>(input.Take<uint64_t>())
                                    : input.Take<int32_t>() / 1000.0;
  }
  const auto wanted = std::span(values).first(spec.fields.size());
  const absl::StatusOr<CanFrame> frame = Encode(spec.pf, address, wanted, options);
  if (!frame.ok()) {
    Require(frame.status().code() == absl::StatusCode::kInvalidArgument ||
                frame.status().code() == absl::StatusCode::kOutOfRange,
            "a refusal has its code", frame.status().ToString());
    return;
  }
  const absl::StatusOr<Message> message = Decode(*frame, options);
  Require(message.ok(), "what is sent can be read", FormatFrame(*frame));
  for (size_t i = 0; i < wanted.size(); ++i) {
    const FieldSpec& field = spec.fields[i];
    const int counts =
        field.encoding == Encoding::kPowerFactor ? options.power_factor_counts : field.counts;
    Require(std::abs(message->values[i] - wanted[i]) <= 0.5000001 / counts,
            "a value is sent to half a count", field.name);
    Require(*Quantize(field, wanted[i], options) == message->values[i],
            "Quantize tells what is sent", field.name);
  }
}

void CheckMode(FuzzInput& input) {
  const ModeSpec& mode = Modes()[input.Below(Modes().size())];
  std::array<double, kMaxModeParameters> values{};
  for (double& value : values) value = std::bit_cast<double>(input.Take<uint64_t>());
  const size_t count = input.Below(kMaxModeParameters + 1);
  const absl::StatusOr<ModeCounts> counts = ToCounts(mode, std::span(values).first(count));
  if (!counts.ok()) return;
  Require(count == mode.parameters.size(), "every parameter is needed", mode.name);
  for (size_t i = 0; i < count; ++i) {
    Require(std::abs(FromCounts(mode, i, (*counts)[i]) - values[i]) <=
                0.5000001 / mode.parameters[i].counts,
            "a parameter is sent to half a count", mode.parameters[i].name);
  }
}

}  // namespace
}  // namespace canhub::ystech_pcs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace canhub::ystech_pcs;  // NOLINT(google-build-using-namespace)
  canhub::FuzzInput input(data, size);
  while (!input.empty()) {
    switch (input.Below(4)) {
      case 0:
        CheckEncode(input);
        break;
      case 1:
        CheckMode(input);
        break;
      default:
        CheckDecode(input);
        break;
    }
    canhub::Require(!FaultText(input.Take<uint16_t>()).empty(), "a code has a text");
  }
  return 0;
}
