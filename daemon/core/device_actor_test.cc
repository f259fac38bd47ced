#include "daemon/core/device_actor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/core/alarm_impl.h"
#include "daemon/core/fake_device.h"
#include "drivers/api/errors.h"
#include "drivers/testing/fake_bus.h"
#include "drivers/testing/simulated_clock.h"
#include "drivers/testing/step_runner.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DeviceActorTest : public ::testing::Test {
 protected:
  DeviceActorTest() {
    index_ = cache_.AddDevice("hv0");
    control_ = fake::FreshControl("hv0");
    alarms_ = MakeAlarmBook(&clock_, &alarm_store_, &audit_);
    DeviceActor::Options options;
    options.clock = &clock_;
    options.driver = &fake::Info();
    options.config = fake::Config("hv0", 3);
    options.bus_info = {.id = "can0"};
    options.writer = cache_.Writer(index_);
    options.alarms = alarms_.get();
    actor_ = std::make_unique<DeviceActor>(std::move(options), &bus_);
    runner_.Add(actor_.get());
    runner_.Settle();
    control_->TakeCalls();
    bus_.TakeSent();
  }

  struct Result {
    int calls = 0;
    CommandOutcome outcome;
  };
  // Posts a command; its result comes to the returned place.
  std::shared_ptr<Result> Post(CommandId id, Urgency urgency = Urgency::kCommand,
                               Duration deadline = seconds(10),
                               Stage wait_for = Stage::kConfirmed) {
    auto result = std::make_shared<Result>();
    Command command;
    command.id = id;
    if (urgency == Urgency::kSafe) {
      command.what = ActionCall{"ramp_down", {}};
    } else {
      command.what = std::vector<ItemWrite>{{fake::kVoltageSet, Value::Number(100)}};
    }
    command.urgency = urgency;
    command.wait_for = wait_for;
    guard_ = std::make_shared<CommandGuard>(clock_.Now() + deadline);
    command.guard = guard_;
    command.items = next_items_;
    post_status_ = actor_->PostCommand(std::move(command), [result](CommandOutcome outcome) {
      ++result->calls;
      result->outcome = std::move(outcome);
    });
    return result;
  }
  void Acknowledge() {
    bus_.Receive(fake::AcknowledgeFrame(3));
    runner_.Settle();
  }
  Reading Read(ItemId item) { return cache_.Snapshot(index_)->Read(item); }
  bool AlarmActive(const std::string& code) {
    for (const AlarmRecord& alarm : alarms_->List({})) {
      if (alarm.code == code && alarm.active) return true;
    }
    return false;
  }

  SimulatedClock clock_;
  StateCache cache_{clock_};
  FakeBus bus_{&clock_};
  fake::MemoryAudit audit_;
  fake::MemoryAlarms alarm_store_;
  std::unique_ptr<AlarmBook> alarms_;
  DeviceIndex index_ = 0;
  std::shared_ptr<fake::Control> control_;
  StepRunner runner_{&clock_};
  std::shared_ptr<CommandGuard> guard_;
  std::shared_ptr<const ItemTable> next_items_;
  absl::Status post_status_;
  std::unique_ptr<DeviceActor> actor_;
};

TEST_F(DeviceActorTest, ACommandGoesThroughAllItsStages) {
  const auto result = Post(7);
  runner_.Settle();
  EXPECT_EQ(result->calls, 0);
  const MonoTime sent = clock_.Now();
  clock_.Advance(milliseconds(5));
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageSet, 100));
  Acknowledge();
  ASSERT_EQ(result->calls, 1);
  EXPECT_TRUE(result->outcome.status.ok()) << result->outcome.status;
  EXPECT_EQ(result->outcome.sent, sent);
  EXPECT_EQ(result->outcome.on_wire, sent);
  EXPECT_EQ(result->outcome.confirmed, sent + milliseconds(5));
  EXPECT_EQ(result->outcome.settled, MonoTime{});
  ASSERT_EQ(result->outcome.read_back.size(), 1u);
  EXPECT_EQ(result->outcome.read_back[0].second.value, Value::Number(100));
}

