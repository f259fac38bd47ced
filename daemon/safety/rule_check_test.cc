#include "daemon/safety/rule_check.h"

#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: the words of rules
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ItemSpec kVoltage{.name = "v", .unit = "V", .lowest = 2.2, .highest = 4.75};
const ItemSpec kFlag{.name = "f", .type = ValueType::kFlag};
const ItemSpec kOther{.name = "o"};

const ItemSpec* Spec(std::string_view name) {
  return name == "a/v" ? &kVoltage : name == "a/f" ? &kFlag : &kOther;
}
bool CanHold(const RuleCondition& condition, const SafetyRules& rules = {}) {
  return Satisfiable(condition, rules, &Spec);
}
RuleCondition Above(const std::string& item, double bound) {
  return Compared(item, Comparison::kAbove, bound);
}
RuleCondition Below(const std::string& item, double bound) {
  return Compared(item, Comparison::kBelow, bound);
}

TEST(Satisfiable, WithinWhatTheItemCanReport) {
  EXPECT_TRUE(CanHold(Above("a/v", 4.7)));
  EXPECT_FALSE(CanHold(Above("a/v", 4.75)));
  EXPECT_TRUE(CanHold(Compared("a/v", Comparison::kAtLeast, 4.75)));
  EXPECT_FALSE(CanHold(Below("a/v", 2.2)));
  EXPECT_TRUE(CanHold(Below("a/o", -1e6)));
}

TEST(Satisfiable, WithoutItsSignNothingIsBelowZero) {
  RuleCondition condition = Below("a/o", 0);
  condition.absolute = true;
  EXPECT_FALSE(CanHold(condition));
  condition = Above("a/v", 4.75);
  condition.absolute = true;
  EXPECT_FALSE(CanHold(condition));
}

TEST(Satisfiable, BoundsOfOneItemMustLeaveRoom) {
  EXPECT_FALSE(CanHold(Group(Kind::kAll, {Above("a/o", 5), Below("a/o", 3)})));
  EXPECT_TRUE(CanHold(Group(Kind::kAll, {Above("a/o", 3), Below("a/o", 5)})));
  EXPECT_TRUE(CanHold(Group(Kind::kAll, {Above("a/o", 5), Below("a/x", 3)})));
}

TEST(Satisfiable, BoundsOfDifferentSizeMustLeaveRoomToo) {
  EXPECT_TRUE(CanHold(Group(Kind::kAll, {Above("a/o", 500e-9), Below("a/o", 2)})));
  EXPECT_TRUE(CanHold(Group(Kind::kAll, {Above("a/o", 100e-9), Below("a/o", 101e-9)})));
  EXPECT_FALSE(CanHold(Group(Kind::kAll, {Below("a/o", 500e-9), Above("a/o", 2)})));
  EXPECT_FALSE(CanHold(Group(Kind::kAll, {Above("a/o", 500e-9), Below("a/o", 500e-9)})));
  EXPECT_TRUE(CanHold(Group(Kind::kAll, {Above("a/v", 2.2), Above("a/v", 1e-12)})));
  EXPECT_FALSE(CanHold(Group(Kind::kAll, {Above("a/v", 4.75), Above("a/v", 1e-12)})));
}

TEST(Satisfiable, OneAlternativeIsEnough) {
  const RuleCondition never = Group(Kind::kAll, {Above("a/o", 5), Below("a/o", 3)});
  EXPECT_TRUE(CanHold(Group(Kind::kAny, {never, Above("a/o", 5)})));
  EXPECT_FALSE(CanHold(Group(Kind::kAny, {never, never})));
}

TEST(Satisfiable, AFlagIsTrueOrFalse) {
  const RuleCondition is = Compared("a/f", Comparison::kEqual, 1);
  const RuleCondition is_not = Compared("a/f", Comparison::kEqual, 0);
  EXPECT_TRUE(CanHold(is));
  EXPECT_FALSE(CanHold(Group(Kind::kAll, {is, is_not})));
  EXPECT_FALSE(CanHold(Compared("a/f", Comparison::kEqual, 2)));
}

TEST(Satisfiable, AValueExcludedAndWanted) {
  EXPECT_FALSE(CanHold(Group(Kind::kAll, {Compared("a/o", Comparison::kEqual, 1),
                                          Compared("a/o", Comparison::kNotEqual, 1)})));
}

TEST(Satisfiable, OneQualityAndOneBusStateAtATime) {
  EXPECT_FALSE(CanHold(
      Group(Kind::kAll, {IsQuality("a/o", Quality::kStale), IsQuality("a/o", Quality::kBad)})));
  EXPECT_FALSE(
      CanHold(Group(Kind::kAll, {IsBus("b", BusState::kBusOff), IsBus("b", BusState::kActive)})));
  EXPECT_TRUE(
      CanHold(Group(Kind::kAll, {IsBus("b", BusState::kBusOff), IsBus("c", BusState::kActive)})));
}

TEST(Satisfiable, AnAlarmBesideItsOpposite) {
  EXPECT_FALSE(CanHold(Group(Kind::kAll, {IsAlarm("a/x"), Negated(IsAlarm("a/x"))})));
  EXPECT_TRUE(CanHold(Group(Kind::kAll, {IsAlarm("a/x"), Negated(IsAlarm("a/y"))})));
}

