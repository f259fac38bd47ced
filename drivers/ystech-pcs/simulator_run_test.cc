// How the simulated converter starts, stops, trips and is supervised; and one whole run, byte by
// byte.
#include "drivers/ystech-pcs/simulator_testing.h"
#include "gmock/gmock.h"

namespace canhub::ystech_pcs {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kStart[] = "180FFAB4#0100000000000000";       // row 18
constexpr char kStop[] = "180FFAB4#0000000000000000";        // row 19
constexpr char kClear[] = "180FFAB4#0001000000000000";       // row 20
constexpr char kStarted[] = "1810B4FA#0100000000000000";     // row 42
constexpr char kNotStarted[] = "1810B4FA#0000000000000000";  // anything but 1: failure

class RunTest : public SimulatorTest {};
class HeartbeatTest : public SimulatorTest {};
class FaultTest : public SimulatorTest {};

// Section 15's path.
TEST_F(RunTest, StartsBySelfCheckAndSoftStart) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  EXPECT_THAT(Path(), ElementsAre(State::kStandby, State::kSelfCheck, State::kSoftStart,
                                  State::kConstantCurrent));
}

// Section 10: in addition at every state change. The beats' cycle is not the converter's.
TEST_F(RunTest, TellsAStateChangeAtOnce) {
  Boot();
  Set(Mode::kDcConstantCurrent, {10});
  Advance(30ms);
  log_.clear();
  Send(kStart);
  ASSERT_THAT(All(Pf::kStatus), ElementsAre("1813B4FA#0900000000000000"));
  EXPECT_EQ(log_[0].first, harness_->clock.Now());
}

TEST_F(RunTest, SoftStartTakesItsTime) {
  Boot({{"sim_soft_start", Value::Number(5)}});
  Set(Mode::kDcConstantCurrent, {10});
  Send(kStart);
  Advance(5200ms);
  EXPECT_EQ(state(), State::kSoftStart);
  Advance(150ms);
  EXPECT_EQ(state(), State::kConstantCurrent);
}

// Section 10: soft start longer than 10 s.
TEST_F(RunTest, ASoftStartOfMoreThanTenSecondsIsAFault) {
  Boot({{"sim_soft_start", Value::Number(20)}});
  Set(Mode::kDcConstantCurrent, {10});
  Send(kStart);
  Advance(10200ms);
  EXPECT_EQ(state(), State::kSoftStart);
  Advance(300ms);
  EXPECT_EQ(state(), State::kFault);
  EXPECT_EQ(code(), kSoftStartTimeout);
}

TEST_F(RunTest, StopEndsTheCurrentAtOnce) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  EXPECT_EQ(Current(), 10);
  Stop();
  Advance(200ms);
  EXPECT_EQ(state(), State::kStandby);
  EXPECT_EQ(Current(), 0);
  EXPECT_EQ(Newest<DcData>(Pf::kDcData).power_kw, 0);
}

TEST_F(RunTest, StopDuringTheStartIsObeyed) {
  Boot();
  Set(Mode::kDcConstantCurrent, {10});
  Send(kStart);
  Advance(1s);
  EXPECT_EQ(state(), State::kSoftStart);
  Stop();
  EXPECT_EQ(state(), State::kStandby);
}

// Section 7: the mode cannot be changed online.
TEST_F(RunTest, ModeIsRefusedWhileItStartsOrRuns) {
  Boot();
  Set(Mode::kDcConstantCurrent, {10});
  Ask(kStart);
  EXPECT_EQ(AskOne("180BFAB4#0200000000000000"), "180EB4FA#0000000000000000");
  Advance(3s);
  EXPECT_EQ(AskOne("180BFAB4#0200000000000000"), "180EB4FA#0000000000000000");
  EXPECT_EQ(Ask("181DFAB4#0B00000000000000").at(0), "1836B4FA#2100000000000000");
}

