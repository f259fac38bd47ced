// The battery of an Xcom-CAN in battery mode. Golden frames: a captured BYD ("Studer facts",
// section 13).
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/studer/bms_codec.h"
#include "drivers/studer/driver.h"
#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::studer {
namespace {

using namespace std::chrono_literals;
using testing::DoubleNear;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

constexpr char kLimitsFrame[] = "351#480200050005AE01";
constexpr char kStateFrame[] = "355#4300640000000000";
constexpr char kMeasuredFrame[] = "356#BE14F9FF8C000000";

BatteryReport Decoded(std::string_view frame) {
  const absl::StatusOr<BatteryReport> report = DecodeBattery(*ParseFrame(frame));
  EXPECT_TRUE(report.ok()) << report.status();
  return report.value_or(BatteryReport());
}

TEST(BmsCodec, DecodesLimits) {  // 58.4 V, 128 A, 128 A, 43.0 V
  const BatteryReport report = Decoded(kLimitsFrame);
  EXPECT_THAT(report.charge_voltage, Optional(58.4));
  EXPECT_THAT(report.charge_current_limit, Optional(128));
  EXPECT_THAT(report.discharge_current_limit, Optional(128));
  EXPECT_THAT(report.discharge_voltage, Optional(43));
}
TEST(BmsCodec, DecodesState) {  // 67 %, 100 %
  const BatteryReport report = Decoded(kStateFrame);
  EXPECT_THAT(report.soc, Optional(67));
  EXPECT_THAT(report.soh, Optional(100));
}
TEST(BmsCodec, DecodesMeasurements) {  // 53.10 V, -0.7 A, 14.0 C
  const BatteryReport report = Decoded(kMeasuredFrame);
  EXPECT_THAT(report.voltage, Optional(53.1));
  EXPECT_THAT(report.current, Optional(-0.7));
  EXPECT_THAT(report.temperature, Optional(14));
}
TEST(BmsCodec, DecodesMakerAndCapacity) {
  EXPECT_THAT(Decoded("35E#4259440000000000").maker, Optional(std::string("BYD")));
  EXPECT_THAT(Decoded("35E#50594C4F4E202020").maker, Optional(std::string("PYLON")));
  EXPECT_THAT(Decoded("35F#4C69011769000000").capacity, Optional(105));
}
TEST(BmsCodec, TakesTheFineStateOfChargeWhereItIsFilled) {
  EXPECT_THAT(Decoded("355#43006400521A0000").soc, Optional(67.38));
  EXPECT_THAT(Decoded("355#43006400E8030000").soc, Optional(67));  // another value altogether
}
TEST(BmsCodec, TakesPylontechsShortFrames) {  // V1.2
  EXPECT_THAT(Decoded("351#480200050005").charge_voltage, Optional(58.4));
  EXPECT_EQ(Decoded("351#480200050005").discharge_voltage, std::nullopt);
  EXPECT_THAT(Decoded("355#43006400").soc, Optional(67));
}
TEST(BmsCodec, InvalidValuesAreNone) {  // 0x8000 signed, 0xFFFF unsigned
  const BatteryReport report = Decoded("356#0080F9FF0080");
  EXPECT_EQ(report.voltage, std::nullopt);
  EXPECT_THAT(report.current, Optional(-0.7));
  EXPECT_EQ(report.temperature, std::nullopt);
  EXPECT_EQ(Decoded("355#FFFF6400").soc, std::nullopt);
}
TEST(BmsCodec, RefusesShortAndForeignFrames) {
  EXPECT_EQ(BadFrameReason(DecodeBattery(*ParseFrame("351#4802000500")).status()), "short_frame");
  EXPECT_EQ(BadFrameReason(DecodeBattery(*ParseFrame("00000351#480200050005AE01")).status()),
            "not_standard");
}
TEST(BmsCodec, EncodesWhatItDecodes) {
  BatteryReport report = Decoded(kLimitsFrame);
  EXPECT_EQ(EncodeBattery(kBmsLimits, report), *ParseFrame(kLimitsFrame));
  report = Decoded(kMeasuredFrame);
  EXPECT_EQ(EncodeBattery(kBmsMeasured, report), *ParseFrame(kMeasuredFrame));
  EXPECT_EQ(EncodeBattery(kBmsMaker, {.maker = "BYD"}), *ParseFrame("35E#4259440000000000"));
  // State of charge twice: 67 % and 67.00 %.
  EXPECT_EQ(EncodeBattery(kBmsState, {.soc = 67, .soh = 100}), *ParseFrame("355#430064002C1A0000"));
}
TEST(BmsCodec, WhatDoesNotFitIsNotClamped) {
  EXPECT_EQ(EncodeBattery(kBmsMeasured, {.voltage = 400, .current = 0, .temperature = 20}),
            std::nullopt);
  EXPECT_EQ(EncodeBattery(kBmsState, {.soc = -1, .soh = 100}), std::nullopt);
  EXPECT_EQ(EncodeBattery(kBmsState, {.soc = 50}), std::nullopt);
}

std::vector<std::string> Raised(std::string_view frame) {
  std::vector<std::string> raised;
  for (const BatteryCondition& c : ConditionsOf(*ParseFrame(frame))) {
    if (c.raised) raised.push_back(std::string(c.alarm ? "alarm " : "warning ") + c.name);
  }
  return raised;
}
TEST(BmsCodec, AHealthyBydRaisesNothing) {
  EXPECT_THAT(Raised("35A#AAAAAAAAAAAAAAAA"), IsEmpty());
  EXPECT_EQ(ConditionsOf(*ParseFrame("35A#AAAAAAAAAAAAAAAA")).size(), 26u);
}
TEST(BmsCodec, AlarmPairsHaveTheirPlaces) {
  EXPECT_THAT(Raised("35A#A6AAAAAAAAAAAAAA"), testing::ElementsAre("alarm high_voltage"));
  EXPECT_THAT(Raised("35A#AAA9AAAAAAAAAAAA"), testing::ElementsAre("alarm low_temperature"));
  EXPECT_THAT(Raised("35A#AAAA9AAAAAAAAAAA"), testing::ElementsAre("alarm short_circuit"));
  EXPECT_THAT(Raised("35A#AAAAAAAAAAAAAAA9"), testing::ElementsAre("warning cell_imbalance"));
}
TEST(BmsCodec, PylontechFlagsHaveTheirPlaces) {  // 0x359
  EXPECT_THAT(Raised("359#8201000000504E00"),
              testing::ElementsAre("alarm high_voltage", "alarm high_discharge_current",
                                   "alarm high_charge_current"));
  EXPECT_THAT(Raised("359#0000100800504E00"),
              testing::ElementsAre("warning low_temperature", "warning internal"));
}

// ---------------------------------------------------------------- the driver

class BatteryTest : public testing::Test {
 protected:
  void Make(std::vector<std::pair<std::string, Value>> parameters = {}) {
    h_ = std::make_unique<DriverHarness>(
        DefaultConfig("bat1", BatteryInfo().parameters, std::move(parameters)));
    driver_ = BatteryInfo().create(h_->Context());
    driver_->OnBusState(BusState::kActive);
    driver_->Start();
  }
  void Receive(std::string_view frame) { driver_->OnFrame(h_->Rx(*ParseFrame(frame))); }
  void ReceiveAll() {
    for (const char* frame : {kLimitsFrame, kStateFrame, kMeasuredFrame}) Receive(frame);
  }
  void Feed(const std::string& item, double value, Quality quality = Quality::kGood) {
    h_->readings.Set(
        "bat0/" + item,
        {.quality = quality, .value = quality == Quality::kGood ? Value::Number(value) : Value()});
  }
  void FeedAll() {
    Feed("voltage", 53.1);
    Feed("current", 0.7);  // discharges
    Feed("soc", 67);
    Feed("temperature", 14);
  }
  static std::vector<std::pair<std::string, Value>> Bms() {
    return {{"act_as_bms", Value::Flag(true)},
            {"voltage", Value::Text("bat0/voltage")},
            {"current", Value::Text("bat0/current")},
            {"soc", Value::Text("bat0/soc")},
            {"temperature", Value::Text("bat0/temperature")},
            {"charge_voltage", Value::Number(58.4)},
            {"discharge_voltage", Value::Number(43)},
            {"charge_current", Value::Number(128)},
            {"discharge_current", Value::Number(128)}};
  }
  std::vector<std::string> Sent() {
    std::vector<std::string> frames;
    for (const CanFrame& frame : h_->bus.Take()) frames.push_back(FormatFrame(frame));
    return frames;
  }

