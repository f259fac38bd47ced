// Keeps the kernel's transmit queue nearly empty: a frame is handed over only when the echo of an
// earlier one has come back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "daemon/bus/tx_queue.h"

namespace canhub {

// The kernel has frames of ours that have not been on the wire; at most `window` of them. Pure
// bookkeeping, not thread-safe.
//
// A frame whose echo stays away for kEchoTimeout is looked at. When it went out, its echo was lost
// (full receive buffer) and it is given up. While the kernel still queues it, the line is blocked,
// and more frames behind it would only go out late, past their deadlines (S02): the window stays
// closed. When neither can be told, it sits in the controller because nobody acknowledges, or was
// thrown away with the interface's queue: it is given up when the caller's patience ends.
class TxPacer {
 public:
  // Longer than the 1.3 ms that the longest frame takes at 125 kbit/s, many times over: an
  // arbitration lost to a full line's traffic must not look like a lost echo.
  static constexpr Duration kEchoTimeout = Duration(100'000'000);

  enum class Fate : uint8_t { kSent, kQueued, kUnknown };
  // A frame that nobody acknowledges makes its controller error passive within milliseconds
  // (ISO 11898-1: 8 per attempt, 128 in all): with an active one, the frame is not there any more.
  static constexpr Duration kPatienceActive = Duration(2'000'000'000);
  static constexpr Duration kPatienceOtherwise = Duration(10'000'000'000);

  explicit TxPacer(size_t window) : window_(window) {}
  // Two frames where both take less than 0.6 ms together, so that the line need not wait for us;
  // otherwise one, so that an urgent frame waits for one at most.
  static size_t WindowFor(uint32_t bitrate) { return bitrate >= 500000 ? 2 : 1; }

  bool MayWrite() const { return in_flight_.size() < window_; }
  void OnWritten(TxQueue::Entry entry, MonoTime now);
  // The written frame this echo belongs to; echoes come in the order of writing, except that two
  // frames may have changed places in arbitration inside the controller. nullopt: not ours.
  std::optional<TxQueue::Entry> OnEcho(const CanFrame& frame);
  // When to look at an echo that stays away; kNever with nothing in flight.
  MonoTime NextCheck() const { return next_check_; }
  // Returns frames given up on; whether they went out was not seen.
  std::vector<TxQueue::Entry> Check(MonoTime now, Fate fate, Duration patience);
  // Everything in flight, to be reported, after bus-off or when the socket went.
  std::vector<TxQueue::Entry> Clear();
  // How long the oldest frame has been inside the kernel.
  Duration Waiting(MonoTime now) const;
  size_t in_flight() const { return in_flight_.size(); }
  uint64_t lost_echoes() const { return lost_echoes_; }

 private:
  struct Written {
    TxQueue::Entry entry;
    MonoTime when;
  };
  const size_t window_;
  std::deque<Written> in_flight_;
  MonoTime next_check_ = kNever;
  uint64_t lost_echoes_ = 0;
};

}  // namespace canhub
