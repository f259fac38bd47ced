#include "daemon/core/hub.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <set>
#include <utility>

#include "daemon/core/alarm_impl.h"
#include "daemon/core/bus_alarm.h"
#include "daemon/core/device_actor.h"
#include "daemon/core/device_values.h"
#include "daemon/core/gate_impl.h"
#include "daemon/core/lease_impl.h"
#include "daemon/core/ready_waiters.h"
#include "daemon/core/real_clock.h"
#include "daemon/core/step_thread.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr char kHousekeeping[] = "housekeeping";

// What Create cannot build a hub from. The configuration has been checked with file and line; this
// guards the other callers.
absl::Status CheckSetup(const std::vector<BusSetup>& buses, const std::vector<DeviceSetup>& devices,
                        const std::vector<DeviceGroup>& groups) {
  const auto wrong = [](const std::string& text, const std::string& id) {
    return MakeError(absl::StatusCode::kInvalidArgument, "WRONG_SETUP", text, {{"id", id}});
  };
  std::set<std::string> ids;
  std::set<std::string> bus_ids;
  for (const BusSetup& bus : buses) {
    if (bus.bus == nullptr) return wrong("bus " + bus.id + " has no CanBus", bus.id);
    if (!ids.insert(bus.id).second) return wrong("the id " + bus.id + " is there twice", bus.id);
    bus_ids.insert(bus.id);
  }
  for (const DeviceSetup& device : devices) {
    const std::string& id = device.config.id;
    if (!ids.insert(id).second) return wrong("the id " + id + " is there twice", id);
    if (device.driver == nullptr) return wrong("device " + id + " has no driver", id);
    if (!bus_ids.contains(device.bus_id)) {
      return wrong("device " + id + ": there is no bus \"" + device.bus_id + "\"", id);
    }
    if (!(device.poll_weight > 0)) {
      return wrong("device " + id + ": found a poll weight of " +
                       std::to_string(device.poll_weight) + ", expected more than 0",
                   id);
    }
  }
  for (const DeviceGroup& group : groups) {
    for (const std::string& id : group.device_ids) {
      if (!ids.contains(id) || bus_ids.contains(id)) {
        return wrong("group " + group.id + ": there is no device \"" + id + "\"", id);
      }
    }
  }
  return absl::OkStatus();
}

class HubImpl final : public Hub {
 public:
  HubImpl(const Clock* clock, AuditLog* audit, AlarmStore* alarm_store, HubOptions options,
          std::unique_ptr<DeviceValues> values, std::vector<BusSetup> buses,
          std::vector<DeviceSetup> devices);
  ~HubImpl() override;

  std::vector<Steppable*> Steppables() override;
  absl::Status StartThreads() override;
  std::vector<std::string> Shutdown(Duration timeout) override;
  std::vector<std::string> HungDevices(Duration longer_than) const override;
  std::vector<std::string> HungThreads(Duration longer_than) const override;

  const Clock& clock() const override { return *clock_; }
  StateCache& cache() override { return cache_; }
  WatchHub& watches() override { return *watches_; }
  CommandGate& gate() override { return *gate_; }
  LeaseTable& leases() override { return *leases_; }
  AlarmBook& alarms() override { return *alarms_; }
  AuditLog& audit() override { return *audit_; }
  InterlockTable* interlocks() override { return interlocks_.get(); }

  std::vector<DeviceView> devices() const override;
  std::optional<DeviceView> FindDevice(std::string_view device_id) const override;
  DeviceCounters Counters(DeviceIndex device) const override;
  const std::vector<DeviceGroup>& groups() const override { return options_.groups; }
  std::vector<const BusSetup*> buses() const override;
  const BusSetup* FindBus(std::string_view bus_id) const override;

  absl::Status RestartDevice(std::string_view device_id) override;
  void Refresh(DeviceIndex device, std::vector<ItemId> items, MonoTime deadline,
               absl::AnyInvocable<void(absl::Status)> done) override;
  void WaitReady(MonoTime deadline,
                 absl::AnyInvocable<void(std::vector<std::string>)> ready) override;

  void SetAccess(AccessRules access) override;
  Role RoleOf(std::string_view identity) const override;
  void UpdateDevice(const std::string& device_id, DeviceConfig config, std::string on_lease_lost,
                    std::string on_shutdown, bool require_lease) override;

