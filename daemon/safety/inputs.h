// What rules look at: items, levels, alarms, buses and other interlocks, as they are now.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "daemon/core/alarm_book.h"
#include "daemon/core/interlock_table.h"
#include "daemon/core/item_pattern.h"
#include "daemon/core/state_cache.h"
#include "daemon/safety/rules.h"
#include "drivers/api/bus.h"
#include "drivers/api/levels.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Unknown is unsafe: an interlock trips on it, a step does not go on, nothing is verified by it.
enum class Truth : uint8_t { kFalse, kUnknown, kTrue };

// "4.21 V", "dangerous", "STALE, last 4.21 V".
std::string ShownReading(const Reading& reading, Quality quality, const ItemSpec* spec);

// One device that rules look at.
struct WatchedDevice {
  DeviceIndex index = 0;
  std::shared_ptr<const DeviceSnapshot> snapshot;
};

// One quantity with bounds: an item, or many that a pattern names.
class LevelWatch {
 public:
  // `rule` outlives it.
  explicit LevelWatch(const LevelRule* rule);
  const LevelRule& rule() const { return *rule_; }
  // True: one of this device's items is watched.
  bool Watches(std::string_view device_id) const { return pattern_.MatchesDevice(device_id); }
  // Takes in what was read since the last call.
  void Update(const std::vector<const WatchedDevice*>& devices, const StateCache& cache,
              MonoTime now, bool settling);

  // The worst of the values, and of what is missing.
  Level level() const { return std::max(std::max(low_, high_), stale_); }
  Level Of(LevelSide side) const;
  Truth AtLeast(Level level, LevelSide side) const;
  // Whether every good reading of it was taken at `since` or later.
  bool IsReadSince(MonoTime since) const;
  // What makes the level; empty while it is normal and all is known.
  std::optional<InterlockCause> Worst(LevelSide side) const;

 private:
  struct Tracked {
    size_t device;
    std::string name;
    std::optional<ItemId> item;  // none: the device does not have it any more
    LevelTracker tracker;
    MonoTime read_time{};
    int64_t counts = 0;
    bool was_good = false;
    bool is_good = false;
  };
  // What is known of an item outlives its device's restart, and the item.
  void Match(const std::vector<const WatchedDevice*>& devices);
  Reading Read(const Tracked& tracked) const;

  const LevelRule* const rule_;
  const ItemPattern pattern_;
  std::vector<std::pair<size_t, uint64_t>> generations_;  // by device, of the last Match
  std::vector<Tracked> tracked_;
  // As of the last Update.
  std::vector<const WatchedDevice*> devices_;
  const StateCache* cache_ = nullptr;
  MonoTime now_{};
  Level low_ = Level::kNormal, high_ = Level::kNormal, stale_ = Level::kNormal;
  int missing_ = 0;
  bool unsettled_ = false;  // something was never read, and it is early yet
  std::optional<MonoTime> missing_since_;
};

// A condition with what it names looked up.
struct ConditionNode {
  const RuleCondition* condition = nullptr;
  size_t index = 0;  // of the item, level, alarm, bus or interlock
  std::vector<ConditionNode> parts;
};

// Not thread-safe, but for what buses call.
class SafetyInputs {
 public:
  // All outlive it; `wake` is called from any thread when there is news.
  SafetyInputs(const SafetyRules* rules, const InterlockDependencies& dependencies,
               std::function<void()> wake);
  ~SafetyInputs();
  SafetyInputs(const SafetyInputs&) = delete;
  SafetyInputs& operator=(const SafetyInputs&) = delete;

  // Requires that everything the condition names is there; `condition` outlives the node.
  ConditionNode Compile(const RuleCondition& condition);
  // By DeviceIndex; complete once all conditions are compiled.
  std::vector<bool> WatchedDevices() const;

  void Update(MonoTime now);
  bool settling() const { return settling_; }
  void SetInterlock(size_t index, Truth holds) { interlocks_[index] = holds; }

  // What was read before `since` is unknown.
  Truth Evaluate(const ConditionNode& node, MonoTime since = MonoTime::min()) const;
  // What makes the condition true or unknown, or, with `wanted` false, false or unknown.
  void AddCauses(const ConditionNode& node, bool wanted, std::vector<InterlockCause>* causes,
                 MonoTime since = MonoTime::min()) const;
  // Of all levels that it names.
  Level WorstLevel(const ConditionNode& node) const;
  const std::vector<LevelWatch>& levels() const { return levels_; }

 private:
  class BusSink;
  struct Item {
    std::string name;
    size_t device;
    std::string item;
    uint64_t generation = ~uint64_t{0};
    std::optional<ItemId> id;
    // As of the last Update.
    Reading reading;
    Quality quality = Quality::kNeverRead;
    const ItemSpec* spec = nullptr;
  };
  size_t DeviceOf(DeviceIndex index);
  Truth Leaf(const ConditionNode& node) const;
  bool IsReadSince(const ConditionNode& leaf, MonoTime since) const;
  InterlockCause CauseOf(const ConditionNode& node) const;

  const SafetyRules* const rules_;
  StateCache* const cache_;
  AlarmBook* const alarm_book_;
  const std::vector<std::pair<std::string, CanBus*>> buses_;
  const std::function<void()> wake_;
  std::vector<std::unique_ptr<WatchedDevice>> devices_;
  std::vector<Item> items_;
  std::vector<LevelWatch> levels_;
  std::vector<std::vector<const WatchedDevice*>> level_devices_;
  std::vector<std::string> alarm_ids_;
  struct ActiveAlarm {
    std::string text;
    bool known;  // reported since the daemon started
  };
  std::map<std::string, ActiveAlarm> active_alarms_;
  std::unique_ptr<AlarmWatch> alarm_watch_;
  std::vector<std::unique_ptr<BusSink>> bus_sinks_;
  std::vector<Truth> interlocks_;
  std::optional<MonoTime> start_;
  MonoTime now_{};
  bool settling_ = true;
};

}  // namespace canhub
