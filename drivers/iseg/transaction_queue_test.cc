#include "drivers/iseg/transaction_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "drivers/iseg/registers.h"
#include "drivers/testing/driver_harness.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TransactionQueueTest : public ::testing::Test {
 protected:
  TransactionQueueTest()
      : h({.id = "hv0"}),
        queue({.number = 2}, h.clock, h.timers, h.bus, h.log,
              {.idle = [this] { ++idle; }, .unanswered = [this](int n) { silent = n; }}) {}

  ReadRequest Single(uint16_t data_id, Priority priority = Priority::kPoll) {
    return {.frame = ReadModuleFrame({.number = 2}, data_id),
            .data_id = data_id,
            .priority = priority,
            .done = [this](const ReadResult& r) { results.push_back(r); }};
  }
  std::vector<std::string> Sent() {
    std::vector<std::string> text;
    for (const CanFrame& frame : h.bus.Take()) text.push_back(FormatFrame(frame));
    return text;
  }
  void ReportAll(TxOutcome outcome = TxOutcome::kOnWire) {
    for (const uint64_t tag : h.bus.TakeTags()) {
      queue.OnTxReport({tag, outcome, h.clock.Now()});
    }
  }
  TransactionQueue::Match Answer(const char* text) {
    const auto answer = ParseAnswer(*ParseFrame(text));
    const TransactionQueue::Match match = queue.Classify(*answer);
    if (match == TransactionQueue::Match::kWanted) queue.Accept(*answer);
    return match;
  }

  DriverHarness h;
  int idle = 0;
  int silent = 0;
  TransactionQueue queue;
  std::vector<ReadResult> results;
};

TEST_F(TransactionQueueTest, KeepsOneReadUnderWay) {
  queue.Read(Single(0x1000));
  queue.Read(Single(0x1002));
  EXPECT_THAT(Sent(), ElementsAre("211#1000"));
  EXPECT_EQ(Answer("210#10007701"), TransactionQueue::Match::kWanted);
  EXPECT_THAT(Sent(), ElementsAre("211#1002"));
}

TEST_F(TransactionQueueTest, CommandsReadsGoBeforePolls) {
  queue.Read(Single(0x1000));
  queue.Read(Single(0x1002, Priority::kPoll));
  queue.Read(Single(0x1106, Priority::kReadBack));
  Answer("210#10007701");
  EXPECT_THAT(Sent(), ElementsAre("211#1000", "211#1106"));
}

TEST_F(TransactionQueueTest, TheTimeoutStartsWhenTheRequestIsOnTheWire) {
  queue.Read(Single(0x1000));
  h.Advance(milliseconds(200));
  EXPECT_THAT(results, IsEmpty());
  ReportAll();
  h.Advance(milliseconds(49));
  EXPECT_THAT(results, IsEmpty());
  h.Advance(milliseconds(1));
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(results[0].status));
  EXPECT_EQ(h.log.timeouts(), 1);
  EXPECT_EQ(silent, 1);
}

TEST_F(TransactionQueueTest, TriesAgainAsOftenAsItIsTold) {
  ReadRequest read = Single(0x1000);
  read.tries = 3;
  queue.Read(read);
  for (int i = 0; i < 3; ++i) {
    ReportAll();
    h.Advance(milliseconds(50));
  }
  EXPECT_THAT(Sent(), ElementsAre("211#1000", "211#1000", "211#1000"));
  EXPECT_EQ(results.size(), 1u);
}

TEST_F(TransactionQueueTest, AsksOnlyTheMissingChannelsAgain) {
  ReadRequest read{.frame = ReadMultipleFrame({.number = 2}, 0x4102, 0x0007, 0),
                   .data_id = 0x4102,
                   .answers = ReadRequest::Answers::kChannels,
                   .first = 0,
                   .count = 3,
                   .timeout = milliseconds(500),
                   .tries = 2};
  queue.Read(read);
  ReportAll();
  EXPECT_EQ(Answer("210#610202443B9000"), TransactionQueue::Match::kWanted);
  EXPECT_EQ(Answer("210#610202443B9000"), TransactionQueue::Match::kRepeated);
  EXPECT_EQ(Answer("210#610200443B9000"), TransactionQueue::Match::kWanted);
  h.Advance(milliseconds(500));
  EXPECT_THAT(Sent(), ElementsAre("211#6102000700", "211#6102000200"));
}

