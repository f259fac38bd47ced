// canhubd: flags, wiring, signals, readiness.
#include <signal.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <system_error>

#include "daemon/config/describe.h"
#include "daemon/config/loader.h"
#include "daemon/core/step_thread.h"
#include "daemon/rpc/server.h"
#include "daemon/wiring.h"
#include "daemon/wiring_log.h"
#include "daemon/wiring_reload.h"
#include "daemon/wiring_supervision.h"
#include "drivers/all_drivers.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Told in --help; scripts and units rely on them.
enum ExitCode { kEnded = 0, kFailed = 1, kUsage = 2, kWrongConfig = 3, kNotSafe = 4 };

constexpr char kFooter[] =
    "Signals: TERM and INT run every device's on_shutdown action and end; HUP reads the\n"
    "configuration again.\n"
    "Exit codes: 0 ended by a signal, or done; 1 could not start (the log says why); 2 wrong\n"
    "command line; 3 wrong configuration; 4 ended, but some device could not be made safe.";

// What the drivers need to act on their own at the end: a ramp command's confirmation, not the
// ramp.
constexpr Duration kShutdownTimeout = seconds(10);
constexpr milliseconds kRpcGrace{1000};

struct Flags {
  std::string config_file = "/etc/canhub/canhub.yaml";
  std::string check_file;
  std::string log_level;
  std::string state_directory;
  std::vector<std::string> listen;
  bool describe_config = false;
};

void PrintError(std::string_view text) {
  std::fprintf(stderr, "canhubd: %.*s\n", static_cast<int>(text.size()), text.data());
}

// Each line of a configuration's error stands for itself: "lab.yaml:41: …".
void PrintConfigErrors(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
}

int Check(const std::string& file) {
  const absl::StatusOr<Config> config = LoadConfig(file, AllDrivers());
  if (!config.ok()) {
    PrintConfigErrors(config.status());
    return kWrongConfig;
  }
  for (const std::string& missing : MissingFiles(*config)) {
    std::fprintf(stderr, "%s: on this machine: %s\n", file.c_str(), missing.c_str());
  }
  std::printf("%s: good: %zu buses, %zu devices\n", file.c_str(), config->buses.size(),
              config->devices.size());
  return kEnded;
}

// The flags that stand above the file.
absl::Status ApplyFlags(const Flags& flags, Config* config) {
  if (!flags.log_level.empty()) {
    const std::optional<LogLevel> level = ParseLogLevel(flags.log_level);
    if (!level) {
      return absl::InvalidArgumentError("--log-level: found \"" + flags.log_level +
                                        "\", expected trace, debug, info, warning or error");
    }
    config->log_level = *level;
  }
  if (!flags.state_directory.empty()) {
    std::error_code error;
    config->state_directory =
        std::filesystem::absolute(flags.state_directory, error).lexically_normal().string();
    if (error) return absl::InvalidArgumentError("--state-dir: " + error.message());
  }
  if (flags.listen.empty()) return absl::OkStatus();
  config->listen.clear();
  for (const std::string& address : flags.listen) {
    absl::StatusOr<ListenConfig> listen = ParseListenFlag(address);
    if (!listen.ok()) return listen.status();
    config->listen.push_back(*std::move(listen));
  }
  return absl::OkStatus();
}

RpcOptions MakeRpcOptions(const Config& config) {
  RpcOptions options;
  for (const ListenConfig& listen : config.listen) {
    ListenAddress address{.address = AbsoluteListenAddress(config, listen.address)};
    if (listen.use_tls) {
      address.tls = TlsFiles{config.tls->certificate, config.tls->key, config.tls->client_ca};
    }
    options.listen.push_back(std::move(address));
  }
  options.max_message_bytes = static_cast<int>(config.rpc.max_message_bytes);
  options.max_streams_per_client = config.rpc.max_streams_per_client;
  options.max_streams_per_identity = config.rpc.max_streams_per_identity;
  options.max_connections_per_identity = config.rpc.max_connections_per_identity;
  options.max_calls_per_second = config.rpc.rate_limit;
  options.call_burst = config.rpc.rate_limit;
  options.keepalive_time = std::chrono::duration_cast<milliseconds>(config.rpc.keepalive_interval);
  options.keepalive_timeout =
      std::chrono::duration_cast<milliseconds>(config.rpc.keepalive_timeout);
  return options;
}

