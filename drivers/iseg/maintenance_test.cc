// What is done to a module rarely: set values in memory, resets, the line's network management,
// raw frames, crates, polarity, pulling a module.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/iseg/edcp.h"
#include "drivers/iseg/line_testing.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace action = high_voltage::action;

std::unique_ptr<Bench> Online(std::vector<std::pair<std::string, Value>> parameters = {}) {
  auto bench = std::make_unique<Bench>(TestConfig(std::move(parameters)));
  EXPECT_TRUE(bench->StartAndPoll()) << bench->h.state.link_text();
  bench->line.ClearLog();
  return bench;
}

std::unique_ptr<Bench> Crate() {
  return Online({{"class", Value::Text("crate")}, {"address", Value::Integer(0)}});
}

Arguments On(bool on) { return {{"on", Value::Flag(on)}}; }

// ---------------------------------------------------------------- set values (section 16)

TEST(SetValues, AreSavedAndRecalled) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(1234)).ok());
  ASSERT_TRUE(b->Act(action::kSaveSetValues).ok());
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(1)).ok());
  ASSERT_TRUE(b->Act(action::kRecallSetValues).ok());
  b->h.Advance(seconds(8));
  EXPECT_EQ(b->Number("ch3.voltage_set"), 1234);
}

TEST(SetValues, OfAnOlderModuleAreSavedAndRecalledInSixteenBits) {
  auto b = Online({{"sim_model", Value::Text("E08C2")}});
  ASSERT_TRUE(b->Act(action::kSaveSetValues).ok());
  ASSERT_TRUE(b->Act(action::kRecallSetValues).ok());
  // Bits 15 and 1 beside fine adjustment and big-endian.
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#10019800", "210#10011802"));
}

TEST(SetValues, AreSavedAlsoWhileAChannelIsOn) {
  auto b = Online();
  ASSERT_TRUE(b->SwitchOnAt(3, 100).ok());
  EXPECT_TRUE(b->Act(action::kSaveSetValues).ok());
}

TEST(SetValues, AResetCarriesTheSerialNumberWithItsFlagAndTheKey) {
  auto b = Online({{"sim_model", Value::Text("E08F2")}});
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(1000)).ok());
  b->line.ClearLog();
  ASSERT_TRUE(b->Act(action::kResetSetValues).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#12F00157219A15E6"));
  b->h.Advance(seconds(8));
  EXPECT_EQ(b->Number("ch3.voltage_set"), 0);
  EXPECT_EQ(b->Number("ch3.current_set"), b->Number("ch3.current_nominal"));
}

TEST(SetValues, AFactoryResetIsSeenInTheReadings) {
  auto b = Online({{"sim_model", Value::Text("E08F2")}});
  ASSERT_TRUE(b->Set("ch3.delayed_trip_time", Value::Integer(250)).ok());
  ASSERT_TRUE(b->Act(action::kFactoryReset).ok());
  b->h.Advance(seconds(10));
  EXPECT_EQ(b->Number("ch3.delayed_trip_time"), 0);
}

class RefusedWhileOn : public ::testing::TestWithParam<const char*> {};

TEST_P(RefusedWhileOn, AndSendsNothing) {
  auto b = Online();
  ASSERT_TRUE(b->SwitchOnAt(3, 100).ok());
  b->line.ClearLog();
  const absl::Status status = b->Act(GetParam());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(Reason(status), "CHANNEL_ON");
  EXPECT_EQ(GetErrorInfo(status).fields.at("channel"), "3");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

// Off, but on its way down.
TEST_P(RefusedWhileOn, AndWhileItStillRampsDown) {
  auto b = Online();
  ASSERT_TRUE(b->SwitchOnAt(3, 3000).ok());
  ASSERT_TRUE(b->Act(action::kSwitchOff, Channel(3)).ok());
  b->line.ClearLog();
  EXPECT_EQ(Reason(b->Act(GetParam())), "CHANNEL_ON");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Actions, RefusedWhileOn,
                         ::testing::Values(action::kRecallSetValues, action::kResetSetValues,
                                           action::kFactoryReset, action::kRestartScan),
                         [](const auto& info) { return std::string(info.param); });

// ---------------------------------------------------------------- the line (section 9)

TEST(LiveInsertion, IsRepeatedEvery150Seconds) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kLiveInsertionOn).ok());
  b->h.Advance(seconds(460));
  std::vector<MonoTime> times;
  for (const TestLine::Sent& sent : b->line.log()) {
    if (FormatFrame(sent.frame) == "004#E006") times.push_back(sent.time);
  }
  ASSERT_EQ(times.size(), 4u);
  for (size_t i = 1; i < times.size(); ++i) {
    EXPECT_NEAR(std::chrono::duration<double>(times[i] - times[i - 1]).count(), 150, 0.1);
  }
}

