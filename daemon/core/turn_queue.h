// Who may ask the gateway that several devices share (ADR 0007).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "drivers/api/mutex.h"
#include "drivers/api/turn.h"

namespace canhub {

// One per gateway. Thread-safe; locked for a few instructions, never while anything is called.
class TurnQueue {
 public:
  explicit TurnQueue(const Clock* clock) : clock_(clock) {}

  // One device's part. Its actor's thread, except that `granted` is called on the thread of whoever
  // gave the turn back, and must not block. Members end when no actor is stepped any more.
  class Member final : public Turn {
   public:
    // Without a queue the turn is always this device's.
    Member(std::shared_ptr<TurnQueue> queue, std::function<void()> granted);
    ~Member() override;
    bool Want(int rank) override;
    void Release() override;
    // Whether the turn came since the last question: the driver has to be told.
    bool TakeGranted();
    // When to ask TakeGranted next, if `granted` is not called before: the moment at which the turn
    // of a silent holder passes on. kNever without a wish.
    MonoTime NextCheck() const;

   private:
    friend class TurnQueue;
    const std::shared_ptr<TurnQueue> queue_;
    const std::function<void()> granted_;
    // All below: under the queue's mutex.
    bool waiting_ = false;
    bool told_ = true;     // of the turn that it has
    bool lapsed_ = false;  // its turn passed on before it knew: its actor hangs, or hung
    int rank_ = 0;
    uint64_t order_ = 0;
  };

 private:
  // The member whose turn it is from now on; nullptr when it stays where it is.
  Member* Advance(MonoTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  Mutex mutex_;
  std::vector<Member*> members_ ABSL_GUARDED_BY(mutex_);
  Member* holder_ ABSL_GUARDED_BY(mutex_) = nullptr;
  MonoTime ends_ ABSL_GUARDED_BY(mutex_){};  // of the holder's turn
  uint64_t last_order_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace canhub
