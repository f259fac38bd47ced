// Polling, the count of modules, and what becomes of those that go and come (facts 5.4, 12.5).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "drivers/battery-module/battery_testing.h"

namespace canhub::battery_module {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;

size_t CountOf(const std::vector<TestLine::Sent>& log, uint32_t id) {
  return static_cast<size_t>(std::count_if(log.begin(), log.end(), [id](const auto& sent) {
    return sent.frame.id == id && sent.from == TestLine::From::kDriver;
  }));
}

TEST(Counting, SendsTenSyncsASecond) {
  Bench b;
  b.Start();
  b.Pass(seconds(5));
  EXPECT_NEAR(static_cast<double>(CountOf(b.line.log(), 0x080)), 50, 2);
}

TEST(Counting, AsksEachModuleForItsSensorsOnceASecondSpreadOverIt) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  b.Pass(seconds(6));
  for (const uint32_t id : {0x601u, 0x602u, 0x603u}) {
    EXPECT_NEAR(static_cast<double>(CountOf(b.line.log(), id)), 6, 1);
  }
  std::vector<MonoTime> times;
  for (const auto& sent : b.line.log()) {
    if (sent.frame.id > 0x600 && sent.frame.id < 0x610) times.push_back(sent.time);
  }
  for (size_t i = 1; i < times.size(); ++i) EXPECT_GT(times[i] - times[i - 1], milliseconds(200));
}

TEST(Counting, ModulesThatComeLateAreAskedAsOftenAsTheFirst) {
  Alone a({{"expected_modules", Value::Integer(15)}});
  a.Count();
  a.h.bus.Take();
  for (int i = 0; i < 100; ++i) {
    for (int module = 1; module <= 15; ++module) {
      char frame[64];
      std::snprintf(frame, sizeof(frame), "%03X#00007A12AEAE1416", 0x180 + module);
      a.Receive(frame);
    }
    a.h.Advance(milliseconds(100));
  }
  const std::vector<CanFrame> sent = a.h.bus.Take();
  for (const uint32_t id : {0x601u, 0x605u, 0x60Fu}) {
    EXPECT_NEAR(static_cast<double>(std::count_if(sent.begin(), sent.end(),
                                                  [id](const CanFrame& f) { return f.id == id; })),
                10, 1.5)
        << id;
  }
}

TEST(Counting, GoesOnAskingForSensorsWhileThePackIsCountedAnew) {
  Bench b({{"sync_period", Value::Number(1)}, {"stale_after", Value::Number(5)}});
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  b.driver->Execute(b.h.Action(battery::action::kDetect));
  b.Pass(seconds(9));
  EXPECT_NEAR(static_cast<double>(CountOf(b.line.log(), 0x602)), 9, 1);
}

// A request each time would wait behind the answers to all the SYNCs (found by the random
// simulation: requests went out long after the actor hung).
TEST(Counting, CountingAnewOverAndOverAsksForNoMoreSensors) {
  Bench b({{"sync_period", Value::Number(1)}, {"stale_after", Value::Number(5)}});
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  for (int i = 0; i < 20; ++i) b.driver->Execute(b.h.Action(battery::action::kDetect));
  b.Pass(milliseconds(3000));
  EXPECT_NEAR(static_cast<double>(CountOf(b.line.log(), 0x602)), 3, 1);
}

TEST(Counting, ListensOnlyWhereSomebodyElsePolls) {
  Alone a({{"poll", Value::Flag(false)}});
  a.Count();
  EXPECT_EQ(a.Number("pack.module_count"), 1);
  EXPECT_TRUE(a.h.bus.sent().empty());
}

TEST(Counting, LatchesWhatAnswersInTheFirstSecond) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_EQ(b.Number("pack.module_count"), 3);
  EXPECT_EQ(b.Number("pack.modules_good"), 3);
  EXPECT_EQ(b.Number("module3.presence"), static_cast<int>(battery::Presence::kGood));
  EXPECT_EQ(b.Number("module4.presence"), static_cast<int>(battery::Presence::kAbsent));
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
  EXPECT_EQ(b.h.state.identity().at("modules"), "1, 2, 3");
}

TEST(Counting, TwoFramesAreNoModule) {
  Alone a;
  a.Poll({"182#00007A12AEAE1416"}, 2);
  a.Count();
  EXPECT_EQ(a.Number("pack.module_count"), 1);
}

// Defect 22: a silent bus is waited for, and nothing else waits.
TEST(Counting, ASilentBusIsLookedAtAgainEveryFiveSeconds) {
  Bench b;
  ASSERT_TRUE(b.Fault("silence").ok());
  b.Start();
  b.Pass(seconds(3));
  EXPECT_TRUE(b.Alarm("pack.none"));
  EXPECT_EQ(b.h.state.link(), LinkState::kSearching);
  EXPECT_EQ(b.QualityOf("pack.level"), Quality::kNeverRead);
  ASSERT_TRUE(b.simulator->ClearFaults("").ok());
  b.Pass(seconds(7));
  EXPECT_FALSE(b.Alarm("pack.none"));
  EXPECT_EQ(b.Number("pack.module_count"), 3);
}

