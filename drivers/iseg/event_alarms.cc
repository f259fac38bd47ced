#include "drivers/iseg/event_alarms.h"

#include <cmath>
#include <span>
#include <utility>

#include "drivers/api/high_voltage.h"
#include "drivers/iseg/registers.h"

namespace canhub::iseg {
namespace {

namespace hvc = high_voltage::channel;
namespace hvm = high_voltage::module;

constexpr int kDevice = DeviceImage::kDevice;

struct Rule {
  const char* code;
  uint32_t event_bits;
  uint32_t status_bits;
  bool status_good;  // the status bit says that all is well
  AlarmSeverity severity;
  const char* happened;
  const char* what_to_do;
};

constexpr AlarmSeverity kCritical = AlarmSeverity::kCritical;
constexpr AlarmSeverity kWarning = AlarmSeverity::kWarning;
constexpr AlarmSeverity kInfo = AlarmSeverity::kInfo;

constexpr char kClearWhenFound[] = "find the cause, then clear the events and switch on again";

constexpr uint32_t ChannelBit(int bit) { return Bit(bit); }

constexpr Rule kChannelRules[] = {
    {"trip", ChannelBit(channel_bit::kTrip), ChannelBit(channel_bit::kTrip), false, kCritical,
     "tripped: the current reached its limit", kClearWhenFound},
    {"emergency_off", ChannelBit(channel_bit::kEmergencyOff),
     ChannelBit(channel_bit::kEmergencyOff), false, kCritical,
     "is in emergency off: cut off without ramp", "release emergency off when it is safe"},
    {"external_inhibit", ChannelBit(channel_bit::kExternalInhibit),
     ChannelBit(channel_bit::kExternalInhibit), false, kCritical, "has an external inhibit",
     "end the inhibit signal, then clear the events"},
    {"current_limit", ChannelBit(channel_bit::kCurrentLimit),
     ChannelBit(channel_bit::kCurrentLimit), false, kCritical,
     "exceeded the hardware current limit", kClearWhenFound},
    {"voltage_limit", ChannelBit(channel_bit::kVoltageLimit),
     ChannelBit(channel_bit::kVoltageLimit), false, kCritical,
     "exceeded the hardware voltage limit", kClearWhenFound},
    {"arc_error", ChannelBit(channel_bit::kArcError), ChannelBit(channel_bit::kArcError), false,
     kCritical, "had more arcs than allowed", kClearWhenFound},
    {"current_bounds", ChannelBit(channel_bit::kCurrentBounds),
     ChannelBit(channel_bit::kCurrentBounds), false, kWarning,
     "has, or had, a current outside its bounds", "check the load, then clear the events"},
    {"voltage_bounds", ChannelBit(channel_bit::kVoltageBounds),
     ChannelBit(channel_bit::kVoltageBounds), false, kWarning,
     "has, or had, a voltage outside its bounds", "check the load, then clear the events"},
    {"input_error", ChannelBit(channel_bit::kInputError), ChannelBit(channel_bit::kInputError),
     false, kInfo, "refused a value that was written to it", "clear the events"},
};

constexpr Rule kModuleRules[] = {
    {"safety_loop", Bit(module_bit::kSafetyLoop), Bit(module_bit::kSafetyLoop), true, kCritical,
     "the safety loop is, or was, open: all channels are cut off",
     "close the loop, then clear the module's events"},
    {"supply", Bit(module_bit::kSupply), Bit(module_bit::kSupply), true, kCritical,
     "a supply voltage of the module is, or was, out of range",
     "check the crate's supplies, then clear the module's events"},
    {"temperature", Bit(module_bit::kTemperature), Bit(module_bit::kTemperature), true, kCritical,
     "the module is, or was, too hot: it ramps all channels down",
     "check fans and air flow, then clear the module's events"},
    {"need_service", Bit(module_bit::kNeedService), Bit(module_bit::kNeedService), false, kCritical,
     "the module reports a hardware failure: the voltage stays off", "send the module to service"},
    {"hardware_voltage_limit", Bit(module_bit::kHardwareVoltageLimitGood), 0, false, kWarning,
     "the hardware voltage limit was out of range", "check the limit potentiometers"},
    {"power_fail", Bit(0), 0, false, kWarning, "the module saw a power fail",
     "check the mains, then clear the module's events"},
    {"module_input_error", Bit(module_bit::kInputError), Bit(module_bit::kInputError), false, kInfo,
     "the module refused an access", "clear the module's events"},
};

constexpr Rule kCrateRules[] = {
    {"battery", 0x003, 0x003, false, kCritical, "the crate's 24 V battery is, or was, out of range",
     "check the battery, then clear the crate's events"},
    {"supply", 0xF3C, 0xF3C, false, kCritical, "a supply of the crate is, or was, out of range",
     "check the supplies, then clear the crate's events"},
    {"need_service", Bit(6), Bit(6), false, kCritical, "the crate needs service",
     "send the crate to service"},
    {"temperature", Bit(crate_bit::kTemperature), Bit(crate_bit::kTemperature), false, kCritical,
     "the crate is, or was, too hot", "check the fans, then clear the crate's events"},
    {"power_fail", Bit(crate_bit::kPowerFail), Bit(crate_bit::kPowerFail), false, kCritical,
     "the crate reports a power fail", "check the mains, then clear the crate's events"},
};

bool Holds(const Rule& rule, uint32_t events, uint32_t status) {
  const bool bad_state =
      rule.status_good ? (status & rule.status_bits) == 0 : (status & rule.status_bits) != 0;
  return (events & rule.event_bits) != 0 || bad_state;
}

std::string Number(const std::optional<Value>& value, const char* unit) {
  return value ? value->ToString() + " " + unit : std::string("unknown");
}

}  // namespace

EventAlarms::EventAlarms(const Settings& settings, AlarmSink& alarms, const DeviceImage& image)
    : settings_(settings), alarms_(alarms), image_(image) {
  Rebuild();
}

void EventAlarms::Rebuild() {
  // What stands is about channels that may not exist any more; what still holds is raised again.
  const std::span<const Rule> device_rules = settings_.address.crate
                                                 ? std::span<const Rule>(kCrateRules)
                                                 : std::span<const Rule>(kModuleRules);
  for (size_t i = 0; i < device_rules.size(); ++i) {
    if ((device_.active & Bit(static_cast<int>(i))) != 0) alarms_.Clear(device_rules[i].code);
  }
  for (const Scope& scope : channels_) {
    for (size_t i = 0; i < std::size(kChannelRules); ++i) {
      if ((scope.active & Bit(static_cast<int>(i))) == 0) continue;
      alarms_.Clear("ch" + std::to_string(scope.channel) + "." + kChannelRules[i].code);
    }
  }
  device_ = Scope{};
  channels_.assign(static_cast<size_t>(image_.channels()), Scope{});
  for (size_t ch = 0; ch < channels_.size(); ++ch) channels_[ch].channel = static_cast<int>(ch);
}

void EventAlarms::OnRead(uint16_t data_id) {
  switch (data_id & static_cast<uint16_t>(~kWideBit)) {
    case id::kChannelStatus:
    case id::kChannelEventStatus:
      for (Scope& scope : channels_) UpdateChannel(scope);
      break;
    case id::kModuleStatus:
    case id::kModuleEventStatus:
      UpdateModule();
      break;
    case id::kCrateStatus:
    case id::kCrateEventStatus:
      UpdateCrate();
      break;
    default:
      break;
  }
}

void EventAlarms::UpdateChannel(Scope& scope) {
  const std::optional<uint32_t> status = image_.Register(scope.channel, id::kChannelStatus);
  const std::optional<uint32_t> events = image_.Register(scope.channel, id::kChannelEventStatus);
  if (!status || !events) return;
  // While it ramps a channel is outside its bounds by nature.
  const bool ramping = (*status & Bit(channel_bit::kRamp)) != 0;
  const std::string channel = "ch" + std::to_string(scope.channel);
  for (size_t i = 0; i < std::size(kChannelRules); ++i) {
    const Rule& rule = kChannelRules[i];
    const bool bounds =
        (rule.event_bits & (Bit(channel_bit::kCurrentBounds) | Bit(channel_bit::kVoltageBounds))) !=
        0;
    const bool active = (scope.active & Bit(static_cast<int>(i))) != 0;
    const bool holds = Holds(rule, *events, *status) && (active || !bounds || !ramping);
    if (holds == active) continue;
    scope.active ^= Bit(static_cast<int>(i));
    const std::string code = channel + "." + rule.code;
    if (!holds) {
      alarms_.Clear(code);
      if (rule.event_bits == Bit(channel_bit::kInputError)) scope.input_error.clear();
      continue;
    }
    std::string text = channel + " " + rule.happened;
    if (rule.event_bits == Bit(channel_bit::kInputError)) {
      if (!scope.input_error.empty()) text += " (" + scope.input_error + ")";
    } else {
      text += " (measured " + Number(image_.Last(scope.channel, hvc::kVoltageMeasure), "V") +
              " and " + Number(image_.Last(scope.channel, hvc::kCurrentMeasure), "A") + ", set " +
              Number(image_.Last(scope.channel, hvc::kVoltageSet), "V") + " and " +
              Number(image_.Last(scope.channel, hvc::kCurrentSet), "A") + ")";
    }
    alarms_.Raise(code, rule.severity, text + "; " + rule.what_to_do);
  }
}

void EventAlarms::UpdateModule() {
  const std::optional<uint32_t> status = image_.Register(kDevice, id::kModuleStatus);
  const std::optional<uint32_t> events = image_.Register(kDevice, id::kModuleEventStatus);
  if (!status || !events) return;
  for (size_t i = 0; i < std::size(kModuleRules); ++i) {
    const Rule& rule = kModuleRules[i];
    const bool holds = Holds(rule, *events, *status);
    if (holds == ((device_.active & Bit(static_cast<int>(i))) != 0)) continue;
    device_.active ^= Bit(static_cast<int>(i));
    if (!holds) {
      alarms_.Clear(rule.code);
      continue;
    }
    std::string text = rule.happened;
    if (rule.event_bits == Bit(module_bit::kTemperature)) {
      text += " (" + Number(image_.Last(kDevice, hvm::kTemperature), "degC") + ")";
    }
    if (rule.event_bits == Bit(module_bit::kInputError) && !device_.input_error.empty()) {
      text += " (" + std::exchange(device_.input_error, "") + ")";
    }
    alarms_.Raise(rule.code, rule.severity, text + "; " + rule.what_to_do);
  }
}

void EventAlarms::UpdateCrate() {
  const std::optional<uint32_t> status = image_.Register(kDevice, id::kCrateStatus);
  const std::optional<uint32_t> events = image_.Register(kDevice, id::kCrateEventStatus);
  if (!status || !events) return;
  for (size_t i = 0; i < std::size(kCrateRules); ++i) {
    const Rule& rule = kCrateRules[i];
    const bool holds = Holds(rule, *events, *status);
    if (holds == ((device_.active & Bit(static_cast<int>(i))) != 0)) continue;
    device_.active ^= Bit(static_cast<int>(i));
    if (holds) {
      alarms_.Raise(rule.code, rule.severity, std::string(rule.happened) + "; " + rule.what_to_do);
    } else {
      alarms_.Clear(rule.code);
    }
  }
}

void EventAlarms::NameInputError(int channel, std::string what) {
  Scope& scope = channel < 0 ? device_ : channels_[static_cast<size_t>(channel)];
  scope.input_error = std::move(what);
  // Already raised by a poll: its text gets the name as well.
  const size_t rules = channel < 0 ? std::size(kModuleRules) : std::size(kChannelRules);
  if ((scope.active & Bit(static_cast<int>(rules) - 1)) == 0) return;
  scope.active &= ~Bit(static_cast<int>(rules) - 1);
  if (channel < 0) {
    UpdateModule();
  } else {
    UpdateChannel(scope);
  }
}

bool EventAlarms::VoltageWasOn() const {
  for (int channel = 0; channel < image_.channels(); ++channel) {
    const std::optional<Value> status = image_.Last(channel, hvc::kStatus);
    const std::optional<Value> volt = image_.Last(channel, hvc::kVoltageMeasure);
    if (status && (static_cast<uint32_t>(status->integer()) & Bit(channel_bit::kOn)) != 0) {
      return true;
    }
    if (volt && std::abs(volt->AsNumber()) > high_voltage::kSafeToTouchVolt) return true;
  }
  return false;
}

void EventAlarms::OnOnline() {
  alarms_.Clear("module_lost");
  alarms_.Clear("dcp_only");
  if (std::exchange(restart_raised_, false)) alarms_.Clear("module_restarted");
}

void EventAlarms::OnOffline(bool restarted, const std::string& why) {
  const bool on = VoltageWasOn();
  const AlarmSeverity severity = on ? kCritical : kWarning;
  if (restarted) {
    restart_raised_ = true;
    alarms_.Raise("module_restarted", severity,
                  why + (on ? "; voltage was on before" : "") +
                      "; nothing was sent that sets: check the set values before switching on");
    return;
  }
  alarms_.Raise("module_lost", severity,
                why + (on ? "; voltage was on: treat its outputs as live" : "") +
                    "; check power, cable and bit rate");
}

void EventAlarms::OnSafeAction(const absl::Status& status, const std::string& action) {
  if (status.ok()) {
    if (std::exchange(safe_action_failed_, false)) alarms_.Clear("safe_action_failed");
    return;
  }
  safe_action_failed_ = true;
  alarms_.Raise("safe_action_failed", kCritical,
                action + " could not be proven (" + std::string(status.message()) +
                    "); treat the outputs as live and make the device safe by other means");
}

void EventAlarms::OnUnsupported(const std::string& text) {
  alarms_.Raise("dcp_only", kWarning, text);
}

}  // namespace canhub::iseg
