#include "daemon/rpc/high_voltage_view.h"

#include "daemon/rpc/clean_text.h"
#include "drivers/api/high_voltage.h"

namespace canhub {
namespace {

namespace hv = high_voltage;

int FindSpec(const ItemBlock& block, std::string_view name) {
  for (size_t i = 0; i < block.specs.size(); ++i) {
    if (name == block.specs[i].name) return static_cast<int>(i);
  }
  return -1;
}

template <typename Setter, typename T>
void SetIf(const std::optional<T>& value, Setter set) {
  if (value) set(*value);
}

}  // namespace

HighVoltageView::HighVoltageView(const DeviceSnapshot& snapshot, const TimeView& time)
    : snapshot_(snapshot), time_(time) {
  const std::span<const ItemBlock> blocks = snapshot.items().blocks();
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].prefix != hv::kChannelBlock) continue;
    channel_block_ = static_cast<int>(i);
    channel_count_ = blocks[i].count;
    const ItemBlock& block = blocks[i];
    const auto find = [&](const char* name) { return FindSpec(block, name); };
    specs_ = {.voltage_measure = find(hv::channel::kVoltageMeasure),
              .current_measure = find(hv::channel::kCurrentMeasure),
              .voltage_set = find(hv::channel::kVoltageSet),
              .current_set = find(hv::channel::kCurrentSet),
              .voltage_nominal = find(hv::channel::kVoltageNominal),
              .current_nominal = find(hv::channel::kCurrentNominal),
              .voltage_limit = find(hv::channel::kVoltageLimit),
              .current_limit = find(hv::channel::kCurrentLimit),
              .voltage_bounds = find(hv::channel::kVoltageBounds),
              .current_bounds = find(hv::channel::kCurrentBounds),
              .ramp_up = find(hv::channel::kRampUp),
              .ramp_down = find(hv::channel::kRampDown),
              .status = find(hv::channel::kStatus),
              .event_status = find(hv::channel::kEventStatus),
              .is_on = find(hv::channel::kIsOn),
              .is_ramping = find(hv::channel::kIsRamping),
              .is_tripped = find(hv::channel::kIsTripped),
              .is_emergency_off = find(hv::channel::kIsEmergencyOff),
              .is_inhibited = find(hv::channel::kIsInhibited),
              .trip_event = find(hv::channel::kTripEvent)};
    status_bits_ = BitsOf(block, specs_.status);
    event_bits_ = BitsOf(block, specs_.event_status);
    return;
  }
}

bool HighVoltageView::is_crate() const { return Identity(hv::module::kClass) == "crate"; }

std::string HighVoltageView::Identity(const char* key) const {
  const auto found = snapshot_.identity().find(key);
  return found == snapshot_.identity().end() ? "" : CleanText(found->second);
}

std::vector<HighVoltageView::Bit> HighVoltageView::BitsOf(const ItemBlock& block,
                                                          int register_spec) const {
  std::vector<Bit> bits;
  if (register_spec < 0) return bits;
  for (const ItemSpec& spec : block.specs) {
    if (spec.flag_of == register_spec) {
      bits.push_back({spec.bit, spec.bit_inverted, spec.name});
    }
  }
  return bits;
}

Reading HighVoltageView::ReadChannel(int channel, int spec) const {
  if (spec < 0) return Reading{};
  return snapshot_.Read(snapshot_.items().Id(channel_block_, channel, spec));
}

std::optional<Reading> HighVoltageView::ReadNamed(const char* name) const {
  const std::optional<ItemId> item = snapshot_.items().Find(name);
  if (!item) return std::nullopt;
  return snapshot_.Read(*item);
}

std::optional<double> HighVoltageView::NumberAt(MonoTime now,
                                                const std::optional<Reading>& reading) {
  if (!reading || reading->EffectiveQuality(now) != Quality::kGood ||
      reading->value.type() == ValueType::kText) {
    return std::nullopt;
  }
  return reading->value.AsNumber();
}

std::optional<bool> HighVoltageView::Flag(const std::optional<Reading>& reading) const {
  if (!reading || !Good(*reading) || reading->value.type() != ValueType::kFlag) return std::nullopt;
  return reading->value.flag();
}

std::optional<uint32_t> HighVoltageView::Word(const std::optional<Reading>& reading) const {
  if (!reading || !Good(*reading) || reading->value.type() != ValueType::kInteger) {
    return std::nullopt;
  }
  return static_cast<uint32_t>(reading->value.integer());
}

v1::Quality HighVoltageView::QualityOf(const std::optional<Reading>& reading) const {
  return ToProto(reading ? reading->EffectiveQuality(time_.now()) : Quality::kNeverRead);
}

