#include "daemon/core/lease_impl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "daemon/core/alarm_impl.h"
#include "daemon/core/gate_testing.h"

namespace canhub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class NoAlarmStore final : public AlarmStore {
 public:
  absl::Status Save(const AlarmRecord&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<AlarmRecord>> LoadAll() override { return std::vector<AlarmRecord>{}; }
};

class LeaseTest : public ::testing::Test {
 protected:
  explicit LeaseTest(int devices = 2) : lab_(devices) {}
  absl::StatusOr<LeaseInfo> Acquire(std::vector<std::string> devices, const Caller& caller,
                                    std::optional<Duration> window = std::nullopt,
                                    const std::string& action = "") {
    return leases_->Acquire({caller, std::move(devices), window, "scan", action});
  }
  std::string AcquireId(std::vector<std::string> devices, const Caller& caller) {
    const auto lease = Acquire(std::move(devices), caller);
    EXPECT_TRUE(lease.ok()) << lease.status();
    return lease.ok() ? lease->lease_id : "";
  }
  CommandRequest Command(const Caller& caller, const std::string& lease_id) {
    CommandRequest request = lab_.Write("ch3.voltage_set", Value::Number(100));
    request.caller = caller;
    request.lease_id = lease_id;
    return request;
  }
  std::vector<AlarmRecord> Alarms() { return alarms_->List({}); }
  void Run() { leases_->RunUntil(lab_.clock.Now()); }

  GateTestLab lab_;
  NoAlarmStore store_;
  std::unique_ptr<AlarmBook> alarms_ = MakeAlarmBook(&lab_.clock, &store_, &lab_.audit);
  std::unique_ptr<LeaseTable> leases_ =
      MakeLeaseTable({&lab_.clock, lab_.gate.get(), &lab_.audit, alarms_.get()});
};

TEST_F(LeaseTest, TheHolderCommandsOthersDoNot) {
  const std::string id = AcquireId({"hv0"}, lab_.alice);
  EXPECT_EQ(ReasonOf(lab_.Refusal(Command(lab_.bob, ""))), "LEASED_BY_OTHER");
  EXPECT_EQ(ReasonOf(lab_.Refusal(Command(lab_.bob, id))), "LEASED_BY_OTHER");
  EXPECT_EQ(ReasonOf(lab_.Refusal(Command(lab_.alice, ""))), "LEASE_REQUIRED");
  EXPECT_EQ(ReasonOf(lab_.Refusal(Command(lab_.alice, "0123"))), "LEASE_UNKNOWN");
  EXPECT_THAT(lab_.target().commands, IsEmpty());
  lab_.Submit(Command(lab_.alice, id));
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
}

TEST_F(LeaseTest, ALeaseForOtherDevicesDoesNotHelp) {
  const std::string id = AcquireId({"hv1"}, lab_.alice);
  EXPECT_EQ(ReasonOf(lab_.Refusal(Command(lab_.alice, id))), "LEASE_UNKNOWN");
}

TEST_F(LeaseTest, ADeviceMayRequireALease) {
  auto device = std::make_shared<GatedDevice>(lab_.Device(0));
  device->require_lease = true;
  lab_.gate->SetDevice(device);
  EXPECT_EQ(ReasonOf(lab_.Refusal(Command(lab_.alice, ""))), "LEASE_REQUIRED");
  lab_.Submit(Command(lab_.alice, AcquireId({"hv0"}, lab_.alice)));
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
}

TEST_F(LeaseTest, AcquireTakesAllDevicesOrNone) {
  AcquireId({"hv1"}, lab_.bob);
  const auto lease = Acquire({"hv0", "hv1"}, lab_.alice);
  EXPECT_TRUE(absl::IsFailedPrecondition(lease.status()));
  EXPECT_THAT(std::string(lease.status().message()),
              HasSubstr("hv1 is leased by " + lab_.bob.identity));
  EXPECT_EQ(leases_->Covering("hv0"), std::nullopt);
}

TEST_F(LeaseTest, AcquireChecksItsRequest) {
  EXPECT_EQ(ReasonOf(Acquire({"hv0"}, lab_.viewer).status()), "ROLE_TOO_LOW");
  EXPECT_EQ(ReasonOf(Acquire({}, lab_.alice).status()), "NO_DEVICE");
  EXPECT_EQ(ReasonOf(Acquire({"hv9"}, lab_.alice).status()), "DEVICE_UNKNOWN");
  EXPECT_EQ(ReasonOf(Acquire({"hv0", "hv0"}, lab_.alice).status()), "DEVICE_TWICE");
  EXPECT_EQ(ReasonOf(Acquire({"hv0"}, lab_.alice, 199ms).status()), "LEASE_WINDOW");
  EXPECT_EQ(ReasonOf(Acquire({"hv0"}, lab_.alice, 1h + 1ms).status()), "LEASE_WINDOW");
  EXPECT_EQ(ReasonOf(Acquire({"hv0"}, lab_.alice, 1s, "set_ramp").status()), "SAFE_ACTION_UNKNOWN");
  EXPECT_EQ(ReasonOf(Acquire({"hv0"}, lab_.alice, 1s, "hold").status()), "ROLE_TOO_LOW");
  EXPECT_THAT(leases_->List(), IsEmpty());
  AcquireId({"hv0"}, lab_.alice);
  EXPECT_EQ(ReasonOf(Acquire({"hv0"}, lab_.alice).status()), "ALREADY_LEASED");
}

TEST_F(LeaseTest, IdsAreLongAndDifferentAndNotInTheRecord) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    const std::string id = AcquireId({"hv0"}, lab_.alice);
    EXPECT_EQ(id.size(), 32u);
    ids.insert(id);
    ASSERT_TRUE(leases_->Release(lab_.alice, id, false).ok());
  }
  EXPECT_THAT(ids, SizeIs(100));
  for (const std::string& line : lab_.audit.Lines()) {
    for (const std::string& id : ids) EXPECT_EQ(line.find(id), std::string::npos);
  }
}

