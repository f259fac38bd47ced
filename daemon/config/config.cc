#include "daemon/config/config.h"

#include <array>
#include <utility>

namespace canhub {
namespace {

constexpr std::array<std::pair<std::string_view, LogLevel>, 5> kLogLevels = {{
    {"trace", LogLevel::kTrace},
    {"debug", LogLevel::kDebug},
    {"info", LogLevel::kInfo},
    {"warning", LogLevel::kWarning},
    {"error", LogLevel::kError},
}};

}  // namespace

std::string_view ToString(BusType type) {
  switch (type) {
    case BusType::kSocketCan:
      return "socketcan";
    case BusType::kSimulated:
      return "simulated";
    case BusType::kSocketcand:
      return "socketcand";
  }
  return "?";
}

AccessRules AccessConfig::Rules() const {
  std::vector<AccessRule> all = rules;
  for (const char* own_machine : {"unix:*", "tcp:127.*", "tcp:::1", "inproc"}) {
    all.push_back({own_machine, local});
  }
  return AccessRules(std::move(all), remote);
}

const BusConfig* Config::FindBus(std::string_view id) const {
  for (const BusConfig& bus : buses) {
    if (bus.id == id) return &bus;
  }
  return nullptr;
}

const DeviceEntry* Config::FindDevice(std::string_view id) const {
  for (const DeviceEntry& device : devices) {
    if (device.config.id == id) return &device;
  }
  return nullptr;
}

std::optional<LogLevel> ParseLogLevel(std::string_view text) {
  for (const auto& [name, level] : kLogLevels) {
    if (name == text) return level;
  }
  return std::nullopt;
}

std::string_view ToString(LogLevel level) {
  for (const auto& [name, value] : kLogLevels) {
    if (value == level) return name;
  }
  return "?";
}

}  // namespace canhub
