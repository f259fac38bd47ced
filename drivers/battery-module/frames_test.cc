// From frames to readings: values, signs, bad frames, the alarm and the information frame. The
// check sums of alarm frames that are not in the facts were calculated apart from this code, by the
// rule of section 12.2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/battery-module/battery_testing.h"

namespace canhub::battery_module {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kNormal1[] = "181#00007A12AEAE1416";
constexpr char kNormal3[] = "381#AEAEAEAEAEAEAEAE";
constexpr char kNormal4[] = "481#AEAEAEAE00000000";

class Frames : public testing::Test {
 protected:
  Frames() { alone_.Count(); }
  int Bad(const char* reason) { return alone_.h.log.bad_frames(reason); }
  Alone alone_;
};

TEST_F(Frames, Values) {
  alone_.Poll({"181#3DFC7A12AEAF1416", kNormal3, "481#AEAEAEAF00000000", "281#4300646405080000",
               "191#F2010000A3C10500", "291#151414FFD8167F00"});
  // On the bus a negative current discharges (facts, section 4.7); here it is positive.
  EXPECT_EQ(alone_.Number("module1.current"), 96.30000000000001);
  EXPECT_EQ(alone_.Number("module1.voltage"), 47.300000000000004);
  EXPECT_EQ(alone_.Number("module1.reported_cell_max"), 3.95);
  EXPECT_EQ(alone_.Number("module1.temperature_min"), 20);
  EXPECT_EQ(alone_.Number("module1.cell12_voltage"), 3.95);
  EXPECT_EQ(alone_.Number("module1.status"), 67);
  EXPECT_EQ(alone_.Number("module1.soc"), 50);
  EXPECT_EQ(alone_.Number("module1.soh"), 100);
  EXPECT_EQ(alone_.Number("module1.balancing"), 2053);
  EXPECT_EQ(alone_.h.state.Read("module1.charge").value, Value::Integer(498));
  EXPECT_EQ(alone_.h.state.Read("module1.discharge").value, Value::Integer(377251));
  EXPECT_EQ(alone_.Number("module1.temperature5"), -40);
  EXPECT_EQ(alone_.Number("module1.temperature7"), 127);
}

TEST(FramesSign, TheOtherSignIsConfigured) {
  Alone alone({{"current_positive_is", Value::Text("discharge")}});
  alone.Count();
  alone.Poll({"181#3DFC7A12AEAF1416"});
  EXPECT_EQ(alone.Number("module1.current"), -96.30000000000001);
}

TEST_F(Frames, ExtremesOfTheCells) {
  alone_.Poll({kNormal1, "381#AEAEB0AEAEAEA8AE", kNormal4});
  EXPECT_EQ(alone_.Number("module1.cell_voltage_max"), 3.96);
  EXPECT_EQ(alone_.Number("module1.cell_voltage_max_cell"), 3);
  EXPECT_EQ(alone_.Number("module1.cell_voltage_min"), 3.88);
  EXPECT_EQ(alone_.Number("module1.cell_voltage_min_cell"), 7);
  EXPECT_NEAR(alone_.Number("module1.cell_voltage_spread"), 0.08, 1e-12);
  EXPECT_NEAR(alone_.Number("module1.cell_voltage_sum"), 10 * 3.94 + 3.96 + 3.88, 1e-9);
}

TEST(FramesPack, ThePackIsTheSumAndTheExtremesOfItsModules) {
  Alone alone;
  const auto frames = {kNormal1,
                       kNormal3,
                       kNormal4,
                       "182#00006A12AEAE1018",
                       "382#AEAEAEAEAEAEAEA0",
                       "482#AEAEAEAE00000000"};
  for (int i = 0; i < 13; ++i) alone.Poll(frames);
  alone.h.Advance(milliseconds(100));
  EXPECT_EQ(alone.Number("pack.module_count"), 2);
  EXPECT_NEAR(alone.Number("pack.voltage"), 47.30 + 47.14, 1e-9);
  EXPECT_NEAR(alone.Number("pack.module_voltage_spread"), 0.16, 1e-9);
  EXPECT_EQ(alone.Number("pack.module_voltage_min_module"), 2);
  EXPECT_EQ(alone.Number("pack.module_voltage_max_module"), 1);
  EXPECT_NEAR(alone.Number("pack.cell_voltage_min"), 3.80, 1e-9);
  EXPECT_EQ(alone.Number("pack.cell_voltage_min_module"), 2);
  EXPECT_EQ(alone.Number("pack.cell_voltage_min_cell"), 8);
  EXPECT_NEAR(alone.Number("pack.cell_voltage_sum"), 24 * 3.94 - 0.14, 1e-9);
  EXPECT_EQ(alone.Number("pack.temperature_min"), 16);
  EXPECT_EQ(alone.Number("pack.temperature_min_module"), 2);
  EXPECT_EQ(alone.Number("pack.temperature_max"), 24);
}

TEST_F(Frames, S07_AShortFrameChangesNothing) {
  const Reading before = alone_.h.state.Read("module1.voltage");
  alone_.h.Advance(milliseconds(10));
  alone_.Receive("181#00000000AEAE14");
  EXPECT_EQ(Bad("wrong_length"), 1);
  EXPECT_EQ(alone_.h.state.Read("module1.voltage").read_time, before.read_time);
  EXPECT_EQ(alone_.Number("module1.voltage"), 47.300000000000004);
}

TEST_F(Frames, AllOnesAreNoValues) {
  alone_.Poll({"181#FFFFFFFFFFFFFFFF", "381#FFFFFFFFFFFFFFFF"});
  EXPECT_EQ(alone_.QualityOf("module1.voltage"), Quality::kBad);
  EXPECT_EQ(alone_.QualityOf("module1.cell3_voltage"), Quality::kBad);
  EXPECT_NE(alone_.QualityOf("module1.cell_voltage_max"), Quality::kGood);
  EXPECT_EQ(Bad("all_ones"), 2);
}

TEST_F(Frames, AllOnesForASecondAreASilentModule) {
  for (int i = 0; i < 12; ++i) alone_.Poll({"181#FFFFFFFFFFFFFFFF", kNormal3, kNormal4});
  EXPECT_TRUE(alone_.Alarm("module1.stale"));
}

TEST_F(Frames, AVoltageThatTheCellsCannotMakeIsBad) {
  alone_.Poll({"181#0000FFFEAEAE1416", kNormal3, kNormal4});  // 652.80 V
  EXPECT_EQ(alone_.QualityOf("module1.voltage"), Quality::kBad);
  EXPECT_EQ(alone_.QualityOf("module1.current"), Quality::kGood);
  EXPECT_EQ(Bad("impossible_value"), 1);
}

TEST_F(Frames, S03_GoodEndsAfterASecond) {
  alone_.ReceiveNormal();
  alone_.h.Advance(milliseconds(999));
  EXPECT_EQ(alone_.QualityOf("module1.cell1_voltage"), Quality::kGood);
  alone_.h.Advance(milliseconds(1));
  EXPECT_EQ(alone_.QualityOf("module1.cell1_voltage"), Quality::kStale);
}

TEST_F(Frames, SensorsAreGoodForTenSeconds) {
  alone_.Receive("291#1514141414161400");
  alone_.h.Advance(milliseconds(9999));
  EXPECT_EQ(alone_.QualityOf("module1.temperature1"), Quality::kGood);
  EXPECT_FALSE(alone_.Alarm("module1.sensors_stale"));
  alone_.h.Advance(milliseconds(101));
  EXPECT_EQ(alone_.QualityOf("module1.temperature1"), Quality::kStale);
  EXPECT_TRUE(alone_.Alarm("module1.sensors_stale"));
}

TEST_F(Frames, FramesOfNobodyAreNotLookedAt) {
  for (const char* frame : {"1A0#00", "19F0#00", "0A100100#E12001F402007B09", "701#01", "081#"}) {
    if (const auto parsed = ParseFrame(frame); parsed.ok()) {
      alone_.driver->OnFrame(alone_.h.Rx(*parsed));
    }
  }
  EXPECT_TRUE(alone_.h.log.bad_frames().empty());
}

// ---------------------------------------------------------------- the alarm frame (section 12.2)

TEST_F(Frames, AModulesOwnDanger) {
  alone_.Receive("1A1#30007003340109FD");
  EXPECT_EQ(alone_.Number("module1.alarm_flags"), 0x700030 & 0xFFFFF);
  EXPECT_TRUE(alone_.h.state.Read("module1.is_over_temperature_danger").value.flag());
  EXPECT_FALSE(alone_.h.state.Read("module1.is_cell_imbalance").value.flag());
  EXPECT_EQ(alone_.Number("module1.worst_cell"), 7);
  EXPECT_EQ(alone_.Number("module1.worst_sensor"), 3);
  EXPECT_EQ(alone_.Number("module1.fault_code"), 308);
  EXPECT_EQ(alone_.Level("pack.fault_level"), 2);
  EXPECT_TRUE(alone_.Alarm("module1.fault_dangerous"));
  EXPECT_EQ(alone_.Level(), 2);
}

TEST_F(Frames, WhatAlarmBitsAndCodesMean) {
  struct Case {
    const char* frame;
    int level;
  };
  const Case cases[] = {{"1A1#00000000000001AB", 0},   // nothing
                        {"1A1#00000600000001CA", 0},   // balancing, contactor: information
                        {"1A1#00400000000001FB", 1},   // imbalance
                        {"1A1#00000000C8000107", 1},   // 200
                        {"1A1#0000000001000124", 1},   // unspecified
                        {"1A1#00000100000001C1", 2},   // self test failed
                        {"1A1#0000000065000172", 2}};  // 101
  for (const Case& c : cases) {
    Alone alone;
    alone.Count();
    alone.Receive(c.frame);
    EXPECT_EQ(alone.Level("pack.fault_level"), c.level) << c.frame;
    EXPECT_EQ(alone.h.log.bad_frames("bad_crc"), 0) << c.frame;
  }
}

TEST_F(Frames, AWrongCheckSumIsAWarningAndNoOpinion) {
  alone_.Receive("1A1#30007003340109FC");
  EXPECT_EQ(Bad("bad_crc"), 1);
  EXPECT_EQ(alone_.QualityOf("module1.fault_code"), Quality::kNeverRead);
  EXPECT_TRUE(alone_.Alarm("module1.alarm_frame"));
  EXPECT_EQ(alone_.Level("pack.fault_level"), 0);
  EXPECT_EQ(alone_.Level(), 1);
  alone_.Receive("1A1#00000000000001AB");
  EXPECT_FALSE(alone_.Alarm("module1.alarm_frame"));
  EXPECT_EQ(alone_.Level(), 0);
}

TEST_F(Frames, ACounterThatStandsForThreeFramesIsAWarning) {
  for (int i = 0; i < 3; ++i) alone_.Receive("1A1#00000000000001AB");
  EXPECT_FALSE(alone_.Alarm("module1.alarm_frame"));
  alone_.Receive("1A1#00000000000001AB");
  EXPECT_TRUE(alone_.Alarm("module1.alarm_frame"));
  alone_.Receive("1A1#000000000000028C");
  EXPECT_FALSE(alone_.Alarm("module1.alarm_frame"));
}

TEST_F(Frames, AnAlarmFrameThatStopsIsAWarning) {
  alone_.Receive("1A1#00000000000001AB");
  alone_.Poll({kNormal1, kNormal3, kNormal4}, 16);
  EXPECT_TRUE(alone_.Alarm("module1.alarm_frame"));
  EXPECT_EQ(alone_.Level(), 1);
}

TEST_F(Frames, ANetworkWithoutAlarmFramesIsNormal) {
  alone_.Poll({kNormal1, kNormal3, kNormal4}, 50);
  EXPECT_FALSE(alone_.Alarm("module1.alarm_frame"));
}

// ---------------------------------------------------------------- the information frame (12.3)

TEST_F(Frames, InformationPages) {
  for (const char* frame : {"2A1#000C070201040000", "2A1#0112345678541500", "2A1#0200801C43000000",
                            "2A1#030F850000000000", "2A1#1B55000000000000"}) {
    alone_.Receive(frame);
  }
  EXPECT_EQ(alone_.Number("module1.cell_count"), 12);
  EXPECT_EQ(alone_.Number("module1.sensor_count"), 7);
  EXPECT_EQ(alone_.Number("module1.hardware_revision"), 2);
  EXPECT_EQ(alone_.Number("module1.software_minor"), 4);
  EXPECT_EQ(alone_.Number("module1.serial_number"), 0x12345678);
  EXPECT_EQ(alone_.Number("module1.build_year"), 2021);
  EXPECT_EQ(alone_.Number("module1.rated_capacity"), 156.5);
  EXPECT_NEAR(alone_.Number("module1.temperature_offset"), -12.3, 1e-9);
  EXPECT_EQ(alone_.Number("module1.cell12_resistance"), 0.85);
  EXPECT_EQ(alone_.QualityOf("module1.cell11_resistance"), Quality::kNeverRead);
}

TEST_F(Frames, AnUndefinedPageIsItsNumber) {
  alone_.Receive("2A1#0400000000000000");
  EXPECT_EQ(alone_.Number("module1.info_page"), 4);
}

// ---------------------------------------------------------------- other DBCs (section 12.5)

std::string OwnDbc(const std::string& more = "") {
  return R"(BO_ 385 PACK01_values: 8 N
 SG_ U : 0|16@1+ (0.01,0) [0|0] "V" N
 SG_ Lowest : 16|16@1+ (0.001,0) [0|0] "V" N
 SG_ Highest : 32|16@1+ (0.001,0) [0|0] "V" N
 SG_ Hot : 48|8@1- (1,0) [0|0] "degC" N
)" + more;
}

