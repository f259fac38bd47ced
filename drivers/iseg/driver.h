// iseg high-voltage modules and crate controllers over EDCP. Facts: README.md in this folder.
#pragma once

#include "drivers/api/driver.h"

namespace canhub::iseg {

const DriverInfo& Info();

}  // namespace canhub::iseg
