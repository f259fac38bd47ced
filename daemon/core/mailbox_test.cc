#include "daemon/core/mailbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace canhub {
namespace {

Mailbox::PostedCommand MakeCommand(CommandId id, Urgency urgency = Urgency::kCommand) {
  Mailbox::PostedCommand posted;
  posted.command.id = id;
  posted.command.urgency = urgency;
  posted.done = [](CommandOutcome) {};
  return posted;
}

RxFrame Frame(uint8_t n) { return {MakeFrame(0x100, {n}), MonoTime{}}; }

// The first byte of each frame, 100 + tag of each report.
std::vector<int> Take(Mailbox& mailbox) {
  std::vector<Mailbox::Traffic> traffic;
  mailbox.TakeTraffic(&traffic);
  std::vector<int> seen;
  for (const Mailbox::Traffic& t : traffic) {
    if (const auto* frame = std::get_if<RxFrame>(&t)) seen.push_back(frame->frame.data[0]);
    if (const auto* report = std::get_if<TxReport>(&t)) {
      seen.push_back(1000 + static_cast<int>(report->tag));
    }
  }
  return seen;
}

TEST(MailboxTest, KeepsTheOrderOfFramesAndReports) {
  Mailbox mailbox;
  mailbox.PushFrame(Frame(1));
  mailbox.PushTxReport({.tag = 7});
  mailbox.PushFrame(Frame(2));
  EXPECT_THAT(Take(mailbox), ::testing::ElementsAre(1, 1007, 2));
  EXPECT_TRUE(mailbox.empty());
}

TEST(MailboxTest, DropsTheOldestFrameWhenFullAndCountsIt) {
  Mailbox mailbox;
  mailbox.PushFrame(Frame(255));
  mailbox.PushTxReport({.tag = 1});
  for (size_t i = 0; i < Mailbox::kMaxFrames; ++i) mailbox.PushFrame(Frame(1));
  const std::vector<int> seen = Take(mailbox);
  EXPECT_EQ(seen.size(), Mailbox::kMaxFrames + 1);
  EXPECT_EQ(seen.front(), 1001) << "the report is never lost";
  EXPECT_THAT(seen, ::testing::Not(::testing::Contains(255)));
  EXPECT_EQ(mailbox.overflows(), 1u);
}

TEST(MailboxTest, AFloodOfFramesTakesBoundedMemoryAndLosesNoReport) {
  Mailbox mailbox;
  for (int i = 0; i < 100000; ++i) {
    mailbox.PushFrame(Frame(static_cast<uint8_t>(i)));
    if (i % 10000 == 0) mailbox.PushTxReport({.tag = static_cast<uint64_t>(i / 10000 + 1)});
  }
  std::vector<Mailbox::Traffic> traffic;
  mailbox.TakeTraffic(&traffic);
  EXPECT_LE(traffic.size(), 2 * Mailbox::kMaxFrames + 10);
  int reports = 0;
  int frames = 0;
  for (const Mailbox::Traffic& t : traffic) {
    reports += std::holds_alternative<TxReport>(t);
    frames += std::holds_alternative<RxFrame>(t);
  }
  EXPECT_EQ(reports, 10);
  EXPECT_EQ(frames, static_cast<int>(Mailbox::kMaxFrames));
  EXPECT_EQ(mailbox.overflows(), 100000 - Mailbox::kMaxFrames);
}

TEST(MailboxTest, RefusesCommandsWhenFull) {
  Mailbox mailbox;
  for (size_t i = 0; i < Mailbox::kMaxCommands; ++i) {
    Mailbox::PostedCommand command = MakeCommand(i + 1);
    ASSERT_TRUE(mailbox.PushCommand(command));
  }
  Mailbox::PostedCommand one_more = MakeCommand(1000);
  EXPECT_FALSE(mailbox.PushCommand(one_more));
  EXPECT_TRUE(one_more.done) << "a refused command is left to its owner";
}

TEST(MailboxTest, NeverRefusesASafeCommand) {
  Mailbox mailbox;
  for (size_t i = 0; i < 10 * Mailbox::kMaxCommands; ++i) {
    Mailbox::PostedCommand command = MakeCommand(i + 1, Urgency::kSafe);
    ASSERT_TRUE(mailbox.PushCommand(command));
  }
  EXPECT_TRUE(mailbox.has_urgent());
  EXPECT_EQ(mailbox.TakeUrgent().safe_commands.size(), 10 * Mailbox::kMaxCommands);
  EXPECT_FALSE(mailbox.has_urgent());
}

TEST(MailboxTest, KeepsOnlyTheNewestBusState) {
  Mailbox mailbox;
  mailbox.PushBusState(BusState::kActive);
  mailbox.PushBusState(BusState::kWarning);
  const Mailbox::Urgent urgent = mailbox.TakeUrgent();
  EXPECT_EQ(urgent.bus_now, BusState::kWarning);
  EXPECT_EQ(urgent.bus_away, std::nullopt);
}

TEST(MailboxTest, DoesNotHideThatTheBusWasAway) {
  Mailbox mailbox;
  mailbox.PushBusState(BusState::kBusOff);
  mailbox.PushBusState(BusState::kActive);
  const Mailbox::Urgent urgent = mailbox.TakeUrgent();
  EXPECT_EQ(urgent.bus_away, BusState::kBusOff);
  EXPECT_EQ(urgent.bus_now, BusState::kActive);
}

TEST(MailboxTest, MarksOnlyCommandsThatWereGivenBeforeTheBusWentAway) {
  Mailbox mailbox;
  Mailbox::PostedCommand before = MakeCommand(1);
  Mailbox::PostedCommand after = MakeCommand(2);
  mailbox.PushCommand(before);
  mailbox.PushBusState(BusState::kBusOff);
  mailbox.PushBusState(BusState::kActive);
  mailbox.PushCommand(after);
  const std::vector<Mailbox::PostedCommand> commands = mailbox.TakeCommands();
  ASSERT_EQ(commands.size(), 2u);
  EXPECT_EQ(commands[0].bus_lost, BusState::kBusOff);
  EXPECT_EQ(commands[1].bus_lost, std::nullopt);
}

TEST(MailboxTest, FindsACommandThatWaits) {
  Mailbox mailbox;
  Mailbox::PostedCommand ordinary = MakeCommand(1);
  Mailbox::PostedCommand safe = MakeCommand(2, Urgency::kSafe);
  mailbox.PushCommand(ordinary);
  mailbox.PushCommand(safe);
  EXPECT_TRUE(mailbox.TakeCommand(2).has_value());
  EXPECT_TRUE(mailbox.TakeCommand(1).has_value());
  EXPECT_FALSE(mailbox.TakeCommand(1).has_value());
  EXPECT_TRUE(mailbox.TakeCommands().empty());
}

}  // namespace
}  // namespace canhub
