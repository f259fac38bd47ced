// Interlocks over real drivers and simulators: the battery behind the converter, and the service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "canhub/v1/interlock_service.grpc.pb.h"
#include "canhub/v1/power_converter_service.grpc.pb.h"
#include "daemon/config/loader.h"
#include "daemon/lab_stepper.h"
#include "daemon/wiring_replay.h"
#include "daemon/wiring_supervision.h"
#include "drivers/all_drivers.h"
#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;

constexpr char kExample[] = CANHUB_SOURCE_DIR "/config/battery-test.yaml";

// Frames as they pass on one line.
class LineTap final : public FrameTap {
 public:
  void OnFrame(const TappedFrame& frame) override { frames.push_back(frame); }
  std::vector<TappedFrame> frames;
};

// config/battery-test.yaml on a virtual clock.
class BatteryTestLab : public testing::Test {
 protected:
  BatteryTestLab() {
    absl::StatusOr<Config> config = LoadConfig(kExample, AllDrivers());
    EXPECT_TRUE(config.ok()) << config.status();
    config_ = *std::move(config);
    lab_ =
        Lab::Create(config_, {.clock = &clock_, .audit = &audit_, .alarm_store = &alarms_}).value();
    stepper_ = std::make_unique<LabStepper>(lab_.get(), &clock_);
  }
  ~BatteryTestLab() override { stepper_.reset(); }

  double Number(const std::string& name) {
    const size_t slash = name.find('/');
    const auto device = lab_->hub().cache().FindDevice(name.substr(0, slash));
    const auto snapshot = lab_->hub().cache().Snapshot(device.value());
    const auto item = snapshot->items().Find(name.substr(slash + 1));
    if (!item || !snapshot->Read(*item).value.has_value()) return std::nan("");
    return snapshot->Read(*item).value.AsNumber();
  }
  SafetyState State() { return lab_->hub().interlocks()->state(); }
  InterlockInfo Danger() { return lab_->hub().interlocks()->List().at(0); }
  absl::Status Act(const std::string& action, Arguments arguments = {}) {
    absl::Status status = absl::UnknownError("under way");
    lab_->hub().gate().Submit({.caller = {"test", Role::kEngineer},
                               .device_id = "pcs1",
                               .what = ActionCall{action, std::move(arguments)},
                               .wait_for = Stage::kSettled},
                              [&](CommandResult result) { status = result.status; });
    stepper_->RunUntilTrue([&] { return status.code() != absl::StatusCode::kUnknown; }, minutes(1));
    return status;
  }
  // Charges with 50 A to 445 V: 4.12 V on the mean cell, 4.27 V on the highest.
  void Overcharge() {
    ASSERT_TRUE(
        stepper_->RunUntilTrue([&] { return State() == SafetyState::kNormal; }, seconds(30)));
    const absl::Status set = Act("set_mode", {{"mode", Value::Text("dc_cc_cv")},
                                              {"voltage_setpoint", Value::Number(445)},
                                              {"current_setpoint", Value::Number(-50)},
                                              {"end_current", Value::Number(1)}});
    ASSERT_TRUE(set.ok()) << set;
    const absl::Status started = Act("start");
    ASSERT_TRUE(started.ok()) << started;
  }

  // A cell of module 3 says this from now on.
  void Force(int cell, double volt) {
    ASSERT_TRUE(lab_->simulator("bat0")
                    ->InjectFault("force", {{"module", Value::Integer(3)},
                                            {"signal", Value::Text("Cell_" + std::to_string(cell) +
                                                                   "_Voltage")},
                                            {"value", Value::Number(volt)}})
                    .ok());
  }
  // Sets a constant current and starts.
  void Run(double ampere) {
    ASSERT_TRUE(stepper_->RunUntilTrue([&] { return State() != SafetyState::kInit; }, seconds(30)));
    ASSERT_TRUE(Act("set_mode", {{"mode", Value::Text("dc_constant_current")},
                                 {"current_setpoint", Value::Number(ampere)}})
                    .ok());
    ASSERT_TRUE(Act("start").ok());
  }
  bool RunUntilCurrent(double ampere, Duration within) {
    return stepper_->RunUntilTrue(
        [&] { return std::abs(Number("pcs1/dc_current") - ampere) < 0.3; }, within);
  }

