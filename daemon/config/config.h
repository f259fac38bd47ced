// What the YAML says, checked: every value of these structs is in range and every name resolves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/core/access.h"
#include "daemon/safety/rules.h"
#include "drivers/api/driver.h"

namespace canhub {

enum class BusType : uint8_t { kSocketCan, kSimulated, kSocketcand };
std::string_view ToString(BusType type);  // as the YAML has it: "socketcan", …

struct ListenConfig {
  // "unix:/run/canhub/canhub.sock", "unix:canhub.sock" (below the state directory),
  // "127.0.0.1:50051", "[::1]:0".
  std::string address;
  // An address that other machines can reach, without TLS, because the file says so.
  bool insecure = false;
  bool use_tls = false;

  bool is_unix() const { return address.starts_with("unix:"); }
  friend bool operator==(const ListenConfig&, const ListenConfig&) = default;
};

// Absolute paths of PEM files.
struct TlsConfig {
  std::string certificate, key, client_ca;
  friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};

struct AccessConfig {
  std::vector<AccessRule> rules;
  // Of callers on a Unix socket or a loopback address that no rule names.
  Role local = Role::kOperator;
  // Of all others that no rule names: certificates, and addresses of other machines.
  Role remote = Role::kViewer;

  // `rules`, followed by what `local` and `remote` mean.
  AccessRules Rules() const;
};

struct RealtimeConfig {
  int priority = 0;           // SCHED_FIFO of bus and actor threads; 0: ordinary scheduling
  bool if_permitted = false;  // without the right: a warning, and ordinary scheduling
  bool lock_memory = false;
  friend bool operator==(const RealtimeConfig&, const RealtimeConfig&) = default;
};

// One client must not be able to exhaust the daemon.
struct RpcConfig {
  int64_t max_message_bytes = 1 << 20;
  int max_streams_per_client = 256;     // open watches of one connection
  int max_streams_per_identity = 4096;  // over all its connections
  int max_connections_per_identity = 256;
  double rate_limit = 20000;  // calls per second and client
  Duration keepalive_interval = std::chrono::seconds(10);
  Duration keepalive_timeout = std::chrono::seconds(5);
  friend bool operator==(const RpcConfig&, const RpcConfig&) = default;
};

struct BusConfig {
  std::string id;
  BusType type = BusType::kSimulated;
  std::string interface;  // socketcan, socketcand: "can0"
  std::string address;    // socketcand: "192.0.2.7:29536"
  uint32_t bitrate = 125000;
  double max_load = 0.7;  // share of the line that polling may take
  std::string serve;      // simulated: "127.0.0.1:29536"; "" for none
  friend bool operator==(const BusConfig&, const BusConfig&) = default;
};

struct DeviceEntry {
  DeviceConfig config;
  const DriverInfo* driver = nullptr;
  std::string bus;
  bool simulate = false;
  std::string on_lease_lost;  // safe action of the driver, or "hold"
  std::string on_shutdown;    // the same
  bool require_lease = false;
  double poll_weight = 1;
};

// Devices that are commanded together.
struct GroupConfig {
  std::string id;
  std::vector<std::string> devices;  // all of one driver
  std::string on_failure;            // safe action of that driver on the others, or "hold"
  friend bool operator==(const GroupConfig&, const GroupConfig&) = default;
};

struct Config {
  std::string file;  // as it was named
  std::vector<ListenConfig> listen;
  std::optional<TlsConfig> tls;
  AccessConfig access;
  std::string state_directory;  // absolute
  LogLevel log_level = LogLevel::kInfo;
  // For how long the service manager is not told "ready" while devices have not been polled yet.
  Duration ready_timeout = std::chrono::seconds(10);
  RealtimeConfig realtime;
  RpcConfig rpc;
  std::vector<BusConfig> buses;      // in the order of the file
  std::vector<DeviceEntry> devices;  // in the order of the file
  std::vector<GroupConfig> groups;   // in the order of the file
  SafetyRules safety;                // levels, interlocks

  const BusConfig* FindBus(std::string_view id) const;
  const DeviceEntry* FindDevice(std::string_view id) const;
};

// "trace" … "error"; also what `log.level` and --log-level take.
std::optional<LogLevel> ParseLogLevel(std::string_view text);
std::string_view ToString(LogLevel level);

}  // namespace canhub
