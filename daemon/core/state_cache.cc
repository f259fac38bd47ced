#include "daemon/core/state_cache.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

namespace canhub {

// Where the readings of a table are stored: one chunk per instance of a block, one slot in it per
// item that is not a flag of a register.
struct ChunkLayout {
  struct Block {
    size_t first_chunk = 0;
    // By spec. A flag has the slot of its register.
    std::vector<uint16_t> slots;
    std::vector<uint16_t> specs;  // by slot
  };
  std::vector<Block> blocks;
  size_t chunk_count = 0;
};

namespace {

std::shared_ptr<const ChunkLayout> MakeLayout(const ItemTable& table) {
  auto layout = std::make_shared<ChunkLayout>();
  for (const ItemBlock& block : table.blocks()) {
    ChunkLayout::Block& place = layout->blocks.emplace_back();
    place.first_chunk = layout->chunk_count;
    layout->chunk_count += static_cast<size_t>(block.count);
    place.slots.resize(block.specs.size());
    for (size_t i = 0; i < block.specs.size(); ++i) {
      if (block.specs[i].flag_of >= 0) continue;
      place.slots[i] = static_cast<uint16_t>(place.specs.size());
      place.specs.push_back(static_cast<uint16_t>(i));
    }
    for (size_t i = 0; i < block.specs.size(); ++i) {
      if (block.specs[i].flag_of >= 0) place.slots[i] = place.slots[block.specs[i].flag_of];
    }
  }
  return layout;
}

// The pointer to the newest snapshot, with one writer and any number of readers. Neither waits for
// the other: a reader pins the slot it copies from, and the writer only ever writes into a slot
// that is neither current nor pinned. (std::atomic<std::shared_ptr> locks inside: a reader that is
// preempted in it would hold up a real-time actor.)
class SnapshotCell {
 public:
  std::shared_ptr<const DeviceSnapshot> Load() const {
    while (true) {
      const uint32_t at = current_.load();
      const Slot& slot = slots_[at];
      slot.readers.fetch_add(1);
      // Still current after it was pinned: the writer cannot have chosen it.
      if (current_.load() == at) {
        std::shared_ptr<const DeviceSnapshot> snapshot = slot.snapshot;
        slot.readers.fetch_sub(1);
        return snapshot;
      }
      slot.readers.fetch_sub(1);
    }
  }

  // False, and nothing done, when all other slots are pinned: as many readers were preempted within
  // a few instructions, each at another snapshot.
  bool Store(std::shared_ptr<const DeviceSnapshot> snapshot) {
    const uint32_t current = current_.load();
    for (uint32_t i = 0; i < slots_.size(); ++i) {
      if (i == current || slots_[i].readers.load() != 0) continue;
      slots_[i].snapshot = std::move(snapshot);
      current_.store(i);
      ReleaseOld(i);
      return true;
    }
    return false;
  }

 private:
  struct Slot {
    mutable std::atomic<uint32_t> readers{0};
    std::shared_ptr<const DeviceSnapshot> snapshot;
  };

  void ReleaseOld(uint32_t current) {
    for (uint32_t i = 0; i < slots_.size(); ++i) {
      if (i != current && slots_[i].snapshot != nullptr && slots_[i].readers.load() == 0) {
        slots_[i].snapshot.reset();
      }
    }
  }

