// The items of a unit: its user infos, its parameters as they are in force, and what its flash
// holds; all by the catalogue.
//
//   battery_voltage                   info 3000; also by its id, "3000"
//   parameter.floating_voltage        parameter 1140, in force: the last value written to RAM, or
//                                     what is in flash; writing it writes RAM
//   flash.floating_voltage            what is in flash; read only
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/api/items.h"
#include "drivers/studer/catalogue.h"
#include "drivers/studer/settings.h"

namespace canhub::studer {

enum class ItemKind : uint8_t { kStatus, kInfo, kParameter, kFlash };

// Items that every device of the family has, in the order of their specs.
enum class StatusItem : uint8_t {
  kLastMessage,      // integer: the newest notification's number
  kLastMessageText,  // text
  kFlashWear,        // text: ids and counts of flash writes, "1107=12 1138=3"
  kFlashWearWorst,   // integer: the largest of them
  kPollTime,         // s: how long the last round of polling took
};

// Immutable, for one family; thread-safe.
class UnitItems {
 public:
  // Lives to the end of the program. nullptr family: the gateway, which has status items only.
  static const UnitItems& Of(std::optional<Family> family);

  std::shared_ptr<const ItemTable> table() const { return table_; }
  ItemId Status(StatusItem item) const;
  // Require an entry of this family that is an object; flash: a parameter.
  ItemId Of(const Entry& entry) const;
  ItemId FlashOf(const Entry& entry) const;
  struct Meaning {
    ItemKind kind = ItemKind::kStatus;
    const Entry* entry = nullptr;  // nullptr: of status items
  };
  Meaning MeaningOf(ItemId item) const;

 private:
  explicit UnitItems(std::optional<Family> family);

  std::vector<const Entry*> infos_, parameters_;
  std::vector<std::string> texts_;  // what the specs point to
  std::vector<ItemSpec> info_specs_, parameter_specs_, flash_specs_;
  std::shared_ptr<const ItemTable> table_;
};

ValueType TypeOf(const Entry& entry);
// nullopt: the float says that there is no value (section 3.2: NaN, no sensor), or is none of this
// format.
std::optional<Value> FromWire(const Entry& entry, float wire);
// Requires a value of the entry's type.
float ToWire(const Entry& entry, const Value& value);
// Rounded to the entry's increment (section 9, U12).
double OnStep(const Entry& entry, double value);
// What only the format knows: a label that exists, a signal that is 1. INVALID_ARGUMENT names all
// that could be given. `value` is in the entry's type, or a number.
absl::StatusOr<Value> CheckValue(const Entry& entry, const Value& value);

}  // namespace canhub::studer
