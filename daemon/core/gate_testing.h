// A device, a bus, a record and a clock for the tests of gate and leases.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/alarm_book.h"
#include "daemon/core/gate_impl.h"
#include "daemon/core/state_cache.h"
#include "drivers/api/errors.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {

// Keeps entries in memory; can be told to be full.
class GateAudit final : public AuditLog {
 public:
  absl::Status Append(AuditEntry entry) override {
    std::lock_guard lock(mutex_);
    if (!problem_.empty()) return absl::ResourceExhaustedError(problem_);
    entries_.push_back(std::move(entry));
    return absl::OkStatus();
  }
  absl::Status AppendReserved(AuditEntry entry) override {
    std::lock_guard lock(mutex_);
    entries_.push_back(std::move(entry));
    return absl::OkStatus();
  }
  bool writable() const override { return problem().empty(); }
  std::string problem() const override {
    std::lock_guard lock(mutex_);
    return problem_;
  }
  absl::StatusOr<AuditPage> Query(const AuditQuery&) override { return AuditPage{}; }
  void set_problem(const std::string& problem) {
    std::lock_guard lock(mutex_);
    problem_ = problem;
  }
  // "kind status text" of every entry.
  std::vector<std::string> Lines() const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> lines;
    for (const AuditEntry& e : entries_) lines.push_back(e.kind + " " + e.status + " " + e.text);
    return lines;
  }
  std::vector<AuditEntry> entries() const {
    std::lock_guard lock(mutex_);
    return entries_;
  }

 private:
  mutable std::mutex mutex_;
  std::string problem_;
  std::vector<AuditEntry> entries_;
};

// Takes commands and keeps them until the test ends them.
class FakeTarget final : public CommandTarget {
 public:
  absl::Status PostCommand(Command command, CommandDone done) override {
    std::lock_guard lock(mutex_);
    if (full && command.urgency != Urgency::kSafe) {
      return absl::ResourceExhaustedError("the mailbox is full");
    }
    commands.push_back(command);
    dones.push_back(std::move(done));
    return absl::OkStatus();
  }
  void PostCancel(CommandId id, absl::Status why) override {
    std::lock_guard lock(mutex_);
    cancelled.emplace_back(id, std::move(why));
  }
  void Finish(size_t index, absl::Status status = absl::OkStatus()) {
    CommandDone done;
    {
      std::lock_guard lock(mutex_);
      done = std::move(dones[index]);
    }
    CommandOutcome outcome;
    outcome.status = std::move(status);
    done(std::move(outcome));
  }

  bool full = false;
  std::vector<Command> commands;
  std::vector<CommandDone> dones;
  std::vector<std::pair<CommandId, absl::Status>> cancelled;

 private:
  std::mutex mutex_;
};

// Keeps the gate's frames until the test reports on them.
class UnreportingBus final : public CanBus {
 public:
  std::unique_ptr<BusPort> Attach(std::vector<CanFilter>, FrameSink* sink) override {
    sink_ = sink;
    sink->OnBusState(BusState::kActive);
    return std::make_unique<Port>(this);
  }
  void AddTap(FrameTap*) override {}
  void RemoveTap(FrameTap*) override {}
  BusStatus Status() const override { return {}; }
  void Report(size_t index, TxOutcome outcome, MonoTime time) {
    sink_->OnTxReport({frames[index].tag, outcome, time});
  }

  absl::Status refuse;
  std::vector<TxFrame> frames;

 private:
  class Port final : public BusPort {
   public:
    explicit Port(UnreportingBus* bus) : bus_(bus) {}
    absl::Status Send(TxFrame frame) override {
      if (!bus_->refuse.ok()) return bus_->refuse;
      bus_->frames.push_back(std::move(frame));
      return absl::OkStatus();
    }

   private:
    UnreportingBus* const bus_;
  };
  FrameSink* sink_ = nullptr;
};

inline constexpr ItemSpec kTestModule[] = {
    {.name = "status", .type = ValueType::kInteger, .access = Access::kReadOnly},
    {.name = "label", .type = ValueType::kText, .access = Access::kReadWrite},
};
inline constexpr ItemSpec kTestChannel[] = {
    {.name = "voltage_set",
     .alias = "Control.voltageSet",
     .unit = "V",
     .access = Access::kReadWrite,
     .source = "EDCP 0x4100",
     .maximum = 6000,
     .limit = "voltage"},
    {.name = "on", .type = ValueType::kFlag, .access = Access::kReadWrite},
    {.name = "delayed_trip_time",
     .type = ValueType::kInteger,
     .unit = "ms",
     .access = Access::kReadWrite,
     .minimum = 1,
     .maximum = 65535},
    {.name = "voltage_measure", .unit = "V"},
};

