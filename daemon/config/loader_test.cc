#include "daemon/config/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "daemon/config/test_drivers.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using testing::ElementsAre;

absl::StatusOr<Config> Parse(const std::string& text) {
  return ParseConfig(text, "/etc/lab.yaml", TestDrivers());
}

constexpr char kBuses[] = "buses: {lab: {type: simulated, bitrate: 125000}}\n";
constexpr char kHead[] =
    "buses: {lab: {type: simulated, bitrate: 125000}}\n"
    "devices:\n";

TEST(LoaderTest, ReadsTheDesignsExample) {
  const auto config = Parse(R"(listen: [unix:/run/canhub/canhub.sock, 127.0.0.1:50051]
buses:
  can0: {type: socketcan, interface: can0, bitrate: 125000}
  lab: {type: simulated, bitrate: 250000, max_load: 60 %, serve: "127.0.0.1:29536"}
  pi: {type: socketcand, address: "192.0.2.7:29536", interface: can1, bitrate: 500000}
devices:
  hv0: {driver: demo-psu, bus: can0, address: 3, limits: {voltage: 1.5 kV, ramp: 50 V/s}, on_lease_lost: emergency_off}
  hv1: {driver: demo-psu, bus: lab, address: 0x10, simulate: true, poll: 2 s, require_lease: true, on_shutdown: ramp_down, poll_weight: 2}
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen.size(), 2u);
  ASSERT_EQ(config->buses.size(), 3u);
  EXPECT_EQ(config->buses[0].type, BusType::kSocketCan);
  EXPECT_EQ(config->buses[0].interface, "can0");
  EXPECT_EQ(config->buses[0].max_load, 0.7);
  EXPECT_EQ(config->buses[1].bitrate, 250000u);
  EXPECT_EQ(config->buses[1].max_load, 0.6);
  EXPECT_EQ(config->buses[1].serve, "127.0.0.1:29536");
  EXPECT_EQ(config->buses[2].address, "192.0.2.7:29536");
  ASSERT_EQ(config->devices.size(), 2u);
  const DeviceEntry& hv0 = config->devices[0];
  EXPECT_EQ(hv0.config.limits.at("voltage"), 1500);
  EXPECT_EQ(hv0.config.limits.at("ramp"), 50);
  EXPECT_EQ(hv0.config.limit_origins.at("voltage"), "/etc/lab.yaml:7, devices.hv0.limits.voltage");
  EXPECT_EQ(hv0.on_lease_lost, "emergency_off");
  EXPECT_EQ(hv0.on_shutdown, "hold");
  EXPECT_EQ(hv0.bus, "can0");
  EXPECT_FALSE(hv0.simulate);
  const DeviceEntry& hv1 = config->devices[1];
  EXPECT_EQ(hv1.config.Parameter("address").integer(), 16);
  EXPECT_EQ(hv1.config.Parameter("poll").number(), 2);
  EXPECT_TRUE(hv1.simulate);
  EXPECT_TRUE(hv1.require_lease);
  EXPECT_EQ(hv1.on_lease_lost, "ramp_down");
  EXPECT_EQ(hv1.on_shutdown, "ramp_down");
  EXPECT_EQ(hv1.poll_weight, 2);
}

