// Timers of one actor. Callbacks run on the actor's thread, in order of time.
#pragma once

#include <cstdint>
#include <functional>

#include "drivers/api/time.h"

namespace canhub {

using TimerId = uint64_t;  // never 0

class Timers {
 public:
  virtual ~Timers() = default;
  virtual TimerId At(MonoTime when, std::function<void()> callback) = 0;
  // First after one period. Late beats are not made up for: the next one is a whole period after.
  virtual TimerId Every(Duration period, std::function<void()> callback) = 0;
  virtual TimerId After(Duration delay, std::function<void()> callback) = 0;
  // Unknown or past ids are ignored.
  virtual void Cancel(TimerId id) = 0;
};

}  // namespace canhub
