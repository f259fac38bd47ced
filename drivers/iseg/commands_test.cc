// What commands send (golden frames of the facts, section 21), refuse, and wait for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/iseg/line_testing.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace action = high_voltage::action;

std::unique_ptr<Bench> Online(std::vector<std::pair<std::string, Value>> parameters = {},
                              std::map<std::string, double, std::less<>> limits = {}) {
  DeviceConfig config = TestConfig(std::move(parameters));
  config.limits = std::move(limits);
  for (const auto& [name, value] : config.limits) {
    config.limit_origins[name] = "lab.yaml:41, devices.hv0.limits." + name;
  }
  auto bench = std::make_unique<Bench>(std::move(config));
  EXPECT_TRUE(bench->StartAndPoll()) << bench->h.state.link_text();
  bench->line.ClearLog();
  return bench;
}

TEST(Commands, SetCurrentIsTheGoldenFrame) {
  auto b = Online();
  EXPECT_TRUE(b->Set("ch3.current_set", Value::Number(50e-6)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#4101033851B717"));
}

TEST(Commands, SwitchOnAndOffAreTheGoldenFrames) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.on", Value::Flag(true)).ok());
  ASSERT_TRUE(b->Set("ch3.on", Value::Flag(false)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#4001030008", "210#4001030000"));
}

TEST(Commands, TripPolicyIsTheGoldenFrames) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.delayed_trip_time", Value::Integer(250)).ok());
  ASSERT_TRUE(b->Set("ch3.delayed_trip_action", Value::Integer(2)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#40050300FA", "210#40060302"));
}

TEST(Commands, EmergencyOffAndReleaseAreTheGoldenFrames) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kEmergencyOff, Channel(3)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#220100000008", "210#4001030020"));
  b->line.ClearLog();
  const absl::Status on = b->Act(action::kSwitchOn, Channel(3));
  EXPECT_EQ(Reason(on), "EMERGENCY_OFF") << on;
  ASSERT_TRUE(b->Act(action::kReleaseEmergencyOff, Channel(3)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#4001030000", "210#4002030020"));
  EXPECT_TRUE(b->Act(action::kSwitchOn, Channel(3)).ok());
}

TEST(Commands, EmergencyOffWithoutListsIsOneFramePerChannel) {
  auto b = Online({{"group_lists", Value::Flag(false)}});
  ASSERT_TRUE(b->Act(action::kEmergencyOff).ok());
  EXPECT_EQ(b->line.SettingFrames().size(), 16u);
}

TEST(Commands, ControlOfAnOlderModuleKeepsBigEndian) {
  auto b = Online({{"sim_model", Value::Text("E08C2")}});
  ASSERT_TRUE(b->Set("kill_enable", Value::Flag(true)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#10015800"));  // row 19
  b->line.ClearLog();
  ASSERT_TRUE(b->Set("kill_enable", Value::Flag(false)).ok());
  ASSERT_TRUE(b->Act(action::kClearEvents).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#10011800", "210#10011840"));  // row 18
}

TEST(Commands, AModuleWithoutChannelRampsGetsThePercentOfItsNominalVoltage) {
  auto b = Online({{"sim_model", Value::Text("E08F0")}});
  const absl::Status ramp =
      b->Act(action::kSetRamp, {{"channel", Value::Integer(3)}, {"up", Value::Number(400)}});
  ASSERT_TRUE(ramp.ok()) << ramp;
  // 400 V/s of 4000 V are 10 %/s (row 21).
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#110041200000"));
  const Arguments& results = b->h.commands.finished(b->h.last_command())->results;
  EXPECT_TRUE(FindArgument(results, "applies_to_module")->flag());
  EXPECT_EQ(FindArgument(results, "percent_per_s")->number(), 10);
  EXPECT_EQ(b->Number("ch3.voltage_ramp_speed_up"), 400);
  EXPECT_THAT(b->h.state.identity().at("quirks"), HasSubstr("no_channel_ramp"));
}

TEST(Commands, AModuleWithChannelRampsGetsVoltPerSecond) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kSetRamp, {{"channel", Value::Integer(0)},
                                        {"up", Value::Number(100)},
                                        {"down", Value::Number(200)}})
                  .ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#41230042C80000", "210#41240043480000"));
}

TEST(Commands, NoRampIsFasterThanTwentyPercent) {
  auto b = Online({{"sim_model", Value::Text("E08F0")}});
  const absl::Status ramp = b->Act(action::kSetRamp, {{"up", Value::Number(801)}});
  EXPECT_TRUE(absl::IsOutOfRange(ramp)) << ramp;
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(Commands, TheConfiguredRampLimitHoldsInPercentToo) {
  auto b = Online({{"sim_model", Value::Text("E08F0")}}, {{"ramp", 50}});
  const absl::Status ramp = b->Set("voltage_ramp_speed", Value::Number(2));  // 80 V/s
  EXPECT_EQ(Reason(ramp), "RAMP_ABOVE_LIMIT");
  EXPECT_THAT(std::string(ramp.message()), HasSubstr("lab.yaml:41"));
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(Commands, SwitchingOnIsRefusedWhileTheRampInForceIsAboveTheLimit) {
  auto b = Online({}, {{"ramp", 1}});
  const absl::Status on = b->Act(action::kSwitchOn, Channel(0));
  EXPECT_EQ(Reason(on), "RAMP_ABOVE_LIMIT") << on;
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(Commands, SwitchingOnIsRefusedWhenSomebodySetMoreThanTheLimit) {
  auto b = Online({}, {{"voltage", 500}});
  b->simulator->OnFrame(b->h.Rx(*ParseFrame("210#410000447A0000")));  // 1000 V
  b->h.Advance(seconds(8));
  const absl::Status on = b->Act(action::kSwitchOn, Channel(0));
  EXPECT_EQ(Reason(on), "SETPOINT_ABOVE_LIMIT") << on;
}

TEST(Commands, ASetPointAboveNominalNamesBothNumbers) {
  auto b = Online();
  const absl::Status set = b->Set("ch3.voltage_set", Value::Number(6001));
  EXPECT_EQ(Reason(set), "SETPOINT_ABOVE_NOMINAL");
  EXPECT_EQ(GetErrorInfo(set).fields.at("requested_v"), "6001");
  EXPECT_EQ(GetErrorInfo(set).fields.at("nominal_v"), "6000");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(Commands, ASetPointIsRefusedBeforeTheNominalVoltageIsKnown) {
  Bench b;
  b.line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == TestLine::From::kSimulator && frame.data[1] == 0x06 &&
           (frame.data[0] & 0x40) != 0;
  };
  b.Start();
  ASSERT_TRUE(b.Until([&] { return b.h.state.link() == LinkState::kOnline; }, seconds(5)));
  EXPECT_EQ(Reason(b.Set("ch3.voltage_set", Value::Number(1))), "NOT_READ_YET");
}

TEST(Commands, AModuleWithoutLimitsOfItsOwnCanBeSet) {
  Bench b;
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == TestLine::From::kSimulator && frame.data[0] == 0x11 &&
        (frame.data[1] == 0x02 || frame.data[1] == 0x03)) {
      frame.dlc = 2;  // not implemented
    }
  };
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_TRUE(b.Set("ch3.voltage_set", Value::Number(1000)).ok());
  EXPECT_TRUE(b.Set("ch3.current_set", Value::Number(1e-3)).ok());
}

// 60 % of 6000 V: the front panel's potentiometer.
TEST(Commands, TheModulesOwnLimitIsCheckedAndNamed) {
  Bench b;
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == TestLine::From::kSimulator && frame.dlc == 6 && frame.data[0] == 0x11 &&
        frame.data[1] == 0x02) {
      frame.data[2] = 0x42;
      frame.data[3] = 0x70;
    }
  };
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_TRUE(b.Set("ch3.voltage_set", Value::Number(3600)).ok());
  const absl::Status set = b.Set("ch3.voltage_set", Value::Number(3601));
  EXPECT_EQ(Reason(set), "SETPOINT_ABOVE_MODULE_LIMIT") << set;
  EXPECT_EQ(GetErrorInfo(set).fields.at("limit_v"), "3600");
}

TEST(Commands, ALimitOfTheChannelsOwnIsCheckedToo) {
  Bench b(TestConfig({{"sim_model", Value::Text("E12B0")}}));
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == TestLine::From::kSimulator && frame.dlc == 7 && frame.data[0] == 0x20 &&
        frame.data[1] == 0x05 && frame.data[2] == 3) {
      frame.data[3] = 0x42;  // 60 % of 500 V
      frame.data[4] = 0x70;
    }
  };
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_EQ(Reason(b.Set("ch3.voltage_set", Value::Number(301))), "SETPOINT_ABOVE_MODULE_LIMIT");
  EXPECT_TRUE(b.Set("ch4.voltage_set", Value::Number(301)).ok());
}

TEST(Commands, AChannelWithoutALimitOfItsOwnCanBeSet) {
  Bench b(TestConfig({{"sim_model", Value::Text("E12B0")}}));
  b.line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == TestLine::From::kSimulator && frame.dlc == 7 && frame.data[0] == 0x20 &&
           (frame.data[1] == 0x05 || frame.data[1] == 0x06) && frame.data[2] != 0;
  };
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_TRUE(b.Set("ch3.voltage_set", Value::Number(301)).ok());
}

TEST(Commands, ADeviceThatIsOfflineTakesNoCommands) {
  auto b = Online();
  ASSERT_TRUE(b->simulator->InjectFault("silence", {}).ok());
  ASSERT_TRUE(b->Until([&] { return b->h.state.link() == LinkState::kLost; }, seconds(20)));
  EXPECT_TRUE(absl::IsUnavailable(b->Set("ch3.voltage_set", Value::Number(1))));
}

TEST(Commands, AWriteThatTheDeviceIgnoresIsReportedWithWhatItHolds) {
  auto b = Online();
  b->line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == TestLine::From::kDriver && frame.id == 0x210 && frame.data[0] == 0x41;
  };
  const absl::Status set = b->Set("ch3.voltage_set", Value::Number(100));
  EXPECT_TRUE(absl::IsAborted(set)) << set;
  EXPECT_EQ(Reason(set), "READ_BACK_DIFFERS");
  EXPECT_EQ(GetErrorInfo(set).fields.at("found"), "0");
}

TEST(Commands, ANewerCommandReplacesAnOlderOneThatStillRamps) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kSwitchOn, Channel(3)).ok());
  b->driver->Execute(b->h.Write("ch3.voltage_set", Value::Number(3000), Stage::kSettled));
  const CommandId older = b->h.last_command();
  b->h.Advance(milliseconds(300));
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(100)).ok());
  ASSERT_NE(b->h.commands.finished(older), nullptr);
  EXPECT_EQ(Reason(b->h.commands.finished(older)->status), "REPLACED");
}

