// A danger whose shutdown is incomplete is not let go by mistake, and locks nothing up for ever.
#include "daemon/safety/interlock.h"
#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: a fixture and the words of rules
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class IncompleteTest : public SafetyTest {
 protected:
  // Verified below 20 V on hv1.
  static InterlockRule Verified() {
    InterlockRule rule = Rule();
    rule.verify = Compared("hv1/voltage_measure", Comparison::kBelow, 20);
    return rule;
  }
  // Its condition came and went, and hv1 still says this.
  void TripAndEnd(InterlockRule rule, uint8_t hv1) {
    Start(Rules({std::move(rule)}));
    Measure(1, hv1);
    Measure(0, 120);
    AcknowledgeAction(1);
    RunMeasuring(seconds(2), 10, hv1);
    ASSERT_EQ(Alarm("guard.incomplete"), "active");
  }
  // The bus was away when it tripped, so that its action failed.
  void TripAndFail() {
    InterlockRule rule = Rule();
    rule.when = IsBus("can0", BusState::kBusOff);
    Start(Rules({rule}));
    bus_.SetState(BusState::kBusOff);
    runner_->Settle();
    bus_.SetState(BusState::kActive);
    runner_->Settle();
    ASSERT_EQ(State(), InterlockState::kLatched);
    ASSERT_EQ(Alarm("guard.incomplete"), "active");
  }
};

TEST_F(IncompleteTest, WhatIsSeenNotToBeSafeIsLetGoByNobody) {
  TripAndEnd(Verified(), 50);
  ASSERT_EQ(State(), InterlockState::kLatched);
  const absl::Status refused = Acknowledge("guard", Role::kEngineer, "never mind");
  EXPECT_EQ(GetErrorInfo(refused).reason, "SHUTDOWN_INCOMPLETE");
  EXPECT_THAT(
      std::string(refused.message()),
      AllOf(HasSubstr("not verified: hv1/voltage_measure < 20, found 50 V"), HasSubstr("by hand")));
  EXPECT_EQ(State(), InterlockState::kLatched);
  EXPECT_EQ(Alarm("guard.incomplete"), "active");
  EXPECT_EQ(GetErrorInfo(*Write("hv1")).reason, "INTERLOCKED");
}

TEST_F(IncompleteTest, WhatWasMadeSafeByHandIsLetGo) {
  TripAndEnd(Verified(), 50);
  Measure(1, 15);
  EXPECT_EQ(Acknowledge(), absl::OkStatus());
  EXPECT_EQ(State(), InterlockState::kClear);
}

