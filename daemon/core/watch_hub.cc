#include "daemon/core/watch_hub.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

// After changes were handed out, the hub pauses for this many times as long as that took, before it
// does so again: it takes a third of a core at most, whatever devices change and however many
// watch. The first change after a quiet time goes out at once, and a consumer that keeps up takes
// what has come in by itself (Pull).
constexpr int kPauseFactor = 2;
constexpr Duration kLongestPause = std::chrono::milliseconds(1);
// How often a device is searched for readings whose time is over, at most. With it, and one late
// turn, watchers know within 100 ms.
constexpr Duration kSweepPeriod = std::chrono::milliseconds(50);
// Notices of one device that wait for the hub. Beyond it, all of the device's items count as
// changed: bounded memory when the hub's thread gets no time.
constexpr uint32_t kMaxNotices = 256;

class Bitmap {
 public:
  // All bits clear.
  void Resize(size_t bits) { words_.assign((bits + 63) / 64, 0); }
  void Set(size_t bit) { words_[bit / 64] |= uint64_t{1} << (bit % 64); }
  bool Test(size_t bit) const { return (words_[bit / 64] >> (bit % 64)) & 1; }
  void Clear() { std::fill(words_.begin(), words_.end(), 0); }
  uint64_t count() const {
    uint64_t bits = 0;
    for (const uint64_t word : words_) bits += static_cast<uint64_t>(std::popcount(word));
    return bits;
  }
  size_t word_count() const { return words_.size(); }
  uint64_t& word(size_t i) { return words_[i]; }
  uint64_t word(size_t i) const { return words_[i]; }

 private:
  std::vector<uint64_t> words_;
};

// What one watcher wants of one device, for one table of items. Immutable.
struct Match {
  std::shared_ptr<const ItemTable> table;
  Bitmap interest;  // storage items
  // Matched items by storage item; a register may stand for many flags.
  std::vector<std::pair<ItemId, ItemId>> items;
};

// Changes of one device since the hub's last turn.
struct Changes {
  Bitmap storage;
  std::vector<ItemId> repeated;  // changed again within the turn, once per change
  bool items_replaced = false;
  bool meta_changed = false;
  uint32_t meta_repeated = 0;
};

class Watcher {
 public:
  // No patterns: it watches devices, not items.
  Watcher(std::vector<ItemPattern> patterns, std::function<void()> on_ready)
      : patterns_(std::move(patterns)), on_ready_(std::move(on_ready)) {}

  bool watches_items() const { return !patterns_.empty(); }

  // All matches count as changed. Before it is registered, or with the registry locked.
  void Rematch(DeviceIndex device, const std::string& device_id,
               std::shared_ptr<const ItemTable> table) {
    auto match = std::make_shared<Match>();
    match->interest.Resize(table->size());
    for (const ItemPattern& pattern : patterns_) {
      if (!pattern.MatchesDevice(device_id)) continue;
      for (const ItemId item : pattern.Match(*table)) {
        match->items.emplace_back(table->Storage(item), item);
      }
    }
    std::sort(match->items.begin(), match->items.end());
    match->items.erase(std::unique(match->items.begin(), match->items.end()), match->items.end());
    for (const auto& [storage, item] : match->items) match->interest.Set(storage);
    match->table = std::move(table);

    const std::lock_guard lock(mutex_);
    Target& target = TargetOf(device);
    coalesced_ += target.pending.count();
    target.pending = match->interest;
    target.has_pending = !match->items.empty();
    target.match = std::move(match);
    has_pending_ |= target.has_pending;
  }

  void AddDevice(DeviceIndex device) {
    const std::lock_guard lock(mutex_);
    TargetOf(device).device_pending = true;
    has_pending_ = true;
  }

  bool Holds(DeviceIndex device, const ItemTable* table) const {
    const std::lock_guard lock(mutex_);
    const Target* target = FindTarget(device);
    return target != nullptr && target->match != nullptr && target->match->table.get() == table;
  }

  std::vector<DeviceIndex> Devices() const {
    const std::lock_guard lock(mutex_);
    std::vector<DeviceIndex> devices;
    for (const Target& target : targets_) devices.push_back(target.device);
    return devices;
  }

