#include "drivers/ystech-pcs/frames.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "drivers/api/errors.h"
#include "drivers/api/value.h"

namespace canhub::ystech_pcs {
namespace {

// Priority 6, reserved bit and data page 0 (section 3).
constexpr uint32_t kHead = 0x18;
constexpr int kHeadShift = 24;
constexpr int kPfShift = 16;
constexpr int kDestinationShift = 8;
constexpr uint8_t kFirstPdu2 = 0xF0;
// All but the PF and, above it, what no frame of the protocol has otherwise (section 2).
constexpr uint32_t kFilterMask = 0x1F00FFFF;

std::string Hex(uint32_t v) { return absl::StrCat("0x", absl::Hex(v, absl::kZeroPad2)); }

uint32_t MakeId(uint32_t pf, uint32_t destination, uint32_t source) {
  return kHead << kHeadShift | pf << kPfShift | destination << kDestinationShift | source;
}

bool IsSigned(const FieldSpec& field, const CodecOptions& options) {
  switch (field.encoding) {
    case Encoding::kUnsigned:
      return false;
    case Encoding::kSigned:
    case Encoding::kPowerFactor:
      return true;
    case Encoding::kPower:
      return options.signed_powers;
  }
  return false;
}

int Counts(const FieldSpec& field, const CodecOptions& options) {
  return field.encoding == Encoding::kPowerFactor ? options.power_factor_counts : field.counts;
}

double FromRaw(const FieldSpec& field, int64_t raw, const CodecOptions& options) {
  return static_cast<double>(raw - field.zero) / Counts(field, options);
}

// Smallest and largest raw count that the field's bytes hold.
std::pair<int64_t, int64_t> RawLimits(const FieldSpec& field, const CodecOptions& options) {
  const int bits = 8 * field.length;
  if (IsSigned(field, options)) {
    return {-(int64_t{1} << (bits - 1)), (int64_t{1} << (bits - 1)) - 1};
  }
  return {0, (int64_t{1} << bits) - 1};
}

std::string WithUnit(double value, const FieldSpec& field) {
  const std::string number = Value::Number(value).ToString();
  return *field.unit == '\0' ? number : number + " " + field.unit;
}

absl::StatusOr<int64_t> ToRaw(const FieldSpec& field, double value, const CodecOptions& options) {
  if (!std::isfinite(value)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NOT_FINITE",
                     absl::StrCat(field.name, ": found a value that is not finite"),
                     {{"field", field.name}});
  }
  const auto [minimum, maximum] = FieldLimits(field, options);
  // As the wire will hold it: 1000.04 V is 1000.0 V. Compared before it becomes an integer, which
  // it may be too large for.
  const double counts = std::round(value * Counts(field, options));
  const double rounded = counts / Counts(field, options);
  if (rounded < minimum || rounded > maximum) {
    return MakeError(absl::StatusCode::kOutOfRange, "VALUE_DOES_NOT_FIT_FRAME",
                     absl::StrCat(field.name, ": found ", WithUnit(value, field), ", expected ",
                                  WithUnit(minimum, field), " to ", WithUnit(maximum, field)),
                     {{"field", field.name},
                      {"found", Value::Number(value).ToString()},
                      {"minimum", Value::Number(minimum).ToString()},
                      {"maximum", Value::Number(maximum).ToString()}});
  }
  return static_cast<int64_t>(counts) + field.zero;
}

}  // namespace

std::optional<Identifier> ParseIdentifier(const CanFrame& frame) {
  if (!frame.extended || frame.remote || frame.id >> kHeadShift != kHead) return std::nullopt;
  const Identifier identifier = {static_cast<uint8_t>(frame.id >> kPfShift),
                                 static_cast<uint8_t>(frame.id >> kDestinationShift),
                                 static_cast<uint8_t>(frame.id)};
  if (identifier.pf >= kFirstPdu2) return std::nullopt;
  return identifier;
}

CanFilter DeviceFilter(uint8_t address) {
  return {MakeId(0, kControllerAddress, address), kFilterMask, true};
}

CanFilter ControllerFilter(uint8_t address) {
  return {MakeId(0, address, kControllerAddress), kFilterMask, true};
}

