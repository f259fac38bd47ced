// Names and patterns of items: "hv0/ch3.voltage_set", "hv*/ch*.voltage_measure",
// "hv0/ch[0-3,7].on".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/state_cache.h"

namespace canhub {

class ItemPattern {
 public:
  // INVALID_ARGUMENT names the position, found and expected. "*" matches any characters but '/';
  // "[0-3,7]" matches one of these numbers.
  static absl::StatusOr<ItemPattern> Parse(std::string_view text);
  const std::string& text() const { return text_; }
  // No wildcard: matching nothing is NOT_FOUND.
  bool exact() const { return exact_; }
  bool MatchesDevice(std::string_view device_id) const;
  // Items of this table that match, in their order. Names and aliases match.
  std::vector<ItemId> Match(const ItemTable& table) const;

 private:
  std::string text_, device_, item_;
  bool exact_ = true;
};

struct ItemRef {
  DeviceIndex device = 0;
  ItemId item = 0;
  friend auto operator<=>(const ItemRef&, const ItemRef&) = default;
};
// All matches, in the order of the patterns. NOT_FOUND for an exact name that matches nothing, with
// the closest names there are.
absl::StatusOr<std::vector<ItemRef>> Resolve(const StateCache& cache,
                                             const std::vector<std::string>& patterns);

}  // namespace canhub
