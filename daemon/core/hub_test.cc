#include "daemon/core/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "daemon/core/bus_alarm.h"
#include "daemon/core/fake_device.h"
#include "daemon/core/real_clock.h"
#include "daemon/core/simulator_host.h"
#include "drivers/api/errors.h"
#include "drivers/testing/fake_bus.h"
#include "drivers/testing/simulated_clock.h"
#include "drivers/testing/step_runner.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Caller kOperator{"unix:uid=1000(alice)", Role::kOperator};

// Two supplies, hv0 at 1 and hv1 at 2, on a bus without a line.
class Lab {
 public:
  explicit Lab(const Clock* clock, std::string on_shutdown = "ramp_down") : bus(clock) {
    BusSetup bus_setup{.id = "can0", .bitrate = 125000, .max_load = 0.6};
    bus_setup.bus = std::shared_ptr<CanBus>(&bus, [](CanBus*) {});
    std::vector<DeviceSetup> devices;
    for (int i = 0; i < 2; ++i) {
      const std::string id = "hv" + std::to_string(i);
      controls.push_back(fake::FreshControl(id));
      DeviceSetup device;
      device.config = fake::Config(id, i + 1);
      device.driver = &fake::Info();
      device.bus_id = "can0";
      device.on_lease_lost = "ramp_down";
      device.on_shutdown = on_shutdown;
      device.poll_weight = i + 1;
      devices.push_back(std::move(device));
    }
    hub = Hub::Create(clock, &audit, &alarm_store, {}, {bus_setup}, std::move(devices)).value();
  }
  // A write of voltage_set through the gate; the result comes to the returned place.
  std::shared_ptr<std::optional<CommandResult>> Write(const std::string& device_id, double volt,
                                                      MonoTime deadline = kNever) {
    auto result = std::make_shared<std::optional<CommandResult>>();
    hub->gate().Submit({.caller = kOperator,
                        .device_id = device_id,
                        .what = std::vector<NamedWrite>{{"voltage_set", Value::Number(volt)}},
                        .deadline = deadline},
                       [result](CommandResult r) { *result = std::move(r); });
    return result;
  }

  FakeBus bus;
  fake::MemoryAudit audit;
  fake::MemoryAlarms alarm_store;
  std::vector<std::shared_ptr<fake::Control>> controls;
  std::unique_ptr<Hub> hub;
};

class HubTest : public ::testing::Test {
 protected:
  HubTest() {
    for (Steppable* step : lab_.hub->Steppables()) runner_.Add(step);
    runner_.Settle();
    for (const auto& control : lab_.controls) control->TakeCalls();
  }
  Hub& hub() { return *lab_.hub; }
  Reading Read(DeviceIndex device, ItemId item) {
    return hub().cache().Snapshot(device)->Read(item);
  }
  bool AlarmActive(const std::string& id) {
    for (const AlarmRecord& alarm : hub().alarms().List({})) {
      if (alarm.id() == id && alarm.active) return true;
    }
    return false;
  }

  SimulatedClock clock_;
  Lab lab_{&clock_};
  StepRunner runner_{&clock_};
};

TEST_F(HubTest, ACommandGoesThroughGateActorAndDriverAndComesBack) {
  const auto result = lab_.Write("hv0", 100);
  runner_.Settle();
  EXPECT_THAT(lab_.bus.TakeSent(), ElementsAre(MakeFrame(0x301, {fake::kWrite, 100})));
  EXPECT_FALSE(result->has_value());
  lab_.bus.Receive(fake::ReadingFrame(1, fake::kVoltageSet, 100));
  lab_.bus.Receive(fake::AcknowledgeFrame(1));
  runner_.Settle();
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE((*result)->status.ok()) << (*result)->status;
  EXPECT_EQ((*result)->receipt.confirmed, clock_.Now());
  EXPECT_EQ(Read(0, fake::kVoltageSet).value, Value::Number(100));
}

