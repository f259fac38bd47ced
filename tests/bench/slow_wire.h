// A TCP connection that is looked at once a millisecond, as a frame takes on a 125 kbit/s line.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "daemon/bus/io.h"

namespace canhub::bench {

// Between a daemon and the socketcand server of its line: a frame that is written wakes nobody at
// once, as a frame that is written to a CAN controller does not. Without it, the process that plays
// the line competes with the client that is measured for its core.
class SlowWire {
 public:
  // Both on 127.0.0.1. `listen` is "HOST:PORT".
  SlowWire(const std::string& listen, uint16_t target_port);
  ~SlowWire();
  bool ok() const { return listener_.ok(); }

 private:
  void Run();

  const uint16_t target_port_;
  UniqueFd listener_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace canhub::bench
