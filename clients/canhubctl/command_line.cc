#include "clients/canhubctl/command_line.h"

#include <algorithm>

namespace canhub::ctl {

std::vector<std::string> TakeCommandTail(std::vector<std::string>* arguments) {
  const auto dashes = std::find(arguments->begin(), arguments->end(), "--");
  if (dashes == arguments->end()) return {};
  const std::vector<std::string> lease_run = {"lease", "run"};
  if (std::search(arguments->begin(), dashes, lease_run.begin(), lease_run.end()) == dashes) {
    return {};
  }
  std::vector<std::string> tail(dashes + 1, arguments->end());
  arguments->erase(dashes, arguments->end());
  return tail;
}

std::string UsageText(const CLI::App& app, const std::string& error) {
  std::string command = "canhubctl";
  const CLI::App* innermost = &app;
  while (true) {
    const std::vector<CLI::App*> parsed =
        const_cast<CLI::App*>(innermost)->get_subcommands();  // those on the command line
    if (parsed.empty()) break;
    innermost = parsed.front();
    command += " " + innermost->get_name();
  }
  // CLI11 misses the subcommand before it minds the word in its place, which fell through to the
  // root.
  const std::vector<std::string> unknown = app.remaining(true);
  const bool has_subcommands =
      !innermost->get_subcommands([](const CLI::App*) { return true; }).empty();
  if (has_subcommands && !unknown.empty() && !unknown.front().starts_with('-')) {
    return "\"" + unknown.front() + "\" is no command of " + command + "; see " + command +
           " --help";
  }
  return error + "; see " + command + " --help";
}

}  // namespace canhub::ctl
