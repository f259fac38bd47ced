// What outlives the daemon: the clock, the lines, the devices on them, the disk.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/bus/simulated_line.h"
#include "daemon/config/config.h"
#include "daemon/core/simulator_host.h"
#include "daemon/store/store.h"
#include "daemon/wiring.h"
#include "drivers/testing/simulated_clock.h"
#include "drivers/testing/step_runner.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/doubles.h"
#include "tests/simulation/event_log.h"
#include "tests/simulation/family.h"
#include "tests/simulation/stores.h"

namespace canhub::simulation {

struct LabPlan {
  std::vector<std::string> buses;
  std::vector<const Family*> families;  // by bus
  std::vector<uint32_t> bitrates;
  std::vector<PlannedDevice> devices;
  std::string config;  // YAML
  // The daemon's own store in this directory; "": in memory.
  std::string directory;
  uint64_t seed = 0;
};
LabPlan PlanLab(const std::vector<const Family*>& families, uint64_t seed, Duration poll,
                std::string directory);

// How the lines treat frames: probabilities.
struct Weather {
  double lose = 0, repeat = 0, garble = 0, delay = 0;
};

class World {
 public:
  // Fails the program where the plan's configuration is wrong: the harness's own mistake.
  World(LabPlan plan, const Doubles& doubles);
  ~World();

  const LabPlan& plan() const { return plan_; }
  SimulatedClock& clock() { return clock_; }
  Checker& checker() { return *checker_; }
  EventLog& log() { return log_; }
  MonoTime start() const { return start_; }
  const Config& config() const { return config_; }

  // ---- the daemon
  // The last moment of kill -9: what its files hold now is what the next one finds.
  void Kill();
  void Start();
  bool alive() const { return lab_ != nullptr; }
  Hub& hub() { return lab_->hub(); }
  CommandGate& gate() { return gate_double_ ? *gate_double_ : lab_->hub().gate(); }
  int life() const { return life_; }
  Quality QualityOf(const Reading& reading) const;

  // ---- the strain
  void SetWeather(size_t bus, Weather weather) { buses_[bus].weather = weather; }
  void SetBus(size_t bus, BusState state, const std::string& text);
  bool bus_away(size_t bus) const { return buses_[bus].away; }
  void Pause(size_t device, bool paused);
  void SetMute(size_t device, bool mute);
  void SetStalledWatches(size_t count);
  void SetDiskFull(bool full);
  SimulatorAccess& simulator(size_t device);

  // Called after every step, before the checker.
  void SetAfterStep(std::function<void()> after_step) { after_step_ = std::move(after_step); }
  // Steps everything until `until` or the first violation.
  void RunUntil(MonoTime until);
  uint64_t steps() const { return runner_.steps(); }

 private:
  class Tap;
  struct Bus {
    std::unique_ptr<SimulatedLine> line;
    std::shared_ptr<CanBus> node;   // the daemon's controller
    std::shared_ptr<CanBus> given;  // what the daemon is given: it, or a double
    std::shared_ptr<CanBus> devices_node;
    std::unique_ptr<SimulatorHost> devices;
    std::unique_ptr<Tap> tap;
    Weather weather;
    bool away = false;
    uint64_t frames = 0;
  };

  LineFault OnFrame(Bus& bus, const CanFrame& frame, std::string_view sender);
  void OpenStore();
  void AddSteps();
  void RemoveSteps();
  void ApplyPauses();

  const LabPlan plan_;
  const Doubles& doubles_;
  SimulatedClock clock_;
  const MonoTime start_;
  EventLog log_;
  Config config_;
  std::unique_ptr<Checker> checker_;
  std::unique_ptr<Clock> clock_double_;
  std::vector<Bus> buses_;
  StepRunner runner_;

  MemoryAudit memory_audit_;
  MemoryAlarms memory_alarms_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<AuditLog> audit_double_;
  std::unique_ptr<WatchedAudit> audit_;
  std::unique_ptr<WatchedAlarms> alarms_;
  bool disk_full_ = false;

  std::unique_ptr<Lab> lab_;
  std::unique_ptr<CommandGate> gate_double_;
  std::unique_ptr<Steppable> leases_double_, bystander_;
  std::vector<Steppable*> actors_;  // by device
  std::vector<Steppable*> steps_;   // of the daemon, as the runner has them
  int life_ = 0;
  Strain strain_;
  std::function<void()> after_step_;
};

}  // namespace canhub::simulation
