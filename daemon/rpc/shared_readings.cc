#include "daemon/rpc/shared_readings.h"

#include <algorithm>

namespace canhub {
namespace {

// For how long a message is as good as one made now: its times were made wall times by the offset
// of that moment.
constexpr Duration kGoodFor = std::chrono::milliseconds(10);

// A snapshot is immutable: the same items of the same snapshots have the same readings.
bool Same(absl::Span<const WatchBatch::Entry> a, absl::Span<const WatchBatch::Entry> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.ref == y.ref && x.snapshot == y.snapshot;
  });
}

}  // namespace

grpc::Slice SharedReadings::Bytes(absl::Span<const WatchBatch::Entry> entries) {
  std::shared_ptr<const Made> made;
  {
    MutexLock lock(&mutex_);
    made = made_;
  }
  if (made != nullptr && Same(made->entries, entries) && cache_.clock().Now() < made->until) {
    return made->bytes;
  }
  // Two streams at the same moment may both encode it: neither waits for the other.
  ReadingBytes readings(cache_, simulated_, fields_);
  for (const auto& [ref, snapshot] : entries) readings.Add(*snapshot, ref.device, ref.item);
  made = std::make_shared<const Made>(
      Made{.entries = {entries.begin(), entries.end()},
           .until = std::min(readings.good_until(), readings.made() + kGoodFor),
           .bytes = readings.bytes()});
  grpc::Slice bytes = made->bytes;
  MutexLock lock(&mutex_);
  made_.swap(made);  // what it replaces ends after the lock
  return bytes;
}

std::shared_ptr<SharedReadings> SharedReadingsTable::Of(const std::vector<std::string>& names,
                                                        const ReadingFields& fields) {
  MutexLock lock(&mutex_);
  std::erase_if(all_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<SharedReadings>& found = all_[{names, fields}];
  std::shared_ptr<SharedReadings> shared = found.lock();
  if (shared == nullptr) {
    found = shared = std::make_shared<SharedReadings>(cache_, simulated_, fields);
  }
  return shared;
}

}  // namespace canhub