std::optional<int> HighVoltageView::ChannelOf(ItemId item) const {
  const ItemTable::Place place = snapshot_.items().Locate(item);
  if (place.block != channel_block_) return std::nullopt;
  return place.instance;
}

std::optional<double> HighVoltageView::MeasuredVoltage(const DeviceSnapshot& snapshot, MonoTime now,
                                                       uint32_t channel) {
  const std::string name =
      hv::kChannelBlock + std::to_string(channel) + "." + hv::channel::kVoltageMeasure;
  const std::optional<ItemId> item = snapshot.items().Find(name);
  if (!item) return std::nullopt;
  return NumberAt(now, snapshot.Read(*item));
}

void HighVoltageView::SetChannel(int channel, v1::HighVoltageChannel* out) const {
  const auto number = [&](int spec) { return Number(ReadChannel(channel, spec)); };
  const auto flag = [&](int spec) { return Flag(ReadChannel(channel, spec)); };
  const ItemBlock& block = snapshot_.items().blocks()[static_cast<size_t>(channel_block_)];
  out->set_channel(static_cast<uint32_t>(block.first + channel));
  SetIf(number(specs_.voltage_measure), [&](double v) { out->set_voltage_measure_v(v); });
  SetIf(number(specs_.current_measure), [&](double v) { out->set_current_measure_a(v); });
  SetIf(number(specs_.voltage_set), [&](double v) { out->set_voltage_set_v(v); });
  SetIf(number(specs_.current_set), [&](double v) { out->set_current_set_a(v); });
  SetIf(number(specs_.voltage_nominal), [&](double v) { out->set_voltage_nominal_v(v); });
  SetIf(number(specs_.current_nominal), [&](double v) { out->set_current_nominal_a(v); });
  SetIf(number(specs_.voltage_limit), [&](double v) { out->set_voltage_limit_v(v); });
  SetIf(number(specs_.current_limit), [&](double v) { out->set_current_limit_a(v); });
  SetIf(number(specs_.voltage_bounds), [&](double v) { out->set_voltage_bounds_v(v); });
  SetIf(number(specs_.current_bounds), [&](double v) { out->set_current_bounds_a(v); });
  SetIf(number(specs_.ramp_up), [&](double v) { out->set_ramp_up_v_per_s(v); });
  SetIf(number(specs_.ramp_down), [&](double v) { out->set_ramp_down_v_per_s(v); });

  const std::optional<bool> on = flag(specs_.is_on);
  const std::optional<bool> ramping = flag(specs_.is_ramping);
  std::optional<bool> tripped = flag(specs_.is_tripped);
  // Whichever was read first.
  if (flag(specs_.trip_event).value_or(false)) tripped = true;
  const std::optional<bool> emergency_off = flag(specs_.is_emergency_off);
  const std::optional<bool> inhibited = flag(specs_.is_inhibited);
  SetIf(on, [&](bool v) { out->set_on(v); });
  SetIf(ramping, [&](bool v) { out->set_ramping(v); });
  SetIf(tripped, [&](bool v) { out->set_tripped(v); });
  SetIf(emergency_off, [&](bool v) { out->set_emergency_off(v); });

  SetIf(Word(ReadChannel(channel, specs_.status)), [&](uint32_t word) {
    out->set_status_word(word);
    for (const Bit& bit : status_bits_) {
      if (bit.IsTrue(word)) out->add_status(bit.name);
    }
  });
  SetIf(Word(ReadChannel(channel, specs_.event_status)), [&](uint32_t word) {
    out->set_event_word(word);
    for (const Bit& bit : event_bits_) {
      if (bit.IsTrue(word)) out->add_events(bit.name);
    }
  });

  const Reading measured = ReadChannel(channel, specs_.voltage_measure);
  out->set_quality(QualityOf(measured));
  if (measured.value.has_value()) {
    SetTimestamp(time_.ToWall(measured.read_time), out->mutable_read_time());
  }
  // What keeps the channel from its set voltage comes before what it is doing.
  out->set_state(!on                             ? "unknown"
                 : emergency_off.value_or(false) ? "emergency_off"
                 : tripped.value_or(false)       ? "tripped"
                 : inhibited.value_or(false)     ? "inhibited"
                 : ramping.value_or(false)       ? "ramping"
                 : *on                           ? "on"
                                                 : "off");
}

template <typename Map>
void HighVoltageView::SetPrefixed(std::string_view prefix, Map* out) const {
  const ItemTable& items = snapshot_.items();
  for (ItemId item = 0; item < items.size(); ++item) {
    if (items.Locate(item).block == channel_block_) continue;
    if (items.Spec(item).type != ValueType::kNumber) continue;
    std::string name = items.Name(item);
    if (!name.starts_with(prefix)) continue;
    const std::optional<double> value = Number(snapshot_.Read(item));
    if (value) (*out)[name.substr(prefix.size())] = *value;
  }
}

