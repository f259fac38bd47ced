#pragma once

#include <vector>

#include "tests/simulation/family.h"
#include "tests/simulation/mutations.h"

namespace canhub::simulation {

const Family& YstechPcsFamily();
// What only converters can break.
const std::vector<Mutation>& YstechPcsMutations();

}  // namespace canhub::simulation
