// Levels of a quantity: normal, warning, dangerous; too low and too high. On whole numbers, so that
// a value at a bound is at it (battery safety facts, section 5.4).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"

namespace canhub {

enum class Level : uint8_t { kNormal = 0, kWarning = 1, kDangerous = 2 };
std::string_view ToString(Level level);  // "normal", …

// Bounds of a quantity in its own unit. Any may be absent.
struct LevelLimits {
  std::optional<double> dangerous_low, warning_low, warning_high, dangerous_high;
};
// INVALID_ARGUMENT unless dangerous_low < warning_low < warning_high < dangerous_high; the text
// names the two that are not in order.
absl::Status CheckOrder(const LevelLimits& limits);

// The same in counts: what the device sends before it is scaled. A bound is reached by a value at
// it. Left again at `bound - hysteresis` (high) or `bound + hysteresis` (low), or where `release_…`
// says, then for both levels of that side.
struct LevelBounds {
  std::optional<int64_t> dangerous_low, warning_low, warning_high, dangerous_high;
  int64_t hysteresis = 0;
  std::optional<int64_t> release_low, release_high;
  // So many samples in a row at or beyond a bound make its level; at least 1.
  int samples_to_warning = 1;
  int samples_to_dangerous = 1;
};

// The count nearest to a value: (value - offset) / factor; requires a factor above 0.
int64_t ToCounts(double value, double factor, double offset);
LevelBounds ToBounds(const LevelLimits& limits, double factor, double offset, double hysteresis);

// One quantity. Not thread-safe. `bounds` outlives it.
class LevelTracker {
 public:
  explicit LevelTracker(const LevelBounds* bounds) : bounds_(bounds) {}
  void Sample(int64_t counts);
  Level low() const { return low_.level; }
  Level high() const { return high_.level; }
  Level level() const { return low_.level > high_.level ? low_.level : high_.level; }
  // As if it had never been sampled.
  void Reset() { low_ = high_ = {}; }

 private:
  // Values that rise towards danger; the low side has them negated.
  struct Side {
    Level level = Level::kNormal;
    int beyond_warning = 0;
    int beyond_dangerous = 0;
    void Sample(int64_t counts, std::optional<int64_t> warning, std::optional<int64_t> dangerous,
                std::optional<int64_t> release, const LevelBounds& bounds);
  };
  const LevelBounds* bounds_;
  Side low_, high_;
};

}  // namespace canhub
