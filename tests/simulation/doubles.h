// Places where a double may stand before a part of the daemon. Empty: the part itself. The
// mutations (mutations.h) are made of these, so that product code has no switch for them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/core/command_gate.h"
#include "daemon/core/store_api.h"
#include "drivers/api/bus.h"
#include "drivers/api/items.h"
#include "drivers/api/step.h"
#include "drivers/testing/simulated_clock.h"
#include "tests/simulation/family.h"

namespace canhub::simulation {

// What the world does to the daemon at the moment, for doubles that react to it.
struct Strain {
  std::vector<size_t> paused;  // devices, by number: their actors hang
  std::vector<size_t> mute;    // devices that do not answer
  size_t stalled_watches = 0;  // opened and never drained
};

struct Doubles {
  // The clock that the daemon is given.
  std::function<std::unique_ptr<Clock>(const SimulatedClock*)> clock;
  // A bus that the daemon is given. Made once: it outlives a daemon that is killed.
  std::function<std::shared_ptr<CanBus>(std::shared_ptr<CanBus>, const Clock*)> bus;
  std::function<std::unique_ptr<CommandGate>(
      CommandGate*, const std::vector<PlannedDevice>&,
      const std::vector<std::pair<std::string, CanBus*>>& buses)>
      gate;
  // What lapses leases.
  std::function<std::unique_ptr<Steppable>(Steppable*)> leases;
  // The disk's side of the record. Made once.
  std::function<std::unique_ptr<AuditLog>(AuditLog*)> audit;
  std::function<void()> killed;
  // How a reader of the cache takes a reading's quality.
  std::function<Quality(const Reading&, MonoTime)> quality;
  // Actors that do not turn under this strain, beside the paused ones.
  std::function<std::vector<size_t>(const Strain&, size_t devices)> held_up;
  // What sends although nobody of the daemon's own parts asked; stepped with the daemon.
  std::function<std::unique_ptr<Steppable>(const Strain*, const std::vector<PlannedDevice>&,
                                           std::shared_ptr<CanBus>)>
      bystander;
};

}  // namespace canhub::simulation