TEST_F(LeaseTest, S05_ALeaseThatIsNotKeptAliveRunsItsSafeActions) {
  AcquireId({"hv0", "hv1"}, lab_.alice);
  EXPECT_EQ(leases_->RunUntil(lab_.clock.Now()), lab_.clock.Now() + 5s);
  lab_.clock.Advance(5s - 1ns);
  Run();
  EXPECT_THAT(lab_.target(0).commands, IsEmpty());
  lab_.clock.Advance(1ns);
  Run();
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(lab_.target(i).commands, SizeIs(1));
    EXPECT_EQ(lab_.target(i).commands[0].urgency, Urgency::kSafe);
    EXPECT_EQ(std::get<ActionCall>(lab_.target(i).commands[0].what).name, "ramp_down");
  }
  EXPECT_THAT(leases_->List(), IsEmpty());
  EXPECT_THAT(lab_.audit.Lines().back(), HasSubstr("lapsed after 5 s of silence"));
}

TEST_F(LeaseTest, ALapseRaisesAnAlarmThatClearsWithTheSafeActionAndStaysLatched) {
  AcquireId({"hv0"}, lab_.alice);
  lab_.clock.Advance(5s);
  Run();
  ASSERT_THAT(Alarms(), SizeIs(1));
  EXPECT_EQ(Alarms()[0].id(), "hv0/lease_lost");
  EXPECT_TRUE(Alarms()[0].active);
  lab_.target().Finish(0);
  ASSERT_THAT(Alarms(), SizeIs(1));
  EXPECT_FALSE(Alarms()[0].active);
  EXPECT_FALSE(Alarms()[0].acknowledged);
}

TEST_F(LeaseTest, ASafeActionThatFailsIsACriticalAlarm) {
  AcquireId({"hv0"}, lab_.alice);
  lab_.clock.Advance(5s);
  Run();
  lab_.target().Finish(0, absl::UnavailableError("hv0 does not answer"));
  ASSERT_THAT(Alarms(), SizeIs(1));
  EXPECT_EQ(Alarms()[0].severity, 3);
  EXPECT_TRUE(Alarms()[0].active);
  EXPECT_THAT(Alarms()[0].text, HasSubstr("hv0 does not answer"));
  AcquireId({"hv0"}, lab_.alice);
  EXPECT_FALSE(Alarms()[0].active);
}

