// The gate's commands and raw frames under way.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "daemon/core/command_target.h"
#include "daemon/core/gate_impl.h"
#include "daemon/core/store_api.h"
#include "drivers/api/bus.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Of one device or bus.
struct GateCounts {
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<int> under_way{0};
};

// A command or raw frame that was accepted and has not ended.
struct Pending {
  CommandId id = 0;
  bool safe = false;
  bool frame = false;
  std::string place;  // device, or bus for a frame
  std::string bus_id;
  std::string identity;
  std::string request_id;
  std::string lease_id;
  std::optional<InterlockWrite> step;  // of an interlock
  std::string text;                    // as in the audit record
  MonoTime accepted{};
  MonoTime sent{};  // frames only
  Stage wait_for = Stage::kConfirmed;
  std::shared_ptr<CommandGuard> guard;
  CommandTarget* target = nullptr;  // nullptr for a frame
  std::shared_ptr<GateCounts> counts;
  // Guarded by the ledger's mutex from Add on.
  CommandCallback done;
  absl::Status withdrawn;
};
using PendingPtr = std::shared_ptr<Pending>;

// Thread-safe. Shared with the callbacks of actors, which may outlive the gate. `clock` and
// `audit` outlive it.
class GateLedger {
 public:
  GateLedger(const Clock* clock, AuditLog* audit) : clock_(clock), audit_(audit) {}

  void Add(const PendingPtr& pending);
  // Removes it: whoever takes it ends it. nullptr when it was taken already.
  PendingPtr Take(CommandId id);
  // The caller's callback, for whoever comes first; empty after that.
  CommandCallback TakeDone(Pending& pending);
  // Revokes the guards of all that match, but not of safe actions, and then tells their actors.
  // Returns how many.
  int Withdraw(const std::function<bool(const Pending&)>& matches, const absl::Status& why);

  int frame_count() const;
  std::vector<CommandId> Frames() const;
  // Frames whose deadline passed at or before `now`.
  std::vector<CommandId> FramesExpiredAt(MonoTime now) const;

  AuditEntry Entry(const char* kind, const Pending& pending, std::string text) const;
  // Ends a command that has been taken: audits the outcome, then tells the caller.
  void Finish(Pending& pending, CommandOutcome outcome);
  // What became of a raw frame; unknown tags are ignored.
  void FrameReported(const TxReport& report);

 private:
  const Clock* const clock_;
  AuditLog* const audit_;
  mutable Mutex mutex_;
  std::unordered_map<CommandId, PendingPtr> pending_ ABSL_GUARDED_BY(mutex_);
  int frames_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace canhub
