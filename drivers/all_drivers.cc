#include "drivers/all_drivers.h"

#include <string_view>

#include "drivers/iseg/driver.h"

namespace canhub {

std::span<const DriverInfo* const> AllDrivers() {
  // A plain list: no linker drops it, any reader finds it.
  static const DriverInfo* const kDrivers[] = {&iseg::Info()};
  return kDrivers;
}

const DriverInfo* FindDriver(std::string_view name) {
  for (const DriverInfo* driver : AllDrivers()) {
    if (driver->name == name) return driver;
  }
  return nullptr;
}

}  // namespace canhub
