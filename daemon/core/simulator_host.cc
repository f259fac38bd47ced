#include "daemon/core/simulator_host.h"

#include <algorithm>
#include <map>
#include <optional>
#include <variant>

#include "drivers/api/errors.h"

namespace canhub {

class SimulatorHost::Node final : public FrameSink, public FrameSender, public SimulatorAccess {
 public:
  using Event = std::variant<RxFrame, TxReport>;

  Node(SimulatorHost* host, DeviceConfig config)
      : host_(host), config_(std::move(config)), timers_(host->clock_) {}
  ~Node() override { port_.reset(); }

  void Create(const DriverInfo& driver, uint64_t seed) {
    simulator_ =
        driver.create_simulator({config_, *host_->clock_, timers_, *this, seed, host_->world_});
  }
  void Start() {
    port_ = host_->bus_->Attach({{.extended = false}, {.extended = true}}, this);
    simulator_->Start();
  }

  const std::string& id() const { return config_.id; }

  // On the step. Frames sent meanwhile come with the next one.
  MonoTime Step(MonoTime now) {
    incoming_.clear();
    {
      const std::lock_guard lock(inbox_mutex_);
      incoming_.swap(inbox_);
      frames_ = 0;
    }
    for (const Event& event : incoming_) {
      if (const auto* frame = std::get_if<RxFrame>(&event)) {
        simulator_->OnFrame(*frame);
      } else {
        HandleReport(std::get<TxReport>(event));
      }
    }
    return timers_.RunDue(now);
  }
  bool HasFrames() const {
    const std::lock_guard lock(inbox_mutex_);
    return !inbox_.empty();
  }
  uint64_t dropped() const {
    const std::lock_guard lock(inbox_mutex_);
    return dropped_;
  }

  // FrameSink, on the bus's thread.
  void OnRx(const RxFrame& frame) override {
    Push(frame);
    host_->Wake();
  }
  void OnTxReport(const TxReport& report) override {
    Push(report);
    host_->Wake();
  }
  void OnBusState(BusState) override {}  // a device's own controller recovers by itself

  // FrameSender, for the simulator, on the step.
  absl::Status Send(TxFrame frame) override {
    if (port_ == nullptr) {
      return MakeError(absl::StatusCode::kUnavailable, "BUS_DOWN",
                       config_.id + ": its simulator is not on the bus");
    }
    // Only neighbours need to know when it was on the wire.
    const bool shared = host_->nodes_.size() > 1;
    frame.tag = shared ? ++last_tag_ : 0;
    if (shared) in_flight_[frame.tag] = frame.frame;
    const uint64_t tag = frame.tag;
    absl::Status status = port_->Send(std::move(frame));
    if (!status.ok()) in_flight_.erase(tag);
    return status;
  }

  // SimulatorAccess, any thread: as if on the host's own step, then wakes it, for timers may have
  // been set.
  template <typename Call>
  auto OnStep(Call call) {
    auto result = [&] {
      const std::lock_guard lock(host_->stepping_);
      return call();
    }();
    host_->Wake();
    return result;
  }
  absl::Status InjectFault(std::string_view fault, const Arguments& parameters) override {
    return OnStep([&] { return simulator_->InjectFault(fault, parameters); });
  }
  absl::StatusOr<int> ClearFaults(std::string_view fault) override {
    return OnStep([&] { return simulator_->ClearFaults(fault); });
  }
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() override {
    return OnStep([&] { return simulator_->ActiveFaults(); });
  }
  absl::Status SetLoad(std::optional<int> channel, std::optional<double> resistance_ohm,
                       std::optional<double> capacitance_f) override {
    return OnStep([&] { return simulator_->SetLoad(channel, resistance_ohm, capacitance_f); });
  }

 private:
  void Push(Event event) {
    const std::lock_guard lock(inbox_mutex_);
    if (std::holds_alternative<RxFrame>(event)) {
      if (frames_ >= kMaxFrames) {
        inbox_.erase(std::find_if(inbox_.begin(), inbox_.end(), [](const Event& e) {
          return std::holds_alternative<RxFrame>(e);
        }));
        --frames_;
        ++dropped_;
      }
      ++frames_;
    }
    inbox_.push_back(std::move(event));
  }

  void HandleReport(const TxReport& report) {
    const auto it = in_flight_.find(report.tag);
    if (it == in_flight_.end()) return;
    const CanFrame frame = it->second;
    in_flight_.erase(it);
    if (report.outcome != TxOutcome::kOnWire && report.outcome != TxOutcome::kSent) return;
    for (const std::unique_ptr<Node>& node : host_->nodes_) {
      if (node.get() != this) node->Push(RxFrame{frame, report.time});
    }
  }

  SimulatorHost* const host_;
  const DeviceConfig config_;
  TimerQueue timers_;
  std::map<uint64_t, CanFrame> in_flight_;  // by tag; bounded by the bus's queue
  uint64_t last_tag_ = 0;
  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<BusPort> port_;
  std::vector<Event> incoming_;  // Step's; kept for its memory

  mutable std::mutex inbox_mutex_;
  std::vector<Event> inbox_;
  size_t frames_ = 0;  // in inbox_
  uint64_t dropped_ = 0;
};

SimulatorHost::SimulatorHost(const Clock* clock, CanBus* bus, SimulatedWorld* world)
    : clock_(clock), bus_(bus), world_(world) {}

SimulatorHost::~SimulatorHost() = default;

absl::Status SimulatorHost::Add(const DriverInfo& driver, DeviceConfig config, uint64_t seed) {
  if (driver.create_simulator == nullptr) {
    return MakeError(absl::StatusCode::kUnimplemented, "NO_SIMULATOR",
                     config.id + ": driver \"" + driver.name + "\" has no simulator",
                     {{"device_id", config.id}, {"driver", driver.name}});
  }
  auto node = std::make_unique<Node>(this, std::move(config));
  node->Create(driver, seed);
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

SimulatorAccess* SimulatorHost::Find(std::string_view device_id) {
  for (const std::unique_ptr<Node>& node : nodes_) {
    if (node->id() == device_id) return node.get();
  }
  return nullptr;
}

std::vector<std::string> SimulatorHost::device_ids() const {
  std::vector<std::string> ids;
  for (const std::unique_ptr<Node>& node : nodes_) ids.push_back(node->id());
  return ids;
}

uint64_t SimulatorHost::dropped_frames() const {
  uint64_t dropped = 0;
  for (const std::unique_ptr<Node>& node : nodes_) dropped += node->dropped();
  return dropped;
}

MonoTime SimulatorHost::RunUntil(MonoTime now) {
  const std::lock_guard lock(stepping_);
  if (!started_) {
    started_ = true;
    for (const std::unique_ptr<Node>& node : nodes_) node->Start();
  }
  MonoTime next = kNever;
  for (const std::unique_ptr<Node>& node : nodes_) next = std::min(next, node->Step(now));
  for (const std::unique_ptr<Node>& node : nodes_) {
    if (node->HasFrames()) return now;  // of a neighbour
  }
  return next;
}

}  // namespace canhub
