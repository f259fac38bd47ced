#include "drivers/iseg/driver.h"

#include <memory>
#include <string>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"
#include "drivers/iseg/iseg_driver.h"
#include "drivers/iseg/items.h"
#include "drivers/iseg/settings.h"
#include "drivers/iseg/simulator.h"

namespace canhub::iseg {
namespace {

namespace action = high_voltage::action;

// Highest limits that can be written: no iseg module goes beyond these, so a larger one is a slip
// of the pen (kV for V, A for mA).
constexpr double kMostVolt = 100'000;
constexpr double kMostAmpere = 100;
constexpr double kMostVoltPerSecond = 20'000;  // 20 %/s of it

std::vector<ActionSpec> Actions() {
  const ActionArgument channel = {"channel", ValueType::kInteger, false,
                                  "the channel, from 0; without it: all channels"};
  return {
      {action::kSwitchOn,
       Role::kOperator,
       false,
       "switches a channel, or all, on; refused while events block it",
       {channel}},
      {action::kSwitchOff,
       Role::kOperator,
       false,
       "switches a channel, or all, off with ramp",
       {channel}},
      {action::kRampDown, Role::kOperator, true, "switches all channels off with ramp"},
      {action::kEmergencyOff,
       Role::kOperator,
       true,
       "cuts a channel, or all, off without ramp and locks it",
       {channel}},
      {action::kReleaseEmergencyOff,
       Role::kOperator,
       false,
       "leaves emergency off and clears its event; the channels stay off",
       {channel}},
      {action::kClearEvents,
       Role::kOperator,
       false,
       "clears latched events of a channel, or of the module and all channels, or of a crate",
       {channel}},
      {action::kSetRamp,
       Role::kOperator,
       false,
       "sets the ramp speed of a channel, or of the module where channels have none",
       {channel,
        {"up", ValueType::kNumber, false, "speed of rising voltage", "V/s", kLimitRamp},
        {"down", ValueType::kNumber, false, "speed of falling voltage", "V/s", kLimitRamp}}},
      {action::kPrepareRemoval, Role::kOperator, false,
       "switches everything off and waits until no channel is above 63 V"},
      {action::kSaveSetValues, Role::kEngineer, false, "stores the set values in the module"},
      {action::kRecallSetValues, Role::kEngineer, false,
       "loads the stored set values; refused while a channel is on"},
      {action::kResetSetValues, Role::kEngineer, false,
       "resets the set values; refused while a channel is on"},
      {action::kFactoryReset, Role::kEngineer, false,
       "resets the module to factory settings; refused while a channel is on"},
      {action::kLiveInsertionOn, Role::kEngineer, false,
       "live-insertion mode of the whole line on, repeated every 150 s"},
      {action::kLiveInsertionOff, Role::kEngineer, false,
       "live-insertion mode of the whole line off"},
      {action::kRestartScan, Role::kEngineer, false,
       "restarts the network management of the whole line; refused while a channel is on"},
      {action::kRawExchange,
       Role::kEngineer,
       false,
       "sends one data field to the device; a read returns the answers; limits do not apply",
       {{"data", ValueType::kText, true, "1 to 8 bytes as hexadecimal digits, DATA_ID first"},
        {"write", ValueType::kFlag, false, "true: a write, which has no answer"}}},
      {action::kCratePower,
       Role::kOperator,
       false,
       "switches a crate's backplane; off is refused while it reports high voltage",
       {{"on", ValueType::kFlag, true, "true: on"}}},
      {action::kCratePowerForced,
       Role::kEngineer,
       false,
       "switches a crate's backplane, off also while it reports high voltage",
       {{"on", ValueType::kFlag, true, "true: on"}}},
  };
}

absl::Status Check(const DeviceConfig& config) {
  const bool crate = config.Parameter("class").text() == "crate";
  if (crate && !config.limits.empty()) {
    const std::string& name = config.limits.begin()->first;
    const auto origin = config.limit_origins.find(name);
    return MakeError(
        absl::StatusCode::kInvalidArgument, "LIMIT_OF_CRATE",
        config.id + ": a crate controller has no outputs; found the limit \"" + name + "\"" +
            (origin == config.limit_origins.end() ? std::string() : " (" + origin->second + ")") +
            ", expected none",
        {{"device_id", config.id}, {"limit", name}});
  }
  if (crate && config.Parameter("channels").integer() != 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, "CHANNELS_OF_CRATE",
                     config.id + ": a crate controller has no channels; found channels: " +
                         config.Parameter("channels").ToString() + ", expected 0",
                     {{"device_id", config.id}});
  }
  return absl::OkStatus();
}

std::string AddressText(const DeviceConfig& config) {
  const DeviceAddress address = ParseSettings(config).address;
  std::string text = address.crate ? "crate " : "";
  if (address.line != 0) text += std::to_string(address.line) + "/";
  return text + std::to_string(address.number);
}

std::vector<CanFilter> Filters(const DeviceConfig& config) {
  return {DeviceFilter(ParseSettings(config).address)};
}

std::unique_ptr<Driver> Create(DriverContext context) {
  return std::make_unique<IsegDriver>(std::move(context));
}

// Those of every model: which one it is, the module says when it runs.
std::shared_ptr<const ItemTable> ItemsOf(const DeviceConfig& config) {
  if (config.Parameter("class").text() == "crate") return SharedCrateItems()->table();
  const int64_t channels = config.Parameter("channels").integer();
  return SharedModuleItems(channels > 0 ? static_cast<int>(channels) : kMaxChannels, ~Features{0})
      ->table();
}

DriverInfo MakeInfo() {
  std::vector<ParameterSpec> parameters = DriverParameters();
  for (ParameterSpec& parameter : SimulatorParameters()) parameters.push_back(std::move(parameter));
  return {
      .name = "iseg",
      .kind = high_voltage::kKind,
      .description = "iseg high-voltage modules and crate controllers, EDCP",
      .parameters = std::move(parameters),
      .limits = {{kLimitVoltage, "V", kMostVolt,
                  "highest set voltage, and voltage to switch on to"},
                 {kLimitCurrent, "A", kMostAmpere, "highest set current"},
                 {kLimitRamp, "V/s", kMostVoltPerSecond,
                  "fastest ramp, also where it is set in percent of the nominal voltage"}},
      .actions = Actions(),
      .default_safe_action = action::kRampDown,
      .faults = Faults(),
      .check = &Check,
      .address = &AddressText,
      .filters = &Filters,
      .create = &Create,
      .create_simulator = &CreateSimulator,
      .items = &ItemsOf,
  };
}

}  // namespace

const DriverInfo& Info() {
  static const DriverInfo* const info = new DriverInfo(MakeInfo());  // lives to the end
  return *info;
}

}  // namespace canhub::iseg
