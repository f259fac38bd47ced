#include "drivers/studer/simulated_unit.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace canhub::studer {
namespace {

// Section 10.2: signals that switch a unit, by family; 0: none.
struct Switches {
  uint16_t on, off;
  uint16_t saves_to_flash;  // section 7
  uint16_t watchdog, watchdog_seconds;
};
Switches SwitchesOf(Family family) {
  switch (family) {
    case Family::kXtender:
      return {1415, 1399, 1550, 1628, 1629};
    case Family::kVarioTrack:
      return {10039, 10040, 10058, 10342, 10343};
    case Family::kVarioString:
      return {14038, 14039, 14069, 14218, 14219};
    default:
      return {};
  }
}

// Values of type FLOAT are kept as 16-bit fixed point (section 3.2): the finest power of two with
// which the range fits.
double OnGrid(double value, double minimum, double maximum) {
  const double most = std::max({std::abs(minimum), std::abs(maximum), 1e-6});
  const double grid = std::exp2(std::ceil(std::log2(most / 32767)));
  return std::round(value / grid) * grid;
}

}  // namespace

SimulatedUnit::SimulatedUnit(Family family, int number, int battery_voltage, bool is_120v)
    : family_(family), number_(number), battery_voltage_(battery_voltage), is_120v_(is_120v) {
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (entry.family != family || !entry.parameter || !entry.IsObject()) continue;
    const double value = BoundsOf(entry, battery_voltage, is_120v).default_value.value_or(0);
    cells_[entry.id] = {value, value, 0};
  }
}

uint16_t SimulatedUnit::address() const {
  return static_cast<uint16_t>(Describe(family_).first + number_ - 1);
}

SimulatedUnit::Cell* SimulatedUnit::Find(uint16_t id) {
  const auto it = cells_.find(id);
  return it == cells_.end() ? nullptr : &it->second;
}

double SimulatedUnit::Value(uint16_t id) const {
  const auto it = cells_.find(id);
  return it == cells_.end() ? 0 : it->second.ram;
}

int64_t SimulatedUnit::FlashWrites(uint16_t id) const {
  const auto it = cells_.find(id);
  return it == cells_.end() ? 0 : it->second.flash_writes;
}

// Section 7.1: some bounds are other parameters' values.
double SimulatedUnit::Minimum(const Entry& entry) const {
  const double own = BoundsOf(entry, battery_voltage_, is_120v_).minimum.value_or(0);
  return entry.minimum_from == 0 ? own : std::max(own, Value(entry.minimum_from));
}

double SimulatedUnit::Maximum(const Entry& entry) const {
  const double own = BoundsOf(entry, battery_voltage_, is_120v_).maximum.value_or(1);
  return entry.maximum_from == 0 ? own : std::min(own, Value(entry.maximum_from));
}

std::optional<UnitError> SimulatedUnit::Read(uint16_t id, uint8_t part, float* value) const {
  if (!IsPart(part)) return UnitError::kArgument;
  const auto cell = cells_.find(id);
  if (cell == cells_.end()) return UnitError::kNoSuchObject;
  const Entry& entry = *Catalogue::Get().Find(family_, id);
  switch (static_cast<Part>(part)) {
    case Part::kMinimum:
      *value = static_cast<float>(Minimum(entry));
      break;
    case Part::kMaximum:
      *value = static_cast<float>(Maximum(entry));
      break;
    default:  // there is no way to read RAM (section 3.1)
      *value = entry.format == Format::kSignal ? 0 : static_cast<float>(cell->second.flash);
  }
  return std::nullopt;
}

bool SimulatedUnit::SavesToFlash() const {
  const uint16_t id = SwitchesOf(family_).saves_to_flash;
  return id == 0 || Value(id) != 0;
}

std::optional<UnitError> SimulatedUnit::Write(uint16_t id, uint8_t part, float value,
                                              MonoTime now) {
  if (!IsPart(part)) return UnitError::kArgument;
  Cell* cell = Find(id);
  if (cell == nullptr) return UnitError::kNoSuchObject;
  if (part == static_cast<uint8_t>(Part::kMinimum) ||
      part == static_cast<uint8_t>(Part::kMaximum)) {
    return UnitError::kReadOnly;
  }
  const Entry& entry = *Catalogue::Get().Find(family_, id);
  if (!std::isfinite(value)) return UnitError::kInvalidData;
  double number = value;
  switch (entry.format) {
    case Format::kSignal:
      if (number != 1) return UnitError::kInvalidData;
      break;
    case Format::kFlag:
      if (number != 0 && number != 1) return UnitError::kInvalidData;
      break;
    default:
      if (number < static_cast<float>(Minimum(entry))) return UnitError::kTooSmall;
      if (number > static_cast<float>(Maximum(entry))) return UnitError::kTooBig;
  }
  if (entry.format == Format::kEnum &&
      std::none_of(entry.labels.begin(), entry.labels.end(),
                   [&](const ValueLabel& label) { return label.value == number; })) {
    return UnitError::kInvalidData;  // U11
  }
  if (entry.format == Format::kNumber) {
    const Bounds bounds = BoundsOf(entry, battery_voltage_, is_120v_);
    number = OnGrid(number, bounds.minimum.value_or(0), bounds.maximum.value_or(0));
  }
  const bool flash = part == static_cast<uint8_t>(Part::kFlash);
  // The switch itself is written to flash whatever it says.
  const bool saved = flash && (SavesToFlash() || id == SwitchesOf(family_).saves_to_flash);
  if (saved) ++cell->flash_writes;
  if (!saved) fed_ = now;
  if (entry.format == Format::kSignal) {
    Trigger(id);
    return std::nullopt;
  }
  const bool watched = WatchdogEnds().has_value();
  cell->ram = number;
  if (saved) cell->flash = number;
  if (!watched && WatchdogEnds()) fed_ = now;  // switched on now
  return std::nullopt;
}

void SimulatedUnit::Trigger(uint16_t id) {
  const Switches switches = SwitchesOf(family_);
  if (id == switches.on) on_ = true;
  if (id == switches.off) on_ = false;
}

void SimulatedUnit::Restart() {
  for (auto& [id, cell] : cells_) cell.ram = cell.flash;
  on_ = true;
}

std::optional<MonoTime> SimulatedUnit::WatchdogEnds() const {
  const Switches switches = SwitchesOf(family_);
  if (switches.watchdog == 0 || Value(switches.watchdog) == 0) return std::nullopt;
  return fed_ + std::chrono::seconds(std::llround(Value(switches.watchdog_seconds)));
}

UnitState SimulatedUnit::State() const {
  UnitState state{.on = on_};
  if (family_ != Family::kXtender) return state;
  state.output_voltage = Value(1286);
  state.inverter_allowed = Value(1124) != 0;
  state.charger_allowed = Value(1125) != 0;
  state.transfer_allowed = Value(1128) != 0;
  state.charge_current = Value(1138);
  state.input_limit = Value(1107);
  return state;
}

}  // namespace canhub::studer
