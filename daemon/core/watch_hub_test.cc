#include "daemon/core/watch_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "daemon/core/real_clock.h"
#include "daemon/core/step_thread.h"
#include "drivers/testing/simulated_clock.h"
#include "drivers/testing/step_runner.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const ItemSpec kSpecs[] = {
    {.name = "voltage"},
    {.name = "status", .type = ValueType::kInteger},
    {.name = "is_on", .type = ValueType::kFlag, .flag_of = 1, .bit = 3},
};

std::shared_ptr<const ItemTable> Table(int channels) {
  return std::make_shared<const ItemTable>(
      std::vector<ItemBlock>{{.prefix = "ch", .count = channels, .specs = kSpecs}});
}

class WatchHubTest : public ::testing::Test {
 protected:
  WatchHubTest() {
    cache_.AddDevice("hv0");
    cache_.AddDevice("hv1");
    hub_ = std::make_unique<WatchHub>(&cache_);
    for (DeviceIndex i = 0; i < 2; ++i) {
      writers_.push_back(cache_.Writer(i));
      writers_[i]->SetItems(Table(2));
      writers_[i]->Commit();
    }
    runner_.Add(hub_.get());
    runner_.Settle();
  }
  std::unique_ptr<Watch> Items(const std::vector<std::string>& patterns) {
    return hub_->WatchItems(patterns, [this] { ++ready_; }).value();
  }
  // Drains until nothing is left; names of items and of devices.
  std::vector<std::string> Drain(Watch& watch) {
    std::vector<std::string> names;
    while (true) {
      const WatchBatch batch = watch.Drain();
      coalesced_ += batch.coalesced;
      for (const auto& entry : batch.items) {
        names.push_back(cache_.DeviceId(entry.ref.device) + "/" +
                        entry.snapshot->items().Name(entry.ref.item));
      }
      for (const DeviceIndex device : batch.devices) names.push_back(cache_.DeviceId(device));
      if (batch.items.empty() && batch.devices.empty()) return names;
    }
  }
  void Set(DeviceIndex device, ItemId item, double value, Duration good_for = milliseconds(500)) {
    const bool number = cache_.Snapshot(device)->items().Spec(item).type == ValueType::kNumber;
    writers_[device]->Set(
        item, number ? Value::Number(value) : Value::Integer(static_cast<int64_t>(value)),
        clock_.Now(), good_for);
    writers_[device]->Commit();
  }

  SimulatedClock clock_;
  StateCache cache_{clock_};
  std::unique_ptr<WatchHub> hub_;
  std::vector<std::unique_ptr<DeviceWriter>> writers_;
  StepRunner runner_{&clock_};
  int ready_ = 0;
  uint64_t coalesced_ = 0;
};

TEST_F(WatchHubTest, TheFirstDrainGivesEveryMatch) {
  const auto watch = Items({"hv*/ch0.*"});
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage", "hv0/ch0.status", "hv0/ch0.is_on",
                                         "hv1/ch0.voltage", "hv1/ch0.status", "hv1/ch0.is_on"));
}

TEST_F(WatchHubTest, APatternHoldsOnlyForTheDevicesItNames) {
  const auto watch = Items({"hv0/ch0.voltage", "hv1/ch1.voltage"});
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage", "hv1/ch1.voltage"));
}

TEST_F(WatchHubTest, ThenOnlyWhatChanged) {
  const auto watch = Items({"hv*/*.voltage"});
  Drain(*watch);
  Set(1, 3, 7);
  runner_.Settle();
  EXPECT_THAT(Drain(*watch), ElementsAre("hv1/ch1.voltage"));
  Set(1, 3, 7);  // read again, with the same value
  runner_.RunFor(milliseconds(5));
  EXPECT_THAT(Drain(*watch), IsEmpty());
}

TEST_F(WatchHubTest, AChangedRegisterChangesItsFlags) {
  const auto watch = Items({"hv0/ch0.is_on"});
  Drain(*watch);
  Set(0, 1, 8);
  runner_.Settle();
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.is_on"));
}

TEST_F(WatchHubTest, OnReadyIsCalledOnceUntilNothingWasDrained) {
  const auto watch = Items({"hv0/ch0.voltage"});
  Drain(*watch);
  ready_ = 0;
  for (int i = 0; i < 5; ++i) {
    Set(0, 0, i + 1);
    runner_.RunFor(milliseconds(10));
  }
  EXPECT_EQ(ready_, 1);
  EXPECT_FALSE(watch->Drain().items.empty());
  Set(0, 0, 100);
  runner_.RunFor(milliseconds(10));
  EXPECT_EQ(ready_, 1) << "the consumer has not found the end yet";
  Drain(*watch);
  Set(0, 0, 101);
  runner_.RunFor(milliseconds(10));
  EXPECT_EQ(ready_, 2);
}

