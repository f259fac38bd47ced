#include "daemon/config/diff.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>

#include "daemon/config/quantity.h"

namespace canhub {
namespace {

std::string ToText(bool flag) { return flag ? "true" : "false"; }

std::string ToText(const ListenConfig& listen) {
  return listen.address + (listen.insecure ? " insecure" : "") +
         (listen.use_tls ? " with tls" : "");
}

// Adds "key: before → after" to one list when they differ.
class Lines {
 public:
  explicit Lines(std::vector<std::string>* lines) : lines_(lines) {}
  bool Compare(const std::string& key, const std::string& before, const std::string& after) {
    if (before == after) return false;
    lines_->push_back(key + ": " + (before.empty() ? "none" : before) + " → " +
                      (after.empty() ? "none" : after));
    return true;
  }

 private:
  std::vector<std::string>* lines_;
};

std::string ToText(const AccessConfig& access) {
  std::string text;
  for (const AccessRule& rule : access.rules) {
    text += rule.identity + " is " + std::string(ToString(rule.role)) + ", ";
  }
  return text + "others here " + std::string(ToString(access.local)) + ", remote " +
         std::string(ToString(access.remote));
}

std::string ToText(const BusConfig& bus) {
  std::string text(ToString(bus.type));
  if (!bus.address.empty()) text += " " + bus.address;
  if (!bus.interface.empty()) text += " " + bus.interface;
  text += " " + std::to_string(bus.bitrate) + " bit/s, " + FormatNumber(bus.max_load * 100) + " %";
  if (!bus.serve.empty()) text += ", serve " + bus.serve;
  return text;
}

std::string ToText(const GroupConfig& group) {
  std::string text;
  for (const std::string& device : group.devices) text += (text.empty() ? "" : ", ") + device;
  return text + ", on failure " + group.on_failure;
}

std::string ToText(Duration time) {
  return FormatQuantity(std::chrono::duration<double>(time).count(), "s");
}

std::string ToText(const RpcConfig& rpc) {
  return FormatQuantity(static_cast<double>(rpc.max_message_bytes), "B") + ", " +
         std::to_string(rpc.max_streams_per_client) + "/" +
         std::to_string(rpc.max_streams_per_identity) + " streams, " +
         std::to_string(rpc.max_connections_per_identity) + " connections, " +
         FormatQuantity(rpc.rate_limit, "calls/s") + ", keepalive " +
         ToText(rpc.keepalive_interval) + "/" + ToText(rpc.keepalive_timeout);
}

void CompareDaemon(const Config& running, const Config& loaded, Lines restart) {
  const auto listen = [](const Config& config) {
    std::string text;
    for (const ListenConfig& address : config.listen) {
      text += (text.empty() ? "" : ", ") + ToText(address);
    }
    return text;
  };
  restart.Compare("listen", listen(running), listen(loaded));
  const auto tls = [](const Config& config) {
    return config.tls
               ? config.tls->certificate + ", " + config.tls->key + ", " + config.tls->client_ca
               : "";
  };
  restart.Compare("tls", tls(running), tls(loaded));
  restart.Compare("state_directory", running.state_directory, loaded.state_directory);
  restart.Compare("ready_timeout", ToText(running.ready_timeout), ToText(loaded.ready_timeout));
  restart.Compare("realtime.priority", std::to_string(running.realtime.priority),
                  std::to_string(loaded.realtime.priority));
  restart.Compare("realtime.if_permitted", ToText(running.realtime.if_permitted),
                  ToText(loaded.realtime.if_permitted));
  restart.Compare("realtime.lock_memory", ToText(running.realtime.lock_memory),
                  ToText(loaded.realtime.lock_memory));
  restart.Compare("rpc", ToText(running.rpc), ToText(loaded.rpc));
  const auto groups = [](const Config& config) {
    std::string text;
    for (const GroupConfig& group : config.groups) {
      text += (text.empty() ? "" : "; ") + group.id + ": " + ToText(group);
    }
    return text;
  };
  restart.Compare("groups", groups(running), groups(loaded));
  const auto rules = [&](const char* key, auto list) {
    const auto text = [&](const Config& config) {
      std::string all;
      for (const auto& rule : config.safety.*list) all += rule.id + ": " + rule.source + "; ";
      return all;
    };
    restart.Compare(key, text(running), text(loaded));
  };
  rules("levels", &SafetyRules::levels);
  rules("interlocks", &SafetyRules::interlocks);
  restart.Compare("safety", running.safety.source, loaded.safety.source);
  for (const BusConfig& bus : running.buses) {
    const BusConfig* after = loaded.FindBus(bus.id);
    restart.Compare("buses." + bus.id, ToText(bus), after == nullptr ? "" : ToText(*after));
  }
  for (const BusConfig& bus : loaded.buses) {
    if (running.FindBus(bus.id) == nullptr) restart.Compare("buses." + bus.id, "", ToText(bus));
  }
}

// A file also by what it holds.
std::string ParameterText(const DeviceConfig& config, const char* name) {
  std::string text = config.Parameter(name).ToString();
  if (const auto file = config.files.find(name); file != config.files.end()) {
    char sum[40];
    std::snprintf(sum, sizeof sum, " (%zu bytes, %08zx)", file->second->size(),
                  std::hash<std::string>()(*file->second) & 0xFFFFFFFF);
    text += sum;
  }
  return text;
}

// Takes over what can be; true when the hub has to know.
bool CompareDevice(DeviceEntry* running, const DeviceEntry& loaded, Lines applied, Lines restart) {
  const std::string path = "devices." + loaded.config.id + ".";
  restart.Compare(path + "driver", running->driver->name, loaded.driver->name);
  restart.Compare(path + "bus", running->bus, loaded.bus);
  restart.Compare(path + "simulate", ToText(running->simulate), ToText(loaded.simulate));
  restart.Compare(path + "poll_weight", FormatNumber(running->poll_weight),
                  FormatNumber(loaded.poll_weight));
  // Limits and actions of another driver mean something else.
  if (running->driver != loaded.driver) return false;
  for (const ParameterSpec& spec : loaded.driver->parameters) {
    restart.Compare(path + spec.name, ParameterText(running->config, spec.name),
                    ParameterText(loaded.config, spec.name));
  }
  bool changed = running->config.limit_origins != loaded.config.limit_origins;
  for (const LimitSpec& spec : loaded.driver->limits) {
    const auto limit = [&](const DeviceConfig& config) {
      const auto found = config.limits.find(spec.name);
      return found == config.limits.end() ? "" : FormatQuantity(found->second, spec.unit);
    };
    changed |=
        applied.Compare(path + "limits." + spec.name, limit(running->config), limit(loaded.config));
  }
  changed |= applied.Compare(path + "on_lease_lost", running->on_lease_lost, loaded.on_lease_lost);
  changed |= applied.Compare(path + "on_shutdown", running->on_shutdown, loaded.on_shutdown);
  changed |= applied.Compare(path + "require_lease", ToText(running->require_lease),
                             ToText(loaded.require_lease));
  running->config.limits = loaded.config.limits;
  running->config.limit_origins = loaded.config.limit_origins;
  running->on_lease_lost = loaded.on_lease_lost;
  running->on_shutdown = loaded.on_shutdown;
  running->require_lease = loaded.require_lease;
  return changed;
}

}  // namespace

ConfigChanges CompareConfigs(const Config& running, const Config& loaded) {
  ConfigChanges changes;
  changes.next = running;
  Lines applied(&changes.applied);
  Lines restart(&changes.needs_restart);
  CompareDaemon(running, loaded, restart);
  changes.access_changed = applied.Compare("access", ToText(running.access), ToText(loaded.access));
  changes.log_level_changed = applied.Compare("log.level", std::string(ToString(running.log_level)),
                                              std::string(ToString(loaded.log_level)));
  changes.next.access = loaded.access;
  changes.next.log_level = loaded.log_level;
  for (DeviceEntry& device : changes.next.devices) {
    const DeviceEntry* after = loaded.FindDevice(device.config.id);
    if (after == nullptr) {
      restart.Compare("devices." + device.config.id, device.driver->name, "");
    } else if (CompareDevice(&device, *after, applied, restart)) {
      changes.devices_changed.push_back(device.config.id);
    }
  }
  for (const DeviceEntry& device : loaded.devices) {
    if (running.FindDevice(device.config.id) == nullptr) {
      restart.Compare("devices." + device.config.id, "", device.driver->name);
    }
  }
  return changes;
}

}  // namespace canhub
