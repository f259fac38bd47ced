#include "drivers/iseg/items.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"
#include "drivers/api/mutex.h"

namespace canhub::iseg {
namespace {

using EntryList = std::vector<const ItemEntry*>;

absl::Status BadAnswer(std::string_view reason, const std::string& text) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason, text);
}

// The entries of one kind of device that a device with these features has.
EntryList Select(std::span<const ItemEntry> all, Features features,
                 const std::set<uint16_t>& absent) {
  EntryList selected;
  std::set<std::string_view> names;
  for (const ItemEntry& entry : all) {
    if ((entry.needs & features) != entry.needs) continue;
    if (entry.data_id != 0 && absent.count(entry.data_id) != 0) continue;
    // A register stands before its flags.
    if (entry.flag_parent != nullptr && names.count(entry.flag_parent) == 0) continue;
    names.insert(entry.spec.name);
    selected.push_back(&entry);
  }
  return selected;
}

// ItemSpecs must live as long as the program: one array for each selection of entries that has
// ever been asked for. There are few: one per model seen.
class SpecPool {
 public:
  std::span<const ItemSpec> Get(const EntryList& entries) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    std::vector<ItemSpec>& specs = pool_[entries];
    if (specs.empty()) specs = Make(entries);
    return specs;
  }

 private:
  static std::vector<ItemSpec> Make(const EntryList& entries) {
    std::vector<ItemSpec> specs;
    specs.reserve(entries.size());
    for (const ItemEntry* entry : entries) {
      ItemSpec spec = entry->spec;
      if (entry->flag_parent != nullptr) {
        for (size_t i = 0; i < entries.size(); ++i) {
          if (std::string_view(entries[i]->spec.name) == entry->flag_parent) {
            spec.flag_of = static_cast<int>(i);
          }
        }
      }
      specs.push_back(spec);
    }
    return specs;
  }

  Mutex mutex_;
  std::map<EntryList, std::vector<ItemSpec>> pool_ ABSL_GUARDED_BY(mutex_);
};

SpecPool& Pool() {
  static SpecPool* const pool = new SpecPool;  // never destroyed: the specs outlive everything
  return *pool;
}

std::shared_ptr<const ItemTable> MakeTable(const EntryList& device, const EntryList& channel,
                                           int channels) {
  std::vector<ItemBlock> blocks;
  blocks.push_back({"", 0, 1, Pool().Get(device)});
  if (channels > 0) {
    blocks.push_back({high_voltage::kChannelBlock, 0, channels, Pool().Get(channel)});
  }
  return std::make_shared<const ItemTable>(std::move(blocks));
}

// The range half of 0x4109 is index 1 of its entry.
bool IsRangeHalf(const ItemEntry& entry) {
  return entry.data_id == id::kCurrentMeasureRange && entry.index == 1;
}

Value Typed(ValueType type, Value value) {
  if (type == ValueType::kFlag && value.type() == ValueType::kInteger) {
    return Value::Flag(value.integer() != 0);
  }
  return value;
}

}  // namespace

DeviceItems::DeviceItems(int channels, Features features, EntryList device, EntryList channel)
    : channels_(channels),
      features_(features),
      entries_{std::move(device), std::move(channel)},
      table_(MakeTable(entries_[kDeviceBlock], entries_[kChannelBlock], channels)) {
  for (int block = 0; block < 2; ++block) {
    for (size_t spec = 0; spec < entries_[block].size(); ++spec) {
      const ItemEntry& entry = *entries_[block][spec];
      if (entry.data_id == 0) continue;
      const bool wide = (features_ & feature::kWide) != 0 && entry.wide_id != 0;
      keys_.push_back({wide ? entry.wide_id : entry.data_id,
                       ClassOf(entry.data_id) == AccessClass::kGroup ? entry.index : -1, block,
                       static_cast<int>(spec)});
    }
  }
  std::stable_sort(keys_.begin(), keys_.end(),
                   [](const Key& a, const Key& b) { return a.data_id < b.data_id; });
}

