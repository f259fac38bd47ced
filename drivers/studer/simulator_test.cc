#include "drivers/studer/simulator.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "drivers/studer/line_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::studer {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

class SimulatorTest : public testing::Test {
 protected:
  explicit SimulatorTest(Parameters plant = {})
      : h_(PlantConfig(std::move(plant))), simulator_(h_.ForSimulator()) {
    simulator_.Start();
  }

  void Send(std::string_view frame) { simulator_.OnFrame(h_.Rx(*ParseFrame(frame))); }
  // What comes back within the time.
  std::vector<std::string> Ask(std::string_view frame, Duration time = 50ms) {
    h_.bus.Clear();
    Send(frame);
    h_.Advance(time);
    std::vector<std::string> answers;
    for (const CanFrame& answer : h_.bus.Take()) answers.push_back(FormatFrame(answer));
    return answers;
  }
  // The value of the one answer; nullopt: an error, or not one answer.
  std::optional<float> Value(const Request& request) {
    h_.bus.Clear();
    simulator_.OnFrame(h_.Rx(EncodeRequest(request)));
    h_.Advance(50ms);
    const std::vector<CanFrame> answers = h_.bus.Take();
    if (answers.size() != 1) return std::nullopt;
    const absl::StatusOr<Answer> answer = DecodeAnswer(answers[0]);
    if (!answer.ok() || answer->kind != Answer::Kind::kValue) return std::nullopt;
    return answer->value;
  }
  std::optional<float> Info(uint16_t unit, uint16_t id) {
    return Value({.destination = unit, .service = Service::kReadInfo, .object = id});
  }
  std::optional<float> Read(uint16_t unit, uint16_t id, Part part) {
    return Value({.destination = unit,
                  .service = Service::kReadParameter,
                  .object = id,
                  .part = static_cast<uint8_t>(part)});
  }
  // The code of the error answer; 0: none.
  uint32_t WriteError(uint16_t unit, uint16_t id, Part part, float value) {
    h_.bus.Clear();
    simulator_.OnFrame(h_.Rx(EncodeRequest({.destination = unit,
                                            .service = Service::kWriteParameter,
                                            .object = id,
                                            .part = static_cast<uint8_t>(part),
                                            .value = value})));
    h_.Advance(50ms);
    const std::vector<CanFrame> answers = h_.bus.Take();
    if (answers.size() != 1) return 0xFFFF;
    return DecodeAnswer(answers[0])->error_code;
  }
  absl::Status Fault(std::string_view name, Arguments arguments = {}) {
    return simulator_.InjectFault(name, arguments);
  }

  DriverHarness h_;
  StuderSimulator simulator_;
};

class ExclusiveSimulatorTest : public SimulatorTest {
 protected:
  ExclusiveSimulatorTest() : SimulatorTest({{"sim_mode", canhub::Value::Text("exclusive")}}) {}
};

// ---------------------------------------------------------------- golden frames, section 14

