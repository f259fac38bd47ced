// Any device that a DBC describes. What it does and does not: README.md in this folder.
#pragma once

#include "drivers/api/driver.h"

namespace canhub::dbc_device {

const DriverInfo& Info();

}  // namespace canhub::dbc_device
