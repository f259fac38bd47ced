// The invariants of docs/safety-case.md, as far as a driver keeps them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "drivers/iseg/line_testing.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace action = high_voltage::action;

class Safety : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(b.StartAndPoll()); }
  // Channel 3 on at 1000 V.
  void SwitchOn() {
    ASSERT_TRUE(b.Set("ch3.voltage_set", Value::Number(1000)).ok());
    const absl::Status on = b.Act(action::kSwitchOn, Channel(3), Stage::kSettled);
    ASSERT_TRUE(on.ok()) << on;
    b.line.ClearLog();
  }
  absl::Status StatusOf(CommandId id) const {
    const auto* finished = b.h.commands.finished(id);
    return finished == nullptr ? absl::UnknownError("not finished") : finished->status;
  }

  Bench b;
};

TEST_F(Safety, S01_ModuleLostAndBackSendsNoSetPoint) {
  SwitchOn();
  ASSERT_TRUE(b.simulator->InjectFault("silence", {}).ok());
  ASSERT_TRUE(b.Until([&] { return b.h.state.link() == LinkState::kLost; }, seconds(20)));
  EXPECT_TRUE(b.h.alarms.active("module_lost"));
  EXPECT_EQ(b.h.alarms.all().at("module_lost").severity, AlarmSeverity::kCritical);
  EXPECT_EQ(b.QualityOf("ch3.voltage_measure"), Quality::kStale);
  EXPECT_FALSE(b.Flag("is_alive"));
  ASSERT_TRUE(b.simulator->ClearFaults("").ok());
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(30)));
  EXPECT_FALSE(b.h.alarms.active("module_lost"));
  EXPECT_EQ(b.QualityOf("ch3.voltage_measure"), Quality::kGood);
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST_F(Safety, S01_RestartedModuleIsReadAgainAndNotSet) {
  SwitchOn();
  ASSERT_TRUE(b.simulator->InjectFault("reboot", {}).ok());
  ASSERT_TRUE(b.Until(
      [&] {
        return b.h.alarms.all().contains("module_restarted") ||
               b.h.alarms.all().contains("module_lost");
      },
      seconds(20)));
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(30)));
  EXPECT_FALSE(b.Flag("ch3.is_on"));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST_F(Safety, S02_BusOffDuringARampEndsTheCommandAndNothingIsSentAfterwards) {
  ASSERT_TRUE(b.Set("ch3.voltage_set", Value::Number(3000)).ok());
  b.driver->Execute(b.h.Action(action::kSwitchOn, Channel(3), Stage::kSettled));
  const CommandId ramp = b.h.last_command();
  b.h.Advance(milliseconds(200));
  ASSERT_EQ(b.h.commands.finished(ramp), nullptr);
  // One more, still in the bus's queue when it goes off.
  b.driver->Execute(b.h.Write("ch4.voltage_set", Value::Number(100)));
  const CommandId queued = b.h.last_command();
  b.line.SetBus(BusState::kBusOff);
  EXPECT_TRUE(absl::IsUnavailable(StatusOf(ramp))) << StatusOf(ramp);
  EXPECT_THAT(std::string(StatusOf(ramp).message()), HasSubstr("done: ch3 on"));
  EXPECT_TRUE(absl::IsUnavailable(StatusOf(queued)));
  EXPECT_EQ(b.h.state.link(), LinkState::kBusDown);
  EXPECT_EQ(b.QualityOf("ch3.voltage_measure"), Quality::kStale);
  b.line.ClearLog();
  b.h.Advance(seconds(2));
  b.line.SetBus(BusState::kActive);
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(30)));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST_F(Safety, S02_NothingIsSentAfterTheDeadline) {
  b.line.ClearLog();
  Command command =
      b.h.Write("ch3.voltage_set", Value::Number(100), Stage::kConfirmed, Duration::zero());
  EXPECT_TRUE(absl::IsDeadlineExceeded(b.Run(std::move(command))));
  b.h.Advance(seconds(1));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST_F(Safety, S03_ReadingsGoStaleWhenAnswersStop) {
  ASSERT_EQ(b.QualityOf("ch3.voltage_measure"), Quality::kGood);
  const MonoTime read = b.h.state.Read("ch3.voltage_measure").read_time;
  b.line.lose = [](TestLine::From from, const CanFrame&) {
    return from == TestLine::From::kSimulator;
  };
  // Three periods of 500 ms and the time-out of 500 ms.
  b.h.Advance(read + seconds(2) - b.h.clock.Now() + milliseconds(600));
  EXPECT_EQ(b.QualityOf("ch3.voltage_measure"), Quality::kStale);
}

TEST_F(Safety, S07_MalformedAnswersChangeNothingAndAreCounted) {
  SwitchOn();
  const double before = b.Number("ch3.voltage_measure");
  for (const char* fault : {"wrong_length", "nan", "garbled"}) {
    ASSERT_TRUE(b.simulator->InjectFault(fault, {}).ok());
    b.h.Advance(milliseconds(1500));
    ASSERT_TRUE(b.simulator->ClearFaults("").ok());
    EXPECT_NEAR(b.Number("ch3.voltage_measure"), before, 1) << fault;
  }
  EXPECT_GT(b.h.log.bad_frames("short_frame"), 0);
  EXPECT_GT(b.h.log.bad_frames("not_finite"), 0);
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(60)));
}