TEST_F(RunTest, ParametersCanBeChangedWhileItRuns) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  EXPECT_EQ(AskOne("180CFAB4#FFFF3CB000000000"), "180EB4FA#0100000000000000");  // row 9
  Advance(400ms);
  EXPECT_EQ(Current(), -50);
}

// Not stated (section 7): decided in README.md.
TEST_F(RunTest, IdleAndStandbyStartNothing) {
  Boot();
  EXPECT_EQ(AskOne(kStart), kStarted);
  Advance(4s);
  EXPECT_THAT(Path(), ElementsAre(State::kStandby));
}

// A mode's parameters are those of the mode before, until they are set.
TEST_F(RunTest, DoesNotStartWithParametersOfAnotherMode) {
  Boot();
  Set(Mode::kDcConstantVoltage, {400});
  Ask("180BFAB4#2100000000000000");  // 400 A
  EXPECT_EQ(AskOne(kStart), kNotStarted);
  EXPECT_EQ(state(), State::kStandby);
}

TEST_F(RunTest, BadBytesStartNothing) {
  Boot();
  Set(Mode::kDcConstantCurrent, {10});
  EXPECT_EQ(AskOne("180FFAB4#0200000000000000"), kNotStarted);
  EXPECT_EQ(AskOne("180FFAB4#0102000000000000"), kNotStarted);
  EXPECT_EQ(state(), State::kStandby);
}

TEST_F(RunTest, KeepsItsSettingsOverAReboot) {
  Boot();
  Run(Mode::kDcConstantCurrent, {-50});
  Ask("1805FAB4#1B5803E801F401F4");
  Inject("reboot");
  log_.clear();
  Advance(1900ms);
  EXPECT_THAT(log_, IsEmpty());
  Advance(300ms);
  EXPECT_EQ(state(), State::kStandby);
  EXPECT_EQ(AskOne("1801FAB4#0100000000000000"), "1802B4FA#1B5803E801F401F4");
  EXPECT_EQ(Ask("181DFAB4#0B00000000000000").at(1), "1837B4FA#FFFF3CB000000000");
}

TEST_F(RunTest, StartsByItselfAtPowerOnWhenToldSo) {
  Boot();
  Set(Mode::kDcConstantCurrent, {10});
  EXPECT_EQ(AskOne("180FFAB4#0000010000000000"), kStarted);
  Inject("power_off");
  Advance(5s);
  ClearFaults();
  Advance(5s);
  EXPECT_EQ(state(), State::kConstantCurrent);
}

TEST_F(HeartbeatTest, FiveSecondsWithoutStopTheRun) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  beats_ = false;
  Advance(4750ms);
  EXPECT_EQ(state(), State::kConstantCurrent);
  Advance(500ms);
  EXPECT_EQ(All(Pf::kStatus).back(), "1813B4FA#0600800D00000000");  // row 47
  EXPECT_EQ(Current(), 0);
}

TEST_F(HeartbeatTest, ItIsSupervisedOnlyWhileItRuns) {
  Boot();
  beats_ = false;
  Advance(20s);
  EXPECT_EQ(state(), State::kStandby);
}

TEST_F(HeartbeatTest, OtherFramesDoNotCount) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  beats_ = false;
  for (int i = 0; i < 6; ++i) {
    Advance(1s);
    Send("1801FAB4#0100000000000000");
  }
  EXPECT_EQ(code(), kCan1Failure);
}

TEST_F(HeartbeatTest, OtherFramesCountWhereToldSo) {
  Boot({{"sim_any_frame_counts", Value::Flag(true)}});
  Run(Mode::kDcConstantCurrent, {10});
  beats_ = false;
  for (int i = 0; i < 6; ++i) {
    Advance(1s);
    Send("1801FAB4#0100000000000000");
  }
  EXPECT_EQ(state(), State::kConstantCurrent);
}

