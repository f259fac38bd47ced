// What an interlock does, in its order, and what becomes of it.
#include "daemon/safety/interlock.h"
#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: a fixture and the words of rules
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class SequenceTest : public SafetyTest {
 protected:
  // hv1 first; hv0 once hv1 is below 20 V, at the latest after a second; verified below 10 V.
  static InterlockRule Staged() {
    InterlockRule rule = Rule();
    rule.steps[0].until = Compared("hv1/voltage_measure", Comparison::kBelow, 20);
    rule.steps[0].within = seconds(1);
    rule.steps.push_back(Act("hv0"));
    rule.verify = Compared("hv1/voltage_measure", Comparison::kBelow, 10);
    rule.verify_within = seconds(2);
    return rule;
  }
  void Trip() {
    Measure(0, 5);
    Measure(1, 50);
    Acts();
    Measure(0, 120);
  }
};

TEST_F(SequenceTest, WithoutAWaitAllActionsGoOutAtOnce) {
  InterlockRule rule = Rule();
  rule.steps.push_back(Act("hv0"));
  Start(Rules({rule}));
  Trip();
  EXPECT_THAT(Acts(), UnorderedElementsAre("hv0", "hv1"));
}

TEST_F(SequenceTest, AStepWaitsForItsCondition) {
  Start(Rules({Staged()}));
  Trip();
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  RunMeasuring(milliseconds(500), 120, 20);
  EXPECT_THAT(Acts(), IsEmpty());
  Measure(1, 19);
  EXPECT_THAT(Acts(), ElementsAre("hv0"));
}

TEST_F(SequenceTest, AStepWaitsNoLongerThanItMay) {
  Start(Rules({Staged()}));
  Trip();
  Acts();
  RunMeasuring(milliseconds(900), 120, 50);
  EXPECT_THAT(Acts(), IsEmpty());
  RunMeasuring(milliseconds(100), 120, 50);
  EXPECT_THAT(Acts(), ElementsAre("hv0"));
  EXPECT_THAT(Info().steps[0].problem, HasSubstr("not in time: hv1/voltage_measure < 20"));
}

TEST_F(SequenceTest, WhatIsNotKnownDoesNotEndAWait) {
  Start(Rules({Staged()}));
  Trip();
  Acts();
  // hv1 falls silent with 50 V, then time alone goes on.
  runner_->RunFor(milliseconds(900));
  EXPECT_THAT(Acts(), IsEmpty());
}

// ---------------------------------------------------------------- read before it acted

// Defect 18 of battery safety facts, section 13: a converter whose last reading, of before it
// ramped up, says that no current flows.
TEST_F(SequenceTest, AReadingOfBeforeTheActionDoesNotEndAWait) {
  Start(Rules({Staged()}));
  Measure(1, 5);
  runner_->RunFor(milliseconds(300));
  Measure(0, 120);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  EXPECT_FALSE(Info().complete);
  runner_->RunFor(milliseconds(100));
  EXPECT_THAT(Acts(), IsEmpty());
  Measure(1, 5);
  EXPECT_THAT(Acts(), ElementsAre("hv0"));
}

TEST_F(SequenceTest, AReadingOfBeforeTheActionVerifiesNothing) {
  InterlockRule rule = Rule();
  rule.verify = Compared("hv1/voltage_measure", Comparison::kBelow, 10);
  Start(Rules({rule}));
  Measure(1, 5);
  runner_->RunFor(milliseconds(300));
  Measure(0, 120);
  AcknowledgeAction(1);
  EXPECT_FALSE(Info().complete);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kDangerous);
  Measure(1, 5);
  EXPECT_TRUE(Info().complete) << "the same value, read again";
}

TEST_F(SequenceTest, WhatWasReadBeforeTheActionIsSaidToBeSo) {
  InterlockRule rule = Rule();
  rule.steps[0].until = Compared("hv1/voltage_measure", Comparison::kBelow, 20);
  rule.steps[0].within = milliseconds(100);
  Start(Rules({rule}));
  Measure(1, 5);
  runner_->RunFor(milliseconds(300));
  Measure(0, 120);
  runner_->RunFor(milliseconds(100));
  EXPECT_THAT(Info().steps[0].problem, HasSubstr("is 5 V, read before the action"));
}

TEST_F(SequenceTest, ALevelOfBeforeTheActionVerifiesNothing) {
  InterlockRule rule = Rule();
  rule.when = Compared("hv1/voltage_measure", Comparison::kAtLeast, 100);
  rule.verify = Negated(IsLevel("volts", Level::kWarning));
  Start(Rules({rule}, {VoltageLevel()}));
  Measure(0, 5);
  runner_->RunFor(milliseconds(300));
  Measure(1, 120);
  EXPECT_FALSE(Info().complete);
  Measure(0, 5);
  EXPECT_TRUE(Info().complete);
}

TEST_F(SequenceTest, AGoodQualityOfBeforeTheActionVerifiesNothing) {
  InterlockRule rule = Rule();
  rule.verify = IsQuality("hv1/voltage_measure", Quality::kGood);
  Start(Rules({rule}));
  Measure(1, 5);
  runner_->RunFor(milliseconds(300));
  Measure(0, 120);
  EXPECT_FALSE(Info().complete);
  Measure(1, 5);
  EXPECT_TRUE(Info().complete);
}

