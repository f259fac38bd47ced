#include "daemon/bus/tx_pacer.h"

#include <gtest/gtest.h>

namespace canhub {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime kNow{Duration(1000s)};

TxQueue::Entry Entry(uint32_t id, uint64_t tag) {
  TxQueue::Entry entry;
  entry.port = 1;
  entry.tx.frame = MakeFrame(id, {1, 2});
  entry.tx.tag = tag;
  return entry;
}

TEST(TxPacerTest, WindowOfOneWaitsForTheEcho) {
  TxPacer pacer(1);
  EXPECT_TRUE(pacer.MayWrite());
  pacer.OnWritten(Entry(0x100, 7), kNow);
  EXPECT_FALSE(pacer.MayWrite());
  const auto entry = pacer.OnEcho(MakeFrame(0x100, {1, 2}));
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->tx.tag, 7u);
  EXPECT_TRUE(pacer.MayWrite());
  EXPECT_EQ(pacer.NextCheck(), kNever);
}

TEST(TxPacerTest, FastLinesGetTwoFrames) {
  EXPECT_EQ(TxPacer::WindowFor(125000), 1u);
  EXPECT_EQ(TxPacer::WindowFor(250000), 1u);
  EXPECT_EQ(TxPacer::WindowFor(1000000), 2u);
}

TEST(TxPacerTest, EchoesMayChangePlaces) {
  TxPacer pacer(2);
  pacer.OnWritten(Entry(0x200, 1), kNow);
  pacer.OnWritten(Entry(0x100, 2), kNow);
  EXPECT_EQ(pacer.OnEcho(MakeFrame(0x100, {1, 2}))->tx.tag, 2u);
  EXPECT_EQ(pacer.OnEcho(MakeFrame(0x200, {1, 2}))->tx.tag, 1u);
}

TEST(TxPacerTest, EchoOfAFrameNobodyWaitsForConfirmsNothing) {
  TxPacer pacer(1);
  pacer.OnWritten(Entry(0x100, 1), kNow);
  EXPECT_FALSE(pacer.OnEcho(MakeFrame(0x100, {1, 3})).has_value());
  EXPECT_EQ(pacer.in_flight(), 1u);
}

TEST(TxPacerTest, LostEchoDoesNotStallTheBus) {
  TxPacer pacer(1);
  pacer.OnWritten(Entry(0x100, 1), kNow);
  EXPECT_EQ(pacer.NextCheck(), kNow + TxPacer::kEchoTimeout);
  EXPECT_TRUE(pacer.Check(kNow + TxPacer::kEchoTimeout - 1ns, TxPacer::Fate::kSent, 2s).empty());
  const auto lost = pacer.Check(kNow + TxPacer::kEchoTimeout, TxPacer::Fate::kSent, 2s);
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].tx.tag, 1u);
  EXPECT_TRUE(pacer.MayWrite());
  EXPECT_EQ(pacer.lost_echoes(), 1u);
}

TEST(TxPacerTest, S02_NothingIsPiledUpBehindAFrameThatTheKernelStillHolds) {
  TxPacer pacer(1);
  pacer.OnWritten(Entry(0x100, 1), kNow);
  for (int i = 1; i < 50; ++i) {
    EXPECT_TRUE(pacer.Check(kNow + i * TxPacer::kEchoTimeout, TxPacer::Fate::kQueued, 2s).empty());
    EXPECT_FALSE(pacer.MayWrite());
  }
  EXPECT_EQ(pacer.Waiting(kNow + 5s), Duration(5s));
  EXPECT_TRUE(pacer.OnEcho(MakeFrame(0x100, {1, 2})).has_value());
  EXPECT_TRUE(pacer.MayWrite());
}

TEST(TxPacerTest, FrameOfUnknownFateIsGivenUpWhenPatienceEnds) {
  TxPacer pacer(1);
  pacer.OnWritten(Entry(0x100, 1), kNow);
  EXPECT_TRUE(pacer.Check(kNow + 1900ms, TxPacer::Fate::kUnknown, 2s).empty());
  EXPECT_FALSE(pacer.MayWrite());
  EXPECT_EQ(pacer.Check(kNow + 2s, TxPacer::Fate::kUnknown, 2s).size(), 1u);
  EXPECT_TRUE(pacer.MayWrite());
}

TEST(TxPacerTest, ClearGivesEverythingBack) {
  TxPacer pacer(2);
  pacer.OnWritten(Entry(0x100, 1), kNow);
  pacer.OnWritten(Entry(0x101, 2), kNow);
  EXPECT_EQ(pacer.Clear().size(), 2u);
  EXPECT_TRUE(pacer.MayWrite());
  EXPECT_EQ(pacer.NextCheck(), kNever);
}

}  // namespace
}  // namespace canhub
