// What clients do: wise, unwise, and nonsense.
#include <algorithm>
#include <utility>

#include "daemon/core/item_pattern.h"
#include "tests/simulation/simulation_run.h"

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

MonoTime Simulation::SomeDeadline(Random& random) {
  if (random.Chance(0.6)) return kNever;
  return clock().Now() + random.Between(Duration(milliseconds(1)), Duration(seconds(3)));
}

Stage Simulation::SomeStage(Random& random) {
  const double p = random.Unit();
  return p < 0.2 ? Stage::kSent : p < 0.8 ? Stage::kConfirmed : Stage::kSettled;
}

void Simulation::Submit(Client& client, size_t device, Act act, Stage wait_for, MonoTime deadline,
                        std::string request_id) {
  Given given{.device = device,
              .bus = devices()[device].bus,
              .what = act,
              .wait_for = wait_for,
              .request_id = request_id,
              .deadline = deadline};
  if (const auto* call = std::get_if<ActionCall>(&act)) {
    for (const ActionSpec& spec : FamilyOf(device).driver().actions) {
      if (call->name == spec.name) given.safe = spec.safe;
    }
  }
  for (const LiveLease& lease : client.leases) {
    if (std::find(lease.devices.begin(), lease.devices.end(), device) != lease.devices.end()) {
      given.lease_id = lease.id;
    }
  }
  CommandRequest request{.caller = client.caller,
                         .device_id = devices()[device].id,
                         .wait_for = wait_for,
                         .deadline = deadline,
                         .request_id = std::move(request_id),
                         .lease_id = given.lease_id};
  if (auto* writes = std::get_if<std::vector<NamedWrite>>(&act)) {
    request.what = std::move(*writes);
  } else {
    request.what = std::get<ActionCall>(std::move(act));
  }
  const uint64_t number = checker().OnGiven(std::move(given)).number;
  const auto in_call = std::make_shared<bool>(true);
  world_.gate().Submit(std::move(request), [this, number, in_call](const CommandResult& result) {
    checker().OnAnswer(number, *in_call, result);
  });
  *in_call = false;
}

void Simulation::SendFrame(Client& client, size_t bus, const CanFrame& frame, Stage wait_for,
                           MonoTime deadline) {
  Given given{
      .bus = world_.plan().buses[bus], .what = frame, .wait_for = wait_for, .deadline = deadline};
  FrameRequest request{.caller = client.caller,
                       .bus_id = given.bus,
                       .frame = frame,
                       .wait_for = wait_for,
                       .deadline = deadline};
  for (const LiveLease& lease : client.leases) given.lease_id = request.lease_id = lease.id;
  const uint64_t number = checker().OnGiven(std::move(given)).number;
  const auto in_call = std::make_shared<bool>(true);
  world_.gate().SubmitFrame(std::move(request),
                            [this, number, in_call](const CommandResult& result) {
                              checker().OnAnswer(number, *in_call, result);
                            });
  *in_call = false;
}

void Simulation::Set(Random& random) {
  const size_t device = AnyDevice(random);
  Submit(AnyClient(random), device, FamilyOf(device).MakeSetting(random, devices()[device]),
         SomeStage(random), SomeDeadline(random),
         random.Chance(0.2) ? "r" + std::to_string(random.Below(20)) : "");
}

void Simulation::Forbidden(Random& random) {
  const size_t device = AnyDevice(random);
  Submit(AnyClient(random), device, FamilyOf(device).MakeForbidden(random, devices()[device]),
         SomeStage(random), SomeDeadline(random), "");
}

