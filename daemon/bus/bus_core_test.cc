#include "daemon/bus/bus_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "daemon/bus/recording_sink.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(RateMeterTest, CountsTheLastWholeSecond) {
  RateMeter meter;
  const MonoTime start{1000s};
  for (int i = 0; i < 20; ++i) meter.Add(start + i * 100ms, {100, 1, 0});
  EXPECT_EQ(meter.LastSecond(start + 2000ms).frames, 10u);
  EXPECT_EQ(meter.LastSecond(start + 2000ms).bits, 1000);
  EXPECT_EQ(meter.LastSecond(start + 2500ms).frames, 5u);
  EXPECT_EQ(meter.LastSecond(start + 3100ms).frames, 0u);
}

TEST(RateMeterTest, SlotUnderWayDoesNotCountYet) {
  RateMeter meter;
  const MonoTime start{1000s};
  meter.Add(start, {0, 1, 1});
  EXPECT_EQ(meter.LastSecond(start + 99ms).frames, 0u);
  EXPECT_EQ(meter.LastSecond(start + 100ms).frames, 1u);
  EXPECT_EQ(meter.LastSecond(start + 100ms).errors, 1u);
}

TEST(RateMeterTest, OldEventsDoNotFallIntoTheNewSecond) {
  RateMeter meter;
  const MonoTime start{1000s};
  meter.Add(start + 5s, {0, 1, 0});
  meter.Add(start, {0, 7, 0});
  EXPECT_EQ(meter.LastSecond(start + 5100ms).frames, 1u);
}

class BusCoreTest : public testing::Test {
 protected:
  void SetUp() override {
    core_->SetWaker([this] { ++wakes_; });
    port_ = core_->Attach({AllStandard()}, &sink_);
  }
  static TxFrame Tx(uint64_t tag, Urgency urgency = Urgency::kPoll) {
    TxFrame tx;
    tx.frame = MakeFrame(0x100, {1});
    tx.tag = tag;
    tx.urgency = urgency;
    return tx;
  }
  std::vector<TxOutcome> Outcomes() const {
    std::vector<TxOutcome> outcomes;
    for (const TxReport& report : sink_.reports()) outcomes.push_back(report.outcome);
    return outcomes;
  }

  SimulatedClock clock_;
  RecordingSink sink_;
  std::atomic<int> wakes_{0};
  std::shared_ptr<BusCore> core_ =
      std::make_shared<BusCore>(clock_, BusCore::Identity{"can0", "socketcan", "can0", 125000},
                                BusState::kActive, "", TxQueue::Bounds{2, 2, 2, 2});
  std::unique_ptr<BusPort> port_;
};

// A line that takes every frame at once.
class DirectWriterTest : public BusCoreTest {
 protected:
  void SetUp() override {
    BusCoreTest::SetUp();
    core_->SetDirectWriter([this] {
      ++calls_;
      while (const std::optional<TxQueue::Entry> entry = core_->TakeTx(clock_.Now())) {
        core_->DeliverSent(entry->port, entry->tx.tag, entry->tx.frame, clock_.Now());
      }
      return whole_;
    });
    wakes_ = 0;
  }
  int calls_ = 0;
  bool whole_ = true;
};

TEST_F(DirectWriterTest, TheSenderWritesWhileTheLineWaits) {
  ASSERT_TRUE(port_->Send(Tx(1)).ok());
  EXPECT_THAT(Outcomes(), ElementsAre(TxOutcome::kSent));
  EXPECT_EQ(wakes_, 0);
}

TEST_F(DirectWriterTest, WhatItCannotFinishIsTheLines) {
  whole_ = false;
  ASSERT_TRUE(port_->Send(Tx(1)).ok());
  EXPECT_EQ(wakes_, 1);
}

TEST_F(DirectWriterTest, ALineAtWorkIsWokenInstead) {
  std::unique_lock line(core_->line());
  std::thread([this] { ASSERT_TRUE(port_->Send(Tx(1)).ok()); }).join();
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(wakes_, 1);
}

