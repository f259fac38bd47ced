// Stored settings, the clock, and what is remembered of what cannot be read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/ystech-pcs/driver_testing.h"
#include "drivers/ystech-pcs/setting_frames.h"

namespace canhub::ystech_pcs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kSimulator = TestLine::From::kSimulator;

uint32_t Code(const CanFrame& frame) { return frame.id >> 16 & 0xFF; }
Value Text(const char* text) { return Value::Text(text); }

struct SettingCase {
  const char* action;
  Arguments arguments;
  const char* frame;  // section 18
};

class PcsSetting : public ::testing::TestWithParam<SettingCase> {};

TEST_P(PcsSetting, SendsTheDocumentsFrameAndReadsItBack) {
  Bench b;
  b.Boot();
  // Phases are controlled by themselves only where that is enabled.
  ASSERT_EQ(b.Act("set_split_phase", {{"split_phase_enabled", Value::Flag(true)}}),
            absl::OkStatus());
  b.line.ClearLog();
  ASSERT_EQ(b.Act(GetParam().action, GetParam().arguments), absl::OkStatus());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre(GetParam().frame));
  for (const auto& [name, value] : GetParam().arguments) {
    EXPECT_EQ(b.QualityOf(name), Quality::kGood) << name;
    if (value.type() == ValueType::kNumber) {
      EXPECT_NEAR(b.Number(name), value.number(), 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Section18, PcsSetting,
    ::testing::Values(SettingCase{"set_protection",
                                  {{"max_output_voltage", Number(800)},
                                   {"min_output_voltage", Number(50)},
                                   {"max_charge_current", Number(150)},
                                   {"max_discharge_current", Number(150)}},
                                  "1805FAB4#1F4001F405DC05DC"},  // row 2
                      SettingCase{"set_protection",
                                  {{"max_charge_power", Number(120000)}},
                                  "1806FAB4#04B004B00A5006E0"},  // row 3
                      SettingCase{"set_protection",
                                  {{"ac_frequency_lower", Number(45)}},
                                  "1807FAB4#022601C2372D0000"},  // row 4
                      SettingCase{"set_bus",
                                  {{"bus_voltage_setting", Number(750)},
                                   {"reactive_power_setting", Number(-10000)}},
                                  "181BFAB4#1D4CFF9C00000000"},  // row 27
                      SettingCase{"set_io",
                                  {{"io1_output", Value::Flag(true)},
                                   {"io2_output", Value::Flag(false)},
                                   {"io3_output", Value::Flag(true)},
                                   {"io4_output", Value::Flag(false)}},
                                  "181FFAB4#0100010000000000"},  // row 28
                      SettingCase{"set_split_phase",
                                  {{"split_phase_enabled", Value::Flag(true)}},
                                  "1826FAB4#0100000000000000"},  // row 29
                      SettingCase{"set_inverter_phase",
                                  {{"inverter_phase", Text("a_host")}},
                                  "1828FAB4#0700000000000000"},
                      SettingCase{"set_reactive_control",
                                  {{"reactive_control", Text("power_factor")},
                                   {"power_factor_setting", Number(0.95)}},
                                  "182AFAB4#0103B60000000000"},  // row 32
                      SettingCase{"set_grid_mode",
                                  {{"grid_mode", Text("automatic")}},
                                  "182CFAB4#0100000000000000"},
                      SettingCase{"set_module_parallel",
                                  {{"parallel_role", Text("host")},
                                   {"parallel_modules", Value::Integer(3)},
                                   {"hall_ratio", Value::Integer(666)}},
                                  "182EFAB4#0103029A00000000"},  // row 34
                      SettingCase{"set_channel_parallel",
                                  {{"channel_role", Text("main")},
                                   {"channel_parallel", Text("several_modules")},
                                   {"parallel_channels", Value::Integer(4)}},
                                  "1830FAB4#0102040000000000"},  // row 60
                      SettingCase{"set_bus_parallel",
                                  {{"bus_parallel_enabled", Value::Flag(true)}},
                                  "1832FAB4#0100000000000000"},  // row 61
                      SettingCase{"set_phase_active_power",
                                  {{"phase_active_setting_a", Number(10000)},
                                   {"phase_active_setting_b", Number(10000)},
                                   {"phase_active_setting_c", Number(10000)}},
                                  "1821FAB4#0064006400640000"},  // row 35
                      SettingCase{"set_phase_reactive_power",
                                  {{"phase_reactive_setting_a", Number(2000)},
                                   {"phase_reactive_setting_b", Number(-2000)},
                                   {"phase_reactive_setting_c", Number(0)}},
                                  "1822FAB4#0014FFEC00000000"}));  // row 59

TEST(PcsSettings, WhatIsNotGivenKeepsTheDevicesValue) {
  Bench b;
  b.Boot();
  ASSERT_EQ(b.Act("set_protection", {{"max_charge_current", Number(100)}}), absl::OkStatus());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("1805FAB4#1F4001F403E805DC"));
  EXPECT_EQ(b.Number("max_charge_current"), 100);
  EXPECT_EQ(b.Number("max_discharge_current"), 150);
}

TEST(PcsSettings, BeyondTheVendorsRangeNothingOfItIsSent) {
  Bench b;
  b.Boot();
  const absl::Status status = b.Act(
      "set_protection", {{"max_charge_current", Number(100)}, {"ac_voltage_upper", Number(301)}});
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(PcsSettings, AnUnknownWordNamesThoseThereAre) {
  Bench b;
  b.Boot();
  const absl::Status status = b.Act("set_grid_mode", {{"grid_mode", Text("maybe")}});
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("off, automatic"));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(PcsSettings, ByIoCanBeReadButNotSet) {
  Bench b;
  b.Boot();
  EXPECT_TRUE(absl::IsOutOfRange(b.Act("set_grid_mode", {{"grid_mode", Text("by_io")}})));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(PcsSettings, AFractionIsNoNumberOfModules) {
  Bench b;
  b.Boot();
  EXPECT_TRUE(
      absl::IsOutOfRange(b.Act("set_module_parallel", {{"parallel_modules", Value::Integer(11)}})));
  EXPECT_TRUE(
      absl::IsInvalidArgument(b.Act("set_protection", {{"ac_frequency_upper", Number(54.5)}})));
}

TEST(PcsSettings, AreForAStoppedConverter) {
  Bench b;
  b.Boot();
  b.RunCharge();
  EXPECT_EQ(Reason(b.Act("set_protection", {{"max_charge_current", Number(100)}})),
            "CONVERTER_RUNS");
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

// Nothing reads outputs back: one alone can be set once the others were.
TEST(PcsSettings, OneOutputAloneNeedsTheOthersToBeKnown) {
  Bench b;
  b.Boot();
  EXPECT_EQ(Reason(b.Act("set_io", {{"io1_output", Value::Flag(true)}})), "SETTING_UNKNOWN");
  ASSERT_EQ(b.Act("set_io", {{"io1_output", Value::Flag(true)},
                             {"io2_output", Value::Flag(false)},
                             {"io3_output", Value::Flag(true)},
                             {"io4_output", Value::Flag(false)}}),
            absl::OkStatus());
  b.line.ClearLog();
  ASSERT_EQ(b.Act("set_io", {{"io4_output", Value::Flag(true)}}), absl::OkStatus());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("181FFAB4#0100010100000000"));
}

TEST(PcsSettings, ASettingThatReadsBackOtherwiseIsAFailure) {
  Bench b;
  b.Boot();
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == kSimulator && Code(frame) == 0x2F) frame.data[2] ^= 1;
  };
  EXPECT_EQ(Reason(b.Act("set_module_parallel", {{"hall_ratio", Value::Integer(666)}})),
            "READ_BACK_DIFFERS");
}

TEST(PcsSettings, TheSumOfThePhasesIsHeldAgainstProtection) {
  Bench b;
  b.Boot();
  const absl::Status status =
      b.Act("set_phase_active_power", {{"phase_active_setting_a", Number(50000)},
                                       {"phase_active_setting_b", Number(50000)},
                                       {"phase_active_setting_c", Number(50000)}});
  EXPECT_EQ(Reason(status), "BEYOND_PROTECTION");
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(PcsSettings, TheSumOfThePhasesIsHeldAgainstTheLimit) {
  for (const std::string kind : {"active", "reactive"}) {
    Bench b;
    b.h.config.limits["power"] = 40000;
    b.h.config.limit_origins["power"] = "lab.yaml:9, devices.pcs1.limits.power";
    b.Boot();
    const auto act = [&](double watt) {
      const std::string name = "phase_" + kind + "_setting_";
      return b.Act(
          "set_phase_" + kind + "_power",
          {{name + "a", Number(watt)}, {name + "b", Number(watt)}, {name + "c", Number(watt)}});
    };
    const absl::Status status = act(-20000);
    EXPECT_EQ(Reason(status), "SETPOINT_ABOVE_LIMIT") << kind;
    EXPECT_THAT(std::string(status.message()), HasSubstr("lab.yaml:9"));
    EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
    EXPECT_NE(Reason(act(-10000)), "SETPOINT_ABOVE_LIMIT") << kind;
  }
}

TEST(PcsSettings, SetTimeSendsTheDocumentsFrame) {
  Bench b;
  b.Boot();
  ASSERT_EQ(b.Act("set_time", {{"year", Value::Integer(2024)},
                               {"month", Value::Integer(6)},
                               {"day", Value::Integer(15)},
                               {"hour", Value::Integer(10)},
                               {"minute", Value::Integer(30)},
                               {"second", Value::Integer(45)}}),
            absl::OkStatus());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("1809FAB4#07E8060F0A1E2D00"));  // row 5
}

TEST(PcsSettings, SetTimeAloneSendsTheDaemonsTime) {
  Bench b;
  b.Boot();
  EXPECT_EQ(b.Act("set_time"), absl::OkStatus());
  EXPECT_EQ(b.line.SettingFrames().size(), 1u);
  EXPECT_TRUE(absl::IsInvalidArgument(b.Act("set_time", {{"year", Value::Integer(2024)}})));
  EXPECT_EQ(b.line.SettingFrames().size(), 1u);
}

// ---------------------------------------------------------------- self-start (section 8)

TEST(PcsSelfStart, GoesOutWithEveryLaterStartAndStop) {
  Bench b;
  b.Boot();
  ASSERT_EQ(b.Act("set_self_start", {{"self_start", Value::Flag(true)}}), absl::OkStatus());
  ASSERT_EQ(b.Act("set_mode", Charge(-50)), absl::OkStatus());
  b.line.ClearLog();
  ASSERT_EQ(b.Act("start"), absl::OkStatus());
  ASSERT_EQ(b.Stop(), absl::OkStatus());
  EXPECT_THAT(b.line.SettingFrames(),
              ElementsAre("180FFAB4#0100010000000000", "180FFAB4#0000010000000000"));
  EXPECT_TRUE(b.Flag("self_start"));
}

// Its frame starts or stops as well: it would have to tell a converter to run that may have stopped
// since it was heard last.
TEST(PcsSelfStart, S08_IsRefusedWhileItRuns) {
  Bench b;
  b.Boot();
  b.RunCharge();
  EXPECT_EQ(Reason(b.Act("set_self_start", {{"self_start", Value::Flag(true)}})), "CONVERTER_RUNS");
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
  b.h.Advance(seconds(1));
  EXPECT_EQ(b.State(), 12);
}

TEST(PcsSelfStart, S08_DoesNotStartAConverterThatStoppedUnheard) {
  Bench b;
  b.Boot();
  b.RunCharge();
  b.line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == kSimulator && Code(frame) == 0x13;
  };
  // Somebody at the display.
  b.simulator->OnFrame(b.h.Rx(*ParseFrame("180FFAB4#0000000000000000")));  // row 19
  b.h.Advance(milliseconds(400));
  ASSERT_EQ(b.State(), 12) << "as it was heard last";
  EXPECT_FALSE(b.Act("set_self_start", {{"self_start", Value::Flag(true)}}).ok());
  b.line.lose = nullptr;
  b.h.Advance(seconds(5));
  EXPECT_EQ(b.State(), 13);
}

