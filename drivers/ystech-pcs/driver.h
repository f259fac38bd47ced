// YSTECH bidirectional AC/DC converters (PMA series, 30 to 120 kW). Facts: README.md in this
// folder.
#pragma once

#include "drivers/api/driver.h"

namespace canhub::ystech_pcs {

const DriverInfo& Info();

}  // namespace canhub::ystech_pcs
