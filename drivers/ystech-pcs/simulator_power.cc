#include "drivers/ystech-pcs/simulator_power.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace canhub::ystech_pcs {
namespace {

constexpr int kPhases = 3;
constexpr double kSecondsPerHour = 3600;

// Heat sink: 40 K above ambient at the losses of 120 kW and 97 %, with this time constant.
constexpr double kKelvinPerWatt = 40.0 / (0.03 * 120e3);
constexpr double kHeatSeconds = 120;
// Air takes up a part of it.
constexpr double kInletShare = 0.1;
constexpr double kOutletShare = 0.6;

// Open-circuit voltage of a lithium battery over its state of charge, as a part of the one at 50 %.
constexpr std::pair<double, double> kOpenCircuit[] = {{0.0, 0.80}, {0.05, 0.90}, {0.1, 0.93},
                                                      {0.2, 0.96}, {0.5, 1.00},  {0.8, 1.05},
                                                      {0.9, 1.08}, {1.0, 1.14}};

// The first and the last segment go on beyond their ends: an overcharged battery rises.
double OpenCircuitPart(double state_of_charge) {
  size_t i = 1;
  while (i + 1 < std::size(kOpenCircuit) && state_of_charge > kOpenCircuit[i].first) ++i;
  const auto& [x0, y0] = kOpenCircuit[i - 1];
  const auto& [x1, y1] = kOpenCircuit[i];
  return y0 + (y1 - y0) * (state_of_charge - x0) / (x1 - x0);
}

// Reactive per active power; its sign is the power factor's.
double Tangent(double power_factor) {
  if (power_factor == 0) return 0;
  return std::copysign(std::sqrt(1 / (power_factor * power_factor) - 1), power_factor);
}

}  // namespace

double PowerStage::Ac::apparent_va() const { return std::hypot(active_w, reactive_var); }

PowerStage::PowerStage(const Settings& settings)
    : settings_(settings),
      state_of_charge_(settings.state_of_charge),
      heat_sink_degc_(settings.ambient_degc) {}

void PowerStage::SetGrid(double voltage_v, double frequency_hz) {
  grid_voltage_v_ = voltage_v;
  grid_frequency_hz_ = frequency_hz;
}

void PowerStage::SetLoad(double resistance_ohm, double capacitance_f) {
  load_resistance_ohm_ = resistance_ohm;
  load_capacitance_f_ = capacitance_f;
}

void PowerStage::BeginRun() {
  running_ = true;
  capacity_ah_ = 0;
  energy_wh_ = 0;
}

void PowerStage::EndRun() {
  running_ = false;
  holds_voltage_ = false;
  current_a_ = 0;
  reactive_var_ = 0;
  inverter_.reset();
}

double PowerStage::OpenVoltage() const {
  if (!connected_) return 0;
  if (fixed_open_voltage_) return *fixed_open_voltage_;
  return std::max(0.0, settings_.battery_voltage_v * OpenCircuitPart(state_of_charge_));
}

double PowerStage::dc_voltage_v() const {
  return std::max(0.0, OpenVoltage() - current_a_ * settings_.battery_resistance_ohm);
}

// Of (E - I R) I = P the solution with the smaller current; the most that the battery can give
// where there is none.
double PowerStage::CurrentForPower(double watt) const {
  const double open = OpenVoltage();
  const double resistance = settings_.battery_resistance_ohm;
  if (open <= 0) return 0;
  if (resistance <= 0) return watt / open;
  const double root = open * open - 4 * resistance * watt;
  if (root <= 0) return open / (2 * resistance);
  return (open - std::sqrt(root)) / (2 * resistance);
}

double PowerStage::ToDc(double ac_watt) const {
  return ac_watt >= 0 ? ac_watt / settings_.efficiency : ac_watt * settings_.efficiency;
}

double PowerStage::ToAc(double dc_watt) const {
  return dc_watt >= 0 ? dc_watt * settings_.efficiency : dc_watt / settings_.efficiency;
}

double PowerStage::LoadVoltage() const { return inverter_ ? inverter_->value : grid_voltage_v_; }

double PowerStage::LoadFrequency() const {
  return inverter_ ? inverter_->second : grid_frequency_hz_;
}

