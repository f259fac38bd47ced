#include "daemon/safety/rule_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace canhub {
namespace {

using Kind = RuleCondition::Kind;

// Beyond so many alternatives nothing is said of a condition.
constexpr size_t kMostAlternatives = 4096;

// All that holds at once: no RuleCondition of kind kAny or kAll among them.
using Conjunct = std::vector<const RuleCondition*>;

// The condition as alternatives; nullopt: too many.
std::optional<std::vector<Conjunct>> Alternatives(const RuleCondition& condition) {
  if (condition.kind != Kind::kAny && condition.kind != Kind::kAll) {
    return std::vector<Conjunct>{{&condition}};
  }
  std::vector<Conjunct> result;
  if (condition.kind == Kind::kAll) result.emplace_back();
  for (const RuleCondition& part : condition.parts) {
    const std::optional<std::vector<Conjunct>> of = Alternatives(part);
    if (!of || result.size() + of->size() > kMostAlternatives) return std::nullopt;
    if (condition.kind == Kind::kAny) {
      result.insert(result.end(), of->begin(), of->end());
      continue;
    }
    if (result.size() * of->size() > kMostAlternatives) return std::nullopt;
    std::vector<Conjunct> product;
    for (const Conjunct& left : result) {
      for (const Conjunct& right : *of) {
        product.push_back(left);
        product.back().insert(product.back().end(), right.begin(), right.end());
      }
    }
    result = std::move(product);
  }
  return result;
}

// What one quantity can still be.
struct Domain {
  int64_t low = std::numeric_limits<int64_t>::min();
  int64_t high = std::numeric_limits<int64_t>::max();
  std::set<int64_t> excluded;
  uint32_t mask = ~uint32_t{0};

