// levels, interlocks and safety of the YAML.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/config/diff.h"
#include "daemon/config/loader.h"
#include "daemon/config/test_drivers.h"

namespace canhub {
namespace {

using ::testing::HasSubstr;
using Kind = RuleCondition::Kind;

constexpr char kLab[] =
    "buses: {lab: {type: simulated, bitrate: 125000}}\n"
    "devices:\n"
    "  psu0: {driver: demo-psu, bus: lab, address: 0}\n"
    "  psu1: {driver: demo-psu, bus: lab, address: 1}\n";  // 4 lines

absl::StatusOr<Config> Parse(const std::string& rules) {
  return ParseConfig(kLab + rules, "lab.yaml", TestDrivers());
}
std::string ErrorOf(const std::string& rules) {
  return std::string(Parse(rules).status().message());
}
std::string Level(const std::string& keys) { return "levels:\n  volts: {" + keys + "}\n"; }
std::string Interlock(const std::string& keys) { return "interlocks:\n  guard: {" + keys + "}\n"; }
// What `when` is read as; an error is a failure.
RuleCondition When(const std::string& condition, const std::string& levels = "") {
  const auto config = Parse(levels + Interlock("when: " + condition + ", refuse: [psu1]"));
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? config->safety.interlocks[0].when : RuleCondition();
}
std::string WhenError(const std::string& condition) {
  return ErrorOf(Interlock("when: " + condition + ", refuse: [psu1]"));
}

TEST(SafetySection, NoneIsNone) {
  const auto config = Parse("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->safety.empty());
}

// ---------------------------------------------------------------- levels

TEST(LevelSection, ReadsEverything) {
  const auto config = Parse(
      "levels:\n  volts:\n    items: psu*/ch*.voltage\n    count: 4\n    dangerous_low: 1 V\n"
      "    warning_low: 2 V\n    warning_high: 1 kV\n    dangerous_high: 1.1 kV\n"
      "    hysteresis: 500 mV\n    release_high: 900 V\n    samples_to_warning: 2\n"
      "    samples_to_dangerous: 3\n    resolution: 100 mV\n    stale_to_warning: 200 ms\n"
      "    stale_to_dangerous: none\n");
  ASSERT_TRUE(config.ok()) << config.status();
  const LevelRule& rule = config->safety.levels.at(0);
  EXPECT_EQ(rule.count, 4);
  EXPECT_EQ(rule.unit, "V");
  EXPECT_EQ(rule.bounds.dangerous_low, 10);
  EXPECT_EQ(rule.bounds.warning_low, 20);
  EXPECT_EQ(rule.bounds.warning_high, 10000);
  EXPECT_EQ(rule.bounds.dangerous_high, 11000);
  EXPECT_EQ(rule.bounds.hysteresis, 5);
  EXPECT_EQ(rule.bounds.release_high, 9000);
  EXPECT_EQ(rule.bounds.samples_to_warning, 2);
  EXPECT_EQ(rule.bounds.samples_to_dangerous, 3);
  EXPECT_EQ(rule.stale_to_warning, std::chrono::milliseconds(200));
  EXPECT_FALSE(rule.stale_to_dangerous.has_value());
}

TEST(LevelSection, WithoutThemStaleIsAsTheFactsHaveIt) {
  const auto config = Parse(Level("items: psu0/ch0.voltage, dangerous_high: 5 V"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->safety.levels[0].stale_to_warning, Duration(0));
  EXPECT_EQ(config->safety.levels[0].stale_to_dangerous, std::chrono::seconds(3));
}

TEST(LevelSection, AnItemThatIsNotThere) {
  EXPECT_EQ(ErrorOf(Level("items: psu0/ch0.voltag, dangerous_high: 5 V")),
            "lab.yaml:6: levels.volts.items: found the item \"ch0.voltag\" (did you mean "
            "\"ch0.voltage\"?), expected an item of psu0");
  EXPECT_EQ(ErrorOf(Level("items: psu2/ch0.voltage, dangerous_high: 5 V")),
            "lab.yaml:6: levels.volts.items: found the device \"psu2\" (did you mean \"psu0\"?), "
            "expected one of devices: psu0 or psu1");
  EXPECT_THAT(ErrorOf(Level("items: psu*/ch*.volts, count: 1, dangerous_high: 5 V")),
              HasSubstr("found \"psu*/ch*.volts\", which no item fits"));
}

TEST(LevelSection, APatternNeedsItsCount) {
  EXPECT_THAT(ErrorOf(Level("items: psu*/ch*.voltage, dangerous_high: 5 V")),
              HasSubstr("lab.yaml:6: levels.volts.count: found no such key, expected how many"));
  EXPECT_THAT(ErrorOf(Level("items: psu*/ch*.voltage, count: 5, dangerous_high: 5 V")),
              HasSubstr("found 5, expected at most 4 (items that fit the pattern)"));
  EXPECT_THAT(ErrorOf(Level("items: psu0/ch0.voltage, count: 1, dangerous_high: 5 V")),
              HasSubstr("found it beside the name of one item"));
}

TEST(LevelSection, ItemsOfOneUnit) {
  EXPECT_THAT(ErrorOf(Level("items: 'psu0/ch0.*e', count: 2, dangerous_high: 5 V")),
              HasSubstr("expected items"));
  EXPECT_THAT(ErrorOf(Level("items: psu0/ch0.is_on, dangerous_high: 5")),
              HasSubstr("psu0/ch0.is_on, which is a flag, expected items that are numbers"));
}

TEST(LevelSection, AWrongUnit) {
  EXPECT_THAT(ErrorOf(Level("items: psu0/ch0.voltage, dangerous_high: 5 A")),
              HasSubstr("lab.yaml:6: levels.volts.dangerous_high: found \"5 A\", expected a "
                        "number with its unit"));
}

TEST(LevelSection, BoundsAreWholeNumbersOfTheResolution) {
  EXPECT_THAT(ErrorOf(Level("items: psu0/ch0.voltage, dangerous_high: 500 nV")),
              HasSubstr("lab.yaml:6: levels.volts.dangerous_high: found 5e-07 V, expected a whole "
                        "number of resolution, which is 1e-06 V"));
  EXPECT_THAT(ErrorOf(Level("items: psu0/ch0.voltage, dangerous_high: 1 V, hysteresis: 100 nV")),
              HasSubstr("levels.volts.hysteresis: found 1e-07 V"));
  const auto config =
      Parse(Level("items: psu0/ch0.voltage, dangerous_high: 500 nV, resolution: 1 pV"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->safety.levels[0].bounds.dangerous_high, 500'000);
}

TEST(LevelSection, ThresholdsThatCannotBe) {
  EXPECT_EQ(ErrorOf("levels:\n  volts:\n    items: psu0/ch0.voltage\n    warning_high: 6 V\n"
                    "    dangerous_high: 5 V\n"),
            "lab.yaml:6: levels.volts: found dangerous_high 5, expected above warning_high 6");
  EXPECT_EQ(ErrorOf("levels:\n  volts:\n    items: psu0/ch0.voltage\n    dangerous_high: 7 kV\n"),
            "lab.yaml:8: levels.volts.dangerous_high: found 7000 V, expected at most 6500 V, the "
            "highest that the item can report: this bound is never reached");
  EXPECT_THAT(ErrorOf(Level("items: psu0/ch0.voltage, warning_low: 5 V, warning_high: 6 V, "
                            "hysteresis: 1 V")),
              HasSubstr("levels.volts.hysteresis: found no value that is normal again"));
  EXPECT_THAT(ErrorOf(Level("items: psu0/ch0.voltage")), HasSubstr("found no bound"));
}

TEST(LevelSection, UnknownKeysAndIds) {
  EXPECT_THAT(ErrorOf(Level("items: psu0/ch0.voltage, dangerous_hi: 5 V")),
              HasSubstr("found an unknown key (did you mean \"dangerous_high\"?)"));
  EXPECT_THAT(ErrorOf("levels:\n  state: {items: psu0/ch0.voltage, dangerous_high: 5 V}\n"),
              HasSubstr("found the id state"));
  EXPECT_THAT(ErrorOf("levels: 5\n"), HasSubstr("levels"));
}

// ---------------------------------------------------------------- conditions

TEST(ConditionText, AComparisonInTheUnitOfTheItem) {
  const RuleCondition condition = When("psu0/ch0.voltage >= 1.5 kV");
  EXPECT_EQ(condition.kind, Kind::kValue);
  EXPECT_EQ(condition.subject, "psu0/ch0.voltage");
  EXPECT_EQ(condition.comparison, Comparison::kAtLeast);
  EXPECT_EQ(condition.counts, SafetyCounts(1500, kResolution));
  EXPECT_EQ(condition.text, "psu0/ch0.voltage >= 1.5 kV");
  EXPECT_EQ(condition.line, 6);
}

// In millionths of the unit, 500 nV would be 1, and 1499 nV as well.
TEST(ConditionText, ASmallBoundIsComparedAsFinely) {
  const RuleCondition condition = When("psu0/ch0.voltage > 500 nV");
  EXPECT_GT(SafetyCounts(501e-9, condition.resolution), condition.counts);
  EXPECT_EQ(SafetyCounts(500e-9, condition.resolution), condition.counts);
  EXPECT_LT(SafetyCounts(499e-9, condition.resolution), condition.counts);
}

TEST(ConditionText, EveryComparison) {
  const std::pair<const char*, Comparison> all[] = {
      {">=", Comparison::kAtLeast}, {"<=", Comparison::kAtMost}, {">", Comparison::kAbove},
      {"<", Comparison::kBelow},    {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual}};
  for (const auto& [text, comparison] : all) {
    EXPECT_EQ(When(std::string("psu0/ch0.voltage ") + text + " 5 V").comparison, comparison);
  }
}

TEST(ConditionText, WithoutTheSign) {
  const RuleCondition condition = When("abs(psu0/ch0.voltage) <= 2 V");
  EXPECT_TRUE(condition.absolute);
  EXPECT_EQ(condition.subject, "psu0/ch0.voltage");
}

TEST(ConditionText, ALabelAndItsOpposite) {
  EXPECT_EQ(When("psu0/ch0.state is tripped").counts, SafetyCounts(2, kResolution));
  EXPECT_EQ(When("psu0/ch0.state is not on").comparison, Comparison::kNotEqual);
}

TEST(ConditionText, AFlag) {
  EXPECT_EQ(When("psu0/ch0.is_on is true").counts, SafetyCounts(1, kResolution));
  EXPECT_EQ(When("psu0/ch0.is_on is not true").counts, 0);
  EXPECT_EQ(When("psu0/ch0.is_on is not true").comparison, Comparison::kEqual);
}

TEST(ConditionText, AQuality) {
  EXPECT_EQ(When("psu0/ch0.voltage is STALE").mask, 1U << static_cast<int>(Quality::kStale));
  EXPECT_EQ(When("psu0/ch0.voltage is NEVER_READ").kind, Kind::kQuality);
  EXPECT_TRUE(When("psu0/ch0.voltage is not GOOD").negated);
}

TEST(ConditionText, ALevelAndItsSides) {
  const std::string levels = Level(
      "items: psu0/ch0.voltage, warning_low: 1 V, dangerous_low: 0.5 V, warning_high: 5 V, "
      "dangerous_high: 6 V");
  EXPECT_EQ(When("level volts is warning", levels).level, canhub::Level::kWarning);
  EXPECT_EQ(When("level volts is dangerous_low", levels).side, LevelSide::kLow);
  EXPECT_EQ(When("level volts is warning_high", levels).side, LevelSide::kHigh);
  EXPECT_TRUE(When("level volts is not dangerous", levels).negated);
}

TEST(ConditionText, AlarmsBusesAndInterlocks) {
  EXPECT_EQ(When("alarm psu0/trip").subject, "psu0/trip");
  EXPECT_EQ(When("alarm lab/bus_state").kind, Kind::kAlarm);
  EXPECT_TRUE(When("alarm not psu0/trip").negated);
  EXPECT_EQ(When("bus lab is bus-off").mask, 1U << static_cast<int>(BusState::kBusOff));
  EXPECT_TRUE(When("bus lab is not active").negated);
  const auto config = Parse(
      "interlocks:\n  first: {when: alarm psu0/trip, refuse: [psu1]}\n"
      "  second: {when: interlock first, refuse: [psu0]}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->safety.interlocks[1].when.kind, Kind::kInterlock);
}

TEST(ConditionText, ListsAndGroups) {
  const RuleCondition any = When("[alarm psu0/trip, psu0/ch0.voltage > 5 V]");
  EXPECT_EQ(any.kind, Kind::kAny);
  EXPECT_EQ(any.text, "alarm psu0/trip or psu0/ch0.voltage > 5 V");
  const RuleCondition all = When("{all: [alarm psu0/trip, {any: [alarm psu0/a, alarm psu0/b]}]}");
  EXPECT_EQ(all.kind, Kind::kAll);
  EXPECT_EQ(all.text, "alarm psu0/trip and (alarm psu0/a or alarm psu0/b)");
}

TEST(ConditionText, WhatIsWrongIsNamed) {
  EXPECT_EQ(WhenError("psu0/ch0.state is triped"),
            "lab.yaml:6: interlocks.guard.when: found \"triped\" (did you mean \"tripped\"?), "
            "expected GOOD, STALE, BAD, NEVER_READ, off, on or tripped");
  EXPECT_THAT(WhenError("psu0/ch0.voltage >= 5"),
              HasSubstr("found \"5\", expected a number with its"));
  EXPECT_THAT(WhenError("psu0/ch0.voltage => 5 V"), HasSubstr("expected a condition, like"));
  EXPECT_THAT(WhenError("psu0/ch0.volt >= 5 V"), HasSubstr("found the item \"ch0.volt\""));
  EXPECT_THAT(WhenError("psu0/ch0.is_on >= 1"), HasSubstr("is a flag, expected \"is true\""));
  EXPECT_THAT(WhenError("psu0/ch0.model_name == 1"), HasSubstr("is a text"));
  EXPECT_THAT(WhenError("psu9/ch0.voltage >= 5 V"), HasSubstr("found the device \"psu9\""));
  EXPECT_THAT(WhenError("level volts is dangerous"), HasSubstr("found the level \"volts\""));
  EXPECT_THAT(WhenError("bus can9 is active"), HasSubstr("found the bus \"can9\""));
  EXPECT_THAT(WhenError("bus lab is off"), HasSubstr("expected active, warning"));
  EXPECT_THAT(WhenError("alarm trip"), HasSubstr("expected an alarm's id"));
  EXPECT_THAT(WhenError("alarm psu9/trip"), HasSubstr("found the device \"psu9\""));
  EXPECT_THAT(WhenError("interlock guard"), HasSubstr("expected one that stands above"));
  EXPECT_THAT(WhenError("[]"), HasSubstr("a list of conditions"));
  EXPECT_THAT(WhenError("{one: [alarm psu0/trip]}"), HasSubstr("a map with `any` or `all`"));
}

// ---------------------------------------------------------------- interlocks

TEST(InterlockSection, ReadsEverything) {
  const auto config = Parse(
      "interlocks:\n  guard:\n    description: a text\n    when: psu0/ch0.voltage > 5 V\n"
      "    latch: false\n    severity: warning\n    unknown_for: 2 s\n"
      "    do:\n      - psu1/ramp_down\n"
      "      - {act: psu0/emergency_off, until: psu0/ch0.voltage < 1 V, within: 500 ms}\n"
      "      - until: psu1/ch0.voltage < 1 V\n"
      "    verify: [psu0/ch0.voltage < 1 V, psu1/ch0.voltage < 1 V]\n    verify_within: 3 s\n"
      "    refuse: [psu0, psu1/factory_reset, psu1/ch0.voltage_set]\n");
  ASSERT_TRUE(config.ok()) << config.status();
  const InterlockRule& rule = config->safety.interlocks.at(0);
  EXPECT_EQ(rule.description, "a text");
  EXPECT_FALSE(rule.latch);
  EXPECT_EQ(rule.severity, canhub::Level::kWarning);
  EXPECT_EQ(rule.unknown_for, std::chrono::seconds(2));
  ASSERT_EQ(rule.steps.size(), 3u);
  EXPECT_EQ(rule.steps[0].text, "psu1/ramp_down");
  EXPECT_EQ(rule.steps[1].within, std::chrono::milliseconds(500));
  EXPECT_EQ(rule.steps[2].device, "");
  EXPECT_EQ(rule.steps[2].within, std::chrono::seconds(2));
  EXPECT_EQ(rule.verify->kind, Kind::kAll);
  EXPECT_EQ(rule.verify_within, std::chrono::seconds(3));
  ASSERT_EQ(rule.refuse.size(), 3u);
  EXPECT_EQ(rule.refuse[0].name, "");
  EXPECT_EQ(rule.refuse[1].name, "factory_reset");
  EXPECT_EQ(rule.refuse[2].name, "ch0.voltage_set");
}

TEST(InterlockSection, RefusesWhatItMadeSafeUnlessItSays) {
  auto config = Parse(Interlock("when: alarm psu0/trip, do: [psu1/ramp_down]"));
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->safety.interlocks[0].refuse.size(), 1u);
  EXPECT_EQ(config->safety.interlocks[0].refuse[0].device, "psu1");
  config = Parse(Interlock("when: alarm psu0/trip, do: [psu1/ramp_down], refuse: []"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->safety.interlocks[0].refuse.empty());
}

TEST(InterlockSection, OnlySafeActions) {
  EXPECT_EQ(ErrorOf(Interlock("when: alarm psu0/trip, do: [psu1/factory_reset]")),
            "lab.yaml:6: interlocks.guard.do: found \"psu1/factory_reset\", expected a safe action "
            "of psu1: ramp_down or emergency_off");
}

TEST(InterlockSection, WhatIsWrongIsNamed) {
  EXPECT_THAT(ErrorOf(Interlock("do: [psu1/ramp_down]")),
              HasSubstr("guard.when: found no such key"));
  EXPECT_THAT(ErrorOf(Interlock("when: alarm psu0/trip")), HasSubstr("neither do nor refuse"));
  EXPECT_THAT(ErrorOf(Interlock("when: alarm psu0/trip, refuse: [psu1/ch0.voltage]")),
              HasSubstr("or an item that can be set"));
  EXPECT_THAT(ErrorOf(Interlock("when: alarm psu0/trip, refuse: [psu1/ramp_down]")),
              HasSubstr("one of its actions that is no safe one"));
  EXPECT_THAT(ErrorOf(Interlock("when: alarm psu0/trip, do: [{within: 1 s}]")),
              HasSubstr("found it without until"));
  EXPECT_THAT(ErrorOf(Interlock("when: alarm psu0/trip, do: psu1/ramp_down")),
              HasSubstr("expected a list"));
  EXPECT_THAT(ErrorOf(Interlock("when: alarm psu0/trip, refuse: [psu1], severity: bad")),
              HasSubstr("warning or dangerous"));
  EXPECT_THAT(ErrorOf(Interlock("when: alarm psu0/trip, refuse: [psu1], yields_to: [gard]")),
              HasSubstr("found the interlock \"gard\" (did you mean \"guard\"?)"));
}

// ---------------------------------------------------------------- items that are set

std::string StepError(const std::string& step) {
  return ErrorOf(Interlock("when: alarm psu0/trip, do: [" + step + "]"));
}

TEST(InterlockSection, SetsItemsOfEachType) {
  const auto config = Parse(
      "interlocks:\n  guard:\n    when: alarm psu0/trip\n    do:\n"
      "      - {set: psu1/ch0.Control.voltageSet, to: 1.5 kV, if: psu1/ch0.is_on is true}\n"
      "      - {set: psu1/ch0.is_on, to: false}\n"
      "      - {set: psu1/ch1.mode, to: tripped, until: psu1/ch1.state is tripped, within: 1 s}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  const InterlockRule& rule = config->safety.interlocks.at(0);
  ASSERT_EQ(rule.steps.size(), 3u);
  EXPECT_EQ(rule.steps[0].device, "psu1");
  EXPECT_EQ(rule.steps[0].item, "ch0.voltage_set");
  EXPECT_EQ(rule.steps[0].value, Value::Number(1500));
  EXPECT_EQ(rule.steps[0].only_if->text, "psu1/ch0.is_on is true");
  EXPECT_EQ(rule.steps[0].text, "psu1/ch0.voltage_set = 1.5 kV");
  EXPECT_EQ(rule.steps[1].value, Value::Flag(false));
  EXPECT_EQ(rule.steps[2].value, Value::Integer(2));
  EXPECT_EQ(rule.steps[2].within, std::chrono::seconds(1));
  ASSERT_EQ(rule.refuse.size(), 1u);
  EXPECT_EQ(rule.refuse[0].device, "psu1");
}

TEST(InterlockSection, OnlyWhatCanBeSet) {
  EXPECT_EQ(StepError("{set: psu1/ch0.voltage, to: 5 V}"),
            "lab.yaml:6: interlocks.guard.do.set: found \"psu1/ch0.voltage\", which can only be "
            "read, expected an item that can be set");
  EXPECT_THAT(StepError("{set: psu1/ch0.volt_set, to: 5 V}"),
              HasSubstr("interlocks.guard.do.set: found the item \"ch0.volt_set\" (did you mean"));
  EXPECT_THAT(StepError("{set: psu1/ch0.voltage_set}"),
              HasSubstr("guard.do.to: found no such key, expected the value that is set"));
  EXPECT_THAT(StepError("{act: psu1/ramp_down, to: 5 V}"), HasSubstr("found it without set"));
  EXPECT_THAT(StepError("{act: psu1/ramp_down, set: psu1/ch0.is_on, to: true}"),
              HasSubstr("found it beside act"));
}

TEST(InterlockSection, OnlyValuesThatTheItemAndTheLimitsTake) {
  EXPECT_EQ(StepError("{set: psu1/ch0.voltage_set, to: 7 kV}"),
            "lab.yaml:6: interlocks.guard.do.to: found 7 kV, expected at most 6000 V (the "
            "item's own)");
  EXPECT_THAT(StepError("{set: psu1/ch0.voltage_set, to: -7 kV}"), HasSubstr("at least -6000 V"));
  EXPECT_THAT(StepError("{set: psu1/ch0.voltage_set, to: 5}"), HasSubstr("a number with its unit"));
  EXPECT_THAT(StepError("{set: psu1/ch0.is_on, to: 5}"), HasSubstr("interlocks.guard.do.to"));
  EXPECT_THAT(StepError("{set: psu1/ch0.mode, to: triped}"), HasSubstr("interlocks.guard.do.to"));
  const auto limited = ParseConfig(
      "buses: {lab: {type: simulated, bitrate: 125000}}\n"
      "devices:\n"
      "  psu0: {driver: demo-psu, bus: lab, address: 0, limits: {voltage: 1 kV}}\n" +
          Interlock("when: alarm psu0/trip, do: [{set: psu0/ch0.voltage_set, to: -1.1 kV}]"),
      "lab.yaml", TestDrivers());
  EXPECT_EQ(std::string(limited.status().message()),
            "lab.yaml:5: interlocks.guard.do.to: found -1.1 kV, expected at least -1000 V "
            "(lab.yaml:3, devices.psu0.limits.voltage)");
}

TEST(InterlockSection, EndsWhereItDoesNotLatch) {
  const auto config =
      Parse(Interlock("when: alarm psu0/trip, latch: false, hold: 60 s, "
                      "do: [{set: psu1/ch0.is_on, to: true}], "
                      "on_clear: [{set: psu1/ch0.is_on, to: false}]"));
  ASSERT_TRUE(config.ok()) << config.status();
  const InterlockRule& rule = config->safety.interlocks.at(0);
  EXPECT_EQ(rule.hold, std::chrono::seconds(60));
  ASSERT_EQ(rule.clear_steps.size(), 1u);
  EXPECT_EQ(rule.clear_steps[0].text, "psu1/ch0.is_on = false");
}

TEST(InterlockSection, WhatLatchesHasNoEndOfItsOwn) {
  EXPECT_EQ(ErrorOf(Interlock("when: alarm psu0/trip, refuse: [psu1], hold: 60 s")),
            "lab.yaml:6: interlocks.guard.hold: found it where the interlock latches, expected "
            "latch: false beside it");
  EXPECT_THAT(ErrorOf(Interlock("when: alarm psu0/trip, refuse: [psu1], on_clear: []")),
              HasSubstr("guard.on_clear: found it where the interlock latches"));
}

TEST(InterlockSection, EndsWhatItBegan) {
  EXPECT_EQ(ErrorOf(Interlock("when: alarm psu0/trip, latch: false, "
                              "do: [{set: psu1/ch0.is_on, to: true}], "
                              "on_clear: [{set: psu1/ch1.is_on, to: false}]")),
            "lab.yaml:6: interlocks.guard.on_clear: found psu1/ch1.is_on = false, where `do` does "
            "nothing, expected the end of what `do` does");
}

TEST(InterlockSection, ChecksOfTheRulesTogether) {
  EXPECT_EQ(ErrorOf(Interlock("when: psu0/ch0.voltage > 7 kV, refuse: [psu1]")),
            "lab.yaml:6: interlocks.guard.when: found a condition that can never hold, expected "
            "one that some reading makes true");
  EXPECT_THAT(ErrorOf("interlocks:\n  first: {when: alarm psu0/a, do: [psu1/ramp_down]}\n"
                      "  second: {when: alarm psu0/b, do: [psu1/emergency_off]}\n"),
              HasSubstr("lab.yaml:7: interlocks.second.do: found psu1/emergency_off, where "
                        "interlocks.first (line 6) does psu1/ramp_down"));
}

TEST(InterlockSection, SharesItsNamesWithLevels) {
  EXPECT_THAT(ErrorOf("levels:\n  guard: {items: psu0/ch0.voltage, dangerous_high: 5 V}\n" +
                      Interlock("when: alarm psu0/trip, refuse: [psu1]")),
              HasSubstr("found the id of a level"));
}

TEST(SafetySection, SettlesAndPrecharges) {
  const auto config = Parse(Interlock("when: alarm psu0/trip, refuse: [psu1]") +
                            "safety: {settle: 3 s, precharge: psu0/ch0.state is on}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->safety.settle, std::chrono::seconds(3));
  EXPECT_EQ(config->safety.precharge->text, "psu0/ch0.state is on");
  EXPECT_THAT(ErrorOf("safety: {settle: 3 s}\n"), HasSubstr("no levels and no interlocks"));
}

TEST(SafetySection, ItsNameIsNoDevices) {
  const auto config = ParseConfig(
      "buses: {lab: {type: simulated, bitrate: 125000}}\n"
      "devices: {safety: {driver: demo-psu, bus: lab, address: 0}}\n",
      "lab.yaml", TestDrivers());
  EXPECT_THAT(std::string(config.status().message()),
              HasSubstr("found the id \"safety\", under which interlocks are read"));
}

TEST(SafetySection, AChangeNeedsARestart) {
  const auto before = Parse(Interlock("when: alarm psu0/trip, refuse: [psu1]"));
  const auto after = Parse(Interlock("when: alarm psu0/trip, refuse: [psu0]"));
  ASSERT_TRUE(before.ok() && after.ok());
  const ConfigChanges changes = CompareConfigs(*before, *after);
  ASSERT_EQ(changes.needs_restart.size(), 1u);
  EXPECT_THAT(changes.needs_restart[0], HasSubstr("interlocks: guard: when: alarm psu0/trip"));
  EXPECT_TRUE(CompareConfigs(*before, *before).needs_restart.empty());
}

}  // namespace
}  // namespace canhub
