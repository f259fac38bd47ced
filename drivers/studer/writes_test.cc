// Commands of a unit: RAM and flash, what is refused, what is counted.
#include <chrono>
#include <string>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/studer/flash_wear.h"
#include "drivers/studer/writes_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::studer {
namespace {

using namespace std::chrono_literals;
using absl::StatusCode;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

// ---------------------------------------------------------------- RAM

TEST_F(WritesTest, AnItemIsWrittenToRam) {  // E9
  const Result* done = t_.Run(t_.h.Write("parameter.ac_output_voltage", Value::Number(225)));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_THAT(Writes(), ElementsAre("03280080#05060443610000"));
  EXPECT_EQ(t_.simulator.FindUnit(101)->FlashWrites(1286), 0);
  EXPECT_EQ(t_.simulator.FindUnit(101)->Value(1286), 225);
  EXPECT_THAT(t_.h.commands.errors(), IsEmpty());
}

TEST_F(WritesTest, StagesAreReported) {
  t_.Run(t_.h.Write("parameter.ac_output_voltage", Value::Number(225)));
  EXPECT_THAT(t_.h.commands.stages(1),
              ElementsAre(Stage::kSent, Stage::kOnWire, Stage::kConfirmed));
}

TEST_F(WritesTest, WhatWasWrittenToRamIsRemembered) {  // section 3.1: it cannot be read
  t_.Run(t_.h.Write("parameter.ac_output_voltage", Value::Number(225)));
  EXPECT_EQ(t_.h.state.Read("parameter.ac_output_voltage").value.number(), 225);
  t_.driver->Refresh({t_.h.state.Id("flash.ac_output_voltage")}, [](absl::Status) {});
  t_.h.Advance(200ms);
  EXPECT_EQ(t_.h.state.Read("flash.ac_output_voltage").value.number(), 230);
  EXPECT_EQ(t_.h.state.Read("parameter.ac_output_voltage").value.number(), 225);
}

TEST_F(WritesTest, ARestartOfTheUnitForgetsRam) {
  t_.Run(t_.h.Write("parameter.ac_output_voltage", Value::Number(225)));
  ASSERT_TRUE(t_.Fault("restart").ok());
  t_.h.Advance(10ms);
  EXPECT_EQ(t_.h.state.Read("parameter.ac_output_voltage").quality, Quality::kStale);
  t_.driver->Refresh({t_.h.state.Id("parameter.ac_output_voltage")}, [](absl::Status) {});
  t_.h.Advance(200ms);
  EXPECT_EQ(t_.h.state.Read("parameter.ac_output_voltage").value.number(), 230);
}

TEST_F(WritesTest, AnEqualValueIsSkipped) {
  t_.Run(WriteRam("1286", 225));
  Writes();
  t_.h.Advance(1s);
  const Result* done = t_.Run(WriteRam("1286", 225));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_TRUE(Skipped(done));
  EXPECT_THAT(Writes(), IsEmpty());
}

TEST_F(WritesTest, AThousandEqualValuesAreSkippedInOneCommand) {
  t_.Run(WriteRam("1286", 225));
  Writes();
  const std::vector<ItemWrite> writes(1024, {t_.h.state.Id("1286"), Value::Number(225)});
  const Result* done = t_.Run(t_.h.Writes(writes));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_THAT(Writes(), IsEmpty());
}

TEST_F(WritesTest, ForceWritesAnEqualValue) {
  t_.Run(WriteRam("1286", 225));
  t_.h.Advance(1s);
  Writes();
  const Result* done = t_.Run(WriteRam("1286", 225, true));
  ASSERT_NE(done, nullptr);
  EXPECT_FALSE(Skipped(done));
  EXPECT_EQ(Writes().size(), 1u);
}

TEST_F(WritesTest, TheReplyWarnsOfRestartedAlgorithms) {  // section 7
  const Result* done = t_.Run(WriteRam("1286", 225));
  ASSERT_NE(done, nullptr);
  EXPECT_THAT(FindArgument(done->results, action::kResultWarning)->text(),
              HasSubstr("restart the algorithm"));
}

TEST_F(WritesTest, AValueIsRoundedToItsStep) {  // section 9, U12
  const Result* done = t_.Run(WriteRam("1140", 53.27));
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(FindArgument(done->results, action::kResultWritten)->number(), 53.3);
}

TEST_F(WritesTest, AChoiceIsWrittenByItsWord) {  // E13
  const Result* done = t_.Run(
      t_.h.Action(action::kWriteParameter, {{action::kArgumentParameter, Value::Text("1552")},
                                            {action::kArgumentLabel, Value::Text("Fast")}}));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_THAT(Writes(), ElementsAre("03280080#06100440800000"));
}

TEST_F(WritesTest, WeekdaysTimesAndFlagsHaveTheirFrames) {  // E14, E15; E11 for Xtender 1
  t_.Run(t_.h.Writes({{t_.h.state.Id("1205"), Value::Integer(31)},
                      {t_.h.state.Id("1206"), Value::Integer(821)},
                      {t_.h.state.Id("1124"), Value::Flag(false)}}));
  EXPECT_THAT(Writes(), ElementsAre("03280080#04B50441F80000", "03280080#04B604444D4000",
                                    "03280080#04640400000000"));
}

// ---------------------------------------------------------------- refusals

TEST_F(WritesTest, OutsideTheUnitsOwnBoundsIsRefusedWithAllNumbers) {  // section 7.1
  const Result* done = t_.Run(WriteRam("1156", 54.0));
  EXPECT_EQ(ReasonOf(done), "VALUE_BELOW_RANGE");
  const ErrorFields fields = GetErrorInfo(done->status).fields;
  EXPECT_EQ(fields.at("requested"), "54");
  EXPECT_EQ(fields.at("minimum"), "54.4");
  EXPECT_EQ(fields.at("maximum"), "72");
  EXPECT_THAT(Writes(), IsEmpty());
}

TEST_F(WritesTest, AChoiceThatIsNoneIsRefusedUnsent) {
  const Result* done = t_.Run(t_.h.Write("1552", Value::Integer(3)));
  EXPECT_EQ(ReasonOf(done), "VALUE_NOT_POSSIBLE");
  EXPECT_THAT(std::string(done->status.message()), HasSubstr("4 (Fast)"));
  EXPECT_THAT(Writes(), IsEmpty());
}

TEST_F(WritesTest, AnUnknownParameterIsRefused) {
  const Result* done = t_.Run(WriteRam("10002", 40));  // a VarioTrack's
  EXPECT_EQ(ReasonOf(done), "PARAMETER_UNKNOWN");
  EXPECT_EQ(ReasonOf(t_.Run(WriteRam("battery_voltage", 40))), "PARAMETER_UNKNOWN");  // an info
}

TEST_F(WritesTest, ASignalIsNotWritten) {
  EXPECT_EQ(ReasonOf(t_.Run(WriteRam("1467", 1))), "IS_SIGNAL");
}

TEST_F(WritesTest, OneOfManyThatIsWrongStopsAllBeforeTheFirst) {  // S08
  const Result* done = t_.Run(t_.h.Writes(
      {{t_.h.state.Id("1138"), Value::Number(20)}, {t_.h.state.Id("1552"), Value::Integer(3)}}));
  EXPECT_EQ(ReasonOf(done), "VALUE_NOT_POSSIBLE");
  EXPECT_THAT(Writes(), IsEmpty());
}

TEST_F(WritesTest, S08_WhatWasDoneBeforeAnErrorIsTold) {
  const Result* done = t_.Run(t_.h.Writes(
      {{t_.h.state.Id("1138"), Value::Number(20)}, {t_.h.state.Id("1156"), Value::Number(54)}}));
  EXPECT_EQ(ReasonOf(done), "VALUE_BELOW_RANGE");
  EXPECT_THAT(std::string(done->status.message()), HasSubstr("; done: 1138"));
  EXPECT_EQ(GetErrorInfo(done->status).fields.at("done"), "1138");
}

TEST_F(WritesTest, TwoWritesOfOneParameterNeedTheirTime) {
  t_.Run(WriteRam("1138", 20), 150ms);
  EXPECT_EQ(ReasonOf(t_.Run(WriteRam("1138", 21), 10ms)), "WRITTEN_TOO_OFTEN");
  t_.h.Advance(200ms);
  const Result* done = t_.Run(WriteRam("1138", 21));
  EXPECT_TRUE(done->status.ok()) << done->status;
}

TEST_F(WritesTest, WhatIsSkippedIsNotWrittenTooOften) {
  t_.Run(WriteFlash("1138", 20), 150ms);
  const Result* done = t_.Run(WriteFlash("1138", 20), 100ms);
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_TRUE(Skipped(done));
}

TEST_F(WritesTest, AUnitThatDoesNotAnswerGetsNoCommand) {
  ASSERT_TRUE(t_.Fault("silence").ok());
  t_.h.Advance(15s);
  Writes();
  EXPECT_EQ(ReasonOf(t_.Run(WriteRam("1138", 20))), "UNIT_SILENT");
  EXPECT_THAT(Writes(), IsEmpty());
}

TEST(WriteLimits, AreThoseOfTheConfiguration) {
  TestUnit t;
  t.h.config.limits["input_current"] = 16;
  t.h.config.limit_origins["input_current"] = "lab.yaml:7, devices.xt1.limits.input_current";
  t.StartPolled();
  const auto* done =
      t.Run(t.h.Action(action::kWriteParameter, {{action::kArgumentParameter, Value::Text("1107")},
                                                 {action::kArgumentValue, Value::Number(20)}}));
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(GetErrorInfo(done->status).reason, "SETPOINT_ABOVE_LIMIT");
  EXPECT_THAT(std::string(done->status.message()), HasSubstr("lab.yaml:7"));
}

struct Limited {
  const char* unit;
  const char* limit;
  const char* parameter;
};
class LimitedParameter : public testing::TestWithParam<Limited> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, LimitedParameter,
                         testing::Values(Limited{"xtender", "input_current", "1107"},
                                         Limited{"xtender", "input_current", "1567"},
                                         Limited{"xtender", "charge_current", "1138"},
                                         Limited{"xtender", "feeding_current", "1523"},
                                         Limited{"variotrack", "charge_current", "10002"},
                                         Limited{"variostring", "charge_current", "14001"},
                                         Limited{"variostring", "charge_current", "14217"},
                                         Limited{"bsp", "charge_current", "6059"},
                                         Limited{"bms", "charge_current", "6069"}),
                         [](const auto& info) { return "Id" + std::string(info.param.parameter); });
