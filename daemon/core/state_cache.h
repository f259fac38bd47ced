// The newest reading of every item of every device.
//
// One writer per device (its actor), any number of readers. A reader never blocks an actor and an
// actor never waits for a reader: a device's state is an immutable snapshot behind an atomic
// pointer; a commit copies only the blocks of items that changed.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/api/items.h"

namespace canhub {

// A device's number, in the order of the configuration.
using DeviceIndex = uint32_t;

// What may be written to one item of one device, beside its spec's bounds.
struct ItemRange {
  std::optional<double> minimum, maximum;
};

// One moment of one device. Immutable.
class DeviceSnapshot {
 public:
  const ItemTable& items() const { return *items_; }
  std::shared_ptr<const ItemTable> items_ptr() const { return items_; }
  // Rises when the set of items is replaced.
  uint64_t generation() const { return generation_; }
  // Requires item < items().size(). Flags of registers are computed from the register.
  Reading Read(ItemId item) const;
  // The spec's bounds narrowed by the driver's.
  ItemRange Range(ItemId item) const;
  LinkState link() const { return meta_->link; }
  const std::string& link_text() const { return meta_->link_text; }
  bool polled() const { return meta_->polled; }
  const std::map<std::string, std::string>& identity() const { return meta_->identity; }
  // Adds the storage items whose GOOD time ended after `after` and not after `now`; returns when
  // the next one's ends, kNever for none.
  MonoTime Expired(MonoTime after, MonoTime now, std::vector<ItemId>* items) const;

 private:
  friend class StateCache;
  friend class DeviceWriter;
  struct Meta {
    LinkState link = LinkState::kSearching;
    std::string link_text;
    bool polled = false;
    std::map<std::string, std::string> identity;
    std::map<ItemId, ItemRange> ranges;
  };
  using Chunk = std::vector<Reading>;  // the stored readings of one instance of one block
  // Some chunks. A commit copies the pointers of the groups it changes, not of a device's hundreds
  // of chunks.
  using Group = std::array<std::shared_ptr<const Chunk>, 16>;
  const Chunk& ChunkAt(size_t i) const {
    return *(*groups_[i / std::tuple_size_v<Group>])[i % std::tuple_size_v<Group>];
  }
  std::shared_ptr<const ItemTable> items_;
  uint64_t generation_ = 0;
  std::shared_ptr<const Meta> meta_;
  std::vector<std::shared_ptr<const Group>> groups_;
  std::shared_ptr<const struct ChunkLayout> layout_;
};

// What a commit changed.
struct CommitNotice {
  DeviceIndex device = 0;
  bool items_replaced = false;
  bool meta_changed = false;      // link, polled, identity
  std::vector<ItemId> changed;    // storage items whose value or quality changed
  std::vector<ItemId> refreshed;  // storage items read again with the same value
};

// An actor's side. Used only on the actor's thread (or by the one that steps it).
class DeviceWriter final : public StatePublisher {
 public:
  ~DeviceWriter() override;
  void SetItems(std::shared_ptr<const ItemTable> table) override;
  void Set(ItemId item, Value value, MonoTime time, Duration good_for) override;
  void Invalidate(ItemId item, Quality quality) override;
  void InvalidateAll(Quality quality) override;
  void SetRange(ItemId item, std::optional<double> minimum, std::optional<double> maximum) override;
  void SetLink(LinkState state, std::string_view text) override;
  void SetPolled(bool polled) override;
  void SetIdentity(std::string_view key, std::string_view value) override;
  // Makes everything set since the last commit visible at once. Nothing to do is cheap.
  void Commit();
  // What readers would see after Commit.
  Reading Pending(ItemId item) const override;
  // The same, of the whole device; valid until the next call that changes anything.
  const DeviceSnapshot& Newest() const;
  // For a driver that starts again: what the device said of itself is forgotten.
  void ClearIdentity();

 private:
  friend class StateCache;
  struct State;
  explicit DeviceWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class StateCache {
 public:
  explicit StateCache(const Clock& clock);
  ~StateCache();
  // Before any thread runs. The device starts with an empty item table.
  DeviceIndex AddDevice(std::string device_id);
  // Once per device.
  std::unique_ptr<DeviceWriter> Writer(DeviceIndex device);
  // Called on the committing actor's thread, must not block. Before any thread runs.
  void SetListener(std::function<void(CommitNotice)> listener);
  // The same, called first and with the device alone: for whoever is more urgent than watchers.
  void SetFirstListener(std::function<void(DeviceIndex)> listener);

  // Any thread.
  DeviceIndex size() const;
  const std::string& DeviceId(DeviceIndex device) const;
  std::optional<DeviceIndex> FindDevice(std::string_view device_id) const;
  std::shared_ptr<const DeviceSnapshot> Snapshot(DeviceIndex device) const;
  const Clock& clock() const;

 private:
  struct Device;
  std::vector<std::unique_ptr<Device>> devices_;
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace canhub
