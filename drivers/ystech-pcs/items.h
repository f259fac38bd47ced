// The items of a PCS: which field of which frame each one is.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "drivers/api/items.h"
#include "drivers/ystech-pcs/frames.h"

namespace canhub::ystech_pcs {

struct ItemRow {
  ItemSpec spec;
  // The frame that carries it, the index of its field, and what the field's unit is in the item's
  // (1000 for kW and W). nullopt: the driver's own.
  std::optional<Pf> pf;
  size_t field = 0;
  double factor = 1;
};

// In the order of the table.
std::span<const ItemRow> ItemRows();
// The rows of one frame, as indexes.
std::span<const size_t> RowsOf(Pf pf);
// The table, the same for every PCS: an item's id is its row's index.
const std::shared_ptr<const ItemTable>& Items();
// The same with what each item can report at all: what the bytes of its frame hold.
std::shared_ptr<const ItemTable> ItemsWithRanges(const CodecOptions& options);
// Requires that there is such an item.
ItemId IdOf(std::string_view name);
// Items that can be written: parameters of modes, by their names.
std::span<const char* const> SetPointNames();
// nullopt: no item is of this parameter.
std::optional<ItemId> SetPointOf(std::string_view parameter);

// The item's value from its field's. Requires a row with a frame.
Value ToValue(const ItemRow& row, double field);
// And back; labels are texts. Requires a value of the item's type, or of text where it has labels.
// nullopt: no such label.
std::optional<double> ToField(const ItemRow& row, const Value& value);

// "dc_cc_cv" for DC_CC_CV: modes and states as items and actions name them.
std::string LowerName(std::string_view name);

}  // namespace canhub::ystech_pcs