// Defect 17.
TEST(Counting, AModuleThatFallsSilentIsStaleAndThePackNoSmaller) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("silence", OfModule(2)).ok());
  b.Pass(milliseconds(1300));
  EXPECT_EQ(b.Number("pack.module_count"), 3);
  EXPECT_EQ(b.Number("pack.modules_good"), 2);
  EXPECT_EQ(b.Number("module2.presence"), static_cast<int>(battery::Presence::kStale));
  EXPECT_TRUE(b.Alarm("module2.stale"));
  EXPECT_EQ(b.Level(), 1);
  EXPECT_FALSE(b.Alarm("module2.stale_dangerous"));
  // What is missing may be the lowest and the highest.
  EXPECT_EQ(b.QualityOf("pack.cell_voltage_min"), Quality::kStale);
  EXPECT_EQ(b.QualityOf("pack.voltage"), Quality::kStale);
  EXPECT_EQ(b.QualityOf("module2.voltage"), Quality::kStale);
  EXPECT_EQ(b.QualityOf("module1.voltage"), Quality::kGood);
}

TEST(Counting, AStaleModuleIsDangerousAfterThreeSecondsMore) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("silence", OfModule(2)).ok());
  b.Pass(milliseconds(3800));
  EXPECT_EQ(b.Level(), 1);
  b.Pass(milliseconds(700));
  EXPECT_EQ(b.Level(), 2);
  EXPECT_TRUE(b.Alarm("module2.stale_dangerous"));
  ASSERT_TRUE(b.simulator->ClearFaults("").ok());
  b.Pass(milliseconds(300));
  EXPECT_FALSE(b.Alarm("module2.stale_dangerous"));
  b.Pass(milliseconds(500));  // its alarm frame is there again as well
  EXPECT_EQ(b.Level(), 0);
}

// Section 5.4: sensors on request are stale after 10 s, and then as a module that is.
TEST(Counting, SilentSensorsAreAWarningAndDangerousAfterThreeSecondsMore) {
  Alone a;
  a.Count();
  const auto pass = [&](Duration time) {
    for (; time > Duration(0); time -= milliseconds(100)) {
      a.ReceiveNormal();
      a.h.Advance(milliseconds(100));
    }
  };
  a.Receive("291#1514141414161400");
  pass(milliseconds(9900));
  EXPECT_EQ(a.Level(), 0);
  pass(milliseconds(200));
  EXPECT_TRUE(a.Alarm("module1.sensors_stale"));
  EXPECT_EQ(a.Level("module1.level"), 1);
  EXPECT_EQ(a.Level("pack.data_level"), 1);
  EXPECT_EQ(a.Level(), 1);
  pass(milliseconds(2700));
  EXPECT_EQ(a.Level(), 1);
  EXPECT_FALSE(a.Alarm("module1.stale_dangerous"));
  pass(milliseconds(300));
  EXPECT_TRUE(a.Alarm("module1.stale_dangerous"));
  EXPECT_EQ(a.Level("module1.level"), 2);
  EXPECT_EQ(a.Level(), 2);
  a.Receive("291#1514141414161400");
  pass(milliseconds(100));
  EXPECT_EQ(a.Level(), 0);
}

TEST(Counting, SensorsThatWouldBeStaleBetweenTwoRequestsAreRefused) {
  const auto check = [](double request, double stale) {
    return Info().check(TestConfig({{"request_period", Value::Number(request)},
                                    {"sensors_stale_after", Value::Number(stale)}}));
  };
  EXPECT_TRUE(check(5, 10).ok()) << check(5, 10);
  EXPECT_THAT(std::string(check(6, 10).message()), HasSubstr("sensors_stale_after: found less"));
  EXPECT_TRUE(check(0, 1).ok());
}

TEST(Counting, TheSensorsOfAModuleThatComesLateHaveTheirTime) {
  Alone a({{"expected_modules", Value::Integer(2)}});
  a.Count();
  const auto pass = [&](int times, bool both) {
    for (int i = 0; i < times; ++i) {
      a.ReceiveNormal();
      a.Receive("291#1514141414161400");
      if (both) a.Receive("182#00007A12AEAE1416");
      a.h.Advance(milliseconds(100));
    }
  };
  pass(150, false);
  pass(90, true);
  EXPECT_FALSE(a.Alarm("module2.sensors_stale"));
  pass(20, true);
  EXPECT_TRUE(a.Alarm("module2.sensors_stale"));
}

