#include "tests/bench/datagram_line.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace canhub::bench {
namespace {

[[noreturn]] void Fail(const std::string& path) {
  std::fprintf(stderr, "line %s: %s\n", path.c_str(), ErrnoText(errno).c_str());
  std::exit(1);
}

}  // namespace

sockaddr_un LineAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd BindLine(const std::string& path) {
  UniqueFd line(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  unlink(path.c_str());
  const sockaddr_un own = LineAddress(path);
  if (bind(line.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) Fail(path);
  return line;
}

UniqueFd ConnectLine(const std::string& path) {
  UniqueFd line(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_un peer = LineAddress(path);
  if (connect(line.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof peer) != 0) Fail(path);
  return line;
}

std::optional<can_frame> ReceiveFrame(int line, int timeout_ms) {
  pollfd wait{line, POLLIN, 0};
  if (timeout_ms >= 0 && poll(&wait, 1, timeout_ms) <= 0) return std::nullopt;
  can_frame frame{};
  if (recv(line, &frame, sizeof frame, 0) != sizeof frame) return std::nullopt;
  return frame;
}

}  // namespace canhub::bench
