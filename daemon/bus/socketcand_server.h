// Shares a simulated line over TCP, as socketcand shares a real one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "daemon/bus/bus_core.h"
#include "daemon/bus/io.h"
#include "daemon/bus/simulated_line.h"

namespace canhub {

struct SocketcandServerOptions {
  // Numeric: "127.0.0.1:29536", "[::1]:0"; port 0 takes a free one.
  std::string listen = "127.0.0.1:29536";
  // Whoever connects can send frames: anything but loopback must be asked for.
  bool allow_remote = false;
  std::string bus_name;  // what clients must open
  int max_clients = 16;
  // A client that lets so much pile up is dropped: at 125 kbit/s, 6 s of a full line.
  size_t max_output_bytes = 256 << 10;
  BusLog log;
};

// Each client is a node of its own on the line: clients see each other's frames and everybody
// else's, and arbitrate with them. One thread serves all; no client can make the line, or another
// client, wait. No beacon, no multicast.
//
// Raw mode only. What a client sends wrongly in raw mode is dropped and logged, without an answer:
// python-can takes any "< error … >" for an error frame, and dies of words in it. Error frames on
// the line go to clients as "< error CLASS time >", the class without details, as in socketcand.
class SocketcandServer {
 public:
  SocketcandServer(const Clock& clock, SimulatedLine* line, SocketcandServerOptions options);
  ~SocketcandServer();
  SocketcandServer(const SocketcandServer&) = delete;
  SocketcandServer& operator=(const SocketcandServer&) = delete;

  // Binds and starts the thread. The line must outlive it.
  absl::Status Start();
  void Stop();
  // Of a started server.
  uint16_t port() const { return port_; }
  int clients() const { return client_count_.load(); }
  uint64_t clients_dropped() const { return clients_dropped_.load(); }
  // Lets the thread look at the clock: for clocks that are moved by hand.
  void Wake() { wake_->Signal(); }

 private:
  class Client;

  void Run();
  void Accept(MonoTime now);
  void Log(LogLevel level, const std::string& text) const {
    if (options_.log) options_.log(level, text);
  }

  const Clock& clock_;
  SimulatedLine* const line_;
  const SocketcandServerOptions options_;
  const std::shared_ptr<WakeEvent> wake_;
  UniqueFd listener_;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> client_count_{0};
  std::atomic<uint64_t> clients_dropped_{0};
  std::thread thread_;
  std::vector<std::unique_ptr<Client>> clients_;  // only the thread's
  uint64_t next_client_ = 1;                      // only the thread's
};

}  // namespace canhub
