// A preloaded library that counts, per thread, the system calls made through libc's functions.
// strace would count all of them, and slow the threads so much that they behave differently. Not
// seen: the futexes inside libc's own mutexes and condition variables (only when contended).
//
// The table is a file, $SYSCOUNT_FILE: 512 slots of 32 64-bit words: thread id, then one counter
// per name in the order of kNames (guest.py has the same list), then the frames received.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>

namespace {

enum Call {
  kRecvmmsg,
  kRecvmsg,
  kRecv,
  kPpoll,
  kPoll,
  kEpollWait,
  kRead,
  kWrite,
  kPread,
  kSend,
  kSendmsg,
  kGetsockopt,
  kSetsockopt,
  kClockGettime,
  kNanosleep,
  kFutex,
  kOther,
  kEpollCtl,
  kCalls
};
constexpr size_t kWords = 32;
constexpr size_t kSlots = 512;
constexpr size_t kFrames = 1 + kCalls;

uint64_t* Table() {
  static uint64_t* const table = [] {
    const char* path = std::getenv("SYSCOUNT_FILE");
    constexpr size_t kBytes = kSlots * kWords * sizeof(uint64_t);
    const int fd = path == nullptr ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, kBytes) != 0) std::abort();
    void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) std::abort();
    return static_cast<uint64_t*>(at);
  }();
  return table;
}

std::atomic<size_t> next_slot{0};
thread_local uint64_t* slot = nullptr;

uint64_t* Slot() {
  if (slot == nullptr) {
    const size_t index = next_slot.fetch_add(1);
    if (index >= kSlots) std::abort();
    slot = Table() + index * kWords;
    slot[0] = static_cast<uint64_t>(gettid());
  }
  return slot;
}

void Count(Call call) { ++Slot()[1 + call]; }

template <typename F>
F Next(F, const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#define COUNTED(call, result, name, parameters, arguments) \
  extern "C" result name parameters {                      \
    static const auto next = Next(&::name, #name);         \
    Count(call);                                           \
    return next arguments;                                 \
  }

extern "C" int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  static const auto next = Next(&::recvmmsg, "recvmmsg");
  Count(kRecvmmsg);
  const int got = next(fd, messages, count, flags, timeout);
  if (got > 0) Slot()[kFrames] += static_cast<uint64_t>(got);
  return got;
}
COUNTED(kRecvmsg, ssize_t, recvmsg, (int fd, msghdr* m, int flags), (fd, m, flags))
COUNTED(kRecv, ssize_t, recv, (int fd, void* b, size_t n, int flags), (fd, b, n, flags))
COUNTED(kRecv, ssize_t, recvfrom, (int fd, void* b, size_t n, int flags, sockaddr* a, socklen_t* l),
        (fd, b, n, flags, a, l))
COUNTED(kPpoll, int, ppoll, (pollfd * f, nfds_t n, const timespec* t, const sigset_t* s),
        (f, n, t, s))
COUNTED(kPoll, int, poll, (pollfd * f, nfds_t n, int t), (f, n, t))
COUNTED(kEpollWait, int, epoll_wait, (int e, epoll_event* v, int n, int t), (e, v, n, t))
COUNTED(kEpollWait, int, epoll_pwait, (int e, epoll_event* v, int n, int t, const sigset_t* s),
        (e, v, n, t, s))
COUNTED(kEpollWait, int, epoll_pwait2,
        (int e, epoll_event* v, int n, const timespec* t, const sigset_t* s), (e, v, n, t, s))
COUNTED(kEpollCtl, int, epoll_ctl, (int e, int o, int fd, epoll_event* v), (e, o, fd, v))
COUNTED(kRead, ssize_t, read, (int fd, void* b, size_t n), (fd, b, n))
COUNTED(kWrite, ssize_t, write, (int fd, const void* b, size_t n), (fd, b, n))
COUNTED(kPread, ssize_t, pread, (int fd, void* b, size_t n, off_t o), (fd, b, n, o))
COUNTED(kPread, ssize_t, pwrite, (int fd, const void* b, size_t n, off_t o), (fd, b, n, o))
COUNTED(kSend, ssize_t, send, (int fd, const void* b, size_t n, int f), (fd, b, n, f))
COUNTED(kSend, ssize_t, sendto,
        (int fd, const void* b, size_t n, int f, const sockaddr* a, socklen_t l),
        (fd, b, n, f, a, l))
COUNTED(kSendmsg, ssize_t, sendmsg, (int fd, const msghdr* m, int f), (fd, m, f))
COUNTED(kSendmsg, int, sendmmsg, (int fd, mmsghdr* m, unsigned n, int f), (fd, m, n, f))
COUNTED(kGetsockopt, int, getsockopt, (int fd, int l, int o, void* v, socklen_t* n) noexcept,
        (fd, l, o, v, n))
COUNTED(kSetsockopt, int, setsockopt, (int fd, int l, int o, const void* v, socklen_t n) noexcept,
        (fd, l, o, v, n))
COUNTED(kClockGettime, int, clock_gettime, (clockid_t c, timespec* t) noexcept, (c, t))
COUNTED(kNanosleep, int, nanosleep, (const timespec* t, timespec* r), (t, r))
COUNTED(kNanosleep, int, clock_nanosleep, (clockid_t c, int f, const timespec* t, timespec* r),
        (c, f, t, r))

extern "C" long syscall(long number, ...) noexcept {
  static const auto next = reinterpret_cast<long (*)(long, long, long, long, long, long, long)>(
      dlsym(RTLD_NEXT, "syscall"));
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  Count(number == SYS_futex ? kFutex : kOther);
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
