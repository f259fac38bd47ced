// The driver part of the configuration's reference, made of what the drivers say of themselves.
#pragma once

#include <span>
#include <string>

#include "drivers/api/driver.h"

namespace canhub {

// Markdown: for each driver its keys, limits and safe actions. docs/config.md contains it.
std::string DescribeConfig(std::span<const DriverInfo* const> drivers);

}  // namespace canhub
