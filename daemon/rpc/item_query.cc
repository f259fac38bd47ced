#include "daemon/rpc/item_query.h"

#include <optional>

#include "daemon/core/item_pattern.h"

namespace canhub {

namespace {

const DeviceSnapshot* SnapshotOf(const StateCache& cache, DeviceIndex device,
                                 ItemMatches* matches) {
  // The one used last comes first: most calls name one device.
  for (auto it = matches->snapshots.rbegin(); it != matches->snapshots.rend(); ++it) {
    if (it->first == device) return it->second.get();
  }
  matches->snapshots.emplace_back(device, cache.Snapshot(device));
  return matches->snapshots.back().second.get();
}

// Most calls name their items: such a name is looked up as it is.
bool MatchName(const StateCache& cache, std::string_view name, ItemMatches* matches) {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return false;
  const std::optional<DeviceIndex> device = cache.FindDevice(name.substr(0, slash));
  if (!device) return false;
  const DeviceSnapshot* snapshot = SnapshotOf(cache, *device, matches);
  const std::optional<ItemId> item = snapshot->items().Find(name.substr(slash + 1));
  if (item) matches->items.push_back({*device, *item, snapshot, /*exact=*/true});
  return item.has_value();
}

}  // namespace

absl::Status MatchItem(const StateCache& cache, const std::string& text, Unmatched unmatched,
                       ItemMatches* matches) {
  if (MatchName(cache, text, matches)) return absl::OkStatus();
  const absl::StatusOr<ItemPattern> pattern = ItemPattern::Parse(text);
  if (!pattern.ok()) return pattern.status();
  bool any = false;
  for (const DeviceIndex device : pattern->MatchDevices(cache)) {
    const DeviceSnapshot* snapshot = SnapshotOf(cache, device, matches);
    for (const ItemId item : pattern->Match(snapshot->items())) {
      matches->items.push_back({device, item, snapshot, pattern->exact()});
      any = true;
    }
  }
  if (!any && pattern->exact() && unmatched == Unmatched::kError) {
    return NoSuchItem(cache, *pattern);
  }
  return absl::OkStatus();
}

}  // namespace canhub
