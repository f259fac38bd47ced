#include "daemon/store/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "daemon/store/test_directory.h"

namespace canhub {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

AuditEntry Entry(const std::string& text) {
  AuditEntry entry;
  entry.time = WallTime(std::chrono::seconds(1'700'000'000));
  entry.kind = "command";
  entry.identity = "unix:uid=1000(alice)";
  entry.device_id = "hv0";
  entry.command_id = 7;
  entry.request_id = "r1";
  entry.text = text;
  entry.status = "OK";
  return entry;
}

class JournalTest : public ::testing::Test {
 protected:
  std::unique_ptr<Journal> Open(uint64_t last_sequence = 0) {
    auto journal = Journal::Open(path_, options_, last_sequence);
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  std::vector<std::string> Texts(const Journal& journal) {
    std::vector<std::string> texts;
    for (const AuditEntry& entry : journal.Peek(SIZE_MAX).entries) texts.push_back(entry.text);
    return texts;
  }
  // Changes bytes of the file behind the journal's back.
  void Overwrite(size_t offset, const std::string& bytes) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  TestDirectory directory_;
  const std::string path_ = directory_ / "audit.journal";
  JournalOptions options_{.capacity = 128 << 10, .reserve = 32 << 10};
};

TEST_F(JournalTest, GivesBackEveryFieldOfAnEntry) {
  auto journal = Open();
  ASSERT_TRUE(journal->Append(Entry("ch3.voltage_set = 1000 V"), false).ok());
  const Journal::Batch batch = journal->Peek(10);
  ASSERT_THAT(batch.entries, SizeIs(1));
  const AuditEntry& entry = batch.entries[0];
  EXPECT_EQ(entry.sequence, 1u);
  EXPECT_EQ(entry.time, Entry("").time);
  EXPECT_EQ(entry.kind, "command");
  EXPECT_EQ(entry.identity, "unix:uid=1000(alice)");
  EXPECT_EQ(entry.device_id, "hv0");
  EXPECT_EQ(entry.command_id, 7u);
  EXPECT_EQ(entry.request_id, "r1");
  EXPECT_EQ(entry.text, "ch3.voltage_set = 1000 V");
  EXPECT_EQ(entry.status, "OK");
}

TEST_F(JournalTest, FindsWhatAnEarlierRunLeft) {
  Open()->Append(Entry("a"), false).IgnoreError();
  auto journal = Open();
  EXPECT_THAT(Texts(*journal), ::testing::ElementsAre("a"));
  ASSERT_TRUE(journal->Append(Entry("b"), false).ok());
  const Journal::Batch batch = journal->Peek(10);
  ASSERT_THAT(batch.entries, SizeIs(2));
  EXPECT_EQ(batch.entries[1].sequence, 2u);
  journal->Release(batch.end);
  EXPECT_THAT(Texts(*journal), IsEmpty());
}

TEST_F(JournalTest, DoesNotGiveBackWhatTheDatabaseHas) {
  {
    auto journal = Open();
    for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(journal->Append(Entry(text), false).ok());
  }
  EXPECT_THAT(Texts(*Open(2)), ::testing::ElementsAre("c"));
  EXPECT_THAT(Texts(*Open(3)), IsEmpty());
}

TEST_F(JournalTest, RefusesOrdinaryEntriesBeforeReservedOnes) {
  auto journal = Open();
  int ordinary = 0, reserved = 0;
  while (journal->Append(Entry(std::string(1000, 'x')), false).ok()) ++ordinary;
  EXPECT_TRUE(absl::IsResourceExhausted(journal->Append(Entry(std::string(1000, 'x')), false)));
  while (journal->Append(Entry(std::string(1000, 'x')), true).ok()) ++reserved;
  EXPECT_GT(ordinary, 80);
  EXPECT_GT(reserved, 25);
  EXPECT_THAT(journal->Peek(SIZE_MAX).entries, SizeIs(ordinary + reserved));
}

TEST_F(JournalTest, GoesRoundAndRoundWithEntriesOfAnySize) {
  auto journal = Open();
  std::mt19937 random(1);
  uint64_t written = 0, seen = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 20; ++i) {
      ++written;
      ASSERT_TRUE(
          journal->Append(Entry(std::to_string(written) + std::string(random() % 3000, ' ')), false)
              .ok());
    }
    const Journal::Batch batch = journal->Peek(SIZE_MAX);
    for (const AuditEntry& entry : batch.entries) {
      ++seen;
      ASSERT_EQ(entry.sequence, seen);
      ASSERT_EQ(std::stoull(entry.text), seen);
    }
    journal->Release(batch.end);
    if (round % 10 == 9) {
      journal.reset();
      journal = Open(seen);
      ASSERT_THAT(Texts(*journal), IsEmpty());
    }
  }
  EXPECT_EQ(seen, written);
}

TEST_F(JournalTest, CutsTextsThatAreTooLong) {
  auto journal = Open();
  ASSERT_TRUE(journal->Append(Entry(std::string(1'000'000, 'x')), false).ok());
  EXPECT_THAT(journal->Peek(1).entries[0].text, SizeIs(Journal::kMaxText));
}

TEST_F(JournalTest, S07_GarbageAnywhereInTheRingIsNotTakenForEntries) {
  std::mt19937 random(2);
  for (int round = 0; round < 60; ++round) {
    std::filesystem::remove(path_);
    std::vector<std::string> texts;
    {
      auto journal = Open();
      for (int i = 0; i < 50; ++i) {
        texts.push_back("entry " + std::to_string(i));
        ASSERT_TRUE(journal->Append(Entry(texts.back()), false).ok());
      }
    }
    std::string garbage(random() % 200 + 1, '\0');
    for (char& c : garbage) c = static_cast<char>(random());
    Overwrite(4096 + random() % 8000, garbage);
    const std::vector<std::string> found = Texts(*Open());
    // What is left is a part of what there was, in its order, and nothing else.
    auto next = texts.begin();
    for (const std::string& text : found) {
      next = std::find(next, texts.end(), text);
      ASSERT_NE(next, texts.end()) << text;
      ++next;
    }
    EXPECT_GE(found.size(), texts.size() - 4);
  }
}

TEST_F(JournalTest, ATextThatLooksLikeARecordIsNotTakenForOne) {
  // A record copied from another journal into a text: its checksum has another seed.
  {
    auto journal = Open();
    ASSERT_TRUE(journal->Append(Entry("forged"), false).ok());
  }
  std::ifstream file(path_, std::ios::binary);
  std::string record(300, '\0');
  file.seekg(4096);
  file.read(record.data(), 300);
  std::filesystem::remove(path_);
  {
    auto journal = Open();
    for (int shift = 0; shift < 8; ++shift) {
      ASSERT_TRUE(journal->Append(Entry(std::string(shift, ' ') + record), false).ok());
    }
  }
  // Also at the very place that it names.
  Overwrite(4096, record);
  for (const std::string& text : Texts(*Open())) EXPECT_NE(text, "forged");
}

TEST_F(JournalTest, RefusesAFileThatIsNoJournal) {
  {
    std::ofstream(path_) << "this is a letter to my aunt, not a journal of anything at all ......";
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(Journal::Open(path_, options_, 0).status()));
}

TEST_F(JournalTest, MakesAFileAgainThatWasNotFinished) {
  { std::ofstream(path_) << std::string(5000, '\0'); }
  EXPECT_TRUE(Open()->Append(Entry("a"), false).ok());
}

TEST_F(JournalTest, S07_AnErasedHeaderIsDamageAndNoEmptyFile) {
  { ASSERT_TRUE(Open()->Append(Entry("a"), false).ok()); }
  Overwrite(0, std::string(4096, '\0'));
  EXPECT_TRUE(absl::IsFailedPrecondition(Journal::Open(path_, options_, 0).status()));
}

TEST_F(JournalTest, S07_CountsTheEntriesThatDamageTook) {
  {
    auto journal = Open();
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(journal->Append(Entry("a"), false).ok());
  }
  EXPECT_EQ(Open()->lost_entries(), 0u);
  // The third and the fourth, somewhere: all ten have the same size.
  const size_t size = Open()->used() / 10;
  Overwrite(4096 + 2 * size + 40, std::string(size, 'x'));
  EXPECT_EQ(Open()->lost_entries(), 2u);
}

TEST_F(JournalTest, WhatANewDatabaseNeverHadIsNotLost) {
  {
    auto journal = Open(100);
    ASSERT_TRUE(journal->Append(Entry("a"), false).ok());
  }
  EXPECT_EQ(Open(0)->lost_entries(), 0u);
}

TEST_F(JournalTest, KeepsTheSizeOfAFileThatExists) {
  { ASSERT_TRUE(Open()->Append(Entry("a"), false).ok()); }
  options_.capacity = 256 << 10;
  auto journal = Open();
  EXPECT_EQ(journal->capacity(), size_t{128} << 10);
  EXPECT_THAT(Texts(*journal), SizeIs(1));
}

}  // namespace
}  // namespace canhub
