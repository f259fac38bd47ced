// The transmit queue of one bus.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "drivers/api/can_bus.h"

namespace canhub {

// A port of a bus; never reused, 0 is nobody.
using PortId = uint64_t;

struct OwnedReport {
  PortId port = 0;
  TxReport report;
};

// Four urgencies, first in first out inside each, each with a bound of its own: polls can fill
// their own share and never that of safe actions. Not thread-safe.
class TxQueue {
 public:
  // Frames per urgency. Safe actions of 1000 devices with one frame each fit; a poll queue of 256
  // frames is 240 ms of a full 125 kbit/s line, more would only be older.
  using Bounds = std::array<size_t, kUrgencyCount>;
  static constexpr Bounds kDefaultBounds = {4096, 512, 1024, 256};

  struct Entry {
    PortId port = 0;
    TxFrame tx;
    MonoTime queued{};
    uint64_t sequence = 0;  // rises with every Push
  };

  explicit TxQueue(Bounds bounds = kDefaultBounds) : bounds_(bounds) {}

  // RESOURCE_EXHAUSTED when the urgency's bound is reached, or when this port alone holds half of
  // it (one device that floods must not take the others' room); kSafe has no such half. Frames that
  // may no longer be sent are dropped first, to make room. INVALID_ARGUMENT for a frame that cannot
  // exist on a line. DEADLINE_EXCEEDED or ABORTED when it may not be sent any more already.
  absl::Status Push(PortId port, TxFrame frame, MonoTime now, std::string_view bus,
                    std::vector<OwnedReport>* reports);

  // The frame that goes next, or nullptr. Frames in front of it that may not be sent any more are
  // dropped with kExpired. Valid until the next call.
  const Entry* Peek(MonoTime now, std::vector<OwnedReport>* reports);
  // Takes the frame that goes next. The guard is asked here: between this and the wire there must
  // be nothing that waits (S02).
  std::optional<Entry> Pop(MonoTime now, std::vector<OwnedReport>* reports);
  // Undoes Pop: the frame is the first of its urgency again, whatever the bounds say.
  void PutBack(Entry entry);
  // Drops everything; every owner gets kPurged.
  void Purge(MonoTime now, std::vector<OwnedReport>* reports);
  // Drops what may not be sent any more, wherever it stands.
  void DropExpired(MonoTime now, std::vector<OwnedReport>* reports);
  // Drops a port's frames without a report.
  void Remove(PortId port);

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  size_t size(Urgency urgency) const { return queues_[static_cast<size_t>(urgency)].size(); }
  uint64_t expired() const { return expired_; }
  uint64_t refused() const { return refused_; }
  uint64_t purged() const { return purged_; }

 private:
  void DropExpiredOf(size_t urgency, MonoTime now, std::vector<OwnedReport>* reports);
  void Forget(const Entry& entry);

  const Bounds bounds_;
  std::array<std::deque<Entry>, kUrgencyCount> queues_;
  std::map<PortId, std::array<size_t, kUrgencyCount>> held_;  // frames per port and urgency
  size_t size_ = 0;
  uint64_t next_sequence_ = 1;
  uint64_t expired_ = 0;
  uint64_t refused_ = 0;
  uint64_t purged_ = 0;
};

std::string_view ToString(Urgency urgency);

// INVALID_ARGUMENT when the identifier or the length cannot stand on a classic CAN line.
absl::Status CheckFrame(const CanFrame& frame);

}  // namespace canhub