 private:
  struct Device {
    std::unique_ptr<DeviceActor> actor;
    // Under setups_mutex_. Versions are kept: a DeviceView points to one, and reloads are rare.
    std::deque<DeviceSetup> setups;
  };

  void TellGate(DeviceIndex index, const DeviceSetup& setup);
  DeviceView ViewOf(DeviceIndex index) const;
  // Of a device that has an actor.
  std::optional<DeviceIndex> IndexOf(std::string_view device_id) const {
    const std::optional<DeviceIndex> index = cache_.FindDevice(device_id);
    return index && *index < devices_.size() ? index : std::nullopt;
  }
  bool running() const { return !device_threads_.empty() || !threads_.empty(); }
  // Ends the drivers on their threads, while the buses still carry their last frames.
  void TakeLeave();
  void StopThreads();

  const Clock* const clock_;
  AuditLog* const audit_;
  const HubOptions options_;
  const std::vector<BusSetup> buses_;

  mutable std::mutex access_mutex_;
  std::shared_ptr<const AccessRules> access_;

  // Destroyed in the reverse order, after the threads: leases and gate call actors; actors'
  // callbacks end in the gate's record and the alarms.
  StateCache cache_;
  const CacheReadings readings_{&cache_};
  const std::unique_ptr<DeviceValues> values_;
  std::unique_ptr<WatchHub> watches_;
  std::unique_ptr<AlarmBook> alarms_;
  std::unique_ptr<BusAlarms> bus_alarms_;
  std::unique_ptr<ReadyWaiters> waiters_;
  mutable std::mutex setups_mutex_;
  std::vector<Device> devices_;
  std::unique_ptr<HubGate> gate_;
  std::unique_ptr<LeaseTable> leases_;
  std::unique_ptr<GroupGuard> groups_;
  std::unique_ptr<InterlockTable> interlocks_;

  std::vector<std::unique_ptr<StepThread>> device_threads_;  // by device
  std::vector<std::unique_ptr<StepThread>> threads_;
};

HubImpl::HubImpl(const Clock* clock, AuditLog* audit, AlarmStore* alarm_store, HubOptions options,
                 std::unique_ptr<DeviceValues> values, std::vector<BusSetup> buses,
                 std::vector<DeviceSetup> devices)
    : clock_(clock),
      audit_(audit),
      options_(std::move(options)),
      buses_(std::move(buses)),
      access_(std::make_shared<const AccessRules>(options_.access)),
      cache_(*clock),
      values_(std::move(values)) {
  for (const DeviceSetup& device : devices) cache_.AddDevice(device.config.id);
  // Has readings, and is nobody's device: it comes behind them all.
  const DeviceIndex safety = options_.interlocks ? cache_.AddDevice(kSafetyDevice) : 0;
  watches_ = std::make_unique<WatchHub>(&cache_);
  alarms_ = MakeAlarmBook(clock, alarm_store, audit);
  bus_alarms_ = std::make_unique<BusAlarms>(alarms_.get());
  for (const BusSetup& bus : buses_) bus_alarms_->Add(bus.id, bus.bus.get());
  waiters_ = std::make_unique<ReadyWaiters>(&cache_, watches_.get());
  gate_ = MakeCommandGate({.clock = clock, .cache = &cache_, .audit = audit});

  // By bus and group.
  std::map<std::pair<std::string, std::string>, std::shared_ptr<TurnQueue>> turns;
  std::map<std::string, double> weights;  // by bus
  for (const DeviceSetup& device : devices) weights[device.bus_id] += device.poll_weight;
  devices_.resize(devices.size());
  for (DeviceIndex i = 0; i < devices.size(); ++i) {
    DeviceSetup& setup = devices[i];
    const BusSetup& bus = *FindBus(setup.bus_id);
    DeviceActor::Options actor;
    actor.clock = clock;
    actor.driver = setup.driver;
    actor.config = setup.config;
    actor.bus_info = {.id = bus.id,
                      .bitrate = bus.bitrate,
                      .poll_share = bus.max_load * setup.poll_weight / weights[bus.id],
                      .simulated = bus.simulated || setup.simulated};
    actor.writer = cache_.Writer(i);
    actor.alarms = alarms_.get();
    actor.log = options_.log;
    actor.readings = &readings_;
    actor.values = values_.get();
    if (setup.driver->turn_group != nullptr) {
      std::shared_ptr<TurnQueue>& queue = turns[{bus.id, setup.driver->turn_group(setup.config)}];
      if (queue == nullptr) queue = std::make_shared<TurnQueue>(clock);
      actor.turns = queue;
    }
    devices_[i].actor = std::make_unique<DeviceActor>(std::move(actor), bus.bus.get());
    devices_[i].setups.push_back(std::move(setup));
    TellGate(i, devices_[i].setups.back());
  }
  for (const BusSetup& bus : buses_) gate_->AddBus(bus.id, bus.bus.get());
  leases_ = MakeLeaseTable(
      {.clock = clock, .gate = gate_.get(), .audit = audit, .alarms = alarms_.get()});
  groups_ = std::make_unique<GroupGuard>(options_.groups, alarms_.get(), gate_.get());
  if (!options_.interlocks) return;
  InterlockDependencies interlocks{.clock = clock,
                                   .cache = &cache_,
                                   .writer = cache_.Writer(safety),
                                   .gate = gate_.get(),
                                   .alarms = alarms_.get(),
                                   .audit = audit,
                                   .values = values_.get()};
  for (const BusSetup& bus : buses_) interlocks.buses.emplace_back(bus.id, bus.bus.get());
  for (const Device& device : devices_) {
    const DeviceSetup& setup = device.setups.back();
    interlocks.bus_of[setup.config.id] = setup.bus_id;
  }
  interlocks_ = options_.interlocks(std::move(interlocks));
}

