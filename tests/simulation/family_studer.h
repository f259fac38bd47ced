#pragma once

#include <vector>

#include "tests/simulation/family.h"
#include "tests/simulation/mutations.h"

namespace canhub::simulation {

const Family& StuderFamily();  // lives as long as the program
// What only this family can get wrong.
const std::vector<Mutation>& StuderMutations();

}  // namespace canhub::simulation
