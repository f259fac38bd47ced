#include "drivers/ystech-pcs/mode_setting.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "drivers/api/errors.h"
#include "drivers/api/power_converter.h"
#include "drivers/ystech-pcs/items.h"

namespace canhub::ystech_pcs {
namespace {

namespace pc = power_converter;

std::string WithUnit(double value, std::string_view unit) {
  std::string text = Value::Number(value).ToString();
  if (!unit.empty()) text += " " + std::string(unit);
  return text;
}

// The configured limit that the gate holds a parameter against.
const char* LimitOf(Quantity quantity) {
  switch (quantity) {
    case Quantity::kVoltage:
      return kLimitVoltage;
    case Quantity::kCurrent:
    case Quantity::kChargeCurrent:
    case Quantity::kDischargeCurrent:
    case Quantity::kEndCurrent:
      return kLimitCurrent;
    case Quantity::kPower:
    case Quantity::kReactivePower:
      return kLimitPower;
    default:
      return "";
  }
}

const char* UnitOfLimit(std::string_view name) {
  return name == kLimitVoltage ? "V" : name == kLimitCurrent ? "A" : "W";
}

absl::Status Invalid(const std::string& device_id, std::string_view reason, const std::string& text,
                     ErrorFields fields) {
  fields["device_id"] = device_id;
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   device_id + ": " + text + "; nothing was sent", std::move(fields));
}

std::string ModeNames() {
  std::string names;
  for (const ModeSpec& mode : Modes()) {
    names += (names.empty() ? "" : ", ") + LowerName(mode.name);
  }
  return names;
}

// A bound on one parameter.
struct Bound {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  std::string minimum_name, maximum_name;  // "the device's min_output_voltage"
};

class Checker {
 public:
  Checker(const DeviceConfig& config, const Protection& protection, const ModeSpec& mode)
      : config_(config), protection_(protection), mode_(mode) {}

  absl::Status Check(const ModeParameter& parameter, double value) const {
    absl::Status status = Inside(parameter, value, BoundOf(parameter.quantity));
    if (status.ok()) status = Limited(parameter, value, LimitOf(parameter.quantity), value);
    if (status.ok()) status = CheckIndirect(parameter, value);
    return status;
  }

 private:
  Bound BoundOf(Quantity quantity) const {
    const ProtectionParams1& one = protection_.one;
    const ProtectionParams2& two = protection_.two;
    const auto own = [](const char* name) { return std::string("the device's ") + name; };
    switch (quantity) {
      case Quantity::kVoltage:
        return {one.min_output_voltage_v, one.max_output_voltage_v, own("min_output_voltage"),
                own("max_output_voltage")};
      case Quantity::kCurrent:
        return {-one.max_charge_current_a, one.max_discharge_current_a, own("max_charge_current"),
                own("max_discharge_current")};
      case Quantity::kChargeCurrent:
        return {0, one.max_charge_current_a, "a magnitude's least", own("max_charge_current")};
      case Quantity::kDischargeCurrent:
        return {0, one.max_discharge_current_a, "a magnitude's least",
                own("max_discharge_current")};
      case Quantity::kEndCurrent:
        return {0, std::max(one.max_charge_current_a, one.max_discharge_current_a),
                "a magnitude's least", own("max_charge_current and max_discharge_current")};
      case Quantity::kPower:
        return {-1000 * two.max_charge_power_kw, 1000 * two.max_discharge_power_kw,
                own("max_charge_power"), own("max_discharge_power")};
      case Quantity::kAcVoltage:
        return {two.ac_voltage_lower_v, two.ac_voltage_upper_v, own("ac_voltage_lower"),
                own("ac_voltage_upper")};
      case Quantity::kFrequency:
        return {static_cast<double>(protection_.three.ac_freq_lower_hz),
                static_cast<double>(protection_.three.ac_freq_upper_hz), own("ac_frequency_lower"),
                own("ac_frequency_upper")};
      case Quantity::kTime:
        return {.minimum = 0, .minimum_name = "a time's least"};
      case Quantity::kDuty:
        return {0, 100, "a share's least", "a share's most"};
      case Quantity::kReactivePower:
      case Quantity::kResistance:
      case Quantity::kMagnification:
        return {};
    }
    return {};
  }

