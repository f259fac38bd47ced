#include "daemon/safety/interlock_engine.h"

#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: a fixture and the words of rules
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class InterlockTest : public SafetyTest {};

// ---------------------------------------------------------------- trips

TEST_F(InterlockTest, S10_TheSafeActionIsOnTheBusInTheMomentOfTheReading) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 99);
  EXPECT_THAT(Acts(), IsEmpty());
  Measure(0, 100);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  EXPECT_EQ(State(), InterlockState::kTripped);
}

TEST_F(InterlockTest, TripsOnceAndNotWithEveryReading) {
  StartQuiet(Rules({Rule()}));
  for (int i = 0; i < 5; ++i) Measure(0, 120);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  EXPECT_EQ(Info().trips, 1u);
}

TEST_F(InterlockTest, ItsCausesAreTheNewestReadings) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  Measure(0, 130);
  runner_->RunFor(kSafetyTick);
  ASSERT_EQ(Info().causes.size(), 1u);
  EXPECT_EQ(Info().causes[0].subject, "hv0/voltage_measure");
  EXPECT_EQ(Info().causes[0].found, "130 V");
}

TEST_F(InterlockTest, AnyOfItsConditionsTrips) {
  InterlockRule rule = Rule();
  rule.when =
      Group(Kind::kAny, {rule.when, Compared("hv1/voltage_measure", Comparison::kAbove, 50)});
  StartQuiet(Rules({rule}));
  Measure(1, 51);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

TEST_F(InterlockTest, AllOfAGroupMustHold) {
  InterlockRule rule = Rule();
  rule.when =
      Group(Kind::kAll, {rule.when, Compared("hv1/voltage_measure", Comparison::kAbove, 50)});
  StartQuiet(Rules({rule}));
  Measure(0, 100);
  EXPECT_THAT(Acts(), IsEmpty());
  Measure(1, 51);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

TEST_F(InterlockTest, ComparesWithoutTheSign) {
  InterlockRule rule = Rule();
  rule.when.absolute = true;
  StartQuiet(Rules({rule}));
  Measure(0, 100);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

TEST_F(InterlockTest, AFlagOfARegisterTrips) {
  InterlockRule rule = Rule();
  rule.when = Compared("hv0/is_on", Comparison::kEqual, 1);
  Start(Rules({rule}));
  bus_.Receive(fake::ReadingFrame(1, fake::kStatus, 0));
  runner_->Settle();
  EXPECT_THAT(Acts(), IsEmpty());
  bus_.Receive(fake::ReadingFrame(1, fake::kStatus, 8));
  runner_->Settle();
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

TEST_F(InterlockTest, AnAlarmTrips) {
  InterlockRule rule = Rule();
  rule.when = IsAlarm("hv0/trip");
  StartQuiet(Rules({rule}));
  hub_->alarms().Raise("hv0", "other", AlarmSeverity::kWarning, "no matter");
  runner_->Settle();
  EXPECT_THAT(Acts(), IsEmpty());
  hub_->alarms().Raise("hv0", "trip", AlarmSeverity::kWarning, "tripped");
  runner_->Settle();
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  EXPECT_EQ(Info().causes[0].found, "active: tripped");
}

TEST_F(InterlockTest, ABusStateTrips) {
  InterlockRule rule = Rule();
  rule.when = IsBus("can0", BusState::kPassive);
  StartQuiet(Rules({rule}));
  bus_.SetState(BusState::kWarning);
  runner_->Settle();
  EXPECT_THAT(Acts(), IsEmpty());
  bus_.SetState(BusState::kPassive);
  runner_->Settle();
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  EXPECT_EQ(Info().causes[0].found, "passive");
}

TEST_F(InterlockTest, AQualityTrips) {
  InterlockRule rule = Rule();
  rule.when = IsQuality("hv0/voltage_measure", Quality::kStale);
  StartQuiet(Rules({rule}));
  runner_->RunFor(fake::kGoodFor - milliseconds(1));
  EXPECT_EQ(State(), InterlockState::kClear);
  runner_->RunFor(kSafetyTick + milliseconds(1));
  EXPECT_EQ(State(), InterlockState::kTripped);
}

TEST_F(InterlockTest, AnotherInterlockTrips) {
  InterlockRule second = Rule("second");
  second.when = IsInterlock("guard");
  second.steps = {Act("hv0")};
  second.refuse = {};
  StartQuiet(Rules({Rule(), second}));
  Measure(0, 100);
  EXPECT_THAT(Acts(), UnorderedElementsAre("hv0", "hv1"));
}

// ---------------------------------------------------------------- what is not known

TEST_F(InterlockTest, AnUnknownInputTrips) {
  StartQuiet(Rules({Rule()}));
  runner_->RunFor(fake::kGoodFor + kSafetyTick);
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  EXPECT_EQ(Info().causes[0].found, "STALE, last 10 V");
}

TEST_F(InterlockTest, AnUnknownInputHasItsPatience) {
  InterlockRule rule = Rule();
  rule.unknown_for = seconds(1);
  StartQuiet(Rules({rule}));
  runner_->RunFor(fake::kGoodFor + milliseconds(900));
  EXPECT_EQ(State(), InterlockState::kClear);
  runner_->RunFor(2 * kSafetyTick);
  EXPECT_EQ(State(), InterlockState::kTripped);
}

TEST_F(InterlockTest, AGoodReadingEndsThePatience) {
  InterlockRule rule = Rule();
  rule.unknown_for = seconds(1);
  StartQuiet(Rules({rule}));
  for (int i = 0; i < 5; ++i) {
    runner_->RunFor(fake::kGoodFor + milliseconds(700));
    Measure(0, 10);
  }
  EXPECT_EQ(State(), InterlockState::kClear);
}

TEST_F(InterlockTest, WhatIsFalseAnywayNeedsNothingElse) {
  InterlockRule rule = Rule();
  rule.when =
      Group(Kind::kAll, {rule.when, Compared("hv1/voltage_measure", Comparison::kAbove, 50)});
  StartQuiet(Rules({rule}));
  for (int i = 0; i < 10; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(200));
  }
  EXPECT_EQ(State(), InterlockState::kClear) << "hv1 is stale, but hv0 alone makes it false";
}

TEST_F(InterlockTest, NeverReadRefusesButDoesNotActWhileItSettles) {
  Start(Rules({Rule()}));
  runner_->RunFor(seconds(1));
  EXPECT_EQ(State(), InterlockState::kSettling);
  EXPECT_THAT(Acts(), IsEmpty());
  const absl::Status refused = *Write("hv1");
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("waits for what it has not read yet"));
  EXPECT_EQ(Own("state").value, Value::Integer(0));
  EXPECT_THAT(Info().causes, Not(IsEmpty()));
}

TEST(InterlockCause, SaysNothingTwice) {
  const MonoTime now{};
  InterlockCause cause{.condition = "level cells is dangerous",
                       .subject = "bat0/module3.cell7_voltage",
                       .found = "4.25 V"};
  EXPECT_EQ(cause.ToText(now), "level cells is dangerous: bat0/module3.cell7_voltage is 4.25 V");
  cause = {.condition = "bat0/pack.level is dangerous",
           .subject = "bat0/pack.level",
           .found = "dangerous",
           .time = now};
  EXPECT_EQ(cause.ToText(now), "bat0/pack.level is dangerous, 0 ms old");
}

TEST_F(InterlockTest, AClearOneHasNoCauses) {
  Start(Rules({Rule()}));
  runner_->RunFor(seconds(1));
  RunMeasuring(seconds(1), 10, 10);
  EXPECT_EQ(State(), InterlockState::kClear);
  EXPECT_THAT(Info().causes, IsEmpty());
}

TEST_F(InterlockTest, NeverReadTripsOnceItHasSettled) {
  Start(Rules({Rule()}));
  runner_->RunFor(seconds(2) + kSafetyTick);
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

TEST_F(InterlockTest, S01_AQuietStartSendsNothing) {
  Start(Rules({Rule()}));
  Measure(0, 10);
  RunMeasuring(seconds(10), 10, 10);
  EXPECT_THAT(Acts(), IsEmpty());
  EXPECT_EQ(State(), InterlockState::kClear);
}

TEST_F(InterlockTest, LooksWithin100MsWithoutAnyNews) {
  StartQuiet(Rules({Rule()}));
  // The actor hangs: it commits nothing, and the reading's time runs out by itself (S03).
  runner_->Pause(hub_->Steppables()[0], true);
  const MonoTime stale_at = clock_.Now() + fake::kGoodFor;
  ASSERT_TRUE(
      runner_->RunUntilTrue([&] { return State() == InterlockState::kTripped; }, seconds(2)));
  EXPECT_LE(clock_.Now() - stale_at, milliseconds(100));
}

// ---------------------------------------------------------------- what is refused

TEST_F(InterlockTest, ARefusalHasTheChainOfReasons) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  clock_.Advance(milliseconds(40));
  const absl::Status refused = *Write("hv1");
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("hv1: interlock guard has tripped (tripped 40 ms ago): "
                        "hv0/voltage_measure >= 100: hv0/voltage_measure is 120 V, 40 ms old; "
                        "nothing was sent"));
  const ErrorInfo info = GetErrorInfo(refused);
  EXPECT_EQ(info.reason, "INTERLOCKED");
  EXPECT_EQ(info.fields.at("interlock"), "guard");
  EXPECT_EQ(info.fields.at("condition"), "hv0/voltage_measure >= 100");
  EXPECT_EQ(info.fields.at("reading"), "hv0/voltage_measure");
  EXPECT_EQ(info.fields.at("found"), "120 V");
  EXPECT_EQ(info.fields.at("age_ms"), "40");
}

TEST_F(InterlockTest, RefusesOnlyWhatItNames) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  EXPECT_EQ(Write("hv0")->code(), absl::StatusCode::kUnknown) << "under way, not refused";
}