TEST(LiveInsertion, ShowsInTheModulesStatus) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kLiveInsertionOn).ok());
  EXPECT_TRUE(b->Flag("is_live_insertion"));
  ASSERT_TRUE(b->Act(action::kLiveInsertionOff).ok());
  EXPECT_FALSE(b->Flag("is_live_insertion"));
}

// S02: nobody asks for it any more.
TEST(LiveInsertion, IsNotRepeatedAfterTheBusWasDown) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kLiveInsertionOn).ok());
  b->line.SetBus(BusState::kBusOff);
  b->h.Advance(seconds(1));
  b->line.SetBus(BusState::kActive);
  b->line.ClearLog();
  b->h.Advance(seconds(400));
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

// Milliseconds from the first NMT frame.
std::vector<std::pair<std::string, double>> DriverFramesOf(const TestLine& line) {
  std::vector<std::pair<std::string, double>> frames;
  std::optional<MonoTime> first;
  for (const TestLine::Sent& sent : line.log()) {
    if (sent.from != TestLine::From::kDriver) continue;
    if (!first && sent.frame.id == kNmtId) first = sent.time;
    if (!first) continue;
    frames.emplace_back(FormatFrame(sent.frame),
                        std::chrono::duration<double, std::milli>(sent.time - *first).count());
  }
  return frames;
}

TEST(RestartScan, KeepsTheDocumentedTimes) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kRestartScan).ok());
  std::vector<std::pair<std::string, double>> nmt;
  for (const auto& frame : DriverFramesOf(b->line)) {
    if (frame.first.rfind("004#", 0) == 0) nmt.push_back(frame);
  }
  const std::pair<const char*, double> expected[] = {
      {"004#C8", 0}, {"004#CC", 51}, {"004#C4", 141}, {"004#F80001", 186}};
  ASSERT_EQ(nmt.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(nmt[i].first, expected[i].first);
    EXPECT_NEAR(nmt[i].second, expected[i].second, 3) << nmt[i].first;
  }
}

TEST(RestartScan, LogsTheDeviceOnWhenItAnnouncesItself) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kRestartScan).ok());
  b->line.ClearLog();
  b->h.Advance(seconds(2));
  const auto& log = b->line.log();
  const auto announcement = std::find_if(log.begin(), log.end(), [](const TestLine::Sent& sent) {
    return sent.from == TestLine::From::kSimulator && sent.frame.data[0] == 0xD8;
  });
  ASSERT_NE(announcement, log.end());
  for (auto sent = log.begin(); sent != announcement; ++sent) {
    EXPECT_NE(sent->from, TestLine::From::kDriver) << FormatFrame(sent->frame);
  }
  ASSERT_NE(announcement + 1, log.end());
  EXPECT_EQ(FormatFrame((announcement + 1)->frame), "210#D801");
}

TEST(RestartScan, AddressesASilentDeviceAfter1100Milliseconds) {
  auto b = Online();
  b->line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == TestLine::From::kSimulator && frame.data[0] == 0xD8;
  };
  ASSERT_TRUE(b->Act(action::kRestartScan).ok());
  b->h.Advance(seconds(2));
  const auto frames = DriverFramesOf(b->line);
  const auto configure = std::find_if(frames.begin(), frames.end(),
                                      [](const auto& f) { return f.first == "004#F80001"; });
  ASSERT_NE(configure, frames.end());
  ASSERT_NE(configure + 1, frames.end());
  EXPECT_EQ((configure + 1)->first, "210#D801");
  EXPECT_NEAR((configure + 1)->second, 1100, 50);
}

