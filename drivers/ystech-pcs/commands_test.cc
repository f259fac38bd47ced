// Commands: what is sent for them, what ends them, what refuses them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/ystech-pcs/driver_testing.h"

namespace canhub::ystech_pcs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

constexpr auto kSimulator = TestLine::From::kSimulator;

uint32_t Code(const CanFrame& frame) { return frame.id >> 16 & 0xFF; }

class PcsCommand : public ::testing::Test {
 protected:
  void SetUp() override { b.Boot(); }
  std::vector<std::string> Sent() const { return b.line.SettingFrames(); }
  // The device never says this.
  void Mute(uint32_t code) {
    b.line.lose = [code](TestLine::From from, const CanFrame& frame) {
      return from == kSimulator && Code(frame) == code;
    };
  }
  // It refuses: the result byte of this reply is 0.
  void Refuse(uint32_t code, size_t byte = 0) {
    b.line.garble = [code, byte](TestLine::From from, CanFrame& frame) {
      if (from == kSimulator && Code(frame) == code) frame.data[byte] = 0;
    };
  }
  Bench b;
};

// ---------------------------------------------------------------- mode, start, stop: section 18

TEST_F(PcsCommand, SetModeSendsModeAndAllItsParametersAndReadsBack) {
  ASSERT_EQ(b.Act("set_mode", CcCv()), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180BFAB4#2900000000000000",    // row 7, at 0xFA
                                  "180CFAB4#00061A80FFFF3CB0",    // row 11
                                  "180DFAB4#0000138800000000"));  // row 12
  EXPECT_EQ(b.Number("mode"), 0x29);
  EXPECT_EQ(b.Number("mode_parameter_2"), -50);
  EXPECT_THAT(b.h.commands.stages(1),
              ElementsAre(Stage::kSent, Stage::kOnWire, Stage::kConfirmed, Stage::kSettled));
}

TEST_F(PcsCommand, AModeWithOneParameterSendsOneFrameOfThem) {
  ASSERT_EQ(b.Act("set_mode", {{"mode", Value::Text("dc_constant_voltage")},
                               {"voltage_setpoint", Number(400)}}),
            absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180BFAB4#0200000000000000",    // row 6
                                  "180CFAB4#00061A8000000000"));  // row 8
}

TEST_F(PcsCommand, PulsesAndAcPowerHaveTheirOwnScales) {
  ASSERT_EQ(b.Act("set_mode", {{"mode", Value::Text("dc_pulse_current")},
                               {"current_1", Number(100)},
                               {"current_2", Number(-100)},
                               {"cycle_time", Number(2)},
                               {"duty_cycle", Number(25)}}),
            absl::OkStatus());
  ASSERT_EQ(b.Act("set_mode", {{"mode", Value::Text("ac_constant_power")},
                               {"active_power", Number(30000)},
                               {"reactive_power", Number(-5000)}}),
            absl::OkStatus());
  EXPECT_THAT(Sent(), IsSupersetOf({"180CFAB4#000186A0FFFE7960",     // row 14
                                    "180DFAB4#000000C8000009C4",     // row 15
                                    "180CFAB4#01C9C380FFB3B4C0"}));  // row 17
}

TEST_F(PcsCommand, StartIsConfirmedByTheRunningStateAndNotByTheReply) {
  ASSERT_EQ(b.Act("set_mode", Charge(-50)), absl::OkStatus());
  b.line.ClearLog();
  b.driver->Execute(b.h.Action("start"));
  b.h.Advance(seconds(1));
  EXPECT_THAT(Sent(), ElementsAre("180FFAB4#0100000000000000"));  // row 18
  EXPECT_EQ(b.h.commands.finished(2), nullptr);                   // self check, soft start
  EXPECT_TRUE(b.Until([&] { return b.h.commands.finished(2) != nullptr; }, seconds(10)));
  EXPECT_EQ(b.StatusOf(2), absl::OkStatus());
  EXPECT_EQ(b.State(), 12);
  b.h.Advance(seconds(2));
  EXPECT_NEAR(b.Number("dc_current"), -50, 0.5);
}