  // Changes of readings. On the hub's thread.
  void MarkItems(DeviceIndex device, const ItemTable* table, const Changes& changes) {
    const std::lock_guard lock(mutex_);
    Target* target = FindTarget(device);
    if (target == nullptr || target->match == nullptr) return;
    if (target->match->table.get() != table) return;
    const Bitmap& interest = target->match->interest;
    bool any = false;
    for (size_t i = 0; i < interest.word_count(); ++i) {
      const uint64_t changed = interest.word(i) & changes.storage.word(i);
      if (changed == 0) continue;
      coalesced_ += static_cast<uint64_t>(std::popcount(changed & target->pending.word(i)));
      target->pending.word(i) |= changed;
      any = true;
    }
    for (const ItemId storage : changes.repeated) coalesced_ += interest.Test(storage) ? 1 : 0;
    target->has_pending |= any;
    has_pending_ |= any;
  }

  // Changes of link, polled, identity. On the hub's thread.
  void MarkDevice(DeviceIndex device, const Changes& changes) {
    const std::lock_guard lock(mutex_);
    Target* target = FindTarget(device);
    if (target == nullptr) return;
    coalesced_ += changes.meta_repeated + (target->device_pending ? 1 : 0);
    target->device_pending = has_pending_ = true;
  }

  bool Ready() const {
    const std::lock_guard lock(mutex_);
    return armed_ && has_pending_;
  }
  bool HasPending() const {
    const std::lock_guard lock(mutex_);
    return has_pending_;
  }

  // On the hub's thread: calls on_ready when there is something to drain and the consumer found
  // nothing the last time.
  void CallIfReady() {
    const std::lock_guard calling(calling_);
    if (closed_) return;
    {
      const std::lock_guard lock(mutex_);
      if (!armed_ || !has_pending_) return;
      armed_ = false;
    }
    on_ready_();
  }

  // No call of on_ready is under way, nor will be, once this has returned; unless on_ready itself
  // is the caller.
  void Close() {
    const std::lock_guard calling(calling_);
    closed_ = true;
  }

  WatchBatch Drain(const StateCache& cache) {
    struct Taken {
      DeviceIndex device;
      std::shared_ptr<const Match> match;
      Bitmap pending;
    };
    WatchBatch batch;
    while (true) {
      std::vector<Taken> taken;
      {
        const std::lock_guard lock(mutex_);
        batch.coalesced += std::exchange(coalesced_, 0);
        // The end of the loop too: marks that came in while nothing was found are taken now.
        armed_ = !std::exchange(has_pending_, false);
        if (armed_) return batch;
        for (Target& target : targets_) {
          if (std::exchange(target.device_pending, false)) batch.devices.push_back(target.device);
          if (!std::exchange(target.has_pending, false)) continue;
          taken.push_back({target.device, target.match, target.pending});
          target.pending.Clear();
        }
      }
      // Snapshots are taken after the marks: what changes from here on marks again.
      for (const Taken& t : taken) Expand(cache, t.device, *t.match, t.pending, &batch);
      if (!batch.items.empty() || !batch.devices.empty()) return batch;
    }
  }

 private:
  struct Target {
    DeviceIndex device = 0;
    std::shared_ptr<const Match> match;  // null: its items are not watched
    Bitmap pending;                      // storage items
    bool has_pending = false;
    bool device_pending = false;
  };

  static void Expand(const StateCache& cache, DeviceIndex device, const Match& match,
                     const Bitmap& pending, WatchBatch* batch) {
    const std::shared_ptr<const DeviceSnapshot> snapshot = cache.Snapshot(device);
    // The items were replaced a moment ago: their numbers mean something else in this snapshot.
    // The hub is about to match again, and then everything counts as changed.
    if (snapshot->items_ptr() != match.table) return;
    const size_t first = batch->items.size();
    for (const auto& [storage, item] : match.items) {
      if (pending.Test(storage)) batch->items.push_back({{device, item}, snapshot});
    }
    std::sort(batch->items.begin() + static_cast<ptrdiff_t>(first), batch->items.end(),
              [](const auto& a, const auto& b) { return a.ref.item < b.ref.item; });
  }

  const Target* FindTarget(DeviceIndex device) const {
    const auto it = std::lower_bound(
        targets_.begin(), targets_.end(), device,
        [](const Target& target, DeviceIndex index) { return target.device < index; });
    return it != targets_.end() && it->device == device ? &*it : nullptr;
  }
  Target* FindTarget(DeviceIndex device) {
    return const_cast<Target*>(std::as_const(*this).FindTarget(device));
  }

  Target& TargetOf(DeviceIndex device) {
    if (Target* found = FindTarget(device)) return *found;
    const auto it = std::upper_bound(
        targets_.begin(), targets_.end(), device,
        [](DeviceIndex index, const Target& target) { return index < target.device; });
    return *targets_.insert(it, Target{.device = device});
  }

