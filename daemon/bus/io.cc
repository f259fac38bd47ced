#include "daemon/bus/io.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "drivers/api/errors.h"

namespace canhub {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

WakeEvent::WakeEvent() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void WakeEvent::Signal() const {
  const uint64_t one = 1;
  // EAGAIN means that the counter is full: the thread is woken already.
  [[maybe_unused]] const ssize_t written = write(fd_.get(), &one, sizeof(one));
}

void WakeEvent::Clear() const {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(fd_.get(), &count, sizeof(count));
}

void WaitForEvents(std::span<pollfd> fds, const Clock& clock, MonoTime until) {
  WaitForEvents(fds, clock.Now(), until);
}

void WaitForEvents(std::span<pollfd> fds, MonoTime now, MonoTime until) {
  for (pollfd& fd : fds) fd.revents = 0;
  timespec timeout{};
  const timespec* wait = nullptr;
  if (until != kNever) {
    const Duration left = std::max(Duration::zero(), until - now);
    timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count();
    timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
    wait = &timeout;
  }
  if (ppoll(fds.data(), fds.size(), wait, nullptr) < 0) {
    // EINTR: the caller loops anyway.
    for (pollfd& fd : fds) fd.revents = 0;
  }
}

absl::Status SetRealtimePriority(std::thread& thread, int priority, const std::string& who) {
  if (priority == 0) return absl::OkStatus();
  sched_param parameters{};
  parameters.sched_priority = priority;
  const int error = pthread_setschedparam(thread.native_handle(), SCHED_FIFO, &parameters);
  if (error == 0) return absl::OkStatus();
  const ErrorFields fields = {{"bus_id", who}, {"priority", std::to_string(priority)}};
  if (error == EPERM) {
    return MakeError(absl::StatusCode::kPermissionDenied, "REALTIME_NOT_PERMITTED",
                     who + ": no right to real-time priority " + std::to_string(priority) +
                         " (SCHED_FIFO): give the service LimitRTPRIO=" + std::to_string(priority) +
                         " or CAP_SYS_NICE, or leave it out",
                     fields);
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "REALTIME_PRIORITY_INVALID",
                   who + ": real-time priority " + std::to_string(priority) +
                       " was refused: " + ErrnoText(error) + " (SCHED_FIFO takes 1 to 99)",
                   fields);
}

std::string ErrnoText(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof(buffer));  // GNU's form returns the text
}

}  // namespace canhub
