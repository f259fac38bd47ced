// Ctrl-C and SIGTERM as an orderly end of a long-running command.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace canhub::ctl {

// From construction to destruction SIGINT and SIGTERM do not end the program but call `on_stop`,
// on a thread of this object, at each of them. At most one lives at a time.
class StopSignal {
 public:
  explicit StopSignal(std::function<void()> on_stop);
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool stopped() const;
  // The last signal received; 0 before.
  int signal() const;
  // True once stopped, false when the time is over.
  bool WaitFor(std::chrono::nanoseconds time);

 private:
  void Run();

  const std::function<void()> on_stop_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace canhub::ctl
