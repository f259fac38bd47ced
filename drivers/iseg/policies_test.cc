// What a module does by itself, and how the driver shows it: ramps, bounds, trips, inhibits, kill.
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
using ::testing::Not;
namespace action = high_voltage::action;

constexpr auto kSimulator = TestLine::From::kSimulator;

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

Arguments Ramp(int channel, double volt_per_s) {
  return {{"channel", Value::Integer(channel)}, {"up", Value::Number(volt_per_s)}};
}

// ---------------------------------------------------------------- ramps (section 15.1)

TEST(ChannelRamp, NoUsesTheModulesRampAlthoughTheChannelsHaveTheirs) {
  auto b = Online({{"channel_ramp", Value::Text("no")}});
  ASSERT_TRUE(b->Act(action::kSetRamp, Ramp(3, 600)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#110041200000"));  // row 21
  EXPECT_THAT(b->h.state.identity().at("quirks"), HasSubstr("no_channel_ramp"));
}

TEST(ChannelRamp, NoNeverAsksForTheChannelsRamps) {
  Bench b(TestConfig({{"channel_ramp", Value::Text("no")}}));
  ASSERT_TRUE(b.StartAndPoll());
  b.h.Advance(seconds(130));
  for (const TestLine::Sent& sent : b.line.log()) {
    EXPECT_FALSE((sent.frame.data[0] & 0xDF) == 0x41 && sent.frame.data[1] == 0x23)
        << FormatFrame(sent.frame);
  }
}

TEST(ChannelRamp, YesUsesTheChannelsRampOfAModelThatIsListedWithoutIt) {
  DeviceConfig config =
      TestConfig({{"channel_ramp", Value::Text("yes")}, {"sim_model", Value::Text("E08F0")}});
  Bench b(std::move(config));
  // This one has them after all.
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    const bool ramp =
        (frame.data[0] & 0xDF) == 0x41 && (frame.data[1] == 0x23 || frame.data[1] == 0x24);
    if (from != kSimulator || !ramp || frame.dlc != 3) return;
    const uint8_t hundred[] = {0x42, 0xC8, 0x00, 0x00};
    std::copy(std::begin(hundred), std::end(hundred), frame.data.begin() + 3);
    frame.dlc = 7;
  };
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  EXPECT_TRUE(b.Act(action::kSetRamp, Ramp(3, 100)).ok());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("210#41230342C80000"));
}

TEST(ChannelRamp, YesIsRefusedWhereTheModuleHasNone) {
  auto b = Online({{"channel_ramp", Value::Text("yes")}, {"sim_model", Value::Text("E08F0")}});
  const absl::Status ramp = b->Act(action::kSetRamp, Ramp(3, 100));
  EXPECT_EQ(Reason(ramp), "ITEM_NOT_AVAILABLE") << ramp;
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(ChannelRamp, YesWithoutRampsCannotBeCheckedAgainstALimit) {
  auto b = Online({{"channel_ramp", Value::Text("yes")}, {"sim_model", Value::Text("E08F0")}},
                  {{"ramp", 50}});
  const absl::Status on = b->Act(action::kSwitchOn, Channel(3));
  EXPECT_EQ(Reason(on), "ITEM_NOT_AVAILABLE") << on;
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(ChannelRamp, AutoDistrustsAListedModelThatAnswersItsRegisters) {
  Bench b(TestConfig({{"sim_model", Value::Text("E08F0")}}));
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    const bool ramp =
        (frame.data[0] & 0xDF) == 0x41 && (frame.data[1] == 0x23 || frame.data[1] == 0x24);
    if (from != kSimulator || !ramp || frame.dlc != 3) return;
    const uint8_t hundred[] = {0x42, 0xC8, 0x00, 0x00};
    std::copy(std::begin(hundred), std::end(hundred), frame.data.begin() + 3);
    frame.dlc = 7;
  };
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  EXPECT_TRUE(b.Act(action::kSetRamp, Ramp(3, 400)).ok());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("210#110041200000"));
}

TEST(ChannelRamp, AutoTakesADatalessAnswerForNo) {
  auto b = Online({{"sim_model", Value::Text("E16D0")}});
  EXPECT_THAT(b->h.state.identity().at("quirks"), HasSubstr("no_channel_ramp"));
  EXPECT_EQ(b->Number("ch3.voltage_ramp_speed_up"), 300);  // 10 %/s of 3000 V
}

