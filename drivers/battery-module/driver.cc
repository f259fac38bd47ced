#include "drivers/battery-module/driver.h"

#include <memory>
#include <utility>

#include "drivers/api/battery.h"
#include "drivers/battery-module/battery_driver.h"
#include "drivers/battery-module/item_ranges.h"
#include "drivers/battery-module/layout.h"
#include "drivers/battery-module/pack_items.h"
#include "drivers/battery-module/settings.h"
#include "drivers/battery-module/simulator.h"

namespace canhub::battery_module {
namespace {

absl::Status Check(const DeviceConfig& config) {
  const absl::StatusOr<Settings> settings = ParseSettings(config);
  return settings.ok() ? CheckLayout(*settings, config.id) : settings.status();
}

// One pack has a bus: the identifiers are those of its modules.
std::string Address(const DeviceConfig&) { return "modules"; }

std::vector<CanFilter> Filters(const DeviceConfig& config) {
  const absl::StatusOr<Settings> settings = ParseSettings(config);
  return settings.ok() ? ModuleFilters(*settings) : std::vector<CanFilter>();
}

std::unique_ptr<Driver> Create(DriverContext context) {
  absl::StatusOr<Settings> settings = ParseSettings(context.config);
  if (!settings.ok()) return nullptr;  // the configuration has been checked
  return std::make_unique<BatteryDriver>(std::move(context), *std::move(settings));
}

std::shared_ptr<const ItemTable> ItemsOf(const DeviceConfig& config) {
  const absl::StatusOr<Settings> settings = ParseSettings(config);
  if (!settings.ok()) return nullptr;
  return WithRanges(PackItems(settings->cells, settings->sensors), *settings);
}

DriverInfo MakeInfo() {
  std::vector<ParameterSpec> parameters = DriverParameters();
  for (ParameterSpec& parameter : SimulatorParameters()) parameters.push_back(std::move(parameter));
  return {
      .name = "battery-module",
      .kind = battery::kKind,
      .description = "A pack of battery modules with BMUs on CAN, decoded by a DBC",
      .parameters = std::move(parameters),
      .limits = {},
      .actions = {{battery::action::kDetect, Role::kEngineer, false,
                   "counts the modules anew, after the pack was rebuilt; what is there then is the "
                   "pack"}},
      .default_safe_action = "hold",
      .faults = Faults(),
      .check = &Check,
      .address = &Address,
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

}  // namespace canhub::battery_module
