// A driver for tests of the core: one supply that answers as a test tells it to.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/store_api.h"
#include "drivers/api/driver.h"

namespace canhub::fake {

// Items, in their order.
inline constexpr ItemId kStatus = 0, kIsOn = 1, kVoltageSet = 2, kVoltageMeasure = 3;
inline const ItemSpec kSpecs[] = {
    {.name = "status", .type = ValueType::kInteger},
    {.name = "is_on", .type = ValueType::kFlag, .flag_of = 0, .bit = 3},
    {.name = "voltage_set",
     .unit = "V",
     .access = Access::kReadWrite,
     .minimum = 0,
     .maximum = 3000,
     .limit = "voltage"},
    {.name = "voltage_measure", .unit = "V"}};
inline constexpr Duration kGoodFor = std::chrono::milliseconds(500);

// Frames: 0x100 + address carries [item, value] from the device; 0x200 + address acknowledges;
// 0x300 + address goes to it, [kind] first.
inline constexpr uint8_t kHeartbeat = 0x01, kWrite = 0x02, kAction = 0x03;

// What a test sees of one device's driver, and does to it. Thread-safe.
struct Control {
  std::mutex mutex;
  std::vector<std::string> calls;  // "start", "execute 7", "cancel 7", "bus bus-off", …
  std::function<void()> on_frame;  // called in OnFrame: may throw or hang
  bool forgetful = false;          // never finishes what it is told to cancel
  void Note(std::string call) {
    const std::lock_guard lock(mutex);
    calls.push_back(std::move(call));
  }
  std::vector<std::string> TakeCalls() {
    const std::lock_guard lock(mutex);
    return std::exchange(calls, {});
  }
  int Count(const std::string& call) {
    const std::lock_guard lock(mutex);
    return static_cast<int>(std::count(calls.begin(), calls.end(), call));
  }
};

// By device id; lives as long as the program.
inline std::shared_ptr<Control> ControlOf(const std::string& device_id) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<Control>> controls;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Control>& control = controls[device_id];
  if (control == nullptr) control = std::make_shared<Control>();
  return control;
}
// Forgets what an earlier test did to it.
inline std::shared_ptr<Control> FreshControl(const std::string& device_id) {
  std::shared_ptr<Control> control = ControlOf(device_id);
  const std::lock_guard lock(control->mutex);
  control->calls.clear();
  control->on_frame = nullptr;
  control->forgetful = false;
  return control;
}

class FakeDriver final : public Driver {
 public:
  explicit FakeDriver(DriverContext context)
      : context_(context),
        address_(static_cast<uint32_t>(context.config.Parameter("address").integer())),
        control_(ControlOf(context.config.id)) {}