// Sections 8 and 10: only clearing ends the fault, and then it needs a new start.
TEST_F(HeartbeatTest, TheFaultStaysWhenTheyComeBack) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  beats_ = false;
  Advance(6s);
  beats_ = true;
  Advance(6s);
  EXPECT_EQ(state(), State::kFault);
  EXPECT_EQ(AskOne(kStart), kNotStarted);
  EXPECT_EQ(AskOne(kClear), kStarted);
  EXPECT_EQ(state(), State::kStandby);
  StartRun();
  EXPECT_EQ(state(), State::kConstantCurrent);
}

// Section 6.8.
TEST_F(HeartbeatTest, AFaultOfTheExternalDeviceStopsTheRun) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  Send("181AFAB4#0000271003000000");
  EXPECT_EQ(state(), State::kFault);
  EXPECT_EQ(code(), kCan1Failure);
}

TEST_F(FaultTest, EveryFaultCodeCanBeInjected) {
  Boot();
  for (const FaultCode& fault : FaultCodes()) {
    Inject("trip", {{"code", Value::Integer(fault.code)}});
    EXPECT_EQ(state(), State::kFault);
    EXPECT_EQ(code(), fault.code);
    Send(kClear);
    EXPECT_EQ(state(), State::kStandby);
  }
}

TEST_F(FaultTest, StopsARunAndTellsAtOnce) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  log_.clear();
  Inject("trip", {{"code", Value::Integer(kBatteryVoltageHigh)}});
  EXPECT_THAT(All(Pf::kStatus), ElementsAre("1813B4FA#0600000100000000"));
  Advance(200ms);
  EXPECT_EQ(Current(), 0);
}

TEST_F(FaultTest, TheFirstCodeStaysUntilItIsCleared) {
  Boot();
  Inject("trip", {{"code", Value::Integer(265)}});
  Inject("trip", {{"code", Value::Integer(280)}});
  EXPECT_EQ(code(), 265);
}

TEST_F(FaultTest, ComesBackWhileItsCauseStands) {
  Boot();
  Inject("fault_code", {{"code", Value::Integer(265)}});
  EXPECT_EQ(AskOne(kClear), kStarted);
  EXPECT_EQ(state(), State::kFault);
  EXPECT_EQ(code(), 265);
  ClearFaults();
  EXPECT_EQ(state(), State::kFault);
  Send(kClear);
  EXPECT_EQ(state(), State::kStandby);
  EXPECT_EQ(code(), 0);
}

TEST_F(FaultTest, ClearAndStartInOneFrame) {
  Boot();
  Set(Mode::kDcConstantCurrent, {10});
  Inject("trip", {{"code", Value::Integer(5)}});
  EXPECT_EQ(AskOne("180FFAB4#0101000000000000"), kStarted);
  EXPECT_EQ(state(), State::kSelfCheck);
}

TEST_F(FaultTest, ClearAndStartIsRefusedWhileTheCauseStands) {
  Boot();
  Set(Mode::kDcConstantCurrent, {10});
  Inject("fault_code", {{"code", Value::Integer(5)}});
  EXPECT_EQ(AskOne("180FFAB4#0101000000000000"), kNotStarted);
}

TEST_F(FaultTest, CausesHaveTheirCodes) {
  for (const auto& [fault, code] :
       std::initializer_list<std::pair<const char*, int>>{{"emergency_stop", kEmergencyStop},
                                                          {"over_temperature", 5},
                                                          {"battery_reversed", kBatteryReversed}}) {
    Boot();
    Inject(fault);
    EXPECT_EQ(this->code(), code) << fault;
  }
}

TEST_F(FaultTest, SilenceIsSilence) {
  Boot();
  Inject("silence");
  log_.clear();
  EXPECT_THAT(Ask("1801FAB4#0100000000000000"), IsEmpty());
  Advance(1s);
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(FaultTest, ADeafConverterLosesItsHeartbeats) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  Inject("deaf");
  EXPECT_THAT(Ask(kStop), IsEmpty());
  Advance(6s);
  EXPECT_EQ(code(), kCan1Failure);
}