TEST_F(LeaseTest, KeepAliveMovesTheEnd) {
  const std::string id = AcquireId({"hv0"}, lab_.alice);
  for (int i = 0; i < 10; ++i) {
    lab_.clock.Advance(4s);
    ASSERT_TRUE(leases_->KeepAlive(lab_.alice, id).ok());
    Run();
  }
  EXPECT_THAT(lab_.target().commands, IsEmpty());
  EXPECT_TRUE(absl::IsPermissionDenied(leases_->KeepAlive(lab_.bob, id).status()));
}

TEST_F(LeaseTest, S05_ALateKeepAliveRevivesNothingEvenBeforeTheLapseHasRun) {
  const std::string id = AcquireId({"hv0"}, lab_.alice);
  lab_.clock.Advance(5s);
  EXPECT_TRUE(absl::IsNotFound(leases_->KeepAlive(lab_.alice, id).status()));
  EXPECT_EQ(ReasonOf(lab_.Refusal(Command(lab_.alice, id))), "LEASE_UNKNOWN");
  EXPECT_EQ(ReasonOf(lab_.Refusal(Command(lab_.bob, ""))), "LEASED_BY_OTHER");
  EXPECT_EQ(ReasonOf(Acquire({"hv0"}, lab_.bob).status()), "LEASED_BY_OTHER");
  Run();
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_TRUE(Acquire({"hv0"}, lab_.bob).ok());
}

TEST_F(LeaseTest, S02_ALapseWithdrawsWhatWasGivenUnderTheLease) {
  const std::string id = AcquireId({"hv0"}, lab_.alice);
  lab_.Submit(Command(lab_.alice, id));
  lab_.clock.Advance(5s);
  Run();
  EXPECT_TRUE(lab_.target().commands[0].guard->revoked());
  ASSERT_THAT(lab_.target().cancelled, SizeIs(1));
  EXPECT_EQ(ReasonOf(lab_.target().cancelled[0].second), "LEASE_LOST");
  lab_.target().Finish(0, absl::CancelledError("the guard was revoked"));
  EXPECT_TRUE(absl::IsAborted(lab_.results.back().status));
  EXPECT_EQ(ReasonOf(lab_.results.back().status), "LEASE_LOST");
}

TEST_F(LeaseTest, S02_AReleaseWithdrawsTooButRunsNoSafeActionUnasked) {
  const std::string id = AcquireId({"hv0"}, lab_.alice);
  lab_.Submit(Command(lab_.alice, id));
  ASSERT_TRUE(leases_->Release(lab_.alice, id, false).ok());
  EXPECT_TRUE(lab_.target().commands[0].guard->revoked());
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_TRUE(absl::IsNotFound(leases_->KeepAlive(lab_.alice, id).status()));
  lab_.Submit(Command(lab_.bob, ""));
  EXPECT_THAT(lab_.target().commands, SizeIs(2));
}

TEST_F(LeaseTest, AnEngineerMayReleaseAnothersWhichRunsItsSafeActions) {
  const std::string id = AcquireId({"hv0"}, lab_.alice);
  EXPECT_TRUE(absl::IsPermissionDenied(leases_->Release(lab_.bob, id, false)));
  EXPECT_TRUE(leases_->Release(lab_.engineer, id, false).ok());
  ASSERT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_EQ(lab_.target().commands[0].urgency, Urgency::kSafe);
}

TEST_F(LeaseTest, HoldDoesNothingButIsKnown) {
  ASSERT_TRUE(Acquire({"hv0"}, lab_.engineer, 1s, "hold").ok());
  lab_.clock.Advance(1s);
  Run();
  EXPECT_THAT(lab_.target().commands, IsEmpty());
  EXPECT_THAT(Alarms(), SizeIs(1));
}

TEST_F(LeaseTest, EmergencyOffNeedsNoLease) {
  AcquireId({"hv0"}, lab_.alice);
  CommandRequest request = lab_.Act("emergency_off");
  request.caller = lab_.bob;
  lab_.Submit(request);
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
}

TEST_F(LeaseTest, ARawFrameIsRefusedOnABusWithSomebodyElsesDevice) {
  AcquireId({"hv1"}, lab_.alice);
  EXPECT_EQ(ReasonOf(lab_.Refusal(lab_.Frame())), "LEASED_BY_OTHER");
  EXPECT_THAT(lab_.bus.frames, IsEmpty());
}