TEST(Commands, ATripDuringTheRampEndsTheCommandWithTheReason) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(3000)).ok());
  b->driver->Execute(b->h.Action(action::kSwitchOn, Channel(3), Stage::kSettled));
  const CommandId id = b->h.last_command();
  b->h.Advance(milliseconds(500));
  ASSERT_TRUE(b->simulator->InjectFault("trip", Channel(3)).ok());
  b->h.Advance(seconds(1));
  ASSERT_NE(b->h.commands.finished(id), nullptr);
  const absl::Status& status = b->h.commands.finished(id)->status;
  EXPECT_TRUE(absl::IsAborted(status));
  EXPECT_EQ(Reason(status), "TRIP");
}

TEST(Commands, CurrentRegulationEndsTheWaitWithTheReason) {
  auto b = Online();
  ASSERT_TRUE(b->simulator->SetLoad(3, 1e6, std::nullopt).ok());
  ASSERT_TRUE(b->Set("ch3.current_set", Value::Number(1e-4)).ok());
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(1000)).ok());
  const absl::Status on = b->Act(action::kSwitchOn, Channel(3), Stage::kSettled);
  EXPECT_EQ(Reason(on), "CURRENT_REGULATION") << on;
}

TEST(Commands, AnOpenSafetyLoopIsNotClearedSilently) {
  auto b = Online();
  ASSERT_TRUE(b->simulator->InjectFault("safety_loop_open", {}).ok());
  EXPECT_EQ(Reason(b->Act(action::kSwitchOn, Channel(3))), "SAFETY_LOOP_OPEN");
  ASSERT_TRUE(b->simulator->ClearFaults("").ok());
  b->h.Advance(seconds(6));
  const absl::Status on = b->Act(action::kSwitchOn, Channel(3));
  EXPECT_EQ(Reason(on), "BLOCKING_EVENT") << on;
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
  ASSERT_TRUE(b->Act(action::kClearEvents).ok());
  EXPECT_TRUE(b->Act(action::kSwitchOn, Channel(3)).ok());
}

