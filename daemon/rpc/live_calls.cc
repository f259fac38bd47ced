#include "daemon/rpc/live_calls.h"

#include <utility>
#include <vector>

namespace canhub {

void LiveCalls::Add(const std::shared_ptr<LiveCall>& call) {
  absl::Status closed;
  {
    MutexLock lock(&mutex_);
    calls_.emplace(call.get(), call);
    closed = closed_;
  }
  if (!closed.ok()) call->End(closed);
}

void LiveCalls::Remove(const LiveCall* call) {
  MutexLock lock(&mutex_);
  calls_.erase(call);
}

void LiveCalls::CloseAll(absl::Status status) {
  std::vector<std::shared_ptr<LiveCall>> calls;
  {
    MutexLock lock(&mutex_);
    closed_ = status;
    for (const auto& [key, weak] : calls_) {
      if (auto call = weak.lock()) calls.push_back(std::move(call));
    }
  }
  // Not under the lock: the end of a call removes it.
  for (const auto& call : calls) call->End(status);
}

size_t LiveCalls::size() const {
  MutexLock lock(&mutex_);
  return calls_.size();
}

}  // namespace canhub