TEST_F(LeaseTest, ARawFrameNamesTheLeaseOfItsSenderAndGoesWithIt) {
  const std::string id = AcquireId({"hv1"}, lab_.engineer);
  EXPECT_EQ(ReasonOf(lab_.Refusal(lab_.Frame())), "LEASE_REQUIRED");
  FrameRequest request = lab_.Frame();
  request.lease_id = id;
  lab_.Submit(request);
  ASSERT_THAT(lab_.bus.frames, SizeIs(1));
  lab_.clock.Advance(5s);
  Run();
  EXPECT_TRUE(lab_.bus.frames[0].guard->revoked());
}

TEST_F(LeaseTest, S12_JumpsOfTheWallClockChangeNoLease) {
  const std::string id = AcquireId({"hv0"}, lab_.alice);
  lab_.clock.JumpWall(24h * 365);
  Run();
  EXPECT_TRUE(leases_->KeepAlive(lab_.alice, id).ok());
  lab_.clock.JumpWall(-24h * 3650);
  lab_.clock.Advance(5s);
  Run();
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
}

TEST_F(LeaseTest, AFullRecordGivesNoLeaseButLapsesGoOn) {
  AcquireId({"hv0"}, lab_.alice);
  lab_.audit.set_problem("disk full");
  EXPECT_EQ(ReasonOf(Acquire({"hv1"}, lab_.alice).status()), "AUDIT_NOT_WRITABLE");
  EXPECT_EQ(leases_->Covering("hv1"), std::nullopt);
  lab_.clock.Advance(5s);
  Run();
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_THAT(lab_.audit.Lines().back(), HasSubstr("lapsed"));
}

TEST_F(LeaseTest, ListIsInTheOrderOfAcquisition) {
  AcquireId({"hv1"}, lab_.bob);
  AcquireId({"hv0"}, lab_.alice);
  const auto list = leases_->List();
  ASSERT_THAT(list, SizeIs(2));
  EXPECT_EQ(list[0].holder, lab_.bob.identity);
  EXPECT_EQ(list[1].holder, lab_.alice.identity);
}

TEST_F(LeaseTest, S02_S05_KeepAlivesCommandsAndTheLapseRaceSafely) {
  // Commands and keep-alives by one thread, the clock and the lapse by another. Whatever the order,
  // once the safe action is posted every command given under the lease is withdrawn, and no
  // command comes after it.
  for (int round = 0; round < 20; ++round) {
    GateTestLab lab;
    auto alarms = MakeAlarmBook(&lab.clock, &store_, &lab.audit);
    auto leases = MakeLeaseTable({&lab.clock, lab.gate.get(), &lab.audit, alarms.get()});
    const auto lease = leases->Acquire({lab.alice, {"hv0"}, 200ms, "", ""});
    ASSERT_TRUE(lease.ok());
    std::thread holder([&] {
      CommandRequest request = lab.Write("ch3.on", Value::Flag(true));
      request.lease_id = lease->lease_id;
      while (leases->KeepAlive(lab.alice, lease->lease_id).ok()) {
        lab.gate->Submit(request, [](const CommandResult&) {});
      }
      lab.gate->Submit(request, [](const CommandResult&) {});
    });
    while (!leases->List().empty()) {
      lab.clock.Advance(50ms);
      leases->RunUntil(lab.clock.Now());
    }
    leases->RunUntil(lab.clock.Now());
    holder.join();
    const auto& commands = lab.target().commands;
    int safe = 0;
    for (const canhub::Command& command : commands) {
      if (command.urgency == Urgency::kSafe) {
        ++safe;
      } else {
        EXPECT_TRUE(command.guard->revoked());
      }
    }
    EXPECT_EQ(safe, 1);
  }
}

class ManyLeasesTest : public LeaseTest {
 protected:
  ManyLeasesTest() : LeaseTest(500) {}
};

TEST_F(ManyLeasesTest, S05_HundredsOfLeasesLapseInOneStep) {
  for (int i = 0; i < 500; ++i) AcquireId({"hv" + std::to_string(i)}, lab_.alice);
  lab_.clock.Advance(5s);
  Run();
  for (int i = 0; i < 500; ++i) EXPECT_THAT(lab_.target(i).commands, SizeIs(1));
  EXPECT_EQ(leases_->RunUntil(lab_.clock.Now()), kNever);
}

}  // namespace
}  // namespace canhub
