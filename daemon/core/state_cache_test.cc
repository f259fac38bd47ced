#include "daemon/core/state_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const ItemSpec kSpecs[] = {
    {.name = "voltage", .minimum = -10, .maximum = 3000},
    {.name = "is_on", .type = ValueType::kFlag, .flag_of = 2, .bit = 3},
    {.name = "status", .type = ValueType::kInteger},
    {.name = "is_off", .type = ValueType::kFlag, .flag_of = 2, .bit = 3, .bit_inverted = true},
    {.name = "current"}};

std::shared_ptr<const ItemTable> Table(int channels) {
  return std::make_shared<const ItemTable>(
      std::vector<ItemBlock>{{.prefix = "ch", .count = channels, .specs = kSpecs}});
}

class StateCacheTest : public ::testing::Test {
 protected:
  StateCacheTest() {
    cache_.AddDevice("hv0");
    writer_ = cache_.Writer(0);
    writer_->SetItems(Table(2));
    writer_->Commit();
    cache_.SetListener([this](CommitNotice notice) { notices_.push_back(std::move(notice)); });
  }
  std::shared_ptr<const DeviceSnapshot> Now() { return cache_.Snapshot(0); }
  void Set(ItemId item, double value) {
    writer_->Set(item, Value::Number(value), clock_.Now(), milliseconds(100));
  }

  SimulatedClock clock_;
  StateCache cache_{clock_};
  std::unique_ptr<DeviceWriter> writer_;
  std::vector<CommitNotice> notices_;
};

TEST_F(StateCacheTest, StartsWithoutReadings) {
  EXPECT_EQ(Now()->Read(0).quality, Quality::kNeverRead);
  EXPECT_FALSE(Now()->Read(0).value.has_value());
}

TEST_F(StateCacheTest, ShowsNothingBeforeTheCommit) {
  Set(0, 1);
  EXPECT_EQ(Now()->Read(0).quality, Quality::kNeverRead);
  EXPECT_EQ(writer_->Pending(0).value, Value::Number(1));
  writer_->Commit();
  EXPECT_EQ(Now()->Read(0).value, Value::Number(1));
}

TEST_F(StateCacheTest, ASnapshotNeverChanges) {
  Set(0, 1);
  writer_->Commit();
  const auto before = Now();
  Set(0, 2);
  writer_->Commit();
  EXPECT_EQ(before->Read(0).value, Value::Number(1));
}

TEST_F(StateCacheTest, OnlyWhatWasWrittenIsCopied) {
  Set(0, 1);
  Set(5, 2);
  writer_->Commit();
  EXPECT_EQ(Now()->Read(0).value, Value::Number(1));
  EXPECT_EQ(Now()->Read(5).value, Value::Number(2));
  EXPECT_EQ(Now()->Read(4).quality, Quality::kNeverRead);
}

TEST_F(StateCacheTest, FlagsFollowTheirRegister) {
  writer_->Set(7, Value::Integer(0b1000), clock_.Now(), milliseconds(100));  // ch1.status
  writer_->Commit();
  EXPECT_EQ(Now()->Read(6).value, Value::Flag(true));
  EXPECT_EQ(Now()->Read(8).value, Value::Flag(false));
  EXPECT_EQ(Now()->Read(6).quality, Quality::kGood);
  EXPECT_EQ(Now()->Read(1).quality, Quality::kNeverRead) << "the other channel's";
}

TEST_F(StateCacheTest, ChangeTimeIsThatOfTheLastChange) {
  Set(0, 1);
  const MonoTime first = clock_.Now();
  clock_.Advance(milliseconds(10));
  Set(0, 1);
  EXPECT_EQ(writer_->Pending(0).change_time, first);
  EXPECT_EQ(writer_->Pending(0).read_time, clock_.Now());
  Set(0, 2);
  EXPECT_EQ(writer_->Pending(0).change_time, clock_.Now());
}

TEST_F(StateCacheTest, S03_AReadingGoesStaleWithoutAnyWriter) {
  Set(0, 1);
  writer_->Commit();
  const auto snapshot = Now();
  clock_.Advance(milliseconds(100) - Duration(1));
  EXPECT_EQ(snapshot->Read(0).EffectiveQuality(clock_.Now()), Quality::kGood);
  clock_.Advance(Duration(1));
  EXPECT_EQ(snapshot->Read(0).EffectiveQuality(clock_.Now()), Quality::kStale);
}

TEST_F(StateCacheTest, NoticesTellChangedFromRefreshed) {
  Set(0, 1);
  Set(4, 1);
  writer_->Commit();
  Set(0, 1);
  Set(4, 2);
  writer_->Commit();
  ASSERT_EQ(notices_.size(), 2u);
  EXPECT_THAT(notices_[0].changed, ElementsAre(0, 4));
  EXPECT_THAT(notices_[1].changed, ElementsAre(4));
  EXPECT_THAT(notices_[1].refreshed, ElementsAre(0));
}

TEST_F(StateCacheTest, AnItemIsNoticedOncePerCommit) {
  Set(0, 1);
  Set(0, 2);
  Set(0, 2);
  writer_->Commit();
  EXPECT_THAT(notices_[0].changed, ElementsAre(0));
  EXPECT_THAT(notices_[0].refreshed, IsEmpty());
}

TEST_F(StateCacheTest, TheSameValueAfterItWentStaleIsAChange) {
  Set(0, 1);
  writer_->Commit();
  clock_.Advance(milliseconds(100));
  Set(0, 1);
  writer_->Commit();
  EXPECT_THAT(notices_[1].changed, ElementsAre(0));
}

