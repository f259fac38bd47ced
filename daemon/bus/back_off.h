// How long to wait before the next try of a connection.
#pragma once

#include <algorithm>
#include <chrono>

#include "drivers/api/time.h"

namespace canhub {

// 0.5 s, doubled at every failure, at most 30 s.
class BackOff {
 public:
  static constexpr Duration kFirst = std::chrono::milliseconds(500);
  static constexpr Duration kLongest = std::chrono::seconds(30);
  Duration Next() {
    const Duration wait = next_;
    next_ = std::min(2 * next_, kLongest);
    return wait;
  }
  void Reset() { next_ = kFirst; }

 private:
  Duration next_ = kFirst;
};

}  // namespace canhub
