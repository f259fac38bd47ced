// buses.
#include <net/if.h>

#include "daemon/config/endpoint.h"
#include "daemon/config/quantity.h"
#include "daemon/config/sections.h"
#include "daemon/core/safety_device.h"

namespace canhub {
namespace {

constexpr size_t kMaxIdLength = 64;
// The socketcand protocol's bound for names of buses.
constexpr size_t kMaxServedName = 16;

// The kernel's rule for names of interfaces.
bool IsInterfaceName(std::string_view name) {
  return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
         name.find_first_of("/: \t\n") == std::string_view::npos;
}

void ReadInterface(MapReader& map, BusConfig* bus, Problems* problems) {
  map.Need("interface", "the name of a CAN interface, like can0");
  const std::optional<std::string> name = map.Text("interface");
  if (!name) return;
  if (!IsInterfaceName(*name)) {
    problems->Add(map.LineOf("interface"), map.PathOf("interface"), Quote(*name),
                  "the name of a CAN interface, like can0 (at most 15 characters)");
    return;
  }
  bus->interface = *name;
}

void ReadServe(MapReader& map, BusConfig* bus, Problems* problems) {
  const std::optional<std::string> serve = map.Text("serve");
  const bool insecure = map.Flag("serve_insecure").value_or(false);
  if (!serve) {
    if (insecure) {
      problems->Add(map.LineOf("serve_insecure"), map.PathOf("serve_insecure"),
                    "it without the key serve", "an address to serve the bus at");
    }
    return;
  }
  const int line = map.LineOf("serve");
  const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(*serve);
  if (!endpoint.ok()) {
    problems->Add(line, map.PathOf("serve"), Quote(*serve),
                  std::string(endpoint.status().message()));
  } else if (!endpoint->ip_address) {
    problems->Add(line, map.PathOf("serve"), Quote(*serve),
                  "an IP address of this machine, like 127.0.0.1:29536");
  } else if (!endpoint->loopback && !insecure) {
    problems->Add(line, map.PathOf("serve"),
                  *serve + ", where every machine that reaches it can send frames",
                  "a loopback address, or serve_insecure: true beside it");
  } else if (bus->id.size() > kMaxServedName) {
    problems->Add(
        line, map.PathOf("serve"),
        "it at a bus whose id has " + std::to_string(bus->id.size()) + " characters",
        "an id of at most " + std::to_string(kMaxServedName) + ", which is what clients open");
  } else {
    bus->serve = *serve;
  }
}

void ReadBus(const YamlNode::Entry& entry, Config* config, Problems* problems) {
  static const std::vector<std::string> kTypes = {"socketcan", "simulated", "socketcand"};
  const std::string path = "buses." + entry.key;
  CheckId(entry, path, problems);
  MapReader map(entry.value, path, problems);
  BusConfig bus{.id = entry.key};
  // Also after a report: its devices are not to be told that there is no such bus.
  if (!map.valid()) return config->buses.push_back(std::move(bus));
  map.Need("type", JoinNames(kTypes));
  const std::optional<size_t> type = map.Choice("type", kTypes);
  map.Need("bitrate", "the line's bit rate, like 125000");
  // Below 10 kbit/s no transceiver works; 1 Mbit/s is the most of classic CAN.
  if (const auto bitrate = map.Integer("bitrate", {10'000, 1'000'000, ""})) {
    bus.bitrate = static_cast<uint32_t>(*bitrate);
  }
  // Above 80 % a line's own retries and urgent frames have no room left.
  if (const auto load = map.Number("max_load", "%", {1, 80, ""})) bus.max_load = *load / 100;
  if (!type) {
    // Without a type nobody knows which other keys are right.
    for (const char* key : {"interface", "address", "serve", "serve_insecure"}) map.Find(key);
    map.RejectUnknown();
    return config->buses.push_back(std::move(bus));
  }
  bus.type = static_cast<BusType>(*type);
  if (bus.type != BusType::kSimulated) ReadInterface(map, &bus, problems);
  if (bus.type == BusType::kSocketcand) {
    map.Need("address", "host and port of a socketcand, like 192.0.2.7:29536");
    if (const std::optional<std::string> address = map.Text("address")) {
      const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(*address);
      if (!endpoint.ok() || endpoint->port == 0) {
        problems->Add(map.LineOf("address"), map.PathOf("address"), Quote(*address),
                      "host and port of a socketcand, like 192.0.2.7:29536");
      } else {
        bus.address = *address;
      }
    }
  }
  if (bus.type == BusType::kSimulated) ReadServe(map, &bus, problems);
  const auto only = [&](const char* key, const char* types) {
    map.Refuse(key, std::string("found a key that a bus of type ") +
                        std::string(ToString(bus.type)) + " does not have, expected it only for " +
                        types);
  };
  only("interface", "socketcan and socketcand");
  only("address", "socketcand");
  only("serve", "simulated");
  only("serve_insecure", "simulated");
  map.RejectUnknown();

  for (const BusConfig& other : config->buses) {
    const bool same_line = bus.type == other.type && bus.type != BusType::kSimulated &&
                           !bus.interface.empty() && bus.interface == other.interface &&
                           bus.address == other.address;
    if (same_line) {
      problems->Add(map.LineOf("interface"), map.PathOf("interface"),
                    bus.interface + ", which the bus " + other.id + " has",
                    "an interface of its own");
    }
    if (!bus.serve.empty() && bus.serve == other.serve && !bus.serve.ends_with(":0")) {
      problems->Add(map.LineOf("serve"), map.PathOf("serve"),
                    bus.serve + ", which the bus " + other.id + " has", "an address of its own");
    }
  }
  config->buses.push_back(std::move(bus));
}

}  // namespace

bool CheckId(const YamlNode::Entry& entry, std::string_view path, Problems* problems) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const std::string& id = entry.key;
  bool good = !id.empty() && id.size() <= kMaxIdLength && letter(id[0]);
  for (const char c : id)
    good = good && (letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-');
  if (!good) {
    problems->Add(entry.line, path, "the id " + Quote(id),
                  "a lower-case letter, then lower-case letters, digits, '_' or '-'; at most " +
                      std::to_string(kMaxIdLength));
  }
  if (id == kSafetyDevice) {
    problems->Add(entry.line, path, "the id " + Quote(id) + ", under which interlocks are read",
                  "another id");
    good = false;
  }
  return good;
}

void ReadBuses(MapReader& root, Config* config, Problems* problems) {
  const YamlNode* node = root.Need("buses", "a map of buses");
  if (node == nullptr) return;
  MapReader map(*node, "buses", problems);
  if (!map.valid()) return;
  if (node->entries.empty()) problems->Add(node->line, "buses", "an empty map", "at least one bus");
  for (const YamlNode::Entry& entry : node->entries) ReadBus(entry, config, problems);
}

}  // namespace canhub
