// What happened, in time order: a hash over everything, and the last events in words.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/api/can_frame.h"
#include "drivers/api/time.h"

namespace canhub::simulation {

// Two runs are the same when their hashes are. Wall times, and what is random by design (lease
// ids), are no part of it.
class EventLog {
 public:
  static constexpr size_t kKept = 60;

  void Frame(MonoTime time, std::string_view bus, bool from_daemon, const CanFrame& frame,
             const char* fault);
  void Text(MonoTime time, std::string text);
  // Counts for the hash, not for the words.
  void Count(MonoTime time, uint64_t what) {
    Add(static_cast<uint64_t>(time.time_since_epoch().count()), what);
  }

  uint64_t hash() const { return hash_; }
  uint64_t events() const { return next_; }
  // Oldest first, one line each, times from `zero` on.
  std::vector<std::string> Last(MonoTime zero, size_t count) const;

 private:
  struct Event {
    MonoTime time{};
    std::string text;  // "" for a frame
    std::string bus;
    bool from_daemon = false;
    CanFrame frame;
    const char* fault = "";
  };
  void Add(uint64_t a, uint64_t b);
  Event& Next() { return ring_[next_++ % kKept]; }

  std::array<Event, kKept> ring_;
  uint64_t next_ = 0;
  uint64_t hash_ = 0xCBF29CE484222325ull;
};

// 64 bits of a text, for hashes.
uint64_t HashText(std::string_view text);

}  // namespace canhub::simulation