TEST(PcsSelfStart, S08_DoesNotStopAConverterThatWasStartedMeanwhile) {
  Bench b;
  b.Boot();
  ASSERT_EQ(b.Act("set_mode", Charge(-50)), absl::OkStatus());
  b.line.ClearLog();
  b.h.memory.SaveLater();
  const Command command = b.h.Action("set_self_start", {{"self_start", Value::Flag(true)}});
  b.driver->Execute(command);
  // Somebody at the display.
  b.simulator->OnFrame(b.h.Rx(*ParseFrame("180FFAB4#0100000000000000")));  // row 18
  ASSERT_TRUE(b.Until([&] { return b.State() == 12; }, seconds(5)));
  b.h.memory.Saved();
  ASSERT_NE(b.h.commands.finished(command.id), nullptr);
  EXPECT_EQ(Reason(b.StatusOf(command.id)), "CONVERTER_RUNS");
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(PcsSelfStart, IsOnDiskBeforeTheDeviceHasIt) {
  Bench b;
  b.Boot();
  DriverHarness& h = b.h;
  h.memory.SaveLater();
  b.driver->Execute(h.Action("set_self_start", {{"self_start", Value::Flag(true)}}));
  h.Advance(seconds(1));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
  h.memory.Saved();
  h.Advance(seconds(1));
  EXPECT_EQ(b.line.SettingFrames().size(), 1u);
  EXPECT_EQ(h.memory.Get("sent.self_start"), "true");
}

TEST(PcsSelfStart, IsNotSetWhenTheDiskRefuses) {
  Bench b;
  b.Boot();
  b.h.memory.SaveLater();
  b.driver->Execute(b.h.Action("set_self_start", {{"self_start", Value::Flag(true)}}));
  b.h.Advance(seconds(1));
  b.h.memory.Saved(absl::UnavailableError("no space left"));
  b.h.Advance(seconds(1));
  EXPECT_EQ(Reason(b.StatusOf(1)), "NOT_REMEMBERED");
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(PcsSelfStart, IsRememberedOverARestartAndSaidSo) {
  Bench b;
  b.h.memory.Put("sent.self_start", "true", nullptr);
  b.Boot();
  EXPECT_EQ(b.QualityOf("self_start"), Quality::kStale);
  EXPECT_TRUE(b.Flag("self_start"));
  bool said = false;
  for (const auto& [level, text] : b.h.log.lines()) {
    said |=
        level == LogLevel::kWarning && text.find("self-start is remembered") != std::string::npos;
  }
  EXPECT_TRUE(said);
  EXPECT_EQ(b.Stop(), absl::OkStatus());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("180FFAB4#0000010000000000"));
  EXPECT_EQ(b.QualityOf("self_start"), Quality::kGood);
}

TEST(PcsSelfStart, ARefusalLeavesWhatWasKnown) {
  Bench b;
  b.Boot();
  ASSERT_EQ(b.Stop(), absl::OkStatus());
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == kSimulator && Code(frame) == 0x10) frame.data[0] = 0;
  };
  EXPECT_EQ(Reason(b.Act("set_self_start", {{"self_start", Value::Flag(true)}})),
            "REFUSED_BY_DEVICE");
  EXPECT_EQ(b.h.memory.Get("sent.self_start"), "false");
}

