// Part of every test program under ThreadSanitizer. Debian's gRPC and Abseil are not instrumented:
// what orders two threads inside them, the sanitizer does not see, and takes each hand-over for a
// race. The calls that make the order come through here on their way and are told to it: libgrpc's
// calls of Abseil's mutex, and the way of an operation from its start to its completion, which
// gRPC keeps in lock-free queues. What is left is the count of references of a call that gRPC
// serves. The suppressions name gRPC's own functions.
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#define CANHUB_UNSEEN __attribute__((no_sanitize("thread")))

namespace {

// The next definition of a member function, by its mangled name.
template <typename Function>
CANHUB_UNSEEN Function Next(const char* symbol) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, symbol));
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

CANHUB_UNSEEN void Mutex::Lock() {
  static const auto next = Next<void (*)(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  next(this);
  __tsan_acquire(this);
}

CANHUB_UNSEEN void Mutex::Unlock() {
  static const auto next = Next<void (*)(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(this);
  next(this);
}

CANHUB_UNSEEN bool Mutex::TryLock() {
  static const auto next = Next<bool (*)(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  const bool locked = next(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

CANHUB_UNSEEN void CondVar::Wait(Mutex* mutex) {
  static const auto next =
      Next<void (*)(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  next(this, mutex);
  __tsan_acquire(mutex);
}

CANHUB_UNSEEN bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static const auto next = Next<bool (*)(CondVar*, Mutex*, Duration)>(
      "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool timed_out = next(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

CANHUB_UNSEEN bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static const auto next = Next<bool (*)(CondVar*, Mutex*, Time)>(
      "_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool timed_out = next(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

ABSL_NAMESPACE_END
}  // namespace absl

// The completion of what was started with `tag`; on the thread that calls back, or before it is
// called. The status goes by hidden reference, so that a reference passes it on untouched.
struct grpc_cq_completion;
CANHUB_UNSEEN void
CompletionEnds(grpc_completion_queue* queue, void* tag, absl::Status& status, void (*done)(void*, grpc_cq_completion*), void* argument, grpc_cq_completion* storage, bool internal) asm(
    "_Z14grpc_cq_end_opP21grpc_completion_queuePvN4absl7debian36StatusEPFvS1_P18grpc_cq_"
    "completionES1_S6_b");
void CompletionEnds(grpc_completion_queue* queue, void* tag, absl::Status& status,
                    void (*done)(void*, grpc_cq_completion*), void* argument,
                    grpc_cq_completion* storage, bool internal) {
  static const auto next = Next<decltype(&CompletionEnds)>(
      "_Z14grpc_cq_end_opP21grpc_completion_queuePvN4absl7debian36StatusEPFvS1_P18grpc_cq_"
      "completionES1_S6_b");
  __tsan_acquire(tag);
  next(queue, tag, status, done, argument, storage, internal);
}

extern "C" CANHUB_UNSEEN grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops,
                                                               size_t count, void* tag,
                                                               void* reserved) {
  static const auto next = Next<decltype(&grpc_call_start_batch)>("grpc_call_start_batch");
  __tsan_release(tag);
  return next(call, ops, count, tag, reserved);
}

extern "C" const char* __tsan_default_options() { return "ignore_noninstrumented_modules=1"; }

extern "C" const char* __tsan_default_suppressions() {
  return "race_top:^grpc::\n"
         "race_top:google::protobuf::internal::\n"  // bytes of a message, in gRPC's buffers
         // Count references, or set an operation's callback before it starts; call nothing of ours.
         "race:grpc::internal::CallbackWithSuccessTag::Set\n"
         "race:grpc::internal::InterceptorBatchMethodsImpl::Set\n"
         "race:grpc::internal::ServerCallbackCall::Unref\n"
         "race:grpc::internal::ClientCallbackReaderImpl*::MaybeFinish\n"
         "race:~ServerCallback*Impl\n"
         "race:ServerCallback*Impl::CallOnDone\n"
         // OnCancel comes after the handler has returned: by a count that both keep, half in the
         // library.
         "race_top:__shared_ptr<canhub::WatchStream<*>::get\n"
         // The callbacks of operations that have ended (OnWriteDone, OnDone): what they share with
         // the thread that started the operation looks like a race. Handlers, actors, the hub and
         // the streams' pumps are outside.
         "race:grpc::internal::CallbackWithSuccessTag::Run\n"
         "race:grpc::internal::CallbackWithStatusTag::Run\n"
         // gRPC's own threads end by themselves; at the program's end one may not be joined yet.
         "thread:grpc_core::Thread::Thread\n";
}
