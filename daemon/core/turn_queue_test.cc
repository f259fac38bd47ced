#include "daemon/core/turn_queue.h"

#include <chrono>
#include <memory>

#include "drivers/testing/simulated_clock.h"
#include "gtest/gtest.h"

namespace canhub {
namespace {

using namespace std::chrono_literals;

class TurnQueueTest : public testing::Test {
 protected:
  SimulatedClock clock_;
  std::shared_ptr<TurnQueue> queue_ = std::make_shared<TurnQueue>(&clock_);
  int a_woken_ = 0, b_woken_ = 0, c_woken_ = 0;
  TurnQueue::Member a_{queue_, [this] { ++a_woken_; }};
  TurnQueue::Member b_{queue_, [this] { ++b_woken_; }};
  TurnQueue::Member c_{queue_, [this] { ++c_woken_; }};
};

TEST_F(TurnQueueTest, AFreeTurnIsHadAtOnce) {
  EXPECT_TRUE(a_.Want(5));
  EXPECT_FALSE(a_.TakeGranted());  // it knows
  EXPECT_TRUE(a_.Want(5));
}

TEST_F(TurnQueueTest, OnlyOneHasTheTurn) {
  ASSERT_TRUE(a_.Want(5));
  EXPECT_FALSE(b_.Want(0));
  EXPECT_FALSE(b_.TakeGranted());
}

TEST_F(TurnQueueTest, TheNextIsTold) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  a_.Release();
  EXPECT_EQ(b_woken_, 1);
  EXPECT_TRUE(b_.TakeGranted());
  EXPECT_FALSE(b_.TakeGranted());
  EXPECT_FALSE(a_.Want(5));
}

TEST_F(TurnQueueTest, ASmallerRankGoesFirst) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  ASSERT_FALSE(c_.Want(1));
  a_.Release();
  EXPECT_FALSE(b_.TakeGranted());
  EXPECT_TRUE(c_.TakeGranted());
}

TEST_F(TurnQueueTest, OfEqualRanksGoesWhoHasWaitedLongest) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(c_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  a_.Release();
  EXPECT_TRUE(c_.TakeGranted());
  EXPECT_FALSE(a_.Want(5));  // behind b
  c_.Release();
  EXPECT_TRUE(b_.TakeGranted());
}

TEST_F(TurnQueueTest, AskingAgainChangesTheRankAndKeepsThePlace) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  ASSERT_FALSE(c_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  ASSERT_FALSE(c_.Want(1));
  a_.Release();
  EXPECT_TRUE(c_.TakeGranted());
  c_.Release();
  EXPECT_TRUE(b_.TakeGranted());
}

TEST_F(TurnQueueTest, AWithdrawnWishGetsNoTurn) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  b_.Release();
  a_.Release();
  EXPECT_FALSE(b_.TakeGranted());
  EXPECT_TRUE(c_.Want(5));
}

TEST_F(TurnQueueTest, ATurnThatCameAndWasGivenBackUnseenPassesOn) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  ASSERT_FALSE(c_.Want(5));
  a_.Release();
  b_.Release();
  EXPECT_FALSE(b_.TakeGranted());
  EXPECT_TRUE(c_.TakeGranted());
}

TEST_F(TurnQueueTest, S09_AHolderThatHangsHoldsOthersUpForASetTimeOnly) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  EXPECT_EQ(b_.NextCheck(), clock_.Now() + Turn::kLongest);
  clock_.Advance(Turn::kLongest - 1ms);
  EXPECT_FALSE(b_.TakeGranted());
  clock_.Advance(1ms);
  EXPECT_TRUE(b_.TakeGranted());
  EXPECT_EQ(b_.NextCheck(), kNever);
  // It comes back: no turn of its own any more.
  EXPECT_FALSE(a_.Want(5));
  a_.Release();
  EXPECT_FALSE(b_.TakeGranted());
  EXPECT_TRUE(b_.Want(5));
}

TEST_F(TurnQueueTest, AHolderThatHungBeforeItKnewWaitsAgainOnceItTurns) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  a_.Release();  // b has it, and hangs
  ASSERT_FALSE(a_.Want(5));
  clock_.Advance(Turn::kLongest);
  ASSERT_TRUE(a_.TakeGranted());
  // While b hangs it costs nobody anything more.
  a_.Release();
  ASSERT_TRUE(a_.Want(5));
  EXPECT_FALSE(b_.TakeGranted());  // it turns again
  a_.Release();
  EXPECT_TRUE(b_.TakeGranted());
}

TEST_F(TurnQueueTest, AHolderThatHungAndThatNobodyWaitedForHasAWholeTurn) {
  ASSERT_TRUE(a_.Want(5));
  ASSERT_FALSE(b_.Want(5));
  a_.Release();
  clock_.Advance(10 * Turn::kLongest);
  EXPECT_TRUE(b_.TakeGranted());
  EXPECT_FALSE(a_.Want(5));
}

TEST_F(TurnQueueTest, AMemberThatEndsGivesItsTurnBack) {
  {
    TurnQueue::Member d(queue_, [] {});
    ASSERT_TRUE(d.Want(0));
    ASSERT_FALSE(b_.Want(5));
  }
  EXPECT_TRUE(b_.TakeGranted());
}

TEST(TurnMember, WithoutAQueueHasAlwaysTheTurn) {
  TurnQueue::Member member(nullptr, [] {});
  EXPECT_TRUE(member.Want(5));
  member.Release();
  EXPECT_FALSE(member.TakeGranted());
  EXPECT_EQ(member.NextCheck(), kNever);
}

}  // namespace
}  // namespace canhub
