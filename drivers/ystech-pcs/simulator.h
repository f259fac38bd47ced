// The device side of the protocol: one converter with a battery, a grid and an AC load, for
// simulated buses, canhub-sim and tests. Behaviour and its sources: README.md.
#pragma once

#include <memory>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub::ystech_pcs {

// Keys of the YAML that concern the simulation only; all begin with "sim_".
std::vector<ParameterSpec> SimulatorParameters();
const std::vector<FaultSpec>& Faults();
// Needs, beside its own parameters, "address" (integer, IsPcsAddress) and codec_settings.h's.
std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context);

}  // namespace canhub::ystech_pcs
