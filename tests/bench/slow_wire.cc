#include "tests/bench/slow_wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <vector>

namespace canhub::bench {
namespace {

constexpr auto kPeriod = std::chrono::milliseconds(1);

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// What has come in on one socket goes out on the other. False when one of them is gone.
bool Move(int from, int to) {
  std::array<char, 4096> bytes;
  while (true) {
    const ssize_t got = recv(from, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    if (send(to, bytes.data(), static_cast<size_t>(got), MSG_NOSIGNAL) != got) return false;
  }
}

}  // namespace

SlowWire::SlowWire(const std::string& listen_at, uint16_t target_port) : target_port_(target_port) {
  const auto port = static_cast<uint16_t>(std::stoi(listen_at.substr(listen_at.rfind(':') + 1)));
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = Loopback(port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd.get(), 4) != 0) {
    return;
  }
  listener_ = std::move(fd);
  thread_ = std::thread([this] { Run(); });
}

SlowWire::~SlowWire() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void SlowWire::Run() {
  struct Connection {
    UniqueFd daemon, line;
  };
  std::vector<Connection> connections;
  const sockaddr_in target = Loopback(target_port_);
  while (!stop_) {
    std::this_thread::sleep_for(kPeriod);
    UniqueFd accepted(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted.ok()) {
      UniqueFd line(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      setsockopt(line.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      if (connect(line.get(), reinterpret_cast<const sockaddr*>(&target), sizeof(target)) == 0) {
        connections.push_back({std::move(accepted), std::move(line)});
      }
    }
    std::erase_if(connections, [](Connection& c) {
      return !Move(c.daemon.get(), c.line.get()) || !Move(c.line.get(), c.daemon.get());
    });
  }
}

}  // namespace canhub::bench