TEST(ChannelRamp, DifferentSpeedsUpAndDownNeedRampsOfTheChannel) {
  auto b = Online({{"channel_ramp", Value::Text("no")}});
  const absl::Status ramp =
      b->Act(action::kSetRamp, {{"up", Value::Number(100)}, {"down", Value::Number(200)}});
  EXPECT_EQ(Reason(ramp), "ONE_RAMP_ONLY") << ramp;
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(ChannelRamp, TheRampSetIsTheRampRun) {
  auto b = Online();
  ASSERT_TRUE(b->Act(action::kSetRamp, Ramp(3, 100)).ok());
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(1000)).ok());
  const MonoTime start = b->h.clock.Now();
  ASSERT_TRUE(b->Act(action::kSwitchOn, Channel(3), Stage::kSettled).ok());
  const double took = std::chrono::duration<double>(b->h.clock.Now() - start).count();
  EXPECT_NEAR(took, 10, 1);
}

TEST(ChannelRamp, TheGateBoundsTheArgumentsOfSetRamp) {
  for (const ActionSpec& spec : Info().actions) {
    if (std::string_view(spec.name) != action::kSetRamp) continue;
    for (const ActionArgument& argument : spec.arguments) {
      const std::string name = argument.name;
      if (name == "channel") continue;
      EXPECT_STREQ(argument.unit, "V/s") << name;
      EXPECT_STREQ(argument.limit, "ramp") << name;
    }
    return;
  }
  FAIL() << "no set_ramp";
}

// ---------------------------------------------------------------- the ramp in force and the limit

TEST(RampLimit, TheRefusalSaysTheCommandThatMendsIt) {
  auto b = Online({}, {{"ramp", 50}});
  const absl::Status on = b->Act(action::kSwitchOn, Channel(3));
  EXPECT_EQ(Reason(on), "RAMP_ABOVE_LIMIT");
  EXPECT_THAT(std::string(on.message()), HasSubstr("would ramp at 600 V/s"));
  EXPECT_THAT(std::string(on.message()), HasSubstr("limit of 50 V/s (lab.yaml:41"));
  EXPECT_THAT(std::string(on.message()), HasSubstr("\"canhubctl hv ramp hv0 3 50V/s\""));
  EXPECT_THAT(std::string(on.message()), HasSubstr("HighVoltageService.SetRamp with channel 3"));
  EXPECT_EQ(GetErrorInfo(on).fields.at("fix"), "canhubctl hv ramp hv0 3 50V/s");
  EXPECT_EQ(GetErrorInfo(on).fields.at("ramp_v_per_s"), "600");
  EXPECT_EQ(GetErrorInfo(on).fields.at("allowed_v_per_s"), "50");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

TEST(RampLimit, WhatTheRefusalSaysMendsIt) {
  for (const char* use : {"auto", "no"}) {
    auto b = Online({{"channel_ramp", Value::Text(use)}}, {{"ramp", 50}});
    const absl::Status on = b->Act(action::kSwitchOn, Channel(3));
    const double allowed = std::stod(GetErrorInfo(on).fields.at("allowed_v_per_s"));
    const absl::Status ramp = b->Act(action::kSetRamp, {{"channel", Value::Integer(3)},
                                                        {"up", Value::Number(allowed)},
                                                        {"down", Value::Number(allowed)}});
    ASSERT_TRUE(ramp.ok()) << ramp;
    const absl::Status again = b->Act(action::kSwitchOn, Channel(3));
    EXPECT_TRUE(again.ok()) << use << ": " << again;
  }
}

TEST(RampLimit, AModuleRampIsSaidToHoldForAllChannels) {
  auto b = Online({{"channel_ramp", Value::Text("no")}}, {{"ramp", 50}});
  EXPECT_THAT(std::string(b->Act(action::kSwitchOn, Channel(3)).message()),
              HasSubstr("it holds for all channels"));
}

TEST(RampLimit, RaisingIsRefusedForTheRampUpAndLoweringForTheRampDown) {
  auto b = Online({}, {{"ramp", 600}});
  ASSERT_TRUE(b->SwitchOnAt(3, 1000).ok());
  // Another master: up 1200 V/s.
  b->simulator->OnFrame(b->h.Rx(*ParseFrame("210#41230344960000")));
  b->h.Advance(seconds(10));
  b->line.ClearLog();
  EXPECT_EQ(Reason(b->Set("ch3.voltage_set", Value::Number(1500))), "RAMP_ABOVE_LIMIT");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
  EXPECT_TRUE(b->Set("ch3.voltage_set", Value::Number(500)).ok());
  // And down.
  b->simulator->OnFrame(b->h.Rx(*ParseFrame("210#41240344960000")));
  b->h.Advance(seconds(10));
  const absl::Status lower = b->Set("ch3.voltage_set", Value::Number(100));
  EXPECT_EQ(GetErrorInfo(lower).fields["item"], "ch3.voltage_ramp_speed_down") << lower;
}

TEST(RampLimit, SwitchingOffIsNeverRefusedForIt) {
  auto b = Online({}, {{"ramp", 600}});
  ASSERT_TRUE(b->SwitchOnAt(3, 1000).ok());
  b->simulator->OnFrame(b->h.Rx(*ParseFrame("210#41240344960000")));
  b->h.Advance(seconds(10));
  EXPECT_TRUE(b->Act(action::kSwitchOff, Channel(3)).ok());
}

// ---------------------------------------------------------------- bounds (section 15.5)

TEST(Bounds, AVoltageOutsideRaisesAWarningThatOutlivesIt) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.voltage_bounds", Value::Number(10)).ok());
  ASSERT_TRUE(b->SwitchOnAt(3, 1000).ok());
  b->h.Advance(seconds(2));
  EXPECT_FALSE(b->h.alarms.active("ch3.voltage_bounds"));
  ASSERT_TRUE(b->simulator->InjectFault("dead_channel", Channel(3)).ok());
  b->h.Advance(seconds(2));
  ASSERT_TRUE(b->h.alarms.active("ch3.voltage_bounds"));
  EXPECT_EQ(b->h.alarms.all().at("ch3.voltage_bounds").severity, AlarmSeverity::kWarning);
  EXPECT_TRUE(b->Flag("ch3.is_voltage_bound_lower"));
  ASSERT_TRUE(b->simulator->ClearFaults("").ok());
  b->h.Advance(seconds(3));
  EXPECT_TRUE(b->h.alarms.active("ch3.voltage_bounds"));  // the event is latched
  EXPECT_FALSE(b->Flag("ch3.is_voltage_bounds"));
  ASSERT_TRUE(b->Act(action::kClearEvents, Channel(3)).ok());
  b->h.Advance(seconds(2));
  EXPECT_FALSE(b->h.alarms.active("ch3.voltage_bounds"));
}