DeviceConfig WithDbc(std::string text, Overrides overrides = {}) {
  const Overrides names = {{"dbc", Value::Text("own.dbc")},
                           {"message_prefix", Value::Text("PACK")},
                           {"signal_voltage", Value::Text("U")},
                           {"signal_cell_min", Value::Text("Lowest")},
                           {"signal_cell_max", Value::Text("Highest")},
                           {"signal_temperature_max", Value::Text("Hot")}};
  overrides.insert(overrides.begin(), names.begin(), names.end());
  DeviceConfig config = TestConfig(std::move(overrides));
  config.files["dbc"] = std::make_shared<const std::string>(std::move(text));
  return config;
}

TEST(OwnDbc, AModuleThatTellsOnlyItsExtremes) {
  DriverHarness h(WithDbc(OwnDbc()), TestBus());
  ASSERT_TRUE(Info().check(h.config).ok()) << Info().check(h.config);
  const std::unique_ptr<Driver> driver = Info().create(h.Context());
  driver->OnBusState(BusState::kActive);
  driver->Start();
  // 47.30 V, 3.900 to 4.250 V, 22 degC.
  for (int i = 0; i < 15; ++i) {
    driver->OnFrame(h.Rx(*ParseFrame("181#7A123C0F9A101600")));
    h.Advance(milliseconds(100));
  }
  EXPECT_EQ(h.state.Read("module1.cell_voltage_max").value.number(), 4.25);
  EXPECT_EQ(h.state.Read("pack.cell_voltage_high_level").value.integer(), 2);
  EXPECT_EQ(h.state.Read("pack.cell_voltage_low_level").value.integer(), 0);
}

