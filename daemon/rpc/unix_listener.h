// Accepts connections on a Unix socket, with the kernel's word on who connects.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/statusor.h"
#include "daemon/rpc/identity.h"
#include "drivers/api/driver.h"

namespace canhub {

// gRPC's own listener does not tell a handler the peer's credentials, so connections are accepted
// here, named, and handed over. One thread, which sleeps in poll(2).
class UnixListener {
 public:
  // Takes an open, non-blocking connection.
  using HandOver = std::function<void(int fd)>;
  using Log = std::function<void(LogLevel, std::string_view)>;

  // The socket file gets mode 0660: users outside its group cannot connect. A stale file, at which
  // nobody listens, is replaced. UNAVAILABLE: somebody listens there, or no right to make it;
  // INVALID_ARGUMENT: the path is empty, too long, or something other than a socket.
  static absl::StatusOr<std::unique_ptr<UnixListener>> Listen(const std::string& path);
  ~UnixListener();  // Stop

  // Before it, connections wait in the kernel. `descriptors` outlives the listener.
  void Start(PinnedDescriptors* descriptors, HandOver hand_over, Log log);
  // Accepts no more and removes the socket file. Idempotent.
  void Stop();

 private:
  UnixListener(std::string path, int socket, int wake);
  void Run();
  void AcceptOne();

  const std::string path_;
  int socket_;
  int wake_;   // eventfd
  int spare_;  // given up to refuse a connection when the process has no descriptor left
  uint64_t device_ = 0, inode_ = 0;  // of the socket file: another daemon's is not removed
  PinnedDescriptors* descriptors_ = nullptr;
  HandOver hand_over_;
  Log log_;
  std::thread thread_;
};

}  // namespace canhub