TEST(Counting, TheSensorsOfAModuleThatIsNotAskedAreNotMissed) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("extra_module", OfModule(7)).ok());
  b.Pass(seconds(15));
  EXPECT_FALSE(b.Alarm("module7.sensors_stale"));
  EXPECT_EQ(b.Level(), 1);
}

TEST(Counting, AllModulesSilentIsDangerousAtOnce) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("silence").ok());
  b.Pass(milliseconds(1400));
  EXPECT_EQ(b.Level(), 2);
  EXPECT_TRUE(b.Alarm("pack.all_stale"));
  EXPECT_EQ(b.h.state.link(), LinkState::kLost);
}

TEST(Counting, AModuleThatComesLaterIsUnexpected) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("extra_module", OfModule(7)).ok());
  b.Pass(seconds(1));
  EXPECT_TRUE(b.Alarm("module7.unexpected"));
  EXPECT_EQ(b.Number("pack.module_count"), 3);
  EXPECT_EQ(b.Number("pack.modules_unexpected"), 1);
  EXPECT_EQ(b.Level(), 1);
  EXPECT_EQ(b.QualityOf("module7.voltage"), Quality::kGood);
}

TEST(Counting, AnUnexpectedModuleThatGoesIsNotMissed) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("extra_module", OfModule(7)).ok());
  b.Pass(seconds(1));
  ASSERT_TRUE(b.simulator->ClearFaults("").ok());
  b.Pass(seconds(5));
  EXPECT_FALSE(b.Alarm("module7.unexpected"));
  EXPECT_FALSE(b.Alarm("module7.stale_dangerous"));
  EXPECT_EQ(b.Number("pack.modules_unexpected"), 0);
  EXPECT_EQ(b.Level(), 0);
}

// What nobody expected can still be dangerous.
TEST(Counting, AnUnexpectedModuleIsJudged) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("extra_module", OfModule(7)).ok());
  ASSERT_TRUE(b.Force("Cell_5_Voltage", 4.3, 7).ok());
  b.Pass(seconds(1));
  EXPECT_EQ(b.Level(), 2);
}

TEST(Counting, ExpectedModulesThatAreMissingAreAsBadAsSilentOnes) {
  Bench b({{"expected_modules", Value::Integer(4)}});
  b.Start();
  b.Pass(milliseconds(1500));
  EXPECT_TRUE(b.Alarm("pack.module_count"));
  EXPECT_EQ(b.Level(), 1);
  b.Pass(seconds(4));
  EXPECT_EQ(b.Level(), 2);
  EXPECT_TRUE(b.Alarm("pack.missing"));
}

TEST(Counting, AnExpectedModuleMayComeLate) {
  Bench b({{"expected_modules", Value::Integer(4)}});
  b.Start();
  b.Pass(milliseconds(1500));
  ASSERT_TRUE(b.Fault("extra_module", OfModule(4)).ok());
  b.Pass(seconds(1));
  EXPECT_EQ(b.Number("pack.module_count"), 4);
  EXPECT_FALSE(b.Alarm("pack.module_count"));
  EXPECT_FALSE(b.Alarm("module4.unexpected"));
  EXPECT_EQ(b.Level(), 0);
}

TEST(Counting, MoreThanExpectedIsAWarning) {
  Bench b({{"expected_modules", Value::Integer(2)}});
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_EQ(b.Number("pack.module_count"), 3);
  EXPECT_TRUE(b.Alarm("pack.module_count"));
  EXPECT_EQ(b.Level(), 1);
}

TEST(Counting, DetectCountsAnew) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("silence", OfModule(3)).ok());
  b.Pass(seconds(6));
  EXPECT_EQ(b.Level(), 2);
  EXPECT_TRUE(b.Act(battery::action::kDetect).ok());
  EXPECT_EQ(b.LastResults()[0].second, Value::Integer(2));
  b.Pass(seconds(1));
  EXPECT_EQ(b.Number("pack.module_count"), 2);
  EXPECT_EQ(b.Level(), 0);
  EXPECT_FALSE(b.Alarm("module3.stale"));
  EXPECT_TRUE(b.h.commands.errors().empty());
}

TEST(Counting, DetectOnASilentBusLeavesThePackAsItWas) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("silence").ok());
  EXPECT_EQ(b.Act(battery::action::kDetect).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(b.Number("pack.module_count"), 3);
  EXPECT_EQ(b.Level(), 2);
}

TEST(Counting, ACountIsGivenUpWithTheBus) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.driver->Execute(b.h.Action(battery::action::kDetect));
  b.Pass(milliseconds(100));
  b.line.SetBus(BusState::kBusOff);
  ASSERT_NE(b.h.commands.finished(b.h.last_command()), nullptr);
  EXPECT_EQ(b.h.commands.finished(b.h.last_command())->status.code(),
            absl::StatusCode::kUnavailable);
}

