// One mutation for each invariant: a double that breaks exactly this promise, and the kind of run
// in which the checker must catch it. A checker that catches nothing proves nothing.
#pragma once

#include <functional>
#include <vector>

#include "tests/simulation/simulation.h"

namespace canhub::simulation {

struct Mutation {
  const char* invariant;
  const char* what;  // is broken
  // Adds the double to a run's options, and what it takes to show.
  std::function<void(RunOptions&)> apply;
};

// One for each invariant, in their order.
const std::vector<Mutation>& Mutations();

}  // namespace canhub::simulation
