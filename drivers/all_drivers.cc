#include "drivers/all_drivers.h"

#include <string_view>

#include "drivers/battery-module/driver.h"
#include "drivers/dbc/driver.h"
#include "drivers/iseg/driver.h"
#include "drivers/studer/driver.h"
#include "drivers/ystech-pcs/driver.h"

namespace canhub {

std::span<const DriverInfo* const> AllDrivers() {
  // A plain list: no linker drops it, any reader finds it.
  static const DriverInfo* const kDrivers[] = {&battery_module::Info(), &dbc_device::Info(),
                                               &iseg::Info(),           &studer::Info(),
                                               &studer::BatteryInfo(),  &ystech_pcs::Info()};
  return kDrivers;
}

const DriverInfo* FindDriver(std::string_view name) {
  for (const DriverInfo* driver : AllDrivers()) {
    if (driver->name == name) return driver;
  }
  return nullptr;
}

}  // namespace canhub
