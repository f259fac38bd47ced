#include "tests/bench/can/can_socket.h"

#include <net/if.h>
#include <sys/socket.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace canhub::bench {
namespace {

// What the kernel accounts for a CAN frame on its way out (struct sk_buff and its data); the send
// buffer holds this many bytes per frame.
constexpr int kBytesPerFrame = 768;

int64_t Nanoseconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

void Die(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int64_t RealtimeNs() { return Nanoseconds(CLOCK_REALTIME); }
int64_t MonotonicNs() { return Nanoseconds(CLOCK_MONOTONIC); }

int OpenCanSocket(const CanSocketOptions& options) {
  const int fd = socket(AF_CAN, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, CAN_RAW);
  if (fd < 0) Die("socket(AF_CAN)");
  const auto set = [&](int level, int name, const void* value, size_t size) {
    if (setsockopt(fd, level, name, value, static_cast<socklen_t>(size)) != 0) {
      Die("setsockopt on " + options.interface);
    }
  };
  set(SOL_CAN_RAW, CAN_RAW_FILTER, options.filters.data(),
      options.filters.size() * sizeof(can_filter));
  set(SOL_SOCKET, SO_PRIORITY, &options.priority, sizeof(options.priority));
  if (options.stamps) {
    const int on = 1;
    const int bytes = 4 << 20;
    set(SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    set(SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
    set(SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
  }
  if (options.send_frames > 0) {
    const int bytes = options.send_frames * kBytesPerFrame / 2;  // the kernel doubles it
    set(SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
  }
  sockaddr_can address{};
  address.can_family = AF_CAN;
  address.can_ifindex = static_cast<int>(if_nametoindex(options.interface.c_str()));
  if (address.can_ifindex == 0 ||
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    Die("bind to " + options.interface);
  }
  return fd;
}

}  // namespace canhub::bench
