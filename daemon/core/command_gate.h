// The one door for everything that acts on hardware.
//
// Checks, in this order: role → lease → item known, type, device range, configured limit →
// interlocks → deadline still ahead → audit written → room in the mailbox. Every refusal
// says which check, the value, the bound and where the bound comes from, and is audited too.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "daemon/core/access.h"
#include "drivers/api/bus.h"
#include "drivers/api/driver.h"

namespace canhub {

struct NamedWrite {
  std::string item;  // "ch3.voltage_set", without the device; name or alias
  Value value;
};

struct CommandRequest {
  Caller caller;
  std::string device_id;
  std::variant<std::vector<NamedWrite>, ActionCall> what;
  Stage wait_for = Stage::kConfirmed;  // kSent, kConfirmed or kSettled
  MonoTime deadline = kNever;
  std::string request_id;
  std::string lease_id;
};

struct FrameRequest {
  Caller caller;
  std::string bus_id;
  CanFrame frame;
  Stage wait_for = Stage::kOnWire;  // kSent or kOnWire
  MonoTime deadline = kNever;
  std::string request_id;
  std::string lease_id;
};

struct CommandReceipt {
  CommandId command_id = 0;
  std::string request_id;
  std::string device_id;                                           // or the bus
  MonoTime accepted{}, sent{}, on_wire{}, confirmed{}, settled{};  // epoch: not reached
  std::vector<std::pair<ItemId, Reading>> read_back;
  std::shared_ptr<const ItemTable> items;  // for the names of read_back
};

struct CommandResult {
  absl::Status status;
  CommandReceipt receipt;
  Arguments results;
};
// Called exactly once, on the submitting thread (refusals) or on the actor's; must not block.
using CommandCallback = absl::AnyInvocable<void(CommandResult)>;

// Thread-safe.
class CommandGate {
 public:
  virtual ~CommandGate() = default;
  virtual void Submit(CommandRequest request, CommandCallback done) = 0;
  // Why Submit would refuse it now; OK: it would pass. Nothing is done, and nothing audited.
  virtual absl::Status Check(const CommandRequest& request) const = 0;
  virtual void SubmitFrame(FrameRequest request, CommandCallback done) = 0;
  // The daemon's own safe action on a device: no role, lease or limit is asked; audited from the
  // reserve; overtakes everything (S10). `why` stands in the audit record.
  virtual void SubmitSafeAction(const std::string& device_id, const std::string& action,
                                const std::string& why, CommandCallback done) = 0;
};

}  // namespace canhub
