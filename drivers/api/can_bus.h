// What a driver sees of its bus: a way to send, and the state it is in.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "drivers/api/can_frame.h"
#include "drivers/api/time.h"

namespace canhub {

// Order of transmission: a smaller value overtakes a larger one.
enum class Urgency : uint8_t { kSafe = 0, kCommand = 1, kHeartbeat = 2, kPoll = 3 };
inline constexpr int kUrgencyCount = 4;

enum class BusState : uint8_t { kActive, kWarning, kPassive, kBusOff, kDown, kUnplugged };
std::string_view ToString(BusState state);
// True when frames can go out.
inline bool CanTransmit(BusState s) { return s <= BusState::kPassive; }

// Withdraws a command's frames that have not gone out yet. Shared by gate, actor and bus writer;
// the writer asks immediately before it hands the frame to the wire (S02).
class CommandGuard {
 public:
  explicit CommandGuard(MonoTime deadline) : deadline_(deadline) {}
  // A driver's own guard for the frames of one command: also revoked as soon as `parent` is, so
  // that a driver can withdraw what the gate let through (S10) without a say in the gate's guard.
  explicit CommandGuard(std::shared_ptr<const CommandGuard> parent)
      : deadline_(parent ? parent->deadline() : kNever), parent_(std::move(parent)) {}
  void Revoke() { revoked_.store(true, std::memory_order_release); }
  bool revoked() const {
    return revoked_.load(std::memory_order_acquire) || (parent_ != nullptr && parent_->revoked());
  }
  MonoTime deadline() const { return deadline_; }
  bool MaySend(MonoTime now) const { return !revoked() && now < deadline_; }

 private:
  const MonoTime deadline_;
  const std::shared_ptr<const CommandGuard> parent_;
  std::atomic<bool> revoked_{false};
};

struct TxFrame {
  CanFrame frame;
  Urgency urgency = Urgency::kPoll;
  // Not sent at or after this moment; kNever for none.
  MonoTime deadline = kNever;
  // Set for frames of a command.
  std::shared_ptr<const CommandGuard> guard;
  // Comes back in the report; 0 wants none.
  uint64_t tag = 0;
};

enum class TxOutcome : uint8_t {
  kOnWire,   // seen on the wire (echo), `time` is when
  kSent,     // handed to a line that has no echo (socketcand)
  kExpired,  // deadline passed or guard revoked before it went out
  kPurged,   // the bus went off or down while it waited
  kFailed,   // the interface refused it
};
struct TxReport {
  uint64_t tag = 0;
  TxOutcome outcome = TxOutcome::kOnWire;
  MonoTime time{};
};

class FrameSender {
 public:
  virtual ~FrameSender() = default;
  // Queues a frame; never blocks. RESOURCE_EXHAUSTED: queue of this urgency full. UNAVAILABLE: the
  // bus cannot transmit now; nothing is kept for later.
  virtual absl::Status Send(TxFrame frame) = 0;
};

}  // namespace canhub
