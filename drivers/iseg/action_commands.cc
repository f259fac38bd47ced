// Actions that are no switching: events, ramps, set values in memory, the line, crates, raw frames.
#include <algorithm>
#include <cmath>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"
#include "drivers/iseg/command_plan.h"
#include "drivers/iseg/models.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
namespace hvc = high_voltage::channel;
namespace hvm = high_voltage::module;
namespace hvr = high_voltage::crate;
namespace action = high_voltage::action;

constexpr int kDevice = DeviceImage::kDevice;
constexpr uint8_t kConfigureData[] = {0x00, 0x01};
// Times of the restart of a line, from its first frame (section 8, step 1).
constexpr Duration kNmtResetAt = milliseconds(51);
constexpr Duration kNmtStartAt = milliseconds(141);
constexpr Duration kNmtConfigureAt = milliseconds(186);

absl::StatusOr<std::vector<uint8_t>> ParseHex(std::string_view text) {
  std::vector<uint8_t> bytes;
  int digits = 0;
  for (const char c : text) {
    if (c == ' ' || c == '.') continue;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) {
      return absl::InvalidArgumentError("\"" + std::string(text) + "\": '" + std::string(1, c) +
                                        "' is no hexadecimal digit");
    }
    if (digits++ % 2 == 0) {
      bytes.push_back(static_cast<uint8_t>(digit << 4));
    } else {
      bytes.back() = static_cast<uint8_t>(bytes.back() | digit);
    }
  }
  if (digits % 2 != 0 || bytes.empty() || bytes.size() > 8) {
    return absl::InvalidArgumentError("\"" + std::string(text) +
                                      "\": expected 1 to 8 bytes of two hexadecimal digits");
  }
  return bytes;
}

}  // namespace

CommandPlanner::Result CommandPlanner::PlanAction(const ActionCall& call) {
  const bool crate = settings_.address.crate;
  const absl::StatusOr<std::optional<int>> argument =
      call.name == action::kEmergencyOff && image_.channels() == 0
          ? absl::StatusOr<std::optional<int>>(std::optional<int>())
          : ChannelArgument(call.arguments);
  if (!argument.ok()) return argument.status();
  const std::optional<int> channel = *argument;
  const uint64_t channels = channel ? ChannelBits(*channel) : KnownChannels();

  if (call.name == action::kClearEvents) {
    return crate ? PlanClearCrate() : PlanClearEvents(channel);
  }
  if (call.name == action::kRawExchange) return PlanRawExchange(call.arguments);
  if (call.name == action::kLiveInsertionOn) return PlanLiveInsertion(true);
  if (call.name == action::kLiveInsertionOff) return PlanLiveInsertion(false);
  if (call.name == action::kRestartScan) return PlanRestartScan();
  if ((call.name == action::kCratePower || call.name == action::kCratePowerForced) && crate) {
    const Value* on = FindArgument(call.arguments, "on");
    if (on == nullptr || on->type() != ValueType::kFlag) {
      return Refuse(absl::StatusCode::kInvalidArgument, "ARGUMENT_MISSING",
                    call.name + " needs the flag \"on\"");
    }
    return PlanCratePower(on->flag(), call.name == action::kCratePowerForced);
  }
  // A crate has no outputs of its own: nothing to ramp down, and nothing is unsafe about that.
  if (crate && (call.name == action::kRampDown || call.name == action::kEmergencyOff)) {
    return CommandPlan{};
  }
  if (crate) {
    return Refuse(absl::StatusCode::kUnimplemented, "NOT_A_MODULE",
                  "a crate controller has no action \"" + call.name + "\"",
                  {{"action", call.name}});
  }
  if (call.name == action::kSwitchOn) return PlanSwitch(channels, true);
  if (call.name == action::kSwitchOff) return PlanSwitch(channels, false);
  if (call.name == action::kRampDown) return PlanRampDown();
  if (call.name == action::kEmergencyOff) {
    return PlanEmergencyOff(channel ? channels : kAllChannels);
  }
  if (call.name == action::kReleaseEmergencyOff) return PlanRelease(channels);
  if (call.name == action::kSetRamp) return PlanSetRamp(call.arguments, channel);
  if (call.name == action::kPrepareRemoval) return PlanPrepareRemoval();
  if (call.name == action::kSaveSetValues) {
    return PlanControlBit(control_bit::kSaveSetValues, "set values saved", false);
  }
  if (call.name == action::kRecallSetValues) {
    return PlanControlBit(control_bit::kRecallSetValues, "set values recalled", true);
  }
  if (call.name == action::kResetSetValues) return PlanReset(true);
  if (call.name == action::kFactoryReset) return PlanReset(false);
  return Refuse(absl::StatusCode::kUnimplemented, "NO_SUCH_ACTION",
                "there is no action \"" + call.name + "\" for a module", {{"action", call.name}});
}

