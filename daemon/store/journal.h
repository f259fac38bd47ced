// Audit entries on their way to the database, in memory that belongs to the kernel.
//
// A preallocated file, mapped shared: what was copied into it survives the end of the process,
// however it ends, because the pages are the kernel's. No system call on the way in. The database
// takes the entries out in batches; only power loss can take what it has not taken yet.
//
// Layout: one page with the header, then a ring of records. A record is 8-byte aligned and in one
// piece; one that does not fit before the end of the ring starts at its beginning. Each carries
// its length, its sequence number, its position (which counts bytes since the file was made and
// never goes back) and a checksum over all of it, seeded with a number that only this file has: a
// torn record, rubbish, or a text made to look like a record is not taken for one. Opening the file
// looks at every place where a record can begin; there is no pointer that could be torn.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/store_api.h"
#include "drivers/api/mutex.h"

namespace canhub {

struct JournalOptions {
  // Size of the ring. An entry takes about 200 bytes: 4 MiB hold some 20 000, which is what comes
  // in within a second at far more than all buses together can carry.
  size_t capacity = size_t{4} << 20;
  // The part of it that only reserved entries may use: some 2500 safe actions.
  size_t reserve = size_t{512} << 10;
};

// Append: any thread. Peek and Release: one thread at a time.
class Journal {
 public:
  // Longer texts are cut, so that an entry always fits.
  static constexpr size_t kMaxText = 4096;
  static constexpr size_t kMaxName = 512;

  // Opens or makes the file. `last_sequence` is the last number that the database holds: what comes
  // after it in the file is the first batch. A file that exists keeps its size.
  // FAILED_PRECONDITION: it is not a journal, or damaged as a whole; it is left as it is.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::string& path,
                                                       const JournalOptions& options,
                                                       uint64_t last_sequence);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Gives the entry its number. RESOURCE_EXHAUSTED: no room. About a microsecond.
  absl::Status Append(const AuditEntry& entry, bool reserved);

  // Entries waiting, oldest first, at most about `limit`, and the position to release them with.
  // What an earlier run left comes first, whatever the limit.
  struct Batch {
    std::vector<AuditEntry> entries;
    uint64_t end = 0;
  };
  Batch Peek(size_t limit) const;
  // The entries of a batch are in the database.
  void Release(uint64_t end);

  // Entries that an earlier run appended and that cannot be read any more: the numbers missing
  // between what the database holds and the newest in the file. (Before the first, when the
  // database holds nothing, they are not missing: it may be a new one.)
  uint64_t lost_entries() const { return lost_entries_; }

  size_t used() const;
  size_t capacity() const { return capacity_; }
  uint64_t last_sequence() const;

 private:
  Journal(std::string path, size_t capacity, size_t reserve, uint64_t seed, char* map);
  void Recover(uint64_t last_sequence);
  // Where a record of this size goes, after the place skipped at the end of the ring.
  uint64_t PlaceFor(uint64_t head, size_t size) const;

  const std::string path_;
  const size_t capacity_;
  const size_t reserve_;
  char* const map_;
  char* const ring_;
  const uint64_t seed_;
  // What an earlier run left, up to the position recovered_end_; its room stays taken until it is
  // released.
  std::vector<AuditEntry> recovered_;
  uint64_t recovered_end_ = 0;
  uint64_t lost_entries_ = 0;

  mutable Mutex mutex_;
  // Positions: [tail_, head_) waits for the database.
  uint64_t head_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t tail_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace canhub
