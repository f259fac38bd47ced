// What the rules of a configuration would have done, by a recorded log: the real drivers and the
// real engine on a virtual clock, without any bus.
#pragma once

#include <functional>
#include <istream>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/config/config.h"

namespace canhub {

struct ReplayEvent {
  Duration at{};     // since the log's first frame
  WallTime time{};   // by the log's clock
  std::string kind;  // "state", "alarm", "interlock", "safe_action", "set", "frame"
  std::string text;
};

struct ReplayOptions {
  // Name in the log → bus of the configuration. Others are found by the bus's id or interface; a
  // log of one name is of the only bus.
  std::map<std::string, std::string> buses;
  std::function<void(const ReplayEvent&)> on_event;
  // A pause of the log that is longer is an error: the recorder's clock was set, and nobody wants
  // to wait for years of nothing.
  Duration longest_pause = std::chrono::hours(24);
};

struct ReplaySummary {
  size_t frames = 0;                      // that were replayed
  size_t other_frames = 0;                // of no bus of the configuration
  Duration length{};                      // of the log
  std::map<std::string, uint64_t> trips;  // by interlock
};

// Reads a log in the form of candump -l. Nobody answers: what devices said stands in the log, what
// the daemon asks or commands is shown and goes nowhere. INVALID_ARGUMENT: a line that is no frame,
// a log without frames or with too long a pause, a bus that is not there; FAILED_PRECONDITION: the
// configuration has no rules.
absl::StatusOr<ReplaySummary> ReplayLog(const Config& config, std::istream& log,
                                        const ReplayOptions& options);

}  // namespace canhub
