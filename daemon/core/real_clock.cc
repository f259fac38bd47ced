#include "daemon/core/real_clock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace canhub {
namespace {

Duration ReadClock(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + Duration(t.tv_nsec);
}

}  // namespace

MonoTime RealClock::Now() const { return MonoTime(ReadClock(CLOCK_MONOTONIC)); }

WallTime RealClock::WallNow() const { return WallTime(ReadClock(CLOCK_REALTIME)); }

void Doorbell::Ring() {
  if (state_.exchange(kRung) == kWaiting) {
    syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
}

bool Doorbell::WaitUntil(MonoTime deadline) {
  uint32_t expected = kIdle;
  if (!state_.compare_exchange_strong(expected, kWaiting)) {
    state_.exchange(kIdle);  // a read-modify-write, to see what the caller did before it rang
    return true;
  }
  // FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC; none waits for ever.
  timespec until{};
  const timespec* timeout = nullptr;
  if (deadline != kNever) {
    const int64_t ns = deadline.time_since_epoch().count();
    until.tv_sec = ns > 0 ? ns / 1'000'000'000 : 0;
    until.tv_nsec = ns > 0 ? ns % 1'000'000'000 : 0;
    timeout = &until;
  }
  while (state_.load() == kWaiting) {
    if (syscall(SYS_futex, &state_, FUTEX_WAIT_BITSET_PRIVATE, kWaiting, timeout, nullptr,
                FUTEX_BITSET_MATCH_ANY) != 0 &&
        errno == ETIMEDOUT) {
      break;
    }
  }
  return state_.exchange(kIdle) == kRung;
}

}  // namespace canhub