TEST(Commands, PrepareRemovalSaysThatNothingIsAboveSixtyThreeVolt) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(1000)).ok());
  ASSERT_TRUE(b->Act(action::kSwitchOn, Channel(3), Stage::kSettled).ok());
  const absl::Status removal = b->Act(action::kPrepareRemoval);
  ASSERT_TRUE(removal.ok()) << removal;
  const Arguments& results = b->h.commands.finished(b->h.last_command())->results;
  EXPECT_LE(FindArgument(results, "highest_voltage")->number(), 63);
  EXPECT_FALSE(b->Flag("ch3.is_on"));
}

TEST(Commands, PolarityIsOnlySwitchedWhenOff) {
  auto b = Online({{"sim_model", Value::Text("N04C2")}});
  ASSERT_TRUE(b->Set("ch0.voltage_set", Value::Number(1000)).ok());
  ASSERT_TRUE(b->Act(action::kSwitchOn, Channel(0), Stage::kSettled).ok());
  b->line.ClearLog();
  EXPECT_EQ(Reason(b->Set("ch0.output_polarity", Value::Integer(-1))), "CHANNEL_NOT_IDLE");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
  ASSERT_TRUE(b->Act(action::kSwitchOff, Channel(0), Stage::kSettled).ok());
  b->line.ClearLog();
  b->Until([&] { return std::abs(b->Number("ch0.voltage_measure")) < 1; }, seconds(60));
  const absl::Status polarity = b->Set("ch0.output_polarity", Value::Integer(-1));
  EXPECT_TRUE(polarity.ok()) << polarity;
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#414100FF"));  // row 44
}

