// Item writes: checks against what the device and the configuration allow, then frames and proofs.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"
#include "drivers/iseg/command_plan.h"
#include "drivers/iseg/models.h"

namespace canhub::iseg {
namespace {

namespace hvc = high_voltage::channel;
namespace hvm = high_voltage::module;

constexpr int kDevice = DeviceImage::kDevice;
// Switching polarity or mode of an output that carries voltage would arc in the relay; "at 0 V"
// leaves room for the offset of the measurement.
constexpr double kIdleVolt = 5.0;
// H pauses so long after a polarity or mode write (section 7).
constexpr Duration kRelayPause = std::chrono::milliseconds(25);

// A sum or product of binary32 values may exceed a bound by its own rounding.
bool Above(double value, double bound) { return value > bound * (1 + 1e-6); }

}  // namespace

absl::StatusOr<double> CommandPlanner::ModuleLimit(int channel, std::string_view name) const {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  if (const auto item = image_.Find(kDevice, name)) {
    return Available(*item) ? Known(kDevice, name) : kNone;
  }
  // Members of a group: those that its answers do not name are not there.
  const auto member = [&name](int index) {
    return std::string(name) + "_" + std::to_string(index);
  };
  const std::optional<ItemId> own = image_.Find(kDevice, member(channel));
  if (!own || !Available(*own)) return kNone;
  bool group_read = false;
  for (int index = 0; index < image_.channels(); ++index) {
    group_read = group_read || image_.Last(kDevice, member(index)).has_value();
  }
  if (group_read && !image_.Last(kDevice, member(channel))) return kNone;
  return Known(kDevice, member(channel));
}

absl::Status CommandPlanner::CheckVoltage(int channel, double volt) const {
  const absl::StatusOr<double> nominal = Known(channel, hvc::kVoltageNominal);
  if (!nominal.ok()) return nominal.status();
  // Made only for a refusal.
  const auto what = [&] {
    return Name(channel, hvc::kVoltageSet) + " = " + FormatNumber(volt) + " V";
  };
  const auto fields = [&](std::map<std::string, std::string> also = {}) {
    also.insert({{"item", Name(channel, hvc::kVoltageSet)},
                 {"requested_v", FormatNumber(volt)},
                 {"nominal_v", FormatNumber(*nominal)}});
    return also;
  };
  if (volt < 0 && *nominal >= 0) {
    return Refuse(absl::StatusCode::kOutOfRange, "SETPOINT_NEGATIVE",
                  what() + ": set voltages are magnitudes, the nominal voltage is " +
                      FormatNumber(*nominal) + " V",
                  fields());
  }
  if (Above(std::abs(volt), std::abs(*nominal))) {
    return Refuse(absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_NOMINAL",
                  what() + " is above the channel's nominal voltage of " + FormatNumber(*nominal) +
                      " V (EDCP 0x4106)",
                  fields());
  }
  const absl::StatusOr<double> percent = ModuleLimit(channel, hvm::kVoltageLimit);
  if (!percent.ok()) return percent.status();
  const double bound = *percent / 100 * std::abs(*nominal);
  if (Above(std::abs(volt), bound)) {
    return Refuse(
        absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_MODULE_LIMIT",
        what() + " is above the module's voltage limit of " + FormatNumber(*percent) + " % of " +
            FormatNumber(*nominal) + " V = " + FormatNumber(bound) +
            " V (front panel or software limit, EDCP 0x1102 or 0x2005)",
        fields({{"limit_percent", FormatNumber(*percent)}, {"limit_v", FormatNumber(bound)}}));
  }
  const std::optional<ConfiguredLimit> limit = FindLimit(config_, kLimitVoltage);
  if (limit && Above(std::abs(volt), limit->value)) {
    return Refuse(
        absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT",
        what() + " is above the limit of " + FormatNumber(limit->value) + " V (" + limit->origin +
            ")",
        fields({{"limit_v", FormatNumber(limit->value)}, {"limit_origin", limit->origin}}));
  }
  return absl::OkStatus();
}

absl::Status CommandPlanner::CheckCurrent(int channel, double ampere) const {
  const absl::StatusOr<double> nominal = Known(channel, hvc::kCurrentNominal);
  if (!nominal.ok()) return nominal.status();
  const auto what = [&] {
    return Name(channel, hvc::kCurrentSet) + " = " + FormatNumber(ampere) + " A";
  };
  const auto fields = [&](std::map<std::string, std::string> also = {}) {
    also.insert({{"item", Name(channel, hvc::kCurrentSet)},
                 {"requested_a", FormatNumber(ampere)},
                 {"nominal_a", FormatNumber(*nominal)}});
    return also;
  };
  if (ampere < 0 || Above(ampere, std::abs(*nominal))) {
    return Refuse(absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_NOMINAL",
                  what() + " is outside 0 to the channel's nominal current of " +
                      FormatNumber(*nominal) + " A (EDCP 0x4107)",
                  fields());
  }
  const absl::StatusOr<double> percent = ModuleLimit(channel, hvm::kCurrentLimit);
  if (!percent.ok()) return percent.status();
  const double bound = *percent / 100 * std::abs(*nominal);
  if (Above(ampere, bound)) {
    return Refuse(
        absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_MODULE_LIMIT",
        what() + " is above the module's current limit of " + FormatNumber(*percent) + " % of " +
            FormatNumber(*nominal) + " A = " + FormatNumber(bound) + " A (EDCP 0x1103 or 0x2006)",
        fields({{"limit_percent", FormatNumber(*percent)}, {"limit_a", FormatNumber(bound)}}));
  }
  const std::optional<ConfiguredLimit> limit = FindLimit(config_, kLimitCurrent);
  if (limit && Above(ampere, limit->value)) {
    return Refuse(
        absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT",
        what() + " is above the limit of " + FormatNumber(limit->value) + " A (" + limit->origin +
            ")",
        fields({{"limit_a", FormatNumber(limit->value)}, {"limit_origin", limit->origin}}));
  }
  return absl::OkStatus();
}

absl::Status CommandPlanner::CheckModuleRamp(double percent) const {
  std::map<std::string, std::string> fields = {
      {"item", hvm::kRampPercent},
      {"requested_percent_per_s", FormatNumber(percent)},
      {"maximum_percent_per_s", FormatNumber(kMaxRampPercent)}};
  if (!(percent > 0) || Above(percent, kMaxRampPercent)) {
    return Refuse(absl::StatusCode::kOutOfRange, "RAMP_OUT_OF_RANGE",
                  "a module ramp of " + FormatNumber(percent) + " %/s is outside 0 to " +
                      FormatNumber(kMaxRampPercent) +
                      " %/s of the nominal voltage (EDCP facts, section 15.1)",
                  fields);
  }
  const std::optional<ConfiguredLimit> limit = FindLimit(config_, kLimitRamp);
  if (!limit) return absl::OkStatus();
  // It holds for all channels, so the one with the highest nominal voltage decides.
  for (int channel = 0; channel < image_.channels(); ++channel) {
    const absl::StatusOr<double> nominal = Known(channel, hvc::kVoltageNominal);
    if (!nominal.ok()) return nominal.status();
    const double speed = percent / 100 * std::abs(*nominal);
    if (!Above(speed, limit->value)) continue;
    fields.emplace("nominal_v", FormatNumber(*nominal));
    fields.emplace("ramp_v_per_s", FormatNumber(speed));
    fields.emplace("limit_v_per_s", FormatNumber(limit->value));
    fields.emplace("limit_origin", limit->origin);
    return Refuse(absl::StatusCode::kOutOfRange, "RAMP_ABOVE_LIMIT",
                  "a module ramp of " + FormatNumber(percent) + " %/s is " + FormatNumber(speed) +
                      " V/s on channel " + std::to_string(channel) + " (nominal " +
                      FormatNumber(*nominal) + " V), above the limit of " +
                      FormatNumber(limit->value) + " V/s (" + limit->origin + ")",
                  fields);
  }
  return absl::OkStatus();
}

absl::Status CommandPlanner::CheckChannelRamp(int channel, std::string_view what,
                                              double speed) const {
  const absl::StatusOr<double> nominal = Known(channel, hvc::kVoltageNominal);
  if (!nominal.ok()) return nominal.status();
  std::map<std::string, std::string> fields = {{"item", Name(channel, what)},
                                               {"requested_v_per_s", FormatNumber(speed)}};
  const std::string text = Name(channel, what) + " = " + FormatNumber(speed) + " V/s";
  // The module's own bound where it tells it; otherwise the rule for all modules.
  const std::optional<double> own = image_.Number(channel, "voltage_ramp_speed_max");
  const double most = own.value_or(kMaxRampPercent / 100 * std::abs(*nominal));
  const double least = image_.Number(channel, "voltage_ramp_speed_min").value_or(0);
  if (!(speed > 0) || speed < least || Above(speed, most)) {
    fields.emplace("minimum_v_per_s", FormatNumber(least));
    fields.emplace("maximum_v_per_s", FormatNumber(most));
    return Refuse(
        absl::StatusCode::kOutOfRange, "RAMP_OUT_OF_RANGE",
        text + " is outside " + FormatNumber(least) + " to " + FormatNumber(most) +
            (own ? " V/s (EDCP 0x4127, 0x4128)"
                 : " V/s (20 %/s of the nominal voltage of " + FormatNumber(*nominal) + " V)"),
        fields);
  }
  const std::optional<ConfiguredLimit> limit = FindLimit(config_, kLimitRamp);
  if (limit && Above(speed, limit->value)) {
    fields.emplace("limit_v_per_s", FormatNumber(limit->value));
    fields.emplace("limit_origin", limit->origin);
    return Refuse(absl::StatusCode::kOutOfRange, "RAMP_ABOVE_LIMIT",
                  text + " is above the limit of " + FormatNumber(limit->value) + " V/s (" +
                      limit->origin + ")",
                  fields);
  }
  return absl::OkStatus();
}

// A command that starts a ramp: it must not run faster than the configured limit, even when
// somebody else has set the speed.
absl::Status CommandPlanner::CheckRampInForce(int channel, Direction direction) const {
  const std::optional<ConfiguredLimit> limit = FindLimit(config_, kLimitRamp);
  if (!limit) return absl::OkStatus();
  const char* name = direction == Direction::kUp ? hvc::kRampUp : hvc::kRampDown;
  const absl::StatusOr<double> speed = Known(channel, name);
  if (!speed.ok()) return speed.status();
  if (!Above(*speed, limit->value)) return absl::OkStatus();
  const bool own = (image_.items().features() & feature::kChannelVoltageRamp) != 0;
  double allowed = limit->value;
  if (!own) {
    // One speed for all, in percent: the channel with the highest nominal voltage is the fastest.
    const absl::StatusOr<double> nominal = Known(channel, hvc::kVoltageNominal);
    if (!nominal.ok()) return nominal.status();
    double highest = std::abs(*nominal);
    for (int other = 0; other < image_.channels(); ++other) {
      highest =
          std::max(highest, std::abs(image_.Number(other, hvc::kVoltageNominal).value_or(highest)));
    }
    if (highest > 0) allowed *= std::abs(*nominal) / highest;
  }
  const std::string number = std::to_string(channel);
  const std::string volt_per_s = FormatNumber(allowed);
  const std::string command =
      "canhubctl hv ramp " + config_.id + " " + number + " " + volt_per_s + "V/s";
  return Refuse(absl::StatusCode::kFailedPrecondition, "RAMP_ABOVE_LIMIT",
                "channel " + number + " would ramp at " + FormatNumber(*speed) +
                    " V/s, which is what the module has now, above the limit of " +
                    FormatNumber(limit->value) + " V/s (" + limit->origin +
                    "); nothing was sent; set at most " + volt_per_s + " V/s first: \"" + command +
                    "\", or HighVoltageService.SetRamp with channel " + number +
                    ", up_v_per_s and down_v_per_s " + volt_per_s +
                    (own ? "" : " (it holds for all channels of this module)"),
                {{"item", Name(channel, name)},
                 {"channel", number},
                 {"ramp_v_per_s", FormatNumber(*speed)},
                 {"limit_v_per_s", FormatNumber(limit->value)},
                 {"limit_origin", limit->origin},
                 {"allowed_v_per_s", volt_per_s},
                 {"fix", command}});
}

absl::Status CommandPlanner::CheckIdle(int channel, std::string_view what) const {
  const std::optional<uint32_t> status = image_.Register(channel, id::kChannelStatus);
  const absl::StatusOr<double> volt = Known(channel, hvc::kVoltageMeasure);
  if (!status) return Known(channel, hvc::kStatus).status();
  if (!volt.ok()) return volt.status();
  const bool on = (*status & (Bit(channel_bit::kOn) | Bit(channel_bit::kRamp))) != 0;
  if (!on && std::abs(*volt) <= kIdleVolt) return absl::OkStatus();
  return Refuse(absl::StatusCode::kFailedPrecondition, "CHANNEL_NOT_IDLE",
                std::string(what) + " of channel " + std::to_string(channel) +
                    " can only be switched while it is off and at 0 V; it is " +
                    (on ? "on" : "off") + " at " + FormatNumber(*volt) +
                    " V; switch it off and wait",
                {{"channel", std::to_string(channel)},
                 {"voltage_v", FormatNumber(*volt)},
                 {"maximum_v", FormatNumber(kIdleVolt)}});
}

absl::Status CommandPlanner::CheckValue(int channel, ItemId item, const Value& value) const {
  const ItemEntry& entry = image_.items().Entry(item);
  switch (entry.data_id) {
    case id::kVoltageSet: {
      if (absl::Status s = CheckVoltage(channel, value.AsNumber()); !s.ok()) return s;
      if (!image_.Flag(channel, hvc::kIsOn).value_or(true)) return absl::OkStatus();
      const std::optional<double> now = image_.Number(channel, hvc::kVoltageMeasure);
      const bool down = now && std::abs(value.AsNumber()) < std::abs(*now);
      return CheckRampInForce(channel, down ? Direction::kDown : Direction::kUp);
    }
    case id::kCurrentSet:
      return CheckCurrent(channel, value.AsNumber());
    case id::kModuleVoltageRamp:
      return CheckModuleRamp(value.AsNumber());
    case id::kVoltageRampUp:
    case id::kVoltageRampDown:
      return CheckChannelRamp(channel, entry.spec.name, value.AsNumber());
    case id::kOutputMode:
    case id::kOutputPolarity:
      if (entry.data_id == id::kOutputPolarity && value.AsNumber() == 0) {
        return Refuse(absl::StatusCode::kOutOfRange, "NO_SUCH_POLARITY",
                      Name(channel, entry.spec.name) + " = 0: the polarity is 1 or -1",
                      {{"item", Name(channel, entry.spec.name)}});
      }
      return CheckIdle(channel, entry.spec.name);
    case id::kVoltageBounds:
    case id::kCurrentBounds: {
      const bool voltage = entry.data_id == id::kVoltageBounds;
      const absl::StatusOr<double> nominal =
          Known(channel, voltage ? hvc::kVoltageNominal : hvc::kCurrentNominal);
      if (!nominal.ok()) return nominal.status();
      if (value.AsNumber() >= 0 && !Above(value.AsNumber(), std::abs(*nominal))) break;
      return Refuse(absl::StatusCode::kOutOfRange, "BOUNDS_OUT_OF_RANGE",
                    Name(channel, entry.spec.name) + " = " + value.ToString() + " " +
                        entry.spec.unit + " is outside 0 to the nominal value of " +
                        FormatNumber(*nominal) + " " + entry.spec.unit,
                    {{"item", Name(channel, entry.spec.name)},
                     {"requested", value.ToString()},
                     {"maximum", FormatNumber(*nominal)}});
    }
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status CommandPlanner::CheckWritable(const ItemWrite& write) const {
  const DeviceItems& items = image_.items();
  if (write.item >= items.table()->size()) {
    return Refuse(absl::StatusCode::kNotFound, "NO_SUCH_ITEM",
                  "item number " + std::to_string(write.item) + " does not exist (any more)");
  }
  const auto name = [&] { return items.table()->Name(write.item); };
  if (items.Entry(write.item).writing == Writing::kNone) {
    return Refuse(absl::StatusCode::kInvalidArgument, "READ_ONLY", name() + " cannot be written",
                  {{"item", name()}});
  }
  if (!Available(write.item)) {
    return Refuse(absl::StatusCode::kUnimplemented, "ITEM_NOT_AVAILABLE",
                  "this device does not have " + name(), {{"item", name()}});
  }
  const ItemSpec& spec = items.table()->Spec(write.item);
  const bool number = spec.type == ValueType::kNumber;
  const bool fits =
      write.value.type() == spec.type || (number && write.value.type() == ValueType::kInteger);
  if (!fits) {
    return Refuse(absl::StatusCode::kInvalidArgument, "WRONG_TYPE",
                  name() + " takes a " + std::string(ToString(spec.type)) + ", not \"" +
                      write.value.ToString() + "\"",
                  {{"item", name()}});
  }
  return absl::OkStatus();
}

CommandPlanner::Result CommandPlanner::PlanWrites(const std::vector<ItemWrite>& writes) {
  const DeviceItems& items = image_.items();
  CommandPlan plan;
  plan.channels = 0;
  bool control_only = true;
  uint64_t on = 0, off = 0, lock = 0, release = 0;
  for (const ItemWrite& write : writes) {
    if (absl::Status s = CheckWritable(write); !s.ok()) return s;
    const ItemEntry& entry = items.Entry(write.item);
    const int channel = items.Channel(write.item);
    plan.channels |= ChannelBits(channel);
    const bool control =
        channel >= 0 && entry.writing == Writing::kBit &&
        items.Entry(items.table()->Storage(write.item)).data_id == id::kChannelControl;
    if (!control) {
      control_only = false;
      if (entry.data_id == id::kCratePower) {
        return writes.size() == 1 ? PlanCratePower(write.value.flag(), false)
                                  : Refuse(absl::StatusCode::kInvalidArgument, "NOT_ALONE",
                                           "the crate's power is switched by a command of its own");
      }
    } else if (entry.spec.bit == control_bit::kChannelOn) {
      (write.value.flag() ? on : off) |= ChannelBits(channel);
    } else {
      (write.value.flag() ? lock : release) |= ChannelBits(channel);
    }
  }
  // The control register has two bits with a life of their own: they are switched, not written.
  const int kinds = (on != 0) + (off != 0) + (lock != 0) + (release != 0);
  if (kinds > 1 || (kinds == 1 && !control_only)) {
    return Refuse(absl::StatusCode::kInvalidArgument, "NOT_ALONE",
                  "switching on, switching off and emergency off are commands of their own; set "
                  "values in another one");
  }
  if (on != 0) return PlanSwitch(on, true);
  if (off != 0) return PlanSwitch(off, false);
  if (lock != 0) return PlanEmergencyOff(lock);
  if (release != 0) return PlanRelease(release);

  // What the checks and the registers that are changed bit by bit need to be fresh.
  for (const ItemWrite& write : writes) {
    const ItemEntry& entry = items.Entry(write.item);
    const int channel = items.Channel(write.item);
    if (entry.writing == Writing::kBit) {
      plan.reads_first.push_back(items.table()->Storage(write.item));
    }
    if (entry.data_id == id::kOutputMode || entry.data_id == id::kOutputPolarity) {
      plan.pause = kRelayPause;
      for (const char* name : {hvc::kStatus, hvc::kVoltageMeasure}) {
        if (const auto item = image_.Find(channel, name)) plan.reads_first.push_back(*item);
      }
    }
  }
  plan.compose = [this, writes](CommandPlan& p) { return ComposeWrites(p, writes); };
  return plan;
}

absl::Status CommandPlanner::ComposeWrites(CommandPlan& plan,
                                           const std::vector<ItemWrite>& writes) const {
  const DeviceItems& items = image_.items();
  // All checks before the first frame is composed: a refused command leaves the device as it was.
  for (const ItemWrite& write : writes) {
    if (absl::Status s = CheckValue(items.Channel(write.item), write.item, write.value); !s.ok()) {
      return s;
    }
  }
  // Bits of one register are changed together.
  std::map<ItemId, uint32_t> registers;
  std::map<ItemId, uint32_t> masks;
  std::map<ItemId, std::string> texts;
  for (const ItemWrite& write : writes) {
    const ItemEntry& entry = items.Entry(write.item);
    plan.read_back.push_back(write.item);
    if (entry.writing != Writing::kBit) {
      if (absl::Status s = ComposeRegister(plan, write); !s.ok()) return s;
      continue;
    }
    const ItemId storage = items.table()->Storage(write.item);
    const std::optional<Value> now = image_.Get(storage);
    if (!now) {
      return Known(items.Channel(storage), items.table()->Spec(storage).name).status();
    }
    const auto [it, first] = registers.try_emplace(storage, static_cast<uint32_t>(now->integer()));
    const uint32_t bit = Bit(entry.spec.bit);
    const bool set = write.value.flag() != entry.spec.bit_inverted;
    it->second = set ? it->second | bit : it->second & ~bit;
    masks[storage] |= bit;
    texts[storage] +=
        (first ? "" : ", ") + items.table()->Name(write.item) + " = " + write.value.ToString();
  }
  for (auto& [storage, value] : registers) {
    if (items.Entry(storage).data_id == id::kModuleControl) {
      // Big-endian, always (checklist, item 9); the bits that do something once are not repeated.
      value |= Bit(control_bit::kBigEndian);
      value &= ~(Bit(control_bit::kClear) | Bit(control_bit::kRecallSetValues) |
                 Bit(control_bit::kSaveSetValues));
    }
    const Value full = Value::Integer(value);
    if (absl::Status s = AddWrite(plan, storage, full, texts[storage]); !s.ok()) return s;
    plan.proofs.push_back({.item = storage, .expected = full, .mask = masks[storage]});
  }
  return absl::OkStatus();
}

absl::Status CommandPlanner::ComposeRegister(CommandPlan& plan, const ItemWrite& write) const {
  const DeviceItems& items = image_.items();
  const ItemEntry& entry = items.Entry(write.item);
  const int channel = items.Channel(write.item);
  const std::string text =
      items.table()->Name(write.item) + " = " + write.value.ToString() +
      (*entry.spec.unit != '\0' ? " " + std::string(entry.spec.unit) : std::string());
  if (absl::Status s = AddWrite(plan, write.item, write.value, text); !s.ok()) return s;
  Proof proof{.item = write.item};
  if (entry.writing != Writing::kClearOnes) proof.expected = write.value;
  if (entry.data_id == id::kVoltageSet || entry.data_id == id::kCurrentSet) {
    const char* nominal =
        entry.data_id == id::kVoltageSet ? hvc::kVoltageNominal : hvc::kCurrentNominal;
    proof.tolerance = settings_.read_back_tolerance_percent / 100 *
                      std::abs(image_.Number(channel, nominal).value_or(0));
  }
  plan.proofs.push_back(proof);
  if (entry.data_id == id::kOutputMode || entry.data_id == id::kOutputPolarity) {
    // The nominal values change with it, and the next command is checked against them.
    for (const char* name : {hvc::kVoltageNominal, hvc::kCurrentNominal}) {
      if (const auto item = image_.Find(channel, name)) plan.proofs.push_back({.item = *item});
    }
    plan.changes_set_values = true;
  }
  if (entry.data_id == id::kVoltageSet && image_.Flag(channel, hvc::kIsOn).value_or(false)) {
    plan.goals.push_back({channel, Goal::Kind::kVoltage});
  }
  return absl::OkStatus();
}

}  // namespace canhub::iseg
