// Everything that runs is stepped: by a thread in real time, or by hand on a virtual clock.
#pragma once

#include <functional>

#include "drivers/api/time.h"

namespace canhub {

// Work that is done in steps. RunUntil is called by one thread at a time.
class Steppable {
 public:
  virtual ~Steppable() = default;
  // Does everything that is due at `now` and returns when it wants to be called next (kNever: when
  // woken). Never blocks.
  virtual MonoTime RunUntil(MonoTime now) = 0;
  // `wake` may be called from any thread, whenever there is work that RunUntil's result did not
  // foresee; it is set once, before the first step.
  void SetWaker(std::function<void()> wake) { wake_ = std::move(wake); }

 protected:
  void Wake() const {
    if (wake_) wake_();
  }

 private:
  std::function<void()> wake_;
};

}  // namespace canhub