// `highest` and `hot` as they follow the colon and the start bit.
std::string SecondModule(const std::string& highest, const std::string& hot) {
  return "BO_ 386 PACK02_values: 8 N\n SG_ U : 0|16@1+ (0.01,0) [0|0] \"V\" N\n"
         " SG_ Lowest : 16|16@1+ (0.001,0) [0|0] \"V\" N\n SG_ Highest : 32|16@1+ " +
         highest + " [0|0] \"V\" N\n SG_ Hot : 48|" + hot + " [0|0] \"degC\" N\n";
}

struct Refusal {
  const char* name;
  std::string dbc;
  const char* says;
};

TEST(OwnDbc, WhatDoesNotFitIsRefused) {
  const Refusal cases[] = {
      {"no module", "BO_ 1 X: 8 N\n", "found no message named PACK"},
      {"no voltage", "BO_ 385 PACK01_values: 8 N\n SG_ Hot : 0|8@1- (1,0) [0|0] \"\" N\n",
       "found no signal U"},
      {"no cells",
       "BO_ 385 PACK01_v: 8 N\n SG_ U : 0|8@1- (1,0) [0|0] \"\" N\n SG_ Hot : 8|8@1- (1,0) [0|0] "
       "\"\" N\n",
       "found 0 cells, expected the 12"},
      {"overlap", OwnDbc(" SG_ X : 0|8@1+ (1,0) [0|0] \"\" N\n"), "own.dbc:6: PACK01_values.X"},
      {"falling", "BO_ 385 PACK01_v: 8 N\n SG_ U : 0|8@1- (-1,0) [0|0] \"\" N\n",
       "PACK01_v.U: found a float, a factor that is not above 0"},
      {"module scaled differently", OwnDbc(SecondModule("(0.002,0)", "8@1- (1,0)")),
       "own.dbc: PACK02_values.Highest: found factor 0.002, offset 0, unsigned, expected factor "
       "0.001, offset 0, unsigned as PACK01_values.Highest has"},
      {"module offset differently", OwnDbc(SecondModule("(0.001,0)", "8@1- (1,-40)")),
       "PACK02_values.Hot: found factor 1, offset -40, signed, expected factor 1, offset 0"},
      {"module signed differently", OwnDbc(SecondModule("(0.001,0)", "8@1+ (1,0)")),
       "PACK02_values.Hot: found factor 1, offset 0, unsigned, expected factor 1, offset 0, "
       "signed"},
      {"cell scaled differently",
       OwnDbc(" SG_ Cell_1_Voltage : 56|4@1+ (0.01,2.2) [0|0] \"\" N\n"
              " SG_ Cell_2_Voltage : 60|4@1+ (0.02,2.2) [0|0] \"\" N\n"),
       "PACK01_values.Cell_2_Voltage: found factor 0.02"},
      {"grammar", "BO_ 385 PACK01_v 8 N\n", "own.dbc:1: BO_: found \"8\""},
      {"extended", "BO_ 2147484033 PACK01_v: 8 N\n", "29-bit"},
  };
  for (const Refusal& c : cases) {
    const absl::Status status = Info().check(WithDbc(c.dbc));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.name;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(c.says)) << c.name;
  }
}

TEST(OwnDbc, ModulesOfOneScalingFit) {
  const absl::Status status =
      Info().check(WithDbc(OwnDbc(SecondModule("(0.001,0)", "8@1- (1,0)"))));
  EXPECT_TRUE(status.ok()) << status;
}

TEST(OwnDbc, MoreExpectedThanTheFileHasIsRefused) {
  EXPECT_FALSE(Info().check(WithDbc(OwnDbc(), {{"expected_modules", Value::Integer(2)}})).ok());
}

}  // namespace
}  // namespace canhub::battery_module
