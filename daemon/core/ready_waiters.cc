#include "daemon/core/ready_waiters.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace canhub {

std::string NotReadyText(LinkState link, const std::string& link_text) {
  if (link == LinkState::kOnline) return "first poll under way";
  return std::string(ToString(link)) + (link_text.empty() ? "" : ", " + link_text);
}

ReadyWaiters::~ReadyWaiters() {
  watch_.reset();
  for (Waiter& waiter : waiters_) waiter.ready(NotReady());
}

std::vector<std::string> ReadyWaiters::NotReady() const {
  std::vector<std::string> lines;
  for (DeviceIndex i = 0; i < cache_->size(); ++i) {
    const std::shared_ptr<const DeviceSnapshot> snapshot = cache_->Snapshot(i);
    if (snapshot->polled()) continue;
    lines.push_back(cache_->DeviceId(i) + ": " +
                    NotReadyText(snapshot->link(), snapshot->link_text()));
  }
  return lines;
}

void ReadyWaiters::Add(MonoTime deadline,
                       absl::AnyInvocable<void(std::vector<std::string>)> ready) {
  std::vector<std::string> not_ready = NotReady();
  if (not_ready.empty() || cache_->clock().Now() >= deadline) return ready(std::move(not_ready));
  {
    const std::lock_guard lock(mutex_);
    waiters_.push_back({deadline, std::move(ready)});
  }
  Wake();
}

MonoTime ReadyWaiters::RunUntil(MonoTime now) {
  {
    const std::lock_guard lock(mutex_);
    if (waiters_.empty()) {
      watch_.reset();
      return kNever;
    }
  }
  // The watch comes first: what changes after the look below wakes this again.
  if (watch_ == nullptr) {
    // All devices: there is no id that could be wrong.
    watch_ = watches_->WatchDevices({}, [this] { Wake(); }).value();
  }
  while (!watch_->Drain().devices.empty()) {
  }
  std::vector<std::string> not_ready = NotReady();
  std::vector<Waiter> done;
  MonoTime next = kNever;
  {
    const std::lock_guard lock(mutex_);
    const auto over = std::stable_partition(
        waiters_.begin(), waiters_.end(),
        [&](const Waiter& waiter) { return !not_ready.empty() && now < waiter.deadline; });
    done.assign(std::make_move_iterator(over), std::make_move_iterator(waiters_.end()));
    waiters_.erase(over, waiters_.end());
    for (const Waiter& waiter : waiters_) next = std::min(next, waiter.deadline);
  }
  for (Waiter& waiter : done) waiter.ready(not_ready);
  return done.empty() ? next : now;  // once more, to give up the watch
}

}  // namespace canhub