TEST_F(PcsCommand, StopIsConfirmedByTheState) {
  b.RunCharge();
  EXPECT_EQ(b.Stop(), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180FFAB4#0000000000000000"));  // row 19
  EXPECT_EQ(b.State(), 13);
}

TEST_F(PcsCommand, StandbyStopsAndTakesTheModeAway) {
  b.RunCharge();
  ASSERT_EQ(b.Run(b.h.Action("standby", {}, Stage::kConfirmed, Urgency::kSafe)), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180FFAB4#0000000000000000", "180BFAB4#9400000000000000"));
  EXPECT_EQ(Reason(b.Act("start")), "NO_MODE");
}

TEST_F(PcsCommand, UpdateParametersWhileItRuns) {
  b.RunCharge();
  ASSERT_EQ(b.Act("update_parameters", Charge(-30)), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180CFAB4#FFFF8AD000000000"));  // -30000 counts
  b.h.Advance(seconds(2));
  EXPECT_NEAR(b.Number("dc_current"), -30, 0.5);
  EXPECT_EQ(b.State(), 12);
}

// ---------------------------------------------------------------- set-points as items

TEST_F(PcsCommand, ASetPointIsItsParameterAloneAlsoWhileItRuns) {
  b.RunCharge();
  EXPECT_EQ(b.Number("current_setpoint"), -50);
  ASSERT_EQ(b.Set("current_setpoint", Number(-30)), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180CFAB4#FFFF8AD000000000"));  // -30000 counts
  EXPECT_EQ(b.Number("current_setpoint"), -30);
  b.h.Advance(seconds(2));
  EXPECT_NEAR(b.Number("dc_current"), -30, 0.5);
  EXPECT_EQ(b.State(), 12);
}

TEST_F(PcsCommand, ASetPointLeavesTheOthersOfItsModeAsTheDeviceHasThem) {
  ASSERT_EQ(b.Act("set_mode", CcCv()), absl::OkStatus());
  b.line.ClearLog();
  ASSERT_EQ(b.Set("voltage_setpoint", Number(398)), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180CFAB4#000612B0FFFF3CB0",    // row 11, 398000 counts
                                  "180DFAB4#0000138800000000"));  // row 12
}

TEST_F(PcsCommand, ASetPointThatTheModeHasNotIsRefused) {
  b.RunCharge();
  const absl::Status status = b.Set("power_setpoint", Number(1000));
  EXPECT_EQ(Reason(status), "OTHER_MODE");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the mode is dc_constant_current, which has no power_setpoint"));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, ASetPointIsHeldAgainstProtectionAndLimits) {
  b.RunCharge();
  EXPECT_EQ(Reason(b.Set("current_setpoint", Number(151))), "BEYOND_PROTECTION");
  b.h.config.limits["current"] = 20;
  EXPECT_EQ(Reason(b.Set("current_setpoint", Number(-21))), "SETPOINT_ABOVE_LIMIT");
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, ASetPointThatTheDeviceDoesNotTakeIsTold) {
  b.RunCharge();
  Refuse(0x0E);
  EXPECT_EQ(Reason(b.Set("current_setpoint", Number(-30))), "REFUSED_BY_DEVICE");
}

TEST_F(PcsCommand, UpdateParametersOfAnotherModeIsRefused) {
  b.RunCharge();
  const absl::Status status = b.Act("update_parameters", CcCv());
  EXPECT_EQ(Reason(status), "OTHER_MODE");
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, ClearSendsItsFrameAndWaitsForTheFaultToGo) {
  ASSERT_EQ(b.simulator->InjectFault("trip", {{"code", Value::Integer(5)}}), absl::OkStatus());
  ASSERT_TRUE(b.Until([&] { return b.State() == 6; }, seconds(1)));
  EXPECT_EQ(b.Act("clear_faults"), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180FFAB4#0001000000000000"));  // row 20
  EXPECT_FALSE(b.h.alarms.active("fault_5"));
}

TEST_F(PcsCommand, AFaultWhoseCauseStandsIsNotCleared) {
  ASSERT_EQ(b.simulator->InjectFault("emergency_stop", {}), absl::OkStatus());
  ASSERT_TRUE(b.Until([&] { return b.State() == 6; }, seconds(1)));
  const absl::Status status = b.Act("clear_faults");
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("emergency stop"));
}

// ---------------------------------------------------------------- refusals: nothing is sent

TEST_F(PcsCommand, S08_AModeWhileItRunsIsRefused) {
  b.RunCharge();
  const absl::Status status = b.Act("set_mode", CcCv());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(Reason(status), "CONVERTER_RUNS");
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_EQ(b.State(), 12);
}

TEST_F(PcsCommand, StopFirstStopsItAndSetsTheMode) {
  b.RunCharge();
  Arguments arguments = CcCv();
  arguments.emplace_back("stop_first", Value::Flag(true));
  ASSERT_EQ(b.Act("set_mode", arguments), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180FFAB4#0000000000000000", "180BFAB4#2900000000000000",
                                  "180CFAB4#00061A80FFFF3CB0", "180DFAB4#0000138800000000"));
  EXPECT_EQ(b.State(), 13);
}

TEST_F(PcsCommand, StopFirstDoesNotStopForParametersThatAreRefused) {
  b.RunCharge();
  Arguments arguments = Charge(-200);
  arguments.emplace_back("stop_first", Value::Flag(true));
  EXPECT_TRUE(absl::IsOutOfRange(b.Act("set_mode", arguments)));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, ASetPointBeyondProtectionNamesBoth) {
  const absl::Status status = b.Act("set_mode", Charge(-200));
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("-200 A"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("max_charge_current"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("150 A"));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, ProtectionIsReadAnewBeforeItIsTrusted) {
  // Somebody at the display.
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == kSimulator && Code(frame) == 0x02) frame.data[4] = 0;  // 0x05DC → 0x00DC: 22 A
  };
  EXPECT_TRUE(absl::IsOutOfRange(b.Act("set_mode", Charge(-50))));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, WithoutProtectionParametersNothingIsSet) {
  Mute(0x02);
  const absl::Status status = b.Act("set_mode", Charge(-50));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, WrongArgumentsAreRefused) {
  EXPECT_EQ(Reason(b.Act("set_mode", {})), "NO_MODE");
  EXPECT_EQ(Reason(b.Act("set_mode", {{"mode", Value::Text("warp")}})), "MODE_UNKNOWN");
  EXPECT_EQ(Reason(b.Act("set_mode", {{"mode", Value::Text("dc_constant_current")}})),
            "PARAMETER_MISSING");
  Arguments arguments = Charge(-50);
  arguments.emplace_back("voltage_setpoint", Number(400));
  EXPECT_EQ(Reason(b.Act("set_mode", arguments)), "PARAMETER_OF_OTHER_MODE");
  EXPECT_EQ(Reason(b.Act("set_protection", {})), "ARGUMENT_MISSING");
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, AResistanceOfZeroIsAShortCircuit) {
  EXPECT_EQ(Reason(b.Act("set_mode", {{"mode", Value::Text("dc_constant_resistance")},
                                      {"resistance_setpoint", Number(0)}})),
            "RESISTANCE_ZERO");
}

TEST_F(PcsCommand, StartWithoutAModeIsRefused) {
  EXPECT_EQ(Reason(b.Act("start")), "NO_MODE");
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, StartWithAFaultIsRefused) {
  ASSERT_EQ(b.Act("set_mode", Charge(-50)), absl::OkStatus());
  ASSERT_EQ(b.simulator->InjectFault("trip", {{"code", Value::Integer(5)}}), absl::OkStatus());
  ASSERT_TRUE(b.Until([&] { return b.State() == 6; }, seconds(1)));
  b.line.ClearLog();
  EXPECT_EQ(Reason(b.Act("start")), "FAULT_STANDS");
  EXPECT_THAT(Sent(), IsEmpty());
}

// The limits may have been lowered since the mode was set, or somebody set it at the display.
TEST_F(PcsCommand, StartHoldsWhatTheDeviceHasAgainstTheLimits) {
  ASSERT_EQ(b.Act("set_mode", Charge(-50)), absl::OkStatus());
  b.line.ClearLog();
  b.h.config.limits["current"] = 20;
  b.h.config.limit_origins["current"] = "lab.yaml:7, devices.pcs1.limits.current";
  const absl::Status status = b.Act("start");
  EXPECT_EQ(Reason(status), "SETPOINT_ABOVE_LIMIT");
  EXPECT_THAT(std::string(status.message()), HasSubstr("lab.yaml:7"));
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(PcsCommand, ALimitThatNothingCanBeHeldAgainstForbidsTheMode) {
  b.h.config.limits["power"] = 20000;
  EXPECT_EQ(Reason(b.Act("set_mode", {{"mode", Value::Text("dc_constant_magnification")},
                                      {"magnification", Number(0.5)}})),
            "LIMIT_NOT_CHECKABLE");
  // 800 V at 10 ohm are 64 kW.
  EXPECT_EQ(Reason(b.Act("set_mode", {{"mode", Value::Text("dc_constant_resistance")},
                                      {"resistance_setpoint", Number(10)}})),
            "SETPOINT_ABOVE_LIMIT");
}

// ---------------------------------------------------------------- replies

TEST_F(PcsCommand, AFailureReplyEndsWithStateAndFault) {
  Refuse(0x0E);
  const absl::Status status = b.Act("set_mode", CcCv());
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_EQ(Reason(status), "REFUSED_BY_DEVICE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("STANDBY"));
  EXPECT_EQ(GetErrorInfo(status).fields["fault"], "0");
  EXPECT_EQ(Sent().size(), 1u);  // not the parameters
}

TEST_F(PcsCommand, NoReplyEndsAfterThreeSecondsWithWhatIsKnown) {
  Mute(0x0E);
  const MonoTime before = b.h.clock.Now();
  const absl::Status status = b.Act("set_mode", CcCv());
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(Reason(status), "NO_REPLY");
  EXPECT_THAT(std::string(status.message()), HasSubstr("its state is STANDBY"));
  const Duration took = b.h.clock.Now() - before;
  EXPECT_GE(took, seconds(3));
  EXPECT_LT(took, milliseconds(3300));
  EXPECT_EQ(Sent().size(), 1u);  // never again by itself
}

TEST_F(PcsCommand, S08_HalfDoneIsReportedWithWhatWasDone) {
  int replies = 0;
  b.line.lose = [&replies](TestLine::From from, const CanFrame& frame) {
    return from == kSimulator && Code(frame) == 0x0E && ++replies == 2;
  };
  const absl::Status status = b.Act("set_mode", CcCv());
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(GetErrorInfo(status).fields["done"], HasSubstr("the mode dc_cc_cv was taken"));
}

TEST_F(PcsCommand, AReadBackThatDiffersIsAFailure) {
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == kSimulator && Code(frame) == 0x37) frame.data[3] ^= 1;
  };
  const absl::Status status = b.Act("set_mode", CcCv());
  EXPECT_EQ(Reason(status), "READ_BACK_DIFFERS");
  EXPECT_THAT(std::string(status.message()), HasSubstr("voltage_setpoint"));
}

TEST_F(PcsCommand, AStartThatAFaultEndsIsAborted) {
  ASSERT_EQ(b.Act("set_mode", Charge(-50)), absl::OkStatus());
  b.driver->Execute(b.h.Action("start"));
  b.h.Advance(seconds(1));
  ASSERT_EQ(b.simulator->InjectFault("trip", {{"code", Value::Integer(6)}}), absl::OkStatus());
  ASSERT_TRUE(b.Until([&] { return b.h.commands.finished(2) != nullptr; }, seconds(2)));
  EXPECT_EQ(Reason(b.StatusOf(2)), "START_FAILED");
  EXPECT_THAT(std::string(b.StatusOf(2).message()), HasSubstr("soft start"));
}

// 0x0E does not say what it answers.
TEST_F(PcsCommand, OneAtATimeInTheirOrder) {
  b.driver->Execute(b.h.Action("set_mode", CcCv()));
  b.driver->Execute(b.h.Action("set_mode", Charge(-20)));
  ASSERT_TRUE(b.Until([&] { return b.h.commands.finished(2) != nullptr; }, seconds(5)));
  EXPECT_EQ(b.StatusOf(1), absl::OkStatus());
  EXPECT_EQ(b.StatusOf(2), absl::OkStatus());
  EXPECT_THAT(Sent(), ElementsAre("180BFAB4#2900000000000000", "180CFAB4#00061A80FFFF3CB0",
                                  "180DFAB4#0000138800000000", "180BFAB4#2100000000000000",
                                  "180CFAB4#FFFFB1E000000000"));
}

// The reply that a cancelled command left behind is not taken for the next one's.
TEST_F(PcsCommand, AReplyThatComesLateIsWaitedFor) {
  ASSERT_EQ(b.simulator->InjectFault("delay", {{"milliseconds", Value::Integer(1000)}}),
            absl::OkStatus());
  b.driver->Execute(b.h.Action("set_mode", CcCv()));
  ASSERT_TRUE(b.Until([&] { return !Sent().empty(); }, seconds(10)));
  b.driver->Cancel(1, absl::AbortedError("the lease was lost"));
  EXPECT_TRUE(absl::IsAborted(b.StatusOf(1)));
  b.driver->Execute(b.h.Action("set_mode", Charge(-20)));
  b.h.Advance(milliseconds(300));
  EXPECT_EQ(Sent().size(), 1u);
  ASSERT_TRUE(b.Until([&] { return b.h.commands.finished(2) != nullptr; }, seconds(60)));
  EXPECT_EQ(b.StatusOf(2), absl::OkStatus());
}

TEST_F(PcsCommand, ACallerThatOnlyWaitsForSentIsToldThen) {
  ASSERT_EQ(b.Act("set_mode", Charge(-50)), absl::OkStatus());
  b.driver->Execute(b.h.Action("start", {}, Stage::kSent));
  ASSERT_TRUE(b.Until([&] { return b.h.commands.finished(2) != nullptr; }, milliseconds(500)));
  EXPECT_EQ(b.StatusOf(2), absl::OkStatus());
  b.h.Advance(seconds(5));
  EXPECT_EQ(b.State(), 12);
  EXPECT_THAT(b.h.commands.errors(), IsEmpty());
}

TEST_F(PcsCommand, ADeviceThatIsSilentIsUnavailable) {
  b.line.lose = [](TestLine::From from, const CanFrame&) { return from == kSimulator; };
  b.h.Advance(seconds(2));
  EXPECT_TRUE(absl::IsUnavailable(b.Act("start")));
  EXPECT_THAT(Sent(), IsEmpty());
}

// ---------------------------------------------------------------- safe actions

TEST_F(PcsCommand, S10_AStopOvertakesWhatIsUnderWayAndWhatWaits) {
  b.RunCharge();
  Mute(0x0E);
  b.driver->Execute(b.h.Action("update_parameters", Charge(-30)));
  b.driver->Execute(b.h.Action("update_parameters", Charge(-20)));
  b.h.Advance(milliseconds(500));
  ASSERT_EQ(Sent().size(), 1u);
  EXPECT_EQ(b.Stop(), absl::OkStatus());
  EXPECT_TRUE(absl::IsAborted(b.StatusOf(3)));
  EXPECT_TRUE(absl::IsAborted(b.StatusOf(4)));
  EXPECT_THAT(Sent(), ElementsAre("180CFAB4#FFFF8AD000000000", "180FFAB4#0000000000000000"));
}

TEST_F(PcsCommand, AStopIsSentAgainUntilTheStateShowsIt) {
  b.RunCharge();
  int lost = 0;
  b.line.lose = [&lost](TestLine::From from, const CanFrame& frame) {
    return from == TestLine::From::kDriver && Code(frame) == 0x0F && ++lost <= 2;
  };
  EXPECT_EQ(b.Stop(), absl::OkStatus());
  EXPECT_EQ(Sent().size(), 3u);
  EXPECT_EQ(b.State(), 13);
}

// A status frame that was on its way before the stop says nothing about it.
TEST_F(PcsCommand, AStatusBeforeTheStopIsOutConfirmsNothing) {
  DriverHarness h(DriverConfig());
  const std::unique_ptr<Driver> driver = Info().create(h.Context());
  driver->OnBusState(BusState::kActive);
  driver->Start();
  const CanFrame standby = ParseFrame("1813B4FA#0D00000000000000").value();
  driver->OnFrame(h.Rx(standby));
  driver->Execute(h.Action("stop", {}, Stage::kConfirmed, Urgency::kSafe));
  h.Advance(milliseconds(1));
  driver->OnFrame(h.Rx(standby));
  EXPECT_EQ(h.commands.finished(1), nullptr);
  h.ReportOnWire(*driver);
  h.Advance(milliseconds(1));
  driver->OnFrame(h.Rx(standby));
  ASSERT_NE(h.commands.finished(1), nullptr);
  EXPECT_EQ(h.commands.finished(1)->status, absl::OkStatus());
}

// Nor is a reply that comes before its request is out a reply to it.
TEST_F(PcsCommand, AReplyBeforeTheRequestIsOutIsNone) {
  DriverHarness h(DriverConfig());
  const std::unique_ptr<Driver> driver = Info().create(h.Context());
  driver->OnBusState(BusState::kActive);
  driver->Start();
  driver->OnFrame(h.Rx(ParseFrame("1813B4FA#0D00000000000000").value()));
  driver->Execute(h.Action("set_time"));
  driver->OnFrame(h.Rx(ParseFrame("180AB4FA#0100000000000000").value()));
  EXPECT_EQ(h.commands.finished(1), nullptr);
  EXPECT_EQ(h.log.bad_frames("unexpected_answer"), 1);
  h.ReportOnWire(*driver);
  driver->OnFrame(h.Rx(ParseFrame("180AB4FA#0100000000000000").value()));
  ASSERT_NE(h.commands.finished(1), nullptr);
  EXPECT_EQ(h.commands.finished(1)->status, absl::OkStatus());
}

TEST_F(PcsCommand, AStopThatNeverShowsIsACriticalAlarm) {
  b.RunCharge();
  b.line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == TestLine::From::kDriver && Code(frame) == 0x0F;
  };
  const absl::Status status = b.Stop();
  EXPECT_EQ(Reason(status), "NOT_STOPPED");
  EXPECT_EQ(Sent().size(), 5u);
  EXPECT_EQ(b.h.alarms.all().at("not_stopped").severity, AlarmSeverity::kCritical);
  b.line.lose = nullptr;
  EXPECT_EQ(b.Stop(), absl::OkStatus());
  EXPECT_FALSE(b.h.alarms.active("not_stopped"));
}

