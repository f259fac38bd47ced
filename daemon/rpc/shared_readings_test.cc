#include "daemon/rpc/shared_readings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "canhub/v1/item_service.pb.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ItemSpec kSpecs[] = {{.name = "voltage", .unit = "V"},
                           {.name = "status", .type = ValueType::kInteger},
                           {.name = "article", .type = ValueType::kText}};

class SharedReadingsTest : public testing::Test {
 protected:
  SharedReadingsTest() {
    for (const char* id : {"hv0", "hv1"}) {
      writers_.push_back(cache_.Writer(cache_.AddDevice(id)));
      writers_.back()->SetItems(std::make_shared<const ItemTable>(
          std::vector<ItemBlock>{{.prefix = "ch", .count = 4, .specs = kSpecs}}));
      Set(writers_.size() - 1, 0, 1000);
    }
  }
  void Set(size_t device, ItemId voltage, double volts, Duration good_for = seconds(1)) {
    writers_[device]->Set(voltage, Value::Number(volts), clock_.Now(), good_for);
    writers_[device]->Commit();
  }
  // All items of both devices, as they are now.
  std::vector<WatchBatch::Entry> Everything() const {
    std::vector<WatchBatch::Entry> entries;
    for (DeviceIndex device = 0; device < 2; ++device) {
      const std::shared_ptr<const DeviceSnapshot> snapshot = cache_.Snapshot(device);
      for (ItemId item = 0; item < snapshot->items().size(); ++item) {
        entries.push_back({{device, item}, snapshot});
      }
    }
    return entries;
  }
  static v1::WatchItemsResponse Parse(const grpc::Slice& bytes) {
    v1::WatchItemsResponse message;
    EXPECT_TRUE(message.ParseFromArray(bytes.begin(), static_cast<int>(bytes.size())));
    return message;
  }

  SimulatedClock clock_;
  StateCache cache_{clock_};
  std::vector<std::unique_ptr<DeviceWriter>> writers_;
  const std::vector<bool> simulated_{false, true};
  SharedReadings shared_{cache_, simulated_, {}};
};

TEST_F(SharedReadingsTest, TheBytesAreTheMessagesOwn) {
  writers_[0]->Set(1, Value::Integer(-7), clock_.Now(), seconds(1));
  writers_[0]->Set(2, Value::Text(std::string(300, 'x')), clock_.Now(), seconds(1));
  writers_[0]->Set(3, Value::Number(5), clock_.Now(), seconds(1));
  writers_[0]->Invalidate(3, Quality::kBad);
  writers_[0]->Commit();
  const std::vector<WatchBatch::Entry> entries = Everything();
  v1::WatchItemsResponse expected;
  const TimeView time(clock_);
  for (const auto& [ref, snapshot] : entries) {
    SetReading(snapshot->Read(ref.item), cache_.DeviceId(ref.device), snapshot->items(), ref.item,
               simulated_[ref.device], time, expected.add_readings());
  }
  const grpc::Slice bytes = shared_.Bytes(entries);
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), expected.SerializeAsString());
}

TEST_F(SharedReadingsTest, WhatWasMadeAMomentAgoIsNotMadeAgain) {
  const grpc::Slice first = shared_.Bytes(Everything());
  clock_.Advance(milliseconds(9));
  EXPECT_EQ(shared_.Bytes(Everything()).begin(), first.begin());
}

TEST_F(SharedReadingsTest, ItsTimesFollowAJumpOfTheWallClock) {
  shared_.Bytes(Everything());
  clock_.JumpWall(seconds(3600));
  clock_.Advance(milliseconds(10));
  const int64_t now =
      std::chrono::duration_cast<seconds>(clock_.WallNow().time_since_epoch()).count();
  EXPECT_NEAR(Parse(shared_.Bytes(Everything())).readings(0).read_time().seconds(), now, 1);
}

TEST_F(SharedReadingsTest, ANewReadingIsInTheNextMessage) {
  shared_.Bytes(Everything());
  Set(1, 0, 1001);
  const v1::WatchItemsResponse message = Parse(shared_.Bytes(Everything()));
  EXPECT_EQ(message.readings(0).value().number(), 1000);
  EXPECT_EQ(message.readings(12).value().number(), 1001);
}

TEST_F(SharedReadingsTest, OtherItemsOfTheSameMomentAreAnotherMessage) {
  const std::vector<WatchBatch::Entry> entries = Everything();
  shared_.Bytes(entries);
  const auto some = absl::MakeConstSpan(entries).subspan(0, 1);
  EXPECT_EQ(Parse(shared_.Bytes(some)).readings_size(), 1);
}

TEST_F(SharedReadingsTest, S03_AMessageIsNotSentOnceAReadingInItIsGoodNoMore) {
  Set(0, 0, 1000, milliseconds(5));
  EXPECT_EQ(Parse(shared_.Bytes(Everything())).readings(0).quality(), v1::QUALITY_GOOD);
  clock_.Advance(milliseconds(5));
  const v1::WatchItemsResponse message = Parse(shared_.Bytes(Everything()));
  EXPECT_EQ(message.readings(0).quality(), v1::QUALITY_STALE);
  EXPECT_FALSE(message.readings(0).has_value());
}

// Real threads: streams of the same request, and a device that changes.
TEST_F(SharedReadingsTest, EachOfManyStreamsGetsWhatItAskedFor) {
  constexpr int kStreams = 4, kMessages = 500;
  std::atomic<int> running{kStreams};
  std::vector<std::thread> streams;
  streams.reserve(kStreams);
  for (int i = 0; i < kStreams; ++i) {
    streams.emplace_back([&] {
      for (int n = 0; n < kMessages; ++n) {
        const std::vector<WatchBatch::Entry> entries = Everything();
        const v1::WatchItemsResponse message = Parse(shared_.Bytes(entries));
        const double asked = entries[0].snapshot->Read(0).value.number();
        EXPECT_EQ(message.readings(0).value().number(), asked);
      }
      --running;
    });
  }
  for (int volts = 1; running > 0; ++volts) Set(0, 0, volts);
  for (std::thread& stream : streams) stream.join();
}

TEST_F(SharedReadingsTest, OnlyWhoWatchesTheSameShares) {
  SharedReadingsTable table(cache_, simulated_);
  const std::shared_ptr<SharedReadings> all = table.Of({"hv0/*"}, {});
  EXPECT_EQ(table.Of({"hv0/*"}, {}), all);
  EXPECT_NE(table.Of({"hv1/*"}, {}), all);
  EXPECT_NE(table.Of({"hv0/*"}, {.unit = false}), all);
}

TEST_F(SharedReadingsTest, NothingIsKeptForStreamsThatAreOver) {
  SharedReadingsTable table(cache_, simulated_);
  const std::weak_ptr<SharedReadings> gone = table.Of({"hv0/*"}, {});
  EXPECT_TRUE(gone.expired());
}

TEST(ParseBytesTest, OtherBytesAreNoRequest) {
  const grpc::Slice bytes(std::string("\xFF\xFF\xFF"));
  v1::GetItemsRequest request;
  const absl::Status status = ParseBytes(grpc::ByteBuffer(&bytes, 1), &request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("3 bytes"));
}

}  // namespace
}  // namespace canhub
