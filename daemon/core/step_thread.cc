#include "daemon/core/step_thread.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {

StepThread::StepThread(const Clock* clock, std::vector<Steppable*> steps, std::string name)
    : clock_(clock), steps_(std::move(steps)), name_(std::move(name)), turns_(clock->Now()) {}

absl::StatusOr<std::unique_ptr<StepThread>> StepThread::Start(const Clock* clock,
                                                              std::vector<Steppable*> steps,
                                                              StepThreadOptions options) {
  const int lowest = sched_get_priority_min(SCHED_FIFO);
  const int highest = sched_get_priority_max(SCHED_FIFO);
  const std::string priority = std::to_string(options.realtime_priority);
  if (options.realtime_priority != 0 &&
      (options.realtime_priority < lowest || options.realtime_priority > highest)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "REALTIME_PRIORITY_OUT_OF_RANGE",
                     "thread " + options.name + ": real-time priority " + priority +
                         " is outside " + std::to_string(lowest) + " … " + std::to_string(highest) +
                         " (SCHED_FIFO); 0 is ordinary scheduling",
                     {{"priority", priority},
                      {"minimum", std::to_string(lowest)},
                      {"maximum", std::to_string(highest)}});
  }
  std::unique_ptr<StepThread> thread(
      new StepThread(clock, std::move(steps), options.name.substr(0, 15)));
  for (Steppable* step : thread->steps_) {
    step->SetWaker([bell = thread->bell_] { bell->Ring(); });
  }

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  if (options.realtime_priority != 0) {
    sched_param parameters{};
    parameters.sched_priority = options.realtime_priority;
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &parameters);
  }
  const int error = pthread_create(&thread->thread_, &attributes, &Main, thread.get());
  pthread_attr_destroy(&attributes);
  if (error == 0) return thread;

  thread->thread_ = {};
  if (error == EPERM) {
    return MakeError(absl::StatusCode::kPermissionDenied, "REALTIME_NOT_PERMITTED",
                     "thread " + options.name + ": no right to real-time priority " + priority +
                         " (SCHED_FIFO): give the service LimitRTPRIO=" + priority +
                         " or CAP_SYS_NICE, or set the priority to 0",
                     {{"priority", priority}});
  }
  return MakeError(absl::StatusCode::kResourceExhausted, "NO_THREAD",
                   "thread " + options.name + " cannot be started: " + std::strerror(error) +
                       " (see TasksMax= of the service and ulimit -u)",
                   {{"thread", options.name}});
}

StepThread::~StepThread() {
  if (thread_ == pthread_t{}) return;  // never started
  stop_.store(true);
  bell_->Ring();
  pthread_join(thread_, nullptr);
}

void* StepThread::Main(void* self) {
  static_cast<StepThread*>(self)->Run();
  return nullptr;
}

void StepThread::Run() {
  pthread_setname_np(pthread_self(), name_.c_str());
  // The kernel may delay an ordinary thread's timers by 50 us to save power; a heartbeat is worth
  // more.
  prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
  while (!stop_.load()) {
    const MonoTime now = clock_->Now();
    turns_.Begin(now);
    MonoTime next = kNever;
    for (Steppable* step : steps_) next = std::min(next, step->RunUntil(now));
    turns_.Wait(next);
    // Work left over does not have to wait, but a call that came meanwhile is taken as answered.
    bell_->WaitUntil(next);
  }
}

absl::Status LockMemory() {
  // On fault: what is touched stays; the unused part of a thousand stacks is not fetched.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return absl::OkStatus();
  const int error = errno;
  if (error == EPERM) {
    return MakeError(absl::StatusCode::kPermissionDenied, "LOCK_MEMORY_NOT_PERMITTED",
                     "no right to lock memory: give the service LimitMEMLOCK=infinity or "
                     "CAP_IPC_LOCK, or switch locked memory off");
  }
  return MakeError(absl::StatusCode::kResourceExhausted, "LOCK_MEMORY_FAILED",
                   std::string("memory cannot be locked: ") + std::strerror(error) +
                       " (the limit is LimitMEMLOCK= of the service, ulimit -l)",
                   {{"error", std::strerror(error)}});
}

}  // namespace canhub