TEST_F(SimulatorTest, WriteIsEchoed) {  // E9
  EXPECT_THAT(Ask("03280080#05060443660000"), ElementsAre("0000CA80#05060443660000"));
}
TEST_F(SimulatorTest, ReadsMinimumAndMaximum) {  // E6, E7
  EXPECT_THAT(Ask("03280040#050601"), ElementsAre("0000CA40#05060142DC0000"));
  EXPECT_THAT(Ask("03280040#050602"), ElementsAre("0000CA40#050602438C0000"));
}
TEST_F(SimulatorTest, ReadsFlash) {  // E5: the default is 60 A
  EXPECT_THAT(Ask("03280040#047200"), ElementsAre("0000CA40#04720042700000"));
}
TEST_F(SimulatorTest, ReadOfRamGivesFlash) {  // E8
  Ask("03280080#05060443480000");             // 200 V to RAM
  EXPECT_THAT(Ask("03280040#050604"), ElementsAre("0000CA40#05060443660000"));
}
TEST_F(SimulatorTest, GroupWriteIsAnsweredByTheGroup) {  // E17
  EXPECT_THAT(Ask("03200080#04530441800000"), ElementsAre("0000C880#04530441800000"));
  EXPECT_EQ(simulator_.FindUnit(101)->Value(1107), 16);
  EXPECT_EQ(simulator_.FindUnit(102)->Value(1107), 16);
}
TEST_F(SimulatorTest, NoTemperatureSensor) {  // E2
  EXPECT_THAT(Ask("03280000#0BB9"), ElementsAre("0000CA00#0BB946FFFE00"));
}
TEST_F(SimulatorTest, UnknownInfo) {  // E24
  EXPECT_THAT(Ask("03280000#270F"), ElementsAre("0000CA01#270F00000022"));
}
TEST_F(SimulatorTest, AbsentUnit) {  // E25
  EXPECT_THAT(Ask("03680000#0BB8"), ElementsAre("0000DA01#0BB800000002"));
}
TEST_F(SimulatorTest, TooBig) {  // E26
  EXPECT_THAT(Ask("03280080#05060443960000"), ElementsAre("0000CA81#050600000028"));
}
TEST_F(SimulatorTest, GroupReadIsRefused) {  // E27, with a group that is there
  EXPECT_THAT(Ask("03200000#0BB8"), ElementsAre("0000C801#0BB80000002D"));
}
TEST_F(SimulatorTest, Notifies) {  // E31
  ASSERT_TRUE(Fault("message", {{"message", canhub::Value::Integer(16)},
                                {"unit", canhub::Value::Integer(105)}})
                  .ok());
  EXPECT_THAT(h_.bus.Take(), ElementsAre(*ParseFrame("0FA0D2C0#001000000000")));
}
TEST_F(SimulatorTest, AnswersTheClientThatAsked) {  // E29
  EXPECT_THAT(Ask("03280240#050601"), ElementsAre("0008CA40#05060142DC0000"));
}

// ---------------------------------------------------------------- checks, section 9

TEST_F(SimulatorTest, AnswersAfterItsDelay) {  // U17
  EXPECT_THAT(Ask("03280000#0BB8", 19ms), IsEmpty());
  h_.Advance(1ms);
  EXPECT_EQ(h_.bus.Take().size(), 1u);
}
TEST_F(SimulatorTest, IsBusyWithOneQuestionPerClient) {  // U15
  Send("03280000#0BB8");
  Send("03300000#0BB8");
  EXPECT_THAT(h_.bus.Take(), ElementsAre(*ParseFrame("0000CC01#0BB800000013")));
  h_.Advance(50ms);
  EXPECT_EQ(h_.bus.Take().size(), 1u);
}
TEST_F(SimulatorTest, ServesSeveralClients) {  // U18
  Send("03280000#0BB8");
  Send("03280200#0BB8");
  h_.Advance(50ms);
  EXPECT_EQ(h_.bus.Take().size(), 2u);
}
TEST_F(SimulatorTest, RefusesAPartThatIsNone) {
  EXPECT_THAT(Ask("03280040#050603"), ElementsAre("0000CA41#050600000012"));
}
TEST_F(SimulatorTest, RefusesAWriteOfABound) {
  EXPECT_EQ(WriteError(101, 1286, Part::kMinimum, 100), 0x25u);
}
TEST_F(SimulatorTest, RefusesNaN) {
  EXPECT_EQ(WriteError(101, 1286, Part::kRam, std::nanf("")), 0x26u);
}
TEST_F(SimulatorTest, RefusesABooleanThatIsNone) {
  EXPECT_EQ(WriteError(101, 1124, Part::kRam, 0.5F), 0x26u);
}
TEST_F(SimulatorTest, RefusesAChoiceThatIsNone) {  // U11
  EXPECT_EQ(WriteError(101, 1552, Part::kRam, 3), 0x26u);
}
TEST_F(SimulatorTest, RefusesWhatIsTooSmall) {
  EXPECT_EQ(WriteError(101, 1286, Part::kRam, 100), 0x27u);
}
TEST_F(SimulatorTest, RefusesAMenu) {  // U8
  EXPECT_THAT(Ask("03280040#044C00"), ElementsAre("0000CA41#044C00000022"));
}
TEST_F(SimulatorTest, ReadsASignalAsZero) {  // U8
  EXPECT_THAT(Read(101, 1467, Part::kFlash), Optional(0));
}
TEST_F(SimulatorTest, RemoteControlsAreNotAsked) {  // U16
  EXPECT_THAT(Ask("0FA80000#0BB8"), ElementsAre("0003EA01#0BB800000002"));
}
TEST_F(SimulatorTest, AnInfoOfTheOtherBatteryMonitorIsMissing) {  // U13: 7057 is the Xcom-CAN's
  EXPECT_THAT(Ask("12C80000#1B91"), ElementsAre("0004B201#1B9100000022"));
}
TEST_F(SimulatorTest, KeepsNumbersAsFixedPoint) {  // U12, section 3.2
  EXPECT_EQ(WriteError(101, 1140, Part::kFlash, 53.3F), 0u);
  const std::optional<float> read = Read(101, 1140, Part::kFlash);
  ASSERT_TRUE(read.has_value());
  EXPECT_NE(*read, 53.3F);
  EXPECT_NEAR(*read, 53.3, 0.01);
}