TEST_F(InterlockTest, RefusesOneItemAlone) {
  InterlockRule rule = Rule();
  rule.refuse = {{"hv1", "voltage_set"}};
  StartQuiet(Rules({rule}));
  Measure(0, 120);
  EXPECT_EQ(Write("hv1")->code(), absl::StatusCode::kFailedPrecondition);
  rule.refuse = {{"hv1", "other"}};
  StartQuiet(Rules({rule}));
  Measure(0, 120);
  EXPECT_EQ(Write("hv1")->code(), absl::StatusCode::kUnknown);
}

TEST_F(InterlockTest, NothingIsRefusedWhileItIsClear) {
  StartQuiet(Rules({Rule()}));
  EXPECT_EQ(Write("hv1")->code(), absl::StatusCode::kUnknown);
}

TEST_F(InterlockTest, SafeActionsOfCallersAreNotRefused) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  Acts();
  hub_->gate().Submit(
      {.caller = kEngineer, .device_id = "hv1", .what = ActionCall{"ramp_down", {}}},
      [](CommandResult) {});
  runner_->Settle();
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

TEST_F(InterlockTest, RawFramesOnTheBusAreRefused) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  absl::Status status;
  hub_->gate().SubmitFrame(
      {.caller = kEngineer, .bus_id = "can0", .frame = MakeFrame(0x302, {fake::kWrite, 9})},
      [&](CommandResult result) { status = result.status; });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorInfo(status).reason, "INTERLOCKED");
}

