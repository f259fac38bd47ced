#include "tests/bench/bench_driver.h"

#include <algorithm>
#include <memory>
#include <string>

namespace canhub::bench {
namespace {

const ItemSpec kDeviceSpecs[] = {
    {.name = "rate_hz",
     .type = ValueType::kNumber,
     .unit = "Hz",
     .access = Access::kReadWrite,
     .minimum = 0,
     .maximum = 1e6},
    {.name = "out",
     .type = ValueType::kNumber,
     .unit = "V",
     .access = Access::kReadWrite,
     .minimum = 0,
     .maximum = 1e6},
    {.name = "frames", .type = ValueType::kInteger},
};
constexpr ItemId kRate = 0, kOut = 1, kFrames = 2, kFirstValue = 3;
const ItemSpec kValueSpecs[] = {{.name = "value", .type = ValueType::kNumber, .unit = "V"}};

constexpr Duration kGoodFor = std::chrono::seconds(60);

class BenchDriver final : public Driver {
 public:
  explicit BenchDriver(DriverContext context)
      : context_(context),
        address_(static_cast<uint32_t>(Integer("address"))),
        items_(static_cast<ItemId>(Integer("items"))) {}

  void Start() override {
    context_.state.SetItems(std::make_shared<const ItemTable>(std::vector<ItemBlock>{
        {.prefix = "", .specs = kDeviceSpecs},
        {.prefix = "v", .first = 0, .count = static_cast<int>(items_), .specs = kValueSpecs}}));
    context_.state.SetLink(LinkState::kOnline, "always");
    context_.state.SetPolled(true);
    const MonoTime now = context_.clock.Now();
    context_.state.Set(kRate, Value::Number(0), now, kNever - now);
    Publish();
  }
  void OnFrame(const RxFrame& rx) override {
    context_.state.Set(kFrames, Value::Integer(++frames_), rx.time, kGoodFor);
  }
  void OnTxReport(const TxReport& report) override {
    const bool went_out = report.outcome == TxOutcome::kOnWire;
    if (!went_out) return context_.commands.Finish(report.tag, absl::UnavailableError("not sent"));
    context_.commands.Reached(report.tag, Stage::kSent, report.time);
    context_.commands.Reached(report.tag, Stage::kOnWire, report.time);
    context_.commands.Reached(report.tag, Stage::kConfirmed, report.time);
    context_.commands.Finish(report.tag, absl::OkStatus());
  }
  void OnBusState(BusState) override {}
  void Execute(Command command) override {
    const auto* writes = std::get_if<std::vector<ItemWrite>>(&command.what);
    const MonoTime now = context_.clock.Now();
    if (writes != nullptr && writes->front().item == kRate) {
      SetRate(writes->front().value.AsNumber());
      context_.commands.Reached(command.id, Stage::kSent, now);
      context_.commands.Reached(command.id, Stage::kConfirmed, now);
      return context_.commands.Finish(command.id, absl::OkStatus());
    }
    TxFrame tx{.frame = MakeFrame(kFramesFromDevice + address_, {0x02, 0, 0, 0, 0, 0, 0}),
               .urgency = command.urgency,
               .guard = command.guard,
               .tag = command.id};
    if (absl::Status status = context_.bus.Send(std::move(tx)); !status.ok()) {
      context_.commands.Finish(command.id, status);
    }
  }
  void Cancel(CommandId id, absl::Status why) override {
    context_.commands.Finish(id, std::move(why));
  }
  void Refresh(std::vector<ItemId>, std::function<void(absl::Status)> done) override {
    done(absl::OkStatus());
  }

 private:
  int64_t Integer(const char* name) const { return context_.config.Parameter(name).integer(); }

  void SetRate(double hz) {
    context_.timers.Cancel(timer_);
    const MonoTime now = context_.clock.Now();
    context_.state.Set(kRate, Value::Number(hz), now, kNever - now);
    if (hz <= 0) return;
    period_ = Duration(static_cast<int64_t>(1e9 / hz));
    next_ = now + period_;
    timer_ = context_.timers.At(next_, [this] { Tick(); });
  }
  void Tick() {
    Publish();
    // Late updates are made up for, as the bare hub's are; but a source that is too slow for its
    // rate must not take the core from the streams.
    next_ += period_;
    const MonoTime now = context_.clock.Now();
    if (now - next_ > 10 * period_) next_ = now + period_;
    timer_ = context_.timers.At(next_, [this] { Tick(); });
  }
  void Publish() {
    const MonoTime now = context_.clock.Now();
    const Value value = Value::Number(static_cast<double>(++published_));
    for (ItemId i = 0; i < items_; ++i) {
      context_.state.Set(kFirstValue + i, value, now, kGoodFor);
    }
  }

  DriverContext context_;
  const uint32_t address_;
  const ItemId items_;
  Duration period_{};
  MonoTime next_{};
  TimerId timer_ = 0;
  int64_t published_ = 0, frames_ = 0;
};

}  // namespace

const DriverInfo& BenchDriverInfo() {
  static const DriverInfo info{
      .name = "bench",
      .kind = "bench",
      .description = "changes as fast as it is told to",
      .parameters = {{.name = "address", .type = ParameterType::kInteger},
                     {.name = "items", .type = ParameterType::kInteger}},
      .limits = {},
      .actions = {{.name = "stop", .role = Role::kOperator, .safe = true, .description = ""}},
      .default_safe_action = "stop",
      .faults = {},
      .check = nullptr,
      .address = [](const DeviceConfig& config) { return config.Parameter("address").ToString(); },
      .filters =
          [](const DeviceConfig& config) {
            const auto address = static_cast<uint32_t>(config.Parameter("address").integer());
            return std::vector<CanFilter>{{.id = kFramesToDevice + address, .mask = 0x7FF}};
          },
      .create = [](DriverContext context) -> std::unique_ptr<Driver> {
        return std::make_unique<BenchDriver>(context);
      },
      .create_simulator = nullptr};
  return info;
}

}  // namespace canhub::bench
