#include "tests/simulation/world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "daemon/config/loader.h"
#include "drivers/all_drivers.h"

namespace canhub::simulation {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr char kDaemonNode[] = "canhubd";
constexpr char kDevicesNode[] = "devices";
// Small, so that a burst can fill it.
constexpr JournalOptions kJournal = {.capacity = size_t{256} << 10, .reserve = size_t{64} << 10};

[[noreturn]] void Broken(const std::string& text) {
  std::fprintf(stderr, "simulation: the harness is broken: %s\n", text.c_str());
  std::abort();
}

}  // namespace

LabPlan PlanLab(const std::vector<const Family*>& families, uint64_t seed, Duration poll,
                std::string directory) {
  LabPlan plan{.directory = std::move(directory), .seed = seed};
  Random random(Mix(seed, HashText("plan")));
  plan.config = "buses:\n";
  std::string devices;
  for (const Family* family : families) {
    std::vector<std::string> buses;
    for (uint64_t count = 1 + random.Below(2); count > 0; --count) {
      buses.push_back("line" + std::to_string(plan.buses.size()));
      plan.buses.push_back(buses.back());
      plan.families.push_back(family);
      plan.bitrates.push_back(random.Chance(0.7) ? 125000 : 250000);
      plan.config += "  " + buses.back() +
                     ": {type: simulated, bitrate: " + std::to_string(plan.bitrates.back()) + "}\n";
    }
    for (PlannedDevice& device : family->PlanDevices(random, buses, poll)) {
      device.family = family;
      devices += "  " + device.id + ": {driver: " + family->driver().name + ", bus: " + device.bus +
                 ", simulate: true, " + device.yaml + "}\n";
      plan.devices.push_back(std::move(device));
    }
  }
  plan.config += "devices:\n" + devices;
  return plan;
}

class World::Tap final : public FrameTap {
 public:
  Tap(Checker* checker, std::string bus) : checker_(checker), bus_(std::move(bus)) {}
  void OnFrame(const TappedFrame& frame) override {
    if (!frame.own && !frame.error) checker_->OnFrameReceived(bus_, frame.frame, frame.time);
  }

 private:
  Checker* const checker_;
  const std::string bus_;
};

World::World(LabPlan plan, const Doubles& doubles)
    : plan_(std::move(plan)), doubles_(doubles), start_(clock_.Now()), runner_(&clock_) {
  absl::StatusOr<Config> config = ParseConfig(plan_.config, "lab.yaml", AllDrivers());
  if (!config.ok()) Broken(config.status().ToString() + "\n" + plan_.config);
  config_ = *std::move(config);
  if (doubles_.clock) clock_double_ = doubles_.clock(&clock_);
  const Clock* daemon_clock = clock_double_ ? clock_double_.get() : &clock_;

  std::vector<Checker::BusFacts> facts;
  buses_.resize(plan_.buses.size());
  for (size_t b = 0; b < buses_.size(); ++b) {
    Bus& bus = buses_[b];
    bus.line = std::make_unique<SimulatedLine>(clock_, plan_.buses[b], plan_.bitrates[b]);
    bus.node = bus.line->CreateNode(kDaemonNode);
    bus.given = doubles_.bus ? doubles_.bus(bus.node, daemon_clock) : bus.node;
    bus.devices_node = bus.line->CreateNode(kDevicesNode);
    bus.devices = std::make_unique<SimulatorHost>(&clock_, bus.devices_node.get());
    facts.push_back({.id = plan_.buses[b],
                     .family = plan_.families[b],
                     .frame_time = [line = bus.line.get()](const CanFrame& frame) {
                       return line->FrameTime(frame);
                     }});
    bus.line->SetFaultHook([this, &bus](const CanFrame& frame, std::string_view sender) {
      return OnFrame(bus, frame, sender);
    });
  }
  checker_ = std::make_unique<Checker>(plan_.devices, std::move(facts), &clock_, &log_);
  for (size_t b = 0; b < buses_.size(); ++b) {
    buses_[b].tap = std::make_unique<Tap>(checker_.get(), plan_.buses[b]);
    buses_[b].node->AddTap(buses_[b].tap.get());
  }
  for (size_t i = 0; i < config_.devices.size(); ++i) {
    const DeviceEntry& device = config_.devices[i];
    Bus& bus = buses_[static_cast<size_t>(
        std::find(plan_.buses.begin(), plan_.buses.end(), device.bus) - plan_.buses.begin())];
    const absl::Status added = bus.devices->Add(*device.driver, device.config, plan_.seed + i);
    if (!added.ok()) Broken(added.ToString());
  }
  for (Bus& bus : buses_) runner_.Add(bus.line.get());
  for (Bus& bus : buses_) runner_.Add(bus.devices.get());
  Start();
}