TEST_F(InterlockTest, S02_WhatIsUnderWayIsWithdrawn) {
  InterlockRule rule = Rule();
  rule.steps = {};  // so that no safe action does it
  StartQuiet(Rules({rule}));
  const auto status = Write("hv1");
  EXPECT_EQ(status->code(), absl::StatusCode::kUnknown);
  Measure(0, 120);
  EXPECT_EQ(status->code(), absl::StatusCode::kAborted);
  EXPECT_EQ(GetErrorInfo(*status).reason, "OVERTAKEN_BY_INTERLOCK");
}

// ---------------------------------------------------------------- latching

TEST_F(InterlockTest, StaysLatchedWhenItsConditionIsOver) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  Measure(0, 10);
  EXPECT_EQ(State(), InterlockState::kLatched);
  const absl::Status refused = *Write("hv1");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("is latched: its condition is over"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("120 V"));
  EXPECT_EQ(Alarm("guard"), "active");
}

TEST_F(InterlockTest, IsLetGoByAcknowledgement) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  AcknowledgeAction(1);
  Measure(0, 10);
  EXPECT_TRUE(Acknowledge().ok());
  EXPECT_EQ(State(), InterlockState::kClear);
  EXPECT_EQ(Alarm("guard"), "gone");
  EXPECT_EQ(Write("hv1")->code(), absl::StatusCode::kUnknown);
  std::vector<std::string> texts;
  const AuditPage page = audit_.Query({}).value();
  for (const AuditEntry& entry : page.entries) {
    if (entry.kind == "interlock") texts.push_back(entry.identity + " " + entry.text);
  }
  EXPECT_THAT(texts, ::testing::Contains(
                         HasSubstr("unix:uid=1000(alice) interlock guard acknowledged: seen")));
}

