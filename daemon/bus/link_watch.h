// Decides, from what the kernel tells, whether a CAN interface can be used and what to say about
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/bus/can_error_frame.h"
#include "daemon/bus/link_message.h"
#include "drivers/api/can_bus.h"

namespace canhub {

// The state of one interface:
//
//   kUnplugged  no such interface, or not a CAN one, or no right or no kernel support to open it
//   kDown       there, but down, or at another bit rate than configured, or listening only
//   kBusOff     the controller went bus-off
//   kActive, kWarning, kPassive  usable, as the controller tells
//
//   absent ⇄ down ⇄ usable by link messages; usable ⇄ bus-off by error frames and link messages;
//   anything → kUnplugged when the socket says ENODEV; usable → kDown when it says ENETDOWN.
//
// Pure, not thread-safe. The owner opens a socket when wants_socket() and closes it when not.
class LinkWatch {
 public:
  // `bitrate`: what the configuration says; 0 accepts any.
  LinkWatch(std::string interface, uint32_t bitrate);

  void OnLink(const LinkInfo& link);
  // The kernel knows no interface of this name.
  void OnAbsent();
  void OnOpened();
  void OnOpenFailed(int error);   // errno of socket, bind or setsockopt
  void OnSocketError(int error);  // errno of a read or write: ENETDOWN, ENODEV, …
  void OnErrorFrame(const ErrorFrame& error);

  // A socket bound to link_index() should be open.
  bool wants_socket() const { return present_ && is_can_ && up_ && !wrong_bitrate(); }
  int link_index() const { return index_; }
  const std::string& kind() const { return kind_; }
  // True when no bit rate limits the line: vcan and its kin.
  bool is_virtual() const { return kind_ == "vcan" || kind_ == "vxcan"; }
  BusState state() const;
  std::string text() const;
  // Rises with every event: state and text are as before while it stands.
  uint64_t revision() const { return revision_; }

 private:
  bool wrong_bitrate() const {
    return configured_bitrate_ != 0 && bitrate_ != 0 && bitrate_ != configured_bitrate_;
  }

  const std::string interface_;
  const uint32_t configured_bitrate_;
  bool present_ = false;
  bool is_can_ = false;
  bool up_ = false;
  bool listen_only_ = false;
  bool opened_ = false;
  int index_ = 0;
  uint32_t bitrate_ = 0;
  std::optional<uint32_t> restart_ms_;
  std::string kind_;
  BusState controller_ = BusState::kActive;
  uint64_t revision_ = 1;
  std::string error_text_;  // why the socket cannot be opened; "" when it can
};

// What an errno of opening a CAN socket means and what to do about it.
std::string ExplainOpenError(const std::string& interface, int error);

}  // namespace canhub
