#pragma once

#include "tests/simulation/family.h"

namespace canhub::simulation {

const Family& IsegFamily();  // lives as long as the program

}  // namespace canhub::simulation
