// What the YAML says under levels:, interlocks: and safety:, checked. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/api/levels.h"
#include "drivers/api/time.h"
#include "drivers/api/value.h"

namespace canhub {

// Readings are compared as whole numbers of this, in their unit, unless a level says otherwise or
// a condition's bound is smaller than 1: 0.01 * 60 + 2.2 is at 2.8 (battery safety facts, section
// 5.4).
inline constexpr double kResolution = 1e-6;
// The nearest; never beyond what fits.
int64_t SafetyCounts(double value, double resolution);

enum class Comparison : uint8_t { kAtLeast, kAtMost, kAbove, kBelow, kEqual, kNotEqual };
std::string_view ToString(Comparison comparison);  // ">=", …

// Sides of a level.
enum class LevelSide : uint8_t { kAny, kLow, kHigh };

// A condition on what is read. Also true while what it needs is not known, see Truth.
struct RuleCondition {
  enum class Kind : uint8_t {
    kAny,        // one of `parts`
    kAll,        // all of `parts`
    kValue,      // `subject`, an item, compared with `counts`
    kQuality,    // `subject`, an item, has one of `mask`'s qualities
    kLevel,      // `subject`, a level, is at least at `level` on `side`
    kAlarm,      // `subject`, an alarm's id, is active
    kBus,        // `subject`, a bus, is in one of `mask`'s states
    kInterlock,  // `subject`, an interlock, is tripped or latched
  };
  Kind kind = Kind::kAny;
  bool negated = false;  // never of kAny and kAll
  std::string subject;
  bool absolute = false;  // kValue: without its sign
  Comparison comparison = Comparison::kAtLeast;
  int64_t counts = 0;  // of `resolution`
  double resolution = kResolution;
  uint32_t mask = 0;  // bits by the number of a Quality or BusState
  LevelSide side = LevelSide::kAny;
  Level level = Level::kDangerous;
  std::vector<RuleCondition> parts;
  std::string text;  // as it was written
  int line = 0;
};
// The resolution for one bound: kResolution, or a power of ten that is at most a millionth of the
// bound, 1e-18 at the least; for 0, 1e-9.
double ResolutionFor(double bound);
void SetBound(double bound, RuleCondition* condition);
// The opposite, with Truth's unknown as it is.
RuleCondition Negated(const RuleCondition& condition);

// A quantity with bounds.
struct LevelRule {
  std::string id;
  std::string items;  // a pattern
  // How many items must be there: a pattern cannot tell a missing one from one never fitted.
  int count = 1;
  std::string unit;
  LevelLimits limits;
  LevelBounds bounds;  // the same in counts of `resolution`
  double resolution = kResolution;
  // One of them without a good reading for this long makes this level; unset: never.
  std::optional<Duration> stale_to_warning, stale_to_dangerous;
  int line = 0;
  std::string source;  // all of it, to be compared
};

// One step of a sequence: a safe action, an item that is set, or only a wait.
struct SafeStep {
  std::string device, action;  // both "": no action
  std::string item;            // of `device`, by its own name; "": none is set
  Value value;                 // in the item's type
  // The step is for this only. An item is set where it is known to be true, a safe action goes out
  // unless it is known to be false.
  std::optional<RuleCondition> only_if;
  std::optional<RuleCondition> until;  // the next step comes when this holds
  Duration within{};                   // or, at the latest, after this
  std::string text;                    // "pcs1/stop", "pcs1/current_setpoint = 2 A"
  int line = 0;

  bool acts() const { return !device.empty(); }
  bool sets() const { return !item.empty(); }
};
// Whether the two concern the same: an item, or a device with a safe action.
bool Meet(const SafeStep& a, const SafeStep& b);

// Commands that are refused: of a device, or of one action or item of it.
struct Refusal {
  std::string device;
  std::string name;  // "start", "ch3.voltage_set"; "": all
};

struct InterlockRule {
  std::string id;
  std::string description;
  RuleCondition when;
  bool latch = true;
  Level severity = Level::kDangerous;
  // So long may what it needs be unknown before it trips.
  Duration unknown_for{};
  std::vector<SafeStep> steps;
  // Of one that does not latch: what it does when its condition is over, of what `steps` did; and
  // how long it holds at least.
  std::vector<SafeStep> clear_steps;
  Duration hold{};
  // What shows that it is safe; unset: that every action ended well.
  std::optional<RuleCondition> verify;
  Duration verify_within{};
  std::vector<Refusal> refuse;
  // While one of these is tripped, this one leaves their devices to them.
  std::vector<std::string> yields_to;
  int line = 0;
  std::string source;
};

struct SafetyRules {
  // What was never read since the start is unknown, but no danger yet, for this long.
  Duration settle{};
  std::optional<RuleCondition> precharge;  // the state PRECHARGE
  std::string source;
  std::vector<LevelRule> levels;          // in the order of the file
  std::vector<InterlockRule> interlocks;  // in the order of the file
  bool empty() const { return levels.empty() && interlocks.empty(); }

  const LevelRule* FindLevel(std::string_view id) const;
  const InterlockRule* FindInterlock(std::string_view id) const;
};

}  // namespace canhub
