// Many server streams, read by one thread as fast as it can.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace canhub::bench {

// Messages stay as bytes: what a client makes of them is no part of what a server can do.
class Subscribers {
 public:
  enum class Reads { kYes, kNever };
  // `method`: "/canhub.v1.ItemService/WatchItems". Connections are shared in turn.
  Subscribers(const std::vector<std::shared_ptr<grpc::Channel>>& connections, int count,
              const std::string& method, const google::protobuf::Message& request,
              Reads reads = Reads::kYes);
  // Cancels all, and waits until they are over.
  ~Subscribers();
  Subscribers(const Subscribers&) = delete;
  Subscribers& operator=(const Subscribers&) = delete;

  using OnMessage = std::function<void(size_t subscriber, grpc::ByteBuffer* message)>;
  // Reads for so long; with no function it only counts.
  void Read(int64_t ns, const OnMessage& on_message = nullptr);
  // Until each has had a message; false after `ns`.
  bool ReadFirst(int64_t ns);
  // By subscriber, since the last ForgetCounts.
  std::vector<double> counts() const;
  void ForgetCounts();

 private:
  struct Stream;
  void Handle(void* tag, bool ok, const OnMessage& on_message);

  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Stream>> streams_;
  size_t open_ = 0;
};

// A message's bytes as a message; false when they are none.
bool Parse(grpc::ByteBuffer* bytes, google::protobuf::Message* message);

}  // namespace canhub::bench
