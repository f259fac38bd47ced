// Runs simulators, the device side of drivers' protocols, as one node of a bus.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/hub.h"
#include "drivers/api/bus.h"
#include "drivers/api/driver.h"
#include "drivers/api/step.h"
#include "drivers/api/timer_queue.h"

namespace canhub {

// Stepped like an actor. Every simulator gets every frame of the line but its own; frames of its
// neighbours in the same host too, when they have been on the wire.
class SimulatorHost final : public Steppable {
 public:
  // Frames that wait for one simulator; beyond it the oldest is dropped. More than the actors'
  // bound: real modules do not lose frames, so a simulator should not be the first to.
  static constexpr size_t kMaxFrames = 1024;

  // Both outlive the host. `bus` is a node of the line that no driver sits on.
  // `world`, too: what the simulators of all lines share.
  SimulatorHost(const Clock* clock, CanBus* bus, SimulatedWorld* world = nullptr);
  ~SimulatorHost() override;
  SimulatorHost(const SimulatorHost&) = delete;
  SimulatorHost& operator=(const SimulatorHost&) = delete;

  // Before the first step, in which it attaches to the bus and starts. UNIMPLEMENTED: the driver
  // has no simulator.
  absl::Status Add(const DriverInfo& driver, DeviceConfig config, uint64_t seed);

  // nullptr when no such device is simulated here. Valid as long as the host; thread-safe.
  SimulatorAccess* Find(std::string_view device_id);
  std::vector<std::string> device_ids() const;
  uint64_t dropped_frames() const;

  MonoTime RunUntil(MonoTime now) override;

 private:
  class Node;
  const Clock* const clock_;
  CanBus* const bus_;
  SimulatedWorld* const world_;
  // Held during a step and during a call of SimulatorAccess: simulators are passive and know no
  // threads. Never held while a frame is taken in.
  mutable std::mutex stepping_;
  std::vector<std::unique_ptr<Node>> nodes_;  // fixed once stepped
  bool started_ = false;
};

}  // namespace canhub
