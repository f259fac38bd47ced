// G5: how many messages per second reach 1, 10 and 100 subscribers, and whether all get their
// share.
#include <algorithm>
#include <numeric>

#include "canhub/v1/item_service.grpc.pb.h"
#include "tests/bench/load_calls.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_modes.h"
#include "tests/bench/load_streams.h"

namespace canhub::bench {
namespace {

constexpr int kItems = 64;
// Streams settle before they are counted.
constexpr int64_t kSettleNs = 300'000'000;
constexpr int64_t kPatienceNs = 20'000'000'000;
// A source that is faster takes the core from the streams that it feeds: both run on the server's.
constexpr double kFastestSourceHz = 20'000;

struct Flow {
  double per_second = 0, slowest_over_mean = 0, cpu_us = 0;  // of the server, per message
};

Flow Count(const Settings& settings, const Child& server, Subscribers* subscribers) {
  if (!subscribers->ReadFirst(kPatienceNs)) return {};
  subscribers->Read(settings.smoke ? settings.window_ns / 4 : kSettleNs);
  subscribers->ForgetCounts();
  const int64_t begin = MonotonicNs();
  const int64_t cpu = server.CpuNs();
  subscribers->Read(settings.window_ns);
  const double seconds = 1e-9 * static_cast<double>(MonotonicNs() - begin);
  const double cpu_us = 1e-3 * static_cast<double>(server.CpuNs() - cpu);
  const std::vector<double> counts = subscribers->counts();
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double mean = total / static_cast<double>(counts.size());
  if (total == 0) return {};
  return {total / seconds, *std::min_element(counts.begin(), counts.end()) / mean, cpu_us / total};
}

// What a WatchItems message of so many readings looks like: one that the hub has sent.
v1::WatchItemsResponse FirstMessage(const std::shared_ptr<grpc::Channel>& channel,
                                    const v1::WatchItemsRequest& request) {
  grpc::ClientContext context;
  const auto reader = v1::ItemService::NewStub(channel)->WatchItems(&context, request);
  v1::WatchItemsResponse message;
  if (!reader->Read(&message)) Require(reader->Finish(), "WatchItems");
  context.TryCancel();
  return message;
}

}  // namespace

void RunFanout(const Settings& settings, Report* report) {
  const std::unique_ptr<Server> floor = StartFloor(settings);
  const std::unique_ptr<Server> hub = StartBenchHub(settings, {.items = kItems});
  SourceControl source(Connect(hub->target(Transport::kUnix)));
  for (const Transport transport : {Transport::kUnix, Transport::kTcp}) {
    std::vector<std::shared_ptr<grpc::Channel>> to_floor, to_hub;
    for (const int subscribers :
         settings.smoke ? std::vector<int>{1, 10} : std::vector<int>{1, 10, 100}) {
      while (static_cast<int>(to_floor.size()) < subscribers) {
        to_floor.push_back(Connect(floor->target(transport)));
        to_hub.push_back(Connect(hub->target(transport)));
      }
      for (const bool many : {false, true}) {
        v1::WatchItemsRequest request;
        request.add_names(many ? "b0/v*.value" : "b0/v0.value");
        const v1::WatchItemsResponse sample = FirstMessage(to_hub[0], request);
        const std::string name = std::string(many ? "64 readings, " : "1 reading, ") +
                                 std::to_string(subscribers) + " subscribers " + Name(transport);
        const std::string what =
            many ? "bare stream of the same message" : "bare stream of 30 bytes";
        const auto run_floor = [&] {
          if (many) {
            Subscribers streams(to_floor, subscribers, "/canhub.bench.Floor/BlastReadings", sample);
            return Count(settings, floor->process(), &streams);
          }
          Subscribers streams(to_floor, subscribers, "/canhub.bench.Floor/Blast",
                              FloorCaller::Request());
          return Count(settings, floor->process(), &streams);
        };
        const auto run_hub = [&](double floor_per_second) {
          source.SetRate(std::min(kFastestSourceHz, floor_per_second / subscribers));
          Flow flow;
          {
            Subscribers streams(to_hub, subscribers, "/canhub.v1.ItemService/WatchItems", request);
            flow = Count(settings, hub->process(), &streams);
          }
          source.SetRate(0);
          return flow;
        };
        report->Run({{"G5", name, "ratio", what, "per_s", Bound{">=", 0.70}, Bound{">=", 0.85}},
                     {"G5", "slowest / mean, " + name, "ratio", what, "ratio", Bound{">=", 0.5},
                      Bound{">=", 0.9}, /*worst=*/true}},
                    [&]() -> std::vector<Sample> {
                      const Flow first = run_floor();
                      const Flow second = run_hub(first.per_second);
                      const Flow third = run_hub(first.per_second);
                      const Flow last = run_floor();
                      const double floor_rate = (first.per_second + last.per_second) / 2;
                      const double hub_rate = (second.per_second + third.per_second) / 2;
                      if (floor_rate == 0 || hub_rate == 0) return {};
                      return {{hub_rate / floor_rate,
                               floor_rate,
                               {{"canhub_per_s", hub_rate},
                                {"canhub_cpu_us", (second.cpu_us + third.cpu_us) / 2},
                                {"floor_cpu_us", (first.cpu_us + last.cpu_us) / 2}}},
                              {std::min(second.slowest_over_mean, third.slowest_over_mean),
                               std::min(first.slowest_over_mean, last.slowest_over_mean),
                               {}}};
                    });
      }
    }
  }
}

}  // namespace canhub::bench
