// devices: what a driver's description says about its keys is all that is known of it here.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <tuple>

#include "daemon/config/quantity.h"
#include "daemon/config/sections.h"

namespace canhub {
namespace {

constexpr char kHold[] = "hold";
constexpr uintmax_t kMostFileBytes = uintmax_t{16} << 20;
constexpr char kItemForm[] = "an item of another device, \"bat0/pack.voltage\"";

// A parameter that names an item of another device, which may stand further down in the file.
struct ItemReference {
  int line;
  std::string path, owner, text;
};
using ItemReferences = std::vector<ItemReference>;

// What a key's absence is reported with.
std::string Form(const ParameterSpec& spec) {
  std::string form;
  switch (spec.type) {
    case ParameterType::kFlag:
      form = "true or false";
      break;
    case ParameterType::kInteger:
      form = "a whole number";
      break;
    case ParameterType::kNumber:
      form = *spec.unit == '\0' ? "a number" : QuantityForm(spec.unit);
      break;
    case ParameterType::kDuration:
      form = QuantityForm("s");
      break;
    case ParameterType::kText:
      form = "a text";
      break;
    case ParameterType::kChoice:
      form = JoinNames({spec.choices.begin(), spec.choices.end()});
      break;
    case ParameterType::kItem:
      form = kItemForm;
      break;
    case ParameterType::kFile:
      form = "a path";
      break;
  }
  return *spec.description == '\0' ? form : form + " (" + spec.description + ")";
}

// What a file holds that a parameter names; a report when it cannot be had.
std::shared_ptr<const std::string> ReadNamedFile(const std::string& name, const std::string& folder,
                                                 int line, std::string_view path,
                                                 Problems* problems) {
  const std::filesystem::path file =
      (std::filesystem::path(folder) / std::filesystem::path(name)).lexically_normal();
  const auto refuse = [&](const std::string& why) {
    problems->Add(line, path, file.string() + ": " + why,
                  "a file that can be read, of at most 16 MiB");
    return nullptr;
  };
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) {
    return refuse(std::filesystem::exists(file, error) ? "no ordinary file" : "no such file");
  }
  if (std::filesystem::file_size(file, error) > kMostFileBytes || error) {
    return refuse(error ? error.message() : "more than 16 MiB");
  }
  std::ifstream stream(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (!stream || text.size() > kMostFileBytes) return refuse("cannot be read");
  return std::make_shared<const std::string>(std::move(text));
}

void ReadParameters(const DriverInfo& driver, MapReader& map, const std::string& folder,
                    DeviceConfig* config, ItemReferences* references, Problems* problems) {
  for (const ParameterSpec& spec : driver.parameters) {
    const YamlNode* node =
        spec.default_text == nullptr ? map.Need(spec.name, Form(spec)) : map.Find(spec.name);
    const YamlNode default_node{.kind = YamlNode::Kind::kScalar,
                                .line = map.line(),
                                .text = spec.default_text == nullptr ? "" : spec.default_text};
    if (node == nullptr) {
      if (spec.default_text == nullptr) continue;
      // An empty default is a text nobody gave.
      if ((spec.type == ParameterType::kText || spec.type == ParameterType::kItem ||
           spec.type == ParameterType::kFile) &&
          default_node.text.empty()) {
        config->parameters.insert_or_assign(spec.name, Value::Text(""));
        continue;
      }
      node = &default_node;
    }
    if (std::optional<Value> value = ReadParameter(spec, *node, map.PathOf(spec.name), problems)) {
      if (spec.type == ParameterType::kItem && value->has_value()) {
        references->push_back({node->line, map.PathOf(spec.name), config->id, value->text()});
      }
      if (spec.type == ParameterType::kFile) {
        if (auto file =
                ReadNamedFile(value->text(), folder, node->line, map.PathOf(spec.name), problems)) {
          config->files.insert_or_assign(spec.name, std::move(file));
        }
      }
      config->parameters.insert_or_assign(spec.name, *std::move(value));
    }
  }
}

// Whether the device that is named exists; which items it has, only it can tell when it runs.
void CheckReference(const ItemReference& reference, const std::vector<std::string>& devices,
                    Problems* problems) {
  const size_t slash = reference.text.find('/');
  const std::string device = reference.text.substr(0, slash);
  std::vector<std::string> others = devices;
  std::erase(others, reference.owner);
  if (slash == std::string::npos || slash + 1 == reference.text.size()) {
    problems->Add(reference.line, reference.path, Quote(reference.text), kItemForm);
  } else if (device == reference.owner) {
    problems->Add(reference.line, reference.path, Quote(reference.text) + ", an item of its own",
                  kItemForm);
  } else if (std::find(others.begin(), others.end(), device) == others.end()) {
    problems->Add(reference.line, reference.path,
                  "the device " + Quote(device) + Suggestion(device, others),
                  "one of devices: " + JoinNames(others));
  }
}

void ReadLimits(const DriverInfo& driver, MapReader& device, DeviceConfig* config,
                Problems* problems) {
  const YamlNode* node = device.Find("limits");
  if (node == nullptr) return;
  MapReader map(*node, device.PathOf("limits"), problems);
  for (const LimitSpec& spec : driver.limits) {
    const Bounds bounds{.minimum = 0,
                        .maximum = spec.maximum,
                        .source = std::string("bound of the driver ") + driver.name};
    const std::optional<double> value = map.Number(spec.name, spec.unit, bounds);
    if (!value) continue;
    config->limits.emplace(spec.name, *value);
    config->limit_origins.emplace(spec.name,
                                  problems->Origin(map.LineOf(spec.name), map.PathOf(spec.name)));
  }
  map.RejectUnknown();
}

std::string ReadSafeAction(const DriverInfo& driver, MapReader& map, const char* key,
                           const char* otherwise, Problems* problems) {
  const YamlNode* node = map.Find(key);
  if (node == nullptr) return otherwise;
  const std::vector<std::string> actions = SafeActions(driver);
  const std::optional<size_t> choice = ReadChoice(*node, map.PathOf(key), actions, problems);
  return choice ? actions[*choice] : otherwise;
}

// The address must be unique among the devices of one family on one bus.
using AddressKey = std::tuple<std::string, const DriverInfo*, std::string>;
struct AddressOwner {
  std::string device;
  int line;
};

void ReadDevice(const YamlNode::Entry& entry, std::span<const DriverInfo* const> drivers,
                const std::string& folder, std::map<AddressKey, AddressOwner>* addresses,
                ItemReferences* references, Config* config, Problems* problems) {
  const std::string path = "devices." + entry.key;
  if (CheckId(entry, path, problems) && config->FindBus(entry.key) != nullptr) {
    problems->Add(entry.line, path, "the id of a bus", "an id that only this device has");
  }
  MapReader map(entry.value, path, problems);
  if (!map.valid()) return;
  const size_t problems_before = problems->size();
  DeviceEntry device;
  device.config.id = entry.key;

  std::vector<std::string> bus_names;
  for (const BusConfig& bus : config->buses) bus_names.push_back(bus.id);
  std::vector<std::string> driver_names;
  for (const DriverInfo* driver : drivers) driver_names.emplace_back(driver->name);

  map.Need("driver", JoinNames(driver_names));
  const std::optional<size_t> driver_index = map.Choice("driver", driver_names);
  map.Need("bus", "one of buses: " + JoinNames(bus_names));
  const BusConfig* bus = nullptr;
  if (const std::optional<size_t> index = map.Choice("bus", bus_names)) {
    bus = &config->buses[*index];
    device.bus = bus->id;
  }
  device.simulate = map.Flag("simulate").value_or(false);
  device.require_lease = map.Flag("require_lease").value_or(false);
  device.poll_weight = map.Number("poll_weight", "", {0.01, 100, ""}).value_or(1);
  if (device.simulate && bus != nullptr && bus->type != BusType::kSimulated) {
    problems->Add(map.LineOf("simulate"), map.PathOf("simulate"),
                  "true on the bus " + bus->id + " of type " + std::string(ToString(bus->type)),
                  "it only on a bus of type simulated (canhub-sim simulates devices on others)");
  }
  // Which other keys there are, only the driver knows.
  if (!driver_index) return;
  device.driver = drivers[*driver_index];
  ReadParameters(*device.driver, map, folder, &device.config, references, problems);
  ReadLimits(*device.driver, map, &device.config, problems);
  device.on_lease_lost = ReadSafeAction(*device.driver, map, "on_lease_lost",
                                        device.driver->default_safe_action, problems);
  device.on_shutdown = ReadSafeAction(*device.driver, map, "on_shutdown", kHold, problems);
  map.RejectUnknown();
  if (problems->size() != problems_before) return;

  if (device.driver->check != nullptr) {
    const absl::Status status = device.driver->check(device.config);
    if (!status.ok()) {
      problems->Add(entry.line, path, std::string(status.message()));
      return;
    }
  }
  if (device.driver->address != nullptr) {
    const std::string address = device.driver->address(device.config);
    const auto [owner, is_new] = addresses->try_emplace({device.bus, device.driver, address},
                                                        AddressOwner{entry.key, entry.line});
    if (!is_new) {
      problems->Add(entry.line, path,
                    "the address " + address + " on the bus " + device.bus + ", which " +
                        owner->second.device + " (line " + std::to_string(owner->second.line) +
                        ") has",
                    "an address of its own");
      return;
    }
  }
  config->devices.push_back(std::move(device));
}

}  // namespace

std::vector<std::string> SafeActions(const DriverInfo& driver) {
  std::vector<std::string> names = {kHold};
  for (const ActionSpec& action : driver.actions) {
    if (action.safe) names.emplace_back(action.name);
  }
  return names;
}

std::optional<Value> ReadParameter(const ParameterSpec& spec, const YamlNode& node,
                                   std::string_view path, Problems* problems) {
  const Bounds bounds{spec.minimum, spec.maximum, ""};
  if (spec.may_be_none && node.kind == YamlNode::Kind::kScalar && node.text == "none") {
    return Value();
  }
  switch (spec.type) {
    case ParameterType::kFlag:
      if (const auto flag = ReadFlag(node, path, problems)) return Value::Flag(*flag);
      break;
    case ParameterType::kInteger:
      if (const auto integer = ReadInteger(node, path, bounds, problems)) {
        return Value::Integer(*integer);
      }
      break;
    case ParameterType::kNumber:
      if (const auto number = ReadNumber(node, path, spec.unit, bounds, problems)) {
        return Value::Number(*number);
      }
      break;
    case ParameterType::kDuration:
      if (const auto seconds = ReadNumber(node, path, "s", bounds, problems)) {
        return Value::Number(*seconds);
      }
      break;
    case ParameterType::kText:
      if (const auto text = ReadText(node, path, problems)) return Value::Text(*text);
      break;
    case ParameterType::kFile:
      if (const auto text = ReadText(node, path, problems, "a path")) return Value::Text(*text);
      break;
    case ParameterType::kItem:
      if (const auto text = ReadText(node, path, problems, kItemForm)) return Value::Text(*text);
      break;
    case ParameterType::kChoice: {
      const std::vector<std::string> names(spec.choices.begin(), spec.choices.end());
      if (const auto choice = ReadChoice(node, path, names, problems)) {
        return Value::Text(names[*choice]);
      }
      break;
    }
  }
  return std::nullopt;
}

void ReadDevices(MapReader& root, std::span<const DriverInfo* const> drivers,
                 const std::string& folder, Config* config, Problems* problems) {
  const YamlNode* node = root.Need("devices", "a map of devices");
  if (node == nullptr) return;
  MapReader map(*node, "devices", problems);
  if (!map.valid()) return;
  std::map<AddressKey, AddressOwner> addresses;
  ItemReferences references;
  std::vector<std::string> names;
  for (const YamlNode::Entry& entry : node->entries) {
    ReadDevice(entry, drivers, folder, &addresses, &references, config, problems);
    names.push_back(entry.key);
  }
  for (const ItemReference& reference : references) CheckReference(reference, names, problems);
}

}  // namespace canhub
