// The keys of the YAML that say how a device means what the sources leave open; for the driver and
// the simulator.
#pragma once

#include <vector>

#include "drivers/api/driver.h"
#include "drivers/ystech-pcs/frames.h"

namespace canhub::ystech_pcs {

// "signed_powers", "power_factor_scale".
std::vector<ParameterSpec> CodecParameters();
// Requires that the configuration has them.
CodecOptions ParseCodecOptions(const DeviceConfig& config);

}  // namespace canhub::ystech_pcs