template <typename Repeated>
void HighVoltageView::SetRegisterNames(const char* register_name, uint32_t word,
                                       Repeated* out) const {
  const ItemTable& items = snapshot_.items();
  const std::optional<ItemId> item = items.Find(register_name);
  if (!item) return;
  const ItemTable::Place place = items.Locate(*item);
  for (const Bit& bit : BitsOf(items.blocks()[static_cast<size_t>(place.block)], place.spec)) {
    if (bit.IsTrue(word)) *out->Add() = bit.name;
  }
}

void HighVoltageView::SetModule(const std::string& device_id, v1::HighVoltageModule* out) const {
  out->set_device_id(device_id);
  out->set_serial_number(Identity(hv::module::kSerialNumber));
  out->set_firmware_name(Identity(hv::module::kFirmwareName));
  out->set_firmware_release(Identity(hv::module::kFirmwareRelease));
  out->set_article(Identity(hv::module::kArticle));
  out->set_channel_count(static_cast<uint32_t>(channel_count_));
  const std::optional<Reading> status = ReadNamed(hv::module::kStatus);
  SetIf(Word(status), [&](uint32_t word) {
    out->set_status_word(word);
    SetRegisterNames(hv::module::kStatus, word, out->mutable_status());
  });
  SetIf(Word(ReadNamed(hv::module::kEventStatus)), [&](uint32_t word) {
    out->set_event_word(word);
    SetRegisterNames(hv::module::kEventStatus, word, out->mutable_events());
  });
  SetIf(Number(ReadNamed(hv::module::kTemperature)),
        [&](double v) { out->set_temperature_degc(v); });
  SetPrefixed(hv::module::kSupplyPrefix, out->mutable_supplies_v());
  SetIf(Number(ReadNamed(hv::module::kRampPercent)),
        [&](double v) { out->set_voltage_ramp_percent_per_s(v); });
  SetIf(Flag(ReadNamed(hv::module::kKillEnable)), [&](bool v) { out->set_kill_enabled(v); });
  SetIf(Flag(ReadNamed(hv::module::kFineAdjustment)), [&](bool v) { out->set_fine_adjustment(v); });
  SetIf(Flag(ReadNamed(hv::module::kSafetyLoopGood)),
        [&](bool v) { out->set_safety_loop_closed(v); });
  SetIf(Flag(ReadNamed(hv::module::kHighVoltageOn)), [&](bool v) { out->set_high_voltage_on(v); });
  SetIf(Number(ReadNamed(hv::module::kVoltageLimit)),
        [&](double v) { out->set_voltage_limit_percent(v); });
  SetIf(Number(ReadNamed(hv::module::kCurrentLimit)),
        [&](double v) { out->set_current_limit_percent(v); });
  out->set_quality(QualityOf(status));
  const std::string quirks = Identity(hv::module::kQuirks);
  for (size_t at = 0; at < quirks.size();) {
    const size_t comma = std::min(quirks.find(',', at), quirks.size());
    const size_t first = quirks.find_first_not_of(' ', at);
    if (first < comma) out->add_quirks(quirks.substr(first, comma - first));
    at = comma + 1;
  }
}

void HighVoltageView::SetCrate(const std::string& device_id, v1::Crate* out) const {
  out->set_device_id(device_id);
  SetIf(Flag(ReadNamed(hv::crate::kPowerOn)), [&](bool v) { out->set_power_commanded(v); });
  SetIf(Flag(ReadNamed(hv::crate::kIsPowerOn)), [&](bool v) { out->set_power_on(v); });
  const std::optional<Reading> status = ReadNamed(hv::crate::kStatus);
  SetIf(Word(status), [&](uint32_t word) {
    out->set_status_word(word);
    SetRegisterNames(hv::crate::kStatus, word, out->mutable_status());
  });
  SetIf(Word(ReadNamed(hv::crate::kEventStatus)), [&](uint32_t word) {
    out->set_event_word(word);
    SetRegisterNames(hv::crate::kEventStatus, word, out->mutable_events());
  });
  SetPrefixed(hv::module::kTemperaturePrefix, out->mutable_temperatures_degc());
  SetPrefixed(hv::module::kSupplyPrefix, out->mutable_supplies_v());
  SetIf(Number(ReadNamed(hv::crate::kFanSpeed)), [&](double v) { out->set_fan_speed_percent(v); });
  out->set_firmware_name(Identity(hv::module::kFirmwareName));
  out->set_serial_number(Identity(hv::module::kSerialNumber));
  out->set_quality(QualityOf(status));
}

}  // namespace canhub
