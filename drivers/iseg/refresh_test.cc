// Refreshes (max_age) share the line with polls and commands: however many ask, none starves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/iseg/line_testing.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kShare = 0.3;

class Refreshes : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(b.StartAndPoll());
    for (ItemId item = 0; item < b.h.state.items().size(); ++item) {
      if (b.h.state.items().Storage(item) == item) all.push_back(item);
    }
    b.h.Advance(seconds(5));
    b.line.ClearLog();
  }
  void Ask(std::vector<ItemId> items) {
    ++asked;
    b.driver->Refresh(std::move(items), [this](const absl::Status&) { ++answered; });
  }
  int Reads(uint8_t high, uint8_t low) const {
    int count = 0;
    for (const TestLine::Sent& sent : b.line.log()) {
      count += sent.from == TestLine::From::kDriver && sent.frame.dlc >= 2 &&
               (sent.frame.data[0] & 0xDF) == high && sent.frame.data[1] == low;
    }
    return count;
  }

  Bench b{TestConfig(), {.id = "can0", .poll_share = kShare}};
  std::vector<ItemId> all;
  int asked = 0;
  int answered = 0;
};

TEST_F(Refreshes, OfOneItemAreOneRead) {
  const ItemId item = b.h.state.Id("ch3.voltage_set");
  const int before = Reads(0x41, 0x00);
  for (int i = 0; i < 1000; ++i) Ask({item});
  b.h.Advance(seconds(1));
  EXPECT_EQ(answered, 1000);
  EXPECT_LE(Reads(0x41, 0x00) - before, 3);
}

TEST_F(Refreshes, OfAllChannelsAreOneRead) {
  const int before = Reads(0x41, 0x00);
  for (int ch = 0; ch < 16; ++ch) Ask({b.h.state.Id("ch" + std::to_string(ch) + ".voltage_set")});
  b.h.Advance(seconds(1));
  EXPECT_EQ(answered, 16);
  EXPECT_LE(Reads(0x41, 0x00) - before, 3);
}

TEST_F(Refreshes, ReadAfterTheyWereAskedFor) {
  const ItemId item = b.h.state.Id("ch3.current_set");
  Ask({item});
  b.h.Advance(milliseconds(1));  // perhaps on the wire by now
  const MonoTime time = b.h.clock.Now();
  bool done = false;
  b.driver->Refresh({item}, [&](const absl::Status& s) { done = s.ok(); });
  EXPECT_TRUE(b.Until([&] { return done; }, seconds(1)));
  EXPECT_GT(b.h.state.Read(item).read_time, time);
}

TEST_F(Refreshes, KeepToTheShareOfTheLine) {
  const double before = b.line.busy_seconds();
  for (int i = 0; i < 2000; ++i) {
    Ask(all);
    b.h.Advance(milliseconds(10));
  }
  EXPECT_LE(b.line.busy_seconds() - before, kShare * 20 + 0.1);
  // And use it: the wire time counted is the worst one, with all stuff bits.
  EXPECT_GE(b.line.busy_seconds() - before, 0.6 * kShare * 20);
}

TEST_F(Refreshes, AllEnd) {
  for (int i = 0; i < 500; ++i) {
    Ask(all);
    b.h.Advance(milliseconds(10));
  }
  b.h.Advance(seconds(30));
  EXPECT_EQ(answered, asked);
}

TEST_F(Refreshes, LeavePolledReadingsGood) {
  const std::vector<const char*> polled = {"ch3.voltage_measure", "ch3.status",
                                           "ch15.event_status",   "status",
                                           "temperature",         "ch7.voltage_set"};
  for (int i = 0; i < 6000; ++i) {
    Ask({all[static_cast<size_t>(i) % all.size()], all[static_cast<size_t>(7 * i) % all.size()],
         all[static_cast<size_t>(31 * i) % all.size()]});
    b.h.Advance(milliseconds(10));
    for (const char* item : polled) ASSERT_EQ(b.QualityOf(item), Quality::kGood) << item << i;
  }
}

TEST_F(Refreshes, DoNotDelayCommands) {
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i) {
      Ask(all);
      b.h.Advance(milliseconds(2));
    }
    const MonoTime start = b.h.clock.Now();
    ASSERT_TRUE(b.Set("ch3.voltage_set", Value::Number(round)).ok());
    EXPECT_LE(b.h.clock.Now() - start, milliseconds(100)) << round;
  }
}

TEST_F(Refreshes, OneInAQuietTimeIsReadAtOnce) {
  for (int i = 0; i < 20; ++i) {
    const int before = answered;
    const MonoTime start = b.h.clock.Now();
    Ask({b.h.state.Id("ch3.current_set")});
    ASSERT_TRUE(b.Until([&] { return answered > before; }, seconds(1)));
    EXPECT_LE(b.h.clock.Now() - start, milliseconds(60));
    b.h.Advance(milliseconds(731));
  }
}

TEST(BusyLine, ARefreshDoesNotWaitForPollsToRest) {
  // A read of 16 channels takes 17 ms, and the line then rests for a third of a second.
  Bench b(TestConfig(), {.id = "can0", .poll_share = 0.05});
  ASSERT_TRUE(b.StartAndPoll(seconds(120)));
  for (int i = 0; i < 20; ++i) {
    bool done = false;
    b.driver->Refresh({b.h.state.Id("ch3.current_set")},
                      [&done](const absl::Status& s) { done = s.ok(); });
    EXPECT_TRUE(b.Until([&] { return done; }, milliseconds(100))) << i;
    b.h.Advance(milliseconds(731));
  }
}

// The readings of commands whose callers did not wait for them.
TEST_F(Refreshes, OfSentCommandsAreBoundedToo) {
  const double before = b.line.busy_seconds();
  for (int i = 0; i < 500; ++i) {
    b.driver->Execute(b.h.Write("ch3.voltage_set", Value::Number(i), Stage::kSent));
    b.h.Advance(milliseconds(10));
  }
  // 500 writes of 7 bytes are 0.46 s.
  EXPECT_LE(b.line.busy_seconds() - before, kShare * 5 + 0.6);
  b.h.Advance(seconds(2));
  EXPECT_EQ(b.Number("ch3.voltage_set"), 499);
}

}  // namespace
}  // namespace canhub::iseg