inline DriverInfo TestDriver() {
  DriverInfo info{};
  info.name = "demo";
  info.kind = "high_voltage";
  info.actions = {
      {"ramp_down", Role::kOperator, true, "all off with ramp"},
      {"emergency_off",
       Role::kOperator,
       true,
       "cut",
       {{"channel", ValueType::kInteger, false, "which"}}},
      {"set_ramp",
       Role::kOperator,
       false,
       "ramp",
       {{"up", ValueType::kNumber, true, "speed", "V/s", "ramp"}}},
      {"factory_reset", Role::kEngineer, false, "reset"},
  };
  info.default_safe_action = "ramp_down";
  return info;
}

// Devices "hv0", "hv1", … on bus "can0", behind a gate.
class GateTestLab {
 public:
  explicit GateTestLab(int devices = 1) : cache(clock) {
    for (int i = 0; i < devices; ++i) {
      const std::string id = "hv" + std::to_string(i);
      cache.AddDevice(id);
      targets.push_back(std::make_unique<FakeTarget>());
    }
    gate = MakeCommandGate({&clock, &cache, &audit});
    for (int i = 0; i < devices; ++i) {
      const auto index = static_cast<DeviceIndex>(i);
      writers.push_back(cache.Writer(index));
      writers.back()->SetItems(items);
      writers.back()->Commit();
      gate->SetDevice(std::make_shared<GatedDevice>(Device(index)));
    }
    gate->AddBus("can0", &bus);
  }
  GatedDevice Device(DeviceIndex index) {
    GatedDevice device;
    device.index = index;
    device.config.id = "hv" + std::to_string(index);
    device.config.limits = {{"voltage", 1000}, {"ramp", 50}};
    device.config.limit_origins = {
        {"voltage", "lab.yaml:41, devices." + device.config.id + ".limits.voltage"}};
    device.driver = &driver;
    device.bus_id = "can0";
    device.on_lease_lost = "ramp_down";
    device.target = targets[index].get();
    return device;
  }
  FakeTarget& target(int i = 0) { return *targets[static_cast<size_t>(i)]; }

  CommandRequest Write(const std::string& item, Value value) const {
    CommandRequest request;
    request.caller = alice;
    request.device_id = "hv0";
    request.what = std::vector<NamedWrite>{{item, std::move(value)}};
    return request;
  }
  CommandRequest Act(const std::string& action, Arguments arguments = {}) const {
    CommandRequest request;
    request.caller = alice;
    request.device_id = "hv0";
    request.what = ActionCall{action, std::move(arguments)};
    return request;
  }
  FrameRequest Frame() const {
    FrameRequest request;
    request.caller = engineer;
    request.bus_id = "can0";
    request.frame = MakeFrame(0x210, {0x41, 0x00});
    return request;
  }
  // The result is in results once the command has ended.
  void Submit(CommandRequest request) {
    gate->Submit(std::move(request), [this](CommandResult r) { results.push_back(std::move(r)); });
  }
  void Submit(FrameRequest request) {
    gate->SubmitFrame(std::move(request),
                      [this](CommandResult r) { results.push_back(std::move(r)); });
  }
  // The status of a command that is refused at once; INTERNAL when it is not.
  absl::Status Refusal(CommandRequest request) {
    const size_t before = results.size();
    Submit(std::move(request));
    return results.size() == before ? absl::InternalError("not refused") : results.back().status;
  }
  absl::Status Refusal(FrameRequest request) {
    const size_t before = results.size();
    Submit(std::move(request));
    return results.size() == before ? absl::InternalError("not refused") : results.back().status;
  }

  SimulatedClock clock;
  GateAudit audit;
  StateCache cache;
  DriverInfo driver = TestDriver();
  UnreportingBus bus;
  std::vector<std::unique_ptr<FakeTarget>> targets;
  std::vector<CommandResult> results;
  std::shared_ptr<const ItemTable> items = std::make_shared<ItemTable>(
      std::vector<ItemBlock>{{"", 0, 1, kTestModule}, {"ch", 0, 4, kTestChannel}});
  std::vector<std::unique_ptr<DeviceWriter>> writers;
  std::unique_ptr<HubGate> gate;
  Caller alice{"unix:uid=1000(alice)", Role::kOperator};
  Caller bob{"unix:uid=1001(bob)", Role::kOperator};
  Caller engineer{"unix:uid=1002(eve)", Role::kEngineer};
  Caller viewer{"tcp:127.0.0.1", Role::kViewer};
};

inline std::string ReasonOf(const absl::Status& status) { return GetErrorInfo(status).reason; }

}  // namespace canhub
