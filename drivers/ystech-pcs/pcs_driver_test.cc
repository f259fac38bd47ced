// The heartbeat, the readings, the link and the alarms.
#include "drivers/ystech-pcs/pcs_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "drivers/ystech-pcs/driver_testing.h"
#include "drivers/ystech-pcs/items.h"

namespace canhub::ystech_pcs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr auto kSimulator = TestLine::From::kSimulator;

// A driver alone: nobody answers it.
struct Alone {
  explicit Alone(Overrides overrides = {}) : h(DriverConfig(std::move(overrides))) {}
  void Start() {
    driver = Info().create(h.Context());
    driver->OnBusState(BusState::kActive);
    driver->Start();
  }
  void Receive(const char* frame) { driver->OnFrame(h.Rx(ParseFrame(frame).value())); }
  double Number(const char* item) const { return h.state.Read(item).value.AsNumber(); }
  // Heartbeats among what was sent since the last call, as text.
  std::vector<std::string> Heartbeats() {
    std::vector<std::string> found;
    for (const CanFrame& frame : h.bus.Take()) {
      if ((frame.id >> 16 & 0xFF) == 0x1A) found.push_back(FormatFrame(frame));
    }
    return found;
  }
  DriverHarness h;
  std::unique_ptr<Driver> driver;
};

OtherReading Good(double value, const char* unit) {
  return {.quality = Quality::kGood, .value = Value::Number(value), .unit = unit};
}

constexpr char kNothingMeasured[] = "181AFAB4#0000271002000000";  // row 23 of section 18

// ---------------------------------------------------------------- heartbeat (section 6.8)

TEST(PcsHeartbeat, IsSentAtOnceAndThenEvery200Milliseconds) {
  Alone alone;
  alone.Start();
  EXPECT_THAT(alone.Heartbeats(), ElementsAre(kNothingMeasured));
  alone.h.Advance(milliseconds(200));
  EXPECT_THAT(alone.Heartbeats(), ElementsAre(kNothingMeasured));
  alone.h.Advance(milliseconds(199));
  EXPECT_THAT(alone.Heartbeats().size(), 1u);
  alone.h.Advance(seconds(10));
  EXPECT_EQ(alone.Heartbeats().size(), 50u);
}

// Heartbeats of a bus must not come all at once, nor each wake the machine up alone.
TEST(PcsHeartbeat, GoesOutInTheSlotOfItsAddress) {
  for (const auto& [address, slot] : {std::pair(0xFA, 100), std::pair(1, 10), std::pair(41, 10)}) {
    Alone alone({{"address", Value::Integer(address)}});
    alone.h.clock.Advance(milliseconds(33));
    alone.Start();
    alone.Heartbeats();
    std::set<int64_t> found;  // milliseconds on the grid of 200 ms
    for (int i = 0; i < 600; ++i) {
      alone.h.Advance(milliseconds(1));
      if (alone.Heartbeats().empty()) continue;
      found.insert(alone.h.clock.Now().time_since_epoch() / milliseconds(1) % 200);
    }
    EXPECT_THAT(found, ElementsAre(slot)) << address;
  }
}

TEST(PcsHeartbeat, ALateOneIsNotMadeUpForAndTheGridStays) {
  Alone alone;
  alone.Start();
  alone.h.Advance(seconds(1));
  alone.Heartbeats();
  alone.h.clock.Advance(milliseconds(730));  // the actor is away
  alone.h.Advance(milliseconds(0));
  EXPECT_EQ(alone.Heartbeats().size(), 1u);
  const auto phase = alone.h.clock.Now().time_since_epoch() / milliseconds(1) % 200;
  alone.h.Advance(milliseconds((300 - phase) % 200));
  EXPECT_EQ(alone.Heartbeats().size(), 1u);
}

