// Simulated devices on a bus of this machine or of another process: what canhub-sim runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/config/config.h"
#include "daemon/core/real_clock.h"
#include "daemon/core/simulator_host.h"
#include "daemon/core/step_thread.h"
#include "drivers/api/bus.h"

namespace canhub {

// Where the devices are simulated: "socketcan:vcan0" or "socketcand:127.0.0.1:29536/lab".
struct SimulationBus {
  BusType type = BusType::kSocketCan;  // not kSimulated
  std::string host;                    // socketcand
  uint16_t port = 0;                   // socketcand
  std::string interface;
};
absl::StatusOr<SimulationBus> ParseSimulationBus(std::string_view text);
// The bus of a configuration as the devices on it see it: a simulated one is reached where it is
// served. FAILED_PRECONDITION: it is not served, or at port 0.
absl::StatusOr<SimulationBus> SimulationBusOf(const BusConfig& bus);

// The text of a configuration with one device, for canhub-sim without a file; `settings` are the
// device's keys, "address=3". INVALID_ARGUMENT: one is no KEY=VALUE.
absl::StatusOr<std::string> AdHocConfig(const std::string& device_id, const std::string& driver,
                                        uint32_t bitrate, const std::vector<std::string>& settings);

class Simulation {
 public:
  using LogFunction = std::function<void(LogLevel, std::string_view)>;
  explicit Simulation(LogFunction log) : log_(std::move(log)) {}
  ~Simulation();

  // Before Start; devices of the same bus share a connection. UNIMPLEMENTED: the driver has no
  // simulator.
  absl::Status Add(const SimulationBus& bus, uint32_t bitrate, const DeviceEntry& device,
                   uint64_t seed);
  // A bus that is missing is no error: it is tried again for ever.
  absl::Status Start();
  // Whether every bus carries frames, so that a device answers what it is asked from now on.
  bool Connected() const;
  // nullptr when no such device is simulated here.
  SimulatorAccess* Find(std::string_view device_id);
  // "hv0 on vcan0", in the order in which they were added.
  const std::vector<std::string>& devices() const { return devices_; }

 private:
  struct Bus {
    std::shared_ptr<CanBus> bus;
    std::function<absl::Status()> start;
    std::function<void()> stop;
    std::unique_ptr<SimulatorHost> host;
  };
  Bus MakeBus(const SimulationBus& bus, uint32_t bitrate, const std::string& name);

  const LogFunction log_;
  RealClock clock_;
  SimulatedWorld world_;
  std::map<std::string, Bus> buses_;
  std::vector<std::string> devices_;
  std::vector<std::unique_ptr<StepThread>> threads_;
};

}  // namespace canhub
