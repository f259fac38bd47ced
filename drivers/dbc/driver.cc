#include "drivers/dbc/driver.h"

#include <memory>
#include <string>
#include <utility>

#include "drivers/dbc/dbc_driver.h"
#include "drivers/dbc/message_map.h"
#include "drivers/dbc/simulator.h"

namespace canhub::dbc_device {
namespace {

absl::Status Check(const DeviceConfig& config) { return ParseSettings(config).status(); }

// Devices on one bus differ by what they have of which file.
std::string Address(const DeviceConfig& config) {
  return config.Parameter("dbc").text() + ": " + config.Parameter("messages").text();
}

std::vector<CanFilter> Filters(const DeviceConfig& config) {
  const absl::StatusOr<Settings> settings = ParseSettings(config);
  return settings.ok() ? MessageFilters(*settings) : std::vector<CanFilter>();
}

std::unique_ptr<Driver> Create(DriverContext context) {
  absl::StatusOr<Settings> settings = ParseSettings(context.config);
  if (!settings.ok()) return nullptr;  // the configuration has been checked
  return std::make_unique<DbcDriver>(std::move(context), *std::move(settings));
}

std::shared_ptr<const ItemTable> ItemsOf(const DeviceConfig& config) {
  const absl::StatusOr<Settings> settings = ParseSettings(config);
  return settings.ok() ? MessageMap(*settings).table() : nullptr;
}

}  // namespace

const DriverInfo& Info() {
  static const DriverInfo* const info = new DriverInfo{
      .name = "dbc",
      .kind = "generic",
      .description = "Any CAN device that a DBC describes, without code: its signals are items",
      .parameters = DriverParameters(),
      .limits = {},
      .actions = {{kStopSending, Role::kOperator, true,
                   "no message is sent again; what was written stays as the device has it"}},
      .default_safe_action = kStopSending,
      .faults = Faults(),
      .check = &Check,
      .address = &Address,
      .filters = &Filters,
      .create = &Create,
      .create_simulator = &CreateSimulator,
      .items = &ItemsOf,
  };  // lives to the end
  return *info;
}

}  // namespace canhub::dbc_device