HubImpl::~HubImpl() {
  StopThreads();
  interlocks_.reset();
  groups_.reset();
  leases_.reset();
  gate_->DetachBuses();
  gate_.reset();
  for (Device& device : devices_) device.actor.reset();
  values_->WriteRest();
  waiters_.reset();
  bus_alarms_.reset();
}

void HubImpl::TellGate(DeviceIndex index, const DeviceSetup& setup) {
  auto device = std::make_shared<GatedDevice>();
  device->index = index;
  device->config = setup.config;
  device->driver = setup.driver;
  device->bus_id = setup.bus_id;
  device->on_lease_lost = setup.on_lease_lost;
  device->require_lease = setup.require_lease;
  device->target = devices_[index].actor.get();
  gate_->SetDevice(std::move(device));
}

// ---------------------------------------------------------------- running

std::vector<Steppable*> HubImpl::Steppables() {
  std::vector<Steppable*> steps;
  for (Device& device : devices_) steps.push_back(device.actor.get());
  for (Steppable* step : std::initializer_list<Steppable*>{
           watches_.get(), waiters_.get(), leases_.get(), groups_.get(), gate_.get(), values_.get(),
           bus_alarms_.get(), alarms_.get()}) {
    steps.push_back(step);
  }
  // As soon as the devices: what it reads is theirs.
  if (interlocks_ != nullptr) {
    steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(devices_.size()), interlocks_.get());
  }
  return steps;
}

absl::Status HubImpl::StartThreads() {
  const auto start = [&](std::vector<std::unique_ptr<StepThread>>& threads, const std::string& name,
                         std::vector<Steppable*> steps, int priority) {
    absl::StatusOr<std::unique_ptr<StepThread>> thread =
        StepThread::Start(clock_, std::move(steps), {name, priority});
    if (thread.ok()) threads.push_back(*std::move(thread));
    return thread.status();
  };
  // Leases as urgent as devices: a safe action waits for its lease to lapse (S05).
  const int realtime = options_.realtime_priority;
  absl::Status status = start(threads_, "watches", {watches_.get(), waiters_.get()}, 0);
  if (status.ok()) status = start(threads_, "leases", {leases_.get()}, realtime);
  if (status.ok() && interlocks_ != nullptr) {
    status = start(threads_, "interlocks", {interlocks_.get()}, realtime);
  }
  if (status.ok() && !options_.groups.empty()) {
    status = start(threads_, "groups", {groups_.get()}, realtime);
  }
  if (status.ok()) {
    // Alarms go to the disk: nothing that is urgent stands behind them.
    status = start(threads_, kHousekeeping,
                   {bus_alarms_.get(), gate_.get(), values_.get(), alarms_.get()}, 0);
  }
  for (size_t i = 0; status.ok() && i < devices_.size(); ++i) {
    status = start(device_threads_, devices_[i].actor->id(), {devices_[i].actor.get()}, realtime);
  }
  if (!status.ok()) StopThreads();
  return status;
}

