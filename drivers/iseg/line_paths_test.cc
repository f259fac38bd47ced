// Ways a device can sit on a line: slave lines, anti-collision, two boards, models, and a module
// that is swapped for another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/iseg/line_testing.h"
#include "drivers/iseg/models.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
namespace action = high_voltage::action;

constexpr auto kDriver = TestLine::From::kDriver;
constexpr auto kSimulator = TestLine::From::kSimulator;

std::vector<std::string> FramesOf(const TestLine& line, TestLine::From from) {
  std::vector<std::string> frames;
  for (const TestLine::Sent& sent : line.log()) {
    if (sent.from == from) frames.push_back(FormatFrame(sent.frame));
  }
  return frames;
}

// ---------------------------------------------------------------- slave lines (section 3.3)

TEST(SlaveLine, EveryFrameHasTheLinesTwentyNineBits) {
  Bench b(TestConfig({{"line", Value::Integer(1)}, {"address", Value::Integer(5)}}));
  ASSERT_TRUE(b.StartAndPoll()) << b.h.state.link_text();
  ASSERT_FALSE(b.line.log().empty());
  for (const TestLine::Sent& sent : b.line.log()) {
    EXPECT_TRUE(sent.frame.extended) << FormatFrame(sent.frame);
    EXPECT_EQ(sent.frame.id & ~1u, 0x1228u) << FormatFrame(sent.frame);
  }
}

TEST(SlaveLine, TheModuleStatusIsReadWithTheGoldenFrame) {
  // Row 63 is the 16-bit form: an older module.
  Bench b(TestConfig({{"line", Value::Integer(1)},
                      {"address", Value::Integer(5)},
                      {"sim_model", Value::Text("E08C2")}}));
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_THAT(FramesOf(b.line, kDriver), Contains("00001229#1000"));
}

TEST(SlaveLine, CommandsArePlayedEndToEnd) {
  Bench b(TestConfig({{"line", Value::Integer(1)}, {"address", Value::Integer(5)}}));
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  const absl::Status on = b.SwitchOnAt(3, 1000);
  ASSERT_TRUE(on.ok()) << on;
  EXPECT_THAT(b.line.SettingFrames(),
              ElementsAre("00001228#410003447A0000", "00001228#4001030008"));
  EXPECT_NEAR(b.Number("ch3.voltage_measure"), 1000, 30);
  EXPECT_EQ(b.Number("line"), 1);
}

TEST(SlaveLine, NetworkManagementGoesToItsLine) {
  Bench b(TestConfig({{"line", Value::Integer(3)}}));
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  ASSERT_TRUE(b.Act(action::kLiveInsertionOn).ok());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("00003004#E006"));
  EXPECT_TRUE(b.Flag("is_live_insertion"));
}

TEST(SlaveLine, RawExchangesGoToItsLine) {
  Bench b(TestConfig({{"line", Value::Integer(1)}, {"address", Value::Integer(5)}}));
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Act(action::kRawExchange, {{"data", Value::Text("1208")}}).ok());
  EXPECT_EQ(FindArgument(b.LastResults(), "answers")->text(), "120810");
}

TEST(SlaveLine, CratesHaveThemToo) {
  Bench b(TestConfig({{"line", Value::Integer(2)},
                      {"class", Value::Text("crate")},
                      {"address", Value::Integer(0)}}));
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  ASSERT_TRUE(b.Act(action::kCratePower, {{"on", Value::Flag(true)}}).ok());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("00002600#1A0501"));
}

TEST(SlaveLine, ADeviceOfTheSameAddressOnTheBusItselfIsAnotherOne) {
  const std::vector<CanFilter> filters = Info().filters(TestConfig({{"line", Value::Integer(1)}}));
  ASSERT_EQ(filters.size(), 1u);
  EXPECT_TRUE(filters[0].Matches(*ParseFrame("00001210#1000")));
  EXPECT_FALSE(filters[0].Matches(*ParseFrame("210#1000")));
  EXPECT_FALSE(filters[0].Matches(*ParseFrame("00002210#1000")));
}