TEST_F(DirectWriterTest, ASinkThatSendsLeavesItToTheLine) {
  class Answering final : public FrameSink {
   public:
    void OnRx(const RxFrame&) override { ASSERT_TRUE(port->Send(Tx(2)).ok()); }
    void OnTxReport(const TxReport&) override {}
    void OnBusState(BusState) override {}
    std::unique_ptr<BusPort> port;
  };
  Answering answering;
  answering.port = core_->Attach({AllStandard()}, &answering);
  wakes_ = 0;
  core_->DeliverRx(MakeFrame(0x200, {}), clock_.Now());
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(wakes_, 1);
}

TEST_F(DirectWriterTest, S02_ARevokedFrameThatWaitedIsNotWrittenWithTheNext) {
  TxFrame revoked = Tx(1, Urgency::kCommand);
  const auto guard = std::make_shared<CommandGuard>(clock_.Now() + 1h);
  revoked.guard = guard;
  {
    const std::lock_guard line(core_->line());
    std::thread([this, &revoked] { ASSERT_TRUE(port_->Send(std::move(revoked)).ok()); }).join();
  }
  guard->Revoke();
  ASSERT_TRUE(port_->Send(Tx(2)).ok());
  ASSERT_EQ(sink_.reports().size(), 2u);
  EXPECT_EQ(sink_.reports()[0].tag, 1u);
  EXPECT_NE(sink_.reports()[0].outcome, TxOutcome::kSent);
  EXPECT_EQ(sink_.reports()[1].tag, 2u);
  EXPECT_EQ(sink_.reports()[1].outcome, TxOutcome::kSent);
}

TEST_F(DirectWriterTest, AClosedBusCallsItNoMore) {
  core_->Close();
  EXPECT_FALSE(port_->Send(Tx(1)).ok());
  EXPECT_EQ(calls_, 0);
}

TEST_F(BusCoreTest, SendWakesTheLine) {
  const int before = wakes_;
  ASSERT_TRUE(port_->Send(Tx(1)).ok());
  EXPECT_EQ(wakes_, before + 1);
}

TEST_F(BusCoreTest, FramesThatExpiredToMakeRoomAreReportedByTheLine) {
  TxFrame old = Tx(1);
  old.deadline = clock_.Now() + 1ms;
  ASSERT_TRUE(port_->Send(old).ok());
  clock_.Advance(1ms);
  ASSERT_TRUE(port_->Send(Tx(2)).ok());
  EXPECT_TRUE(sink_.reports().empty());
  ASSERT_TRUE(core_->PeekTx(clock_.Now()).has_value());
  EXPECT_THAT(Outcomes(), ElementsAre(TxOutcome::kExpired));
}

TEST_F(BusCoreTest, StateChangeReportsPurgedFramesBeforeTheState) {
  ASSERT_TRUE(port_->Send(Tx(1)).ok());
  core_->SetState(BusState::kDown, "pulled");
  EXPECT_THAT(Outcomes(), ElementsAre(TxOutcome::kPurged));
  EXPECT_THAT(sink_.states(), ElementsAre(BusState::kActive, BusState::kDown));
  const absl::Status status = port_->Send(Tx(2));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("can0: the bus is down (pulled)"));
}

TEST_F(BusCoreTest, NewTextOfTheSameStateIsNoChange) {
  core_->SetState(BusState::kActive, "a frame waits");
  EXPECT_THAT(sink_.states(), ElementsAre(BusState::kActive));
  EXPECT_EQ(core_->Status().text, "a frame waits");
}

TEST_F(BusCoreTest, FramePutBackIsFirstAgainAndAskedAgain) {
  auto guard = std::make_shared<CommandGuard>(clock_.Now() + 1h);
  TxFrame command = Tx(1, Urgency::kCommand);
  command.guard = guard;
  ASSERT_TRUE(port_->Send(command).ok());
  auto entry = core_->TakeTx(clock_.Now());
  ASSERT_TRUE(entry.has_value());
  core_->PutBackTx(*std::move(entry));
  guard->Revoke();
  EXPECT_FALSE(core_->TakeTx(clock_.Now()).has_value());
  EXPECT_THAT(Outcomes(), ElementsAre(TxOutcome::kExpired));
}