TEST(Bounds, ACurrentOutsideRaisesAWarning) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.current_bounds", Value::Number(1e-4)).ok());
  ASSERT_TRUE(b->SwitchOnAt(3, 1000).ok());
  b->h.Advance(seconds(2));
  // The bounds are around the set current (section 15.5), which an idle output is far from.
  EXPECT_TRUE(b->h.alarms.active("ch3.current_bounds"));
}

TEST(Bounds, ARampIsNoAlarm) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.voltage_bounds", Value::Number(10)).ok());
  ASSERT_TRUE(b->SwitchOnAt(3, 3000).ok());
  ASSERT_TRUE(b->Set("ch3.voltage_set", Value::Number(500), Stage::kSettled).ok());
  EXPECT_EQ(b->h.alarms.all().count("ch3.voltage_bounds"), 0u);
}

TEST(Bounds, AboveNominalTheyAreRefused) {
  auto b = Online();
  EXPECT_EQ(Reason(b->Set("ch3.voltage_bounds", Value::Number(6001))), "BOUNDS_OUT_OF_RANGE");
  EXPECT_EQ(Reason(b->Set("ch3.current_bounds", Value::Number(-1e-3))), "BOUNDS_OUT_OF_RANGE");
  EXPECT_THAT(b->line.SettingFrames(), IsEmpty());
}

// ---------------------------------------------------------------- delayed trip (section 15.2)