// ---------------------------------------------------------------- anti-collision (section 9.5)

TEST(AntiCollision, IsWrittenAfterTheLogOn) {
  Bench b(TestConfig({{"anti_collision", Value::Flag(true)}}));
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("210#12A00001"));  // row 57
}

TEST(AntiCollision, AnswersWithBitTwoAreTaken) {
  Bench b(TestConfig({{"anti_collision", Value::Flag(true)}}));
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  ASSERT_TRUE(b.SwitchOnAt(3, 1000).ok());
  EXPECT_THAT(FramesOf(b.line, kSimulator), Each(StartsWith("214#")));
  EXPECT_NEAR(b.Number("ch3.voltage_measure"), 1000, 30);
  EXPECT_THAT(b.h.log.bad_frames(), IsEmpty());
}

TEST(AntiCollision, AModuleThatDoesNotKnowItAnswersAsEver) {
  Bench b(TestConfig(
      {{"anti_collision", Value::Flag(true)}, {"sim_anti_collision", Value::Flag(false)}}));
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  b.h.Advance(seconds(5));
  EXPECT_THAT(FramesOf(b.line, kSimulator), Each(StartsWith("210#")));
}

TEST(AntiCollision, IsNotWrittenUnlessItIsAskedFor) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(AntiCollision, IsWrittenAgainAfterARestart) {
  Bench b(TestConfig({{"anti_collision", Value::Flag(true)}}));
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  ASSERT_TRUE(b.simulator->InjectFault("reboot", {}).ok());
  ASSERT_TRUE(b.Until([&] { return !b.h.state.polled(); }, seconds(10)));
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(30)));
  EXPECT_THAT(b.line.SettingFrames(), Contains("210#12A00001"));
}

// ---------------------------------------------------------------- two boards (section 4)

// Two drivers and two simulators on one line. Frames go one after the other.
class TwoBoards : public ::testing::Test {
 protected:
  struct Node final : FrameSender {
    absl::Status Send(TxFrame tx) override { return owner->Carry(*this, std::move(tx)); }
    TwoBoards* owner = nullptr;
    Driver* driver = nullptr;
    Simulator* simulator = nullptr;
    std::vector<CanFilter> filters;
  };
  struct Board {
    explicit Board(int address) : h(TestConfig({{"address", Value::Integer(address)}})) {}
    DriverHarness h;  // its clock and timers are those of board A
    Node driver_node, simulator_node;
    std::unique_ptr<Driver> driver;
    std::unique_ptr<Simulator> simulator;
  };

  TwoBoards() {
    for (Board* board : {&a, &b}) {
      for (Node* node : {&board->driver_node, &board->simulator_node}) {
        node->owner = this;
        nodes.push_back(node);
      }
      board->simulator = Info().create_simulator(
          {board->h.config, a.h.clock, a.h.timers, board->simulator_node, 1});
      board->driver =
          Info().create({board->h.config, board->h.bus_info, a.h.clock, a.h.timers,
                         board->driver_node, board->h.state, board->h.commands, board->h.alarms,
                         board->h.log, board->h.readings, board->h.memory, board->h.turn});
      board->simulator_node.simulator = board->simulator.get();
      board->driver_node.driver = board->driver.get();
      board->driver_node.filters = Info().filters(board->h.config);
    }
    for (Board* board : {&a, &b}) {
      board->simulator->Start();
      board->driver->OnBusState(BusState::kActive);
      board->driver->Start();
    }
  }
  ~TwoBoards() override {
    for (Node* node : nodes) {
      node->driver = nullptr;
      node->simulator = nullptr;
    }
  }
  absl::Status Carry(Node& from, TxFrame tx) {
    free_at = std::max(free_at, a.h.clock.Now()) + milliseconds(1);
    a.h.timers.At(free_at, [this, &from, tx = std::move(tx)] {
      const MonoTime now = a.h.clock.Now();
      const bool may = now < tx.deadline && (!tx.guard || tx.guard->MaySend(now));
      if (from.driver != nullptr && tx.tag != 0) {
        from.driver->OnTxReport({tx.tag, may ? TxOutcome::kOnWire : TxOutcome::kExpired, now});
      }
      if (!may) return;
      for (Node* node : nodes) {
        if (node == &from) continue;
        if (node->simulator != nullptr) node->simulator->OnFrame({tx.frame, now});
        for (const CanFilter& filter : node->filters) {
          if (node->driver != nullptr && filter.Matches(tx.frame)) {
            node->driver->OnFrame({tx.frame, now});
          }
        }
      }
    });
    return absl::OkStatus();
  }
  void Advance(Duration by) {
    b.h.clock.AdvanceTo(a.h.clock.Now() + by);
    a.h.Advance(by);
  }
  bool BothPolled() {
    for (int i = 0; i < 600 && !(a.h.state.polled() && b.h.state.polled()); ++i) {
      Advance(milliseconds(100));
    }
    return a.h.state.polled() && b.h.state.polled();
  }

