// What one watch of items has encoded, others that watch the same send as it is (G5).
#pragma once

#include <grpcpp/support/slice.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "daemon/core/watch_hub.h"
#include "daemon/rpc/reading_bytes.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Of all streams with the same names and fields. Thread-safe. Keeps one message: the newest.
class SharedReadings {
 public:
  // `simulated`: by DeviceIndex. Both outlive this.
  SharedReadings(const StateCache& cache, const std::vector<bool>& simulated,
                 const ReadingFields& fields)
      : cache_(cache), simulated_(simulated), fields_(fields) {}

  // The field `readings` with these: encoded now, or a moment ago for another stream.
  grpc::Slice Bytes(absl::Span<const WatchBatch::Entry> entries);

 private:
  struct Made {
    std::vector<WatchBatch::Entry> entries;  // keeps their snapshots
    MonoTime until{};
    grpc::Slice bytes;
  };

  const StateCache& cache_;
  const std::vector<bool>& simulated_;
  const ReadingFields fields_;
  Mutex mutex_;
  std::shared_ptr<const Made> made_ ABSL_GUARDED_BY(mutex_);
};

// Thread-safe.
class SharedReadingsTable {
 public:
  SharedReadingsTable(const StateCache& cache, const std::vector<bool>& simulated)
      : cache_(cache), simulated_(simulated) {}
  std::shared_ptr<SharedReadings> Of(const std::vector<std::string>& names,
                                     const ReadingFields& fields);

 private:
  using Key = std::pair<std::vector<std::string>, ReadingFields>;
  const StateCache& cache_;
  const std::vector<bool>& simulated_;
  Mutex mutex_;
  std::map<Key, std::weak_ptr<SharedReadings>> all_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace canhub