  SimulatedClock clock_;
  MemoryAudit audit_;
  MemoryAlarmStore alarms_;
  Config config_;
  std::unique_ptr<Lab> lab_;
  std::unique_ptr<LabStepper> stepper_;
};

TEST_F(BatteryTestLab, TheConvertersCurrentFlowsThroughThePack) {
  Overcharge();
  stepper_->RunFor(seconds(5));
  EXPECT_NEAR(Number("pcs1/dc_current"), -50, 1);
  EXPECT_NEAR(Number("bat0/pack.current_mean"), -50, 1);
  EXPECT_NEAR(Number("pcs1/dc_voltage"), Number("bat0/pack.voltage"), 3);
}

TEST_F(BatteryTestLab, TheSupervisorSeesItsDevicesAndNoOther) {
  stepper_->RunFor(seconds(5));
  const LabObserver observer(lab_.get(), seconds(1));
  ASSERT_EQ(observer.Look().devices.size(), 2u);
  EXPECT_EQ(observer.Look().devices[1].id, "bat0");
}

TEST_F(BatteryTestLab, OverchargingACellStopsTheConverterByItself) {
  Overcharge();
  double highest = 0;
  ASSERT_TRUE(stepper_->RunUntilTrue(
      [&] {
        highest = std::max(highest, Number("bat0/pack.cell_voltage_max"));
        return Danger().state != InterlockState::kClear;
      },
      minutes(20)));
  EXPECT_THAT(Danger().causes[0].ToText(clock_.Now()),
              AnyOf(HasSubstr("level cells is dangerous"), HasSubstr("bat0/pack.level")));
  EXPECT_NEAR(highest, 4.2, 0.011) << "one count of the signal";
  // Nobody but the rule asked for it.
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return Danger().complete; }, seconds(5)));
  EXPECT_LE(std::abs(Number("pcs1/dc_current")), 2);
  EXPECT_EQ(State(), SafetyState::kSecurity);
  const absl::Status refused = Act("start");
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("interlock battery_danger "), HasSubstr("level cells is dangerous")));
  // It stays stopped, whatever happens to the voltage of the cell without its current.
  stepper_->RunFor(minutes(2));
  EXPECT_LE(std::abs(Number("pcs1/dc_current")), 2);
}

TEST_F(BatteryTestLab, TheStopIsGivenInTheMomentOfTheDangerousFrame) {
  Overcharge();
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return Danger().state == InterlockState::kTripped; },
                                     minutes(20)));
  const std::optional<MonoTime> read = Danger().causes.at(0).time;
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(clock_.Now(), *read);
  const AuditPage page = audit_.Query({}).value();
  std::vector<std::string> kinds;
  for (const AuditEntry& entry : page.entries) kinds.push_back(entry.kind + " " + entry.device_id);
  EXPECT_THAT(kinds, Contains("safe_action pcs1"));
}

TEST_F(BatteryTestLab, ASilentPackStopsTheConverterToo) {
  Overcharge();
  ASSERT_TRUE(lab_->simulator("bat0")->InjectFault("silence", {}).ok());
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return Danger().complete; }, seconds(10)));
  EXPECT_LE(std::abs(Number("pcs1/dc_current")), 2);
}

TEST_F(BatteryTestLab, IsLetGoOnceEveryLevelIsNormal) {
  Overcharge();
  Force(7, 4.25);
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return Danger().complete; }, seconds(10)));
  const Caller alice{"alice", Role::kOperator};
  EXPECT_EQ(lab_->hub().interlocks()->Acknowledge(alice, "battery_danger", "").status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(lab_->simulator("bat0")->ClearFaults("").ok());
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return Danger().state == InterlockState::kLatched; },
                                     seconds(10)));
  const auto acknowledged = lab_->hub().interlocks()->Acknowledge(alice, "battery_danger", "ok");
  EXPECT_TRUE(acknowledged.ok()) << acknowledged.status();
  EXPECT_TRUE(Act("start").ok());
}

