#include "daemon/rpc/call.h"

#include "drivers/api/errors.h"

namespace canhub {
namespace {

// gRPC's side of a PendingCall: deletes itself when gRPC is done with it.
class PendingReactor final : public grpc::ServerUnaryReactor {
 public:
  void Bind(std::shared_ptr<PendingCall> call) { call_ = std::move(call); }

 private:
  void OnCancel() override {
    // Only the caller goes; what it has asked for goes on.
    call_->End(MakeError(absl::StatusCode::kCancelled, "CALL_CANCELLED",
                         "the client cancelled the call, its deadline passed or it vanished; a "
                         "command that was accepted goes on, see the audit record"));
  }
  void OnDone() override { delete this; }

  std::shared_ptr<PendingCall> call_;
};

}  // namespace

std::shared_ptr<PendingCall> PendingCall::Start(RpcContext& rpc,
                                                grpc::ServerUnaryReactor** reactor) {
  std::shared_ptr<PendingCall> call(new PendingCall(&rpc.live));
  auto* bound = new PendingReactor();
  bound->Bind(call);
  {
    MutexLock lock(&call->mutex_);
    call->reactor_ = bound;
  }
  *reactor = bound;
  rpc.live.Add(call);
  return call;
}

absl::Status WorkerBusy() {
  return MakeError(absl::StatusCode::kResourceExhausted, "WORKER_BUSY",
                   "too many calls are waiting for the disk; try again in a second");
}

}  // namespace canhub
