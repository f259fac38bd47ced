// A recorded log that is replayed against levels and interlocks: text that may be no log, or frames
// of a battery and a converter at any times.
#include <algorithm>
#include <chrono>
#include <optional>
#include <sstream>
#include <string>

#include "daemon/config/loader.h"
#include "daemon/wiring_replay.h"
#include "drivers/all_drivers.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub {
namespace {

constexpr char kLab[] = R"(
state_directory: /nowhere
buses:
  battery: {type: simulated, bitrate: 250000}
  modules: {type: simulated, bitrate: 500000}
devices:
  pcs1: {driver: ystech-pcs, bus: battery, address: 0xFA}
  bat0: {driver: battery-module, bus: modules, expected_modules: 2, cells_per_module: 4}
levels:
  cells:
    items: bat0/module*.cell*_voltage
    count: 8
    warning_high: 4.1 V
    dangerous_high: 4.2 V
    hysteresis: 20 mV
interlocks:
  danger:
    when: [level cells is dangerous, pcs1/state is STALE]
    unknown_for: 500 ms
    do: [{act: pcs1/stop, until: abs(pcs1/dc_current) <= 2 A, within: 2 s}]
    verify: pcs1/is_running is false
    refuse: [pcs1/start]
  warm:
    when: level cells is warning
    latch: false
    severity: warning
    refuse: [pcs1/update_parameters]
)";

const Config& LabConfig() {
  static const auto* config = [] {
    absl::StatusOr<Config> parsed = ParseConfig(kLab, "/lab/log.yaml", AllDrivers());
    Require(parsed.ok(), "the lab is one", parsed.status().ToString());
    return new Config(*std::move(parsed));
  }();
  return *config;
}

// Up to 0.7 s from one frame to the next.
std::string LogOf(FuzzInput& input) {
  std::string log;
  WallTime time{std::chrono::seconds(1'700'000'000)};
  while (!input.empty()) {
    const uint8_t where = input.Byte();
    time += std::chrono::milliseconds((where >> 1) * (where & 1 ? 5 : 1));
    const char* const bus = input.Below(3) == 0 ? "battery" : "modules";
    log += FormatCandumpLine(time, bus, input.Frame());
    log += '\n';
  }
  return log;
}

void Replay(const std::string& log) {
  std::istringstream in(log);
  Duration now{}, first_trip = Duration::max(), commanded = Duration::max();
  uint64_t tripped = 0;
  const auto on_event = [&](const ReplayEvent& event) {
    Require(event.at >= now, "time goes on", event.text);
    now = event.at;
    Require(!event.kind.empty() && !event.text.empty(), "an event has words");
    if (event.kind == "frame" || event.kind == "safe_action") {
      commanded = std::min(commanded, now);
    }
    if (event.kind != "interlock" || event.text.find(" tripped: ") == std::string::npos) return;
    ++tripped;
    first_trip = std::min(first_trip, now);
  };
  const absl::StatusOr<ReplaySummary> summary =
      ReplayLog(LabConfig(), in,
                {.buses = {}, .on_event = on_event, .longest_pause = std::chrono::seconds(5)});
  // Told in the same moment, the command first.
  Require(first_trip <= commanded, "nothing is commanded before a trip");
  if (!summary.ok()) {
    const std::string message(summary.status().message());
    Require(absl::IsInvalidArgument(summary.status()), "a wrong log is INVALID_ARGUMENT", message);
    Require(message.starts_with("line ") || message.starts_with("found no frame"),
            "an error names the line", message);
    return;
  }
  uint64_t trips = 0;
  for (const auto& [interlock, count] : summary->trips) trips += count;
  Require(trips == tripped, "every trip is told", std::to_string(trips));
  Require(summary->length >= now, "the log is as long as its events");
}

}  // namespace
}  // namespace canhub

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::FuzzInput input(data, std::min<size_t>(size, 4096));
  const bool text = input.Byte() % 4 == 0;
  canhub::Replay(text ? input.Rest() : canhub::LogOf(input));
  return 0;
}