TEST_F(BusCoreTest, FramePutBackAfterItsPortLeftIsDropped) {
  ASSERT_TRUE(port_->Send(Tx(1)).ok());
  auto entry = core_->TakeTx(clock_.Now());
  port_.reset();
  core_->PutBackTx(*std::move(entry));
  EXPECT_FALSE(core_->HasTx());
}

TEST_F(BusCoreTest, TakeOfAnExpectedFrameFailsOnceAnotherOvertook) {
  ASSERT_TRUE(port_->Send(Tx(1)).ok());
  const auto head = core_->PeekTx(clock_.Now());
  ASSERT_TRUE(port_->Send(Tx(2, Urgency::kSafe)).ok());
  EXPECT_FALSE(core_->TakeTx(clock_.Now(), head->sequence).has_value());
  EXPECT_EQ(core_->TakeTx(clock_.Now())->tx.tag, 2u);
}

TEST_F(BusCoreTest, RoutesFollowPortsThatComeAndGo) {
  const CanFrame frame = MakeFrame(0x123, {});
  core_->DeliverRx(frame, clock_.Now());
  RecordingSink late;
  auto port = core_->Attach({{0x123, 0x7FF, false}}, &late);
  core_->DeliverRx(frame, clock_.Now());
  port.reset();
  core_->DeliverRx(frame, clock_.Now());
  EXPECT_EQ(sink_.rx().size(), 3u);
  EXPECT_EQ(late.rx().size(), 1u);
}

TEST_F(BusCoreTest, StatusCountsEverything) {
  core_->DeliverRx(MakeFrame(0x1, {}), clock_.Now());
  core_->DeliverOwn(0, 0, MakeFrame(0x2, {}), clock_.Now());
  core_->DeliverError(CanFrame{}, clock_.Now(), "bus-off");
  core_->CountReceiveDrops(3);
  core_->SetErrorCounters(130, 2);
  core_->SetHiddenTraffic({12500, 100, 0});
  core_->CountLine(clock_.Now(), {12500, 100, 0});
  for (int i = 0; i < 3; ++i) (void)port_->Send(Tx(1));
  clock_.Advance(100ms);
  const BusStatus status = core_->Status();
  EXPECT_EQ(status.frames_received, 1u);
  EXPECT_EQ(status.frames_sent, 1u);
  EXPECT_EQ(status.error_frames, 1u);
  EXPECT_EQ(status.errors_per_second, 1);
  EXPECT_EQ(status.receive_drops, 3u);
  EXPECT_EQ(status.transmit_error_counter, 130u);
  EXPECT_EQ(status.receive_error_counter, 2u);
  EXPECT_EQ(status.frames_per_second, 200);
  EXPECT_DOUBLE_EQ(status.load_percent, 20.0);
  EXPECT_EQ(status.transmit_drops, 2u);  // one port may hold half of a bound of two
}

// What was queued before a bus-off never comes out after it, whenever the sender sends.
TEST_F(BusCoreTest, S02_NothingFromBeforeABusOffComesOutAfterwards_Threads) {
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    while (!stop) (void)port_->Send(Tx(0, Urgency::kCommand));
  });
  for (int i = 0; i < 2000; ++i) {
    core_->SetState(BusState::kBusOff, "");
    EXPECT_FALSE(core_->HasTx());
    EXPECT_FALSE(core_->TakeTx(clock_.Now()).has_value());
    core_->SetState(BusState::kActive, "");
    (void)core_->TakeTx(clock_.Now());
  }
  stop = true;
  sender.join();
  EXPECT_EQ(core_->Status().bus_off_count, 2000u);
}

TEST_F(BusCoreTest, CloseEndsWakingAndPortsRefuse) {
  core_->Close();
  const int before = wakes_;
  EXPECT_EQ(port_->Send(Tx(1)).code(), absl::StatusCode::kUnavailable);
  core_->SetState(BusState::kActive, "too late");
  EXPECT_EQ(core_->state(), BusState::kUnplugged);
  EXPECT_EQ(wakes_, before);
}

}  // namespace
}  // namespace canhub
