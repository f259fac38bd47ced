// Studer Public Protocol on Xcom-CAN, wire format only: no I/O, no clock, no state.
//
// Facts: "Studer facts", the sections named here. Every frame is extended, its identifier is
// destination (10 bits), source (10), service (3), flags (6); numbers are big-endian, values are
// binary32 whatever the object's own format (sections 2, 3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/bad_frame.h"
#include "drivers/api/can_frame.h"
#include "drivers/api/errors.h"

namespace canhub::studer {

inline constexpr uint16_t kMaxAddress = 0x3FF;
// Notifications are sent to the group of remote controls (section 8).
inline constexpr uint16_t kNotificationAddress = 500;

// Section 2.1.
enum class Service : uint8_t {
  kReadInfo = 0,
  kReadParameter = 1,
  kWriteParameter = 2,
  kMessage = 3,
};

// Section 3.1. Reading kRam gives the flash value: there is no way to read what is in RAM.
enum class Part : uint8_t { kFlash = 0, kMinimum = 1, kMaximum = 2, kRam = 4 };
std::string_view ToString(Part part);  // "flash", "minimum", "maximum", "ram"
bool IsPart(uint8_t byte);

struct Identifier {
  uint16_t destination = 0;
  uint16_t source = 0;
  uint8_t service = 0;  // 0 … 7
  uint8_t flags = 0;    // 0 … 63; bit 0: error, the others are ignored (section 2)
  bool error() const { return (flags & 1) != 0; }
};
uint32_t MakeId(const Identifier& identifier);
Identifier ParseId(uint32_t id);

// What a client asks.
struct Request {
  uint16_t destination = 0;
  uint16_t source = 0;  // the client
  Service service = Service::kReadInfo;
  uint16_t object = 0;
  uint8_t part = 0;  // services 1 and 2
  float value = 0;   // service 2

  friend bool operator==(const Request&, const Request&) = default;
};
CanFrame EncodeRequest(const Request& request);
// For the device side. INVALID_ARGUMENT: not extended, a service that is no request ("service"), an
// error bit ("flags"), or not exactly as long as the service's layout ("length").
absl::StatusOr<Request> DecodeRequest(const CanFrame& frame);

// What comes back, or by itself.
struct Answer {
  enum class Kind : uint8_t { kValue, kError, kMessage };
  Kind kind = Kind::kValue;
  uint16_t destination = 0;
  uint16_t source = 0;
  Service service = Service::kReadInfo;
  // Information, parameter or message. Of an error it is inferred only (section 3): nothing may
  // depend on it.
  uint16_t object = 0;
  uint8_t part = 0;         // values of services 1 and 2
  float value = 0;          // kValue; any NaN is legal (section 3.2)
  uint32_t error_code = 0;  // kError
  uint32_t message_value = 0;
};
CanFrame EncodeAnswer(const Answer& answer);
// Data longer than the layout is accepted, the rest ignored (section 3). INVALID_ARGUMENT, with the
// reason of BadFrameReason: "not_extended", "unknown_service", "short_frame", "error_message" (a
// notification with the error bit).
absl::StatusOr<Answer> DecodeAnswer(const CanFrame& frame);

// Section 6. nullptr: a number without a name; it is passed on as a number.
const char* ErrorName(uint32_t code);
// "DATA_TOO_BIG (0x28)", "error 0x1234".
std::string ErrorText(uint32_t code);
enum class Reaction : uint8_t { kReport, kRetryLater, kRetryOnce, kAbsent, kNoSuchObject };
Reaction ReactionTo(uint32_t code);
// The status of a call that a unit answered with this code: the text begins with `what`, reason
// STUDER_ERROR, and the fields, beside the given ones, "error" (the vendor's name) and
// "error_code".
absl::Status ErrorStatus(uint32_t code, std::string_view what, ErrorFields fields = {});

// Frames of one client with these sources: answers to `client`, notifications of `unit`.
CanFilter AnswerFilter(uint16_t client, uint16_t unit);
CanFilter NotificationFilter(uint16_t unit);
// The same from anyone: of a gateway.
CanFilter AllAnswersFilter(uint16_t client);

}  // namespace canhub::studer