  void Start() override {
    control_->Note("start");
    context_.state.SetItems(
        std::make_shared<const ItemTable>(std::vector<ItemBlock>{{.prefix = "", .specs = kSpecs}}));
    context_.state.SetLink(LinkState::kOnline, "answers");
    context_.timers.Every(std::chrono::milliseconds(200), [this] { SendFrame(kHeartbeat, 0); });
  }
  void OnFrame(const RxFrame& rx) override {
    std::function<void()> hook;
    {
      const std::lock_guard lock(control_->mutex);
      hook = control_->on_frame;
    }
    if (hook) hook();
    if (rx.frame.id == 0x200 + address_) return Acknowledge(rx.time);
    const auto item = rx.frame.data[0];
    if (rx.frame.dlc < 2 || item > kVoltageMeasure || item == kIsOn) {
      return context_.log.CountBadFrame("unknown_item", FormatFrame(rx.frame));
    }
    const Value value =
        item == kStatus ? Value::Integer(rx.frame.data[1]) : Value::Number(rx.frame.data[1]);
    context_.state.Set(item, value, rx.time, kGoodFor);
    context_.state.SetPolled(true);
    if (refresh_) std::exchange(refresh_, nullptr)(absl::OkStatus());
  }
  void OnTxReport(const TxReport& report) override {
    const auto it = commands_.find(report.tag);
    if (it == commands_.end()) return;
    if (report.outcome != TxOutcome::kOnWire) {
      commands_.erase(it);
      return context_.commands.Finish(report.tag, absl::UnavailableError("not sent"));
    }
    context_.commands.Reached(report.tag, Stage::kOnWire, report.time);
  }
  void OnBusState(BusState state) override {
    control_->Note("bus " + std::string(ToString(state)));
    if (CanTransmit(state)) return;
    for (const auto& [id, wait_for] : std::exchange(commands_, {})) {
      context_.commands.Finish(id, absl::UnavailableError("bus away"));
    }
  }
  void Execute(Command command) override {
    control_->Note("execute " + std::to_string(command.id));
    const auto* writes = std::get_if<std::vector<ItemWrite>>(&command.what);
    if (command.urgency == Urgency::kSafe) {
      for (const auto& [id, wait_for] : std::exchange(commands_, {})) {
        context_.commands.Finish(id, absl::AbortedError("overtaken by a safe action"));
      }
    }
    TxFrame tx;
    tx.frame =
        MakeFrame(0x300 + address_,
                  {writes != nullptr ? kWrite : kAction,
                   static_cast<uint8_t>(
                       writes != nullptr ? static_cast<int>((*writes)[0].value.AsNumber()) : 0)});
    tx.urgency = command.urgency;
    tx.guard = command.guard;
    tx.tag = command.id;
    commands_[command.id] = command.wait_for;
    if (absl::Status status = context_.bus.Send(std::move(tx)); !status.ok()) {
      commands_.erase(command.id);
      return context_.commands.Finish(command.id, status);
    }
    context_.commands.Reached(command.id, Stage::kSent, context_.clock.Now());
    if (command.wait_for == Stage::kSent) {
      commands_.erase(command.id);
      context_.commands.Finish(command.id, absl::OkStatus());
    }
  }
  void Cancel(CommandId id, absl::Status why) override {
    control_->Note("cancel " + std::to_string(id));
    {
      const std::lock_guard lock(control_->mutex);
      if (control_->forgetful) return;
    }
    if (commands_.erase(id) != 0) context_.commands.Finish(id, std::move(why));
  }
  void Refresh(std::vector<ItemId>, std::function<void(absl::Status)> done) override {
    control_->Note("refresh");
    refresh_ = std::move(done);
  }
  void OnLimitsChanged() override {
    control_->Note("limit " +
                   std::to_string(static_cast<int>(context_.config.limits.at("voltage"))));
  }

 private:
  void SendFrame(uint8_t kind, uint8_t value) {
    TxFrame tx;
    tx.frame = MakeFrame(0x300 + address_, {kind, value});
    tx.urgency = Urgency::kHeartbeat;
    context_.bus.Send(std::move(tx)).IgnoreError();
  }
  void Acknowledge(MonoTime time) {
    for (const auto& [id, wait_for] : std::exchange(commands_, {})) {
      context_.commands.Reached(id, Stage::kConfirmed, time);
      if (wait_for == Stage::kSettled) context_.commands.Reached(id, Stage::kSettled, time);
      context_.commands.Finish(id, absl::OkStatus(), {kVoltageSet});
    }
  }

  DriverContext context_;
  const uint32_t address_;
  const std::shared_ptr<Control> control_;
  std::map<CommandId, Stage> commands_;
  std::function<void(absl::Status)> refresh_;
};

// Plays back what it hears: answers every write with an acknowledgement, 1 ms later.
class FakeSimulator final : public Simulator {
 public:
  explicit FakeSimulator(SimulatorContext context) : context_(context) {}
  void Start() override { Answer(0x100, {kStatus, 1}); }
  void OnFrame(const RxFrame& rx) override {
    ++heard_;
    const auto address = static_cast<uint32_t>(context_.config.Parameter("address").integer());
    if (silent_ || rx.frame.id != 0x300 + address || rx.frame.data[0] == kHeartbeat) return;
    context_.timers.After(std::chrono::milliseconds(1), [this] { Answer(0x200, {}); });
  }
  absl::Status InjectFault(std::string_view fault, const Arguments&) override {
    if (fault != "silence") return absl::NotFoundError("only silence");
    silent_ = true;
    return absl::OkStatus();
  }
  absl::StatusOr<int> ClearFaults(std::string_view) override {
    return std::exchange(silent_, false) ? 1 : 0;
  }
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() const override {
    if (!silent_) return {};
    return {{"silence", {{"frames_heard", Value::Integer(heard_)}}}};
  }
  absl::Status SetLoad(std::optional<int>, std::optional<double>, std::optional<double>) override {
    return absl::UnimplementedError("no load");
  }

