#include "daemon/safety/rules.h"

#include <algorithm>
#include <cmath>

namespace canhub {

int64_t SafetyCounts(double value, double resolution) {
  // Two of them can be added.
  constexpr double kMost = 4e18;
  return std::llround(std::clamp(value / resolution, -kMost, kMost));
}

double ResolutionFor(double bound) {
  constexpr double kDecimals = 6, kMost = 18, kOfZero = 9;
  const double decimals =
      bound == 0
          ? kOfZero
          : std::clamp(kDecimals - std::floor(std::log10(std::abs(bound))), kDecimals, kMost);
  return std::pow(10, -decimals);
}

void SetBound(double bound, RuleCondition* condition) {
  condition->resolution = ResolutionFor(bound);
  condition->counts = SafetyCounts(bound, condition->resolution);
}

std::string_view ToString(Comparison comparison) {
  switch (comparison) {
    case Comparison::kAtLeast:
      return ">=";
    case Comparison::kAtMost:
      return "<=";
    case Comparison::kAbove:
      return ">";
    case Comparison::kBelow:
      return "<";
    case Comparison::kEqual:
      return "==";
    case Comparison::kNotEqual:
      return "!=";
  }
  return "";
}

RuleCondition Negated(const RuleCondition& condition) {
  RuleCondition negated = condition;
  switch (condition.kind) {
    case RuleCondition::Kind::kAny:
    case RuleCondition::Kind::kAll:
      negated.kind = condition.kind == RuleCondition::Kind::kAny ? RuleCondition::Kind::kAll
                                                                 : RuleCondition::Kind::kAny;
      for (RuleCondition& part : negated.parts) part = Negated(part);
      break;
    default:
      negated.negated = !condition.negated;
  }
  return negated;
}

bool Meet(const SafeStep& a, const SafeStep& b) {
  return a.acts() && a.device == b.device && (!a.sets() || !b.sets() || a.item == b.item);
}

namespace {

template <typename Rules>
auto FindIn(const Rules& rules, std::string_view id) {
  const auto found =
      std::find_if(rules.begin(), rules.end(), [&](const auto& rule) { return rule.id == id; });
  return found == rules.end() ? nullptr : &*found;
}

}  // namespace

const LevelRule* SafetyRules::FindLevel(std::string_view id) const { return FindIn(levels, id); }

const InterlockRule* SafetyRules::FindInterlock(std::string_view id) const {
  return FindIn(interlocks, id);
}

}  // namespace canhub