  const std::vector<ItemPattern> patterns_;
  const std::function<void()> on_ready_;
  // Held while on_ready runs; recursive, so that on_ready may destroy its own Watch.
  std::recursive_mutex calling_;
  bool closed_ = false;  // under calling_

  mutable std::mutex mutex_;     // held for a few instructions per device
  std::vector<Target> targets_;  // in the order of their devices
  bool has_pending_ = false;     // in any target
  bool armed_ = true;            // the next change calls on_ready
  uint64_t coalesced_ = 0;
};

}  // namespace

struct WatchHub::Impl {
  struct Notice {
    CommitNotice notice;
    Notice* next = nullptr;
  };
  struct DeviceState {
    // What actors touch: no lock.
    std::atomic<int> watchers{0};
    std::atomic<uint32_t> waiting{0};
    std::atomic<bool> overflow{false};
    // Under `registry`.
    std::vector<std::shared_ptr<Watcher>> watching;
    std::shared_ptr<const ItemTable> table;  // that of the hub's marks
    MonoTime last_sweep{};
    MonoTime next_sweep = kNever;
  };

  explicit Impl(StateCache* c) : cache(c), devices(c->size()), changes(c->size()) {}
  ~Impl() {
    Notice* notice = notices.exchange(nullptr);
    while (notice != nullptr) delete std::exchange(notice, notice->next);
  }

  void Post(CommitNotice notice);
  // The marks of the hub's next turn, made now, on the thread of a consumer that has nothing to
  // drain. Calls nobody: who becomes ready by it is called by the hub. Nothing while the hub or
  // another consumer is at it.
  void Pull();
  void Register(const std::shared_ptr<Watcher>& watcher);
  void Unregister(const std::shared_ptr<Watcher>& watcher);
  // All with `registry` held.
  Changes& ChangesOf(DeviceIndex device);
  void Collect(MonoTime now);
  void Sweep(DeviceIndex device, MonoTime now);
  void Mark();

  StateCache* const cache;
  std::vector<DeviceState> devices;
  // The newest first.
  std::atomic<Notice*> notices{nullptr};
  std::atomic<bool> any_overflow{false};
  // While set, the hub's next turn is near and needs no waking.
  std::atomic<bool> gathering{false};
  std::atomic<bool> pulled{false};  // since the hub's last turn
  std::function<void()> wake;

  // Guards who watches what. Taken by the hub's thread and by who opens or closes a watch; never
  // by an actor, and never held while on_ready is called.
  std::mutex registry;
  std::vector<std::shared_ptr<Watcher>> to_call;  // by the hub's next turn
  bool hub_alive = true;
  std::vector<std::optional<Changes>> changes;  // of this turn, by device
  std::vector<DeviceIndex> changed_devices;
  std::vector<ItemId> expired;  // Sweep's; kept for its memory
};

// On an actor's thread. Lock-free.
void WatchHub::Impl::Post(CommitNotice notice) {
  DeviceState& device = devices[notice.device];
  // Published before this was read: a watcher that registers now finds the change in the snapshot.
  if (device.watchers.load() == 0) return;
  if (device.waiting.fetch_add(1) >= kMaxNotices) {
    device.waiting.fetch_sub(1);
    device.overflow.store(true);
    any_overflow.store(true);
  } else {
    auto* node = new Notice{std::move(notice), notices.load(std::memory_order_relaxed)};
    while (!notices.compare_exchange_weak(node->next, node)) {
    }
  }
  if (!gathering.load()) wake();
}

void WatchHub::Impl::Register(const std::shared_ptr<Watcher>& watcher) {
  const std::vector<DeviceIndex> watched = watcher->Devices();
  for (const DeviceIndex index : watched) devices[index].watchers.fetch_add(1);
  const std::lock_guard lock(registry);
  for (const DeviceIndex index : watched) {
    DeviceState& device = devices[index];
    std::shared_ptr<const ItemTable> table = cache->Snapshot(index)->items_ptr();
    if (device.watching.empty()) {
      // The hub was not told of this device while nobody watched.
      device.table = table;
      device.last_sweep = cache->clock().Now();
      device.next_sweep = device.last_sweep + kSweepPeriod;
    }
    device.watching.push_back(watcher);
    // Items may have been replaced since they were matched, and nobody been told.
    if (watcher->watches_items() && !watcher->Holds(index, table.get())) {
      watcher->Rematch(index, cache->DeviceId(index), std::move(table));
    }
  }
  to_call.push_back(watcher);
  if (hub_alive) wake();
}

