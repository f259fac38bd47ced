// Switching: on, off, emergency off and its release, everything down.
#include <algorithm>
#include <cmath>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"
#include "drivers/iseg/command_plan.h"

namespace canhub::iseg {
namespace {

namespace hvc = high_voltage::channel;
namespace hvm = high_voltage::module;

constexpr int kDevice = DeviceImage::kDevice;
constexpr uint16_t kOn = Bit(control_bit::kChannelOn);
constexpr uint16_t kOff = 0;
constexpr uint16_t kLock = Bit(control_bit::kChannelEmergencyOff);
constexpr uint32_t kSwitchBits = kOn | kLock;
// 0x2201 has one bit for each of the channels 0 … 31.
constexpr int kListChannels = 32;
// Pause for a module to work off a list or many control writes before it is asked.
constexpr Duration kSwitchPause = std::chrono::milliseconds(1);

}  // namespace

CommandPlanner::Result CommandPlanner::PlanSwitch(uint64_t channels, bool on) {
  CommandPlan plan;
  plan.channels = channels;
  plan.reads_first = ItemsOfChannels(channels, {hvc::kStatus});
  if (on) {
    for (const ItemId item : ItemsOfChannels(channels, {hvc::kEventStatus})) {
      plan.reads_first.push_back(item);
    }
    AddDevice(plan.reads_first, {hvm::kStatus, hvm::kEventStatus});
    plan.compose = [this, channels](CommandPlan& p) { return ComposeOn(p, channels); };
  } else {
    plan.compose = [this, channels](CommandPlan& p) {
      ComposeOff(p, channels, Goal::Kind::kOff);
      return absl::OkStatus();
    };
  }
  return plan;
}

absl::Status CommandPlanner::CheckModuleMayGoOn() const {
  const std::optional<uint32_t> status = image_.Register(kDevice, id::kModuleStatus);
  const std::optional<uint32_t> events = image_.Register(kDevice, id::kModuleEventStatus);
  if (!status) return Known(kDevice, hvm::kStatus).status();
  if (!events) return Known(kDevice, hvm::kEventStatus).status();
  // Bit 12, "module good", is no check of its own: another channel's trip clears it as well, and
  // its other causes are these.
  struct Check {
    int bit;
    bool bad_when;
    const char* reason;
    const char* text;
  };
  constexpr Check kChecks[] = {
      {module_bit::kSafetyLoop, false, "SAFETY_LOOP_OPEN", "its safety loop is open; close it"},
      {module_bit::kSupply, false, "SUPPLY_NOT_GOOD", "its supply voltages are out of range"},
      {module_bit::kTemperature, false, "TEMPERATURE_NOT_GOOD", "it is too hot"},
      {module_bit::kNeedService, true, "NEED_SERVICE", "it reports a hardware failure"},
  };
  for (const Check& check : kChecks) {
    if (((*status & Bit(check.bit)) != 0) != check.bad_when) continue;
    return Refuse(absl::StatusCode::kFailedPrecondition, check.reason,
                  std::string("the module cannot be switched on: ") + check.text,
                  {{"status_bit", std::to_string(check.bit)}});
  }
  const uint32_t blocking = *events & kBlockingModuleEvents;
  if (blocking == 0) return absl::OkStatus();
  std::string names;
  for (int bit = 0; bit < 32; ++bit) {
    if ((blocking & Bit(bit)) == 0) continue;
    names += (names.empty() ? "" : ", ") + image_.BitName(kDevice, id::kModuleEventStatus, bit);
  }
  return Refuse(absl::StatusCode::kFailedPrecondition, "BLOCKING_EVENT",
                "the module has latched " + names +
                    "; find the cause and clear its events (clear_events) before switching on",
                {{"events", names}});
}

absl::Status CommandPlanner::CheckMayGoOn(int channel) const {
  const std::string name = "channel " + std::to_string(channel);
  const std::map<std::string, std::string> fields = {{"channel", std::to_string(channel)}};
  const std::optional<uint32_t> status = image_.Register(channel, id::kChannelStatus);
  const std::optional<uint32_t> events = image_.Register(channel, id::kChannelEventStatus);
  if (!status) return Known(channel, hvc::kStatus).status();
  if (!events) return Known(channel, hvc::kEventStatus).status();
  if ((*status & Bit(channel_bit::kEmergencyOff)) != 0) {
    return Refuse(absl::StatusCode::kFailedPrecondition, "EMERGENCY_OFF",
                  name + " is in emergency off; release it first (release_emergency_off)", fields);
  }
  // An event counts with and without its mask bit: the sources differ, this is the safe reading.
  const uint32_t blocking = (*events | *status) & kBlockingChannelEvents;
  if (blocking != 0) {
    std::string names;
    for (int bit = 0; bit < 16; ++bit) {
      if ((blocking & Bit(bit)) == 0) continue;
      names += (names.empty() ? "" : ", ") + image_.BitName(channel, id::kChannelEventStatus, bit);
    }
    return Refuse(absl::StatusCode::kFailedPrecondition, "BLOCKING_EVENT",
                  name + " has latched " + names +
                      "; find the cause and clear its events (clear_events) before switching on",
                  {{"channel", std::to_string(channel)}, {"events", names}});
  }
  // What it would ramp to was perhaps set by somebody else.
  const absl::StatusOr<double> volt = Known(channel, hvc::kVoltageSet);
  if (!volt.ok()) return volt.status();
  if (absl::Status s = CheckVoltage(channel, *volt); !s.ok()) {
    return Annotate(s, "cannot switch on: ", fields);
  }
  if (const std::optional<double> ampere = image_.Number(channel, hvc::kCurrentSet)) {
    if (absl::Status s = CheckCurrent(channel, *ampere); !s.ok()) {
      return Annotate(s, "cannot switch on: ", fields);
    }
  }
  return CheckRampInForce(channel, Direction::kUp);
}

absl::Status CommandPlanner::ComposeOn(CommandPlan& plan, uint64_t channels) const {
  if (absl::Status s = CheckModuleMayGoOn(); !s.ok()) return s;
  for (int channel = 0; channel < image_.channels(); ++channel) {
    if ((channels & ChannelBits(channel)) == 0) continue;
    if (absl::Status s = CheckMayGoOn(channel); !s.ok()) return s;
  }
  for (int channel = 0; channel < image_.channels(); ++channel) {
    if ((channels & ChannelBits(channel)) == 0) continue;
    AddControl(plan, channel, kOn, "ch" + std::to_string(channel) + " on");
    if (const auto control = image_.FindRegister(channel, id::kChannelControl)) {
      plan.proofs.push_back(
          {.item = *control, .expected = Value::Integer(kOn), .mask = kSwitchBits});
      plan.read_back.push_back(*control);
    }
    if (const auto status = image_.FindRegister(channel, id::kChannelStatus)) {
      plan.proofs.push_back({.item = *status,
                             .expected = Value::Integer(Bit(channel_bit::kOn)),
                             .mask = Bit(channel_bit::kOn)});
      plan.read_back.push_back(*status);
    }
    plan.goals.push_back({channel, Goal::Kind::kVoltage});
  }
  return absl::OkStatus();
}

void CommandPlanner::ComposeOff(CommandPlan& plan, uint64_t channels, Goal::Kind goal) const {
  for (int channel = 0; channel < image_.channels(); ++channel) {
    if ((channels & ChannelBits(channel)) == 0) continue;
    plan.goals.push_back({channel, goal});
    const std::optional<ItemId> status = image_.FindRegister(channel, id::kChannelStatus);
    if (status) plan.read_back.push_back(*status);
    // It is off, and 0x4001 = 0 would take its lock away.
    if (InEmergencyOff(channel)) {
      if (status) {
        plan.proofs.push_back(
            {.item = *status, .expected = Value::Integer(0), .mask = Bit(channel_bit::kOn)});
      }
      continue;
    }
    AddControl(plan, channel, kOff, "ch" + std::to_string(channel) + " off");
    if (const auto control = image_.FindRegister(channel, id::kChannelControl)) {
      plan.proofs.push_back({.item = *control, .expected = Value::Integer(kOff), .mask = kOn});
    }
  }
}

CommandPlanner::Result CommandPlanner::PlanRampDown() {
  if (image_.channels() == 0) {
    return Refuse(absl::StatusCode::kUnavailable, "DEVICE_UNKNOWN",
                  "the device has never answered, so nothing was switched on by this daemon");
  }
  CommandPlan plan;
  plan.insist = true;
  plan.channels = 0;
  ComposeOff(plan, KnownChannels(), Goal::Kind::kOff);
  plan.channels = KnownChannels();
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanPrepareRemoval() {
  CommandPlan plan;
  plan.reads_first = ItemsOfChannels(KnownChannels(), {hvc::kStatus});
  plan.compose = [this](CommandPlan& p) {
    ComposeOff(p, KnownChannels(), Goal::Kind::kSafeToTouch);
    return absl::OkStatus();
  };
  plan.always_settle = true;
  plan.conclude = [this](Arguments& results) {
    double highest = 0;
    for (int channel = 0; channel < image_.channels(); ++channel) {
      const absl::StatusOr<double> volt = Known(channel, hvc::kVoltageMeasure);
      if (!volt.ok()) return volt.status();
      highest = std::max(highest, std::abs(*volt));
    }
    results.emplace_back("highest_voltage", Value::Number(highest));
    return absl::OkStatus();
  };
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanEmergencyOff(uint64_t channels) {
  CommandPlan plan;
  plan.insist = true;
  plan.pause = kSwitchPause;
  plan.changes_set_values = true;  // one manual: the set voltage becomes 0 (section 15.4)
  plan.channels = 0;
  // A device that never said how many channels it has: all it could have. Access to a channel that
  // does not exist does nothing but set an input-error bit.
  const bool unknown = image_.channels() == 0;
  const int count = unknown ? kMaxChannels : image_.channels();
  if (settings_.group_lists && (unknown || count <= kListChannels)) {
    const auto list = static_cast<uint32_t>(channels & ((uint64_t{1} << std::min(count, 32)) - 1));
    const absl::StatusOr<WireBytes> bytes = EncodeValue(WireType::kUi4, Value::Integer(list));
    plan.writes.push_back(
        {WriteModuleFrame(settings_.address, id::kEmergencyOffList, *bytes), "emergency-off list"});
  }
  for (int channel = 0; channel < count; ++channel) {
    if ((channels & ChannelBits(channel)) == 0) continue;
    AddControl(plan, channel, kLock, "ch" + std::to_string(channel) + " emergency off");
    if (const auto status = image_.FindRegister(channel, id::kChannelStatus)) {
      plan.proofs.push_back({.item = *status,
                             .expected = Value::Integer(Bit(channel_bit::kEmergencyOff)),
                             .mask = Bit(channel_bit::kEmergencyOff)});
      plan.read_back.push_back(*status);
    }
  }
  if (unknown) {
    // Sent into the dark: nobody may take it for done.
    plan.unverified =
        MakeError(absl::StatusCode::kUnavailable, "NOT_VERIFIED",
                  "emergency off was sent, but the device has never answered: whether "
                  "it is off is not known; make it safe by other means");
  }
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanRelease(uint64_t channels) {
  CommandPlan plan;
  plan.channels = channels;
  plan.reads_first = ItemsOfChannels(channels, {hvc::kStatus, hvc::kEventStatus});
  plan.compose = [this, channels](CommandPlan& p) {
    const absl::StatusOr<WireBytes> event =
        EncodeValue(WireType::kUi2, Value::Integer(Bit(channel_bit::kEmergencyOff)));
    for (int channel = 0; channel < image_.channels(); ++channel) {
      if ((channels & ChannelBits(channel)) == 0) continue;
      const std::optional<uint32_t> status = image_.Register(channel, id::kChannelStatus);
      const std::optional<uint32_t> events = image_.Register(channel, id::kChannelEventStatus);
      if (!status) return Known(channel, hvc::kStatus).status();
      if (!events) return Known(channel, hvc::kEventStatus).status();
      // A channel that is not locked is left alone: 0x4001 = 0 would switch it off.
      const bool locked = ((*status | *events) & Bit(channel_bit::kEmergencyOff)) != 0;
      const bool is_on = (*status & Bit(channel_bit::kOn)) != 0;
      if (!locked) continue;
      const std::string name = "ch" + std::to_string(channel);
      if (!is_on) AddControl(p, channel, kOff, name + " emergency off released");
      p.writes.push_back(
          {WriteChannelFrame(settings_.address, id::kChannelEventStatus, channel, *event),
           name + " emergency-off event cleared"});
      for (const uint16_t data_id : {id::kChannelStatus, id::kChannelEventStatus}) {
        if (const auto item = image_.FindRegister(channel, data_id)) {
          p.proofs.push_back({.item = *item,
                              .expected = Value::Integer(0),
                              .mask = Bit(channel_bit::kEmergencyOff)});
          p.read_back.push_back(*item);
        }
      }
    }
    return absl::OkStatus();
  };
  return plan;
}

}  // namespace canhub::iseg
