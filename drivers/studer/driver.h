// The family "studer": units behind an Xcom-CAN, and the battery of one in battery mode. Its two
// entries in drivers/all_drivers.cc.
#pragma once

#include "drivers/api/driver.h"

namespace canhub::studer {

// Static data.
const DriverInfo& Info();
const DriverInfo& BatteryInfo();

}  // namespace canhub::studer