void WatchHub::Impl::Unregister(const std::shared_ptr<Watcher>& watcher) {
  watcher->Close();
  const std::lock_guard lock(registry);
  for (const DeviceIndex index : watcher->Devices()) {
    std::erase(devices[index].watching, watcher);
    devices[index].watchers.fetch_sub(1);
    if (devices[index].watching.empty()) devices[index].next_sweep = kNever;
  }
  std::erase(to_call, watcher);
}

Changes& WatchHub::Impl::ChangesOf(DeviceIndex device) {
  std::optional<Changes>& change = changes[device];
  if (!change) {
    change.emplace();
    if (devices[device].table != nullptr) change->storage.Resize(devices[device].table->size());
    changed_devices.push_back(device);
  }
  return *change;
}

// Merges the notices that have come in, per device.
void WatchHub::Impl::Collect(MonoTime now) {
  Notice* newest_first = notices.exchange(nullptr);
  Notice* node = nullptr;
  while (newest_first != nullptr) {
    Notice* next = std::exchange(newest_first->next, node);
    node = std::exchange(newest_first, next);
  }
  if (any_overflow.exchange(false)) {
    for (DeviceIndex i = 0; i < devices.size(); ++i) {
      if (!devices[i].overflow.exchange(false)) continue;
      Changes& change = ChangesOf(i);
      change.items_replaced = change.meta_changed = true;
    }
  }
  while (node != nullptr) {
    const CommitNotice& notice = node->notice;
    DeviceState& device = devices[notice.device];
    device.waiting.fetch_sub(1);
    if (!device.watching.empty()) {
      Changes& change = ChangesOf(notice.device);
      if (notice.meta_changed && change.meta_changed) ++change.meta_repeated;
      change.meta_changed |= notice.meta_changed;
      change.items_replaced |= notice.items_replaced;
      for (const ItemId item : notice.changed) {
        // A number of a table that the hub has not taken over yet: all will count as changed.
        if (change.items_replaced || item >= device.table->size()) continue;
        if (change.storage.Test(item)) change.repeated.push_back(item);
        change.storage.Set(item);
      }
      // A new reading may be the next to expire.
      if (!notice.changed.empty() || !notice.refreshed.empty() || notice.items_replaced) {
        device.next_sweep =
            std::min(device.next_sweep, std::max(now, device.last_sweep + kSweepPeriod));
      }
    }
    delete std::exchange(node, node->next);
  }
}

// Marks readings whose time was over since the last sweep.
void WatchHub::Impl::Sweep(DeviceIndex index, MonoTime now) {
  DeviceState& device = devices[index];
  const std::shared_ptr<const DeviceSnapshot> snapshot = cache->Snapshot(index);
  if (snapshot->items_ptr() != device.table) {  // replaced: all are about to count as changed
    device.next_sweep = now + kSweepPeriod;
    return;
  }
  expired.clear();
  const MonoTime next = snapshot->Expired(std::exchange(device.last_sweep, now), now, &expired);
  device.next_sweep = next == kNever ? kNever : std::max(next, now + kSweepPeriod);
  for (const ItemId item : expired) ChangesOf(index).storage.Set(item);
}

// Hands this turn's changes to the watchers; those that have something to drain are to be called.
void WatchHub::Impl::Mark() {
  for (const DeviceIndex index : changed_devices) {
    DeviceState& device = devices[index];
    const Changes& change = *changes[index];
    if (change.items_replaced) device.table = cache->Snapshot(index)->items_ptr();
    for (const std::shared_ptr<Watcher>& watcher : device.watching) {
      if (!watcher->watches_items()) {
        if (change.meta_changed || change.items_replaced) watcher->MarkDevice(index, change);
      } else if (change.items_replaced) {
        watcher->Rematch(index, cache->DeviceId(index), device.table);
      } else {
        watcher->MarkItems(index, device.table.get(), change);
      }
      if (watcher->Ready()) to_call.push_back(watcher);
    }
    changes[index].reset();
  }
  changed_devices.clear();
}

void WatchHub::Impl::Pull() {
  if (notices.load() == nullptr) return;
  const std::unique_lock lock(registry, std::try_to_lock);
  if (!lock.owns_lock() || !hub_alive) return;
  Collect(cache->clock().Now());
  Mark();
  pulled.store(true);
  if (!to_call.empty() && !gathering.load()) wake();
}

// ---------------------------------------------------------------- WatchHub

