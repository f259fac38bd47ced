// What drivers keep, and what they see of other devices.
#include "daemon/core/device_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MemoryValues final : public DeviceValueStore {
 public:
  absl::Status Save(const DeviceValue& value) override {
    if (!status.ok()) return status;
    saved.push_back(value);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<DeviceValue>> LoadAll() override {
    if (!status.ok()) return status;
    return saved;
  }
  absl::Status status;
  std::vector<DeviceValue> saved;
};

class DeviceValuesTest : public ::testing::Test {
 protected:
  // What `done` was called with.
  std::function<void(absl::Status)> Done() {
    return [this](absl::Status status) { told_.push_back(std::move(status)); };
  }
  void RunCompleted(ActorMemory& memory) {
    for (const auto& call : memory.TakeCompleted()) call();
  }
  MemoryValues store_;
  DeviceValues values_{&store_};
  int wakes_ = 0;
  ActorMemory memory_{"pcs1", &values_, [this] { ++wakes_; }};
  std::vector<absl::Status> told_;
};

TEST_F(DeviceValuesTest, AValueIsThereAtOnceAndToldWhenItIsOnDisk) {
  EXPECT_EQ(memory_.Get("self_start"), std::nullopt);
  memory_.Put("self_start", "true", Done());
  EXPECT_EQ(memory_.Get("self_start"), "true");
  RunCompleted(memory_);
  EXPECT_THAT(store_.saved, IsEmpty());
  EXPECT_THAT(told_, IsEmpty());
  values_.RunUntil({});
  EXPECT_THAT(store_.saved, ElementsAre(DeviceValue{"pcs1", "self_start", "true"}));
  EXPECT_THAT(told_, IsEmpty());  // on the actor's thread, when it is stepped
  EXPECT_EQ(wakes_, 1);
  RunCompleted(memory_);
  EXPECT_THAT(told_, ElementsAre(absl::OkStatus()));
}

TEST_F(DeviceValuesTest, ADiskThatFailsIsTold) {
  store_.status = absl::ResourceExhaustedError("no space left");
  memory_.Put("self_start", "true", Done());
  values_.RunUntil({});
  RunCompleted(memory_);
  EXPECT_THAT(told_, ElementsAre(store_.status));
}

TEST_F(DeviceValuesTest, AnActorFindsWhatItsDeviceLeft) {
  store_.saved = {{"pcs1", "self_start", "true"}, {"pcs2", "self_start", "false"}};
  DeviceValues values(&store_);
  ASSERT_EQ(values.Load(), absl::OkStatus());
  EXPECT_EQ(ActorMemory("pcs1", &values, [] {}).Get("self_start"), "true");
  EXPECT_EQ(ActorMemory("pcs2", &values, [] {}).Get("self_start"), "false");
  EXPECT_EQ(ActorMemory("pcs3", &values, [] {}).Get("self_start"), std::nullopt);
}

TEST_F(DeviceValuesTest, ADriverThatEndedIsNotCalledBack) {
  memory_.Put("self_start", "true", Done());
  memory_.ForgetCallbacks();
  values_.RunUntil({});
  RunCompleted(memory_);
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_EQ(memory_.Get("self_start"), "true");
}

TEST_F(DeviceValuesTest, WhatIsLeftAtTheEndIsWritten) {
  memory_.Put("self_start", "true", Done());
  values_.WriteRest();
  EXPECT_EQ(store_.saved.size(), 1u);
  RunCompleted(memory_);
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(DeviceValuesTest, WithoutAStoreThereIsAMemoryAllTheSame) {
  ActorMemory memory("pcs1", nullptr, [] {});
  memory.Put("self_start", "true", Done());
  EXPECT_THAT(told_, IsEmpty());
  RunCompleted(memory);
  EXPECT_THAT(told_, ElementsAre(absl::OkStatus()));
}

// ---------------------------------------------------------------- readings of other devices

class CacheReadingsTest : public ::testing::Test {
 protected:
  CacheReadingsTest() {
    static const ItemSpec kSpecs[] = {{.name = "voltage", .unit = "V"}};
    writer_ = cache_.Writer(cache_.AddDevice("bat0"));
    writer_->SetItems(std::make_shared<const ItemTable>(
        std::vector<ItemBlock>{{.prefix = "pack", .count = 2, .specs = kSpecs}}));
    writer_->Commit();
  }
  void Set(double volt) {
    const ItemId id = *cache_.Snapshot(0)->items().Find("pack1.voltage");
    writer_->Set(id, Value::Number(volt), clock_.Now(), seconds(1));
    writer_->Commit();
  }
  SimulatedClock clock_;
  StateCache cache_{clock_};
  std::unique_ptr<DeviceWriter> writer_;
  CacheReadings readings_{&cache_};
};

TEST_F(CacheReadingsTest, AGoodReadingHasItsValueAndUnit) {
  Set(400);
  const std::optional<OtherReading> reading = readings_.Read("bat0/pack1.voltage");
  ASSERT_TRUE(reading.has_value());
  EXPECT_EQ(reading->quality, Quality::kGood);
  EXPECT_EQ(reading->value, Value::Number(400));
  EXPECT_EQ(reading->unit, "V");
}

TEST_F(CacheReadingsTest, S03_AReadingWhoseTimeIsOverHasNone) {
  Set(400);
  clock_.Advance(seconds(1));
  const std::optional<OtherReading> reading = readings_.Read("bat0/pack1.voltage");
  ASSERT_TRUE(reading.has_value());
  EXPECT_EQ(reading->quality, Quality::kStale);
  EXPECT_FALSE(reading->value.has_value());
}

TEST_F(CacheReadingsTest, WhatDoesNotExistIsNothing) {
  for (const char* name :
       {"", "/", "bat0", "bat0/", "bat0/nothing", "bat9/pack1.voltage", "bat0/pack2.voltage"}) {
    EXPECT_FALSE(readings_.Read(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace canhub