  bool empty() const {
    if (mask == 0 || low > high) return true;
    const uint64_t others = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    if (excluded.empty() || others >= excluded.size()) return false;
    for (int64_t value = low; value <= high; ++value) {
      if (!excluded.contains(value)) return false;
    }
    return true;
  }
  void Narrow(Comparison comparison, int64_t bound) {
    switch (comparison) {
      case Comparison::kAtLeast:
        low = std::max(low, bound);
        break;
      case Comparison::kAtMost:
        high = std::min(high, bound);
        break;
      case Comparison::kAbove:
        low = std::max(low, bound + 1);
        break;
      case Comparison::kBelow:
        high = std::min(high, bound - 1);
        break;
      case Comparison::kEqual:
        low = std::max(low, bound);
        high = std::min(high, bound);
        break;
      case Comparison::kNotEqual:
        excluded.insert(bound);
        break;
    }
  }
};

Comparison Opposite(Comparison comparison) {
  switch (comparison) {
    case Comparison::kAtLeast:
      return Comparison::kBelow;
    case Comparison::kAtMost:
      return Comparison::kAbove;
    case Comparison::kAbove:
      return Comparison::kAtMost;
    case Comparison::kBelow:
      return Comparison::kAtLeast;
    case Comparison::kEqual:
      return Comparison::kNotEqual;
    case Comparison::kNotEqual:
      return Comparison::kEqual;
  }
  return comparison;
}

// Bounds of one quantity are compared in the finest of their resolutions: in counts of
// 10^-decimals.
int DecimalsOf(double resolution) { return static_cast<int>(std::lround(-std::log10(resolution))); }
int64_t InDecimals(int64_t counts, double resolution, int decimals) {
  constexpr int64_t kMost = 4'000'000'000'000'000'000;
  for (int own = DecimalsOf(resolution); own < decimals; ++own) {
    if (std::abs(counts) > kMost / 10) return counts > 0 ? kMost : -kMost;
    counts *= 10;
  }
  return counts;
}
int64_t InDecimals(double value, int decimals) {
  const double resolution = ResolutionFor(value);
  return InDecimals(SafetyCounts(value, resolution), resolution, decimals);
}
int FinestOf(const ItemSpec* spec) {
  int finest = DecimalsOf(kResolution);
  if (spec == nullptr) return finest;
  for (const std::optional<double>& bound : {spec->lowest, spec->highest}) {
    if (bound) finest = std::max(finest, DecimalsOf(ResolutionFor(*bound)));
  }
  return finest;
}

// What the item can report at all; `decimals` are at least FinestOf.
Domain DomainOf(const ItemSpec* spec, bool absolute, int decimals) {
  Domain domain;
  if (spec == nullptr) return domain;
  if (spec->type == ValueType::kFlag) {
    domain.low = 0;
    domain.high = InDecimals(1, decimals);
    return domain;
  }
  if (absolute) {
    domain.low = 0;
    if (spec->lowest && spec->highest) {
      domain.high =
          InDecimals(std::max(std::abs(*spec->lowest), std::abs(*spec->highest)), decimals);
    }
    return domain;
  }
  if (spec->lowest) domain.low = InDecimals(*spec->lowest, decimals);
  if (spec->highest) domain.high = InDecimals(*spec->highest, decimals);
  return domain;
}

// Whether the level can get there.
bool CanReach(const LevelRule& rule, LevelSide side, Level level) {
  const LevelLimits& limits = rule.limits;
  const bool low = limits.dangerous_low || (level == Level::kWarning && limits.warning_low);
  const bool high = limits.dangerous_high || (level == Level::kWarning && limits.warning_high);
  switch (side) {
    case LevelSide::kLow:
      return low;
    case LevelSide::kHigh:
      return high;
    case LevelSide::kAny:
      break;
  }
  return low || high || rule.stale_to_dangerous ||
         (level == Level::kWarning && rule.stale_to_warning);
}

bool CanHold(const Conjunct& conjunct, const SafetyRules& rules, const SpecLookup& specs) {
  std::map<std::string, Domain> domains;
  std::map<std::string, int> finest;  // by item
  for (const RuleCondition* condition : conjunct) {
    if (condition->kind != Kind::kValue) continue;
    int& decimals =
        finest.try_emplace(condition->subject, FinestOf(specs(condition->subject))).first->second;
    decimals = std::max(decimals, DecimalsOf(condition->resolution));
  }
  for (const RuleCondition* condition : conjunct) {
    const bool holds = !condition->negated;
    const std::string& subject = condition->subject;
    const auto one_of = [&](const std::string& key, uint32_t all) {
      domains[key].mask &= (holds ? condition->mask : ~condition->mask) & all;
    };
    const auto flag = [&](const std::string& key) { domains[key].mask &= holds ? 2U : 1U; };
    switch (condition->kind) {
      case Kind::kAny:
      case Kind::kAll:
        break;
      case Kind::kValue: {
        const std::string key = (condition->absolute ? "abs " : "value ") + subject;
        const int decimals = finest.at(subject);
        const auto domain =
            domains.try_emplace(key, DomainOf(specs(subject), condition->absolute, decimals)).first;
        domain->second.Narrow(holds ? condition->comparison : Opposite(condition->comparison),
                              InDecimals(condition->counts, condition->resolution, decimals));
        break;
      }
      case Kind::kQuality:
        one_of("quality " + subject, 0xF);
        break;
      case Kind::kBus:
        one_of("bus " + subject, 0x3F);
        break;
      case Kind::kAlarm:
        flag("alarm " + subject);
        break;
      case Kind::kInterlock:
        flag("interlock " + subject);
        break;
      case Kind::kLevel: {
        std::string key = std::to_string(static_cast<int>(condition->side));
        key.append(" level ").append(subject);
        Domain& domain = domains[key];
        const auto level = static_cast<int64_t>(condition->level);
        domain.Narrow(holds ? Comparison::kAtLeast : Comparison::kBelow, level);
        const LevelRule* rule = rules.FindLevel(subject);
        if (holds && rule != nullptr && !CanReach(*rule, condition->side, condition->level)) {
          return false;
        }
        break;
      }
    }
  }
  return std::none_of(domains.begin(), domains.end(),
                      [](const auto& domain) { return domain.second.empty(); });
}

std::string Number(double value, const std::string& unit) {
  return Value::Number(value).ToString() + (unit.empty() ? "" : " " + unit);
}

using Steps = std::map<std::string, std::vector<const SafeStep*>>;  // by device
Steps StepsOf(const InterlockRule& rule) {
  Steps steps;
  for (const SafeStep& step : rule.steps) {
    if (step.acts()) steps[step.device].push_back(&step);
  }
  return steps;
}

// Two steps on one device that cannot both be; nullopt: these lists do the same, or different
// things.
using StepPair = std::pair<const SafeStep*, const SafeStep*>;
std::optional<StepPair> Fight(const std::vector<const SafeStep*>& own,
                              const std::vector<const SafeStep*>& others) {
  const auto same = [](const SafeStep* a, const SafeStep* b) {
    return a->action == b->action && a->item == b->item && a->value == b->value;
  };
  if (std::equal(own.begin(), own.end(), others.begin(), others.end(), same)) return std::nullopt;
  std::optional<StepPair> alike;
  for (const SafeStep* a : own) {
    for (const SafeStep* b : others) {
      if (!Meet(*a, *b)) continue;
      if (!same(a, b)) return StepPair{a, b};
      // The same action, with others before or behind it.
      if (!a->sets()) alike = {a, b};
    }
  }
  return alike;
}

bool YieldsTo(const InterlockRule& rule, const InterlockRule& other) {
  return std::find(rule.yields_to.begin(), rule.yields_to.end(), other.id) != rule.yields_to.end();
}

// Both yield to one that acts on the device, too, and that trips whenever both do: too low and too
// high at once is dangerous (battery safety facts, section 5.4).
bool ThirdDecides(const InterlockRule& rule, const InterlockRule& other, const std::string& device,
                  const SafetyRules& rules, const SpecLookup& specs) {
  return std::any_of(
      rules.interlocks.begin(), rules.interlocks.end(), [&](const InterlockRule& third) {
        if (!YieldsTo(rule, third) || !YieldsTo(other, third)) return false;
        const RuleCondition without{.kind = Kind::kAll,
                                    .parts = {rule.when, other.when, Negated(third.when)}};
        return StepsOf(third).contains(device) && !Satisfiable(without, rules, specs);
      });
}

// Steps that are never done, or waited for in vain.
void CheckSteps(const InterlockRule& rule, const SafetyRules& rules, const SpecLookup& specs,
                std::vector<RuleProblem>* problems) {
  const auto check = [&](const std::vector<SafeStep>& steps, const char* key) {
    for (const SafeStep& step : steps) {
      for (const auto* condition : {&step.only_if, &step.until}) {
        if (!*condition || Satisfiable(**condition, rules, specs)) continue;
        problems->push_back(
            {(*condition)->line,
             "interlocks." + rule.id + "." + key + (condition == &step.only_if ? ".if" : ".until"),
             "a condition that can never hold", "one that some reading makes true"});
      }
    }
  };
  check(rule.steps, "do");
  check(rule.clear_steps, "on_clear");
}

}  // namespace