TEST(PcsHeartbeat, ExpiresWhenTheNextIsDue) {
  Alone alone;
  alone.Start();
  alone.h.Advance(seconds(1));
  alone.h.bus.TakeTx();
  alone.h.Advance(milliseconds(200));
  const std::vector<TxFrame> sent = alone.h.bus.TakeTx();
  ASSERT_EQ(sent.size(), 1u);
  const auto since = alone.h.clock.Now() - sent[0].deadline + milliseconds(200);
  EXPECT_LE(since, milliseconds(200));
  EXPECT_GE(since, milliseconds(0));
  EXPECT_EQ(sent[0].deadline.time_since_epoch() / milliseconds(1) % 200, 100);
}

TEST(PcsHeartbeat, CarriesWhatAnotherDeviceMeasures) {
  Alone alone({{"external_voltage", Value::Text("bat0/voltage")},
               {"external_current", Value::Text("bat0/current")}});
  alone.h.readings.Set("bat0/voltage", Good(400, "V"));
  alone.h.readings.Set("bat0/current", Good(50, "A"));
  alone.Start();
  EXPECT_THAT(alone.Heartbeats(), ElementsAre("181AFAB4#0FA0290402000000"));  // row 24
  EXPECT_TRUE(alone.h.state.Read("heartbeat_is_measured").value.flag());
  EXPECT_FALSE(alone.h.alarms.active("external_measurement"));
}

TEST(PcsHeartbeat, TurnsAnItemThatIsPositiveWhileCharging) {
  Alone alone({{"external_current", Value::Text("bat0/current")},
               {"invert_external_current", Value::Flag(true)}});
  alone.h.readings.Set("bat0/current", Good(-50, "A"));
  alone.Start();
  EXPECT_THAT(alone.Heartbeats(), ElementsAre("181AFAB4#0000290402000000"));
}

TEST(PcsHeartbeat, SaysThatNothingIsMeasuredWhenTheReadingIsStale) {
  Alone alone({{"external_voltage", Value::Text("bat0/voltage")},
               {"external_current", Value::Text("bat0/current")}});
  alone.h.readings.Set("bat0/voltage", Good(400, "V"));
  alone.h.readings.Set("bat0/current", {.quality = Quality::kStale, .unit = "A"});
  alone.Start();
  EXPECT_THAT(alone.Heartbeats(), ElementsAre(kNothingMeasured));
  EXPECT_TRUE(alone.h.alarms.active("external_measurement"));
  alone.h.readings.Set("bat0/current", Good(0, "A"));
  alone.h.Advance(milliseconds(200));
  EXPECT_THAT(alone.Heartbeats(), ElementsAre("181AFAB4#0FA0271002000000"));
  EXPECT_FALSE(alone.h.alarms.active("external_measurement"));
}

// The other device may be found a little later.
TEST(PcsHeartbeat, AnItemThatWasNeverReadIsNoAlarmAtOnce) {
  Alone alone({{"external_voltage", Value::Text("bat0/voltage")}});
  alone.h.readings.Set("bat0/voltage", {.quality = Quality::kNeverRead, .unit = "V"});
  alone.Start();
  alone.h.Advance(milliseconds(4900));
  EXPECT_EQ(alone.h.alarms.all().count("external_measurement"), 0u);
  alone.h.Advance(milliseconds(200));
  EXPECT_THAT(alone.h.alarms.all().at("external_measurement").text, HasSubstr("NEVER_READ"));
}

TEST(PcsHeartbeat, DoesNotTakeAnItemOfAnotherUnit) {
  Alone alone({{"external_voltage", Value::Text("bat0/temperature")}});
  alone.h.readings.Set("bat0/temperature", Good(25, "degC"));
  alone.Start();
  EXPECT_THAT(alone.Heartbeats(), ElementsAre(kNothingMeasured));
  EXPECT_THAT(alone.h.alarms.all().at("external_measurement").text, HasSubstr("degC"));
}