// A set_self_start on that waits for its disk, with self-start off before; how it ends is the
// test's.
class PcsSelfStartUnsent : public ::testing::Test {
 protected:
  void SetUp() override {
    b.Boot();
    ASSERT_EQ(b.Stop(), absl::OkStatus());
    b.line.ClearLog();
    b.h.memory.SaveLater();
    b.driver->Execute(SwitchOn());
    b.h.Advance(milliseconds(1));
    ASSERT_THAT(b.line.SettingFrames(), IsEmpty());
  }
  Command SwitchOn() {
    Command command = b.h.Action("set_self_start", {{"self_start", Value::Flag(true)}});
    id = command.id;
    return command;
  }
  std::string End() const { return Reason(b.StatusOf(id)); }
  std::vector<std::string> FramesOfAStop() {
    EXPECT_EQ(b.Stop(), absl::OkStatus());
    return b.line.SettingFrames();
  }
  static constexpr char kStopOff[] = "180FFAB4#0000000000000000";  // row 19
  Bench b;
  CommandId id = 0;
};

TEST_F(PcsSelfStartUnsent, S08_TheStopThatOvertakesItIsAsBefore) {
  EXPECT_THAT(FramesOfAStop(), ElementsAre(kStopOff));
  EXPECT_EQ(End(), "OVERTAKEN_BY_SAFE_ACTION");
}

