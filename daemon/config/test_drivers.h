// A made-up driver for the tests of this folder: every type of parameter, limits, safe actions and
// a cross-check.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub {

inline absl::Status CheckDemoPsu(const DeviceConfig& config) {
  const auto voltage = config.limits.find("voltage");
  if (config.Parameter("model").text() == "small" && voltage != config.limits.end() &&
      voltage->second > 1000) {
    return absl::InvalidArgumentError("limits.voltage: found " +
                                      std::to_string(static_cast<int>(voltage->second)) +
                                      " V, expected at most 1000 V for the model small");
  }
  return absl::OkStatus();
}

// The table of every supply of the family.
inline std::shared_ptr<const ItemTable> DemoPsuItems(const DeviceConfig&) {
  static constexpr ValueLabel kLabels[] = {{0, "off"}, {1, "on"}, {2, "tripped"}};
  static const std::vector<ItemSpec> specs = {
      {.name = "voltage", .unit = "V", .lowest = 0, .highest = 6500},
      {.name = "voltage_set",
       .alias = "Control.voltageSet",
       .unit = "V",
       .access = Access::kReadWrite,
       .maximum = 6000,
       .limit = "voltage"},
      {.name = "temperature", .unit = "degC"},
      {.name = "state", .type = ValueType::kInteger, .labels = kLabels},
      {.name = "is_on", .type = ValueType::kFlag, .access = Access::kReadWrite},
      {.name = "mode",
       .type = ValueType::kInteger,
       .access = Access::kReadWrite,
       .labels = kLabels},
      {.name = "model_name", .type = ValueType::kText}};
  return std::make_shared<const ItemTable>(
      std::vector<ItemBlock>{{.prefix = "ch", .count = 2, .specs = specs}});
}

inline const DriverInfo* DemoPsuInfo() {
  static const DriverInfo info = {
      .name = "demo-psu",
      .kind = "high_voltage",
      .description = "A supply.",
      .parameters =
          {
              {.name = "address",
               .type = ParameterType::kInteger,
               .minimum = 0,
               .maximum = 63,
               .description = "module address"},
              {.name = "poll",
               .type = ParameterType::kDuration,
               .default_text = "500 ms",
               .minimum = 0.05,
               .maximum = 60,
               .description = "poll period"},
              {.name = "offset",
               .type = ParameterType::kNumber,
               .unit = "V",
               .default_text = "0 V",
               .description = "added | to readings"},
              {.name = "gain", .type = ParameterType::kNumber, .default_text = "1"},
              {.name = "label", .type = ParameterType::kText, .default_text = ""},
              {.name = "fan", .type = ParameterType::kFlag, .default_text = "true"},
              {.name = "follow", .type = ParameterType::kItem, .default_text = ""},
              {.name = "mirror",
               .type = ParameterType::kItem,
               .default_text = "none",
               .may_be_none = true},
              {.name = "model",
               .type = ParameterType::kChoice,
               .default_text = "large",
               .choices = {"small", "large"}},
          },
      .limits = {{"voltage", "V", 6000, "largest set voltage"},
                 {"ramp", "V/s", 500, "fastest ramp"}},
      .actions = {{"ramp_down", Role::kOperator, true, "ramps all outputs to 0 V"},
                  {"emergency_off", Role::kOperator, true, "switches off at once"},
                  {"factory_reset", Role::kEngineer, false, "forgets everything"}},
      .default_safe_action = "ramp_down",
      .check = &CheckDemoPsu,
      .address = [](const DeviceConfig& config) { return config.Parameter("address").ToString(); },
      .items = &DemoPsuItems,
  };
  return &info;
}

inline std::span<const DriverInfo* const> TestDrivers() {
  static const DriverInfo* const drivers[] = {DemoPsuInfo()};
  return drivers;
}

}  // namespace canhub
