#include "daemon/wiring.h"

#include <algorithm>

#include "daemon/config/endpoint.h"
#include "daemon/safety/interlock_engine.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

// Places on a simulated line: the daemon's own, and the simulated devices'.
constexpr char kDaemonNode[] = "canhubd";
constexpr char kSimulatorsNode[] = "simulators";

}  // namespace

Lab::Lab(LabOptions options)
    : options_(std::move(options)),
      clock_(options_.clock == nullptr ? &real_clock_ : options_.clock) {}

absl::StatusOr<std::unique_ptr<Lab>> Lab::Create(const Config& config, LabOptions options) {
  std::unique_ptr<Lab> lab(new Lab(std::move(options)));
  lab->ChooseRealtimePriority(config.realtime);
  std::vector<BusSetup> buses;
  absl::Status status = lab->OpenStore(config);
  if (status.ok()) status = lab->MakeBuses(config, &buses);
  if (status.ok()) status = lab->MakeSimulators(config);
  if (status.ok()) status = lab->MakeHub(config, std::move(buses));
  if (!status.ok()) return status;
  return lab;
}

Lab::~Lab() { Shutdown(Duration(0)); }

void Lab::ChooseRealtimePriority(const RealtimeConfig& config) {
  realtime_priority_ = config.priority;
  if (!config.if_permitted || config.priority == 0) return;
  const absl::Status permitted =
      StepThread::Start(clock_, {}, {.name = "realtime", .realtime_priority = config.priority})
          .status();
  if (permitted.ok()) return;
  realtime_priority_ = 0;
  Log(LogLevel::kWarning, std::string(permitted.message()) +
                              "; heartbeats and polls share the processor with every other "
                              "program, and may be late when it is busy");
}

