// Names and patterns of items: "hv0/ch3.voltage_set", "hv*/ch*.voltage_measure",
// "hv0/ch[0-3,7].on".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
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
  const std::string& device() const { return device_; }  // the part before the '/'
  // The devices of the cache that match, in their order.
  std::vector<DeviceIndex> MatchDevices(const StateCache& cache) const;
  const std::string& item() const { return item_; }  // the part after it
  // Items of this table that match, in their order. Names and aliases match.
  std::vector<ItemId> Match(const ItemTable& table) const;

 private:
  // A piece of a pattern: letters as they are, any letters but '/', or one of some numbers.
  struct Piece {
    enum class Kind : uint8_t { kLetters, kAny, kNumbers } kind = Kind::kLetters;
    std::string letters;
    std::vector<std::pair<uint32_t, uint32_t>> numbers;  // from, to; both included

    bool HasNumber(uint32_t number) const;
  };
  using Pieces = std::vector<Piece>;
  static absl::StatusOr<Pieces> ParsePieces(std::string_view whole, size_t from, size_t to);
  static bool Matches(const Pieces& pieces, std::string_view name);

  std::string text_, device_, item_;
  Pieces device_pieces_, item_pieces_;
  bool exact_ = true;         // no wildcard at all
  bool exact_device_ = true;  // none before the '/'
  bool exact_item_ = true;    // none after it
};

// NOT_FOUND, with the closest ids there are.
absl::Status NoSuchDevice(const StateCache& cache, const std::string& device_id);
// NOT_FOUND for an exact pattern that matches nothing: the closest names there are.
absl::Status NoSuchItem(const StateCache& cache, const ItemPattern& pattern);

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