void HubImpl::StopThreads() {
  device_threads_.clear();
  threads_.clear();
}

void HubImpl::TakeLeave() {
  if (device_threads_.empty()) return;
  // An actor that hangs does not hold up the end of the daemon.
  constexpr Duration kRetireTime = std::chrono::milliseconds(500);
  // Log-off is one frame a device: a hundred of them on the slowest line.
  constexpr Duration kLastFrames = std::chrono::milliseconds(100);
  struct Leave {
    std::atomic<size_t> open;
    Doorbell changed;
  };
  const auto leave = std::make_shared<Leave>();
  leave->open = devices_.size();
  for (Device& device : devices_) {
    device.actor->PostRetire([leave] {
      leave->open.fetch_sub(1);
      leave->changed.Ring();
    });
  }
  const MonoTime deadline = clock_->Now() + kRetireTime;
  while (leave->open.load() > 0 && leave->changed.WaitUntil(deadline)) {
  }
  Doorbell nobody_rings;
  nobody_rings.WaitUntil(clock_->Now() + kLastFrames);
}

std::vector<std::string> HubImpl::Shutdown(Duration timeout) {
  // Callbacks may come after the time is over.
  struct Safe {
    std::mutex mutex;
    std::vector<std::pair<std::string, std::string>> open;  // device, action
    std::vector<std::string> failed;
    Doorbell changed;
  };
  const auto safe = std::make_shared<Safe>();
  for (const DeviceView& device : devices()) {
    const std::string& action = device.setup->on_shutdown;
    if (!action.empty() && action != kHoldAction) {
      safe->open.emplace_back(device.setup->config.id, action);
    }
  }
  // All at once: the slowest ramp is waited for, not the sum of them. A copy: callbacks of refused
  // ones come at once.
  const auto wanted = safe->open;
  for (const auto& [device_id, action] : wanted) {
    gate_->SubmitSafeAction(
        device_id, action, "the daemon stops", [safe, id = device_id](CommandResult result) {
          {
            const std::lock_guard lock(safe->mutex);
            const auto it = std::find_if(safe->open.begin(), safe->open.end(),
                                         [&](const auto& open) { return open.first == id; });
            if (it == safe->open.end()) return;
            if (!result.status.ok()) {
              safe->failed.push_back(id + ": " + it->second + ": " +
                                     std::string(result.status.message()));
            }
            safe->open.erase(it);
          }
          safe->changed.Ring();
        });
  }

  const auto all_ended = [&] {
    const std::lock_guard lock(safe->mutex);
    return safe->open.empty();
  };
  const MonoTime deadline = clock_->Now() + timeout;
  if (running()) {
    while (!all_ended() && safe->changed.WaitUntil(deadline)) {
    }
  } else {
    // Stepped by hand: the clock stands still here, so that one turn of all does what can be done.
    for (Steppable* step : Steppables()) step->RunUntil(clock_->Now());
  }
  std::vector<std::string> lines;
  {
    // What ends from here on ends because the daemon does.
    const std::lock_guard lock(safe->mutex);
    lines = safe->failed;
    for (const auto& [device_id, action] : safe->open) {
      lines.push_back(
          device_id + ": " + action + ": not done within " +
          std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count()) +
          " ms");
    }
    safe->open.clear();
  }
  TakeLeave();
  StopThreads();
  return lines;
}

std::vector<std::string> HubImpl::HungDevices(Duration longer_than) const {
  std::vector<std::string> hung;
  const MonoTime now = clock_->Now();
  for (size_t i = 0; i < device_threads_.size(); ++i) {
    if (device_threads_[i]->Overdue(now) > longer_than) hung.push_back(devices_[i].actor->id());
  }
  return hung;
}

std::vector<std::string> HubImpl::HungThreads(Duration longer_than) const {
  std::vector<std::string> hung;
  const MonoTime now = clock_->Now();
  for (const auto& thread : threads_) {
    if (thread->name() == kHousekeeping) continue;  // waits for the disk
    if (thread->Overdue(now) > longer_than) hung.push_back(thread->name());
  }
  return hung;
}

// ---------------------------------------------------------------- what there is