TEST(Satisfiable, ALevelGetsWhereItHasBounds) {
  LevelRule level = VoltageLevel();
  level.stale_to_dangerous.reset();
  const SafetyRules rules = Rules({}, {level});
  EXPECT_TRUE(CanHold(IsLevel("volts", Level::kDangerous), rules));
  EXPECT_TRUE(CanHold(IsLevel("volts", Level::kWarning, LevelSide::kHigh), rules));
  EXPECT_FALSE(CanHold(IsLevel("volts", Level::kWarning, LevelSide::kLow), rules));
  level.limits.dangerous_high.reset();
  EXPECT_FALSE(CanHold(IsLevel("volts", Level::kDangerous), Rules({}, {level})));
  level.stale_to_dangerous = Duration(0);
  EXPECT_TRUE(CanHold(IsLevel("volts", Level::kDangerous), Rules({}, {level})));
}

TEST(Satisfiable, AnEndlessConditionIsLeftAlone) {
  RuleCondition all = Group(Kind::kAll, {});
  for (int i = 0; i < 20; ++i) {
    const std::string item = "a/o" + std::to_string(i);
    all.parts.push_back(Group(Kind::kAny, {Above(item, 1), Below(item, 0)}));
  }
  EXPECT_TRUE(CanHold(all));
}

TEST(Negation, TurnsGroupsOver) {
  const RuleCondition condition = Group(Kind::kAll, {Above("a/o", 5), IsAlarm("a/x")});
  EXPECT_FALSE(CanHold(Group(Kind::kAll, {condition, Negated(condition)})));
  EXPECT_TRUE(CanHold(Negated(condition)));
}

// ---------------------------------------------------------------- levels

std::vector<RuleProblem> CheckVoltage(const LevelRule& rule) {
  return CheckLevel(rule, {&kVoltage});
}
LevelRule Cells() {
  LevelRule rule{.id = "cells", .items = "a/v", .unit = "V"};
  rule.limits = {2.7, 2.8, 4.1, 4.2};
  rule.bounds = ToBounds(rule.limits, kResolution, 0, 0.02);
  return rule;
}

TEST(CheckLevel, TheBoundsOfTheFactsAreFine) { EXPECT_THAT(CheckVoltage(Cells()), IsEmpty()); }

TEST(CheckLevel, WithoutABoundItIsNone) {
  LevelRule rule = Cells();
  rule.limits = {};
  ASSERT_THAT(CheckVoltage(rule), SizeIs(1));
  EXPECT_EQ(CheckVoltage(rule)[0].found, "no bound");
}

TEST(CheckLevel, OutOfOrder) {
  LevelRule rule = Cells();
  rule.limits.warning_high = 4.3;
  ASSERT_THAT(CheckVoltage(rule), SizeIs(1));
  EXPECT_EQ(CheckVoltage(rule)[0].found, "dangerous_high 4.2");
  EXPECT_EQ(CheckVoltage(rule)[0].expected, "above warning_high 4.3");
}

TEST(CheckLevel, ABoundBeyondWhatTheItemReports) {
  LevelRule rule = Cells();
  rule.limits.dangerous_high = 5;
  ASSERT_THAT(CheckVoltage(rule), SizeIs(1));
  EXPECT_EQ(CheckVoltage(rule)[0].path, "levels.cells.dangerous_high");
  EXPECT_THAT(CheckVoltage(rule)[0].expected, HasSubstr("at most 4.75 V"));
  rule = Cells();
  rule.limits.dangerous_low = 2.1;
  ASSERT_THAT(CheckVoltage(rule), SizeIs(1));
  EXPECT_THAT(CheckVoltage(rule)[0].expected, HasSubstr("at least 2.2 V"));
}

TEST(CheckLevel, AHysteresisThatLeavesNoNormalValue) {
  LevelRule rule = Cells();
  rule.bounds = ToBounds(rule.limits, kResolution, 0, 0.7);
  ASSERT_THAT(CheckVoltage(rule), SizeIs(1));
  EXPECT_EQ(CheckVoltage(rule)[0].found,
            "no value that is normal again: too low is released at 3.5 V, too high at 3.4 V");
}

TEST(CheckLevel, AReleaseOnTheWrongSide) {
  LevelRule rule = Cells();
  rule.bounds.release_high = SafetyCounts(4.15, kResolution);
  ASSERT_THAT(CheckVoltage(rule), SizeIs(1));
  EXPECT_EQ(CheckVoltage(rule)[0].path, "levels.cells.release_high");
}

// ---------------------------------------------------------------- interlocks

std::vector<RuleProblem> Check(std::vector<InterlockRule> interlocks) {
  return CheckInterlocks(Rules(std::move(interlocks)), &Spec);
}

TEST(CheckInterlocks, AnOrdinaryRuleIsFine) { EXPECT_THAT(Check({Rule()}), IsEmpty()); }