absl::StatusOr<Message> Decode(const CanFrame& frame, const CodecOptions& options) {
  const std::optional<Identifier> identifier = ParseIdentifier(frame);
  if (!identifier.has_value()) {
    return BadFrame("bad_identifier",
                    absl::StrCat(FormatFrame(frame), ": not an identifier of the form 0x18xxxxxx"));
  }
  const FrameSpec* spec = FindFrame(identifier->pf);
  if (spec == nullptr) {
    return BadFrame("unknown_frame",
                    absl::StrCat("found PF ", Hex(identifier->pf), ", expected 0x01 to 0x39"));
  }
  const bool to_pcs = spec->direction == Direction::kToPcs;
  const uint8_t pcs = to_pcs ? identifier->destination : identifier->source;
  const uint8_t controller = to_pcs ? identifier->source : identifier->destination;
  if (controller != kControllerAddress ||
      !(IsPcsAddress(pcs) || (to_pcs && pcs == kBroadcastAddress))) {
    return BadFrame(
        "bad_address",
        absl::StrCat(spec->name, " (PF ", Hex(identifier->pf), "): found ", Hex(identifier->source),
                     " to ", Hex(identifier->destination), ", expected ",
                     to_pcs ? "the controller 0xb4 to a PCS" : "a PCS to 0xb4"));
  }
  if (frame.dlc != kFrameBytes) {
    return BadFrame("short_frame",
                    absl::StrCat(spec->name, " (PF ", Hex(identifier->pf), "): found ",
                                 int{frame.dlc}, " bytes, expected ", int{kFrameBytes}));
  }
  Message message = {.pf = spec->pf, .address = pcs};
  for (size_t i = 0; i < spec->fields.size(); ++i) {
    const FieldSpec& field = spec->fields[i];
    int64_t raw = 0;
    for (int b = 0; b < field.length; ++b) raw = raw << 8 | frame.data[field.byte + b];
    const auto [lowest, highest] = RawLimits(field, options);
    if (raw > highest) raw -= int64_t{1} << (8 * field.length);
    message.values[i] = FromRaw(field, raw, options);
  }
  return message;
}

absl::StatusOr<CanFrame> Encode(Pf pf, uint8_t address, std::span<const double> values,
                                const CodecOptions& options) {
  const FrameSpec& spec = FrameOf(pf);
  const bool to_pcs = spec.direction == Direction::kToPcs;
  if (!(IsPcsAddress(address) || (to_pcs && address == kBroadcastAddress))) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_ADDRESS",
        absl::StrCat(spec.name, ": found the PCS address ", Hex(address),
                     ", expected 0x01 to 0xfe without 0xb4", to_pcs ? ", or 0x00 for all" : ""),
        {{"address", std::to_string(address)}});
  }
  const auto code = static_cast<uint32_t>(pf);
  CanFrame frame;
  frame.id = to_pcs ? MakeId(code, address, kControllerAddress)
                    : MakeId(code, kControllerAddress, address);
  frame.extended = true;
  frame.dlc = kFrameBytes;
  for (size_t i = 0; i < spec.fields.size(); ++i) {
    const FieldSpec& field = spec.fields[i];
    absl::StatusOr<int64_t> raw = ToRaw(field, values[i], options);
    if (!raw.ok()) {
      return Annotate(raw.status(), absl::StrCat(spec.name, ", "), {{"frame", spec.name}});
    }
    for (int b = field.length - 1; b >= 0; --b, *raw >>= 8) {
      frame.data[field.byte + b] = static_cast<uint8_t>(*raw);
    }
  }
  return frame;
}

std::pair<double, double> FieldRange(const FieldSpec& field, const CodecOptions& options) {
  const auto [lowest, highest] = RawLimits(field, options);
  return {FromRaw(field, lowest, options), FromRaw(field, highest, options)};
}

std::pair<double, double> FieldLimits(const FieldSpec& field, const CodecOptions& options) {
  const auto [minimum, maximum] = FieldRange(field, options);
  if (!HasRange(field)) return {minimum, maximum};
  return {std::max(minimum, field.minimum), std::min(maximum, field.maximum)};
}

absl::StatusOr<double> Quantize(const FieldSpec& field, double value, const CodecOptions& options) {
  const absl::StatusOr<int64_t> raw = ToRaw(field, value, options);
  if (!raw.ok()) return raw.status();
  return FromRaw(field, *raw, options);
}

}  // namespace canhub::ystech_pcs
