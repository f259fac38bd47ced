// Several devices behind one Xcom-CAN, in a whole lab on a virtual clock (ADR 0007).
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/config/loader.h"
#include "daemon/lab_stepper.h"
#include "daemon/store/test_directory.h"
#include "drivers/all_drivers.h"
#include "drivers/api/errors.h"
#include "drivers/testing/simulated_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr char kPlant[] = R"(
buses:
  solar: {type: simulated, bitrate: 125000}
devices:
  xcom1: {driver: studer, bus: solar, unit: gateway, simulate: true}
  xt1: {driver: studer, bus: solar, unit: xtender, number: 1, limits: {charge_current: 100 A}}
  xt2: {driver: studer, bus: solar, unit: xtender, number: 2}
  vt1: {driver: studer, bus: solar, unit: variotrack}
  bsp1: {driver: studer, bus: solar, unit: bsp}
  rcc1: {driver: studer, bus: solar, unit: rcc}
)";

// Questions of the daemon and answers of the gateway, as they pass on the line.
class OpenQuestions final : public FrameTap {
 public:
  void OnFrame(const TappedFrame& tapped) override {
    // Section 2: destination in bits 28 to 19, 0 is the client's; service 3 asks nothing.
    const bool to_client = tapped.frame.id >> 19 == 0;
    if ((tapped.frame.id >> 6 & 7) == 3) return;
    if (tapped.own) {
      ++questions;
      most = std::max(most, ++open);
      last_unit = tapped.frame.id >> 19;
    } else if (to_client) {
      open = std::max(0, open - 1);
    }
  }
  int questions = 0, open = 0, most = 0;
  uint32_t last_unit = 0;
};

class StuderLab {
 public:
  // "" for a lab that forgets.
  explicit StuderLab(std::string yaml = kPlant, const std::string& directory = "") {
    if (!directory.empty()) yaml = "state_directory: " + directory + "\n" + yaml;
    config_ = ParseConfig(yaml, "studer.yaml", AllDrivers()).value();
    LabOptions options;
    options.clock = &clock_;
    if (directory.empty()) {
      options.audit = &audit_;
      options.alarm_store = &alarm_store_;
    }
    lab_ = Lab::Create(config_, std::move(options)).value();
    stepper_ = std::make_unique<LabStepper>(lab_.get(), &clock_);
    lab_->hub().FindBus("solar")->bus->AddTap(&questions_);
  }
  ~StuderLab() {
    lab_->hub().FindBus("solar")->bus->RemoveTap(&questions_);
    stepper_.reset();
  }

  bool WaitPolled() {
    return stepper_->RunUntilTrue(
        [this] {
          for (DeviceIndex i = 0; i < lab_->hub().cache().size(); ++i) {
            if (!lab_->hub().cache().Snapshot(i)->polled()) return false;
          }
          return true;
        },
        60s);
  }
  void RunFor(Duration time) { stepper_->RunFor(time); }
  bool RunUntilTrue(const std::function<bool()>& done, Duration limit) {
    return stepper_->RunUntilTrue(done, limit);
  }
  // Its actor takes no step any more.
  void Pause(const std::string& device) {
    // The line and its simulators come first, then the actors in the order of the configuration.
    const size_t at = 2 + *lab_->hub().cache().FindDevice(device);
    stepper_->runner().Pause(lab_->Steppables()[at], true);
  }
  Reading Read(const std::string& device, const std::string& item) {
    const auto snapshot = lab_->hub().cache().Snapshot(*lab_->hub().cache().FindDevice(device));
    Reading reading = snapshot->Read(*snapshot->items().Find(item));
    reading.quality = reading.EffectiveQuality(clock_.Now());
    return reading;
  }
  // The command's end; nullopt: it has not ended in time.
  std::optional<CommandResult> Submit(CommandRequest request, Duration limit = 5s) {
    auto result = std::make_shared<std::optional<CommandResult>>();
    request.caller = {.identity = "test", .role = Role::kEngineer};
    lab_->hub().gate().Submit(std::move(request),
                              [result](CommandResult r) { *result = std::move(r); });
    stepper_->RunUntilTrue([&] { return result->has_value(); }, limit);
    return *std::move(result);
  }
  std::optional<CommandResult> Set(const std::string& device, const std::string& item,
                                   Value value) {
    return Submit({.device_id = device, .what = std::vector<NamedWrite>{{item, std::move(value)}}});
  }
  std::optional<CommandResult> Act(const std::string& device, const std::string& action,
                                   Arguments arguments = {}) {
    return Submit({.device_id = device, .what = ActionCall{action, std::move(arguments)}});
  }
  absl::Status Fault(const std::string& fault, Arguments arguments = {}) {
    return lab_->simulator("xcom1")->InjectFault(fault, arguments);
  }
  Lab& lab() { return *lab_; }
  OpenQuestions& questions() { return questions_; }

 private:
  SimulatedClock clock_;
  MemoryAudit audit_;
  MemoryAlarmStore alarm_store_;
  Config config_;
  OpenQuestions questions_;
  std::unique_ptr<Lab> lab_;
  std::unique_ptr<LabStepper> stepper_;
};

TEST(StuderLab, EveryUnitIsADeviceOfItsOwn) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  EXPECT_EQ(lab.Read("xt1", "output_voltage").value.number(), 230);
  EXPECT_EQ(lab.Read("xt2", "battery_voltage").quality, Quality::kGood);
  EXPECT_GT(lab.Read("vt1", "power_of_the_pv_generator").value.number(), 0);
  EXPECT_EQ(lab.Read("bsp1", "battery_voltage").value.number(),
            lab.Read("vt1", "battery_voltage").value.number());
}

