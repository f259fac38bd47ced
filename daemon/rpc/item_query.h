// Names and patterns of items, resolved against one snapshot of each device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/hub.h"

namespace canhub {

// One match. Name and reading come from the same snapshot, whatever happens meanwhile.
struct ItemMatch {
  DeviceIndex device = 0;
  ItemId item = 0;
  const DeviceSnapshot* snapshot = nullptr;  // kept by ItemMatches
  bool exact = false;                        // asked for by its name, not by a pattern
};

struct ItemMatches {
  std::vector<ItemMatch> items;  // in the order of the patterns
  std::vector<std::pair<DeviceIndex, std::shared_ptr<const DeviceSnapshot>>> snapshots;
};

enum class Unmatched { kError, kIgnore };
// Adds the matches of one pattern. INVALID_ARGUMENT: it is malformed. NOT_FOUND: a plain name that
// matches nothing, unless that is ignored.
absl::Status MatchItem(const StateCache& cache, const std::string& pattern, Unmatched unmatched,
                       ItemMatches* matches);
// The same, of all `patterns`: any range of strings.
absl::StatusOr<ItemMatches> MatchItems(const StateCache& cache, const auto& patterns,
                                       Unmatched unmatched = Unmatched::kError) {
  ItemMatches matches;
  for (const std::string& pattern : patterns) {
    if (absl::Status status = MatchItem(cache, pattern, unmatched, &matches); !status.ok()) {
      return status;
    }
  }
  return matches;
}
// Of a repeated string field.
inline std::vector<std::string> ToVector(const auto& repeated) {
  return {repeated.begin(), repeated.end()};
}

}  // namespace canhub
