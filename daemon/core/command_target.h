// What the gate asks of an actor. Implemented by DeviceActor, used only by the gate.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "drivers/api/driver.h"

namespace canhub {

struct CommandOutcome {
  absl::Status status;
  // Epoch: not reached. kAccepted is the gate's.
  MonoTime sent{}, on_wire{}, confirmed{}, settled{};
  std::vector<std::pair<ItemId, Reading>> read_back;
  std::shared_ptr<const ItemTable> items;
  Arguments results;
};
// Called exactly once, on the actor's thread (or by the one that destroys the actor).
using CommandDone = absl::AnyInvocable<void(CommandOutcome)>;

// Thread-safe.
class CommandTarget {
 public:
  virtual ~CommandTarget() = default;
  // RESOURCE_EXHAUSTED: the mailbox is full; `done` is not called then. Commands of urgency kSafe
  // are never refused and go before everything else in the mailbox (S10).
  virtual absl::Status PostCommand(Command command, CommandDone done) = 0;
  // The actor calls Driver::Cancel, which finishes the command with `why`. A command that the
  // driver has not seen yet is finished by the actor. The actor does the same by itself when a
  // command's guard is revoked or its deadline passes.
  virtual void PostCancel(CommandId id, absl::Status why) = 0;
};

}  // namespace canhub