World::~World() {
  if (alive()) Kill();
  for (Bus& bus : buses_) {
    bus.node->RemoveTap(bus.tap.get());
    runner_.Remove(bus.devices.get());
    runner_.Remove(bus.line.get());
  }
}

LineFault World::OnFrame(Bus& bus, const CanFrame& frame, std::string_view sender) {
  const bool from_daemon = sender.ends_with(kDaemonNode);
  LineFault fault;
  const char* name = "";
  const Weather& weather = bus.weather;
  ++bus.frames;
  if (weather.lose + weather.repeat + weather.garble + weather.delay > 0) {
    Random random(Mix(Mix(plan_.seed, HashText(bus.line->name())), bus.frames));
    double at = random.Unit();
    if ((at -= weather.lose) < 0) {
      fault.lose = true;
      name = "(lost)";
    } else if ((at -= weather.repeat) < 0) {
      fault.repeats = 1 + static_cast<int>(random.Below(2));
      name = "(repeated)";
    } else if ((at -= weather.delay) < 0) {
      fault.delay = random.Between(Duration(milliseconds(1)), Duration(milliseconds(800)));
      name = "(delayed)";
    } else if ((at -= weather.garble) < 0) {
      CanFrame garbled = frame;
      if (random.Chance(0.5) && garbled.dlc > 0) {
        garbled.dlc = static_cast<uint8_t>(random.Below(garbled.dlc));
      } else {
        for (uint8_t& byte : garbled.data) {
          if (random.Chance(0.4)) byte = static_cast<uint8_t>(random.Next());
        }
      }
      fault.garbled = garbled;
      name = "(garbled)";
    }
  }
  log_.Frame(clock_.Now(), bus.line->name(), from_daemon, frame, name);
  checker_->OnFrameStarts(bus.line->name(), frame, from_daemon);
  return fault;
}

// ---------------------------------------------------------------- the daemon

void World::OpenStore() {
  AuditLog* audit = &memory_audit_;
  AlarmStore* alarms = &memory_alarms_;
  if (!plan_.directory.empty()) {
    absl::StatusOr<std::unique_ptr<Store>> store =
        Store::Open({.directory = plan_.directory, .journal = kJournal}, &clock_);
    if (!store.ok()) Broken(store.status().ToString());
    store_ = *std::move(store);
    audit = &store_->audit();
    alarms = &store_->alarms();
  }
  if (doubles_.audit) {
    if (!audit_double_) audit_double_ = doubles_.audit(audit);
    audit = audit_double_.get();
  }
  audit_ = std::make_unique<WatchedAudit>(
      audit, [this](const AuditEntry& entry) { checker_->OnAudit(entry); });
  alarms_ = std::make_unique<WatchedAlarms>(alarms);
  audit_->SetFull(disk_full_);
  alarms_->SetFull(disk_full_);
}

void World::Start() {
  OpenStore();
  LabOptions options{.clock = clock_double_ ? clock_double_.get() : &clock_,
                     .audit = audit_.get(),
                     .alarm_store = alarms_.get(),
                     .seed = plan_.seed};
  for (size_t b = 0; b < buses_.size(); ++b) options.buses[plan_.buses[b]] = buses_[b].given;
  absl::StatusOr<std::unique_ptr<Lab>> lab = Lab::Create(config_, std::move(options));
  if (!lab.ok()) Broken(lab.status().ToString());
  lab_ = *std::move(lab);
  ++life_;
  log_.Text(clock_.Now(), "the daemon starts, life " + std::to_string(life_));
  if (doubles_.gate) {
    std::vector<std::pair<std::string, CanBus*>> buses;
    for (size_t b = 0; b < buses_.size(); ++b) {
      buses.emplace_back(plan_.buses[b], buses_[b].node.get());
    }
    gate_double_ = doubles_.gate(&lab_->hub().gate(), plan_.devices, buses);
  }
  checker_->OnDaemonStarts(&lab_->hub(), life_);
  AddSteps();
  ApplyPauses();
  if (life_ > 1) checker_->CheckRecord();
}