TEST_F(DeviceActorTest, WhoIsToldThatACommandIsDoneFindsItsReadingInTheCache) {
  Value seen;
  Command command;
  command.id = 1;
  command.what = std::vector<ItemWrite>{{fake::kVoltageSet, Value::Number(42)}};
  ASSERT_TRUE(actor_
                  ->PostCommand(std::move(command),
                                [&](CommandOutcome) { seen = Read(fake::kVoltageSet).value; })
                  .ok());
  runner_.Settle();
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageSet, 42));
  Acknowledge();
  EXPECT_EQ(seen, Value::Number(42));
}

TEST_F(DeviceActorTest, AllReadingsOfAStepBecomeVisibleAtOnce) {
  int commits = 0;
  cache_.SetListener([&](CommitNotice) { ++commits; });
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageSet, 1));
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageMeasure, 2));
  runner_.Settle();
  EXPECT_EQ(commits, 1);
}

TEST_F(DeviceActorTest, S10_SafeCommandsOvertakeEverythingInTheMailbox) {
  for (CommandId id = 1; id <= 5; ++id) Post(id);
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageSet, 1));
  Post(99, Urgency::kSafe);
  runner_.Settle();
  EXPECT_THAT(control_->TakeCalls(), ElementsAre("execute 99", "execute 1", "execute 2",
                                                 "execute 3", "execute 4", "execute 5"));
}

TEST_F(DeviceActorTest, S10_ASafeCommandThatComesWhileOthersAreExecutedGoesNext) {
  const auto first = Post(1);
  Post(2);
  Post(3);
  // The driver's first frame on the wire lets another thread post the safe command.
  bool posted = false;
  {
    const std::lock_guard lock(control_->mutex);
    control_->on_frame = [&] {
      if (!std::exchange(posted, true)) Post(99, Urgency::kSafe);
    };
  }
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageSet, 1));
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageSet, 2));
  runner_.Settle();
  EXPECT_THAT(control_->TakeCalls(),
              ElementsAre("execute 99", "execute 1", "execute 2", "execute 3"));
}

TEST_F(DeviceActorTest, S10_SafeCommandsAreTakenWhenTheMailboxIsFull) {
  std::vector<std::shared_ptr<Result>> results;
  for (CommandId id = 1; id <= Mailbox::kMaxCommands; ++id) {
    results.push_back(Post(id));
    ASSERT_TRUE(post_status_.ok());
  }
  const auto refused = Post(500);
  EXPECT_EQ(post_status_.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorInfo(post_status_).reason, "MAILBOX_FULL");
  Post(501, Urgency::kSafe);
  EXPECT_TRUE(post_status_.ok());
  EXPECT_EQ(refused->calls, 0);
  EXPECT_EQ(actor_->Counters().mailbox_overflows, 1u);
}

TEST_F(DeviceActorTest, WhatADriverWorksOnIsBoundedToo) {
  CommandId id = 0;
  while (id < DeviceActor::kMaxUnfinished) {
    Post(++id);
    ASSERT_TRUE(post_status_.ok()) << id;
    runner_.Settle();
  }
  Post(++id);
  EXPECT_EQ(post_status_.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(DeviceActorTest, S02_ACommandWhoseDeadlinePassesInTheMailboxNeverReachesTheDriver) {
  runner_.Pause(actor_.get(), true);
  const auto result = Post(1, Urgency::kCommand, milliseconds(10));
  runner_.RunFor(milliseconds(10));
  runner_.Pause(actor_.get(), false);
  runner_.Settle();
  EXPECT_THAT(control_->TakeCalls(), IsEmpty());
  ASSERT_EQ(result->calls, 1);
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(result->outcome.sent, MonoTime{});
}

TEST_F(DeviceActorTest, ACommandIsCancelledAtTheMomentOfItsDeadline) {
  const auto result = Post(1, Urgency::kCommand, milliseconds(10));
  runner_.RunFor(milliseconds(10) - Duration(1));
  EXPECT_EQ(result->calls, 0);
  runner_.RunFor(Duration(1));
  ASSERT_EQ(result->calls, 1);
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_NE(result->outcome.on_wire, MonoTime{}) << "how far it came is reported";
  EXPECT_THAT(control_->TakeCalls(), ElementsAre("execute 1", "cancel 1"));
}

TEST_F(DeviceActorTest, ADriverThatForgetsACancelledCommandDoesNotKeepItsCallerWaiting) {
  control_->forgetful = true;
  const auto result = Post(1, Urgency::kCommand, milliseconds(10));
  runner_.RunFor(milliseconds(10));
  ASSERT_EQ(result->calls, 1);
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kDeadlineExceeded);
  Acknowledge();  // the driver finishes it after all
  EXPECT_EQ(result->calls, 1);
}

TEST_F(DeviceActorTest, ACommandThatIsCancelledInTheMailboxNeverReachesTheDriver) {
  const auto result = Post(1);
  actor_->PostCancel(1, absl::AbortedError("lease lost"));
  runner_.Settle();
  EXPECT_THAT(control_->TakeCalls(), IsEmpty());
  ASSERT_EQ(result->calls, 1);
  EXPECT_THAT(std::string(result->outcome.status.message()), HasSubstr("lease lost"));
}

TEST_F(DeviceActorTest, S02_ARevokedCommandNeverReachesTheDriver) {
  const auto result = Post(1);
  guard_->Revoke();
  runner_.Settle();
  EXPECT_THAT(control_->TakeCalls(), IsEmpty());
  ASSERT_EQ(result->calls, 1);
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kAborted);
}

