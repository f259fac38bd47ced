// groups: devices that are commanded together.
#include <algorithm>
#include <set>

#include "daemon/config/sections.h"

namespace canhub {
namespace {

void ReadGroup(const YamlNode::Entry& entry, Config* config, Problems* problems) {
  const std::string path = "groups." + entry.key;
  const auto is_taken = [&](const auto& other) { return other.id == entry.key; };
  if (CheckId(entry, path, problems) &&
      (config->FindBus(entry.key) != nullptr || config->FindDevice(entry.key) != nullptr ||
       std::any_of(config->groups.begin(), config->groups.end(), is_taken))) {
    problems->Add(entry.line, path, "the id of a bus or a device", "an id of its own");
  }
  MapReader map(entry.value, path, problems);
  if (!map.valid()) return;
  GroupConfig group{.id = entry.key};
  const DriverInfo* driver = nullptr;
  const char* const expected = "a list of devices of one driver, each once";
  if (const YamlNode* list = map.Need("devices", expected)) {
    const std::string list_path = map.PathOf("devices");
    if (list->kind != YamlNode::Kind::kList || list->items.empty()) {
      problems->Add(list->line, list_path, "no list, or an empty one", expected);
    }
    for (const YamlNode& item : list->items) {
      const std::optional<std::string> id = ReadText(item, list_path, problems);
      if (!id) continue;
      const DeviceEntry* device = config->FindDevice(*id);
      if (device == nullptr) {
        // A device with a mistake of its own is told there.
        std::vector<std::string> names;
        for (const DeviceEntry& known : config->devices) names.push_back(known.config.id);
        problems->Add(item.line, list_path, "the device " + Quote(*id) + Suggestion(*id, names),
                      "one of devices: " + JoinNames(names));
      } else if (driver != nullptr && device->driver != driver) {
        problems->Add(
            item.line, list_path,
            *id + " of the driver " + device->driver->name + " beside others of " + driver->name,
            expected);
      } else if (std::find(group.devices.begin(), group.devices.end(), *id) !=
                 group.devices.end()) {
        problems->Add(item.line, list_path, *id + " twice", expected);
      } else {
        driver = device->driver;
        group.devices.push_back(*id);
      }
    }
  }
  const YamlNode* action = map.Find("on_failure");
  if (driver != nullptr) {
    group.on_failure = driver->default_safe_action;
    if (action != nullptr) {
      const std::vector<std::string> names = SafeActions(*driver);
      const std::optional<size_t> choice =
          ReadChoice(*action, map.PathOf("on_failure"), names, problems);
      if (choice) group.on_failure = names[*choice];
    }
  }
  map.RejectUnknown();
  config->groups.push_back(std::move(group));
}

}  // namespace

void ReadGroups(MapReader& root, Config* config, Problems* problems) {
  const YamlNode* node = root.Find("groups");
  if (node == nullptr) return;
  MapReader map(*node, "groups", problems);
  if (!map.valid()) return;
  for (const YamlNode::Entry& entry : node->entries) ReadGroup(entry, config, problems);
}

}  // namespace canhub
