#include "daemon/wiring_simulation.h"

#include "daemon/bus/socketcan_bus.h"
#include "daemon/bus/socketcand_client.h"
#include "daemon/config/endpoint.h"
#include "daemon/config/problems.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr char kBusForm[] = "socketcan:INTERFACE or socketcand:HOST:PORT/BUS";

std::string ToText(const SimulationBus& bus) {
  if (bus.type == BusType::kSocketCan) return bus.interface;
  return bus.host + ":" + std::to_string(bus.port) + "/" + bus.interface;
}

}  // namespace

absl::StatusOr<SimulationBus> ParseSimulationBus(std::string_view text) {
  const auto wrong = [&](const std::string& expected) {
    return absl::InvalidArgumentError("found " + Quote(text) + ", expected " + expected);
  };
  constexpr std::string_view kSocketCan = "socketcan:", kSocketcand = "socketcand:";
  SimulationBus bus;
  if (text.starts_with(kSocketCan)) {
    bus.interface = text.substr(kSocketCan.size());
  } else if (text.starts_with(kSocketcand)) {
    bus.type = BusType::kSocketcand;
    const std::string_view rest = text.substr(kSocketcand.size());
    const size_t slash = rest.find('/');
    if (slash == std::string_view::npos) return wrong(kBusForm);
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(rest.substr(0, slash));
    if (!endpoint.ok()) return wrong(std::string(endpoint.status().message()));
    bus.host = endpoint->host;
    bus.port = endpoint->port;
    bus.interface = rest.substr(slash + 1);
  }
  if (bus.interface.empty() || bus.interface.size() > 16) return wrong(kBusForm);
  return bus;
}

absl::StatusOr<SimulationBus> SimulationBusOf(const BusConfig& bus) {
  if (bus.type == BusType::kSocketCan) {
    return SimulationBus{.type = bus.type, .interface = bus.interface};
  }
  const bool simulated = bus.type == BusType::kSimulated;
  const std::string& address = simulated ? bus.serve : bus.address;
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(address);
  if (!endpoint.ok() || endpoint->port == 0) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "BUS_NOT_SERVED",
                     bus.id +
                         ": nobody else can reach this simulated bus, expected the key serve "
                         "with an address and a port",
                     {{"bus_id", bus.id}});
  }
  return SimulationBus{.type = BusType::kSocketcand,
                       .host = endpoint->host,
                       .port = endpoint->port,
                       .interface = simulated ? bus.id : bus.interface};
}

absl::StatusOr<std::string> AdHocConfig(const std::string& device_id, const std::string& driver,
                                        uint32_t bitrate,
                                        const std::vector<std::string>& settings) {
  std::string text = "buses: {bus: {type: simulated, bitrate: " + std::to_string(bitrate) +
                     "}}\ndevices:\n  " + device_id + ":\n    bus: bus\n    driver: " + driver +
                     "\n";
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError("--set: found " + Quote(setting) + ", expected KEY=VALUE");
    }
    text += "    " + setting.substr(0, equals) + ": " + setting.substr(equals + 1) + "\n";
  }
  return text;
}

Simulation::~Simulation() {
  for (auto& [name, bus] : buses_) bus.stop();
  threads_.clear();
}

Simulation::Bus Simulation::MakeBus(const SimulationBus& bus, uint32_t bitrate,
                                    const std::string& name) {
  const BusLog log = [this](LogLevel level, const std::string& text) {
    if (log_) log_(level, text);  // it names the bus
  };
  Bus made;
  if (bus.type == BusType::kSocketCan) {
    auto socketcan = std::make_shared<SocketCanBus>(
        clock_,
        SocketCanOptions{.name = name, .interface = bus.interface, .bitrate = bitrate, .log = log});
    made.start = [socketcan] { return socketcan->Start(); };
    made.stop = [socketcan] { socketcan->Stop(); };
    made.bus = std::move(socketcan);
  } else {
    auto client = std::make_shared<SocketcandClient>(
        clock_, SocketcandClientOptions{.name = name,
                                        .host = bus.host,
                                        .port = bus.port,
                                        .remote_bus = bus.interface,
                                        .bitrate = bitrate,
                                        .log = log});
    made.start = [client] { return client->Start(); };
    made.stop = [client] { client->Stop(); };
    made.bus = std::move(client);
  }
  made.host = std::make_unique<SimulatorHost>(&clock_, made.bus.get(), &world_);
  return made;
}

absl::Status Simulation::Add(const SimulationBus& bus, uint32_t bitrate, const DeviceEntry& device,
                             uint64_t seed) {
  const std::string name = ToText(bus);
  auto found = buses_.find(name);
  if (found == buses_.end()) found = buses_.emplace(name, MakeBus(bus, bitrate, name)).first;
  if (absl::Status status = found->second.host->Add(*device.driver, device.config, seed);
      !status.ok()) {
    return status;
  }
  devices_.push_back(device.config.id + " on " + name);
  return absl::OkStatus();
}

absl::Status Simulation::Start() {
  for (auto& [name, bus] : buses_) {
    if (absl::Status status = bus.start(); !status.ok()) return status;
    absl::StatusOr<std::unique_ptr<StepThread>> thread =
        StepThread::Start(&clock_, {bus.host.get()}, {.name = "simulate " + name});
    if (!thread.ok()) return thread.status();
    threads_.push_back(*std::move(thread));
  }
  return absl::OkStatus();
}

bool Simulation::Connected() const {
  for (const auto& [name, bus] : buses_) {
    if (!CanTransmit(bus.bus->Status().state)) return false;
  }
  return true;
}

SimulatorAccess* Simulation::Find(std::string_view device_id) {
  for (auto& [name, bus] : buses_) {
    if (SimulatorAccess* found = bus.host->Find(device_id)) return found;
  }
  return nullptr;
}

}  // namespace canhub
