#include "daemon/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "daemon/store/test_directory.h"
#include "drivers/api/errors.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class StoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Open() {
    auto store = Store::Open(options_, &clock_);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  AuditEntry Entry(const std::string& text, const std::string& device = "hv0") {
    AuditEntry entry;
    entry.time = clock_.WallNow();
    entry.kind = "command";
    entry.identity = "unix:uid=1000(alice)";
    entry.device_id = device;
    entry.text = text;
    return entry;
  }
  static std::vector<std::string> Texts(const absl::StatusOr<AuditPage>& page) {
    std::vector<std::string> texts;
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return texts;
    for (const AuditEntry& entry : page->entries) texts.push_back(entry.text);
    return texts;
  }

  SimulatedClock clock_;
  TestDirectory directory_;
  StoreOptions options_{.directory = directory_ / "state",
                        .journal = {.capacity = 256 << 10, .reserve = 64 << 10}};
};

AlarmRecord Trip() {
  AlarmRecord alarm;
  alarm.device_id = "hv0";
  alarm.code = "ch3.trip";
  alarm.severity = 3;
  alarm.text = "tripped";
  alarm.acknowledged = true;
  alarm.acknowledged_by = "alice";
  alarm.first_time = WallTime(5s);
  alarm.last_time = WallTime(6s);
  alarm.acknowledge_time = WallTime(7s);
  alarm.count = 2;
  alarm.comment = "seen";
  return alarm;
}

TEST_F(StoreTest, QueryFindsAnEntryAtOnce) {
  auto store = Open();
  ASSERT_TRUE(store->audit().Append(Entry("a")).ok());
  EXPECT_THAT(Texts(store->audit().Query({})), ElementsAre("a"));
}

TEST_F(StoreTest, EntriesAreThereAfterARestartAndNumbersGoOn) {
  Open()->audit().Append(Entry("a")).IgnoreError();
  auto store = Open();
  ASSERT_TRUE(store->audit().Append(Entry("b")).ok());
  const auto page = store->audit().Query({});
  EXPECT_THAT(Texts(page), ElementsAre("b", "a"));
  EXPECT_EQ(page->entries[0].sequence, 2u);
}

TEST_F(StoreTest, QueryNarrowsByDeviceIdentityTimeAndPage) {
  auto store = Open();
  const WallTime start = clock_.WallNow();
  for (int i = 0; i < 10; ++i) {
    AuditEntry entry = Entry(std::to_string(i), i % 2 == 0 ? "hv0" : "hv1");
    entry.identity = i < 5 ? "cert:CN=alice,O=lab" : "cert:CN=bob,O=lab";
    ASSERT_TRUE(store->audit().Append(entry).ok());
    clock_.Advance(1s);
  }
  AuditLog& audit = store->audit();
  EXPECT_THAT(Texts(audit.Query({.device_id = "hv0"})), ElementsAre("8", "6", "4", "2", "0"));
  EXPECT_THAT(Texts(audit.Query({.identity = "CN=bob"})), SizeIs(5));
  EXPECT_THAT(Texts(audit.Query({.device_id = "hv1", .identity = "bob"})),
              ElementsAre("9", "7", "5"));
  EXPECT_THAT(Texts(audit.Query({.from = start + 3s, .to = start + 5s})), ElementsAre("4", "3"));
  const auto page = audit.Query({.limit = 4});
  EXPECT_THAT(Texts(page), ElementsAre("9", "8", "7", "6"));
  EXPECT_TRUE(page->more);
  const auto rest = audit.Query({.limit = 6, .before_sequence = page->entries.back().sequence});
  EXPECT_THAT(Texts(rest), ElementsAre("5", "4", "3", "2", "1", "0"));
  EXPECT_FALSE(rest->more);
}

TEST_F(StoreTest, RunUntilMovesEntriesIntoTheDatabaseWithinASecond) {
  auto store = Open();
  ASSERT_TRUE(store->audit().Append(Entry("a")).ok());
  const MonoTime next = store->RunUntil(clock_.Now());
  EXPECT_LT(next - clock_.Now(), 1s);
  // Power loss: what is not in the database is gone with the journal.
  std::filesystem::copy(options_.directory, directory_ / "copy");
  std::filesystem::remove(directory_ / "copy/audit.journal");
  auto copy = Store::Open({.directory = directory_ / "copy"}, &clock_);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_THAT(Texts((*copy)->audit().Query({})), ElementsAre("a"));
}

TEST_F(StoreTest, TwoStoresCannotShareADirectory) {
  auto first = Open();
  const auto second = Store::Open(options_, &clock_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(getpid())));
}

