#include "drivers/api/turn_meter.h"

#include <gtest/gtest.h>

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr MonoTime kStart{seconds(1000)};

TEST(TurnMeterTest, S04_ATurnThatDoesNotEndIsOverdueSinceItBegan) {
  TurnMeter turns(kNever);
  turns.Begin(kStart);
  EXPECT_EQ(turns.Overdue(kStart + seconds(3)), seconds(3));
}

TEST(TurnMeterTest, S04_ATurnThatDoesNotBeginIsOverdueSinceItShouldHave) {
  TurnMeter turns(kStart);
  turns.Wait(kStart + seconds(1));
  EXPECT_EQ(turns.Overdue(kStart + milliseconds(999)), Duration::zero());
  EXPECT_EQ(turns.Overdue(kStart + seconds(3)), seconds(2));
}

TEST(TurnMeterTest, WhoWaitsToBeCalledOwesNothing) {
  TurnMeter turns(kStart);
  turns.Wait(kNever);
  EXPECT_EQ(turns.Overdue(MonoTime(std::chrono::hours(1000000))), Duration::zero());
}

}  // namespace
}  // namespace canhub
