#include "drivers/iseg/derived_items.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <string>

#include "drivers/api/high_voltage.h"
#include "drivers/iseg/models.h"
#include "drivers/iseg/poll_plan.h"

namespace canhub::iseg {
namespace {

namespace hvc = high_voltage::channel;
namespace hvm = high_voltage::module;

// Values of running_state (items_*.cc): off, ok, info, error.
enum RunningState : int64_t { kOff = 0, kOk = 1, kInfo = 2, kError = 3 };

// Until something says otherwise; renewed with every fast poll while the device answers.
constexpr Duration kOfflineGoodFor = std::chrono::hours(1);

constexpr uint32_t kChannelErrors =
    Bit(channel_bit::kEmergencyOff) | Bit(channel_bit::kArcError) |
    Bit(channel_bit::kCurrentBounds) | Bit(channel_bit::kVoltageBounds) |
    Bit(channel_bit::kExternalInhibit) | Bit(channel_bit::kTrip) | Bit(channel_bit::kCurrentLimit) |
    Bit(channel_bit::kVoltageLimit);
// +24 V battery, +5 V and +24 V of the backplane, +5 V and +3.3 V of the controller (13.1).
constexpr uint32_t kCrateBattery = 0x003;
constexpr uint32_t kCrateSupplies = 0xF3C;

struct LatchName {
  const char* name;
  uint32_t bits;
};
constexpr LatchName kChannelLatches[] = {
    {"error_arc", Bit(channel_bit::kArcError)},
    {"error_emergency", Bit(channel_bit::kEmergencyOff)},
    {"error_current_bound_exceeded", Bit(channel_bit::kCurrentBounds)},
    {"error_voltage_bound_exceeded", Bit(channel_bit::kVoltageBounds)},
    {"error_external_inhibit_active", Bit(channel_bit::kExternalInhibit)},
    {"error_trip", Bit(channel_bit::kTrip)},
    {"error_current_limit_exceeded", Bit(channel_bit::kCurrentLimit)},
    {"error_voltage_limit_exceeded", Bit(channel_bit::kVoltageLimit)},
};
constexpr LatchName kModuleLatches[] = {
    {"error_interlock_out", Bit(module_bit::kRestartEvent)},
    {"error_need_service", Bit(module_bit::kNeedService)},
    {"error_safety_loop_was_opened", Bit(module_bit::kSafetyLoop)},
    {"error_supply_not_good", Bit(module_bit::kSupply)},
    {"error_temperature_not_good", Bit(module_bit::kTemperature)},
};
constexpr LatchName kCrateLatches[] = {
    {"error_battery_not_good", kCrateBattery},
    {"error_mains_not_good", Bit(crate_bit::kPowerFail)},
    {"error_supply_not_good", kCrateSupplies},
    {"error_temperature_not_good", Bit(crate_bit::kTemperature)},
};

}  // namespace

DerivedItems::DerivedItems(const Settings& settings, const Clock& clock, StatePublisher& state,
                           DeviceImage& image)
    : settings_(settings), clock_(clock), state_(state), image_(image) {
  Rebuild();
}

DerivedItems::Events DerivedItems::FindEvents(int channel) const {
  Events events;
  events.channel = channel;
  events.status = image_.Find(channel, hvc::kStatus);
  events.event_status = image_.Find(channel, hvc::kEventStatus);
  events.running_state = image_.Find(channel, "running_state");
  events.error_counter = image_.Find(channel, "error_counter");
  events.event_counter = image_.Find(channel, "event_counter");
  const std::span<const LatchName> names =
      channel >= 0              ? std::span<const LatchName>(kChannelLatches)
      : settings_.address.crate ? std::span<const LatchName>(kCrateLatches)
                                : std::span<const LatchName>(kModuleLatches);
  for (const LatchName& latch : names) {
    events.latches.push_back({image_.Find(channel, latch.name), latch.bits});
  }
  return events;
}

void DerivedItems::Rebuild() {
  constexpr int kDevice = DeviceImage::kDevice;
  device_ = FindEvents(kDevice);
  channel_events_.clear();
  channels_.clear();
  for (int ch = 0; ch < image_.channels(); ++ch) {
    channel_events_.push_back(FindEvents(ch));
    ChannelIds ids;
    ids.voltage_set = image_.Find(ch, hvc::kVoltageSet);
    ids.current_set = image_.Find(ch, hvc::kCurrentSet);
    ids.voltage_measure = image_.Find(ch, hvc::kVoltageMeasure);
    ids.voltage_nominal = image_.Find(ch, hvc::kVoltageNominal);
    ids.current_nominal = image_.Find(ch, hvc::kCurrentNominal);
    ids.voltage_bounds = image_.Find(ch, hvc::kVoltageBounds);
    ids.voltage_limit = image_.Find(ch, hvc::kVoltageLimit);
    ids.current_limit = image_.Find(ch, hvc::kCurrentLimit);
    ids.ramp_up = image_.Find(ch, hvc::kRampUp);
    ids.ramp_down = image_.Find(ch, hvc::kRampDown);
    ids.limit_percent = image_.Find(kDevice, hvm::kVoltageLimit);
    ids.current_limit_percent = image_.Find(kDevice, hvm::kCurrentLimit);
    if (!ids.limit_percent) {
      ids.limit_percent = image_.Find(kDevice, "voltage_limit_" + std::to_string(ch));
      ids.current_limit_percent = image_.Find(kDevice, "current_limit_" + std::to_string(ch));
    }
    if ((image_.items().features() & feature::kNarrow) != 0) {
      ids.is_ramp_up = image_.Find(ch, "is_voltage_ramp_up");
      ids.is_ramp_down = image_.Find(ch, "is_voltage_ramp_down");
      ids.is_upper = image_.Find(ch, "is_voltage_bound_upper");
      ids.is_lower = image_.Find(ch, "is_voltage_bound_lower");
    }
    ids.output_mode = image_.Find(ch, hvc::kOutputMode);
    ids.output_polarity = image_.Find(ch, hvc::kOutputPolarity);
    ids.voltage_mode = image_.Find(ch, "voltage_mode");
    ids.current_mode = image_.Find(ch, "current_mode");
    channels_.push_back(ids);
  }
  ramp_percent_ = image_.Find(kDevice, hvm::kRampPercent);
  is_alive_ = image_.Find(kDevice, "is_alive");
  cycle_counter_ = image_.Find(kDevice, "cycle_counter");
  cycle_time_ = image_.Find(kDevice, "cycle_time");
  address_ = image_.Find(kDevice, "address");
  line_ = image_.Find(kDevice, "line");
  crate_battery_good_ = image_.Find(kDevice, "is_battery_good");
  crate_battery_event_ = image_.Find(kDevice, "event_battery_not_good");
  crate_supply_event_ = image_.Find(kDevice, "event_supply_not_good");
  crate_supply_good_ =
      settings_.address.crate ? image_.Find(kDevice, "is_supply_good") : std::nullopt;
  if (!settings_.address.crate) crate_supply_event_.reset();
}

std::optional<double> DerivedItems::Number(OptionalId item) const {
  const std::optional<Value> value = item ? image_.Get(*item) : std::nullopt;
  return value ? std::optional<double>(value->AsNumber()) : std::nullopt;
}

std::optional<uint32_t> DerivedItems::Bits(OptionalId item) const {
  const std::optional<Value> value = item ? image_.Get(*item) : std::nullopt;
  return value ? std::optional<uint32_t>(static_cast<uint32_t>(value->integer())) : std::nullopt;
}

// As old as its oldest source, and GOOD no longer than any of them.
void DerivedItems::PublishFrom(OptionalId item, std::initializer_list<OptionalId> sources,
                               const Value& value) {
  if (!item) return;
  MonoTime time = clock_.Now();
  MonoTime until = kNever;
  for (const OptionalId& source : sources) {
    if (!source) continue;
    time = std::min(time, image_.ReadTime(*source).value_or(time));
    until = std::min(until, image_.GoodUntil(*source));
  }
  image_.Publish(*item, value, time, until - time);
}

void DerivedItems::UpdateLimits(int channel) {
  const ChannelIds& ids = channels_[static_cast<size_t>(channel)];
  const auto bound = [this](OptionalId nominal_id, OptionalId percent_id, OptionalId limit_id) {
    const std::optional<double> nominal = Number(nominal_id);
    if (!nominal) return std::optional<double>();
    const std::optional<double> percent = Number(percent_id);
    if (!percent) return std::optional<double>(std::abs(*nominal));
    const double limit = *percent * *nominal / 100;
    PublishFrom(limit_id, {nominal_id, percent_id}, Value::Number(limit));
    return std::optional<double>(std::min(std::abs(limit), std::abs(*nominal)));
  };
  if (const auto most = bound(ids.voltage_nominal, ids.limit_percent, ids.voltage_limit);
      most && ids.voltage_set) {
    // A negative nominal voltage lets the set voltage have either sign.
    const bool negative = *Number(ids.voltage_nominal) < 0;
    state_.SetRange(*ids.voltage_set, negative ? std::nullopt : std::optional<double>(0), *most);
  }
  if (const auto most = bound(ids.current_nominal, ids.current_limit_percent, ids.current_limit);
      most && ids.current_set) {
    state_.SetRange(*ids.current_set, 0, *most);
  }
}

void DerivedItems::UpdateRamps(int channel) {
  if ((image_.items().features() & feature::kModuleVoltageRampOnly) == 0) return;
  const ChannelIds& ids = channels_[static_cast<size_t>(channel)];
  const std::optional<double> percent = Number(ramp_percent_);
  const std::optional<double> nominal = Number(ids.voltage_nominal);
  if (!percent || !nominal) return;
  const Value speed = Value::Number(*percent * std::abs(*nominal) / 100);
  PublishFrom(ids.ramp_up, {ramp_percent_, ids.voltage_nominal}, speed);
  PublishFrom(ids.ramp_down, {ramp_percent_, ids.voltage_nominal}, speed);
}

void DerivedItems::UpdateFlags(int channel) {
  const ChannelIds& ids = channels_[static_cast<size_t>(channel)];
  if (!ids.is_ramp_up) return;
  const OptionalId status_id = channel_events_[static_cast<size_t>(channel)].status;
  const std::optional<uint32_t> status = Bits(status_id);
  const std::optional<double> measured = Number(ids.voltage_measure);
  const std::optional<double> set = Number(ids.voltage_set);
  if (!status || !measured || !set) return;
  const double now = std::abs(*measured);
  const bool on = (*status & Bit(channel_bit::kOn)) != 0;
  const bool ramping = (*status & Bit(channel_bit::kRamp)) != 0;
  const bool outside = (*status & Bit(channel_bit::kVoltageBounds)) != 0;
  const double target = on ? std::abs(*set) : 0;
  const auto publish = [&](OptionalId item, bool value) {
    PublishFrom(item, {status_id, ids.voltage_measure, ids.voltage_set}, Value::Flag(value));
  };
  publish(ids.is_ramp_up, ramping && now < target);
  publish(ids.is_ramp_down, ramping && now > target);
  publish(ids.is_upper, outside && now > target);
  publish(ids.is_lower, outside && now < target);
}

void DerivedItems::UpdateModes(int channel) {
  const ChannelIds& ids = channels_[static_cast<size_t>(channel)];
  if (!ids.voltage_mode && !ids.current_mode) return;
  const std::optional<double> mode = Number(ids.output_mode);
  if (!mode) return;
  const std::string entry = std::to_string(static_cast<int>(*mode));
  const OptionalId voltage = image_.Find(channel, "voltage_mode_list_" + entry);
  const OptionalId current = image_.Find(channel, "current_mode_list_" + entry);
  if (const auto volt = Number(voltage)) {
    const double sign = Number(ids.output_polarity).value_or(1) < 0 ? -1 : 1;
    PublishFrom(ids.voltage_mode, {ids.output_mode, voltage}, Value::Number(sign * *volt));
  }
  if (const auto ampere = Number(current)) {
    PublishFrom(ids.current_mode, {ids.output_mode, current}, Value::Number(*ampere));
  }
}

void DerivedItems::UpdateEvents(Events& events) {
  const std::optional<uint32_t> bits = Bits(events.event_status);
  if (!bits) return;
  const uint32_t rising = *bits & ~events.last_events;
  events.last_events = *bits;
  uint32_t error_bits = 0;
  for (const Latch& latch : events.latches) error_bits |= latch.bits;
  events.events += std::popcount(rising);
  events.errors += std::popcount(rising & error_bits);
  events.latched |= *bits & error_bits;
  const auto from_events = [&](OptionalId item, const Value& value) {
    PublishFrom(item, {events.event_status}, value);
  };
  for (const Latch& latch : events.latches) {
    from_events(latch.item, Value::Flag((events.latched & latch.bits) != 0));
  }
  if (events.channel >= 0) {
    from_events(events.event_counter, Value::Integer(events.events));
    from_events(events.error_counter, Value::Integer(events.errors));
  }
}

void DerivedItems::UpdateRunningState(const Events& events) {
  const std::optional<uint32_t> status = Bits(events.status);
  const std::optional<uint32_t> bits = Bits(events.event_status);
  if (!status || !bits) return;
  int64_t state = kOff;
  if (((*status | *bits) & kChannelErrors) != 0) {
    state = kError;
  } else if ((*status & Bit(channel_bit::kRamp)) != 0) {
    state = kInfo;
  } else if ((*status & Bit(channel_bit::kOn)) != 0) {
    state = kOk;
  }
  PublishFrom(events.running_state, {events.status, events.event_status}, Value::Integer(state));
}

void DerivedItems::UpdateDevice() {
  int64_t errors = device_.errors;
  int64_t events = device_.events;
  for (const Events& channel : channel_events_) {
    errors += channel.errors;
    events += channel.events;
  }
  PublishFrom(device_.error_counter, {device_.event_status}, Value::Integer(errors));
  PublishFrom(device_.event_counter, {device_.event_status}, Value::Integer(events));
  const std::optional<uint32_t> status = Bits(device_.status);
  if (!status || settings_.address.crate) return;
  int64_t state = kOff;
  if ((*status & Bit(module_bit::kModuleGood)) == 0 ||
      (*status & Bit(module_bit::kNeedService)) != 0) {
    state = kError;
  } else if ((*status & Bit(module_bit::kNoRamp)) == 0) {
    state = kInfo;
  } else if ((*status & Bit(module_bit::kHighVoltageOn)) != 0) {
    state = kOk;
  }
  PublishFrom(device_.running_state, {device_.status}, Value::Integer(state));
}

void DerivedItems::UpdateCrate() {
  const std::optional<uint32_t> status = Bits(device_.status);
  const std::optional<uint32_t> bits = Bits(device_.event_status);
  if (status) {
    PublishFrom(crate_battery_good_, {device_.status}, Value::Flag((*status & kCrateBattery) == 0));
    PublishFrom(crate_supply_good_, {device_.status}, Value::Flag((*status & kCrateSupplies) == 0));
    constexpr uint32_t kBad = kCrateBattery | kCrateSupplies | Bit(crate_bit::kTemperature) |
                              Bit(crate_bit::kPowerFail) | Bit(crate_bit::kSumError);
    const int64_t state = (*status & kBad) != 0                       ? kError
                          : (*status & Bit(crate_bit::kPowerOn)) != 0 ? kOk
                                                                      : kOff;
    PublishFrom(device_.running_state, {device_.status}, Value::Integer(state));
  }
  if (bits) {
    PublishFrom(crate_battery_event_, {device_.event_status},
                Value::Flag((*bits & kCrateBattery) != 0));
    PublishFrom(crate_supply_event_, {device_.event_status},
                Value::Flag((*bits & kCrateSupplies) != 0));
  }
}

void DerivedItems::OnRead(uint16_t data_id, Duration fast_period) {
  const uint16_t narrow = data_id & static_cast<uint16_t>(~kWideBit);
  const auto for_all = [this](auto update) {
    for (int ch = 0; ch < image_.channels(); ++ch) update(ch);
  };
  switch (narrow) {
    case id::kVoltageNominal:
    case id::kModuleVoltageRamp:
      for_all([this](int ch) {
        UpdateLimits(ch);
        UpdateRamps(ch);
      });
      break;
    case id::kCurrentNominal:
    case id::kModuleVoltageLimit:
    case id::kModuleCurrentLimit:
    case id::kVoltageLimits:
    case id::kCurrentLimits:
      for_all([this](int ch) { UpdateLimits(ch); });
      break;
    case id::kVoltageMeasure:
      ++cycles_;
      PublishStatics(fast_period);
      [[fallthrough]];
    case id::kVoltageSet:
      for_all([this](int ch) { UpdateFlags(ch); });
      break;
    case id::kChannelStatus:
      for_all([this](int ch) {
        UpdateFlags(ch);
        UpdateRunningState(channel_events_[static_cast<size_t>(ch)]);
      });
      break;
    case id::kChannelEventStatus:
      for_all([this](int ch) {
        UpdateEvents(channel_events_[static_cast<size_t>(ch)]);
        UpdateRunningState(channel_events_[static_cast<size_t>(ch)]);
      });
      break;
    case id::kOutputMode:
    case id::kOutputPolarity:
    case id::kVoltageModeList:
    case id::kCurrentModeList:
      for_all([this](int ch) { UpdateModes(ch); });
      break;
    case id::kModuleEventStatus:
      UpdateEvents(device_);
      [[fallthrough]];
    case id::kModuleStatus:
      UpdateDevice();
      break;
    case id::kCrateStatus:
      ++cycles_;
      PublishStatics(fast_period);
      [[fallthrough]];
    case id::kCrateEventStatus:
      UpdateEvents(device_);
      UpdateCrate();
      UpdateDevice();
      break;
    default:
      break;
  }
}

void DerivedItems::PublishStatics(Duration fast_period) {
  const MonoTime now = clock_.Now();
  const Duration good_for = GoodFor(fast_period, settings_.multiple_timeout);
  const auto publish = [&](OptionalId item, const Value& value) {
    if (item) image_.Publish(*item, value, now, good_for);
  };
  publish(is_alive_, Value::Flag(true));
  publish(cycle_counter_, Value::Integer(cycles_));
  publish(cycle_time_, Value::Number(std::chrono::duration<double>(fast_period).count()));
  publish(address_, Value::Integer(settings_.address.number));
  publish(line_, Value::Integer(settings_.address.line));
}

void DerivedItems::OnOffline() {
  if (is_alive_) image_.Publish(*is_alive_, Value::Flag(false), clock_.Now(), kOfflineGoodFor);
}

void DerivedItems::ClearLatches(int channel) {
  const auto clear = [this](Events& events) {
    events.latched = Bits(events.event_status).value_or(0);
    UpdateEvents(events);
  };
  if (channel < 0) clear(device_);
  for (Events& events : channel_events_) {
    if (channel < 0 || events.channel == channel) clear(events);
  }
}

}  // namespace canhub::iseg