// Channels 3 and 4 on at 1000 V, 3 with this policy after 250 ms; then 3 meets its current limit.
std::unique_ptr<Bench> Tripped(int trip_action, int time_ms = 250) {
  auto b = Online();
  EXPECT_TRUE(b->Set("ch3.delayed_trip_time", Value::Integer(time_ms)).ok());
  EXPECT_TRUE(b->Set("ch3.delayed_trip_action", Value::Integer(trip_action)).ok());
  EXPECT_TRUE(b->Set("ch3.current_set", Value::Number(1e-4)).ok());
  EXPECT_TRUE(b->SwitchOnAt(3, 1000).ok());
  EXPECT_TRUE(b->SwitchOnAt(4, 1000).ok());
  EXPECT_TRUE(b->simulator->SetLoad(3, 5e6, std::nullopt).ok());
  b->h.Advance(seconds(2));
  return b;
}

TEST(DelayedTrip, Policy0OnlyFlags) {
  auto b = Tripped(0);
  EXPECT_TRUE(b->Flag("ch3.is_on"));
  EXPECT_TRUE(b->Flag("ch3.is_controlled_current"));
  EXPECT_TRUE(b->Flag("ch3.event_trip"));
  EXPECT_TRUE(b->h.alarms.active("ch3.trip"));
}

TEST(DelayedTrip, Policy1RampsTheChannelDown) {
  auto b = Tripped(1);
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_FALSE(b->Flag("ch3.event_on_to_off"));  // that one is without ramp
  EXPECT_TRUE(b->h.alarms.active("ch3.trip"));
  EXPECT_TRUE(b->Flag("ch4.is_on"));
}

TEST(DelayedTrip, Policy2CutsTheChannelOff) {
  auto b = Tripped(2);
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_TRUE(b->Flag("ch3.event_on_to_off"));
  EXPECT_TRUE(b->Flag("ch4.is_on"));
}

TEST(DelayedTrip, Policy3CutsTheModuleOff) {
  auto b = Tripped(3);
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_FALSE(b->Flag("ch4.is_on"));
  EXPECT_TRUE(b->h.alarms.active("ch3.trip"));
  EXPECT_FALSE(b->h.alarms.active("ch4.trip"));
}

TEST(DelayedTrip, Policy4DoesNothing) {
  auto b = Tripped(4);
  EXPECT_TRUE(b->Flag("ch3.is_on"));
  EXPECT_TRUE(b->Flag("ch3.is_controlled_current"));
  EXPECT_FALSE(b->Flag("ch3.event_trip"));
  EXPECT_FALSE(b->h.alarms.active("ch3.trip"));
}

TEST(DelayedTrip, AnyOtherPolicyIsRefusedByTheModuleAndReported) {
  auto b = Online();
  const absl::Status set = b->Set("ch3.delayed_trip_action", Value::Integer(5));
  EXPECT_EQ(Reason(set), "DEVICE_REFUSED") << set;
  EXPECT_EQ(b->Number("ch3.delayed_trip_action"), 0);
}

TEST(DelayedTrip, NothingHappensBeforeItsTime) {
  auto b = Tripped(2, 10000);
  EXPECT_TRUE(b->Flag("ch3.is_on"));
  b->h.Advance(seconds(10));
  EXPECT_FALSE(b->Flag("ch3.is_on"));
}

TEST(DelayedTrip, ASwitchOnIsRefusedUntilTheTripIsCleared) {
  auto b = Tripped(2);
  EXPECT_EQ(Reason(b->Act(action::kSwitchOn, Channel(3))), "BLOCKING_EVENT");
  ASSERT_TRUE(b->simulator->SetLoad(3, 1e9, std::nullopt).ok());
  ASSERT_TRUE(b->Act(action::kClearEvents, Channel(3)).ok());
  const absl::Status on = b->Act(action::kSwitchOn, Channel(3), Stage::kSettled);
  EXPECT_TRUE(on.ok()) << on;
}

// ---------------------------------------------------------------- external inhibit

// Channels 3 and 4 on at 1000 V, then channel 3 is inhibited.
std::unique_ptr<Bench> Inhibited(int inhibit_action) {
  auto b = Online();
  EXPECT_TRUE(b->Set("ch3.external_inhibit_action", Value::Integer(inhibit_action)).ok());
  EXPECT_TRUE(b->SwitchOnAt(3, 1000).ok());
  EXPECT_TRUE(b->SwitchOnAt(4, 1000).ok());
  EXPECT_TRUE(b->simulator->InjectFault("inhibit", Channel(3)).ok());
  b->h.Advance(seconds(1));
  return b;
}

