#include "daemon/core/turn_queue.h"

#include <tuple>
#include <utility>

namespace canhub {

TurnQueue::Member::Member(std::shared_ptr<TurnQueue> queue, std::function<void()> granted)
    : queue_(std::move(queue)), granted_(std::move(granted)) {
  if (queue_ == nullptr) return;
  const MutexLock lock(&queue_->mutex_);
  queue_->members_.push_back(this);
}

TurnQueue::Member::~Member() {
  if (queue_ == nullptr) return;
  Release();
  const MutexLock lock(&queue_->mutex_);
  std::erase(queue_->members_, this);
}

bool TurnQueue::Member::Want(int rank) {
  if (queue_ == nullptr) return true;
  Member* next = nullptr;
  {
    const MutexLock lock(&queue_->mutex_);
    const MonoTime now = queue_->clock_->Now();
    if (queue_->holder_ == this && now < queue_->ends_) {
      told_ = true;
      return true;
    }
    if (queue_->holder_ == this) queue_->holder_ = nullptr;
    if (!waiting_) order_ = ++queue_->last_order_;
    waiting_ = true;
    lapsed_ = false;
    rank_ = rank;
    next = queue_->Advance(now);
    if (next == this) {
      told_ = true;
      return true;
    }
  }
  if (next != nullptr) next->granted_();
  return false;
}

void TurnQueue::Member::Release() {
  if (queue_ == nullptr) return;
  Member* next = nullptr;
  {
    const MutexLock lock(&queue_->mutex_);
    waiting_ = lapsed_ = false;
    told_ = true;
    if (queue_->holder_ == this) queue_->holder_ = nullptr;
    next = queue_->Advance(queue_->clock_->Now());
  }
  if (next != nullptr) next->granted_();
}

bool TurnQueue::Member::TakeGranted() {
  if (queue_ == nullptr) return false;
  Member* next = nullptr;
  bool granted = false;
  {
    const MutexLock lock(&queue_->mutex_);
    const MonoTime now = queue_->clock_->Now();
    // It turns again: it waits again. Not before, or it would cost its neighbours each round.
    if (std::exchange(lapsed_, false)) {
      waiting_ = true;
      order_ = ++queue_->last_order_;
    }
    if (waiting_) next = queue_->Advance(now);
    granted = queue_->holder_ == this && !std::exchange(told_, true);
    if (granted) queue_->ends_ = now + kLongest;
  }
  if (next != nullptr && next != this) next->granted_();
  return granted;
}

MonoTime TurnQueue::Member::NextCheck() const {
  if (queue_ == nullptr) return kNever;
  const MutexLock lock(&queue_->mutex_);
  return waiting_ ? queue_->ends_ : kNever;
}

TurnQueue::Member* TurnQueue::Advance(MonoTime now) {
  if (holder_ != nullptr && now < ends_) return nullptr;
  Member* best = nullptr;
  for (Member* member : members_) {
    if (!member->waiting_) continue;
    if (best == nullptr ||
        std::tie(member->rank_, member->order_) < std::tie(best->rank_, best->order_)) {
      best = member;
    }
  }
  if (best == nullptr) {
    // A silent holder keeps it while nobody else wants it.
    return nullptr;
  }
  if (holder_ != nullptr && !holder_->told_) {
    holder_->told_ = true;
    holder_->lapsed_ = true;
  }
  holder_ = best;
  ends_ = now + Turn::kLongest;
  best->waiting_ = false;
  best->told_ = false;
  return best;
}

}  // namespace canhub