// Corrective action of section 5.4, in both directions.
TEST_F(BatteryTestLab, AFullCellIsDischargedUntilItsLevelIsNormal) {
  Run(-50);
  Force(7, 4.12);
  EXPECT_TRUE(RunUntilCurrent(2, seconds(3)));
  EXPECT_EQ(State(), SafetyState::kWarning);
  const absl::Status refused = Act("update_parameters", {});
  EXPECT_THAT(std::string(refused.message()), HasSubstr("interlock cells_high has tripped"));
  EXPECT_TRUE(lab_->simulator("bat0")->ClearFaults("").ok());
  EXPECT_TRUE(RunUntilCurrent(0, seconds(3)));
  EXPECT_TRUE(stepper_->RunUntilTrue([&] { return State() == SafetyState::kNormal; }, seconds(1)));
  EXPECT_EQ(Danger().trips, 0u);
}

TEST_F(BatteryTestLab, AnEmptyCellIsCharged) {
  Run(30);
  Force(7, 2.79);
  EXPECT_TRUE(RunUntilCurrent(-2, seconds(3)));
}

TEST_F(BatteryTestLab, AStartInTheWrongDirectionIsCorrected) {
  stepper_->RunFor(seconds(5));
  Force(7, 4.12);
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return State() == SafetyState::kWarning; }, seconds(3)));
  Run(-50);
  EXPECT_TRUE(RunUntilCurrent(2, seconds(3)));
}

TEST_F(BatteryTestLab, AStartInTheRightDirectionIsLeftAlone) {
  stepper_->RunFor(seconds(5));
  Force(7, 4.12);
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return State() == SafetyState::kWarning; }, seconds(3)));
  Run(20);
  stepper_->RunFor(seconds(10));
  EXPECT_NEAR(Number("pcs1/dc_current"), 20, 1);
}

TEST_F(BatteryTestLab, TooLowAndTooHighAtOnceStopsTheConverter) {
  Run(-50);
  Force(7, 4.12);
  ASSERT_TRUE(RunUntilCurrent(2, seconds(3)));
  Force(8, 2.79);
  EXPECT_TRUE(RunUntilCurrent(0, seconds(3)));
  EXPECT_EQ(Danger().state, InterlockState::kTripped);
  EXPECT_EQ(Act("start").code(), absl::StatusCode::kFailedPrecondition);
}

// ---------------------------------------------------------------- rules that can never fire

// The message for rules over real drivers.
std::string RuleError(const std::string& rules) {
  return std::string(ParseConfig(R"(
buses: {lab: {type: simulated, bitrate: 500000}}
devices:
  pcs1: {driver: ystech-pcs, bus: lab, address: 0xFA}
  bat0: {driver: battery-module, bus: lab}
)" + rules,
                                 "lab.yaml", AllDrivers())
                         .status()
                         .message());
}

TEST(RulesOverDrivers, ABoundThatNoCellCanReport) {
  EXPECT_EQ(RuleError("levels:\n  cells: {items: 'bat0/module*.cell*_voltage', count: 12, "
                      "dangerous_high: 4.8 V}\n"),
            "lab.yaml:7: levels.cells.dangerous_high: found 4.8 V, expected at most 4.75 V, the "
            "highest that the item can report: this bound is never reached");
  EXPECT_EQ(RuleError("levels:\n  cells: {items: 'bat0/module*.cell*_voltage', count: 12, "
                      "dangerous_low: 2 V}\n"),
            "lab.yaml:7: levels.cells.dangerous_low: found 2 V, expected at least 2.2 V, the "
            "lowest that the item can report: this bound is never reached");
}