TEST(StuderLab, TheGatewayHasOneQuestionAtATime) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  lab.RunFor(60s);
  EXPECT_GT(lab.questions().questions, 500);
  EXPECT_EQ(lab.questions().most, 1);
}

TEST(StuderLab, S09_ASilentUnitDoesNotStarveTheOthers) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  ASSERT_TRUE(lab.Fault("unit_silent", {{"unit", Value::Integer(102)}}).ok());
  for (int i = 0; i < 120; ++i) {
    lab.RunFor(1s);
    ASSERT_EQ(lab.Read("xt1", "battery_voltage").quality, Quality::kGood) << i;
    ASSERT_EQ(lab.Read("vt1", "battery_voltage").quality, Quality::kGood) << i;
  }
  EXPECT_NE(lab.Read("xt2", "battery_voltage").quality, Quality::kGood);
}

TEST(StuderLab, S09_AnActorThatHangsWithTheTurnHoldsTheOthersUpForTwoSecondsOnly) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  ASSERT_TRUE(lab.Fault("unit_silent", {{"unit", Value::Integer(102)}}).ok());
  // It asks, and its actor stops before the answer is given up.
  ASSERT_TRUE(lab.RunUntilTrue([&] { return lab.questions().last_unit == 102; }, 30s));
  lab.Pause("xt2");
  const MonoTime before = lab.Read("xt1", "battery_voltage").read_time;
  lab.RunFor(8s);
  EXPECT_GT(lab.Read("xt1", "battery_voltage").read_time, before);
  lab.RunFor(60s);
  EXPECT_EQ(lab.Read("xt1", "battery_voltage").quality, Quality::kGood);
  EXPECT_EQ(lab.Read("bsp1", "battery_voltage").quality, Quality::kGood);
}

TEST(StuderLab, ACommandGoesBeforePolling) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  lab.RunFor(4990ms);  // all poll at about the same time
  const auto result = lab.Set("xt1", "parameter.battery_charge_current", Value::Number(40));
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->status.ok()) << result->status;
  // Two bounds and the write, each after at most one question of somebody else.
  EXPECT_LT(result->receipt.confirmed - result->receipt.accepted, 250ms);
}

TEST(StuderLab, ALimitOfTheConfigurationHolds) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  const auto result = lab.Set("xt1", "parameter.battery_charge_current", Value::Number(120));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(GetErrorInfo(result->status).reason, "SETPOINT_ABOVE_LIMIT");
  EXPECT_THAT(std::string(result->status.message()), HasSubstr("studer.yaml:6"));
  const auto other = lab.Set("xt2", "parameter.battery_charge_current", Value::Number(120));
  ASSERT_TRUE(other.has_value());
  EXPECT_TRUE(other->status.ok()) << other->status;
}

TEST(StuderLab, TheGatesRangeIsTheFamilys) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  const auto result = lab.Set("xt2", "1286", Value::Number(300));
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(result->status.message()), HasSubstr("280"));
}

TEST(StuderLab, AMessageIsAnAlarmOfItsUnit) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  ASSERT_TRUE(
      lab.Fault("message", {{"message", Value::Integer(16)}, {"unit", Value::Integer(102)}}).ok());
  lab.RunFor(1s);
  bool found = false;
  for (const AlarmRecord& alarm : lab.lab().hub().alarms().List({})) {
    if (alarm.code != "message.16") continue;
    found = true;
    EXPECT_EQ(alarm.device_id, "xt2");
    EXPECT_THAT(alarm.text, HasSubstr("fan fault"));
  }
  EXPECT_TRUE(found);
}

TEST(StuderLab, AnotherClientsTrafficDisturbsNothing) {
  StuderLab lab;
  ASSERT_TRUE(lab.WaitPolled());
  const auto other = lab.lab().line("solar")->CreateNode("other");
  struct Sink final : FrameSink {
    void OnRx(const RxFrame&) override {}
    void OnTxReport(const TxReport&) override {}
    void OnBusState(BusState) override {}
  } sink;
  const std::unique_ptr<BusPort> port = other->Attach({}, &sink);
  for (int i = 0; i < 200; ++i) {
    // Battery frames and questions with client address 1.
    port->Send({.frame = *ParseFrame("351#480200050005AE01")}).IgnoreError();
    port->Send({.frame = *ParseFrame("03280200#0BB8")}).IgnoreError();
    lab.RunFor(100ms);
    ASSERT_EQ(lab.Read("xt1", "battery_voltage").quality, Quality::kGood);
  }
}

TEST(StuderLab, S11_FlashWearOutlivesKillMinusNine) {
  const TestDirectory directory;
  std::string state = directory / "0";
  for (int run = 1; run <= 3; ++run) {
    StuderLab lab(kPlant, state);
    ASSERT_TRUE(lab.WaitPolled());
    const auto result =
        lab.Act("xt1", "write_flash",
                {{"parameter", Value::Text("1138")}, {"value", Value::Number(20 + run)}});
    ASSERT_TRUE(result.has_value());
    ASSERT_TRUE(result->status.ok()) << result->status;
    EXPECT_EQ(FindArgument(result->results, "flash_writes")->integer(), run);
    // What the next daemon finds is what is on disk at this moment: nothing that the end of this
    // one may still write.
    const std::string next = directory / std::to_string(run);
    std::filesystem::copy(state, next, std::filesystem::copy_options::recursive);
    state = next;
  }
}

}  // namespace
}  // namespace canhub
