#include "drivers/iseg/poll_plan.h"

#include <gtest/gtest.h>

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

PollItem Voltage() { return {.data_id = 0x4102, .form = ReadForm::kMultiple, .value_bytes = 4}; }
PollItem Status() { return {.data_id = 0x4000, .form = ReadForm::kMultiple, .value_bytes = 2}; }
PollItem ModuleStatus() { return {.data_id = 0x1000, .value_bytes = 2, .rate = PollRate::kSlow}; }

// performance.md, section 1: bits of 11-bit frames at worst, 0 … 8 data bytes.
TEST(PollPlan, CountsTheBitsOfTheWorstFrame) {
  EXPECT_EQ(WorstCaseBits(0, false), 55);
  EXPECT_EQ(WorstCaseBits(3, false), 85);
  EXPECT_EQ(WorstCaseBits(5, false), 105);
  EXPECT_EQ(WorstCaseBits(7, false), 125);
  EXPECT_EQ(WorstCaseBits(8, false), 135);
  EXPECT_EQ(WorstCaseBits(8, true), 160);
}

TEST(PollPlan, CountsTheRequestAndOneAnswerPerChannel) {
  const PollPlan plan = MakePollPlan({.channels = 16, .items = {Voltage()}});
  ASSERT_EQ(plan.reads.size(), 1u);
  EXPECT_EQ(plan.reads[0].bits, 105 + 16 * 125);
  EXPECT_EQ(plan.reads[0].mask, 0xFFFF);
}

TEST(PollPlan, AsksSixteenChannelsWithOneMask) {
  const PollPlan plan = MakePollPlan({.channels = 20, .items = {Voltage()}});
  ASSERT_EQ(plan.reads.size(), 2u);
  EXPECT_EQ(plan.reads[1].first_channel, 16);
  EXPECT_EQ(plan.reads[1].mask, 0x000F);
}

TEST(PollPlan, AsksAllChannelsAtOnceInTheShortForm) {
  const PollPlan plan = MakePollPlan({.channels = 48, .short_form = true, .items = {Voltage()}});
  ASSERT_EQ(plan.reads.size(), 1u);
  EXPECT_EQ(plan.reads[0].mask, 0);
  EXPECT_EQ(plan.reads[0].answers, 48);
}

TEST(PollPlan, KeepsTheWishedPeriodsWhereTheLineHasRoom) {
  const PollPlan plan = MakePollPlan({.bitrate = 250000, .channels = 8, .items = {Voltage()}});
  EXPECT_EQ(plan.period(PollRate::kFast), milliseconds(500));
}

TEST(PollPlan, StretchesAllPeriodsAlikeBelowTheShare) {
  const PollPlan plan =
      MakePollPlan({.share = 0.2, .channels = 48, .items = {Voltage(), Status(), ModuleStatus()}});
  EXPECT_GT(plan.period(PollRate::kFast), milliseconds(500));
  EXPECT_LE(plan.load, 0.2);
  EXPECT_NEAR(static_cast<double>(plan.period(PollRate::kSlow).count()) /
                  static_cast<double>(plan.period(PollRate::kFast).count()),
              10, 1e-6);
}

TEST(PollPlan, StretchesForSlowAnswersOnAFastLine) {
  PollPlanInput input{
      .bitrate = 1000000, .share = 1, .channels = 1, .fast_period = milliseconds(3)};
  input.items = {Voltage(), Status()};
  EXPECT_GE(MakePollPlan(input).period(PollRate::kFast), 2 * kAssumedTurnaround);
}

TEST(PollPlan, AccessesTheDeviceAtLeastEveryThirtySeconds) {
  const PollPlan plan = MakePollPlan(
      {.share = 0.0011, .channels = 48, .fast_period = seconds(29), .items = {Voltage()}});
  EXPECT_LE(plan.period(PollRate::kFast), seconds(30));
  PollPlanInput slow_only{.slow_period = seconds(300), .items = {ModuleStatus()}};
  EXPECT_LE(MakePollPlan(slow_only).period(PollRate::kSlow), seconds(30));
}

TEST(PollPlan, S03_AReadingIsGoodForThreePeriodsAndATimeout) {
  const PollPlan plan = MakePollPlan({.channels = 8, .items = {Voltage(), ModuleStatus()}});
  EXPECT_EQ(plan.reads[0].good_for, 3 * milliseconds(500) + milliseconds(500));
  EXPECT_EQ(plan.reads[1].good_for, 3 * seconds(5) + milliseconds(50));
}

TEST(PollScheduler, RestsBetweenReadsSoThatTheShareHolds) {
  const MonoTime start{seconds(100)};
  PollScheduler scheduler(
      MakePollPlan({.share = 0.5, .channels = 16, .items = {Voltage(), Status()}}), 125000, 0.5,
      start);
  MonoTime next;
  ASSERT_EQ(scheduler.Take(start, &next), 0);
  EXPECT_EQ(scheduler.Take(start, &next), -1);
  // 2105 bits take 16.84 ms, and as long again belongs to others.
  EXPECT_EQ(next, start + Duration(33'680'000));
  EXPECT_EQ(scheduler.Take(next, &next), 1);
}

TEST(PollScheduler, DoesNotMakeUpForLateReads) {
  const MonoTime start{seconds(100)};
  PollScheduler scheduler(MakePollPlan({.channels = 1, .items = {Voltage()}}), 125000, 0.5, start);
  MonoTime next;
  ASSERT_EQ(scheduler.Take(start, &next), 0);
  ASSERT_EQ(scheduler.Take(start + seconds(10), &next), 0);
  EXPECT_EQ(scheduler.Take(start + seconds(10) + milliseconds(499), &next), -1);
}

TEST(PollScheduler, HurriesWhatHasChanged) {
  const MonoTime start{seconds(100)};
  PollScheduler scheduler(MakePollPlan({.channels = 1, .items = {Voltage(), ModuleStatus()}}),
                          125000, 0.5, start);
  MonoTime next;
  ASSERT_EQ(scheduler.Take(start, &next), 0);
  ASSERT_EQ(scheduler.Take(start + milliseconds(20), &next), 1);
  ASSERT_EQ(scheduler.Take(start + milliseconds(200), &next), -1);
  scheduler.Hurry(0x1000, start + milliseconds(200));
  EXPECT_EQ(scheduler.Take(start + milliseconds(200), &next), 1);
}

}  // namespace
}  // namespace canhub::iseg