TEST_F(DeviceActorTest, ACommandThatIsRevokedUnderWayIsCancelledInTheNextStep) {
  const auto result = Post(1);
  runner_.Settle();
  guard_->Revoke();
  runner_.RunFor(milliseconds(200));  // the heartbeat
  ASSERT_EQ(result->calls, 1);
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kAborted);
}

TEST_F(DeviceActorTest, S02_CommandsGivenBeforeABusOffAreNotSentAfterIt) {
  const auto result = Post(1);
  const auto safe = Post(2, Urgency::kSafe);
  bus_.SetState(BusState::kBusOff);
  bus_.SetState(BusState::kActive);
  const auto later = Post(3);
  runner_.Settle();
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorInfo(result->outcome.status).reason, "BUS_DOWN");
  EXPECT_EQ(safe->outcome.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(later->calls, 0);
  EXPECT_THAT(control_->TakeCalls(), ElementsAre("bus bus-off", "bus active", "execute 3"));
}

TEST_F(DeviceActorTest, S02_CommandsUnderWayEndWhenTheBusGoesOff) {
  const auto result = Post(1);
  runner_.Settle();
  bus_.SetState(BusState::kBusOff);
  runner_.Settle();
  ASSERT_EQ(result->calls, 1);
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(DeviceActorTest, CommandsOnABusThatIsAwayAreRefusedAtOnce) {
  bus_.SetState(BusState::kDown);
  const auto result = Post(1);
  runner_.Settle();
  ASSERT_EQ(result->calls, 1);
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(control_->TakeCalls(), ElementsAre("bus down"));
}

TEST_F(DeviceActorTest, ACommandForItemsThatWereReplacedIsNotExecuted) {
  next_items_ = std::make_shared<const ItemTable>(std::vector<ItemBlock>{});
  const auto result = Post(1);
  runner_.Settle();
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(GetErrorInfo(result->outcome.status).reason, "ITEMS_REPLACED");
  next_items_ = cache_.Snapshot(index_)->items_ptr();
  const auto right = Post(2);
  runner_.Settle();
  EXPECT_EQ(right->calls, 0);
  EXPECT_THAT(control_->TakeCalls(), ElementsAre("execute 2"));
}

TEST_F(DeviceActorTest, SuccessWithoutTheStageThatWasWaitedForIsReportedAsADriversError) {
  // The fake driver acknowledges "confirmed" only when it hears of it; "sent" is enough here.
  const auto sent = Post(1, Urgency::kCommand, seconds(1), Stage::kSent);
  runner_.Settle();
  EXPECT_TRUE(sent->outcome.status.ok());
  // The frame is never reported: kOnWire is not reached, yet the driver finishes with OK.
  bus_.ReportAtOnce(false);
  const auto on_wire = Post(2, Urgency::kCommand, seconds(1), Stage::kOnWire);
  runner_.Settle();
  Acknowledge();
  EXPECT_EQ(on_wire->outcome.status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(GetErrorInfo(on_wire->outcome.status).reason, "STAGE_NOT_REACHED");
}

TEST_F(DeviceActorTest, ASafeCommandThatWaitsBeforeTheFirstStepIsExecuted) {
  const DeviceIndex index = cache_.AddDevice("hv7");
  const auto control = fake::FreshControl("hv7");
  DeviceActor::Options options;
  options.clock = &clock_;
  options.driver = &fake::Info();
  options.config = fake::Config("hv7", 7);
  options.bus_info = {.id = "can0"};
  options.writer = cache_.Writer(index);
  options.alarms = alarms_.get();
  DeviceActor actor(std::move(options), &bus_);
  Command command;
  command.id = 1;
  command.what = ActionCall{"ramp_down", {}};
  command.urgency = Urgency::kSafe;
  ASSERT_TRUE(actor.PostCommand(std::move(command), [](CommandOutcome) {}).ok());
  actor.RunUntil(clock_.Now());
  EXPECT_THAT(control->TakeCalls(), ElementsAre("bus active", "start", "execute 1"));
}

TEST_F(DeviceActorTest, DestructionEndsEveryCommandAndRefreshOnce) {
  const auto running = Post(1);
  runner_.Settle();
  const auto waiting = Post(2);
  const auto safe = Post(3, Urgency::kSafe);
  int refreshes = 0;
  actor_->PostRefresh({0}, kNever, [&](absl::Status status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    ++refreshes;
  });
  runner_.Remove(actor_.get());
  actor_.reset();
  for (const auto& result : {running, waiting, safe}) {
    EXPECT_EQ(result->calls, 1);
    EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(refreshes, 1);
}

TEST_F(DeviceActorTest, ARefreshEndsWhenTheDriverHasRead) {
  absl::Status status = absl::UnknownError("not called");
  actor_->PostRefresh({0}, clock_.Now() + seconds(1), [&](absl::Status s) { status = s; });
  runner_.Settle();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  bus_.Receive(fake::ReadingFrame(3, fake::kStatus, 1));
  runner_.Settle();
  EXPECT_TRUE(status.ok());
}

TEST_F(DeviceActorTest, ARefreshEndsAtItsDeadline) {
  absl::Status status;
  actor_->PostRefresh({0}, clock_.Now() + milliseconds(50), [&](absl::Status s) { status = s; });
  runner_.RunFor(milliseconds(50));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  bus_.Receive(fake::ReadingFrame(3, fake::kStatus, 1));  // too late: no second call
  runner_.Settle();
}

TEST_F(DeviceActorTest, ARefreshOfItemsThatDoNotExistIsRefused) {
  absl::Status status;
  actor_->PostRefresh({1000}, kNever, [&](absl::Status s) { status = s; });
  runner_.Settle();
  EXPECT_EQ(GetErrorInfo(status).reason, "ITEMS_REPLACED");
}

TEST_F(DeviceActorTest, S09_AnExceptionStopsTheDriverAndItStartsAgainLater) {
  const auto result = Post(1);
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageMeasure, 7));
  runner_.Settle();
  control_->TakeCalls();
  {
    const std::lock_guard lock(control_->mutex);
    control_->on_frame = [] { throw std::runtime_error("index out of range"); };
  }
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageMeasure, 8));
  runner_.Settle();
  EXPECT_EQ(result->outcome.status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Read(fake::kVoltageMeasure).quality, Quality::kBad);
  EXPECT_EQ(cache_.Snapshot(index_)->link(), LinkState::kLost);
  EXPECT_THAT(cache_.Snapshot(index_)->link_text(), HasSubstr("index out of range"));
  EXPECT_TRUE(AlarmActive(DeviceActor::kDriverFailedAlarm));
  const auto meanwhile = Post(2);
  runner_.Settle();
  EXPECT_EQ(GetErrorInfo(meanwhile->outcome.status).reason, "DRIVER_NOT_RUNNING");

  control_->on_frame = nullptr;
  bus_.TakeSent();
  runner_.RunFor(DeviceActor::kFirstRestartDelay - Duration(1));
  EXPECT_THAT(bus_.TakeSent(), IsEmpty()) << "S04: nothing keeps the device alive meanwhile";
  runner_.RunFor(Duration(1));
  EXPECT_THAT(control_->TakeCalls(), ElementsAre("bus active", "start"));
  EXPECT_EQ(cache_.Snapshot(index_)->link(), LinkState::kOnline);
  EXPECT_TRUE(AlarmActive(DeviceActor::kDriverFailedAlarm));
  runner_.RunFor(DeviceActor::kGoodWhile);
  EXPECT_FALSE(AlarmActive(DeviceActor::kDriverFailedAlarm));
}