TEST_F(IncompleteTest, WhatIsNotSeenIsNoOperatorsToLetGo) {
  TripAndEnd(Verified(), 50);
  for (int i = 0; i < 10; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  const absl::Status refused = Acknowledge();
  EXPECT_EQ(GetErrorInfo(refused).reason, "SHUTDOWN_INCOMPLETE");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the role engineer answers"));
  EXPECT_EQ(GetErrorInfo(Acknowledge("guard", Role::kEngineer, "")).reason, "SHUTDOWN_INCOMPLETE");
}

TEST_F(IncompleteTest, AnEngineerAnswersForWhatIsNotSeen) {
  TripAndEnd(Verified(), 50);
  for (int i = 0; i < 10; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  EXPECT_EQ(Acknowledge("guard", Role::kEngineer, "unplugged"), absl::OkStatus());
  EXPECT_EQ(State(), InterlockState::kClear);
  std::vector<std::string> texts;
  const AuditPage page = audit_.Query({}).value();
  for (const AuditEntry& entry : page.entries) texts.push_back(entry.text);
  EXPECT_THAT(texts, Contains(AllOf(HasSubstr("guard acknowledged, taken over incomplete ("),
                                    HasSubstr("found STALE, last 50 V): unplugged"))));
}

TEST_F(IncompleteTest, WithoutAVerificationItsWaitsShowIt) {
  InterlockRule rule = Rule();
  rule.steps[0].until = Compared("hv1/voltage_measure", Comparison::kBelow, 20);
  rule.steps[0].within = seconds(1);
  TripAndEnd(rule, 50);
  EXPECT_EQ(GetErrorInfo(Acknowledge("guard", Role::kEngineer)).reason, "SHUTDOWN_INCOMPLETE");
  Measure(1, 15);
  EXPECT_EQ(Acknowledge(), absl::OkStatus());
}

TEST_F(IncompleteTest, AnActionThatFailedIsLetGoOnceItHasWorked) {
  TripAndFail();
  const absl::Status refused = Acknowledge();
  EXPECT_EQ(GetErrorInfo(refused).reason, "SHUTDOWN_INCOMPLETE");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("step 1, hv1/ramp_down: "));
  runner_->RunFor(Interlock::kRetry + milliseconds(100));
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  AcknowledgeAction(1);
  EXPECT_EQ(Acknowledge(), absl::OkStatus());
}

TEST_F(IncompleteTest, AnEngineerAnswersForAnActionThatFailed) {
  TripAndFail();
  EXPECT_EQ(Acknowledge("guard", Role::kEngineer, "switched off"), absl::OkStatus());
}

TEST_F(IncompleteTest, AWarningIsLetGoAllTheSame) {
  InterlockRule rule = Verified();
  rule.severity = Level::kWarning;
  TripAndEnd(rule, 50);
  EXPECT_EQ(Acknowledge(), absl::OkStatus());
}

TEST_F(IncompleteTest, ADangerThatDoesNotLatchDoesNotEndByItself) {
  InterlockRule rule = Verified();
  rule.latch = false;
  TripAndEnd(rule, 50);
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_EQ(GetErrorInfo(Acknowledge()).reason, "SHUTDOWN_INCOMPLETE");
  Measure(1, 15);
  runner_->RunFor(kSafetyTick);
  EXPECT_EQ(State(), InterlockState::kClear);
}

// ---------------------------------------------------------------- what the whole lab is said to be

TEST_F(IncompleteTest, SecurityEndsWhenWhatVerifiesItIsNoLongerRead) {
  Start(Rules({Verified()}));
  Measure(0, 120);
  Measure(1, 5);
  ASSERT_TRUE(Info().complete);
  ASSERT_EQ(hub_->interlocks()->state(), SafetyState::kSecurity);
  runner_->RunFor(seconds(1));
  EXPECT_FALSE(Info().complete);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kDangerous);
  RunMeasuring(milliseconds(200), 120, 5);
  EXPECT_TRUE(Info().complete);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kSecurity);
}

TEST_F(IncompleteTest, WhatWasVerifiedAndIsNoLongerReadIsNoOperatorsToLetGo) {
  Start(Rules({Verified()}));
  Measure(0, 120);
  Measure(1, 5);
  ASSERT_TRUE(Info().complete);
  for (int i = 0; i < 10; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  ASSERT_EQ(State(), InterlockState::kLatched);
  EXPECT_EQ(GetErrorInfo(Acknowledge()).reason, "SHUTDOWN_INCOMPLETE");
}

// hv1 at 100 V and its interlock are another matter than the level of hv0.
TEST_F(IncompleteTest, AnUnrelatedInterlockHidesNoDangerThatNobodyAnswers) {
  InterlockRule door = Rule();
  door.when = Compared("hv1/voltage_measure", Comparison::kAtLeast, 100);
  Start(Rules({door}, {VoltageLevel()}));
  Measure(0, 10);
  Measure(1, 120);
  AcknowledgeAction(1);
  Measure(1, 10);
  ASSERT_EQ(State(), InterlockState::kLatched);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kSecurity);
  Measure(0, 120);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kDangerous);
}

TEST_F(IncompleteTest, AnInterlockOfTheOtherSideHidesNoDangerThatNobodyAnswers) {
  LevelRule level = VoltageLevel();
  level.limits.dangerous_low = 5;
  level.bounds.dangerous_low = SafetyCounts(5, kResolution);
  InterlockRule low = Rule();
  low.when = IsLevel("volts", Level::kDangerous, LevelSide::kLow);
  Start(Rules({low}, {level}));
  Measure(0, 5);
  AcknowledgeAction(1);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kSecurity);
  Measure(0, 120);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kDangerous);
}

}  // namespace
}  // namespace canhub