class WatchHub::Handle final : public Watch {
 public:
  Handle(std::shared_ptr<Watcher> watcher, std::shared_ptr<Impl> hub)
      : watcher_(std::move(watcher)), hub_(std::move(hub)) {}
  ~Handle() override { hub_->Unregister(watcher_); }
  WatchBatch Drain() override {
    // A consumer that keeps up does not wait for the hub's turn.
    if (!watcher_->HasPending()) hub_->Pull();
    return watcher_->Drain(*hub_->cache);
  }

 private:
  const std::shared_ptr<Watcher> watcher_;
  const std::shared_ptr<Impl> hub_;
};

WatchHub::WatchHub(StateCache* cache) : impl_(std::make_shared<Impl>(cache)) {
  impl_->wake = [this] { Wake(); };
  cache->SetListener([impl = impl_.get()](CommitNotice notice) { impl->Post(std::move(notice)); });
}

WatchHub::~WatchHub() {
  impl_->cache->SetListener(nullptr);
  const std::lock_guard lock(impl_->registry);
  impl_->hub_alive = false;
}

absl::StatusOr<std::unique_ptr<Watch>> WatchHub::WatchItems(
    const std::vector<std::string>& patterns, std::function<void()> on_ready) {
  const StateCache& cache = *impl_->cache;
  std::vector<ItemPattern> parsed;
  std::vector<DeviceIndex> devices;
  for (const std::string& text : patterns) {
    absl::StatusOr<ItemPattern> pattern = ItemPattern::Parse(text);
    if (!pattern.ok()) return pattern.status();
    const std::vector<DeviceIndex> matches = pattern->MatchDevices(cache);
    if (pattern->exact() &&
        (matches.empty() || pattern->Match(cache.Snapshot(matches[0])->items()).empty())) {
      return NoSuchItem(cache, *pattern);
    }
    devices.insert(devices.end(), matches.begin(), matches.end());
    parsed.push_back(*std::move(pattern));
  }
  std::sort(devices.begin(), devices.end());
  devices.erase(std::unique(devices.begin(), devices.end()), devices.end());

  auto watcher = std::make_shared<Watcher>(std::move(parsed), std::move(on_ready));
  for (const DeviceIndex device : devices) {
    watcher->Rematch(device, cache.DeviceId(device), cache.Snapshot(device)->items_ptr());
  }
  impl_->Register(watcher);
  return std::make_unique<Handle>(watcher, impl_);
}

absl::StatusOr<std::unique_ptr<Watch>> WatchHub::WatchDevices(
    const std::vector<std::string>& device_ids, std::function<void()> on_ready) {
  const StateCache& cache = *impl_->cache;
  auto watcher = std::make_shared<Watcher>(std::vector<ItemPattern>{}, std::move(on_ready));
  for (const std::string& id : device_ids) {
    const std::optional<DeviceIndex> device = cache.FindDevice(id);
    if (!device) return NoSuchDevice(cache, id);
    watcher->AddDevice(*device);
  }
  if (device_ids.empty()) {
    for (DeviceIndex i = 0; i < cache.size(); ++i) watcher->AddDevice(i);
  }
  impl_->Register(watcher);
  return std::make_unique<Handle>(watcher, impl_);
}

MonoTime WatchHub::RunUntil(MonoTime now) {
  Impl& impl = *impl_;
  std::vector<std::shared_ptr<Watcher>> ready;
  MonoTime next = kNever;
  bool busy = false;
  {
    const std::lock_guard lock(impl.registry);
    impl.Collect(now);
    for (DeviceIndex i = 0; i < impl.devices.size(); ++i) {
      if (impl.devices[i].next_sweep <= now) impl.Sweep(i, now);
      next = std::min(next, impl.devices[i].next_sweep);
    }
    busy = !impl.changed_devices.empty() || impl.pulled.exchange(false);
    impl.Mark();
    ready.swap(impl.to_call);
  }
  for (const std::shared_ptr<Watcher>& watcher : ready) watcher->CallIfReady();

  // On a clock that stands still there is none: the next change wakes.
  const MonoTime done = impl.cache->clock().Now();
  const Duration pause = std::min(kLongestPause, kPauseFactor * (done - now));
  busy &= pause > Duration(0);
  impl.gathering.store(busy);
  if (busy) return std::min(next, done + pause);
  // Whatever was posted before `gathering` was cleared woke nobody.
  return impl.notices.load() != nullptr || impl.any_overflow.load() ? now : next;
}

}  // namespace canhub
