// What the items of a pack can report at all.
#pragma once

#include <memory>

#include "drivers/api/items.h"
#include "drivers/battery-module/pack_items.h"
#include "drivers/battery-module/settings.h"

namespace canhub::battery_module {

// The table of `items` with ItemSpec::lowest and highest: of the modules' values from their
// signals' bits and bounds in the DBC, beyond which a value is BAD; of what is derived from these,
// the fitted cells and the modules of the pack. Requires CheckLayout.
std::shared_ptr<const ItemTable> WithRanges(const PackItems& items, const Settings& settings);

}  // namespace canhub::battery_module