double PowerStage::LoadPower() const {
  return kPhases * LoadVoltage() * LoadVoltage() / load_resistance_ohm_;
}

double PowerStage::WantedCurrent(const Target& target, const Limits& limits) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double open = OpenVoltage();
  // A battery without resistance would take any current.
  const double resistance = std::max(settings_.battery_resistance_ohm, 1e-6);
  const double most_charge = std::min(limits.charge_a, target.charge_limit_a);
  const double most_discharge = std::min(limits.discharge_a, target.discharge_limit_a);
  double wanted = 0;
  holds_voltage_ = false;
  switch (target.control) {
    case Control::kRest:
      return 0;
    case Control::kInverter:
      return CurrentForPower(ToDc(LoadPower()));
    case Control::kVoltage:
      wanted = (open - target.value) / resistance;
      break;
    case Control::kCurrent:
      wanted = target.value;
      break;
    case Control::kPower:
      wanted = CurrentForPower(target.value);
      break;
    case Control::kAcPower:
      wanted = CurrentForPower(ToDc(target.value));
      break;
    case Control::kResistance: {
      // Charging is a negative resistance; one that is smaller than the battery's own has no
      // solution but the limit.
      const double total = resistance + target.value;
      wanted = target.value < 0 && total >= 0 ? -kInfinity : open / total;
      break;
    }
    case Control::kCcCv: {
      const double at_voltage = (open - target.second) / resistance;
      const bool charging = target.value < 0;
      wanted = charging ? std::min(0.0, std::max(target.value, at_voltage))
                        : std::max(0.0, std::min(target.value, at_voltage));
      holds_voltage_ = wanted != target.value;
      break;
    }
  }
  wanted = std::clamp(wanted, -most_charge, most_discharge);
  return std::clamp(wanted, CurrentForPower(-limits.charge_w), CurrentForPower(limits.discharge_w));
}

void PowerStage::Step(const Target& target, const Limits& limits, const Reactive& reactive,
                      double dt_s) {
  inverter_.reset();
  if (running_ && target.control == Control::kInverter) inverter_ = target;
  const double most = settings_.ramp_a_per_s * dt_s;
  if (running_) current_a_ += std::clamp(WantedCurrent(target, limits) - current_a_, -most, most);
  if (!connected_) current_a_ = 0;
  const double hours = dt_s / kSecondsPerHour;
  state_of_charge_ -= current_a_ * hours / settings_.battery_capacity_ah;
  if (running_) {
    capacity_ah_ += std::abs(current_a_) * hours;
    energy_wh_ += std::abs(dc_power_w()) * hours;
  }
  const double active = ToAc(dc_power_w());
  const double end = settings_.ambient_degc + kKelvinPerWatt * std::abs(dc_power_w() - active);
  heat_sink_degc_ += (end - heat_sink_degc_) * (1 - std::exp(-dt_s / kHeatSeconds));
  if (!running_ || inverter_) {
    reactive_var_ = 0;
  } else if (reactive.power_factor) {
    reactive_var_ = std::abs(active) * Tangent(*reactive.power_factor);
  } else {
    reactive_var_ = target.control == Control::kAcPower ? target.second : reactive.var;
  }
}

double PowerStage::inlet_degc() const {
  return settings_.ambient_degc + kInletShare * (heat_sink_degc() - settings_.ambient_degc);
}

double PowerStage::outlet_degc() const {
  return settings_.ambient_degc + kOutletShare * (heat_sink_degc() - settings_.ambient_degc);
}

PowerStage::Ac PowerStage::grid() const {
  Ac ac = {.voltage_v = grid_voltage_v_, .frequency_hz = grid_frequency_hz_};
  if (running_ && !inverter_) {
    ac.active_w = ToAc(dc_power_w());
    ac.reactive_var = reactive_var_;
  }
  return ac;
}

PowerStage::Ac PowerStage::load() const {
  const double omega = 2 * std::numbers::pi * LoadFrequency();
  return {.voltage_v = LoadVoltage(),
          .frequency_hz = LoadFrequency(),
          .active_w = LoadPower(),
          // A capacitor's is negative.
          .reactive_var = -kPhases * LoadVoltage() * LoadVoltage() * omega * load_capacitance_f_};
}

}  // namespace canhub::ystech_pcs
