// What the simulated converter does with its battery, its grid and its load, mode by mode.
#include <cmath>

#include "drivers/ystech-pcs/simulator_testing.h"
#include "gmock/gmock.h"

namespace canhub::ystech_pcs {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr double kRoot3 = 1.7320508;

// 400 V open-circuit, 0.1 ohm, 97 %; so large that its charge does not change.
class PowerTest : public SimulatorTest {
 protected:
  void SetUp() override { BootLarge(); }
  void BootLarge(Overrides overrides = {}) {
    overrides.insert(overrides.begin(), {"sim_battery_capacity", Value::Number(1e6)});
    Boot(std::move(overrides));
  }
  SystemPower Grid() const { return Newest<SystemPower>(Pf::kSystemPower); }
  AcPower Load() const { return Newest<AcPower>(Pf::kLoadPower); }
};
class BatteryTest : public SimulatorTest {};
class ProtectionTest : public PowerTest {};
class GridTest : public PowerTest {};

TEST_F(PowerTest, DischargingLowersTheVoltageAndFeedsTheGrid) {
  Run(Mode::kDcConstantCurrent, {40});
  EXPECT_EQ(Voltage(), 396);
  EXPECT_EQ(Newest<DcData>(Pf::kDcData).power_kw, 15.8);       // 15.84
  EXPECT_EQ(Grid().active_kw, 15.4);                           // 15.365
  EXPECT_EQ(Newest<GridCurrent>(Pf::kGridCurrent).u_a, 22.3);  // 15365 / 3 / 230
  EXPECT_EQ(Newest<GridCurrent>(Pf::kGridCurrent).power_factor, 1);
}

TEST_F(PowerTest, ChargingRaisesTheVoltageAndLoadsTheGrid) {
  Run(Mode::kDcConstantCurrent, {-40});
  EXPECT_EQ(Voltage(), 404);
  EXPECT_EQ(Newest<DcData>(Pf::kDcData).power_kw, -16.2);  // -16.16
  EXPECT_EQ(Grid().active_kw, -16.7);                      // -16.66
}

// Section 4: a device may send magnitudes.
TEST_F(PowerTest, PowersAreMagnitudesWhereToldSo) {
  BootLarge({{"signed_powers", Value::Flag(false)}});
  Run(Mode::kDcConstantCurrent, {-40});
  EXPECT_EQ(Newest<DcData>(Pf::kDcData).power_kw, 16.2);
  EXPECT_EQ(Grid().active_kw, 16.7);
}

TEST_F(PowerTest, PowerFactorHasTheScaleTold) {
  BootLarge({{"power_factor_scale", Value::Text("0.001")}});
  EXPECT_EQ(All(Pf::kGridCurrent).back(), "1815B4FA#00000000000003E8");
}

TEST_F(PowerTest, ConstantVoltageHoldsIt) {
  Run(Mode::kDcConstantVoltage, {402});
  EXPECT_EQ(state(), State::kConstantVoltage);
  EXPECT_EQ(Voltage(), 402);
  EXPECT_EQ(Current(), -20);
}

TEST_F(PowerTest, ConstantVoltageKeepsToProtection) {
  Run(Mode::kDcConstantVoltage, {500});
  Advance(400ms);
  EXPECT_EQ(Current(), -150);
}

TEST_F(PowerTest, ConstantVoltageKeepsToItsCurrentLimits) {
  Run(Mode::kDcConstantVoltageCurrentLimiting, {500, 30, 40});
  EXPECT_EQ(Current(), -30);
  Command(Pf::kSetModeParams12, ModeParams{300000, 30000});
  Advance(400ms);
  EXPECT_EQ(Current(), 40);
}

TEST_F(PowerTest, ConstantPowerIsThePowerAtTheTerminals) {
  Run(Mode::kDcConstantPower, {10000});
  EXPECT_NEAR(Voltage() * Current(), 10000, 1);
  EXPECT_GT(Current(), 25);  // the voltage is below 400 V
}

TEST_F(PowerTest, PowerKeepsToProtection) {
  EXPECT_EQ(AskOne("1806FAB4#006400640A5006E0"), "1808B4FA#0201000000000000");  // 10 kW
  Run(Mode::kDcConstantCurrent, {50});
  EXPECT_NEAR(Voltage() * Current(), 10000, 1);
}

TEST_F(PowerTest, ConstantResistanceLoadsTheBatteryAsAResistor) {
  Run(Mode::kDcConstantResistance, {9.9});
  EXPECT_EQ(Current(), 40);
  EXPECT_EQ(Voltage(), 396);
}

// Section 7: a negative value means charging.
TEST_F(PowerTest, NegativeResistanceCharges) {
  Run(Mode::kDcConstantResistance, {-10.1});
  EXPECT_EQ(Current(), -40);
}

// Less than the battery's own has no solution: it charges as it may.
TEST_F(PowerTest, ASmallNegativeResistanceChargesAtTheLimit) {
  Run(Mode::kDcConstantResistance, {-0.05});
  Advance(400ms);
  EXPECT_EQ(Current(), -150);
}

TEST_F(PowerTest, MagnificationIsTheMultipleOfTheCapacity) {
  BootLarge({{"sim_battery_capacity", Value::Number(80)}});
  Run(Mode::kDcConstantMagnification, {0.5});
  EXPECT_EQ(Current(), 40);
}

TEST_F(PowerTest, TheCurrentRampsAsConfigured) {
  BootLarge({{"sim_ramp", Value::Number(10)}, {"sim_soft_start", Value::Number(0)}});
  Set(Mode::kDcConstantCurrent, {100});
  Send("180FFAB4#0100000000000000");
  Advance(2400ms);  // about two seconds of run
  EXPECT_NEAR(Current(), 20, 3);
  Advance(9s);
  EXPECT_EQ(Current(), 100);
}

TEST_F(PowerTest, RampGoesFromStartToEndAndHolds) {
  Run(Mode::kDcRampCurrent, {10, 30, 10});
  const double early = Current();
  EXPECT_NEAR(early, 10.5, 1);
  Advance(5s);
  EXPECT_NEAR(Current() - early, 10, 0.5);
  Advance(20s);
  EXPECT_EQ(Current(), 30);
}

TEST_F(PowerTest, NewParametersBeginARampAnew) {
  Run(Mode::kDcRampCurrent, {10, 30, 10});
  Advance(20s);
  EXPECT_EQ(Current(), 30);
  Command(Pf::kSetModeParams34, ModeParams{10000, 0});
  Advance(400ms);
  EXPECT_LT(Current(), 12);
}

TEST_F(PowerTest, RampsOfPowerAndVoltage) {
  Run(Mode::kDcRampPower, {0, 10000, 2});
  Advance(3s);
  EXPECT_NEAR(Voltage() * Current(), 10000, 1);
  Stop();
  Run(Mode::kDcRampVoltage, {400, 410, 2});
  Advance(3s);
  EXPECT_EQ(Voltage(), 410);
}

// 2 s of which 25 % at the first value: row 15's cycle.
TEST_F(PowerTest, PulsesHaveTheirDuty) {
  BootLarge({{"sim_ramp", Value::Number(1e6)}});
  Run(Mode::kDcPulseCurrent, {100, -100, 2, 25});
  log_.clear();
  Advance(20s);
  int first = 0;
  int second = 0;
  for (const std::string& text : All(Pf::kHighResDc)) {
    const double current = As<HighResDc>(*Decode(*ParseFrame(text))).current_a;
    first += current == 100 ? 1 : 0;
    second += current == -100 ? 1 : 0;
  }
  EXPECT_NEAR(first, 25, 5);  // of 100
  EXPECT_NEAR(second, 75, 5);
}

TEST_F(PowerTest, PulsesOfPowerVoltageAndResistance) {
  for (const auto& [mode, one, two] : std::initializer_list<std::tuple<Mode, double, double>>{
           {Mode::kDcPulsePower, 1000, -1000},
           {Mode::kDcPulseVoltage, 399, 401},
           {Mode::kDcPulseResistance, 39.9, -40.1}}) {
    Run(mode, {one, two, 2, 50});
    double least = 0;
    double most = 0;
    for (int i = 0; i < 20; ++i) {
      Advance(200ms);
      least = std::min(least, Current());
      most = std::max(most, Current());
    }
    EXPECT_GT(most, 2) << static_cast<int>(mode);
    EXPECT_LT(least, -2) << static_cast<int>(mode);
    Stop();
  }
}

TEST_F(PowerTest, ResistanceTestIsRestPulseRestAndStops) {
  Run(Mode::kDcInternalResistanceTest, {-20, 2, 2, 2});
  EXPECT_EQ(Current(), 0);
  Advance(2s);
  EXPECT_EQ(Current(), -20);
  Advance(2s);
  EXPECT_EQ(Current(), 0);
  EXPECT_EQ(state(), State::kConstantCurrent);
  Advance(2s);
  EXPECT_EQ(state(), State::kStop);
}

TEST_F(PowerTest, AcPowerIsThatOfTheGrid) {
  Run(Mode::kAcConstantPower, {30000, -5000});  // row 17
  EXPECT_EQ(state(), State::kAcConstantPower);
  EXPECT_EQ(Grid().active_kw, 30);
  EXPECT_EQ(Grid().reactive_kvar, -5);
  EXPECT_EQ(Grid().apparent_kva, 30.4);
  EXPECT_NEAR(Voltage() * Current(), 30000 / 0.97, 2);
}

TEST_F(PowerTest, ChargingAcPowerLosesOnItsWayToTheBattery) {
  Run(Mode::kAcConstantPower, {-30000, 0});
  EXPECT_EQ(Grid().active_kw, -30);
  EXPECT_NEAR(Voltage() * Current(), -30000 * 0.97, 2);
}

TEST_F(PowerTest, SplitPhasesHaveTheirOwnPowers) {
  Ask("1826FAB4#0100000000000000");
  EXPECT_EQ(AskOne("1821FAB4#006400C8FFCE0000"), "180EB4FA#0100000000000000");  // 10, 20, -5 kW
  EXPECT_EQ(AskOne("1822FAB4#0014FFEC00000000"), "180EB4FA#0100000000000000");  // row 59
  Run(Mode::kAcConstantPower, {1000, 0});
  EXPECT_EQ(Grid().active_kw, 25);
  EXPECT_EQ(Newest<AcPower>(Pf::kPhaseBPower).active_kw, 20);
  EXPECT_EQ(Newest<AcPower>(Pf::kPhaseBPower).reactive_kvar, -2);
  EXPECT_EQ(Newest<AcPower>(Pf::kPhaseCPower).active_kw, -5);
}

TEST_F(PowerTest, ReactivePowerOfDcModesIsTheStoredOne) {
  Ask("181BFAB4#1D4C006400000000");  // row 26: 10 kvar
  Run(Mode::kDcConstantCurrent, {10});
  EXPECT_EQ(Grid().reactive_kvar, 10);
}

TEST_F(PowerTest, ReactivePowerFollowsThePowerFactorWhereToldSo) {
  Ask("182AFAB4#0101F40000000000");  // power factor 0.5: Q = √3 P
  Run(Mode::kDcConstantPower, {10000});
  EXPECT_NEAR(Grid().reactive_kvar, 9.7 * kRoot3, 0.06);
  EXPECT_EQ(Newest<GridCurrent>(Pf::kGridCurrent).power_factor, 0.5);
}

TEST_F(PowerTest, InverterFeedsItsLoadFromTheBattery) {
  ASSERT_TRUE(simulator_->SetLoad(std::nullopt, 22, std::nullopt).ok());
  Run(Mode::kIndependentInverter, {220, 50});  // row 16: 3 · 220² / 22 = 6600 W
  EXPECT_EQ(state(), State::kOffGridInverter);
  EXPECT_EQ(Newest<ThreePhases>(Pf::kLoadVoltage).u, 220);
  EXPECT_EQ(Newest<ThreePhases>(Pf::kLoadCurrent).w, 10);  // row 52
  EXPECT_EQ(Load().active_kw, 6.6);
  EXPECT_NEAR(Voltage() * Current(), 6600 / 0.97, 1);
  EXPECT_EQ(Grid().active_kw, 0);
}

TEST_F(PowerTest, TheGridFeedsTheLoadOtherwise) {
  ASSERT_TRUE(simulator_->SetLoad(0, 23, 1e-4).ok());
  Advance(200ms);
  EXPECT_EQ(Load().active_kw, 6.9);
  EXPECT_EQ(Load().reactive_kvar, -5);  // 3 · 230² · 314 · 100 µF = 4.99 kvar
  EXPECT_EQ(Current(), 0);
}

TEST_F(PowerTest, BadLoadsAreRefused) {
  EXPECT_EQ(simulator_->SetLoad(1, 10, std::nullopt).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(simulator_->SetLoad(0, 0, std::nullopt).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(simulator_->SetLoad(0, std::nullopt, -1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(simulator_->SetLoad(0, std::nan(""), std::nullopt).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(PowerTest, LossesWarmIt) {
  Run(Mode::kDcConstantCurrent, {-150});
  const double before = Newest<CapacityEnergy>(Pf::kCapacityEnergy).outlet_temperature_degc;
  Advance(300s);
  const double after = Newest<CapacityEnergy>(Pf::kCapacityEnergy).outlet_temperature_degc;
  EXPECT_GT(after, before + 3);
  EXPECT_LT(after, 60);
  EXPECT_GT(Newest<DcData>(Pf::kDcData).inlet_temperature_degc, 25);
}

// 6.7: 100 A for 350 s are 9.722 Ah, from zero.
TEST_F(PowerTest, CountersBeginWithTheRun) {
  Run(Mode::kDcConstantCurrent, {100});
  Advance(350s);
  const double once = Newest<CapacityEnergy>(Pf::kCapacityEnergy).capacity_ah;
  EXPECT_NEAR(once, 9.7, 0.1);
  EXPECT_NEAR(Newest<CapacityEnergy>(Pf::kCapacityEnergy).energy_wh, 390 * 9.72, 10);
  Stop();
  Advance(200ms);
  EXPECT_EQ(Newest<CapacityEnergy>(Pf::kCapacityEnergy).capacity_ah, once);
  StartRun();
  EXPECT_LT(Newest<CapacityEnergy>(Pf::kCapacityEnergy).capacity_ah, 0.2);
}

TEST_F(PowerTest, WhatTheFrameCannotHoldIsItsEnd) {
  Inject("battery_voltage", {{"volts", Value::Integer(7000)}});
  Advance(200ms);
  EXPECT_EQ(Newest<DcData>(Pf::kDcData).voltage_v, 6553.5);
}

TEST_F(BatteryTest, ItsVoltageFollowsItsCharge) {
  Boot({{"sim_battery_capacity", Value::Number(10)}, {"sim_battery_resistance", Value::Number(0)}});
  Run(Mode::kDcConstantCurrent, {-100});
  EXPECT_GT(Voltage(), 400);
  Advance(60s);
  EXPECT_NEAR(Voltage(), 411.2, 0.5);  // a sixth more; 20 V between 50 % and 80 %
}

// Section 7: first constant current, then constant voltage; the run ends at the end current.
TEST_F(BatteryTest, CcCvChargesAndEnds) {
  Boot({{"sim_battery_capacity", Value::Number(5)}});
  Run(Mode::kDcCcCv, {430, -50, 5});
  EXPECT_EQ(state(), State::kConstantCurrent);
  EXPECT_EQ(Current(), -50);
  double highest = 0;
  for (int i = 0; i < 600 && state() != State::kStop; ++i) {
    Advance(1s);
    highest = std::max(highest, Voltage());
  }
  EXPECT_NEAR(highest, 430, 0.2);
  Advance(200ms);
  EXPECT_EQ(Current(), 0);
  EXPECT_THAT(Path(), ElementsAre(State::kStandby, State::kSelfCheck, State::kSoftStart,
                                  State::kConstantCurrent, State::kConstantVoltage, State::kStop));
}

TEST_F(BatteryTest, CcCvDischargesAndEnds) {
  Boot({{"sim_battery_capacity", Value::Number(5)}});
  Run(Mode::kDcCcCv, {380, 50, 5});
  double lowest = 1e3;
  for (int i = 0; i < 600 && state() != State::kStop; ++i) {
    Advance(1s);
    if (state() != State::kStop) lowest = std::min(lowest, Voltage());
  }
  EXPECT_EQ(state(), State::kStop);
  EXPECT_NEAR(lowest, 380, 0.2);
}

TEST_F(ProtectionTest, VoltageAboveOrBelowStopsTheRun) {
  for (const auto& [volts, code] : std::initializer_list<std::pair<int, int>>{
           {900, kBatteryVoltageHigh}, {30, kBatteryVoltageLow}}) {
    BootLarge();
    Run(Mode::kDcConstantCurrent, {10});
    Inject("battery_voltage", {{"volts", Value::Integer(volts)}});
    Advance(100ms);
    EXPECT_EQ(this->code(), code);
  }
}

TEST_F(ProtectionTest, AMissingBatteryFailsTheSelfCheck) {
  Inject("battery_disconnected");
  Set(Mode::kDcConstantCurrent, {10});
  Send("180FFAB4#0100000000000000");
  Advance(1s);
  EXPECT_EQ(Voltage(), 0);
  EXPECT_EQ(state(), State::kFault);
  EXPECT_EQ(code(), kBatteryVoltageLow);
}

TEST_F(ProtectionTest, LoweredBelowThePresentCurrentOrPowerItTrips) {
  Run(Mode::kDcConstantCurrent, {100});
  Ask("1805FAB4#1F4001F405DC01F4");  // 50 A discharging
  EXPECT_EQ(code(), kCurrentOverLimit);
  BootLarge();
  Run(Mode::kDcConstantCurrent, {-100});
  Ask("1805FAB4#1F4001F401F405DC");  // 50 A charging
  EXPECT_EQ(code(), kCurrentOverLimit);
  BootLarge();
  Run(Mode::kDcConstantCurrent, {100});
  Ask("1806FAB4#04B000640A5006E0");  // 10 kW discharging
  EXPECT_EQ(code(), kPowerOverLimit);
}

// Section 11.1: above 90 degC.
TEST_F(ProtectionTest, AHotHeatSinkStopsTheRun) {
  BootLarge({{"sim_ambient", Value::Number(80)}});
  Run(Mode::kDcConstantCurrent, {-150});
  Advance(30s);
  EXPECT_EQ(state(), State::kConstantCurrent);
  Advance(120s);
  EXPECT_EQ(code(), 280);
}

TEST_F(ProtectionTest, AnInverterCannotLimitItsLoad) {
  ASSERT_TRUE(simulator_->SetLoad(std::nullopt, 0.5, std::nullopt).ok());
  Run(Mode::kIndependentInverter, {220, 50});
  Advance(1s);
  EXPECT_EQ(state(), State::kFault);
}

TEST_F(GridTest, OutsideItsLimitsStopsTheRun) {
  for (const auto& [fault, argument, value, code] :
       std::initializer_list<std::tuple<const char*, const char*, int, int>>{
           {"grid_voltage", "volts", 270, kGridVoltageHigh},
           {"grid_voltage", "volts", 170, kGridVoltageLow},
           {"grid_frequency", "hertz", 56, 260},
           {"grid_frequency", "hertz", 44, 261}}) {
    BootLarge();
    Run(Mode::kDcConstantCurrent, {10});
    Inject(fault, {{argument, Value::Integer(value)}});
    Advance(100ms);
    EXPECT_EQ(this->code(), code) << fault << " " << value;
  }
}

TEST_F(GridTest, LostItEndsTheRunUntilItIsBack) {
  Run(Mode::kDcConstantCurrent, {10});
  Inject("grid_lost");
  Advance(200ms);
  EXPECT_EQ(state(), State::kPowerFailure);
  EXPECT_EQ(Newest<ThreePhases>(Pf::kGridVoltage).u, 0);
  EXPECT_EQ(Newest<SystemPower>(Pf::kSystemPower).frequency_hz, 0);
  EXPECT_EQ(Current(), 0);
  EXPECT_EQ(AskOne("180FFAB4#0100000000000000"), "1810B4FA#0000000000000000");
  ClearFaults();
  Advance(200ms);
  EXPECT_EQ(state(), State::kStandby);
}

TEST_F(GridTest, LostItFeedsTheLoadWhereSwitchingIsAutomatic) {
  ASSERT_TRUE(simulator_->SetLoad(std::nullopt, 22, std::nullopt).ok());
  EXPECT_EQ(AskOne("182CFAB4#0100000000000000"), "181CB4FA#0601000000000000");  // row 33
  Run(Mode::kDcConstantCurrent, {-10});
  Inject("grid_lost");
  Advance(400ms);
  EXPECT_EQ(state(), State::kOffGridInverter);
  EXPECT_EQ(Newest<ThreePhases>(Pf::kLoadVoltage).u, 220);
  EXPECT_NEAR(Voltage() * Current(), 6600 / 0.97, 1);
  ClearFaults();
  Advance(400ms);
  EXPECT_EQ(state(), State::kConstantCurrent);
  EXPECT_EQ(Current(), -10);
}

TEST_F(GridTest, AnInverterNeedsNone) {
  Inject("grid_lost");
  Run(Mode::kIndependentInverter, {220, 50});
  EXPECT_EQ(state(), State::kOffGridInverter);
}

}  // namespace
}  // namespace canhub::ystech_pcs
