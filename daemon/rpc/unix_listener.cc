#include "daemon/rpc/unix_listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr int kBacklog = 128;
constexpr mode_t kSocketMode = 0660;

absl::Status CannotListen(const std::string& path, const std::string& why) {
  return MakeError(absl::StatusCode::kUnavailable, "CANNOT_LISTEN",
                   "unix:" + path + ": cannot listen: " + why,
                   {{"address", "unix:" + path}, {"why", why}});
}

int NewSocket() { return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

// Removes what an earlier daemon left behind, and nothing else.
absl::Status RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : CannotListen(path, std::strerror(errno));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NOT_A_SOCKET",
                     "unix:" + path + ": there is a file that is not a socket; found something " +
                         "else, expected nothing or a socket; move it away",
                     {{"address", "unix:" + path}});
  }
  const int probe = NewSocket();
  if (probe < 0) return CannotListen(path, std::strerror(errno));
  const int connected =
      connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  close(probe);
  // EAGAIN: somebody listens, with a full backlog.
  if (connected == 0 || error == EAGAIN || error == EINPROGRESS) {
    return CannotListen(path, "another process listens there");
  }
  if (error != ECONNREFUSED) return CannotListen(path, std::strerror(error));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return CannotListen(path,
                        std::string("the stale socket cannot be removed: ") + std::strerror(errno));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<UnixListener>> UnixListener::Listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "SOCKET_PATH",
                     "unix:" + path + ": found a path of " + std::to_string(path.size()) +
                         " bytes, expected 1 to " + std::to_string(sizeof(address.sun_path) - 1),
                     {{"address", "unix:" + path}});
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  absl::Status free = RemoveStale(path, address);
  if (!free.ok()) return free;

  const int socket = NewSocket();
  if (socket < 0) return CannotListen(path, std::strerror(errno));
  // Closed for everybody until it has its final mode; the umask cannot open it.
  struct stat info {};
  if (fchmod(socket, S_IRUSR | S_IWUSR) != 0 ||
      bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      chmod(path.c_str(), kSocketMode) != 0 || lstat(path.c_str(), &info) != 0 ||
      listen(socket, kBacklog) != 0) {
    const absl::Status status = CannotListen(path, std::strerror(errno));
    close(socket);
    return status;
  }
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    const absl::Status status = CannotListen(path, std::strerror(errno));
    close(socket);
    unlink(path.c_str());
    return status;
  }
  std::unique_ptr<UnixListener> listener(new UnixListener(path, socket, wake));
  listener->device_ = info.st_dev;
  listener->inode_ = info.st_ino;
  return listener;
}

UnixListener::UnixListener(std::string path, int socket, int wake)
    : path_(std::move(path)),
      socket_(socket),
      wake_(wake),
      spare_(open("/dev/null", O_RDONLY | O_CLOEXEC)) {}

UnixListener::~UnixListener() {
  Stop();
  close(wake_);
  if (spare_ >= 0) close(spare_);
}

void UnixListener::Start(PinnedDescriptors* descriptors, HandOver hand_over, Log log) {
  descriptors_ = descriptors;
  hand_over_ = std::move(hand_over);
  log_ = std::move(log);
  thread_ = std::thread([this] { Run(); });
}

void UnixListener::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    // Cannot fail: the counter is nowhere near its end.
    [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof(one));
    thread_.join();
  }
  if (socket_ < 0) return;
  // Unlinked before it is closed: a client sees a socket that answers, or none.
  struct stat info {};
  if (lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_) {
    unlink(path_.c_str());
  }
  close(socket_);
  socket_ = -1;
}

void UnixListener::Run() {
  pollfd wanted[2] = {{socket_, POLLIN, 0}, {wake_, POLLIN, 0}};
  while (true) {
    if (poll(wanted, 2, -1) < 0 && errno != EINTR) {
      if (log_) log_(LogLevel::kError, "unix:" + path_ + ": poll: " + std::strerror(errno));
      return;
    }
    if (wanted[1].revents != 0) return;
    if (wanted[0].revents != 0) AcceptOne();
  }
}

void UnixListener::AcceptOne() {
  const int fd = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno != EMFILE && errno != ENFILE) return;  // gone again, or a signal
    // Without a descriptor the connection can be neither accepted nor refused, and poll would
    // spin: the spare one makes room to refuse it.
    if (log_) log_(LogLevel::kError, "unix:" + path_ + ": no file descriptor is free, refused");
    if (spare_ >= 0) close(spare_);
    const int refused = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (refused >= 0) close(refused);
    spare_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return;
  }
  const absl::StatusOr<UnixPeer> peer = ReadUnixPeer(fd);
  if (!peer.ok()) {
    close(fd);
    if (log_) log_(LogLevel::kWarning, std::string(peer.status().message()));
    return;
  }
  const absl::StatusOr<int> pinned = descriptors_->Pin(fd, peer->identity);
  if (!pinned.ok()) {
    if (log_) log_(LogLevel::kWarning, "refused: " + std::string(pinned.status().message()));
    return;
  }
  hand_over_(*pinned);
}

}  // namespace canhub
