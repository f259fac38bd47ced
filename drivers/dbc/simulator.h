// A device that plays the messages of its DBC: for simulated buses, canhub-sim and tests.
#pragma once

#include <memory>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub::dbc_device {

const std::vector<FaultSpec>& Faults();
// Sends every message of the device that canhubd may not write, with its period. Signals rise and
// fall between their limits, those with a GenSigStartValue keep it, selectors show one page after
// the other. Takes what is written and does nothing with it: a DBC does not say what it means.
std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context);

}  // namespace canhub::dbc_device
