// What a device lets you read or set: descriptors, and the table that numbers them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/api/time.h"
#include "drivers/api/value.h"

namespace canhub {

enum class Access : uint8_t { kReadOnly, kReadWrite, kWriteOnly };
enum class Confidence : uint8_t { kTwoSources, kOneSource, kInferred, kSourcesDiffer, kDerived };
std::string_view ToString(Confidence confidence);  // "two sources", …

struct ValueLabel {
  int value;
  const char* name;
};

// One kind of item. Lives as long as the program, or as long as the table's owner.
struct ItemSpec {
  const char* name;  // "voltage_measure"; lower_snake
  const char* alias =
      "";  // the vendor's name, for example iCS "Status.voltageMeasure"; "" for none
  ValueType type = ValueType::kNumber;
  const char* unit = "";
  Access access = Access::kReadOnly;
  const char* description = "";
  const char* source = "";  // "EDCP 0x4102"
  Confidence confidence = Confidence::kTwoSources;
  // For writable numbers and integers: bounds that hold for every device; the driver may narrow
  // them for one device with StatePublisher::SetRange.
  std::optional<double> minimum = std::nullopt;
  std::optional<double> maximum = std::nullopt;
  // Name of the configured limit (DriverInfo::limits) that bounds a write's magnitude; "" for none.
  const char* limit = "";
  // A flag that is one bit of another item of the same block: that item's index in the block's
  // specs, and the bit. Such an item has no storage; its reading follows the register's.
  int flag_of = -1;
  int bit = -1;
  bool bit_inverted = false;
  std::span<const ValueLabel> labels = {};
  // The lowest and highest value that the device can report at all; unset where that is not known.
  std::optional<double> lowest = std::nullopt;
  std::optional<double> highest = std::nullopt;
};

// `count` instances of the same specs: "ch0." … "ch15."; prefix "" and count 1 for the device
// itself.
struct ItemBlock {
  std::string prefix;  // "ch", "temperature"; the instance number follows unless it is ""
  int first = 0;
  int count = 1;
  std::span<const ItemSpec> specs;
};

// Flat number of an item within its device's table.
using ItemId = uint32_t;

// Immutable; shared by the driver, the cache and the gate. All methods are thread-safe.
class ItemTable {
 public:
  // `owner` keeps specs alive that do not live as long as the program.
  explicit ItemTable(std::vector<ItemBlock> blocks, std::shared_ptr<const void> owner = nullptr);
  ItemId size() const { return size_; }
  std::span<const ItemBlock> blocks() const { return blocks_; }
  // Where an id lies.
  struct Place {
    int block;
    int instance;  // 0 … count-1
    int spec;
  };
  Place Locate(ItemId id) const;  // requires id < size()
  ItemId Id(int block, int instance, int spec) const;
  const ItemSpec& Spec(ItemId id) const;
  std::string Name(ItemId id) const;  // "ch3.voltage_measure"
  // The same, appended.
  void AppendName(ItemId id, std::string* out) const;
  std::optional<ItemId> Find(
      std::string_view name) const;  // by name or alias: "ch3.Status.voltageMeasure"
  // The item whose storage this item uses: itself, or the register a flag is a bit of.
  ItemId Storage(ItemId id) const;

  // A name or an alias, without the instance's prefix.
  struct Named {
    std::string_view name;
    int spec;
  };
  // All of a block, in the order of the names.
  std::span<const Named> NamesOf(int block) const { return named_[static_cast<size_t>(block)]; }

 private:
  std::shared_ptr<const void> owner_;
  std::vector<ItemBlock> blocks_;
  std::vector<std::vector<Named>> named_;  // by block, in the order of the names
  std::vector<ItemId> offsets_;
  ItemId size_ = 0;
};

enum class Quality : uint8_t { kNeverRead, kGood, kStale, kBad };
std::string_view ToString(Quality quality);  // "GOOD", …

// What is stored for an item. Readers must use EffectiveQuality: a reading whose time is over is
// STALE even if the actor that owns it hangs (S03).
struct Reading {
  Value value;  // the last good value
  MonoTime read_time{};
  MonoTime change_time{};
  MonoTime good_until{};
  Quality quality = Quality::kNeverRead;

  Quality EffectiveQuality(MonoTime now) const {
    return quality == Quality::kGood && now >= good_until ? Quality::kStale : quality;
  }
};

}  // namespace canhub
