// Unary calls: answered at once, or later from another thread.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/status_mapping.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Answers at once. `handler`: absl::Status(const Caller&); must not block.
template <typename Handler>
grpc::ServerUnaryReactor* Answer(RpcContext& rpc, grpc::CallbackServerContext* context, Role least,
                                 Handler handler, Limited limited = Limited::kYes) {
  absl::StatusOr<Caller> caller = Admit(rpc, *context, least, limited);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(caller.ok() ? handler(*caller) : caller.status()));
  return reactor;
}

// While it lives, somebody works on a call: it does not just wait for time to pass.
class Handling {
 public:
  explicit Handling(RpcContext* rpc) : rpc_(rpc) { ++rpc_->handling; }
  ~Handling() { --rpc_->handling; }
  Handling(const Handling&) = delete;
  Handling& operator=(const Handling&) = delete;

 private:
  RpcContext* const rpc_;
};

// A call that is answered later. Whoever answers holds a shared_ptr; when the client vanishes or
// the server shuts down before, the answer goes nowhere.
class PendingCall final : public LiveCall {
 public:
  // Makes the call's reactor, which the handler returns to gRPC.
  static std::shared_ptr<PendingCall> Start(RpcContext& rpc, grpc::ServerUnaryReactor** reactor);

  // `fill`: absl::Status(), may write into the response. Not called when the call is over: the
  // response is gone then. Only the first answer counts.
  template <typename Fill>
  void Finish(Fill fill) {
    grpc::ServerUnaryReactor* reactor = nullptr;
    absl::Status status;
    {
      MutexLock lock(&mutex_);
      if (reactor_ == nullptr) return;
      status = fill();
      reactor = std::exchange(reactor_, nullptr);
    }
    // Now, not in the destructor: a command's callback may hold this call for longer than the
    // server lives. Nothing of the server is touched after this.
    live_->Remove(this);
    reactor->Finish(ToGrpc(status));
  }
  void End(const absl::Status& status) override {
    Finish([&] { return status; });
  }

 private:
  explicit PendingCall(LiveCalls* live) : live_(live) {}

  LiveCalls* const live_;
  Mutex mutex_;
  grpc::ServerUnaryReactor* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null: it is over
};

// Answers later. `handler`: void(const Caller&, std::shared_ptr<PendingCall>).
template <typename Handler>
grpc::ServerUnaryReactor* AnswerLater(RpcContext& rpc, grpc::CallbackServerContext* context,
                                      Role least, Handler handler,
                                      Limited limited = Limited::kYes) {
  absl::StatusOr<Caller> caller = Admit(rpc, *context, least, limited);
  if (!caller.ok()) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(caller.status()));
    return reactor;
  }
  const Handling handling(&rpc);
  grpc::ServerUnaryReactor* reactor = nullptr;
  std::shared_ptr<PendingCall> call = PendingCall::Start(rpc, &reactor);
  handler(*caller, std::move(call));
  return reactor;
}

// RESOURCE_EXHAUSTED.
absl::Status WorkerBusy();

// Answers from a worker's thread. `handler`: absl::StatusOr<Response>(const Caller&, const
// Request&), may block. It works on copies: request and response die when the client vanishes.
template <typename Request, typename Response, typename Handler>
grpc::ServerUnaryReactor* AnswerFrom(Worker& worker, RpcContext& rpc,
                                     grpc::CallbackServerContext* context, Role least,
                                     const Request* request, Response* response, Handler handler) {
  return AnswerLater(
      rpc, context, least, [&](const Caller& caller, std::shared_ptr<PendingCall> call) {
        auto handling = std::make_shared<Handling>(&rpc);
        const bool posted = worker.Post(
            [call, caller, request = *request, response, handler, handling = std::move(handling)] {
              absl::StatusOr<Response> result = handler(caller, request);
              call->Finish([&] {
                if (result.ok()) *response = *std::move(result);
                return result.status();
              });
            });
        if (!posted) call->End(WorkerBusy());
      });
}

}  // namespace canhub
