// Names of devices in other places of the file: parameters that are items, groups.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/config/diff.h"
#include "daemon/config/loader.h"
#include "daemon/config/test_drivers.h"

namespace canhub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<Config> Parse(const std::string& text) {
  return ParseConfig(text, "/etc/lab.yaml", TestDrivers());
}
std::string ErrorOf(const std::string& text) { return std::string(Parse(text).status().message()); }

std::string Lab(const std::string& psu_keys, const std::string& rest = "") {
  return "buses: {lab: {type: simulated, bitrate: 125000}}\n"
         "devices:\n"
         "  psu0: {driver: demo-psu, bus: lab, address: 0" +
         psu_keys +
         "}\n"
         "  psu1: {driver: demo-psu, bus: lab, address: 1}\n" +
         rest;
}

// ---------------------------------------------------------------- items

TEST(ItemParameter, NamesADeviceFurtherDown) {
  const auto config = Parse(Lab(", follow: psu1/ch0.voltage"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->devices[0].config.Parameter("follow").text(), "psu1/ch0.voltage");
  EXPECT_EQ(config->devices[1].config.Parameter("follow").text(), "");
}

TEST(ItemParameter, MayBeNone) {
  const auto config = Parse(Lab(", mirror: psu1/ch0.voltage"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->devices[0].config.Parameter("mirror").text(), "psu1/ch0.voltage");
  EXPECT_FALSE(config->devices[1].config.Parameter("mirror").has_value());
}

TEST(ItemParameter, OfADeviceThatDoesNotExist) {
  EXPECT_EQ(ErrorOf(Lab(", follow: psu2/ch0.voltage")),
            "/etc/lab.yaml:3: devices.psu0.follow: found the device \"psu2\" (did you mean "
            "\"psu1\"?), expected one of devices: psu1");
}

TEST(ItemParameter, WithoutADevice) {
  for (const char* text : {"voltage", "psu1/"}) {
    EXPECT_THAT(ErrorOf(Lab(std::string(", follow: ") + text)),
                HasSubstr("expected an item of another device"))
        << text;
  }
}

TEST(ItemParameter, OfItself) {
  EXPECT_THAT(ErrorOf(Lab(", follow: psu0/ch0.voltage")), HasSubstr("an item of its own"));
}

// ---------------------------------------------------------------- groups

TEST(Groups, AreReadInTheirOrder) {
  const auto config = Parse(Lab("",
                                "groups:\n"
                                "  all: {devices: [psu1, psu0], on_failure: emergency_off}\n"
                                "  one: {devices: [psu0]}\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->groups, ElementsAre(GroupConfig{"all", {"psu1", "psu0"}, "emergency_off"},
                                          GroupConfig{"one", {"psu0"}, "ramp_down"}));
}

struct WrongGroup {
  const char* text;
  const char* error;
};
class GroupRule : public ::testing::TestWithParam<WrongGroup> {};
TEST_P(GroupRule, IsTold) {
  EXPECT_EQ(ErrorOf(Lab("", "groups:\n  " + std::string(GetParam().text) + "\n")),
            "/etc/lab.yaml:6: groups." + std::string(GetParam().error));
}
INSTANTIATE_TEST_SUITE_P(
    Document, GroupRule,
    ::testing::Values(
        WrongGroup{"psu0: {devices: [psu0]}",
                   "psu0: found the id of a bus or a device, expected an id of its own"},
        WrongGroup{"all: {devices: []}",
                   "all.devices: found no list, or an empty one, expected a list of devices of one "
                   "driver, each once"},
        WrongGroup{"all: {devices: [psu9]}",
                   "all.devices: found the device \"psu9\" (did you mean \"psu0\"?), expected one "
                   "of devices: psu0 or psu1"},
        WrongGroup{"all: {devices: [psu0, psu0]}",
                   "all.devices: found psu0 twice, expected a list of devices of one driver, each "
                   "once"},
        WrongGroup{"all: {devices: [psu0], on_failure: explode}",
                   "all.on_failure: found \"explode\", expected hold, ramp_down or emergency_off"},
        WrongGroup{"all: {devices: [psu0], members: 2}",
                   "all.members: found an unknown key, expected one of devices or on_failure"}));

TEST(Groups, AChangeNeedsARestart) {
  const auto running = Parse(Lab("", "groups:\n  all: {devices: [psu0]}\n"));
  const auto loaded = Parse(Lab("", "groups:\n  all: {devices: [psu0, psu1]}\n"));
  ASSERT_TRUE(running.ok() && loaded.ok());
  EXPECT_THAT(CompareConfigs(*running, *loaded).needs_restart,
              ElementsAre("groups: all: psu0, on failure ramp_down → all: psu0, psu1, on failure "
                          "ramp_down"));
}

}  // namespace
}  // namespace canhub
