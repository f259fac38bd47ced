// G3: how many cached reads per second, for 1, 8 and 64 calls at a time on one connection.
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/bench/load_calls.h"
#include "tests/bench/load_lab.h"
#include "tests/bench/load_modes.h"
#include "tests/bench/load_streams.h"

namespace canhub::bench {
namespace {

// A closed loop: each call that ends starts the next one.
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

}  // namespace

void RunQps(const Settings& settings, Report* report) {
  const std::unique_ptr<Server> floor = StartFloor(settings);
  Lab lab(settings, {});
  if (!lab.WaitReady(60)) return;
  for (const Transport transport : {Transport::kUnix, Transport::kTcp}) {
    Loop echo(Connect(floor->target(transport)), "/canhub.bench.Floor/Echo",
              FloorCaller::Request());
    Loop get(Connect(lab.daemon().target(transport)), "/canhub.v1.ItemService/GetItems",
             CanhubCaller::OneRequest());
    for (const int concurrency : {1, 8, 64}) {
      const int64_t quarter = settings.window_ns / 2;
      report->Run(
          {{"G3",
            "cached get " + std::string(Name(transport)) + " c=" + std::to_string(concurrency),
            "ratio", "echo, calls per second", "per_s", Bound{">=", 0.85}, Bound{">=", 0.93}}},
          [&] {
            const int64_t floor_cpu = floor->process().CpuNs();
            const int64_t canhub_cpu = lab.daemon().process().CpuNs();
            const double a = echo.Run(concurrency, quarter), b = get.Run(concurrency, quarter);
            const double c = get.Run(concurrency, quarter), d = echo.Run(concurrency, quarter);
            const auto cpu_us = [&](const Child& server, int64_t before, double per_second) {
              const double calls = 1e-9 * static_cast<double>(quarter) * per_second;
              return 1e-3 * static_cast<double>(server.CpuNs() - before) / calls;
            };
            return std::vector<Sample>{
                {(b + c) / (a + d),
                 (a + d) / 2,
                 {{"canhub_per_s", (b + c) / 2},
                  {"floor_cpu_us", cpu_us(floor->process(), floor_cpu, a + d)},
                  {"canhub_cpu_us", cpu_us(lab.daemon().process(), canhub_cpu, b + c)}}}};
          });
    }
  }
}

}  // namespace canhub::bench