TEST_P(LimitedParameter, IsRefusedAboveTheLimit) {
  TestUnit t({{"unit", Value::Text(GetParam().unit)}});
  t.h.config.limits[GetParam().limit] = 5;
  t.MakeDriver();
  t.Start();
  const auto* done = t.Run(t.h.Write(GetParam().parameter, Value::Number(6)));
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(GetErrorInfo(done->status).reason, "SETPOINT_ABOVE_LIMIT");
}

// ---------------------------------------------------------------- the unit's answers

struct Refused {
  int code;
  StatusCode status;
  const char* name;
};
class RefusedByTheUnit : public WritesTest, public testing::WithParamInterface<Refused> {};
INSTANTIATE_TEST_SUITE_P(
    Section6, RefusedByTheUnit,
    testing::Values(Refused{0x25, StatusCode::kFailedPrecondition, "PROPERTY_IS_READ_ONLY"},
                    Refused{0x26, StatusCode::kInvalidArgument, "INVALID_DATA"},
                    Refused{0x27, StatusCode::kOutOfRange, "DATA_TOO_SMALL"},
                    Refused{0x28, StatusCode::kOutOfRange, "DATA_TOO_BIG"},
                    Refused{0x29, StatusCode::kUnavailable, "WRITE_PROPERTY_FAILED"},
                    Refused{0x2B, StatusCode::kFailedPrecondition, "ACCESS_DENIED"}),
    [](const auto& info) { return std::string(info.param.name); });
