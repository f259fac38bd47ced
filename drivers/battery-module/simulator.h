// The modules' side of the bus: for simulated buses, canhub-sim and tests.
#pragma once

#include <memory>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub::battery_module {

// Keys of the YAML that concern the simulation only; all begin with "sim_".
std::vector<ParameterSpec> SimulatorParameters();
const std::vector<FaultSpec>& Faults();
std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context);

}  // namespace canhub::battery_module
