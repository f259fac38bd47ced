#include "drivers/api/items.h"

#include <algorithm>
#include <cassert>
#include <charconv>

namespace canhub {

std::string_view ToString(Confidence confidence) {
  switch (confidence) {
    case Confidence::kTwoSources:
      return "two sources";
    case Confidence::kOneSource:
      return "one source";
    case Confidence::kInferred:
      return "inferred";
    case Confidence::kSourcesDiffer:
      return "sources differ";
    case Confidence::kDerived:
      return "derived";
  }
  return "";
}

std::string_view ToString(Quality quality) {
  switch (quality) {
    case Quality::kNeverRead:
      return "NEVER_READ";
    case Quality::kGood:
      return "GOOD";
    case Quality::kStale:
      return "STALE";
    case Quality::kBad:
      return "BAD";
  }
  return "";
}

ItemTable::ItemTable(std::vector<ItemBlock> blocks, std::shared_ptr<const void> owner)
    : owner_(std::move(owner)), blocks_(std::move(blocks)) {
  offsets_.reserve(blocks_.size());
  for (const ItemBlock& block : blocks_) {
    offsets_.push_back(size_);
    size_ += static_cast<ItemId>(block.count) * static_cast<ItemId>(block.specs.size());
    std::vector<Named>& named = named_.emplace_back();
    named.reserve(block.specs.size());
    for (int s = 0; s < static_cast<int>(block.specs.size()); ++s) {
      named.push_back({block.specs[s].name, s});
      if (block.specs[s].alias[0] != '\0') named.push_back({block.specs[s].alias, s});
    }
    // Of two that are called the same, the first.
    std::stable_sort(named.begin(), named.end(),
                     [](const Named& a, const Named& b) { return a.name < b.name; });
  }
}

ItemTable::Place ItemTable::Locate(ItemId id) const {
  assert(id < size_);
  const auto after = std::upper_bound(offsets_.begin(), offsets_.end(), id);
  // Of several blocks with the same offset (empty ones), the last holds the item.
  const int block = static_cast<int>(after - offsets_.begin()) - 1;
  const ItemId within = id - offsets_[block];
  const auto specs = static_cast<ItemId>(blocks_[block].specs.size());
  return {block, static_cast<int>(within / specs), static_cast<int>(within % specs)};
}

ItemId ItemTable::Id(int block, int instance, int spec) const {
  assert(block >= 0 && block < static_cast<int>(blocks_.size()));
  assert(instance >= 0 && instance < blocks_[block].count);
  assert(spec >= 0 && spec < static_cast<int>(blocks_[block].specs.size()));
  return offsets_[block] +
         static_cast<ItemId>(instance) * static_cast<ItemId>(blocks_[block].specs.size()) +
         static_cast<ItemId>(spec);
}

const ItemSpec& ItemTable::Spec(ItemId id) const {
  const Place place = Locate(id);
  return blocks_[place.block].specs[place.spec];
}

std::string ItemTable::Name(ItemId id) const {
  std::string name;
  AppendName(id, &name);
  return name;
}

void ItemTable::AppendName(ItemId id, std::string* out) const {
  const Place place = Locate(id);
  const ItemBlock& block = blocks_[place.block];
  if (!block.prefix.empty()) {
    char number[16];
    const auto [end, error] =
        std::to_chars(number, number + sizeof(number), block.first + place.instance);
    out->append(block.prefix).append(number, end).push_back('.');
  }
  out->append(block.specs[place.spec].name);
}

std::optional<ItemId> ItemTable::Find(std::string_view name) const {
  for (int b = 0; b < static_cast<int>(blocks_.size()); ++b) {
    const ItemBlock& block = blocks_[b];
    std::string_view rest = name;
    int instance = 0;
    if (!block.prefix.empty()) {
      if (!rest.starts_with(block.prefix)) continue;
      rest.remove_prefix(block.prefix.size());
      // "ch03" is not a name for ch3: one name per item.
      if (rest.empty() || (rest[0] == '0' && rest.size() > 1 && rest[1] != '.')) continue;
      int number = 0;
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
      if (error != std::errc() || end == rest.data() + rest.size() || *end != '.') continue;
      rest.remove_prefix(static_cast<size_t>(end - rest.data()) + 1);
      instance = number - block.first;
      if (instance < 0 || instance >= block.count) continue;
    } else if (block.count < 1) {
      continue;
    }
    const auto found =
        std::lower_bound(named_[b].begin(), named_[b].end(), rest,
                         [](const Named& named, std::string_view n) { return named.name < n; });
    if (found != named_[b].end() && found->name == rest) return Id(b, instance, found->spec);
  }
  return std::nullopt;
}

ItemId ItemTable::Storage(ItemId id) const {
  const Place place = Locate(id);
  const int source = blocks_[place.block].specs[place.spec].flag_of;
  return source < 0 ? id : Id(place.block, place.instance, source);
}

}  // namespace canhub
