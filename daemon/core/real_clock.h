// The only place of the daemon that reads clocks and waits for time to pass.
#pragma once

#include <atomic>
#include <cstdint>

#include "drivers/api/time.h"

namespace canhub {

// CLOCK_MONOTONIC for Now, CLOCK_REALTIME for WallNow.
class RealClock final : public Clock {
 public:
  MonoTime Now() const override;
  WallTime WallNow() const override;
};

// Lets one thread wait until a moment of the RealClock or until it is called, whichever is first.
// Calls are coalesced: any number of them before the wait ends it once. A call makes a system call
// only when the thread really waits.
class Doorbell {
 public:
  // Any thread.
  void Ring();
  // One thread at a time. True when rung, also before the call; false when `deadline` has come.
  bool WaitUntil(MonoTime deadline);

 private:
  enum State : uint32_t { kIdle, kRung, kWaiting };
  std::atomic<uint32_t> state_{kIdle};
};

}  // namespace canhub
