#include "tests/bench/load_streams.h"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <chrono>

#include "tests/bench/load_measure.h"

namespace canhub::bench {

struct Subscribers::Stream {
  enum class State { kStarting, kWriting, kReading, kFinishing, kOver };
  size_t index = 0;
  Reads reads = Reads::kYes;
  State state = State::kStarting;
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericStub> stub;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
  grpc::ByteBuffer request, message;
  grpc::Status status;
  uint64_t count = 0;
};

Subscribers::Subscribers(const std::vector<std::shared_ptr<grpc::Channel>>& connections, int count,
                         const std::string& method, const google::protobuf::Message& request,
                         Reads reads) {
  for (int i = 0; i < count; ++i) {
    auto stream = std::make_unique<Stream>();
    stream->index = static_cast<size_t>(i);
    stream->reads = reads;
    stream->stub = std::make_unique<grpc::GenericStub>(
        connections[static_cast<size_t>(i) % connections.size()]);
    const std::string bytes = request.SerializeAsString();
    const grpc::Slice slice(bytes);
    stream->request = grpc::ByteBuffer(&slice, 1);
    stream->call = stream->stub->PrepareCall(&stream->context, method, &queue_);
    stream->call->StartCall(stream.get());
    streams_.push_back(std::move(stream));
    ++open_;
  }
}

Subscribers::~Subscribers() {
  for (const auto& stream : streams_) stream->context.TryCancel();
  const auto late = std::chrono::system_clock::now() + std::chrono::seconds(20);
  while (open_ > 0) {
    void* tag = nullptr;
    bool ok = false;
    // One that never reads has nothing under way: its end is asked for here.
    for (const auto& stream : streams_) {
      if (stream->reads == Reads::kNever && stream->state == Stream::State::kReading) {
        stream->state = Stream::State::kFinishing;
        stream->call->Finish(&stream->status, stream.get());
      }
    }
    if (queue_.AsyncNext(&tag, &ok, late) != grpc::CompletionQueue::GOT_EVENT) break;
    Handle(tag, ok, nullptr);
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void Subscribers::Handle(void* tag, bool ok, const OnMessage& on_message) {
  Stream& stream = *static_cast<Stream*>(tag);
  using State = Stream::State;
  if (stream.state == State::kFinishing) {
    stream.state = State::kOver;
    --open_;
    return;
  }
  if (!ok) {
    stream.state = State::kFinishing;
    stream.call->Finish(&stream.status, &stream);
    return;
  }
  switch (stream.state) {
    case State::kStarting:
      stream.state = State::kWriting;
      stream.call->WriteLast(stream.request, {}, &stream);
      return;
    case State::kReading:
      ++stream.count;
      if (on_message) on_message(stream.index, &stream.message);
      stream.message.Clear();
      break;
    default:
      stream.state = State::kReading;
  }
  if (stream.reads == Reads::kYes) stream.call->Read(&stream.message, &stream);
}

void Subscribers::Read(int64_t ns, const OnMessage& on_message) {
  const int64_t end = MonotonicNs() + ns;
  for (int64_t left; (left = end - MonotonicNs()) > 0;) {
    void* tag = nullptr;
    bool ok = false;
    const auto until = std::chrono::system_clock::now() + std::chrono::nanoseconds(left);
    if (queue_.AsyncNext(&tag, &ok, until) == grpc::CompletionQueue::GOT_EVENT) {
      Handle(tag, ok, on_message);
    }
  }
}

bool Subscribers::ReadFirst(int64_t ns) {
  const int64_t end = MonotonicNs() + ns;
  while (MonotonicNs() < end) {
    if (std::all_of(streams_.begin(), streams_.end(),
                    [](const auto& stream) { return stream->count > 0; })) {
      return true;
    }
    Read(5'000'000);
  }
  return false;
}

std::vector<double> Subscribers::counts() const {
  std::vector<double> counts;
  for (const auto& stream : streams_) counts.push_back(static_cast<double>(stream->count));
  return counts;
}

void Subscribers::ForgetCounts() {
  for (const auto& stream : streams_) stream->count = 0;
}

bool Parse(grpc::ByteBuffer* bytes, google::protobuf::Message* message) {
  grpc::ProtoBufferReader reader(bytes);
  return message->ParseFromZeroCopyStream(&reader);
}

}  // namespace canhub::bench
