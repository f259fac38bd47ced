// The configuration file as any text: a Config whose every value is in range, or an error that says
// where each thing is wrong.
#include <cmath>
#include <set>
#include <string>
#include <string_view>

#include "daemon/config/diff.h"
#include "daemon/config/loader.h"
#include "drivers/all_drivers.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub {
namespace {

constexpr char kFile[] = "/lab/lab.yaml";

// "/lab/lab.yaml:41: …", with a line that the file has; only the last one may say "… more".
void CheckError(const absl::Status& status, std::string_view text) {
  Require(absl::IsInvalidArgument(status), "a wrong file is INVALID_ARGUMENT", status.ToString());
  const int lines = 1 + static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  const std::string message(status.message());
  Require(!message.empty(), "an error has a text");
  size_t at = 0;
  int count = 0;
  while (at < message.size()) {
    const size_t end = std::min(message.find('\n', at), message.size());
    const std::string line = message.substr(at, end - at);
    at = end + 1;
    ++count;
    for (const char c : line) {
      Require(static_cast<uint8_t>(c) >= 0x20 && c != 0x7F, "no control characters", line);
    }
    if (at >= message.size() && line.find(" more") != std::string::npos) break;
    const std::string begin = std::string(kFile) + ":";
    Require(line.starts_with(begin), "an error names the file", line);
    const int number = std::atoi(line.c_str() + begin.size());
    // A file that ends too early is wrong on the line after its last.
    Require(number >= 1 && number <= lines + 1, "an error names the line", line);
  }
  Require(count <= 101, "an error is no book", std::to_string(count));
}

void CheckDevice(const Config& config, const DeviceEntry& device) {
  const std::string& id = device.config.id;
  Require(device.driver != nullptr && config.FindBus(device.bus) != nullptr, "names resolve", id);
  for (const ParameterSpec& spec : device.driver->parameters) {
    const Value& value = device.config.Parameter(spec.name);
    if (value.type() != ValueType::kInteger && value.type() != ValueType::kNumber) continue;
    const double number = value.AsNumber();
    Require(
        (!spec.minimum || number >= *spec.minimum) && (!spec.maximum || number <= *spec.maximum),
        "a parameter is in range", id + "." + spec.name);
  }
  for (const auto& [name, limit] : device.config.limits) {
    Require(std::isfinite(limit) && limit >= 0, "a limit is a number", name);
    for (const LimitSpec& spec : device.driver->limits) {
      if (name == spec.name) Require(limit <= spec.maximum, "a limit is in range", name);
    }
    Require(device.config.limit_origins.contains(name), "a limit has an origin", name);
  }
}

// What the engine takes for granted.
void CheckCondition(const Config& config, const RuleCondition& condition) {
  using Kind = RuleCondition::Kind;
  const std::string owner = condition.subject.substr(0, condition.subject.find('/'));
  switch (condition.kind) {
    case Kind::kAny:
    case Kind::kAll:
      Require(!condition.parts.empty(), "a group has parts");
      for (const RuleCondition& part : condition.parts) CheckCondition(config, part);
      break;
    case Kind::kValue:
    case Kind::kQuality:
      Require(config.FindDevice(owner) != nullptr, "a condition's device is there", owner);
      break;
    case Kind::kLevel:
      Require(config.safety.FindLevel(owner) != nullptr, "a condition's level is there", owner);
      break;
    case Kind::kBus:
      Require(config.FindBus(owner) != nullptr, "a condition's bus is there", owner);
      break;
    case Kind::kInterlock:
      Require(config.safety.FindInterlock(owner) != nullptr, "an interlock is there", owner);
      break;
    case Kind::kAlarm:
      Require(config.FindDevice(owner) != nullptr || config.FindBus(owner) != nullptr,
              "an alarm's owner is there", owner);
      break;
  }
}

void CheckSafety(const Config& config) {
  for (const LevelRule& rule : config.safety.levels) {
    Require(CheckOrder(rule.limits).ok(), "bounds are in order", rule.id);
    Require(rule.count >= 1 && rule.bounds.samples_to_warning >= 1 &&
                rule.bounds.samples_to_dangerous >= 1 && rule.resolution > 0,
            "a level can be watched", rule.id);
  }
  for (const InterlockRule& rule : config.safety.interlocks) {
    CheckCondition(config, rule.when);
    if (rule.verify) CheckCondition(config, *rule.verify);
    for (const SafeStep& step : rule.steps) {
      if (step.until) CheckCondition(config, *step.until);
      Require(step.device.empty() || config.FindDevice(step.device) != nullptr,
              "a step's device is there", step.device);
    }
  }
}

void CheckConfig(const Config& config) {
  CheckSafety(config);
  std::set<std::string> ids;
  for (const BusConfig& bus : config.buses) {
    Require(ids.insert(bus.id).second, "ids are unique", bus.id);
    Require(bus.bitrate > 0 && bus.max_load > 0 && bus.max_load <= 1, "a bus is possible", bus.id);
  }
  ids.clear();
  for (const DeviceEntry& device : config.devices) {
    Require(ids.insert(device.config.id).second, "ids are unique", device.config.id);
    CheckDevice(config, device);
  }
  const ConfigChanges changes = CompareConfigs(config, config);
  Require(changes.applied.empty() && changes.needs_restart.empty() &&
              changes.devices_changed.empty() && !changes.access_changed,
          "the same file changes nothing");
}

}  // namespace
}  // namespace canhub

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace canhub;  // NOLINT(google-build-using-namespace)
  const std::string text(data, data + size);
  const absl::StatusOr<Config> config = ParseConfig(text, kFile, AllDrivers());
  if (config.ok()) {
    CheckConfig(*config);
  } else {
    CheckError(config.status(), text);
  }
  return 0;
}
