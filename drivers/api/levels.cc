#include "drivers/api/levels.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/value.h"

namespace canhub {
namespace {

std::optional<int64_t> Negated(std::optional<int64_t> counts) {
  return counts ? std::optional(-*counts) : std::nullopt;
}

}  // namespace

std::string_view ToString(Level level) {
  switch (level) {
    case Level::kNormal:
      return "normal";
    case Level::kWarning:
      return "warning";
    case Level::kDangerous:
      return "dangerous";
  }
  return "";
}

absl::Status CheckOrder(const LevelLimits& limits) {
  const std::pair<const char*, std::optional<double>> bounds[] = {
      {"dangerous_low", limits.dangerous_low},
      {"warning_low", limits.warning_low},
      {"warning_high", limits.warning_high},
      {"dangerous_high", limits.dangerous_high}};
  const char* below = nullptr;
  double last = 0;
  for (const auto& [name, bound] : bounds) {
    if (!bound) continue;
    if (below != nullptr && *bound <= last) {
      const std::string found = Value::Number(*bound).ToString();
      const std::string least = Value::Number(last).ToString();
      return MakeError(
          absl::StatusCode::kInvalidArgument, "LEVELS_OUT_OF_ORDER",
          "found " + std::string(name) + " " + found + ", expected above " + below + " " + least,
          {{"bound", name}, {"found", found}, {"above", least}});
    }
    below = name;
    last = *bound;
  }
  return absl::OkStatus();
}

int64_t ToCounts(double value, double factor, double offset) {
  return std::llround((value - offset) / factor);
}

LevelBounds ToBounds(const LevelLimits& limits, double factor, double offset, double hysteresis) {
  const auto counts = [&](std::optional<double> bound) {
    return bound ? std::optional(ToCounts(*bound, factor, offset)) : std::nullopt;
  };
  return {.dangerous_low = counts(limits.dangerous_low),
          .warning_low = counts(limits.warning_low),
          .warning_high = counts(limits.warning_high),
          .dangerous_high = counts(limits.dangerous_high),
          .hysteresis = ToCounts(hysteresis, factor, 0)};
}

void LevelTracker::Sample(int64_t counts) {
  const LevelBounds& b = *bounds_;
  high_.Sample(counts, b.warning_high, b.dangerous_high, b.release_high, b);
  low_.Sample(-counts, Negated(b.warning_low), Negated(b.dangerous_low), Negated(b.release_low), b);
}

void LevelTracker::Side::Sample(int64_t counts, std::optional<int64_t> warning,
                                std::optional<int64_t> dangerous, std::optional<int64_t> release,
                                const LevelBounds& bounds) {
  const bool at_dangerous = dangerous && counts >= *dangerous;
  const bool at_warning = at_dangerous || (warning && counts >= *warning);
  beyond_dangerous = at_dangerous ? std::min(beyond_dangerous + 1, bounds.samples_to_dangerous) : 0;
  beyond_warning = at_warning ? std::min(beyond_warning + 1, bounds.samples_to_warning) : 0;
  // What is left, first; a level is never left by a value that still reaches it.
  const auto left = [&](std::optional<int64_t> bound) {
    return !bound || counts <= release.value_or(*bound - bounds.hysteresis);
  };
  if (level == Level::kDangerous && !at_dangerous && left(dangerous)) {
    level = warning && !left(warning) ? Level::kWarning : Level::kNormal;
  } else if (level == Level::kWarning && !at_warning && left(warning ? warning : dangerous)) {
    level = Level::kNormal;
  }
  if (beyond_dangerous >= bounds.samples_to_dangerous) {
    level = Level::kDangerous;
  } else if (level == Level::kNormal && beyond_warning >= bounds.samples_to_warning &&
             (warning || at_dangerous)) {
    level = Level::kWarning;
  }
}

}  // namespace canhub
