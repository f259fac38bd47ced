#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/iseg/line_testing.h"
#include "drivers/iseg/registers.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
namespace action = high_voltage::action;

constexpr auto kDriver = TestLine::From::kDriver;
constexpr auto kSimulator = TestLine::From::kSimulator;

TEST(IsegDriver, LogsOnIdentifiesAndPollsEverything) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll()) << b.h.state.link_text();
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
  EXPECT_EQ(b.h.state.identity().at("firmware_name"), "E16C1");
  EXPECT_EQ(b.h.state.identity().at("channels"), "16");
  EXPECT_EQ(FormatFrame(b.line.log().front().frame), "210#D801");
  EXPECT_EQ(b.QualityOf("ch15.voltage_measure"), Quality::kGood);
  EXPECT_EQ(b.QualityOf("ch0.voltage_nominal"), Quality::kGood);
  EXPECT_EQ(b.QualityOf("temperature"), Quality::kGood);
  EXPECT_THAT(b.h.log.bad_frames(), IsEmpty());
}

TEST(IsegDriver, LogsOffWhenItIsDestroyed) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  b.driver.reset();
  b.line.Connect(nullptr, b.simulator.get());
  b.h.Advance(milliseconds(50));
  EXPECT_EQ(FormatFrame(b.line.log().back().frame), "210#D800");
}

TEST(IsegDriver, FindsAModuleThatIsSwitchedOnLater) {
  Bench b;
  b.driver->OnBusState(BusState::kActive);
  b.driver->Start();
  b.h.Advance(seconds(20));
  EXPECT_EQ(b.h.state.link(), LinkState::kSearching);
  b.simulator->Start();
  EXPECT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(10)));
}

TEST(IsegDriver, UsesTheSixteenBitRegistersOfAnOlderModule) {
  Bench b(TestConfig({{"sim_model", Value::Text("E08C2")}}));
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_EQ(b.QualityOf("ch7.status"), Quality::kGood);
  EXPECT_EQ(b.QualityOf("ch7.is_voltage_ramp_up"), Quality::kGood);  // computed there
  const size_t before = b.line.log().size();
  b.h.Advance(seconds(10));
  for (size_t i = before; i < b.line.log().size(); ++i) {
    EXPECT_NE(b.line.log()[i].frame.data[1], 0x80) << FormatFrame(b.line.log()[i].frame);
  }
}

TEST(IsegDriver, ReportsADcpModuleAsUnsupported) {
  Bench b(TestConfig({{"sim_dcp_only", Value::Flag(true)}}));
  b.Start();
  ASSERT_TRUE(b.Until([&] { return b.h.state.link() == LinkState::kUnsupported; }, seconds(30)));
  EXPECT_THAT(b.h.state.link_text(), HasSubstr("speaks only DCP"));
  EXPECT_TRUE(b.h.alarms.active("dcp_only"));
}

TEST(IsegDriver, LostAnswersMakeNoDcpModuleOfIt) {
  Bench b(TestConfig());
  int lost = 0;
  b.line.lose = [&](TestLine::From from, const CanFrame& frame) {
    const bool answer = from == TestLine::From::kSimulator && frame.dlc > 2 &&
                        (frame.data[0] << 8 | frame.data[1]) == id::kSerialNumber;
    return answer && ++lost <= 4;  // two searches with two tries each
  };
  b.Start();
  ASSERT_TRUE(b.Until(
      [&] {
        EXPECT_NE(b.h.state.link(), LinkState::kUnsupported);
        return b.h.state.polled() || b.h.state.link() == LinkState::kUnsupported;
      },
      seconds(60)));
  EXPECT_GT(lost, 4);
}

TEST(IsegDriver, RunsACrateController) {
  Bench b(TestConfig({{"class", Value::Text("crate")}, {"address", Value::Integer(0)}}));
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_EQ(b.h.state.identity().at("class"), "crate");
  EXPECT_EQ(FormatFrame(b.line.log().front().frame), "600#D801");
  EXPECT_EQ(b.QualityOf("status"), Quality::kGood);
  EXPECT_EQ(b.QualityOf("supply_24v_backplane"), Quality::kGood);
}

