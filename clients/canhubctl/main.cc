// canhubctl: the command line client of canhubd.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "clients/canhubctl/command_line.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/completion.h"

namespace canhub::ctl {
namespace {

std::map<std::string, std::string> ReadEnvironment() {
  std::map<std::string, std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const char* const equals = std::strchr(*variable, '=');
    if (equals != nullptr)
      environment[std::string(static_cast<const char*>(*variable), equals)] = equals + 1;
  }
  return environment;
}

Output::Options ChooseOutput(const Session& session, bool json) {
  Output::Options options;
  options.json = json;
  const std::string* const term = session.Environment("TERM");
  const bool dumb = term == nullptr || *term == "dumb" || term->empty();
  options.terminal = isatty(STDOUT_FILENO) == 1 && !dumb;
  const std::string* const no_color = session.Environment("NO_COLOR");
  options.colour = options.terminal && !json && !session.options.no_colour &&
                   (no_color == nullptr || no_color->empty());
  return options;
}

int Run(std::vector<std::string> arguments) {
  Session session(ReadEnvironment());
  CLI::App app("", "canhubctl");
  app.set_version_flag("--version", "canhubctl " CANHUB_VERSION);
  BuildCommandTree(app, session);

  if (!arguments.empty() && arguments[0] == "__complete") {
    Output output(std::cout, std::cerr, {});
    arguments.erase(arguments.begin());
    if (!arguments.empty() && arguments[0] == "--") arguments.erase(arguments.begin());
    session.Attach(&output);
    return static_cast<int>(RunComplete(app, session, arguments));
  }

  session.command_tail = TakeCommandTail(&arguments);
  // CLI11 takes the arguments in reverse.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // --help, --version
  } catch (const CLI::ParseError& error) {
    const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
    Output output(std::cout, std::cerr, ChooseOutput(session, json));
    return static_cast<int>(output.Fail(Failure::Usage(UsageText(app, error.what()))));
  }
  Output output(std::cout, std::cerr, ChooseOutput(session, session.options.json));
  ExitCode code = session.Start(&output);
  if (code == ExitCode::kOk) code = session.action();
  std::cout << std::flush;
  if (!std::cout && code == ExitCode::kOk) code = ExitCode::kOther;  // nobody read all of it
  return static_cast<int>(code);
}

}  // namespace
}  // namespace canhub::ctl

int main(int argc, char** argv) {
  // A reader that goes away (| head) is a failed write, not a death without clean-up.
  signal(SIGPIPE, SIG_IGN);
  // gRPC's own log lines on standard error say nothing that our error does not; 0 keeps the user's.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  try {
    return canhub::ctl::Run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::cerr << "canhubctl: internal error: " << error.what() << "\n";
    return static_cast<int>(canhub::ctl::ExitCode::kInternal);
  }
}