TEST_F(TransactionQueueTest, ALateAnswerIsNoForeignMaster) {
  queue.Read(Single(0x1000));
  ReportAll();
  h.Advance(milliseconds(60));
  EXPECT_EQ(Answer("210#10007701"), TransactionQueue::Match::kRepeated);
  EXPECT_EQ(Answer("210#11024042C80000"), TransactionQueue::Match::kUnasked);
}

TEST_F(TransactionQueueTest, ASilentPollGivesWayToAReadBack) {
  ReadRequest poll{.frame = ReadMultipleFrame({.number = 2}, 0x4102, 0x0003, 0),
                   .data_id = 0x4102,
                   .answers = ReadRequest::Answers::kChannels,
                   .first = 0,
                   .count = 2,
                   .timeout = milliseconds(500),
                   .tries = 3};
  queue.Read(poll);
  ReportAll();
  queue.Read(Single(0x1000, Priority::kReadBack));
  h.Advance(milliseconds(50));
  EXPECT_THAT(Sent(), ElementsAre("211#6102000300", "211#1000"));
}

TEST_F(TransactionQueueTest, AtMostFourFramesOfCommandsAreAtTheBus) {
  for (int i = 0; i < 10; ++i) queue.Write({.frame = MakeFrame(0x210, {0x40, 0x01})});
  EXPECT_EQ(Sent().size(), 4u);
  ReportAll();
  EXPECT_EQ(Sent().size(), 4u);
}

TEST_F(TransactionQueueTest, SafeFramesKnowNoWindow) {
  for (int i = 0; i < 10; ++i) {
    queue.Write({.frame = MakeFrame(0x210, {0x40, 0x01}), .priority = Priority::kSafe});
  }
  EXPECT_EQ(Sent().size(), 10u);
}

TEST_F(TransactionQueueTest, AFullBusQueueLosesNothing) {
  h.bus.FailWith(absl::ResourceExhaustedError("full"));
  int reported = 0;
  queue.Write({.frame = MakeFrame(0x210, {0x40, 0x01}),
               .priority = Priority::kSafe,
               .done = [&](TxOutcome, MonoTime) { ++reported; }});
  queue.Read(Single(0x1000));
  EXPECT_THAT(Sent(), IsEmpty());
  h.bus.FailWith(absl::OkStatus());
  h.Advance(milliseconds(5));
  EXPECT_THAT(Sent(), ElementsAre("210#4001", "211#1000"));
  EXPECT_EQ(reported, 0);
}

TEST_F(TransactionQueueTest, S02_AWriteThatWaitedPastItsGuardIsNotGivenToTheBus) {
  h.bus.FailWith(absl::ResourceExhaustedError("full"));
  std::optional<TxOutcome> reported;
  queue.Write({.frame = MakeFrame(0x210, {0x40, 0x01}),
               .guard = std::make_shared<CommandGuard>(h.clock.Now() + milliseconds(3)),
               .done = [&](TxOutcome outcome, MonoTime) { reported = outcome; }});
  h.Advance(milliseconds(20));
  h.bus.FailWith(absl::OkStatus());
  h.Advance(milliseconds(20));
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_EQ(reported, TxOutcome::kExpired);
}

TEST_F(TransactionQueueTest, AnOwnersTransactionsAreForgotten) {
  bool called = false;
  for (int i = 0; i < 6; ++i) {
    queue.Write({.frame = MakeFrame(0x210, {0x40, 0x01}),
                 .owner = 7,
                 .done = [&](TxOutcome, MonoTime) { called = true; }});
  }
  queue.CancelOwner(7);
  EXPECT_EQ(Sent().size(), 4u);
  ReportAll();
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_FALSE(called);
}

TEST_F(TransactionQueueTest, FlushEndsEverything) {
  queue.Read(Single(0x1000));
  queue.Read(Single(0x1002));
  queue.Flush(absl::UnavailableError("bus off"));
  ASSERT_EQ(results.size(), 2u);
  EXPECT_TRUE(absl::IsUnavailable(results[1].status));
  EXPECT_TRUE(queue.idle());
}

}  // namespace
}  // namespace canhub::iseg
