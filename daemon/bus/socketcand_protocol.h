// The text protocol of socketcand, raw mode. Facts: github.com/linux-can/socketcand,
// doc/protocol.md and state_raw.c; what python-can's "socketcand" interface accepts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "drivers/api/can_frame.h"

namespace canhub {

// Cuts a byte stream into elements "< … >". Never holds more than kMaxElement bytes: longer ones,
// and bytes outside the brackets other than blanks, are dropped and counted.
class ElementParser {
 public:
  // The longest of ours, "< send 1FFFFFFF 8 11 … 88 >", has 44; error texts may be longer.
  static constexpr size_t kMaxElement = 256;

  void Feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next element's words, without the brackets and outer blanks; nullopt until more arrives.
  std::optional<std::string> Next();
  uint64_t dropped() const { return dropped_; }
  void Clear() {
    buffer_.clear();
    position_ = 0;
    inside_ = overlong_ = false;
    element_.clear();
  }

 private:
  std::string buffer_;
  size_t position_ = 0;
  bool inside_ = false;
  bool overlong_ = false;
  std::string element_;
  uint64_t dropped_ = 0;
};

struct SocketcandMessage {
  enum class Type : uint8_t {
    kUnknown,    // no words we know
    kMalformed,  // words we know, wrongly filled
    kHi,
    kOk,
    kOpen,  // text: the bus's name
    kRawMode,
    kEcho,
    kSend,        // frame
    kFrame,       // frame, seconds
    kErrorFrame,  // error_class, seconds
    kError,       // text
  };
  Type type = Type::kUnknown;
  std::string text;
  CanFrame frame;
  uint32_t error_class = 0;
};

// One element's words. Three digits make an 11-bit identifier, eight a 29-bit one, as socketcand
// does; python-can writes bytes without a leading zero, socketcand sends them in one piece.
SocketcandMessage ParseSocketcand(std::string_view words);

// "< send 123 2 11 22 >", "< sendrtr 123 2 >".
std::string FormatSend(const CanFrame& frame);
// "< frame 123 1700000000.123456 1122 >", "< rtr 123 1700000000.123456 2 >". A frame without data
// has two blanks before the bracket: python-can needs the empty word.
std::string FormatReceived(const CanFrame& frame, WallTime time);
// "< error 004 1700000000.123456 >": the class of linux/can/error.h, as socketcand sends it. It has
// no place for the details; a client that wants them takes them from canhub's own API.
std::string FormatErrorFrame(uint32_t error_class, WallTime time);

}  // namespace canhub
