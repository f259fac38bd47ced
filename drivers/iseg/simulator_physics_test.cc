// What the simulated outputs do: ramps, current limit and trip, events, blocking, inhibit, safety.
#include <cmath>
#include <random>

#include "drivers/iseg/registers.h"
#include "drivers/iseg/simulator.h"
#include "drivers/iseg/simulator_testing.h"
#include "gmock/gmock.h"

namespace canhub::iseg {
namespace {

using namespace std::chrono_literals;

// Module 2, channels of 1000 V and 1 mA: 10 %/s is 100 V/s.
class OutputTest : public SimulatorTest {
 protected:
  void SetUp() override {
    BootLoggedOn();
    Send(
        "210#4100004416"
        "0000");  // channel 0: 600 V
  }
  void On() { Send("210#4001000008"); }
  void Off() { Send("210#4001000000"); }
  double Voltage() { return Number("211#410200"); }
  double Current() { return Number("211#410300"); }
  uint32_t Status() { return Word("211#400000"); }
  uint32_t Events() { return Word("211#400200"); }
  uint32_t ModuleStatus() { return Word("211#1000"); }
  uint32_t ModuleEvents() { return Word("211#1002"); }
  // On, ramped, end of ramp acknowledged.
  void Up() {
    On();
    Advance(7s);
    Send("210#400200FFFF");
  }
};
class TripTest : public OutputTest {};
class SafetyTest : public OutputTest {};

TEST_F(OutputTest, RampsLinearlyAndEndsWithAnEvent) {
  On();
  Advance(3s);
  EXPECT_NEAR(Voltage(), 300, 0.1);
  EXPECT_EQ(Status(), 0x98u);
  EXPECT_EQ(ModuleStatus(), 0x7509u);  // no "no ramp"; high voltage is on
  EXPECT_EQ(Events() & Bit(channel_bit::kRamp), 0u);
  Advance(3s);
  EXPECT_NEAR(Voltage(), 600, 1e-3);
  EXPECT_EQ(Status(), 0x88u);
  EXPECT_NE(Events() & Bit(channel_bit::kRamp), 0u);
  EXPECT_EQ(ModuleStatus(), 0x7709u);
}

TEST_F(OutputTest, SetVoltageWhileOffIsOnlyStored) {
  Advance(5s);
  EXPECT_EQ(Voltage(), 0);
  EXPECT_EQ(Number("211#410000"), 600);
  EXPECT_EQ(Status(), 0u);
}

TEST_F(OutputTest, SetVoltageWhileOnRampsToTheNewValue) {
  Up();
  Send("210#41000043FA0000");  // 500 V
  Advance(500ms);
  EXPECT_NEAR(Voltage(), 550, 1);
  EXPECT_EQ(Word("211#408000") & Bit(channel_bit::kVoltageRampDown),
            Bit(channel_bit::kVoltageRampDown));
  Advance(1s);
  EXPECT_NEAR(Voltage(), 500, 1e-3);
}

TEST_F(OutputTest, SwitchingOffRampsDown) {
  Up();
  Off();
  Advance(3s);
  EXPECT_NEAR(Voltage(), 300, 0.1);
  EXPECT_EQ(Status(), 0x90u);
  Advance(4s);
  EXPECT_NEAR(Voltage(), 0, 1e-3);
  EXPECT_EQ(Status(), 0u);
  EXPECT_NE(Events() & Bit(channel_bit::kRamp), 0u);
  EXPECT_EQ(Events() & Bit(channel_bit::kOn), 0u);
}

TEST_F(OutputTest, OwnRampSpeedsOfTheChannel) {
  Send("210#41230042480000");  // up 50 V/s
  Send("210#41240043480000");  // down 200 V/s: the fastest
  On();
  Advance(2s);
  EXPECT_NEAR(Voltage(), 100, 1);
  Off();
  Advance(250ms);
  EXPECT_NEAR(Voltage(), 54, 1);  // the look before took 80 ms
}

TEST_F(OutputTest, ModuleRampCountsForAllChannels) {
  Send("210#110041A00000");  // 20 %/s
  On();
  Advance(2s);
  EXPECT_NEAR(Voltage(), 400, 0.2);
  EXPECT_EQ(Number("211#412301"), 200);
}

TEST_F(OutputTest, RampSpeedsOutOfRangeAreInputErrors) {
  Send("210#110041A80000");  // 21 %/s
  EXPECT_EQ(Number("211#1100"), 10);
  EXPECT_NE(ModuleStatus() & Bit(module_bit::kInputError), 0u);
  Send("210#41230043C80000");  // 400 V/s
  EXPECT_EQ(Number("211#412300"), 100);
}

TEST_F(OutputTest, CurrentFollowsTheLoad) {
  ASSERT_TRUE(simulator_->SetLoad(0, 1e6, 0).ok());
  Up();
  EXPECT_NEAR(Current(), 600e-6, 1e-9);
  ASSERT_TRUE(simulator_->SetLoad(std::nullopt, 2e6, std::nullopt).ok());
  Advance(1s);
  EXPECT_NEAR(Current(), 300e-6, 1e-9);
}

TEST_F(OutputTest, ChargingACapacitorTakesCurrent) {
  ASSERT_TRUE(simulator_->SetLoad(0, 1e12, 1e-6).ok());
  On();
  Advance(2s);
  EXPECT_NEAR(Current(), 1e-6 * 100, 1e-6);  // C dV/dt
}

TEST_F(OutputTest, LoadMustBePossible) {
  EXPECT_EQ(simulator_->SetLoad(0, -1, std::nullopt).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(simulator_->SetLoad(0, std::nullopt, -1).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(simulator_->SetLoad(4, 1e6, std::nullopt).code(), absl::StatusCode::kNotFound);
}

TEST_F(OutputTest, WithoutKillTheCurrentIsLimited) {
  ASSERT_TRUE(simulator_->SetLoad(0, 1e6, 0).ok());
  Send("210#41010038D1B717");  // 100 µA
  On();
  Advance(7s);
  EXPECT_NEAR(Voltage(), 100, 0.01);
  EXPECT_NEAR(Current(), 100e-6, 1e-9);
  EXPECT_EQ(Status(), 0x48u);
  EXPECT_NE(Events() & Bit(channel_bit::kCurrentControl), 0u);
}

TEST_F(OutputTest, BoundsAreWatchedWhenTheyAreSet) {
  ASSERT_TRUE(simulator_->SetLoad(0, 1e6, 0).ok());
  Send("210#41010038D1B717");  // 100 µA: the output stays at 100 V
  Up();
  EXPECT_EQ(Status() & Bit(channel_bit::kVoltageBounds), 0u);
  Send("210#41040041200000");  // 10 V
  EXPECT_NE(Status() & Bit(channel_bit::kVoltageBounds), 0u);
  EXPECT_NE(Events() & Bit(channel_bit::kVoltageBounds), 0u);
  EXPECT_EQ(Word("211#408000") >> 21 & 3, 2u);  // lower bound
  EXPECT_EQ(ModuleStatus() & Bit(module_bit::kNoSumError), 0u);
}

TEST_F(OutputTest, EventsComeBackWhileTheirConditionHolds) {
  Up();
  EXPECT_EQ(Events(), Bit(channel_bit::kVoltageControl));
  Send("210#400200FFFF");
  EXPECT_EQ(Events(), Bit(channel_bit::kVoltageControl));
  Off();
  Advance(8s);
  Send("210#400200FFFF");
  EXPECT_EQ(Events(), 0u);
}

TEST_F(OutputTest, ZerosLeaveEventsAlone) {
  On();
  Advance(7s);
  const uint32_t before = Events();
  Send("210#4002000000");
  EXPECT_EQ(Events(), before);
}

TEST_F(OutputTest, DoClearClearsEverythingAndReadsBackZero) {
  On();
  Advance(7s);
  Off();
  Advance(8s);
  Ask("211#410209");  // module input error
  Send("210#10011840");
  EXPECT_EQ(Events(), 0u);
  EXPECT_EQ(ModuleEvents(), 0u);
  EXPECT_EQ(Word("211#1001"), 0x1800u);
}

TEST_F(OutputTest, BroadcastSwitchesAllChannels) {
  Send("004#E80060010008");
  Advance(1s);
  EXPECT_EQ(Word("211#400100"), 8u);
  EXPECT_EQ(Word("211#400103"), 8u);
  EXPECT_NEAR(Voltage(), 116, 1);  // two looks took 80 ms each
  Send("004#E80060010020");
  EXPECT_EQ(Word("211#400103"), 0x20u);
  EXPECT_EQ(Status(), 0x20u);
}

TEST_F(OutputTest, NegativeModulesMeasureNegative) {
  BootLoggedOn({{"sim_nominal_voltage", Value::Number(-1000)}});
  EXPECT_EQ(Number("211#410600"), -1000);
  Send("210#410000C4160000");
  EXPECT_EQ(Number("211#410000"), -600);
  On();
  Advance(7s);
  EXPECT_NEAR(Voltage(), -600, 1e-3);
}

TEST_F(OutputTest, NoiseIsSmallAndRepeatsWithTheSeed) {
  std::vector<double> first;
  for (int round = 0; round < 2; ++round) {
    BootLoggedOn({{"sim_noise", Value::Number(1e-4)}});
    for (int i = 0; i < 20; ++i) {
      const double v = Voltage();
      EXPECT_LT(std::abs(v), 1);
      if (round == 0) {
        first.push_back(v);
      } else {
        EXPECT_EQ(v, first[i]);
      }
    }
  }
  EXPECT_NE(first[0], first[1]);
}

TEST_F(OutputTest, DeadChannelStaysAtZero) {
  Inject("dead_channel", Channel(0));
  Up();
  EXPECT_EQ(Voltage(), 0);
  EXPECT_EQ(Current(), 0);
  simulator_->ClearFaults("dead_channel").IgnoreError();
  Advance(1s);
  EXPECT_NEAR(Voltage(), 600, 1e-3);
}

TEST_F(TripTest, KillShutsOffWithoutRamp) {
  ASSERT_TRUE(simulator_->SetLoad(0, 1e6, 0).ok());
  Send("210#10015800");
  EXPECT_NE(ModuleStatus() & Bit(module_bit::kKillEnable), 0u);
  Send("210#41010038D1B717");  // 100 µA: reached at 100 V
  On();
  Advance(2s);
  EXPECT_EQ(Status(), Bit(channel_bit::kTrip));
  EXPECT_EQ(Events() & (Bit(channel_bit::kTrip) | Bit(channel_bit::kOn)),
            Bit(channel_bit::kTrip) | Bit(channel_bit::kOn));
  EXPECT_LT(Voltage(), 1);
  EXPECT_EQ(ModuleStatus() & Bit(module_bit::kNoSumError), 0u);
  Send("210#4002002008");
  EXPECT_EQ(Status(), 0u);
  EXPECT_EQ(Events() & Bit(channel_bit::kTrip), 0u);
}

TEST_F(TripTest, IsegcansResetDoesNotClearTheTripBitItself) {
  Up();
  Inject("trip", Channel(0));
  Send("210#400200D020");
  EXPECT_NE(Events() & Bit(channel_bit::kTrip), 0u);
}

TEST_F(TripTest, InjectedTripShutsOff) {
  Up();
  Inject("trip", Channel(0));
  EXPECT_EQ(Status(), Bit(channel_bit::kTrip));
  Advance(1s);
  EXPECT_LT(Voltage(), 1);
}

TEST_F(TripTest, DelayedTripActions) {
  struct Case {
    int action;
    bool trips;
    bool stays_on;
    bool ramps;
    bool others_off;
  };
  for (const Case& c : {Case{0, true, true, false, false}, Case{1, true, false, true, false},
                        Case{2, true, false, false, false}, Case{3, true, false, false, true},
                        Case{4, false, true, false, false}}) {
    BootLoggedOn();
    Send("210#41000044160000");
    Send("210#41000144160000");
    Send("210#40050000FA");  // 250 ms
    Send(
        "210#400600"
        "0" +
        std::to_string(c.action));
    Send("210#4001000008");
    Send("210#4001010008");
    Advance(7s);
    ASSERT_TRUE(simulator_->SetLoad(0, 4e5, 0).ok());  // wants 1.5 mA of 1 mA
    Advance(200ms);
    EXPECT_EQ(Status() & Bit(channel_bit::kTrip), 0u) << c.action;
    Advance(100ms);
    EXPECT_EQ((Events() & Bit(channel_bit::kTrip)) != 0, c.trips) << c.action;
    EXPECT_EQ((Status() & Bit(channel_bit::kOn)) != 0, c.stays_on) << c.action;
    EXPECT_EQ((Status() & Bit(channel_bit::kRamp)) != 0, c.ramps) << c.action;
    EXPECT_EQ(Word("211#400001") == 0, c.others_off) << c.action;
  }
}

TEST_F(TripTest, OvercurrentFaultDrivesTheDelayedTrip) {
  Send("210#40050000FA");
  Send("210#40060002");
  Up();
  Inject("overcurrent", Channel(0));
  Advance(1s);
  EXPECT_EQ(Status(), Bit(channel_bit::kTrip));
}

TEST_F(TripTest, VoltageBottomReducesInsteadOfShuttingOff) {
  BootLoggedOn({{"sim_model", Value::Text("E08F2")}});
  Send("210#41000044160000");
  Send("210#410A0041200000");  // 10 %
  Up();
  Inject("trip", Channel(0));
  Advance(10s);
  EXPECT_NEAR(Voltage(), 60, 0.1);
  EXPECT_NE(Word("211#408200") & Bit(channel_bit::kVoltageBottom), 0u);
  EXPECT_NE(Status() & Bit(channel_bit::kOn), 0u);
}

TEST_F(TripTest, BlockingEventWithItsMaskKeepsOff) {
  Up();
  Inject("trip", Channel(0));
  Send("210#4003002000");
  On();
  EXPECT_EQ(Status() & Bit(channel_bit::kOn), 0u);
  Send("210#4002002000");
  On();
  EXPECT_NE(Status() & Bit(channel_bit::kOn), 0u);
}

TEST_F(TripTest, BlockingEventKeepsTheSetValueFromBeingRaised) {
  Send("210#40050000FA");
  Send("210#40060000");  // delayed trip: flags only
  Up();
  ASSERT_TRUE(simulator_->SetLoad(0, 4e5, 0).ok());
  Advance(1s);
  Send("210#4003002000");
  Send("210#41000044480000");  // 800 V
  EXPECT_EQ(Number("211#410000"), 600);
  Send("210#41000043FA0000");  // 500 V: lower is allowed
  EXPECT_EQ(Number("211#410000"), 500);
}

TEST_F(SafetyTest, EmergencyOffLocksUntilReleasedAndCleared) {
  Send("210#4003000020");
  Up();
  Send("210#4001000020");
  EXPECT_EQ(Status(), Bit(channel_bit::kEmergencyOff));
  EXPECT_NE(Events() & Bit(channel_bit::kEmergencyOff), 0u);
  Advance(1s);
  EXPECT_LT(Voltage(), 1);
  On();  // releases, and does not switch on
  EXPECT_EQ(Status(), 0u);
  On();  // the event with its mask still blocks
  EXPECT_EQ(Status(), 0u);
  Send("210#4002000020");
  On();
  EXPECT_NE(Status() & Bit(channel_bit::kOn), 0u);
}

TEST_F(SafetyTest, EmergencyEventCannotBeClearedWhileItStands) {
  Send("210#4001000020");
  Send("210#400200FFFF");
  EXPECT_NE(Events() & Bit(channel_bit::kEmergencyOff), 0u);
}

TEST_F(SafetyTest, SafetyLoopShutsOffWithoutRamp) {
  Up();
  Inject("safety_loop_open");
  EXPECT_EQ(Status(), 0u);
  EXPECT_EQ(ModuleStatus() & Bit(module_bit::kSafetyLoop), 0u);
  EXPECT_NE(ModuleEvents() & Bit(module_bit::kSafetyLoop), 0u);
  On();
  EXPECT_EQ(Status(), 0u);
  simulator_->ClearFaults("").IgnoreError();
  EXPECT_NE(ModuleStatus() & Bit(module_bit::kSafetyLoop), 0u);
  EXPECT_EQ(ModuleStatus() & Bit(module_bit::kModuleGood), 0u);
  Send("210#10020400");
  EXPECT_EQ(ModuleEvents(), 0u);
  EXPECT_NE(ModuleStatus() & Bit(module_bit::kModuleGood), 0u);
}

TEST_F(SafetyTest, ModuleEventBlocksOnlyWithItsMask) {
  Inject("safety_loop_open");
  simulator_->ClearFaults("").IgnoreError();
  Send("210#10030400");
  On();
  EXPECT_EQ(Status(), 0u);
  Send("210#10030000");
  On();
  EXPECT_NE(Status(), 0u);
}

TEST_F(SafetyTest, OverTemperatureRampsDown) {
  Up();
  Inject("over_temperature");
  Advance(1s);
  EXPECT_NEAR(Voltage(), 500, 10);
  EXPECT_EQ(Number("211#1106"), 61);
  EXPECT_EQ(ModuleStatus() & Bit(module_bit::kTemperature), 0u);
  EXPECT_NE(ModuleEvents() & Bit(module_bit::kTemperature), 0u);
}

TEST_F(SafetyTest, BadSupplyIsShown) {
  Inject("supply_bad");
  EXPECT_EQ(ModuleStatus() & Bit(module_bit::kSupply), 0u);
  EXPECT_NE(ModuleEvents() & Bit(module_bit::kSupply), 0u);
  EXPECT_EQ(Ask("211#2002").front(), "210#200200419E6666");
}

TEST_F(SafetyTest, NeedServiceKeepsOff) {
  Up();
  Inject("need_service");
  EXPECT_EQ(Status(), 0u);
  On();
  EXPECT_EQ(Status(), 0u);
}

TEST_F(SafetyTest, InhibitActions) {
  struct Case {
    int action;
    uint32_t status;
    uint32_t other;
  };
  constexpr uint32_t kInhibit = 1u << 12;
  for (const Case& c : {Case{0, kInhibit | 0x88, 0x88}, Case{1, kInhibit | 0x90, 0x88},
                        Case{2, kInhibit, 0x88}, Case{3, kInhibit, 0}}) {
    BootLoggedOn();
    Send("210#41000044160000");
    Send("210#41000144160000");
    Send("210#4001000008");
    Send("210#4001010008");
    Advance(7s);
    Send("210#4007000" + std::to_string(c.action));
    Inject("inhibit", Channel(0));
    EXPECT_EQ(Status(), c.status) << c.action;
    EXPECT_EQ(Word("211#400001"), c.other) << c.action;
    EXPECT_NE(Events() & kInhibit, 0u);
    simulator_->ClearFaults("inhibit").IgnoreError();
    EXPECT_EQ(Status() & kInhibit, 0u);
  }
}

TEST_F(SafetyTest, InterlockSwitchesOffAndInhibits) {
  Up();
  Send("210#10011820");
  EXPECT_EQ(Status(), Bit(channel_bit::kExternalInhibit));
  EXPECT_NE(Word("211#400203") & Bit(channel_bit::kExternalInhibit), 0u);
  On();
  EXPECT_EQ(Status(), Bit(channel_bit::kExternalInhibit));
  Send("210#10011800");
  EXPECT_EQ(Status(), 0u);
}

TEST_F(SafetyTest, ArcIsShown) {
  Inject("arc", Channel(0));
  EXPECT_NE(Status() & Bit(channel_bit::kArc), 0u);
  simulator_->ClearFaults("arc").IgnoreError();
  EXPECT_EQ(Status() & Bit(channel_bit::kArc), 0u);
  EXPECT_NE(Events() & Bit(channel_bit::kArc), 0u);
}

// Any bytes may come. Nothing crashes, set values stay in their range, and what is no write of the
// protocol changes none of them.
TEST_F(SafetyTest, RandomFramesNeverCrashAndMalformedOnesChangeNothing) {
  std::mt19937_64 random(7);
  const auto set_value = [this] { return Number("211#410000"); };
  for (int i = 0; i < 20000; ++i) {
    CanFrame frame;
    frame.id = 0x210 | (random() % 8);
    if (random() % 16 == 0) frame.id = 0x004;
    frame.dlc = static_cast<uint8_t>(random() % 9);
    for (uint8_t& b : frame.data) b = static_cast<uint8_t>(random());
    if (random() % 4 != 0) {
      const Register& row = Registers()[random() % Registers().size()];
      frame.data[0] = static_cast<uint8_t>(row.data_id >> 8);
      frame.data[1] = static_cast<uint8_t>(row.data_id & 0xFF);
      frame.data[2] = static_cast<uint8_t>(random() % 6);
    }
    simulator_->OnFrame(harness_->Rx(frame));
    Advance(1ms);
  }
  Send("004#C4");
  Send("210#D801");
  Send("210#12A00000");
  Advance(1s);
  const double set = set_value();
  EXPECT_LE(std::abs(set), 1000);
  EXPECT_LE(std::abs(Number("211#410100")), 1e-3);
  Send("210#10011840");
  Advance(30s);
  EXPECT_LE(std::abs(Voltage()), 1000);
  // Everything that could set a value, with a byte too few or too many.
  BootLoggedOn();
  Send("210#41000044160000");
  std::vector<std::string> before;
  const char* const requests[] = {"211#410000", "211#410100", "211#1100",  "211#1001",
                                  "211#400100", "211#400300", "211#1003",  "211#410400",
                                  "211#1090",   "211#1204",   "211#400500"};
  for (const char* request : requests) before.push_back(AskOne(request));
  for (int i = 0; i < 20000; ++i) {
    const Register& row = Registers()[random() % Registers().size()];
    if (row.type == WireType::kUiAny) continue;
    CanFrame frame;
    frame.id = 0x210;
    const bool of_channel = ClassOf(row.data_id) == AccessClass::kChannel;
    const int right = 2 + (of_channel ? 1 : 0) + static_cast<int>(WireLength(row.type));
    frame.dlc = static_cast<uint8_t>(random() % 9);
    if (frame.dlc == right || frame.dlc < 2) continue;
    for (uint8_t& b : frame.data) b = static_cast<uint8_t>(random());
    frame.data[0] = static_cast<uint8_t>(row.data_id >> 8);
    frame.data[1] = static_cast<uint8_t>(row.data_id & 0xFF);
    frame.data[2] = 0;
    simulator_->OnFrame(harness_->Rx(frame));
  }
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(AskOne(requests[i]), before[i]);
}

}  // namespace
}  // namespace canhub::iseg
