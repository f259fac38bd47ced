// What a shell may complete. The shells' own scripts are thin: they ask canhubctl, which walks its
// own command tree and, for ids and items, asks the daemon.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "clients/canhubctl/session.h"

namespace canhub::ctl {

// Where the word to be completed stands.
struct CompletionPoint {
  const CLI::App* command = nullptr;
  std::string prefix;                    // what is written of the word
  bool options = false;                  // an option's name is being written
  const CLI::Option* value = nullptr;    // the option or positional that takes the word
  std::vector<std::string> positionals;  // positionals of the command that are complete
};

// `words` are those after the program's name, the last one being completed (may be empty). Sets
// --address in `session`, so that the right daemon is asked.
CompletionPoint FindCompletionPoint(const CLI::App& app, Session& session,
                                    const std::vector<std::string>& words);

// Candidates that begin with the prefix, sorted, each once. `ask` gives what only a daemon knows.
using AskDaemon =
    std::function<std::vector<std::string>(Complete kind, const CompletionPoint& point)>;
std::vector<std::string> Candidates(const CompletionPoint& point, const Session& session,
                                    const AskDaemon& ask);

// Item names are completed step by step: "hv0/", then "hv0/ch3.", then the item.
std::vector<std::string> StepwiseNames(const std::vector<std::string>& names,
                                       const std::string& prefix);

// The hidden command: prints the candidates, one per line.
ExitCode RunComplete(const CLI::App& app, Session& session, const std::vector<std::string>& words);

// "bash", "zsh" or "fish".
std::string CompletionScript(const std::string& shell);

}  // namespace canhub::ctl
