#pragma once

#include <vector>

#include "tests/simulation/family.h"
#include "tests/simulation/mutations.h"

namespace canhub::simulation {

const Family& BatteryModuleFamily();
// What only batteries can break.
const std::vector<Mutation>& BatteryModuleMutations();

}  // namespace canhub::simulation
