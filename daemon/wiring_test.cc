#include "daemon/wiring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "daemon/config/loader.h"
#include "daemon/lab_stepper.h"
#include "daemon/wiring_reload.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ------------------------------------------------------------ a family made for this test

// A meter: answers every request with a count, unless it is silenced.
constexpr uint32_t kRequest = 0x100, kAnswer = 0x200;
constexpr ItemSpec kMeterItems[] = {{.name = "count", .type = ValueType::kInteger}};

class Meter final : public Driver {
 public:
  explicit Meter(DriverContext context)
      : context_(context),
        address_(static_cast<uint32_t>(context.config.Parameter("address").integer())) {}
  void Start() override {
    context_.state.SetItems(
        std::make_shared<ItemTable>(std::vector<ItemBlock>{{.specs = kMeterItems}}));
    context_.timers.Every(milliseconds(100), [this] {
      static_cast<void>(context_.bus.Send({.frame = MakeFrame(kRequest + address_, {1})}));
    });
  }
  void OnFrame(const RxFrame& frame) override {
    context_.state.SetLink(LinkState::kOnline, "answers");
    context_.state.Set(0, Value::Integer(frame.frame.data[0]), frame.time, milliseconds(300));
    context_.state.SetPolled(true);
  }
  void OnTxReport(const TxReport&) override {}
  void OnBusState(BusState) override {}
  void Execute(Command command) override {
    const auto* action = std::get_if<ActionCall>(&command.what);
    static_cast<void>(context_.bus.Send({.frame = MakeFrame(kRequest + address_, {0xFF}),
                                         .urgency = command.urgency,
                                         .guard = command.guard}));
    context_.commands.Reached(command.id, Stage::kSent, context_.clock.Now());
    context_.commands.Reached(command.id, Stage::kConfirmed, context_.clock.Now());
    context_.commands.Finish(command.id, action != nullptr && action->name == "safe"
                                             ? absl::OkStatus()
                                             : absl::UnimplementedError("no such action"));
  }
  void Cancel(CommandId id, absl::Status why) override { context_.commands.Finish(id, why); }
  void Refresh(std::vector<ItemId>, std::function<void(absl::Status)> done) override {
    done(absl::OkStatus());
  }

 private:
  DriverContext context_;
  const uint32_t address_;
};

class MeterSimulator final : public Simulator {
 public:
  explicit MeterSimulator(SimulatorContext context)
      : context_(context),
        address_(static_cast<uint32_t>(context.config.Parameter("address").integer())) {}
  void Start() override {}
  void OnFrame(const RxFrame& frame) override {
    if (frame.frame.id != kRequest + address_ || silent_) return;
    static_cast<void>(context_.bus.Send(
        {.frame = MakeFrame(kAnswer + address_, {static_cast<uint8_t>(count_++)})}));
  }
  absl::Status InjectFault(std::string_view fault, const Arguments&) override {
    if (fault != "silence") return absl::NotFoundError("no such fault");
    silent_ = true;
    return absl::OkStatus();
  }
  absl::StatusOr<int> ClearFaults(std::string_view) override {
    return std::exchange(silent_, false) ? 1 : 0;
  }
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() const override { return {}; }
  absl::Status SetLoad(std::optional<int>, std::optional<double>, std::optional<double>) override {
    return absl::UnimplementedError("no output");
  }

 private:
  SimulatorContext context_;
  const uint32_t address_;
  int count_ = 0;
  bool silent_ = false;
};