absl::Status Lab::OpenStore(const Config& config) {
  audit_ = options_.audit;
  alarm_store_ = options_.alarm_store;
  device_values_ = options_.device_values;
  if (audit_ != nullptr && alarm_store_ != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Store>> store =
      Store::Open({.directory = config.state_directory}, clock_);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  for (const std::string& note : store_->notes()) Log(LogLevel::kWarning, note);
  audit_ = &store_->audit();
  alarm_store_ = &store_->alarms();
  device_values_ = &store_->device_values();
  return absl::OkStatus();
}

absl::Status Lab::MakeBuses(const Config& config, std::vector<BusSetup>* setups) {
  for (const BusConfig& bus : config.buses) {
    BusSetup setup{.id = bus.id,
                   .bitrate = bus.bitrate,
                   .simulated = bus.type == BusType::kSimulated,
                   .max_load = bus.max_load};
    if (const auto own = options_.buses.find(bus.id); own != options_.buses.end()) {
      setup.bus = own->second;
      setups->push_back(std::move(setup));
      continue;
    }
    if (!setup.simulated && options_.clock != nullptr) {
      return MakeError(absl::StatusCode::kInvalidArgument, "BUS_NEEDS_REAL_CLOCK",
                       bus.id + ": a bus of type " + std::string(ToString(bus.type)) +
                           " on a virtual clock, expected a simulated one",
                       {{"bus_id", bus.id}});
    }
    // Its texts name the bus.
    const auto log = [this](LogLevel level, const std::string& text) { Log(level, text); };
    switch (bus.type) {
      case BusType::kSimulated:
        lines_.push_back({.bus_id = bus.id,
                          .line = std::make_unique<SimulatedLine>(*clock_, bus.id, bus.bitrate)});
        setup.bus = lines_.back().line->CreateNode(kDaemonNode);
        if (!bus.serve.empty()) {
          SocketcandServerOptions options{.listen = bus.serve,
                                          .allow_remote = !ParseEndpoint(bus.serve)->loopback,
                                          .bus_name = bus.id,
                                          .log = log};
          if (options.allow_remote) {
            Log(LogLevel::kWarning, bus.id + ": served at " + bus.serve +
                                        ": every machine that reaches it can send frames");
          }
          served_.push_back({bus.id, bus.serve,
                             std::make_unique<SocketcandServer>(*clock_, lines_.back().line.get(),
                                                                std::move(options))});
        }
        break;
      case BusType::kSocketCan:
        socketcan_.emplace_back(
            bus.id, std::make_shared<SocketCanBus>(
                        *clock_, SocketCanOptions{.name = bus.id,
                                                  .interface = bus.interface,
                                                  .bitrate = bus.bitrate,
                                                  .realtime_priority = realtime_priority_,
                                                  .log = log}));
        setup.bus = socketcan_.back().second;
        break;
      case BusType::kSocketcand: {
        const Endpoint endpoint = *ParseEndpoint(bus.address);
        socketcand_.push_back(std::make_shared<SocketcandClient>(
            *clock_, SocketcandClientOptions{.name = bus.id,
                                             .host = endpoint.host,
                                             .port = endpoint.port,
                                             .remote_bus = bus.interface,
                                             .bitrate = bus.bitrate,
                                             .realtime_priority = realtime_priority_,
                                             .log = log}));
        setup.bus = socketcand_.back();
        break;
      }
    }
    setups->push_back(std::move(setup));
  }
  return absl::OkStatus();
}

absl::Status Lab::MakeSimulators(const Config& config) {
  for (size_t i = 0; i < config.devices.size(); ++i) {
    const DeviceEntry& device = config.devices[i];
    if (!device.simulate || options_.buses.contains(device.bus)) continue;
    // The configuration has checked that its bus is a simulated one.
    Line& line = *std::find_if(lines_.begin(), lines_.end(),
                               [&](const Line& l) { return l.bus_id == device.bus; });
    if (line.simulators == nullptr) {
      line.simulators_node = line.line->CreateNode(kSimulatorsNode);
      line.simulators =
          std::make_unique<SimulatorHost>(clock_, line.simulators_node.get(), &world_);
    }
    const absl::Status added =
        line.simulators->Add(*device.driver, device.config, options_.seed + i);
    if (!added.ok()) return added;
  }
  return absl::OkStatus();
}

absl::Status Lab::MakeHub(const Config& config, std::vector<BusSetup> setups) {
  std::vector<DeviceSetup> devices;
  for (const DeviceEntry& device : config.devices) {
    // On a simulated line nothing is real, whatever answers: a unit behind a simulated gateway.
    const bool simulated =
        device.simulate || config.FindBus(device.bus)->type == BusType::kSimulated;
    devices.push_back({.config = device.config,
                       .driver = device.driver,
                       .bus_id = device.bus,
                       .simulated = simulated,
                       .on_lease_lost = device.on_lease_lost,
                       .on_shutdown = device.on_shutdown,
                       .require_lease = device.require_lease,
                       .poll_weight = device.poll_weight});
  }
  HubOptions options;
  options.access = config.access.Rules();
  options.realtime_priority = realtime_priority_;
  options.device_values = device_values_;
  for (const GroupConfig& group : config.groups) {
    options.groups.push_back({group.id, group.devices, group.on_failure});
  }
  if (!config.safety.empty()) {
    options.interlocks = [rules = config.safety](InterlockDependencies dependencies) {
      return MakeInterlockEngine(rules, std::move(dependencies));
    };
  }
  options.log = [this](LogLevel level, const std::string& device_id, std::string_view text) {
    Log(level, device_id + ": " + std::string(text));
  };
  absl::StatusOr<std::unique_ptr<Hub>> hub = Hub::Create(
      clock_, audit_, alarm_store_, std::move(options), std::move(setups), std::move(devices));
  if (!hub.ok()) return hub.status();
  hub_ = *std::move(hub);
  return absl::OkStatus();
}

std::vector<Steppable*> Lab::Steppables() {
  std::vector<Steppable*> steps;
  for (const Line& line : lines_) steps.push_back(line.line.get());
  for (const Line& line : lines_) {
    if (line.simulators != nullptr) steps.push_back(line.simulators.get());
  }
  const std::vector<Steppable*> hub = hub_->Steppables();
  steps.insert(steps.end(), hub.begin(), hub.end());
  if (store_ != nullptr) steps.push_back(store_.get());
  return steps;
}

absl::Status Lab::StartThreads() {
  const absl::Status status = StartAll();
  running_ = status.ok();
  // Not Shutdown: a daemon that could not start has no business with on_shutdown.
  if (!running_) StopAll();
  return status;
}

absl::Status Lab::StartAll() {
  if (store_ != nullptr) {
    // A thread of its own, and never of real-time priority: it waits for the disk.
    absl::StatusOr<std::unique_ptr<StepThread>> thread =
        StepThread::Start(clock_, {store_.get()}, {.name = "store"});
    if (!thread.ok()) return thread.status();
    store_thread_ = *std::move(thread);
  }
  for (const Line& line : lines_) {
    // A line and the devices on it share a thread, as they share the line.
    std::vector<Steppable*> steps = {line.line.get()};
    if (line.simulators != nullptr) steps.push_back(line.simulators.get());
    absl::StatusOr<std::unique_ptr<StepThread>> thread =
        StepThread::Start(clock_, std::move(steps),
                          {.name = "line " + line.bus_id, .realtime_priority = realtime_priority_});
    if (!thread.ok()) return thread.status();
    line_threads_.push_back(*std::move(thread));
  }
  for (const auto& [id, bus] : socketcan_) {
    if (absl::Status status = bus->Start(); !status.ok()) return status;
  }
  for (const auto& bus : socketcand_) {
    if (absl::Status status = bus->Start(); !status.ok()) return status;
  }
  for (ServedLine& served : served_) {
    if (absl::Status status = served.server->Start(); !status.ok()) return status;
    const size_t colon = served.address.rfind(':');
    served.address.replace(colon + 1, std::string::npos, std::to_string(served.server->port()));
  }
  // Last, so that nothing is polled by a daemon that cannot start.
  return hub_->StartThreads();
}

std::vector<std::string> Lab::Shutdown(Duration timeout) {
  if (!running_) return {};
  running_ = false;
  std::vector<std::string> not_safe = hub_->Shutdown(timeout);
  StopAll();
  return not_safe;
}

void Lab::StopAll() {
  for (ServedLine& served : served_) served.server->Stop();
  for (const auto& bus : socketcand_) bus->Stop();
  for (const auto& [id, bus] : socketcan_) bus->Stop();
  line_threads_.clear();
  store_thread_.reset();
}

std::vector<std::string> Lab::HungThreads(Duration longer_than) const {
  std::vector<std::string> hung = hub_->HungThreads(longer_than);
  const MonoTime now = clock_->Now();
  for (const auto& [id, bus] : socketcan_) {
    if (bus->Overdue(now) > longer_than) hung.push_back("bus " + id);
  }
  for (const auto& thread : line_threads_) {
    if (thread->Overdue(now) > longer_than) hung.push_back(thread->name());
  }
  return hung;
}

SimulatorAccess* Lab::simulator(std::string_view device_id) {
  for (const Line& line : lines_) {
    SimulatorAccess* found =
        line.simulators == nullptr ? nullptr : line.simulators->Find(device_id);
    if (found != nullptr) return found;
  }
  return nullptr;
}

std::map<std::string, SimulatorAccess*> Lab::simulators() {
  std::map<std::string, SimulatorAccess*> all;
  for (const Line& line : lines_) {
    if (line.simulators == nullptr) continue;
    for (const std::string& id : line.simulators->device_ids()) {
      all.emplace(id, line.simulators->Find(id));
    }
  }
  return all;
}

SimulatedLine* Lab::line(std::string_view bus_id) {
  for (const Line& line : lines_) {
    if (line.bus_id == bus_id) return line.line.get();
  }
  return nullptr;
}

std::map<std::string, std::string> Lab::served() const {
  std::map<std::string, std::string> all;
  for (const ServedLine& served : served_) all.emplace(served.bus_id, served.address);
  return all;
}

void Lab::Log(LogLevel level, const std::string& text) const {
  if (options_.log) options_.log(level, text);
}

}  // namespace canhub