TEST(PcsHeartbeat, DoesNotSendAVoltageThatTheFrameCannotHold) {
  Alone alone({{"external_voltage", Value::Text("bat0/voltage")}});
  alone.h.readings.Set("bat0/voltage", Good(-1, "V"));
  alone.Start();
  EXPECT_THAT(alone.Heartbeats(), ElementsAre(kNothingMeasured));
  EXPECT_TRUE(alone.h.alarms.active("external_measurement"));
}

// An actor that hangs fires no timers, and nothing else sends the heartbeat.
TEST(PcsHeartbeat, S04_StopsWithTheTimersOfItsActor) {
  Alone alone;
  alone.Start();
  alone.Heartbeats();
  alone.h.clock.Advance(seconds(10));
  alone.Receive("1813B4FA#0D00000000000000");
  EXPECT_THAT(alone.Heartbeats(), IsEmpty());
}

TEST(PcsHeartbeat, DoesNotWaitForACommandOrAnAnswer) {
  Bench b;
  b.Boot();
  b.line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == kSimulator && (frame.id >> 16 & 0xFF) == 0x0E;
  };
  b.driver->Execute(b.h.Action("set_mode", CcCv()));
  b.h.Advance(seconds(2));
  std::vector<MonoTime> beats;
  for (const TestLine::Sent& sent : b.line.log()) {
    if ((sent.frame.id >> 16 & 0xFF) == 0x1A) beats.push_back(sent.time);
  }
  ASSERT_GE(beats.size(), 9u);
  for (size_t i = 1; i < beats.size(); ++i) {
    EXPECT_LT(beats[i] - beats[i - 1], milliseconds(210));
  }
}

// ---------------------------------------------------------------- readings (section 18)

TEST(PcsReadings, AreThoseOfTheDocumentsFrames) {
  Alone alone;
  alone.Start();
  alone.Receive("1811B4FA#0FA0290400C80352");  // row 43
  EXPECT_EQ(alone.Number("dc_voltage_coarse"), 400);
  EXPECT_EQ(alone.Number("dc_current_coarse"), 50);
  EXPECT_EQ(alone.Number("dc_power"), 20000);
  EXPECT_EQ(alone.Number("inlet_temperature"), 35);
  alone.Receive("1812B4FA#03E80007A1200384");  // row 45
  EXPECT_EQ(alone.Number("capacity"), 100);
  EXPECT_EQ(alone.Number("energy"), 50000);
  EXPECT_EQ(alone.Number("outlet_temperature"), 40);
  alone.Receive("1813B4FA#0D00000000000000");  // row 46
  EXPECT_EQ(alone.Number("state"), 13);
  EXPECT_EQ(alone.Number("fault_code"), 0);
  EXPECT_FALSE(alone.h.state.Read("is_running").value.flag());
  alone.Receive("1814B4FA#08FC08FC08FC0000");  // row 48
  EXPECT_EQ(alone.Number("grid_voltage_w"), 230);
  alone.Receive("1815B4FA#01F401F401F4000A");  // row 49
  EXPECT_EQ(alone.Number("grid_current_u"), 50);
  EXPECT_EQ(alone.Number("power_factor"), 1);
  alone.Receive("1816B4FA#03E8003203E901F4");  // row 50
  EXPECT_EQ(alone.Number("active_power"), 100000);
  EXPECT_EQ(alone.Number("reactive_power"), 5000);
  EXPECT_THAT(alone.Number("apparent_power"), DoubleNear(100100, 1e-6));
  EXPECT_EQ(alone.Number("grid_frequency"), 50);
  alone.Receive("1817B4FA#0898089808980000");  // row 51
  EXPECT_EQ(alone.Number("load_voltage_v"), 220);
  alone.Receive("1818B4FA#0064006400640000");  // row 52
  EXPECT_EQ(alone.Number("load_current_w"), 10);
  alone.Receive("1819B4FA#01F4000A01F50000");  // row 53
  EXPECT_EQ(alone.Number("load_active_power"), 50000);
  alone.Receive("1820B4FA#010001000CE40672");  // row 54
  EXPECT_TRUE(alone.h.state.Read("io1").value.flag());
  EXPECT_FALSE(alone.h.state.Read("io2").value.flag());
  EXPECT_THAT(alone.Number("ad1_voltage"), DoubleNear(3.3, 1e-9));
  alone.Receive("1823B4FA#0064000500650000");  // row 55
  EXPECT_EQ(alone.Number("phase_active_power_a"), 10000);
  EXPECT_EQ(alone.Number("phase_reactive_power_a"), 500);
  alone.Receive("1834B4FA#0102030201260000");  // row 56
  EXPECT_EQ(alone.h.state.identity().at("arm_hardware"), "1.2.3");
  EXPECT_EQ(alone.h.state.identity().at("arm_software"), "2.1.38");
  alone.Receive("1839B4FA#00061A80000E1B54");  // row 58
  EXPECT_EQ(alone.Number("dc_voltage"), 400);
  EXPECT_EQ(alone.Number("dc_current"), -75.5);
}