TEST(IsegDriver, PollsAllChannelsOfALargeModuleBelowItsShare) {
  Bench b(TestConfig({{"sim_model", Value::Text("T48C0")}}), {.id = "can0", .poll_share = 0.3});
  ASSERT_TRUE(b.StartAndPoll(seconds(60)));
  const double before = b.line.busy_seconds();
  b.h.Advance(seconds(20));
  EXPECT_LE(b.line.busy_seconds() - before, 0.3 * 20);
  EXPECT_EQ(b.QualityOf("ch47.voltage_measure"), Quality::kGood);
}

TEST(IsegDriver, PollsAtThePlannedRate) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  b.h.Advance(seconds(10));
  int voltage_reads = 0;
  for (const TestLine::Sent& sent : b.line.log()) {
    voltage_reads += sent.from == kDriver && sent.frame.dlc == 5 && sent.frame.data[0] == 0x61 &&
                     sent.frame.data[1] == 0x02;
  }
  EXPECT_NEAR(voltage_reads, 20, 1);  // every 500 ms
}

TEST(IsegDriver, PollsInTheShortFormWhereItIsToldTo) {
  Bench b(TestConfig({{"short_form", Value::Flag(true)}}));
  ASSERT_TRUE(b.StartAndPoll());
  std::vector<std::string> frames;
  for (const TestLine::Sent& sent : b.line.log()) frames.push_back(FormatFrame(sent.frame));
  EXPECT_THAT(frames, Contains("211#6102000000"));
}

TEST(IsegDriver, ReadsSetValuesAgainWhenTheirCounterMoved) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  // Another master sets channel 5 behind the driver's back.
  b.simulator->OnFrame(b.h.Rx(*ParseFrame("210#410005447A0000")));
  b.h.Advance(seconds(8));
  EXPECT_EQ(b.Number("ch5.voltage_set"), 1000);
}

TEST(IsegDriver, LimitsInVoltFollowTheModulesPercent) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_EQ(b.Number("ch0.voltage_limit"),
            b.Number("voltage_limit") * b.Number("ch0.voltage_nominal") / 100);
  EXPECT_EQ(b.h.state.Range("ch0.voltage_set").second, b.Number("ch0.voltage_limit"));
}

TEST(IsegDriver, ATripIsACriticalAlarmUntilItIsCleared) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Set("ch3.voltage_set", Value::Number(500)).ok());
  ASSERT_TRUE(b.Act(action::kSwitchOn, Channel(3), Stage::kSettled).ok());
  ASSERT_TRUE(b.simulator->InjectFault("trip", Channel(3)).ok());
  b.h.Advance(seconds(2));
  ASSERT_TRUE(b.h.alarms.active("ch3.trip"));
  EXPECT_EQ(b.h.alarms.all().at("ch3.trip").severity, AlarmSeverity::kCritical);
  EXPECT_THAT(b.h.alarms.all().at("ch3.trip").text, HasSubstr("set 500 V"));
  EXPECT_TRUE(b.Flag("ch3.error_trip"));
  const absl::Status on = b.Act(action::kSwitchOn, Channel(3));
  EXPECT_TRUE(absl::IsFailedPrecondition(on)) << on;
  EXPECT_THAT(std::string(on.message()), HasSubstr("event_trip"));
  ASSERT_TRUE(b.Act(action::kClearEvents, Channel(3)).ok());
  b.h.Advance(seconds(2));
  EXPECT_FALSE(b.h.alarms.active("ch3.trip"));
  EXPECT_FALSE(b.Flag("ch3.error_trip"));
}

TEST(IsegDriver, AnotherMasterRaisesAWarning) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.driver->OnFrame(b.h.Rx(*ParseFrame("211#410203")));
  EXPECT_TRUE(b.h.alarms.active("foreign_master"));
  EXPECT_EQ(b.h.log.bad_frames("foreign_master"), 1);
  b.h.Advance(seconds(61));
  EXPECT_FALSE(b.h.alarms.active("foreign_master"));
}