  std::array<Slot, 16> slots_;
  std::atomic<uint32_t> current_{0};
};

// Whether anything changed. A reading that never was cannot become stale.
bool ApplyQuality(Quality quality, Reading* reading) {
  if (reading->quality == quality) return false;
  if (reading->quality == Quality::kNeverRead && quality == Quality::kStale) return false;
  reading->quality = quality;
  return true;
}

}  // namespace

// ---------------------------------------------------------------- DeviceSnapshot

Reading DeviceSnapshot::Read(ItemId item) const {
  const ItemTable::Place place = items_->Locate(item);
  const ChunkLayout::Block& block = layout_->blocks[static_cast<size_t>(place.block)];
  const Chunk& chunk = ChunkAt(block.first_chunk + static_cast<size_t>(place.instance));
  Reading reading = chunk[block.slots[static_cast<size_t>(place.spec)]];
  const ItemSpec& spec =
      items_->blocks()[static_cast<size_t>(place.block)].specs[static_cast<size_t>(place.spec)];
  if (spec.flag_of >= 0 && reading.value.type() == ValueType::kInteger) {
    const bool bit = (static_cast<uint64_t>(reading.value.integer()) >> spec.bit) & 1;
    reading.value = Value::Flag(bit != spec.bit_inverted);
  }
  return reading;
}

ItemRange DeviceSnapshot::Range(ItemId item) const {
  const ItemSpec& spec = items_->Spec(item);
  ItemRange range{spec.minimum, spec.maximum};
  const auto it = meta_->ranges.find(item);
  if (it == meta_->ranges.end()) return range;
  std::optional<double> low = it->second.minimum;
  const std::optional<double> high = it->second.maximum;
  // A maximum alone bounds the magnitude (StatePublisher::SetRange).
  if (!low && high && spec.type == ValueType::kNumber) low = -*high;
  if (low) range.minimum = range.minimum ? std::max(*range.minimum, *low) : *low;
  if (high) range.maximum = range.maximum ? std::min(*range.maximum, *high) : *high;
  return range;
}

MonoTime DeviceSnapshot::Expired(MonoTime after, MonoTime now, std::vector<ItemId>* items) const {
  MonoTime next = kNever;
  for (size_t b = 0; b < layout_->blocks.size(); ++b) {
    const ChunkLayout::Block& block = layout_->blocks[b];
    for (int instance = 0; instance < items_->blocks()[b].count; ++instance) {
      const Chunk& chunk = ChunkAt(block.first_chunk + static_cast<size_t>(instance));
      for (size_t slot = 0; slot < chunk.size(); ++slot) {
        const Reading& reading = chunk[slot];
        if (reading.quality != Quality::kGood) continue;
        if (reading.good_until > now) {
          next = std::min(next, reading.good_until);
        } else if (reading.good_until > after) {
          items->push_back(items_->Id(static_cast<int>(b), instance, block.specs[slot]));
        }
      }
    }
  }
  return next;
}

// ---------------------------------------------------------------- shared parts

struct StateCache::Shared {
  explicit Shared(const Clock& c) : clock(c) {}
  const Clock& clock;
  std::function<void(CommitNotice)> listener;
  std::function<void(DeviceIndex)> first_listener;
  std::map<std::string, DeviceIndex, std::less<>> index;
};

struct StateCache::Device {
  std::string id;
  SnapshotCell cell;
};

struct DeviceWriter::State {
  using Chunk = DeviceSnapshot::Chunk;
  using Group = DeviceSnapshot::Group;
  using Meta = DeviceSnapshot::Meta;
  static constexpr size_t kGroupSize = std::tuple_size_v<Group>;

  DeviceIndex index = 0;
  SnapshotCell* cell = nullptr;
  const Clock* clock = nullptr;
  const std::function<void(CommitNotice)>* listener = nullptr;
  const std::function<void(DeviceIndex)>* first_listener = nullptr;

  std::shared_ptr<const DeviceSnapshot> published;
  // The successor under construction; null while nothing was set since the last commit.
  std::shared_ptr<DeviceSnapshot> next;
  // Parts of `next` that are copies of its own and may be changed; null: shared with `published`.
  std::vector<Chunk*> own_chunks;
  std::vector<Group*> own_groups;
  std::vector<size_t> owned;  // the chunks that are not null
  Meta* own_meta = nullptr;
  CommitNotice notice;

  DeviceSnapshot& Next() {
    if (next == nullptr) next = std::make_shared<DeviceSnapshot>(*published);
    return *next;
  }

  // Nothing of `next` is its own any more.
  void Disown() {
    for (const size_t i : owned) own_chunks[i] = nullptr;
    for (const size_t i : owned) own_groups[i / kGroupSize] = nullptr;
    owned.clear();
    own_meta = nullptr;
  }

  const DeviceSnapshot& Newest() const { return next != nullptr ? *next : *published; }

  Chunk& OwnChunk(size_t i) {
    if (own_chunks[i] != nullptr) return *own_chunks[i];
    DeviceSnapshot& snapshot = Next();
    Group*& group = own_groups[i / kGroupSize];
    if (group == nullptr) {
      auto copy = std::make_shared<Group>(*snapshot.groups_[i / kGroupSize]);
      group = copy.get();
      snapshot.groups_[i / kGroupSize] = std::move(copy);
    }
    auto copy = std::make_shared<Chunk>(*(*group)[i % kGroupSize]);
    own_chunks[i] = copy.get();
    (*group)[i % kGroupSize] = std::move(copy);
    owned.push_back(i);
    return *own_chunks[i];
  }

  Meta& OwnMeta() {
    DeviceSnapshot& snapshot = Next();
    if (own_meta == nullptr) {
      auto copy = std::make_shared<Meta>(*snapshot.meta_);
      own_meta = copy.get();
      snapshot.meta_ = std::move(copy);
    }
    return *own_meta;
  }