TEST(PcsReadings, OfProtectionParameters) {
  Alone alone;
  alone.Start();
  alone.Receive("1802B4FA#1F4001F405DC05DC");  // row 37
  EXPECT_EQ(alone.Number("max_output_voltage"), 800);
  EXPECT_EQ(alone.Number("min_output_voltage"), 50);
  EXPECT_EQ(alone.Number("max_charge_current"), 150);
  alone.Receive("1803B4FA#04B004B00A5006E0");  // row 38
  EXPECT_EQ(alone.Number("max_charge_power"), 120000);
  EXPECT_EQ(alone.Number("ac_voltage_lower"), 176);
  alone.Receive("1804B4FA#022601C2372D0000");  // row 39
  EXPECT_EQ(alone.Number("discharge_frequency_upper"), 55);
  EXPECT_EQ(alone.Number("ac_frequency_lower"), 45);
}

TEST(PcsReadings, OfTheModeAreInItsOwnUnits) {
  Alone alone;
  alone.Start();
  alone.Receive("1836B4FA#2900000000000000");  // row 64
  alone.Receive("1837B4FA#00061A80FFFF3CB0");  // row 65
  alone.Receive("1838B4FA#0000138800000000");  // row 66
  EXPECT_EQ(alone.Number("mode"), 0x29);
  EXPECT_EQ(alone.Number("mode_parameter_1"), 400);
  EXPECT_EQ(alone.Number("mode_parameter_2"), -50);
  EXPECT_EQ(alone.Number("mode_parameter_3"), 5);
  EXPECT_EQ(alone.h.state.Read("mode_parameter_4").quality, Quality::kNeverRead);
  EXPECT_EQ(alone.Number("voltage_setpoint"), 400);
  EXPECT_EQ(alone.Number("current_setpoint"), -50);
  EXPECT_EQ(alone.h.state.Read("power_setpoint").quality, Quality::kNeverRead);
}

// 400 V are not 400 A.
TEST(PcsReadings, ParametersOfTheModeBeforeAreNotBelieved) {
  Alone alone;
  alone.Start();
  alone.Receive("1836B4FA#2900000000000000");
  alone.Receive("1837B4FA#00061A80FFFF3CB0");
  ASSERT_EQ(alone.h.state.Read("mode_parameter_1").quality, Quality::kGood);
  alone.Receive("1836B4FA#2100000000000000");
  EXPECT_EQ(alone.h.state.Read("mode_parameter_1").quality, Quality::kStale);
  EXPECT_EQ(alone.h.state.Read("voltage_setpoint").quality, Quality::kStale);
}

TEST(PcsReadings, AnUnknownStateStaysANumber) {
  Alone alone;
  alone.Start();
  alone.Receive("1813B4FA#4D00000000000000");
  EXPECT_EQ(alone.Number("state"), 77);
  EXPECT_FALSE(alone.h.state.Read("is_running").value.flag());
}

