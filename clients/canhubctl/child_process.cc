#include "clients/canhubctl/child_process.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

namespace canhub::ctl {

std::unique_ptr<ChildProcess> ChildProcess::Start(
    const std::vector<std::string>& command, const std::map<std::string, std::string>& environment,
    std::string* error) {
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  const auto pointers = [](const std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
    result.push_back(nullptr);
    return result;
  };
  std::vector<char*> arguments = pointers(command);
  std::vector<char*> variable_pointers = pointers(variables);
  // canhubctl ignores SIGPIPE; an ignored signal would stay ignored in the program.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, arguments[0], nullptr, &attributes, arguments.data(),
                                  variable_pointers.data());
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    *error = "cannot run " + command[0] + ": " + std::strerror(failed);
    return nullptr;
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid));
}

ChildProcess::ChildProcess(pid_t pid) : pid_(pid), thread_([this] { Run(); }) {}

ChildProcess::~ChildProcess() { thread_.join(); }

void ChildProcess::Run() {
  // Leaves it unreaped, so that its number stays its own until Signal can no longer use it.
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  int status = 0;
  waitpid(pid_, &status, 0);
  ended_ = true;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  changed_.notify_all();
}

void ChildProcess::Signal(int number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!ended_) kill(pid_, number);
}

bool ChildProcess::WaitFor(std::chrono::nanoseconds time) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return ended_; });
}

int ChildProcess::Wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return ended_; });
  return exit_code_;
}

}  // namespace canhub::ctl
