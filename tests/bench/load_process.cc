#include "tests/bench/load_process.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "tests/bench/load_measure.h"

namespace canhub::bench {
namespace {

constexpr int kPatienceMs = 20'000;

std::mutex g_children_mutex;
std::set<pid_t>& Children() {
  static auto* children = new std::set<pid_t>();
  return *children;
}

int64_t CpuOf(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

void PinSelf(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<size_t>(core), &cores);
  sched_setaffinity(0, sizeof cores, &cores);
}

bool MayBeRealtime(int priority) {
  sched_param parameters{};
  parameters.sched_priority = priority;
  std::atomic<bool> tried{false};
  std::thread thread([&] { tried.wait(false); });
  const bool may = pthread_setschedparam(thread.native_handle(), SCHED_FIFO, &parameters) == 0;
  tried = true;
  tried.notify_all();
  thread.join();
  return may;
}

Child::Child(std::vector<std::string> command, Options options) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) std::abort();
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  // Never to be signalled: -1 stands for every process of the machine.
  if (pid_ < 0) std::abort();
  if (pid_ == 0) {
    // A benchmark that dies leaves no server behind.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    PinSelf(options.core);
    if (options.nice != 0) setpriority(PRIO_PROCESS, 0, options.nice);
    dup2(pipe_ends[1], STDOUT_FILENO);
    const int log = open(options.log.empty() ? "/dev/null" : options.log.c_str(),
                         O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(log, STDERR_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(pipe_ends[1]);
  output_ = pipe_ends[0];
  const std::lock_guard lock(g_children_mutex);
  Children().insert(pid_);
}

Child::~Child() {
  Signal(SIGTERM);
  const int64_t patience = MonotonicNs() + int64_t{kPatienceMs} * 1'000'000;
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (MonotonicNs() > patience) Signal(SIGKILL);
    SleepNs(500'000);
  }
  close(output_);
  const std::lock_guard lock(g_children_mutex);
  Children().erase(pid_);
}

std::optional<std::string> Child::WaitForLine(const std::string& start, int timeout_ms) {
  const int64_t end = MonotonicNs() + int64_t{timeout_ms} * 1'000'000;
  for (;;) {
    for (size_t newline; (newline = read_.find('\n')) != std::string::npos;) {
      const std::string line = read_.substr(0, newline);
      read_.erase(0, newline + 1);
      if (line.starts_with(start)) return line.substr(start.size());
    }
    const int64_t left_ms = (end - MonotonicNs()) / 1'000'000;
    pollfd wait{output_, POLLIN, 0};
    if (left_ms <= 0 || poll(&wait, 1, static_cast<int>(left_ms)) <= 0) return std::nullopt;
    char bytes[4096];
    const ssize_t count = read(output_, bytes, sizeof bytes);
    if (count <= 0) return std::nullopt;
    read_.append(bytes, static_cast<size_t>(count));
  }
}

std::string Child::ReadToEnd() {
  char bytes[65536];
  for (ssize_t count; (count = read(output_, bytes, sizeof bytes)) > 0;) {
    read_.append(bytes, static_cast<size_t>(count));
  }
  return std::move(read_);
}

int64_t Child::CpuNs() const { return CpuOf(pid_); }

double Child::StatusKb(const std::string& field) const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::atof(line.c_str() + field.size() + 1);
  }
  return 0;
}

double Child::CpuOfAll() {
  const std::lock_guard lock(g_children_mutex);
  double seconds = 0;
  for (const pid_t pid : Children()) seconds += 1e-9 * static_cast<double>(CpuOf(pid));
  return seconds;
}

}  // namespace canhub::bench
