// candump's filters.
#pragma once

#include <string_view>

#include "canhub/v1/bus_service.pb.h"
#include "clients/canhubctl/units.h"

namespace canhub::ctl {

// "200:780", "1FFFFF00:1FFFFF00": identifier and mask in hexadecimal. An identifier of 8 digits
// stands for 29-bit frames only, one of up to 3 for 11-bit frames only.
Parsed<v1::FrameFilter> ParseFrameFilter(std::string_view text);

}  // namespace canhub::ctl
