#include "daemon/bus/can_error_frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/can/error.h>

#include <vector>

namespace canhub {
namespace {

using testing::HasSubstr;

ErrorFrame Decode(uint32_t error_class, std::vector<uint8_t> data) {
  return DecodeErrorFrame(error_class, data);
}

TEST(ErrorFrameTest, BusOff) {
  const ErrorFrame error = Decode(CAN_ERR_BUSOFF, {0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(error.state, BusState::kBusOff);
  EXPECT_TRUE(error.is_error);
  EXPECT_EQ(error.text, "bus-off");
}

TEST(ErrorFrameTest, BusOffWinsOverAnyOtherStateInTheSameFrame) {
  EXPECT_EQ(
      Decode(CAN_ERR_BUSOFF | CAN_ERR_CRTL, {0, CAN_ERR_CRTL_TX_PASSIVE, 0, 0, 0, 0, 248, 0}).state,
      BusState::kBusOff);
}

TEST(ErrorFrameTest, Restarted) {
  const ErrorFrame error = Decode(CAN_ERR_RESTARTED, {0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_TRUE(error.restarted);
  EXPECT_EQ(error.state, BusState::kActive);
}

TEST(ErrorFrameTest, ControllerStates) {
  const auto state = [](uint8_t controller) {
    return Decode(CAN_ERR_CRTL, {0, controller, 0, 0, 0, 0, 0, 0}).state;
  };
  EXPECT_EQ(state(CAN_ERR_CRTL_RX_WARNING), BusState::kWarning);
  EXPECT_EQ(state(CAN_ERR_CRTL_TX_WARNING), BusState::kWarning);
  EXPECT_EQ(state(CAN_ERR_CRTL_TX_PASSIVE), BusState::kPassive);
  EXPECT_EQ(state(CAN_ERR_CRTL_RX_PASSIVE | CAN_ERR_CRTL_TX_WARNING), BusState::kPassive);
  EXPECT_EQ(state(CAN_ERR_CRTL_ACTIVE), BusState::kActive);
  EXPECT_EQ(state(CAN_ERR_CRTL_RX_OVERFLOW), std::nullopt);
}

TEST(ErrorFrameTest, CountersWithTheFlagOfLinux519) {
  const ErrorFrame error = Decode(0x200, {0, 0, 0, 0, 0, 0, 0, 17});
  EXPECT_EQ(error.transmit_error_counter, 0u);
  EXPECT_EQ(error.receive_error_counter, 17u);
}

TEST(ErrorFrameTest, CountersOfOlderDriversCameWithTheControllerState) {
  const ErrorFrame error = Decode(CAN_ERR_CRTL, {0, CAN_ERR_CRTL_TX_WARNING, 0, 0, 0, 0, 96, 3});
  EXPECT_EQ(error.transmit_error_counter, 96u);
  EXPECT_EQ(error.receive_error_counter, 3u);
  EXPECT_THAT(error.text, HasSubstr("transmit errors 96, receive errors 3"));
}

TEST(ErrorFrameTest, NoCountersWithoutTheFlag) {
  EXPECT_EQ(Decode(CAN_ERR_PROT, {0, 0, 0, 0, 0, 0, 9, 9}).transmit_error_counter, std::nullopt);
}

TEST(ErrorFrameTest, ProtocolErrorNamesKindAndPlace) {
  const ErrorFrame error =
      Decode(CAN_ERR_PROT | CAN_ERR_BUSERROR,
             {0, 0, CAN_ERR_PROT_STUFF | CAN_ERR_PROT_TX, CAN_ERR_PROT_LOC_DATA, 0, 0, 0, 0});
  EXPECT_EQ(error.text, "stuff error; while transmitting in data");
  EXPECT_TRUE(error.is_error);
  EXPECT_EQ(error.state, std::nullopt);
}

TEST(ErrorFrameTest, LostArbitrationIsNoError) {
  const ErrorFrame error = Decode(CAN_ERR_LOSTARB, {5, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_FALSE(error.is_error);
  EXPECT_EQ(error.text, "arbitration lost in bit 5");
}

TEST(ErrorFrameTest, TransmitTimeoutAndMissingAcknowledge) {
  const ErrorFrame error = Decode(CAN_ERR_TX_TIMEOUT | CAN_ERR_ACK, {0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_TRUE(error.transmit_timeout);
  EXPECT_THAT(error.text, HasSubstr("nobody acknowledged"));
}

TEST(ErrorFrameTest, TransceiverNamesTheWire) {
  EXPECT_EQ(Decode(CAN_ERR_TRX, {0, 0, 0, 0, CAN_ERR_TRX_CANL_SHORT_TO_CANH, 0, 0, 0}).text,
            "CAN_L shorted to CAN_H");
}

TEST(ErrorFrameTest, ClassWithoutDetailsIsEnoughForTheState) {
  EXPECT_EQ(DecodeErrorFrame(CAN_ERR_BUSOFF, {}).state, BusState::kBusOff);
  EXPECT_EQ(DecodeErrorFrame(CAN_ERR_CRTL, {}).state, std::nullopt);
  EXPECT_EQ(DecodeErrorFrame(0, {}).text, "error class 0");
}

}  // namespace
}  // namespace canhub
