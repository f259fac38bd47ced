#include "tests/bench/beats.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

namespace canhub::bench {
namespace {

constexpr int64_t kMicro = 1000, kSecond = 1'000'000'000;
constexpr int64_t kMissed = 100'000'000;

int64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

}  // namespace

void Lateness::Add(int64_t late_ns) {
  late_ns = std::max<int64_t>(late_ns, 0);
  if (late_ns > kMissed) ++missed_;
  if (late_ns < kFine * kMicro) {
    ++fine_[late_ns / kMicro];
  } else {
    ++coarse_[std::min<int64_t>(late_ns / (100 * kMicro), kCoarse - 1)];
  }
}

void Lateness::Reset() {
  for (auto& count : fine_) count = 0;
  for (auto& count : coarse_) count = 0;
  missed_ = 0;
}

std::string Lateness::Text() const {
  std::string text;
  const auto add = [&text](int us, uint32_t count) {
    if (count > 0) text += std::to_string(us) + " " + std::to_string(count) + "\n";
  };
  for (int i = 0; i < kFine; ++i) add(i, fine_[i]);
  for (int i = 0; i < kCoarse; ++i) add(i * 100, coarse_[i]);
  return text + "missed " + std::to_string(missed_) + "\nend\n";
}

BeatThreads::BeatThreads(int count, int together, int64_t period_ns, int realtime_priority,
                         Lateness* lateness) {
  const int64_t start = MonotonicNs() + period_ns;
  for (int i = 0; i < count; ++i) {
    threads_.emplace_back([=, this] {
      // As the daemon's threads do.
      prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
      int64_t due = start + period_ns * (i / together) * together / count;
      while (!stop_.load(std::memory_order_relaxed)) {
        const timespec until{due / kSecond, due % kSecond};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
        const int64_t now = MonotonicNs();
        lateness->Add(now - due);
        // What was slept over is not made up for.
        while (due <= now) due += period_ns;
      }
    });
    if (realtime_priority == 0) continue;
    sched_param parameters{};
    parameters.sched_priority = realtime_priority;
    if (pthread_setschedparam(threads_.back().native_handle(), SCHED_FIFO, &parameters) != 0) {
      ok_ = false;
    }
  }
}

BeatThreads::~BeatThreads() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace canhub::bench
