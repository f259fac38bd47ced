// The last phase of a command: waits for the end of ramps, or finds out why there is none.
#include <algorithm>
#include <cmath>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"
#include "drivers/iseg/command_engine.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
namespace hvc = high_voltage::channel;

constexpr Duration kFirstLook = milliseconds(50);
constexpr Duration kLookPeriod = milliseconds(100);
// Many channels take more of the line.
constexpr Duration kManyLookPeriod = milliseconds(250);
constexpr size_t kFewChannels = 4;
// A channel that neither ramps nor moves for so long is where it will stay.
constexpr Duration kRampEnded = seconds(2);
// An output that is off falls with its own time constant, which may be minutes: while it still
// falls by this within kNoProgress, it is waited for.
constexpr Duration kNoProgress = seconds(10);
constexpr double kLeastFall = 0.01;      // of the voltage
constexpr double kLeastFallVolt = 0.05;  // below this it is noise

}  // namespace

void CommandEngine::StartSettling(Job& job) {
  const MonoTime now = p_.clock.Now();
  for (const Goal& goal : job.plan.goals) {
    job.goals.push_back(
        {goal, false, p_.image.Number(goal.channel, hvc::kVoltageMeasure).value_or(0), now});
  }
  After(kFirstLook, job.command.id, &CommandEngine::ReadGoals);
}

void CommandEngine::ReadGoals(CommandId id) {
  Job& job = *Find(id);
  std::vector<ItemId> items;
  for (const GoalState& state : job.goals) {
    if (state.reached) continue;
    for (const char* name : {hvc::kStatus, hvc::kVoltageMeasure, hvc::kEventStatus}) {
      if (const auto item = p_.image.Find(state.goal.channel, name)) items.push_back(*item);
    }
  }
  p_.poller.Read(std::move(items), ReadPriorityOf(job), id, nullptr,
                 [this, id](const absl::Status& status) { OnGoalsRead(id, status); });
}

void CommandEngine::OnGoalsRead(CommandId id, const absl::Status& status) {
  Job* job = Find(id);
  if (job == nullptr) return;
  size_t waiting = 0;
  // Answers that did not come are asked for again; a device that is gone ends the command.
  for (GoalState& state : job->goals) {
    if (state.reached) continue;
    if (status.ok()) {
      if (absl::Status failure = Evaluate(state); !failure.ok()) return Finish(id, failure);
    }
    waiting += state.reached ? 0 : 1;
  }
  if (waiting == 0) {
    Reach(*job, Stage::kSettled, p_.clock.Now());
    return Finish(id, absl::OkStatus());
  }
  After(waiting > kFewChannels ? kManyLookPeriod : kLookPeriod, id, &CommandEngine::ReadGoals);
}

absl::Status CommandEngine::GoalFailure(int channel, std::string_view reason,
                                        const std::string& text) const {
  const auto volt = p_.image.Number(channel, hvc::kVoltageMeasure);
  const std::string measured = volt ? FormatNumber(*volt) : "unknown";
  return MakeError(
      absl::StatusCode::kAborted, reason,
      "channel " + std::to_string(channel) + " " + text + " (measured " + measured + " V)",
      {{"channel", std::to_string(channel)}, {"voltage_v", measured}});
}

absl::Status CommandEngine::Evaluate(GoalState& state) const {
  const int channel = state.goal.channel;
  const std::optional<uint32_t> status = p_.image.Register(channel, id::kChannelStatus);
  const std::optional<uint32_t> events = p_.image.Register(channel, id::kChannelEventStatus);
  const std::optional<double> measured = p_.image.Number(channel, hvc::kVoltageMeasure);
  const std::optional<double> tolerance = p_.planner.SettleTolerance(channel);
  if (!status || !events || !measured || !tolerance) return absl::OkStatus();
  const MonoTime now = p_.clock.Now();
  const double volt = std::abs(*measured);
  const bool on = (*status & Bit(channel_bit::kOn)) != 0;
  const bool ramping = (*status & Bit(channel_bit::kRamp)) != 0;
  const bool regulated = (*status & Bit(channel_bit::kCurrentControl)) != 0;
  const double before = std::abs(state.volt);
  const double step = state.goal.kind == Goal::Kind::kVoltage
                          ? *tolerance / 2
                          : std::max(kLeastFallVolt, kLeastFall * before);
  const bool moved = std::abs(volt - before) > step;
  if (moved || (ramping && !regulated)) {
    state.volt = volt;
    state.progress = now;
  }
  const Duration still = now - state.progress;

  if (state.goal.kind != Goal::Kind::kVoltage) {
    const double enough =
        state.goal.kind == Goal::Kind::kOff ? *tolerance : high_voltage::kSafeToTouchVolt;
    state.reached = !on && !ramping && volt <= enough;
    if (state.reached || still < kNoProgress) return absl::OkStatus();
    return on ? GoalFailure(channel, "STILL_ON", "was told to switch off, but is still on")
              : GoalFailure(channel, "STILL_CHARGED",
                            "is off, but its voltage does not fall: treat it as live");
  }

  const uint32_t causes = *status | *events;
  struct Cause {
    int bit;
    const char* reason;
    const char* text;
  };
  constexpr Cause kCauses[] = {
      {channel_bit::kEmergencyOff, "EMERGENCY_OFF", "went into emergency off"},
      {channel_bit::kTrip, "TRIP", "tripped"},
      {channel_bit::kExternalInhibit, "EXTERNAL_INHIBIT", "was inhibited from outside"},
      {channel_bit::kCurrentLimit, "CURRENT_LIMIT", "exceeded the hardware current limit"},
      {channel_bit::kVoltageLimit, "VOLTAGE_LIMIT", "exceeded the hardware voltage limit"},
      {channel_bit::kArcError, "ARC_ERROR", "had more arcs than allowed"},
  };
  // A cause counts when it holds now, or when its event goes with a channel that is off.
  for (const Cause& cause : kCauses) {
    const bool holds = (*status & Bit(cause.bit)) != 0;
    if (holds || (!on && (causes & Bit(cause.bit)) != 0)) {
      return GoalFailure(channel, cause.reason, cause.text);
    }
  }
  if (!on) return GoalFailure(channel, "SWITCHED_OFF", "was switched off");
  const std::optional<double> set = p_.image.Number(channel, hvc::kVoltageSet);
  if (!set) return absl::OkStatus();
  state.reached = !ramping && std::abs(volt - std::abs(*set)) <= *tolerance;
  if (state.reached) return absl::OkStatus();
  if (regulated && still >= kRampEnded) {
    return GoalFailure(channel, "CURRENT_REGULATION",
                       "is in current regulation and does not reach " + FormatNumber(*set) + " V");
  }
  if (!ramping && still >= kRampEnded) {
    return GoalFailure(channel, "NOT_REACHED",
                       "ended its ramp without reaching " + FormatNumber(*set) + " V");
  }
  return absl::OkStatus();
}

}  // namespace canhub::iseg