TEST(PcsReadings, S03_EachFrameIsStaleByItself) {
  Bench b;
  b.Boot();
  b.line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == kSimulator && (frame.id >> 16 & 0xFF) == 0x11;
  };
  b.h.Advance(milliseconds(1100));
  EXPECT_EQ(b.QualityOf("dc_power"), Quality::kStale);
  EXPECT_EQ(b.QualityOf("dc_voltage"), Quality::kGood);
  EXPECT_EQ(b.QualityOf("capacity"), Quality::kGood);
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
}

TEST(PcsReadings, AllItemsAreReadFromAWholeDevice) {
  Bench b;
  b.Boot();
  // What is only sent, and the parameters of a mode without any.
  const std::set<std::string> never = {"self_start",
                                       "io1_output",
                                       "io2_output",
                                       "io3_output",
                                       "io4_output",
                                       "phase_active_setting_a",
                                       "phase_active_setting_b",
                                       "phase_active_setting_c",
                                       "phase_reactive_setting_a",
                                       "phase_reactive_setting_b",
                                       "phase_reactive_setting_c",
                                       "mode_parameter_1",
                                       "mode_parameter_2",
                                       "mode_parameter_3",
                                       "mode_parameter_4",
                                       "voltage_setpoint",
                                       "current_setpoint",
                                       "power_setpoint"};
  for (ItemId id = 0; id < Items()->size(); ++id) {
    const std::string name = Items()->Name(id);
    EXPECT_EQ(b.QualityOf(name) == Quality::kGood, !never.contains(name)) << name;
  }
}

TEST(PcsReadings, AFreshReadAsksTheDevice) {
  Bench b;
  b.Boot();
  absl::Status done = absl::UnknownError("not yet");
  b.driver->Refresh({b.h.state.Id("max_charge_current"), b.h.state.Id("dc_voltage")},
                    [&](absl::Status status) { done = std::move(status); });
  EXPECT_TRUE(b.Until([&] { return done.ok(); }, seconds(1)));
  EXPECT_EQ(b.h.state.Read("max_charge_current").read_time.time_since_epoch().count() / 1000000000,
            b.h.clock.Now().time_since_epoch().count() / 1000000000);
}

TEST(PcsReadings, AFreshReadEndsWhenNobodyAnswers) {
  Bench b;
  b.Boot();
  absl::Status done = absl::UnknownError("not yet");
  b.driver->Refresh({b.h.state.Id("max_charge_current")},
                    [&](absl::Status status) { done = std::move(status); });
  b.line.lose = [](TestLine::From from, const CanFrame&) { return from == kSimulator; };
  b.h.Advance(seconds(10));
  EXPECT_TRUE(absl::IsUnavailable(done) || absl::IsDeadlineExceeded(done)) << done;
}

TEST(PcsReadings, S07_WrongFramesAreCountedAndChangeNothing) {
  Bench b;
  b.Boot();
  const double before = b.Number("dc_voltage");
  CanFrame frame = ParseFrame("1839B4FA#00061A8000").value();
  b.driver->OnFrame(b.h.Rx(frame));
  EXPECT_EQ(b.h.log.bad_frames("short_frame"), 1);
  b.driver->OnFrame(b.h.Rx(ParseFrame("183AB4FA#0000000000000000").value()));
  EXPECT_EQ(b.h.log.bad_frames("unknown_frame"), 1);
  EXPECT_EQ(b.Number("dc_voltage"), before);
}

// ---------------------------------------------------------------- link

TEST(PcsLink, S01_ConnectingOnlyReadsAndKeepsAlive) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.h.Advance(seconds(60));
  EXPECT_THAT(b.line.SettingFrames(), IsEmpty());
  EXPECT_TRUE(b.h.state.polled());
}