 private:
  void Answer(uint32_t base, std::initializer_list<uint8_t> data) {
    const auto address = static_cast<uint32_t>(context_.config.Parameter("address").integer());
    context_.bus.Send({.frame = MakeFrame(base + address, data)}).IgnoreError();
  }
  SimulatorContext context_;
  bool silent_ = false;
  int64_t heard_ = 0;
};

inline const DriverInfo& Info() {
  static const DriverInfo info{
      .name = "fake",
      .kind = "test",
      .description = "a supply for tests",
      .parameters = {{.name = "address", .type = ParameterType::kInteger}},
      .limits = {{.name = "voltage", .unit = "V", .maximum = 3000, .description = ""}},
      .actions =
          {{.name = "ramp_down", .role = Role::kOperator, .safe = true, .description = "all off"}},
      .default_safe_action = "ramp_down",
      .faults = {},
      .check = nullptr,
      .address = [](const DeviceConfig& config) { return config.Parameter("address").ToString(); },
      .filters =
          [](const DeviceConfig& config) {
            const auto address = static_cast<uint32_t>(config.Parameter("address").integer());
            return std::vector<CanFilter>{{.id = 0x100 + address, .mask = 0x7FF},
                                          {.id = 0x200 + address, .mask = 0x7FF}};
          },
      .create = [](DriverContext context) -> std::unique_ptr<Driver> {
        return std::make_unique<FakeDriver>(context);
      },
      .create_simulator = [](SimulatorContext context) -> std::unique_ptr<Simulator> {
        return std::make_unique<FakeSimulator>(context);
      }};
  return info;
}

inline DeviceConfig Config(const std::string& id, int address) {
  DeviceConfig config;
  config.id = id;
  config.parameters["address"] = Value::Integer(address);
  config.limits["voltage"] = 2000;
  config.limit_origins["voltage"] = "lab.yaml:41";
  return config;
}

// A reading from the device at `address`.
inline CanFrame ReadingFrame(int address, ItemId item, uint8_t value) {
  return MakeFrame(0x100 + static_cast<uint32_t>(address), {static_cast<uint8_t>(item), value});
}
inline CanFrame AcknowledgeFrame(int address) {
  return MakeFrame(0x200 + static_cast<uint32_t>(address), {});
}

// Stores in memory.
class MemoryAudit final : public AuditLog {
 public:
  absl::Status Append(AuditEntry entry) override { return AppendReserved(std::move(entry)); }
  absl::Status AppendReserved(AuditEntry entry) override {
    const std::lock_guard lock(mutex_);
    entries_.push_back(std::move(entry));
    return absl::OkStatus();
  }
  bool writable() const override { return true; }
  std::string problem() const override { return ""; }
  absl::StatusOr<AuditPage> Query(const AuditQuery&) override {
    const std::lock_guard lock(mutex_);
    return AuditPage{{entries_.rbegin(), entries_.rend()}, false};
  }

 private:
  std::mutex mutex_;
  std::vector<AuditEntry> entries_;
};

class MemoryAlarms final : public AlarmStore {
 public:
  absl::Status Save(const AlarmRecord& alarm) override {
    const std::lock_guard lock(mutex_);
    alarms_[alarm.id()] = alarm;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<AlarmRecord>> LoadAll() override {
    const std::lock_guard lock(mutex_);
    std::vector<AlarmRecord> all;
    for (const auto& [id, alarm] : alarms_) all.push_back(alarm);
    return all;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, AlarmRecord> alarms_;
};

}  // namespace canhub::fake
