// The programs under measurement, ready to be called.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/bench/load_measure.h"
#include "tests/bench/load_process.h"

namespace canhub::bench {

enum class Transport { kUnix, kTcp };
inline const char* Name(Transport transport) {
  return transport == Transport::kUnix ? "unix" : "tcp";
}

// A connection of its own, never shared with another channel. Waits until it stands.
std::shared_ptr<grpc::Channel> Connect(const std::string& target);

// A server that prints "listening on ADDRESS" for its Unix socket, then for its TCP port.
class Server {
 public:
  Server(std::vector<std::string> command, Child::Options options);
  const std::string& target(Transport transport) const {
    return targets_[transport == Transport::kUnix ? 0 : 1];
  }
  Child& process() { return process_; }

 private:
  Child process_;
  std::string targets_[2];
};

std::unique_ptr<Server> StartFloor(const Settings& settings, double paced_hz = 100);

struct LabShape {
  int devices = 1;  // iseg modules of 16 channels, hv0 …
  // Long periods leave the server's core to what is measured.
  std::string poll = "30 s", slow_poll = "5 min", verify_poll = "1 h";
  bool with_devices_process = true;  // false: the lines stay unplugged
  bool slow_wire = false;            // see slow_wire.h
  // Instead of modules, on one line of this bit rate: what stands below `devices:`.
  std::string own_devices;
  int bitrate = 1'000'000;
};
// The real canhubd on the lines of a canhub-bench-line, with a state directory on the disk.
class Lab {
 public:
  Lab(const Settings& settings, const LabShape& shape);
  // Until every device was polled; false after `seconds`.
  bool WaitReady(int seconds);
  Server& daemon() { return *daemon_; }
  // Where its first line is served over socketcand: "127.0.0.1:40000".
  const std::string& line_address() const { return line_address_; }
  // For a start of one's own (`startup`): what is started, and what it listens on.
  static std::vector<std::string> Command(const Settings& settings, const std::string& folder);
  // Returns the address of its first line.
  static std::string WriteConfig(const std::string& folder, const LabShape& shape);

 private:
  std::string line_address_;
  std::unique_ptr<Child> line_;
  std::unique_ptr<Server> daemon_;
};

// The daemon's hub, actors, store and services around devices that only a benchmark needs.
struct BenchHubShape {
  int devices = 1, buses = 1, items = 1;
  int realtime = 0;
  bool converters = false;  // YSTECH converters b0 …, with their heartbeats
  bool battery = false;     // also bat0 on line0, and an interlock that stops b0
};
std::unique_ptr<Server> StartBenchHub(const Settings& settings, const BenchHubShape& shape);

// An empty folder below the run's.
std::string FreshFolder(const Settings& settings, const std::string& name);

}  // namespace canhub::bench
