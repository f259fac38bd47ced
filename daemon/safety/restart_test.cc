// What a restart, of the daemon or of a device, leaves of levels, latches and alarms.
#include <stdexcept>

#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: a fixture and the words of rules
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RestartTest : public SafetyTest {
 protected:
  void RestartDevice(const std::string& id) {
    ASSERT_TRUE(hub_->RestartDevice(id).ok());
    runner_->Settle();
  }
};

// ---------------------------------------------------------------- a device

TEST_F(RestartTest, OfADeviceLeavesItsDanger) {
  StartQuiet(Rules({}, {VoltageLevel()}));
  Measure(0, 120);
  RestartDevice("hv0");
  EXPECT_EQ(LevelNow().level, Level::kDangerous);
  EXPECT_THAT(LevelNow().worst, HasSubstr("hv0/voltage_measure is"));
  Measure(0, 96);
  EXPECT_EQ(LevelNow().level, Level::kDangerous) << "within the hysteresis";
  Measure(0, 95);
  EXPECT_EQ(LevelNow().level, Level::kWarning);
}

TEST_F(RestartTest, OfADeviceAfterAnExceptionLeavesItsDanger) {
  StartQuiet(Rules({}, {VoltageLevel()}));
  Measure(0, 120);
  fake::ControlOf("hv0")->on_frame = [] { throw std::runtime_error("a defect"); };
  Measure(0, 120);
  fake::ControlOf("hv0")->on_frame = nullptr;
  runner_->RunFor(seconds(2));
  EXPECT_EQ(LevelNow().level, Level::kDangerous);
}

TEST_F(RestartTest, OfADeviceEndsNoInterlock) {
  InterlockRule rule = Rule();
  rule.latch = false;
  rule.when = IsLevel("volts", Level::kDangerous);
  StartQuiet(Rules({rule}, {VoltageLevel()}));
  Measure(0, 120);
  AcknowledgeAction(1);
  RunMeasuring(seconds(4), 120, 10);
  RestartDevice("hv0");
  runner_->RunFor(milliseconds(200));
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_EQ(GetErrorInfo(*Write("hv1")).reason, "INTERLOCKED");
}

TEST_F(RestartTest, OfADeviceLeavesWhatIsMissed) {
  StartQuiet(Rules({}, {VoltageLevel("hv*/voltage_measure", 1)}));
  RestartDevice("hv1");
  for (int i = 0; i < 10; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  EXPECT_EQ(LevelNow().level, Level::kWarning);
  EXPECT_THAT(LevelNow().worst, HasSubstr("hv1/voltage_measure is"));
}

// ---------------------------------------------------------------- the daemon: latches

TEST_F(RestartTest, FindsALatchThatCouldNotBeWrittenAtOnce) {
  StartQuiet(Rules({Rule()}));
  values_.failures = 1;
  Measure(0, 120);
  AcknowledgeAction(1);
  EXPECT_EQ(Alarm("guard.not_saved"), "active");
  EXPECT_THAT(AlarmText("guard.not_saved"), HasSubstr("disk full"));
  RunMeasuring(seconds(2), 10, 10);
  ASSERT_EQ(State(), InterlockState::kLatched);
  EXPECT_EQ(Alarm("guard.not_saved"), "gone");
  Start(Rules({Rule()}));
  Measure(0, 10);
  EXPECT_EQ(State(), InterlockState::kLatched);
  EXPECT_EQ(GetErrorInfo(*Write("hv1")).reason, "INTERLOCKED");
}

TEST_F(RestartTest, ALatchIsTriedUntilItIsWritten) {
  StartQuiet(Rules({Rule()}));
  values_.failures = 30;
  Measure(0, 120);
  RunMeasuring(seconds(20), 10, 10);
  EXPECT_EQ(Alarm("guard.not_saved"), "active");
  RunMeasuring(seconds(20), 10, 10);
  EXPECT_EQ(Alarm("guard.not_saved"), "gone");
}

TEST_F(RestartTest, ALatchThatIsNotWrittenYetIsTriedWhenTheDaemonEnds) {
  StartQuiet(Rules({Rule()}));
  values_.failures = 1;
  Measure(0, 120);
  Start(Rules({Rule()}));
  Measure(0, 10);
  EXPECT_EQ(State(), InterlockState::kLatched);
}

TEST_F(RestartTest, AnAcknowledgementThatCouldNotBeWrittenIsTriedToo) {
  StartQuiet(Rules({Rule()}));
  Measure(0, 120);
  AcknowledgeAction(1);
  Measure(0, 10);
  values_.failures = 1;
  ASSERT_TRUE(Acknowledge().ok());
  EXPECT_EQ(Alarm("guard.not_saved"), "active");
  RunMeasuring(seconds(2), 10, 10);
  EXPECT_EQ(Alarm("guard.not_saved"), "gone");
  Start(Rules({Rule()}));
  Measure(0, 10);
  EXPECT_EQ(State(), InterlockState::kClear);
}

// ---------------------------------------------------------------- the daemon: alarms

class RestartWithAlarmTest : public RestartTest {
 protected:
  // A daemon that found hv0/trip active, of its last run.
  RestartWithAlarmTest() {
    AlarmRecord trip;
    trip.device_id = "hv0";
    trip.code = "trip";
    trip.text = "tripped";
    trip.active = true;
    trip.count = 1;
    alarm_store_.Save(trip).IgnoreError();
    InterlockRule rule = Rule();
    rule.when = IsAlarm("hv0/trip");
    hub_ = MakeHub(&clock_, &bus_, &audit_, &alarm_store_, &values_, Rules({rule}));
    runner_ = std::make_unique<StepRunner>(&clock_);
    for (Steppable* step : hub_->Steppables()) runner_->Add(step);
    runner_->Settle();
  }
};

TEST_F(RestartWithAlarmTest, S01_AnAlarmOfTheLastRunRefusesAndSendsNothing) {
  RunMeasuring(seconds(1), 10, 10);
  EXPECT_EQ(State(), InterlockState::kSettling);
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_EQ(GetErrorInfo(*Write("hv1")).reason, "INTERLOCKED");
}

TEST_F(RestartWithAlarmTest, AnAlarmThatIsReportedAgainTrips) {
  hub_->alarms().Raise("hv0", "trip", AlarmSeverity::kWarning, "tripped");
  runner_->Settle();
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_THAT(Sent(), ElementsAre("hv1 safe"));
}

TEST_F(RestartWithAlarmTest, AnAlarmThatIsOverTripsNothing) {
  hub_->alarms().Clear("hv0", "trip");
  RunMeasuring(seconds(5), 10, 10);
  EXPECT_EQ(State(), InterlockState::kClear);
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(RestartWithAlarmTest,
       AnAlarmOfTheLastRunThatNobodyReportsIsUnknownAndTripsOnceItHasSettled) {
  RunMeasuring(seconds(3), 10, 10);
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_THAT(Info().causes[0].found, HasSubstr("not reported since"));
}

TEST_F(RestartWithAlarmTest, AcknowledgingTheAlarmEndsItForTheInterlockToo) {
  ASSERT_TRUE(hub_->alarms().Acknowledge(kEngineer, "hv0/trip", "").ok());
  RunMeasuring(seconds(5), 10, 10);
  EXPECT_EQ(State(), InterlockState::kClear);
}

}  // namespace
}  // namespace canhub