TEST_F(WatchHubTest, AConsumerThatKeepsUpDoesNotWaitForTheHub) {
  const auto watch = Items({"hv0/ch0.voltage"});
  Drain(*watch);
  for (int i = 1; i <= 5; ++i) {
    Set(0, 0, i);  // and the hub's thread gets no turn
    EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage")) << i;
  }
}

TEST_F(WatchHubTest, WhoDrainsFirstTakesNothingFromOthers) {
  const auto watch = Items({"hv0/ch0.voltage"});
  int other_ready = 0;
  const auto other = hub_->WatchItems({"hv0/*.voltage"}, [&other_ready] { ++other_ready; }).value();
  Drain(*watch);
  Drain(*other);
  runner_.Settle();
  other_ready = 0;
  Set(0, 0, 5);
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage"));
  EXPECT_EQ(other_ready, 0) << "called by the hub only, never by another consumer";
  runner_.RunFor(milliseconds(2));
  EXPECT_EQ(other_ready, 1);
  EXPECT_THAT(Drain(*other), ElementsAre("hv0/ch0.voltage"));
}

TEST_F(WatchHubTest, AConsumerThatWaitsBeforeItDrainsIsCalled) {
  const auto watch = Items({"hv0/ch0.voltage"});
  runner_.Settle();
  EXPECT_EQ(ready_, 1);
}

TEST_F(WatchHubTest, MergedChangesAreCounted) {
  const auto watch = Items({"hv0/*.voltage"});
  Drain(*watch);
  coalesced_ = 0;
  for (int i = 0; i < 10; ++i) {
    Set(0, 0, i + 1);
    if (i % 2 == 0) runner_.RunFor(milliseconds(3));  // within a turn, and over turns
  }
  Set(0, 1, 1);  // not watched
  Set(0, 1, 2);
  runner_.RunFor(milliseconds(3));
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage"));
  EXPECT_EQ(coalesced_, 9u);
}

TEST_F(WatchHubTest, S03_AReadingWhoseTimeIsOverIsAChangeWithin100Ms) {
  const auto watch = Items({"hv0/ch0.voltage"});
  Set(0, 0, 1, milliseconds(300));
  runner_.RunFor(milliseconds(1));
  Drain(*watch);
  runner_.RunFor(milliseconds(298));
  EXPECT_THAT(Drain(*watch), IsEmpty());
  runner_.RunFor(milliseconds(101));
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage"));
  runner_.RunFor(milliseconds(1000));
  EXPECT_THAT(Drain(*watch), IsEmpty()) << "told once";
}

TEST_F(WatchHubTest, AReadingThatIsKeptFreshDoesNotExpire) {
  const auto watch = Items({"hv0/ch0.voltage"});
  Set(0, 0, 1, milliseconds(300));
  runner_.Settle();
  Drain(*watch);
  for (int i = 0; i < 20; ++i) {
    runner_.RunFor(milliseconds(100));
    Set(0, 0, 1, milliseconds(300));
  }
  runner_.RunFor(milliseconds(100));
  EXPECT_THAT(Drain(*watch), IsEmpty());
}

TEST_F(WatchHubTest, ItemsThatAppearLaterAreIncluded) {
  const auto watch = Items({"hv0/ch2.voltage*", "hv0/ch0.voltage"});
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage"));
  writers_[0]->SetItems(Table(3));
  writers_[0]->Commit();
  runner_.Settle();
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage", "hv0/ch2.voltage"));
  Set(0, 6, 1);
  runner_.RunFor(milliseconds(2));
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch2.voltage"));
}

TEST_F(WatchHubTest, ADrainBetweenReplacementAndTheHubsTurnGivesNoWrongItem) {
  const auto watch = Items({"hv0/ch1.voltage"});
  writers_[0]->SetItems(Table(1));  // ch1 is gone
  writers_[0]->Commit();
  EXPECT_THAT(Drain(*watch), IsEmpty());
  runner_.Settle();
  EXPECT_THAT(Drain(*watch), IsEmpty());
}

