#include "drivers/ystech-pcs/frames.h"

#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "drivers/api/errors.h"
#include "gtest/gtest.h"

namespace canhub::ystech_pcs {
namespace {

CanFrame Parse(std::string_view text) { return *ParseFrame(text); }
std::string Refusal(std::string_view text) { return BadFrameReason(Decode(Parse(text)).status()); }
double First(std::string_view text, const CodecOptions& options = {}) {
  return Decode(Parse(text), options)->values[0];
}
std::string Encoded(const absl::StatusOr<CanFrame>& frame) {
  if (frame.ok()) return FormatFrame(*frame);
  return absl::StatusCodeToString(frame.status().code()) + ": " +
         std::string(frame.status().message());
}
// Bytes as a set voltage of 0x1B would have them.
std::string BusVoltage(double voltage) {
  return Encoded(EncodeAs(Pf::kSetBusVoltageReactive, kDefaultAddress,
                          BusVoltageReactive{.bus_voltage_v = voltage}));
}

TEST(FrameTable, HasEveryCodeOfSection5) {
  EXPECT_EQ(Frames().size(), 57u);
  EXPECT_EQ(FindFrame(0x00), nullptr);
  EXPECT_EQ(FindFrame(0x3A), nullptr);
  EXPECT_STREQ(FindFrame(0x39)->name, "HighResDC");
}

TEST(FrameTable, ThirteenFramesComeEvery200Milliseconds) {
  std::set<int> periodic;
  for (const FrameSpec& frame : Frames()) {
    if (frame.sent == Sent::kPeriodic && frame.direction == Direction::kFromPcs) {
      periodic.insert(static_cast<int>(frame.pf));
    }
  }
  EXPECT_EQ(periodic, (std::set<int>{0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x23,
                                     0x24, 0x25, 0x39}));
}

TEST(FrameTable, FieldsLieInTheFrameAndDoNotOverlap) {
  for (const FrameSpec& frame : Frames()) {
    ASSERT_LE(frame.fields.size(), kMaxFields) << frame.name;
    int next = 0;
    for (const FieldSpec& field : frame.fields) {
      EXPECT_GE(field.byte, next) << frame.name << " " << field.name;
      next = field.byte + field.length;
    }
    EXPECT_LE(next, kFrameBytes) << frame.name;
  }
}

// Section 6.9's table.
TEST(FrameTable, SpecialsNameTheirFrames) {
  EXPECT_EQ(Specials().size(), 11u);
  EXPECT_EQ(FindSpecial(7)->set, Pf::kSetModuleParallel);
  EXPECT_EQ(FindSpecial(7)->replies[0], Pf::kModuleParallelReply);
  EXPECT_EQ(FindSpecial(0x0A)->set, std::nullopt);
  EXPECT_EQ(FindSpecial(0x0B)->replies.size(), 3u);
  EXPECT_EQ(FindSpecial(0), nullptr);
  EXPECT_EQ(FindSpecial(12), nullptr);
}

TEST(Filters, DevicePassesItsOwnFramesToTheController) {
  const CanFilter filter = DeviceFilter(0xFA);
  EXPECT_EQ(filter.id, 0x1800B4FAu);    // section 2
  EXPECT_EQ(filter.mask, 0x1F00FFFFu);  // section 2
  EXPECT_TRUE(filter.Matches(Parse("1839B4FA#00061A8000100590")));
  EXPECT_FALSE(filter.Matches(Parse("1839B401#00061A8000100590")));
  EXPECT_FALSE(filter.Matches(Parse("180FFAB4#0000000000000000")));
}

TEST(Filters, ControllerPassesCommandsToThisPcs) {
  EXPECT_TRUE(ControllerFilter(0xFA).Matches(Parse("180FFAB4#0000000000000000")));
  EXPECT_FALSE(ControllerFilter(0xFA).Matches(Parse("180F01B4#0000000000000000")));
}

TEST(DecodeFrame, KeepsUnknownStatesAndCodes) {
  const Status status = As<Status>(*Decode(Parse("1813B4FA#4D00FFFF00000000")));
  EXPECT_EQ(status.running_state, 0x4D);
  EXPECT_EQ(status.fault_code, 0xFFFF);
}

TEST(DecodeFrame, KeepsNumbersBeyondTheVendorsRange) {
  EXPECT_EQ(First("1802B4FA#FFFF000000000000"), 6553.5);
}

TEST(DecodeFrame, IgnoresReservedBytes) { EXPECT_EQ(First("1810B4FA#01FFFFFFFFFFFFFF"), 1); }

// 0.1 A above -1000 A: in one step, without the 2e-14 that adding the offset would leave.
TEST(DecodeFrame, OffsetsLeaveNoTrace) {
  EXPECT_EQ(As<DcData>(*Decode(Parse("1811B4FA#0FA0271100000353"))).current_a, 0.1);
  EXPECT_EQ(As<DcData>(*Decode(Parse("1811B4FA#0FA0271100000353"))).inlet_temperature_degc, 35.1);
}

// Section 4: signedness is not stated.
TEST(DecodeFrame, PowersAreSignedUnlessToldOtherwise) {
  EXPECT_EQ(First("1816B4FA#FF38000000C801F4"), -20);
  EXPECT_EQ(First("1816B4FA#FF38000000C801F4", {.signed_powers = false}), 6533.6);
}

TEST(DecodeFrame, ApparentPowerIsNeverNegative) {
  EXPECT_EQ(Decode(Parse("1816B4FA#00000000FF3801F4"))->values[2], 6533.6);
}

// Section 6.7: 0.1 may be a misprint for 0.001.
TEST(DecodeFrame, PowerFactorHasTheScaleTold) {
  const CanFrame frame = Parse("1815B4FA#01F401F401F4FC4A");
  EXPECT_EQ(Decode(frame)->values[3], -95);
  EXPECT_EQ(Decode(frame, {.power_factor_counts = 1000})->values[3], -0.95);
}

TEST(DecodeFrame, RefusesWhatIsNoFrameOfTheProtocol) {
  EXPECT_EQ(Refusal("7FF#0000000000000000"), "bad_identifier");       // 11 bits
  EXPECT_EQ(Refusal("1813B4FA#R8"), "bad_identifier");                // remote
  EXPECT_EQ(Refusal("1413B4FA#0D00000000000000"), "bad_identifier");  // priority 5
  EXPECT_EQ(Refusal("1913B4FA#0D00000000000000"), "bad_identifier");  // data page
  EXPECT_EQ(Refusal("1A13B4FA#0D00000000000000"), "bad_identifier");  // reserved bit
  EXPECT_EQ(Refusal("18F0B4FA#0D00000000000000"), "bad_identifier");  // PDU2
  EXPECT_EQ(Refusal("183AB4FA#0D00000000000000"), "unknown_frame");
  EXPECT_EQ(Refusal("1800B4FA#0D00000000000000"), "unknown_frame");
}

TEST(DecodeFrame, RefusesShortFrames) {
  EXPECT_EQ(Refusal("1813B4FA#0D000000000000"), "short_frame");
  EXPECT_EQ(Refusal("1813B4FA#"), "short_frame");
}

TEST(DecodeFrame, RefusesWrongAddresses) {
  EXPECT_EQ(Refusal("1813FAB4#0D00000000000000"), "bad_address");  // a state, from the controller
  EXPECT_EQ(Refusal("180FB4FA#0100000000000000"), "bad_address");  // a start, from a PCS
  EXPECT_EQ(Refusal("180FFA01#0100000000000000"), "bad_address");  // a start, from a stranger
  EXPECT_EQ(Refusal("1813B400#0D00000000000000"), "bad_address");  // 0x00 is no source
  EXPECT_EQ(Refusal("1813B4FF#0D00000000000000"), "bad_address");  // 0xFF is not assigned
  EXPECT_EQ(Refusal("180FFFB4#0100000000000000"), "bad_address");
}

TEST(DecodeFrame, NamesWhatItFoundAndExpected) {
  EXPECT_EQ(Decode(Parse("1813B4FA#0D")).status().message(),
            "Status (PF 0x13): found 1 bytes, expected 8");
}

// Section 13.4: the application truncates 0.3 V to 2, a power factor of 0.95 to 949.
TEST(EncodeFrame, RoundsToTheNearestCount) {
  EXPECT_EQ(Encoded(EncodeAs(kDefaultAddress, Heartbeat{.voltage_v = 0.3})),
            "181AFAB4#0003271002000000");
  EXPECT_EQ(Encoded(EncodeAs(kDefaultAddress, Heartbeat{.voltage_v = 0.35})),
            "181AFAB4#0004271002000000");
  EXPECT_EQ(Encoded(EncodeAs(kDefaultAddress, Heartbeat{.voltage_v = 0.349})),
            "181AFAB4#0003271002000000");
  EXPECT_EQ(Encoded(EncodeAs(kDefaultAddress, Heartbeat{.current_a = -0.06})),
            "181AFAB4#0000270F02000000");
}

TEST(EncodeFrame, RefusesWhatIsBeyondTheVendorsRange) {
  EXPECT_EQ(BusVoltage(680), "181BFAB4#1A90000000000000");
  EXPECT_EQ(BusVoltage(1000.04), "181BFAB4#2710000000000000");
  EXPECT_EQ(BusVoltage(679.9),
            "OUT_OF_RANGE: SetBusVoltageReactive, bus_voltage: found 679.9 V, expected 680 V to "
            "1000 V");
  EXPECT_EQ(BusVoltage(1e300).substr(0, 12), "OUT_OF_RANGE");
}

TEST(EncodeFrame, RefusesWhatTheBytesCannotHold) {
  EXPECT_EQ(EncodeAs(kDefaultAddress, Heartbeat{.voltage_v = -0.1}).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(EncodeAs(kDefaultAddress, Heartbeat{.voltage_v = 6553.6}).status().code(),
            absl::StatusCode::kOutOfRange);
}

TEST(EncodeFrame, RefusesNegativePowersWhenTheyAreMagnitudes) {
  const BusVoltageReactive settings = {.bus_voltage_v = 750, .reactive_power_kvar = -10};
  EXPECT_EQ(
      EncodeAs(Pf::kSetBusVoltageReactive, kDefaultAddress, settings, {.signed_powers = false})
          .status()
          .code(),
      absl::StatusCode::kOutOfRange);
}

TEST(EncodeFrame, RefusesNumbersThatAreNotFinite) {
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    const absl::Status status = EncodeAs(kDefaultAddress, Heartbeat{.voltage_v = value}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(GetErrorInfo(status).fields.at("field"), "voltage");
  }
}

TEST(EncodeFrame, RefusesAddressesThatNobodyHas) {
  const StartStop stop;
  EXPECT_TRUE(EncodeAs(0xFE, stop).ok());
  EXPECT_TRUE(EncodeAs(kBroadcastAddress, stop).ok());
  EXPECT_EQ(EncodeAs(0xFF, stop).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeAs(kControllerAddress, stop).status().code(), absl::StatusCode::kInvalidArgument);
  // What a PCS sends has one source.
  EXPECT_EQ(EncodeAs(kBroadcastAddress, Status{}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Quantize, GivesWhatTheWireHolds) {
  const FieldSpec& voltage = FrameOf(Pf::kHeartbeat).fields[0];
  EXPECT_EQ(*Quantize(voltage, 400.06), 400.1);
  EXPECT_EQ(Quantize(voltage, -1).status().code(), absl::StatusCode::kOutOfRange);
}

// Each struct has as many members as the frames it stands for have fields.
template <typename T>
void ExpectFieldsOf() {
  T message;
  for (const Pf pf : T::kPfs) {
    EXPECT_EQ(std::tuple_size_v<decltype(message.Fields())>, FrameOf(pf).fields.size())
        << FrameOf(pf).name;
  }
}
template <typename... T>
size_t ExpectFields() {
  (ExpectFieldsOf<T>(), ...);
  return (T::kPfs.size() + ...);
}

TEST(TypedFrames, StandForAllFramesAndHaveTheirFields) {
  const size_t frames =
      ExpectFields<ReadProtectionParams, ProtectionParams1, ProtectionParams2, ProtectionParams3,
                   SelectedReply, PlainReply, SetTime, WorkingMode, ModeParams, StartStop, DcData,
                   CapacityEnergy, Status, ThreePhases, GridCurrent, SystemPower, AcPower,
                   Heartbeat, BusVoltageReactive, ReadSpecialData, IoOutputs, IoAndAd,
                   SingleSetting, ReactiveControl, ModuleParallel, ChannelParallel, Version,
                   HighResDc>();
  EXPECT_EQ(frames, static_cast<size_t>(kFrameCount));
}

TEST(TypedFrames, TakeTheirMembersInOrder) {
  const DcData data = As<DcData>(*Decode(Parse("1811B4FA#0FA0290400C80352")));  // row 43
  EXPECT_EQ(data.voltage_v, 400);
  EXPECT_EQ(data.current_a, 50);
  EXPECT_EQ(data.power_kw, 20);
  EXPECT_EQ(data.inlet_temperature_degc, 35);
}

// Section 13.4: byte 1 is the result of 0x08 and 0x1C, not byte 0.
TEST(TypedFrames, AFailedWriteOfSet1IsNoSuccess) {
  EXPECT_FALSE(As<SelectedReply>(*Decode(Parse("1808B4FA#0100000000000000"))).success());
  EXPECT_TRUE(As<SelectedReply>(*Decode(Parse("1808B4FA#0201000000000000"))).success());
}

// Section 6.6: anything but 1 is failure.
TEST(TypedFrames, OnlyOneIsSuccess) {
  EXPECT_TRUE(As<PlainReply>(*Decode(Parse("1810B4FA#0100000000000000"))).success());
  EXPECT_FALSE(As<PlainReply>(*Decode(Parse("1810B4FA#0200000000000000"))).success());
}

}  // namespace
}  // namespace canhub::ystech_pcs
