// The engine on its own thread, beside actors and callers.
#include <atomic>
#include <thread>

#include "daemon/core/real_clock.h"
#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: the words of rules
using std::chrono::seconds;

TEST(InterlockThreads, S02_TripsAcknowledgementsAndCommandsRaceSafely) {
  const RealClock clock;
  FakeBus bus(&clock);
  fake::MemoryAudit audit;
  fake::MemoryAlarms alarm_store;
  MemoryValues values;
  const std::unique_ptr<Hub> hub =
      MakeHub(&clock, &bus, &audit, &alarm_store, &values, Rules({Rule()}, {VoltageLevel()}));
  ASSERT_TRUE(hub->StartThreads().ok());
  std::atomic<bool> stop{false}, high{false};
  std::thread devices([&] {
    for (int i = 0; !stop.load(); ++i) {
      const bool dangerous = high.load() || i % 3 == 0;
      bus.Receive(fake::ReadingFrame(1, fake::kVoltageMeasure, dangerous ? 120 : 10));
      bus.Receive(fake::ReadingFrame(2, fake::kVoltageMeasure, 10));
      for (int address : {1, 2}) bus.Receive(fake::AcknowledgeFrame(address));
      std::this_thread::yield();
    }
  });
  const MonoTime limit = clock.Now() + seconds(30);
  const auto wait = [&](auto done) {
    while (!done() && clock.Now() < limit) std::this_thread::yield();
    return done();
  };
  // Before it has items, a device refuses by itself.
  for (const DeviceIndex device : {0U, 1U}) {
    ASSERT_TRUE(wait([&] { return hub->cache().Snapshot(device)->polled(); }));
  }
  constexpr int kClients = 2, kCommands = 100;
  std::atomic<int> answers{0};
  std::vector<std::thread> threads;
  for (int client = 0; client < kClients; ++client) {
    threads.emplace_back([&] {
      for (int i = 0; i < kCommands; ++i) {
        hub->gate().Submit({.caller = kEngineer,
                            .device_id = "hv1",
                            .what = std::vector<NamedWrite>{{"voltage_set", Value::Number(i)}}},
                           [&](CommandResult) { ++answers; });
        std::this_thread::yield();
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < kCommands; ++i) {
      hub->interlocks()->Acknowledge(kEngineer, "guard", "").status().IgnoreError();
      EXPECT_EQ(hub->interlocks()->List().size(), 1u);
      EXPECT_EQ(hub->interlocks()->Levels().size(), 1u);
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) thread.join();

  high = true;
  EXPECT_TRUE(wait([&] { return answers.load() == kClients * kCommands; }));
  // One low reading may still have been on its way: tripped, or latched for a moment.
  EXPECT_TRUE(wait([&] {
    const InterlockState state = hub->interlocks()->List()[0].state;
    return state == InterlockState::kTripped || state == InterlockState::kLatched;
  }));
  // In the call itself; where it is not, the callback outlives this.
  const auto refusal = std::make_shared<std::string>("none");
  hub->gate().Submit(
      {.caller = kEngineer,
       .device_id = "hv1",
       .what = std::vector<NamedWrite>{{"voltage_set", Value::Number(1)}}},
      [refusal](CommandResult result) { *refusal = GetErrorInfo(result.status).reason; });
  EXPECT_EQ(*refusal, "INTERLOCKED");
  EXPECT_TRUE(hub->HungThreads(seconds(20)).empty());
  stop = true;
  devices.join();
  hub->Shutdown(seconds(1));
  EXPECT_EQ(answers, kClients * kCommands);
}

}  // namespace
}  // namespace canhub