TEST(Counting, ACountThatIsGivenUpWithTheBusLeavesThePackAsItWas) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("silence", OfModule(3)).ok());
  b.driver->Execute(b.h.Action(battery::action::kDetect));
  b.Pass(milliseconds(100));
  b.line.SetBus(BusState::kBusOff);
  b.line.SetBus(BusState::kActive);
  b.Pass(seconds(5));
  EXPECT_EQ(b.Number("pack.module_count"), 3);
  EXPECT_TRUE(b.Alarm("module3.stale"));
}

TEST(Counting, SensorsAreAskedForAgainAfterACountThatFoundNobody) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("silence").ok());
  EXPECT_FALSE(b.Act(battery::action::kDetect).ok());
  b.line.ClearLog();
  b.Pass(seconds(3));
  EXPECT_GE(CountOf(b.line.log(), 0x602), 2u);
}

TEST(Counting, ABusThatComesBackIsPolledAgainWithTheSamePack) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.line.SetBus(BusState::kBusOff);
  EXPECT_EQ(b.h.state.link(), LinkState::kBusDown);
  EXPECT_EQ(b.QualityOf("module1.voltage"), Quality::kStale);
  b.line.ClearLog();
  b.Pass(seconds(5));
  EXPECT_TRUE(b.line.log().empty());
  EXPECT_EQ(b.Level(), 2);
  b.line.SetBus(BusState::kActive);
  b.Pass(seconds(1));
  EXPECT_EQ(b.Number("pack.module_count"), 3);
  EXPECT_EQ(b.Level(), 0);
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
}

TEST(Counting, TwoModulesOfOneNumberAreSeen) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("doubled", OfModule(2)).ok());
  b.Pass(seconds(1));
  EXPECT_TRUE(b.Alarm("module2.doubled"));
  EXPECT_FALSE(b.Alarm("module1.doubled"));
  EXPECT_EQ(b.Level(), 1);
}

TEST(Counting, ForeignFramesChangeNothing) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("babble").ok());
  b.Pass(seconds(2));
  EXPECT_EQ(b.Level(), 0);
  EXPECT_TRUE(b.h.log.bad_frames().empty());
}

TEST(Counting, ASlowLineIsNotFilledWithAnswers) {
  // Fifteen modules with five frames ten times a second do not fit into a quarter of 125 kbit/s.
  TestBench b(Info(),
              DefaultConfig("bat0", Info().parameters, {{"sim_modules", Value::Integer(15)}}),
              {.id = "can0", .bitrate = 125000, .poll_share = 0.25});
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_EQ(b.Number("pack.module_count"), 15);
  const double before = b.line.busy_seconds();
  b.h.Advance(seconds(10));
  EXPECT_LT(b.line.busy_seconds() - before, 0.35 * 10);
  EXPECT_THAT(b.h.log.lines(),
              Contains(testing::Pair(LogLevel::kWarning, HasSubstr("slower than sync_period"))));
  EXPECT_EQ(b.QualityOf("pack.voltage"), Quality::kGood);
}

TEST(Counting, ARefreshAsksNowAndWaitsForTheAnswer) {
  Bench b({{"sync_period", Value::Number(5)}, {"stale_after", Value::Number(20)}});
  ASSERT_TRUE(b.StartAndPoll(seconds(120)));
  absl::Status done = absl::UnknownError("not yet");
  const MonoTime before = b.h.clock.Now();
  b.driver->Refresh({b.h.state.Id("module2.voltage")},
                    [&](absl::Status s) { done = std::move(s); });
  b.Pass(milliseconds(50));
  EXPECT_TRUE(done.ok()) << done;
  EXPECT_GE(b.h.state.Read("module2.voltage").read_time, before);
}

TEST(Counting, ARefreshOfASilentModuleEnds) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("silence").ok());
  absl::Status done;
  b.driver->Refresh({b.h.state.Id("module2.voltage")},
                    [&](absl::Status s) { done = std::move(s); });
  b.Pass(milliseconds(1100));
  EXPECT_EQ(done.code(), absl::StatusCode::kUnavailable);
}

TEST(Counting, S01_StartingSendsNothingButPolls) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.Pass(seconds(5));
  for (const auto& sent : b.line.log()) {
    if (sent.from != TestLine::From::kDriver) continue;
    const bool sync = FormatFrame(sent.frame) == "080#FF";
    const bool request = sent.frame.id > 0x600 && sent.frame.id < 0x610 &&
                         FormatFrame(sent.frame).substr(4) == "2F05180100000000";
    EXPECT_TRUE(sync || request) << FormatFrame(sent.frame);
  }
}

}  // namespace
}  // namespace canhub::battery_module
