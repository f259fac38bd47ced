// The simulated modules, as section 12.6 has them; the driver is not asked.
#include "drivers/battery-module/simulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "drivers/battery-module/battery_testing.h"
#include "drivers/battery-module/pack_model.h"

namespace canhub::battery_module {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

// A simulator alone; what it sends is kept.
struct Modules {
  explicit Modules(Overrides overrides = {})
      : h(TestConfig(std::move(overrides)), TestBus()),
        simulator(Info().create_simulator(h.ForSimulator())) {
    simulator->Start();
  }
  std::vector<CanFrame> Sync() {
    h.bus.Take();
    simulator->OnFrame(h.Rx(*ParseFrame("080#FF")));
    h.Advance(milliseconds(20));
    return h.bus.Take();
  }
  std::vector<uint32_t> IdsOfSync() {
    std::vector<uint32_t> ids;
    for (const CanFrame& frame : Sync()) ids.push_back(frame.id);
    return ids;
  }
  CanFrame One(uint32_t id) {
    for (const CanFrame& frame : Sync()) {
      if (frame.id == id) return frame;
    }
    ADD_FAILURE() << "no frame " << id;
    return {};
  }
  DriverHarness h;
  std::unique_ptr<Simulator> simulator;
};

double Voltage(const CanFrame& pdo1) { return (pdo1.data[2] | pdo1.data[3] << 8) * 0.01; }

TEST(Simulated, AnswerASyncWithPdo1ToPdo5InTheOrderOfTheModules) {
  Modules m({{"sim_modules", Value::Integer(2)}});
  EXPECT_THAT(m.IdsOfSync(),
              ElementsAre(0x181, 0x381, 0x481, 0x281, 0x191, 0x182, 0x382, 0x482, 0x282, 0x192));
}

TEST(Simulated, FifteenModulesAnswerWithin20Ms) {
  Modules m({{"sim_modules", Value::Integer(15)}});
  EXPECT_EQ(m.IdsOfSync().size(), 75u);
}

TEST(Simulated, AnswerTheSensorRequestWithTheAcknowledgementAndPdo6) {
  Modules m;
  m.h.bus.Take();
  m.simulator->OnFrame(m.h.Rx(*ParseFrame("602#2F05180100000000")));
  const std::vector<CanFrame> frames = m.h.bus.Take();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(FormatFrame(frames[0]), "582#6005180100000000");
  EXPECT_EQ(frames[1].id, 0x292u);
  m.simulator->OnFrame(m.h.Rx(*ParseFrame("602#2F06180100000000")));
  EXPECT_TRUE(m.h.bus.Take().empty());
}

TEST(Simulated, PositionsThatAreNotFittedAreRaw0) {
  Modules m;
  const CanFrame pdo4 = m.One(0x481);
  EXPECT_NE(pdo4.data[3], 0);
  EXPECT_EQ(pdo4.data[4], 0);
  EXPECT_EQ(pdo4.data[5], 0);
}

TEST(Simulated, AlarmFramesEveryHalfSecondWithACounterAndACheckSum) {
  Modules m({{"sim_modules", Value::Integer(1)}});
  std::vector<CanFrame> alarms;
  m.h.bus.Take();
  m.h.Advance(seconds(2));
  for (const CanFrame& frame : m.h.bus.Take()) {
    if (frame.id == 0x1A1) alarms.push_back(frame);
  }
  ASSERT_GE(alarms.size(), 4u);
  // Contactor closed, counter 1, check sum calculated apart from this code.
  EXPECT_EQ((alarms[1].data[6] - alarms[0].data[6]) & 15, 1);
}

TEST(Simulated, StatusTogglesBit6) {
  Modules m;
  const int first = m.One(0x281).data[0], second = m.One(0x281).data[0];
  EXPECT_EQ(first ^ second, 0x40);
}

TEST(Simulated, ALoadDischarges) {
  Modules m;
  const double before = Voltage(m.One(0x181));
  ASSERT_TRUE(m.simulator->SetLoad(std::nullopt, 1.4, std::nullopt).ok());  // about 90 A
  m.h.Advance(minutes(10));
  const CanFrame after = m.One(0x181);
  EXPECT_LT(Voltage(after), before - 1);
  // Negative on the bus (facts, section 4.7).
  EXPECT_LT(static_cast<int16_t>(after.data[0] | after.data[1] << 8), -800);
  const CanFrame counters = m.One(0x191);
  const uint32_t discharged = counters.data[4] | counters.data[5] << 8 | counters.data[6] << 16;
  EXPECT_NEAR(discharged, 600 * 90, 6000);
  EXPECT_GT(after.data[7], 25);  // warmer than the 20 degC around
}

TEST(Simulated, NoiseRepeatsWithItsSeed) {
  Modules a, b;
  EXPECT_EQ(a.Sync(), b.Sync());
}

TEST(SimulatedModuleFaults, SilenceAndComingBack) {
  Modules m;
  ASSERT_TRUE(m.simulator->InjectFault("silence", OfModule(2)).ok());
  EXPECT_THAT(m.IdsOfSync(), Not(Contains(0x182)));
  EXPECT_EQ(*m.simulator->ClearFaults("silence"), 1);
  EXPECT_THAT(m.IdsOfSync(), Contains(0x182));
}

TEST(SimulatedModuleFaults, EachChangesWhatItSays) {
  Modules m;
  const auto inject = [&](const char* fault, Arguments arguments) {
    m.simulator->ClearFaults("").status().IgnoreError();
    EXPECT_TRUE(m.simulator->InjectFault(fault, arguments).ok()) << fault;
  };
  inject("wrong_length", {});
  EXPECT_EQ(m.One(0x181).dlc, 7);
  inject("all_ones", {});
  EXPECT_EQ(FormatFrame(m.One(0x381)), "381#FFFFFFFFFFFFFFFF");
  inject("force", {{"signal", Value::Text("CMA_Voltage")}, {"value", Value::Number(33)}});
  EXPECT_NEAR(Voltage(m.One(0x181)), 33, 1e-9);
  inject("heat", {{"module", Value::Integer(1)}, {"degrees", Value::Number(55)}});
  EXPECT_EQ(m.One(0x181).data[7], 55);
  EXPECT_LT(m.One(0x182).data[7], 30);
  inject("doubled", OfModule(1));
  const auto ids = m.IdsOfSync();
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 0x181u), 2);
  inject("extra_module", OfModule(9));
  EXPECT_THAT(m.IdsOfSync(), Contains(0x189));
  inject("lost_frames", {});
  EXPECT_TRUE(m.Sync().empty());
  inject("current", {{"ampere", Value::Number(50)}});
  EXPECT_EQ(FormatFrame(m.One(0x181)).substr(4, 4), "0CFE");  // -50.0 A
  inject("delay", {{"milliseconds", Value::Number(100)}});
  EXPECT_TRUE(m.Sync().empty());
}

