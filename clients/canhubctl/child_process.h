// One program started by `lease run`.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace canhub::ctl {

class ChildProcess {
 public:
  // Starts `command` (found in PATH) with this environment, in our process group, so that the
  // terminal's Ctrl-C reaches it. Nothing when it cannot be started; `error` says why.
  static std::unique_ptr<ChildProcess> Start(const std::vector<std::string>& command,
                                             const std::map<std::string, std::string>& environment,
                                             std::string* error);
  // Waits for its end.
  ~ChildProcess();

  // Does nothing once it has ended.
  void Signal(int number);
  // True once it has ended, false when the time is over.
  bool WaitFor(std::chrono::nanoseconds time);
  // Waits for its end. The exit code, or 128 + signal as a shell has it.
  int Wait();

 private:
  explicit ChildProcess(pid_t pid);
  void Run();

  const pid_t pid_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  int exit_code_ = 0;
  std::thread thread_;
};

}  // namespace canhub::ctl