TEST_F(PcsCommand, AStopIsTriedOnADeviceThatIsSilent) {
  b.RunCharge();
  b.line.lose = [](TestLine::From from, const CanFrame&) { return from == kSimulator; };
  b.h.Advance(seconds(2));
  b.driver->Execute(b.h.Action("stop", {}, Stage::kConfirmed, Urgency::kSafe));
  b.h.Advance(milliseconds(100));
  EXPECT_EQ(Sent().size(), 1u);
}

TEST_F(PcsCommand, S02_ACommandThatWasCancelledSendsNothingMore) {
  b.driver->Execute(b.h.Action("set_mode", CcCv()));
  ASSERT_TRUE(b.Until([&] { return Sent().size() == 1; }, seconds(1)));
  b.driver->Cancel(1, absl::DeadlineExceededError("too late"));
  b.h.Advance(seconds(5));
  EXPECT_EQ(Sent().size(), 1u);
  EXPECT_THAT(GetErrorInfo(b.StatusOf(1)).fields["state"], "STANDBY");
}

// Found by fuzzing: it was handed to the bus, which would not have sent it.
TEST_F(PcsCommand, S02_ACommandWhoseTurnComesTooLateIsNotEvenHandedOver) {
  ASSERT_EQ(b.simulator->InjectFault("delay", {{"milliseconds", Value::Integer(500)}}),
            absl::OkStatus());
  b.driver->Execute(b.h.Action("set_mode", CcCv()));
  Command command =
      b.h.Action("set_phase_reactive_power", {{"phase_reactive_setting_a", Number(0)},
                                              {"phase_reactive_setting_b", Number(0)},
                                              {"phase_reactive_setting_c", Number(0)}});
  command.guard = std::make_shared<CommandGuard>(b.h.clock.Now() + seconds(1));
  b.driver->Execute(std::move(command));
  ASSERT_TRUE(b.Until([&] { return b.h.commands.finished(1) != nullptr; }, seconds(30)));
  EXPECT_EQ(Reason(b.StatusOf(2)), "DEADLINE_PASSED");
  EXPECT_EQ(b.h.log.timeouts(), 0);
  for (const std::string& frame : Sent()) EXPECT_NE(frame.substr(0, 4), "1822");
}

