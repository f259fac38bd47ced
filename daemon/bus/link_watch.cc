#include "daemon/bus/link_watch.h"

#include <cerrno>
#include <utility>

#include "daemon/bus/io.h"

namespace canhub {

std::string ExplainOpenError(const std::string& interface, int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return "no right to open CAN interface " + interface +
             ": run as a user that may open raw CAN sockets, or give the service "
             "CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_RAW)";
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case ESOCKTNOSUPPORT:
      return "this kernel has no CAN support (needed: modules can and can_raw; try: modprobe "
             "can_raw), so " +
             interface + " cannot be opened";
    case ENODEV:
    case ENXIO:
      return "no CAN interface " + interface +
             " (ip -details link show type can lists those there "
             "are)";
    case ENETDOWN:
      return "interface " + interface + " is down (ip link set " + interface + " up)";
    default:
      return "interface " + interface + " cannot be opened: " + ErrnoText(error);
  }
}

LinkWatch::LinkWatch(std::string interface, uint32_t bitrate)
    : interface_(std::move(interface)), configured_bitrate_(bitrate) {}

void LinkWatch::OnLink(const LinkInfo& link) {
  ++revision_;
  if (link.name != interface_) {
    // Renamed away: what we had is not ours any more.
    if (present_ && link.index == index_ && !link.name.empty()) OnAbsent();
    return;
  }
  if (link.deleted) {
    if (link.index == index_ || !present_) OnAbsent();
    return;
  }
  if (present_ && link.index != index_) OnAbsent();  // gone and back without a message between
  present_ = true;
  index_ = link.index;
  is_can_ = link.is_can;
  if (!link.up) {
    // The next start of the interface begins with a new controller.
    controller_ = BusState::kActive;
    opened_ = false;
  }
  up_ = link.up;
  if (!link.kind.empty()) kind_ = link.kind;
  if (link.bitrate != 0) bitrate_ = link.bitrate;
  listen_only_ = link.listen_only;
  if (link.restart_ms) restart_ms_ = link.restart_ms;
  if (link.up && link.controller && *link.controller != BusState::kDown) {
    controller_ = *link.controller;
  }
}

void LinkWatch::OnAbsent() {
  ++revision_;
  present_ = up_ = opened_ = is_can_ = listen_only_ = false;
  index_ = 0;
  bitrate_ = 0;
  restart_ms_.reset();
  kind_.clear();
  controller_ = BusState::kActive;
  error_text_.clear();
}

void LinkWatch::OnOpened() {
  ++revision_;
  opened_ = true;
  error_text_.clear();
}

void LinkWatch::OnOpenFailed(int error) {
  ++revision_;
  opened_ = false;
  error_text_ = ExplainOpenError(interface_, error);
  if (error == ENODEV || error == ENXIO) {
    const std::string text = std::move(error_text_);
    OnAbsent();
    error_text_ = text;
  }
}

void LinkWatch::OnSocketError(int error) {
  ++revision_;
  if (error == ENETDOWN) {
    up_ = opened_ = false;
    controller_ = BusState::kActive;
  } else if (error == ENODEV || error == ENXIO) {
    OnAbsent();
  } else {
    OnOpenFailed(error);
  }
}

void LinkWatch::OnErrorFrame(const ErrorFrame& error) {
  ++revision_;
  if (error.state) controller_ = *error.state;
}

BusState LinkWatch::state() const {
  if (!present_ || !is_can_) return BusState::kUnplugged;
  if (!up_ || wrong_bitrate()) return BusState::kDown;
  if (!opened_) return BusState::kUnplugged;
  if (controller_ == BusState::kBusOff) return BusState::kBusOff;
  if (listen_only_) return BusState::kDown;
  return controller_;
}

std::string LinkWatch::text() const {
  if (!present_) {
    return error_text_.empty() ? ExplainOpenError(interface_, ENODEV) : error_text_;
  }
  if (!is_can_) return interface_ + " is not a CAN interface";
  if (!up_) return ExplainOpenError(interface_, ENETDOWN);
  if (wrong_bitrate()) {
    return "interface " + interface_ + " runs at " + std::to_string(bitrate_) +
           " bit/s, configured are " + std::to_string(configured_bitrate_) +
           " bit/s: nothing is sent, a wrong bit rate disturbs the whole line (ip link set " +
           interface_ + " down; ip link set " + interface_ + " up type can bitrate " +
           std::to_string(configured_bitrate_) + ")";
  }
  if (!opened_) return error_text_.empty() ? "being opened" : error_text_;
  switch (controller_) {
    case BusState::kBusOff:
      if (restart_ms_ == 0u) {
        return "bus-off: the controller stopped after too many transmit errors and is not "
               "restarted by itself (ip link set " +
               interface_ + " type can restart)";
      }
      return "bus-off: the controller stopped after too many transmit errors" +
             (restart_ms_ ? "; it restarts after " + std::to_string(*restart_ms_) + " ms" : "");
    case BusState::kPassive:
      return "error passive: many errors on the line (termination, bit rate, a lone node?)";
    case BusState::kWarning:
      return "error warning: errors on the line";
    default:
      break;
  }
  if (listen_only_) return "interface " + interface_ + " only listens (listen-only on)";
  return "";
}

}  // namespace canhub