TEST(SimulatedModuleFaults, AFrozenModuleRepeatsItself) {
  Modules m;
  ASSERT_TRUE(m.simulator->InjectFault("freeze", OfModule(1)).ok());
  const CanFrame before = m.One(0x281);
  EXPECT_EQ(m.One(0x281), before);  // not even bit 6 toggles
}

TEST(SimulatedModuleFaults, WhatIsWrongIsRefused) {
  Modules m;
  EXPECT_EQ(m.simulator->InjectFault("no_such", {}).code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(m.simulator->InjectFault("silence", OfModule(16)).ok());
  EXPECT_FALSE(m.simulator->InjectFault("force", {{"signal", Value::Text("SOC")}}).ok());
  EXPECT_FALSE(m.simulator->InjectFault("silence", {{"modul", Value::Integer(1)}}).ok());
  const absl::Status unknown = m.simulator->InjectFault(
      "force", {{"signal", Value::Text("Cell_7")}, {"value", Value::Number(4.25)}});
  EXPECT_FALSE(
      m.simulator
          ->InjectFault("force", {{"signal", Value::Integer(7)}, {"value", Value::Number(4.25)}})
          .ok());
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unknown.message()), testing::HasSubstr("found \"Cell_7\""));
  EXPECT_EQ(m.simulator->ClearFaults("no_such").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(m.simulator->ActiveFaults().empty());
}