TEST(RulesOverDrivers, AConditionThatNoReadingMakesTrue) {
  const auto when = [](const std::string& condition) {
    return RuleError("interlocks:\n  guard: {when: " + condition + ", do: [pcs1/stop]}\n");
  };
  const char* const never =
      "lab.yaml:7: interlocks.guard.when: found a condition that can never hold, expected one that "
      "some reading makes true";
  EXPECT_EQ(when("bat0/pack.level >= 3"), never);
  EXPECT_EQ(when("pcs1/dc_voltage_coarse > 7 kV"), never);
  EXPECT_EQ(when("pcs1/inlet_temperature < -60 degC"), never);
  EXPECT_EQ(when("abs(bat0/pack.current_max) > 4 kA"), never);
  EXPECT_EQ(when("abs(bat0/pack.current_max) > 3 kA"), "");
}

// ---------------------------------------------------------------- replay

// What passes on the lines of the example while a cell is overcharged, in the form of candump -l.
TEST_F(BatteryTestLab, AReplayTellsWhatWouldHaveHappened) {
  LineTap tap;
  const auto node = lab_->line("modules")->CreateNode("logger");
  node->AddTap(&tap);
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return State() == SafetyState::kNormal; }, seconds(30)));
  stepper_->RunFor(seconds(2));
  Force(7, 4.25);
  const MonoTime forced = clock_.Now();
  stepper_->RunFor(seconds(2));
  node->RemoveTap(&tap);
  std::stringstream log;
  for (const TappedFrame& frame : tap.frames) {
    log << FormatCandumpLine(clock_.ToWall(frame.time), "can7", frame.frame) << "\n";
  }
  ASSERT_FALSE(tap.frames.empty());
  std::vector<ReplayEvent> events;
  const absl::StatusOr<ReplaySummary> summary = ReplayLog(
      config_, log, {.buses = {{"can7", "modules"}}, .on_event = [&](const ReplayEvent& e) {
                       events.push_back(e);
                     }});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->frames, tap.frames.size());
  EXPECT_EQ(summary->trips.at("battery_danger"), 1u);
  const auto tripped = std::find_if(events.begin(), events.end(), [](const ReplayEvent& event) {
    return event.kind == "interlock" && event.text.find(" tripped: ") != std::string::npos;
  });
  ASSERT_NE(tripped, events.end());
  EXPECT_THAT(tripped->text, HasSubstr("bat0/module3.cell7_voltage is 4.25 V"));
  const Duration expected = forced - tap.frames.front().time;
  EXPECT_GE(tripped->at, expected);
  EXPECT_LE(tripped->at, expected + milliseconds(300));
  std::vector<std::string> texts;
  for (const ReplayEvent& event : events) texts.push_back(event.kind + ": " + event.text);
  EXPECT_THAT(texts, Contains(HasSubstr("safe_action: pcs1: stop")));
}