TEST_F(HubTest, S10_ASafeActionOvertakesQueuedCommands) {
  for (int i = 0; i < 5; ++i) lab_.Write("hv0", i);
  hub().gate().SubmitSafeAction("hv0", "ramp_down", "test", [](CommandResult) {});
  runner_.Settle();
  const std::vector<CanFrame> sent = lab_.bus.TakeSent();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].data[0], fake::kAction);
}

TEST_F(HubTest, S02_ACommandWhoseDeadlinePassesInTheMailboxNeverReachesTheDriver) {
  for (Steppable* step : hub().Steppables()) runner_.Pause(step, true);
  const auto result = lab_.Write("hv0", 100, clock_.Now() + milliseconds(20));
  clock_.Advance(milliseconds(20));
  for (Steppable* step : hub().Steppables()) runner_.Pause(step, false);
  runner_.Settle();
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(lab_.controls[0]->TakeCalls(), IsEmpty());
}

TEST_F(HubTest, S09_ADriverThatThrowsDoesNotStopAnother) {
  {
    const std::lock_guard lock(lab_.controls[0]->mutex);
    lab_.controls[0]->on_frame = [] { throw std::runtime_error("bug"); };
  }
  lab_.bus.Receive(fake::ReadingFrame(1, fake::kStatus, 1));
  lab_.bus.Receive(fake::ReadingFrame(2, fake::kVoltageMeasure, 7));
  const auto result = lab_.Write("hv1", 50);
  runner_.Settle();
  lab_.bus.Receive(fake::AcknowledgeFrame(2));
  runner_.Settle();
  EXPECT_EQ(Read(1, fake::kVoltageMeasure).value, Value::Number(7));
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE((*result)->status.ok()) << (*result)->status;
  EXPECT_TRUE(AlarmActive("hv0/driver_failed"));
  EXPECT_FALSE(AlarmActive("hv1/driver_failed"));
}

TEST_F(HubTest, S09_AnActorThatHangsDoesNotStopAnother) {
  runner_.Pause(hub().Steppables()[0], true);
  lab_.bus.TakeSent();
  lab_.Write("hv0", 1);
  runner_.RunFor(seconds(1));
  // S04: only the healthy one's heartbeats.
  for (const CanFrame& frame : lab_.bus.TakeSent()) EXPECT_EQ(frame.id, 0x302u);
  const auto result = lab_.Write("hv1", 50);
  runner_.Settle();
  lab_.bus.Receive(fake::AcknowledgeFrame(2));
  runner_.Settle();
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE((*result)->status.ok());
}

TEST_F(HubTest, S03_ReadingsGoStaleThoughTheirActorHangs) {
  lab_.bus.Receive(fake::ReadingFrame(1, fake::kVoltageMeasure, 7));
  runner_.Settle();
  int ready = 0;
  auto watch = hub().watches().WatchItems({"hv0/voltage_measure"}, [&] { ++ready; }).value();
  while (!watch->Drain().items.empty()) {
  }
  runner_.Settle();
  ready = 0;
  runner_.Pause(hub().Steppables()[0], true);
  runner_.RunFor(fake::kGoodFor - Duration(1));
  EXPECT_EQ(Read(0, fake::kVoltageMeasure).EffectiveQuality(clock_.Now()), Quality::kGood);
  EXPECT_EQ(ready, 0);
  runner_.RunFor(Duration(1));
  EXPECT_EQ(Read(0, fake::kVoltageMeasure).EffectiveQuality(clock_.Now()), Quality::kStale);
  runner_.RunFor(milliseconds(100));
  EXPECT_EQ(ready, 1);
}

