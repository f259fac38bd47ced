// The bare callback services: echo, blast, and a hub that gives every subscriber each update.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "floor.grpc.pb.h"

namespace canhub::bench {

class PacedStream;

class FloorService final : public Floor::CallbackService {
 public:
  // `paced_hz`: updates per second of Paced, after a first one for each subscriber; its thread
  // starts with the first of them. 0: only the first ones.
  explicit FloorService(double paced_hz) : paced_hz_(paced_hz) {}
  ~FloorService() override;

  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context, const Item* request,
                                 Item* response) override;
  grpc::ServerWriteReactor<Item>* Blast(grpc::CallbackServerContext* context,
                                        const Item* request) override;
  grpc::ServerWriteReactor<v1::WatchItemsResponse>* BlastReadings(
      grpc::CallbackServerContext* context, const v1::WatchItemsResponse* request) override;
  grpc::ServerWriteReactor<Item>* Paced(grpc::CallbackServerContext* context,
                                        const Item* request) override;

 private:
  friend class PacedStream;
  void Pace();

  const double paced_hz_;
  std::mutex mutex_;
  std::set<PacedStream*> subscribers_;
  std::atomic<bool> stop_{false};
  std::thread pacer_;
};

}  // namespace canhub::bench
