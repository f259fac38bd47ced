// Items that interlocks set, conditional steps, and how those end that do not latch: corrective
// action, cooling, order of authority (battery safety facts, section 5.4).
#include "daemon/safety/interlock.h"
#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: a fixture and the words of rules
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CorrectiveTest : public SafetyTest {
 protected:
  // From 80 V on hv0, until 75 V: hv1 is set to 25 V, and then to 0 V.
  static InterlockRule Corrects() {
    InterlockRule rule = Rule("corrects");
    rule.when = IsLevel("volts", Level::kWarning, LevelSide::kHigh);
    rule.severity = Level::kWarning;
    rule.latch = false;
    rule.steps = {SetTo("hv1", 25)};
    rule.clear_steps = {SetTo("hv1", 0)};
    return rule;
  }
  // From 100 V on hv0, and latched: hv1 is made safe.
  static InterlockRule Danger() {
    InterlockRule rule = Rule("danger");
    rule.when = IsLevel("volts", Level::kDangerous);
    return rule;
  }
  void StartQuiet(std::vector<InterlockRule> rules) {
    SafetyTest::StartQuiet(Rules(std::move(rules), {VoltageLevel()}));
  }
  const AuditEntry* Recorded(const std::string& kind, const std::string& identity) {
    entries_ = audit_.Query({})->entries;
    for (const AuditEntry& entry : entries_) {
      if (entry.kind == kind && entry.identity == identity) return &entry;
    }
    return nullptr;
  }
  std::vector<AuditEntry> entries_;
};

// ---------------------------------------------------------------- corrective action

TEST_F(CorrectiveTest, IsSetInTheMomentOfTheReading) {
  StartQuiet({Corrects()});
  Measure(0, 79);
  EXPECT_THAT(Sent(), IsEmpty());
  Measure(0, 80);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kWarning);
}

TEST_F(CorrectiveTest, StandsInTheRecordAsTheInterlocks) {
  StartQuiet({Corrects()});
  Measure(0, 80);
  const AuditEntry* entry = Recorded("command", "interlock:corrects");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->device_id, "hv1");
  EXPECT_THAT(entry->text, HasSubstr("voltage_set = 25 V"));
}

TEST_F(CorrectiveTest, IsDroppedWhenTheHysteresisReleases) {
  StartQuiet({Corrects()});
  Measure(0, 80);
  AcknowledgeAction(1);
  Sent();
  Measure(0, 76);
  EXPECT_THAT(Sent(), IsEmpty());
  Measure(0, 75);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 0"));
  EXPECT_EQ(State(), InterlockState::kTripped) << "its end is under way";
  AcknowledgeAction(1);
  runner_->RunFor(kSafetyTick);
  EXPECT_EQ(State(), InterlockState::kClear);
  EXPECT_EQ(Alarm("corrects"), "gone");
}

TEST_F(CorrectiveTest, IsNeverBeyondTheLimits) {
  InterlockRule rule = Corrects();
  rule.steps = {SetTo("hv1", 2001)};
  StartQuiet({rule});
  Measure(0, 80);
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_THAT(AlarmText("corrects.incomplete"), HasSubstr("above the limit of 2000 V"));
}

// Not in any direction while nobody knows which would worsen it.
TEST_F(CorrectiveTest, IsNotSetWhileTheConditionIsNotKnown) {
  InterlockRule rule = Corrects();
  rule.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 80);
  StartQuiet({rule});
  runner_->RunFor(seconds(2));
  ASSERT_EQ(State(), InterlockState::kTripped);
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_EQ(Info().steps[0].state, InterlockStepInfo::State::kSkipped);
}

TEST_F(CorrectiveTest, IsNotSetForItsOwnConditionWhileThatOfTheInterlockIsNotKnown) {
  InterlockRule rule = Corrects();
  rule.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 80);
  rule.steps[0].only_if = Compared("hv1/voltage_measure", Comparison::kAbove, 5);
  StartQuiet({rule});
  for (int i = 0; i < 10; ++i) {
    Measure(1, 10);
    runner_->RunFor(milliseconds(100));
  }
  ASSERT_EQ(State(), InterlockState::kTripped);
  EXPECT_THAT(Sent(), IsEmpty());
}

