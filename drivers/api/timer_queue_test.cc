#include "drivers/api/timer_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace canhub {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

class FixedClock final : public Clock {
 public:
  MonoTime Now() const override { return now; }
  WallTime WallNow() const override { return {}; }
  MonoTime now{std::chrono::seconds(1)};
};

class TimerQueueTest : public ::testing::Test {
 protected:
  std::function<void()> Note(const std::string& name) {
    return [this, name] { fired_.push_back(name); };
  }
  MonoTime Run(Duration later) {
    clock_.now += later;
    return timers_.RunDue(clock_.now);
  }
  FixedClock clock_;
  TimerQueue timers_{&clock_};
  std::vector<std::string> fired_;
};

TEST_F(TimerQueueTest, FiresInOrderOfTimeAndThenOfSetting) {
  timers_.After(milliseconds(2), Note("late"));
  timers_.After(milliseconds(1), Note("first"));
  timers_.After(milliseconds(1), Note("second"));
  Run(milliseconds(5));
  EXPECT_THAT(fired_, ElementsAre("first", "second", "late"));
}

TEST_F(TimerQueueTest, TellsWhenTheNextOneIsDue) {
  timers_.After(milliseconds(1), Note("a"));
  timers_.After(milliseconds(7), Note("b"));
  const MonoTime start = clock_.now;
  EXPECT_EQ(Run(milliseconds(1)), start + milliseconds(7));
  EXPECT_EQ(Run(milliseconds(6)), kNever);
}

TEST_F(TimerQueueTest, DoesNotFireBeforeItsTime) {
  timers_.After(milliseconds(2), Note("a"));
  Run(milliseconds(2) - Duration(1));
  EXPECT_TRUE(fired_.empty());
  Run(Duration(1));
  EXPECT_THAT(fired_, ElementsAre("a"));
}

TEST_F(TimerQueueTest, DoesNotMakeUpForLateBeats) {
  timers_.Every(milliseconds(10), Note("beat"));
  Run(milliseconds(35));
  EXPECT_THAT(fired_, ElementsAre("beat"));
  EXPECT_EQ(timers_.NextDue(), clock_.now + milliseconds(10));
}

TEST_F(TimerQueueTest, ACancelledTimerDoesNotFire) {
  const TimerId id = timers_.After(milliseconds(1), Note("a"));
  timers_.Cancel(id);
  timers_.Cancel(id);
  timers_.Cancel(12345);
  EXPECT_EQ(Run(milliseconds(2)), kNever);
  EXPECT_TRUE(fired_.empty());
}

TEST_F(TimerQueueTest, APeriodicTimerCanCancelItself) {
  TimerId id = 0;
  id = timers_.Every(milliseconds(1), [&] {
    fired_.push_back("beat");
    timers_.Cancel(id);
  });
  Run(milliseconds(1));
  Run(milliseconds(1));
  EXPECT_THAT(fired_, ElementsAre("beat"));
}

TEST_F(TimerQueueTest, ACallbackCanCancelAnotherThatIsDueToo) {
  TimerId other = 0;
  timers_.After(milliseconds(1), [&] { timers_.Cancel(other); });
  other = timers_.After(milliseconds(1), Note("other"));
  Run(milliseconds(1));
  EXPECT_TRUE(fired_.empty());
}

TEST_F(TimerQueueTest, ATimerSetForNowByACallbackWaitsForTheNextRun) {
  timers_.After(milliseconds(1), [&] { timers_.After(Duration(0), Note("again")); });
  const MonoTime due = clock_.now + milliseconds(1);
  EXPECT_EQ(Run(milliseconds(1)), due);
  EXPECT_TRUE(fired_.empty());
  Run(Duration(0));
  EXPECT_THAT(fired_, ElementsAre("again"));
}

TEST_F(TimerQueueTest, ATimerThatSetsItselfForThePastDoesNotHoldUpTheOthers) {
  std::function<void()> greedy = [&] { timers_.At(MonoTime{}, greedy); };
  timers_.After(milliseconds(1), greedy);
  timers_.After(milliseconds(1), Note("other"));
  Run(milliseconds(1));
  EXPECT_THAT(fired_, ElementsAre("other"));
}

TEST_F(TimerQueueTest, NeverIsNever) {
  timers_.After(Duration::max(), Note("a"));
  EXPECT_EQ(timers_.NextDue(), kNever);
}

}  // namespace
}  // namespace canhub