void Simulation::Nonsense(Random& random) {
  const size_t device = AnyDevice(random);
  Client& client = AnyClient(random);
  switch (random.Below(7)) {
    case 0:  // too late already
      return Submit(client, device, FamilyOf(device).MakeSetting(random, devices()[device]),
                    Stage::kConfirmed, clock().Now() - milliseconds(1), "");
    case 1:
      return Submit(client, device,
                    std::vector<NamedWrite>{{std::string(5000, 'x'), Value::Text("\x01")}},
                    Stage::kConfirmed, kNever, std::string(3000, 'r'));
    case 2:
      return Submit(client, device, std::vector<NamedWrite>{}, Stage::kAccepted, kNever, "");
    case 3:
      return Submit(client, device, ActionCall{"make_coffee", {{"channel", Value::Text("all")}}},
                    Stage::kSettled, kNever, "");
    case 4:
      return SendFrame(client, 0, {.id = 0xFFFFFFFF, .dlc = 200}, Stage::kOnWire, kNever);
    case 5: {
      std::string pattern = "*/";
      for (int i = 0; i < 300; ++i) pattern += "*[0-4294967295]";
      const auto watch = world_.hub().watches().WatchItems({pattern}, [] {});
      world_.log().Count(clock().Now(), watch.ok());
      return;
    }
    default: {
      std::vector<NamedWrite> writes(
          1100, NamedWrite{FamilyOf(device).LiveItem(devices()[device]), Value()});
      return Submit(client, device, std::move(writes), Stage::kConfirmed, kNever, "");
    }
  }
}

void Simulation::Read(Random& random) {
  const auto refs =
      Resolve(world_.hub().cache(), {"*/*" + std::string(random.Chance(0.5) ? "e*" : "s*")});
  if (!refs.ok()) return;
  for (const ItemRef& ref : *refs) {
    const auto snapshot = world_.hub().cache().Snapshot(ref.device);
    const Reading reading = snapshot->Read(ref.item);
    checker().OnShown(ref.device, ref.item, reading, world_.QualityOf(reading), *snapshot);
  }
}

void Simulation::OpenWatch(Random& random) {
  const size_t device = AnyDevice(random);
  PromptWatch prompt{.device = device, .item = FamilyOf(device).LiveItem(devices()[device])};
  auto watch = world_.hub().watches().WatchItems({devices()[device].id + "/*"},
                                                 [ready = prompt.ready] { *ready = true; });
  if (!watch.ok()) return;
  prompt.watch = *std::move(watch);
  if (prompt_.size() >= 3) prompt_.erase(prompt_.begin());
  prompt_.push_back(std::move(prompt));
}

void Simulation::OpenStalledWatch(Random& random) {
  const int count = 1 + static_cast<int>(random.Below(5));
  for (int i = 0; i < count && stalled_.size() < 50; ++i) {
    auto watch = world_.hub().watches().WatchItems({"*/*"}, [] {});
    if (watch.ok()) stalled_.push_back(*std::move(watch));
    stalled_alarms_.push_back(world_.hub().alarms().Watch("", [] {}));
  }
  world_.SetStalledWatches(stalled_.size());
  After(random.Exponential(seconds(20)), [this] {
    stalled_.clear();
    stalled_alarms_.clear();
    world_.SetStalledWatches(0);
  });
}

void Simulation::AcquireLease(Random& random) {
  const size_t client_index = random.Below(clients_.size());
  Client& client = clients_[client_index];
  LeaseTable::AcquireRequest request{.caller = client.caller, .purpose = "a run"};
  std::vector<size_t> leased;
  for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
    const size_t device = AnyDevice(random);
    if (std::find(leased.begin(), leased.end(), device) != leased.end()) continue;
    leased.push_back(device);
    request.device_ids.push_back(devices()[device].id);
  }
  request.window = random.Between(Duration(milliseconds(150)),
                                  random.Chance(0.2) ? Duration(minutes(3)) : Duration(seconds(8)));
  if (random.Chance(0.3)) request.safe_action = FamilyOf(leased[0]).EmergencyOff().name;
  if (random.Chance(0.05)) request.safe_action = "hold";
  const absl::StatusOr<LeaseInfo> lease = world_.hub().leases().Acquire(request);
  world_.log().Text(clock().Now(), "lease " + request.device_ids[0] + " by " +
                                       client.caller.identity + ": " +
                                       absl::StatusCodeToString(lease.status().code()));
  if (!lease.ok()) return;
  GivenLease given{.lease_id = lease->lease_id,
                   .devices = leased,
                   .window = lease->window,
                   .expires = clock().Now() + *request.window};
  for (const size_t device : leased) {
    given.actions[device] = lease->safe_actions.at(devices()[device].id);
  }
  checker().OnLease(std::move(given));
  client.leases.push_back({lease->lease_id, leased, lease->window});
  // Kept alive for a while; then the client falls silent, or has released it before.
  KeepAlive(client_index, lease->lease_id, random.Below(12));
}

