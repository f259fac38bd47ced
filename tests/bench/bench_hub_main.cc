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
#include "drivers/all_drivers.h"
#include "tests/bench/beats.h"
#include "tests/bench/bench_bus.h"
#include "tests/bench/bench_driver.h"

namespace canhub::bench {
namespace {

// PCS facts, sections 2 and 10.
constexpr uint32_t kConverterBitrate = 250000;
constexpr Duration kConverterBeat = std::chrono::milliseconds(200);

// Battery safety facts, section 4.1.
constexpr uint32_t kBatteryBitrate = 500000;

constexpr int64_t kManyCalls = 1'000'000, kManyStreams = 100'000;

struct Flags {
  std::string folder;
  int devices = 1, buses = 1, items = 1, realtime = 0;
  bool converters = false, battery = false;
};

uint32_t BitrateOf(const Flags& flags) {
  return flags.battery ? kBatteryBitrate : flags.converters ? kConverterBitrate : 125000;
}

// 15 modules, and what is to stop as soon as one of their cells is at 4.2 V. Not latched, and
// dangerous with the first reading: so that it can be measured again and again.
constexpr char kBatteryText[] = R"(
  bat0: {bus: line0, driver: battery-module, expected_modules: 15}
levels:
  cells:
    {items: bat0/module*.cell*_voltage, count: 180, dangerous_high: 4.2 V, hysteresis: 20 mV}
interlocks:
  overcharged:
    when: level cells is dangerous
    latch: false
    unknown_for: 1 s
    do: [{act: b0/stop}]
)";

std::string ConfigText(const Flags& flags) {
  std::string text = "state_directory: " + flags.folder + "/state\n";
  text += "realtime: {priority: " + std::to_string(flags.realtime) + "}\nbuses:\n";
  for (int i = 0; i < flags.buses; ++i) {
    text += "  line" + std::to_string(i) +
            ": {type: simulated, bitrate: " + std::to_string(BitrateOf(flags)) + "}\n";
  }
  text += "devices:\n";
  for (int i = 0; i < flags.devices; ++i) {
    const std::string bus = "line" + std::to_string(i % flags.buses);
    text +=
        "  b" + std::to_string(i) + ": {bus: " + bus +
        (flags.converters ? ", driver: ystech-pcs, address: " + std::to_string(i / flags.buses + 1)
                          : ", driver: bench, address: " + std::to_string(i / flags.buses) +
                                ", items: " + std::to_string(flags.items)) +
        "}\n";
  }
  if (flags.battery) text += kBatteryText;
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

  std::vector<const DriverInfo*> drivers(AllDrivers().begin(), AllDrivers().end());
  drivers.push_back(&BenchDriverInfo());
  const absl::StatusOr<Config> config =
      ParseConfig(ConfigText(flags), flags.folder + "/bench.yaml", drivers);
  if (!config.ok()) return Fail(config.status());
  const RealClock clock;
  Lateness lateness;
  LabOptions lab_options;
  std::vector<std::shared_ptr<BenchBus>> buses;
  for (const BusConfig& bus : config->buses) {
    const std::string path = flags.folder + "/" + bus.id;
    buses.push_back(std::make_shared<BenchBus>(
        clock, BenchBusOptions{.name = bus.id,
                               .bitrate = bus.bitrate,
                               .socket_path = path,
                               .peer_path = path + ".peer",
                               .heartbeats = flags.converters ? &lateness : nullptr,
                               .heartbeat_period = kConverterBeat}));
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
  // USR1 starts counting frames and the heartbeats' lateness anew; the end prints both.
  int64_t received = 0;
  for (int signal = 0; sigwait(&signals, &signal) == 0 && signal == SIGUSR1;) {
    received = 0;
    lateness.Reset();
    for (const auto& bus : buses) received -= static_cast<int64_t>(bus->Status().frames_received);
  }
  for (const auto& bus : buses) received += static_cast<int64_t>(bus->Status().frames_received);
  std::printf("received %ld\n%s", static_cast<long>(received), lateness.Text().c_str());
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
  app.add_flag("--converters", flags.converters,
               "YSTECH converters instead, with their heartbeats, on lines of 250 kbit/s");
  app.add_flag("--battery", flags.battery,
               "also bat0 on line0, 15 modules at 500 kbit/s, and an interlock that stops b0");
  app.add_option("--realtime", flags.realtime, "SCHED_FIFO priority; 0: ordinary")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return canhub::bench::Run(flags);
}