TEST_F(FaultTest, DelayMakesAnswersLate) {
  Boot();
  Inject("delay", {{"milliseconds", Value::Integer(100)}});
  EXPECT_THAT(Ask("1801FAB4#0100000000000000"), IsEmpty());
  Advance(100ms);
  EXPECT_THAT(All(Pf::kProtectionParams1Reply), SizeIs(1));
}

TEST_F(FaultTest, FramesOfWrongLengthHaveSevenBytes) {
  Boot();
  Inject("wrong_length");
  log_.clear();
  Advance(200ms);
  std::vector<int> lengths;
  for (const auto& [time, frame] : log_) lengths.push_back(frame.dlc);
  EXPECT_THAT(lengths, AllOf(SizeIs(13), Each(7)));
}

TEST_F(FaultTest, CommandsWithoutReplyAreCarriedOut) {
  Boot();
  Inject("no_reply", {{"pf", Value::Integer(0x0B)}});
  EXPECT_THAT(Ask("180BFAB4#2100000000000000"), IsEmpty());
  EXPECT_EQ(Ask("181DFAB4#0B00000000000000").at(0), "1836B4FA#2100000000000000");
}

TEST_F(FaultTest, RefusedCommandsDoNothing) {
  Boot();
  Inject("refuse", {{"pf", Value::Integer(0x0B)}});
  EXPECT_EQ(AskOne("180BFAB4#2100000000000000"), "180EB4FA#0000000000000000");
  EXPECT_EQ(AskOne("1809FAB4#07E8060F0A1E2D00"), "180AB4FA#0100000000000000");
  EXPECT_EQ(Ask("181DFAB4#0B00000000000000").at(0), "1836B4FA#9100000000000000");
}

TEST_F(FaultTest, AStartThatIsOnlyAnswered) {
  Boot();
  Set(Mode::kDcConstantCurrent, {10});
  Inject("no_start");
  EXPECT_EQ(AskOne(kStart), kStarted);
  Advance(4s);
  EXPECT_EQ(state(), State::kStandby);
}

TEST_F(FaultTest, AStopThatIsOnlyAnswered) {
  Boot();
  Run(Mode::kDcConstantCurrent, {10});
  Inject("no_stop");
  Stop();
  Advance(1s);
  EXPECT_EQ(state(), State::kConstantCurrent);
}

TEST_F(FaultTest, AnUnknownStateIsShown) {
  Boot();
  Inject("odd_state", {{"state", Value::Integer(77)}});
  EXPECT_EQ(All(Pf::kStatus).back(), "1813B4FA#4D00000000000000");
}

TEST_F(FaultTest, EveryFaultCanBeInjectedAndCleared) {
  size_t standing = 0;
  for (const FaultSpec& fault : Faults()) {
    Boot();
    Arguments arguments;
    for (const auto& [name, text] : fault.parameters) {
      arguments.emplace_back(name, Value::Integer(1));
    }
    Inject(fault.name, arguments);
    Advance(3s);
    const auto active = static_cast<int>(simulator_->ActiveFaults().size());
    standing += active;
    EXPECT_EQ(*simulator_->ClearFaults(""), active) << fault.name;
    Advance(3s);
    EXPECT_THAT(Ask("181DFAB4#0B00000000000000"), SizeIs(3)) << fault.name;
  }
  EXPECT_EQ(standing, Faults().size() - 2);  // reboot and trip happen once
}