TEST_F(HubTest, S12_WallJumpsChangeNothing) {
  lab_.bus.Receive(fake::ReadingFrame(1, fake::kVoltageMeasure, 7));
  runner_.Settle();
  lab_.bus.TakeSent();
  const auto result = lab_.Write("hv0", 1, clock_.Now() + milliseconds(300));
  clock_.JumpWall(std::chrono::hours(24 * 365));
  runner_.RunFor(milliseconds(299));
  EXPECT_EQ(Read(0, fake::kVoltageMeasure).EffectiveQuality(clock_.Now()), Quality::kGood);
  EXPECT_FALSE(result->has_value());
  clock_.JumpWall(-std::chrono::hours(24 * 3650));
  runner_.RunFor(milliseconds(1));
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(HubTest, S06_AWatcherThatNeverDrainsCostsNobodyTime) {
  const auto stalled = hub().watches().WatchItems({"*/*"}, [] {}).value();
  for (int i = 0; i < 1000; ++i) {
    lab_.bus.Receive(fake::ReadingFrame(1, fake::kVoltageMeasure, static_cast<uint8_t>(i)));
    runner_.RunFor(milliseconds(2));
    ASSERT_EQ(Read(0, fake::kVoltageMeasure).value, Value::Number(i % 256));
  }
  const WatchBatch batch = stalled->Drain();
  EXPECT_EQ(batch.items.size(), 8u);
  EXPECT_GE(batch.coalesced, 999u);
}

TEST_F(HubTest, ABusThatGoesOffRaisesAnAlarmUntilItIsActiveAgain) {
  EXPECT_FALSE(AlarmActive("can0/bus_state"));
  lab_.bus.SetState(BusState::kBusOff);
  runner_.Settle();
  EXPECT_TRUE(AlarmActive("can0/bus_state"));
  lab_.bus.SetState(BusState::kPassive);
  EXPECT_TRUE(AlarmActive("can0/bus_state"));
  lab_.bus.SetState(BusState::kActive);
  EXPECT_FALSE(AlarmActive("can0/bus_state"));
}

TEST_F(HubTest, WaitReadyNamesThoseThatAreNotAndReturnsWhenAllAre) {
  std::vector<std::vector<std::string>> answers;
  const auto note = [&](std::vector<std::string> not_ready) { answers.push_back(not_ready); };
  lab_.bus.Receive(fake::ReadingFrame(1, fake::kStatus, 1));
  runner_.Settle();
  hub().WaitReady(clock_.Now() + milliseconds(100), note);
  hub().WaitReady(clock_.Now() + seconds(100), note);
  runner_.RunFor(milliseconds(100));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_THAT(answers[0], ElementsAre("hv1: first poll under way"));
  lab_.bus.Receive(fake::ReadingFrame(2, fake::kStatus, 1));
  runner_.RunFor(milliseconds(5));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_THAT(answers[1], IsEmpty());
  hub().WaitReady(clock_.Now(), note);
  EXPECT_EQ(answers.size(), 3u) << "at once";
}

TEST_F(HubTest, AReloadTakesEffectForTheNextCommandAndReachesTheDriver) {
  EXPECT_FALSE(lab_.Write("hv0", 1500)->has_value());
  DeviceConfig config = fake::Config("hv0", 1);
  config.limits["voltage"] = 1000;
  hub().UpdateDevice("hv0", config, "hold", "hold", false);
  const auto result = lab_.Write("hv0", 1500);
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->status.code(), absl::StatusCode::kOutOfRange);
  runner_.Settle();
  EXPECT_EQ(lab_.controls[0]->Count("limit 1000"), 1);
  EXPECT_EQ(hub().FindDevice("hv0")->setup->on_shutdown, "hold");
}

TEST_F(HubTest, RefusalsAreCounted) {
  lab_.Write("hv0", 1e6);
  EXPECT_EQ(hub().Counters(0).commands_refused, 1u);
}

