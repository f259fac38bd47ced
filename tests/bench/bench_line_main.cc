// canhub-bench-line: the lines and the simulated devices of a configuration whose buses are of type
// socketcand, in a process of their own, so that they cost the daemon's core nothing.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "daemon/bus/simulated_line.h"
#include "daemon/bus/socketcand_server.h"
#include "daemon/config/loader.h"
#include "daemon/core/simulator_host.h"
#include "daemon/core/step_thread.h"
#include "drivers/all_drivers.h"
#include "tests/bench/slow_wire.h"

namespace canhub::bench {
namespace {

struct Line {
  std::unique_ptr<SimulatedLine> line;
  std::shared_ptr<CanBus> node;
  std::unique_ptr<SimulatorHost> host;
  std::unique_ptr<SocketcandServer> server;
  std::unique_ptr<SlowWire> wire;
  std::unique_ptr<StepThread> thread;
};

absl::StatusOr<std::unique_ptr<Line>> MakeLine(const Clock& clock, const Config& config,
                                               const BusConfig& bus, bool slow) {
  auto line = std::make_unique<Line>();
  line->line = std::make_unique<SimulatedLine>(clock, bus.interface, bus.bitrate);
  line->node = line->line->CreateNode("simulators");
  line->host = std::make_unique<SimulatorHost>(&clock, line->node.get());
  uint64_t seed = 1;
  for (const DeviceEntry& device : config.devices) {
    if (device.bus != bus.id) continue;
    const absl::Status added = line->host->Add(*device.driver, device.config, seed++);
    if (!added.ok()) return added;
  }
  line->server = std::make_unique<SocketcandServer>(
      clock, line->line.get(),
      SocketcandServerOptions{.listen = slow ? "127.0.0.1:0" : bus.address,
                              .bus_name = bus.interface});
  absl::StatusOr<std::unique_ptr<StepThread>> thread =
      StepThread::Start(&clock, {line->line.get(), line->host.get()}, {.name = "line " + bus.id});
  if (!thread.ok()) return thread.status();
  line->thread = *std::move(thread);
  if (absl::Status status = line->server->Start(); !status.ok()) return status;
  if (slow) {
    line->wire = std::make_unique<SlowWire>(bus.address, line->server->port());
    if (!line->wire->ok()) return absl::UnavailableError(bus.address + " cannot be listened on");
  }
  return line;
}

int Run(const std::string& file, bool slow) {
  const absl::StatusOr<Config> config = LoadConfig(file, AllDrivers());
  if (!config.ok()) {
    std::fprintf(stderr, "%s\n", std::string(config.status().message()).c_str());
    return 1;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const RealClock clock;
  std::vector<std::unique_ptr<Line>> lines;
  for (const BusConfig& bus : config->buses) {
    absl::StatusOr<std::unique_ptr<Line>> line = MakeLine(clock, *config, bus, slow);
    if (!line.ok()) {
      std::fprintf(stderr, "%s: %s\n", bus.id.c_str(),
                   std::string(line.status().message()).c_str());
      return 1;
    }
    lines.push_back(*std::move(line));
  }
  std::printf("ready\n");
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  for (const auto& line : lines) {
    line->wire.reset();
    line->server->Stop();
    line->thread.reset();
  }
  return 0;
}

}  // namespace
}  // namespace canhub::bench

int main(int argc, char** argv) {
  std::string file;
  CLI::App app("canhub-bench-line plays the lines and devices of a configuration.",
               "canhub-bench-line");
  app.add_option("--config", file, "canhubd's configuration; its buses are of type socketcand")
      ->required();
  bool slow = false;
  app.add_flag("--slow-wire", slow, "a frame is seen after up to 1 ms, and wakes nobody before");
  CLI11_PARSE(app, argc, argv);
  return canhub::bench::Run(file, slow);
}
