#include "daemon/wiring_supervision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "daemon/config/loader.h"
#include "daemon/lab_stepper.h"
#include "drivers/all_drivers.h"

namespace canhub {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

DeviceHealth OnlineDevice(const std::string& id) {
  return {.id = id, .link = LinkState::kOnline, .polled = true, .silent_for = milliseconds(100)};
}

LabHealth ReadyLab() {
  return {.devices = {OnlineDevice("hv0"), OnlineDevice("hv1"), OnlineDevice("hv2")},
          .ready = true};
}

LabHealth StartingLab() {
  LabHealth health = ReadyLab();
  health.ready = false;
  health.devices[1] = {.id = "hv1", .link_text = "looking for a device at address 1"};
  health.devices[2].polled = false;
  return health;
}

// ---------------------------------------------------------------- StatusText

TEST(StatusTextTest, OfALabThatIsWell) {
  EXPECT_EQ(StatusText(ReadyLab()), "3 of 3 devices online");
}

TEST(StatusTextTest, WhileStartingItCountsWhatIsPolledAndNamesTheRest) {
  EXPECT_EQ(StatusText(StartingLab()),
            "starting: 1 of 3 devices polled; hv1: searching, looking for a device at address 1; "
            "hv2: first poll under way");
}

TEST(StatusTextTest, ADeviceThatWentSilentIsNamedWithTheTime) {
  LabHealth health = ReadyLab();
  health.devices[1].link = LinkState::kLost;
  health.devices[1].silent_for = milliseconds(12900);
  EXPECT_EQ(StatusText(health), "2 of 3 devices online; hv1: silent for 12 s");
}

TEST(StatusTextTest, LongSilenceIsToldInLargerSteps) {
  LabHealth health = ReadyLab();
  health.devices[0].link = health.devices[1].link = LinkState::kLost;
  health.devices[0].silent_for = minutes(2) + seconds(59);
  health.devices[1].silent_for = hours(25);
  EXPECT_EQ(StatusText(health),
            "1 of 3 devices online; hv0: silent for 2 min; hv1: silent for 25 h");
}

TEST(StatusTextTest, S04_ADeviceWhoseActorHangsIsNotCalledOnline) {
  LabHealth health = ReadyLab();
  health.devices[2].hangs = true;
  EXPECT_EQ(StatusText(health), "2 of 3 devices online; hv2: its actor hangs");
}

TEST(StatusTextTest, ABusThatHangsAndARecordThatCannotBeWrittenAreSaid) {
  LabHealth health = ReadyLab();
  health.hung_threads = {"bus can0"};
  health.audit_writable = false;
  EXPECT_EQ(StatusText(health),
            "3 of 3 devices online; bus can0 hangs; the audit record cannot be written");
}

TEST(StatusTextTest, ManyMissingDevicesAreCounted) {
  LabHealth health{.ready = true};
  for (int i = 0; i < 7; ++i) health.devices.push_back({.id = "d" + std::to_string(i)});
  EXPECT_EQ(StatusText(health),
            "0 of 7 devices online; d0: searching; d1: searching; d2: searching; d3: searching; "
            "d4: searching; and 2 more");
}

// ---------------------------------------------------------------- SupervisorNotice

TEST(SupervisorNoticeTest, BeforeReadyTheStartIsExtended) {
  SupervisorNotice notice(/*watchdog=*/true);
  EXPECT_EQ(notice.Turn(StartingLab()),
            "EXTEND_TIMEOUT_USEC=10000000\nWATCHDOG=1\nSTATUS=" + StatusText(StartingLab()));
  EXPECT_FALSE(notice.ready());
}

TEST(SupervisorNoticeTest, ReadyIsSaidOnceWithTheStatusOfThatMoment) {
  SupervisorNotice notice(/*watchdog=*/true);
  notice.Turn(StartingLab());
  EXPECT_EQ(notice.Turn(ReadyLab()), "READY=1\nWATCHDOG=1\nSTATUS=3 of 3 devices online");
  EXPECT_TRUE(notice.ready());
  EXPECT_EQ(notice.Turn(ReadyLab()), "WATCHDOG=1");
}

TEST(SupervisorNoticeTest, AfterTheTimeoutItIsReadyAndNamesWhoIsMissing) {
  SupervisorNotice notice(/*watchdog=*/true);
  LabHealth health = StartingLab();
  health.ready = true;
  EXPECT_EQ(notice.Turn(health),
            "READY=1\nWATCHDOG=1\nSTATUS=2 of 3 devices online; hv1: searching, looking for a "
            "device at address 1; hv2: first poll under way");
}

TEST(SupervisorNoticeTest, S04_WhileAnActorHangsTheWatchdogIsNotFed) {
  SupervisorNotice notice(/*watchdog=*/true);
  notice.Turn(ReadyLab());
  LabHealth health = ReadyLab();
  health.devices[1].hangs = true;
  EXPECT_EQ(notice.Turn(health), "STATUS=2 of 3 devices online; hv1: its actor hangs");
  EXPECT_EQ(notice.Turn(health), "");
  EXPECT_THAT(notice.Turn(ReadyLab()), HasSubstr("WATCHDOG=1")) << "it turns again";
}

TEST(SupervisorNoticeTest, S04_WhileABusHangsTheWatchdogIsNotFed) {
  SupervisorNotice notice(/*watchdog=*/true);
  LabHealth health = ReadyLab();
  health.hung_threads = {"bus can0"};
  EXPECT_THAT(notice.Turn(health), Not(HasSubstr("WATCHDOG")));
}

TEST(SupervisorNoticeTest, S04_AStartThatHangsIsNotExtended) {
  SupervisorNotice notice(/*watchdog=*/true);
  LabHealth health = StartingLab();
  health.devices[0].hangs = true;
  EXPECT_THAT(notice.Turn(health), Not(HasSubstr("EXTEND")));
}

TEST(SupervisorNoticeTest, WithoutAWatchdogNoneIsFed) {
  SupervisorNotice notice(/*watchdog=*/false);
  EXPECT_EQ(notice.Turn(ReadyLab()), "READY=1\nSTATUS=3 of 3 devices online");
  EXPECT_EQ(notice.Turn(ReadyLab()), "");
}

TEST(LabHealthTest, WhatHangsIsNamed) {
  LabHealth health = ReadyLab();
  EXPECT_THAT(health.Hung(), IsEmpty());
  health.devices[1].hangs = true;
  health.hung_threads = {"leases"};
  EXPECT_THAT(health.Hung(), ElementsAre("hv1: its actor", "leases"));
}

// ---------------------------------------------------------------- LabObserver

// hv0 is simulated; hv1 never answers.
class LabObserverTest : public testing::Test {
 protected:
  LabObserverTest() : folder_(testing::TempDir() + "canhub_supervision_XXXXXX") {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~LabObserverTest() override {
    stepper_.reset();
    lab_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Start(const std::string& devices) {
    absl::StatusOr<Config> config =
        ParseConfig("buses: {lab: {type: simulated, bitrate: 125000}}\ndevices:\n" + devices,
                    folder_ + "/lab.yaml", AllDrivers());
    ASSERT_TRUE(config.ok()) << config.status();
    config->state_directory = folder_ + "/state";
    absl::StatusOr<std::unique_ptr<Lab>> lab = Lab::Create(*config, {.clock = &clock_});
    ASSERT_TRUE(lab.ok()) << lab.status();
    lab_ = *std::move(lab);
    stepper_.emplace(lab_.get(), &clock_);
  }

  static constexpr char kPresent[] =
      "  hv0: {driver: iseg, bus: lab, address: 0, simulate: true, sim_channels: 4}\n";
  static constexpr char kMissing[] = "  hv1: {driver: iseg, bus: lab, address: 1}\n";

  std::string folder_;
  SimulatedClock clock_;
  std::unique_ptr<Lab> lab_;
  std::optional<LabStepper> stepper_;
};

TEST_F(LabObserverTest, ReadyWhenEveryDeviceHasBeenPolledOnce) {
  Start(kPresent);
  const LabObserver observer(lab_.get(), hours(1));
  const LabHealth before = observer.Look();
  EXPECT_FALSE(before.ready);
  EXPECT_FALSE(before.devices[0].polled);
  EXPECT_FALSE(before.devices[0].silent_for.has_value());
  ASSERT_TRUE(stepper_->RunUntilTrue([&] { return observer.Look().ready; }, minutes(1)));
  const LabHealth health = observer.Look();
  EXPECT_TRUE(health.devices[0].polled);
  EXPECT_EQ(StatusText(health), "1 of 1 devices online");
}

TEST_F(LabObserverTest, ReadyAtTheTimeoutWhenADeviceIsMissing) {
  Start(std::string(kPresent) + kMissing);
  const LabObserver observer(lab_.get(), seconds(10));
  stepper_->RunFor(milliseconds(9999));
  EXPECT_FALSE(observer.Look().ready);
  stepper_->RunFor(milliseconds(1));
  const LabHealth health = observer.Look();
  EXPECT_TRUE(health.ready);
  EXPECT_EQ(StatusText(health),
            "1 of 2 devices online; hv1: searching, looking for a device at address 1");
}

TEST_F(LabObserverTest, WithATimeoutOfZeroItIsReadyAtOnce) {
  Start(kMissing);
  EXPECT_TRUE(LabObserver(lab_.get(), Duration(0)).Look().ready);
}

TEST_F(LabObserverTest, ASilentDeviceIsToldWithTheTimeSinceItWasHeard) {
  Start(kPresent);
  const LabObserver observer(lab_.get(), minutes(1));
  stepper_->RunFor(minutes(1));
  ASSERT_TRUE(lab_->simulator("hv0")->InjectFault("silence", {}).ok());
  stepper_->RunFor(seconds(30));
  const std::optional<Duration> silent = observer.Look().devices[0].silent_for;
  ASSERT_TRUE(silent.has_value());
  EXPECT_GE(*silent, seconds(30));
  EXPECT_LE(*silent, seconds(31)) << "it was polled twice a second before";
}

}  // namespace
}  // namespace canhub