TEST(Commands, RawExchangeReturnsTheAnswers) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kRawExchange, {{"data", Value::Text("12 08")}}).ok());
  const Arguments& results = b->h.commands.finished(b->h.last_command())->results;
  EXPECT_EQ(FindArgument(results, "answers")->text(), "120810");
  EXPECT_TRUE(absl::IsInvalidArgument(b->Act(action::kRawExchange, {{"data", Value::Text("1")}})));
}

TEST(Commands, LiveInsertionIsRepeatedUntilItIsSwitchedOff) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kLiveInsertionOn).ok());
  b->h.Advance(seconds(151));
  ASSERT_TRUE(b->Act(action::kLiveInsertionOff).ok());
  b->h.Advance(seconds(151));
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("004#E006", "004#E006", "004#E000"));
}

TEST(Commands, RestartScanIsRefusedWhileAChannelIsOn) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kSwitchOn, Channel(3)).ok());
  b->line.ClearLog();
  EXPECT_EQ(Reason(b->Act(action::kRestartScan)), "CHANNEL_ON");
  ASSERT_TRUE(b->Act(action::kSwitchOff, Channel(3), Stage::kSettled).ok());
  b->line.ClearLog();
  ASSERT_TRUE(b->Act(action::kRestartScan).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("004#C8", "004#CC", "004#C4", "004#F80001"));
  EXPECT_TRUE(b->Until([&] { return b->h.state.polled(); }, seconds(60)));
}

TEST(Commands, FactoryResetCarriesSerialNumberAndKey) {
  auto b = Online({{"sim_model", Value::Text("E08F2")}});
  ASSERT_TRUE(b->Act(action::kFactoryReset).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#12F00057219A15E6"));  // row 58
}

TEST(Commands, ACrateIsNotSwitchedOffWithHighVoltageOn) {
  auto b = Online({{"class", Value::Text("crate")}, {"address", Value::Integer(0)}});
  ASSERT_TRUE(b->Act(action::kCratePower, {{"on", Value::Flag(true)}}).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("600#1A0501"));  // row 61
  b->h.Advance(seconds(1));
  b->line.ClearLog();
  b->line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == TestLine::From::kSimulator && frame.data[0] == 0x1A && frame.data[1] == 0) {
      frame.data[3] |= 0x04;  // bit 18
    }
  };
  EXPECT_EQ(Reason(b->Act(action::kCratePower, {{"on", Value::Flag(false)}})), "HIGH_VOLTAGE_ON");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
  EXPECT_TRUE(b->Act(action::kCratePowerForced, {{"on", Value::Flag(false)}}).ok());
}

TEST(Commands, EveryActionOfTheDriverIsKnownToIt) {
  auto b = Online();
  for (const ActionSpec& spec : Info().actions) {
    if (std::string_view(spec.name) == action::kCratePower) continue;
    EXPECT_NE(Reason(b->Act(spec.name)), "NO_SUCH_ACTION") << spec.name;
  }
}

}  // namespace
}  // namespace canhub::iseg
