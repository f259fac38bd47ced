// Every item of iseg modules and crates, in one table (items_*.cc), and the item tables of one
// device made of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "drivers/api/items.h"
#include "drivers/iseg/edcp.h"
#include "drivers/iseg/registers.h"

namespace canhub::iseg {

// How often an item is read.
enum class Poll : uint8_t {
  kFast,      // measured values, channel status and events
  kSlow,      // module status and events, temperatures, supplies, the change counter
  kOnChange,  // set values and policies: once, after a write, and when 0x1090 moved
  kOnce,      // identity, nominal values: after each log-on
  kNever,     // on demand only
  kNone,      // not on the wire: the driver computes it
};

// How an item is written.
enum class Writing : uint8_t {
  kNone,       // read-only
  kRegister,   // the value is the register's
  kBit,        // a flag: the driver writes the whole register `flag_of` with this bit changed
  kClearOnes,  // ones clear the bits: reads back as what remains, never as what was written
};

// What decides which items a device has.
using Features = uint32_t;
namespace feature {
inline constexpr Features kWide = 1 << 0;                // 32-bit status forms (section 6.2)
inline constexpr Features kNarrow = 1 << 1;              // their absence
inline constexpr Features kNewBoard = 1 << 2;            // serial number above 999999 (section 8)
inline constexpr Features kOldBoard = 1 << 3;            // the others
inline constexpr Features kChannelVoltageRamp = 1 << 4;  // 0x4123, 0x4124
inline constexpr Features kModuleVoltageRampOnly = 1 << 5;  // their absence
inline constexpr Features kChannelCurrentRamp = 1 << 6;     // 0x4125, 0x4126, 0x4129, 0x4130
inline constexpr Features kModuleCurrentRamp = 1 << 7;      // 0x1101; not on EDS
inline constexpr Features kRangedCurrent = 1 << 8;          // 0x4109, 0x4131: classes 26, 27
inline constexpr Features kVoltageBottom = 1 << 9;          // 0x410A
inline constexpr Features kRampPriority = 1 << 10;          // 0x4010
inline constexpr Features kResistance = 1 << 11;            // 0x4122
inline constexpr Features kVct = 1 << 12;                   // 0x4120, 0x4121: option VCT
inline constexpr Features kOutputModes = 1 << 13;           // 0x4140 … 0x4165: classes 81, 82
inline constexpr Features kIndexedLimits = 1 << 14;         // 0x2005, 0x2006: firmware E12B0
inline constexpr Features kModuleLimits = 1 << 15;          // 0x1102, 0x1103: all others
inline constexpr Features kPower = 1 << 16;                 // 0x4108, 0x4134, 0x4135
inline constexpr Features kHighVoltageOk = 1 << 17;         // 0x1240: MICC, MICP
}  // namespace feature

// One row of the table: what a client sees, and the access behind it.
struct ItemEntry {
  // flag_of is not set here: it depends on which items the device has; see `flag_parent`.
  ItemSpec spec;
  // DATA_ID in the channel's, module's or group's own form; 0: computed by the driver.
  uint16_t data_id = 0;
  // The 32-bit form, used instead where the device has kWide; 0: there is none.
  uint16_t wide_id = 0;
  // Member of an indexed group answer; second half (range byte) of 0x4109 is 1; -1: neither.
  int index = -1;
  Poll poll = Poll::kNone;
  Writing writing = Writing::kNone;
  // All of these must be there.
  Features needs = 0;
  // The firmware may lack it although `needs` are met: a data-less answer is no surprise.
  bool optional = false;
  // Name of the register that a flag is a bit of; nullptr: the item has its own storage.
  const char* flag_parent = nullptr;
};

// The whole tables, all features together.
std::span<const ItemEntry> ModuleEntries();   // of a module itself
std::span<const ItemEntry> ChannelEntries();  // of each channel
std::span<const ItemEntry> CrateEntries();    // of a crate controller

struct ItemValue {
  ItemId item;
  Value value;
};

// The items of one device: its ItemTable with the wire beside it. Immutable.
class DeviceItems {
 public:
  static constexpr int kDeviceBlock = 0;
  static constexpr int kChannelBlock = 1;

  const std::shared_ptr<const ItemTable>& table() const { return table_; }
  int channels() const { return channels_; }
  Features features() const { return features_; }
  const ItemEntry& Entry(ItemId item) const;
  // The item's channel; -1 for the device itself.
  int Channel(ItemId item) const;
  // By a name of drivers/api/high_voltage.h or of the tables; nullopt when this device lacks it.
  std::optional<ItemId> Device(std::string_view name) const;
  std::optional<ItemId> OfChannel(int channel, std::string_view name) const;

  // DATA_ID to read or write the item with: that of its storage, wide where the device has it.
  // nullopt: computed.
  std::optional<uint16_t> DataId(ItemId item) const;
  WireType Type(ItemId item) const;  // requires DataId()
  // Storage items of a DATA_ID as Answer::data_id has it, at an Answer::index; empty: none.
  absl::InlinedVector<ItemId, 2> ItemsOf(uint16_t data_id, int index) const;

  // The single read of an item's register. FAILED_PRECONDITION for computed items.
  absl::StatusOr<CanFrame> ReadFrame(const DeviceAddress& address, ItemId item) const;
  // The write of a storage item (never of a kBit flag: compose its register first). 16-bit form for
  // 0x4001, 0x4002, 0x4003 also on wide devices (section 6.2).
  absl::StatusOr<CanFrame> WriteFrame(const DeviceAddress& address, ItemId item,
                                      const Value& value) const;
  // What an answer says. Pieces of texts give nothing (see TextAssembler). Errors: reasons of
  // edcp.h, "no_such_channel", "unknown_index"; "unknown_data_id" where this device has no item.
  absl::StatusOr<absl::InlinedVector<ItemValue, 2>> Decode(const Answer& answer) const;

 private:
  friend DeviceItems BuildModuleItems(int, Features, const std::set<uint16_t>&);
  friend DeviceItems BuildCrateItems(const std::set<uint16_t>&);
  struct Key {
    uint16_t data_id;
    int index;  // of a group; -1
    int block;
    int spec;
  };
  DeviceItems(int channels, Features features, std::vector<const ItemEntry*> device,
              std::vector<const ItemEntry*> channel);

  int channels_;
  Features features_;
  std::vector<const ItemEntry*> entries_[2];  // per block, by spec number
  std::vector<Key> keys_;                     // sorted by DATA_ID
  std::shared_ptr<const ItemTable> table_;
};

// `absent`: DATA_IDs (own form, 16-bit) that the device answered without data.
DeviceItems BuildModuleItems(int channels, Features features,
                             const std::set<uint16_t>& absent = {});
DeviceItems BuildCrateItems(const std::set<uint16_t>& absent = {});
// The same without absent ones, made once for all devices that are alike. Thread-safe.
std::shared_ptr<const DeviceItems> SharedModuleItems(int channels, Features features);
std::shared_ptr<const DeviceItems> SharedCrateItems();

}  // namespace canhub::iseg