TEST_F(InterlockTest, IsNotLetGoWhileItsConditionHolds) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  AcknowledgeAction(1);
  const absl::Status refused = Acknowledge();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("hv0/voltage_measure is 120 V"));
  EXPECT_EQ(State(), InterlockState::kTripped);
}

TEST_F(InterlockTest, IsNotLetGoBeforeItsSequenceHasEnded) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  Measure(0, 10);
  EXPECT_EQ(GetErrorInfo(Acknowledge()).reason, "SEQUENCE_UNDER_WAY");
  AcknowledgeAction(1);
  EXPECT_TRUE(Acknowledge().ok());
}

TEST_F(InterlockTest, IsNotLetGoWhileALevelOfItIsNotNormal) {
  InterlockRule rule = Rule();
  rule.when = IsLevel("volts", Level::kDangerous);
  StartQuiet(Rules({rule}, {VoltageLevel()}));
  Measure(0, 100);
  AcknowledgeAction(1);
  Measure(0, 90);
  EXPECT_EQ(State(), InterlockState::kLatched);
  EXPECT_EQ(GetErrorInfo(Acknowledge()).reason, "LEVEL_NOT_NORMAL");
  Measure(0, 75);
  EXPECT_TRUE(Acknowledge().ok());
}

TEST_F(InterlockTest, AcknowledgingNeedsTheRoleAndTheName) {
  StartQuiet(Rules({Rule()}));
  EXPECT_EQ(Acknowledge("guard", Role::kViewer).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Acknowledge("gard").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorInfo(Acknowledge()).reason, "INTERLOCK_NOT_LATCHED");
}

TEST_F(InterlockTest, WithoutLatchingItLetsGoByItself) {
  InterlockRule rule = Rule();
  rule.latch = false;
  StartQuiet(Rules({rule}));
  Measure(0, 120);
  AcknowledgeAction(1);
  Measure(0, 10);
  EXPECT_EQ(State(), InterlockState::kClear);
  EXPECT_EQ(Alarm("guard"), "gone");
  EXPECT_EQ(Write("hv1")->code(), absl::StatusCode::kUnknown);
}

TEST_F(InterlockTest, ALatchedOneTripsAgain) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  AcknowledgeAction(1);
  Measure(0, 10);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  Measure(0, 120);
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
  EXPECT_EQ(Info().trips, 2u);
}

TEST_F(InterlockTest, WhatIsLatchedStaysSoOverARestart) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  AcknowledgeAction(1);
  Measure(0, 10);
  Start(Rules({Rule()}));
  Measure(0, 10);
  EXPECT_EQ(State(), InterlockState::kLatched);
  EXPECT_THAT(std::string(Write("hv1")->message()), HasSubstr("hv0/voltage_measure is 120 V"));
  AcknowledgeAction(1);
  EXPECT_TRUE(Acknowledge().ok());
  Start(Rules({Rule()}));
  Measure(0, 10);
  EXPECT_EQ(State(), InterlockState::kClear);
}

