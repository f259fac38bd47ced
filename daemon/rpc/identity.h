// Who is behind a connection.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "drivers/api/mutex.h"

namespace canhub {

// "ipv4:127.0.0.1:5000" → "tcp:127.0.0.1"; "ipv6:%5B::1%5D:5000" → "tcp:::1"; "" for anything
// else.
std::string IdentityOfAddress(std::string_view peer);

// The user behind a Unix socket, by the kernel's word (SO_PEERCRED): "unix:uid=1000(alice)".
// UNAVAILABLE: not a connected Unix socket.
struct UnixPeer {
  uint32_t uid = 0;
  std::string identity;
};
absl::StatusOr<UnixPeer> ReadUnixPeer(int fd);

// Which user a connection's file descriptor belongs to.
//
// gRPC 1.51 names a connection that it was handed as "fd:<n>" and nothing else. A descriptor's
// number is free again as soon as gRPC has closed it, while a call that came in before may still be
// about to ask who it is from. So a number, once used for one identity, is used for no other
// as long as the daemon runs: whatever the order of events, "fd:<n>" names the right user.
class PinnedDescriptors {
 public:
  // Numbers below are left to the rest of the program.
  static constexpr int kFirst = 256;

  explicit PinnedDescriptors(int max_per_identity) : max_per_identity_(max_per_identity) {}

  // Moves `fd` (taken, closed in any case) to a number pinned to `identity`. RESOURCE_EXHAUSTED:
  // the identity has all its connections open, or no number is free.
  absl::StatusOr<int> Pin(int fd, const std::string& identity);
  // The identity for gRPC's "fd:<n>"; "" for anything else.
  std::string IdentityOf(std::string_view peer) const;

 private:
  const int max_per_identity_;
  mutable Mutex mutex_;
  struct Pool {
    std::vector<int> numbers;
    size_t next = 0;  // where to look for a free one first
  };
  std::map<std::string, Pool> pools_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<int, std::string> identities_ ABSL_GUARDED_BY(mutex_);
  int next_fresh_ ABSL_GUARDED_BY(mutex_) = kFirst;
};

}  // namespace canhub