TEST_F(PcsSelfStartUnsent, S08_AfterADiskThatRefusesTheNextStopIsAsBefore) {
  b.h.memory.Saved(absl::UnavailableError("no space left"));
  EXPECT_EQ(End(), "NOT_REMEMBERED");
  EXPECT_THAT(FramesOfAStop(), ElementsAre(kStopOff));
}

TEST_F(PcsSelfStartUnsent, S08_AfterItsDeadlineTheNextStopIsAsBefore) {
  b.h.Advance(seconds(11));
  b.h.memory.Saved();
  EXPECT_EQ(End(), "DEADLINE_PASSED");
  EXPECT_THAT(FramesOfAStop(), ElementsAre(kStopOff));
}

TEST_F(PcsSelfStartUnsent, S08_WithdrawnOnTheLineTheNextStopIsAsBefore) {
  // A long frame before it: the lease is lost while it waits in the bus's queue.
  ASSERT_EQ(b.line.port(TestLine::From::kSimulator)
                .Send({.frame = *ParseFrame("1813B4FA#0D00000000000000")}),
            absl::OkStatus());
  b.h.memory.Saved();
  b.driver->Cancel(id, MakeError(absl::StatusCode::kAborted, "LEASE_LOST", "the lease was lost"));
  EXPECT_EQ(End(), "LEASE_LOST");
  EXPECT_THAT(FramesOfAStop(), ElementsAre(kStopOff));
}