  Board a{4}, b{5};
  std::vector<Node*> nodes;
  MonoTime free_at{};
};

TEST_F(TwoBoards, AreTwoDevicesThatDoNotMistakeEachOther) {
  ASSERT_TRUE(BothPolled());
  a.driver->Execute(a.h.Write("ch3.voltage_set", Value::Number(1000)));
  b.driver->Execute(b.h.Write("ch3.voltage_set", Value::Number(2000)));
  Advance(seconds(2));
  ASSERT_NE(a.h.commands.finished(1), nullptr);
  ASSERT_NE(b.h.commands.finished(1), nullptr);
  EXPECT_TRUE(a.h.commands.finished(1)->status.ok()) << a.h.commands.finished(1)->status;
  EXPECT_TRUE(b.h.commands.finished(1)->status.ok()) << b.h.commands.finished(1)->status;
  EXPECT_EQ(a.h.state.Read("ch3.voltage_set").value.number(), 1000);
  EXPECT_EQ(b.h.state.Read("ch3.voltage_set").value.number(), 2000);
  for (Board* board : {&a, &b}) {
    EXPECT_THAT(board->h.log.bad_frames(), IsEmpty());
    EXPECT_FALSE(board->h.alarms.active("foreign_master"));
  }
}

TEST_F(TwoBoards, LossOfOneLeavesTheOther) {
  ASSERT_TRUE(BothPolled());
  ASSERT_TRUE(a.simulator->InjectFault("power_off", {}).ok());
  Advance(seconds(10));
  EXPECT_EQ(a.h.state.link(), LinkState::kLost);
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
  EXPECT_EQ(b.h.state.Read("ch3.voltage_measure").quality, Quality::kGood);
}

// ---------------------------------------------------------------- models

class Models : public ::testing::TestWithParam<const char*> {};

TEST_P(Models, ArePolledCompletelyAndRampUpAndDown) {
  Bench b(TestConfig({{"sim_model", Value::Text(GetParam())}}));
  ASSERT_TRUE(b.StartAndPoll(seconds(60))) << b.h.state.link_text();
  const SimulatedModel* model = FindSimulatedModel(GetParam());
  EXPECT_EQ(b.h.state.identity().at("channels"), std::to_string(model->channels));
  const std::string last = "ch" + std::to_string(model->channels - 1);
  for (const char* item : {"status", "event_status", "control", "voltage_set", "voltage_measure",
                           "current_measure", "voltage_nominal", "voltage_ramp_speed_up"}) {
    EXPECT_EQ(b.QualityOf(last + "." + item), Quality::kGood) << item;
  }
  const double volt = model->nominal_voltage / 10;
  const absl::Status on = b.SwitchOnAt(model->channels - 1, volt);
  ASSERT_TRUE(on.ok()) << on;
  EXPECT_NEAR(b.Number(last + ".voltage_measure"), volt, model->nominal_voltage / 100);
  EXPECT_TRUE(b.Act(action::kSwitchOff, Channel(model->channels - 1), Stage::kSettled).ok());
  EXPECT_THAT(b.h.log.bad_frames(), IsEmpty());
}

