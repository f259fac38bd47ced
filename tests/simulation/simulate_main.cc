// canhub-simulate: random labs on a virtual clock, judged by S01 to S12.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "tests/simulation/campaign.h"

int main(int argc, char** argv) {
  CLI::App app("Simulates labs at random on a virtual clock and judges them by S01 to S12.");
  canhub::simulation::CampaignOptions options;
  double hours = 100;
  app.add_option("--hours", hours, "lab hours to simulate")->capture_default_str();
  app.add_option("--seed", options.seed, "first seed; a failure names the one to replay")
      ->capture_default_str();
  app.add_flag("--one", options.only_one, "this seed alone, as it stands in a failure");
  app.add_flag("--verbose", options.verbose, "a line for every lab");
  options.scratch = (std::filesystem::temp_directory_path() / "canhub-simulate").string();
  app.add_option("--scratch", options.scratch, "folder for state directories")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  options.hours = hours;
  options.print = [](const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  };
  const canhub::simulation::CampaignResult result = canhub::simulation::RunCampaign(options);
  return result.failed ? 1 : 0;
}
