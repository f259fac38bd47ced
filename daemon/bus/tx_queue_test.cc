#include "daemon/bus/tx_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime kNow{Duration(1000s)};

TxFrame Frame(uint32_t id, Urgency urgency, uint64_t tag = 0) {
  TxFrame tx;
  tx.frame = MakeFrame(id, {});
  tx.urgency = urgency;
  tx.tag = tag;
  return tx;
}

class TxQueueTest : public testing::Test {
 protected:
  absl::Status Push(TxFrame frame, PortId port = 1, MonoTime now = kNow) {
    return queue_.Push(port, std::move(frame), now, "can0", &reports_);
  }
  std::vector<uint32_t> Drain(MonoTime now = kNow) {
    std::vector<uint32_t> ids;
    while (auto entry = queue_.Pop(now, &reports_)) ids.push_back(entry->tx.frame.id);
    return ids;
  }
  TxQueue queue_{{4, 4, 4, 4}};
  std::vector<OwnedReport> reports_;
};

TEST_F(TxQueueTest, MoreUrgentFramesOvertakeAndEachUrgencyKeepsItsOrder) {
  ASSERT_TRUE(Push(Frame(0x31, Urgency::kPoll)).ok());
  ASSERT_TRUE(Push(Frame(0x21, Urgency::kHeartbeat)).ok());
  ASSERT_TRUE(Push(Frame(0x11, Urgency::kCommand)).ok());
  ASSERT_TRUE(Push(Frame(0x01, Urgency::kSafe)).ok());
  ASSERT_TRUE(Push(Frame(0x12, Urgency::kCommand)).ok());
  ASSERT_TRUE(Push(Frame(0x02, Urgency::kSafe)).ok());
  EXPECT_THAT(Drain(), testing::ElementsAre(0x01, 0x02, 0x11, 0x12, 0x21, 0x31));
  EXPECT_TRUE(queue_.empty());
}

TEST_F(TxQueueTest, FrameIsNotHandedOutAtItsDeadline) {
  TxFrame frame = Frame(0x10, Urgency::kCommand, 7);
  frame.deadline = kNow + 5ms;
  ASSERT_TRUE(Push(frame).ok());
  EXPECT_EQ(queue_.Pop(kNow + 5ms, &reports_), std::nullopt);
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].report.outcome, TxOutcome::kExpired);
  EXPECT_EQ(reports_[0].report.tag, 7u);
  EXPECT_EQ(reports_[0].report.time, kNow + 5ms);
  EXPECT_EQ(queue_.expired(), 1u);
}

TEST_F(TxQueueTest, FrameIsHandedOutJustBeforeItsDeadline) {
  TxFrame frame = Frame(0x10, Urgency::kCommand);
  frame.deadline = kNow + 5ms;
  ASSERT_TRUE(Push(frame).ok());
  EXPECT_NE(queue_.Pop(kNow + 5ms - 1ns, &reports_), std::nullopt);
}

TEST_F(TxQueueTest, S02_FrameOfARevokedCommandIsNeverHandedOut) {
  auto guard = std::make_shared<CommandGuard>(kNow + 1h);
  TxFrame frame = Frame(0x10, Urgency::kCommand, 7);
  frame.guard = guard;
  ASSERT_TRUE(Push(frame).ok());
  guard->Revoke();
  EXPECT_EQ(queue_.Pop(kNow, &reports_), std::nullopt);
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].report.outcome, TxOutcome::kExpired);
}

TEST_F(TxQueueTest, S02_FrameOfACommandPastItsDeadlineIsNeverHandedOut) {
  TxFrame frame = Frame(0x10, Urgency::kCommand, 7);
  frame.guard = std::make_shared<CommandGuard>(kNow + 1ms);
  ASSERT_TRUE(Push(frame).ok());
  EXPECT_EQ(queue_.Pop(kNow + 1ms, &reports_), std::nullopt);
}

