#include "daemon/bus/simulated_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "daemon/bus/recording_sink.h"
#include "drivers/testing/simulated_clock.h"
#include "drivers/testing/step_runner.h"

namespace canhub {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class SimulatedLineTest : public testing::Test {
 protected:
  SimulatedLineTest() { runner_.Add(&line_); }

  struct Station {
    std::shared_ptr<CanBus> bus;
    RecordingSink sink;
    std::unique_ptr<BusPort> port;
    ~Station() { port.reset(); }
  };
  std::unique_ptr<Station> MakeStation(const std::string& name) {
    auto station = std::make_unique<Station>();
    station->bus = line_.CreateNode(name);
    station->port = station->bus->Attach({AllStandard(), AllExtended()}, &station->sink);
    return station;
  }
  static TxFrame Tx(const char* text, uint64_t tag = 1, Urgency urgency = Urgency::kPoll) {
    TxFrame tx;
    tx.frame = *ParseFrame(text);
    tx.tag = tag;
    tx.urgency = urgency;
    return tx;
  }
  static std::vector<std::string> Received(const Station& station) {
    std::vector<std::string> texts;
    for (const RxFrame& rx : station.sink.rx()) texts.push_back(FormatFrame(rx.frame));
    return texts;
  }

  SimulatedClock clock_;
  SimulatedLine line_{clock_, "lab", 125000};
  StepRunner runner_{&clock_};
  std::unique_ptr<Station> a_ = MakeStation("a");
  std::unique_ptr<Station> b_ = MakeStation("b");
  std::unique_ptr<Station> c_ = MakeStation("c");
  const MonoTime start_ = clock_.Now();
};

TEST_F(SimulatedLineTest, FrameReachesTheOtherNodesWhenItsBitsHavePassed) {
  ASSERT_TRUE(a_->port->Send(Tx("210#41000344BB8000", 42)).ok());
  runner_.RunFor(10ms);
  // 110 bits with this payload's stuff bits, counted by an independent script; 8 us each.
  const MonoTime end = start_ + Duration(110 * 8000);
  ASSERT_EQ(b_->sink.rx().size(), 1u);
  EXPECT_EQ(b_->sink.rx()[0].time, end);
  EXPECT_EQ(c_->sink.rx().size(), 1u);
  EXPECT_TRUE(a_->sink.rx().empty());
  ASSERT_EQ(a_->sink.reports().size(), 1u);
  EXPECT_EQ(a_->sink.reports()[0].tag, 42u);
  EXPECT_EQ(a_->sink.reports()[0].outcome, TxOutcome::kOnWire);
  EXPECT_EQ(a_->sink.reports()[0].time, end);
}

// Exact lengths, counted by an independent script: 1000.0 V is the 111 bits of performance.md.
TEST_F(SimulatedLineTest, FrameTimesOfKnownFrames) {
  EXPECT_EQ(line_.FrameTime(*ParseFrame("200#410003447A0000")), Duration(111 * 8000));
  EXPECT_EQ(line_.FrameTime(*ParseFrame("555#")), Duration(48 * 8000));
  EXPECT_EQ(line_.FrameTime(*ParseFrame("000#")), Duration(53 * 8000));
  EXPECT_EQ(line_.FrameTime(*ParseFrame("000#0000000000000000")), Duration(127 * 8000));
}

// performance.md, section 1, for frames whose stuff bits can be counted by hand or that reach the
// table's bounds.
TEST_F(SimulatedLineTest, FrameTimesLieWithinThePublishedTable) {
  struct Row {
    const char* frame;
    int best, worst;
  };
  for (const Row& row :
       {Row{"555#", 47, 55}, Row{"555#55", 55, 65}, Row{"123#5555", 63, 75},
        Row{"7FF#FFFFFF", 71, 85}, Row{"000#0000000000000000", 111, 135},
        Row{"555#5555555555555555", 111, 135}, Row{"15555555#", 67, 80},
        Row{"00000000#0000", 83, 100}, Row{"1FFFFFFF#FFFFFFFFFFFFFFFF", 131, 160}}) {
    const Duration time = line_.FrameTime(*ParseFrame(row.frame));
    EXPECT_GE(time, Duration(row.best * 8000)) << row.frame;
    EXPECT_LE(time, Duration(row.worst * 8000)) << row.frame;
  }
}

TEST_F(SimulatedLineTest, SaturatedLineCarriesExactlyWhatItsBitRateAllows) {
  // 0x7AA#5A…: count how many back-to-back frames end within one second.
  const TxFrame tx = Tx("2AA#5A5A5A5A5A5A5A5A", 1);
  const int64_t expected = 1s / line_.FrameTime(tx.frame);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(a_->port->Send(tx).ok());
  const MonoTime end = start_ + 1s;
  while (clock_.Now() < end) {
    const size_t before = a_->sink.reports().size();
    runner_.RunUntilTrue([&] { return a_->sink.reports().size() > before; }, end - clock_.Now());
    if (a_->sink.reports().size() > before) (void)a_->port->Send(tx);
  }
  EXPECT_EQ(static_cast<int64_t>(b_->sink.rx().size()), expected);
  // Between the best and the worst case of an 8-byte frame at 125 kbit/s.
  EXPECT_GE(expected, 926);
  EXPECT_LE(expected, 1126);
  EXPECT_GT(a_->bus->Status().load_percent, 99.0);
}

TEST_F(SimulatedLineTest, LowestIdentifierOfAllNodesWinsWhenTheLineBecomesFree) {
  ASSERT_TRUE(a_->port->Send(Tx("7FF#")).ok());
  runner_.Settle();  // is on the line now
  ASSERT_TRUE(a_->port->Send(Tx("300#")).ok());
  ASSERT_TRUE(b_->port->Send(Tx("200#")).ok());
  ASSERT_TRUE(c_->port->Send(Tx("100#")).ok());
  auto d = MakeStation("d");
  runner_.RunFor(10ms);
  EXPECT_THAT(Received(*d), ElementsAre("7FF#", "100#", "200#", "300#"));
}

TEST_F(SimulatedLineTest, ArbitrationOrderIsThatOfTheBitsOnTheWire) {
  // Equal base identifiers: standard data, standard remote, extended data, extended remote.
  const CanFrame standard = *ParseFrame("123#");
  CanFrame remote = standard;
  remote.remote = true;
  CanFrame extended;
  extended.extended = true;
  extended.id = 0x123 << 18;
  CanFrame extended_remote = extended;
  extended_remote.remote = true;
  EXPECT_LT(ArbitrationKey(standard), ArbitrationKey(remote));
  EXPECT_LT(ArbitrationKey(remote), ArbitrationKey(extended));
  EXPECT_LT(ArbitrationKey(extended), ArbitrationKey(extended_remote));
  // A larger base loses against any frame of a smaller one.
  const CanFrame next = *ParseFrame("124#");
  extended_remote.id |= 0x3FFFF;
  EXPECT_LT(ArbitrationKey(extended_remote), ArbitrationKey(next));
}

TEST_F(SimulatedLineTest, FrameOnTheLineIsNotInterruptedByAMoreUrgentOne) {
  ASSERT_TRUE(a_->port->Send(Tx("7FF#0011223344556677")).ok());
  runner_.RunFor(100us);
  ASSERT_TRUE(b_->port->Send(Tx("000#", 1, Urgency::kSafe)).ok());
  runner_.RunFor(10ms);
  EXPECT_THAT(Received(*c_), ElementsAre("7FF#0011223344556677", "000#"));
  EXPECT_EQ(c_->sink.rx()[1].time - c_->sink.rx()[0].time, line_.FrameTime(*ParseFrame("000#")));
}

TEST_F(SimulatedLineTest, S10_SafeFrameOvertakesQueuedOnesOfItsNodeWhateverItsIdentifier) {
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  ASSERT_TRUE(a_->port->Send(Tx("101#")).ok());
  runner_.Settle();
  ASSERT_TRUE(a_->port->Send(Tx("7FF#", 1, Urgency::kSafe)).ok());
  runner_.RunFor(10ms);
  EXPECT_THAT(Received(*b_), ElementsAre("100#", "7FF#", "101#"));
}

TEST_F(SimulatedLineTest, S02_RevokedWhileQueuedIsNeverOnTheWire) {
  auto guard = std::make_shared<CommandGuard>(start_ + 1h);
  ASSERT_TRUE(a_->port->Send(Tx("100#", 1)).ok());
  runner_.Settle();
  TxFrame command = Tx("210#4100", 2, Urgency::kCommand);
  command.guard = guard;
  ASSERT_TRUE(a_->port->Send(command).ok());
  runner_.RunFor(100us);  // still waits behind the first
  guard->Revoke();
  runner_.RunFor(10ms);
  EXPECT_THAT(Received(*b_), ElementsAre("100#"));
  ASSERT_EQ(a_->sink.reports().size(), 2u);
  EXPECT_EQ(a_->sink.reports()[1].tag, 2u);
  EXPECT_EQ(a_->sink.reports()[1].outcome, TxOutcome::kExpired);
}

TEST_F(SimulatedLineTest, S02_DeadlineInsideTheWaitKeepsTheFrameOffTheLine) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(b_->port->Send(Tx("001#0000000000000000")).ok());
  runner_.Settle();
  TxFrame late = Tx("210#4100", 2, Urgency::kCommand);
  late.deadline = clock_.Now() + 2ms;
  ASSERT_TRUE(a_->port->Send(late).ok());
  runner_.RunFor(20ms);
  EXPECT_EQ(Received(*c_).size(), 3u);
  ASSERT_EQ(a_->sink.reports().size(), 1u);
  EXPECT_EQ(a_->sink.reports()[0].outcome, TxOutcome::kExpired);
}

