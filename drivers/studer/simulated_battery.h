// A battery that talks to an Xcom-CAN in battery mode: the device side of "studer-battery".
#pragma once

#include <memory>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub::studer {

const std::vector<FaultSpec>& SimulatedBatteryFaults();
std::unique_ptr<Simulator> CreateSimulatedBattery(SimulatorContext context);

}  // namespace canhub::studer