TEST_F(InterlockTest, S01_ALatchOfAnEarlierRunSendsNothingWhereAllIsSafe) {
  InterlockRule rule = Rule();
  rule.verify = Compared("hv1/voltage_measure", Comparison::kBelow, 50);
  StartQuiet(Rules({rule}));
  Measure(0, 120);
  AcknowledgeAction(1);
  Start(Rules({rule}));
  RunMeasuring(seconds(10), 10, 10);
  EXPECT_EQ(State(), InterlockState::kLatched);
  EXPECT_TRUE(Info().complete);
  EXPECT_THAT(Acts(), IsEmpty());
}

TEST_F(InterlockTest, ALatchOfAnEarlierRunActsWhereItIsNotSafe) {
  InterlockRule rule = Rule();
  rule.verify = Compared("hv1/voltage_measure", Comparison::kBelow, 50);
  StartQuiet(Rules({rule}));
  Measure(0, 120);
  Start(Rules({rule}));
  RunMeasuring(seconds(6), 10, 200);
  EXPECT_THAT(Acts(), ElementsAre("hv1"));
}

// ---------------------------------------------------------------- its own items

TEST_F(InterlockTest, TheStateGoesFromInitToSecurityAndBack) {
  InterlockRule rule = Rule();
  rule.when = IsLevel("volts", Level::kDangerous);
  SafetyRules rules = Rules({rule}, {VoltageLevel()});
  rules.precharge = Compared("hv1/voltage_measure", Comparison::kAbove, 200);
  Start(rules);
  const auto state = [&] { return static_cast<int>(Own("state").value.integer()); };
  EXPECT_EQ(state(), 0);  // INIT
  Measure(0, 10);
  Measure(1, 10);
  EXPECT_EQ(state(), 1);  // NORMAL
  Measure(1, 201);
  runner_->RunFor(kSafetyTick);
  EXPECT_EQ(state(), 5);  // PRECHARGE
  Measure(1, 10);
  Measure(0, 80);
  EXPECT_EQ(state(), 2);  // WARNING
  Measure(0, 100);
  EXPECT_EQ(state(), 3);  // DANGEROUS
  AcknowledgeAction(1);
  EXPECT_EQ(state(), 4);  // SECURITY
  Measure(0, 10);
  EXPECT_EQ(state(), 4);
  EXPECT_TRUE(Acknowledge().ok());
  EXPECT_EQ(state(), 1);
}

TEST_F(InterlockTest, AnInterlockThatOnlyWarnsMakesNoDanger) {
  InterlockRule rule = Rule();
  rule.severity = Level::kWarning;
  StartQuiet(Rules({rule}));
  Measure(0, 120);
  EXPECT_EQ(Own("state").value, Value::Integer(2));
  EXPECT_EQ(Own("guard.state").value, Value::Integer(2));
}

TEST_F(InterlockTest, S03_ItsItemsGoStaleWhenItHangs) {
  StartQuiet(Rules({Rule()}));
  runner_->RunFor(seconds(3));
  EXPECT_EQ(Own("state").EffectiveQuality(clock_.Now()), Quality::kGood);
  runner_->Pause(hub_->interlocks(), true);
  runner_->RunFor(10 * kSafetyTick);
  EXPECT_EQ(Own("state").EffectiveQuality(clock_.Now()), Quality::kStale);
}

TEST_F(InterlockTest, IsNoDevice) {
  StartQuiet(Rules({Rule()}));
  EXPECT_EQ(hub_->devices().size(), 2u);
  EXPECT_FALSE(hub_->FindDevice("safety").has_value());
  EXPECT_EQ(hub_->RestartDevice("safety").code(), absl::StatusCode::kNotFound);
  // Who goes through the cache comes by it all the same.
  const DeviceIndex index = hub_->cache().FindDevice("safety").value();
  EXPECT_EQ(hub_->Counters(index).commands, 0u);
  absl::Status refreshed = absl::UnknownError("");
  hub_->Refresh(index, {0}, kNever, [&](absl::Status status) { refreshed = status; });
  EXPECT_TRUE(refreshed.ok());
}

}  // namespace
}  // namespace canhub
