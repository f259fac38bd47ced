// EDCP wire format of iseg modules and crate controllers: bytes to values and back. No I/O, no
// clock, no state. Facts: README.md in this folder; "section" and "row" below are its sources.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/bad_frame.h"
#include "drivers/api/can_frame.h"
#include "drivers/api/value.h"

namespace canhub::iseg {

// ---------------------------------------------------------------- identifiers (section 3)

inline constexpr uint32_t kReadBit = 0x001;           // DATA_DIR: read request or announcement
inline constexpr uint32_t kExtendedListBit = 0x002;   // EXT_INSTR: sent 0, ignored on reception
inline constexpr uint32_t kAntiCollisionBit = 0x004;  // may be set in answers (section 9.5)
inline constexpr uint32_t kPassiveBit = 0x200;        // 1 in all EDCP traffic of devices
inline constexpr uint32_t kCrateBit = 0x400;
inline constexpr int kAddressShift = 3;
inline constexpr uint32_t kNmtId = 0x004;
inline constexpr int kLineShift = 12;  // of the 29-bit form
inline constexpr int kMaxAddress = 63;
inline constexpr int kMaxLine = 15;
inline constexpr int kMaxChannels = 48;

// Where a device sits. Line 0 is the bus itself (11-bit frames), 1 … 15 are slave crates' lines
// behind a master controller (29-bit frames).
struct DeviceAddress {
  int number = 0;  // 0 … 63
  bool crate = false;
  int line = 0;
  friend bool operator==(const DeviceAddress&, const DeviceAddress&) = default;
};

// The identifier a master writes to and the device answers with, without and with the read bit.
uint32_t WriteId(const DeviceAddress& address);
uint32_t ReadId(const DeviceAddress& address);
// Passes what the device sends: answers, with anti-collision too, and announcements. Also passes
// what another master sends to it: the identifiers are the same.
CanFilter DeviceFilter(const DeviceAddress& address);

// Who an identifier belongs to. `nmt` is a frame to all devices of the line (0x004, 0x006).
struct Identifier {
  DeviceAddress device;
  bool nmt = false;
  bool read = false;            // read request, or announcement
  bool extended_list = false;   // EXT_INSTR
  bool anti_collision = false;  // bit 2 in a device's frame
  bool passive = true;          // bit 9
};
// nullopt: remote frame, 29-bit frame with bit 11 or bits above the line, NMT with other bits set.
std::optional<Identifier> ParseIdentifier(const CanFrame& frame);

// ---------------------------------------------------------------- frames without EDCP DATA_ID

inline constexpr uint8_t kDcpLogOn = 0xD8;
inline constexpr uint8_t kDcpGeneralStatus = 0xC0;
inline constexpr uint8_t kDcpIdentity = 0xE0;

CanFrame LogOnFrame(const DeviceAddress& address);
CanFrame LogOffFrame(const DeviceAddress& address);
CanFrame AnnouncementFrame(const DeviceAddress& address, uint8_t general_status,
                           uint8_t device_class);
// DCP reads have one byte; the 8-bit DATA_ID has bit 7 set.
CanFrame DcpReadFrame(const DeviceAddress& address, uint8_t data_id);
// At most 7 bytes after the DATA_ID.
CanFrame DcpWriteFrame(const DeviceAddress& address, uint8_t data_id,
                       std::span<const uint8_t> value);

// Commands to every device of a line (section 9.2).
enum class Nmt : uint8_t {
  kStart = 0xC4,
  kStop = 0xC8,
  kResetCan = 0xCC,
  kHardwareReset = 0xD0,
  kLiveInsertion = 0xE0,   // data 06 on, 00 off
  kBroadcastWrite = 0xE8,  // data 00, then an EDCP write in multiple form without channel
  kConfigure = 0xF8,       // data 00 01: configure and announce; 00 00: release
};
inline constexpr uint8_t kLiveInsertionOnByte = 0x06;
CanFrame NmtFrame(int line, Nmt command, std::span<const uint8_t> data = {});
CanFrame LiveInsertionFrame(int line, bool on);
// E8 00 <multiple DATA_ID> <UI2>: a channel register of all channels of all modules (section 9.4).
CanFrame BroadcastFrame(int line, uint16_t multiple_id, uint16_t value);

// DCP's answer to E0 (rows 5 and 6): binary-coded decimal.
struct DcpIdentity {
  uint32_t serial_number = 0;  // six digits
  int message_mode = 0;
  int release = 0;  // three digits
  int channels = 0;
};
absl::StatusOr<DcpIdentity> DecodeDcpIdentity(std::span<const uint8_t> after_id);
CanFrame DcpIdentityFrame(const DeviceAddress& address, const DcpIdentity& identity);

// ---------------------------------------------------------------- DATA_IDs (section 6)

enum class AccessClass : uint8_t { kModule, kGroup, kChannel, kMultiple };
inline constexpr uint16_t kMultipleBit = 0x2000;   // of a channel's DATA_ID
inline constexpr uint16_t kMultipleMask = 0xDFFF;  // removes it
inline constexpr uint16_t kWideBit = 0x0080;       // the 32-bit form of a status register
// nullopt: none of the four class bits, or bit 15 set (that is DCP).
std::optional<AccessClass> ClassOf(uint16_t data_id);

// How a value lies in a frame. All big-endian.
enum class WireType : uint8_t {
  kUi1,
  kSi1,
  kUi2,
  kUi4,
  kUiAny,      // unsigned, 1 … 4 bytes: the length is not known (section 22)
  kR4,         // binary32, finite
  kR4Range,    // binary32, then a byte whose bit 0 says "low range" (0x4109)
  kName5,      // firmware name: five ASCII characters
  kText6,      // six ASCII characters (0x1240)
  kRelease,    // four bytes, a decimal digit each, shown as "05.71"
  kIndexedR4,  // group answer: index, then binary32
  kTextPiece,  // string group: piece number, then 0 … 5 characters
  kKey6,       // serial number as UI4, then the key 15 E6 (0x12F0)
};
// Bytes of the value without index or channel; 0 when it varies.
size_t WireLength(WireType type);

// Bytes of a value on the wire: 0 … 6 of them after an EDCP DATA_ID, 7 at most after one of DCP.
struct WireBytes {
  std::array<uint8_t, 7> data{};
  uint8_t size = 0;
  std::span<const uint8_t> view() const { return {data.data(), size}; }
};
// OUT_OF_RANGE when it does not fit the type: never clamped. Integers take Value::Integer and
// flags, R4 takes numbers and integers, names take text.
absl::StatusOr<WireBytes> EncodeValue(WireType type, const Value& value);

struct WireValue {
  Value value;
  bool low_range = false;  // kR4Range only
};
// `bytes`: after channel, index or piece number. Binary32 becomes the shortest decimal that rounds
// to the same binary32 (26.3, not 26.299999237), so that a set-point reads back as it was written.
absl::StatusOr<WireValue> DecodeValue(WireType type, std::span<const uint8_t> bytes);

// ---------------------------------------------------------------- requests (section 6.1)

CanFrame ReadModuleFrame(const DeviceAddress& address, uint16_t data_id);
CanFrame ReadChannelFrame(const DeviceAddress& address, uint16_t data_id, int channel);
// Channels `offset` + bit of `mask`; offset is a multiple of 16. `data_id` in either form. Mask 0
// with offset 0 asks for all channels (newer firmware only).
CanFrame ReadMultipleFrame(const DeviceAddress& address, uint16_t data_id, uint16_t mask,
                           uint8_t offset);
// Requires a value of at most 6 bytes.
CanFrame WriteModuleFrame(const DeviceAddress& address, uint16_t data_id, const WireBytes& value);
// Requires a value of at most 5 bytes.
CanFrame WriteChannelFrame(const DeviceAddress& address, uint16_t data_id, int channel,
                           const WireBytes& value);
// 0x12F0 (section 10). `set_values_only`: SetValuesReset instead of FactoryReset.
CanFrame FactoryResetFrame(const DeviceAddress& address, uint32_t serial_number,
                           bool set_values_only);

// ---------------------------------------------------------------- what devices send

struct Answer {
  enum class Kind : uint8_t {
    kAnnouncement,    // general_status, device_class
    kDcp,             // data_id is the 8-bit DATA_ID, bytes what follows
    kValue,           // data_id, index where the class has one, bytes
    kNotImplemented,  // data_id (and index): the device has no such item
    kBootLoader,      // 0x1599: the device waits for firmware; device_class
  };
  Kind kind = Kind::kValue;
  DeviceAddress from;
  uint8_t general_status = 0;
  uint8_t device_class = 0;
  uint16_t data_id = 0;  // multiple forms folded into the channel's own: 0x6102 → 0x4102
  bool multiple = false;
  // Channel; index of a group's member; number of a string's piece. -1: none.
  int index = -1;
  WireBytes bytes;
};
// INVALID_ARGUMENT with one of the reasons below. A DATA_ID without entry in registers.h parses as
// raw bytes (its class decides whether there is a channel). Reads of another master (read bit set,
// no announcement) are "foreign_master"; its writes cannot be told from answers.
absl::StatusOr<Answer> ParseAnswer(const CanFrame& frame);

// Decodes what ParseAnswer found, by the type in registers.h. Reason "unknown_data_id" when there
// is none. Requires kind kValue.
absl::StatusOr<WireValue> DecodeAnswer(const Answer& answer);

// What BadFrameReason finds in the errors of this header: "short_frame", "long_frame",
// "not_finite", "unknown_data_id", "bad_identifier", "foreign_master", "bad_text", "bad_digits",
// "bad_class".

// Puts the pieces of a string group together, in any order (section 6.1). Complete with the piece
// that has fewer than five characters and all before it, or at 64 characters.
class TextAssembler {
 public:
  // False when the piece lies beyond 64 characters; nothing is kept then.
  bool Add(int piece, std::span<const uint8_t> characters);
  bool complete() const;
  // What has come so far, up to the first gap.
  std::string text() const;
  void Clear();

 private:
  static constexpr int kPieceLength = 5;
  static constexpr int kMaxLength = 64;
  std::array<std::optional<std::string>, kMaxLength / kPieceLength + 1> pieces_;
};

}  // namespace canhub::iseg
