// Costs inside the process: codec, mailbox, cache, fan-out, timers. By Google Benchmark; what
// crosses threads is told in real time and in CPU of the whole process.
#include <benchmark/benchmark.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "daemon/core/mailbox.h"
#include "daemon/core/real_clock.h"
#include "daemon/core/state_cache.h"
#include "daemon/core/watch_hub.h"
#include "drivers/api/timer_queue.h"
#include "drivers/iseg/edcp.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub::bench {
namespace {

const ItemSpec kSpecs[] = {{.name = "voltage_set", .unit = "V"},
                           {.name = "current_set", .unit = "A"},
                           {.name = "voltage_measure", .unit = "V"},
                           {.name = "current_measure", .unit = "A"}};
constexpr int kChannels = 250;  // 1000 items

std::shared_ptr<const ItemTable> Items() {
  return std::make_shared<const ItemTable>(
      std::vector<ItemBlock>{{.prefix = "ch", .first = 0, .count = kChannels, .specs = kSpecs}});
}

// ---- codec

// A measured voltage of 1000 V of channel 3.
void DecodeEdcpAnswer(benchmark::State& state) {
  const CanFrame frame = *ParseFrame("200#410203447A0000");
  for (auto _ : state) {
    const auto answer = iseg::ParseAnswer(frame);
    benchmark::DoNotOptimize(iseg::DecodeAnswer(*answer));
  }
}
BENCHMARK(DecodeEdcpAnswer);

// ---- mailbox

void MailboxFrame(benchmark::State& state) {
  Mailbox mailbox;
  const RxFrame frame{*ParseFrame("204#410003447A0000"), MonoTime{}};
  std::vector<Mailbox::Traffic> traffic;
  for (auto _ : state) {
    mailbox.PushFrame(frame);
    mailbox.TakeTraffic(&traffic);
    benchmark::DoNotOptimize(traffic.data());
  }
}
BENCHMARK(MailboxFrame);

// From one thread to another that sleeps, and back: two hops.
void MailboxHopAndBack(benchmark::State& state) {
  Mailbox there, back;
  Doorbell ring_there, ring_back;
  std::atomic<bool> stop{false};
  const RxFrame frame{*ParseFrame("204#410003447A0000"), MonoTime{}};
  std::thread other([&] {
    std::vector<Mailbox::Traffic> traffic;
    while (!stop) {
      ring_there.WaitUntil(kNever);
      there.TakeTraffic(&traffic);
      if (traffic.empty()) continue;
      back.PushFrame(frame);
      ring_back.Ring();
    }
  });
  std::vector<Mailbox::Traffic> traffic;
  for (auto _ : state) {
    there.PushFrame(frame);
    ring_there.Ring();
    do {
      ring_back.WaitUntil(kNever);
      back.TakeTraffic(&traffic);
    } while (traffic.empty());
  }
  stop = true;
  ring_there.Ring();
  other.join();
}
BENCHMARK(MailboxHopAndBack)->UseRealTime()->MeasureProcessCPUTime();

// ---- cache

class Cache {
 public:
  Cache() : cache_(clock_) {
    cache_.AddDevice("hv0");
    writer_ = cache_.Writer(0);
    writer_->SetItems(Items());
    for (ItemId i = 0; i < kChannels * 4; ++i) Set(i);
    writer_->Commit();
  }
  void Set(ItemId item) {
    writer_->Set(item, Value::Number(++value_), clock_.Now(), std::chrono::seconds(1000));
  }
  StateCache& cache() { return cache_; }
  DeviceWriter& writer() { return *writer_; }

 private:
  const RealClock clock_;
  StateCache cache_;
  std::unique_ptr<DeviceWriter> writer_;
  double value_ = 0;
};

void CacheGet(benchmark::State& state) {
  Cache cache;
  ItemId item = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache.cache().Snapshot(0)->Read(item++ % (kChannels * 4)));
  }
}
BENCHMARK(CacheGet);

void CacheGetByName(benchmark::State& state) {
  Cache cache;
  for (auto _ : state) {
    const auto snapshot = cache.cache().Snapshot(0);
    benchmark::DoNotOptimize(snapshot->Read(*snapshot->items().Find("ch137.voltage_measure")));
  }
}
BENCHMARK(CacheGetByName);

void CachePutAndCommit(benchmark::State& state) {
  Cache cache;
  ItemId item = 0;
  for (auto _ : state) {
    cache.Set(item++ % (kChannels * 4));
    cache.writer().Commit();
  }
}
BENCHMARK(CachePutAndCommit);

// ---- fan-out

// One change, handed to so many watchers: marked by the hub, drained by each.
void FanOut(benchmark::State& state) {
  const auto watchers = static_cast<size_t>(state.range(0));
  SimulatedClock clock;
  StateCache cache(clock);
  cache.AddDevice("hv0");
  const std::unique_ptr<DeviceWriter> writer = cache.Writer(0);
  writer->SetItems(Items());
  writer->Commit();
  WatchHub hub(&cache);
  std::vector<std::unique_ptr<Watch>> watches;
  for (size_t i = 0; i < watchers; ++i) {
    watches.push_back(*hub.WatchItems({"hv0/ch3.voltage_measure"}, [] {}));
    watches.back()->Drain();
    watches.back()->Drain();
  }
  double value = 0;
  const ItemId item = *Items()->Find("ch3.voltage_measure");
  for (auto _ : state) {
    // The hub gathers for a millisecond.
    clock.Advance(std::chrono::milliseconds(2));
    writer->Set(item, Value::Number(++value), clock.Now(), std::chrono::seconds(1000));
    writer->Commit();
    hub.RunUntil(clock.Now());
    for (const auto& watch : watches) {
      benchmark::DoNotOptimize(watch->Drain());
      watch->Drain();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(FanOut)->Arg(1)->Arg(100)->Arg(1000);

// ---- timers

// One of so many timers is due, runs, and is set again.
void TimerSlot(benchmark::State& state) {
  SimulatedClock clock;
  TimerQueue timers(&clock);
  for (int64_t i = 0; i < state.range(0); ++i) {
    timers.Every(std::chrono::milliseconds(200) + Duration(i), [] {});
  }
  int64_t beats = 0;
  for (auto _ : state) {
    clock.Advance(std::chrono::milliseconds(200) / state.range(0));
    timers.RunDue(clock.Now());
    ++beats;
  }
  state.SetItemsProcessed(beats);
}
BENCHMARK(TimerSlot)->Arg(1)->Arg(100)->Arg(1000);

}  // namespace
}  // namespace canhub::bench

BENCHMARK_MAIN();
