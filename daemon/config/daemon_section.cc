// listen, tls, access, state_directory, ready_timeout, log, realtime, rpc.
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "daemon/config/endpoint.h"
#include "daemon/config/loader.h"
#include "daemon/config/quantity.h"
#include "daemon/config/sections.h"

namespace canhub {
namespace {

constexpr std::string_view kListenForm =
    "unix:PATH, 127.0.0.1:PORT, or {address: …} with tls or insecure";

Duration ToDuration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

// A path of the file system, made absolute below `folder`.
std::string AbsolutePath(const std::string& path, const std::string& folder) {
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

// What is wrong with the path of a Unix socket; "" for nothing.
std::string CheckSocketPath(std::string_view path) {
  if (path.empty() || path.ends_with('/')) return "unix: and the path of a socket";
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return "a path of at most " + std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes";
  }
  return "";
}

void ReadListenItem(const YamlNode& node, const std::string& path, bool have_tls, Config* config,
                    Problems* problems) {
  ListenConfig listen;
  bool want_tls = false;
  if (node.kind == YamlNode::Kind::kMap) {
    MapReader map(node, path, problems);
    map.Need("address", std::string(kListenForm));
    listen.address = map.Text("address").value_or("");
    listen.insecure = map.Flag("insecure").value_or(false);
    want_tls = map.Flag("tls").value_or(false);
    map.RejectUnknown();
    if (listen.address.empty()) return;
  } else {
    const std::optional<std::string> text = ReadText(node, path, problems, kListenForm);
    if (!text) return;
    listen.address = *text;
  }
  for (const ListenConfig& other : config->listen) {
    if (other.address == listen.address && !listen.address.ends_with(":0")) {
      problems->Add(node.line, path, listen.address + " a second time", "each address once");
      return;
    }
  }
  if (listen.insecure && want_tls) {
    problems->Add(node.line, path, "tls and insecure together", "one of them");
    return;
  }
  if (listen.is_unix()) {
    const std::string expected = CheckSocketPath(listen.address.substr(5));
    if (!expected.empty()) {
      problems->Add(node.line, path, Quote(listen.address), expected);
    } else if (listen.insecure || want_tls) {
      problems->Add(node.line, path, "tls or insecure for a Unix socket",
                    "neither: its peers are known by their user id");
    } else {
      config->listen.push_back(std::move(listen));
    }
    return;
  }
  const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(listen.address);
  if (!endpoint.ok()) {
    problems->Add(node.line, path, Quote(listen.address),
                  std::string(endpoint.status().message()) + ", or unix:PATH");
    return;
  }
  if (!endpoint->ip_address) {
    problems->Add(node.line, path, Quote(listen.address),
                  "an IP address of this machine, like 127.0.0.1:50051");
    return;
  }
  if (want_tls && !have_tls) {
    problems->Add(node.line, path, "tls: true without certificates",
                  "the key tls with certificate, key and client_ca");
    return;
  }
  if (!endpoint->loopback && !have_tls && !listen.insecure) {
    problems->Add(node.line, path,
                  listen.address + ", which other machines can reach, without protection",
                  "the key tls with certificate, key and client_ca, or {address: \"" +
                      listen.address + "\", insecure: true}");
    return;
  }
  listen.use_tls = want_tls || (!endpoint->loopback && have_tls && !listen.insecure);
  config->listen.push_back(std::move(listen));
}

}  // namespace

void ReadListen(MapReader& root, Config* config, Problems* problems) {
  const YamlNode* node = root.Find("listen");
  if (node == nullptr) {
    config->listen = {{.address = "unix:/run/canhub/canhub.sock"}, {.address = "127.0.0.1:50051"}};
    return;
  }
  if (node->kind != YamlNode::Kind::kList || node->items.empty()) {
    problems->Add(node->line, "listen",
                  node->kind == YamlNode::Kind::kList ? "an empty list" : node->Describe(),
                  "a list, like [unix:/run/canhub/canhub.sock, 127.0.0.1:50051]");
    return;
  }
  const bool have_tls = root.Find("tls") != nullptr;
  for (size_t i = 0; i < node->items.size(); ++i) {
    ReadListenItem(node->items[i], "listen[" + std::to_string(i) + "]", have_tls, config, problems);
  }
}

void ReadTls(MapReader& root, const std::string& folder, Config* config, Problems* problems) {
  const YamlNode* node = root.Find("tls");
  if (node == nullptr) return;
  MapReader map(*node, "tls", problems);
  TlsConfig tls;
  const std::array<std::pair<const char*, std::string*>, 3> files = {
      {{"certificate", &tls.certificate}, {"key", &tls.key}, {"client_ca", &tls.client_ca}}};
  for (const auto& [key, path] : files) {
    map.Need(key, "a PEM file");
    if (const std::optional<std::string> text = map.Text(key)) *path = AbsolutePath(*text, folder);
  }
  map.RejectUnknown();
  config->tls = std::move(tls);
  const bool used = std::any_of(config->listen.begin(), config->listen.end(),
                                [](const ListenConfig& listen) { return listen.use_tls; });
  // Certificates that protect nothing are a mistake somebody would rely on.
  if (!used && problems->empty()) {
    problems->Add(root.LineOf("tls"), "tls", "no address that uses it",
                  "an address of this machine in listen, or tls: true at one");
  }
}

void ReadAccess(MapReader& root, Config* config, Problems* problems) {
  static const std::vector<std::string> kRoles = {"none", "viewer", "operator", "engineer"};
  static constexpr std::array<Role, 4> kRoleValues = {Role::kNone, Role::kViewer, Role::kOperator,
                                                      Role::kEngineer};
  const YamlNode* node = root.Find("access");
  if (node == nullptr) return;
  MapReader map(*node, "access", problems);
  if (const auto role = map.Choice("default", kRoles)) config->access.local = kRoleValues[*role];
  if (const auto role = map.Choice("remote_default", kRoles)) {
    config->access.remote = kRoleValues[*role];
  }
  const YamlNode* rules = map.Find("rules");
  if (rules != nullptr && rules->kind != YamlNode::Kind::kList) {
    problems->Add(rules->line, "access.rules", rules->Describe(),
                  "a list, like [{identity: \"unix:uid=1000(*\", role: engineer}]");
  }
  for (size_t i = 0; rules != nullptr && i < rules->items.size(); ++i) {
    const std::string path = "access.rules[" + std::to_string(i) + "]";
    MapReader rule(rules->items[i], path, problems);
    rule.Need("identity", "who, like \"unix:uid=1000(*\" or \"cert:CN=alice*\"");
    rule.Need("role", JoinNames(kRoles));
    const std::optional<std::string> identity = rule.Text("identity");
    const std::optional<size_t> role = rule.Choice("role", kRoles);
    rule.RejectUnknown();
    if (!identity || !role) continue;
    const auto starts = [&](const char* with) { return identity->starts_with(with); };
    if (!starts("unix:") && !starts("cert:") && !starts("tcp:") && !starts("*")) {
      problems->Add(rule.LineOf("identity"), path + ".identity", Quote(*identity),
                    "it to start with unix:, cert:, tcp: or *");
      continue;
    }
    for (size_t k = 0; k < config->access.rules.size(); ++k) {
      const std::string& earlier = config->access.rules[k].identity;
      if (earlier == *identity || earlier == "*") {
        problems->Add(
            rule.LineOf("identity"), path + ".identity",
            Quote(*identity) + ", which an earlier rule (" + Quote(earlier) + ") has decided",
            "rules that can apply: the first match wins");
        break;
      }
    }
    config->access.rules.push_back({*identity, kRoleValues[*role]});
  }
  map.RejectUnknown();
}

void ReadDaemon(MapReader& root, const std::string& folder, Config* config, Problems* problems) {
  config->state_directory =
      AbsolutePath(root.Text("state_directory").value_or("/var/lib/canhub"), folder);
  if (const auto seconds = root.Number("ready_timeout", "s", {0, 600, ""})) {
    config->ready_timeout = ToDuration(*seconds);
  }
  if (const YamlNode* node = root.Find("log")) {
    static const std::vector<std::string> kLevels = {"trace", "debug", "info", "warning", "error"};
    MapReader map(*node, "log", problems);
    if (const auto level = map.Choice("level", kLevels)) {
      config->log_level = *ParseLogLevel(kLevels[*level]);
    }
    map.RejectUnknown();
  }
  if (const YamlNode* node = root.Find("realtime")) {
    MapReader map(*node, "realtime", problems);
    // 99 is the kernel's own watchdog and migration threads.
    config->realtime.priority = static_cast<int>(
        map.Integer("priority", {.minimum = 0, .maximum = 98, .source = ""}).value_or(0));
    config->realtime.if_permitted = map.Flag("if_permitted").value_or(false);
    config->realtime.lock_memory = map.Flag("lock_memory").value_or(false);
    map.RejectUnknown();
  }
}

void ReadRpc(MapReader& root, Config* config, Problems* problems) {
  const YamlNode* node = root.Find("rpc");
  if (node == nullptr) return;
  MapReader map(*node, "rpc", problems);
  RpcConfig& rpc = config->rpc;
  // Above 64 MiB one client could take the memory of a small lab PC; a snapshot of every item of
  // 100 large modules is 2 MiB.
  if (const auto size = map.Number("max_message", "B", {1 << 16, 1 << 26, ""})) {
    rpc.max_message_bytes = static_cast<int64_t>(*size);
  }
  const auto count = [&](const char* key, int* value) {
    if (const auto given = map.Integer(key, {1, 100000, ""})) *value = static_cast<int>(*given);
  };
  count("max_streams_per_client", &rpc.max_streams_per_client);
  count("max_streams_per_identity", &rpc.max_streams_per_identity);
  count("max_connections_per_identity", &rpc.max_connections_per_identity);
  if (const auto rate = map.Number("rate_limit", "calls/s", {1, 1e6, ""})) rpc.rate_limit = *rate;
  const auto time = [&](const char* key, double minimum, double maximum, Duration* value) {
    if (const auto seconds = map.Number(key, "s", {minimum, maximum, ""})) {
      *value = ToDuration(*seconds);
    }
  };
  time("keepalive_interval", 1, 3600, &rpc.keepalive_interval);
  time("keepalive_timeout", 1, 600, &rpc.keepalive_timeout);
  map.RejectUnknown();
}

std::string AbsoluteListenAddress(const Config& config, std::string_view address) {
  if (!address.starts_with("unix:")) return std::string(address);
  return "unix:" + AbsolutePath(std::string(address.substr(5)), config.state_directory);
}

absl::StatusOr<ListenConfig> ParseListenFlag(const std::string& address) {
  const auto wrong = [&](const std::string& expected) {
    return absl::InvalidArgumentError("--listen: found " + Quote(address) + ", expected " +
                                      expected);
  };
  if (address.starts_with("unix:")) {
    const std::string expected = CheckSocketPath(std::string_view(address).substr(5));
    if (!expected.empty()) return wrong(expected);
    return ListenConfig{.address = address};
  }
  const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(address);
  if (!endpoint.ok()) return wrong(std::string(endpoint.status().message()) + ", or unix:PATH");
  if (!endpoint->ip_address) return wrong("an IP address, like 127.0.0.1:0");
  if (!endpoint->loopback) {
    return wrong("a loopback address: others need tls or insecure in the configuration file");
  }
  return ListenConfig{.address = address};
}

}  // namespace canhub
