#include "drivers/ystech-pcs/driver.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/power_converter.h"
#include "drivers/ystech-pcs/codec_settings.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/items.h"
#include "drivers/ystech-pcs/mode_setting.h"
#include "drivers/ystech-pcs/pcs_driver.h"
#include "drivers/ystech-pcs/setting_frames.h"
#include "drivers/ystech-pcs/settings.h"
#include "drivers/ystech-pcs/simulator.h"

namespace canhub::ystech_pcs {
namespace {

namespace action = power_converter::action;

// Highest limits that can be written: beyond what the frames hold a larger one is a slip of the
// pen.
constexpr double kMostVolt = 1000;
constexpr double kMostAmpere = 1000;
constexpr double kMostWatt = 1'000'000;

std::vector<ActionSpec> Actions() {
  std::vector<ActionArgument> mode = ModeArguments();
  std::vector<ActionArgument> set_mode = mode;
  set_mode.push_back({power_converter::kStopFirstArgument, ValueType::kFlag, false,
                      "stops the converter first, if it runs"});
  std::vector<ActionSpec> actions = {
      {action::kSetMode, Role::kOperator, false,
       "sets a mode and its parameters, and reads them back; only while stopped",
       std::move(set_mode)},
      {action::kUpdateParameters, Role::kOperator, false,
       "sets the parameters of the mode that is set, also while it runs", std::move(mode)},
      {action::kStart, Role::kOperator, false, "starts the mode that is set"},
      {action::kStop, Role::kOperator, true, "stops, and waits until the state says so"},
      {action::kStandby, Role::kOperator, true,
       "stops, then sets the mode standby, in which a start does nothing"},
      {action::kClearFaults, Role::kOperator, false, "clears the fault; only while stopped"},
      {action::kSetSelfStart,
       Role::kEngineer,
       false,
       "whether it starts by itself at power-on; only while stopped",
       {{"self_start", ValueType::kFlag, true, "true: it does"}}},
      {action::kSetTime,
       Role::kOperator,
       false,
       "sets its clock; without arguments to the daemon's time in UTC",
       {{"year", ValueType::kInteger, false, "four digits"},
        {"month", ValueType::kInteger, false, "1 … 12"},
        {"day", ValueType::kInteger, false, "1 … 31"},
        {"hour", ValueType::kInteger, false, "0 … 23"},
        {"minute", ValueType::kInteger, false, "0 … 59"},
        {"second", ValueType::kInteger, false, "0 … 59"}}},
  };
  for (ActionSpec& setting : SettingActions()) actions.push_back(std::move(setting));
  return actions;
}

absl::Status Check(const DeviceConfig& config) {
  const int64_t address = config.Parameter("address").integer();
  if (!IsPcsAddress(static_cast<int>(address))) {
    return MakeError(absl::StatusCode::kInvalidArgument, "ADDRESS",
                     config.id + ": address: found " + std::to_string(address) +
                         ", expected 1 … 254 without 180 (0xB4), the controller's own",
                     {{"device_id", config.id}, {"found", std::to_string(address)}});
  }
  return absl::OkStatus();
}

std::string AddressText(const DeviceConfig& config) {
  char text[8];
  std::snprintf(text, sizeof text, "0x%02X",
                static_cast<unsigned>(config.Parameter("address").integer()));
  return text;
}

std::vector<CanFilter> Filters(const DeviceConfig& config) {
  const uint8_t address = ParseSettings(config).address;
  return {DeviceFilter(address), ControllerFilter(address)};
}

std::unique_ptr<Driver> Create(DriverContext context) {
  return std::make_unique<PcsDriver>(std::move(context));
}

DriverInfo MakeInfo() {
  std::vector<ParameterSpec> parameters = DriverParameters();
  for (ParameterSpec& parameter : SimulatorParameters()) parameters.push_back(std::move(parameter));
  const auto codes = FaultCodes();
  return {
      .name = "ystech-pcs",
      .kind = power_converter::kKind,
      .description = "YSTECH bidirectional AC/DC converters, external CAN protocol v1.11",
      .parameters = std::move(parameters),
      .limits = {{kLimitVoltage, "V", kMostVolt, "highest DC voltage that may be set"},
                 {kLimitCurrent, "A", kMostAmpere,
                  "most DC current that may be set, charging and discharging"},
                 {kLimitPower, "W", kMostWatt,
                  "most active, and most reactive, power that may be set"}},
      .actions = Actions(),
      .default_safe_action = action::kStop,
      .faults = Faults(),
      .check = &Check,
      .address = &AddressText,
      .filters = &Filters,
      .create = &Create,
      .create_simulator = &CreateSimulator,
      .fault_codes = {codes.begin(), codes.end()},
      .items =
          [](const DeviceConfig& config) { return ItemsWithRanges(ParseCodecOptions(config)); },
  };
}

}  // namespace

const DriverInfo& Info() {
  static const DriverInfo* const info = new DriverInfo(MakeInfo());  // lives to the end
  return *info;
}

}  // namespace canhub::ystech_pcs
