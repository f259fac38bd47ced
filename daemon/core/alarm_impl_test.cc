#include "daemon/core/alarm_impl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "daemon/core/gate_testing.h"

namespace canhub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class MemoryAlarmStore final : public AlarmStore {
 public:
  absl::Status Save(const AlarmRecord& alarm) override {
    std::lock_guard lock(mutex_);
    if (during_save) std::exchange(during_save, nullptr)();
    if (!failure.ok()) return failure;
    saved[alarm.id()] = alarm;
    ++saves;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<AlarmRecord>> LoadAll() override {
    if (!failure.ok()) return failure;
    std::vector<AlarmRecord> alarms;
    for (const auto& [id, alarm] : saved) alarms.push_back(alarm);
    return alarms;
  }
  absl::Status failure;
  std::map<std::string, AlarmRecord> saved;
  int saves = 0;
  std::function<void()> during_save;

 private:
  std::mutex mutex_;
};

class AlarmTest : public ::testing::Test {
 protected:
  void Restart() { book_ = MakeAlarmBook(&clock_, &store_, &audit_); }
  void Raise(AlarmSeverity severity = AlarmSeverity::kWarning, const std::string& text = "trip") {
    book_->Raise("hv0", "ch3.trip", severity, text);
  }
  void Clear() { book_->Clear("hv0", "ch3.trip"); }
  absl::Status Acknowledge() { return book_->Acknowledge(alice_, "hv0/ch3.trip", "seen").status(); }
  void Run() { book_->RunUntil(clock_.Now()); }
  AlarmRecord Get() {
    const auto list = book_->List({.include_history = true, .include_shelved = true});
    EXPECT_THAT(list, SizeIs(1));
    return list.empty() ? AlarmRecord{} : list[0];
  }