TEST_F(SequenceTest, ThatNothingIsReadIsOfNow) {
  InterlockRule rule = Rule();
  rule.verify = IsQuality("hv1/voltage_measure", Quality::kStale);
  rule.verify_within = seconds(5);
  Start(Rules({rule}));
  Measure(1, 5);
  Measure(0, 120);
  EXPECT_FALSE(Info().complete);
  runner_->RunFor(seconds(1));
  EXPECT_TRUE(Info().complete);
}

TEST_F(SequenceTest, AWaitBeforeAnyActionTakesWhatIsRead) {
  InterlockRule rule = Rule();
  rule.steps.insert(rule.steps.begin(),
                    {.until = Compared("hv1/voltage_measure", Comparison::kBelow, 20),
                     .within = seconds(1),
                     .text = "a wait"});
  Start(Rules({rule}));
  Measure(1, 5);
  runner_->RunFor(milliseconds(300));
  Measure(0, 120);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

// ---------------------------------------------------------------- its end

TEST_F(SequenceTest, IsCompleteOnceItIsVerified) {
  Start(Rules({Staged()}));
  Trip();
  Measure(1, 15);
  EXPECT_FALSE(Info().complete);
  Measure(1, 9);
  EXPECT_TRUE(Info().complete);
  EXPECT_EQ(Alarm("guard.incomplete"), "none");
}

TEST_F(SequenceTest, WithoutAVerificationItIsCompleteWhenItsActionsEndedWell) {
  Start(Rules({Rule()}));
  Trip();
  EXPECT_FALSE(Info().complete);
  AcknowledgeAction(1);
  EXPECT_TRUE(Info().complete);
}

TEST_F(SequenceTest, AnAlarmSaysThatTheShutdownIsIncomplete) {
  Start(Rules({Staged()}));
  Trip();
  Measure(1, 15);
  RunMeasuring(milliseconds(1900), 120, 15);
  EXPECT_EQ(Alarm("guard.incomplete"), "none");
  RunMeasuring(milliseconds(200), 120, 15);
  EXPECT_EQ(Alarm("guard.incomplete"), "active");
  EXPECT_THAT(AlarmText("guard.incomplete"),
              HasSubstr("shutdown incomplete: an action has not ended; not verified: "
                        "hv1/voltage_measure < 10, found 15 V"));
}

TEST_F(SequenceTest, TheAlarmIsOverOnceItIsVerifiedLate) {
  Start(Rules({Staged()}));
  Trip();
  Measure(1, 15);
  RunMeasuring(seconds(3), 120, 15);
  ASSERT_EQ(Alarm("guard.incomplete"), "active");
  Measure(1, 9);
  EXPECT_EQ(Alarm("guard.incomplete"), "gone");
  EXPECT_TRUE(Info().complete);
}

TEST_F(SequenceTest, AnActionThatFailsIsToldAndTriedAgain) {
  InterlockRule rule = Rule();
  rule.when = IsBus("can0", BusState::kBusOff);
  Start(Rules({rule}));
  Trip();
  bus_.SetState(BusState::kBusOff);
  runner_->Settle();
  EXPECT_EQ(Alarm("guard.incomplete"), "active");
  EXPECT_THAT(AlarmText("guard.incomplete"), HasSubstr("step 1, hv1/ramp_down: "));
  bus_.SetState(BusState::kActive);
  runner_->RunFor(Interlock::kRetry - milliseconds(200));
  EXPECT_THAT(Acts(), IsEmpty());
  runner_->RunFor(milliseconds(300));
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  AcknowledgeAction(1);
  EXPECT_EQ(Alarm("guard.incomplete"), "gone");
}

TEST_F(SequenceTest, RunsAgainWhenSomebodyUndoesIt) {
  Start(Rules({Staged()}));
  Trip();
  Measure(1, 9);
  ASSERT_TRUE(Info().complete);
  Acts();
  Measure(1, 60);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  EXPECT_FALSE(Info().complete);
}

TEST_F(SequenceTest, AReportOfAnEarlierRunChangesNothing) {
  Start(Rules({Staged()}));
  Trip();
  RunMeasuring(seconds(3), 120, 50);
  ASSERT_EQ(Alarm("guard.incomplete"), "active");
  RunMeasuring(seconds(6), 120, 50);
  EXPECT_EQ(Info().steps[0].state, InterlockStepInfo::State::kFailed);
  AcknowledgeAction(1);
  EXPECT_FALSE(Info().complete);
}

TEST_F(SequenceTest, LeavesADeviceToWhomItYieldsTo) {
  InterlockRule first = Rule("first");
  first.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 50);
  InterlockRule second = Rule("second");
  second.steps.push_back(Act("hv0"));
  second.yields_to = {"first"};
  Start(Rules({first, second}));
  Measure(0, 5);
  Measure(1, 5);
  Acts();
  Measure(0, 60);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  Measure(0, 120);
  EXPECT_THAT(Acts(), ElementsAre("hv0"));
}

TEST_F(SequenceTest, DoesAllWhereTheOtherIsClear) {
  InterlockRule first = Rule("first");
  first.when = Compared("hv0/voltage_measure", Comparison::kAtLeast, 200);
  InterlockRule second = Rule("second");
  second.yields_to = {"first"};
  Start(Rules({first, second}));
  Trip();
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

}  // namespace
}  // namespace canhub