TEST(PcsLink, IsOnlineWithTheFirstStatusAndLostASecondAfterTheLast) {
  Bench b;
  b.Boot();
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
  b.line.lose = [](TestLine::From from, const CanFrame&) { return from == kSimulator; };
  b.h.Advance(milliseconds(700));
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
  b.h.Advance(milliseconds(700));
  EXPECT_EQ(b.h.state.link(), LinkState::kLost);
  EXPECT_FALSE(b.h.state.polled());
  EXPECT_EQ(b.QualityOf("max_charge_current"), Quality::kStale);
  EXPECT_EQ(b.h.alarms.all().at("lost").severity, AlarmSeverity::kWarning);
  b.line.lose = nullptr;
  b.h.Advance(seconds(5));
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
  EXPECT_TRUE(b.h.state.polled());
  EXPECT_FALSE(b.h.alarms.active("lost"));
}

TEST(PcsLink, IsACriticalAlarmWhenItRan) {
  Bench b;
  b.Boot();
  b.RunCharge();
  b.line.lose = [](TestLine::From from, const CanFrame&) { return from == kSimulator; };
  b.h.Advance(seconds(2));
  EXPECT_EQ(b.h.alarms.all().at("lost").severity, AlarmSeverity::kCritical);
}

TEST(PcsLink, S02_NothingIsSentForACommandAfterTheBusCameBack) {
  Bench b;
  b.Boot();
  b.line.lose = [](TestLine::From from, const CanFrame& frame) {
    return from == kSimulator && (frame.id >> 16 & 0xFF) == 0x0E;
  };
  b.driver->Execute(b.h.Action("set_mode", CcCv()));
  b.h.Advance(milliseconds(500));
  const size_t sent = b.line.SettingFrames().size();
  EXPECT_EQ(sent, 1u);
  b.line.SetBus(BusState::kBusOff);
  ASSERT_NE(b.h.commands.finished(1), nullptr);
  EXPECT_TRUE(absl::IsUnavailable(b.StatusOf(1))) << b.StatusOf(1);
  EXPECT_EQ(b.h.state.link(), LinkState::kBusDown);
  b.line.lose = nullptr;
  b.line.SetBus(BusState::kActive);
  b.h.Advance(seconds(10));
  EXPECT_EQ(b.line.SettingFrames().size(), sent);
  EXPECT_EQ(b.h.state.link(), LinkState::kOnline);
}

// ---------------------------------------------------------------- alarms

TEST(PcsAlarm, AFaultHasItsTextAndRemedy) {
  Alone alone;
  alone.Start();
  alone.Receive("1813B4FA#0600000100000000");
  const auto& alarm = alone.h.alarms.all().at("fault_1");
  EXPECT_TRUE(alarm.active);
  EXPECT_EQ(alarm.severity, AlarmSeverity::kCritical);
  EXPECT_THAT(alarm.text, HasSubstr("battery voltage too high"));
  EXPECT_TRUE(alone.h.state.Read("is_faulty").value.flag());
  alone.Receive("1813B4FA#0D00000000000000");
  EXPECT_FALSE(alone.h.alarms.active("fault_1"));
}

TEST(PcsAlarm, TheCan1TimeoutComesWithAdvice) {
  Alone alone;
  alone.Start();
  alone.Receive("1813B4FA#0600800D00000000");  // row 47
  EXPECT_THAT(alone.h.alarms.all().at("fault_32781").text,
              HasSubstr("has not sent it a heartbeat since it started"));
}

TEST(PcsAlarm, TheCan1TimeoutInSpiteOfHeartbeatsPointsToTheCable) {
  Alone alone;
  alone.Start();
  alone.h.Advance(seconds(5));
  alone.h.ReportOnWire(*alone.driver);
  alone.Receive("1813B4FA#0600800D00000000");
  EXPECT_THAT(alone.h.alarms.all().at("fault_32781").text, HasSubstr("cable"));
}

TEST(PcsAlarm, OneFaultAfterAnotherIsAnotherAlarm) {
  Alone alone;
  alone.Start();
  alone.Receive("1813B4FA#0600000100000000");
  alone.Receive("1813B4FA#0600000500000000");
  EXPECT_FALSE(alone.h.alarms.active("fault_1"));
  EXPECT_TRUE(alone.h.alarms.active("fault_5"));
}

