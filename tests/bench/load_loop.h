// A closed loop of unary calls.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/bench/load_calls.h"
#include "tests/bench/load_measure.h"

namespace canhub::bench {

// Each call that ends starts the next one.
class Loop {
 public:
  Loop(std::shared_ptr<grpc::Channel> channel, const std::string& method,
       const google::protobuf::Message& request)
      : stub_(channel), method_(method) {
    const std::string bytes = request.SerializeAsString();
    const grpc::Slice slice(bytes);
    request_ = grpc::ByteBuffer(&slice, 1);
  }

  // Calls per second.
  double Run(int concurrency, int64_t ns) {
    std::vector<Call> calls(static_cast<size_t>(concurrency));
    const int64_t begin = MonotonicNs();
    const int64_t end = begin + ns;
    for (Call& call : calls) Start(&call);
    int open = concurrency;
    int64_t done = 0, last = begin;
    void* tag = nullptr;
    bool ok = false;
    while (open > 0 && queue_.Next(&tag, &ok)) {
      Call& call = *static_cast<Call*>(tag);
      Require(call.status, method_.c_str());
      last = MonotonicNs();
      ++done;
      if (last < end) {
        Start(&call);
      } else {
        --open;
      }
    }
    return 1e9 * static_cast<double>(done) / static_cast<double>(last - begin);
  }

 private:
  struct Call {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
    grpc::ByteBuffer response;
    grpc::Status status;
  };
  void Start(Call* call) {
    call->reader.reset();
    call->context = std::make_unique<grpc::ClientContext>();
    call->response.Clear();
    call->reader = stub_.PrepareUnaryCall(call->context.get(), method_, request_, &queue_);
    call->reader->StartCall();
    call->reader->Finish(&call->response, &call->status, call);
  }

  grpc::GenericStub stub_;
  const std::string method_;
  grpc::ByteBuffer request_;
  grpc::CompletionQueue queue_;
};

}  // namespace canhub::bench
