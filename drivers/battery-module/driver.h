// Packs of battery modules on CAN, described by a DBC. Facts: README.md in this folder.
#pragma once

#include "drivers/api/driver.h"

namespace canhub::battery_module {

const DriverInfo& Info();

}  // namespace canhub::battery_module
