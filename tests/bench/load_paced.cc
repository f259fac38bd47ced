// G6 and G7: a hundred subscribers at 100 updates a second, all well or one of them stalled.
#include <algorithm>
#include <numeric>
#include <utility>

#include "canhub/v1/item_service.grpc.pb.h"
#include "tests/bench/load_calls.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_modes.h"
#include "tests/bench/load_streams.h"

namespace canhub::bench {
namespace {

constexpr int kSubscribers = 100;
constexpr double kHz = 100;
constexpr int64_t kPatienceNs = 20'000'000'000;
constexpr int64_t kSettleNs = 300'000'000;

struct Pace {
  double delivered_percent = 0, cpu_us = 0, p50_us = 0, p99_us = 0;
};

// Of a message: when it was made, wall clock, and its number, which rises by one.
struct Update {
  int64_t time_ns = 0;  // 0: the message has no update
  int64_t number = 0;
};
using ReadUpdate = Update (*)(grpc::ByteBuffer*);

Pace Measure(const Settings& settings, const Child& server, int subscribers, Subscribers* streams,
             ReadUpdate read, const std::function<void()>& between = nullptr) {
  if (!streams->ReadFirst(kPatienceNs)) return {};
  streams->Read(settings.smoke ? settings.window_ns / 4 : kSettleNs);
  std::vector<double> late_us;
  // What was left out between two updates that came: merged with the next, or lost.
  std::vector<int64_t> last(static_cast<size_t>(subscribers));
  int64_t missing = 0;
  const int64_t cpu = server.CpuNs();
  const int64_t begin = MonotonicNs();
  const auto on_message = [&](size_t subscriber, grpc::ByteBuffer* message) {
    const int64_t now = WallNs();
    const Update update = read(message);
    if (update.time_ns == 0) return;
    late_us.push_back(1e-3 * static_cast<double>(now - update.time_ns));
    const int64_t before = std::exchange(last[subscriber], update.number);
    if (before != 0) missing += update.number - before - 1;
  };
  if (between) {
    // The calls of G7 go on while the streams are read.
    while (MonotonicNs() - begin < settings.window_ns) {
      between();
      streams->Read(1'000'000, on_message);
    }
  } else {
    streams->Read(settings.window_ns, on_message);
  }
  const auto delivered = static_cast<double>(late_us.size());
  Pace pace;
  pace.delivered_percent = 100 * delivered / (delivered + static_cast<double>(missing));
  pace.cpu_us = 1e-3 * static_cast<double>(server.CpuNs() - cpu) / delivered;
  pace.p50_us = Quantile(&late_us, 0.5);
  pace.p99_us = Quantile(&late_us, 0.99);
  return pace;
}

Update OfFloor(grpc::ByteBuffer* bytes) {
  static Item item;
  if (!Parse(bytes, &item)) return {};
  return {static_cast<int64_t>(item.time_ns()), static_cast<int64_t>(item.sequence())};
}

Update OfHub(grpc::ByteBuffer* bytes) {
  static v1::WatchItemsResponse message;
  if (!Parse(bytes, &message) || message.readings_size() == 0) return {};
  const v1::Reading& reading = message.readings(0);
  return {reading.read_time().seconds() * 1'000'000'000 + reading.read_time().nanos(),
          static_cast<int64_t>(reading.value().number())};
}

v1::WatchItemsRequest Watch(const std::string& pattern) {
  v1::WatchItemsRequest request;
  request.add_names(pattern);
  return request;
}

std::vector<std::shared_ptr<grpc::Channel>> ConnectAll(const std::string& target) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < kSubscribers; ++i) channels.push_back(Connect(target));
  return channels;
}

}  // namespace

