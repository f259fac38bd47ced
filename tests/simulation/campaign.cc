#include "tests/simulation/campaign.h"

#include <cstdio>

#include "tests/simulation/random.h"

namespace canhub::simulation {
namespace {

std::string Line(const char* format, double a, double b, double c, double d, double e) {
  char text[200];
  std::snprintf(text, sizeof text, format, a, b, c, d, e);
  return text;
}

double Hours(Duration d) { return std::chrono::duration<double, std::ratio<3600>>(d).count(); }

}  // namespace

RunOptions OptionsOf(uint64_t seed, const std::string& scratch) {
  Random random(Mix(seed, HashText("options")));
  RunOptions options{.seed = seed, .scratch = scratch};
  if (random.Chance(0.25)) {
    // Somebody is always at it, and devices are looked at as often as in a real lab.
    options.length = std::chrono::minutes(10);
    options.idle = std::chrono::minutes(1);
    options.poll = std::chrono::milliseconds(500);
  } else {
    // A day or two in which little happens most of the time.
    options.length = std::chrono::hours(12 + static_cast<int64_t>(random.Below(36)));
    options.idle = std::chrono::minutes(90);
    options.poll = std::chrono::seconds(30);
  }
  options.real_store = random.Chance(0.2);
  return options;
}

CampaignResult RunCampaign(const CampaignOptions& options) {
  CampaignResult campaign;
  for (uint64_t seed = options.seed; campaign.hours < options.hours; ++seed) {
    RunOptions run = OptionsOf(seed, options.scratch);
    const RunResult result = Simulate(run);
    ++campaign.labs;
    campaign.hours += Hours(result.simulated);
    campaign.hash = Mix(campaign.hash, result.hash);
    if (options.verbose) {
      options.print(
          "seed " + std::to_string(seed) +
          Line(": %.2f h, %.0f frames, %.0f acts, %.0f given, %.0f lives", Hours(result.simulated),
               static_cast<double>(result.frames), static_cast<double>(result.acts),
               static_cast<double>(result.given), result.lives) +
          ", " + std::to_string(result.steps) + " steps, hash " + std::to_string(result.hash));
    }
    if (result.violation) {
      campaign.failed = true;
      const RunOptions shorter = Shrink(run, result, options.shrink_tries);
      const RunResult again = Simulate(shorter);
      campaign.report = Report(shorter, again.violation ? again : result);
      campaign.report += "left out " + std::to_string(shorter.skip.size()) + " of " +
                         std::to_string(result.events.size()) +
                         " events; replay: scripts/simulate --one --seed " + std::to_string(seed) +
                         "\n";
      options.print(campaign.report);
      break;
    }
    if (options.only_one) break;
  }
  options.print(std::to_string(campaign.labs) + " labs," +
                Line(" %.1f lab hours", campaign.hours, 0, 0, 0, 0) + ", hash " +
                std::to_string(campaign.hash));
  return campaign;
}

}  // namespace canhub::simulation