// The daemon between its start and its end. Lives on the main thread.
class Daemon {
 public:
  Daemon(Config from_file, Config config)
      : from_file_(std::move(from_file)),
        config_(std::move(config)),
        log_(config_.log_level, DaemonLog::StderrIsJournal()) {}

  int Run(const sigset_t& signals) {
    if (const absl::Status status = Start(); !status.ok()) {
      log_.Log(LogLevel::kError, "cannot start: " + std::string(status.message()));
      return kFailed;
    }
    Serve(signals);
    return Stop();
  }

 private:
  void Warn(const std::string& text) { log_.Log(LogLevel::kWarning, text); }

  absl::Status Start() {
    for (const ListenConfig& listen : config_.listen) {
      if (listen.insecure) {
        Warn("listen " + listen.address +
             " is insecure: every machine that reaches it can call without a certificate");
      }
    }
    if (config_.realtime.lock_memory) {
      if (absl::Status status = LockMemory(); !status.ok()) return status;
    }
    LabOptions options;
    options.log = [this](LogLevel level, std::string_view text) { log_.Log(level, text); };
    absl::StatusOr<std::unique_ptr<Lab>> lab = Lab::Create(config_, options);
    if (!lab.ok()) return lab.status();
    lab_ = *std::move(lab);
    reloader_ = std::make_unique<ConfigReloader>(from_file_, AllDrivers(), &lab_->hub(),
                                                 [this](LogLevel level) { log_.SetLevel(level); });
    // Before the threads: a second daemon finds the address taken and ends without having sent
    // anything on the buses.
    absl::StatusOr<std::unique_ptr<RpcServer>> server =
        RpcServer::Start(&lab_->hub(), MakeHooks(), MakeRpcOptions(config_));
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    if (absl::Status status = lab_->StartThreads(); !status.ok()) return status;
    for (const std::string& address : server_->addresses()) {
      std::printf("listening on %s\n", address.c_str());
    }
    for (const auto& [bus, address] : lab_->served()) {
      std::printf("serving bus %s on %s\n", bus.c_str(), address.c_str());
    }
    std::fflush(stdout);
    log_.Log(LogLevel::kInfo, "canhubd " CANHUB_VERSION " runs " + config_.file + ": " +
                                  std::to_string(config_.buses.size()) + " buses, " +
                                  std::to_string(config_.devices.size()) + " devices");
    return absl::OkStatus();
  }

  RpcHooks MakeHooks() {
    RpcHooks hooks;
    hooks.reload = [this](bool check_only) -> absl::StatusOr<ReloadOutcome> {
      absl::StatusOr<ConfigChanges> changes = Reload(check_only);
      if (!changes.ok()) return changes.status();
      return ReloadOutcome{std::move(changes->applied), std::move(changes->needs_restart)};
    };
    hooks.set_log_level = [this](LogLevel level) { return log_.SetLevel(level); };
    hooks.simulators = lab_->simulators();
    hooks.version = CANHUB_VERSION;
    hooks.config_file = config_.file;
    for (const DriverInfo* driver : AllDrivers()) hooks.drivers.emplace_back(driver->name);
    hooks.log = [this](LogLevel level, std::string_view text) { log_.Log(level, text); };
    return hooks;
  }

  // Any thread.
  absl::StatusOr<ConfigChanges> Reload(bool check_only) {
    absl::StatusOr<ConfigChanges> changes = reloader_->Reload(check_only);
    if (!changes.ok()) {
      log_.Log(LogLevel::kError, "the configuration was not reloaded; the running one stays:");
      log_.Log(LogLevel::kError, std::string(changes.status().message()));
      return changes;
    }
    if (check_only) return changes;
    for (const std::string& line : changes->applied) {
      log_.Log(LogLevel::kInfo, "reloaded: " + line);
    }
    for (const std::string& line : changes->needs_restart) {
      Warn("reloaded, in force after a restart: " + line);
    }
    if (changes->applied.empty() && changes->needs_restart.empty()) {
      log_.Log(LogLevel::kInfo, "reloaded: nothing has changed");
    }
    return changes;
  }