TEST_P(Models, WideOnesAreReadInThirtyTwoBitsAndOnlyThose) {
  Bench b(TestConfig({{"sim_model", Value::Text(GetParam())}}));
  ASSERT_TRUE(b.StartAndPoll(seconds(60)));
  b.line.ClearLog();
  b.h.Advance(seconds(20));
  int narrow = 0, wide = 0;
  for (const TestLine::Sent& sent : b.line.log()) {
    if (sent.from != kDriver || sent.frame.dlc < 2) continue;
    const int data_id = (sent.frame.data[0] << 8 | sent.frame.data[1]) & ~kMultipleBit;
    narrow += data_id == 0x1000 || data_id == 0x4000 || data_id == 0x4002;
    wide += data_id == 0x1080 || data_id == 0x4080 || data_id == 0x4082;
  }
  const bool is_wide = FindSimulatedModel(GetParam())->wide;
  EXPECT_EQ(wide > 0, is_wide);
  EXPECT_EQ(narrow > 0, !is_wide);
}

TEST_P(Models, EventsOfBothHalvesAreCleared) {
  Bench b(TestConfig({{"sim_model", Value::Text(GetParam())}}));
  ASSERT_TRUE(b.StartAndPoll(seconds(60)));
  ASSERT_TRUE(b.SwitchOnAt(0, 50).ok());
  ASSERT_TRUE(b.Act(action::kSwitchOff, Channel(0), Stage::kSettled).ok());
  ASSERT_TRUE(b.simulator->InjectFault("trip", Channel(0)).ok());
  ASSERT_TRUE(b.Act(action::kClearEvents, Channel(0)).ok());
  EXPECT_EQ(FindArgument(b.LastResults(), "still_active")->text(), "");
  EXPECT_EQ(b.Number("ch0.event_status"), 0);
}

INSTANTIATE_TEST_SUITE_P(All, Models, ::testing::ValuesIn(SimulatedModelNames()),
                         [](const auto& info) { return std::string(info.param); });

// ---------------------------------------------------------------- DCP

TEST(DcpOnly, IsDrivenOnceItWasReplacedByANewerModule) {
  Bench b(TestConfig({{"sim_dcp_only", Value::Flag(true)}}));
  b.Start();
  ASSERT_TRUE(b.Until([&] { return b.h.state.link() == LinkState::kUnsupported; }, seconds(30)));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
  b.Replace({});
  b.simulator->Start();
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(90)));
  EXPECT_FALSE(b.h.alarms.active("dcp_only"));
}

TEST(DcpOnly, TakesNoCommands) {
  Bench b(TestConfig({{"sim_dcp_only", Value::Flag(true)}}));
  b.Start();
  ASSERT_TRUE(b.Until([&] { return b.h.state.link() == LinkState::kUnsupported; }, seconds(30)));
  const absl::Status on = b.Act(action::kSwitchOn);
  EXPECT_EQ(Reason(on), "DEVICE_OFFLINE") << on;
  EXPECT_THAT(std::string(on.message()), HasSubstr("nothing was sent"));
}

// ---------------------------------------------------------------- swapped modules

