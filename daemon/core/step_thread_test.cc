#include "daemon/core/step_thread.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <thread>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Runs what a test puts in; counts its steps.
class Work final : public Steppable {
 public:
  MonoTime RunUntil(MonoTime now) override {
    ++steps;
    const MonoTime next = step ? step(now) : kNever;
    stepped.Ring();
    return next;
  }
  void Call() { Wake(); }
  std::function<MonoTime(MonoTime)> step;
  std::atomic<int> steps{0};
  Doorbell stepped;
};

TEST(DoorbellTest, ACallBeforeTheWaitEndsIt) {
  Doorbell bell;
  bell.Ring();
  EXPECT_TRUE(bell.WaitUntil(kNever));
}

TEST(DoorbellTest, CallsAreCoalesced) {
  const RealClock clock;
  Doorbell bell;
  bell.Ring();
  bell.Ring();
  EXPECT_TRUE(bell.WaitUntil(kNever));
  EXPECT_FALSE(bell.WaitUntil(clock.Now() + milliseconds(1)));
}

TEST(DoorbellTest, ADeadlineThatIsOverDoesNotWait) {
  Doorbell bell;
  EXPECT_FALSE(bell.WaitUntil(MonoTime{}));
  EXPECT_FALSE(bell.WaitUntil(MonoTime::min()));
}

TEST(DoorbellTest, NoCallIsLost) {
  Doorbell ping, pong;
  std::thread other([&] {
    for (int i = 0; i < 2000; ++i) {
      ping.WaitUntil(kNever);
      pong.Ring();
    }
  });
  const RealClock clock;
  for (int i = 0; i < 2000; ++i) {
    ping.Ring();
    ASSERT_TRUE(pong.WaitUntil(clock.Now() + seconds(20))) << i;
  }
  other.join();
}

TEST(StepThreadTest, StepsAtTheMomentsItIsAskedFor) {
  const RealClock clock;
  Work work;
  MonoTime wanted = clock.Now();
  bool early = false;
  work.step = [&](MonoTime now) {
    early |= now < wanted;
    wanted = now + milliseconds(2);
    return wanted;
  };
  auto thread = StepThread::Start(&clock, {&work}, {.name = "test"});
  ASSERT_TRUE(thread.ok()) << thread.status();
  while (work.steps.load() < 5) ASSERT_TRUE(work.stepped.WaitUntil(clock.Now() + seconds(20)));
  thread->reset();
  EXPECT_FALSE(early);
}

TEST(StepThreadTest, StepsWhenItIsWoken) {
  const RealClock clock;
  Work work;
  auto thread = StepThread::Start(&clock, {&work}, {.name = "test"});
  ASSERT_TRUE(thread.ok()) << thread.status();
  for (int i = 1; i < 200; ++i) {
    while (work.steps.load() < i) ASSERT_TRUE(work.stepped.WaitUntil(clock.Now() + seconds(20)));
    work.Call();
  }
}

TEST(StepThreadTest, WakingAfterItsEndIsHarmless) {
  const RealClock clock;
  Work work;
  auto thread = StepThread::Start(&clock, {&work}, {.name = "test"});
  ASSERT_TRUE(thread.ok()) << thread.status();
  thread->reset();
  const int steps = work.steps.load();
  work.Call();
  EXPECT_EQ(work.steps.load(), steps);
}

TEST(StepThreadTest, S04_AStepThatHangsIsSeen) {
  const RealClock clock;
  Work work;
  Doorbell release, hanging;
  std::atomic<bool> hang{false};
  work.step = [&](MonoTime) {
    if (hang.load()) {
      hanging.Ring();
      release.WaitUntil(kNever);
    }
    return kNever;
  };
  auto thread = StepThread::Start(&clock, {&work}, {.name = "test"});
  ASSERT_TRUE(thread.ok()) << thread.status();
  ASSERT_TRUE(work.stepped.WaitUntil(clock.Now() + seconds(20)));
  // Waiting for ever is no hanging. (The step rings before its turn is quite over.)
  const MonoTime limit = clock.Now() + seconds(20);
  while ((*thread)->Overdue(clock.Now() + std::chrono::hours(1)) != Duration::zero()) {
    ASSERT_LT(clock.Now(), limit);
  }
  hang = true;
  work.Call();
  ASSERT_TRUE(hanging.WaitUntil(clock.Now() + seconds(20)));
  EXPECT_GE((*thread)->Overdue(clock.Now() + seconds(5)), seconds(5));
  hang = false;
  release.Ring();
}

TEST(StepThreadTest, RefusesAPriorityThatDoesNotExist) {
  const RealClock clock;
  Work work;
  const auto thread =
      StepThread::Start(&clock, {&work}, {.name = "hv0", .realtime_priority = 1000});
  EXPECT_EQ(thread.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorInfo(thread.status()).fields["maximum"], "99");
  EXPECT_EQ(work.steps.load(), 0);
}

TEST(StepThreadTest, RunsInRealTimeOrSaysWhyNot) {
  const RealClock clock;
  Work work;
  std::atomic<int> policy{-1};
  work.step = [&](MonoTime) {
    policy = sched_getscheduler(0);
    return kNever;
  };
  auto thread = StepThread::Start(&clock, {&work}, {.name = "hv0", .realtime_priority = 1});
  if (thread.ok()) {
    ASSERT_TRUE(work.stepped.WaitUntil(clock.Now() + seconds(20)));
    EXPECT_EQ(policy, SCHED_FIFO);
  } else {
    EXPECT_EQ(thread.status().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(GetErrorInfo(thread.status()).reason, "REALTIME_NOT_PERMITTED");
    EXPECT_EQ(work.steps.load(), 0);
  }
}

}  // namespace
}  // namespace canhub