TEST(RestartScan, EndsWithTheDeviceOnlineAndNothingSet) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(500)).ok());
  ASSERT_TRUE(b->Act(action::kRestartScan).ok());
  b->line.ClearLog();
  b->h.Advance(seconds(1));
  EXPECT_FALSE(b->h.state.polled());
  ASSERT_TRUE(b->Until([&] { return b->h.state.polled(); }, seconds(60)));
  EXPECT_EQ(b->Number("ch3.voltage_set"), 500);
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

// ---------------------------------------------------------------- raw exchange

TEST(RawExchange, ReadsAChannelAndTakesSpaces) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(1500)).ok());
  ASSERT_TRUE(b->Act(action::kRawExchange, {{"data", Value::Text("41 00 03")}}).ok());
  EXPECT_EQ(FindArgument(b->LastResults(), "answers")->text(), "41000344BB8000");
}

TEST(RawExchange, ReturnsEveryAnswerOfAMultipleRead) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kRawExchange, {{"data", Value::Text("6001000700")}}).ok());
  EXPECT_EQ(FindArgument(b->LastResults(), "answers")->text(), "6001000000 6001010000 6001020000");
}

TEST(RawExchange, ReadsDcp) {
  auto b = Online({{"sim_model", Value::Text("E08C2")}});
  ASSERT_TRUE(b->Act(action::kRawExchange, {{"data", Value::Text("E0")}}).ok());
  EXPECT_THAT(FindArgument(b->LastResults(), "answers")->text(), testing::StartsWith("E0473011"));
}

TEST(RawExchange, ReturnsAnAnswerWithoutData) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kRawExchange, {{"data", Value::Text("1555")}}).ok());
  EXPECT_EQ(FindArgument(b->LastResults(), "answers")->text(), "1555");
}

TEST(RawExchange, WritesAndReadsSetValuesAgain) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kRawExchange,
                     {{"data", Value::Text("41000344BB8000")}, {"write", Value::Flag(true)}})
                  .ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#41000344BB8000"));
  b->h.Advance(seconds(2));
  EXPECT_EQ(b->Number("ch3.voltage_set"), 1500);
}

TEST(RawExchange, SaysWhenNothingAnswers) {
  auto b = Online();
  b->line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == TestLine::From::kSimulator && frame.data[0] == 0x12;
  };
  const absl::Status read = b->Act(action::kRawExchange, {{"data", Value::Text("1208")}});
  EXPECT_TRUE(absl::IsDeadlineExceeded(read)) << read;
  EXPECT_EQ(Reason(read), "NO_ANSWER");
}

class Malformed : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Malformed, IsRefusedAndNothingIsSent) {
  auto b = Online();
  for (const bool write : {false, true}) {
    const absl::Status raw = b->Act(action::kRawExchange, {{"data", Value::Text(GetParam().second)},
                                                           {"write", Value::Flag(write)}});
    EXPECT_TRUE(absl::IsInvalidArgument(raw)) << raw;
    EXPECT_EQ(Reason(raw), "BAD_HEX");
  }
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Data, Malformed,
                         ::testing::Values(std::pair("Empty", ""), std::pair("HalfAByte", "120"),
                                           std::pair("NotHex", "12 0G"),
                                           std::pair("NineBytes", "100102030405060708")),
                         [](const auto& info) { return std::string(info.param.first); });

TEST(RawExchange, AnEdcpReadNeedsItsDataId) {
  auto b = Online();
  EXPECT_EQ(Reason(b->Act(action::kRawExchange, {{"data", Value::Text("12")}})), "BAD_HEX");
}

// ---------------------------------------------------------------- crates (section 13)

// The crate's status says that high voltage is on.
void ReportHighVoltage(Bench& b) {
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == TestLine::From::kSimulator && frame.data[0] == 0x1A && frame.data[1] == 0) {
      frame.data[3] |= 0x04;  // bit 18
    }
  };
  b.h.Advance(seconds(2));
  b.line.ClearLog();
}