  absl::Status Inside(const ModeParameter& parameter, double value, const Bound& bound) const {
    const bool below = value < bound.minimum;
    if (!below && value <= bound.maximum) return absl::OkStatus();
    const double limit = below ? bound.minimum : bound.maximum;
    const std::string& origin = below ? bound.minimum_name : bound.maximum_name;
    return MakeError(absl::StatusCode::kOutOfRange, "BEYOND_PROTECTION",
                     config_.id + ": " + parameter.name + ": " + WithUnit(value, parameter.unit) +
                         (below ? " is below " : " is above ") + WithUnit(limit, parameter.unit) +
                         ", " + origin + "; nothing was sent",
                     {{"device_id", config_.id},
                      {"parameter", parameter.name},
                      {"requested", WithUnit(value, parameter.unit)},
                      {"bound", WithUnit(limit, parameter.unit)},
                      {"origin", origin}});
  }

  // `magnitude` in the limit's unit follows from the value.
  absl::Status Limited(const ModeParameter& parameter, double value, const char* name,
                       double magnitude, const std::string& how = "") const {
    const std::optional<ConfiguredLimit> limit = FindLimit(config_, name);
    if (!limit || std::abs(magnitude) <= limit->value) return absl::OkStatus();
    const char* unit = UnitOfLimit(name);
    return MakeError(absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT",
                     config_.id + ": " + parameter.name + ": " + WithUnit(value, parameter.unit) +
                         how + " is above the limit of " + WithUnit(limit->value, unit) + " (" +
                         limit->origin + "); nothing was sent",
                     {{"device_id", config_.id},
                      {"parameter", parameter.name},
                      {"requested", WithUnit(value, parameter.unit)},
                      {"limit", WithUnit(limit->value, unit)},
                      {"origin", limit->origin}});
  }

  // Parameters that a current and a power follow from.
  absl::Status CheckIndirect(const ModeParameter& parameter, double value) const {
    if (parameter.quantity == Quantity::kMagnification) {
      for (const char* name : {kLimitCurrent, kLimitPower}) {
        const std::optional<ConfiguredLimit> limit = FindLimit(config_, name);
        if (!limit) continue;
        return MakeError(absl::StatusCode::kFailedPrecondition, "LIMIT_NOT_CHECKABLE",
                         config_.id + ": " + LowerName(mode_.name) +
                             ": the current that follows from a multiple of the capacity is not "
                             "known, so it cannot be held against the limit of " +
                             name + " (" + limit->origin +
                             "); use dc_constant_current; nothing was sent",
                         {{"device_id", config_.id}, {"limit", name}, {"origin", limit->origin}});
      }
    }
    if (parameter.quantity != Quantity::kResistance) return absl::OkStatus();
    if (std::abs(value) * parameter.counts < 0.5) {
      return MakeError(absl::StatusCode::kOutOfRange, "RESISTANCE_ZERO",
                       config_.id + ": " + parameter.name +
                           ": found 0 ohm, expected more: it would be a short circuit; nothing was "
                           "sent",
                       {{"device_id", config_.id}, {"parameter", parameter.name}});
    }
    const double voltage = protection_.one.max_output_voltage_v;
    const double current = voltage / std::abs(value);
    const std::string how = " at the device's max_output_voltage of " + WithUnit(voltage, "V");
    absl::Status status = Limited(parameter, value, kLimitCurrent, current, how);
    if (status.ok()) status = Limited(parameter, value, kLimitPower, current * voltage, how);
    return status;
  }

  const DeviceConfig& config_;
  const Protection& protection_;
  const ModeSpec& mode_;
};

}  // namespace

std::vector<ActionArgument> ModeArguments() {
  std::vector<ActionArgument> arguments = {
      {pc::kModeArgument, ValueType::kText, false, "the mode: \"dc_cc_cv\""}};
  for (const ModeSpec& mode : Modes()) {
    for (const ModeParameter& parameter : mode.parameters) {
      const bool known =
          std::any_of(arguments.begin(), arguments.end(), [&](const ActionArgument& argument) {
            return std::string_view(argument.name) == parameter.name;
          });
      if (known) continue;
      arguments.push_back({parameter.name, ValueType::kNumber, false,
                           "of the modes that have it; negative charges where it can be",
                           parameter.unit, LimitOf(parameter.quantity)});
    }
  }
  return arguments;
}

