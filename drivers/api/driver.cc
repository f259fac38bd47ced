#include "drivers/api/driver.h"

#include <cassert>

namespace canhub {

const Value* FindArgument(const Arguments& arguments, std::string_view name) {
  for (const auto& [key, value] : arguments) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string_view ToString(Stage stage) {
  switch (stage) {
    case Stage::kAccepted:
      return "accepted";
    case Stage::kSent:
      return "sent";
    case Stage::kOnWire:
      return "on the wire";
    case Stage::kConfirmed:
      return "confirmed";
    case Stage::kSettled:
      return "settled";
  }
  return "";
}

std::string_view ToString(LinkState state) {
  switch (state) {
    case LinkState::kSearching:
      return "searching";
    case LinkState::kIdentifying:
      return "identifying";
    case LinkState::kOnline:
      return "online";
    case LinkState::kLost:
      return "lost";
    case LinkState::kBusDown:
      return "bus down";
    case LinkState::kUnsupported:
      return "unsupported";
  }
  return "";
}

std::string_view ToString(BusState state) {
  switch (state) {
    case BusState::kActive:
      return "active";
    case BusState::kWarning:
      return "warning";
    case BusState::kPassive:
      return "passive";
    case BusState::kBusOff:
      return "bus-off";
    case BusState::kDown:
      return "down";
    case BusState::kUnplugged:
      return "unplugged";
  }
  return "";
}

std::string_view ToString(Role role) {
  switch (role) {
    case Role::kNone:
      return "none";
    case Role::kViewer:
      return "viewer";
    case Role::kOperator:
      return "operator";
    case Role::kEngineer:
      return "engineer";
  }
  return "";
}

const Value& DeviceConfig::Parameter(std::string_view name) const {
  const auto it = parameters.find(name);
  assert(it != parameters.end());
  return it->second;
}

}  // namespace canhub