  std::unique_ptr<DriverHarness> h_;
  std::unique_ptr<Driver> driver_;
};

TEST_F(BatteryTest, ABatteryIsOverheard) {
  Make();
  ReceiveAll();
  EXPECT_EQ(h_->state.link(), LinkState::kOnline);
  EXPECT_TRUE(h_->state.polled());
  EXPECT_EQ(h_->state.Read("pack.voltage").value.number(), 53.1);
  EXPECT_EQ(h_->state.Read("pack.current_mean").value.number(), 0.7);  // discharges
  EXPECT_EQ(h_->state.Read("pack.soc_min").value.number(), 67);
  EXPECT_EQ(h_->state.Read("pack.charge_current_limit").value.number(), 128);
}
TEST_F(BatteryTest, AListenerSendsNothing) {
  Make();
  ReceiveAll();
  h_->Advance(60s);
  EXPECT_THAT(Sent(), IsEmpty());
}
TEST_F(BatteryTest, S03_ItsReadingsEndWhenItStopsSending) {
  Make();
  ReceiveAll();
  h_->Advance(2999ms);
  EXPECT_EQ(h_->state.Read("pack.voltage").quality, Quality::kGood);
  h_->Advance(1001ms);
  EXPECT_EQ(h_->state.Read("pack.voltage").quality, Quality::kStale);
  EXPECT_EQ(h_->state.link(), LinkState::kLost);
  EXPECT_FALSE(h_->state.polled());
}
TEST_F(BatteryTest, ItsAlarmsAreAlarms) {
  Make();
  Receive("35A#A6AAAAAAAAAAAAAA");
  EXPECT_TRUE(h_->alarms.active("battery.high_voltage"));
  Receive("35A#AAAAAAAAAAAAAAAA");
  EXPECT_FALSE(h_->alarms.active("battery.high_voltage"));
}
TEST_F(BatteryTest, ShortFramesAreCounted) {
  Make();
  Receive("351#48");
  EXPECT_EQ(h_->log.bad_frames("short_frame"), 1);
}
TEST_F(BatteryTest, TheSimulatedBatteryIsUnderstood) {
  Make();
  DriverHarness line(h_->config);
  const std::unique_ptr<Simulator> battery = BatteryInfo().create_simulator(line.ForSimulator());
  battery->Start();
  line.Advance(1s);
  for (const CanFrame& frame : line.bus.Take()) driver_->OnFrame(h_->Rx(frame));
  EXPECT_TRUE(h_->state.polled());
  EXPECT_EQ(h_->state.identity().at("maker"), "PYLON");
  EXPECT_TRUE(h_->state.Read("pack.charge_enable").value.flag());
}

TEST_F(BatteryTest, ActsAsTheBattery) {
  Make(Bms());
  FeedAll();
  h_->Advance(1s);
  EXPECT_THAT(Sent(), testing::ElementsAre(kLimitsFrame, "355#430064002C1A0000", kMeasuredFrame,
                                           "35C#C000000000000000", "35E#63616E6875620000"));
  h_->Advance(10s);
  EXPECT_EQ(Sent().size(), 50u);
}
TEST_F(BatteryTest, ActsSilentlyUntilEveryReadingIsThere) {
  Make(Bms());
  h_->Advance(10s);
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_TRUE(h_->alarms.active("bms_not_fed"));
}
TEST_F(BatteryTest, ActsSilentlyAsSoonAsOneReadingIsStale) {
  Make(Bms());
  FeedAll();
  h_->Advance(3s);
  Sent();
  Feed("temperature", 0, Quality::kStale);
  h_->Advance(10s);
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_THAT(h_->state.link_text(), HasSubstr("bat0/temperature is STALE"));
  EXPECT_TRUE(h_->alarms.active("bms_not_fed"));
  FeedAll();
  h_->Advance(1s);
  EXPECT_EQ(Sent().size(), 5u);
  EXPECT_FALSE(h_->alarms.active("bms_not_fed"));
}
TEST_F(BatteryTest, AReadingThatDoesNotFitSilencesAllFrames) {
  Make(Bms());
  FeedAll();
  Feed("voltage", 800);
  h_->Advance(5s);
  EXPECT_THAT(Sent(), IsEmpty());
}
TEST_F(BatteryTest, ActingWithoutFeedsIsRefusedByTheConfiguration) {
  auto parameters = Bms();
  DeviceConfig config = DefaultConfig("bat1", BatteryInfo().parameters, parameters);
  EXPECT_TRUE(BatteryInfo().check(config).ok());
  config.parameters["soc"] = Value();
  EXPECT_THAT(std::string(BatteryInfo().check(config).message()),
              HasSubstr("bat1: soc: found none"));
  config = DefaultConfig("bat1", BatteryInfo().parameters, parameters);
  config.parameters["charge_current"] = Value::Number(0);
  EXPECT_THAT(std::string(BatteryInfo().check(config).message()),
              HasSubstr("charge_current: found 0 A"));
}

}  // namespace
}  // namespace canhub::studer