TEST(SimulatedModuleFaults, SeveralSignalsMayBeForced) {
  Modules m;
  const auto force = [&](const char* signal, double value) {
    return m.simulator->InjectFault(
        "force", {{"signal", Value::Text(signal)}, {"value", Value::Number(value)}});
  };
  ASSERT_TRUE(force("CMA_Voltage", 33).ok());
  ASSERT_TRUE(force("CMA_Max_Temp", -7).ok());
  ASSERT_TRUE(force("CMA_Voltage", 34).ok());
  const CanFrame pdo1 = m.One(0x181);
  EXPECT_NEAR(Voltage(pdo1), 34, 1e-9);
  EXPECT_EQ(static_cast<int8_t>(pdo1.data[7]), -7);
  EXPECT_EQ(m.simulator->ActiveFaults().size(), 2u);
}

// ---------------------------------------------------------------- the physics

TEST(PackModel, CellsFollowTheirChargeAndCurrent) {
  PackModel model({.modules = 1, .cells = 2, .soc = 0.5, .capacity_ah = 100, .imbalance_v = 0});
  EXPECT_NEAR(model.CellVoltage(1, 1), 3.6, 1e-9);
  model.SetCurrent(100);
  EXPECT_NEAR(model.CellVoltage(1, 1), 3.5, 1e-9);  // 1 milliohm
  model.Advance(minutes(30));                       // half of the capacity
  EXPECT_NEAR(model.CellSoc(1, 1), 0, 1e-9);
  EXPECT_NEAR(model.discharge_as(1), 180000, 1e-6);
  model.SetCurrent(-100);
  model.Advance(hours(1));
  EXPECT_NEAR(model.CellVoltage(1, 1), 4.3, 1e-9);
  EXPECT_NEAR(model.charge_as(1), 360000, 1e-6);
}

TEST(PackModel, WarmsAndCools) {
  PackModel model({.modules = 1, .cells = 12, .ambient_degc = 20});
  model.SetCurrent(100);
  model.Advance(hours(2));
  EXPECT_NEAR(model.Temperature(1), 44, 0.1);
  model.SetCurrent(0);
  model.Advance(minutes(10));
  EXPECT_NEAR(model.Temperature(1), 20 + 24 / 2.71828, 0.1);
}

TEST(PackModel, ImbalanceStaysWithinWhatIsAskedFor) {
  const PackModel model({.modules = 15, .cells = 12, .soc = 0.5, .imbalance_v = 0.05, .seed = 3});
  double low = 10, high = 0;
  for (int m = 1; m <= 15; ++m) {
    for (int c = 1; c <= 12; ++c) {
      low = std::min(low, model.CellVoltage(m, c));
      high = std::max(high, model.CellVoltage(m, c));
    }
  }
  EXPECT_GE(low, 3.55);
  EXPECT_LE(high, 3.65);
  EXPECT_GT(high - low, 0.08);
}

// ---------------------------------------------------------------- with the driver

TEST(SimulatedPack, OverchargingACellIsDangerousBeforeTheModuleIs) {
  Bench b({{"sim_soc", Value::Number(90)},
           {"sim_imbalance", Value::Number(0.1)},
           {"sim_capacity", Value::Number(10)},
           {"sim_current", Value::Number(-20)}});
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_TRUE(b.Until([&] { return b.Level("pack.cell_voltage_high_level") == 2; }, minutes(20)));
  EXPECT_LT(b.Number("pack.module_voltage_max"), 4.2 * 12);
  EXPECT_GE(b.Number("pack.cell_voltage_max"), 4.2 - 0.02);
}

TEST(SimulatedPack, AHotModuleIsDangerousAndCoolsDown) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(
      b.Fault("heat", {{"module", Value::Integer(2)}, {"degrees", Value::Number(55)}}).ok());
  b.Pass(seconds(1));
  EXPECT_EQ(b.Level(), 2);
  EXPECT_TRUE(b.Alarm("module2.temperature_high_dangerous"));
  // The module says so itself, too.
  EXPECT_EQ(b.Number("module2.fault_code"), 308);
  EXPECT_TRUE(b.Alarm("module2.fault_dangerous"));
  EXPECT_TRUE(b.Until([&] { return b.Level() == 0; }, minutes(60)));
  EXPECT_LE(b.Number("module2.temperature_max"), 30);
}

TEST(SimulatedPack, HalfOfTheFramesMayBeLost) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.Fault("lost_frames", {{"probability", Value::Number(0.2)}}).ok());
  b.Pass(seconds(20));
  EXPECT_EQ(b.Number("pack.module_count"), 3);
  EXPECT_NE(b.Level(), 2);
}

}  // namespace
}  // namespace canhub::battery_module