TEST_F(SimulatedLineTest, S02_BusOffPurgesAndNothingGoesOutAfterwards) {
  for (uint64_t tag = 1; tag <= 3; ++tag) ASSERT_TRUE(a_->port->Send(Tx("100#", tag)).ok());
  runner_.Settle();  // the first is on the line
  line_.SetNodeState("a", BusState::kBusOff, "injected");
  runner_.RunFor(50ms);
  EXPECT_TRUE(Received(*b_).empty());
  ASSERT_EQ(a_->sink.reports().size(), 3u);
  for (const TxReport& report : a_->sink.reports()) {
    EXPECT_EQ(report.outcome, TxOutcome::kPurged);
  }
  EXPECT_EQ(a_->port->Send(Tx("100#")).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(a_->sink.states(), ElementsAre(BusState::kActive, BusState::kBusOff));
  EXPECT_EQ(a_->bus->Status().bus_off_count, 1u);
  EXPECT_EQ(a_->bus->Status().text, "injected");
  line_.SetNodeState("a", BusState::kActive, "");
  runner_.RunFor(50ms);
  EXPECT_TRUE(Received(*b_).empty());
  EXPECT_TRUE(a_->port->Send(Tx("101#")).ok());
  runner_.RunFor(50ms);
  EXPECT_THAT(Received(*b_), ElementsAre("101#"));
}

TEST_F(SimulatedLineTest, NodeThatIsOffHearsNothing) {
  line_.SetNodeState("b", BusState::kDown, "");
  runner_.Settle();
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  runner_.RunFor(5ms);
  EXPECT_TRUE(Received(*b_).empty());
  EXPECT_THAT(Received(*c_), ElementsAre("100#"));
}

TEST_F(SimulatedLineTest, SinkGetsTheStateWhenItAttaches) {
  line_.SetNodeState("a", BusState::kPassive, "");
  runner_.Settle();
  RecordingSink sink;
  auto port = a_->bus->Attach({}, &sink);
  EXPECT_THAT(sink.states(), ElementsAre(BusState::kPassive));
}

TEST_F(SimulatedLineTest, OwnFramesReachNoPortOfTheSameNodeButItsTapsAsOwn) {
  RecordingSink sibling;
  auto port = a_->bus->Attach({AllStandard()}, &sibling);
  RecordingTap own_tap, other_tap;
  a_->bus->AddTap(&own_tap);
  b_->bus->AddTap(&other_tap);
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  runner_.RunFor(5ms);
  EXPECT_TRUE(sibling.rx().empty());
  ASSERT_EQ(own_tap.frames().size(), 1u);
  EXPECT_TRUE(own_tap.frames()[0].own);
  ASSERT_EQ(other_tap.frames().size(), 1u);
  EXPECT_FALSE(other_tap.frames()[0].own);
  a_->bus->RemoveTap(&own_tap);
  b_->bus->RemoveTap(&other_tap);
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  runner_.RunFor(5ms);
  EXPECT_EQ(own_tap.frames().size(), 1u);
}

TEST_F(SimulatedLineTest, FiltersDecideWhatAPortGets) {
  RecordingSink narrow, extended;
  auto narrow_port = b_->bus->Attach({{0x210, 0x7F8, false}}, &narrow);
  auto extended_port = b_->bus->Attach({{0x210, 0x1FFFFFFF, true}}, &extended);
  for (const char* text : {"20F#", "210#", "217#R", "217#01", "218#", "00000210#"}) {
    ASSERT_TRUE(a_->port->Send(Tx(text)).ok());
  }
  runner_.RunFor(20ms);
  ASSERT_EQ(narrow.rx().size(), 2u);
  EXPECT_EQ(narrow.rx()[0].frame.id, 0x210u);
  EXPECT_EQ(narrow.rx()[1].frame.id, 0x217u);
  ASSERT_EQ(extended.rx().size(), 1u);
}

TEST_F(SimulatedLineTest, LostFrameIsSeenByItsSenderOnly) {
  line_.SetFaultHook(
      [](const CanFrame& frame, std::string_view) { return LineFault{.lose = frame.id == 0x100}; });
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  ASSERT_TRUE(a_->port->Send(Tx("101#")).ok());
  runner_.RunFor(5ms);
  EXPECT_THAT(Received(*b_), ElementsAre("101#"));
  EXPECT_EQ(a_->sink.reports().size(), 2u);
}

TEST_F(SimulatedLineTest, RepeatedFrameTakesTheLineAgainAndIsReportedOnce) {
  line_.SetFaultHook([](const CanFrame&, std::string_view) { return LineFault{.repeats = 1}; });
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  runner_.RunFor(5ms);
  ASSERT_EQ(b_->sink.rx().size(), 2u);
  EXPECT_EQ(b_->sink.rx()[1].time - b_->sink.rx()[0].time, line_.FrameTime(*ParseFrame("100#")));
  EXPECT_EQ(a_->sink.reports().size(), 1u);
}

TEST_F(SimulatedLineTest, GarbledFrameIsWhatTheOthersGet) {
  line_.SetFaultHook([](const CanFrame&, std::string_view sender) {
    EXPECT_EQ(sender, "lab/a");
    return LineFault{.garbled = *ParseFrame("100#FF")};
  });
  ASSERT_TRUE(a_->port->Send(Tx("100#01")).ok());
  runner_.RunFor(5ms);
  EXPECT_THAT(Received(*b_), ElementsAre("100#FF"));
}

TEST_F(SimulatedLineTest, DelayedFrameComesAfterALaterOne) {
  line_.SetFaultHook([](const CanFrame& frame, std::string_view) {
    return LineFault{.delay = frame.id == 0x100 ? Duration(20ms) : Duration(0)};
  });
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  ASSERT_TRUE(a_->port->Send(Tx("101#")).ok());
  runner_.RunFor(50ms);
  ASSERT_THAT(Received(*b_), ElementsAre("101#", "100#"));
  EXPECT_EQ(b_->sink.rx()[1].time, start_ + line_.FrameTime(*ParseFrame("100#")) + 20ms);
}

TEST_F(SimulatedLineTest, SteppedLateTheLineIsAsFastAsOnTime) {
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  ASSERT_TRUE(b_->port->Send(Tx("101#")).ok());
  clock_.Advance(1s);
  line_.RunUntil(clock_.Now());
  ASSERT_EQ(c_->sink.rx().size(), 2u);
  EXPECT_EQ(c_->sink.rx()[0].time, start_ + line_.FrameTime(*ParseFrame("100#")));
  EXPECT_LT(c_->sink.rx()[1].time, start_ + 2ms);
}

TEST_F(SimulatedLineTest, AnswerFromInsideTheCallGoesOut) {
  struct Echo final : FrameSink {
    BusPort* port = nullptr;
    void OnRx(const RxFrame& frame) override {
      TxFrame tx;
      tx.frame = frame.frame;
      tx.frame.id += 1;
      EXPECT_TRUE(port->Send(tx).ok());
    }
    void OnTxReport(const TxReport&) override {}
    void OnBusState(BusState) override {}
  } echo;
  auto node = line_.CreateNode("echo");
  auto port = node->Attach({{0x100, 0x7FF, false}}, &echo);
  echo.port = port.get();
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  runner_.RunFor(5ms);
  EXPECT_THAT(Received(*a_), ElementsAre("101#"));
}

TEST_F(SimulatedLineTest, DetachedPortsFramesAreDroppedAndItsSinkIsLeftAlone) {
  ASSERT_TRUE(a_->port->Send(Tx("100#", 1)).ok());
  ASSERT_TRUE(a_->port->Send(Tx("101#", 2)).ok());
  runner_.Settle();  // the first is on the line
  a_->port.reset();
  runner_.RunFor(10ms);
  EXPECT_THAT(Received(*b_), ElementsAre("100#"));
  EXPECT_TRUE(a_->sink.reports().empty());
}

TEST_F(SimulatedLineTest, NodeThatLeftIsNotDeliveredTo) {
  b_->bus.reset();
  ASSERT_TRUE(a_->port->Send(Tx("100#")).ok());
  runner_.RunFor(10ms);
  EXPECT_TRUE(Received(*b_).empty());
  EXPECT_EQ(b_->port->Send(Tx("100#")).code(), absl::StatusCode::kUnavailable);
}

TEST_F(SimulatedLineTest, PortThatOutlivesTheLineRefuses) {
  RecordingSink sink;
  std::unique_ptr<BusPort> port;
  std::shared_ptr<CanBus> node;
  {
    SimulatedLine line(clock_, "short", 125000);
    node = line.CreateNode("n");
    port = node->Attach({}, &sink);
  }
  EXPECT_EQ(port->Send(Tx("100#")).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(node->Status().state, BusState::kUnplugged);
  EXPECT_THAT(sink.states(), ElementsAre(BusState::kActive, BusState::kUnplugged));
}

TEST_F(SimulatedLineTest, StatusTellsRatesOfTheLastSecondOnly) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(a_->port->Send(Tx("100#0011")).ok());
  runner_.RunFor(1s);
  const BusStatus status = b_->bus->Status();
  EXPECT_EQ(status.frames_per_second, 10);
  EXPECT_NEAR(status.load_percent, 100.0 * 10 * WireBits(*ParseFrame("100#0011")) / 125000, 1e-9);
  EXPECT_EQ(status.frames_received, 10u);
  EXPECT_EQ(a_->bus->Status().frames_sent, 10u);
  EXPECT_EQ(status.type, "simulated");
  EXPECT_EQ(status.bitrate, 125000u);
  runner_.RunFor(1100ms);
  EXPECT_EQ(b_->bus->Status().frames_per_second, 0);
}

// The sink's memory is gone right after its port: a late call would be a use after free.
TEST(SimulatedLineThreadsTest, NoCallReachesASinkAfterItsPortIsGone) {
  SimulatedClock clock;
  SimulatedLine line(clock, "lab", 125000);
  auto node_a = line.CreateNode("a"), node_b = line.CreateNode("b");
  RecordingSink sink_a;
  auto port_a = node_a->Attach({}, &sink_a);
  TxFrame tx_a, tx_b;
  tx_a.frame = MakeFrame(0x100, {});
  tx_b.frame = MakeFrame(0x200, {});
  tx_a.tag = tx_b.tag = 1;
  std::atomic<bool> stop{false};
  std::thread stepper([&] {
    while (!stop) {
      clock.Advance(100us);
      line.RunUntil(clock.Now());
    }
  });
  std::thread sender([&] {
    while (!stop) (void)port_a->Send(tx_a);
  });
  for (int i = 0; i < 60; ++i) {
    auto sink = std::make_unique<RecordingSink>();
    auto tap = std::make_unique<RecordingTap>();
    auto port = node_b->Attach({AllStandard()}, sink.get());
    node_b->AddTap(tap.get());
    for (int j = 0; j < 3; ++j) (void)port->Send(tx_b);
    std::this_thread::yield();
    port.reset();
    sink.reset();
    node_b->RemoveTap(tap.get());
    tap.reset();
  }
  stop = true;
  stepper.join();
  sender.join();
}

}  // namespace
}  // namespace canhub
