// What a restart, of the daemon or of a device, leaves of levels, latches and alarms.
#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: a fixture and the words of rules
using std::chrono::seconds;
using ::testing::HasSubstr;

class RestartTest : public SafetyTest {
 protected:
  void StartQuiet(SafetyRules rules) {
    Start(std::move(rules));
    Measure(0, 10);
    Measure(1, 10);
  }
};

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

}  // namespace
}  // namespace canhub