TEST_F(TxQueueTest, FrameThatMayNotBeSentAnyMoreIsRefusedAtOnce) {
  TxFrame late = Frame(0x10, Urgency::kPoll);
  late.deadline = kNow;
  EXPECT_EQ(Push(late).code(), absl::StatusCode::kDeadlineExceeded);
  TxFrame withdrawn = Frame(0x10, Urgency::kCommand);
  auto guard = std::make_shared<CommandGuard>(kNow + 1h);
  guard->Revoke();
  withdrawn.guard = guard;
  EXPECT_EQ(Push(withdrawn).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(TxQueueTest, FullUrgencyRefusesAndSaysTheBound) {
  for (PortId port : {1, 1, 2, 2}) ASSERT_TRUE(Push(Frame(0x10, Urgency::kPoll), port).ok());
  const absl::Status status = Push(Frame(0x10, Urgency::kPoll), 3);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  const ErrorInfo info = GetErrorInfo(status);
  EXPECT_EQ(info.reason, "TRANSMIT_QUEUE_FULL");
  EXPECT_EQ(info.fields.at("limit"), "4");
  EXPECT_EQ(info.fields.at("urgency"), "poll");
  EXPECT_EQ(queue_.refused(), 1u);
}

TEST_F(TxQueueTest, S10_FullQueuesOfEveryOtherUrgencyLeaveRoomForSafeActions) {
  for (Urgency urgency : {Urgency::kCommand, Urgency::kHeartbeat, Urgency::kPoll}) {
    for (PortId port = 1; port <= 9; ++port) (void)Push(Frame(0x10, urgency), port);
    EXPECT_EQ(queue_.size(urgency), 4u);
  }
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Push(Frame(0x01, Urgency::kSafe)).ok());
  EXPECT_EQ(queue_.Pop(kNow, &reports_)->tx.frame.id, 0x01u);
}

TEST_F(TxQueueTest, OnePortAloneCannotTakeMoreThanHalfOfAnUrgency) {
  ASSERT_TRUE(Push(Frame(0x10, Urgency::kPoll), 1).ok());
  ASSERT_TRUE(Push(Frame(0x10, Urgency::kPoll), 1).ok());
  EXPECT_EQ(Push(Frame(0x10, Urgency::kPoll), 1).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Push(Frame(0x10, Urgency::kPoll), 2).ok());
}

TEST_F(TxQueueTest, RoomOfAPortIsFreeAgainOnceItsFramesAreGone) {
  ASSERT_TRUE(Push(Frame(0x10, Urgency::kPoll), 1).ok());
  ASSERT_TRUE(Push(Frame(0x11, Urgency::kPoll), 1).ok());
  Drain();
  EXPECT_TRUE(Push(Frame(0x12, Urgency::kPoll), 1).ok());
}

TEST_F(TxQueueTest, ExpiredFramesMakeRoomForNewOnes) {
  for (PortId port : {1, 1, 2, 2}) {
    TxFrame frame = Frame(0x10, Urgency::kPoll, 9);
    frame.deadline = kNow + 1ms;
    ASSERT_TRUE(Push(frame, port).ok());
  }
  EXPECT_TRUE(Push(Frame(0x11, Urgency::kPoll), 1, kNow + 1ms).ok());
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(reports_.size(), 4u);
}

TEST_F(TxQueueTest, PurgeReportsEveryTaggedFrameToItsOwner) {
  ASSERT_TRUE(Push(Frame(0x10, Urgency::kPoll, 5), 1).ok());
  ASSERT_TRUE(Push(Frame(0x11, Urgency::kSafe, 6), 2).ok());
  ASSERT_TRUE(Push(Frame(0x12, Urgency::kPoll), 2).ok());
  queue_.Purge(kNow, &reports_);
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.purged(), 3u);
  ASSERT_EQ(reports_.size(), 2u);
  EXPECT_EQ(reports_[0].port, 2u);
  EXPECT_EQ(reports_[0].report.outcome, TxOutcome::kPurged);
  EXPECT_EQ(reports_[1].port, 1u);
  EXPECT_EQ(reports_[1].report.tag, 5u);
}

TEST_F(TxQueueTest, RemoveDropsOnePortsFramesOnlyAndReportsNothing) {
  ASSERT_TRUE(Push(Frame(0x10, Urgency::kPoll, 5), 1).ok());
  ASSERT_TRUE(Push(Frame(0x11, Urgency::kPoll, 6), 2).ok());
  queue_.Remove(1);
  EXPECT_THAT(Drain(), testing::ElementsAre(0x11));
  EXPECT_TRUE(reports_.empty());
}

TEST_F(TxQueueTest, FrameThatCannotExistIsRefused) {
  TxFrame frame = Frame(0, Urgency::kPoll);
  frame.frame.id = 0x800;
  EXPECT_EQ(Push(frame).code(), absl::StatusCode::kInvalidArgument);
  frame.frame.extended = true;
  EXPECT_TRUE(Push(frame).ok());
  frame.frame.id = 0x20000000;
  EXPECT_EQ(Push(frame).code(), absl::StatusCode::kInvalidArgument);
  frame.frame.id = 1;
  frame.frame.dlc = 9;
  EXPECT_EQ(Push(frame).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace canhub