TEST_F(FaultTest, BadArgumentsAreRefused) {
  Boot();
  for (const Arguments& arguments :
       {Arguments{}, Arguments{{"code", Value::Integer(0)}},
        Arguments{{"code", Value::Integer(0x10000)}}, Arguments{{"number", Value::Integer(1)}}}) {
    EXPECT_EQ(simulator_->InjectFault("trip", arguments).code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(simulator_->InjectFault("flood", {}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(), 0);
}

TEST_F(RunTest, SeveralConvertersOnABusObeyTheirOwnAddress) {
  Boot();
  DeviceConfig config = SimulatorConfig({{"address", Value::Integer(1)}});
  const std::unique_ptr<Simulator> second =
      CreateSimulator({config, harness_->clock, harness_->timers, harness_->bus, 2});
  second->Start();
  Advance(100ms);
  const auto both = [&](const char* text) {
    Send(text);
    second->OnFrame(harness_->Rx(*ParseFrame(text)));
    Advance(20ms);
  };
  both("180B01B4#2900000000000000");  // row 7
  EXPECT_EQ(FormatFrame(log_.back().second), "180EB401#0100000000000000");
  both("181DFAB4#0B00000000000000");
  EXPECT_EQ(All(Pf::kWorkingModeReply).back(), "1836B4FA#9100000000000000");
  both("181D01B4#0B00000000000000");
  EXPECT_EQ(All(Pf::kWorkingModeReply).back(), "1836B401#2900000000000000");
}

// Section 19's exchange, and what the frames say meanwhile: 380 V open-circuit, 0.1 ohm, -50 A
// gives 385 V and -19.25 kW; the grid gives 19.25 kW / 0.97 = 19.845 kW, 28.8 A in each phase.
TEST_F(RunTest, AWholeRunIsGolden) {
  Boot({{"sim_battery_voltage", Value::Number(380)}, {"sim_battery_capacity", Value::Number(1e6)}});
  const auto newest = [this](Pf pf) { return All(pf).back(); };
  EXPECT_EQ(newest(Pf::kDcData), "1811B4FA#0ED82710000002EE");
  EXPECT_EQ(newest(Pf::kStatus), "1813B4FA#0D00000000000000");
  EXPECT_EQ(AskOne("180BFAB4#2900000000000000"), "180EB4FA#0100000000000000");
  Send("180CFAB4#00061A80FFFF3CB0");
  Send("180DFAB4#0000138800000000");
  Advance(20ms);
  EXPECT_THAT(All(Pf::kSetModeReply), AllOf(SizeIs(3), Each("180EB4FA#0100000000000000")));
  EXPECT_EQ(AskOne(kStart), kStarted);
  Advance(100ms);
  EXPECT_EQ(newest(Pf::kStatus), "1813B4FA#0900000000000000");
  Advance(1s);
  EXPECT_EQ(newest(Pf::kStatus), "1813B4FA#0A00000000000000");
  Advance(11200ms);  // about ten seconds of run
  EXPECT_EQ(newest(Pf::kStatus), "1813B4FA#0C00000000000000");
  EXPECT_EQ(newest(Pf::kDcData).substr(0, 21), "1811B4FA#0F0A251CFF3F");
  EXPECT_EQ(newest(Pf::kHighResDc), "1839B4FA#0005DFE8000E7EF0");
  EXPECT_EQ(newest(Pf::kGridCurrent), "1815B4FA#012001200120FFF6");
  EXPECT_EQ(newest(Pf::kSystemPower), "1816B4FA#FF3A000000C601F4");
  EXPECT_EQ(newest(Pf::kPhaseBPower), "1824B4FA#FFBE000000420000");
  EXPECT_EQ(newest(Pf::kCapacityEnergy).substr(0, 13), "1812B4FA#0001");  // 50 A · 10 s
  EXPECT_EQ(Ask("181DFAB4#0B00000000000000").at(0), "1836B4FA#2900000000000000");
  EXPECT_EQ(AskOne(kStop), kStarted);
  Advance(200ms);
  EXPECT_EQ(newest(Pf::kStatus), "1813B4FA#0D00000000000000");
  EXPECT_EQ(newest(Pf::kHighResDc), "1839B4FA#0005CC60000F4240");
  EXPECT_THAT(Path(), ElementsAre(State::kStandby, State::kSelfCheck, State::kSoftStart,
                                  State::kConstantCurrent, State::kStandby));
}

}  // namespace
}  // namespace canhub::ystech_pcs