TEST(CheckInterlocks, CanNeverFire) {
  InterlockRule rule = Rule();
  rule.when = Above("a/v", 5);
  ASSERT_THAT(Check({rule}), SizeIs(1));
  EXPECT_EQ(Check({rule})[0].path, "interlocks.guard.when");
  EXPECT_EQ(Check({rule})[0].found, "a condition that can never hold");
}

TEST(CheckInterlocks, AlwaysHolds) {
  InterlockRule rule = Rule();
  rule.when = Group(Kind::kAny, {Above("a/o", 3), Below("a/o", 5)});
  ASSERT_THAT(Check({rule}), SizeIs(1));
  EXPECT_EQ(Check({rule})[0].found, "a condition that always holds");
}

TEST(CheckInterlocks, IsHeldByWhatVerifiesIt) {
  InterlockRule rule = Rule();
  rule.when = Below("a/o", 5);
  rule.verify = Below("a/o", 2);
  ASSERT_THAT(Check({rule}), SizeIs(1));
  EXPECT_EQ(Check({rule})[0].found, "what trips it again: it could never be let go");
}

TEST(CheckInterlocks, CanNeverBeVerified) {
  InterlockRule rule = Rule();
  rule.verify = Above("a/v", 5);
  ASSERT_THAT(Check({rule}), SizeIs(1));
  EXPECT_EQ(Check({rule})[0].path, "interlocks.guard.verify");
}

TEST(CheckInterlocks, TwoThatFightOverADevice) {
  InterlockRule first = Rule("first"), second = Rule("second");
  second.line = 7;
  second.steps = {Act("hv1", "emergency_off")};
  ASSERT_THAT(Check({first, second}), SizeIs(1));
  const RuleProblem problem = Check({first, second})[0];
  EXPECT_EQ(problem.line, 7);
  EXPECT_EQ(problem.path, "interlocks.second.do");
  EXPECT_THAT(problem.found, HasSubstr("hv1/emergency_off, where interlocks.first"));
  second.yields_to = {"first"};
  EXPECT_THAT(Check({first, second}), IsEmpty());
  second.yields_to = {};
  first.yields_to = {"second"};
  EXPECT_THAT(Check({first, second}), IsEmpty());
}

TEST(CheckInterlocks, TheSameActionIsNoFight) {
  EXPECT_THAT(Check({Rule("first"), Rule("second")}), IsEmpty());
}

TEST(CheckInterlocks, TwoThatSetOneItemDifferently) {
  InterlockRule first = Rule("first"), second = Rule("second");
  first.steps = {SetTo("hv1", 2)};
  second.steps = {SetTo("hv1", 3)};
  ASSERT_THAT(Check({first, second}), SizeIs(1));
  EXPECT_THAT(Check({first, second})[0].found,
              HasSubstr("hv1/voltage_set = 3 V, where interlocks.first (line 0) does "
                        "hv1/voltage_set = 2 V: the two fight"));
  second.steps = first.steps;
  EXPECT_THAT(Check({first, second}), IsEmpty());
}

TEST(CheckInterlocks, ASetItemFightsWithASafeActionOnItsDevice) {
  InterlockRule first = Rule("first"), second = Rule("second");
  second.steps = {SetTo("hv1", 3)};
  ASSERT_THAT(Check({first, second}), SizeIs(1));
  second.yields_to = {"first"};
  EXPECT_THAT(Check({first, second}), IsEmpty());
}

// Battery safety facts, section 5.4: too low and too high at once is dangerous.
TEST(CheckInterlocks, OppositeSetPointsNeedAThirdThatTripsWheneverBothDo) {
  InterlockRule third = Rule("danger"), low = Rule("low"), high = Rule("high");
  third.when = Above("a/x", 1);
  low.when = Below("a/o", 1);
  high.when = Above("a/y", 5);
  low.steps = {SetTo("hv1", 2)};
  high.steps = {SetTo("hv1", 3)};
  low.yields_to = high.yields_to = {"danger"};
  ASSERT_THAT(Check({third, low, high}), SizeIs(1));
  EXPECT_EQ(Check({third, low, high})[0].path, "interlocks.high.do");
  third.when = Group(Kind::kAny, {third.when, Group(Kind::kAll, {low.when, high.when})});
  EXPECT_THAT(Check({third, low, high}), IsEmpty());
  third.steps = {Act("hv0")};
  EXPECT_THAT(Check({third, low, high}), SizeIs(1)) << "it leaves hv1 alone";
}

TEST(CheckInterlocks, AStepThatIsNeverDone) {
  InterlockRule rule = Rule();
  rule.steps[0].only_if = Above("a/v", 5);
  ASSERT_THAT(Check({rule}), SizeIs(1));
  EXPECT_EQ(Check({rule})[0].path, "interlocks.guard.do.if");
}

TEST(CheckInterlocks, TwoThatYieldToEachOther) {
  InterlockRule first = Rule("first"), second = Rule("second");
  first.yields_to = {"second"};
  second.yields_to = {"first"};
  ASSERT_THAT(Check({first, second}), SizeIs(1));
  EXPECT_EQ(Check({first, second})[0].path, "interlocks.second.yields_to");
}

}  // namespace
}  // namespace canhub
