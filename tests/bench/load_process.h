// Programs that are measured: started on their core, watched, ended.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace canhub::bench {

// All threads of this process, present and future ones of this thread, on one core.
void PinSelf(int core);

// Whether this process may have threads that go before all ordinary ones (SCHED_FIFO).
bool MayBeRealtime(int priority);

class Child {
 public:
  struct Options {
    int core = 0;
    int nice = 0;
    std::string log;  // where its stderr goes
  };
  // Ends the program with a message when it cannot be started.
  Child(std::vector<std::string> command, Options options);
  // TERM, and KILL after 20 s.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The next line of its standard output that starts with `start`, without that; nothing when it
  // ended or `timeout_ms` passed.
  std::optional<std::string> WaitForLine(const std::string& start, int timeout_ms = 60'000);
  // All that it prints until its end.
  std::string ReadToEnd();
  void Signal(int signal) const { kill(pid_, signal); }

  pid_t pid() const { return pid_; }
  int64_t CpuNs() const;
  // From /proc/PID/status: "VmRSS", "RssAnon"; in kB.
  double StatusKb(const std::string& field) const;
  // Of all that live.
  static double CpuOfAll();

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  std::string read_;
};

}  // namespace canhub::bench
