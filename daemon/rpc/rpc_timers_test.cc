#include "daemon/rpc/rpc_timers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

class RpcTimersTest : public testing::Test {
 protected:
  RpcTimersTest() {
    timers_.SetWaker([this] { ++wakes_; });
  }
  MonoTime Run() { return timers_.RunUntil(clock_.Now()); }
  std::function<void()> Note(int number) {
    return [this, number] { done_.push_back(number); };
  }
  SimulatedClock clock_;
  RpcTimers timers_;
  int wakes_ = 0;
  std::vector<int> done_;
};

TEST_F(RpcTimersTest, PostedTasksRunInOrderAndWakeOnce) {
  timers_.Post(Note(1));
  timers_.Post(Note(2));
  EXPECT_EQ(wakes_, 1);
  EXPECT_EQ(Run(), kNever);
  EXPECT_THAT(done_, ElementsAre(1, 2));
}

TEST_F(RpcTimersTest, TimersRunWhenTheyAreDueNotBefore) {
  timers_.At(clock_.Now() + seconds(2), Note(2));
  timers_.At(clock_.Now() + seconds(1), Note(1));
  EXPECT_EQ(Run(), clock_.Now() + seconds(1));
  EXPECT_THAT(done_, ElementsAre());
  clock_.Advance(seconds(1));
  EXPECT_EQ(Run(), clock_.Now() + seconds(1));
  EXPECT_THAT(done_, ElementsAre(1));
}

TEST_F(RpcTimersTest, AnEarlierTimerWakesALaterOneDoesNot) {
  timers_.At(clock_.Now() + seconds(1), Note(1));
  timers_.At(clock_.Now() + seconds(2), Note(2));
  EXPECT_EQ(wakes_, 1);
  timers_.At(clock_.Now(), Note(3));
  EXPECT_EQ(wakes_, 2);
}

TEST_F(RpcTimersTest, CancelledTimersDoNotRun) {
  timers_.Cancel(timers_.At(clock_.Now(), Note(1)));
  EXPECT_EQ(Run(), kNever);
  EXPECT_THAT(done_, ElementsAre());
}

TEST_F(RpcTimersTest, ATaskThatPostsIsRunInTheNextStep) {
  timers_.Post([this] { timers_.Post(Note(1)); });
  EXPECT_EQ(Run(), clock_.Now());
  EXPECT_THAT(done_, ElementsAre());
  Run();
  EXPECT_THAT(done_, ElementsAre(1));
}

}  // namespace
}  // namespace canhub