const ItemEntry& DeviceItems::Entry(ItemId item) const {
  const ItemTable::Place place = table_->Locate(item);
  return *entries_[place.block][place.spec];
}

int DeviceItems::Channel(ItemId item) const {
  const ItemTable::Place place = table_->Locate(item);
  return place.block == kChannelBlock ? place.instance : -1;
}

std::optional<ItemId> DeviceItems::Device(std::string_view name) const {
  const EntryList& entries = entries_[kDeviceBlock];
  for (size_t spec = 0; spec < entries.size(); ++spec) {
    if (name == entries[spec]->spec.name) {
      return table_->Id(kDeviceBlock, 0, static_cast<int>(spec));
    }
  }
  return std::nullopt;
}

std::optional<ItemId> DeviceItems::OfChannel(int channel, std::string_view name) const {
  if (channel < 0 || channel >= channels_) return std::nullopt;
  const EntryList& entries = entries_[kChannelBlock];
  for (size_t spec = 0; spec < entries.size(); ++spec) {
    if (name == entries[spec]->spec.name) {
      return table_->Id(kChannelBlock, channel, static_cast<int>(spec));
    }
  }
  return std::nullopt;
}

std::optional<uint16_t> DeviceItems::DataId(ItemId item) const {
  const ItemEntry& entry = Entry(table_->Storage(item));
  if (entry.data_id == 0) return std::nullopt;
  const bool wide = (features_ & feature::kWide) != 0 && entry.wide_id != 0;
  return wide ? entry.wide_id : entry.data_id;
}

WireType DeviceItems::Type(ItemId item) const { return FindRegister(*DataId(item))->type; }

absl::InlinedVector<ItemId, 2> DeviceItems::ItemsOf(uint16_t data_id, int index) const {
  absl::InlinedVector<ItemId, 2> items;
  auto key = std::lower_bound(keys_.begin(), keys_.end(), data_id,
                              [](const Key& k, uint16_t wanted) { return k.data_id < wanted; });
  for (; key != keys_.end() && key->data_id == data_id; ++key) {
    if (key->index >= 0 && key->index != index) continue;
    const bool of_channel = key->block == kChannelBlock;
    if (of_channel && (index < 0 || index >= channels_)) continue;
    items.push_back(table_->Id(key->block, of_channel ? index : 0, key->spec));
  }
  return items;
}

absl::StatusOr<CanFrame> DeviceItems::ReadFrame(const DeviceAddress& address, ItemId item) const {
  const std::optional<uint16_t> data_id = DataId(item);
  if (!data_id.has_value()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "ITEM_NOT_ON_WIRE",
                     table_->Name(item) + " is computed by the driver: it cannot be read alone",
                     {{"item", table_->Name(item)}});
  }
  const int channel = Channel(item);
  return channel < 0 ? ReadModuleFrame(address, *data_id)
                     : ReadChannelFrame(address, *data_id, channel);
}

absl::StatusOr<CanFrame> DeviceItems::WriteFrame(const DeviceAddress& address, ItemId item,
                                                 const Value& value) const {
  const ItemEntry& entry = Entry(item);
  std::optional<uint16_t> data_id = DataId(item);
  const bool control = data_id.has_value() && entry.flag_parent == nullptr &&
                       std::string_view(entry.spec.name) == "control";
  const bool writable =
      entry.writing == Writing::kRegister || entry.writing == Writing::kClearOnes || control;
  if (!data_id.has_value() || !writable) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "ITEM_NOT_WRITABLE",
                     table_->Name(item) + " has no register of its own that can be written",
                     {{"item", table_->Name(item)}});
  }
  const int channel = Channel(item);
  Value sent = value;
  if (channel >= 0 && *data_id == id::kWideChannelEventStatus) {
    // Written in the 16-bit form also on wide devices (section 6.2); bits above 15 have no clear of
    // their own, only the module's doClear.
    data_id = id::kChannelEventStatus;
    if (value.type() == ValueType::kInteger) sent = Value::Integer(value.integer() & 0xFFFF);
  }
  const absl::StatusOr<WireBytes> bytes = EncodeValue(FindRegister(*data_id)->type, sent);
  if (!bytes.ok()) return Annotate(bytes.status(), table_->Name(item) + ": ");
  return channel < 0 ? WriteModuleFrame(address, *data_id, *bytes)
                     : WriteChannelFrame(address, *data_id, channel, *bytes);
}

