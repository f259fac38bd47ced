// What goes wrong: devices, actors, buses, the daemon itself.
#include <utility>

#include "tests/simulation/simulation_run.h"

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace

void Simulation::InjectFault(size_t device, Family::Fault fault, Duration for_time) {
  const absl::Status status = world_.simulator(device).InjectFault(fault.name, fault.arguments);
  world_.log().Text(clock().Now(), devices()[device].id + " fault " + fault.name + ": " +
                                       absl::StatusCodeToString(status.code()));
  if (!status.ok()) return;
  if (fault.name == FamilyOf(device).Silence().name) world_.SetMute(device, true);
  After(for_time, [this, device, name = fault.name] {
    world_.simulator(device).ClearFaults(name).status().IgnoreError();
    world_.log().Text(clock().Now(), devices()[device].id + " without fault " + name);
    if (name == FamilyOf(device).Silence().name) world_.SetMute(device, false);
  });
}

void Simulation::Pause(Random& random) {
  const size_t device = AnyDevice(random);
  world_.Pause(device, true);
  After(random.Exponential(seconds(10)), [this, device, life = world_.life()] {
    if (world_.life() == life) world_.Pause(device, false);
  });
}

void Simulation::BreakBus(Random& random) {
  const size_t bus = random.Below(world_.plan().buses.size());
  if (world_.bus_away(bus)) return;
  static const std::vector<BusState> kStates = {BusState::kBusOff, BusState::kDown,
                                                BusState::kUnplugged, BusState::kPassive,
                                                BusState::kWarning};
  const BusState state = random.Pick(kStates);
  world_.SetBus(bus, state, "the simulation says so");
  After(random.Exponential(seconds(4)) + milliseconds(1),
        [this, bus] { world_.SetBus(bus, BusState::kActive, ""); });
}

void Simulation::Kill(Random& random) {
  // Watches are the dead daemon's; leases die with it.
  DropWatches();
  for (Client& client : clients_) client.leases.clear();
  world_.Kill();
  world_.RunUntil(clock().Now() + random.Exponential(milliseconds(400)));
  world_.Start();
}

void Simulation::Reload(Random& random) {
  const size_t device = AnyDevice(random);
  const DeviceEntry& entry = world_.config().devices[device];
  DeviceConfig config = entry.config;
  for (auto& [name, limit] : config.limits) limit *= random.Between(0.05, 1);
  world_.log().Text(clock().Now(), "reload " + entry.config.id);
  world_.hub().UpdateDevice(entry.config.id, std::move(config), entry.on_lease_lost,
                            entry.on_shutdown, entry.require_lease);
}

void Simulation::HealAll() {
  for (size_t device = 0; device < devices().size(); ++device) {
    world_.simulator(device).ClearFaults("").status().IgnoreError();
    world_.SetMute(device, false);
    for (Act& act : FamilyOf(device).Recovery(devices()[device])) {
      Submit(clients_[2], device, std::move(act), Stage::kConfirmed, kNever, "");
    }
  }
  prompt_.clear();
}

}  // namespace canhub::simulation
