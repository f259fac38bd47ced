// From a checked configuration to a running lab: store, buses, lines, simulators, hub.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/bus/simulated_line.h"
#include "daemon/bus/socketcan_bus.h"
#include "daemon/bus/socketcand_client.h"
#include "daemon/bus/socketcand_server.h"
#include "daemon/config/config.h"
#include "daemon/core/hub.h"
#include "daemon/core/real_clock.h"
#include "daemon/core/simulator_host.h"
#include "daemon/core/step_thread.h"
#include "daemon/store/store.h"

namespace canhub {

struct LabOptions {
  // nullptr: the real one. With another clock the lab is stepped by hand.
  const Clock* clock = nullptr;
  // Both or none. nullptr: a store in the configuration's state directory. They outlive the lab.
  AuditLog* audit = nullptr;
  AlarmStore* alarm_store = nullptr;
  // Only with these two. nullptr then: what drivers keep ends with the lab.
  DeviceValueStore* device_values = nullptr;
  // The noise of the simulators repeats with it.
  uint64_t seed = 1;
  // Buses that the caller has, by id, instead of the ones that the configuration describes. The lab
  // makes neither a line for such a bus nor the devices that are simulated on it: they may outlive
  // the lab, as real ones outlive the daemon.
  std::map<std::string, std::shared_ptr<CanBus>> buses = {};
  std::function<void(LogLevel, std::string_view)> log;
};

// A lab of its own: several can run in one process. Two ways to run it: StartThreads on the real
// clock, or stepping Steppables() on a virtual one (daemon/lab_stepper.h).
class Lab {
 public:
  // Opens the store and makes everything; nothing runs yet and no frame is sent.
  // FAILED_PRECONDITION and others: the store cannot be opened; INVALID_ARGUMENT: a real bus on a
  // virtual clock.
  static absl::StatusOr<std::unique_ptr<Lab>> Create(const Config& config, LabOptions options);
  // Shutdown(0) where threads still run.
  ~Lab();

  Hub& hub() { return *hub_; }
  const Clock& clock() const { return *clock_; }

  // Lines, then simulators, then the hub's, then the store's; each in the order of the
  // configuration.
  std::vector<Steppable*> Steppables();

  // Lines with their simulators, real buses, the servers of lines, then the hub. PERMISSION_DENIED:
  // no right to real-time scheduling. UNAVAILABLE: a line cannot be served at its address. A bus
  // that is missing is no error: it is tried again for ever. After an error nothing runs.
  absl::Status StartThreads();
  // on_shutdown of every device, for at most `timeout`; then everything stops. One line per device
  // that was not made safe. Nothing where no threads run. Idempotent.
  std::vector<std::string> Shutdown(Duration timeout);

  // Threads that have owed a turn for this long, of those that must turn on time: Hub::HungThreads,
  // "bus can0", "line lab". Not the store's, which waits for the disk, nor a socketcand client's,
  // which may wait for a name to be looked up.
  std::vector<std::string> HungThreads(Duration longer_than) const;

  // nullptr: not simulated here.
  SimulatorAccess* simulator(std::string_view device_id);
  // By device.
  std::map<std::string, SimulatorAccess*> simulators();
  // nullptr: no simulated bus of that id.
  SimulatedLine* line(std::string_view bus_id);
  // Where lines are served, with the ports chosen, by bus.
  std::map<std::string, std::string> served() const;

 private:
  // A line in memory, and the simulated devices on it.
  struct Line {
    std::string bus_id;
    std::unique_ptr<SimulatedLine> line;
    std::shared_ptr<CanBus> simulators_node;
    std::unique_ptr<SimulatorHost> simulators;  // null without any
  };
  struct ServedLine {
    std::string bus_id, address;
    std::unique_ptr<SocketcandServer> server;
  };

  explicit Lab(LabOptions options);
  void ChooseRealtimePriority(const RealtimeConfig& config);
  absl::Status OpenStore(const Config& config);
  absl::Status MakeBuses(const Config& config, std::vector<BusSetup>* setups);
  absl::Status MakeSimulators(const Config& config);
  absl::Status MakeHub(const Config& config, std::vector<BusSetup> setups);
  absl::Status StartAll();
  void StopAll();
  void Log(LogLevel level, const std::string& text) const;

  LabOptions options_;
  RealClock real_clock_;
  const Clock* clock_;
  int realtime_priority_ = 0;  // as configured, or 0 where it may be and is not permitted
  bool running_ = false;

  // In the order of what needs what: the last goes first.
  std::unique_ptr<Store> store_;
  AuditLog* audit_ = nullptr;
  AlarmStore* alarm_store_ = nullptr;
  DeviceValueStore* device_values_ = nullptr;
  SimulatedWorld world_;
  std::vector<Line> lines_;
  std::vector<std::pair<std::string, std::shared_ptr<SocketCanBus>>> socketcan_;  // by bus
  std::vector<std::shared_ptr<SocketcandClient>> socketcand_;
  std::unique_ptr<Hub> hub_;
  std::vector<ServedLine> served_;
  std::unique_ptr<StepThread> store_thread_;
  std::vector<std::unique_ptr<StepThread>> line_threads_;
};

}  // namespace canhub