TEST_P(RefusedByTheUnit, IsToldWithTheVendorsName) {
  ASSERT_TRUE(t_.Fault("error", {{"code", Value::Integer(GetParam().code)}}).ok());
  const Result* done = t_.Run(t_.h.Write("1124", Value::Flag(false)));
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(done->status.code(), GetParam().status);
  const ErrorInfo info = GetErrorInfo(done->status);
  EXPECT_EQ(info.fields.at("error"), GetParam().name);
  EXPECT_EQ(info.fields.at("requested"), "false");
}

TEST_F(WritesTest, AWriteWithoutAnswerIsNotRepeated) {  // S01
  ASSERT_TRUE(t_.Fault("unit_silent").ok());
  const Result* done = t_.Run(t_.h.Write("1124", Value::Flag(false)), 1200ms);
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(done->status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Writes().size(), 1u);
  EXPECT_EQ(t_.h.state.Read("1124").quality, Quality::kNeverRead);
}

TEST_F(WritesTest, ABusyGatewayIsAskedAgainWithinTheCommand) {
  ASSERT_TRUE(t_.Fault("error", {{"code", Value::Integer(0x13)}}).ok());
  t_.driver->Execute(t_.h.Write("1124", Value::Flag(false)));
  t_.h.Advance(120ms);
  ASSERT_TRUE(t_.simulator.ClearFaults("").ok());
  t_.h.Advance(500ms);
  ASSERT_NE(t_.h.commands.finished(1), nullptr);
  EXPECT_TRUE(t_.h.commands.finished(1)->status.ok()) << t_.h.commands.finished(1)->status;
  EXPECT_THAT(t_.h.commands.errors(), IsEmpty());  // no stage twice
}