Hub::DeviceView HubImpl::ViewOf(DeviceIndex index) const {
  const std::lock_guard lock(setups_mutex_);
  return {index, &devices_[index].setups.back()};
}

std::vector<Hub::DeviceView> HubImpl::devices() const {
  std::vector<DeviceView> views;
  for (DeviceIndex i = 0; i < devices_.size(); ++i) views.push_back(ViewOf(i));
  return views;
}

std::optional<Hub::DeviceView> HubImpl::FindDevice(std::string_view device_id) const {
  const std::optional<DeviceIndex> index = IndexOf(device_id);
  if (!index) return std::nullopt;
  return ViewOf(*index);
}

DeviceCounters HubImpl::Counters(DeviceIndex device) const {
  if (device >= devices_.size()) return {};
  const DeviceActor& actor = *devices_[device].actor;
  DeviceCounters counters = actor.Counters();
  counters.commands_refused += gate_->Counters(actor.id()).refused;
  return counters;
}

std::vector<const BusSetup*> HubImpl::buses() const {
  std::vector<const BusSetup*> buses;
  for (const BusSetup& bus : buses_) buses.push_back(&bus);
  return buses;
}

const BusSetup* HubImpl::FindBus(std::string_view bus_id) const {
  for (const BusSetup& bus : buses_) {
    if (bus.id == bus_id) return &bus;
  }
  return nullptr;
}

// ---------------------------------------------------------------- acts

absl::Status HubImpl::RestartDevice(std::string_view device_id) {
  const std::optional<DeviceIndex> index = IndexOf(device_id);
  if (!index) return NoSuchDevice(cache_, std::string(device_id));
  return devices_[*index].actor->PostRestart();
}

void HubImpl::Refresh(DeviceIndex device, std::vector<ItemId> items, MonoTime deadline,
                      absl::AnyInvocable<void(absl::Status)> done) {
  // What the safety system says is always fresh.
  if (device >= devices_.size()) return done(absl::OkStatus());
  devices_[device].actor->PostRefresh(std::move(items), deadline, std::move(done));
}

void HubImpl::WaitReady(MonoTime deadline,
                        absl::AnyInvocable<void(std::vector<std::string>)> ready) {
  waiters_->Add(deadline, std::move(ready));
}

void HubImpl::SetAccess(AccessRules access) {
  auto rules = std::make_shared<const AccessRules>(std::move(access));
  const std::lock_guard lock(access_mutex_);
  access_ = std::move(rules);
}

Role HubImpl::RoleOf(std::string_view identity) const {
  std::shared_ptr<const AccessRules> rules;
  {
    const std::lock_guard lock(access_mutex_);
    rules = access_;
  }
  return rules->RoleOf(identity);
}

void HubImpl::UpdateDevice(const std::string& device_id, DeviceConfig config,
                           std::string on_lease_lost, std::string on_shutdown, bool require_lease) {
  const std::optional<DeviceIndex> index = IndexOf(device_id);
  if (!index) return;
  Device& device = devices_[*index];
  {
    const std::lock_guard lock(setups_mutex_);
    DeviceSetup setup = device.setups.back();
    setup.config = config;
    setup.on_lease_lost = std::move(on_lease_lost);
    setup.on_shutdown = std::move(on_shutdown);
    setup.require_lease = require_lease;
    device.setups.push_back(std::move(setup));
    // The gate first: from here on it refuses what the new limits forbid.
    TellGate(*index, device.setups.back());
  }
  device.actor->PostConfig(std::move(config));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Hub>> Hub::Create(const Clock* clock, AuditLog* audit,
                                                 AlarmStore* alarm_store, HubOptions options,
                                                 std::vector<BusSetup> buses,
                                                 std::vector<DeviceSetup> devices) {
  if (absl::Status status = CheckSetup(buses, devices, options.groups); !status.ok()) return status;
  // Before the first actor: who has forgotten what it counted must not start to count anew.
  auto values = std::make_unique<DeviceValues>(options.device_values);
  if (absl::Status status = values->Load(); !status.ok()) {
    return Annotate(status, "what drivers kept in earlier runs cannot be read: ");
  }
  return std::make_unique<HubImpl>(clock, audit, alarm_store, std::move(options), std::move(values),
                                   std::move(buses), std::move(devices));
}

}  // namespace canhub
