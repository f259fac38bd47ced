// Tells watchers what has changed, without ever making an actor wait for one of them.
//
// Actors only leave a notice in the hub; the hub's own thread marks what changed for each watcher.
// A watcher that is slow gets the newest reading of each item and a count of the changes merged.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/item_pattern.h"
#include "daemon/core/state_cache.h"
#include "drivers/api/step.h"

namespace canhub {

struct WatchBatch {
  struct Entry {
    ItemRef ref;
    std::shared_ptr<const DeviceSnapshot> snapshot;  // read the item from this
  };
  std::vector<Entry> items;          // each changed item once
  std::vector<DeviceIndex> devices;  // devices whose link, identity or counters changed
  uint64_t coalesced = 0;
};

// One watcher. Drain is called by the consumer, on any thread, one at a time.
class Watch {
 public:
  virtual ~Watch() = default;  // after it, on_ready is not called any more
  // Takes what has changed since the last call; empty when nothing has. After an empty Drain the
  // next change calls on_ready once.
  virtual WatchBatch Drain() = 0;
};

class WatchHub : public Steppable {
 public:
  explicit WatchHub(StateCache* cache);
  ~WatchHub() override;

  // The first Drain gives every match. on_ready is called on the hub's thread, must not block.
  absl::StatusOr<std::unique_ptr<Watch>> WatchItems(const std::vector<std::string>& patterns,
                                                    std::function<void()> on_ready);
  // Changes of link, polled, identity; empty means all devices. The first Drain gives every match.
  absl::StatusOr<std::unique_ptr<Watch>> WatchDevices(const std::vector<std::string>& device_ids,
                                                      std::function<void()> on_ready);
  // Readings whose time is over become changes for their watchers within 100 ms.
  MonoTime RunUntil(MonoTime now) override;

 private:
  struct Impl;
  class Handle;
  std::shared_ptr<Impl> impl_;
};

}  // namespace canhub
