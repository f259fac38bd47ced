// Keeps one client from using up the daemon: calls per second, open streams.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/mutex.h"
#include "drivers/api/time.h"

namespace canhub {

struct AdmissionLimits {
  double calls_per_second = 0;  // 0: unlimited
  double burst = 1;
  int streams_per_client = 1;
  int streams_per_identity = 1;
};

// A client is one connection ("ipv4:127.0.0.1:5000") of one identity. Thread-safe.
class Admission {
 public:
  // `clock` outlives the object.
  Admission(const Clock& clock, AdmissionLimits limits) : clock_(clock), limits_(limits) {}

  // Takes one call out of the client's bucket. RESOURCE_EXHAUSTED, RATE_LIMIT: says when to retry.
  absl::Status AdmitCall(const std::string& identity, const std::string& peer);

  // Held while a stream is open; the Admission outlives it.
  class StreamSlot {
   public:
    StreamSlot(Admission* owner, std::string identity, std::string peer)
        : owner_(owner), identity_(std::move(identity)), peer_(std::move(peer)) {}
    ~StreamSlot() { owner_->Release(identity_, peer_); }
    StreamSlot(const StreamSlot&) = delete;
    StreamSlot& operator=(const StreamSlot&) = delete;

   private:
    Admission* const owner_;
    const std::string identity_, peer_;
  };
  // RESOURCE_EXHAUSTED, TOO_MANY_STREAMS.
  absl::StatusOr<std::unique_ptr<StreamSlot>> AdmitStream(const std::string& identity,
                                                          const std::string& peer);
  // Clients that are remembered, for tests.
  size_t clients() const;

 private:
  struct Client {
    double tokens = 0;
    MonoTime filled{};  // when `tokens` was right
    int streams = 0;
  };
  Client& Find(const std::string& key, MonoTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets clients whose bucket is full again and that have no stream: as good as never seen.
  void Sweep(MonoTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release(const std::string& identity, const std::string& peer);

  const Clock& clock_;
  const AdmissionLimits limits_;
  mutable Mutex mutex_;
  std::unordered_map<std::string, Client> clients_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, int> streams_by_identity_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 256;
};

}  // namespace canhub