TEST(CratePower, OffIsRefusedWithHighVoltageOn) {
  auto b = Crate();
  ReportHighVoltage(*b);
  EXPECT_EQ(Reason(b->Act(action::kCratePower, On(false))), "HIGH_VOLTAGE_ON");
  EXPECT_EQ(Reason(b->Set("power", Value::Flag(false))), "HIGH_VOLTAGE_ON");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(CratePower, OffCanBeForced) {
  auto b = Crate();
  ReportHighVoltage(*b);
  EXPECT_TRUE(b->Act(action::kCratePowerForced, On(false)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("600#1A0500"));
}

TEST(CratePower, ForcingNeedsAnEngineer) {
  for (const ActionSpec& spec : Info().actions) {
    if (std::string_view(spec.name) != action::kCratePowerForced) continue;
    EXPECT_EQ(spec.role, Role::kEngineer);
    return;
  }
  FAIL() << "no such action";
}

TEST(CratePower, NeedsToBeToldWhich) {
  auto b = Crate();
  EXPECT_EQ(Reason(b->Act(action::kCratePower)), "ARGUMENT_MISSING");
  EXPECT_EQ(Reason(b->Act(action::kCratePowerForced)), "ARGUMENT_MISSING");
}

TEST(CratePower, IsNoActionOfModules) {
  auto b = Online();
  EXPECT_EQ(Reason(b->Act(action::kCratePower, On(false))), "NO_SUCH_ACTION");
}

TEST(Crate, EventsAreClearedAndTheirAlarmsEnd) {
  auto b = Crate();
  ASSERT_TRUE(b->simulator->InjectFault("power_fail", {}).ok());
  b->h.Advance(seconds(2));
  ASSERT_TRUE(b->h.alarms.active("power_fail"));
  ASSERT_TRUE(b->simulator->ClearFaults("").ok());
  b->h.Advance(seconds(2));
  EXPECT_TRUE(b->h.alarms.active("power_fail"));
  EXPECT_TRUE(b->Flag("error_mains_not_good"));
  b->line.ClearLog();
  ASSERT_TRUE(b->Act(action::kClearEvents).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("600#1A0100000001"));
  EXPECT_EQ(FindArgument(b->LastResults(), "still_active")->text(), "");
  b->h.Advance(seconds(2));
  EXPECT_FALSE(b->h.alarms.active("power_fail"));
  EXPECT_FALSE(b->Flag("error_mains_not_good"));
}

TEST(Crate, AClearWhileTheConditionHoldsSaysWhatIsStillActive) {
  auto b = Crate();
  ASSERT_TRUE(b->simulator->InjectFault("battery_bad", {}).ok());
  b->h.Advance(seconds(2));
  ASSERT_TRUE(b->Act(action::kClearEvents).ok());
  EXPECT_THAT(FindArgument(b->LastResults(), "still_active")->text(), HasSubstr("battery"));
}

TEST(Crate, HasNothingToRampDown) {
  auto b = Crate();
  EXPECT_TRUE(b->Act(action::kRampDown).ok());
  EXPECT_TRUE(b->Act(action::kEmergencyOff).ok());
  EXPECT_EQ(Reason(b->Act(action::kSwitchOn)), "NOT_A_MODULE");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

// ---------------------------------------------------------------- polarity and modes

TEST(Polarity, IsRefusedWhileTheOutputIsOffButCharged) {
  auto b = Online({{"sim_model", Value::Text("N04C2")}});
  ASSERT_TRUE(b->simulator->SetLoad(0, 1e12, 1e-7).ok());  // 5 s with the module's 50 MΩ
  ASSERT_TRUE(b->SwitchOnAt(0, 1000).ok());
  ASSERT_TRUE(b->Act(action::kEmergencyOff, Channel(0)).ok());
  b->line.ClearLog();
  const absl::Status polarity = b->Set("ch0.output_polarity", Value::Integer(-1));
  EXPECT_EQ(Reason(polarity), "CHANNEL_NOT_IDLE") << polarity;
  EXPECT_THAT(std::string(polarity.message()), HasSubstr("it is off at"));
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
  b->h.Advance(seconds(60));
  EXPECT_TRUE(b->Set("ch0.output_polarity", Value::Integer(-1)).ok());
  EXPECT_EQ(b->Number("ch0.output_polarity"), -1);
}

TEST(Polarity, ZeroIsNone) {
  auto b = Online({{"sim_model", Value::Text("N04C2")}});
  EXPECT_EQ(Reason(b->Set("ch0.output_polarity", Value::Integer(0))), "NO_SUCH_POLARITY");
}

TEST(Mode, IsRefusedWhileOnAndChangesTheNominalVoltage) {
  auto b = Online({{"sim_model", Value::Text("N04C2")}});
  ASSERT_TRUE(b->SwitchOnAt(0, 100).ok());
  EXPECT_EQ(Reason(b->Set("ch0.output_mode", Value::Integer(1))), "CHANNEL_NOT_IDLE");
  ASSERT_TRUE(b->Act(action::kSwitchOff, Channel(0), Stage::kSettled).ok());
  b->h.Advance(seconds(5));
  ASSERT_TRUE(b->Set("ch0.output_mode", Value::Integer(1)).ok());
  // The limits of before must not hold for the new mode.
  const absl::Status set = b->Set("ch0.voltage_set", Value::Number(5000));
  EXPECT_EQ(Reason(set), "SETPOINT_ABOVE_NOMINAL") << set;
  // It resets the set values, and that shows soon.
  b->h.Advance(seconds(1));
  EXPECT_EQ(b->Number("ch0.voltage_set"), 0);
}

TEST(Mode, SwitchedByAnotherMasterTheNominalVoltageFollows) {
  auto b = Online({{"sim_model", Value::Text("N04C2")}});
  b->simulator->OnFrame(b->h.Rx(*ParseFrame("210#41400001")));
  b->h.Advance(seconds(8));
  EXPECT_EQ(b->Number("ch0.output_mode"), 1);
  EXPECT_EQ(b->Number("ch0.voltage_nominal"), 2000);
}

// ---------------------------------------------------------------- pulling a module

TEST(PrepareRemoval, WaitsForASlowDischarge) {
  auto b = Online();
  // 2 µF and 50 MΩ inside: 100 s, so 1000 V need more than four minutes to 63 V.
  ASSERT_TRUE(b->SwitchOnAt(3, 1000).ok());
  ASSERT_TRUE(b->simulator->SetLoad(3, 1e12, 2e-6).ok());
  b->h.Advance(seconds(1));
  const MonoTime start = b->h.clock.Now();
  const absl::Status removal = b->Run(
      b->h.Action(action::kPrepareRemoval, {}, Stage::kSettled, Urgency::kCommand, seconds(600)),
      seconds(600));
  ASSERT_TRUE(removal.ok()) << removal;
  EXPECT_GT(b->h.clock.Now() - start, seconds(240));
  EXPECT_LE(FindArgument(b->LastResults(), "highest_voltage")->number(), 63);
}

TEST(PrepareRemoval, SaysWhenAnOutputKeepsItsVoltage) {
  auto b = Online();
  ASSERT_TRUE(b->SwitchOnAt(3, 1000).ok());
  // 50 000 s.
  ASSERT_TRUE(b->simulator->SetLoad(3, 1e12, 1e-3).ok());
  const absl::Status removal = b->Run(
      b->h.Action(action::kPrepareRemoval, {}, Stage::kSettled, Urgency::kCommand, seconds(600)),
      seconds(600));
  EXPECT_EQ(Reason(removal), "STILL_CHARGED") << removal;
  EXPECT_EQ(GetErrorInfo(removal).fields.at("channel"), "3");
}

TEST(PrepareRemoval, SwitchesEveryChannelOff) {
  auto b = Online();
  ASSERT_TRUE(b->SwitchOnAt(3, 500).ok());
  ASSERT_TRUE(b->SwitchOnAt(15, 500).ok());
  ASSERT_TRUE(b->Act(action::kPrepareRemoval).ok());
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_FALSE(b->Flag("ch15.is_on"));
}

}  // namespace
}  // namespace canhub::iseg
