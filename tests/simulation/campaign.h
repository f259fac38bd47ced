// Many runs, one after the other, until the hours are over or one fails.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/simulation/simulation.h"

namespace canhub::simulation {

struct CampaignOptions {
  double hours = 100;
  uint64_t seed = 1;
  bool only_one = false;
  bool verbose = false;
  std::string scratch;
  int shrink_tries = 40;
  std::function<void(const std::string&)> print = [](const std::string&) {};
};

struct CampaignResult {
  bool failed = false;
  std::string report;
  double hours = 0;
  uint64_t labs = 0;
  uint64_t hash = 0;  // of all hashes
};

// What a seed means: its lab's length, store and pace.
RunOptions OptionsOf(uint64_t seed, const std::string& scratch);

CampaignResult RunCampaign(const CampaignOptions& options);

}  // namespace canhub::simulation
