#include "tests/simulation/simulation.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <queue>
#include <utility>

#include "daemon/core/item_pattern.h"
#include "tests/simulation/random.h"
#include "tests/simulation/world.h"

namespace canhub::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

struct LiveLease {
  std::string id;
  std::vector<size_t> devices;
  Duration window{};
};

struct Client {
  Caller caller;
  std::vector<LiveLease> leases;
};

// A watch that is drained as soon as it asks for it.
struct PromptWatch {
  size_t device = 0;
  std::string item;
  std::unique_ptr<Watch> watch;
  std::shared_ptr<bool> ready = std::make_shared<bool>(true);
  MonoTime shown_change{};  // of the reading that it showed last
  MonoTime behind_since = kNever;
  uint64_t generation = ~uint64_t{0};
  std::optional<ItemId> id;
};

Duration PollOf(const RunOptions& options) {
  if (options.poll) return *options.poll;
  Random random(Mix(options.seed, HashText("poll")));
  // Labs that look rarely are cheap to simulate for long; some look as often as the real ones.
  return random.Chance(0.15)  ? Duration(seconds(1))
         : random.Chance(0.4) ? Duration(seconds(10))
                              : Duration(seconds(30));
}

// A state directory of its own, empty at the start and gone at the end.
class StateDirectory {
 public:
  explicit StateDirectory(const RunOptions& options) {
    if (!options.real_store) return;
    const auto folder =
        std::filesystem::path(options.scratch) / ("lab-" + std::to_string(options.seed));
    std::filesystem::create_directories(options.scratch);
    path_ = folder.string();
    std::filesystem::remove_all(path_);
  }
  ~StateDirectory() {
    if (!path_.empty()) std::filesystem::remove_all(path_);
  }
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Simulation {
 public:
  explicit Simulation(const RunOptions& options)
      : options_(options),
        directory_(options),
        family_(options.family != nullptr ? *options.family : PickFamily(options.seed)),
        world_(PlanLab(family_, options.seed, PollOf(options), directory_.path()),
               options.doubles) {
    clients_ = {{{"unix:uid=1000(alice)", Role::kOperator}, {}},
                {{"unix:uid=1001(bob)", Role::kOperator}, {}},
                {{"cert:CN=eve", Role::kEngineer}, {}},
                {{"tcp:127.0.0.1", Role::kViewer}, {}}};
    world_.SetAfterStep([this] { AfterStep(); });
  }
  ~Simulation() { DropWatches(); }

  RunResult Run();

 private:
  static const Family& PickFamily(uint64_t seed) {
    const auto families = Families();
    return *families[Mix(seed, HashText("family")) % families.size()];
  }

  struct Later {
    MonoTime at;
    uint64_t order;
    std::function<void()> what;
    bool operator>(const Later& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };
  void After(Duration delay, std::function<void()> what) {
    later_.push({clock().Now() + delay, ++order_, std::move(what)});
  }

  SimulatedClock& clock() { return world_.clock(); }
  Checker& checker() { return world_.checker(); }
  const std::vector<PlannedDevice>& devices() const { return world_.plan().devices; }
  size_t AnyDevice(Random& random) const { return random.Below(devices().size()); }
  Client& AnyClient(Random& random) { return clients_[random.Below(clients_.size())]; }
  DeviceIndex Index(size_t device) const { return static_cast<DeviceIndex>(device); }

  void DoEvent(uint64_t index);
  void AfterStep();
  void DropWatches();
  void Sample();

  // What clients do.
  void Submit(Client& client, size_t device, Act act, Stage wait_for, MonoTime deadline,
              std::string request_id);
  void SendFrame(Client& client, size_t bus, const CanFrame& frame, Stage wait_for,
                 MonoTime deadline);
  MonoTime SomeDeadline(Random& random);
  Stage SomeStage(Random& random);
  void Set(Random& random);
  void Forbidden(Random& random);
  void Nonsense(Random& random);
  void Read(Random& random);
  void OpenWatch(Random& random);
  void OpenStalledWatch(Random& random);
  void AcquireLease(Random& random);
  void KeepAlive(size_t client, const std::string& lease_id, uint64_t beats_left);
  void ReleaseLease(Random& random, bool silently);
  void Burst(Random& random);
  void Refresh(Random& random);
  void Acknowledge(Random& random);
  // What goes wrong.
  void InjectFault(size_t device, Family::Fault fault, Duration for_time);
  void Pause(Random& random);
  void BreakBus(Random& random);
  void Kill(Random& random);
  void Reload(Random& random);
  void HealAll();

  const RunOptions& options_;
  const StateDirectory directory_;
  const Family& family_;
  World world_;
  std::vector<Client> clients_;
  std::priority_queue<Later, std::vector<Later>, std::greater<>> later_;
  uint64_t order_ = 0;
  std::vector<PromptWatch> prompt_;
  std::vector<std::unique_ptr<Watch>> stalled_;
  std::vector<std::unique_ptr<AlarmWatch>> stalled_alarms_;
  std::vector<uint64_t> done_;
  size_t sampled_device_ = 0;
  ItemId sampled_item_ = 0;
};

RunResult Simulation::Run() {
  const MonoTime start = world_.start();
  const Duration length = std::min(options_.length, family_.LongestRun());
  const MonoTime end = start + length;
  // As many times of rest in a short run as in a long one.
  const Duration idle = length < options_.length ? length / 10 : options_.idle;
  MonoTime next = start + seconds(5);
  uint64_t index = 0;
  uint64_t left = 40;  // events until everybody rests
  while (clock().Now() < end && !checker().violation()) {
    const bool event = later_.empty() || next <= later_.top().at;
    const MonoTime at = std::min(end, event ? next : later_.top().at);
    world_.RunUntil(at);
    if (checker().violation() || at >= end) break;
    if (!event) {
      const auto what = later_.top().what;
      later_.pop();
      what();
      continue;
    }
    if (!options_.skip.contains(index)) {
      DoEvent(index);
      done_.push_back(index);
    }
    // Drawn for itself, so that leaving out an event moves no other.
    Random gap(Mix(Mix(options_.seed, HashText("gap")), index));
    if (--left > 0) {
      next += gap.Exponential(milliseconds(gap.Chance(0.3) ? 20 : 1200));
    } else {
      HealAll();
      next += seconds(60) + gap.Exponential(idle);
      left = 20 + gap.Below(60);
    }
    ++index;
  }
  RunResult result{.violation = checker().violation(),
                   .last = world_.log().Last(start, 40),
                   .hash = world_.log().hash(),
                   .simulated = clock().Now() - start,
                   .frames = checker().frames(),
                   .acts = checker().acts(),
                   .given = checker().given_count(),
                   .steps = world_.steps(),
                   .lives = world_.life(),
                   .events = done_,
                   .config = world_.plan().config};
  return result;
}

void Simulation::DoEvent(uint64_t index) {
  Random random(Mix(Mix(options_.seed, HashText("event")), index));
  const Weights& w = options_.weights;
  const size_t device = AnyDevice(random);
  const std::pair<double, std::function<void()>> choices[] = {
      {w.set, [&] { Set(random); }},
      {w.act,
       [&] {
         Submit(AnyClient(random), device, family_.MakeAct(random, devices()[device]),
                SomeStage(random), SomeDeadline(random), "");
       }},
      {w.forbidden, [&] { Forbidden(random); }},
      {w.nonsense, [&] { Nonsense(random); }},
      {w.read, [&] { Read(random); }},
      {w.watch, [&] { OpenWatch(random); }},
      {w.stalled_watch, [&] { OpenStalledWatch(random); }},
      {w.lease, [&] { AcquireLease(random); }},
      {w.release, [&] { ReleaseLease(random, false); }},
      {w.fall_silent, [&] { ReleaseLease(random, true); }},
      {w.emergency,
       [&] {
         Submit(clients_[random.Below(3)], device, family_.EmergencyOff(), Stage::kConfirmed,
                kNever, "");
       }},
      {w.burst, [&] { Burst(random); }},
      {w.raw,
       [&] {
         SendFrame(clients_[2], random.Below(world_.plan().buses.size()),
                   family_.MakeRawFrame(random, devices()[device]),
                   random.Chance(0.5) ? Stage::kOnWire : Stage::kSent, SomeDeadline(random));
       }},
      {w.fault,
       [&] {
         InjectFault(device, family_.MakeFault(random, devices()[device]),
                     random.Exponential(seconds(15)));
       }},
      {w.malformed,
       [&] { InjectFault(device, family_.Malformation(random), random.Exponential(seconds(8))); }},
      {w.silence, [&] { InjectFault(device, family_.Silence(), random.Exponential(seconds(30))); }},
      {w.weather,
       [&] {
         const size_t bus = random.Below(world_.plan().buses.size());
         const double bad = random.Chance(0.3) ? 0.3 : 0.03;
         world_.SetWeather(bus, {.lose = random.Unit() * bad,
                                 .repeat = random.Unit() * bad,
                                 .garble = random.Unit() * bad,
                                 .delay = random.Unit() * bad});
         After(random.Exponential(seconds(10)), [this, bus] { world_.SetWeather(bus, {}); });
       }},
      {w.bus, [&] { BreakBus(random); }},
      {w.wall_jump,
       [&] {
         const Duration by = seconds(static_cast<int64_t>(random.Below(2'000'000)) - 1'000'000);
         checker().OnWallJump();
         if (!options_.no_wall_jumps) clock().JumpWall(by);
       }},
      {w.pause, [&] { Pause(random); }},
      {w.disk,
       [&] {
         world_.SetDiskFull(true);
         After(random.Exponential(seconds(5)), [this] { world_.SetDiskFull(false); });
       }},
      {w.kill, [&] { Kill(random); }},
      {w.restart,
       [&] {
         const absl::Status status = world_.hub().RestartDevice(devices()[device].id);
         world_.log().Text(clock().Now(), "restart " + devices()[device].id + ": " +
                                              absl::StatusCodeToString(status.code()));
       }},
      {w.reload, [&] { Reload(random); }},
      {w.acknowledge, [&] { Acknowledge(random); }},
      {w.recover,
       [&] {
         for (Act& act : family_.Recovery(devices()[device])) {
           Submit(clients_[random.Below(3)], device, std::move(act), Stage::kConfirmed, kNever, "");
         }
       }},
      {w.refresh, [&] { Refresh(random); }},
  };
  double sum = 0;
  for (const auto& [weight, what] : choices) sum += weight;
  double at = random.Unit() * sum;
  for (const auto& [weight, what] : choices) {
    if ((at -= weight) >= 0) continue;
    what();
    return;
  }
}

// ---------------------------------------------------------------- after every step

void Simulation::AfterStep() {
  if (!world_.alive()) return;
  Sample();
  for (PromptWatch& prompt : prompt_) {
    const auto snapshot = world_.hub().cache().Snapshot(Index(prompt.device));
    if (snapshot->generation() != prompt.generation) {
      prompt.generation = snapshot->generation();
      prompt.id = snapshot->items().Find(prompt.item);
    }
    if (*prompt.ready) {
      *prompt.ready = false;
      // Until it is empty: only then it asks again.
      for (WatchBatch batch = prompt.watch->Drain(); !batch.items.empty();
           batch = prompt.watch->Drain()) {
        for (const WatchBatch::Entry& entry : batch.items) {
          if (entry.snapshot->generation() != prompt.generation || entry.ref.item != prompt.id) {
            continue;
          }
          prompt.shown_change = entry.snapshot->Read(entry.ref.item).change_time;
        }
      }
    }
    if (!prompt.id) continue;
    const Reading reading = snapshot->Read(*prompt.id);
    if (reading.change_time == prompt.shown_change || reading.quality == Quality::kNeverRead) {
      prompt.behind_since = kNever;
    } else if (prompt.behind_since == kNever) {
      prompt.behind_since = clock().Now();
    } else {
      checker().OnWatchLag(prompt.device, clock().Now() - prompt.behind_since);
    }
  }
}

// A look at two readings after every step: all are looked at in turn.
void Simulation::Sample() {
  for (int i = 0; i < 2; ++i) {
    const auto snapshot = world_.hub().cache().Snapshot(Index(sampled_device_));
    if (sampled_item_ >= snapshot->items().size()) {
      sampled_item_ = 0;
      sampled_device_ = (sampled_device_ + 1) % devices().size();
      continue;
    }
    const Reading reading = snapshot->Read(sampled_item_);
    checker().OnShown(sampled_device_, sampled_item_, reading, world_.QualityOf(reading),
                      *snapshot);
    ++sampled_item_;
  }
}

void Simulation::DropWatches() {
  prompt_.clear();
  stalled_.clear();
  stalled_alarms_.clear();
}

// ---------------------------------------------------------------- what clients do

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
    for (const ActionSpec& spec : family_.driver().actions) {
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
  Submit(AnyClient(random), device, family_.MakeSetting(random, devices()[device]),
         SomeStage(random), SomeDeadline(random),
         random.Chance(0.2) ? "r" + std::to_string(random.Below(20)) : "");
}

void Simulation::Forbidden(Random& random) {
  const size_t device = AnyDevice(random);
  Submit(AnyClient(random), device, family_.MakeForbidden(random, devices()[device]),
         SomeStage(random), SomeDeadline(random), "");
}

void Simulation::Nonsense(Random& random) {
  const size_t device = AnyDevice(random);
  Client& client = AnyClient(random);
  switch (random.Below(7)) {
    case 0:  // too late already
      return Submit(client, device, family_.MakeSetting(random, devices()[device]),
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
      std::vector<NamedWrite> writes(1100,
                                     NamedWrite{family_.LiveItem(devices()[device]), Value()});
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
  PromptWatch prompt{.device = device, .item = family_.LiveItem(devices()[device])};
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
  if (random.Chance(0.3)) request.safe_action = family_.EmergencyOff().name;
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
    Submit(client, device, family_.MakeSetting(random, devices()[device]), Stage::kConfirmed,
           SomeDeadline(random), "");
  }
  if (random.Chance(0.6)) {
    const uint64_t other = random.Below(3);
    After(random.Between(Duration(0), Duration(milliseconds(30))), [this, device, other] {
      Submit(clients_[other], device, family_.EmergencyOff(), Stage::kConfirmed, kNever, "");
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

// ---------------------------------------------------------------- what goes wrong

void Simulation::InjectFault(size_t device, Family::Fault fault, Duration for_time) {
  const absl::Status status = world_.simulator(device).InjectFault(fault.name, fault.arguments);
  world_.log().Text(clock().Now(), devices()[device].id + " fault " + fault.name + ": " +
                                       absl::StatusCodeToString(status.code()));
  if (!status.ok()) return;
  if (fault.name == family_.Silence().name) world_.SetMute(device, true);
  After(for_time, [this, device, name = fault.name] {
    world_.simulator(device).ClearFaults(name).status().IgnoreError();
    world_.log().Text(clock().Now(), devices()[device].id + " without fault " + name);
    if (name == family_.Silence().name) world_.SetMute(device, false);
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
    for (Act& act : family_.Recovery(devices()[device])) {
      Submit(clients_[2], device, std::move(act), Stage::kConfirmed, kNever, "");
    }
  }
  prompt_.clear();
}

}  // namespace

RunResult Simulate(const RunOptions& options) {
  Simulation simulation(options);
  return simulation.Run();
}

RunOptions Shrink(RunOptions options, const RunResult& failed, int tries) {
  // Nothing after the failure matters; then groups of events are left out, halves first.
  options.length = failed.simulated + std::chrono::milliseconds(1);
  std::vector<uint64_t> kept = failed.events;
  for (size_t group = std::max<size_t>(1, kept.size() / 2); group >= 1 && tries > 0; group /= 2) {
    for (size_t from = 0; from < kept.size() && tries > 0;) {
      RunOptions shorter = options;
      const size_t to = std::min(kept.size(), from + group);
      for (size_t i = from; i < to; ++i) shorter.skip.insert(kept[i]);
      --tries;
      const RunResult result = Simulate(shorter);
      if (result.violation && result.violation->invariant == failed.violation->invariant) {
        options = shorter;
        options.length = result.simulated + std::chrono::milliseconds(1);
        kept.erase(kept.begin() + static_cast<ptrdiff_t>(from),
                   kept.begin() + static_cast<ptrdiff_t>(to));
      } else {
        from += group;
      }
    }
  }
  return options;
}

std::string Report(const RunOptions& options, const RunResult& result) {
  std::string text = "seed " + std::to_string(options.seed);
  if (result.violation) {
    text += ": " + result.violation->invariant + " is broken: " + result.violation->text;
  }
  text += "\n" + result.config + "events:";
  for (const uint64_t event : result.events) text += " " + std::to_string(event);
  text += "\nthe last of what happened (<- the daemon sends, -> it is sent to):\n";
  for (const std::string& line : result.last) text += line + "\n";
  return text;
}

}  // namespace canhub::simulation
