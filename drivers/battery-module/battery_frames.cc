// What modules send: from frames to readings.
#include <algorithm>
#include <cmath>
#include <string>

#include "drivers/battery-module/battery_driver.h"
#include "drivers/battery-module/codec.h"

namespace canhub::battery_module {
namespace {

// Of an alarm frame without a GenMsgCycleTime (facts, section 12.2: at least every 500 ms).
constexpr Duration kAlarmCycle = std::chrono::milliseconds(500);
constexpr int kAlarmPeriods = 3;
// The counter of an alarm frame may stand so often (facts, section 12.2).
constexpr int kCounterStands = 3;
// The information pages of the cells' resistances: page 16 is cell 1 (facts, section 12.3).
constexpr int kFirstResistancePage = 16;

bool IsAllOnes(std::span<const uint8_t> payload) {
  return !payload.empty() &&
         std::all_of(payload.begin(), payload.end(), [](uint8_t byte) { return byte == 0xFF; });
}

}  // namespace

Duration BatteryDriver::GoodFor(const Route& route) const {
  switch (route.group) {
    case Group::kSensors:
      return settings_.sensors_stale_after;
    case Group::kAlarm:
      return kAlarmPeriods *
             (route.message->cycle > Duration(0) ? route.message->cycle : kAlarmCycle);
    case Group::kInfo:
      return kInfoGood;
    case Group::kMain:
    case Group::kExtra:
      break;
  }
  return stale_after_;
}

void BatteryDriver::OnFrame(const RxFrame& frame) {
  if (!started_) return;
  const Route* route = layout_.Find(frame.frame);
  if (route == nullptr) return;
  const std::span<const uint8_t> bytes = frame.frame.payload();
  if (bytes.size() != static_cast<size_t>(route->message->length)) {
    context_.log.CountBadFrame("wrong_length", FormatFrame(frame.frame) + ": expected " +
                                                   std::to_string(route->message->length) +
                                                   " bytes, as " + route->message->name + " has");
    return;
  }
  // A module that is alive but measures nothing; no value of it can be.
  if (IsAllOnes(bytes)) {
    context_.log.CountBadFrame("all_ones", FormatFrame(frame.frame) + ": every bit is 1");
    return InvalidateRoute(*route);
  }
  const dbc::Payload payload(bytes);
  if (route->group == Group::kAlarm) return TakeAlarm(*route, payload, frame.time);
  Module& module = At(route->module);
  int page = -1;
  route->message->ForEach(payload, [&](int index, dbc::Bits bits) {
    const Target& target = route->targets[static_cast<size_t>(index)];
    if (target.role == SignalRole::kInfoPage) page = static_cast<int>(bits);
    TakeValue(*route, index, bits, frame.time);
  });
  // One signal stands for all cells: the page says which.
  if (const int cell = page - kFirstResistancePage + 1; cell >= 1 && cell <= settings_.cells) {
    for (size_t i = 0; i < route->targets.size(); ++i) {
      const dbc::Signal& signal = route->message->signals[i];
      if (route->targets[i].role != SignalRole::kCellResistance) continue;
      context_.state.Set(items_.Module(route->module, items_.Spec("cell", cell, "_resistance")),
                         Value::Number(signal.Physical(payload.Get(signal))), frame.time,
                         GoodFor(*route));
    }
  }
  const auto index = static_cast<size_t>(layout_.IndexOf(route));
  route_times_[index] = frame.time;
  route_pending_[index] = true;
  if (route->has_voltage) OnSeen(route->module);
  if (route->group == Group::kSensors) module.sensors_time = frame.time;
  if (route->group == Group::kMain) OnMainFrame(*route, frame.time);
  if (route->group == Group::kSensors && IsSupervised(module)) {
    JudgeModule(route->module, frame.time);
    JudgePack(frame.time);
  }
  if (!awaited_.empty()) awaited_.Arrived(static_cast<int>(index));
}

void BatteryDriver::TakeValue(const Route& route, int index, dbc::Bits bits, MonoTime time) {
  const Target& target = route.targets[static_cast<size_t>(index)];
  const dbc::Signal& signal = route.message->signals[static_cast<size_t>(index)];
  Module& module = At(route.module);
  double value = signal.Physical(bits);
  const bool outside =
      (signal.minimum && value < *signal.minimum) || (signal.maximum && value > *signal.maximum);
  const bool impossible = target.role == SignalRole::kVoltage && value > highest_module_volt_;
  const bool bad = !std::isfinite(value) || outside || impossible;
  if (bad) {
    context_.log.CountBadFrame("impossible_value", route.message->name + "." + signal.name + ": " +
                                                       std::to_string(value) + " " + signal.unit);
    module.watch.Lose(target);
  } else {
    if (target.role == SignalRole::kCurrent && settings_.charging_is_positive) value = 0 - value;
    module.watch.Sample(target, static_cast<int64_t>(bits), value, time);
  }
  if (target.spec < 0) return;
  const ItemId item = items_.Module(route.module, target.spec);
  if (bad) return context_.state.Invalidate(item, Quality::kBad);
  if (items_.table()->Spec(item).type == ValueType::kInteger) {
    const std::optional<int64_t> whole = signal.PhysicalInteger(bits);
    if (!whole) return context_.state.Invalidate(item, Quality::kBad);
    return context_.state.Set(item, Value::Integer(*whole), time, GoodFor(route));
  }
  context_.state.Set(item, Value::Number(value), time, GoodFor(route));
}

void BatteryDriver::InvalidateRoute(const Route& route) {
  for (const Target& target : route.targets) {
    At(route.module).watch.Lose(target);
    if (target.spec >= 0) {
      context_.state.Invalidate(items_.Module(route.module, target.spec), Quality::kBad);
    }
  }
  if (route.group == Group::kMain) PublishCells(route.module, context_.clock.Now());
}

// What is derived of a module's cells.
void BatteryDriver::PublishCells(int number, MonoTime time) {
  if (const auto cells = At(number).watch.CellExtremes(time, stale_after_)) {
    const auto set = [&](int spec, Value value) {
      context_.state.Set(items_.Module(number, spec), std::move(value), cells->time, stale_after_);
    };
    set(spec_.cell_min, Value::Number(cells->min));
    set(spec_.cell_max, Value::Number(cells->max));
    set(spec_.cell_sum, Value::Number(cells->sum));
    set(spec_.cell_spread, Value::Number(cells->max - cells->min));
    if (cells->min_number > 0) {
      set(spec_.cell_min_cell, Value::Integer(cells->min_number));
      set(spec_.cell_max_cell, Value::Integer(cells->max_number));
    }
  } else {
    for (const int spec : {spec_.cell_min, spec_.cell_max, spec_.cell_sum, spec_.cell_spread,
                           spec_.cell_min_cell, spec_.cell_max_cell}) {
      context_.state.Invalidate(items_.Module(number, spec), Quality::kStale);
    }
  }
}

void BatteryDriver::OnMainFrame(const Route& route, MonoTime time) {
  const int number = route.module;
  PublishCells(number, time);
  if (!IsSupervised(At(number))) return;
  CheckPlausible(number, time);
  JudgeModule(number, time);
  JudgePack(time);
  if (link_ != LinkState::kOnline && At(number).latched) UpdateLink(time);
}

// Once all of a module's frames of one poll are there (facts, section 12.5).
void BatteryDriver::CheckPlausible(int number, MonoTime now) {
  for (size_t r = 0; r < layout_.routes().size(); ++r) {
    const Route& route = layout_.routes()[r];
    if (route.module == number && route.group == Group::kMain && !route_pending_[r]) return;
  }
  for (size_t r = 0; r < layout_.routes().size(); ++r) {
    if (layout_.routes()[r].module == number) route_pending_[r] = false;
  }
  Module& module = At(number);
  const ModuleWatch& watch = module.watch;
  const auto cells = watch.CellExtremes(now, stale_after_);
  if (!cells) return;
  // A hair more than the tolerance is the rounding of doubles.
  const auto differ = [](double a, double b, double tolerance) {
    return std::abs(a - b) > tolerance + 1e-9;
  };
  const bool sum = watch.volt.FreshAt(now, stale_after_) &&
                   differ(cells->sum, *watch.volt.value, settings_.cell_sum_tolerance);
  const bool low = watch.reported_min.FreshAt(now, stale_after_) &&
                   differ(cells->min, *watch.reported_min.value, settings_.cell_extreme_tolerance);
  const bool high = watch.reported_max.FreshAt(now, stale_after_) &&
                    differ(cells->max, *watch.reported_max.value, settings_.cell_extreme_tolerance);
  module.implausible = sum || low || high ? module.implausible + 1 : 0;
  alarms_.Set(number, ModuleAlarm::kImplausible, module.implausible >= 2, [&] {
    const auto text = [](double value) {
      return Value::Number(std::round(value * 1e3) / 1e3).ToString();
    };
    if (sum) {
      return "its cells make " + text(cells->sum) + " V, it says " + text(*watch.volt.value) + " V";
    }
    return "its cells are " + text(cells->min) + " to " + text(cells->max) + " V, it says " +
           text(watch.reported_min.value.value_or(0)) + " to " +
           text(watch.reported_max.value.value_or(0)) + " V";
  });
}

// ---------------------------------------------------------------- the alarm frame

void BatteryDriver::AlarmIsBad(int number, const std::string& why) {
  alarms_.Set(number, ModuleAlarm::kAlarmFrame, true, [&] { return why; });
}

void BatteryDriver::TakeAlarm(const Route& route, const dbc::Payload& payload, MonoTime time) {
  Module& module = At(route.module);
  int64_t flags = 0;
  std::optional<int64_t> code, counter;
  std::optional<uint8_t> crc;
  const dbc::Message& message = *route.message;
  message.ForEach(payload, [&](int index, dbc::Bits bits) {
    const Target& target = route.targets[static_cast<size_t>(index)];
    if (target.role == SignalRole::kAlarmBit && bits != 0) flags |= int64_t{1} << target.number;
    if (target.role == SignalRole::kFaultCode) code = static_cast<int64_t>(bits);
    if (target.role == SignalRole::kLiveCounter) counter = static_cast<int64_t>(bits);
    if (target.role == SignalRole::kCrc) crc = static_cast<uint8_t>(bits);
  });
  if (crc && message.length == 8) {
    if (AlarmCrc(route.module, payload.data()) != *crc) {
      context_.log.CountBadFrame("bad_crc", message.name + ": the check sum is wrong");
      module.alarm_garbled = true;
      AlarmIsBad(route.module, "its alarm frame has a wrong check sum");
      if (IsSupervised(module)) JudgePack(time);
      return;
    }
  }
  module.alarm_garbled = false;
  module.live_stands = counter && counter == module.live_counter ? module.live_stands + 1 : 0;
  module.live_counter = counter;
  module.alarm_seen = true;
  module.alarm_time = time;
  if (module.live_stands >= kCounterStands) {
    AlarmIsBad(route.module, "the counter of its alarm frame stands still");
  } else {
    alarms_.Set(route.module, ModuleAlarm::kAlarmFrame, false, [] { return std::string(); });
  }
  message.ForEach(payload, [&](int index, dbc::Bits bits) {
    if (route.targets[static_cast<size_t>(index)].role != SignalRole::kAlarmBit) {
      TakeValue(route, index, bits, time);
    }
  });
  context_.state.Set(items_.Module(route.module, spec_.alarm_flags), Value::Integer(flags), time,
                     GoodFor(route));
  module.fault = LevelOfFault(code.value_or(0));
  module.fault_text = code.value_or(0) != 0 ? "it reports fault " + std::to_string(*code) : "";
  for (const AlarmBit& bit : AlarmBits()) {
    if ((flags >> bit.bit & 1) == 0 || bit.meaning == AlarmBit::Meaning::kInformation) continue;
    const Level level =
        bit.meaning == AlarmBit::Meaning::kDangerous ? Level::kDangerous : Level::kWarning;
    if (level > module.fault || module.fault_text.empty()) {
      module.fault_text = std::string("it reports ") + bit.signal;
    }
    module.fault = std::max(module.fault, level);
  }
  if (!IsSupervised(module)) return;
  JudgeModule(route.module, time);
  JudgePack(time);
}

}  // namespace canhub::battery_module