void RunPaced(const Settings& settings, Report* report) {
  const std::unique_ptr<Server> floor = StartFloor(settings, kHz);
  const std::unique_ptr<Server> hub = StartBenchHub(settings, {.items = 1});
  SourceControl source(Connect(hub->target(Transport::kUnix)));
  const auto to_floor = ConnectAll(floor->target(Transport::kTcp));
  const auto to_hub = ConnectAll(hub->target(Transport::kTcp));
  const auto run_floor = [&] {
    Subscribers streams(to_floor, kSubscribers, "/canhub.bench.Floor/Paced",
                        FloorCaller::Request());
    return Measure(settings, floor->process(), kSubscribers, &streams, &OfFloor);
  };
  const auto run_hub = [&] {
    source.SetRate(kHz);
    Pace pace;
    {
      Subscribers streams(to_hub, kSubscribers, "/canhub.v1.ItemService/WatchItems",
                          Watch("b0/v0.value"));
      pace = Measure(settings, hub->process(), kSubscribers, &streams, &OfHub);
    }
    source.SetRate(0);
    return pace;
  };
  const std::string name = ", 100 subscribers x 100 Hz tcp";
  report->Run(
      {{"G6", "delivered" + name, "%", "bare paced hub", "percent", Bound{">=", 100}, std::nullopt,
        /*worst=*/true},
       {"G6", "CPU per update" + name, "ratio", "bare paced hub", "us", Bound{"<=", 1.3},
        Bound{"<=", 1.15}},
       {"G6", "p99 from source to client" + name, "ratio", "bare paced hub", "us", Bound{"<=", 1.5},
        Bound{"<=", 1.15}}},
      [&]() -> std::vector<Sample> {
        const Pace a = run_floor(), b = run_hub(), c = run_hub(), d = run_floor();
        if (a.p99_us == 0 || b.p99_us == 0) return {};
        const double floor_cpu = (a.cpu_us + d.cpu_us) / 2, floor_p99 = (a.p99_us + d.p99_us) / 2;
        const double hub_cpu = (b.cpu_us + c.cpu_us) / 2, hub_p99 = (b.p99_us + c.p99_us) / 2;
        return {
            {(b.delivered_percent + c.delivered_percent) / 2,
             (a.delivered_percent + d.delivered_percent) / 2,
             {}},
            {hub_cpu / floor_cpu, floor_cpu, {{"canhub_us", hub_cpu}}},
            {hub_p99 / floor_p99,
             floor_p99,
             {{"canhub_us", hub_p99}, {"canhub_p50_us", b.p50_us}, {"floor_p50_us", a.p50_us}}}};
      });
}

void RunStall(const Settings& settings, Report* report) {
  // A stalled reader of all items of this device fills its connection within a second.
  constexpr int kItems = 256;
  constexpr int kWell = kSubscribers - 1;
  // Connection and stream (40 kB), the HTTP/2 window (64 kB), one message of 256 readings in both
  // of its forms (100 kB).
  constexpr double kQueueBoundKb = 256;
  const std::unique_ptr<Server> hub = StartBenchHub(settings, {.items = kItems});
  const std::string& target = hub->target(Transport::kUnix);
  SourceControl source(Connect(target));
  const auto channels = ConnectAll(target);
  source.SetRate(kHz);
  Subscribers well(channels, kWell, "/canhub.v1.ItemService/WatchItems", Watch("b0/v0.value"));
  struct Both {
    Pace watch;
    double set_p99_us = 0, rss_kb = 0;
  };
  const auto run = [&] {
    Both both;
    std::vector<double> set_us;
    both.watch = Measure(settings, hub->process(), kWell, &well, &OfHub, [&] {
      const int64_t begin = MonotonicNs();
      source.Send();
      set_us.push_back(1e-3 * static_cast<double>(MonotonicNs() - begin));
    });
    both.set_p99_us = Quantile(&set_us, 0.99);
    both.rss_kb = hub->process().StatusKb("VmRSS");
    return both;
  };
  const auto run_stalled = [&] {
    Subscribers stalled({Connect(target)}, 1, "/canhub.v1.ItemService/WatchItems",
                        Watch("b0/v*.value"), Subscribers::Reads::kNever);
    stalled.Read(200'000'000);
    well.Read(settings.smoke ? 200'000'000 : 1'000'000'000);
    return run();
  };
  report->Run({{"G7", "p99 of the other 99 watchers", "ratio", "without the stalled one", "us",
                Bound{"<=", 1.2}, Bound{"<=", 1.05}},
               {"G7", "p99 of Set", "ratio", "without the stalled one", "us", Bound{"<=", 1.2},
                Bound{"<=", 1.05}},
               {"G7", "memory of the stalled one", "kB", "queue bound 256 kB", "kb",
                Bound{"<=", kQueueBoundKb}, Bound{"<=", kQueueBoundKb / 2}}},
              [&]() -> std::vector<Sample> {
                const Both a = run(), b = run_stalled(), c = run_stalled(), d = run();
                if (a.watch.p99_us == 0 || b.watch.p99_us == 0) return {};
                const double watch = (a.watch.p99_us + d.watch.p99_us) / 2;
                const double set = (a.set_p99_us + d.set_p99_us) / 2;
                return {{(b.watch.p99_us + c.watch.p99_us) / 2 / watch, watch, {}},
                        {(b.set_p99_us + c.set_p99_us) / 2 / set, set, {}},
                        {std::max(b.rss_kb, c.rss_kb) - a.rss_kb, kQueueBoundKb, {}}};
              });
}

}  // namespace canhub::bench