TEST_F(HubTest, RestartOfAnUnknownDeviceIsNotFound) {
  EXPECT_EQ(hub().RestartDevice("hv9").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(hub().RestartDevice("hv0").ok());
}

TEST(HubCreateTest, RefusesWhatCannotRun) {
  SimulatedClock clock;
  fake::MemoryAudit audit;
  fake::MemoryAlarms alarms;
  DeviceSetup device;
  device.config = fake::Config("hv0", 1);
  device.driver = &fake::Info();
  device.bus_id = "can9";
  const auto hub = Hub::Create(&clock, &audit, &alarms, {}, {}, {device});
  EXPECT_EQ(hub.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(hub.status().message()), HasSubstr("there is no bus \"can9\""));
}

// ---------------------------------------------------------------- with real threads

TEST(HubThreadTest, CommandsFromManyThreadsAreAllAnsweredOnce) {
  const RealClock clock;
  Lab lab(&clock);
  ASSERT_TRUE(lab.hub->StartThreads().ok());
  std::atomic<int> answers{0};
  std::atomic<bool> stop{false};
  std::thread device([&] {  // acknowledges for ever
    while (!stop.load()) {
      for (int address : {1, 2}) {
        lab.bus.Receive(fake::ReadingFrame(address, fake::kVoltageSet, 1));
        lab.bus.Receive(fake::AcknowledgeFrame(address));
      }
      std::this_thread::yield();
    }
  });
  constexpr int kThreads = 3, kCommands = 40;
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < kCommands; ++i) {
        lab.hub->gate().Submit({.caller = kOperator,
                                .device_id = t % 2 == 0 ? "hv0" : "hv1",
                                .what = std::vector<NamedWrite>{{"voltage_set", Value::Number(i)}}},
                               [&](CommandResult) { ++answers; });
      }
    });
  }
  for (std::thread& client : clients) client.join();
  const MonoTime limit = clock.Now() + seconds(30);
  while (answers.load() < kThreads * kCommands && clock.Now() < limit) std::this_thread::yield();
  EXPECT_EQ(answers, kThreads * kCommands);
  EXPECT_THAT(lab.hub->HungDevices(seconds(20)), IsEmpty());
  EXPECT_THAT(lab.hub->Shutdown(seconds(20)), IsEmpty()) << "both were acknowledged";
  stop = true;
  device.join();
  EXPECT_EQ(answers, kThreads * kCommands);
}

TEST(HubThreadTest, ShutdownTellsWhichDeviceWasNotMadeSafe) {
  const RealClock clock;
  Lab lab(&clock);
  ASSERT_TRUE(lab.hub->StartThreads().ok());
  // Nobody acknowledges.
  const std::vector<std::string> lines = lab.hub->Shutdown(milliseconds(20));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr("hv0: ramp_down: not done within 20 ms"));
}

TEST(HubThreadTest, HoldMeansThatNothingIsSentAtShutdown) {
  const RealClock clock;
  Lab lab(&clock, "hold");
  ASSERT_TRUE(lab.hub->StartThreads().ok());
  EXPECT_THAT(lab.hub->Shutdown(seconds(20)), IsEmpty());
  for (const CanFrame& frame : lab.bus.TakeSent()) EXPECT_EQ(frame.data[0], fake::kHeartbeat);
}

TEST(HubThreadTest, S04_AHungDeviceIsNamed) {
  const RealClock clock;
  Doorbell hanging, release;  // outlive the threads
  Lab lab(&clock, "hold");
  {
    const std::lock_guard lock(lab.controls[0]->mutex);
    lab.controls[0]->on_frame = [&] {
      hanging.Ring();
      release.WaitUntil(kNever);
    };
  }
  ASSERT_TRUE(lab.hub->StartThreads().ok());
  // Until the actor sits on the bus, no frame reaches it.
  do {
    lab.bus.Receive(fake::ReadingFrame(1, fake::kStatus, 1));
  } while (!hanging.WaitUntil(clock.Now() + milliseconds(1)));
  const MonoTime limit = clock.Now() + seconds(20);
  while (lab.hub->HungDevices(milliseconds(5)).empty()) ASSERT_LT(clock.Now(), limit);
  EXPECT_THAT(lab.hub->HungDevices(milliseconds(5)), ElementsAre("hv0"));
  {
    const std::lock_guard lock(lab.controls[0]->mutex);
    lab.controls[0]->on_frame = nullptr;
  }
  release.Ring();
}

