// The one list of drivers.
#pragma once

#include <span>

#include "drivers/api/driver.h"

namespace canhub {

// In the order of their names. Static data.
std::span<const DriverInfo* const> AllDrivers();
// nullptr when there is none of that name.
const DriverInfo* FindDriver(std::string_view name);

}  // namespace canhub
