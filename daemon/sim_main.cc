// canhub-sim: the simulators of drivers on a bus that other programs use.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <variant>

#include "daemon/config/loader.h"
#include "daemon/config/problems.h"
#include "daemon/wiring_fault_command.h"
#include "daemon/wiring_log.h"
#include "daemon/wiring_simulation.h"
#include "drivers/all_drivers.h"

namespace canhub {
namespace {

enum ExitCode { kEnded = 0, kFailed = 1, kUsage = 2, kWrongConfig = 3 };

constexpr char kFooter[] =
    "With a file, each of its devices (or those of --device) is simulated on its own bus, a\n"
    "simulated bus being reached where it is served; --bus puts all of them on another one.\n"
    "Without a file: one device, by --bus, --driver and --set.\n"
    "Commands on standard input with --stdin, one per line, each answered by \"ok\", by lines and\n"
    "\"ok\", or by \"error: …\":\n"
    "  inject DEVICE FAULT [NAME=VALUE …]     clear DEVICE [FAULT]     faults DEVICE\n"
    "  load DEVICE [channel=N] [resistance=OHM] [capacitance=FARAD]\n"
    "Ends by TERM or INT. Exit codes: 0 ended by a signal; 1 could not start; 2 wrong command "
    "line;\n"
    "3 wrong configuration.";

struct Flags {
  std::string config_file;
  std::vector<std::string> devices;
  std::string bus;
  std::string driver;
  std::string id = "sim";
  uint32_t bitrate = 125000;
  std::vector<std::string> settings;
  std::vector<std::string> faults;
  uint64_t seed = 1;
  bool read_stdin = false;
};

void PrintError(const std::string& text) { std::fprintf(stderr, "canhub-sim: %s\n", text.c_str()); }

// A line of at most this length is a command.
constexpr size_t kMaxLine = 4096;

// The configuration by file or by flags; an exit code after an error was printed.
std::variant<Config, ExitCode> Load(const Flags& flags) {
  absl::StatusOr<Config> config = absl::UnknownError("");
  if (!flags.config_file.empty()) {
    config = LoadConfig(flags.config_file, AllDrivers());
  } else {
    const absl::StatusOr<std::string> text =
        AdHocConfig(flags.id, flags.driver, flags.bitrate, flags.settings);
    if (!text.ok()) {
      PrintError(std::string(text.status().message()));
      return kUsage;
    }
    config = ParseConfig(*text, "command line", AllDrivers());
  }
  if (config.ok()) return *std::move(config);
  std::fprintf(stderr, "%s\n", std::string(config.status().message()).c_str());
  return flags.config_file.empty() ? kUsage : kWrongConfig;
}

absl::Status AddDevices(const Flags& flags, const Config& config, Simulation* simulation) {
  for (const std::string& id : flags.devices) {
    if (config.FindDevice(id) != nullptr) continue;
    std::vector<std::string> ids;
    for (const DeviceEntry& device : config.devices) ids.push_back(device.config.id);
    return absl::NotFoundError("--device: found " + Quote(id) + ", expected " + JoinNames(ids) +
                               Suggestion(id, ids));
  }
  uint64_t seed = flags.seed;
  for (const DeviceEntry& device : config.devices) {
    const bool chosen = flags.devices.empty() ||
                        std::find(flags.devices.begin(), flags.devices.end(), device.config.id) !=
                            flags.devices.end();
    if (!chosen) continue;
    // What the daemon simulates itself must not be there twice.
    if (flags.bus.empty() && device.simulate) {
      if (flags.devices.empty()) continue;
      return absl::FailedPreconditionError(
          device.config.id +
          ": canhubd simulates it itself (simulate: true), expected another "
          "device, or --bus");
    }
    const BusConfig& bus = *config.FindBus(device.bus);
    const absl::StatusOr<SimulationBus> place =
        flags.bus.empty() ? SimulationBusOf(bus) : ParseSimulationBus(flags.bus);
    if (!place.ok()) return place.status();
    if (absl::Status status = simulation->Add(*place, bus.bitrate, device, seed++); !status.ok()) {
      return status;
    }
  }
  if (simulation->devices().empty()) {
    return absl::NotFoundError(
        "found no device to simulate, expected one with simulate: false, or --device");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Execute(const absl::StatusOr<FaultCommand>& command,
                                    Simulation* simulation) {
  if (!command.ok()) return command.status();
  SimulatorAccess* simulator = simulation->Find(command->device);
  if (simulator == nullptr) {
    return absl::NotFoundError(Quote(command->device) + " is not simulated here");
  }
  return RunFaultCommand(*command, *simulator);
}

void Answer(const absl::StatusOr<std::string>& result) {
  if (!result.ok()) {
    std::printf("error: %s\n", std::string(result.status().message()).c_str());
  } else if (result->empty()) {
    std::printf("ok\n");
  } else {
    std::printf("%s\nok\n", result->c_str());
  }
  std::fflush(stdout);
}

// Collects what comes in, and answers each whole line. False at the end of the input.
class CommandReader {
 public:
  explicit CommandReader(Simulation* simulation) : simulation_(simulation) {}
  bool Read() {
    char bytes[1024];
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    if (count == 0) return false;
    input_.append(bytes, static_cast<size_t>(count));
    size_t end;
    while ((end = input_.find('\n')) != std::string::npos) {
      if (end > 0) Answer(Execute(ParseFaultCommand(input_.substr(0, end)), simulation_));
      input_.erase(0, end + 1);
    }
    if (input_.size() > kMaxLine) {
      Answer(absl::InvalidArgumentError("found a line of more than 4096 bytes"));
      input_.clear();
    }
    return true;
  }

 private:
  Simulation* const simulation_;
  std::string input_;
};

// Until a signal ends it. Says "ready" once, when the buses carry frames.
void Serve(int signals, bool read_stdin, Simulation* simulation) {
  constexpr int kLookAgainMs = 20;
  bool ready = false;
  CommandReader reader(simulation);
  pollfd wait[] = {{signals, POLLIN, 0}, {read_stdin ? STDIN_FILENO : -1, POLLIN, 0}};
  while (true) {
    if (!ready && simulation->Connected()) {
      ready = true;
      std::printf("ready\n");
      std::fflush(stdout);
    }
    if (poll(wait, 2, ready ? -1 : kLookAgainMs) < 0 && errno != EINTR) return;
    if ((wait[0].revents & POLLIN) != 0) return;
    // The end of the input does not end the simulation: its starter may be a shell that is gone.
    if (wait[1].revents != 0 && !reader.Read()) wait[1].fd = -1;
  }
}

int Run(const Flags& flags) {
  std::variant<Config, ExitCode> loaded = Load(flags);
  if (const ExitCode* code = std::get_if<ExitCode>(&loaded)) return *code;
  const Config& config = std::get<Config>(loaded);

  // Before any thread, so that all inherit it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
  if (signal_fd < 0) {
    PrintError("cannot wait for signals");
    return kFailed;
  }

  DaemonLog log(config.log_level, DaemonLog::StderrIsJournal());
  Simulation simulation([&log](LogLevel level, std::string_view text) { log.Log(level, text); });
  if (const absl::Status status = AddDevices(flags, config, &simulation); !status.ok()) {
    PrintError(std::string(status.message()));
    return kUsage;
  }
  if (const absl::Status status = simulation.Start(); !status.ok()) {
    PrintError(std::string(status.message()));
    return kFailed;
  }
  for (const std::string& fault : flags.faults) {
    const absl::StatusOr<std::string> result = Execute(ParseInjectFlag(fault), &simulation);
    if (!result.ok()) {
      PrintError("--inject: " + std::string(result.status().message()));
      return kUsage;
    }
  }
  for (const std::string& device : simulation.devices()) {
    std::printf("simulating %s\n", device.c_str());
  }
  std::fflush(stdout);
  Serve(signal_fd, flags.read_stdin, &simulation);
  close(signal_fd);
  return kEnded;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("canhub-sim plays lab devices on a CAN bus, for canhubd or any other master.",
               "canhub-sim");
  app.footer(kFooter);
  app.set_version_flag("--version", "canhub-sim " CANHUB_VERSION);
  auto* config = app.add_option("--config", flags.config_file, "canhubd's configuration");
  app.add_option("--device", flags.devices, "only this device, may be repeated")->needs(config);
  app.add_option("--bus", flags.bus, "socketcan:INTERFACE or socketcand:HOST:PORT/BUS");
  auto* driver = app.add_option("--driver", flags.driver, "without a file: the driver");
  driver->excludes(config);
  app.add_option("--id", flags.id, "without a file: the device's id")
      ->needs(driver)
      ->capture_default_str();
  app.add_option("--bitrate", flags.bitrate, "without a file: the line's")
      ->needs(driver)
      ->capture_default_str();
  app.add_option("--set", flags.settings,
                 "without a file: KEY=VALUE of the device, may be repeated")
      ->needs(driver);
  app.add_option("--inject", flags.faults,
                 "a fault at the start, may be repeated: DEVICE:FAULT[:NAME=VALUE,…]");
  app.add_option("--seed", flags.seed, "noise repeats with it")->capture_default_str();
  app.add_flag("--stdin", flags.read_stdin, "read commands from standard input");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kEnded : kUsage;
  }
  if (flags.config_file.empty() && (flags.driver.empty() || flags.bus.empty())) {
    PrintError("expected --config FILE, or --bus and --driver; see --help");
    return kUsage;
  }
  return Run(flags);
}

}  // namespace
}  // namespace canhub

int main(int argc, char** argv) { return canhub::Main(argc, argv); }