  SimulatedClock clock_;
  GateAudit audit_;
  MemoryAlarmStore store_;
  std::unique_ptr<AlarmBook> book_ = MakeAlarmBook(&clock_, &store_, &audit_);
  Caller alice_{"alice", Role::kOperator};
};

TEST_F(AlarmTest, StaysUntilItIsClearedAndAcknowledgedInEitherOrder) {
  Raise();
  EXPECT_EQ(book_->ActiveCount("hv0"), 1);
  Clear();
  EXPECT_THAT(book_->List({}), SizeIs(1));
  EXPECT_EQ(book_->ActiveCount("hv0"), 0);
  ASSERT_TRUE(Acknowledge().ok());
  EXPECT_THAT(book_->List({}), IsEmpty());
  EXPECT_THAT(book_->List({.include_history = true}), SizeIs(1));
  Raise();
  ASSERT_TRUE(Acknowledge().ok());
  EXPECT_THAT(book_->List({}), SizeIs(1));
  Clear();
  EXPECT_THAT(book_->List({}), IsEmpty());
}

TEST_F(AlarmTest, CountsAndTimesItsOccurrence) {
  const WallTime first = clock_.WallNow();
  Raise();
  clock_.Advance(1s);
  Clear();
  clock_.Advance(1s);
  Raise();
  EXPECT_EQ(Get().count, 2u);
  EXPECT_EQ(Get().first_time, first);
  EXPECT_EQ(Get().last_time, first + 2s);
  EXPECT_EQ(Get().clear_time, std::nullopt);
  Clear();
  ASSERT_TRUE(Acknowledge().ok());
  Raise();
  EXPECT_EQ(Get().count, 1u);
  EXPECT_EQ(Get().first_time, first + 2s);
  EXPECT_EQ(Get().acknowledged_by, "");
}

TEST_F(AlarmTest, RaisingAnActiveOneChangesOnlyItsText) {
  Raise();
  ASSERT_TRUE(Acknowledge().ok());
  Raise(AlarmSeverity::kInfo, "still tripped");
  EXPECT_EQ(Get().text, "still tripped");
  EXPECT_EQ(Get().severity, 2);
  EXPECT_EQ(Get().count, 1u);
  EXPECT_TRUE(Get().acknowledged);
}

TEST_F(AlarmTest, OneThatGetsWorseMustBeAcknowledgedAgain) {
  Raise(AlarmSeverity::kWarning);
  ASSERT_TRUE(Acknowledge().ok());
  Raise(AlarmSeverity::kCritical, "worse");
  EXPECT_FALSE(Get().acknowledged);
  EXPECT_EQ(Get().severity, 3);
}

TEST_F(AlarmTest, AcknowledgingTwiceOrTheUnknownIsRefused) {
  EXPECT_TRUE(absl::IsNotFound(Acknowledge()));
  Raise();
  ASSERT_TRUE(Acknowledge().ok());
  const absl::Status again = Acknowledge();
  EXPECT_TRUE(absl::IsFailedPrecondition(again));
  EXPECT_THAT(std::string(again.message()), HasSubstr("alice"));
  EXPECT_TRUE(absl::IsPermissionDenied(
      book_->Acknowledge({"tcp", Role::kViewer}, "hv0/ch3.trip", "").status()));
}

TEST_F(AlarmTest, S11_AnAcknowledgementIsOnDiskWhenItReturns) {
  Raise();
  ASSERT_TRUE(Acknowledge().ok());
  EXPECT_TRUE(store_.saved.at("hv0/ch3.trip").acknowledged);
  EXPECT_EQ(store_.saved.at("hv0/ch3.trip").comment, "seen");
  Run();
  EXPECT_TRUE(store_.saved.at("hv0/ch3.trip").acknowledged);
  EXPECT_EQ(store_.saved.at("hv0/ch3.trip"), Get());
}

TEST_F(AlarmTest, S11_WhatCannotBeWrittenIsNotAcknowledged) {
  Raise();
  store_.failure = absl::ResourceExhaustedError("disk full");
  EXPECT_TRUE(absl::IsUnavailable(Acknowledge()));
  EXPECT_FALSE(Get().acknowledged);
  EXPECT_TRUE(absl::IsUnavailable(book_->Shelve(alice_, "hv0/ch3.trip", 1h, "").status()));
  EXPECT_EQ(Get().shelved_until, std::nullopt);
}

TEST_F(AlarmTest, OneThatIsRaisedAgainWhileItIsAcknowledgedIsNot) {
  Raise();
  Clear();
  store_.during_save = [this] { Raise(); };
  EXPECT_TRUE(absl::IsFailedPrecondition(Acknowledge()));
  EXPECT_FALSE(Get().acknowledged);
  Run();
  EXPECT_FALSE(store_.saved.at("hv0/ch3.trip").acknowledged);
  EXPECT_TRUE(store_.saved.at("hv0/ch3.trip").active);
}

TEST_F(AlarmTest, OneThatClearsWhileItIsAcknowledgedIsNormalOnDiskToo) {
  Raise();
  store_.during_save = [this] { Clear(); };
  EXPECT_TRUE(Acknowledge().ok());
  Run();
  EXPECT_TRUE(store_.saved.at("hv0/ch3.trip").acknowledged);
  EXPECT_FALSE(store_.saved.at("hv0/ch3.trip").active);
}

TEST_F(AlarmTest, ChangesAreWrittenByTheNextStepsAndOnlyOnce) {
  for (int i = 0; i < 40; ++i) {
    book_->Raise("hv0", "code" + std::to_string(i), AlarmSeverity::kInfo, "x");
  }
  EXPECT_THAT(store_.saved, IsEmpty());
  while (book_->RunUntil(clock_.Now()) == clock_.Now()) {
  }
  EXPECT_THAT(store_.saved, SizeIs(40));
  Run();
  EXPECT_EQ(store_.saves, 40);
}

TEST_F(AlarmTest, ADiskThatFailsIsAnAlarmUntilItWorks) {
  Raise();
  store_.failure = absl::UnavailableError("/x/state.db: I/O error");
  Run();
  const auto list = book_->List({});
  ASSERT_THAT(list, SizeIs(2));
  EXPECT_EQ(list[0].id(), "/alarm_store");
  EXPECT_THAT(list[0].text, HasSubstr("/x/state.db: I/O error"));
  store_.failure = absl::OkStatus();
  while (book_->RunUntil(clock_.Now()) == clock_.Now()) {
  }
  EXPECT_EQ(book_->ActiveCount(""), 0);
  EXPECT_THAT(store_.saved, SizeIs(2));
}

TEST_F(AlarmTest, ARecordThatCannotBeWrittenIsAnAlarm) {
  audit_.set_problem("/x/state.db: disk full");
  Run();
  EXPECT_EQ(Get().id(), "/audit_record");
  EXPECT_EQ(Get().severity, 3);
  EXPECT_THAT(Get().text, HasSubstr("/x/state.db: disk full"));
  audit_.set_problem("");
  Run();
  EXPECT_FALSE(Get().active);
}

TEST_F(AlarmTest, AnActiveAlarmOutlastsARestartUntilItsSourceSpeaks) {
  Raise();
  ASSERT_TRUE(Acknowledge().ok());
  Run();
  Restart();
  EXPECT_TRUE(Get().active);
  EXPECT_THAT(Get().text, HasSubstr("not reported since"));
  Raise();
  EXPECT_EQ(Get().text, "trip");
  EXPECT_TRUE(Get().acknowledged);
  Clear();
  EXPECT_THAT(book_->List({}), IsEmpty());
}

TEST_F(AlarmTest, AnAlarmOfTheLastRunThatNobodySpeaksOfEndsWithAnAcknowledgement) {
  Raise();
  ASSERT_TRUE(Acknowledge().ok());
  Run();
  Restart();
  EXPECT_TRUE(Acknowledge().ok());
  EXPECT_THAT(book_->List({}), IsEmpty());
  EXPECT_FALSE(store_.saved.at("hv0/ch3.trip").active);
  Raise();
  EXPECT_THAT(book_->List({}), SizeIs(1));
}

TEST_F(AlarmTest, ALatchedAlarmOutlastsARestart) {
  Raise();
  Clear();
  Run();
  Restart();
  EXPECT_THAT(book_->List({}), SizeIs(1));
  EXPECT_FALSE(Get().active);
}

TEST_F(AlarmTest, AlarmsThatCannotBeReadAreAnAlarm) {
  store_.failure = absl::UnavailableError("torn");
  Restart();
  EXPECT_EQ(Get().id(), "/alarm_store");
}

TEST_F(AlarmTest, AShelvedAlarmIsHiddenForItsTime) {
  Raise();
  ASSERT_TRUE(book_->Shelve(alice_, "hv0/ch3.trip", 1h, "known").ok());
  EXPECT_EQ(store_.saved.at("hv0/ch3.trip").shelved_by, "alice");
  EXPECT_THAT(book_->List({}), IsEmpty());
  EXPECT_THAT(book_->List({.include_shelved = true}), SizeIs(1));
  clock_.Advance(1h);
  EXPECT_THAT(book_->List({}), SizeIs(1));
  Run();
  EXPECT_EQ(Get().shelved_until, std::nullopt);
}

TEST_F(AlarmTest, ShelvingTakesOneSecondToADayOrBack) {
  Raise();
  for (const Duration wrong : {Duration(999ms), Duration(24h + 1s), Duration(-1s)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(book_->Shelve(alice_, "hv0/ch3.trip", wrong, "").status()));
  }
  ASSERT_TRUE(book_->Shelve(alice_, "hv0/ch3.trip", 24h, "").ok());
  ASSERT_TRUE(book_->Shelve(alice_, "hv0/ch3.trip", 0s, "").ok());
  EXPECT_THAT(book_->List({}), SizeIs(1));
}

TEST_F(AlarmTest, S12_JumpsOfTheWallClockChangeNoShelving) {
  Raise();
  ASSERT_TRUE(book_->Shelve(alice_, "hv0/ch3.trip", 1h, "").ok());
  clock_.JumpWall(24h * 365);
  Run();
  EXPECT_THAT(book_->List({}), IsEmpty());
  clock_.JumpWall(-24h * 3650);
  clock_.Advance(1h);
  Run();
  EXPECT_THAT(book_->List({}), SizeIs(1));
}

TEST_F(AlarmTest, ListsTheWorstFirstThenTheNewest) {
  book_->Raise("hv0", "a", AlarmSeverity::kInfo, "");
  clock_.Advance(1s);
  book_->Raise("hv1", "b", AlarmSeverity::kCritical, "");
  clock_.Advance(1s);
  book_->Raise("hv0", "c", AlarmSeverity::kInfo, "");
  std::vector<std::string> ids;
  for (const AlarmRecord& alarm : book_->List({})) ids.push_back(alarm.id());
  EXPECT_THAT(ids, ElementsAre("hv1/b", "hv0/c", "hv0/a"));
  EXPECT_THAT(book_->List({.device_id = "hv1"}), SizeIs(1));
}

TEST_F(AlarmTest, HistoryIsBounded) {
  for (size_t i = 0; i < kMaxAlarmHistory + 50; ++i) {
    const std::string code = "code" + std::to_string(i);
    book_->Raise("hv0", code, AlarmSeverity::kInfo, "x");
    book_->Clear("hv0", code);
    ASSERT_TRUE(book_->Acknowledge(alice_, "hv0/" + code, "").ok());
    clock_.Advance(1s);
  }
  Run();
  const auto list = book_->List({.include_history = true});
  EXPECT_THAT(list, SizeIs(kMaxAlarmHistory));
  EXPECT_EQ(list[0].code, "code" + std::to_string(kMaxAlarmHistory + 49));
}

TEST_F(AlarmTest, AWatchGivesWhatIsThereThenChangesMerged) {
  Raise();
  int ready = 0;
  auto watch = book_->Watch("", [&] { ++ready; });
  EXPECT_THAT(watch->Drain().alarms, SizeIs(1));
  EXPECT_THAT(watch->Drain().alarms, IsEmpty());
  EXPECT_EQ(ready, 0);
  Clear();
  Raise();
  Clear();
  EXPECT_EQ(ready, 1);
  const AlarmWatch::Batch batch = watch->Drain();
  ASSERT_THAT(batch.alarms, SizeIs(1));
  EXPECT_FALSE(batch.alarms[0].active);
  EXPECT_EQ(batch.coalesced, 2u);
  watch.reset();
  Raise();
  EXPECT_EQ(ready, 1);
}

TEST_F(AlarmTest, AWatchOfOneDeviceHearsOnlyOfIt) {
  auto watch = book_->Watch("hv1", [] {});
  Raise();
  EXPECT_THAT(watch->Drain().alarms, IsEmpty());
  book_->Raise("hv1", "x", AlarmSeverity::kInfo, "");
  EXPECT_THAT(watch->Drain().alarms, SizeIs(1));
}

TEST_F(AlarmTest, S06_RaisersWatchersAndTheDiskRunAtOnce) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) Run();
  });
  std::thread watcher([&] {
    while (!stop) {
      auto watch = book_->Watch("", [] {});
      for (int i = 0; i < 5; ++i) watch->Drain();
    }
  });
  std::thread person([&] {
    while (!stop) Acknowledge().IgnoreError();
  });
  for (int i = 0; i < 500; ++i) {
    Raise();
    Clear();
  }
  stop = true;
  writer.join();
  watcher.join();
  person.join();
  while (book_->RunUntil(clock_.Now()) == clock_.Now()) {
  }
  EXPECT_EQ(store_.saved.at("hv0/ch3.trip"), Get());
}

}  // namespace
}  // namespace canhub