TEST_F(StoreTest, ADirectoryThatCannotBeMadeIsNamed) {
  options_.directory = directory_ / "missing/state";
  const auto store = Store::Open(options_, &clock_);
  EXPECT_THAT(std::string(store.status().message()), HasSubstr(options_.directory));
}

TEST_F(StoreTest, S11_AnAlarmIsWholeAfterARestart) {
  AlarmRecord alarm = Trip();
  alarm.shelved_until = WallTime(99s);
  alarm.shelved_by = "bob";
  ASSERT_TRUE(Open()->alarms().Save(alarm).ok());
  const auto alarms = Open()->alarms().LoadAll();
  ASSERT_TRUE(alarms.ok());
  EXPECT_THAT(*alarms, ElementsAre(alarm));
}

TEST_F(StoreTest, ADatabaseOfANewerReleaseIsRefusedAndLeftAlone) {
  Open().reset();
  auto database = SqlDatabase::Open(options_.directory + "/state.db", false);
  ASSERT_TRUE((*database)->Execute("PRAGMA user_version = 7").ok());
  database->reset();
  const auto store = Store::Open(options_, &clock_);
  EXPECT_TRUE(absl::IsFailedPrecondition(store.status()));
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("found schema version 7"));
}

TEST_F(StoreTest, S07_ADamagedDatabaseIsKeptAndANewOneBegun) {
  Open()->audit().Append(Entry("a")).IgnoreError();
  {
    std::ofstream file(options_.directory + "/state.db", std::ios::binary);
    file << std::string(8192, 'x');
  }
  auto store = Open();
  ASSERT_NE(store, nullptr);
  ASSERT_THAT(store->notes(), SizeIs(1));
  EXPECT_THAT(store->notes()[0], HasSubstr("damaged"));
  // The entry was still in the journal's ring.
  EXPECT_THAT(Texts(store->audit().Query({})), ElementsAre(store->notes()[0], "a"));
  int kept = 0;
  for (const auto& file : std::filesystem::directory_iterator(options_.directory)) {
    kept += file.path().filename().string().starts_with("state.db.damaged-20260101T");
  }
  EXPECT_GE(kept, 1);
}

TEST_F(StoreTest, S07_AnUnknownFileFormatIsDamageToo) {
  Open()->audit().Append(Entry("a")).IgnoreError();
  {
    std::fstream file(options_.directory + "/state.db",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(47);  // the schema's format number; SQLite knows 1 to 4
    file.put('\x09');
  }
  auto store = Open();
  ASSERT_NE(store, nullptr);
  ASSERT_THAT(store->notes(), SizeIs(1));
  EXPECT_THAT(store->notes()[0], HasSubstr("damaged"));
}

TEST_F(StoreTest, S07_DamageThatShowsWhileRunningLosesNoAlarm) {
  auto store = Open();
  ASSERT_TRUE(store->alarms().Save(Trip()).ok());
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(store->audit().Append(Entry(std::string(300, 'x'))).ok());
    if (i % 100 == 99) store->RunUntil(clock_.Now());
  }
  store.reset();
  {
    // The root page of the audit table stays, pages after it are overwritten.
    std::fstream file(options_.directory + "/state.db",
                      std::ios::in | std::ios::out | std::ios::binary);
    const auto size = std::filesystem::file_size(options_.directory + "/state.db");
    for (size_t offset = 6 * 4096; offset < size; offset += 4096) {
      file.seekp(static_cast<std::streamoff>(offset));
      file << std::string(4096, '\x5A');
    }
  }
  store = Open();
  ASSERT_NE(store, nullptr);
  ASSERT_TRUE(store->audit().Append(Entry("after")).ok());
  clock_.Advance(2s);
  store->RunUntil(clock_.Now());
  EXPECT_TRUE(store->audit().writable()) << store->audit().problem();
  const auto texts = Texts(store->audit().Query({}));
  EXPECT_THAT(texts, ::testing::Contains("after"));
  const auto alarms = store->alarms().LoadAll();
  ASSERT_TRUE(alarms.ok()) << alarms.status();
  EXPECT_THAT(*alarms, ElementsAre(Trip()));
}

TEST_F(StoreTest, S07_ADatabaseOfWhichOnlyTheFirstPageIsLeftIsBegunAnew) {
  ASSERT_TRUE(Open()->alarms().Save(Trip()).ok());
  const std::string path = options_.directory + "/state.db";
  const auto size = std::filesystem::file_size(path);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(size - 4096, '\x5A');
  }
  auto store = Open();
  ASSERT_NE(store, nullptr);
  ASSERT_THAT(store->notes(), SizeIs(1));
  EXPECT_THAT(store->notes()[0], HasSubstr("was damaged"));
  EXPECT_TRUE(store->alarms().LoadAll().ok());
}