absl::StatusOr<ModeSetting> ReadModeSetting(const std::string& device_id,
                                            const Arguments& arguments) {
  const Value* name = FindArgument(arguments, pc::kModeArgument);
  if (name == nullptr || name->type() != ValueType::kText) {
    return Invalid(device_id, "NO_MODE", "found no mode, expected one of " + ModeNames(), {});
  }
  ModeSetting setting;
  for (const ModeSpec& mode : Modes()) {
    if (LowerName(mode.name) == name->text()) setting.mode = &mode;
  }
  if (setting.mode == nullptr) {
    return Invalid(device_id, "MODE_UNKNOWN",
                   "found the mode \"" + name->text() + "\", expected one of " + ModeNames(),
                   {{"mode", name->text()}});
  }
  for (const ModeParameter& parameter : setting.mode->parameters) {
    const Value* value = FindArgument(arguments, parameter.name);
    if (value == nullptr) {
      return Invalid(device_id, "PARAMETER_MISSING",
                     name->text() + ": " + parameter.name + " is missing, expected a number in " +
                         (*parameter.unit == '\0' ? "no unit" : parameter.unit),
                     {{"mode", name->text()}, {"parameter", parameter.name}});
    }
    setting.values.push_back(value->AsNumber());
  }
  for (const auto& [argument, value] : arguments) {
    if (argument == pc::kModeArgument || argument == pc::kStopFirstArgument) continue;
    const bool own = std::any_of(
        setting.mode->parameters.begin(), setting.mode->parameters.end(),
        [&, &key = argument](const ModeParameter& parameter) { return key == parameter.name; });
    if (!own) {
      return Invalid(device_id, "PARAMETER_OF_OTHER_MODE",
                     name->text() + " has no parameter " + argument,
                     {{"mode", name->text()}, {"parameter", argument}});
    }
  }
  return setting;
}

absl::Status CheckModeSetting(const DeviceConfig& config, const Protection& protection,
                              const ModeSetting& setting) {
  const Checker checker(config, protection, *setting.mode);
  for (size_t i = 0; i < setting.values.size(); ++i) {
    absl::Status status = checker.Check(setting.mode->parameters[i], setting.values[i]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string WiderThanLimits(const DeviceConfig& config, const std::optional<ProtectionParams1>& one,
                            const std::optional<ProtectionParams2>& two) {
  std::string text;
  const auto compare = [&](const char* parameter, double value, const char* name) {
    const std::optional<ConfiguredLimit> limit = FindLimit(config, name);
    if (!limit || value <= limit->value) return;
    const char* unit = UnitOfLimit(name);
    text += (text.empty() ? "" : ", ") + std::string(parameter) + " is " + WithUnit(value, unit) +
            " and the limit " + WithUnit(limit->value, unit) + " (" + limit->origin + ")";
  };
  if (one) {
    compare("max_output_voltage", one->max_output_voltage_v, kLimitVoltage);
    compare("max_charge_current", one->max_charge_current_a, kLimitCurrent);
    compare("max_discharge_current", one->max_discharge_current_a, kLimitCurrent);
  }
  if (two) {
    compare("max_charge_power", 1000 * two->max_charge_power_kw, kLimitPower);
    compare("max_discharge_power", 1000 * two->max_discharge_power_kw, kLimitPower);
  }
  return text;
}

std::string ToText(const ModeSetting& setting) {
  std::string text = LowerName(setting.mode->name);
  for (size_t i = 0; i < setting.values.size(); ++i) {
    const ModeParameter& parameter = setting.mode->parameters[i];
    text += (i == 0 ? ": " : ", ") + std::string(parameter.name) + " " +
            WithUnit(setting.values[i], parameter.unit);
  }
  return text;
}

}  // namespace canhub::ystech_pcs
