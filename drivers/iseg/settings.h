// The YAML's keys of one iseg device, checked and typed.
#pragma once

#include <optional>

#include "drivers/api/driver.h"
#include "drivers/iseg/edcp.h"

namespace canhub::iseg {

enum class ChannelRampUse : uint8_t { kAuto, kYes, kNo };

struct Settings {
  DeviceAddress address;
  Duration fast_period{};
  Duration slow_period{};
  Duration rare_period{};
  Duration single_timeout{};
  Duration multiple_timeout{};
  bool short_form = false;
  bool group_lists = true;
  bool anti_collision = false;
  int channels = 0;  // 0: ask the module
  ChannelRampUse channel_ramp = ChannelRampUse::kAuto;
  double read_back_tolerance_percent = 0;  // of the nominal value; 0: exact after binary32
  double settle_tolerance_percent = 0.5;   // of the nominal voltage
};

Settings ParseSettings(const DeviceConfig& config);
// The driver's own keys, without the simulator's.
std::vector<ParameterSpec> DriverParameters();

// Names of the configured limits: DriverInfo::limits.
inline constexpr char kLimitVoltage[] = "voltage";
inline constexpr char kLimitCurrent[] = "current";
inline constexpr char kLimitRamp[] = "ramp";

struct ConfiguredLimit {
  double value = 0;
  std::string origin;  // "lab.yaml:41, devices.hv0.limits.voltage"
};
std::optional<ConfiguredLimit> FindLimit(const DeviceConfig& config, std::string_view name);

}  // namespace canhub::iseg
