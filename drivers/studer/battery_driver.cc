#include "drivers/studer/battery_driver.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "drivers/api/battery.h"
#include "drivers/api/errors.h"
#include "drivers/studer/driver.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/simulated_battery.h"

namespace canhub::studer {
namespace {

// One item for each field of a report.
struct Field {
  const char* item;
  std::optional<double> BatteryReport::*value;
  double sign;  // the kind's current is positive when it discharges, the wire's when it charges
};
constexpr std::array kFields = {
    Field{battery::pack::kVoltage, &BatteryReport::voltage, 1},
    Field{battery::pack::kCurrentMean, &BatteryReport::current, -1},
    Field{battery::pack::kTemperatureMax, &BatteryReport::temperature, 1},
    Field{battery::pack::kSocMin, &BatteryReport::soc, 1},
    Field{battery::pack::kSoh, &BatteryReport::soh, 1},
    Field{battery::pack::kChargeVoltageLimit, &BatteryReport::charge_voltage, 1},
    Field{battery::pack::kDischargeVoltageLimit, &BatteryReport::discharge_voltage, 1},
    Field{battery::pack::kChargeCurrentLimit, &BatteryReport::charge_current_limit, 1},
    Field{battery::pack::kDischargeCurrentLimit, &BatteryReport::discharge_current_limit, 1},
    Field{battery::pack::kCapacity, &BatteryReport::capacity, 1},
};
constexpr char kSource[] = "Studer facts 13";
constexpr std::array kSpecs = {
    ItemSpec{.name = battery::pack::kVoltage, .unit = "V", .source = kSource},
    ItemSpec{.name = battery::pack::kCurrentMean,
             .unit = "A",
             .description = "positive when it discharges",
             .source = kSource},
    ItemSpec{.name = battery::pack::kTemperatureMax, .unit = "degC", .source = kSource},
    ItemSpec{.name = battery::pack::kSocMin, .unit = "%", .source = kSource},
    ItemSpec{.name = battery::pack::kSoh, .unit = "%", .source = kSource},
    ItemSpec{.name = battery::pack::kChargeVoltageLimit, .unit = "V", .source = kSource},
    ItemSpec{.name = battery::pack::kDischargeVoltageLimit, .unit = "V", .source = kSource},
    ItemSpec{.name = battery::pack::kChargeCurrentLimit, .unit = "A", .source = kSource},
    ItemSpec{.name = battery::pack::kDischargeCurrentLimit, .unit = "A", .source = kSource},
    ItemSpec{.name = battery::pack::kCapacity, .unit = "Ah", .source = kSource},
    ItemSpec{.name = battery::pack::kChargeEnable, .type = ValueType::kFlag, .source = kSource},
    ItemSpec{.name = battery::pack::kDischargeEnable, .type = ValueType::kFlag, .source = kSource},
};
constexpr ItemId kChargeEnable = 10, kDischargeEnable = 11;
constexpr char kNotFed[] = "bms_not_fed";

// Frames without which nothing can be said of the battery.
constexpr std::array kNeeded = {kBmsLimits, kBmsState, kBmsMeasured};

struct Feed {
  const char* key;
  const char* what;
  std::optional<double> BatteryReport::*value;
};
constexpr std::array kFeeds = {
    Feed{"voltage", "voltage in V", &BatteryReport::voltage},
    Feed{"current", "current in A, positive when it discharges", &BatteryReport::current},
    Feed{"soc", "state of charge in %", &BatteryReport::soc},
    Feed{"temperature", "temperature in degC", &BatteryReport::temperature},
};
struct Constant {
  const char* key;
  const char* unit;
  double maximum;
  const char* what;
  std::optional<double> BatteryReport::*value;
};
constexpr std::array kConstants = {
    Constant{"charge_voltage", "V", 1000, "charge voltage limit", &BatteryReport::charge_voltage},
    Constant{"discharge_voltage", "V", 1000, "discharge voltage limit",
             &BatteryReport::discharge_voltage},
    Constant{"charge_current", "A", 3000, "charge current limit",
             &BatteryReport::charge_current_limit},
    Constant{"discharge_current", "A", 3000, "discharge current limit",
             &BatteryReport::discharge_current_limit},
};

absl::Status CheckBattery(const DeviceConfig& config) {
  const bool acts = config.Parameter("act_as_bms").flag();
  for (const Feed& feed : kFeeds) {
    if (!acts || config.Parameter(feed.key).has_value()) continue;
    return MakeError(absl::StatusCode::kInvalidArgument, "BMS_NOT_FED",
                     config.id + ": " + feed.key + ": found none, expected an item of a battery (" +
                         feed.what + "), which act_as_bms sends",
                     {{"device_id", config.id}, {"key", feed.key}});
  }
  for (const Constant& constant : kConstants) {
    if (!acts || config.Parameter(constant.key).AsNumber() > 0) continue;
    return MakeError(absl::StatusCode::kInvalidArgument, "BMS_NOT_FED",
                     config.id + ": " + constant.key + ": found 0 " + constant.unit +
                         ", expected the battery's " + constant.what + ", which act_as_bms sends",
                     {{"device_id", config.id}, {"key", constant.key}});
  }
  return absl::OkStatus();
}

std::shared_ptr<const ItemTable> Items() {
  return std::make_shared<const ItemTable>(std::vector<ItemBlock>{{.prefix = "", .specs = kSpecs}});
}

}  // namespace

std::vector<ParameterSpec> BatteryParameters() {
  using T = ParameterType;
  std::vector<ParameterSpec> parameters = {
      {.name = "stale_after",
       .type = T::kDuration,
       .default_text = "3 s",
       .minimum = 0.2,
       .maximum = 60,
       .description = "a reading is GOOD for this long; batteries send every second"},
      {.name = "act_as_bms",
       .type = T::kFlag,
       .default_text = "false",
       .description =
           "send the battery's frames to the Xcom-CAN, out of another device's readings; "
           "nothing is sent while one of them is not GOOD"},
  };
  for (const Feed& feed : kFeeds) {
    parameters.push_back({.name = feed.key,
                          .type = T::kItem,
                          .default_text = "none",
                          .description = feed.what,
                          .may_be_none = true});
  }
  for (const Constant& constant : kConstants) {
    parameters.push_back({.name = constant.key,
                          .type = T::kNumber,
                          .unit = constant.unit,
                          .default_text = *constant.unit == 'V' ? "0 V" : "0 A",
                          .minimum = 0,
                          .maximum = constant.maximum,
                          .description = constant.what});
  }
  return parameters;
}

BatteryDriver::BatteryDriver(const DriverContext& context)
    : context_(context),
      acts_(context.config.Parameter("act_as_bms").flag()),
      stale_after_(ToDuration(context.config.Parameter("stale_after"))),
      timers_(context.timers) {}

void BatteryDriver::Start() {
  context_.state.SetItems(Items());
  context_.state.SetLink(bus_up_ ? LinkState::kSearching : LinkState::kBusDown,
                         acts_ ? "waits for the battery's readings" : "listens");
  timers_.Every(kSendPeriod, [this] { acts_ ? Send() : CheckLink(); });
  if (acts_) Send();
}

void BatteryDriver::OnBusState(BusState state) {
  if (std::exchange(bus_up_, CanTransmit(state)) == CanTransmit(state)) return;
  sending_ = false;
  context_.state.SetPolled(false);
  context_.state.SetLink(bus_up_ ? LinkState::kSearching : LinkState::kBusDown,
                         "the bus is " + std::string(ToString(state)));
}

// ---------------------------------------------------------------- listening

void BatteryDriver::OnFrame(const RxFrame& rx) {
  // What the daemon itself sends is no battery.
  if (acts_) return;
  const absl::StatusOr<BatteryReport> report = DecodeBattery(rx.frame);
  if (!report.ok()) {
    return context_.log.CountBadFrame(BadFrameReason(report.status()),
                                      std::string(report.status().message()));
  }
  last_heard_ = rx.time;
  for (size_t i = 0; i < kNeeded.size(); ++i) {
    if (rx.frame.id == kNeeded[i]) heard_ |= 1U << i;
  }
  Publish(*report, rx.time);
  for (const BatteryCondition& condition : ConditionsOf(rx.frame)) {
    const std::string code =
        std::string(condition.alarm ? "battery." : "battery_warning.") + condition.name;
    if (condition.raised) {
      context_.alarms.Raise(code,
                            condition.alarm ? AlarmSeverity::kCritical : AlarmSeverity::kWarning,
                            std::string("the battery reports ") + condition.name);
    } else {
      context_.alarms.Clear(code);
    }
  }
  context_.state.SetLink(LinkState::kOnline, "the battery sends");
  if (heard_ == (1U << kNeeded.size()) - 1) context_.state.SetPolled(true);
}

void BatteryDriver::Publish(const BatteryReport& report, MonoTime time) {
  for (size_t i = 0; i < kFields.size(); ++i) {
    const std::optional<double>& value = report.*(kFields[i].value);
    // Adding 0 turns -0 into 0.
    if (value) {
      context_.state.Set(static_cast<ItemId>(i), Value::Number(*value * kFields[i].sign + 0.0),
                         time, stale_after_);
    }
  }
  if (report.charge_enable) {
    context_.state.Set(kChargeEnable, Value::Flag(*report.charge_enable), time, stale_after_);
  }
  if (report.discharge_enable) {
    context_.state.Set(kDischargeEnable, Value::Flag(*report.discharge_enable), time, stale_after_);
  }
  if (report.maker) context_.state.SetIdentity("maker", *report.maker);
}

void BatteryDriver::CheckLink() {
  if (!last_heard_ || context_.clock.Now() < *last_heard_ + stale_after_) return;
  last_heard_.reset();
  heard_ = 0;
  context_.state.InvalidateAll(Quality::kStale);
  context_.state.SetPolled(false);
  context_.state.SetLink(LinkState::kLost, "the battery does not send any more");
}

// ---------------------------------------------------------------- acting as the battery

std::optional<BatteryReport> BatteryDriver::Compose(std::string* why) const {
  BatteryReport report{
      .soh = 100, .charge_enable = true, .discharge_enable = true, .maker = "canhub"};
  for (const Feed& feed : kFeeds) {
    const std::string& name = context_.config.Parameter(feed.key).text();
    const std::optional<OtherReading> reading = context_.readings.Read(name);
    if (!reading || reading->quality != Quality::kGood) {
      *why = name + " is " +
             (reading ? std::string(ToString(reading->quality)) : std::string("not there"));
      return std::nullopt;
    }
    double value = reading->value.AsNumber();
    if (feed.value == &BatteryReport::current) value = -value;
    report.*(feed.value) = value;
  }
  for (const Constant& constant : kConstants) {
    report.*(constant.value) = context_.config.Parameter(constant.key).AsNumber();
  }
  return report;
}

void BatteryDriver::Send() {
  if (!bus_up_) return;
  std::string why;
  std::vector<CanFrame> frames;
  if (const std::optional<BatteryReport> report = Compose(&why)) {
    for (const uint32_t id : {kBmsLimits, kBmsState, kBmsMeasured, kBmsRequest, kBmsMaker}) {
      std::optional<CanFrame> frame = EncodeBattery(id, *report);
      if (!frame) {
        why = "a reading does not fit its frame";
        break;
      }
      frames.push_back(*frame);
    }
    // All of them, or none: half a battery is a wrong one.
    if (why.empty()) Publish(*report, context_.clock.Now());
  }
  if (!why.empty()) {
    if (std::exchange(sending_, false) || !context_.state.Pending(0).value.has_value()) {
      context_.alarms.Raise(kNotFed, AlarmSeverity::kWarning,
                            "sends nothing to the Xcom-CAN: " + why);
    }
    context_.state.SetPolled(false);
    return context_.state.SetLink(LinkState::kLost, "sends nothing: " + why);
  }
  for (const CanFrame& frame : frames) {
    context_.bus
        .Send({.frame = frame,
               .urgency = Urgency::kHeartbeat,
               .deadline = context_.clock.Now() + kSendPeriod})
        .IgnoreError();  // the next one is a second away
  }
  sending_ = true;
  context_.alarms.Clear(kNotFed);
  context_.state.SetLink(LinkState::kOnline, "acts as the battery");
  context_.state.SetPolled(true);
}

void BatteryDriver::Execute(Command command) {
  context_.commands.Finish(
      command.id, MakeError(absl::StatusCode::kUnimplemented, "NOTHING_TO_COMMAND",
                            context_.config.id + ": a battery that is overheard takes no commands",
                            {{"device_id", context_.config.id}}));
}

void BatteryDriver::Refresh(std::vector<ItemId>, std::function<void(absl::Status)> done) {
  done(absl::OkStatus());  // it cannot be asked
}

const DriverInfo& BatteryInfo() {
  static const DriverInfo* const info = [] {
    return new DriverInfo{
        .name = "studer-battery",
        .kind = battery::kKind,
        .description = "the battery of an Xcom-CAN in battery mode, overheard or played",
        .parameters = BatteryParameters(),
        .default_safe_action = "hold",
        .faults = SimulatedBatteryFaults(),
        .check = &CheckBattery,
        .address = [](const DeviceConfig&) { return std::string("0x351"); },
        .filters =
            [](const DeviceConfig&) {
              // 0x350 to 0x35F.
              return std::vector<CanFilter>{{.id = 0x350, .mask = 0x7F0}};
            },
        .create = [](DriverContext context) -> std::unique_ptr<Driver> {
          return std::make_unique<BatteryDriver>(context);
        },
        .create_simulator = &CreateSimulatedBattery,
        .items = [](const DeviceConfig&) { return Items(); },
    };
  }();
  return *info;
}

}  // namespace canhub::studer