// ---------------------------------------------------------------- what was left out for a moment

TEST_F(CorrectiveTest, IsSetInTheMomentItsConditionIsKnownAgain) {
  InterlockRule rule = Corrects();
  rule.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 80);
  StartQuiet({rule});
  runner_->RunFor(seconds(1));
  ASSERT_EQ(State(), InterlockState::kTripped);
  Sent();
  Measure(0, 120);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
  RunMeasuring(seconds(2), 120, 10);
  EXPECT_THAT(Sent(), IsEmpty()) << "once";
}

TEST_F(CorrectiveTest, IsSetInTheMomentTheSideOfItsLevelIsKnownAgain) {
  StartQuiet({Corrects()});
  runner_->RunFor(seconds(1));
  ASSERT_EQ(State(), InterlockState::kTripped);
  Sent();
  Measure(0, 85);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
}

TEST_F(CorrectiveTest, IsSetWhenItIsKnownAlsoWhileItIsVerified) {
  InterlockRule rule = Corrects();
  rule.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 80);
  rule.verify = Compared("hv1/voltage_measure", Comparison::kAtLeast, 20);
  rule.verify_within = seconds(5);
  StartQuiet({rule});
  for (int i = 0; i < 7; ++i) {
    Measure(1, 10);
    runner_->RunFor(milliseconds(100));
  }
  ASSERT_EQ(State(), InterlockState::kTripped);
  Sent();
  Measure(0, 120);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
}

TEST_F(CorrectiveTest, IsSetWhenItIsKnownAlsoWhileItIsIncomplete) {
  InterlockRule rule = Corrects();
  rule.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 80);
  rule.verify = Compared("hv1/voltage_measure", Comparison::kAtLeast, 20);
  rule.verify_within = seconds(1);
  StartQuiet({rule});
  for (int i = 0; i < 20; ++i) {
    Measure(1, 10);
    runner_->RunFor(milliseconds(100));
  }
  ASSERT_EQ(Alarm("corrects.incomplete"), "active");
  Sent();
  Measure(0, 120);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
}

TEST_F(CorrectiveTest, IsNotSetWhenItIsKnownAgainAndOver) {
  InterlockRule rule = Corrects();
  rule.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 80);
  StartQuiet({rule});
  runner_->RunFor(seconds(1));
  ASSERT_EQ(State(), InterlockState::kTripped);
  RunMeasuring(seconds(1), 10, 10);
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_EQ(State(), InterlockState::kClear);
}

TEST_F(CorrectiveTest, SetsInOrderWhatIsKnownAgain) {
  InterlockRule rule = Corrects();
  rule.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 80);
  rule.steps[0].until = Compared("hv1/voltage_measure", Comparison::kAtLeast, 20);
  rule.steps[0].within = seconds(2);
  rule.steps.push_back(SetTo("hv0", 30));
  StartQuiet({rule});
  runner_->RunFor(seconds(1));
  ASSERT_EQ(State(), InterlockState::kTripped);
  Measure(1, 10);
  Measure(0, 120);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
  Measure(1, 25);
  EXPECT_THAT(Sent(), ElementsAre("hv0 = 30"));
}