TEST(IsegDriver, AnotherMastersWriteChangesNoReading) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  const double before = b.Number("ch3.voltage_set");
  b.h.Advance(seconds(5));
  b.driver->OnFrame(b.h.Rx(*ParseFrame("210#41000344BB8000")));
  EXPECT_EQ(b.Number("ch3.voltage_set"), before);
  EXPECT_TRUE(b.h.alarms.active("foreign_master"));
}

TEST(IsegDriver, AnswersToTheDriverBeforeARestartAreNoForeignMaster) {
  Bench b;
  b.Start();
  b.driver->OnFrame(b.h.Rx(*ParseFrame("210#610203447A0000")));
  EXPECT_FALSE(b.h.alarms.active("foreign_master"));
  EXPECT_EQ(b.h.log.bad_frames("unexpected_answer"), 1);
}

TEST(IsegDriver, AnItemThatHadDataIsNotLostToOneShortAnswer) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  const ItemId item = b.h.state.Id("ch3.voltage_set");
  int cut = 0;
  b.line.garble = [&cut](TestLine::From from, CanFrame& frame) {
    if (from == kSimulator && frame.data[0] == 0x41 && frame.data[1] == 0x00 && cut++ == 0) {
      frame.dlc = 3;
    }
  };
  absl::Status status = absl::UnknownError("not called");
  b.driver->Refresh({item}, [&](const absl::Status& s) { status = s; });
  b.h.Advance(milliseconds(300));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(b.QualityOf("ch3.voltage_set"), Quality::kGood);
  EXPECT_EQ(b.h.log.bad_frames("no_data"), 1);
}

TEST(IsegDriver, RefreshReadsNow) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  absl::Status status = absl::UnknownError("not called");
  const ItemId item = b.h.state.Id("ch3.current_measure");
  const MonoTime before = b.h.clock.Now();
  b.driver->Refresh({item}, [&](const absl::Status& s) { status = s; });
  b.h.Advance(milliseconds(60));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_GT(b.h.state.Read(item).read_time, before);
}

TEST(IsegDriver, AnItemThatIsAnsweredWithoutDataIsBadAndNotAskedAgain) {
  Bench b;
  b.line.garble = [](TestLine::From from, CanFrame& frame) {
    if (from == kSimulator && frame.dlc == 6 && frame.data[0] == 0x11 && frame.data[1] == 0x06) {
      frame.dlc = 2;  // the board has no temperature sensor
    }
  };
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_EQ(b.QualityOf("temperature"), Quality::kNeverRead);
  b.line.ClearLog();
  b.h.Advance(seconds(20));
  for (const TestLine::Sent& sent : b.line.log()) {
    EXPECT_FALSE(sent.frame.data[0] == 0x11 && sent.frame.data[1] == 0x06);
  }
}

TEST(IsegDriver, S01_StartSendsNothingThatSets) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.h.Advance(seconds(60));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(IsegDriver, SetVoltageSendsTheGoldenFrameAndReadsItBack) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  EXPECT_TRUE(b.Set("ch3.voltage_set", Value::Number(1500)).ok());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("210#41000344BB8000"));
  EXPECT_THAT(b.h.commands.stages(1), ElementsAre(Stage::kSent, Stage::kOnWire, Stage::kConfirmed));
  EXPECT_EQ(b.Number("ch3.voltage_set"), 1500);
}

TEST(IsegDriver, SwitchOnSettlesAtTheEndOfTheRamp) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Set("ch3.voltage_set", Value::Number(1000)).ok());
  const absl::Status status = b.Act(action::kSwitchOn, Channel(3), Stage::kSettled);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_NEAR(b.Number("ch3.voltage_measure"), 1000, 30);
  EXPECT_TRUE(b.Flag("ch3.is_on"));
  EXPECT_THAT(b.h.commands.errors(), IsEmpty());
}

}  // namespace
}  // namespace canhub::iseg
