// What the buses' own threads share: file descriptors, waiting on the injected clock, log.
#pragma once

#include <poll.h>

#include <span>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "drivers/api/time.h"

namespace canhub {

// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Wakes a thread that polls; Signal is thread-safe.
class WakeEvent {
 public:
  WakeEvent();
  bool ok() const { return fd_.ok(); }
  int fd() const { return fd_.get(); }
  void Signal() const;
  void Clear() const;

 private:
  UniqueFd fd_;
};

// Waits for events or until the clock is at `until` (by the time that is left now: a thread on a
// clock that is moved by hand must be woken when it was moved). Events of earlier calls are
// cleared.
void WaitForEvents(std::span<pollfd> fds, const Clock& clock, MonoTime until);
// The same for who knows the time: for `until` - `now`, at most.
void WaitForEvents(std::span<pollfd> fds, MonoTime now, MonoTime until);

// SCHED_FIFO for a running thread; 0 leaves it as it is. PERMISSION_DENIED says what is missing.
absl::Status SetRealtimePriority(std::thread& thread, int priority, const std::string& who);

// strerror, thread-safe.
std::string ErrnoText(int error);

}  // namespace canhub