TEST_F(CorrectiveTest, WhatIsKnownAgainRepeatsNoSafeAction) {
  InterlockRule rule = Danger();
  rule.steps.push_back(SetTo("hv0", 25));
  rule.steps[1].only_if = Compared("hv1/voltage_measure", Comparison::kAbove, 50);
  StartQuiet({rule});
  for (int i = 0; i < 7; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  Measure(0, 120);
  EXPECT_THAT(Sent(), ElementsAre("hv1 safe"));
  Measure(1, 60);
  EXPECT_THAT(Sent(), ElementsAre("hv0 = 25"));
}

TEST_F(CorrectiveTest, IsSetWhenTheOtherLeavesTheDevice) {
  InterlockRule corrects = Corrects();
  corrects.yields_to = {"danger"};
  InterlockRule danger = Danger();
  danger.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 100);
  StartQuiet({corrects, danger});
  Measure(0, 120);
  AcknowledgeAction(1);
  Measure(0, 90);
  EXPECT_THAT(Sent(), ElementsAre("hv1 safe"));
  ASSERT_EQ(State(0), InterlockState::kTripped);
  ASSERT_EQ(Acknowledge("danger"), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25")) << "at once, not with the next tick";
}

TEST_F(CorrectiveTest, ADangerSetsWhateverIsKnown) {
  InterlockRule rule = Rule();
  rule.steps = {SetTo("hv1", 0), Act("hv1")};
  Start(Rules({rule}));
  Measure(0, 10);
  runner_->RunFor(seconds(3));
  EXPECT_THAT(Sent(), Contains("hv1 safe"));
  EXPECT_NE(Recorded("command", "interlock:guard"), nullptr);
}

TEST_F(CorrectiveTest, GoesBeforeWhatAnOperatorHasUnderWayAndRefusesWhatFollows) {
  StartQuiet({Corrects()});
  const auto before = Write("hv1");
  Measure(0, 80);
  EXPECT_EQ(GetErrorInfo(*before).reason, "OVERTAKEN_BY_INTERLOCK");
  EXPECT_EQ(GetErrorInfo(*Write("hv1")).reason, "INTERLOCKED");
}

TEST_F(CorrectiveTest, NeedsNoLease) {
  StartQuiet({Corrects()});
  ASSERT_TRUE(hub_->leases().Acquire({.caller = kEngineer, .device_ids = {"hv1"}}).ok());
  Measure(0, 80);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
}

TEST_F(CorrectiveTest, GivesWayToDangerAtOnce) {
  InterlockRule corrects = Corrects();
  corrects.yields_to = {"danger"};
  StartQuiet({corrects, Danger()});
  Measure(0, 80);
  ASSERT_THAT(Sent(), ElementsAre("hv1 = 25"));
  Measure(0, 100);
  EXPECT_THAT(Sent(), ElementsAre("hv1 safe"));
  const AuditEntry* result = Recorded("result", "interlock:corrects");
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(result->status, "ABORTED");
}

TEST_F(CorrectiveTest, IsNotBegunWhileDangerHasTheDevice) {
  InterlockRule corrects = Corrects();
  corrects.yields_to = {"danger"};
  StartQuiet({corrects, Danger()});
  Measure(0, 120);
  EXPECT_THAT(Sent(), ElementsAre("hv1 safe"));
}

TEST_F(CorrectiveTest, IsNotKeptBackByADangerThatOnlySettles) {
  InterlockRule acts = Danger();
  acts.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 100);
  acts.steps = {SetTo("hv1", 25)};
  InterlockRule settles = Danger();
  settles.id = "settles";
  settles.when = Compared("hv1/voltage_measure", Comparison::kAtLeast, 200);
  settles.steps = {Act("hv0")};
  SafetyRules rules = Rules({acts, settles});
  rules.settle = seconds(10);
  Start(rules);
  Measure(0, 120);
  ASSERT_EQ(State(1), InterlockState::kSettling);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
  EXPECT_EQ(GetErrorInfo(*Write("hv1")).reason, "INTERLOCKED") << "clients are";
}

// Its value is another's, and stays so until that lets go.
TEST_F(CorrectiveTest, IsNotDroppedWhileDangerHasTheDevice) {
  InterlockRule corrects = Corrects();
  corrects.yields_to = {"danger"};
  StartQuiet({corrects, Danger()});
  Measure(0, 80);
  AcknowledgeAction(1);
  Measure(0, 100);
  AcknowledgeAction(1);
  Sent();
  RunMeasuring(seconds(6), 10, 10);
  EXPECT_EQ(State(0), InterlockState::kTripped);
  EXPECT_EQ(State(1), InterlockState::kLatched);
  EXPECT_THAT(Sent(), IsEmpty());
  ASSERT_EQ(Acknowledge("danger"), absl::OkStatus());
  RunMeasuring(milliseconds(200), 10, 10);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 0"));
}