  // Until a signal ends it.
  void Serve(const sigset_t& signals) {
    uint64_t watchdog_us = 0;
    const bool watchdog = sd_watchdog_enabled(0, &watchdog_us) > 0;
    LabObserver observer(lab_.get(), config_.ready_timeout);
    SupervisorNotice notice(watchdog);
    std::vector<std::string> hung;
    while (true) {
      const LabHealth health = observer.Look();
      if (const std::string text = notice.Turn(health); !text.empty()) sd_notify(0, text.c_str());
      if (const std::vector<std::string> now = health.Hung(); now != hung) {
        for (const std::string& who : now) {
          log_.Log(LogLevel::kError, who + " hangs; the watchdog is not fed");
        }
        hung = now;
      }
      // Twice per period of the watchdog, as sd_watchdog_enabled(3) asks; the status once a second.
      Duration turn = notice.ready() ? Duration(seconds(1)) : milliseconds(100);
      if (watchdog) turn = std::min<Duration>(turn, std::chrono::microseconds(watchdog_us / 2));
      const timespec wait{turn / seconds(1), (turn % seconds(1)).count()};
      const int signal = sigtimedwait(&signals, nullptr, &wait);
      if (signal == SIGTERM || signal == SIGINT) {
        log_.Log(LogLevel::kInfo, signal == SIGTERM ? "ending: SIGTERM" : "ending: SIGINT");
        return;
      }
      if (signal == SIGHUP) {
        // Before it is ready, "ready" must not be said on account of a reload.
        if (notice.ready()) sd_notify(0, "RELOADING=1");
        // Told in the log by Reload itself.
        static_cast<void>(Reload(/*check_only=*/false));
        if (notice.ready()) sd_notify(0, "READY=1");
      }
    }
  }

  int Stop() {
    sd_notify(0, "STOPPING=1\nSTATUS=making devices safe");
    server_->Shutdown(kRpcGrace);
    const std::vector<std::string> not_safe = lab_->Shutdown(kShutdownTimeout);
    for (const std::string& line : not_safe) {
      log_.Log(LogLevel::kError, "not made safe: " + line);
    }
    log_.Log(LogLevel::kInfo, "ended");
    return not_safe.empty() ? kEnded : kNotSafe;
  }

  const Config from_file_;  // what a reload is compared with
  const Config config_;     // with the flags
  DaemonLog log_;
  std::unique_ptr<Lab> lab_;
  std::unique_ptr<ConfigReloader> reloader_;
  std::unique_ptr<RpcServer> server_;
};

int RunDaemon(const Flags& flags) {
  absl::StatusOr<Config> from_file = LoadConfig(flags.config_file, AllDrivers());
  if (!from_file.ok()) {
    PrintConfigErrors(from_file.status());
    return kWrongConfig;
  }
  Config config = *from_file;
  if (const absl::Status status = ApplyFlags(flags, &config); !status.ok()) {
    PrintError(std::string(status.message()));
    return kUsage;
  }
  const std::vector<std::string> missing = MissingFiles(config);
  for (const std::string& line : missing) {
    std::fprintf(stderr, "%s: %s\n", config.file.c_str(), line.c_str());
  }
  if (!missing.empty()) return kWrongConfig;

  // Before any thread, so that all inherit it: these signals go to the main thread's wait.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return Daemon(*std::move(from_file), std::move(config)).Run(signals);
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("canhubd owns the CAN buses of a lab and shares their devices over gRPC.",
               "canhubd");
  app.footer(kFooter);
  app.set_version_flag("--version", "canhubd " CANHUB_VERSION);
  app.add_option("--config", flags.config_file, "the configuration")->capture_default_str();
  app.add_option("--check", flags.check_file, "only check this configuration");
  app.add_flag("--describe-config", flags.describe_config,
               "print the configuration keys of all drivers (Markdown)");
  app.add_option("--log-level", flags.log_level, "instead of log.level: trace … error");
  app.add_option("--state-dir", flags.state_directory, "instead of state_directory");
  app.add_option("--listen", flags.listen,
                 "instead of listen, may be repeated: unix:PATH or 127.0.0.1:PORT (0: any free "
                 "port); \"listening on …\" is printed for each");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kEnded : kUsage;
  }
  if (flags.describe_config) {
    std::cout << DescribeConfig(AllDrivers());
    return kEnded;
  }
  if (!flags.check_file.empty()) return Check(flags.check_file);
  return RunDaemon(flags);
}

}  // namespace
}  // namespace canhub

int main(int argc, char** argv) { return canhub::Main(argc, argv); }
