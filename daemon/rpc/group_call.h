// Commands to a device, or to all members of a group at the same time.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/rpc/command_call.h"

namespace canhub {

struct GroupCommands {
  std::vector<CommandRequest> commands;  // at least one
  const DeviceGroup* group = nullptr;    // nullptr: of one device
  // When one fails, the group's safe action on all members, before the call is answered; not when
  // all were refused, because then all are as they were. Each has to wait at least for
  // confirmation then (INVALID_ARGUMENT), unless the group's safe action is hold.
  bool make_safe = false;
};

// Runs them: all, or none when the gate refuses one. `done` gets a receipt per command, or the
// failure, which names what became of each.
void RunGroup(Hub& hub, GroupCommands commands,
              absl::AnyInvocable<void(absl::StatusOr<std::vector<CommandReceipt>>)> done);

// One call, a receipt for each device. `make`: absl::StatusOr<GroupCommands>(const Caller&), at
// once.
template <typename Response, typename Make>
grpc::ServerUnaryReactor* AnswerGroup(RpcContext& rpc, grpc::CallbackServerContext* context,
                                      Response* response, Make make,
                                      Limited limited = Limited::kYes) {
  // The gate checks the role, and audits the refusal.
  return AnswerLater(
      rpc, context, Role::kNone,
      [&](const Caller& caller, std::shared_ptr<PendingCall> call) {
        absl::StatusOr<GroupCommands> commands = make(caller);
        if (!commands.ok()) return call->End(commands.status());
        RunGroup(*rpc.hub, *std::move(commands),
                 [call = std::move(call), response,
                  hub = rpc.hub](absl::StatusOr<std::vector<CommandReceipt>> receipts) {
                   call->Finish([&] {
                     if (!receipts.ok()) return receipts.status();
                     const TimeView time(hub->clock());
                     for (const CommandReceipt& receipt : *receipts) {
                       SetReceipt(receipt, IsSimulated(*hub, receipt.device_id), time,
                                  response->add_receipts());
                     }
                     return absl::OkStatus();
                   });
                 });
      },
      limited);
}

}  // namespace canhub