TEST_F(WritesTest, AWriteToRamThatFailedIsRepeatedOnce) {  // section 6, 0x29
  ASSERT_TRUE(t_.Fault("error", {{"code", Value::Integer(0x29)}}).ok());
  EXPECT_NE(t_.Run(t_.h.Write("1124", Value::Flag(false))), nullptr);
  EXPECT_EQ(Writes().size(), 2u);
}

TEST_F(WritesTest, S01_AWriteToFlashThatFailedIsNotRepeated) {
  ASSERT_TRUE(t_.Fault("error", {{"code", Value::Integer(0x29)}}).ok());
  const Result* done = t_.Run(WriteFlash("1138", 12, /*force=*/true));
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(GetErrorInfo(done->status).fields["error"], "WRITE_PROPERTY_FAILED");
  EXPECT_EQ(Writes().size(), 1u);
}

TEST_F(WritesTest, S02_NothingIsSentAfterTheDeadline) {
  t_.h.turn.Take();
  Command command = t_.h.Write("1124", Value::Flag(false), Stage::kConfirmed, 100ms);
  t_.driver->Execute(std::move(command));
  t_.h.Advance(200ms);
  if (t_.h.turn.Free()) t_.driver->OnTurn();
  t_.h.Advance(500ms);
  EXPECT_THAT(Writes(), IsEmpty());
  ASSERT_NE(t_.h.commands.finished(1), nullptr);
  EXPECT_FALSE(t_.h.commands.finished(1)->status.ok());
}

TEST_F(WritesTest, S02_WhatIsCancelledIsNotSent) {
  t_.h.turn.Take();
  t_.driver->Execute(t_.h.Write("1124", Value::Flag(false)));
  t_.driver->Cancel(1, absl::AbortedError("the lease is gone"));
  ASSERT_NE(t_.h.commands.finished(1), nullptr);
  EXPECT_EQ(t_.h.commands.finished(1)->status.code(), StatusCode::kAborted);
  if (t_.h.turn.Free()) t_.driver->OnTurn();
  t_.h.Advance(500ms);
  EXPECT_THAT(Writes(), IsEmpty());
}

TEST_F(WritesTest, ACancelledWriteThatIsOnItsWayIsUncertain) {
  t_.driver->Execute(t_.h.Write("1124", Value::Flag(false)));
  t_.h.Advance(5ms);
  t_.driver->Cancel(1, absl::AbortedError("the lease is gone"));
  EXPECT_THAT(std::string(t_.h.commands.finished(1)->status.message()),
              HasSubstr("1124 was sent: whether it was done is not known"));
}