// ---------------------------------------------------------------- tolerant and exclusive

TEST(SingleUnitSimulator, AnswersForItsUnitOnly) {
  DriverHarness h(TestConfig({{"number", Value::Integer(2)}}));
  StuderSimulator simulator(h.ForSimulator());
  simulator.Start();
  simulator.OnFrame(h.Rx(*ParseFrame("03280000#0BB8")));  // 101
  h.Advance(50ms);
  EXPECT_THAT(h.bus.Take(), IsEmpty());
  simulator.OnFrame(h.Rx(*ParseFrame("03300000#0BB8")));  // 102
  h.Advance(50ms);
  EXPECT_EQ(h.bus.Take().size(), 1u);
}

TEST_F(SimulatorTest, TolerantIgnoresWhatIsNotItsOwn) {  // U5
  EXPECT_THAT(Ask("351#480200050005AE01"), IsEmpty());
  EXPECT_THAT(Ask("03280000#0BB800"), IsEmpty());
  EXPECT_THAT(Ask("03280001#0BB8"), IsEmpty());
  EXPECT_THAT(Ask("03280100#0BB8"), IsEmpty());  // service 4
  EXPECT_THAT(Ask("01900000#0BB8"), IsEmpty());  // address 50
}
TEST_F(ExclusiveSimulatorTest, AnswersForeignFramesWithAnError) {  // U4
  EXPECT_THAT(Ask("351#480200050005AE01"), ElementsAre("0003EA01#480200000001"));
}
TEST_F(ExclusiveSimulatorTest, AnswersAWrongLength) {  // U7
  EXPECT_THAT(Ask("03280240#0472"), ElementsAre("000BEA41#047200000024"));
}
TEST_F(ExclusiveSimulatorTest, AnswersAnAddressThatIsNone) {
  EXPECT_THAT(Ask("01900000#0BB8"), ElementsAre("00006401#0BB800000002"));
}
TEST_F(ExclusiveSimulatorTest, AnswersQuestionsAsEver) {
  EXPECT_THAT(Ask("03280040#050601"), ElementsAre("0000CA40#05060142DC0000"));
}

// ---------------------------------------------------------------- flash, RAM, watchdog

