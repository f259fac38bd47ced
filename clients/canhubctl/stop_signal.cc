#include "clients/canhubctl/stop_signal.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace canhub::ctl {
namespace {

// A handler may not touch more than this; the thread does the rest.
std::atomic<int> wake_fd{-1};
std::atomic<int> last_signal{0};
struct sigaction previous_int, previous_term;

void Wake() {
  const uint64_t one = 1;
  // An eventfd takes a write of 1 unless its counter is near 2^64.
  [[maybe_unused]] const ssize_t written = write(wake_fd.load(), &one, sizeof(one));
}

void OnSignal(int number) {
  const int saved = errno;
  last_signal.store(number);
  Wake();
  errno = saved;
}

}  // namespace

StopSignal::StopSignal(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {
  wake_fd.store(eventfd(0, EFD_CLOEXEC));
  last_signal.store(0);
  struct sigaction action {};
  action.sa_handler = &OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &previous_int);
  sigaction(SIGTERM, &action, &previous_term);
  thread_ = std::thread([this] { Run(); });
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &previous_int, nullptr);
  sigaction(SIGTERM, &previous_term, nullptr);
  ending_.store(true);
  Wake();
  thread_.join();
  close(wake_fd.exchange(-1));
}

void StopSignal::Run() {
  const int fd = wake_fd.load();
  while (true) {
    uint64_t count = 0;
    const ssize_t got = read(fd, &count, sizeof(count));
    if (ending_.load()) return;
    if (got != sizeof(count)) continue;  // EINTR
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    on_stop_();
  }
}

bool StopSignal::stopped() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stopped_;
}

int StopSignal::signal() const { return last_signal.load(); }

bool StopSignal::WaitFor(std::chrono::nanoseconds time) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return stopped_; });
}

}  // namespace canhub::ctl