TEST_F(WatchHubTest, AMissingPlainNameIsNotFound) {
  EXPECT_EQ(hub_->WatchItems({"hv0/ch9.voltage"}, [] {}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(hub_->WatchItems({"hv9/ch0.voltage"}, [] {}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(hub_->WatchDevices({"hv9"}, [] {}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(WatchHubTest, DeviceWatchesHearOfLinkAndIdentity) {
  const auto watch = hub_->WatchDevices({}, [this] { ++ready_; }).value();
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0", "hv1"));
  writers_[1]->SetLink(LinkState::kLost, "silent");
  writers_[1]->Commit();
  Set(0, 0, 1);
  runner_.RunFor(milliseconds(5));
  EXPECT_THAT(Drain(*watch), ElementsAre("hv1"));
}

TEST_F(WatchHubTest, AClosedWatchIsNotCalled) {
  auto watch = Items({"hv0/ch0.voltage"});
  Drain(*watch);
  runner_.Settle();
  ready_ = 0;
  Set(0, 0, 1);
  watch.reset();
  runner_.RunFor(milliseconds(5));
  EXPECT_EQ(ready_, 0);
}

TEST_F(WatchHubTest, OnReadyMayCloseItsOwnWatch) {
  std::unique_ptr<Watch> watch;
  watch = hub_->WatchItems({"hv0/ch0.voltage"}, [&] { watch.reset(); }).value();
  runner_.Settle();
  EXPECT_EQ(watch, nullptr);
}

TEST_F(WatchHubTest, S06_AHubThatGetsNoTimeMissesNothingAndKeepsLittle) {
  const auto watch = Items({"hv0/*.voltage"});
  Drain(*watch);
  for (int i = 0; i < 10000; ++i) Set(0, 3, i + 1);
  runner_.RunFor(milliseconds(5));
  // Beyond the bound all count as changed: too much is told, never too little.
  EXPECT_THAT(Drain(*watch), ElementsAre("hv0/ch0.voltage", "hv0/ch1.voltage"));
}

TEST_F(WatchHubTest, S06_AWatcherThatNeverDrainsHoldsUpNobody) {
  const auto stalled = Items({"hv*/*"});
  const auto live = Items({"hv0/ch0.voltage"});
  Drain(*live);
  for (int i = 0; i < 1000; ++i) {
    Set(0, 0, i + 1);
    runner_.RunFor(milliseconds(2));
    ASSERT_THAT(Drain(*live), ElementsAre("hv0/ch0.voltage"));
  }
  const WatchBatch batch = stalled->Drain();
  EXPECT_EQ(batch.items.size(), 12u) << "each item once, with its newest reading";
  EXPECT_EQ(batch.coalesced, 1000u);
  EXPECT_EQ(batch.items[0].snapshot->Read(0).value, Value::Number(1000));
}

// Real threads: writers, the hub's thread, and watchers that come and go.
TEST(WatchHubThreadTest, WatchersComeAndGoWhileEverythingChanges) {
  const RealClock clock;
  StateCache cache(clock);
  cache.AddDevice("hv0");
  cache.AddDevice("hv1");
  WatchHub hub(&cache);
  auto thread = StepThread::Start(&clock, {&hub}, {.name = "watches"});
  ASSERT_TRUE(thread.ok()) << thread.status();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (DeviceIndex device = 0; device < 2; ++device) {
    threads.emplace_back([&, device] {
      const auto writer = cache.Writer(device);
      for (int i = 0; !stop.load(); ++i) {
        if (i % 50 == 0) writer->SetItems(Table(1 + i / 50 % 3));
        writer->Set(0, Value::Number(i), clock.Now(), milliseconds(1));
        writer->Commit();
      }
    });
  }
  for (int w = 0; w < 2; ++w) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        auto alive = std::make_shared<std::atomic<bool>>(true);
        std::atomic<int> calls{0};
        Doorbell bell;
        auto watch = hub.WatchItems({"hv*/*"},
                                    [&, alive] {
                                      EXPECT_TRUE(alive->load()) << "called after it was closed";
                                      ++calls;
                                      bell.Ring();
                                    })
                         .value();
        for (int n = 0; n < 10; ++n) {
          while (true) {
            const WatchBatch batch = watch->Drain();
            if (batch.items.empty()) break;
            for (const auto& entry : batch.items) {
              ASSERT_LT(entry.ref.item, entry.snapshot->items().size());
            }
          }
          // The writers never rest: there is always a next change.
          ASSERT_TRUE(bell.WaitUntil(clock.Now() + std::chrono::seconds(10)));
        }
        watch.reset();
        alive->store(false);
      }
    });
  }
  for (size_t i = 2; i < threads.size(); ++i) threads[i].join();
  stop = true;
  threads[0].join();
  threads[1].join();
}

}  // namespace
}  // namespace canhub