TEST_F(StoreTest, S07_ADatabaseWhoseColumnsLostTheirNamesIsBegunAnew) {
  Open()->audit().Append(Entry("a")).IgnoreError();
  const std::string path = options_.directory + "/state.db";
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const size_t at = bytes.find("command_id");
  ASSERT_NE(at, std::string::npos);
  bytes[at] = 'C' + 1;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  auto store = Open();
  ASSERT_NE(store, nullptr);
  EXPECT_THAT(store->notes(), SizeIs(1));
  ASSERT_TRUE(store->audit().Append(Entry("b")).ok());
  EXPECT_THAT(Texts(store->audit().Query({})), ::testing::Contains("b"));
}

// The page of the alarms' table; everything else is sound.
TEST_F(StoreTest, S07_AlarmsThatCannotBeReadAreTold) {
  ASSERT_TRUE(Open()->alarms().Save(Trip()).ok());
  const std::string path = options_.directory + "/state.db";
  auto database = SqlDatabase::Open(path, true);
  ASSERT_TRUE(database.ok());
  const auto page = (*database)->QueryInteger(
      "SELECT rootpage FROM sqlite_master WHERE name = 'alarms' AND type = 'table'");
  ASSERT_TRUE(page.ok()) << page.status();
  database->reset();
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((*page - 1) * 4096);
    file << std::string(4096, '\x5A');
  }
  auto store = Open();
  ASSERT_NE(store, nullptr);
  const auto alarms = store->alarms().LoadAll();
  ASSERT_TRUE(alarms.ok()) << alarms.status();
  EXPECT_THAT(*alarms, IsEmpty());
  EXPECT_TRUE(store->alarms().Save(Trip()).ok());
  const auto texts = Texts(store->audit().Query({}));
  ASSERT_THAT(texts, SizeIs(1));
  EXPECT_THAT(texts[0], HasSubstr("0 alarms and 0 values of devices were taken over"));
}

TEST_F(StoreTest, S07_ADamagedJournalIsKeptAndANewOneBegun) {
  Open().reset();
  { std::ofstream(options_.directory + "/audit.journal") << std::string(9000, 'x'); }
  auto store = Open();
  ASSERT_NE(store, nullptr);
  EXPECT_THAT(store->notes(), SizeIs(1));
  EXPECT_TRUE(store->audit().Append(Entry("a")).ok());
}

TEST_F(StoreTest, S07_EntriesThatDamageTookFromTheJournalAreTold) {
  const std::string journal = options_.directory + "/audit.journal";
  Open().reset();
  {
    auto first = Journal::Open(journal, options_.journal, 0);
    ASSERT_TRUE(first.ok());
    for (const char* text : {"a", "b", "c"}) ASSERT_TRUE((*first)->Append(Entry(text), false).ok());
  }
  {
    std::fstream file(journal, std::ios::in | std::ios::out | std::ios::binary);
    // Each record has 96 bytes: this lies within the second.
    file.seekp(4096 + 96 + 40);
    file << std::string(40, 'x');
  }
  auto store = Open();
  ASSERT_THAT(store->notes(), SizeIs(1));
  EXPECT_THAT(store->notes()[0], HasSubstr("1 of the last run's entries cannot be read"));
  EXPECT_THAT(Texts(store->audit().Query({})), ElementsAre(store->notes()[0], "c", "a"));
}

TEST_F(StoreTest, RetentionDeletesTheOldest) {
  options_.retention.max_entries = 1000;
  auto store = Open();
  for (int batch = 0; batch < 30; ++batch) {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(store->audit().Append(Entry("x")).ok());
    store->RunUntil(clock_.Now());
  }
  const auto oldest = store->audit().Query({.limit = 1, .before_sequence = 2001});
  EXPECT_THAT(Texts(oldest), IsEmpty());
  EXPECT_THAT(Texts(store->audit().Query({.limit = 1, .before_sequence = 2002})), SizeIs(1));
}

TEST_F(StoreTest, S12_AJumpOfTheWallClockDoesNotEmptyTheRecord) {
  options_.retention.max_age = std::chrono::hours(24);
  auto store = Open();
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(store->audit().Append(Entry("x")).ok());
  store->RunUntil(clock_.Now());
  clock_.JumpWall(std::chrono::hours(24 * 365 * 50));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(store->audit().Append(Entry("y")).ok());
    store->RunUntil(clock_.Now());
  }
  EXPECT_THAT(Texts(store->audit().Query({.limit = 1000})), SizeIs(520));
}

