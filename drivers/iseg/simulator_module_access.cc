// The registers of the simulated module: what frames read and write.
#include <algorithm>
#include <cmath>
#include <set>

#include "drivers/iseg/simulator_module.h"

namespace canhub::iseg {
namespace {

constexpr char kSampleRates[] = "5,10,25,50,60,100,500";
constexpr uint16_t kSampleRateValues[] = {5, 10, 25, 50, 60, 100, 500};
constexpr int kMaxDigitalFilter = 1024;
constexpr char kFirmwareReleaseText[] = "05.71";  // row 11
constexpr int kDcpRelease = 571;
constexpr int kDcpMessageMode = 4;  // row 6
constexpr double kTemperatureTrip = 55;
constexpr double kLimitPercent = 100;
constexpr uint32_t kSetValuesResetFlag = 0x01000000;

struct SupplyVoltage {
  int index;
  double volt;
};
// The eight that H waits for; index 0 is 24.1 V as in row 24.
constexpr SupplyVoltage kSupplyVoltages[] = {{0, 24.1},  {1, -24.1}, {2, 5.05}, {3, 14.9},
                                             {4, -14.9}, {5, 5.02},  {6, 3.3},  {9, 24.0}};
constexpr double kBadSupply = 19.8;  // below 24 V - 10 %

WireBytes Encode(WireType type, const Value& value) { return *EncodeValue(type, value); }
WireBytes Number(double v) { return Encode(WireType::kR4, Value::Number(v)); }
WireBytes Unsigned(uint16_t data_id, uint64_t v) {
  return Encode(FindRegister(data_id)->type, Value::Integer(static_cast<int64_t>(v)));
}

}  // namespace

double IsegModuleSimulator::Noise(double full_scale) {
  if (noise_ == 0) return 0;
  return std::normal_distribution<double>(0, noise_ * full_scale)(random());
}

std::optional<WireBytes> IsegModuleSimulator::ReadModule(uint16_t data_id) {
  if (!Implements(data_id)) return std::nullopt;
  const bool wide = (data_id & 0xFFF0) == id::kWideModuleStatus;
  const uint64_t bits = wide ? 0xFFFFFFFF : 0xFFFF;
  switch (wide ? data_id & ~kWideBit : data_id) {
    case id::kModuleStatus:
      return Unsigned(data_id, ModuleStatus() & bits);
    case id::kModuleControl: {
      // doClear, save and recall clear themselves; big-endian cannot be left.
      uint32_t control = Bit(control_bit::kBigEndian);
      if (interlock_) control |= Bit(control_bit::kInterlock);
      if (fine_adjustment_) control |= Bit(control_bit::kFineAdjustment);
      if (kill_enable_) control |= Bit(control_bit::kKillEnable);
      if (ramp_limit_disabled_) control |= Bit(16);
      return Unsigned(data_id, control & bits);
    }
    case id::kModuleEventStatus:
      return Unsigned(data_id, events_ & bits);
    case id::kModuleEventMask:
      return Unsigned(data_id, event_mask_ & bits);
    case id::kEventChannelStatus:
      return Unsigned(data_id, event_channels_ & bits);
    case id::kEventChannelMask:
      return Unsigned(data_id, event_channel_mask_ & bits);
    case id::kEventGroupStatus:
      return Unsigned(data_id, event_groups_);
    case id::kEventGroupMask:
      return Unsigned(data_id, event_group_mask_);
    case id::kModuleStatus2:
      return Unsigned(data_id, 0);
    case id::kModuleControl2:
      return Unsigned(data_id, control_2_);
    case id::kSetValuesChanged:
      return Unsigned(data_id, set_values_changed_);
    case id::kModuleVoltageRamp:
      return Number(voltage_ramp_);
    case id::kModuleCurrentRamp:
      return Number(current_ramp_);
    case id::kModuleVoltageLimit:
    case id::kModuleCurrentLimit:
      return Number(kLimitPercent);
    case id::kSupply24:
      return Number(supply_good() ? kSupplyVoltages[0].volt : kBadSupply);
    case id::kSupply5:
      return Number(5.05);
    case id::kTemperature:
      return Number(BoardTemperature());
    case id::kTemperatureTrip:
      return Number(kTemperatureTrip);
    case id::kSerialNumber:
      return Unsigned(data_id, model_.serial_number);
    case id::kFirmwareRelease:
      return Encode(WireType::kRelease, Value::Text(kFirmwareReleaseText));
    case id::kBitRate:
      return Unsigned(data_id, bit_rate_);
    case id::kFirmwareName:
      return Encode(WireType::kName5, Value::Text(model_.firmware_name));
    case id::kSampleRate:
      return Unsigned(data_id, sample_rate_);
    case id::kDigitalFilter:
      return Unsigned(data_id, digital_filter_);
    case id::kChannelNumber:
      return Unsigned(data_id, channels_.size());
    case id::kHardwareOptions:
      return Unsigned(data_id, 0);
    case id::kOnList: {
      uint32_t list = 0;
      for (int i = 0; i < channels() && i < 32; ++i) list |= channels_[i].on() ? Bit(i) : 0;
      return Unsigned(data_id, list);
    }
    default:
      return std::nullopt;
  }
}

// Which DATA_IDs a model lacks although the facts know them: by the features of the item tables.
bool IsegModuleSimulator::Implements(uint16_t data_id) const {
  if (ClassOf(data_id) == AccessClass::kMultiple) data_id &= kMultipleMask;
  const Register* row = FindRegister(data_id);
  if (row == nullptr || row->access == RegisterAccess::kWrite) return false;
  if (data_id == id::kVoltageModeListIsegcan) return Has(feature::kOutputModes);
  const int mode_voltage = data_id - id::kVoltageModeList;
  const int mode_current = data_id - id::kCurrentModeList;
  const int modes = static_cast<int>(channels_[0].modes().size());
  if ((mode_voltage >= modes && mode_voltage < 6) || (mode_current >= modes && mode_current < 6)) {
    return false;
  }
  for (const std::span<const ItemEntry> table : {ModuleEntries(), ChannelEntries()}) {
    for (const ItemEntry& entry : table) {
      if (entry.data_id == data_id) return Has(entry.needs);
      if (entry.wide_id == data_id) return model_.wide;
    }
  }
  return false;
}

std::optional<WireBytes> IsegModuleSimulator::ReadChannel(uint16_t data_id, int number) {
  if (!Implements(data_id)) return std::nullopt;
  const SimulatedChannel& channel = channels_[number];
  const ChannelSettings& settings = channel.settings;
  const bool ranged = Has(feature::kRangedCurrent);
  switch (data_id) {
    case id::kChannelStatus:
    case id::kWideChannelStatus: {
      const uint32_t status = channel.Status(Has(feature::kOutputModes), ranged);
      return Unsigned(data_id, data_id == id::kChannelStatus ? status & 0xFFFF : status);
    }
    case id::kChannelControl: {
      uint32_t control = channel.on() ? Bit(control_bit::kChannelOn) : 0;
      if (channel.emergency_off()) control |= Bit(control_bit::kChannelEmergencyOff);
      return Unsigned(data_id, control);
    }
    case id::kChannelEventStatus:
      return Unsigned(data_id, channel.events() & 0xFFFF);
    case id::kWideChannelEventStatus:
      return Unsigned(data_id, channel.events());
    case id::kChannelEventMask:
      return Unsigned(data_id, settings.event_mask);
    case id::kDelayedTripTime:
      return Unsigned(data_id, settings.trip_time_ms);
    case id::kDelayedTripAction:
      return Unsigned(data_id, settings.trip_action);
    case id::kExternalInhibitAction:
      return Unsigned(data_id, settings.inhibit_action);
    case id::kVoltageRampPriority:
      return Unsigned(data_id, settings.ramp_priority);
    case id::kVoltageSet:
      return Number(settings.voltage_set);
    case id::kCurrentSet:
      return Number(settings.current_set);
    case id::kVoltageMeasure:
      return Number(channel.polarity() * channel.voltage() + Noise(channel.nominal_voltage()));
    case id::kCurrentMeasure:
      return Number(channel.current() + Noise(channel.nominal_current()));
    case id::kCurrentMeasureRange: {
      const bool low = channel.current() < channel.nominal_current_low();
      const double scale = low ? channel.nominal_current_low() : channel.nominal_current();
      WireBytes bytes = Number(channel.current() + Noise(scale));
      bytes.data[bytes.size++] = low ? 1 : 0;
      return bytes;
    }
    case id::kVoltageBounds:
      return Number(settings.voltage_bounds);
    case id::kCurrentBounds:
      return Number(settings.current_bounds);
    case id::kVoltageNominal:
      return Number(channel.polarity() * channel.nominal_voltage());
    case id::kCurrentNominal:
      return Number(channel.nominal_current());
    case id::kPowerNominal:
      return Number(channel.nominal_voltage() * channel.nominal_current());
    case id::kVoltageBottom:
      return Number(settings.voltage_bottom);
    case id::kVctCoefficient:
      return Number(settings.vct_coefficient);
    case id::kTemperatureExternal:
      return Number(BoardTemperature());
    case id::kResistanceExternal:
      return Number(settings.resistance_external);
    case id::kVoltageRampUp:
      return Number(settings.ramp_up);
    case id::kVoltageRampDown:
      return Number(settings.ramp_down);
    case id::kCurrentRampUp:
      return Number(settings.current_ramp_up);
    case id::kCurrentRampDown:
      return Number(settings.current_ramp_down);
    case id::kVoltageRampMin:
    case id::kCurrentRampMin:
      return Number(0);
    case id::kVoltageRampMax:
      return Number(channel.nominal_voltage() * kMaxRampPercent / 100);
    case id::kCurrentRampMax:
      return Number(channel.nominal_current());
    case id::kCurrentNominalLow:
      return Number(channel.nominal_current_low());
    case id::kPowerSet:
      return Number(settings.power_set);
    case id::kPowerMeasure:
      return Number(channel.voltage() * channel.current());
    case id::kOutputMode:
      return Unsigned(data_id, static_cast<uint64_t>(channel.mode()));
    case id::kOutputPolarity:
      return Encode(WireType::kSi1, Value::Integer(channel.polarity()));
    case id::kOutputVoltageMode:
    case id::kVoltageModeListIsegcan:
      return Number(channel.polarity() * channel.nominal_voltage());
    case id::kOutputCurrentMode:
      return Number(channel.nominal_current());
    case id::kGroupNumber:
      return Unsigned(data_id, settings.group_number);
    default:
      break;
  }
  const auto& modes = channel.modes();
  if (data_id >= id::kVoltageModeList && data_id < id::kVoltageModeList + modes.size()) {
    return Number(modes[data_id - id::kVoltageModeList].nominal_voltage);
  }
  if (data_id >= id::kCurrentModeList && data_id < id::kCurrentModeList + modes.size()) {
    return Number(modes[data_id - id::kCurrentModeList].nominal_current);
  }
  return std::nullopt;
}

bool IsegModuleSimulator::AnswerGroup(uint16_t data_id) {
  if (!Implements(data_id)) return false;
  switch (data_id) {
    case id::kTemperatures:
      AnswerIndexed(data_id, 0, Number(BoardTemperature()));
      AnswerIndexed(data_id, 1, Number(BoardTemperature() + 0.8));
      return true;
    case id::kSupplies:
      for (const SupplyVoltage& supply : kSupplyVoltages) {
        const bool bad = supply.index == 0 && !supply_good();
        AnswerIndexed(data_id, supply.index, Number(bad ? kBadSupply : supply.volt));
      }
      return true;
    case id::kVoltageLimits:
    case id::kCurrentLimits:
      for (int i = 0; i < 9; ++i) AnswerIndexed(data_id, i, Number(kLimitPercent));
      return true;
    default:
      return false;
  }
}

void IsegModuleSimulator::AnswerChannel(uint16_t data_id, int channel) {
  const uint16_t own =
      ClassOf(data_id) == AccessClass::kMultiple ? data_id & kMultipleMask : data_id;
  AnswerIndexed(data_id, channel, ReadChannel(own, channel).value_or(WireBytes()));
}

void IsegModuleSimulator::OnRead(std::span<const uint8_t> payload) {
  if (dcp_only_) return;
  Update();
  const uint16_t data_id = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  const std::optional<AccessClass> access = ClassOf(data_id);
  const auto bad = [this] {
    input_error_ = true;
    LatchEvents();
  };
  if (!access.has_value()) return bad();
  switch (*access) {
    case AccessClass::kChannel:
      if (payload.size() != 3 || payload[2] >= channels()) return bad();
      return AnswerChannel(data_id, payload[2]);
    case AccessClass::kMultiple: {
      if (payload.size() != 5) return bad();
      const int mask = payload[2] << 8 | payload[3];
      const int offset = payload[4];
      const bool all = mask == 0 && offset == 0 && Has(feature::kNewBoard);
      const int count = all ? channels() : 16;
      for (int i = 0; i < count; ++i) {
        if ((all || (mask >> i & 1) != 0) && offset + i < channels()) {
          AnswerChannel(data_id, offset + i);
        }
      }
      return;
    }
    case AccessClass::kGroup:
      if (payload.size() != 2) return bad();
      if (AnswerGroup(data_id)) return;
      return AnswerModule(data_id, ReadModule(data_id).value_or(WireBytes()));
    case AccessClass::kModule:
      break;
  }
  if (payload.size() == 3 &&
      (data_id == id::kEventChannelStatus || data_id == id::kEventChannelMask)) {
    // isegcan's form: the word of the channels from an offset on, with the offset before it.
    const uint64_t bits =
        data_id == id::kEventChannelStatus ? event_channels_ : event_channel_mask_;
    const int offset = payload[2];
    const uint64_t word = offset < 64 ? bits >> offset & 0xFFFF : 0;
    return AnswerIndexed(data_id, offset, Unsigned(data_id, word));
  }
  if (payload.size() != 2) return bad();
  if (data_id == id::kArticle && Implements(data_id)) return AnswerText(data_id, model_.article);
  if (data_id == id::kSampleRateList && Implements(data_id)) {
    return AnswerText(data_id, kSampleRates);
  }
  AnswerModule(data_id, ReadModule(data_id).value_or(WireBytes()));
}

void IsegModuleSimulator::OnWrite(std::span<const uint8_t> payload) {
  if (dcp_only_) return;
  Update();
  const uint16_t data_id = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  const std::optional<AccessClass> access = ClassOf(data_id);
  bool good = false;
  if (access == AccessClass::kChannel) {
    if (payload.size() >= 3 && payload[2] < channels()) {
      SimulatedChannel& channel = channels_[payload[2]];
      const bool accepted =
          Implements(data_id) && WriteChannel(data_id, channel, payload.subspan(3));
      channel.SetInputError(!accepted);
      channel.Touch();
      good = true;  // the module took it; the channel says what came of it
    }
  } else if (access == AccessClass::kModule || access == AccessClass::kGroup) {
    good = WriteModule(data_id, payload.subspan(2));
  }
  if (!good) input_error_ = true;
  LatchEvents();
}

bool IsegModuleSimulator::WriteModule(uint16_t data_id, std::span<const uint8_t> value) {
  if (data_id == id::kFactoryReset) return FactoryReset(value);
  const Register* row = FindRegister(data_id);
  if (row == nullptr || row->access == RegisterAccess::kRead) return false;
  if (row->access == RegisterAccess::kReadWrite && !Implements(data_id)) return false;
  if (value.size() == 3 && data_id == id::kEventChannelStatus) {
    // isegcan's form: offset, then the word.
    if (value[0] < 64) event_channels_ &= ~(uint64_t(value[1] << 8 | value[2]) << value[0]);
    return true;
  }
  const absl::StatusOr<WireValue> decoded = DecodeValue(row->type, value);
  if (!decoded.ok()) return false;
  if (row->type == WireType::kR4) {
    const double percent = decoded->value.number();
    const double maximum = data_id == id::kModuleVoltageRamp ? kMaxRampPercent : 100;
    if (!(percent > 0 && percent <= maximum)) return false;
    if (data_id == id::kModuleVoltageRamp) {
      voltage_ramp_ = percent;
      for (SimulatedChannel& channel : channels_) {
        channel.settings.ramp_up = channel.settings.ramp_down =
            channel.nominal_voltage() * percent / 100;
        channel.Touch();
      }
    } else {
      current_ramp_ = percent;
      for (SimulatedChannel& channel : channels_) {
        channel.settings.current_ramp_up = channel.settings.current_ramp_down =
            channel.nominal_current() * percent / 100;
      }
    }
    ++set_values_changed_;
    return true;
  }
  if (decoded->value.type() != ValueType::kInteger) return false;
  const uint32_t number = static_cast<uint32_t>(decoded->value.integer());
  const bool wide = (data_id & 0xFFF0) == id::kWideModuleStatus;
  // A 16-bit write leaves the upper half of a mask alone.
  const uint32_t kept = wide ? 0 : 0xFFFF0000;
  switch (wide ? data_id & ~kWideBit : data_id) {
    case id::kModuleControl:
      WriteModuleControl(number);
      return true;
    case id::kModuleEventStatus:
      events_ &= ~number;
      if ((number & Bit(module_bit::kInputError)) != 0) input_error_ = false;
      return true;
    case id::kModuleEventMask:
      event_mask_ = (event_mask_ & kept) | number;
      return true;
    case id::kEventChannelStatus:
      event_channels_ &= ~uint64_t{number};
      return true;
    case id::kEventChannelMask:
      event_channel_mask_ = (event_channel_mask_ & kept) | number;
      return true;
    case id::kEventGroupStatus:
      event_groups_ &= ~number;
      return true;
    case id::kEventGroupMask:
      event_group_mask_ = number;
      return true;
    case id::kModuleControl2:
      control_2_ = number;
      return true;
    case id::kSampleRate:
      if (std::find(std::begin(kSampleRateValues), std::end(kSampleRateValues), number) ==
          std::end(kSampleRateValues)) {
        return false;
      }
      sample_rate_ = static_cast<uint16_t>(number);
      return true;
    case id::kDigitalFilter:
      if (number < 1 || number > kMaxDigitalFilter) return false;
      digital_filter_ = static_cast<uint16_t>(number);
      return true;
    case id::kAntiCollision:
      if (!config().Parameter("sim_anti_collision").flag()) return false;
      anti_collision_ = number != 0;
      return true;
    case id::kOnList:
      for (int i = 0; i < channels() && i < 32; ++i) {
        WriteChannelControl(channels_[i],
                            (number >> i & 1) != 0 ? Bit(control_bit::kChannelOn) : 0);
      }
      return true;
    case id::kEmergencyOffList:
      for (int i = 0; i < channels() && i < 32; ++i) {
        if ((number >> i & 1) != 0) channels_[i].SetEmergencyOff(true);
      }
      return true;
    default:
      return false;
  }
}

void IsegModuleSimulator::WriteModuleControl(uint32_t control) {
  const auto bit = [control](int n) { return (control & Bit(n)) != 0; };
  fine_adjustment_ = bit(control_bit::kFineAdjustment);
  kill_enable_ = bit(control_bit::kKillEnable);
  ramp_limit_disabled_ = bit(16);
  interlock_ = bit(control_bit::kInterlock);
  if (interlock_) AllOff(false);
  for (int i = 0; i < channels(); ++i) {
    Carry(channels_[i].SetInhibited(interlock_ || FaultActive("inhibit", i), false));
  }
  if (bit(control_bit::kSaveSetValues)) {
    for (SimulatedChannel& channel : channels_) channel.saved = channel.settings;
  }
  if (bit(control_bit::kRecallSetValues)) {
    for (SimulatedChannel& channel : channels_) {
      channel.settings = channel.saved;
      channel.Touch();
    }
    ++set_values_changed_;
  }
  if (bit(control_bit::kClear)) ClearAllEvents();
}

void IsegModuleSimulator::WriteChannelControl(SimulatedChannel& channel, uint16_t control) {
  const bool emergency = (control & Bit(control_bit::kChannelEmergencyOff)) != 0;
  const bool on = (control & Bit(control_bit::kChannelOn)) != 0;
  const bool was_emergency = channel.emergency_off();
  channel.SetEmergencyOff(emergency);
  if (emergency) return;
  if (!on) {
    if (channel.on()) channel.SwitchOff();
    return;
  }
  // Set-on is ignored while the emergency stands, also by the write that releases it.
  if (was_emergency || channel.on()) return;
  if (CanSwitchOn(channel) && !Blocked(channel)) channel.SwitchOn();
}

bool IsegModuleSimulator::WriteChannel(uint16_t data_id, SimulatedChannel& channel,
                                       std::span<const uint8_t> value) {
  const Register* row = FindRegister(data_id);
  if (row->access != RegisterAccess::kReadWrite) return false;
  const absl::StatusOr<WireValue> decoded = DecodeValue(row->type, value);
  if (!decoded.ok()) return false;
  const bool accepted = decoded->value.type() == ValueType::kNumber
                            ? WriteChannelNumber(data_id, channel, decoded->value.number())
                            : WriteChannelInteger(data_id, channel, decoded->value.integer());
  const bool counts = data_id != id::kChannelControl && data_id != id::kChannelEventStatus &&
                      data_id != id::kWideChannelEventStatus;
  if (accepted && counts) ++set_values_changed_;
  return accepted;
}

bool IsegModuleSimulator::WriteVoltageSet(SimulatedChannel& channel, double voltage) {
  const double magnitude = std::abs(voltage);
  if (magnitude > channel.nominal_voltage() * kLimitPercent / 100) return false;
  if (voltage < 0 && channel.polarity() > 0) return false;
  const bool raised = magnitude > std::abs(channel.settings.voltage_set);
  if (raised && channel.on() && Blocked(channel)) return false;
  channel.settings.voltage_set = voltage;
  return true;
}

bool IsegModuleSimulator::WriteChannelNumber(uint16_t data_id, SimulatedChannel& channel,
                                             double number) {
  ChannelSettings& settings = channel.settings;
  const auto store = [number](double* where, double minimum, double maximum) {
    if (number < minimum || number > maximum) return false;
    *where = number;
    return true;
  };
  const double volt = channel.nominal_voltage();
  const double ampere = channel.nominal_current();
  switch (data_id) {
    case id::kVoltageSet:
      return WriteVoltageSet(channel, number);
    case id::kCurrentSet:
      return store(&settings.current_set, 0, ampere);
    case id::kVoltageBounds:
      return store(&settings.voltage_bounds, 0, volt);
    case id::kCurrentBounds:
      return store(&settings.current_bounds, 0, ampere);
    case id::kVoltageBottom:
      return store(&settings.voltage_bottom, 0, 100);
    case id::kVctCoefficient:
      return store(&settings.vct_coefficient, -volt, volt);
    case id::kResistanceExternal:
      return store(&settings.resistance_external, 0, 1e12);
    case id::kVoltageRampUp:
      return number > 0 && store(&settings.ramp_up, 0, volt * kMaxRampPercent / 100);
    case id::kVoltageRampDown:
      return number > 0 && store(&settings.ramp_down, 0, volt * kMaxRampPercent / 100);
    case id::kCurrentRampUp:
      return number > 0 && store(&settings.current_ramp_up, 0, ampere);
    case id::kCurrentRampDown:
      return number > 0 && store(&settings.current_ramp_down, 0, ampere);
    case id::kPowerSet:
      return store(&settings.power_set, 0, volt * ampere);
    default:
      return false;
  }
}

bool IsegModuleSimulator::WriteChannelInteger(uint16_t data_id, SimulatedChannel& channel,
                                              int64_t number) {
  ChannelSettings& settings = channel.settings;
  // Mode and polarity move relays: only with the output off and at 0 V.
  const bool idle = !channel.driving() && channel.voltage() < 1;
  switch (data_id) {
    case id::kChannelControl:
      WriteChannelControl(channel, static_cast<uint16_t>(number));
      return true;
    case id::kChannelEventStatus:
    case id::kWideChannelEventStatus:
      channel.ClearEvents(static_cast<uint32_t>(number), model_.wide);
      return true;
    case id::kChannelEventMask:
      settings.event_mask = static_cast<uint16_t>(number);
      return true;
    case id::kDelayedTripTime:
      settings.trip_time_ms = static_cast<uint16_t>(number);
      return true;
    case id::kDelayedTripAction:
      if (number > 4) return false;
      settings.trip_action = static_cast<uint8_t>(number);
      return true;
    case id::kExternalInhibitAction:
      if (number > 3) return false;
      settings.inhibit_action = static_cast<uint8_t>(number);
      return true;
    case id::kVoltageRampPriority:
      if (number > channels()) return false;
      settings.ramp_priority = static_cast<uint16_t>(number);
      return true;
    case id::kOutputMode:
      if (!idle || number < 1 || number > static_cast<int64_t>(channel.modes().size())) {
        return false;
      }
      channel.set_mode(static_cast<int>(number));
      // The nominal values change under the set values.
      DefaultSettings(&settings, channel);
      return true;
    case id::kOutputPolarity:
      if (!idle || (number != 1 && number != -1)) return false;
      channel.set_polarity(static_cast<int>(number));
      settings.voltage_set = 0;
      return true;
    case id::kGroupNumber:
      settings.group_number = static_cast<uint8_t>(number);
      return true;
    default:
      return false;
  }
}

bool IsegModuleSimulator::FactoryReset(std::span<const uint8_t> value) {
  if (value.size() != WireLength(WireType::kKey6)) return false;
  uint32_t serial = 0;
  for (const uint8_t b : value.first(4)) serial = serial << 8 | b;
  if (value[4] != 0x15 || value[5] != 0xE6) return false;
  const bool values_only = serial == model_.serial_number + kSetValuesResetFlag;
  if (!values_only && serial != model_.serial_number) return false;
  AllOff(true);
  for (SimulatedChannel& channel : channels_) {
    if (values_only) {
      channel.settings.voltage_set = 0;
      channel.settings.current_set = channel.nominal_current();
    } else {
      // The ramp down goes on with the speed of the factory setting.
      DefaultSettings(&channel.settings, channel);
      channel.saved = channel.settings;
    }
    channel.Touch();
  }
  if (!values_only) {
    voltage_ramp_ = current_ramp_ = 10;
    kill_enable_ = interlock_ = ramp_limit_disabled_ = false;
    fine_adjustment_ = true;
    event_mask_ = 0;
    event_channel_mask_ = 0;
    event_group_mask_ = 0;
  }
  ++set_values_changed_;
  return true;
}

void IsegModuleSimulator::OnDcpRead(uint8_t data_id) {
  Update();
  if (data_id == kDcpIdentity) {
    const CanFrame frame = DcpIdentityFrame(
        address(), {model_.serial_number, kDcpMessageMode, kDcpRelease, channels()});
    return Answer(frame.payload());
  }
  if (data_id == kDcpGeneralStatus) {
    const uint8_t payload[] = {kDcpGeneralStatus, GeneralStatus()};
    return Answer(payload);
  }
  if (!dcp_only_ || (data_id & 0xC0) != 0x80) return;
  // Channel access of the 16-bit class: 50000 is nominal (section 17).
  const int number = data_id & 0x0F;
  if (number >= channels()) return;
  const SimulatedChannel& channel = channels_[number];
  double share = 0;
  switch (data_id & 0xF0) {
    case 0x80:
      share = channel.voltage() / channel.nominal_voltage();
      break;
    case 0x90:
      share = channel.current() / channel.nominal_current();
      break;
    case 0xA0:
      share = std::abs(channel.settings.voltage_set) / channel.nominal_voltage();
      break;
    default:
      return;
  }
  const uint16_t raw = static_cast<uint16_t>(std::clamp(share, 0.0, 1.0) * 50000 + 0.5);
  const uint8_t payload[] = {data_id, static_cast<uint8_t>(raw >> 8),
                             static_cast<uint8_t>(raw & 0xFF)};
  Answer(payload);
}

void IsegModuleSimulator::OnBroadcast(std::span<const uint8_t> edcp) {
  if (dcp_only_ || edcp.size() != 4) return;
  const uint16_t data_id = static_cast<uint16_t>(edcp[0] << 8 | edcp[1]);
  // The only one that was ever seen in this form (section 9.4).
  if (data_id != (id::kChannelControl | kMultipleBit)) return;
  Update();
  const uint16_t control = static_cast<uint16_t>(edcp[2] << 8 | edcp[3]);
  for (SimulatedChannel& channel : channels_) WriteChannelControl(channel, control);
  LatchEvents();
}

}  // namespace canhub::iseg
