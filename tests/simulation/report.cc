// What is made of a run that failed: a shorter one, and words.
#include <algorithm>
#include <vector>

#include "tests/simulation/simulation.h"

namespace canhub::simulation {

RunOptions Shrink(RunOptions options, const RunResult& failed, int tries) {
  // Nothing after the failure matters; then groups of events are left out, halves first.
  options.length = failed.simulated + std::chrono::milliseconds(1);
  std::vector<uint64_t> kept = failed.events;
  for (size_t group = std::max<size_t>(1, kept.size() / 2); group >= 1 && tries > 0; group /= 2) {
    for (size_t from = 0; from < kept.size() && tries > 0;) {
      RunOptions shorter = options;
      const size_t to = std::min(kept.size(), from + group);
      for (size_t i = from; i < to; ++i) shorter.skip.insert(kept[i]);
      --tries;
      const RunResult result = Simulate(shorter);
      if (result.violation && result.violation->invariant == failed.violation->invariant) {
        options = shorter;
        options.length = result.simulated + std::chrono::milliseconds(1);
        kept.erase(kept.begin() + static_cast<ptrdiff_t>(from),
                   kept.begin() + static_cast<ptrdiff_t>(to));
      } else {
        from += group;
      }
    }
  }
  return options;
}

std::string Report(const RunOptions& options, const RunResult& result) {
  std::string text = "seed " + std::to_string(options.seed);
  if (result.violation) {
    text += ": " + result.violation->invariant + " is broken: " + result.violation->text;
  }
  text += "\n" + result.config + "events:";
  for (const uint64_t event : result.events) text += " " + std::to_string(event);
  text += "\nthe last of what happened (<- the daemon sends, -> it is sent to):\n";
  for (const std::string& line : result.last) text += line + "\n";
  return text;
}

}  // namespace canhub::simulation
