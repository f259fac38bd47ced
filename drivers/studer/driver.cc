#include "drivers/studer/driver.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/api/studer.h"
#include "drivers/studer/gateway_driver.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/simulator.h"
#include "drivers/studer/unit_driver.h"
#include "drivers/studer/unit_items.h"

namespace canhub::studer {
namespace {

std::vector<ActionSpec> Actions() {
  const std::vector<ActionArgument> write = {
      {action::kArgumentParameter, ValueType::kText, true,
       "id or name: \"1107\", \"battery_charge_current\""},
      {action::kArgumentValue, ValueType::kNumber, false,
       "the value; 0 and 1 for no and yes, minutes since midnight, the number of a choice"},
      {action::kArgumentLabel, ValueType::kText, false, "a choice in words, instead of the value"},
      {action::kArgumentForce, ValueType::kFlag, false, "true: also when it has the value already"},
  };
  return {
      {action::kWriteParameter, Role::kOperator, false,
       "writes a parameter to RAM: in force until the unit restarts", write},
      {action::kWriteFlash, Role::kEngineer, false,
       "writes a parameter to flash and RAM; a cell is guaranteed for 1000 writes, which are "
       "counted",
       write},
      {action::kTrigger,
       Role::kEngineer,
       false,
       "triggers a signal",
       {{action::kArgumentSignal, ValueType::kText, true, "id or name: \"1467\""}}},
      {action::kSwitchOn, Role::kOperator, false, "switches an Xtender or solar charger on"},
      {action::kSwitchOff, Role::kOperator, true, "switches an Xtender or solar charger off"},
      {action::kScan, Role::kOperator, false,
       "of a gateway: asks every address and names who answers"},
  };
}

absl::Status Check(const DeviceConfig& config) {
  if (absl::Status status = CheckSettings(config); !status.ok()) return status;
  const absl::StatusOr<std::vector<std::pair<Family, int>>> plant =
      ParsePlant(config.Parameter("sim_units").text());
  if (plant.ok()) return absl::OkStatus();
  return Annotate(plant.status(), config.id + ": ", {{"device_id", config.id}});
}

std::vector<CanFilter> Filters(const DeviceConfig& config) {
  const Settings settings = ParseSettings(config);
  const uint16_t address = settings.unit.address();
  if (settings.unit.is_gateway()) {
    return {AllAnswersFilter(settings.client), NotificationFilter(address)};
  }
  return {AnswerFilter(settings.client, address), NotificationFilter(address)};
}

std::unique_ptr<Driver> Create(DriverContext context) {
  if (ParseSettings(context.config).unit.is_gateway()) {
    return std::make_unique<GatewayDriver>(context);
  }
  return std::make_unique<UnitDriver>(context);
}

std::vector<CatalogueHit> Search(std::string_view words) {
  std::vector<CatalogueHit> hits;
  for (const Entry* entry : Catalogue::Get().Search(words)) {
    if (!entry->IsObject()) continue;
    const UnitItems& items = UnitItems::Of(entry->family);
    const ItemId item = items.Of(*entry);
    const ItemSpec& spec = items.table()->Spec(item);
    hits.push_back({.unit = Describe(entry->family).name,
                    .id = entry->id_text,
                    .item = items.table()->Name(item),
                    .title = entry->name,
                    .measure = spec.unit,
                    .description = spec.description,
                    .writable = spec.access != Access::kReadOnly,
                    .default_value = entry->bounds.default_value,
                    .minimum = entry->bounds.minimum,
                    .maximum = entry->bounds.maximum,
                    .labels = entry->labels});
  }
  return hits;
}

DriverInfo MakeInfo() {
  std::vector<ParameterSpec> parameters = DriverParameters();
  for (ParameterSpec& parameter : SimulatorParameters()) parameters.push_back(std::move(parameter));
  return {
      .name = "studer",
      .kind = kKind,
      .description = "Studer Xtender, VarioTrack, VarioString, BSP behind an Xcom-CAN",
      .parameters = std::move(parameters),
      .limits = Limits(),
      .actions = Actions(),
      .default_safe_action = "hold",
      .faults = Faults(),
      .check = &Check,
      .address = [](const DeviceConfig& config) { return ParseSettings(config).unit.ToString(); },
      .filters = &Filters,
      .create = &Create,
      .create_simulator = &CreateSimulator,
      // One Xcom-CAN to a bus: units have the same addresses behind every one of them.
      .turn_group = [](const DeviceConfig&) { return std::string("xcom-can"); },
      .search = &Search,
      .items =
          [](const DeviceConfig& config) {
            return UnitItems::Of(ParseSettings(config).unit.family).table();
          },
  };
}

}  // namespace

const DriverInfo& Info() {
  static const DriverInfo* const info = new DriverInfo(MakeInfo());  // lives to the end
  return *info;
}

}  // namespace canhub::studer
