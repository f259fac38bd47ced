#include "drivers/studer/bms_codec.h"

#include <array>
#include <cmath>

namespace canhub::studer {
namespace {

uint16_t U16(const CanFrame& frame, size_t at) {
  return static_cast<uint16_t>(frame.data[at] | frame.data[at + 1] << 8);
}
bool Holds(const CanFrame& frame, size_t at) { return frame.dlc >= at + 2; }

// 0xFFFF: invalid.
std::optional<double> Unsigned(const CanFrame& frame, size_t at, double scale) {
  if (!Holds(frame, at) || U16(frame, at) == 0xFFFF) return std::nullopt;
  return std::round(U16(frame, at) * scale * 1e4) / 1e4;
}
// 0x8000: invalid.
std::optional<double> Signed(const CanFrame& frame, size_t at, double scale) {
  if (!Holds(frame, at) || U16(frame, at) == 0x8000) return std::nullopt;
  return std::round(static_cast<int16_t>(U16(frame, at)) * scale * 1e4) / 1e4;
}

struct Bit {
  uint8_t byte, bit;
  bool alarm;
  const char* name;
};
// 0x359, Pylontech: protections and alarms.
constexpr std::array kFlagBits = {
    Bit{0, 1, true, "high_voltage"},
    Bit{0, 2, true, "low_voltage"},
    Bit{0, 3, true, "high_temperature"},
    Bit{0, 4, true, "low_temperature"},
    Bit{0, 7, true, "high_discharge_current"},
    Bit{1, 0, true, "high_charge_current"},
    Bit{1, 3, true, "internal"},
    Bit{2, 1, false, "high_voltage"},
    Bit{2, 2, false, "low_voltage"},
    Bit{2, 3, false, "high_temperature"},
    Bit{2, 4, false, "low_temperature"},
    Bit{2, 7, false, "high_discharge_current"},
    Bit{3, 0, false, "high_charge_current"},
    Bit{3, 3, false, "internal"},
};
// 0x35A: pairs of bits, four to a byte.
constexpr std::array kAlarmPairs = {
    "general",
    "high_voltage",
    "low_voltage",
    "high_temperature",
    "low_temperature",
    "high_temperature_charging",
    "low_temperature_charging",
    "high_discharge_current",
    "high_charge_current",
    "contactor",
    "short_circuit",
    "internal",
    "cell_imbalance",
};

// False: it does not fit.
bool Put(CanFrame* frame, size_t at, const std::optional<double>& value, double scale,
         bool is_signed) {
  if (!value || !std::isfinite(*value)) return false;
  const double raw = std::round(*value / scale);
  // The ends mean invalid.
  if (is_signed ? (raw < -32767 || raw > 32767) : (raw < 0 || raw > 65534)) return false;
  const auto word = static_cast<uint16_t>(static_cast<int32_t>(raw));
  frame->data[at] = static_cast<uint8_t>(word);
  frame->data[at + 1] = static_cast<uint8_t>(word >> 8);
  return true;
}

}  // namespace

absl::StatusOr<BatteryReport> DecodeBattery(const CanFrame& frame) {
  if (frame.extended || frame.remote) {
    return BadFrame("not_standard", FormatFrame(frame) + ": expected an 11-bit data frame");
  }
  BatteryReport report;
  const auto needs = [&](uint8_t bytes) { return frame.dlc >= bytes; };
  // What every maker sends (section 13): Pylontech's 0x351 ends before the discharge voltage, its
  // 0x355 before the fine state of charge.
  const uint8_t least = frame.id == kBmsLimits     ? 6
                        : frame.id == kBmsState    ? 4
                        : frame.id == kBmsMeasured ? 6
                        : frame.id == kBmsFlags    ? 4
                        : frame.id == kBmsAlarms   ? 8
                        : frame.id == kBmsRequest  ? 1
                        : frame.id == kBmsMaker    ? 1
                        : frame.id == kBmsData     ? 6
                                                   : 0;
  if (!needs(least)) {
    return BadFrame("short_frame", FormatFrame(frame) + ": found " + std::to_string(frame.dlc) +
                                       " bytes, expected at least " + std::to_string(least));
  }
  switch (frame.id) {
    case kBmsLimits:
      report.charge_voltage = Unsigned(frame, 0, 0.1);
      report.charge_current_limit = Signed(frame, 2, 0.1);
      report.discharge_current_limit = Signed(frame, 4, 0.1);
      report.discharge_voltage = Unsigned(frame, 6, 0.1);
      break;
    case kBmsState: {
      report.soc = Unsigned(frame, 0, 1);
      report.soh = Unsigned(frame, 2, 1);
      // The fine one, where the maker fills it (0 at BYD).
      const std::optional<double> fine = Unsigned(frame, 4, 0.01);
      if (fine && *fine > 0 && report.soc && std::abs(*fine - *report.soc) <= 1) report.soc = fine;
      break;
    }
    case kBmsMeasured:
      report.voltage = Signed(frame, 0, 0.01);
      report.current = Signed(frame, 2, 0.1);
      report.temperature = Signed(frame, 4, 0.1);
      break;
    case kBmsRequest:
      report.charge_enable = (frame.data[0] & 0x80) != 0;
      report.discharge_enable = (frame.data[0] & 0x40) != 0;
      break;
    case kBmsMaker: {
      std::string name;
      for (const uint8_t c : frame.payload()) {
        if (c >= 0x20 && c <= 0x7E) name += static_cast<char>(c);
      }
      while (!name.empty() && name.back() == ' ') name.pop_back();
      report.maker = name;
      break;
    }
    case kBmsData:
      report.capacity = Unsigned(frame, 4, 1);
      break;
    default:
      break;
  }
  return report;
}

std::vector<BatteryCondition> ConditionsOf(const CanFrame& frame) {
  std::vector<BatteryCondition> conditions;
  if (frame.extended || frame.remote) return conditions;
  if (frame.id == kBmsFlags && frame.dlc >= 4) {
    for (const Bit& bit : kFlagBits) {
      conditions.push_back({bit.name, bit.alarm, (frame.data[bit.byte] >> bit.bit & 1) != 0});
    }
  }
  if (frame.id == kBmsAlarms && frame.dlc >= 8) {
    for (const bool alarm : {true, false}) {
      for (size_t i = 0; i < kAlarmPairs.size(); ++i) {
        const uint8_t pair = frame.data[i / 4 + (alarm ? 0 : 4)] >> (2 * (i % 4)) & 3;
        // 1: raised, 2: cleared; 0 and 3 say nothing.
        if (pair == 1 || pair == 2) conditions.push_back({kAlarmPairs[i], alarm, pair == 1});
      }
    }
  }
  return conditions;
}

std::optional<CanFrame> EncodeBattery(uint32_t id, const BatteryReport& report) {
  CanFrame frame = MakeFrame(id, {0, 0, 0, 0, 0, 0, 0, 0});
  bool fits = true;
  switch (id) {
    case kBmsLimits:
      fits = Put(&frame, 0, report.charge_voltage, 0.1, false) &&
             Put(&frame, 2, report.charge_current_limit, 0.1, true) &&
             Put(&frame, 4, report.discharge_current_limit, 0.1, true) &&
             Put(&frame, 6, report.discharge_voltage, 0.1, false);
      break;
    case kBmsState:
      fits = Put(&frame, 0, report.soc, 1, false) && Put(&frame, 2, report.soh, 1, false) &&
             Put(&frame, 4, report.soc, 0.01, false);
      break;
    case kBmsMeasured:
      fits = Put(&frame, 0, report.voltage, 0.01, true) &&
             Put(&frame, 2, report.current, 0.1, true) &&
             Put(&frame, 4, report.temperature, 0.1, true);
      break;
    case kBmsRequest:
      if (!report.charge_enable || !report.discharge_enable) return std::nullopt;
      frame.data[0] = static_cast<uint8_t>((*report.charge_enable ? 0x80 : 0) |
                                           (*report.discharge_enable ? 0x40 : 0));
      break;
    case kBmsMaker:
      if (!report.maker || report.maker->size() > 8) return std::nullopt;
      for (size_t i = 0; i < report.maker->size(); ++i) {
        frame.data[i] = static_cast<uint8_t>((*report.maker)[i]);
      }
      break;
    default:
      return std::nullopt;
  }
  if (!fits) return std::nullopt;
  return frame;
}

}  // namespace canhub::studer
