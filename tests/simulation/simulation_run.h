// One run: a lab, its clients, and what happens to them, drawn from a seed. What clients do is in
// client_acts.cc, what goes wrong in lab_faults.cc.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/random.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/world.h"

namespace canhub::simulation {

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
  explicit Simulation(const RunOptions& options);
  ~Simulation() { DropWatches(); }

  RunResult Run();

 private:
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
  const Family& FamilyOf(size_t device) const { return *devices()[device].family; }
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
  const std::vector<const Family*> families_;
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

}  // namespace canhub::simulation
