// The items of one battery: the pack, and fifteen modules with the fitted cells and sensors.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/api/items.h"

namespace canhub::battery_module {

class PackItems {
 public:
  PackItems(int cells, int sensors);
  PackItems(const PackItems&) = delete;
  PackItems& operator=(const PackItems&) = delete;

  const std::shared_ptr<const ItemTable>& table() const { return table_; }
  // By its name without "module3."; requires that there is one.
  int Spec(std::string_view name) const;
  // The same with a number in it: Spec("cell", 3, "_voltage").
  int Spec(std::string_view before, int number, std::string_view after) const;
  // -1: there is none.
  int FindSpec(std::string_view name) const;
  ItemId Module(int module, int spec) const { return table_->Id(kModules, module - 1, spec); }
  ItemId Pack(std::string_view name) const;  // requires that there is one

 private:
  static constexpr int kPack = 0;
  static constexpr int kModules = 1;
  // What the table's specs point to.
  struct Storage {
    std::vector<ItemSpec> pack, module;
    std::deque<std::string> names;
  };
  std::shared_ptr<const ItemTable> table_;
};

// The bits of module3.alarm_flags, by the bit's number in the alarm frame (facts, section 12.2).
struct AlarmBit {
  int bit;
  const char* signal;  // in the DBC
  const char* item;
  enum class Meaning { kInformation, kWarning, kDangerous } meaning;
};
std::span<const AlarmBit> AlarmBits();

}  // namespace canhub::battery_module