TEST(LoaderTest, FillsInTheDriversDefaults) {
  const auto config = Parse(std::string(kHead) + "  a: {driver: demo-psu, bus: lab, address: 1}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  const DeviceConfig& device = config->devices[0].config;
  EXPECT_EQ(device.Parameter("poll").number(), 0.5);
  EXPECT_EQ(device.Parameter("offset").number(), 0);
  EXPECT_EQ(device.Parameter("label").text(), "");
  EXPECT_EQ(device.Parameter("fan").flag(), true);
  EXPECT_EQ(device.Parameter("model").text(), "large");
}

TEST(LoaderTest, DefaultsOfTheDaemon) {
  const auto config = Parse(std::string(kBuses) + "devices: {}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen[0].address, "unix:/run/canhub/canhub.sock");
  EXPECT_EQ(config->listen[1].address, "127.0.0.1:50051");
  EXPECT_EQ(config->state_directory, "/var/lib/canhub");
  EXPECT_EQ(config->ready_timeout, std::chrono::seconds(10));
  EXPECT_EQ(config->log_level, LogLevel::kInfo);
  EXPECT_EQ(config->realtime, RealtimeConfig{});
  EXPECT_EQ(config->rpc, RpcConfig{});
}

TEST(LoaderTest, ReadsTheDaemonsOwnSettings) {
  const auto config = Parse(std::string(kBuses) + R"(devices: {}
listen: [{address: "0.0.0.0:1", insecure: true}, "10.1.2.3:2", {address: "127.0.0.1:3", tls: true}]
tls: {certificate: server.pem, key: /keys/server.key, client_ca: ../ca.pem}
state_directory: state
ready_timeout: 1.5 min
log: {level: debug}
realtime: {priority: 20, if_permitted: true, lock_memory: true}
rpc: {max_message: 2 MiB, max_streams_per_client: 5, max_streams_per_identity: 6, max_connections_per_identity: 7, rate_limit: 8 calls/s, keepalive_interval: 9 s, keepalive_timeout: 10 s}
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->listen, ElementsAre(ListenConfig{"0.0.0.0:1", true, false},
                                          ListenConfig{"10.1.2.3:2", false, true},
                                          ListenConfig{"127.0.0.1:3", false, true}));
  EXPECT_EQ(config->tls, (TlsConfig{"/etc/server.pem", "/keys/server.key", "/ca.pem"}));
  EXPECT_EQ(config->state_directory, "/etc/state");
  EXPECT_EQ(config->ready_timeout, std::chrono::seconds(90));
  EXPECT_EQ(config->log_level, LogLevel::kDebug);
  EXPECT_EQ(config->realtime, (RealtimeConfig{20, true, true}));
  EXPECT_EQ(config->rpc,
            (RpcConfig{2 << 20, 5, 6, 7, 8, std::chrono::seconds(9), std::chrono::seconds(10)}));
}

TEST(LoaderTest, CallersHereAreOperatorsOthersViewers) {
  const auto config = Parse(std::string(kBuses) + "devices: {}\n");
  ASSERT_TRUE(config.ok());
  const AccessRules rules = config->access.Rules();
  EXPECT_EQ(rules.RoleOf("unix:uid=1000(alice)"), Role::kOperator);
  EXPECT_EQ(rules.RoleOf("tcp:127.0.0.1"), Role::kOperator);
  EXPECT_EQ(rules.RoleOf("tcp:::1"), Role::kOperator);
  EXPECT_EQ(rules.RoleOf("tcp:192.0.2.1"), Role::kViewer);
  EXPECT_EQ(rules.RoleOf("cert:CN=alice"), Role::kViewer);
}

TEST(LoaderTest, AccessRulesComeFirst) {
  const auto config = Parse(std::string(kBuses) + R"(devices: {}
access:
  default: viewer
  remote_default: none
  rules:
    - {identity: "unix:uid=0(*", role: engineer}
    - {identity: "cert:CN=bob*", role: operator}
)");
  ASSERT_TRUE(config.ok()) << config.status();
  const AccessRules rules = config->access.Rules();
  EXPECT_EQ(rules.RoleOf("unix:uid=0(root)"), Role::kEngineer);
  EXPECT_EQ(rules.RoleOf("unix:uid=1000(alice)"), Role::kViewer);
  EXPECT_EQ(rules.RoleOf("cert:CN=bob,O=lab"), Role::kOperator);
  EXPECT_EQ(rules.RoleOf("cert:CN=eve"), Role::kNone);
}

TEST(LoaderTest, SocketsAreBelowTheStateDirectory) {
  Config config;
  config.state_directory = "/var/lib/canhub";
  EXPECT_EQ(AbsoluteListenAddress(config, "unix:a.sock"), "unix:/var/lib/canhub/a.sock");
  EXPECT_EQ(AbsoluteListenAddress(config, "unix:/run/a.sock"), "unix:/run/a.sock");
  EXPECT_EQ(AbsoluteListenAddress(config, "127.0.0.1:1"), "127.0.0.1:1");
}

TEST(LoaderTest, NamesFilesThisMachineLacks) {
  Config config;
  config.state_directory = "/nowhere/state";
  config.listen = {{.address = "unix:a.sock"}, {.address = "unix:/nowhere/x/a.sock"}};
  config.tls = TlsConfig{"/nowhere/c.pem", "/dev/null", "/dev/null"};
  EXPECT_THAT(MissingFiles(config),
              ElementsAre("tls: /nowhere/c.pem cannot be read",
                          "listen: unix:/nowhere/x/a.sock: there is no folder /nowhere/x"));
}

TEST(LoaderTest, ListenFlagTakesLoopbackOnly) {
  EXPECT_TRUE(ParseListenFlag("127.0.0.1:0").ok());
  EXPECT_TRUE(ParseListenFlag("unix:/tmp/a.sock").ok());
  EXPECT_EQ(
      ParseListenFlag("0.0.0.0:1").status().message(),
      "--listen: found \"0.0.0.0:1\", expected a loopback address: others need tls or insecure "
      "in the configuration file");
}

TEST(LoaderTest, AMissingFileIsNotFound) {
  const auto config = LoadConfig("/nowhere/lab.yaml", TestDrivers());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(config.status().message(),
            "/nowhere/lab.yaml: cannot be read: No such file or directory");
}

TEST(LoaderTest, AFolderIsNoFile) {
  EXPECT_EQ(LoadConfig("/tmp", TestDrivers()).status().message(),
            "/tmp: cannot be read: it is a folder");
}

TEST(LoaderTest, AnEndlessFileIsTooLarge) {
  EXPECT_EQ(LoadConfig("/dev/zero", TestDrivers()).status().message(),
            "/dev/zero:1: found 1048577 bytes, expected at most 1048576");
}

TEST(LoaderTest, TellsAllErrorsAtOnce) {
  const auto config = Parse(
      "listen: [nonsense]\n"
      "buses: {lab: {type: simulated, bitrate: 5}}\n"
      "devices:\n"
      "  A: {driver: demo-psu, bus: lab, address: 1}\n"
      "  b: {driver: demo-psu, bus: lab, address: 99}\n"
      "logs: {}\n");
  EXPECT_EQ(GetErrorInfo(config.status()).fields.at("problems"), "5") << config.status();
}

// ------------------------------------------------------------ one rule each

struct Rule {
  const char* name;
  std::string text;  // the file
  std::string error;
};
void PrintTo(const Rule& rule, std::ostream* out) { *out << rule.name; }
class RuleTest : public testing::TestWithParam<Rule> {};
TEST_P(RuleTest, IsTold) {
  const auto config = Parse(GetParam().text);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(config.status().message()), "/etc/lab.yaml:" + GetParam().error);
}

std::string Device(const std::string& keys) {
  return std::string(kHead) + "  hv0: {driver: demo-psu, bus: lab, " + keys + "}\n";
}
std::string Buses(const std::string& buses) { return "buses: " + buses + "\ndevices: {}\n"; }
std::string Daemon(const std::string& keys) {
  return std::string(kBuses) + "devices: {}\n" + keys + "\n";
}

INSTANTIATE_TEST_SUITE_P(
    Document, RuleTest,
    testing::Values(
        Rule{"empty", "", "1: found an empty file, expected a map with the keys buses and devices"},
        Rule{"comment_only", "# nothing\n",
             "1: found an empty file, expected a map with the keys buses and devices"},
        Rule{"list", "- a\n", "1: found a list, expected a map"},
        Rule{"scalar", "hello\n", "1: found \"hello\", expected a map"},
        Rule{"no_buses", "devices: {}\n", "1: buses: found no such key, expected a map of buses"},
        Rule{"no_devices", kBuses, "1: devices: found no such key, expected a map of devices"},
        Rule{"unknown_key", Daemon("listne: []"),
             "3: listne: found an unknown key (did you mean \"listen\"?), expected one of listen, "
             "tls, access, state_directory, ready_timeout, log, realtime, rpc, buses, devices, "
             "groups, levels, interlocks or safety"},
        Rule{"double_key", std::string(kBuses) + "devices: {}\ndevices: {}\n",
             "3: devices: found the key twice (first in line 2), expected it once"},
        Rule{"null_section", std::string(kBuses) + "devices:\n",
             "2: devices: found nothing, expected a map"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Listen, RuleTest,
    testing::Values(
        Rule{"no_list", Daemon("listen: 127.0.0.1:1"),
             "3: listen: found \"127.0.0.1:1\", expected a list, like "
             "[unix:/run/canhub/canhub.sock, 127.0.0.1:50051]"},
        Rule{"empty_list", Daemon("listen: []"),
             "3: listen: found an empty list, expected a list, like "
             "[unix:/run/canhub/canhub.sock, 127.0.0.1:50051]"},
        Rule{"no_port", Daemon("listen: [127.0.0.1]"),
             "3: listen[0]: found \"127.0.0.1\", expected an address and a port, like "
             "127.0.0.1:50051 or [::1]:50051, or unix:PATH"},
        Rule{"port_range", Daemon("listen: ['127.0.0.1:65536']"),
             "3: listen[0]: found \"127.0.0.1:65536\", expected a port of 0 … 65535, or unix:PATH"},
        Rule{"bad_ip", Daemon("listen: ['127.0.0.300:1']"),
             "3: listen[0]: found \"127.0.0.300:1\", expected an address and a port, like "
             "127.0.0.1:50051 or [::1]:50051, or unix:PATH"},
        Rule{"host_name", Daemon("listen: ['labpc:1']"),
             "3: listen[0]: found \"labpc:1\", expected an IP address of this machine, like "
             "127.0.0.1:50051"},
        Rule{"open_to_all", Daemon("listen: ['0.0.0.0:50051']"),
             "3: listen[0]: found 0.0.0.0:50051, which other machines can reach, without "
             "protection, expected the key tls with certificate, key and client_ca, or {address: "
             "\"0.0.0.0:50051\", insecure: true}"},
        Rule{"open_to_all_v6", Daemon("listen: ['[::]:50051']"),
             "3: listen[0]: found [::]:50051, which other machines can reach, without protection, "
             "expected the key tls with certificate, key and client_ca, or {address: "
             "\"[::]:50051\", insecure: true}"},
        Rule{"twice", Daemon("listen: ['127.0.0.1:1', '127.0.0.1:1']"),
             "3: listen[1]: found 127.0.0.1:1 a second time, expected each address once"},
        Rule{"tls_and_insecure",
             Daemon("listen: [{address: '127.0.0.1:1', insecure: true, tls: true}]"),
             "3: listen[0]: found tls and insecure together, expected one of them"},
        Rule{"tls_without_certificates", Daemon("listen: [{address: '127.0.0.1:1', tls: true}]"),
             "3: listen[0]: found tls: true without certificates, expected the key tls with "
             "certificate, key and client_ca"},
        Rule{"insecure_unix", Daemon("listen: [{address: 'unix:/a', insecure: true}]"),
             "3: listen[0]: found tls or insecure for a Unix socket, expected neither: its peers "
             "are known by their user id"},
        Rule{"unix_no_path", Daemon("listen: ['unix:']"),
             "3: listen[0]: found \"unix:\", expected unix: and the path of a socket"},
        Rule{"unix_long_path", Daemon("listen: ['unix:/" + std::string(108, 'a') + "']"),
             "3: listen[0]: found \"unix:/" + std::string(54, 'a') +
                 "…\", expected a path of at most 107 bytes"},
        Rule{"map_without_address", Daemon("listen: [{insecure: true}]"),
             "3: listen[0].address: found no such key, expected unix:PATH, 127.0.0.1:PORT, or "
             "{address: …} with tls or insecure"},
        Rule{"tls_incomplete", Daemon("listen: ['0.0.0.0:1']\ntls: {certificate: a, key: b}"),
             "4: tls.client_ca: found no such key, expected a PEM file"},
        Rule{"tls_unused", Daemon("tls: {certificate: a, key: b, client_ca: c}"),
             "3: tls: found no address that uses it, expected an address of this machine in "
             "listen, or tls: true at one"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    DaemonKeys, RuleTest,
    testing::Values(
        Rule{"role", Daemon("access: {default: operatr}"),
             "3: access.default: found \"operatr\", expected none, viewer, operator or engineer "
             "(did you mean \"operator\"?)"},
        Rule{"rules_no_list", Daemon("access: {rules: {}}"),
             "3: access.rules: found a map, expected a list, like [{identity: "
             "\"unix:uid=1000(*\", role: engineer}]"},
        Rule{"rule_identity", Daemon("access: {rules: [{identity: alice, role: viewer}]}"),
             "3: access.rules[0].identity: found \"alice\", expected it to start with unix:, "
             "cert:, tcp: or *"},
        Rule{"rule_without_role", Daemon("access: {rules: [{identity: '*'}]}"),
             "3: access.rules[0].role: found no such key, expected none, viewer, operator or "
             "engineer"},
        Rule{"rule_never_reached",
             Daemon("access: {rules: [{identity: '*', role: viewer}, {identity: 'cert:a', role: "
                    "engineer}]}"),
             "3: access.rules[1].identity: found \"cert:a\", which an earlier rule (\"*\") has "
             "decided, expected rules that can apply: the first match wins"},
        Rule{"log_level", Daemon("log: {level: verbose}"),
             "3: log.level: found \"verbose\", expected trace, debug, info, warning or error"},
        Rule{"ready_timeout", Daemon("ready_timeout: 11 min"),
             "3: ready_timeout: found 11 min, expected at most 10 min"},
        Rule{"priority", Daemon("realtime: {priority: 99}"),
             "3: realtime.priority: found 99, expected at most 98"},
        Rule{"lock_memory", Daemon("realtime: {lock_memory: yes}"),
             "3: realtime.lock_memory: found \"yes\", expected true or false"},
        Rule{"message_size", Daemon("rpc: {max_message: 1 GiB}"),
             "3: rpc.max_message: found 1 GiB, expected at most 64 MiB"},
        Rule{"message_size_unit", Daemon("rpc: {max_message: 1000000}"),
             "3: rpc.max_message: found \"1000000\", expected a number with its unit, like \"1 "
             "MiB\""},
        Rule{"rate_limit", Daemon("rpc: {rate_limit: 0 calls/s}"),
             "3: rpc.rate_limit: found 0 calls/s, expected at least 1 calls/s"},
        Rule{"streams", Daemon("rpc: {max_streams_per_client: 1.5}"),
             "3: rpc.max_streams_per_client: found \"1.5\", expected a whole number, like 3 or "
             "0xFA"},
        Rule{"state_directory", Daemon("state_directory: [a]"),
             "3: state_directory: found a list, expected a text"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    BusKeys, RuleTest,
    testing::Values(
        Rule{"none", Buses("{}"), "1: buses: found an empty map, expected at least one bus"},
        Rule{"no_type", Buses("{a: {bitrate: 125000}}"),
             "1: buses.a.type: found no such key, expected socketcan, simulated or socketcand"},
        Rule{"type", Buses("{a: {type: socketcam, bitrate: 125000}}"),
             "1: buses.a.type: found \"socketcam\", expected socketcan, simulated or socketcand "
             "(did you mean \"socketcan\"?)"},
        Rule{"id", Buses("{Can0: {type: simulated, bitrate: 125000}}"),
             "1: buses.Can0: found the id \"Can0\", expected a lower-case letter, then lower-case "
             "letters, digits, '_' or '-'; at most 64"},
        Rule{"no_bitrate", Buses("{a: {type: simulated}}"),
             "1: buses.a.bitrate: found no such key, expected the line's bit rate, like 125000"},
        Rule{"bitrate", Buses("{a: {type: simulated, bitrate: 125}}"),
             "1: buses.a.bitrate: found 125, expected at least 10000"},
        Rule{"octal", Buses("{a: {type: simulated, bitrate: 0125000}}"),
             "1: buses.a.bitrate: found \"0125000\", expected a whole number, like 3 or 0xFA"},
        Rule{"max_load", Buses("{a: {type: simulated, bitrate: 125000, max_load: 90 %}}"),
             "1: buses.a.max_load: found 90 %, expected at most 80 %"},
        Rule{"max_load_unit", Buses("{a: {type: simulated, bitrate: 125000, max_load: 0.7}}"),
             "1: buses.a.max_load: found \"0.7\", expected a number with its unit, like \"10 %\""},
        Rule{"no_interface", Buses("{a: {type: socketcan, bitrate: 125000}}"),
             "1: buses.a.interface: found no such key, expected the name of a CAN interface, like "
             "can0"},
        Rule{"interface", Buses("{a: {type: socketcan, interface: can/0, bitrate: 125000}}"),
             "1: buses.a.interface: found \"can/0\", expected the name of a CAN interface, like "
             "can0 (at most 15 characters)"},
        Rule{"same_interface",
             Buses("{a: {type: socketcan, interface: can0, bitrate: 125000}, b: {type: socketcan, "
                   "interface: can0, bitrate: 125000}}"),
             "1: buses.b.interface: found can0, which the bus a has, expected an interface of its "
             "own"},
        Rule{"socketcand_address",
             Buses("{a: {type: socketcand, interface: can0, bitrate: 125000, address: pi}}"),
             "1: buses.a.address: found \"pi\", expected host and port of a socketcand, like "
             "192.0.2.7:29536"},
        Rule{"serve_of_a_real_bus",
             Buses("{a: {type: socketcan, interface: can0, bitrate: 125000, serve: "
                   "'127.0.0.1:1'}}"),
             "1: buses.a.serve: found a key that a bus of type socketcan does not have, expected "
             "it only for simulated"},
        Rule{"serve_to_all",
             Buses("{a: {type: simulated, bitrate: 125000, serve: '0.0.0.0:29536'}}"),
             "1: buses.a.serve: found 0.0.0.0:29536, where every machine that reaches it can send "
             "frames, expected a loopback address, or serve_insecure: true beside it"},
        Rule{"serve_name", Buses("{a: {type: simulated, bitrate: 125000, serve: 'localhost:1'}}"),
             "1: buses.a.serve: found \"localhost:1\", expected an IP address of this machine, "
             "like 127.0.0.1:29536"},
        Rule{"serve_long_id",
             Buses("{a2345678901234567: {type: simulated, bitrate: 125000, serve: "
                   "'127.0.0.1:1'}}"),
             "1: buses.a2345678901234567.serve: found it at a bus whose id has 17 characters, "
             "expected an id of at most 16, which is what clients open"},
        Rule{"serve_insecure_alone",
             Buses("{a: {type: simulated, bitrate: 125000, serve_insecure: true}}"),
             "1: buses.a.serve_insecure: found it without the key serve, expected an address to "
             "serve the bus at"},
        Rule{"serve_twice",
             Buses("{a: {type: simulated, bitrate: 125000, serve: '127.0.0.1:5'}, b: {type: "
                   "simulated, bitrate: 125000, serve: '127.0.0.1:5'}}"),
             "1: buses.b.serve: found 127.0.0.1:5, which the bus a has, expected an address of its "
             "own"},
        Rule{"unknown_key", Buses("{a: {type: simulated, bitrate: 125000, maxload: 70 %}}"),
             "1: buses.a.maxload: found an unknown key (did you mean \"max_load\"?), expected one "
             "of type, bitrate, max_load, serve, serve_insecure, interface or address"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    DeviceKeys, RuleTest,
    testing::Values(
        Rule{"id", std::string(kHead) + "  0hv: {driver: demo-psu, bus: lab, address: 1}\n",
             "3: devices.0hv: found the id \"0hv\", expected a lower-case letter, then lower-case "
             "letters, digits, '_' or '-'; at most 64"},
        Rule{"id_of_a_bus",
             std::string(kHead) + "  lab: {driver: demo-psu, bus: lab, address: 1}\n",
             "3: devices.lab: found the id of a bus, expected an id that only this device has"},
        Rule{"no_driver", std::string(kHead) + "  a: {bus: lab}\n",
             "3: devices.a.driver: found no such key, expected demo-psu"},
        Rule{"driver", std::string(kHead) + "  a: {driver: demo-psi, bus: lab}\n",
             "3: devices.a.driver: found \"demo-psi\", expected demo-psu (did you mean "
             "\"demo-psu\"?)"},
        Rule{"no_bus", std::string(kHead) + "  a: {driver: demo-psu, address: 1}\n",
             "3: devices.a.bus: found no such key, expected one of buses: lab"},
        Rule{"bus", std::string(kHead) + "  a: {driver: demo-psu, bus: lap, address: 1}\n",
             "3: devices.a.bus: found \"lap\", expected lab (did you mean \"lab\"?)"},
        Rule{"needed_parameter", Device("fan: true"),
             "3: devices.hv0.address: found no such key, expected a whole number (module address)"},
        Rule{"parameter_type", Device("address: three"),
             "3: devices.hv0.address: found \"three\", expected a whole number, like 3 or 0xFA"},
        Rule{"quoted_number", Device("address: '3'"),
             "3: devices.hv0.address: found \"3\" in quotes, expected a whole number, like 3 or "
             "0xFA"},
        Rule{"parameter_range", Device("address: 64"),
             "3: devices.hv0.address: found 64, expected at most 63"},
        Rule{"duration_without_unit", Device("address: 1, poll: 500"),
             "3: devices.hv0.poll: found \"500\", expected a number with its unit, like \"500 "
             "ms\""},
        Rule{"duration_range", Device("address: 1, poll: 10 ms"),
             "3: devices.hv0.poll: found 10 ms, expected at least 50 ms"},
        Rule{"number_unit", Device("address: 1, offset: 5 A"),
             "3: devices.hv0.offset: found \"5 A\", expected a number with its unit, like \"10 "
             "V\""},
        Rule{"plain_number", Device("address: 1, gain: 5 V"),
             "3: devices.hv0.gain: found \"5 V\", expected a number without unit, like 0.5"},
        Rule{"nan", Device("address: 1, gain: .nan"),
             "3: devices.hv0.gain: found \".nan\", expected a number without unit, like 0.5"},
        Rule{"choice", Device("address: 1, model: smal"),
             "3: devices.hv0.model: found \"smal\", expected small or large (did you mean "
             "\"small\"?)"},
        Rule{"flag", Device("address: 1, fan: 1"),
             "3: devices.hv0.fan: found \"1\", expected true or false"},
        Rule{"unknown_key", Device("address: 1, pol: 1 s"),
             "3: devices.hv0.pol: found an unknown key (did you mean \"poll\"?), expected one of "
             "driver, bus, simulate, require_lease, poll_weight, address, poll, offset, gain, "
             "label, fan, follow, mirror, model, limits, on_lease_lost or on_shutdown"},
        Rule{"limit_unknown", Device("address: 1, limits: {voltge: 5 V}"),
             "3: devices.hv0.limits.voltge: found an unknown key (did you mean \"voltage\"?), "
             "expected one of voltage or ramp"},
        Rule{"limit_too_high", Device("address: 1, limits: {voltage: 7 kV}"),
             "3: devices.hv0.limits.voltage: found 7 kV, expected at most 6000 V (bound of the "
             "driver demo-psu)"},
        Rule{"limit_negative", Device("address: 1, limits: {voltage: -5 V}"),
             "3: devices.hv0.limits.voltage: found -5 V, expected at least 0 V (bound of the "
             "driver demo-psu)"},
        Rule{"limit_without_unit", Device("address: 1, limits: {voltage: 1500}"),
             "3: devices.hv0.limits.voltage: found \"1500\", expected a number with its unit, "
             "like \"10 V\""},
        Rule{"limits_empty", Device("address: 1, limits:"),
             "3: devices.hv0.limits: found nothing, expected a map"},
        Rule{"safe_action", Device("address: 1, on_lease_lost: rampdown"),
             "3: devices.hv0.on_lease_lost: found \"rampdown\", expected hold, ramp_down or "
             "emergency_off (did you mean \"ramp_down\"?)"},
        Rule{"unsafe_action", Device("address: 1, on_shutdown: factory_reset"),
             "3: devices.hv0.on_shutdown: found \"factory_reset\", expected hold, ramp_down or "
             "emergency_off"},
        Rule{"poll_weight", Device("address: 1, poll_weight: 0"),
             "3: devices.hv0.poll_weight: found 0, expected at least 0.01"},
        Rule{"simulate_on_a_real_bus",
             "buses: {can0: {type: socketcan, interface: can0, bitrate: 125000}}\n"
             "devices:\n  a: {driver: demo-psu, bus: can0, address: 1, simulate: true}\n",
             "3: devices.a.simulate: found true on the bus can0 of type socketcan, expected it "
             "only on a bus of type simulated (canhub-sim simulates devices on others)"},
        Rule{"drivers_check", Device("address: 1, model: small, limits: {voltage: 2 kV}"),
             "3: devices.hv0: limits.voltage: found 2000 V, expected at most 1000 V for the model "
             "small"},
        Rule{"same_address",
             std::string(kHead) + "  a: {driver: demo-psu, bus: lab, address: 3}\n"
                                  "  b: {driver: demo-psu, bus: lab, address: 0x3}\n",
             "4: devices.b: found the address 3 on the bus lab, which a (line 3) has, expected an "
             "address of its own"}),
    [](const auto& info) { return info.param.name; });

TEST(LoaderTest, SameAddressOnTwoBusesIsFine) {
  EXPECT_TRUE(Parse("buses: {a: {type: simulated, bitrate: 125000}, b: {type: simulated, bitrate: "
                    "125000}}\n"
                    "devices:\n"
                    "  x: {driver: demo-psu, bus: a, address: 3}\n"
                    "  y: {driver: demo-psu, bus: b, address: 3}\n")
                  .ok());
}

TEST(LoaderTest, AWrongBusIsNotToldAgainForItsDevices) {
  const auto config = Parse(
      "buses: {lab: {bitrate: 125000}}\n"
      "devices: {a: {driver: demo-psu, bus: lab, address: 1, simulate: true}}\n");
  EXPECT_EQ(config.status().message(),
            "/etc/lab.yaml:1: buses.lab.type: found no such key, expected socketcan, simulated or "
            "socketcand");
}

// Every file of the corpus is refused with a text that names it, and none takes the process down.
class BadFileTest : public testing::TestWithParam<std::string> {};
TEST_P(BadFileTest, IsRefused) {
  const auto config = LoadConfig(GetParam(), TestDrivers());
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(config.status().message()), testing::StartsWith(GetParam() + ":"));
}
std::vector<std::string> BadFiles() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(CANHUB_SOURCE_DIR) +
                                                               "/daemon/config/testdata")) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}
INSTANTIATE_TEST_SUITE_P(Corpus, BadFileTest, testing::ValuesIn(BadFiles()), [](const auto& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace canhub
