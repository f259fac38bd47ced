// Random numbers that are the same on every machine and for ever: a seed must replay exactly.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "drivers/api/time.h"

namespace canhub::simulation {

// splitmix64's finisher: an independent stream for every pair.
inline uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9E3779B97F4A7C15ull * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() { return Mix(state_, ++count_); }
  // 0 … n - 1; requires n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }
  // [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  bool Chance(double p) { return Unit() < p; }
  double Between(double low, double high) { return low + (high - low) * Unit(); }
  Duration Between(Duration low, Duration high) {
    return low + Duration(static_cast<int64_t>(Below(static_cast<uint64_t>((high - low).count()))));
  }
  Duration Exponential(Duration mean) {
    return Duration(
        static_cast<int64_t>(-std::log(1 - Unit()) * static_cast<double>(mean.count())));
  }
  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }

 private:
  const uint64_t state_;
  uint64_t count_ = 0;
};

}  // namespace canhub::simulation
