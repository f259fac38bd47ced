#include "drivers/studer/codec.h"

#include <array>
#include <bit>
#include <cstdio>

namespace canhub::studer {
namespace {

constexpr uint32_t kDestinationShift = 19;
constexpr uint32_t kSourceShift = 9;
constexpr uint32_t kServiceShift = 6;
constexpr uint32_t kDestinationMask = 0x1FF80000;
constexpr uint32_t kSourceMask = 0x0007FE00;
constexpr uint32_t kServiceMask = 0x000001C0;
constexpr uint32_t kFlagsMask = 0x0000003F;

// Bytes of the layouts, section 3.
constexpr uint8_t kInfoRequest = 2, kParameterRequest = 3, kWriteRequest = 7;
constexpr uint8_t kInfoAnswer = 6, kParameterAnswer = 7, kLongForm = 6;

absl::Status Bad(std::string_view reason, const CanFrame& frame, const std::string& why) {
  return BadFrame(reason, FormatFrame(frame) + ": " + why);
}

void PutU16(CanFrame& frame, size_t at, uint16_t value) {
  frame.data[at] = static_cast<uint8_t>(value >> 8);
  frame.data[at + 1] = static_cast<uint8_t>(value);
}
void PutU32(CanFrame& frame, size_t at, uint32_t value) {
  PutU16(frame, at, static_cast<uint16_t>(value >> 16));
  PutU16(frame, at + 2, static_cast<uint16_t>(value));
}
void PutFloat(CanFrame& frame, size_t at, float value) {
  PutU32(frame, at, std::bit_cast<uint32_t>(value));
}
uint16_t GetU16(const CanFrame& frame, size_t at) {
  return static_cast<uint16_t>(frame.data[at] << 8 | frame.data[at + 1]);
}
uint32_t GetU32(const CanFrame& frame, size_t at) {
  return uint32_t{GetU16(frame, at)} << 16 | GetU16(frame, at + 2);
}
float GetFloat(const CanFrame& frame, size_t at) { return std::bit_cast<float>(GetU32(frame, at)); }

CanFrame ExtendedFrame(const Identifier& identifier, uint8_t dlc) {
  CanFrame frame;
  frame.id = MakeId(identifier);
  frame.extended = true;
  frame.dlc = dlc;
  return frame;
}

struct ErrorRow {
  uint32_t code;
  const char* name;
  absl::StatusCode status;
  Reaction reaction;
  const char* meaning;
};

using absl::StatusCode;

// Section 6: names, meanings, and what a driver should do.
constexpr std::array kErrors = {
    ErrorRow{0x01, "INVALID_FRAME", StatusCode::kInternal, Reaction::kReport,
             "the gateway calls the frame malformed"},
    ErrorRow{0x02, "DEVICE_NOT_FOUND", StatusCode::kUnavailable, Reaction::kAbsent,
             "the gateway knows no unit at this address"},
    ErrorRow{0x03, "RESPONSE_TIMEOUT", StatusCode::kUnavailable, Reaction::kRetryLater,
             "the unit did not answer the gateway"},
    ErrorRow{0x11, "SERVICE_NOT_SUPPORTED", StatusCode::kUnimplemented, Reaction::kReport,
             "the gateway does not know the service"},
    ErrorRow{0x12, "INVALID_SERVICE_ARGUMENT", StatusCode::kInvalidArgument, Reaction::kReport,
             "the gateway does not take the argument, for example the part"},
    ErrorRow{0x13, "GATEWAY_BUSY", StatusCode::kUnavailable, Reaction::kRetryLater,
             "the gateway is busy"},
    ErrorRow{0x21, "TYPE_NOT_SUPPORTED", StatusCode::kUnimplemented, Reaction::kReport,
             "unknown type of object"},
    ErrorRow{0x22, "OBJECT_ID_NOT_FOUND", StatusCode::kNotFound, Reaction::kNoSuchObject,
             "the unit has no such object"},
    ErrorRow{0x23, "PROPERTY_NOT_SUPPORTED", StatusCode::kUnimplemented, Reaction::kReport,
             "the object has no such property"},
    ErrorRow{0x24, "INVALID_DATA_LENGTH", StatusCode::kInternal, Reaction::kReport,
             "wrong number of data bytes"},
    ErrorRow{0x25, "PROPERTY_IS_READ_ONLY", StatusCode::kFailedPrecondition, Reaction::kReport,
             "it cannot be written"},
    ErrorRow{0x26, "INVALID_DATA", StatusCode::kInvalidArgument, Reaction::kReport,
             "an impossible value"},
    ErrorRow{0x27, "DATA_TOO_SMALL", StatusCode::kOutOfRange, Reaction::kReport,
             "below the unit's minimum"},
    ErrorRow{0x28, "DATA_TOO_BIG", StatusCode::kOutOfRange, Reaction::kReport,
             "above the unit's maximum"},
    ErrorRow{0x29, "WRITE_PROPERTY_FAILED", StatusCode::kUnavailable, Reaction::kRetryOnce,
             "the unit could not write it"},
    ErrorRow{0x2A, "READ_PROPERTY_FAILED", StatusCode::kUnavailable, Reaction::kRetryOnce,
             "the unit could not read it"},
    ErrorRow{0x2B, "ACCESS_DENIED", StatusCode::kFailedPrecondition, Reaction::kReport,
             "the access level of this protocol does not reach it"},
    ErrorRow{0x2C, "OBJECT_NOT_SUPPORTED", StatusCode::kNotFound, Reaction::kNoSuchObject,
             "this gateway does not offer the object"},
    ErrorRow{0x2D, "MULTICAST_READ_NOT_SUPPORTED", StatusCode::kUnimplemented, Reaction::kReport,
             "a group of units cannot be read"},
    ErrorRow{0x2E, "OBJECT_PROPERTY_INVALID", StatusCode::kInternal, Reaction::kReport,
             "of file transfers, which CAN does not have"},
    ErrorRow{0x2F, "FILE_OR_DIR_NOT_PRESENT", StatusCode::kInternal, Reaction::kReport,
             "of file transfers, which CAN does not have"},
    ErrorRow{0x30, "FILE_CORRUPTED", StatusCode::kInternal, Reaction::kReport,
             "of file transfers, which CAN does not have"},
    ErrorRow{0x81, "INVALID_SHELL_ARG", StatusCode::kInternal, Reaction::kReport,
             "of the vendor's command line"},
};

const ErrorRow* FindError(uint32_t code) {
  for (const ErrorRow& row : kErrors) {
    if (row.code == code) return &row;
  }
  return nullptr;
}

}  // namespace

std::string_view ToString(Part part) {
  switch (part) {
    case Part::kFlash:
      return "flash";
    case Part::kMinimum:
      return "minimum";
    case Part::kMaximum:
      return "maximum";
    case Part::kRam:
      return "ram";
  }
  return "";
}

bool IsPart(uint8_t byte) { return byte <= 2 || byte == 4; }

uint32_t MakeId(const Identifier& identifier) {
  return (uint32_t{identifier.destination} << kDestinationShift & kDestinationMask) |
         (uint32_t{identifier.source} << kSourceShift & kSourceMask) |
         (uint32_t{identifier.service} << kServiceShift & kServiceMask) |
         (identifier.flags & kFlagsMask);
}

Identifier ParseId(uint32_t id) {
  return {.destination = static_cast<uint16_t>((id & kDestinationMask) >> kDestinationShift),
          .source = static_cast<uint16_t>((id & kSourceMask) >> kSourceShift),
          .service = static_cast<uint8_t>((id & kServiceMask) >> kServiceShift),
          .flags = static_cast<uint8_t>(id & kFlagsMask)};
}

CanFrame EncodeRequest(const Request& request) {
  const uint8_t dlc = request.service == Service::kReadInfo        ? kInfoRequest
                      : request.service == Service::kReadParameter ? kParameterRequest
                                                                   : kWriteRequest;
  CanFrame frame = ExtendedFrame({.destination = request.destination,
                                  .source = request.source,
                                  .service = static_cast<uint8_t>(request.service)},
                                 dlc);
  PutU16(frame, 0, request.object);
  if (dlc >= kParameterRequest) frame.data[2] = request.part;
  if (dlc == kWriteRequest) PutFloat(frame, 3, request.value);
  return frame;
}

absl::StatusOr<Request> DecodeRequest(const CanFrame& frame) {
  if (!frame.extended || frame.remote) {
    return Bad("not_extended", frame, "found no extended data frame, expected one");
  }
  const Identifier identifier = ParseId(frame.id);
  if (identifier.service > static_cast<uint8_t>(Service::kWriteParameter)) {
    return Bad("service", frame,
               "found service " + std::to_string(identifier.service) + ", expected 0 to 2");
  }
  if (identifier.flags != 0) {
    return Bad("flags", frame,
               "found flags " + std::to_string(identifier.flags) + ", expected none");
  }
  Request request{.destination = identifier.destination,
                  .source = identifier.source,
                  .service = static_cast<Service>(identifier.service)};
  const uint8_t expected = EncodeRequest(request).dlc;
  if (frame.dlc != expected) {
    return Bad(
        "length", frame,
        "found " + std::to_string(frame.dlc) + " bytes, expected " + std::to_string(expected));
  }
  request.object = GetU16(frame, 0);
  if (frame.dlc >= kParameterRequest) request.part = frame.data[2];
  if (frame.dlc == kWriteRequest) request.value = GetFloat(frame, 3);
  return request;
}

CanFrame EncodeAnswer(const Answer& answer) {
  const bool error = answer.kind == Answer::Kind::kError;
  const bool has_part = answer.kind == Answer::Kind::kValue && answer.service != Service::kReadInfo;
  CanFrame frame = ExtendedFrame({.destination = answer.destination,
                                  .source = answer.source,
                                  .service = static_cast<uint8_t>(answer.service),
                                  .flags = static_cast<uint8_t>(error ? 1 : 0)},
                                 has_part ? kParameterAnswer : kInfoAnswer);
  PutU16(frame, 0, answer.object);
  if (has_part) {
    frame.data[2] = answer.part;
    PutFloat(frame, 3, answer.value);
  } else if (error) {
    PutU32(frame, 2, answer.error_code);
  } else if (answer.kind == Answer::Kind::kMessage) {
    PutU32(frame, 2, answer.message_value);
  } else {
    PutFloat(frame, 2, answer.value);
  }
  return frame;
}

absl::StatusOr<Answer> DecodeAnswer(const CanFrame& frame) {
  if (!frame.extended || frame.remote) {
    return Bad("not_extended", frame, "found no extended data frame, expected one");
  }
  const Identifier identifier = ParseId(frame.id);
  if (identifier.service > static_cast<uint8_t>(Service::kMessage)) {
    return Bad("unknown_service", frame,
               "found service " + std::to_string(identifier.service) + ", expected 0 to 3");
  }
  Answer answer{.destination = identifier.destination,
                .source = identifier.source,
                .service = static_cast<Service>(identifier.service)};
  const bool message = answer.service == Service::kMessage;
  if (message && identifier.error()) {
    return Bad("error_message", frame, "found a notification with the error bit");
  }
  const bool has_part = !message && !identifier.error() && answer.service != Service::kReadInfo;
  const uint8_t expected = has_part ? kParameterAnswer : kLongForm;
  if (frame.dlc < expected) {
    return Bad(
        "short_frame", frame,
        "found " + std::to_string(frame.dlc) + " bytes, expected " + std::to_string(expected));
  }
  answer.object = GetU16(frame, 0);
  if (message) {
    answer.kind = Answer::Kind::kMessage;
    answer.message_value = GetU32(frame, 2);
  } else if (identifier.error()) {
    answer.kind = Answer::Kind::kError;
    answer.error_code = GetU32(frame, 2);
  } else if (has_part) {
    answer.part = frame.data[2];
    answer.value = GetFloat(frame, 3);
  } else {
    answer.value = GetFloat(frame, 2);
  }
  return answer;
}

const char* ErrorName(uint32_t code) {
  const ErrorRow* row = FindError(code);
  return row == nullptr ? nullptr : row->name;
}

std::string ErrorText(uint32_t code) {
  char number[16];
  std::snprintf(number, sizeof(number), "0x%02X", static_cast<unsigned>(code));
  const char* name = ErrorName(code);
  if (name == nullptr) return std::string("error ") + number;
  return std::string(name) + " (" + number + ")";
}

Reaction ReactionTo(uint32_t code) {
  const ErrorRow* row = FindError(code);
  return row == nullptr ? Reaction::kReport : row->reaction;
}

absl::Status ErrorStatus(uint32_t code, std::string_view what, ErrorFields fields) {
  const ErrorRow* row = FindError(code);
  fields["error"] = row == nullptr ? "" : row->name;
  fields["error_code"] = std::to_string(code);
  return MakeError(row == nullptr ? StatusCode::kFailedPrecondition : row->status, "STUDER_ERROR",
                   std::string(what) + ": answered with " + ErrorText(code) +
                       (row == nullptr ? "" : std::string(": ") + row->meaning),
                   std::move(fields));
}

CanFilter AnswerFilter(uint16_t client, uint16_t unit) {
  return {.id = MakeId({.destination = client, .source = unit}),
          .mask = kDestinationMask | kSourceMask,
          .extended = true};
}

CanFilter NotificationFilter(uint16_t unit) { return AnswerFilter(kNotificationAddress, unit); }

CanFilter AllAnswersFilter(uint16_t client) {
  return {.id = MakeId({.destination = client}), .mask = kDestinationMask, .extended = true};
}

}  // namespace canhub::studer
