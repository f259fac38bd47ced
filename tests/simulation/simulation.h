// One run: a lab, its clients, what goes wrong, and the verdict.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/checker.h"
#include "tests/simulation/doubles.h"

namespace canhub::simulation {

// How often each kind of event comes, relative to the others; 0: never.
struct Weights {
  double set = 8, act = 6, forbidden = 3, nonsense = 2, read = 6, watch = 2, stalled_watch = 1,
         lease = 4, release = 1, fall_silent = 1, emergency = 1.5, burst = 1, raw = 1, fault = 3,
         malformed = 0, silence = 0, weather = 2, bus = 1, wall_jump = 1, pause = 1.5, disk = 0.5,
         kill = 0.7, restart = 0.7, reload = 0.5, acknowledge = 1, recover = 3, refresh = 1;
};

struct RunOptions {
  uint64_t seed = 1;
  Duration length = std::chrono::hours(1);
  // Of the lab's devices, each on lines of its own. Empty: drawn from the seed, one or all.
  std::vector<const Family*> families;
  // How often devices are asked. Unset: drawn from the seed.
  std::optional<Duration> poll;
  // The mean time in which nobody does anything, between times in which everybody does.
  Duration idle = std::chrono::minutes(40);
  Weights weights;
  // A daemon's own store on the disk; otherwise one in memory.
  bool real_store = false;
  std::string scratch;  // folder for it
  // Wall jumps are drawn and not done: what a run without them is compared to (S12).
  bool no_wall_jumps = false;
  std::set<uint64_t> skip;  // numbers of events that are left out, when a run is shrunk
  Doubles doubles;
};

struct RunResult {
  std::optional<Violation> violation;
  std::vector<std::string> last;  // events in words, in time order
  uint64_t hash = 0;
  Duration simulated{};
  uint64_t frames = 0, acts = 0, given = 0, steps = 0;
  int lives = 0;
  std::vector<uint64_t> events;  // numbers of the events that happened
  std::string config;
};

RunResult Simulate(const RunOptions& options);

// Tries to make a failing run shorter: fewer events, the same invariant. At most `tries` runs.
RunOptions Shrink(RunOptions options, const RunResult& failed, int tries);

// What a person needs of a failure.
std::string Report(const RunOptions& options, const RunResult& result);

}  // namespace canhub::simulation
