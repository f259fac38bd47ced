// A watch of whole devices: each once, then one message with synced = true, then those with
// changes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/convert.h"
#include "daemon/rpc/stream.h"

namespace canhub {

template <typename Response>
struct WatchedDevice {
  DeviceIndex index = 0;
  std::string id;
  // Adds the device's state to a message.
  std::function<void(const DeviceSnapshot&, const TimeView&, Response*)> add;
};

// Sends at most one message per `min_interval`, each with the newest state of what has changed.
template <typename Response>
class DeviceWatch final : public MessageSource<Response> {
 public:
  static absl::StatusOr<std::unique_ptr<MessageSource<Response>>> Open(
      RpcContext* rpc, std::vector<WatchedDevice<Response>> devices, Duration min_interval,
      Kicks kicks) {
    std::vector<std::string> patterns;
    for (const WatchedDevice<Response>& device : devices) patterns.push_back(device.id + "/*");
    auto watch = rpc->hub->watches().WatchItems(patterns, std::move(kicks.direct));
    if (!watch.ok()) return watch.status();
    return std::unique_ptr<MessageSource<Response>>(
        new DeviceWatch(rpc, std::move(devices), min_interval, *std::move(watch)));
  }

  bool Next(MonoTime now, Response* out, MonoTime* ask_again) override {
    if (opened_ && !synced_) return Sync(now, out);
    if (now < next_allowed_) {
      *ask_again = next_allowed_;
      return false;
    }
    const WatchBatch batch = watch_->Drain();
    coalesced_ += batch.coalesced;
    std::map<DeviceIndex, std::shared_ptr<const DeviceSnapshot>> changed;
    for (const WatchBatch::Entry& entry : batch.items) {
      changed[entry.ref.device] = entry.snapshot;  // the last one's is the newest
    }
    const bool first = !std::exchange(opened_, true);
    if (changed.empty() && !first) return false;
    const TimeView time(rpc_.hub->clock());
    for (const WatchedDevice<Response>& device : devices_) {
      const auto found = changed.find(device.index);
      if (found != changed.end()) {
        device.add(*found->second, time, out);
      } else if (first) {
        // One that has not been heard of has no items yet; it is there all the same.
        device.add(*rpc_.hub->cache().Snapshot(device.index), time, out);
      }
    }
    out->set_coalesced_count(std::exchange(coalesced_, 0));
    if (synced_) next_allowed_ = now + min_interval_;
    return true;
  }

 private:
  DeviceWatch(RpcContext* rpc, std::vector<WatchedDevice<Response>> devices, Duration min_interval,
              std::unique_ptr<Watch> watch)
      : rpc_(*rpc),
        devices_(std::move(devices)),
        min_interval_(min_interval),
        watch_(std::move(watch)) {}

  bool Sync(MonoTime now, Response* out) {
    synced_ = true;
    out->set_synced(true);
    next_allowed_ = now + min_interval_;
    return true;
  }

  RpcContext& rpc_;
  const std::vector<WatchedDevice<Response>> devices_;
  const Duration min_interval_;
  const std::unique_ptr<Watch> watch_;
  bool opened_ = false;
  bool synced_ = false;
  uint64_t coalesced_ = 0;
  MonoTime next_allowed_{};
};

}  // namespace canhub