TEST_F(DeviceActorTest, ADriverThatFailsAgainAndAgainStaysAwayLonger) {
  {
    const std::lock_guard lock(control_->mutex);
    control_->on_frame = [] { throw 42; };
  }
  for (int i = 0; i < 300; ++i) {
    bus_.Receive(fake::ReadingFrame(3, fake::kStatus, 1));
    runner_.RunFor(seconds(1));
  }
  // Starts at 1, 3, 7, 15, 31, 63, 95 … s: every 32 s from then on.
  EXPECT_LE(control_->Count("start"), 15);
  EXPECT_GE(control_->Count("start"), 10);
}

TEST_F(DeviceActorTest, RestartForgetsEverythingAndSetsNothing) {
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageSet, 5));
  runner_.Settle();
  ASSERT_TRUE(actor_->PostRestart().ok());
  bus_.TakeSent();
  control_->TakeCalls();
  runner_.Settle();
  EXPECT_THAT(control_->TakeCalls(), ElementsAre("bus active", "start"));
  EXPECT_EQ(Read(fake::kVoltageSet).quality, Quality::kNeverRead);
  EXPECT_FALSE(cache_.Snapshot(index_)->polled());
  EXPECT_THAT(bus_.TakeSent(), IsEmpty());
}

TEST_F(DeviceActorTest, RestartIsRefusedWhileACommandIsUnderWay) {
  Post(1);
  EXPECT_EQ(actor_->PostRestart().code(), absl::StatusCode::kFailedPrecondition);
  runner_.Settle();
  Acknowledge();
  EXPECT_TRUE(actor_->PostRestart().ok());
}

