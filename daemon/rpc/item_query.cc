#include "daemon/rpc/item_query.h"

#include "daemon/core/item_pattern.h"

namespace canhub {

absl::StatusOr<ItemMatches> MatchItems(const StateCache& cache,
                                       const std::vector<std::string>& patterns,
                                       Unmatched unmatched) {
  ItemMatches matches;
  const auto snapshot_of = [&](DeviceIndex device) -> const DeviceSnapshot* {
    // The one used last comes first: most calls name one device.
    for (auto it = matches.snapshots.rbegin(); it != matches.snapshots.rend(); ++it) {
      if (it->first == device) return it->second.get();
    }
    matches.snapshots.emplace_back(device, cache.Snapshot(device));
    return matches.snapshots.back().second.get();
  };
  for (const std::string& text : patterns) {
    const absl::StatusOr<ItemPattern> pattern = ItemPattern::Parse(text);
    if (!pattern.ok()) return pattern.status();
    bool any = false;
    for (const DeviceIndex device : pattern->MatchDevices(cache)) {
      const DeviceSnapshot* snapshot = snapshot_of(device);
      for (const ItemId item : pattern->Match(snapshot->items())) {
        matches.items.push_back({device, item, snapshot, pattern->exact()});
        any = true;
      }
    }
    if (!any && pattern->exact() && unmatched == Unmatched::kError) {
      return NoSuchItem(cache, *pattern);
    }
  }
  return matches;
}

}  // namespace canhub