TEST_F(PcsSelfStartUnsent, S08_AfterABusThatWentDownTheNextStopIsAsBefore) {
  b.line.SetBus(BusState::kBusOff);
  EXPECT_EQ(End(), "BUS_DOWN");
  b.line.SetBus(BusState::kActive);
  b.h.Advance(seconds(1));
  EXPECT_THAT(FramesOfAStop(), ElementsAre(kStopOff));
}

// The bus cannot take back what is in the controller.
TEST_F(PcsSelfStartUnsent, WhatGoesOutAfterItsEndIsInTheNextStop) {
  b.h.Advance(milliseconds(40));
  b.h.memory.Saved();  // on a line that is free, for half a millisecond
  b.driver->Cancel(id, absl::AbortedError("the lease was lost"));
  EXPECT_EQ(b.h.memory.Get("sent.self_start"), "false");
  b.h.Advance(milliseconds(10));
  EXPECT_EQ(b.h.memory.Get("sent.self_start"), "true");
  EXPECT_TRUE(b.Flag("self_start"));
  EXPECT_THAT(FramesOfAStop(),
              ElementsAre("180FFAB4#0000010000000000", "180FFAB4#0000010000000000"));
}

TEST_F(PcsSelfStartUnsent, ARestartOfTheDriverPutsBackWhatWasSent) {
  b.line.Connect(nullptr, b.simulator.get());
  b.driver.reset();
  EXPECT_EQ(b.h.memory.Get("sent.self_start"), "false");
}

TEST(PcsSelfStart, OneThatWasNotSentIsNotRememberedWhereNothingWasKnown) {
  Bench b;
  b.Boot();
  b.h.memory.SaveLater();
  b.driver->Execute(b.h.Action("set_self_start", {{"self_start", Value::Flag(true)}}));
  EXPECT_EQ(b.Stop(), absl::OkStatus());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("180FFAB4#0000000000000000"));  // row 19
  EXPECT_EQ(b.h.memory.Get("sent.self_start"), "false");
  bool said = false;
  for (const auto& [level, text] : b.h.log.lines()) {
    said |= text.find("self-start was not known here") != std::string::npos;
  }
  EXPECT_TRUE(said);
}

// Every special setting of the table can be set, and read unless nothing reads it.
TEST(PcsSettings, CoverAllSpecialSettings) {
  for (const SpecialSpec& special : Specials()) {
    if (!special.set) continue;
    int found = 0;
    for (const SettingFrame& frame : SettingFrames()) found += frame.set == *special.set;
    EXPECT_EQ(found, 1) << special.name;
  }
}

}  // namespace
}  // namespace canhub::ystech_pcs