TEST_F(StateCacheTest, InvalidKeepsTheLastGoodValue) {
  Set(0, 1);
  writer_->Invalidate(0, Quality::kBad);
  writer_->Commit();
  EXPECT_EQ(Now()->Read(0).quality, Quality::kBad);
  EXPECT_EQ(Now()->Read(0).value, Value::Number(1));
}

TEST_F(StateCacheTest, InvalidateAllLeavesWhatWasNeverRead) {
  Set(0, 1);
  Set(9, 1);
  writer_->InvalidateAll(Quality::kStale);
  writer_->Commit();
  EXPECT_EQ(Now()->Read(0).quality, Quality::kStale);
  EXPECT_EQ(Now()->Read(9).quality, Quality::kStale);
  EXPECT_EQ(Now()->Read(4).quality, Quality::kNeverRead);
  EXPECT_THAT(notices_[0].changed, ElementsAre(0, 9));
}

TEST_F(StateCacheTest, NewItemsAreUnreadAndTheOldSnapshotKeepsItsOwn) {
  Set(0, 1);
  writer_->Commit();
  const auto before = Now();
  writer_->SetItems(Table(1));
  writer_->Commit();
  EXPECT_EQ(Now()->items().size(), 5u);
  EXPECT_EQ(Now()->Read(0).quality, Quality::kNeverRead);
  EXPECT_EQ(Now()->generation(), before->generation() + 1);
  EXPECT_EQ(before->items().size(), 10u);
  EXPECT_TRUE(notices_[1].items_replaced);
}

TEST_F(StateCacheTest, RangesNarrowTheSpec) {
  writer_->SetRange(0, std::nullopt, 1000);
  writer_->SetRange(5, 5, 5000);
  writer_->SetRange(4, std::nullopt, 2);
  writer_->Commit();
  EXPECT_EQ(Now()->Range(0).minimum, -10);
  EXPECT_EQ(Now()->Range(0).maximum, 1000);
  EXPECT_EQ(Now()->Range(5).minimum, 5);
  EXPECT_EQ(Now()->Range(5).maximum, 3000);
  EXPECT_EQ(Now()->Range(4).minimum, -2) << "a maximum alone bounds the magnitude";
}

TEST_F(StateCacheTest, LinkAndIdentityAreNoticedWhenTheyChange) {
  writer_->SetLink(LinkState::kOnline, "answers");
  writer_->SetIdentity("serial_number", "5710234");
  writer_->SetPolled(true);
  writer_->Commit();
  writer_->SetLink(LinkState::kOnline, "answers");
  writer_->SetIdentity("serial_number", "5710234");
  writer_->SetPolled(true);
  writer_->Commit();
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_TRUE(notices_[0].meta_changed);
  EXPECT_EQ(Now()->link(), LinkState::kOnline);
  EXPECT_EQ(Now()->identity().at("serial_number"), "5710234");
}

TEST_F(StateCacheTest, ExpiredNamesEachReadingOnce) {
  Set(0, 1);
  clock_.Advance(milliseconds(50));
  Set(9, 1);
  writer_->Commit();
  const MonoTime start = clock_.Now();
  std::vector<ItemId> expired;
  EXPECT_EQ(Now()->Expired(start, start, &expired), start + milliseconds(50));
  EXPECT_THAT(expired, IsEmpty());
  EXPECT_EQ(Now()->Expired(start, start + milliseconds(50), &expired), start + milliseconds(100));
  EXPECT_THAT(expired, ElementsAre(0));
  expired.clear();
  EXPECT_EQ(Now()->Expired(start + milliseconds(50), start + milliseconds(100), &expired), kNever);
  EXPECT_THAT(expired, ElementsAre(9));
}

// Real threads: one writer sets every item to k in one commit; no reader ever sees two different k.
TEST(StateCacheStressTest, ASnapshotIsConsistent) {
  SimulatedClock clock;
  StateCache cache(clock);
  cache.AddDevice("hv0");
  const std::unique_ptr<DeviceWriter> writer = cache.Writer(0);
  writer->SetItems(Table(16));
  writer->Commit();
  const auto table = cache.Snapshot(0)->items_ptr();
  std::vector<ItemId> numbers;
  for (ItemId i = 0; i < table->size(); ++i) {
    if (table->Spec(i).type == ValueType::kNumber) numbers.push_back(i);
  }
  std::atomic<bool> stop{false};
  std::atomic<int> mixed{0};
  std::atomic<int> backwards{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 4; ++r) {
    readers.emplace_back([&] {
      double last = 0;
      while (!stop.load()) {
        const auto snapshot = cache.Snapshot(0);
        const Reading first = snapshot->Read(numbers[0]);
        if (!first.value.has_value()) continue;
        for (const ItemId item : numbers) {
          if (!(snapshot->Read(item).value == first.value)) ++mixed;
        }
        if (first.value.number() < last) ++backwards;
        last = first.value.number();
      }
    });
  }
  for (int k = 1; k <= 2000; ++k) {
    for (const ItemId item : numbers) {
      writer->Set(item, Value::Number(k), clock.Now(), milliseconds(100));
    }
    writer->Commit();
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(mixed, 0);
  EXPECT_EQ(backwards, 0);
  writer->Commit();
  EXPECT_EQ(cache.Snapshot(0)->Read(numbers[0]).value, Value::Number(2000));
}

}  // namespace
}  // namespace canhub
