// The YAML's keys of one PCS, checked and typed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/ystech-pcs/frames.h"

namespace canhub::ystech_pcs {

struct Settings {
  uint8_t address = kDefaultAddress;
  CodecOptions codec;
  Duration lost_after{};     // without a status frame; also how long periodic readings are GOOD
  Duration reply_timeout{};  // of a command
  Duration poll{};           // mode, parameters, inputs
  Duration slow_poll{};      // protection parameters and settings
  std::string external_voltage, external_current;  // "device/item"; "" for none
  bool invert_external_current = false;
};

Settings ParseSettings(const DeviceConfig& config);
// The driver's own keys, without the simulator's.
std::vector<ParameterSpec> DriverParameters();

// Names of the configured limits: DriverInfo::limits.
inline constexpr char kLimitVoltage[] = "voltage";
inline constexpr char kLimitCurrent[] = "current";
inline constexpr char kLimitPower[] = "power";

struct ConfiguredLimit {
  double value = 0;
  std::string origin;  // "lab.yaml:41, devices.pcs1.limits.power"
};
std::optional<ConfiguredLimit> FindLimit(const DeviceConfig& config, std::string_view name);

}  // namespace canhub::ystech_pcs