std::span<const DriverInfo* const> Drivers() {
  static const DriverInfo info = {
      .name = "meter",
      .kind = "meter",
      .description = "A meter.",
      .parameters =
          {{.name = "address", .type = ParameterType::kInteger, .minimum = 0, .maximum = 15}},
      .limits = {{"count", "V", 100, "largest count"}},
      .actions = {{"safe", Role::kOperator, true, "stops counting"}},
      .default_safe_action = "safe",
      .check = nullptr,
      .address = [](const DeviceConfig& c) { return c.Parameter("address").ToString(); },
      .filters =
          [](const DeviceConfig& c) {
            return std::vector<CanFilter>{
                {.id = kAnswer + static_cast<uint32_t>(c.Parameter("address").integer()),
                 .mask = 0x7FF}};
          },
      .create = [](DriverContext c) -> std::unique_ptr<Driver> {
        return std::make_unique<Meter>(c);
      },
      .create_simulator = [](SimulatorContext c) -> std::unique_ptr<Simulator> {
        return std::make_unique<MeterSimulator>(c);
      },
  };
  static const DriverInfo* const drivers[] = {&info};
  return drivers;
}

constexpr char kTwoMeters[] =
    "buses: {line: {type: simulated, bitrate: 125000}}\n"
    "devices:\n"
    "  a: {driver: meter, bus: line, address: 1, simulate: true, on_shutdown: safe}\n"
    "  b: {driver: meter, bus: line, address: 2, simulate: true}\n";

