// Raw CAN sockets for the benchmark's own programs. What cannot be opened ends the program.
#pragma once

#include <linux/can.h>
#include <linux/can/raw.h>

#include <cstdint>
#include <string>
#include <vector>

namespace canhub::bench {

struct CanSocketOptions {
  std::string interface;
  std::vector<can_filter> filters;  // none: receives nothing
  bool stamps = false;              // SO_TIMESTAMPNS and SO_RXQ_OVFL with every frame
  int priority = 0;                 // SO_PRIORITY: the band of the shaped line's queue
  int send_frames = 0;              // at most so many of its frames wait at the line; 0: default
};

// Non-blocking and bound.
int OpenCanSocket(const CanSocketOptions& options);

[[noreturn]] void Die(const std::string& what);
int64_t RealtimeNs();
int64_t MonotonicNs();

}  // namespace canhub::bench
