// G14, G15, G16: start, memory and growth, with 1 to 1000 devices and subscribers.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "canhub/v1/hub_service.grpc.pb.h"
#include "canhub/v1/item_service.grpc.pb.h"
#include "tests/bench/load_calls.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_modes.h"
#include "tests/bench/load_streams.h"

namespace canhub::bench {
namespace {

constexpr int64_t kPatienceNs = 60'000'000'000;

std::vector<int> Sizes(const Settings& settings) {
  return settings.smoke ? std::vector<int>{1, 4} : std::vector<int>{1, 10, 100, 1000};
}

// Whether somebody listens there.
bool Listens(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const bool listens =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return listens;
}

// Milliseconds from fork to the answer of the first call.
double TimeToFirstCall(const std::vector<std::string>& command, const std::string& socket_path,
                       const Child::Options& options,
                       const std::function<void(std::shared_ptr<grpc::Channel>)>& call) {
  unlink(socket_path.c_str());
  const int64_t begin = MonotonicNs();
  Child child(command, options);
  while (!Listens(socket_path)) {
    if (MonotonicNs() - begin > kPatienceNs) {
      std::fprintf(stderr, "canhub-load: %s does not listen\n", command[0].c_str());
      std::exit(1);
    }
    SleepNs(200'000);
  }
  call(Connect("unix:" + socket_path));
  return 1e-6 * static_cast<double>(MonotonicNs() - begin);
}

double StartFloorOnce(const Settings& settings) {
  const std::string folder = FreshFolder(settings, "start-floor");
  const std::string path = folder + "/floor.sock";
  return TimeToFirstCall(
      {settings.bin + "/canhub-floor", "--listen", "unix:" + path}, path,
      {.core = settings.server_core, .log = folder + "/log"},
      [](std::shared_ptr<grpc::Channel> channel) { FloorCaller(std::move(channel)).Echo(); });
}

// The state directory stays from start to start, as it does in a lab.
double StartDaemonOnce(const Settings& settings, const std::string& folder) {
  return TimeToFirstCall(Lab::Command(settings, folder), folder + "/state/canhub.sock",
                         {.core = settings.server_core, .log = folder + "/log"},
                         [](std::shared_ptr<grpc::Channel> channel) {
                           grpc::ClientContext context;
                           v1::GetInfoResponse info;
                           Require(v1::HubService::NewStub(channel)->GetInfo(&context, {}, &info),
                                   "GetInfo");
                         });
}

double Rss(Child& process) { return process.StatusKb("VmRSS"); }

// kB per subscriber with a connection of its own.
double PerSubscriber(const Settings& settings, Server& server, const std::string& method,
                     const google::protobuf::Message& request, bool* whole) {
  std::vector<std::pair<double, double>> points;
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  std::vector<std::unique_ptr<Subscribers>> streams;
  // The first connections pay for what all share.
  for (const int count : Sizes(settings)) {
    while (static_cast<int>(channels.size()) < count) {
      channels.push_back(Connect(server.target(Transport::kUnix)));
      streams.push_back(std::make_unique<Subscribers>(
          std::vector<std::shared_ptr<grpc::Channel>>{channels.back()}, 1, method, request));
      *whole = *whole && streams.back()->ReadFirst(kPatienceNs);
    }
    points.emplace_back(count, Rss(server.process()));
  }
  return LeastSquaresSlope(points);
}

double SetP50(const Settings& settings, CanhubCaller* caller) {
  std::vector<double> us;
  const int64_t end = MonotonicNs() + settings.window_ns;
  while (MonotonicNs() < end) {
    const int64_t begin = MonotonicNs();
    caller->Set();
    us.push_back(1e-3 * static_cast<double>(MonotonicNs() - begin));
  }
  return Quantile(&us, 0.5);
}

// A slope needs no window, so a round of these is one whole growth.
Settings Fewer(Settings settings) {
  settings.rounds = settings.smoke ? 1 : std::min(settings.rounds, 3);
  return settings;
}

}  // namespace

void RunStartup(const Settings& settings, Report* report) {
  for (const int devices : settings.smoke ? std::vector<int>{1, 10} : std::vector<int>{1, 1000}) {
    const std::string folder = FreshFolder(settings, "start-lab");
    Lab::WriteConfig(folder, {.devices = devices});
    const bool one = devices == 1;
    report->Run(
        {{"G15", "exec to first call, " + std::to_string(devices) + " devices unix", "ratio",
          "echo server", "ms", Bound{"<=", one ? 3.0 : 10.0}, Bound{"<=", one ? 2.0 : 5.0}}},
        [&] {
          const int starts = settings.smoke ? 1 : 5;
          std::vector<double> floor, daemon;
          for (int i = 0; i < starts; ++i) {
            floor.push_back(StartFloorOnce(settings));
            daemon.push_back(StartDaemonOnce(settings, folder));
          }
          const double floor_ms = Median(floor), daemon_ms = Median(daemon);
          return std::vector<Sample>{{daemon_ms / floor_ms, floor_ms, {{"canhub_ms", daemon_ms}}}};
        });
  }
}

void RunScale(const Settings& given, Report* report) {
  const Settings settings = Fewer(given);
  if (settings.Wants("G14")) {
    report->Run(
        {{"G14", "RSS without devices", "ratio", "echo server", "kb", Bound{"<=", 2.0},
          Bound{"<=", 1.5}}},
        [&] {
          const std::unique_ptr<Server> floor = StartFloor(settings);
          FloorCaller(Connect(floor->target(Transport::kUnix))).Echo();
          Lab lab(settings, {.devices = 0});
          lab.WaitReady(10);
          const double floor_kb = Rss(floor->process());
          const double lab_kb = Rss(lab.daemon().process());
          return std::vector<Sample>{{lab_kb / floor_kb, floor_kb, {{"canhub_kb", lab_kb}}}};
        });
    report->Run({{"G14", "RSS per subscriber with its connection", "ratio", "bare stream", "kb",
                  Bound{"<=", 1.25}, Bound{"<=", 1.1}}},
                [&]() -> std::vector<Sample> {
                  const std::unique_ptr<Server> floor = StartFloor(settings, 0);
                  const std::unique_ptr<Server> hub = StartBenchHub(settings, {});
                  v1::WatchItemsRequest watch;
                  watch.add_names("b0/v0.value");
                  bool whole = true;
                  const double floor_kb =
                      PerSubscriber(settings, *floor, "/canhub.bench.Floor/Paced",
                                    FloorCaller::Request(), &whole);
                  const double hub_kb = PerSubscriber(
                      settings, *hub, "/canhub.v1.ItemService/WatchItems", watch, &whole);
                  if (!whole) return {};
                  return {{hub_kb / floor_kb, floor_kb, {{"canhub_kb", hub_kb}}}};
                });
  }
  report->Run({{"G14", "RSS per device of 16 channels", "kB", "a thread: 13 to 17 kB", "kb",
                Bound{"<=", 64}, Bound{"<=", 32}},
               {"G16", "Set p50, most devices / one", "ratio", "Set p50 with one device", "us",
                Bound{"<=", 1.25}, Bound{"<=", 1.1}}},
              [&]() -> std::vector<Sample> {
                std::vector<std::pair<double, double>> points;
                std::vector<double> set_us;
                std::map<std::string, double> all;
                for (const int devices : Sizes(settings)) {
                  Lab lab(settings, {.devices = devices});
                  if (!lab.WaitReady(300)) return {};
                  CanhubCaller caller(Connect(lab.daemon().target(Transport::kUnix)));
                  for (int i = 0; i < (settings.smoke ? 20 : 300); ++i) caller.Set();
                  set_us.push_back(SetP50(settings, &caller));
                  points.emplace_back(devices, Rss(lab.daemon().process()));
                  all["rss_kb_" + std::to_string(devices)] = points.back().second;
                  all["set_us_" + std::to_string(devices)] = set_us.back();
                }
                return {{LeastSquaresSlope(points), 15, all},
                        {set_us.back() / set_us.front(), set_us.front(), all}};
              });
}

void RunBeatCost(const Settings& settings, Report* report) {
  constexpr int kPeriodMs = 200;
  const int many = settings.smoke ? 20 : 1000;
  const auto cpu_per_beat = [&](int devices) {
    // 13 status frames each in 200 ms fill a line of 250 kbit/s with 25 converters.
    const std::unique_ptr<Server> hub = StartBenchHub(
        settings, {.devices = devices, .buses = (devices + 24) / 25, .converters = true});
    SleepNs(settings.smoke ? 300'000'000 : 1'000'000'000);
    const int64_t cpu = hub->process().CpuNs(), begin = MonotonicNs();
    SleepNs(std::max<int64_t>(settings.window_ns, 400'000'000));
    const double beats = static_cast<double>(MonotonicNs() - begin) / (1e6 * kPeriodMs) * devices;
    return 1e-3 * static_cast<double>(hub->process().CpuNs() - cpu) / beats;
  };
  report->Run({{"G16", "CPU per beat, " + std::to_string(many) + " / 10 devices", "ratio",
                "CPU per beat of 10 devices", "us", Bound{"<=", 0.35}, Bound{"<=", 0.1}}},
              [&] {
                const double few_us = cpu_per_beat(10), many_us = cpu_per_beat(many);
                return std::vector<Sample>{{many_us / few_us, few_us, {{"many_us", many_us}}}};
              });
}

void RunSoak(const Settings& given, Report* report) {
  Settings settings = given;
  settings.rounds = 1;
  const int64_t length = settings.smoke ? 1'000'000'000 : 600'000'000'000;
  const std::unique_ptr<Server> floor = StartFloor(settings);
  Lab lab(settings, {.devices = settings.smoke ? 1 : 4,
                     .poll = "500 ms",
                     .slow_poll = "5 s",
                     .verify_poll = "60 s"});
  if (!lab.WaitReady(60)) return;
  const auto channel = Connect(lab.daemon().target(Transport::kUnix));
  CanhubCaller caller(channel);
  v1::WatchItemsRequest watch;
  watch.add_names("hv*/ch*.voltage_measure");
  Subscribers watchers({channel}, 10, "/canhub.v1.ItemService/WatchItems", watch);
  report->Run({{"G14", "RSS over time, Set and watches going on", "kB/min", "none", "kb",
                Bound{"<=", 1}, std::nullopt}},
              [&] {
                std::vector<std::pair<double, double>> points;
                const int64_t begin = MonotonicNs();
                for (int64_t now = begin; now < begin + length; now = MonotonicNs()) {
                  caller.Set();
                  watchers.Read(20'000'000);
                  // The first tenth is warm-up.
                  if (now < begin + length / 10) continue;
                  points.emplace_back(1e-9 * static_cast<double>(now - begin) / 60,
                                      Rss(lab.daemon().process()));
                }
                return std::vector<Sample>{{LeastSquaresSlope(points), 0, {}}};
              });
}

}  // namespace canhub::bench
