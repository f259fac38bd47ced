// What the simulated converter sends and answers. Rows are those of the PCS facts, section 18.
#include "drivers/ystech-pcs/simulator.h"

#include <cmath>
#include <map>

#include "drivers/ystech-pcs/simulator_testing.h"
#include "gmock/gmock.h"

namespace canhub::ystech_pcs {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PeriodicTest : public SimulatorTest {};
class RequestTest : public SimulatorTest {};
class SpecialTest : public SimulatorTest {};

TEST_F(PeriodicTest, SendsThirteenFramesEvery200Milliseconds) {
  Boot();
  log_.clear();
  Advance(2s);
  std::map<int, int> counts;
  for (const auto& [time, frame] : log_) ++counts[frame.id >> 16 & 0xFF];
  EXPECT_EQ(counts.size(), 13u);
  for (const auto& [pf, count] : counts) EXPECT_EQ(count, 10) << pf;
}

TEST_F(PeriodicTest, ConvertersOfABusDoNotSendAtOnce) {
  Boot({{"address", Value::Integer(3)}});
  EXPECT_EQ(log_[0].first - harness_->clock.Now(), 30ms - 150ms);
  EXPECT_EQ(FormatFrame(log_[2].second), "1813B403#0D00000000000000");
}

// Values of the battery, 25 degC and a grid as in section 12.
TEST_F(PeriodicTest, StandbyShowsBatteryAndGrid) {
  Boot();
  std::vector<std::string> frames;
  for (const auto& [time, frame] : log_) frames.push_back(FormatFrame(frame));
  EXPECT_THAT(frames, ElementsAre("1811B4FA#0FA02710000002EE",    // 400.0 V, 0.0 A, 25.0 degC
                                  "1812B4FA#00000000000002EE",    //
                                  "1813B4FA#0D00000000000000",    // row 46
                                  "1814B4FA#08FC08FC08FC0000",    // row 48
                                  "1815B4FA#000000000000000A",    //
                                  "1816B4FA#00000000000001F4",    // 50.0 Hz
                                  "1817B4FA#08FC08FC08FC0000",    //
                                  "1818B4FA#0000000000000000",    //
                                  "1819B4FA#0000000000000000",    //
                                  "1823B4FA#0000000000000000",    //
                                  "1824B4FA#0000000000000000",    //
                                  "1825B4FA#0000000000000000",    //
                                  "1839B4FA#00061A80000F4240"));  // 400.000 V, 0.000 A
}

TEST_F(PeriodicTest, NoiseRepeatsWithItsSeed) {
  const auto frames = [this] {
    Boot({{"sim_noise", Value::Number(0.01)}});
    Advance(1s);
    return All(Pf::kHighResDc);
  };
  const std::vector<std::string> first = frames();
  EXPECT_EQ(first, frames());
  EXPECT_NE(first[0], first[1]);
}

TEST_F(RequestTest, ReadsProtectionParameters) {
  Boot();
  EXPECT_EQ(AskOne("1801FAB4#0100000000000000"), "1802B4FA#1F4001F405DC05DC");  // rows 1, 37
  EXPECT_EQ(AskOne("1801FAB4#0200000000000000"), "1803B4FA#04B004B00A5006E0");  // row 38
  EXPECT_EQ(AskOne("1801FAB4#0300000000000000"), "1804B4FA#022601C2372D0000");  // row 39
}

TEST_F(RequestTest, OtherProtectionSetsAreNotAnswered) {
  Boot();
  EXPECT_THAT(Ask("1801FAB4#0000000000000000"), IsEmpty());
  EXPECT_THAT(Ask("1801FAB4#0400000000000000"), IsEmpty());
}

TEST_F(RequestTest, SetsProtectionParameters) {
  Boot();
  EXPECT_EQ(AskOne("1805FAB4#1B5803E801F401F4"), "1808B4FA#0101000000000000");  // row 40
  EXPECT_EQ(AskOne("1801FAB4#0100000000000000"), "1802B4FA#1B5803E801F401F4");
  EXPECT_EQ(AskOne("1806FAB4#04B004B00A5006E0"), "1808B4FA#0201000000000000");  // row 3
  EXPECT_EQ(AskOne("1807FAB4#022601C2372D0000"), "1808B4FA#0301000000000000");  // row 4
}

TEST_F(RequestTest, RefusesProtectionParametersBeyondTheRangeOrCrossed) {
  Boot();
  EXPECT_EQ(AskOne("1805FAB4#271101F405DC05DC"), "1808B4FA#0100000000000000");  // 1000.1 V
  EXPECT_EQ(AskOne("1805FAB4#01F41F4005DC05DC"), "1808B4FA#0100000000000000");  // 50 V … 800 V
  EXPECT_EQ(AskOne("1806FAB4#04B004B006E00A50"), "1808B4FA#0200000000000000");
  EXPECT_EQ(AskOne("1807FAB4#022601C22D370000"), "1808B4FA#0300000000000000");
  EXPECT_EQ(AskOne("1801FAB4#0100000000000000"), "1802B4FA#1F4001F405DC05DC");
}

TEST_F(RequestTest, TakesATimeThatTheCalendarHas) {
  Boot();
  EXPECT_EQ(AskOne("1809FAB4#07E8060F0A1E2D00"), "180AB4FA#0100000000000000");  // row 5
  EXPECT_EQ(AskOne("1809FAB4#07E80D0F0A1E2D00"), "180AB4FA#0000000000000000");  // month 13
}

TEST_F(RequestTest, SetsModeAndParametersAndReadsThemBack) {
  Boot({{"sim_battery_voltage", Value::Number(380)}});
  EXPECT_EQ(AskOne("180BFAB4#2900000000000000"), "180EB4FA#0100000000000000");  // row 41
  EXPECT_EQ(AskOne("180CFAB4#00061A80FFFF3CB0"), "180EB4FA#0100000000000000");  // row 11
  EXPECT_EQ(AskOne("180DFAB4#0000138800000000"), "180EB4FA#0100000000000000");  // row 12
  EXPECT_THAT(Ask("181DFAB4#0B00000000000000"),
              ElementsAre("1836B4FA#2900000000000000",    // row 64
                          "1837B4FA#00061A80FFFF3CB0",    // row 65
                          "1838B4FA#0000138800000000"));  // row 66
}

TEST_F(RequestTest, RefusesModesThatDoNotExist) {
  Boot();
  EXPECT_EQ(AskOne("180BFAB4#0300000000000000"), "180EB4FA#0000000000000000");
}

// Section 15: parameters must lie inside the protection parameters.
TEST_F(RequestTest, RefusesParametersBeyondProtection) {
  Boot();
  const auto first_is_taken = [this](Mode mode, double value) {
    Command(Pf::kSetWorkingMode, WorkingMode{.mode = static_cast<int>(mode)});
    Command(Pf::kSetModeParams12,
            ModeParams{static_cast<int32_t>(std::lround(value * 1000)), 50000});
    Advance(20ms);
    return All(Pf::kSetModeReply).back() == "180EB4FA#0100000000000000";
  };
  EXPECT_TRUE(first_is_taken(Mode::kDcConstantVoltage, 800));
  EXPECT_FALSE(first_is_taken(Mode::kDcConstantVoltage, 800.001));
  EXPECT_FALSE(first_is_taken(Mode::kDcConstantVoltage, 49.999));
  EXPECT_TRUE(first_is_taken(Mode::kDcConstantCurrent, -150));
  EXPECT_FALSE(first_is_taken(Mode::kDcConstantCurrent, -150.001));
  EXPECT_FALSE(first_is_taken(Mode::kDcConstantCurrent, 150.001));
  EXPECT_TRUE(first_is_taken(Mode::kDcConstantPower, 120000));
  EXPECT_FALSE(first_is_taken(Mode::kDcConstantPower, -120000.001));
  EXPECT_FALSE(first_is_taken(Mode::kDcConstantResistance, 0));
  EXPECT_TRUE(first_is_taken(Mode::kDcConstantMagnification, 1.5));
  EXPECT_FALSE(first_is_taken(Mode::kDcConstantMagnification, 1.501));
  EXPECT_TRUE(first_is_taken(Mode::kIndependentInverter, 264));
  EXPECT_FALSE(first_is_taken(Mode::kIndependentInverter, 265));
}

TEST_F(RequestTest, RefusedParametersChangeNothing) {
  Boot();
  Set(Mode::kDcConstantCurrent, {-50});
  EXPECT_EQ(AskOne("180CFAB4#00030D4000000000"), "180EB4FA#0000000000000000");  // 200 A
  EXPECT_EQ(Ask("181DFAB4#0B00000000000000").at(1), "1837B4FA#FFFF3CB000000000");
}

TEST_F(RequestTest, IgnoresWhatIsNotForIt) {
  Boot();
  EXPECT_THAT(Ask("180101B4#0100000000000000"), IsEmpty());  // another converter
  EXPECT_THAT(Ask("1801FAB5#0100000000000000"), IsEmpty());  // not from the controller
  EXPECT_THAT(Ask("1801FAB4#01000000000000"), IsEmpty());    // short
  EXPECT_THAT(Ask("1802B4FA#1F4001F405DC05DC"), IsEmpty());  // what a converter says
  EXPECT_THAT(Ask("183AFAB4#0100000000000000"), IsEmpty());  // no such frame
  EXPECT_THAT(Ask("201#0100000000000000"), IsEmpty());
}

TEST_F(RequestTest, BroadcastsAreObeyedButNotAnswered) {
  Boot();
  EXPECT_THAT(Ask("180B00B4#2900000000000000"), IsEmpty());
  EXPECT_EQ(Ask("181DFAB4#0B00000000000000").at(0), "1836B4FA#2900000000000000");
}

TEST_F(RequestTest, BroadcastsAreAnsweredWhereToldSo) {
  Boot({{"sim_answer_broadcast", Value::Flag(true)}});
  EXPECT_EQ(AskOne("180B00B4#2900000000000000"), "180EB4FA#0100000000000000");
}

TEST_F(RequestTest, AnswersInOrderAfterItsDelay) {
  Boot({{"sim_answer_delay", Value::Number(0.03)}});
  Send("1801FAB4#0100000000000000");
  Send("1801FAB4#0200000000000000");
  Advance(29ms);
  EXPECT_THAT(All(Pf::kProtectionParams1Reply), IsEmpty());
  Advance(1ms);
  EXPECT_EQ(FormatFrame(log_.back().second), "1803B4FA#04B004B00A5006E0");
  EXPECT_EQ(FormatFrame(log_[log_.size() - 2].second), "1802B4FA#1F4001F405DC05DC");
}

// Section 6.9: set, its reply with the type, and what the read then gives.
TEST_F(SpecialTest, AreSetAndReadBack) {
  Boot();
  struct Exchange {
    const char* set;
    const char* reply;
    const char* read;
    const char* stored;
  };
  for (const Exchange& e : std::initializer_list<Exchange>{
           // rows 27, 63
           {"181BFAB4#1D4CFF9C00000000", "181CB4FA#0101000000000000", "181DFAB4#0100000000000000",
            "181EB4FA#1D4CFF9C00000000"},
           // row 28; nothing is at the analog inputs
           {"181FFAB4#0100010000000000", "181CB4FA#0201000000000000", "181DFAB4#0200000000000000",
            "1820B4FA#0100010000000000"},
           // row 29
           {"1826FAB4#0100000000000000", "181CB4FA#0301000000000000", "181DFAB4#0300000000000000",
            "1827B4FA#0100000000000000"},
           // row 30
           {"1828FAB4#0700000000000000", "181CB4FA#0401000000000000", "181DFAB4#0400000000000000",
            "1829B4FA#0700000000000000"},
           // row 32
           {"182AFAB4#0103B60000000000", "181CB4FA#0501000000000000", "181DFAB4#0500000000000000",
            "182BB4FA#0103B60000000000"},
           // row 33
           {"182CFAB4#0100000000000000", "181CB4FA#0601000000000000", "181DFAB4#0600000000000000",
            "182DB4FA#0100000000000000"},
           // rows 34, 62
           {"182EFAB4#0103029A00000000", "181CB4FA#0701000000000000", "181DFAB4#0700000000000000",
            "182FB4FA#0103029A00000000"},
           // row 60
           {"1830FAB4#0102040000000000", "181CB4FA#0801000000000000", "181DFAB4#0800000000000000",
            "1831B4FA#0102040000000000"},
           // row 61
           {"1832FAB4#0100000000000000", "181CB4FA#0901000000000000", "181DFAB4#0900000000000000",
            "1833B4FA#0100000000000000"},
       }) {
    EXPECT_EQ(AskOne(e.set), e.reply);
    EXPECT_EQ(AskOne(e.read), e.stored);
  }
}

TEST_F(SpecialTest, AreRefusedBeyondTheirRange) {
  Boot();
  EXPECT_EQ(AskOne("181BFAB4#1A8F000000000000"), "181CB4FA#0100000000000000");  // 679.9 V
  EXPECT_EQ(AskOne("181FFAB4#0200000000000000"), "181CB4FA#0200000000000000");
  EXPECT_EQ(AskOne("1828FAB4#0600000000000000"), "181CB4FA#0400000000000000");
  EXPECT_EQ(AskOne("182CFAB4#0200000000000000"), "181CB4FA#0600000000000000");
  EXPECT_EQ(AskOne("182EFAB4#010B029A00000000"), "181CB4FA#0700000000000000");  // 11 modules
}

TEST_F(SpecialTest, AreRefusedWhileItRuns) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  EXPECT_EQ(AskOne("182CFAB4#0100000000000000"), "181CB4FA#0600000000000000");
  Stop();
  EXPECT_EQ(AskOne("182CFAB4#0100000000000000"), "181CB4FA#0601000000000000");
}