// Found by the simulation: an actor that hung was to be restarted, then its lease lapsed, and the
// restart ended the emergency off after its first frame.
TEST_F(DeviceActorTest, S10_ARestartDoesNotCutASafeActionShort) {
  ASSERT_TRUE(actor_->PostRestart().ok());
  control_->TakeCalls();
  const auto safe = Post(1, Urgency::kSafe);
  runner_.Settle();
  EXPECT_THAT(control_->TakeCalls(), testing::Not(testing::Contains("start")));
  Acknowledge();
  EXPECT_TRUE(safe->outcome.status.ok()) << safe->outcome.status;
}

TEST_F(DeviceActorTest, NewLimitsReachTheDriver) {
  DeviceConfig config = fake::Config("hv0", 3);
  config.limits["voltage"] = 1234;
  actor_->PostConfig(config);
  runner_.Settle();
  EXPECT_THAT(control_->TakeCalls(), ElementsAre("limit 1234"));
}

TEST_F(DeviceActorTest, CountsWhatItSeesAndDoes) {
  bus_.Receive(fake::ReadingFrame(3, fake::kVoltageSet, 5));
  bus_.Receive(MakeFrame(0x103, {77, 0}));
  Post(1);
  runner_.Settle();
  const DeviceCounters counters = actor_->Counters();
  EXPECT_EQ(counters.frames_received, 2u);
  EXPECT_EQ(counters.frames_sent, 1u);
  EXPECT_EQ(counters.commands, 1u);
  EXPECT_EQ(counters.bad_frames.at("unknown_item"), 1u);
  EXPECT_EQ(counters.last_bad_frame, "103#4D00");
  EXPECT_EQ(counters.last_frame_time, clock_.Now());
}

TEST_F(DeviceActorTest, S12_WallJumpsChangeNothing) {
  const auto result = Post(1, Urgency::kCommand, milliseconds(100));
  clock_.JumpWall(std::chrono::hours(1000));
  runner_.RunFor(milliseconds(50));
  clock_.JumpWall(-std::chrono::hours(100000));
  runner_.RunFor(milliseconds(49));
  EXPECT_EQ(result->calls, 0);
  runner_.RunFor(milliseconds(1));
  EXPECT_EQ(result->calls, 1);
}

}  // namespace
}  // namespace canhub
