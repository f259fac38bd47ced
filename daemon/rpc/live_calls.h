// Calls and streams that wait for something: what has to end before the server can.
#pragma once

#include <memory>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "drivers/api/mutex.h"

namespace canhub {

class LiveCall {
 public:
  virtual ~LiveCall() = default;
  // Ends the call with this error, unless it is over. Any thread.
  virtual void End(const absl::Status& status) = 0;
};

// Thread-safe.
class LiveCalls {
 public:
  // After CloseAll, calls are ended as they come.
  void Add(const std::shared_ptr<LiveCall>& call);
  void Remove(const LiveCall* call);
  // Ends all with `status`, now and from now on.
  void CloseAll(absl::Status status);
  size_t size() const;

 private:
  mutable Mutex mutex_;
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<const LiveCall*, std::weak_ptr<LiveCall>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace canhub
