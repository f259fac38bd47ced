#include "tests/bench/floor_service.h"

#include <time.h>

#include <chrono>
#include <utility>

namespace canhub::bench {
namespace {

uint64_t WallNs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

template <typename Message>
class BlastStream final : public grpc::ServerWriteReactor<Message> {
 public:
  explicit BlastStream(const Message& message) : message_(message) { this->StartWrite(&message_); }
  void OnWriteDone(bool ok) override {
    if (ok) return this->StartWrite(&message_);
    this->Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  const Message message_;
};

}  // namespace

// One update at a time; while one is in flight the newest waits, and what it replaces is lost.
class PacedStream final : public grpc::ServerWriteReactor<Item> {
 public:
  explicit PacedStream(FloorService* owner) : owner_(owner) {}

  // By the pacer, under the service's lock.
  void Update(const Item& item) {
    std::lock_guard lock(mutex_);
    if (over_) return;
    waiting_ = item;
    fresh_ = true;
    WriteLocked();
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok || over_) return EndLocked();
    WriteLocked();
  }
  void OnCancel() override {
    std::lock_guard lock(mutex_);
    if (!writing_) EndLocked();
    over_ = true;
  }
  void OnDone() override {
    {
      std::lock_guard lock(owner_->mutex_);
      owner_->subscribers_.erase(this);
    }
    delete this;
  }

 private:
  void WriteLocked() {
    if (writing_ || !fresh_) return;
    fresh_ = false;
    writing_ = true;
    message_ = waiting_;
    StartWrite(&message_);
  }
  void EndLocked() {
    over_ = true;
    if (!std::exchange(finished_, true)) Finish(grpc::Status::CANCELLED);
  }

  FloorService* const owner_;
  std::mutex mutex_;
  Item message_, waiting_;
  bool writing_ = false, fresh_ = false, over_ = false, finished_ = false;
};

FloorService::~FloorService() {
  stop_ = true;
  if (pacer_.joinable()) pacer_.join();
}

grpc::ServerUnaryReactor* FloorService::Echo(grpc::CallbackServerContext* context,
                                             const Item* request, Item* response) {
  *response = *request;
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<Item>* FloorService::Blast(grpc::CallbackServerContext*,
                                                    const Item* request) {
  return new BlastStream<Item>(*request);
}

grpc::ServerWriteReactor<v1::WatchItemsResponse>* FloorService::BlastReadings(
    grpc::CallbackServerContext*, const v1::WatchItemsResponse* request) {
  return new BlastStream<v1::WatchItemsResponse>(*request);
}

grpc::ServerWriteReactor<Item>* FloorService::Paced(grpc::CallbackServerContext*, const Item*) {
  auto* stream = new PacedStream(this);
  stream->StartSendInitialMetadata();
  std::lock_guard lock(mutex_);
  subscribers_.insert(stream);
  // The state, as a watch begins.
  stream->Update(Item());
  if (paced_hz_ > 0 && !pacer_.joinable()) pacer_ = std::thread([this] { Pace(); });
  return stream;
}

void FloorService::Pace() {
  const auto period = std::chrono::nanoseconds(static_cast<int64_t>(1e9 / paced_hz_));
  auto next = std::chrono::steady_clock::now();
  Item item;
  item.set_value(1);
  item.set_tag(1);
  while (!stop_) {
    next += period;
    std::this_thread::sleep_until(next);
    item.set_sequence(item.sequence() + 1);
    item.set_time_ns(WallNs());
    std::lock_guard lock(mutex_);
    for (PacedStream* subscriber : subscribers_) subscriber->Update(item);
  }
}

}  // namespace canhub::bench