TEST_F(WritesTest, TheBusTakesCommandsWithIt) {
  t_.driver->Execute(t_.h.Write("1124", Value::Flag(false)));
  t_.driver->Execute(t_.h.Write("1125", Value::Flag(false)));
  t_.driver->OnBusState(BusState::kBusOff);
  EXPECT_EQ(t_.h.commands.finished(1)->status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(t_.h.commands.finished(2)->status.code(), StatusCode::kUnavailable);
}

TEST_F(WritesTest, WhoWaitsForTheWireOnlyNeedsNoAnswer) {
  ASSERT_TRUE(t_.Fault("unit_silent").ok());
  const Result* done = t_.Run(t_.h.Write("1124", Value::Flag(false), Stage::kSent), 1200ms);
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_THAT(t_.h.commands.errors(), IsEmpty());
}

// ---------------------------------------------------------------- signals

TEST_F(WritesTest, ASignalIsTriggeredWithPartZero) {  // E16, U10
  const Result* done =
      t_.Run(t_.h.Action(action::kTrigger, {{action::kArgumentSignal, Value::Text("1467")}}));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_THAT(Writes(), ElementsAre("03280080#05BB003F800000"));
}

TEST(Signals, GoToRamWhereTheConfigurationSaysSo) {
  TestUnit t({{"signals", Value::Text("ram")}});
  t.StartPolled();
  t.Run(t.h.Action(action::kTrigger, {{action::kArgumentSignal, Value::Text("1467")}}));
  std::vector<Part> parts;
  for (const Request& r : t.line.TakeRequests()) {
    if (r.service == Service::kWriteParameter) parts.push_back(static_cast<Part>(r.part));
  }
  EXPECT_THAT(parts, ElementsAre(Part::kRam));
}

TEST_F(WritesTest, ANumberIsNotTriggered) {
  EXPECT_EQ(ReasonOf(t_.Run(
                t_.h.Action(action::kTrigger, {{action::kArgumentSignal, Value::Text("1107")}}))),
            "NO_SIGNAL");
}

// ---------------------------------------------------------------- flash

TEST_F(WritesTest, FlashIsWrittenWhenItIsAskedFor) {  // E10
  const Result* done = t_.Run(WriteFlash("battery_charge_current", 12));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_THAT(Writes(), ElementsAre("03280080#04720041400000"));
  EXPECT_EQ(FindArgument(done->results, action::kResultFlashWrites)->integer(), 1);
  EXPECT_EQ(t_.h.state.Read("flash_wear").value.text(), "1138=1");
  EXPECT_EQ(t_.h.state.Read("flash.battery_charge_current").value.number(), 12);
}

TEST_F(WritesTest, FlashThatHasTheValueIsNotWritten) {
  ASSERT_TRUE(t_.Fault("restart").ok());  // RAM is as flash
  t_.h.Advance(10ms);
  const Result* done = t_.Run(WriteFlash("1138", 60));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_TRUE(Skipped(done));
  EXPECT_THAT(Writes(), IsEmpty());
  EXPECT_EQ(t_.h.state.Read("flash_wear").value.text(), "");
}

TEST_F(WritesTest, FlashThatHasTheValueWhileRamHasAnotherCostsNoFlashWrite) {
  t_.Run(WriteRam("1138", 20));
  t_.h.Advance(1s);
  Writes();
  const Result* done = t_.Run(WriteFlash("1138", 60));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_THAT(Writes(), ElementsAre("03280080#04720442700000"));
  EXPECT_EQ(t_.simulator.FindUnit(101)->Value(1138), 60);
  EXPECT_EQ(t_.simulator.FindUnit(101)->FlashWrites(1138), 0);
}

TEST_F(WritesTest, AStepOfFixedPointIsNoDifference) {
  t_.Run(WriteFlash("1140", 53.3));
  t_.h.Advance(1s);
  EXPECT_TRUE(Skipped(t_.Run(WriteFlash("1140", 53.3))));
}

TEST(FlashWear, S11_AWriteIsCountedOnDiskBeforeItIsSent) {
  TestUnit t;
  t.h.memory = RecordingMemory();  // calls back when the test says so
  t.StartPolled();
  t.Run(t.h.Action(action::kWriteFlash, {{action::kArgumentParameter, Value::Text("1138")},
                                         {action::kArgumentValue, Value::Number(12)}}),
        2s);
  EXPECT_EQ(t.h.memory.Get("flash.1138"), "1");
  EXPECT_EQ(t.simulator.FindUnit(101)->FlashWrites(1138), 0);
  EXPECT_EQ(t.h.commands.finished(1), nullptr);
  t.h.memory.Saved();
  t.h.Advance(200ms);
  EXPECT_EQ(t.simulator.FindUnit(101)->FlashWrites(1138), 1);
  EXPECT_TRUE(t.h.commands.finished(1)->status.ok());
}

TEST(FlashWear, WhatCannotBeCountedIsNotSent) {
  TestUnit t;
  t.h.memory = RecordingMemory();
  t.StartPolled();
  t.Run(t.h.Action(action::kWriteFlash, {{action::kArgumentParameter, Value::Text("1138")},
                                         {action::kArgumentValue, Value::Number(12)}}));
  t.h.memory.Saved(absl::UnavailableError("disk full"));
  t.h.Advance(200ms);
  EXPECT_EQ(t.simulator.FindUnit(101)->FlashWrites(1138), 0);
  EXPECT_EQ(GetErrorInfo(t.h.commands.finished(1)->status).reason, "FLASH_WEAR_NOT_COUNTED");
}

TEST_F(WritesTest, CountsOutliveTheDriver) {
  t_.Run(WriteFlash("1138", 12));
  t_.MakeDriver();
  t_.StartPolled();
  t_.h.Advance(2s);  // what the first one published says that it is polled
  EXPECT_EQ(t_.h.state.Read("flash_wear").value.text(), "1138=1");
  t_.Run(WriteFlash("1138", 13));
  EXPECT_EQ(t_.h.state.Read("flash_wear_worst").value.integer(), 2);
}

struct Worn {
  const char* count;
  bool alarm;
  AlarmSeverity severity;
};
class WornFlash : public testing::TestWithParam<Worn> {};
INSTANTIATE_TEST_SUITE_P(FiftyAndEightyPercent, WornFlash,
                         testing::Values(Worn{"499", false, AlarmSeverity::kInfo},
                                         Worn{"500", true, AlarmSeverity::kWarning},
                                         Worn{"799", true, AlarmSeverity::kWarning},
                                         Worn{"800", true, AlarmSeverity::kCritical}),
                         [](const auto& info) { return "At" + std::string(info.param.count); });
TEST_P(WornFlash, RaisesAnAlarm) {
  TestUnit t;
  t.h.memory.Put("flash.1138", GetParam().count, nullptr);
  t.StartPolled();
  EXPECT_EQ(t.h.alarms.active("flash_wear.1138"), GetParam().alarm);
  if (GetParam().alarm) {
    EXPECT_EQ(t.h.alarms.all().at("flash_wear.1138").severity, GetParam().severity);
  }
}

TEST(FlashWear, TheWriteThatReachesTheMarkRaisesTheAlarm) {
  TestUnit t;
  t.h.memory.Put("flash.1138", "499", nullptr);
  t.StartPolled();
  t.Run(t.h.Action(action::kWriteFlash, {{action::kArgumentParameter, Value::Text("1138")},
                                         {action::kArgumentValue, Value::Number(12)}}));
  EXPECT_TRUE(t.h.alarms.active("flash_wear.1138"));
}

TEST(FlashWear, TheCapIsRefused) {
  TestUnit t({{"flash_cap", Value::Integer(3)}});
  t.h.memory.Put("flash.1138", "3", nullptr);
  t.StartPolled();
  const auto* done =
      t.Run(t.h.Action(action::kWriteFlash, {{action::kArgumentParameter, Value::Text("1138")},
                                             {action::kArgumentValue, Value::Number(12)}}));
  ASSERT_NE(done, nullptr);
  const ErrorInfo info = GetErrorInfo(done->status);
  EXPECT_EQ(done->status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(info.reason, "FLASH_WORN");
  EXPECT_EQ(info.fields.at("count"), "3");
  EXPECT_EQ(info.fields.at("cap"), "3");
  EXPECT_EQ(t.simulator.FindUnit(101)->FlashWrites(1138), 0);
}

TEST(FlashWear, TheCapDoesNotStopASafeAction) {
  TestUnit t({{"flash_cap", Value::Integer(0)}});
  t.StartPolled();
  const auto* done = t.Run(t.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
}

TEST(FlashWear, ADamagedCountAllowsNoMore) {
  TestUnit t;
  t.h.memory.Put("flash.1138", "many", nullptr);
  t.StartPolled();
  const auto* done =
      t.Run(t.h.Action(action::kWriteFlash, {{action::kArgumentParameter, Value::Text("1138")},
                                             {action::kArgumentValue, Value::Number(12)}}));
  EXPECT_EQ(GetErrorInfo(done->status).reason, "FLASH_WORN");
}

}  // namespace
}  // namespace canhub::studer
