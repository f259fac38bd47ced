// For tests and fuzz targets: a device's configuration out of what its family declares.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "drivers/api/driver.h"

namespace canhub {

// "500 ms" → 0.5, "0.5 %" → 0.5, "true", "auto": a ParameterSpec's default as the loader reads it.
inline Value ParseDefault(const ParameterSpec& spec) {
  const std::string text = spec.default_text == nullptr ? "0" : spec.default_text;
  if (spec.may_be_none && text == "none") return Value();
  switch (spec.type) {
    case ParameterType::kFlag:
      return Value::Flag(text == "true");
    case ParameterType::kInteger:
      return Value::Integer(std::stoll(text, nullptr, 0));  // also 0xFA
    case ParameterType::kNumber:
      return Value::Number(std::stod(text));
    case ParameterType::kDuration: {
      const double number = std::stod(text);
      const bool milli = text.find("ms") != std::string::npos;
      const bool micro = text.find("us") != std::string::npos;
      return Value::Number(milli ? number / 1e3 : micro ? number / 1e6 : number);
    }
    case ParameterType::kText:
    case ParameterType::kChoice:
    case ParameterType::kItem:
    case ParameterType::kFile:
      break;
  }
  return Value::Text(text);
}

// Every parameter's default, then the overrides. Needed ones without default are 0.
inline DeviceConfig DefaultConfig(std::string id, const std::vector<ParameterSpec>& parameters,
                                  std::vector<std::pair<std::string, Value>> overrides = {}) {
  DeviceConfig config{.id = std::move(id)};
  for (const ParameterSpec& spec : parameters) config.parameters[spec.name] = ParseDefault(spec);
  for (auto& [name, value] : overrides) config.parameters[name] = std::move(value);
  return config;
}

}  // namespace canhub
