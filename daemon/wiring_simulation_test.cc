#include "daemon/wiring_simulation.h"

#include <gtest/gtest.h>

namespace canhub {
namespace {

TEST(SimulationBusTest, ReadsASocketCanInterface) {
  const auto bus = ParseSimulationBus("socketcan:vcan0");
  ASSERT_TRUE(bus.ok()) << bus.status();
  EXPECT_EQ(bus->type, BusType::kSocketCan);
  EXPECT_EQ(bus->interface, "vcan0");
}

TEST(SimulationBusTest, ReadsASocketcand) {
  const auto bus = ParseSimulationBus("socketcand:127.0.0.1:29536/lab");
  ASSERT_TRUE(bus.ok()) << bus.status();
  EXPECT_EQ(bus->type, BusType::kSocketcand);
  EXPECT_EQ(bus->host, "127.0.0.1");
  EXPECT_EQ(bus->port, 29536);
  EXPECT_EQ(bus->interface, "lab");
}

TEST(SimulationBusTest, SaysWhatIsExpected) {
  for (const char* text : {"", "vcan0", "socketcan:", "socketcand:127.0.0.1:1", "socketcand:"}) {
    EXPECT_EQ(ParseSimulationBus(text).status().message(),
              "found \"" + std::string(text) +
                  "\", expected socketcan:INTERFACE or socketcand:HOST:PORT/BUS");
  }
}

TEST(SimulationBusTest, ReachesASimulatedBusWhereItIsServed) {
  const auto bus =
      SimulationBusOf({.id = "lab", .type = BusType::kSimulated, .serve = "127.0.0.1:29536"});
  ASSERT_TRUE(bus.ok()) << bus.status();
  EXPECT_EQ(bus->type, BusType::kSocketcand);
  EXPECT_EQ(bus->port, 29536);
  EXPECT_EQ(bus->interface, "lab");
}

TEST(SimulationBusTest, CannotReachABusThatIsNotServed) {
  EXPECT_EQ(SimulationBusOf({.id = "lab", .type = BusType::kSimulated}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SimulationBusOf({.id = "lab", .type = BusType::kSimulated, .serve = "127.0.0.1:0"})
                .status()
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(AdHocConfigTest, IsAConfiguration) {
  EXPECT_EQ(*AdHocConfig("sim", "iseg", 250000, {"address=3", "poll=1 s"}),
            "buses: {bus: {type: simulated, bitrate: 250000}}\n"
            "devices:\n"
            "  sim:\n"
            "    bus: bus\n"
            "    driver: iseg\n"
            "    address: 3\n"
            "    poll: 1 s\n");
}

TEST(AdHocConfigTest, RefusesWhatIsNoSetting) {
  EXPECT_EQ(AdHocConfig("sim", "iseg", 250000, {"address"}).status().message(),
            "--set: found \"address\", expected KEY=VALUE");
}

}  // namespace
}  // namespace canhub