TEST(Inhibit, Policy0OnlyFlags) {
  auto b = Inhibited(0);
  EXPECT_TRUE(b->Flag("ch3.is_on"));
  EXPECT_TRUE(b->Flag("ch3.is_external_inhibit"));
  EXPECT_TRUE(b->h.alarms.active("ch3.external_inhibit"));
}

TEST(Inhibit, Policy1RampsTheChannelDown) {
  auto b = Inhibited(1);
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_TRUE(b->Flag("ch3.is_voltage_ramp"));
  EXPECT_TRUE(b->Flag("ch4.is_on"));
}

TEST(Inhibit, Policy2CutsTheChannelOff) {
  auto b = Inhibited(2);
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_FALSE(b->Flag("ch3.is_voltage_ramp"));
  EXPECT_TRUE(b->Flag("ch3.event_on_to_off"));
  EXPECT_TRUE(b->Flag("ch4.is_on"));
}

TEST(Inhibit, Policy3CutsTheModuleOff) {
  auto b = Inhibited(3);
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_FALSE(b->Flag("ch4.is_on"));
}

TEST(Inhibit, TheChannelStaysOffWhenItEndsAndIsSwitchedOnAfterAClear) {
  auto b = Inhibited(2);
  EXPECT_EQ(Reason(b->Act(action::kSwitchOn, Channel(3))), "BLOCKING_EVENT");
  ASSERT_TRUE(b->simulator->ClearFaults("").ok());
  b->h.Advance(seconds(2));
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_TRUE(b->h.alarms.active("ch3.external_inhibit"));
  ASSERT_TRUE(b->Act(action::kClearEvents, Channel(3)).ok());
  EXPECT_TRUE(b->Act(action::kSwitchOn, Channel(3)).ok());
}

TEST(Inhibit, AClearWhileItHoldsSaysWhatIsStillActive) {
  auto b = Inhibited(0);
  ASSERT_TRUE(b->Act(action::kClearEvents, Channel(3)).ok());
  EXPECT_THAT(FindArgument(b->LastResults(), "still_active")->text(),
              HasSubstr("ch3.event_external_inhibit"));
}

// ---------------------------------------------------------------- kill (section 15.2)

TEST(Kill, OffTheSetCurrentIsALimit) {
  auto b = Online();
  ASSERT_TRUE(b->Set("ch3.current_set", Value::Number(1e-4)).ok());
  ASSERT_TRUE(b->SwitchOnAt(3, 1000).ok());
  ASSERT_TRUE(b->simulator->SetLoad(3, 5e6, std::nullopt).ok());
  b->h.Advance(seconds(2));
  EXPECT_TRUE(b->Flag("ch3.is_on"));
  EXPECT_TRUE(b->Flag("ch3.is_controlled_current"));
  EXPECT_NEAR(b->Number("ch3.voltage_measure"), 500, 10);
}

TEST(Kill, OnTheSetCurrentIsATrip) {
  auto b = Online();
  ASSERT_TRUE(b->Set("kill_enable", Value::Flag(true)).ok());
  ASSERT_TRUE(b->Set("ch3.current_set", Value::Number(1e-4)).ok());
  ASSERT_TRUE(b->SwitchOnAt(3, 1000).ok());
  ASSERT_TRUE(b->simulator->SetLoad(3, 5e6, std::nullopt).ok());
  b->h.Advance(seconds(2));
  EXPECT_FALSE(b->Flag("ch3.is_on"));
  EXPECT_TRUE(b->Flag("ch3.is_trip"));
  EXPECT_TRUE(b->h.alarms.active("ch3.trip"));
}

TEST(Kill, IsSetAndTakenBackWithoutTouchingItsNeighbours) {
  auto b = Online();
  ASSERT_TRUE(b->Set("kill_enable", Value::Flag(true)).ok());
  b->h.Advance(seconds(6));
  EXPECT_TRUE(b->Flag("is_kill_enable"));
  EXPECT_TRUE(b->Flag("is_fine_adjustment"));
  ASSERT_TRUE(b->Set("kill_enable", Value::Flag(false)).ok());
  EXPECT_THAT(b->line.SettingFrames(), ElementsAre("210#108100005800", "210#108100001800"));
}

}  // namespace
}  // namespace canhub::iseg
