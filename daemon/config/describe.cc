#include "daemon/config/describe.h"

#include "daemon/config/problems.h"
#include "daemon/config/quantity.h"

namespace canhub {
namespace {

// A cell of a table: its bars would end it.
std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

// The unit in which a parameter's bounds are given.
std::string_view UnitOf(const ParameterSpec& spec) {
  return spec.type == ParameterType::kDuration ? "s" : spec.unit;
}

std::string TypeOf(const ParameterSpec& spec) {
  switch (spec.type) {
    case ParameterType::kFlag:
      return "`true`, `false`";
    case ParameterType::kInteger:
      return "whole number";
    case ParameterType::kNumber:
      return *spec.unit == '\0' ? "number" : "number in " + std::string(spec.unit);
    case ParameterType::kDuration:
      return "time";
    case ParameterType::kText:
      return "text";
    case ParameterType::kItem:
      return "item of another device, `bat0/pack.voltage`";
    case ParameterType::kFile:
      return "path";
    case ParameterType::kChoice: {
      std::string text;
      for (const char* choice : spec.choices) {
        text += (text.empty() ? "`" : ", `") + std::string(choice) + "`";
      }
      return text;
    }
  }
  return "";
}

std::string FormOf(const ParameterSpec& spec) {
  return TypeOf(spec) + (spec.may_be_none ? ", or `none`" : "");
}

std::string RangeOf(const ParameterSpec& spec) {
  const std::string_view unit = UnitOf(spec);
  if (spec.minimum && spec.maximum) {
    return FormatQuantity(*spec.minimum, unit) + " … " + FormatQuantity(*spec.maximum, unit);
  }
  if (spec.minimum) return "from " + FormatQuantity(*spec.minimum, unit);
  if (spec.maximum) return "up to " + FormatQuantity(*spec.maximum, unit);
  return "";
}

std::string DefaultOf(const ParameterSpec& spec) {
  if (spec.default_text == nullptr) return "needed";
  return *spec.default_text == '\0' ? "empty" : "`" + std::string(spec.default_text) + "`";
}

}  // namespace

std::string DescribeConfig(std::span<const DriverInfo* const> drivers) {
  std::string out;
  const auto row = [&](const std::vector<std::string>& cells) {
    out += "|";
    for (const std::string& cell : cells) out += cell.empty() ? " |" : " " + Cell(cell) + " |";
    out += "\n";
  };
  for (const DriverInfo* driver : drivers) {
    if (!out.empty()) out += "\n";
    out += "### driver: " + std::string(driver->name) + "\n\n";
    const std::string description = driver->description;
    out += description + (description.ends_with('.') ? "" : ".") + " Kind: `" + driver->kind +
           "`.\n\n";
    if (!driver->parameters.empty()) {
      out += "| key | value | range | default | meaning |\n|---|---|---|---|---|\n";
      for (const ParameterSpec& spec : driver->parameters) {
        row({"`" + std::string(spec.name) + "`", FormOf(spec), RangeOf(spec), DefaultOf(spec),
             spec.description});
      }
      out += "\n";
    }
    if (!driver->limits.empty()) {
      out += "| key below `limits` | up to | meaning |\n|---|---|---|\n";
      for (const LimitSpec& spec : driver->limits) {
        row({"`" + std::string(spec.name) + "`", FormatQuantity(spec.maximum, spec.unit),
             spec.description});
      }
      out += "\n";
    }
    out += "| safe action (`on_lease_lost`, `on_shutdown`) | meaning |\n|---|---|\n";
    row({"`hold`", "leaves the device as it is"});
    for (const ActionSpec& action : driver->actions) {
      if (!action.safe) continue;
      const bool is_default = std::string_view(action.name) == driver->default_safe_action;
      row({"`" + std::string(action.name) + "`" +
               (is_default ? ", the default of `on_lease_lost`" : ""),
           action.description});
    }
  }
  return out;
}

}  // namespace canhub
