// The command line before and beside CLI11.
#pragma once

#include <string>
#include <vector>

#include "CLI/CLI.hpp"

namespace canhub::ctl {

// Cuts off and returns what follows the first "--" if the words before it say "lease run": that is
// another program's command line, options and all. Otherwise nothing is cut.
std::vector<std::string> TakeCommandTail(std::vector<std::string>* arguments);

// A parse error with the subcommand whose --help explains more.
std::string UsageText(const CLI::App& app, const std::string& error);

}  // namespace canhub::ctl
