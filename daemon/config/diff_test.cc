#include "daemon/config/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/config/loader.h"
#include "daemon/config/test_drivers.h"

namespace canhub {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Config Load(const std::string& text) {
  auto config = ParseConfig(text, "lab.yaml", TestDrivers());
  EXPECT_TRUE(config.ok()) << config.status();
  return *std::move(config);
}

std::string File(const std::string& device, const std::string& daemon = "") {
  return "buses: {lab: {type: simulated, bitrate: 125000}}\n"
         "devices:\n"
         "  hv0: {driver: demo-psu, bus: lab, address: 1" +
         device + "}\n" + daemon;
}

TEST(DiffTest, TheSameFileChangesNothing) {
  const Config config = Load(File(", limits: {voltage: 1 kV}"));
  const ConfigChanges changes = CompareConfigs(config, config);
  EXPECT_THAT(changes.applied, IsEmpty());
  EXPECT_THAT(changes.needs_restart, IsEmpty());
  EXPECT_THAT(changes.devices_changed, IsEmpty());
  EXPECT_FALSE(changes.access_changed);
  EXPECT_FALSE(changes.log_level_changed);
}

TEST(DiffTest, LimitsAreApplied) {
  const ConfigChanges changes =
      CompareConfigs(Load(File(", limits: {voltage: 1 kV}")),
                     Load(File(", limits: {voltage: 900 V, ramp: 5 V/s}")));
  EXPECT_THAT(changes.applied, ElementsAre("devices.hv0.limits.voltage: 1000 V → 900 V",
                                           "devices.hv0.limits.ramp: none → 5 V/s"));
  EXPECT_THAT(changes.devices_changed, ElementsAre("hv0"));
  EXPECT_EQ(changes.next.devices[0].config.limits.at("voltage"), 900);
}

TEST(DiffTest, ARemovedLimitIsApplied) {
  const ConfigChanges changes =
      CompareConfigs(Load(File(", limits: {voltage: 1 kV}")), Load(File("")));
  EXPECT_THAT(changes.applied, ElementsAre("devices.hv0.limits.voltage: 1000 V → none"));
  EXPECT_TRUE(changes.next.devices[0].config.limits.empty());
}

TEST(DiffTest, ActionsAndLeasesAreApplied) {
  const ConfigChanges changes = CompareConfigs(
      Load(File("")),
      Load(File(", on_lease_lost: hold, on_shutdown: ramp_down, require_lease: true")));
  EXPECT_THAT(changes.applied, ElementsAre("devices.hv0.on_lease_lost: ramp_down → hold",
                                           "devices.hv0.on_shutdown: hold → ramp_down",
                                           "devices.hv0.require_lease: false → true"));
  EXPECT_EQ(changes.next.devices[0].on_lease_lost, "hold");
  EXPECT_EQ(changes.next.devices[0].on_shutdown, "ramp_down");
  EXPECT_TRUE(changes.next.devices[0].require_lease);
}

TEST(DiffTest, AccessAndLogLevelAreApplied) {
  const ConfigChanges changes = CompareConfigs(
      Load(File("")), Load(File("", "access: {default: viewer}\nlog: {level: debug}\n")));
  EXPECT_THAT(changes.applied,
              ElementsAre("access: others here operator, remote viewer → others here viewer, "
                          "remote viewer",
                          "log.level: info → debug"));
  EXPECT_TRUE(changes.access_changed);
  EXPECT_TRUE(changes.log_level_changed);
  EXPECT_EQ(changes.next.access.local, Role::kViewer);
  EXPECT_EQ(changes.next.log_level, LogLevel::kDebug);
}

TEST(DiffTest, ParametersNeedARestartAndStayAsTheyRun) {
  const ConfigChanges changes =
      CompareConfigs(Load(File("")), Load(File(", poll: 2 s, poll_weight: 3, simulate: true")));
  EXPECT_THAT(changes.applied, IsEmpty());
  EXPECT_THAT(changes.needs_restart,
              ElementsAre("devices.hv0.simulate: false → true", "devices.hv0.poll_weight: 1 → 3",
                          "devices.hv0.poll: 0.5 → 2"));
  EXPECT_EQ(changes.next.devices[0].config.Parameter("poll").number(), 0.5);
  EXPECT_FALSE(changes.next.devices[0].simulate);
}

TEST(DiffTest, BusesAndAddressesNeedARestart) {
  const ConfigChanges changes = CompareConfigs(
      Load("buses: {lab: {type: simulated, bitrate: 125000}, b: {type: simulated, bitrate: "
           "125000}}\ndevices: {}\n"),
      Load("buses: {lab: {type: simulated, bitrate: 250000}, c: {type: socketcan, interface: can0, "
           "bitrate: 125000}}\ndevices: {}\nlisten: ['127.0.0.1:1']\nrealtime: {priority: 5}\n"
           "state_directory: /x\nready_timeout: 1 min\n"));
  EXPECT_THAT(changes.needs_restart,
              ElementsAre("listen: unix:/run/canhub/canhub.sock, 127.0.0.1:50051 → 127.0.0.1:1",
                          "state_directory: /var/lib/canhub → /x", "ready_timeout: 10 s → 1 min",
                          "realtime.priority: 0 → 5",
                          "buses.lab: simulated 125000 bit/s, 70 % → simulated 250000 bit/s, 70 %",
                          "buses.b: simulated 125000 bit/s, 70 % → none",
                          "buses.c: none → socketcan can0 125000 bit/s, 70 %"));
  EXPECT_EQ(changes.next.buses[0].bitrate, 125000u);
}

TEST(DiffTest, DevicesAddedOrRemovedNeedARestart) {
  const std::string head = "buses: {lab: {type: simulated, bitrate: 125000}}\ndevices:\n";
  const ConfigChanges changes =
      CompareConfigs(Load(head + "  a: {driver: demo-psu, bus: lab, address: 1}\n"),
                     Load(head + "  b: {driver: demo-psu, bus: lab, address: 1}\n"));
  EXPECT_THAT(changes.needs_restart,
              ElementsAre("devices.a: demo-psu → none", "devices.b: none → demo-psu"));
  EXPECT_EQ(changes.next.devices.size(), 1u);
  EXPECT_EQ(changes.next.devices[0].config.id, "a");
}

TEST(DiffTest, AMovedLineIsTakenOverInSilence) {
  const ConfigChanges changes =
      CompareConfigs(Load(File(", limits: {voltage: 1 kV}")),
                     Load("# moved\n" + File(", limits: {voltage: 1 kV}")));
  EXPECT_THAT(changes.applied, IsEmpty());
  EXPECT_THAT(changes.devices_changed, ElementsAre("hv0"));
  EXPECT_EQ(changes.next.devices[0].config.limit_origins.at("voltage"),
            "lab.yaml:4, devices.hv0.limits.voltage");
}

}  // namespace
}  // namespace canhub