TEST(PcsAlarm, TheFaultStateWithoutACodeIsOneToo) {
  Alone alone;
  alone.Start();
  alone.Receive("1813B4FA#0600000000000000");
  EXPECT_TRUE(alone.h.alarms.active("fault_0"));
}

TEST(PcsAlarm, PowerFailure) {
  Alone alone;
  alone.Start();
  alone.Receive("1813B4FA#0800000000000000");
  EXPECT_TRUE(alone.h.alarms.active("power_failure"));
  alone.Receive("1813B4FA#0D00000000000000");
  EXPECT_FALSE(alone.h.alarms.active("power_failure"));
}

// Limits bound what is set; at constant voltage the current is bounded by the device alone.
TEST(PcsAlarm, ProtectionWiderThanTheLimitsNamesBoth) {
  Alone alone;
  alone.h.config.limits = {{"current", 100}, {"power", 120000}};
  alone.h.config.limit_origins["current"] = "lab.yaml:7, devices.pcs1.limits.current";
  alone.Start();
  alone.Receive("1802B4FA#1F4001F405DC03E8");  // row 2 as a reply, 100 A
  const auto& alarm = alone.h.alarms.all().at("protection_wider");
  EXPECT_EQ(alarm.severity, AlarmSeverity::kWarning);
  EXPECT_THAT(alarm.text, HasSubstr("max_charge_current is 150 A and the limit 100 A (lab.yaml:7"));
  EXPECT_THAT(alarm.text, Not(HasSubstr("max_discharge_current")));
  EXPECT_THAT(alarm.text, Not(HasSubstr("max_output_voltage")));
}

TEST(PcsAlarm, ProtectionAsTightAsTheLimitsIsNone) {
  Alone alone;
  alone.h.config.limits = {{"voltage", 800}, {"current", 150}, {"power", 120000}};
  alone.Start();
  alone.Receive("1802B4FA#1F4001F405DC05DC");
  alone.Receive("1803B4FA#04B004B00A5006E0");  // 120 kW, 120 kW, 264 V, 176 V
  EXPECT_FALSE(alone.h.alarms.active("protection_wider"));
}

TEST(PcsAlarm, ProtectionWiderThanTheLimitOfPower) {
  Alone alone;
  alone.h.config.limits = {{"power", 40000}};
  alone.Start();
  alone.Receive("1803B4FA#04B004B00A5006E0");
  EXPECT_THAT(alone.h.alarms.all().at("protection_wider").text,
              HasSubstr("max_charge_power is 120000 W and the limit 40000 W"));
}

TEST(PcsAlarm, ProtectionIsWiderUntilItIsSetOrTheLimitRaised) {
  Bench b;
  b.h.config.limits["current"] = 100;
  b.Boot();
  EXPECT_TRUE(b.h.alarms.active("protection_wider"));
  ASSERT_TRUE(b.Act("set_protection",
                    {{"max_charge_current", Number(100)}, {"max_discharge_current", Number(100)}})
                  .ok());
  EXPECT_FALSE(b.h.alarms.active("protection_wider"));
  b.h.config.limits["current"] = 50;  // a reload
  b.driver->OnLimitsChanged();
  EXPECT_TRUE(b.h.alarms.active("protection_wider"));
  b.h.config.limits["current"] = 100;
  b.driver->OnLimitsChanged();
  EXPECT_FALSE(b.h.alarms.active("protection_wider"));
}

TEST(PcsAlarm, ASecondControllerIsNoticed) {
  Alone alone;
  alone.Start();
  alone.Receive("180FFAB4#0100000000000000");
  EXPECT_TRUE(alone.h.alarms.active("second_controller"));
  alone.h.Advance(seconds(11));
  EXPECT_FALSE(alone.h.alarms.active("second_controller"));
}

}  // namespace
}  // namespace canhub::ystech_pcs