void Simulation::KeepAlive(size_t client_index, const std::string& lease_id, uint64_t beats_left) {
  Client& client = clients_[client_index];
  const auto lease = std::find_if(client.leases.begin(), client.leases.end(),
                                  [&](const LiveLease& l) { return l.id == lease_id; });
  if (lease == client.leases.end()) return;
  After(lease->window / 3 + Duration(static_cast<int64_t>(beats_left)),
        [this, client_index, lease_id, beats_left] {
          Client& holder = clients_[client_index];
          const auto held = std::find_if(holder.leases.begin(), holder.leases.end(),
                                         [&](const LiveLease& l) { return l.id == lease_id; });
          if (held == holder.leases.end()) return;  // silent, or released
          if (beats_left == 0) {
            holder.leases.erase(held);
            return;
          }
          if (world_.hub().leases().KeepAlive(holder.caller, lease_id).ok()) {
            checker().OnLeaseKept(lease_id);
            KeepAlive(client_index, lease_id, beats_left - 1);
          } else {
            checker().OnLeaseUnknown(lease_id);
            holder.leases.erase(held);
          }
        });
}

void Simulation::ReleaseLease(Random& random, bool silently) {
  Client& client = AnyClient(random);
  if (client.leases.empty()) return;
  const size_t which = random.Below(client.leases.size());
  const std::string id = client.leases[which].id;
  const bool safe_actions = random.Chance(0.3);
  client.leases.erase(client.leases.begin() + static_cast<ptrdiff_t>(which));
  if (silently) return;
  checker().OnLeaseReleasing(id);
  const absl::Status status = world_.hub().leases().Release(client.caller, id, safe_actions);
  world_.log().Text(clock().Now(),
                    std::string("lease released: ") + absl::StatusCodeToString(status.code()));
  if (status.ok()) {
    checker().OnLeaseReleased(id, safe_actions);
  } else {
    checker().OnLeaseUnknown(id);
  }
}

// More than a mailbox takes, and then the brake.
void Simulation::Burst(Random& random) {
  const size_t device = AnyDevice(random);
  const uint64_t count = 20 + random.Below(120);
  Client& client = clients_[random.Below(3)];
  for (uint64_t i = 0; i < count; ++i) {
    Submit(client, device, FamilyOf(device).MakeSetting(random, devices()[device]),
           Stage::kConfirmed, SomeDeadline(random), "");
  }
  if (random.Chance(0.6)) {
    const uint64_t other = random.Below(3);
    After(random.Between(Duration(0), Duration(milliseconds(30))), [this, device, other] {
      Submit(clients_[other], device, FamilyOf(device).EmergencyOff(), Stage::kConfirmed, kNever,
             "");
    });
  }
}

void Simulation::Refresh(Random& random) {
  const size_t device = AnyDevice(random);
  const auto snapshot = world_.hub().cache().Snapshot(Index(device));
  if (snapshot->items().size() == 0) return;
  std::vector<ItemId> items;
  for (int i = 0; i < 4; ++i) {
    items.push_back(static_cast<ItemId>(random.Below(snapshot->items().size())));
  }
  world_.hub().Refresh(Index(device), std::move(items), clock().Now() + seconds(1),
                       [](const absl::Status&) {});
}

void Simulation::Acknowledge(Random& random) {
  const std::vector<AlarmRecord> alarms = world_.hub().alarms().List({});
  if (alarms.empty()) return;
  // Not by their order, which is of wall times.
  std::vector<std::string> ids;
  for (const AlarmRecord& alarm : alarms) ids.push_back(alarm.id());
  std::sort(ids.begin(), ids.end());
  const std::string id = random.Pick(ids);
  const auto done = world_.hub().alarms().Acknowledge(clients_[0].caller, id, "seen");
  world_.log().Text(clock().Now(),
                    "acknowledge " + id + ": " + absl::StatusCodeToString(done.status().code()));
  if (done.ok()) checker().OnAcknowledged(id);
}

}  // namespace canhub::simulation