void World::AddSteps() {
  const std::vector<Steppable*> own = lab_->Steppables();
  actors_.assign(own.begin(), own.begin() + static_cast<ptrdiff_t>(plan_.devices.size()));
  for (Steppable* step : own) {
    if (step == &lab_->hub().leases() && doubles_.leases) {
      leases_double_ = doubles_.leases(step);
      step = leases_double_.get();
    }
    steps_.push_back(step);
  }
  if (store_) steps_.push_back(store_.get());
  if (doubles_.bystander) {
    bystander_ = doubles_.bystander(&strain_, plan_.devices, buses_[0].node);
    steps_.push_back(bystander_.get());
  }
  for (Steppable* step : steps_) runner_.Add(step);
}

void World::RemoveSteps() {
  for (Steppable* step : steps_) runner_.Remove(step);
  steps_.clear();
  actors_.clear();
}

void World::Kill() {
  log_.Text(clock_.Now(), "the daemon is killed");
  checker_->OnDaemonKilled();
  RemoveSteps();
  // What destructors would still write is not written by a process that is killed: the files are
  // put back as they were at this moment.
  const fs::path kept = plan_.directory.empty() ? fs::path() : fs::path(plan_.directory + ".kept");
  if (!kept.empty()) {
    fs::remove_all(kept);
    fs::copy(plan_.directory, kept);
  }
  gate_double_.reset();
  lab_.reset();
  leases_double_.reset();
  bystander_.reset();
  audit_.reset();
  alarms_.reset();
  store_.reset();
  if (!kept.empty()) {
    fs::remove_all(plan_.directory);
    fs::rename(kept, plan_.directory);
  }
  if (doubles_.killed) doubles_.killed();
  strain_.paused.clear();
  strain_.stalled_watches = 0;
  for (size_t device = 0; device < plan_.devices.size(); ++device)
    checker_->OnPaused(device, false);
  checker_->OnStalledWatches(0);
}

Quality World::QualityOf(const Reading& reading) const {
  return doubles_.quality ? doubles_.quality(reading, clock_.Now())
                          : reading.EffectiveQuality(clock_.Now());
}

// ---------------------------------------------------------------- the strain

void World::SetBus(size_t bus, BusState state, const std::string& text) {
  buses_[bus].away = !CanTransmit(state);
  log_.Text(clock_.Now(), plan_.buses[bus] + " becomes " + std::string(ToString(state)));
  checker_->OnBus(plan_.buses[bus], state);
  buses_[bus].line->SetNodeState(kDaemonNode, state, text);
}

void World::Pause(size_t device, bool paused) {
  std::erase(strain_.paused, device);
  if (paused) strain_.paused.push_back(device);
  log_.Text(clock_.Now(), plan_.devices[device].id + (paused ? " hangs" : " turns again"));
  checker_->OnPaused(device, paused);
  ApplyPauses();
}

void World::ApplyPauses() {
  std::vector<size_t> paused = strain_.paused;
  if (doubles_.held_up) {
    for (const size_t device : doubles_.held_up(strain_, actors_.size())) paused.push_back(device);
  }
  for (size_t i = 0; i < actors_.size(); ++i) {
    runner_.Pause(actors_[i], std::find(paused.begin(), paused.end(), i) != paused.end());
  }
}

void World::SetMute(size_t device, bool mute) {
  std::erase(strain_.mute, device);
  if (mute) strain_.mute.push_back(device);
  checker_->OnMute(device, mute);
  ApplyPauses();
}

void World::SetStalledWatches(size_t count) {
  strain_.stalled_watches = count;
  checker_->OnStalledWatches(count);
  ApplyPauses();
}

void World::SetDiskFull(bool full) {
  disk_full_ = full;
  log_.Text(clock_.Now(), full ? "the disk is full" : "the disk has room again");
  if (audit_) audit_->SetFull(full);
  if (alarms_) alarms_->SetFull(full);
}

SimulatorAccess& World::simulator(size_t device) {
  for (Bus& bus : buses_) {
    if (SimulatorAccess* found = bus.devices->Find(plan_.devices[device].id)) return *found;
  }
  Broken("no simulator of " + plan_.devices[device].id);
}

void World::RunUntil(MonoTime until) {
  runner_.RunUntilTrue(
      [this] {
        if (after_step_) after_step_();
        checker_->AfterStep();
        return checker_->violation().has_value();
      },
      until - clock_.Now());
}

}  // namespace canhub::simulation
