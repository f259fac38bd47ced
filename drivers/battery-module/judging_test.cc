// Levels and alarms of a pack by hand-written frames: every row of section 5.4 that is the
// battery's, and the defects of section 13.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/battery-module/battery_testing.h"

namespace canhub::battery_module {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

// Frames of module 1; the normal ones keep it alive.
constexpr char kNormal1[] = "181#00007A12AEAE1416";
constexpr char kNormal3[] = "381#AEAEAEAEAEAEAEAE";
constexpr char kNormal4[] = "481#AEAEAEAE00000000";

class Judging : public testing::Test {
 protected:
  Judging() { alone_.Count(); }
  void Polls(const char* pdo1, const char* pdo3, const char* pdo4, int times = 2) {
    alone_.Poll({pdo1, pdo3, pdo4}, times);
  }
  Alone alone_;
};

TEST_F(Judging, ANormalPackIsNormal) {
  Polls(kNormal1, kNormal3, kNormal4, 5);
  EXPECT_EQ(alone_.Level(), 0);
  for (const auto& [code, alarm] : alone_.h.alarms.all()) EXPECT_FALSE(alarm.active) << code;
}

struct Row {
  const char* name;
  const char* pdo1;
  const char* pdo3;
  const char* pdo4;
  const char* item;
  int level;
  const char* alarm;
};

// At each bound, and one count within. Raw: cells 50, 60, 190, 200; module 3300 (E40C), 3400
// (480D), 4800 (C012), 4900 (2413); temperatures 40 (28), 50 (32).
const Row kRows[] = {
    {"CellDangerousLow", kNormal1, "381#AEAE32AEAEAEAEAE", kNormal4, "pack.cell_voltage_low_level",
     2, "module1.cell_low_dangerous"},
    {"CellWarningLow", kNormal1, "381#AEAE3CAEAEAEAEAE", kNormal4, "pack.cell_voltage_low_level", 1,
     "module1.cell_low_warning"},
    {"CellJustAboveDangerousLow", kNormal1, "381#AEAE33AEAEAEAEAE", kNormal4,
     "pack.cell_voltage_low_level", 1, "module1.cell_low_warning"},
    {"CellWarningHigh", kNormal1, "381#AEAEBEAEAEAEAEAE", kNormal4, "pack.cell_voltage_high_level",
     1, "module1.cell_high_warning"},
    {"CellDangerousHigh", kNormal1, "381#AEAEC8AEAEAEAEAE", kNormal4,
     "pack.cell_voltage_high_level", 2, "module1.cell_high_dangerous"},
    {"CellJustBelowDangerousHigh", kNormal1, "381#AEAEC7AEAEAEAEAE", kNormal4,
     "pack.cell_voltage_high_level", 1, "module1.cell_high_warning"},
    // Defect 4: the last fitted cell is one of them.
    {"LastCellDangerousHigh", kNormal1, kNormal3, "481#AEAEAEC800000000",
     "pack.cell_voltage_high_level", 2, "module1.cell_high_dangerous"},
    {"LastCellDangerousLow", kNormal1, kNormal3, "481#AEAEAE3200000000",
     "pack.cell_voltage_low_level", 2, "module1.cell_low_dangerous"},
    // Section 4.3: raw 0 is dangerous where a cell is fitted.
    {"CellAtTheFloor", kNormal1, "381#00AEAEAEAEAEAEAE", kNormal4, "pack.cell_voltage_low_level", 2,
     "module1.cell_low_dangerous"},
    {"ModuleDangerousLow", "181#0000E40CAEAE1416", kNormal3, kNormal4,
     "pack.module_voltage_low_level", 2, "module1.voltage_low_dangerous"},
    {"ModuleWarningLow", "181#0000480DAEAE1416", kNormal3, kNormal4,
     "pack.module_voltage_low_level", 1, "module1.voltage_low_warning"},
    {"ModuleWarningHigh", "181#0000C012AEAE1416", kNormal3, kNormal4,
     "pack.module_voltage_high_level", 1, "module1.voltage_high_warning"},
    {"ModuleDangerousHigh", "181#00002413AEAE1416", kNormal3, kNormal4,
     "pack.module_voltage_high_level", 2, "module1.voltage_high_dangerous"},
    {"TemperatureWarningHigh", "181#00007A12AEAE1428", kNormal3, kNormal4,
     "pack.temperature_high_level", 1, "module1.temperature_high_warning"},
    {"TemperatureDangerousHigh", "181#00007A12AEAE1432", kNormal3, kNormal4,
     "pack.temperature_high_level", 2, "module1.temperature_high_dangerous"},
};

class JudgingRows : public testing::TestWithParam<Row> {};

TEST_P(JudgingRows, AtTheBoundTwiceInARow) {
  const Row& row = GetParam();
  Alone alone;
  alone.Count();
  alone.Poll({row.pdo1, row.pdo3, row.pdo4}, 1);
  EXPECT_EQ(alone.Level(), 0) << "one sample is none";
  EXPECT_FALSE(alone.Alarm(row.alarm));
  alone.Poll({row.pdo1, row.pdo3, row.pdo4}, 1);
  EXPECT_EQ(alone.Level(row.item), row.level);
  EXPECT_EQ(alone.Level(), row.level);
  EXPECT_TRUE(alone.Alarm(row.alarm));
  const AlarmSeverity severity = alone.h.alarms.all().find(row.alarm)->second.severity;
  EXPECT_EQ(severity, row.level == 2 ? AlarmSeverity::kCritical : AlarmSeverity::kWarning);
  // Nothing is latched here: a value that is well again ends its level.
  alone.Poll({kNormal1, kNormal3, kNormal4}, 2);
  EXPECT_EQ(alone.Level(row.item), 0);
  EXPECT_FALSE(alone.Alarm(row.alarm));
}

INSTANTIATE_TEST_SUITE_P(Section5_4, JudgingRows, testing::ValuesIn(kRows),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(Judging, PositionsThatAreNotFittedAreNotLookedAt) {
  // Cells 13 and 14 at 2.2 V and 4.75 V.
  Polls(kNormal1, kNormal3, "481#AEAEAEAE00FF0000", 5);
  EXPECT_EQ(alone_.Level(), 0);
  EXPECT_EQ(alone_.h.state.items().Find("module1.cell13_voltage"), std::nullopt);
  EXPECT_EQ(alone_.Number("module1.cell_voltage_min"), 3.9400000000000004);
}

TEST(JudgingFitted, FourteenCellsAreAllLookedAt) {
  Alone alone({{"cells_per_module", Value::Integer(14)}});
  for (int i = 0; i < 12; ++i) {
    alone.Poll({"181#00007A12AEAE1416", kNormal3, "481#AEAEAEAEAE000000"}, 1);
  }
  EXPECT_EQ(alone.Level("pack.cell_voltage_low_level"), 2);
  EXPECT_EQ(alone.Number("module1.cell_voltage_min_cell"), 14);
}

TEST_F(Judging, TheAlarmNamesTheCellAndTheBound) {
  Polls(kNormal1, "381#AEAEAEAEAEAEC8AE", kNormal4);
  EXPECT_THAT(alone_.h.alarms.all().find("module1.cell_high_dangerous")->second.text,
              HasSubstr("module 1: cell 7: 4.2 V is at or above dangerous 4.2 V"));
}

// Defect 6.
TEST_F(Judging, ALowCellRaisesNoAlarmOfAHighOne) {
  Polls(kNormal1, "381#AEAE32AEAEAEAEAE", kNormal4);
  EXPECT_FALSE(alone_.Alarm("module1.cell_high_warning"));
  EXPECT_EQ(alone_.Level("pack.cell_voltage_high_level"), 0);
}

// Defect 8.
TEST_F(Judging, TooLowAndTooHighAtOnceIsDangerous) {
  Polls(kNormal1, "381#AEAE3CAEAEBEAEAE", kNormal4);
  EXPECT_EQ(alone_.Level("pack.cell_voltage_low_level"), 1);
  EXPECT_EQ(alone_.Level("pack.cell_voltage_high_level"), 1);
  EXPECT_TRUE(alone_.h.state.Read("pack.is_contradictory").value.flag());
  EXPECT_TRUE(alone_.Alarm("pack.contradiction"));
  EXPECT_EQ(alone_.Level(), 2);
}

TEST_F(Judging, HeatIsReleasedAtThirtyDegrees) {
  Polls("181#00007A12AEAE1428", kNormal3, kNormal4);
  EXPECT_EQ(alone_.Level(), 1);
  Polls("181#00007A12AEAE141F", kNormal3, kNormal4);
  EXPECT_EQ(alone_.Level(), 1);
  Polls("181#00007A12AEAE141E", kNormal3, kNormal4);
  EXPECT_EQ(alone_.Level(), 0);
}

TEST_F(Judging, AVoltageIsReleasedBehindItsHysteresis) {
  Polls("181#0000C012AEAE1416", kNormal3, kNormal4);
  EXPECT_EQ(alone_.Level("pack.module_voltage_high_level"), 1);
  Polls("181#0000AD12AEAE1416", kNormal3, kNormal4);  // 47.81 V
  EXPECT_EQ(alone_.Level("pack.module_voltage_high_level"), 1);
  Polls("181#0000AC12AEAE1416", kNormal3, kNormal4);  // 47.80 V
  EXPECT_EQ(alone_.Level("pack.module_voltage_high_level"), 0);
}

TEST_F(Judging, EachFittedSensorIsLookedAt) {
  // The seventh sensor at 50 degC; the module's own extremes are normal.
  alone_.Poll({kNormal1, kNormal3, kNormal4, "291#1414141414143200"}, 2);
  EXPECT_EQ(alone_.Level("pack.temperature_high_level"), 2);
}

TEST_F(Judging, ColdIsNoMatterUnlessConfigured) {
  Polls("181#00007A12AEAEC416", kNormal3, kNormal4);  // -60 degC
  EXPECT_EQ(alone_.Level(), 0);
}

TEST(JudgingCold, ColdIsAMatterWhereConfigured) {
  Alone alone({{"temperature_warning_low", Value::Number(-10)},
               {"temperature_dangerous_low", Value::Number(-20)}});
  alone.Count();
  alone.Poll({"181#00007A12AEAEF616", kNormal3, kNormal4}, 2);  // -10 degC
  EXPECT_EQ(alone.Level("pack.temperature_low_level"), 1);
  alone.Poll({"181#00007A12AEAEEC16", kNormal3, kNormal4}, 2);  // -20 degC
  EXPECT_EQ(alone.Level("pack.temperature_low_level"), 2);
}

TEST(JudgingNone, AThresholdMayBeAbsent) {
  Alone alone({{"cell_dangerous_high", Value()}, {"cell_warning_high", Value()}});
  alone.Count();
  alone.Poll({kNormal1, "381#FEFEFEFEFEFEFEFE", kNormal4}, 3);
  EXPECT_EQ(alone.Level("pack.cell_voltage_high_level"), 0);
}

TEST(JudgingOrder, ThresholdsOutOfOrderAreRefused) {
  const absl::Status status = Info().check(TestConfig({{"cell_warning_high", Value::Number(4.3)}}));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("found dangerous_high 4.2, expected above warning_high 4.3"));
}

// ---------------------------------------------------------------- plausibility (section 12.5)

TEST_F(Judging, TheSumOfTheCellsIsComparedWithTheModule) {
  Polls("181#00005C12AEAE1416", kNormal3, kNormal4, 3);  // 47.00 V; the cells make 47.28 V
  EXPECT_FALSE(alone_.Alarm("module1.implausible"));
  Polls("181#00005912AEAE1416", kNormal3, kNormal4, 3);  // 46.97 V
  EXPECT_TRUE(alone_.Alarm("module1.implausible"));
  EXPECT_EQ(alone_.Level(), 1);
  Polls(kNormal1, kNormal3, kNormal4, 2);
  EXPECT_FALSE(alone_.Alarm("module1.implausible"));
}

TEST_F(Judging, TheExtremesAreComparedWithTheCells) {
  Polls("181#00007A12ADAF1416", kNormal3, kNormal4, 3);  // one count off is rounding
  EXPECT_FALSE(alone_.Alarm("module1.implausible"));
  Polls("181#00007A12ACAE1416", kNormal3, kNormal4, 3);
  EXPECT_TRUE(alone_.Alarm("module1.implausible"));
}

TEST(JudgingPack, TheModulesAreComparedWithThePacksOtherMeter) {
  Alone alone({{"pack_voltage_item", Value::Text("pcs1/battery_voltage")}});
  const auto says = [&](double volt) {
    alone.h.readings.Set("pcs1/battery_voltage", {.quality = Quality::kGood,
                                                  .value = Value::Number(volt),
                                                  .unit = "V",
                                                  .read_time = alone.h.clock.Now()});
  };
  says(47.3);
  alone.Count();
  alone.Poll({kNormal1, kNormal3, kNormal4}, 5);
  EXPECT_FALSE(alone.Alarm("pack.implausible"));
  says(45);
  alone.Poll({kNormal1, kNormal3, kNormal4}, 5);
  EXPECT_TRUE(alone.Alarm("pack.implausible"));
  says(46.8);
  alone.Poll({kNormal1, kNormal3, kNormal4}, 5);
  EXPECT_FALSE(alone.Alarm("pack.implausible"));
}

}  // namespace
}  // namespace canhub::battery_module
