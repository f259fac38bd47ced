#include "daemon/rpc/identity.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

// gRPC percent-encodes the brackets of IPv6 addresses.
std::string PercentDecoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(&text[i + 1], &text[i] + 3, code, 16).ptr == &text[i] + 3) {
      decoded += static_cast<char>(code);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

std::string UserName(uid_t uid) {
  std::vector<char> buffer(4096);
  passwd entry{};
  passwd* found = nullptr;
  while (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == ERANGE &&
         buffer.size() < (1 << 20)) {
    buffer.resize(buffer.size() * 2);
  }
  return found != nullptr ? found->pw_name : "";
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) != -1 || errno != EBADF; }

absl::Status TooMany(const std::string& identity, const std::string& what, int limit) {
  return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_CONNECTIONS",
                   identity + ": " + what + " (" + std::to_string(limit) +
                       "); close connections that are not needed",
                   {{"identity", identity}, {"maximum", std::to_string(limit)}});
}

}  // namespace

std::string IdentityOfAddress(std::string_view peer) {
  const bool v4 = peer.starts_with("ipv4:");
  if (!v4 && !peer.starts_with("ipv6:")) return "";
  std::string address = PercentDecoded(peer.substr(5));
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return "";
  address.resize(colon);
  if (address.size() >= 2 && address.front() == '[' && address.back() == ']') {
    address = address.substr(1, address.size() - 2);
  }
  // A dual-stack socket shows IPv4 clients as mapped addresses: the same client, the same name.
  if (std::string_view(address).starts_with("::ffff:") && address.find('.') != std::string::npos) {
    address.erase(0, 7);
  }
  return "tcp:" + address;
}

absl::StatusOr<UnixPeer> ReadUnixPeer(int fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 ||
      credentials.uid == static_cast<uid_t>(-1)) {
    return MakeError(absl::StatusCode::kUnavailable, "PEER_UNKNOWN",
                     std::string("the kernel does not tell who is behind a connection: ") +
                         std::strerror(errno));
  }
  const std::string name = UserName(credentials.uid);
  UnixPeer peer;
  peer.uid = credentials.uid;
  peer.identity = "unix:uid=" + std::to_string(credentials.uid);
  if (!name.empty()) peer.identity += "(" + name + ")";
  return peer;
}

absl::StatusOr<int> PinnedDescriptors::Pin(int fd, const std::string& identity) {
  MutexLock lock(&mutex_);
  Pool& pool = pools_[identity];
  // fcntl(F_DUPFD) takes the lowest free number from `wanted` on; another one than wanted means
  // that somebody else in this program has it just now.
  const auto move_to = [fd](int wanted) { return fcntl(fd, F_DUPFD_CLOEXEC, wanted); };
  for (size_t tried = 0; tried < pool.numbers.size(); ++tried) {
    const int number = pool.numbers[pool.next];
    pool.next = (pool.next + 1) % pool.numbers.size();
    if (IsOpen(number)) continue;
    const int got = move_to(number);
    if (got == number) {
      close(fd);
      return number;
    }
    if (got >= 0) close(got);
  }
  if (static_cast<int>(pool.numbers.size()) >= max_per_identity_) {
    close(fd);
    return TooMany(identity, "all its connections are open", max_per_identity_);
  }
  const int number = move_to(next_fresh_);  // at or above: pinned to nobody
  const int error = errno;
  close(fd);
  if (number < 0) {
    return TooMany(
        identity,
        std::string("no file descriptor is free, ") + std::strerror(error) + ", above number",
        next_fresh_);
  }
  next_fresh_ = number + 1;
  pool.numbers.push_back(number);
  identities_.emplace(number, identity);
  return number;
}

std::string PinnedDescriptors::IdentityOf(std::string_view peer) const {
  if (!peer.starts_with("fd:")) return "";
  int number = -1;
  const char* end = peer.data() + peer.size();
  if (std::from_chars(peer.data() + 3, end, number).ptr != end) return "";
  MutexLock lock(&mutex_);
  const auto found = identities_.find(number);
  return found == identities_.end() ? "" : found->second;
}

}  // namespace canhub