TEST_F(SimulatorTest, FlashWritesAreCounted) {  // section 7
  EXPECT_EQ(WriteError(101, 1138, Part::kFlash, 12), 0u);
  EXPECT_EQ(WriteError(101, 1138, Part::kRam, 13), 0u);
  EXPECT_EQ(simulator_.FindUnit(101)->FlashWrites(1138), 1);
  EXPECT_EQ(simulator_.FindUnit(101)->Value(1138), 13);
  EXPECT_THAT(Read(101, 1138, Part::kFlash), Optional(12));
}
TEST_F(SimulatorTest, ARestartBringsFlashBack) {
  WriteError(101, 1138, Part::kRam, 13);
  h_.bus.Clear();
  ASSERT_TRUE(Fault("restart", {{"unit", canhub::Value::Integer(101)}}).ok());
  EXPECT_EQ(simulator_.FindUnit(101)->Value(1138), 60);
  EXPECT_THAT(h_.bus.Take(), ElementsAre(*ParseFrame("0FA0CAC0#000A00000000")));
}
TEST_F(SimulatorTest, FlashCanBeBypassed) {  // 1550, section 7
  EXPECT_EQ(WriteError(101, 1550, Part::kFlash, 0), 0u);
  EXPECT_EQ(WriteError(101, 1138, Part::kFlash, 12), 0u);
  EXPECT_EQ(simulator_.FindUnit(101)->FlashWrites(1138), 0);
  EXPECT_THAT(Read(101, 1138, Part::kFlash), Optional(60));
  EXPECT_EQ(simulator_.FindUnit(101)->Value(1138), 12);
}
TEST_F(SimulatorTest, TheWatchdogRestartsAUnitThatIsNotFed) {  // 1628, 1629
  EXPECT_EQ(WriteError(101, 1629, Part::kRam, 10), 0u);
  EXPECT_EQ(WriteError(101, 1628, Part::kRam, 1), 0u);
  for (int i = 0; i < 5; ++i) {
    h_.Advance(8s);
    EXPECT_EQ(WriteError(101, 1138, Part::kRam, static_cast<float>(10 + i)), 0u);
  }
  EXPECT_EQ(simulator_.FindUnit(101)->Value(1138), 14);
  h_.Advance(12s);
  EXPECT_EQ(simulator_.FindUnit(101)->Value(1138), 60);
}
TEST_F(SimulatorTest, BoundsMoveWithOtherParameters) {  // section 7.1: 1156 is not below 1140
  EXPECT_THAT(Read(101, 1156, Part::kMinimum), Optional(54.4F));
  EXPECT_EQ(WriteError(101, 1156, Part::kRam, 54), 0x27u);
  EXPECT_EQ(WriteError(101, 1140, Part::kRam, 50), 0u);
  EXPECT_EQ(WriteError(101, 1156, Part::kRam, 54), 0u);
}

// ---------------------------------------------------------------- the plant

TEST_F(SimulatorTest, TheSunComesAndGoes) {
  const std::optional<float> morning = Info(301, 11004);
  h_.Advance(2h);
  const std::optional<float> noon = Info(301, 11004);
  h_.Advance(12h);
  const std::optional<float> night = Info(301, 11004);
  ASSERT_TRUE(morning && noon && night);
  EXPECT_GT(*morning, 1);
  EXPECT_GT(*noon, *morning);
  EXPECT_EQ(*night, 0);
  EXPECT_THAT(Info(301, 11016), Optional(0));  // night
}
TEST_F(SimulatorTest, TheBatteryIsDischargedAtNight) {
  h_.Advance(9h);
  const double evening = simulator_.plant().state_of_charge();
  h_.Advance(5h);
  EXPECT_LT(simulator_.plant().state_of_charge(), evening);
  const std::optional<float> current = Info(601, 7001);
  ASSERT_TRUE(current.has_value());
  EXPECT_LT(*current, 0);
}
TEST_F(SimulatorTest, AutonomyIsNoNumberWhileCharging) {  // section 10.1, E23
  h_.Advance(2h);
  const std::optional<float> minutes = Info(601, 7004);
  ASSERT_TRUE(minutes.has_value());
  EXPECT_TRUE(std::isnan(*minutes));
}
TEST_F(SimulatorTest, AnInverterThatIsForbiddenGivesNothing) {  // 1124
  EXPECT_THAT(Info(101, 3021), Optional(230));
  EXPECT_EQ(WriteError(101, 1124, Part::kRam, 0), 0u);
  EXPECT_THAT(Info(101, 3021), Optional(0));
  EXPECT_THAT(Info(102, 3021), Optional(230));
}
TEST_F(SimulatorTest, OutputVoltageFollowsItsParameter) {  // 1286
  EXPECT_EQ(WriteError(101, 1286, Part::kRam, 225), 0u);
  EXPECT_THAT(Info(101, 3021), Optional(225));
}
TEST_F(SimulatorTest, SignalsSwitchUnits) {  // 1399, 1415
  EXPECT_EQ(WriteError(101, 1399, Part::kFlash, 1), 0u);
  EXPECT_THAT(Info(101, 3049), Optional(0));
  EXPECT_EQ(WriteError(101, 1415, Part::kRam, 1), 0u);
  EXPECT_THAT(Info(101, 3049), Optional(1));
}
TEST_F(SimulatorTest, EveryInfoOfTheCatalogueIsAnswered) {
  for (const Entry& entry : Catalogue::Get().entries()) {
    const uint16_t unit = entry.family == Family::kXtender      ? 101
                          : entry.family == Family::kVarioTrack ? 301
                          : entry.family == Family::kBsp        ? 601
                                                                : 0;
    if (unit == 0 || entry.parameter) continue;
    EXPECT_TRUE(Info(unit, entry.id).has_value()) << entry.id;
  }
}
TEST_F(SimulatorTest, EveryParameterHasItsDefault) {
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (entry.family != Family::kVarioTrack || !entry.parameter || !entry.IsObject()) continue;
    const float expected = static_cast<float>(entry.bounds.default_value.value_or(0));
    EXPECT_THAT(Read(301, entry.id, Part::kFlash), Optional(expected)) << entry.id;
  }
}