// 0x0A does not say what it answers.
TEST_F(PcsCommand, AReplyAfterItsTimeIsNotTheNextOnes) {
  Mute(0x0A);
  b.driver->Execute(b.h.Action("set_time"));
  ASSERT_TRUE(b.Until([&] { return b.h.commands.finished(1) != nullptr; }, seconds(10)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(b.StatusOf(1)));
  b.line.lose = nullptr;
  b.driver->Execute(b.h.Action("set_time"));
  b.h.Advance(milliseconds(300));
  EXPECT_EQ(Sent().size(), 1u) << "the first one's reply may still come";
  b.driver->OnFrame(b.h.Rx(ParseFrame("180AB4FA#0100000000000000").value()));  // row 40
  EXPECT_EQ(b.h.commands.finished(2), nullptr);
  ASSERT_TRUE(b.Until([&] { return b.h.commands.finished(2) != nullptr; }, seconds(1)));
  EXPECT_EQ(b.StatusOf(2), absl::OkStatus());
  EXPECT_EQ(Sent().size(), 2u);
}

TEST_F(PcsCommand, S02_ACommandWhoseGuardIsRevokedSendsNothing) {
  Command command = b.h.Action("set_mode", CcCv());
  const auto guard = std::make_shared<CommandGuard>(b.h.clock.Now() + seconds(10));
  command.guard = guard;
  guard->Revoke();
  EXPECT_FALSE(b.Run(std::move(command)).ok());
  EXPECT_THAT(Sent(), IsEmpty());
}

}  // namespace
}  // namespace canhub::ystech_pcs
