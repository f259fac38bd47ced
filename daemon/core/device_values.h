// What drivers keep over restarts (DeviceMemory), on its way to the disk.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "daemon/core/state_cache.h"
#include "daemon/core/store_api.h"
#include "drivers/api/driver.h"
#include "drivers/api/mutex.h"
#include "drivers/api/step.h"

namespace canhub {

// RunUntil writes what was put, in its order, and waits for the disk: it belongs on the
// housekeeping thread. A value that could not be written is given back to its owner with the error,
// and not tried again: only the driver knows what follows from that.
class DeviceValues final : public Steppable {
 public:
  // nullptr: nothing outlives the process, and no disk is waited for. The store outlives this.
  explicit DeviceValues(DeviceValueStore* store) : store_(store) {}
  // What earlier runs left. May block. Before anything else.
  absl::Status Load();

  using Values = std::map<std::string, std::string, std::less<>>;
  struct Write {
    std::string device_id, key, value;
    std::function<void(absl::Status)> done;  // on the thread that steps
  };
  // Any thread, never blocks.
  void Put(Write write);
  // As Load found them.
  Values Loaded(const std::string& device_id) const;

  MonoTime RunUntil(MonoTime now) override;
  // Writes what is left and tells nobody: the actors are gone. Not while it is stepped.
  void WriteRest();

 private:
  std::vector<Write> Take();
  absl::Status Save(const Write& write);

  DeviceValueStore* const store_;
  std::map<std::string, Values> loaded_;  // constant after Load
  Mutex mutex_;
  std::vector<Write> waiting_ ABSL_GUARDED_BY(mutex_);
};

// One driver's memory. All but Completed: the actor's thread.
class ActorMemory final : public DeviceMemory {
 public:
  // `values` may be nullptr: a memory that ends with this. It outlives the actor; `wake` is called
  // from any thread when RunCompleted has something to do.
  ActorMemory(std::string device_id, DeviceValues* values, std::function<void()> wake);
  std::optional<std::string> Get(std::string_view key) const override;
  void Put(std::string_view key, std::string_view value,
           std::function<void(absl::Status)> done) override;
  // Those that are to be called now, in their order.
  std::vector<std::function<void()>> TakeCompleted();
  // The driver ended: nothing of what it put calls back any more.
  void ForgetCallbacks();

 private:
  struct Completed {
    uint64_t id;
    absl::Status status;
  };

  const std::string device_id_;
  DeviceValues* const values_;
  const std::function<void()> wake_;
  DeviceValues::Values newest_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, std::function<void(absl::Status)>> callbacks_;
  Mutex mutex_;
  std::vector<Completed> completed_ ABSL_GUARDED_BY(mutex_);
};

// The state cache as drivers see it.
class CacheReadings final : public ReadingSource {
 public:
  explicit CacheReadings(const StateCache* cache) : cache_(cache) {}
  std::optional<OtherReading> Read(std::string_view name) const override;

 private:
  const StateCache* const cache_;
};

}  // namespace canhub