// ---------------------------------------------------------------- conditional steps

TEST_F(CorrectiveTest, ASetStepIsForItsConditionOnly) {
  InterlockRule rule = Corrects();
  rule.steps[0].only_if = Compared("hv1/voltage_measure", Comparison::kAbove, 50);
  StartQuiet({rule});
  Measure(0, 80);
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_EQ(Info().steps[0].state, InterlockStepInfo::State::kSkipped);
  Measure(0, 10);
  RunMeasuring(milliseconds(200), 10, 60);
  EXPECT_THAT(Sent(), IsEmpty()) << "nothing was done that could end";
  Measure(0, 80);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
}

TEST_F(CorrectiveTest, AnUnknownConditionSetsNothing) {
  InterlockRule rule = Corrects();
  rule.steps[0].only_if = Compared("hv1/voltage_measure", Comparison::kAbove, 5);
  StartQuiet({rule});
  runner_->RunFor(milliseconds(600));
  Measure(0, 80);
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(CorrectiveTest, AnUnknownConditionStopsNoSafeAction) {
  InterlockRule rule = Rule();
  rule.steps[0].only_if = Compared("hv1/voltage_measure", Comparison::kAbove, 50);
  StartQuiet({rule});
  for (int i = 0; i < 6; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  Sent();
  Measure(0, 120);
  EXPECT_THAT(Sent(), ElementsAre("hv1 safe"));
}

TEST_F(CorrectiveTest, ASafeActionIsLeftOutWhereItsConditionIsKnownNotToHold) {
  InterlockRule rule = Rule();
  rule.steps[0].only_if = Compared("hv1/voltage_measure", Comparison::kAbove, 50);
  rule.steps[0].until = Compared("hv1/voltage_measure", Comparison::kBelow, 5);
  rule.steps[0].within = seconds(10);
  rule.steps.push_back(Act("hv0"));
  StartQuiet({rule});
  Measure(0, 120);
  EXPECT_THAT(Sent(), ElementsAre("hv0 safe")) << "nor is it waited for";
}

// ---------------------------------------------------------------- cooling

class CoolingTest : public CorrectiveTest {
 protected:
  // hv1 is the fan, hv0 the temperature: on from 80, off from 75 and after a minute at the
  // earliest.
  static InterlockRule Cooling() {
    InterlockRule rule = Corrects();
    rule.id = "cooling";
    rule.hold = seconds(60);
    return rule;
  }
};

TEST_F(CoolingTest, StaysOnForItsMinimumTime) {
  StartQuiet({Cooling()});
  Measure(0, 80);
  AcknowledgeAction(1);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
  RunMeasuring(milliseconds(59'900), 10, 10);
  EXPECT_THAT(Sent(), IsEmpty());
  RunMeasuring(milliseconds(200), 10, 10);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 0"));
}

TEST_F(CoolingTest, StaysOnAfterItsMinimumTimeWhileItIsHot) {
  StartQuiet({Cooling()});
  Measure(0, 80);
  AcknowledgeAction(1);
  Sent();
  RunMeasuring(seconds(70), 76, 10);
  EXPECT_THAT(Sent(), IsEmpty());
  Measure(0, 75);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 0"));
}

TEST_F(CoolingTest, WhileItIsNotKnownItIsNotOver) {
  StartQuiet({Cooling()});
  Measure(0, 80);
  AcknowledgeAction(1);
  Sent();
  runner_->RunFor(seconds(70));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(CoolingTest, HotAgainWhileItEndsIsOnAgain) {
  StartQuiet({Cooling()});
  Measure(0, 80);
  AcknowledgeAction(1);
  RunMeasuring(milliseconds(60'100), 10, 10);
  Sent();
  Measure(0, 80);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
  AcknowledgeAction(1);
  RunMeasuring(milliseconds(59'900), 10, 10);
  EXPECT_THAT(Sent(), IsEmpty()) << "its time began anew";
}

// Dangerous sequence, step 5: cooling on if hot; beside a warning that has it on already.
TEST_F(CoolingTest, TwoThatWantItOnDoNotHinderEachOther) {
  InterlockRule danger = Danger();
  danger.steps = {SetTo("hv1", 25)};
  danger.steps[0].only_if = IsLevel("volts", Level::kWarning);
  StartQuiet({Cooling(), danger});
  Measure(0, 80);
  AcknowledgeAction(1);
  Measure(0, 100);
  AcknowledgeAction(1);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25", "hv1 = 25"));
  EXPECT_TRUE(Info(0).complete);
  EXPECT_TRUE(Info(1).complete);
  EXPECT_EQ(Alarm("cooling.incomplete"), "none");
}

TEST_F(CoolingTest, IsSwitchedOnBesideADangerThatWasNotHot) {
  InterlockRule danger = Danger();
  danger.when = Compared("hv1/voltage_measure", Comparison::kAbove, 50);
  danger.steps = {SetTo("hv1", 25)};
  danger.steps[0].only_if = IsLevel("volts", Level::kWarning);
  InterlockRule cooling = Cooling();
  cooling.yields_to = {"danger"};
  StartQuiet({cooling, danger});
  Measure(1, 60);
  EXPECT_THAT(Sent(), IsEmpty());
  Measure(0, 80);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 25"));
}

// ---------------------------------------------------------------- an end that does not work

TEST_F(CorrectiveTest, AnEndThatFailsIsToldAndTriedAgain) {
  StartQuiet({Corrects()});
  Measure(0, 80);
  AcknowledgeAction(1);
  Sent();
  bus_.SetState(BusState::kBusOff);
  Measure(0, 70);
  runner_->Settle();
  EXPECT_EQ(Alarm("corrects.incomplete"), "active");
  EXPECT_THAT(AlarmText("corrects.incomplete"),
              HasSubstr("incomplete: step 2, on_clear hv1/voltage_set = 0 V: "));
  bus_.SetState(BusState::kActive);
  RunMeasuring(Interlock::kRetry + milliseconds(200), 10, 10);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 0"));
  AcknowledgeAction(1);
  RunMeasuring(milliseconds(200), 10, 10);
  EXPECT_EQ(State(), InterlockState::kClear);
  EXPECT_EQ(Alarm("corrects.incomplete"), "gone");
}

TEST_F(CorrectiveTest, WhoAcknowledgesTakesOverAnEndThatDoesNotWork) {
  StartQuiet({Corrects()});
  Measure(0, 80);
  AcknowledgeAction(1);
  EXPECT_EQ(GetErrorInfo(Acknowledge("corrects")).reason, "INTERLOCK_HOLDS");
  bus_.SetState(BusState::kBusOff);
  Measure(0, 70);
  runner_->Settle();
  bus_.SetState(BusState::kActive);
  EXPECT_EQ(Acknowledge("corrects"), absl::OkStatus());
  EXPECT_EQ(State(), InterlockState::kClear);
}

TEST_F(CorrectiveTest, AnotherIsNotHinderedByOneThatEnds) {
  InterlockRule other = Corrects();
  other.id = "other";
  other.when = Compared("hv1/voltage_measure", Comparison::kAbove, 50);
  other.steps = {SetTo("hv1", 40)};
  StartQuiet({Corrects(), other});
  Measure(0, 80);
  AcknowledgeAction(1);
  Measure(0, 70);
  Sent();
  Measure(1, 60);
  EXPECT_THAT(Sent(), ElementsAre("hv1 = 40"));
}

}  // namespace
}  // namespace canhub