bool Satisfiable(const RuleCondition& condition, const SafetyRules& rules,
                 const SpecLookup& specs) {
  const std::optional<std::vector<Conjunct>> alternatives = Alternatives(condition);
  if (!alternatives) return true;
  return std::any_of(alternatives->begin(), alternatives->end(),
                     [&](const Conjunct& conjunct) { return CanHold(conjunct, rules, specs); });
}

std::vector<RuleProblem> CheckLevel(const LevelRule& rule,
                                    const std::vector<const ItemSpec*>& specs) {
  std::vector<RuleProblem> problems;
  const std::string path = "levels." + rule.id;
  const LevelLimits& limits = rule.limits;
  const LevelBounds& bounds = rule.bounds;
  if (!limits.dangerous_low && !limits.warning_low && !limits.warning_high &&
      !limits.dangerous_high) {
    problems.push_back(
        {rule.line, path, "no bound",
         "at least one of dangerous_low, warning_low, warning_high, dangerous_high"});
    return problems;
  }
  if (const absl::Status order = CheckOrder(limits); !order.ok()) {
    // "found warning_high 5, expected above warning_low 6".
    std::string text(order.message());
    const size_t comma = text.find(", expected ");
    problems.push_back({rule.line, path, text.substr(6, comma - 6), text.substr(comma + 11)});
    return problems;
  }
  const std::pair<const char*, std::optional<double>> lows[] = {
      {"dangerous_low", limits.dangerous_low}, {"warning_low", limits.warning_low}};
  const std::pair<const char*, std::optional<double>> highs[] = {
      {"dangerous_high", limits.dangerous_high}, {"warning_high", limits.warning_high}};
  for (const ItemSpec* spec : specs) {
    for (const auto& [name, bound] : lows) {
      if (bound && spec->lowest && *bound < *spec->lowest) {
        problems.push_back({rule.line, path + "." + name, Number(*bound, rule.unit),
                            "at least " + Number(*spec->lowest, rule.unit) +
                                ", the lowest that the item can report: this bound is never "
                                "reached"});
      }
    }
    for (const auto& [name, bound] : highs) {
      if (bound && spec->highest && *bound > *spec->highest) {
        problems.push_back({rule.line, path + "." + name, Number(*bound, rule.unit),
                            "at most " + Number(*spec->highest, rule.unit) +
                                ", the highest that the item can report: this bound is never "
                                "reached"});
      }
    }
    if (!problems.empty()) return problems;
  }
  // Where both sides have let go: between these a value is normal again.
  const std::optional<int64_t> low = bounds.warning_low ? bounds.warning_low : bounds.dangerous_low;
  const std::optional<int64_t> high =
      bounds.warning_high ? bounds.warning_high : bounds.dangerous_high;
  const int64_t low_released =
      low ? bounds.release_low.value_or(*low + bounds.hysteresis) : int64_t{0};
  const int64_t high_released =
      high ? bounds.release_high.value_or(*high - bounds.hysteresis) : int64_t{0};
  if (low && low_released < *low) {
    problems.push_back({rule.line, path + ".release_low", "a value below the bound",
                        "one at or above it, within the normal range"});
  }
  if (high && high_released > *high) {
    problems.push_back({rule.line, path + ".release_high", "a value above the bound",
                        "one at or below it, within the normal range"});
  }
  if (low && high && low_released > high_released) {
    problems.push_back({rule.line, path + ".hysteresis",
                        "no value that is normal again: too low is released at " +
                            Number(static_cast<double>(low_released) * rule.resolution, rule.unit) +
                            ", too high at " +
                            Number(static_cast<double>(high_released) * rule.resolution, rule.unit),
                        "room between the two"});
  }
  return problems;
}

