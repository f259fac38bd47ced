// What is wrong with rules, found before anything runs.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/safety/rules.h"
#include "drivers/api/items.h"

namespace canhub {

struct RuleProblem {
  int line = 0;
  std::string path;  // "interlocks.overcharge.when"
  std::string found, expected;
};

// By the item's name, "bat0/pack.level"; nullptr: unknown.
using SpecLookup = std::function<const ItemSpec*(std::string_view name)>;

// Bounds that are out of order, beyond what the items can report, or leave no room to be normal
// again. `specs`: of the items that the level's pattern names.
std::vector<RuleProblem> CheckLevel(const LevelRule& rule,
                                    const std::vector<const ItemSpec*>& specs);

// Rules that can never fire, always hold, can never be acknowledged, or fight with another over a
// device. Everything that they name is there.
std::vector<RuleProblem> CheckInterlocks(const SafetyRules& rules, const SpecLookup& specs);

// Whether there are readings for which the condition holds, as far as can be told.
bool Satisfiable(const RuleCondition& condition, const SafetyRules& rules, const SpecLookup& specs);

}  // namespace canhub
