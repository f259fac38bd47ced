// The device side of EDCP: a module and a crate controller, for simulated buses, canhub-sim and
// tests. Behaviour and its sources: README.md.
#pragma once

#include <memory>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub::iseg {

// Keys of the YAML that concern the simulation only; all begin with "sim_".
std::vector<ParameterSpec> SimulatorParameters();
const std::vector<FaultSpec>& Faults();
// A module or a crate, by the parameter "class" ("module", "crate"; the sim_… parameters count for
// the first only, except sim_answer_delay and sim_anti_collision); "address" and "line" say where
// it sits.
std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context);

}  // namespace canhub::iseg