// A folder of its own for each test, empty at its start.
class WiringTest : public testing::Test {
 protected:
  WiringTest() {
    folder_ = testing::TempDir() + "canhub_wiring_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~WiringTest() override { std::filesystem::remove_all(folder_); }

  Config Load(const std::string& text) {
    absl::StatusOr<Config> config = ParseConfig(text, folder_ + "/lab.yaml", Drivers());
    EXPECT_TRUE(config.ok()) << config.status();
    config->state_directory = folder_ + "/state";
    return *std::move(config);
  }
  void WriteFile(const std::string& text) {
    std::FILE* file = std::fopen((folder_ + "/lab.yaml").c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
  }

  std::string folder_;
  SimulatedClock clock_;
};

std::string LinkOf(Lab& lab, DeviceIndex device) {
  return std::string(ToString(lab.hub().cache().Snapshot(device)->link()));
}

TEST_F(WiringTest, ALabRunsOnAVirtualClock) {
  auto lab = Lab::Create(Load(kTwoMeters), {.clock = &clock_});
  ASSERT_TRUE(lab.ok()) << lab.status();
  LabStepper stepper(lab->get(), &clock_);
  stepper.RunFor(milliseconds(1050));
  for (const DeviceIndex device : {0u, 1u}) {
    const Reading count = (*lab)->hub().cache().Snapshot(device)->Read(0);
    EXPECT_EQ(count.EffectiveQuality(clock_.Now()), Quality::kGood);
    EXPECT_EQ(count.value, Value::Integer(9)) << "ten requests in 1.05 s";
  }
}

TEST_F(WiringTest, TwoRunsAreTheSame) {
  const auto run = [&] {
    std::filesystem::remove_all(folder_ + "/state");
    SimulatedClock clock;
    auto lab = Lab::Create(Load(kTwoMeters), {.clock = &clock});
    EXPECT_TRUE(lab.ok()) << lab.status();
    LabStepper stepper(lab->get(), &clock);
    stepper.RunFor(seconds(5));
    const Reading reading = (*lab)->hub().cache().Snapshot(1)->Read(0);
    return std::make_tuple(stepper.runner().steps(), reading.read_time, reading.value.ToString());
  };
  EXPECT_EQ(run(), run());
}

TEST_F(WiringTest, LinesComeBeforeSimulatorsBeforeTheHub) {
  auto lab = Lab::Create(Load(kTwoMeters), {.clock = &clock_});
  ASSERT_TRUE(lab.ok()) << lab.status();
  const std::vector<Steppable*> steps = (*lab)->Steppables();
  EXPECT_EQ(steps[0], (*lab)->line("line"));
  EXPECT_NE(dynamic_cast<SimulatorHost*>(steps[1]), nullptr);
  EXPECT_NE(dynamic_cast<Store*>(steps.back()), nullptr);
}

TEST_F(WiringTest, SimulatorsAreFoundByDevice) {
  auto lab = Lab::Create(Load("buses: {line: {type: simulated, bitrate: 125000}}\n"
                              "devices:\n"
                              "  a: {driver: meter, bus: line, address: 1, simulate: true}\n"
                              "  b: {driver: meter, bus: line, address: 2}\n"),
                         {.clock = &clock_});
  ASSERT_TRUE(lab.ok()) << lab.status();
  EXPECT_NE((*lab)->simulator("a"), nullptr);
  EXPECT_EQ((*lab)->simulator("b"), nullptr);
  EXPECT_EQ((*lab)->simulators().size(), 1u);
}

TEST_F(WiringTest, AFaultOfASimulatorReachesTheDevice) {
  auto lab = Lab::Create(Load(kTwoMeters), {.clock = &clock_});
  ASSERT_TRUE(lab.ok()) << lab.status();
  LabStepper stepper(lab->get(), &clock_);
  stepper.RunFor(seconds(1));
  ASSERT_TRUE((*lab)->simulator("a")->InjectFault("silence", {}).ok());
  stepper.RunFor(seconds(1));
  const auto quality = [&](DeviceIndex device) {
    return (*lab)->hub().cache().Snapshot(device)->Read(0).EffectiveQuality(clock_.Now());
  };
  EXPECT_EQ(quality(0), Quality::kStale);
  EXPECT_EQ(quality(1), Quality::kGood);
}

TEST_F(WiringTest, DevicesOnABusOfTheCallersOutliveTheLab) {
  const Config config = Load(kTwoMeters);
  SimulatedLine line(clock_, "line", 125000);
  const std::shared_ptr<CanBus> ours = line.CreateNode("ours");
  const std::shared_ptr<CanBus> theirs = line.CreateNode("theirs");
  SimulatorHost meters(&clock_, theirs.get());
  for (const DeviceEntry& device : config.devices) {
    ASSERT_TRUE(meters.Add(*device.driver, device.config, 1).ok());
  }
  const auto count_after_a_second = [&] {
    auto lab = Lab::Create(config, {.clock = &clock_, .buses = {{"line", ours}}});
    EXPECT_TRUE(lab.ok()) << lab.status();
    EXPECT_EQ((*lab)->line("line"), nullptr);
    EXPECT_TRUE((*lab)->simulators().empty());
    LabStepper stepper(lab->get(), &clock_);
    stepper.Add(&line);
    stepper.Add(&meters);
    stepper.RunFor(milliseconds(1050));
    const int64_t count = (*lab)->hub().cache().Snapshot(0)->Read(0).value.integer();
    stepper.runner().Remove(&line);
    stepper.runner().Remove(&meters);
    return count;
  };
  EXPECT_EQ(count_after_a_second(), 9);
  EXPECT_EQ(count_after_a_second(), 19) << "the meter went on counting where it was";
}

TEST_F(WiringTest, DevicesThatAreNotSimulatedAreSearchedFor) {
  auto lab = Lab::Create(Load("buses: {line: {type: simulated, bitrate: 125000}}\n"
                              "devices: {a: {driver: meter, bus: line, address: 1}}\n"),
                         {.clock = &clock_});
  ASSERT_TRUE(lab.ok()) << lab.status();
  LabStepper stepper(lab->get(), &clock_);
  stepper.RunFor(seconds(1));
  EXPECT_EQ(LinkOf(**lab, 0), ToString(LinkState::kSearching));
}

TEST_F(WiringTest, ARealBusNeedsTheRealClock) {
  auto lab = Lab::Create(
      Load("buses: {can0: {type: socketcan, interface: can0, bitrate: 125000}}\ndevices: {}\n"),
      {.clock = &clock_});
  EXPECT_EQ(lab.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(lab.status().message(),
            "can0: a bus of type socketcan on a virtual clock, expected a simulated one");
}

TEST_F(WiringTest, TwoLabsCannotShareAStateDirectory) {
  auto first = Lab::Create(Load(kTwoMeters), {.clock = &clock_});
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = Lab::Create(Load(kTwoMeters), {.clock = &clock_});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
}

// Waits for the actors' own turns; no time is measured.
TEST_F(WiringTest, ALabRunsOnThreadsAndEndsSafely) {
  auto lab = Lab::Create(Load(kTwoMeters), {});
  ASSERT_TRUE(lab.ok()) << lab.status();
  ASSERT_TRUE((*lab)->StartThreads().ok());
  std::promise<std::vector<std::string>> ready;
  (*lab)->hub().WaitReady((*lab)->clock().Now() + seconds(30),
                          [&](std::vector<std::string> waiting) { ready.set_value(waiting); });
  EXPECT_THAT(ready.get_future().get(), IsEmpty());
  EXPECT_THAT((*lab)->Shutdown(seconds(30)), IsEmpty());
  const auto page = (*lab)->hub().audit().Query({.device_id = "a"});
  ASSERT_TRUE(page.ok()) << page.status();
  bool safe_action = false;
  for (const AuditEntry& entry : page->entries) safe_action |= entry.kind == "safe_action";
  EXPECT_TRUE(safe_action) << "on_shutdown: safe";
}

TEST_F(WiringTest, AServedLineTellsItsPort) {
  auto lab =
      Lab::Create(Load("buses: {line: {type: simulated, bitrate: 125000, serve: '127.0.0.1:0'}}\n"
                       "devices: {}\n"),
                  {});
  ASSERT_TRUE(lab.ok()) << lab.status();
  ASSERT_TRUE((*lab)->StartThreads().ok());
  const std::string address = (*lab)->served().at("line");
  EXPECT_THAT(address, testing::StartsWith("127.0.0.1:"));
  EXPECT_NE(address, "127.0.0.1:0");
}

TEST_F(WiringTest, AStartThatFailsLeavesNothingRunning) {
  const char* const kServed =
      "buses: {line: {type: simulated, bitrate: 125000, serve: '127.0.0.1:0'}}\ndevices: {}\n";
  auto first = Lab::Create(Load(kServed), {});
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE((*first)->StartThreads().ok());
  Config taken = Load(kServed);
  taken.buses[0].serve = (*first)->served().at("line");
  taken.state_directory = folder_ + "/other";
  auto second = Lab::Create(taken, {});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE((*second)->StartThreads().ok());
  EXPECT_THAT((*second)->Shutdown(seconds(1)), IsEmpty());
}

// ------------------------------------------------------------ real time

// Takes the right to real-time scheduling from this thread, for good: capabilities are a thread's
// own.
void GiveUpRealtime() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  ASSERT_EQ(syscall(SYS_capset, &header, data), 0);
  rlimit limit{};
  getrlimit(RLIMIT_RTPRIO, &limit);
  limit.rlim_cur = 0;  // of the process, which has other rights
  ASSERT_EQ(setrlimit(RLIMIT_RTPRIO, &limit), 0);
}

TEST_F(WiringTest, WithoutTheRightToRealTimeItWarnsAndRuns) {
  const std::string text =
      "realtime: {priority: 50, if_permitted: true}\n" + std::string(kTwoMeters);
  std::vector<std::string> warnings;
  std::thread([&] {
    GiveUpRealtime();
    LabOptions options;
    options.log = [&](LogLevel level, std::string_view line) {
      if (level == LogLevel::kWarning) warnings.emplace_back(line);
    };
    auto lab = Lab::Create(Load(text), std::move(options));
    ASSERT_TRUE(lab.ok()) << lab.status();
    EXPECT_TRUE((*lab)->StartThreads().ok());
  }).join();
  EXPECT_THAT(warnings, Contains(AllOf(HasSubstr("real-time priority 50"),
                                       HasSubstr("LimitRTPRIO=50"), HasSubstr("heartbeats"))));
}

TEST_F(WiringTest, APriorityThatMustBeAndIsNotPermittedIsRefused) {
  std::thread([&] {
    GiveUpRealtime();
    auto lab = Lab::Create(Load("realtime: {priority: 50}\n" + std::string(kTwoMeters)), {});
    ASSERT_TRUE(lab.ok()) << lab.status();
    EXPECT_EQ((*lab)->StartThreads().code(), absl::StatusCode::kPermissionDenied);
  }).join();
}

// ------------------------------------------------------------ reload

class ReloadTest : public WiringTest {
 protected:
  // The lab of kTwoMeters, and a reloader of its file.
  void Start() {
    WriteFile(kTwoMeters);
    const Config config = Load(kTwoMeters);
    auto lab = Lab::Create(config, {.clock = &clock_});
    ASSERT_TRUE(lab.ok()) << lab.status();
    lab_ = *std::move(lab);
    reloader_.emplace(config, Drivers(), &lab_->hub(), [this](LogLevel level) { level_ = level; });
  }
  std::unique_ptr<Lab> lab_;
  std::optional<ConfigReloader> reloader_;
  std::optional<LogLevel> level_;
};

constexpr char kChanged[] =
    "buses: {line: {type: simulated, bitrate: 125000}}\n"
    "state_directory: state\n"
    "log: {level: debug}\n"
    "access: {default: viewer}\n"
    "devices:\n"
    "  a: {driver: meter, bus: line, address: 1, simulate: true, on_shutdown: safe, limits: "
    "{count: 5 V}}\n"
    "  b: {driver: meter, bus: line, address: 3, simulate: true}\n";

TEST_F(ReloadTest, AppliesLimitsAccessAndLogLevel) {
  Start();
  WriteFile(kChanged);
  const auto changes = reloader_->Reload(/*check_only=*/false);
  ASSERT_TRUE(changes.ok()) << changes.status();
  EXPECT_THAT(changes->applied,
              ElementsAre("access: others here operator, remote viewer → others here viewer, "
                          "remote viewer",
                          "log.level: info → debug", "devices.a.limits.count: none → 5 V"));
  EXPECT_THAT(changes->needs_restart, ElementsAre("devices.b.address: 2 → 3"));
  EXPECT_EQ(lab_->hub().RoleOf("unix:uid=1000(alice)"), Role::kViewer);
  EXPECT_EQ(level_, LogLevel::kDebug);
  EXPECT_EQ(lab_->hub().FindDevice("a")->setup->config.limits.at("count"), 5);
}

TEST_F(ReloadTest, CheckOnlyAppliesNothing) {
  Start();
  WriteFile(kChanged);
  ASSERT_TRUE(reloader_->Reload(/*check_only=*/true).ok());
  EXPECT_EQ(lab_->hub().RoleOf("unix:uid=1000(alice)"), Role::kOperator);
  EXPECT_EQ(level_, std::nullopt);
}

TEST_F(ReloadTest, AWrongFileChangesNothing) {
  Start();
  WriteFile(std::string(kChanged) + "nonsense: 1\n");
  EXPECT_EQ(reloader_->Reload(/*check_only=*/false).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(lab_->hub().RoleOf("unix:uid=1000(alice)"), Role::kOperator);
}

TEST_F(ReloadTest, ASecondReloadHasNothingToDo) {
  Start();
  WriteFile(kChanged);
  ASSERT_TRUE(reloader_->Reload(/*check_only=*/false).ok());
  const auto again = reloader_->Reload(/*check_only=*/false);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(again->applied, IsEmpty());
  EXPECT_THAT(again->needs_restart, ElementsAre("devices.b.address: 2 → 3"));
}

TEST_F(ReloadTest, IsAudited) {
  Start();
  WriteFile(kChanged);
  ASSERT_TRUE(reloader_->Reload(/*check_only=*/false).ok());
  const auto page = lab_->hub().audit().Query({});
  ASSERT_TRUE(page.ok()) << page.status();
  bool found = false;
  for (const AuditEntry& entry : page->entries) {
    found |= entry.kind == "config" && entry.text == "reload: log.level: info → debug";
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace canhub