std::vector<RuleProblem> CheckInterlocks(const SafetyRules& rules, const SpecLookup& specs) {
  std::vector<RuleProblem> problems;
  for (size_t i = 0; i < rules.interlocks.size(); ++i) {
    const InterlockRule& rule = rules.interlocks[i];
    const std::string path = "interlocks." + rule.id;
    if (!Satisfiable(rule.when, rules, specs)) {
      problems.push_back({rule.when.line, path + ".when", "a condition that can never hold",
                          "one that some reading makes true"});
    } else if (!Satisfiable(Negated(rule.when), rules, specs)) {
      problems.push_back({rule.when.line, path + ".when", "a condition that always holds",
                          "one that some reading makes false"});
    } else if (rule.verify) {
      RuleCondition both{.kind = Kind::kAll, .parts = {*rule.verify, Negated(rule.when)}};
      if (!Satisfiable(*rule.verify, rules, specs)) {
        problems.push_back({rule.verify->line, path + ".verify", "a condition that can never hold",
                            "one that some reading makes true"});
      } else if (!Satisfiable(both, rules, specs)) {
        problems.push_back({rule.verify->line, path + ".verify",
                            "what trips it again: it could never be let go",
                            "something that its `when` is not made of"});
      }
    }
    CheckSteps(rule, rules, specs, &problems);
    const Steps steps = StepsOf(rule);
    for (size_t j = 0; j < i; ++j) {
      const InterlockRule& other = rules.interlocks[j];
      const bool yields = YieldsTo(rule, other), is_yielded_to = YieldsTo(other, rule);
      if (yields && is_yielded_to) {
        problems.push_back({rule.line, path + ".yields_to",
                            other.id + ", which yields to " + rule.id, "one of the two to yield"});
      }
      if (yields || is_yielded_to) continue;
      const Steps others = StepsOf(other);
      for (const auto& [device, own] : steps) {
        const auto found = others.find(device);
        if (found == others.end()) continue;
        const std::optional<StepPair> fight = Fight(own, found->second);
        if (!fight || ThirdDecides(rule, other, device, rules, specs)) continue;
        std::string text = fight->first->text;
        text.append(", where interlocks.").append(other.id);
        text.append(" (line ").append(std::to_string(other.line)).append(") does ");
        text.append(fight->second->text).append(": the two fight when both trip");
        problems.push_back({rule.line, path + ".do", std::move(text),
                            "the same, yields_to in one of them, or in both to a third that trips "
                            "whenever they do"});
      }
    }
  }
  return problems;
}

}  // namespace canhub
