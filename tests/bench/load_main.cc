// canhub-load: measures canhub against canhub-floor, call by call or window by window.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/bench/load_modes.h"
#include "tests/bench/load_process.h"

namespace canhub::bench {
namespace {

using Mode = void (*)(const Settings&, Report*);
const std::map<std::string, Mode>& Modes() {
  static const auto* modes = new std::map<std::string, Mode>{
      {"ab", &RunAb},       {"qps", &RunQps},        {"fanout", &RunFanout},
      {"paced", &RunPaced}, {"stall", &RunStall},    {"startup", &RunStartup},
      {"scale", &RunScale}, {"beats", &RunBeatCost}, {"jitter", &RunJitter},
      {"soak", &RunSoak},   {"studer", &RunStuder},  {"interlock", &RunInterlock},
  };
  return *modes;
}

int Main(int argc, char** argv) {
  Settings settings;
  settings.bin = CANHUB_BIN;
  std::string mode, out = "/dev/stdout";
  double window_s = 2;
  int64_t gap_us = 0;
  std::vector<std::string> names;
  for (const auto& [name, function] : Modes()) names.push_back(name);

  CLI::App app("canhub-load measures canhub against canhub-floor.", "canhub-load");
  app.add_option("mode", mode, "what to measure")->required()->check(CLI::IsMember(names));
  app.add_option("--out", out, "where the results go, as JSON");
  app.add_option("--work", settings.work, "folder for sockets and state, on a disk")->required();
  app.add_option("--rounds", settings.rounds, "that count")->capture_default_str();
  app.add_option("--window", window_s, "seconds of one measurement")->capture_default_str();
  app.add_option("--gap-us", gap_us, "between two calls of ab")->capture_default_str();
  app.add_option("--server-core", settings.server_core, "")->capture_default_str();
  app.add_option("--client-core", settings.client_core, "")->capture_default_str();
  app.add_option("--bin", settings.bin, "where the programs are")->capture_default_str();
  app.add_option("--goals", settings.goals, "only these of the mode: G1,G2")->delimiter(',');
  app.add_option("--cases", settings.cases, "only those whose name has this in it");
  app.add_flag("--noisy", settings.noisy, "count rounds in which others used the machine");
  app.add_flag("--smoke", settings.smoke, "everything once and tiny, to see that it works");
  CLI11_PARSE(app, argc, argv);

  settings.window_ns = static_cast<int64_t>(window_s * 1e9);
  settings.gap_ns = gap_us * 1000;
  if (settings.smoke) {
    settings.rounds = 1;
    settings.window_ns = 100'000'000;
  }
  settings.work = std::filesystem::absolute(settings.work).string();
  PinSelf(settings.client_core);
  Report report(settings);
  Modes().at(mode)(settings, &report);
  std::ofstream(out) << report.Results().dump(1) << "\n";
  return report.failed() || report.Results().empty() ? 1 : 0;
}

}  // namespace
}  // namespace canhub::bench

int main(int argc, char** argv) { return canhub::bench::Main(argc, argv); }