TEST_F(SpecialTest, VersionsAreOfArmAndDsp) {
  Boot();
  EXPECT_THAT(Ask("181DFAB4#0A00000000000000"),
              ElementsAre("1834B4FA#0202010201270000", "1835B4FA#0202010201270000"));
}

TEST_F(SpecialTest, UnknownTypesAreNotAnswered) {
  Boot();
  EXPECT_THAT(Ask("181DFAB4#0000000000000000"), IsEmpty());
  EXPECT_THAT(Ask("181DFAB4#0C00000000000000"), IsEmpty());
}

TEST_F(SpecialTest, PhasePowersNeedSplitPhases) {
  Boot();
  EXPECT_EQ(AskOne("1821FAB4#0064006400640000"), "180EB4FA#0000000000000000");  // row 35
  EXPECT_EQ(AskOne("1826FAB4#0100000000000000"), "181CB4FA#0301000000000000");
  EXPECT_EQ(AskOne("1821FAB4#0064006400640000"), "180EB4FA#0100000000000000");
  EXPECT_EQ(AskOne("1822FAB4#0014FFEC00000000"), "180EB4FA#0100000000000000");  // row 59
}

// 3 · 50 kW is more than the 120 kW of protection set 2.
TEST_F(SpecialTest, PhasePowersKeepToProtectionTogether) {
  Boot();
  Ask("1826FAB4#0100000000000000");
  EXPECT_EQ(AskOne("1821FAB4#01F401F401F40000"), "180EB4FA#0000000000000000");
}

}  // namespace
}  // namespace canhub::ystech_pcs
