// canhub-bench-hub: the daemon's hub, actors, store and services around devices whose load a
// benchmark chooses, on lines made of Unix datagrams.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "daemon/config/loader.h"
#include "daemon/rpc/server.h"
#include "daemon/wiring.h"
#include "tests/bench/bench_bus.h"
#include "tests/bench/bench_driver.h"

namespace canhub::bench {
namespace {

constexpr int64_t kManyCalls = 1'000'000, kManyStreams = 100'000;

struct Flags {
  std::string folder;
  int devices = 1, buses = 1, items = 1, heartbeat_ms = 0, realtime = 0;
};

std::string ConfigText(const Flags& flags) {
  std::string text = "state_directory: " + flags.folder + "/state\n";
  text += "realtime: {priority: " + std::to_string(flags.realtime) + "}\nbuses:\n";
  for (int i = 0; i < flags.buses; ++i) {
    text += "  line" + std::to_string(i) + ": {type: simulated, bitrate: 125000}\n";
  }
  text += "devices:\n";
  for (int i = 0; i < flags.devices; ++i) {
    const int64_t phase_us = int64_t{flags.heartbeat_ms} * 1000 * i / flags.devices;
    text += "  b" + std::to_string(i) + ": {driver: bench, bus: line" +
            std::to_string(i % flags.buses) + ", address: " + std::to_string(i / flags.buses) +
            ", items: " + std::to_string(flags.items) +
            ", heartbeat_ms: " + std::to_string(flags.heartbeat_ms) +
            ", phase_us: " + std::to_string(phase_us) + "}\n";
  }
  return text;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "canhub-bench-hub: %s\n", std::string(status.message()).c_str());
  return 1;
}

int Run(const Flags& flags) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  const absl::StatusOr<Config> config =
      ParseConfig(ConfigText(flags), flags.folder + "/bench.yaml", BenchDrivers());
  if (!config.ok()) return Fail(config.status());
  const RealClock clock;
  LabOptions lab_options;
  std::vector<std::shared_ptr<BenchBus>> buses;
  for (const BusConfig& bus : config->buses) {
    buses.push_back(std::make_shared<BenchBus>(clock, bus.id, flags.folder + "/" + bus.id,
                                               flags.folder + "/" + bus.id + ".peer"));
    lab_options.buses.emplace(bus.id, buses.back());
  }
  absl::StatusOr<std::unique_ptr<Lab>> lab = Lab::Create(*config, std::move(lab_options));
  if (!lab.ok()) return Fail(lab.status());
  RpcOptions options;
  options.listen = {{.address = "unix:" + flags.folder + "/hub.sock"}, {.address = "127.0.0.1:0"}};
  options.max_calls_per_second = options.call_burst = kManyCalls;
  options.max_streams_per_client = options.max_streams_per_identity = kManyStreams;
  options.max_connections_per_identity = kManyStreams;
  RpcHooks hooks;
  hooks.version = "bench";
  absl::StatusOr<std::unique_ptr<RpcServer>> server =
      RpcServer::Start(&(*lab)->hub(), std::move(hooks), std::move(options));
  if (!server.ok()) return Fail(server.status());
  if (absl::Status status = (*lab)->StartThreads(); !status.ok()) return Fail(status);
  for (const auto& bus : buses) {
    if (absl::Status status = bus->Start(flags.realtime); !status.ok()) return Fail(status);
  }
  for (const std::string& address : (*server)->addresses()) {
    std::printf("listening on %s\n", address.c_str());
  }
  std::fflush(stdout);
  // USR1 starts counting the heartbeats' lateness anew; the end prints it.
  for (int signal = 0; sigwait(&signals, &signal) == 0 && signal == SIGUSR1;) {
    HeartbeatLateness().Reset();
  }
  std::fputs(HeartbeatLateness().Text().c_str(), stdout);
  std::fflush(stdout);
  (*server)->Shutdown(std::chrono::milliseconds(0));
  (*lab)->Shutdown(Duration(0));
  for (const auto& bus : buses) bus->Stop();
  return 0;
}

}  // namespace
}  // namespace canhub::bench

int main(int argc, char** argv) {
  canhub::bench::Flags flags;
  CLI::App app("canhub-bench-hub serves devices whose load is chosen.", "canhub-bench-hub");
  app.add_option("--folder", flags.folder, "for sockets and state")->required();
  app.add_option("--devices", flags.devices, "b0 …")->capture_default_str();
  app.add_option("--buses", flags.buses, "line0 …, each FOLDER/lineN, a socket of datagrams")
      ->capture_default_str();
  app.add_option("--items", flags.items, "readings of each device that change")
      ->capture_default_str();
  app.add_option("--heartbeat-ms", flags.heartbeat_ms, "period of each device; 0: none")
      ->capture_default_str();
  app.add_option("--realtime", flags.realtime, "SCHED_FIFO priority; 0: ordinary")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return canhub::bench::Run(flags);
}
