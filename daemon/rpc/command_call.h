// Calls that act on a device: options → CommandRequest → gate → Receipt.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "canhub/v1/common.pb.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/convert.h"

namespace canhub {

using CommandContent = std::variant<std::vector<NamedWrite>, ActionCall>;

// INVALID_ARGUMENT: a wait_for that does not exist. `otherwise` for WAIT_FOR_UNSPECIFIED.
absl::StatusOr<Stage> ReadWaitFor(const v1::CommandOptions& options, Stage otherwise);

// The request for the gate, which checks everything else.
absl::StatusOr<CommandRequest> MakeCommand(const RpcContext& rpc,
                                           const grpc::ServerContextBase& context,
                                           const Caller& caller, const std::string& device_id,
                                           CommandContent what, const v1::CommandOptions& options);

// Whether readings of this device or bus are marked as simulated.
bool IsSimulated(const Hub& hub, const std::string& device_id);

// The status of a command on this device, which its fields name from now on.
absl::Status OfDevice(const std::string& device_id, const absl::Status& status);

// Several commands at once. `done` is called once, when the last has ended, with the results in the
// order of the commands; not at all without commands.
void SubmitAll(Hub& hub, std::vector<CommandRequest> commands,
               absl::AnyInvocable<void(std::vector<CommandResult>)> done);

// One command, one receipt. `make`: absl::StatusOr<CommandRequest>(const Caller&), at once.
// `fill`: void(const CommandResult&), may add to the response, which has its receipt by then.
template <typename Response, typename Make, typename Fill>
grpc::ServerUnaryReactor* AnswerCommand(RpcContext& rpc, grpc::CallbackServerContext* context,
                                        Response* response, Make make, Fill fill) {
  // The gate checks the role, and audits the refusal.
  return AnswerLater(
      rpc, context, Role::kNone, [&](const Caller& caller, std::shared_ptr<PendingCall> call) {
        absl::StatusOr<CommandRequest> request = make(caller);
        if (!request.ok()) return call->End(request.status());
        const std::string device_id = request->device_id;
        rpc.hub->gate().Submit(
            *std::move(request), [call = std::move(call), response, fill = std::move(fill),
                                  device_id, hub = rpc.hub](CommandResult result) mutable {
              call->Finish([&] {
                if (!result.status.ok()) return OfDevice(device_id, result.status);
                SetReceipt(result.receipt, IsSimulated(*hub, result.receipt.device_id),
                           TimeView(hub->clock()), response->mutable_receipt());
                fill(result);
                return absl::OkStatus();
              });
            });
      });
}

template <typename Response, typename Make>
grpc::ServerUnaryReactor* AnswerCommand(RpcContext& rpc, grpc::CallbackServerContext* context,
                                        Response* response, Make make) {
  return AnswerCommand(rpc, context, response, std::move(make), [](const CommandResult&) {});
}

}  // namespace canhub