// ---------------------------------------------------------------- disks that fail

// Limits the size of files this process may write, as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(StoreTest, S11_WhatCannotBeWrittenRefusesOrdinaryEntriesUntilARetryWorks) {
  auto store = Open();
  AuditLog& audit = store->audit();
  {
    FileSizeLimit full(4096);
    ASSERT_TRUE(audit.Append(Entry("before")).ok());  // taken: nobody knows yet
    MonoTime next = store->RunUntil(clock_.Now());
    EXPECT_EQ(next, clock_.Now() + Store::kRetryPeriod);
    EXPECT_FALSE(audit.writable());
    EXPECT_THAT(audit.problem(), HasSubstr("state.db"));
    const absl::Status refused = audit.Append(Entry("refused"));
    EXPECT_FALSE(refused.ok());
    EXPECT_EQ(std::string(refused.message()), audit.problem());
    EXPECT_TRUE(audit.AppendReserved(Entry("safe")).ok());
    // What waits is shown nevertheless.
    EXPECT_THAT(Texts(audit.Query({})), ElementsAre("safe", "before"));
    clock_.AdvanceTo(next);
    store->RunUntil(clock_.Now());
    EXPECT_FALSE(audit.writable());
    clock_.Advance(Store::kRetryPeriod);
  }
  store->RunUntil(clock_.Now());
  EXPECT_TRUE(audit.writable());
  EXPECT_EQ(audit.problem(), "");
  ASSERT_TRUE(audit.Append(Entry("after")).ok());
  EXPECT_THAT(Texts(audit.Query({})), ElementsAre("after", "safe", "before"));
}

TEST_F(StoreTest, S11_EntriesOfAFullDiskSurviveARestartOnTheFullDisk) {
  auto store = Open();
  ASSERT_TRUE(store->audit().Append(Entry("old")).ok());
  ASSERT_TRUE(store->alarms().Save(Trip()).ok());
  store->RunUntil(clock_.Now());
  {
    FileSizeLimit full(4096);
    ASSERT_TRUE(store->audit().Append(Entry("a")).ok());
    store->RunUntil(clock_.Now());
    ASSERT_TRUE(store->audit().AppendReserved(Entry("b")).ok());
    store.reset();
    store = Open();
    ASSERT_NE(store, nullptr);
    EXPECT_FALSE(store->audit().writable());
    EXPECT_THAT(store->audit().problem(), HasSubstr("state.db"));
    ASSERT_TRUE(store->audit().AppendReserved(Entry("c")).ok());
    EXPECT_THAT(Texts(store->audit().Query({})), ElementsAre("c", "b", "a", "old"));
    EXPECT_THAT(*store->alarms().LoadAll(), SizeIs(1));
    EXPECT_FALSE(store->alarms().Save(Trip()).ok());
  }
  clock_.Advance(2s);
  store->RunUntil(clock_.Now());
  EXPECT_TRUE(store->audit().writable()) << store->audit().problem();
  EXPECT_THAT(Texts(store->audit().Query({})), ElementsAre("c", "b", "a", "old"));
  EXPECT_TRUE(store->alarms().Save(Trip()).ok());
}

TEST_F(StoreTest, S11_AnAlarmThatCannotBeWrittenIsAnError) {
  auto store = Open();
  FileSizeLimit full(4096);
  EXPECT_FALSE(store->alarms().Save(Trip()).ok());
}

TEST_F(StoreTest, S11_AFileSystemThatIsFullRefusesWithItsName) {
  const std::string small = directory_ / "small";
  std::filesystem::create_directory(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=2m") != 0) {
    GTEST_SKIP() << "needs the right to mount a small file system; the same with a limit on the "
                    "size of files is tested without";
  }
  struct Unmount {
    std::string path;
    ~Unmount() { umount2(path.c_str(), MNT_DETACH); }
  } unmount{small};
  options_.directory = small + "/state";
  auto store = Open();
  ASSERT_NE(store, nullptr);
  {
    std::ofstream filler(small + "/filler", std::ios::binary);
    while (filler << std::string(4096, 'x') << std::flush) {
    }
  }
  // Fill what SQLite has allocated already.
  for (int i = 0; i < 1000 && store->audit().writable(); ++i) {
    store->audit().Append(Entry(std::string(1000, 'x'))).IgnoreError();
    clock_.Advance(2s);
    store->RunUntil(clock_.Now());
  }
  const absl::Status refused = store->audit().Append(Entry("refused"));
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(store->audit().problem(), HasSubstr(options_.directory));
  EXPECT_TRUE(store->audit().AppendReserved(Entry("safe")).ok());
  std::filesystem::remove(small + "/filler");
  clock_.Advance(2s);
  store->RunUntil(clock_.Now());
  EXPECT_TRUE(store->audit().writable()) << store->audit().problem();
  EXPECT_THAT(Texts(store->audit().Query({.limit = 1})), ElementsAre("safe"));
}

