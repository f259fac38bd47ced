// Lateness of periodic beats: a histogram, and the bare threads that heartbeats are held against.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace canhub::bench {

// Counts by microsecond up to 10 ms, by 100 us above. Any thread may add.
class Lateness {
 public:
  void Add(int64_t late_ns);
  // Forgets what was counted.
  void Reset();
  // "late_us count", one pair per line, in order; ends with "missed N" (more than 100 ms late) and
  // "end".
  std::string Text() const;

 private:
  static constexpr int kFine = 10'000, kCoarse = 10'000;
  std::atomic<uint32_t> fine_[kFine] = {}, coarse_[kCoarse] = {};
  std::atomic<uint64_t> missed_{0};
};

// N threads, each beating on a grid of `period_ns`, `together` of them at the same moment, and the
// moments spread evenly over the period.
class BeatThreads {
 public:
  // `realtime_priority`: SCHED_FIFO; 0: ordinary. ok() is false without the right to it.
  BeatThreads(int count, int together, int64_t period_ns, int realtime_priority,
              Lateness* lateness);
  ~BeatThreads();
  bool ok() const { return ok_; }

 private:
  std::atomic<bool> stop_{false};
  bool ok_ = true;
  std::vector<std::thread> threads_;
};

}  // namespace canhub::bench
