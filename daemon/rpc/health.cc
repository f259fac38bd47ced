#include "daemon/rpc/health.h"

#include <grpcpp/health_check_service_interface.h>

#include <utility>

namespace canhub {

struct HealthReporter::State {
  // On the timers' thread, or before any other runs.
  void Update() {
    MutexLock lock(&mutex);
    if (watch == nullptr) return;
    // Until it is empty: only then the next change calls again.
    while (true) {
      const WatchBatch batch = watch->Drain();
      if (batch.devices.empty()) return;
      for (const DeviceIndex device : batch.devices) {
        const auto snapshot = cache->Snapshot(device);
        health->SetServingStatus(cache->DeviceId(device),
                                 snapshot->link() == LinkState::kOnline && snapshot->polled());
      }
    }
  }

  grpc::HealthCheckServiceInterface* health = nullptr;
  StateCache* cache = nullptr;
  Mutex mutex;
  std::unique_ptr<Watch> watch ABSL_GUARDED_BY(mutex);
};

HealthReporter::HealthReporter(RpcContext* rpc, grpc::HealthCheckServiceInterface* health,
                               const std::vector<std::string>& services)
    : state_(std::make_shared<State>()) {
  for (const std::string& service : services) health->SetServingStatus(service, true);
  state_->health = health;
  state_->cache = &rpc->hub->cache();
  auto watch = rpc->hub->watches().WatchDevices(
      {}, [weak = std::weak_ptr<State>(state_), timers = &rpc->timers] {
        timers->Post([weak] {
          if (auto state = weak.lock()) state->Update();
        });
      });
  // All devices can always be watched.
  if (!watch.ok()) return;
  {
    MutexLock lock(&state_->mutex);
    state_->watch = *std::move(watch);
  }
  state_->Update();
}

HealthReporter::~HealthReporter() {
  std::unique_ptr<Watch> watch;  // destroyed without the lock
  MutexLock lock(&state_->mutex);
  watch = std::move(state_->watch);
}

}  // namespace canhub