TEST_F(Safety, S08_ARefusedCommandSendsNothing) {
  b.line.ClearLog();
  const absl::Status above =
      b.Run(b.h.Writes({{b.h.state.Id("ch1.voltage_set"), Value::Number(10)},
                        {b.h.state.Id("ch2.voltage_set"), Value::Number(99999)}}));
  EXPECT_TRUE(absl::IsOutOfRange(above)) << above;
  b.h.Advance(seconds(1));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST_F(Safety, S08_AHalfDoneCommandSaysWhatWasDone) {
  std::vector<ItemWrite> writes;
  for (int ch = 0; ch < 16; ++ch) {
    writes.push_back(
        {b.h.state.Id("ch" + std::to_string(ch) + ".voltage_set"), Value::Number(10 + ch)});
  }
  Command command = b.h.Writes(writes);
  const CommandId id = command.id;
  b.driver->Execute(std::move(command));
  b.h.Advance(milliseconds(5));
  b.driver->Cancel(id, absl::AbortedError("the lease was lost"));
  const size_t sent = b.line.SettingFrames().size();
  ASSERT_GT(sent, 0u);
  const std::string text(StatusOf(id).message());
  EXPECT_THAT(text, HasSubstr("the lease was lost; done: ch0.voltage_set = 10 V"));
  EXPECT_THAT(text, HasSubstr("not done: "));
  EXPECT_THAT(text, HasSubstr("ch15.voltage_set = 25 V"));
  b.h.Advance(seconds(1));
  // At most the one that was on the wire at that moment went out as well.
  EXPECT_LE(b.line.SettingFrames().size(), sent + 1);
}

TEST_F(Safety, S10_EmergencyOffOvertakesFortyWrites) {
  SwitchOn();
  for (int i = 0; i < 40; ++i) {
    b.driver->Execute(
        b.h.Write("ch" + std::to_string(i % 16) + ".voltage_set", Value::Number(100 + i)));
  }
  b.line.ClearLog();
  const MonoTime before = b.h.clock.Now();
  const absl::Status off =
      b.Run(b.h.Action(action::kEmergencyOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_TRUE(off.ok()) << off;
  size_t first = 0;
  while (b.line.log()[first].urgency != Urgency::kSafe) ++first;
  // Only the frame on the wire at that moment, and its answer, may come before.
  EXPECT_LE(first, 2u);
  EXPECT_EQ(FormatFrame(b.line.log()[first].frame), "210#22010000FFFF");
  EXPECT_LT(b.line.log()[first].time - before, milliseconds(4));
  for (size_t i = first; i < b.line.log().size(); ++i) {
    EXPECT_NE(b.line.log()[i].urgency, Urgency::kCommand)
        << FormatFrame(b.line.log()[i].frame) << " after emergency off";
    if (b.line.log()[i].urgency == Urgency::kPoll) break;
  }
  EXPECT_TRUE(b.Flag("ch3.is_emergency_off"));
  EXPECT_TRUE(b.Flag("ch15.is_emergency_off"));
}

TEST(SafetyOfTheUnknown, S08_EmergencyOffIntoTheDarkIsNotTakenForDone) {
  Bench b{TestConfig()};
  b.driver->OnBusState(BusState::kActive);
  b.driver->Start();
  b.h.Advance(seconds(5));
  const absl::Status off =
      b.Run(b.h.Action(action::kEmergencyOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_EQ(off.code(), absl::StatusCode::kUnavailable) << off;
  EXPECT_EQ(GetErrorInfo(off).reason, "NOT_VERIFIED");
  EXPECT_TRUE(b.h.alarms.active("safe_action_failed"));
  // It was sent all the same, to every channel there could be.
  const auto& log = b.line.log();
  EXPECT_GT(std::count_if(log.begin(), log.end(),
                          [](const auto& sent) { return sent.urgency == Urgency::kSafe; }),
            48);
}

TEST_F(Safety, S10_OvertakenCommandsEndAborted) {
  b.driver->Execute(b.h.Write("ch3.voltage_set", Value::Number(100)));
  const CommandId id = b.h.last_command();
  b.driver->Execute(b.h.Action(action::kRampDown, {}, Stage::kConfirmed, Urgency::kSafe));
  ASSERT_NE(b.h.commands.finished(id), nullptr);
  EXPECT_TRUE(absl::IsAborted(StatusOf(id)));
  EXPECT_EQ(GetErrorInfo(StatusOf(id)).reason, "OVERTAKEN");
}

TEST_F(Safety, RampDownDoesNotReleaseAnEmergencyOff) {
  SwitchOn();
  ASSERT_TRUE(
      b.Run(b.h.Action(action::kEmergencyOff, Channel(3), Stage::kConfirmed, Urgency::kSafe)).ok());
  const absl::Status down =
      b.Run(b.h.Action(action::kRampDown, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_TRUE(down.ok()) << down;
  b.h.Advance(seconds(1));
  EXPECT_TRUE(b.Flag("ch3.is_emergency_off"));
}

TEST_F(Safety, AnEmergencyOffWhoseFramesAreLostIsSentAgain) {
  SwitchOn();
  int lost = 0;
  b.line.lose = [&lost](TestLine::From from, const CanFrame& frame) {
    return from == TestLine::From::kDriver && (frame.id & 1) == 0 && lost++ < 17;
  };
  const absl::Status off =
      b.Run(b.h.Action(action::kEmergencyOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_TRUE(off.ok()) << off;
  EXPECT_TRUE(b.Flag("ch3.is_emergency_off"));
}

TEST_F(Safety, AnEmergencyOffIsSentToASilentDevice) {
  SwitchOn();
  b.line.lose = [](TestLine::From from, const CanFrame&) {
    return from == TestLine::From::kSimulator;
  };
  ASSERT_TRUE(b.Until([&] { return b.h.state.link() == LinkState::kLost; }, seconds(20)));
  b.line.ClearLog();
  const absl::Status off =
      b.Run(b.h.Action(action::kEmergencyOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_FALSE(off.ok());
  EXPECT_GE(b.line.SettingFrames().size(), 17u);
  EXPECT_TRUE(b.h.alarms.active("safe_action_failed"));
}

TEST_F(Safety, S12_JumpsOfTheWallClockChangeNothing) {
  b.h.clock.JumpWall(std::chrono::hours(24 * 365));
  b.h.Advance(seconds(5));
  EXPECT_EQ(b.QualityOf("ch3.voltage_measure"), Quality::kGood);
  b.h.clock.JumpWall(-std::chrono::hours(24 * 365 * 10));
  b.h.Advance(seconds(5));
  EXPECT_EQ(b.QualityOf("ch3.voltage_measure"), Quality::kGood);
  EXPECT_TRUE(b.Set("ch3.voltage_set", Value::Number(10)).ok());
}

TEST_F(Safety, CommandsSurviveLostFrames) {
  int n = 0;
  b.line.lose = [&n](TestLine::From from, const CanFrame&) {
    return from == TestLine::From::kSimulator && ++n % 5 == 0;
  };
  for (int i = 1; i <= 20; ++i) {
    const absl::Status set = b.Set("ch3.voltage_set", Value::Number(i));
    EXPECT_TRUE(set.ok()) << set;
  }
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
}

// A minute of lost, garbled and doubled frames, bus failures, restarts and random commands.
class RandomFaults : public ::testing::TestWithParam<uint32_t> {};

TEST_P(RandomFaults, EveryCommandEndsOnceAndOnlyCommandsSet) {
  std::mt19937 random(GetParam());
  const auto chance = [&random](int one_in) { return random() % one_in == 0; };
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.line.lose = [&](TestLine::From, const CanFrame&) { return chance(20); };
  b.line.garble = [&](TestLine::From from, CanFrame& frame) {
    if (from != TestLine::From::kSimulator) return;
    if (chance(30)) frame.data[random() % 8] = static_cast<uint8_t>(random());
    if (chance(30)) frame.dlc = static_cast<uint8_t>(random() % 9);
    if (chance(30)) b.driver->OnFrame(b.h.Rx(frame));
  };
  std::vector<std::pair<CommandId, MonoTime>> open;
  MonoTime last_command = b.h.clock.Now();
  const auto execute = [&](Command command) {
    open.emplace_back(command.id, command.guard->deadline());
    last_command = b.h.clock.Now();
    b.driver->Execute(std::move(command));
  };
  for (int step = 0; step < 3000; ++step) {
    const int channel = static_cast<int>(random() % 16);
    const std::string ch = "ch" + std::to_string(channel);
    const Stage stage = chance(3) ? Stage::kSettled : Stage::kConfirmed;
    if (chance(10))
      execute(b.h.Write(ch + ".voltage_set", Value::Number(channel), stage, seconds(3)));
    if (chance(40))
      execute(
          b.h.Action(action::kSwitchOn, Channel(channel), stage, Urgency::kCommand, seconds(3)));
    if (chance(40))
      execute(b.h.Action(action::kClearEvents, {}, stage, Urgency::kCommand, seconds(3)));
    if (chance(200)) execute(b.h.Action(action::kRampDown, {}, stage, Urgency::kSafe, seconds(3)));
    if (chance(400)) {
      execute(b.h.Action(action::kEmergencyOff, {}, stage, Urgency::kSafe, seconds(3)));
    }
    if (chance(500)) {
      ASSERT_TRUE(b.simulator->InjectFault("reboot", {}).ok());
    }
    if (chance(500)) {
      b.line.SetBus(BusState::kBusOff);
      for (const auto& [id, deadline] : open) EXPECT_NE(b.h.commands.finished(id), nullptr);
      open.clear();
      b.line.ClearLog();
      b.h.Advance(milliseconds(300));
      b.line.SetBus(BusState::kActive);
      b.h.Advance(milliseconds(100));
      EXPECT_THAT(b.line.SettingFrames(), IsEmpty()) << "seed " << GetParam();
    }
    b.h.Advance(milliseconds(20));
    // What the actor does at a deadline.
    std::erase_if(open, [&](const auto& entry) {
      if (b.h.commands.finished(entry.first) != nullptr) return true;
      if (b.h.clock.Now() < entry.second) return false;
      b.driver->Cancel(entry.first, absl::DeadlineExceededError("deadline"));
      EXPECT_NE(b.h.commands.finished(entry.first), nullptr);
      return true;
    });
  }
  EXPECT_THAT(b.h.commands.errors(), IsEmpty());
  // Once all is well it settles down by itself.
  b.line.lose = nullptr;
  b.line.garble = nullptr;
  EXPECT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(60)));
  const absl::Status off =
      b.Run(b.h.Action(action::kEmergencyOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_TRUE(off.ok()) << off;
  for (int ch = 0; ch < 16; ++ch) {
    EXPECT_TRUE(b.Flag("ch" + std::to_string(ch) + ".is_emergency_off"));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomFaults, ::testing::Range(1u, 17u));

}  // namespace
}  // namespace canhub::iseg