  struct Storage {
    size_t chunk;
    size_t slot;
  };
  // Where an item that is not a flag of a register is stored; nothing for any other.
  std::optional<Storage> Locate(ItemId item) const {
    const DeviceSnapshot& snapshot = Newest();
    if (item >= snapshot.items_->size()) return std::nullopt;
    const ItemTable::Place place = snapshot.items_->Locate(item);
    const ItemBlock& block = snapshot.items_->blocks()[static_cast<size_t>(place.block)];
    if (block.specs[static_cast<size_t>(place.spec)].flag_of >= 0) return std::nullopt;
    const ChunkLayout::Block& layout = snapshot.layout_->blocks[static_cast<size_t>(place.block)];
    return Storage{layout.first_chunk + static_cast<size_t>(place.instance),
                   layout.slots[static_cast<size_t>(place.spec)]};
  }
};

// ---------------------------------------------------------------- DeviceWriter

DeviceWriter::DeviceWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
DeviceWriter::~DeviceWriter() = default;

void DeviceWriter::SetItems(std::shared_ptr<const ItemTable> table) {
  DeviceSnapshot& next = state_->Next();
  next.layout_ = MakeLayout(*table);
  next.groups_.clear();
  std::shared_ptr<DeviceSnapshot::Group> group;
  size_t chunk = 0;
  for (size_t b = 0; b < table->blocks().size(); ++b) {
    // All instances share one chunk of unread readings until they are written to.
    const auto unread =
        std::make_shared<const DeviceSnapshot::Chunk>(next.layout_->blocks[b].specs.size());
    for (int instance = 0; instance < table->blocks()[b].count; ++instance, ++chunk) {
      if (chunk % State::kGroupSize == 0) {
        next.groups_.push_back(group = std::make_shared<DeviceSnapshot::Group>());
      }
      (*group)[chunk % State::kGroupSize] = unread;
    }
  }
  next.items_ = std::move(table);
  ++next.generation_;
  state_->owned.clear();
  state_->own_chunks.assign(chunk, nullptr);
  state_->own_groups.assign(next.groups_.size(), nullptr);
  state_->OwnMeta().ranges.clear();
  state_->notice.items_replaced = true;
  state_->notice.changed.clear();
  state_->notice.refreshed.clear();
}

void DeviceWriter::Set(ItemId item, Value value, MonoTime time, Duration good_for) {
  const std::optional<State::Storage> storage = state_->Locate(item);
  assert(storage.has_value() && value.has_value());
  if (!storage || !value.has_value()) return;
  Reading& reading = state_->OwnChunk(storage->chunk)[storage->slot];
  // Watchers were told when the old reading's time was over: to be good again is a change.
  const bool was_good = reading.EffectiveQuality(state_->clock->Now()) == Quality::kGood;
  const bool same_value = reading.value == value;
  if (!same_value) {
    reading.value = std::move(value);
    reading.change_time = time;
  }
  reading.read_time = time;
  reading.good_until = good_for >= kNever - time ? kNever : time + good_for;
  reading.quality = Quality::kGood;
  (was_good && same_value ? state_->notice.refreshed : state_->notice.changed).push_back(item);
}

void DeviceWriter::Invalidate(ItemId item, Quality quality) {
  const std::optional<State::Storage> storage = state_->Locate(item);
  assert(storage.has_value() && quality != Quality::kGood);
  if (!storage || quality == Quality::kGood) return;
  Reading reading = state_->Newest().ChunkAt(storage->chunk)[storage->slot];
  if (!ApplyQuality(quality, &reading)) return;
  state_->OwnChunk(storage->chunk)[storage->slot] = std::move(reading);
  state_->notice.changed.push_back(item);
}

void DeviceWriter::InvalidateAll(Quality quality) {
  assert(quality != Quality::kGood);
  if (quality == Quality::kGood) return;
  const std::shared_ptr<const ItemTable> table = state_->Newest().items_;
  const std::shared_ptr<const ChunkLayout> layout = state_->Newest().layout_;
  for (size_t b = 0; b < table->blocks().size(); ++b) {
    const ItemBlock& block = table->blocks()[b];
    for (size_t instance = 0; instance < static_cast<size_t>(block.count); ++instance) {
      const size_t chunk = layout->blocks[b].first_chunk + instance;
      for (size_t slot = 0; slot < layout->blocks[b].specs.size(); ++slot) {
        const Quality now = state_->Newest().ChunkAt(chunk)[slot].quality;
        if (now == quality || now == Quality::kNeverRead) continue;
        state_->OwnChunk(chunk)[slot].quality = quality;
        state_->notice.changed.push_back(table->Id(static_cast<int>(b), static_cast<int>(instance),
                                                   layout->blocks[b].specs[slot]));
      }
    }
  }
}

void DeviceWriter::SetRange(ItemId item, std::optional<double> minimum,
                            std::optional<double> maximum) {
  assert(item < state_->Newest().items_->size());
  state_->OwnMeta().ranges[item] = {minimum, maximum};
}

void DeviceWriter::SetLink(LinkState state, std::string_view text) {
  const DeviceSnapshot::Meta& meta = *state_->Newest().meta_;
  if (meta.link == state && meta.link_text == text) return;
  DeviceSnapshot::Meta& own = state_->OwnMeta();
  own.link = state;
  own.link_text = std::string(text);
  state_->notice.meta_changed = true;
}

void DeviceWriter::SetPolled(bool polled) {
  if (state_->Newest().meta_->polled == polled) return;
  state_->OwnMeta().polled = polled;
  state_->notice.meta_changed = true;
}

void DeviceWriter::SetIdentity(std::string_view key, std::string_view value) {
  std::string name(key);
  const std::map<std::string, std::string>& identity = state_->Newest().meta_->identity;
  const auto it = identity.find(name);
  if (it != identity.end() && it->second == value) return;
  state_->OwnMeta().identity[std::move(name)] = std::string(value);
  state_->notice.meta_changed = true;
}

void DeviceWriter::ClearIdentity() {
  if (state_->Newest().meta_->identity.empty()) return;
  state_->OwnMeta().identity.clear();
  state_->notice.meta_changed = true;
}

void DeviceWriter::Commit() {
  if (state_->next == nullptr) return;
  std::shared_ptr<const DeviceSnapshot> next = state_->next;
  // Not published now: it stays pending, for the next commit.
  if (!state_->cell->Store(next)) return;
  state_->published = std::move(next);
  state_->next = nullptr;
  state_->Disown();
  CommitNotice notice = std::exchange(state_->notice, {.device = state_->index});
  if (*state_->first_listener) (*state_->first_listener)(state_->index);
  if (*state_->listener == nullptr) return;

  const auto deduplicate = [](std::vector<ItemId>& items) {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
  };
  deduplicate(notice.changed);
  deduplicate(notice.refreshed);
  std::erase_if(notice.refreshed, [&](ItemId item) {
    return std::binary_search(notice.changed.begin(), notice.changed.end(), item);
  });
  (*state_->listener)(std::move(notice));
}

Reading DeviceWriter::Pending(ItemId item) const { return state_->Newest().Read(item); }

const DeviceSnapshot& DeviceWriter::Newest() const { return state_->Newest(); }

// ---------------------------------------------------------------- StateCache

StateCache::StateCache(const Clock& clock) : shared_(std::make_unique<Shared>(clock)) {}
StateCache::~StateCache() = default;

DeviceIndex StateCache::AddDevice(std::string device_id) {
  auto device = std::make_unique<Device>();
  auto snapshot = std::make_shared<DeviceSnapshot>();
  snapshot->items_ = std::make_shared<const ItemTable>(std::vector<ItemBlock>{});
  snapshot->layout_ = MakeLayout(*snapshot->items_);
  snapshot->meta_ = std::make_shared<const DeviceSnapshot::Meta>();
  device->cell.Store(std::move(snapshot));
  device->id = std::move(device_id);
  const auto index = static_cast<DeviceIndex>(devices_.size());
  shared_->index.emplace(device->id, index);
  devices_.push_back(std::move(device));
  return index;
}

std::unique_ptr<DeviceWriter> StateCache::Writer(DeviceIndex device) {
  auto state = std::make_unique<DeviceWriter::State>();
  state->index = device;
  state->cell = &devices_[device]->cell;
  state->clock = &shared_->clock;
  state->listener = &shared_->listener;
  state->first_listener = &shared_->first_listener;
  state->published = state->cell->Load();
  state->notice.device = device;
  return std::unique_ptr<DeviceWriter>(new DeviceWriter(std::move(state)));
}

void StateCache::SetListener(std::function<void(CommitNotice)> listener) {
  shared_->listener = std::move(listener);
}

void StateCache::SetFirstListener(std::function<void(DeviceIndex)> listener) {
  shared_->first_listener = std::move(listener);
}

DeviceIndex StateCache::size() const { return static_cast<DeviceIndex>(devices_.size()); }

const std::string& StateCache::DeviceId(DeviceIndex device) const { return devices_[device]->id; }

std::optional<DeviceIndex> StateCache::FindDevice(std::string_view device_id) const {
  const auto it = shared_->index.find(device_id);
  if (it == shared_->index.end()) return std::nullopt;
  return it->second;
}

std::shared_ptr<const DeviceSnapshot> StateCache::Snapshot(DeviceIndex device) const {
  return devices_[device]->cell.Load();
}

const Clock& StateCache::clock() const { return shared_->clock; }

}  // namespace canhub