TEST_F(BatteryTestLab, AReplayRefusesWhatIsNoLog) {
  const auto error = [&](const std::string& text, std::map<std::string, std::string> buses) {
    std::stringstream log(text);
    return std::string(ReplayLog(config_, log, {.buses = std::move(buses), .on_event = nullptr})
                           .status()
                           .message());
  };
  EXPECT_THAT(error("", {}), HasSubstr("found no frame"));
  EXPECT_THAT(error("(1700000000.0) can0 181#00\nnonsense\n", {}), HasSubstr("line 2: "));
  // A recorder that got its time from the network while it wrote.
  EXPECT_THAT(
      error("(12.0) can0 181#00\n(1700000000.0) can0 181#00\n", {{"can0", "modules"}}),
      HasSubstr("line 2: found a frame 1699999988 s after the one before, expected at most 24 h"));
  EXPECT_THAT(error("", {{"can0", "modles"}}), HasSubstr("did you mean \"modules\"?"));
  Config none = config_;
  none.safety = {};
  std::stringstream log;
  EXPECT_EQ(ReplayLog(none, log, {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

// ---------------------------------------------------------------- the service

constexpr char kServed[] = R"(
  hv0: {driver: iseg, bus: lab, address: 0, simulate: true, sim_model: E16C1}
  hv1: {driver: iseg, bus: lab, address: 1, simulate: true, sim_model: E16C1}
  pcs1: {driver: ystech-pcs, bus: lab, address: 0x01, simulate: true, sim_noise: 0}
levels:
  volts: {items: pcs1/dc_voltage, warning_high: 450 V, dangerous_high: 500 V, hysteresis: 5 V}
interlocks:
  too_high:
    description: the battery is above what its cells bear
    when: level volts is dangerous
    do: [pcs1/stop]
    refuse: [pcs1, hv1/ch0.voltage_set]
)";

class InterlockServiceTest : public testing::Test {
 protected:
  using Api = v1::InterlockService::StubInterface::async_interface;
  InterlockServiceTest() : lab_({}, {}, {.devices = kServed}) {
    stub_ = v1::InterlockService::NewStub(lab_.channel());
  }
  void SetUp() override { lab_.WaitPolled(); }
  v1::ListInterlocksResponse List() {
    v1::ListInterlocksResponse response;
    const grpc::Status status =
        lab_.Rpc(stub_->async(), &Api::ListInterlocks, v1::ListInterlocksRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  grpc::Status Acknowledge(const std::string& id) {
    v1::AcknowledgeInterlockRequest request;
    request.set_interlock_id(id);
    request.set_comment("seen");
    v1::AcknowledgeInterlockResponse response;
    return lab_.Rpc(stub_->async(), &Api::AcknowledgeInterlock, request, &response);
  }
  void SetBattery(std::optional<double> volts) {
    v1::ClearFaultsRequest clear;
    clear.set_device_id("pcs1");
    v1::ClearFaultsResponse cleared;
    using Sim = v1::SimulationService::StubInterface::async_interface;
    lab_.Rpc(lab_.simulation->async(), &Sim::ClearFaults, clear, &cleared);
    if (volts) {
      v1::InjectFaultRequest inject;
      inject.set_device_id("pcs1");
      inject.set_fault("battery_voltage");
      (*inject.mutable_parameters())["volts"].set_number(*volts);
      v1::InjectFaultResponse injected;
      EXPECT_TRUE(lab_.Rpc(lab_.simulation->async(), &Sim::InjectFault, inject, &injected).ok());
    }
    lab_.RunFor(seconds(2));
  }

  RpcLab lab_;
  std::unique_ptr<v1::InterlockService::Stub> stub_;
};

TEST_F(InterlockServiceTest, ListsRulesAndStates) {
  const v1::ListInterlocksResponse response = List();
  EXPECT_EQ(response.state(), v1::SAFETY_STATE_NORMAL);
  ASSERT_EQ(response.interlocks_size(), 1);
  EXPECT_EQ(response.interlocks(0).state(), v1::INTERLOCK_STATE_CLEAR);
  EXPECT_EQ(response.interlocks(0).condition(), "level volts is dangerous");
  EXPECT_EQ(response.interlocks(0).refuses(0), "pcs1");
  ASSERT_EQ(response.levels_size(), 1);
  EXPECT_EQ(response.levels(0).level(), v1::SAFETY_LEVEL_NORMAL);
}

TEST_F(InterlockServiceTest, TripsRefusesAndIsAcknowledged) {
  SetBattery(510);
  v1::ListInterlocksResponse response = List();
  EXPECT_EQ(response.state(), v1::SAFETY_STATE_SECURITY);
  EXPECT_EQ(response.interlocks(0).state(), v1::INTERLOCK_STATE_TRIPPED);
  EXPECT_TRUE(response.interlocks(0).complete());
  EXPECT_TRUE(response.interlocks(0).steps(0).done());
  EXPECT_EQ(response.interlocks(0).causes(0).subject(), "pcs1/dc_voltage");
  EXPECT_THAT(response.levels(0).worst(), HasSubstr("pcs1/dc_voltage is 510 V"));

  using Pcs = v1::PowerConverterService::StubInterface::async_interface;
  const auto pcs = v1::PowerConverterService::NewStub(lab_.channel());
  v1::StartRequest start;
  start.set_device_id("pcs1");
  v1::StartResponse started;
  const grpc::Status refused = lab_.Rpc(pcs->async(), &Pcs::Start, start, &started);
  EXPECT_EQ(refused.error_code(), StatusCode::FAILED_PRECONDITION);
  const google::rpc::ErrorInfo info = InfoOf(refused);
  EXPECT_EQ(info.reason(), "INTERLOCKED");
  EXPECT_EQ(info.metadata().at("interlock"), "too_high");
  EXPECT_EQ(info.metadata().at("reading"), "pcs1/dc_voltage");

  EXPECT_EQ(Acknowledge("too_high").error_code(), StatusCode::FAILED_PRECONDITION);
  SetBattery(std::nullopt);
  const grpc::Status acknowledged = Acknowledge("too_high");
  EXPECT_TRUE(acknowledged.ok()) << acknowledged.error_message();
  EXPECT_EQ(List().state(), v1::SAFETY_STATE_NORMAL);
  // Who has let it go has seen its alarm.
  for (const AlarmRecord& alarm : lab_.hub().alarms().List({.device_id = "safety"})) {
    EXPECT_NE(alarm.code, "too_high");
  }
}

TEST_F(InterlockServiceTest, AcknowledgingNeedsTheRoleAndTheName) {
  EXPECT_EQ(Acknowledge("").error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Acknowledge("to_high").error_code(), StatusCode::NOT_FOUND);
  lab_.SetRole(Role::kViewer);
  EXPECT_EQ(Acknowledge("too_high").error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(List().interlocks_size(), 1);
}

TEST_F(InterlockServiceTest, ItsItemsAreReadLikeAllOthersAndItIsNoDevice) {
  using Items = v1::ItemService::StubInterface::async_interface;
  v1::GetItemsRequest get;
  get.add_names("safety/state");
  v1::GetItemsResponse got;
  const grpc::Status status = lab_.Rpc(lab_.items->async(), &Items::GetItems, get, &got);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(got.readings_size(), 1);
  EXPECT_EQ(got.readings(0).value().integer(), 1);
  EXPECT_TRUE(got.readings(0).simulated());
  v1::ListItemsRequest list;
  v1::ListItemsResponse listed;
  EXPECT_TRUE(lab_.Rpc(lab_.items->async(), &Items::ListItems, list, &listed).ok());
  using Devices = v1::DeviceService::StubInterface::async_interface;
  v1::ListDevicesResponse devices;
  EXPECT_TRUE(
      lab_.Rpc(lab_.devices->async(), &Devices::ListDevices, v1::ListDevicesRequest(), &devices)
          .ok());
  EXPECT_EQ(devices.devices_size(), 3);
}

TEST_F(InterlockServiceTest, S08_OneRefusedWriteAmongManySendsNone) {
  using Items = v1::ItemService::StubInterface::async_interface;
  const auto set = [&](double volts) {
    v1::SetItemsRequest request;
    for (const char* item : {"hv0/ch0.voltage_set", "hv1/ch0.voltage_set"}) {
      v1::ItemWrite* write = request.add_writes();
      write->set_name(item);
      write->mutable_value()->set_number(volts);
    }
    v1::SetItemsResponse response;
    return lab_.Rpc(lab_.items->async(), &Items::SetItems, request, &response);
  };
  const auto read = [&](const std::string& device) {
    const auto index = lab_.hub().cache().FindDevice(device).value();
    const auto snapshot = lab_.hub().cache().Snapshot(index);
    return snapshot->Read(snapshot->items().Find("ch0.voltage_set").value()).value.AsNumber();
  };
  ASSERT_TRUE(set(50).ok());
  SetBattery(510);
  const grpc::Status refused = set(70);
  EXPECT_EQ(refused.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(InfoOf(refused).reason(), "INTERLOCKED");
  lab_.RunFor(seconds(2));
  EXPECT_EQ(read("hv0"), 50);
}

}  // namespace
}  // namespace canhub