// ---------------------------------------------------------------- kill -9

TEST_F(StoreTest, S11_NoAcknowledgedEntryIsLostOrDoubledByKill9) {
  // Shared with the child: how many entries it has been told are taken.
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* taken = new (page) std::atomic<uint64_t>(0);
  std::mt19937 random(3);
  uint64_t total = 0;
  for (int round = 0; round < 40; ++round) {
    const uint64_t goal = taken->load() + random() % 400;
    const unsigned spin = random() % 20000;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // Appends, and now and then moves a batch, until it is killed in the middle of either.
      auto store = Store::Open(options_, &clock_);
      if (!store.ok()) _exit(1);
      std::mt19937 steps(static_cast<unsigned>(round));
      for (;;) {
        const uint64_t number = taken->load() + 1;
        if ((*store)->audit().Append(Entry(std::to_string(number))).ok()) taken->store(number);
        if (steps() % 100 == 0) (*store)->RunUntil(clock_.Now());
      }
    }
    int status = 0;
    while (taken->load() < goal) {
      ASSERT_EQ(waitpid(child, &status, WNOHANG), 0) << "the child ended by itself";
      std::this_thread::yield();
    }
    for (unsigned i = 0; i < spin; ++i) static_cast<void>(taken->load());
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    total = taken->load();

    // Every number that was acknowledged is there exactly once. The one after it may be: it was
    // taken, and the child killed before it knew; the next child used its number again.
    auto store = Open();
    ASSERT_NE(store, nullptr);
    std::map<uint64_t, int> found;
    uint64_t before = 0, last_sequence = 0;
    bool more = true;
    while (more) {
      const auto found_page = store->audit().Query({.limit = 1000, .before_sequence = before});
      ASSERT_TRUE(found_page.ok()) << found_page.status();
      for (const AuditEntry& entry : found_page->entries) {
        if (last_sequence != 0) {
          ASSERT_EQ(entry.sequence, last_sequence - 1) << "a gap";
        }
        last_sequence = entry.sequence;
        ++found[std::stoull(entry.text)];
      }
      more = found_page->more;
      before = last_sequence;
    }
    for (uint64_t number = 1; number <= total; ++number) {
      ASSERT_TRUE(found.contains(number)) << "lost: " << number << " in round " << round;
      ASSERT_LE(found[number], 1) << "doubled: " << number;
    }
    // The unknown one is acknowledged now.
    if (found.contains(total + 1)) taken->store(total + 1);
  }
  EXPECT_GT(total, 1000u);
  munmap(page, 4096);
}

TEST_F(StoreTest, S11_NoSavedAlarmIsLostByKill9) {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* saved = new (page) std::atomic<uint32_t>(0);
  for (int round = 0; round < 10; ++round) {
    const uint32_t goal = saved->load() + 3;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = Store::Open(options_, &clock_);
      if (!store.ok()) _exit(1);
      AlarmRecord alarm = Trip();
      for (;;) {
        alarm.count = saved->load() + 1;
        if ((*store)->alarms().Save(alarm).ok()) saved->store(alarm.count);
      }
    }
    int status = 0;
    while (saved->load() < goal) {
      ASSERT_EQ(waitpid(child, &status, WNOHANG), 0);
      std::this_thread::yield();
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    const auto alarms = Open()->alarms().LoadAll();
    ASSERT_TRUE(alarms.ok());
    ASSERT_THAT(*alarms, SizeIs(1));
    EXPECT_GE((*alarms)[0].count, saved->load());
  }
  munmap(page, 4096);
}

TEST_F(StoreTest, ThreadsAppendWhileBatchesAreMovedAndQueried) {
  auto store = Open();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::atomic<uint64_t> taken{0};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        if (store->audit().Append(Entry("x")).ok()) taken.fetch_add(1);
      }
    });
  }
  std::thread mover([&] {
    while (!stop) {
      store->RunUntil(clock_.Now());
      EXPECT_TRUE(store->audit().Query({.limit = 5}).ok());
    }
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  mover.join();
  const auto page = store->audit().Query({.limit = 1000});
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->entries.size(), taken.load());
}

}  // namespace
}  // namespace canhub