TEST(HubThreadTest, S04_ASharedThreadThatHangsIsNamed) {
  const RealClock clock;
  Doorbell hanging, release;  // outlive the threads
  Lab lab(&clock, "hold");
  ASSERT_TRUE(lab.hub->StartThreads().ok());
  // Called on the watches' thread: nobody answers, so not at once.
  lab.hub->WaitReady(clock.Now() + milliseconds(1), [&](const std::vector<std::string>&) {
    hanging.Ring();
    release.WaitUntil(kNever);
  });
  ASSERT_TRUE(hanging.WaitUntil(clock.Now() + seconds(20)));
  const MonoTime limit = clock.Now() + seconds(20);
  // On a busy machine others stand still for 5 ms, too, but not for ever.
  while (lab.hub->HungThreads(milliseconds(5)) != std::vector<std::string>{"watches"}) {
    ASSERT_LT(clock.Now(), limit);
  }
  release.Ring();
}

// ---------------------------------------------------------------- SimulatorHost

class SimulatorHostTest : public ::testing::Test {
 protected:
  SimulatorHostTest() {
    EXPECT_TRUE(host_.Add(fake::Info(), fake::Config("hv0", 1), 1).ok());
    EXPECT_TRUE(host_.Add(fake::Info(), fake::Config("hv1", 2), 2).ok());
    runner_.Add(&host_);
    runner_.Settle();
    bus_.TakeSent();
  }
  SimulatedClock clock_;
  FakeBus bus_{&clock_};
  SimulatorHost host_{&clock_, &bus_};
  StepRunner runner_{&clock_};
};

TEST_F(SimulatorHostTest, SimulatorsAnswerWhatIsForThem) {
  bus_.Receive(MakeFrame(0x302, {fake::kWrite, 1}));
  runner_.RunFor(milliseconds(1));
  EXPECT_THAT(bus_.TakeSent(), ElementsAre(fake::AcknowledgeFrame(2)));
}

TEST_F(SimulatorHostTest, NeighboursHearEachOtherButNotThemselves) {
  ASSERT_TRUE(host_.Find("hv0")->InjectFault("silence", {}).ok());
  // Each sent one frame when it started.
  const auto faults = host_.Find("hv0")->ActiveFaults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(FindArgument(faults[0].second, "frames_heard")->integer(), 1);
}

TEST_F(SimulatorHostTest, FaultsComeAndGo) {
  ASSERT_TRUE(host_.Find("hv0")->InjectFault("silence", {}).ok());
  EXPECT_EQ(host_.Find("hv0")->InjectFault("flood", {}).code(), absl::StatusCode::kNotFound);
  bus_.Receive(MakeFrame(0x301, {fake::kWrite, 1}));
  runner_.RunFor(milliseconds(1));
  EXPECT_THAT(bus_.TakeSent(), IsEmpty());
  EXPECT_EQ(*host_.Find("hv0")->ClearFaults(""), 1);
  bus_.Receive(MakeFrame(0x301, {fake::kWrite, 1}));
  runner_.RunFor(milliseconds(1));
  EXPECT_THAT(bus_.TakeSent(), ElementsAre(fake::AcknowledgeFrame(1)));
  EXPECT_EQ(host_.Find("hv7"), nullptr);
}

TEST_F(SimulatorHostTest, AFloodIsBoundedAndCounted) {
  runner_.Pause(&host_, true);
  for (size_t i = 0; i < SimulatorHost::kMaxFrames + 10; ++i) bus_.Receive(MakeFrame(0x7FF, {}));
  EXPECT_EQ(host_.dropped_frames(), 20u) << "ten for each simulator";
}

}  // namespace
}  // namespace canhub
