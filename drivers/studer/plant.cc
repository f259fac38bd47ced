#include "drivers/studer/plant.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

namespace canhub::studer {
namespace {

constexpr double kCapacityAh = 400;
constexpr double kSolarPeak = 4500;    // W of one solar charger at noon
constexpr double kResistance = 0.012;  // of the battery at 48 V, ohm
// The integration's step: a lab that is stepped by hand jumps over hours.
constexpr double kLongestStep = 60;

// Cells at rest, by state of charge, for 48 V.
double RestVoltage(double soc) { return 46.0 + 6.4 * soc; }

double Bump(double hour, double at, double width) {
  const double x = (hour - at) / width;
  return std::exp(-x * x);
}

}  // namespace

Plant::Plant(PlantOptions options, uint64_t seed, MonoTime start)
    : options_(options), random_(seed), now_(start), hour_(options.start_hour) {
  Step(0);
}

void Plant::SetXtender(int xtender, const UnitState& state) {
  if (xtender >= 0 && xtender < 9) xtenders_[xtender] = state;
}

void Plant::AdvanceTo(MonoTime now) {
  double left = std::chrono::duration<double>(now - now_).count();
  now_ = std::max(now_, now);
  // A day may be made short: steps are of the plant's own time.
  const double speed = 86400 / std::chrono::duration<double>(options_.day).count();
  left *= speed;
  // Beyond a week nothing new is seen.
  left = std::min(left, 7 * 86400.0);
  while (left > 0) {
    const double step = std::min(left, kLongestStep);
    Step(step);
    left -= step;
  }
}

void Plant::Step(double seconds) {
  hour_ += seconds / 3600;
  if (hour_ >= 24) {
    hour_ -= 24;
    produced_ = consumed_ = grid_energy_ = discharged_ = charged_ah_ = discharged_ah_ = 0;
  }
  wind_ = std::clamp(0.98 * wind_ + std::normal_distribution<double>(0, 0.02)(random_), -0.2, 0.2);

  const double sun = std::max(0.0, std::sin(std::numbers::pi * (hour_ - 6) / 12));
  solar_ = solar_on_ ? SolarUnits() * kSolarPeak * sun * (1 - clouds_) * (0.9 + wind_) : 0;
  double wanted = 600 + 900 * Bump(hour_, 7.5, 1) + 1800 * Bump(hour_, 19, 2) + 400 * wind_;

  int inverting = 0, transferring = 0;
  double charge_amperes = 0;
  for (int i = 0; i < options_.xtenders; ++i) {
    const UnitState& x = xtenders_[i];
    if (x.on && x.inverter_allowed) ++inverting;
    if (x.on && x.transfer_allowed && grid_) ++transferring;
    if (x.on && x.charger_allowed && grid_) charge_amperes += x.charge_current;
  }
  // Off-grid first: the grid helps below a fifth and lets go above a third.
  if (soc_ < 0.2) transfer_ = true;
  if (soc_ > 0.35) transfer_ = false;
  const bool transfer = transfer_ && transferring > 0;
  load_ = (inverting > 0 || transfer) ? std::max(0.0, wanted) : 0;
  from_grid_ = transfer ? load_ + charge_amperes * options_.nominal_voltage * 0.5 : 0;
  into_battery_ = solar_ + from_grid_ - load_ * (transfer ? 1 : 1.06);
  // Full: the solar chargers hold back.
  if (soc_ >= 1 && into_battery_ > 0) {
    solar_ = std::max(0.0, solar_ - into_battery_);
    into_battery_ = 0;
  }
  if (soc_ <= 0 && into_battery_ < 0) {
    load_ = 0;
    into_battery_ = solar_;
  }

  const double hours = seconds / 3600;
  const double amperes = into_battery_ / options_.nominal_voltage;
  const double capacity = kCapacityAh * 48 / options_.nominal_voltage;
  soc_ = std::clamp(soc_ + amperes * hours / capacity, 0.0, 1.0);
  produced_ += solar_ * hours;
  consumed_ += load_ * hours;
  grid_energy_ += from_grid_ * hours;
  (amperes > 0 ? charged_ah_ : discharged_ah_) += std::abs(amperes) * hours;
  if (amperes < 0) discharged_ += -into_battery_ * hours;
}

double Plant::battery_voltage() const {
  const double amperes = into_battery_ / options_.nominal_voltage;
  const double scale = options_.nominal_voltage / 48;
  // Measured voltages are multiples of 1/64 V (section 3.2).
  return std::round((RestVoltage(soc_) + amperes * kResistance) * scale * 64) / 64;
}

std::optional<double> Plant::Info(Family family, int number, uint16_t id) const {
  switch (family) {
    case Family::kXtender:
      return Xtender(number, id);
    case Family::kVarioTrack:
      return VarioTrack(id);
    case Family::kVarioString:
      return VarioString(id);
    case Family::kBsp:
      return Battery(id, false);
    case Family::kBms:
      return Battery(id, true);
    case Family::kRcc:
      break;
  }
  return std::nullopt;
}

std::optional<double> Plant::Xtender(int number, uint16_t id) const {
  const UnitState& x = xtenders_[std::clamp(number, 0, 8)];
  const double units = std::max(options_.xtenders, 1);
  const bool transfer = transfer_ && x.on && x.transfer_allowed && grid_;
  const bool output = x.on && (x.inverter_allowed || transfer);
  const double load = output ? load_ / units : 0;
  const double input = transfer ? from_grid_ / units : 0;
  const double charge = transfer ? (from_grid_ - load_) / units : -load * 1.06;
  switch (id) {
    case 3000:
      return battery_voltage();
    case 3001:
      return 32767;  // no sensor (section 3.2)
    case 3005:
      return charge / options_.nominal_voltage;
    case 3010:
      return soc_ >= 0.98 ? 4 : soc_ > 0.9 ? 2 : 1;
    case 3011:
      return grid_ ? options_.mains_voltage : 0;
    case 3012:
      return input / options_.mains_voltage;
    case 3020:
      return transfer ? 1 : 0;
    case 3021:
      return output ? x.output_voltage : 0;
    case 3022:
      return output ? load / x.output_voltage : 0;
    case 3028:
      return !output ? 0 : transfer ? 2 : 1;
    case 3030:
      return output ? 1 : 0;
    case 3049:
      return x.on ? 1 : 0;
    case 3056:
      return (x.inverter_allowed ? 0 : 1) + (x.charger_allowed ? 0 : 2) +
             (x.transfer_allowed ? 0 : 8);
    case 3084:
      return grid_ ? 50 : 0;
    case 3085:
      return output ? 50 : 0;
    case 3089:
      return 1 << number % 3;
    case 3124:
      return 256;  // XTM
    case 3130:
      return 256;  // firmware 1.6.30
    case 3131:
      return 1566;
    case 3156:
      return 4660;
    case 3157:
      return 22136 + number;
    case 3136:
    case 3139:
      return load / 1000;
    case 3137:
    case 3138:
      return input / 1000;
    case 3078:
      return discharged_ / units / 1000;
    case 3081:
      return grid_energy_ / units / 1000;
    case 3083:
      return consumed_ / units / 1000;
    default:
      return std::nullopt;
  }
}

std::optional<double> Plant::VarioTrack(uint16_t id) const {
  const double power = solar_ / std::max(SolarUnits(), 1.0);
  const bool day = solar_ > 0;
  switch (id) {
    case 11000:
      return battery_voltage();
    case 11001:
      return power / battery_voltage();
    case 11002:
      return day ? 95 : 3;
    case 11004:
      return power / 1000;
    case 11007:
      return produced_ / std::max(SolarUnits(), 1.0) / 1000;
    case 11015:
      return 0;
    case 11016:
      return !solar_on_ ? 6 : day ? 8 : 0;
    case 11038:
      return soc_ >= 0.98 ? 3 : soc_ > 0.9 ? 1 : 0;
    case 11050:
      return 256;
    case 11051:
      return 1566;
    case 11069:
      return solar_on_ ? 1 : 0;
    default:
      return std::nullopt;
  }
}

std::optional<double> Plant::VarioString(uint16_t id) const {
  const double power = solar_ / std::max(SolarUnits(), 1.0);
  const bool day = solar_ > 0;
  switch (id) {
    case 15000:
      return battery_voltage();
    case 15001:
      return power / battery_voltage();
    case 15002:
      return soc_ >= 0.98 ? 3 : soc_ > 0.9 ? 1 : 0;
    case 15004:
      return day ? 420 : 5;
    case 15007:
      return day ? power / 420 : 0;
    case 15010:
      return power / 1000;
    case 15013:
      return !solar_on_ ? 2 : day ? 3 : 0;
    case 15017:
      return produced_ / std::max(SolarUnits(), 1.0) / 1000;
    case 15074:
      return 12801;
    case 15108:
      return solar_on_ ? 1 : 0;
    default:
      return std::nullopt;
  }
}

std::optional<double> Plant::Battery(uint16_t id, bool bms) const {
  const double amperes = into_battery_ / options_.nominal_voltage;
  const double scale = options_.nominal_voltage / 48;
  switch (id) {
    case 7000:
      return battery_voltage();
    case 7001:
      return amperes;
    case 7002:
      return soc_ * 100;
    case 7003:
      return into_battery_;
    case 7004: {
      // Minutes until empty, negative; no number while charging (section 10.1).
      if (amperes >= 0) return std::nan("");
      const double capacity = kCapacityAh / scale;
      return std::max(-60000.0, soc_ * capacity / amperes * 60);
    }
    case 7007:
      return charged_ah_;
    case 7008:
      return discharged_ah_;
    case 7029:
      return 21.5;
    case 7034:
      return bms ? std::optional<double>() : 10241;
    case 7054:
      return bms ? std::optional<double>(1) : std::nullopt;
    case 7055:
      return kCapacityAh / scale;
    case 7057:
      return 99;
    case 7061:
      return 56.5 * scale;
    case 7062:
      return 44.8 * scale;
    case 7063:
    case 7064:
      return 200;
    case 7067:
      return 2;
    case 7068:
      return 10;
    default:
      return std::nullopt;
  }
}

}  // namespace canhub::studer