absl::StatusOr<absl::InlinedVector<ItemValue, 2>> DeviceItems::Decode(const Answer& answer) const {
  absl::InlinedVector<ItemValue, 2> values;
  const Register* row = FindRegister(answer.data_id);
  if (row != nullptr && row->type == WireType::kTextPiece) return values;
  absl::StatusOr<WireValue> decoded = DecodeAnswer(answer);
  if (!decoded.ok()) return decoded.status();
  const std::optional<AccessClass> access = ClassOf(answer.data_id);
  if (access == AccessClass::kChannel && answer.index >= channels_) {
    return BadAnswer("NO_SUCH_CHANNEL", "found channel " + std::to_string(answer.index) +
                                            ", expected 0 to " + std::to_string(channels_ - 1));
  }
  for (const ItemId item : ItemsOf(answer.data_id, answer.index)) {
    const ItemEntry& entry = Entry(item);
    // isegcan's form with an offset: only the word of the first channels is this register.
    if (access == AccessClass::kModule && answer.index > 0) continue;
    Value value = IsRangeHalf(entry) ? Value::Integer(decoded->low_range ? 1 : 0)
                                     : Typed(entry.spec.type, decoded->value);
    values.push_back({item, std::move(value)});
  }
  if (!values.empty() || (access == AccessClass::kModule && answer.index > 0)) return values;
  const auto same_id = [&answer](const Key& key) { return key.data_id == answer.data_id; };
  if (access == AccessClass::kGroup && std::any_of(keys_.begin(), keys_.end(), same_id)) {
    return BadAnswer("UNKNOWN_INDEX", "found member " + std::to_string(answer.index) +
                                          " of a group answer, which has no item");
  }
  // A wide device answers the 16-bit forms too, when another master asks.
  const auto wide_form = [&answer](const Key& key) {
    return key.data_id == (answer.data_id | kWideBit);
  };
  if (std::any_of(keys_.begin(), keys_.end(), wide_form)) return values;
  return BadAnswer("UNKNOWN_DATA_ID", "this device has no item of that DATA_ID");
}

DeviceItems BuildModuleItems(int channels, Features features, const std::set<uint16_t>& absent) {
  return DeviceItems(channels, features, Select(ModuleEntries(), features, absent),
                     Select(ChannelEntries(), features, absent));
}

DeviceItems BuildCrateItems(const std::set<uint16_t>& absent) {
  return DeviceItems(0, 0, Select(CrateEntries(), 0, absent), {});
}

namespace {

// Kept while a device uses them.
class ItemsPool {
 public:
  template <typename Build>
  std::shared_ptr<const DeviceItems> Get(int channels, Features features, Build build)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    std::weak_ptr<const DeviceItems>& place = pool_[{channels, features}];
    std::shared_ptr<const DeviceItems> items = place.lock();
    if (items == nullptr) place = items = std::make_shared<const DeviceItems>(build());
    return items;
  }

 private:
  Mutex mutex_;
  std::map<std::pair<int, Features>, std::weak_ptr<const DeviceItems>> pool_
      ABSL_GUARDED_BY(mutex_);
};

ItemsPool& SharedItems() {
  static ItemsPool* const pool = new ItemsPool;  // never destroyed: threads may end after main
  return *pool;
}

}  // namespace

std::shared_ptr<const DeviceItems> SharedModuleItems(int channels, Features features) {
  return SharedItems().Get(channels, features,
                           [&] { return BuildModuleItems(channels, features); });
}

std::shared_ptr<const DeviceItems> SharedCrateItems() {
  constexpr int kNoChannels = -1;  // no module's number
  return SharedItems().Get(kNoChannels, 0, [] { return BuildCrateItems(); });
}

}  // namespace canhub::iseg
