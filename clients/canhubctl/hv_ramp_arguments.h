// The arguments of `hv ramp DEV [CH] UP [DOWN]`.
#pragma once

#include <string>
#include <vector>

#include "clients/canhubctl/units.h"

namespace canhub::ctl {

struct RampArguments {
  std::string channel_text;  // "" for the module
  double up_v_per_s = 0;
  double down_v_per_s = 0;
};

// One value is a speed. Of two, the first is a channel if it is "all" or bare channel numbers
// ("3", "0-3"), and a speed if it has a unit. Without a speed down, it is the same as up.
Parsed<RampArguments> ParseRampArguments(std::vector<std::string> values);

}  // namespace canhub::ctl