TEST(Swap, ItemsAreThoseOfTheNewModule) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.h.state.items().Find("ch15.voltage_set").has_value());
  const int tables = b.h.state.items_set_count();
  b.Replace({{"sim_model", Value::Text("N04C2")}});
  b.simulator->Start();
  ASSERT_TRUE(
      b.Until([&] { return b.h.state.identity().at("firmware_name") == "N04C2"; }, seconds(30)));
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(30)));
  EXPECT_EQ(b.h.state.items_set_count(), tables + 1);
  EXPECT_FALSE(b.h.state.items().Find("ch15.voltage_set").has_value());
  EXPECT_EQ(b.QualityOf("ch3.output_polarity"), Quality::kGood);
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(Swap, CommandsInFlightEndWithAClearError) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Set("ch15.voltage_set", Value::Number(3000)).ok());
  b.driver->Execute(
      b.h.Action(action::kSwitchOn, Channel(15), Stage::kSettled, Urgency::kCommand, seconds(60)));
  const CommandId ramp = b.h.last_command();
  b.h.Advance(milliseconds(500));
  ASSERT_EQ(b.h.commands.finished(ramp), nullptr);
  b.line.ClearLog();
  b.Replace({{"sim_model", Value::Text("N04C2")}});
  b.simulator->Start();
  ASSERT_TRUE(b.Until([&] { return b.h.commands.finished(ramp) != nullptr; }, seconds(10)));
  const absl::Status& status = b.h.commands.finished(ramp)->status;
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(Reason(status), testing::AnyOf("DEVICE_RESTARTED", "DEVICE_LOST"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("done: ch15 on"));
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(30)));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
}

TEST(Swap, AModuleOfTheSameModelIsKnownByItsSerialNumber) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.Replace({{"sim_model", Value::Text("E08F2")}});
  b.simulator->Start();
  ASSERT_TRUE(
      b.Until([&] { return b.h.state.identity().at("serial_number") == "5710234"; }, seconds(30)));
  EXPECT_TRUE(b.h.alarms.all().contains("module_restarted") ||
              b.h.alarms.all().contains("module_lost"));
}

TEST(Swap, RefreshesThatWaitEnd) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  // More registers than can be read at once: most of them wait.
  std::vector<ItemId> all;
  for (ItemId item = 0; item < b.h.state.items().size(); ++item) all.push_back(item);
  int ended = 0;
  for (int i = 0; i < 5; ++i) {
    b.driver->Refresh(all, [&ended](const absl::Status& s) { ended += s.ok() ? 0 : 1; });
  }
  b.Replace({{"sim_model", Value::Text("N04C2")}});
  b.simulator->Start();
  b.Until([&] { return ended == 5; }, seconds(10));
  EXPECT_EQ(ended, 5);
}

// ---------------------------------------------------------------- wrong answers (section 7)

class WrongAnswers : public ::testing::TestWithParam<const char*> {};

TEST_P(WrongAnswers, ChangeNoReadingAndNameTheirReason) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.SwitchOnAt(3, 1000).ok());
  b.h.Advance(seconds(1));
  const MonoTime read = b.h.state.Read("ch3.voltage_measure").read_time;
  ASSERT_TRUE(b.simulator->InjectFault(GetParam(), {}).ok());
  b.h.Advance(milliseconds(1200));
  EXPECT_LE(b.h.state.Read("ch3.voltage_measure").read_time - read, milliseconds(20));
  EXPECT_FALSE(b.h.log.bad_frames().empty());
}

TEST_P(WrongAnswers, ProveNoCommand) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.simulator->InjectFault(GetParam(), {}).ok());
  const absl::Status set = b.Set("ch3.voltage_set", Value::Number(1000));
  EXPECT_FALSE(set.ok());
  EXPECT_THAT(std::string(set.message()), HasSubstr("done: ch3.voltage_set = 1000 V")) << set;
}

TEST_P(WrongAnswers, AreOverWithTheFault) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.simulator->InjectFault(GetParam(), {}).ok());
  b.h.Advance(seconds(10));
  ASSERT_TRUE(b.simulator->ClearFaults("").ok());
  ASSERT_TRUE(b.Until([&] { return b.h.state.polled(); }, seconds(60)));
  b.h.Advance(seconds(5));
  EXPECT_EQ(b.QualityOf("ch3.voltage_measure"), Quality::kGood);
  EXPECT_TRUE(b.Set("ch3.voltage_set", Value::Number(1000)).ok());
}

INSTANTIATE_TEST_SUITE_P(Faults, WrongAnswers, ::testing::Values("wrong_length", "nan", "garbled"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace canhub::iseg