// ---------------------------------------------------------------- faults

TEST_F(SimulatorTest, EveryErrorCanBeInjected) {
  for (const uint32_t code : {0x01u, 0x02u, 0x03u, 0x12u, 0x13u, 0x22u, 0x24u, 0x25u, 0x26u, 0x27u,
                              0x28u, 0x29u, 0x2Au, 0x2Bu, 0x2Du, 0x1234u}) {
    ASSERT_TRUE(Fault("error", {{"code", canhub::Value::Integer(code)}}).ok());
    EXPECT_EQ(WriteError(101, 1138, Part::kRam, 12), code);
  }
}
TEST_F(SimulatorTest, AFaultCanBeOfOneUnit) {
  ASSERT_TRUE(Fault("unit_silent", {{"unit", canhub::Value::Integer(102)}}).ok());
  EXPECT_TRUE(Info(101, 3000).has_value());
  EXPECT_FALSE(Info(102, 3000).has_value());
  EXPECT_THAT(simulator_.ClearFaults("unit_silent").value(), 1);
  EXPECT_TRUE(Info(102, 3000).has_value());
}
TEST_F(SimulatorTest, SilenceIsSilent) {
  ASSERT_TRUE(Fault("silence").ok());
  EXPECT_THAT(Ask("03280000#0BB8"), IsEmpty());
}
TEST_F(SimulatorTest, DelayIsAdded) {
  ASSERT_TRUE(Fault("delay", {{"milliseconds", canhub::Value::Integer(1500)}}).ok());
  EXPECT_THAT(Ask("03280000#0BB8", 1519ms), IsEmpty());
  h_.Advance(1ms);
  EXPECT_EQ(h_.bus.Take().size(), 1u);
}
TEST_F(SimulatorTest, UnknownFaultsAreRefused) {
  EXPECT_EQ(Fault("flood").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Fault("silence", {{"unit", canhub::Value::Integer(1)}}).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ParsePlant, SaysWhatItFound) {
  EXPECT_TRUE(ParsePlant("xtender 2, bsp 1").ok());
  EXPECT_THAT(std::string(ParsePlant("xtender 10").status().message()),
              testing::HasSubstr("expected at most 9 of xtender"));
  EXPECT_FALSE(ParsePlant("xtender").ok());
  EXPECT_FALSE(ParsePlant("boiler 1").ok());
  EXPECT_FALSE(ParsePlant("bsp 1, bms 1").ok());  // one address for both
}

}  // namespace
}  // namespace canhub::studer