std::string CommandPlanner::StillActive(int channel) const {
  const uint16_t data_id = channel < 0 ? id::kModuleEventStatus : id::kChannelEventStatus;
  const std::optional<uint32_t> events = image_.Register(channel, data_id);
  std::string names;
  for (int bit = 0; events && bit < 32; ++bit) {
    if ((*events & Bit(bit)) == 0) continue;
    names += (names.empty() ? "" : ",") + image_.BitName(channel, data_id, bit);
  }
  return names;
}

CommandPlanner::Result CommandPlanner::PlanClearEvents(std::optional<int> channel) {
  CommandPlan plan;
  std::vector<ItemId> events;
  if (channel) {
    plan.channels = ChannelBits(*channel);
    events = ItemsOfChannels(plan.channels, {hvc::kEventStatus});
    plan.reads_first = events;
    plan.compose = [this, events, channel](CommandPlan& p) {
      const std::optional<uint32_t> bits = image_.Register(*channel, id::kChannelEventStatus);
      if (!bits || events.empty()) return Known(*channel, hvc::kEventStatus).status();
      // Ones exactly at what was read: an event that comes meanwhile stays.
      constexpr uint32_t kLow = 0xFFFF;
      const std::string name = "ch" + std::to_string(*channel) + " events cleared";
      if ((*bits & kLow) != 0) {
        const absl::StatusOr<WireBytes> low =
            EncodeValue(WireType::kUi2, Value::Integer(*bits & kLow));
        p.writes.push_back(
            {WriteChannelFrame(settings_.address, id::kChannelEventStatus, *channel, *low), name});
      }
      if ((*bits & ~kLow) != 0) {
        const absl::StatusOr<WireBytes> high =
            EncodeValue(WireType::kUi4, Value::Integer(*bits & ~kLow));
        p.writes.push_back(
            {WriteChannelFrame(settings_.address, id::kWideChannelEventStatus, *channel, *high),
             name + " (upper half)"});
      }
      p.targets.emplace(id::kChannelEventStatus, *channel);
      p.proofs.push_back({.item = events.front()});
      return absl::OkStatus();
    };
  } else {
    events = ItemsOfChannels(KnownChannels(), {hvc::kEventStatus});
    AddDevice(events, {hvm::kEventStatus});
    const std::optional<ItemId> control = image_.Find(kDevice, "control");
    if (!control) return Known(kDevice, "control").status();
    plan.reads_first = {*control};
    plan.compose = [this, events, control](CommandPlan& p) {
      const std::optional<Value> now = image_.Get(*control);
      if (!now) return Known(kDevice, "control").status();
      const int64_t value =
          (now->integer() | Bit(control_bit::kClear) | Bit(control_bit::kBigEndian)) &
          ~int64_t{Bit(control_bit::kRecallSetValues) | Bit(control_bit::kSaveSetValues)};
      if (absl::Status s =
              AddWrite(p, *control, Value::Integer(value), "events of module and channels cleared");
          !s.ok()) {
        return s;
      }
      for (const ItemId item : events) p.proofs.push_back({.item = item});
      return absl::OkStatus();
    };
  }
  plan.read_back = events;
  plan.conclude = [this, channel](Arguments& results) {
    std::string active;
    const auto add = [&active](const std::string& names) {
      if (!names.empty()) active += (active.empty() ? "" : ",") + names;
    };
    if (!channel) add(StillActive(kDevice));
    for (int ch = 0; ch < image_.channels(); ++ch) {
      if (!channel || *channel == ch) add(StillActive(ch));
    }
    results.emplace_back("still_active", Value::Text(active));
    return absl::OkStatus();
  };
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanClearCrate() {
  CommandPlan plan;
  const absl::StatusOr<WireBytes> clear =
      EncodeValue(WireType::kUi4, Value::Integer(Bit(control_bit::kCrateClear)));
  plan.writes.push_back({WriteModuleFrame(settings_.address, id::kCrateControl, *clear),
                         "events of the crate cleared"});
  plan.targets.emplace(id::kCrateControl, kDevice);
  if (const auto events = image_.Find(kDevice, hvr::kEventStatus)) {
    plan.proofs.push_back({.item = *events});
    plan.read_back.push_back(*events);
  }
  plan.conclude = [this](Arguments& results) {
    const std::optional<uint32_t> events = image_.Register(kDevice, id::kCrateEventStatus);
    std::string names;
    for (int bit = 0; events && bit < 32; ++bit) {
      if ((*events & Bit(bit)) == 0) continue;
      names += (names.empty() ? "" : ",") + image_.BitName(kDevice, id::kCrateEventStatus, bit);
    }
    results.emplace_back("still_active", Value::Text(names));
    return absl::OkStatus();
  };
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanSetRamp(const Arguments& arguments,
                                                   std::optional<int> channel) {
  const auto speed = [&](std::string_view name) -> std::optional<double> {
    const Value* value = FindArgument(arguments, name);
    if (value == nullptr ||
        (value->type() != ValueType::kNumber && value->type() != ValueType::kInteger)) {
      return std::nullopt;
    }
    return value->AsNumber();
  };
  const std::optional<double> up = speed("up");
  const std::optional<double> down = speed("down");
  if (!up && !down) {
    return Refuse(absl::StatusCode::kInvalidArgument, "ARGUMENT_MISSING",
                  "set_ramp needs \"up\" or \"down\", in V/s");
  }
  CommandPlan plan;
  const bool own = (image_.items().features() & feature::kChannelVoltageRamp) != 0;
  if (channel && own) {
    plan.channels = ChannelBits(*channel);
    std::vector<ItemWrite> writes;
    for (const auto& [value, name] :
         {std::pair(up, hvc::kRampUp), std::pair(down, hvc::kRampDown)}) {
      const std::optional<ItemId> item = image_.Find(*channel, name);
      if (!value || !item) continue;
      writes.push_back({*item, Value::Number(*value)});
      // Absent after all, where the configuration says that the channels have ramps.
      if (absl::Status s = CheckWritable(writes.back()); !s.ok()) return s;
    }
    plan.compose = [this, writes](CommandPlan& p) { return ComposeWrites(p, writes); };
    plan.conclude = [](Arguments& results) {
      results.emplace_back("applies_to_module", Value::Flag(false));
      return absl::OkStatus();
    };
    return plan;
  }
  if (up && down && *up != *down) {
    return Refuse(absl::StatusCode::kInvalidArgument, "ONE_RAMP_ONLY",
                  "this module has one ramp speed for up and down; " + FormatNumber(*up) + " and " +
                      FormatNumber(*down) + " V/s differ",
                  {{"up_v_per_s", FormatNumber(*up)}, {"down_v_per_s", FormatNumber(*down)}});
  }
  // The module's ramp is relative to the nominal voltage: of the channel asked for, or of channel
  // 0.
  const absl::StatusOr<double> nominal = Known(channel.value_or(0), hvc::kVoltageNominal);
  if (!nominal.ok()) return nominal.status();
  const double wanted = up ? *up : *down;
  if (*nominal == 0 || !(wanted > 0)) {
    return Refuse(absl::StatusCode::kOutOfRange, "RAMP_OUT_OF_RANGE",
                  "a ramp of " + FormatNumber(wanted) + " V/s cannot be set (nominal voltage " +
                      FormatNumber(*nominal) + " V)",
                  {{"requested_v_per_s", FormatNumber(wanted)}});
  }
  const double percent = wanted / std::abs(*nominal) * 100;
  if (absl::Status s = CheckModuleRamp(percent); !s.ok()) {
    return Annotate(s, "a ramp of " + FormatNumber(wanted) + " V/s: ",
                    {{"requested_v_per_s", FormatNumber(wanted)}});
  }
  const std::optional<ItemId> item = image_.Find(kDevice, hvm::kRampPercent);
  if (!item) return Known(kDevice, hvm::kRampPercent).status();
  if (absl::Status s = AddWrite(plan, *item, Value::Number(percent),
                                "module ramp = " + FormatNumber(percent) + " %/s");
      !s.ok()) {
    return s;
  }
  plan.proofs.push_back({.item = *item, .expected = Value::Number(percent)});
  plan.read_back.push_back(*item);
  plan.conclude = [this](Arguments& results) {
    const absl::StatusOr<double> now = Known(kDevice, hvm::kRampPercent);
    if (!now.ok()) return now.status();
    results.emplace_back("applies_to_module", Value::Flag(true));
    results.emplace_back("percent_per_s", Value::Number(*now));
    return absl::OkStatus();
  };
  return plan;
}

absl::Status CommandPlanner::CheckAllOff(std::string_view what) const {
  for (int channel = 0; channel < image_.channels(); ++channel) {
    const std::optional<uint32_t> status = image_.Register(channel, id::kChannelStatus);
    if (!status) return Known(channel, hvc::kStatus).status();
    if ((*status & (Bit(channel_bit::kOn) | Bit(channel_bit::kRamp))) == 0) continue;
    return Refuse(absl::StatusCode::kFailedPrecondition, "CHANNEL_ON",
                  std::string(what) + " is refused while a channel is on: channel " +
                      std::to_string(channel) + " is; switch everything off first",
                  {{"channel", std::to_string(channel)}});
  }
  return absl::OkStatus();
}

CommandPlanner::Result CommandPlanner::PlanControlBit(int bit, const char* text,
                                                      bool only_when_off) {
  CommandPlan plan;
  const std::optional<ItemId> control = image_.Find(kDevice, "control");
  if (!control) return Known(kDevice, "control").status();
  if (only_when_off) plan.reads_first = ItemsOfChannels(KnownChannels(), {hvc::kStatus});
  plan.reads_first.push_back(*control);
  plan.changes_set_values = only_when_off;
  plan.compose = [this, control, bit, text, only_when_off](CommandPlan& p) {
    if (only_when_off) {
      if (absl::Status s = CheckAllOff("recalling set values"); !s.ok()) return s;
    }
    const std::optional<Value> now = image_.Get(*control);
    if (!now) return Known(kDevice, "control").status();
    const int64_t once = Bit(control_bit::kClear) | Bit(control_bit::kRecallSetValues) |
                         Bit(control_bit::kSaveSetValues);
    const int64_t value = (now->integer() & ~once) | Bit(bit) | Bit(control_bit::kBigEndian);
    if (absl::Status s = AddWrite(p, *control, Value::Integer(value), text); !s.ok()) return s;
    // Whether the bit itself reads back is not stated; the rest of the register must.
    const auto rest = static_cast<uint32_t>(~once);
    p.proofs.push_back({.item = *control, .expected = Value::Integer(value), .mask = rest});
    return absl::OkStatus();
  };
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanReset(bool set_values_only) {
  CommandPlan plan;
  plan.reads_first = ItemsOfChannels(KnownChannels(), {hvc::kStatus});
  AddDevice(plan.reads_first, {hvm::kSerialNumber});
  plan.changes_set_values = true;
  plan.compose = [this, set_values_only](CommandPlan& p) {
    const char* what = set_values_only ? "resetting set values" : "a factory reset";
    if (absl::Status s = CheckAllOff(what); !s.ok()) return s;
    const std::optional<uint32_t> serial = image_.Register(kDevice, id::kSerialNumber);
    if (!serial) return Known(kDevice, hvm::kSerialNumber).status();
    p.writes.push_back({FactoryResetFrame(settings_.address, *serial, set_values_only), what});
    p.targets.emplace(id::kFactoryReset, kDevice);
    if (const auto item = image_.Find(kDevice, hvm::kSerialNumber)) {
      p.proofs.push_back({.item = *item});
    }
    return absl::OkStatus();
  };
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanLiveInsertion(bool on) {
  CommandPlan plan;
  plan.channels = 0;
  plan.writes.push_back({LiveInsertionFrame(settings_.address.line, on),
                         on ? "live insertion on" : "live insertion off"});
  if (const auto status = image_.Find(kDevice, hvm::kStatus)) {
    plan.proofs.push_back({.item = *status});
    plan.read_back.push_back(*status);
  }
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanRestartScan() {
  CommandPlan plan;
  plan.reads_first = ItemsOfChannels(KnownChannels(), {hvc::kStatus});
  plan.compose = [this](CommandPlan& p) {
    if (absl::Status s = CheckAllOff("restarting the line's scan"); !s.ok()) return s;
    const int line = settings_.address.line;
    p.writes.push_back({NmtFrame(line, Nmt::kStop), "NMT stop"});
    p.writes.push_back({NmtFrame(line, Nmt::kResetCan), "NMT reset", kNmtResetAt});
    p.writes.push_back({NmtFrame(line, Nmt::kStart), "NMT start", kNmtStartAt});
    p.writes.push_back(
        {NmtFrame(line, Nmt::kConfigure, kConfigureData), "NMT configure", kNmtConfigureAt});
    return absl::OkStatus();
  };
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanRawExchange(const Arguments& arguments) {
  const Value* data = FindArgument(arguments, "data");
  if (data == nullptr || data->type() != ValueType::kText) {
    return Refuse(absl::StatusCode::kInvalidArgument, "ARGUMENT_MISSING",
                  "raw_exchange needs \"data\": the data field as hexadecimal digits");
  }
  const absl::StatusOr<std::vector<uint8_t>> bytes = ParseHex(data->text());
  if (!bytes.ok()) {
    return Refuse(absl::StatusCode::kInvalidArgument, "BAD_HEX",
                  std::string(bytes.status().message()), {{"data", data->text()}});
  }
  const Value* write = FindArgument(arguments, "write");
  const bool is_write = write != nullptr && write->type() == ValueType::kFlag && write->flag();
  CommandPlan plan;
  CanFrame frame;
  frame.id = is_write ? WriteId(settings_.address) : ReadId(settings_.address);
  frame.extended = settings_.address.line != 0;
  frame.dlc = static_cast<uint8_t>(bytes->size());
  std::copy(bytes->begin(), bytes->end(), frame.data.begin());
  if (is_write) {
    plan.writes.push_back({frame, "raw write of " + data->text()});
    plan.changes_set_values = true;
    return plan;
  }
  ReadRequest read{.frame = frame, .answers = ReadRequest::Answers::kRaw};
  read.timeout = settings_.single_timeout;
  read.dcp = (bytes->front() & 0x80) != 0;
  if (read.dcp) {
    read.data_id = bytes->front();
  } else {
    if (bytes->size() < 2) {
      return Refuse(absl::StatusCode::kInvalidArgument, "BAD_HEX",
                    "an EDCP read needs a DATA_ID of two bytes", {{"data", data->text()}});
    }
    const auto data_id = static_cast<uint16_t>((*bytes)[0] << 8 | (*bytes)[1]);
    read.data_id = data_id;
    const std::optional<AccessClass> access = ClassOf(data_id);
    if (access == AccessClass::kMultiple) read.data_id = data_id & kMultipleMask;
    const Register* row = FindRegister(data_id);
    const bool many = access == AccessClass::kMultiple || access == AccessClass::kGroup ||
                      (row != nullptr && row->type == WireType::kTextPiece);
    if (many) {
      // As many as come until the time-out.
      read.timeout = settings_.multiple_timeout;
      read.count = kMaxChannels;
    }
  }
  plan.raw_read = read;
  return plan;
}

CommandPlanner::Result CommandPlanner::PlanCratePower(bool on, bool force) {
  CommandPlan plan;
  const std::optional<ItemId> power = image_.Find(kDevice, hvr::kPowerOn);
  if (!power) return Known(kDevice, hvr::kPowerOn).status();
  AddDevice(plan.reads_first, {hvr::kStatus});
  plan.compose = [this, power, on, force](CommandPlan& p) {
    const std::optional<uint32_t> status = image_.Register(kDevice, id::kCrateStatus);
    if (!on && !force) {
      if (!status) return Known(kDevice, hvr::kStatus).status();
      if ((*status & Bit(crate_bit::kHighVoltageOn)) != 0) {
        return Refuse(absl::StatusCode::kFailedPrecondition, "HIGH_VOLTAGE_ON",
                      "the crate reports high voltage on (status bit 18): its supply is not "
                      "switched off; ramp the modules down first, or force it");
      }
    }
    if (absl::Status s =
            AddWrite(p, *power, Value::Flag(on), std::string("crate power ") + (on ? "on" : "off"));
        !s.ok()) {
      return s;
    }
    p.proofs.push_back({.item = *power, .expected = Value::Flag(on)});
    p.read_back.push_back(*power);
    return absl::OkStatus();
  };
  return plan;
}

}  // namespace canhub::iseg
