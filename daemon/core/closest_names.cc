#include "daemon/core/closest_names.h"

#include <algorithm>
#include <utility>

namespace canhub {
namespace {

// Names are short; a longer one is a mistake that no suggestion helps, and must not cost time.
constexpr size_t kMaxLength = 80;

// Levenshtein's distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> ClosestNames(std::string_view name, const std::vector<std::string>& names,
                                      size_t count) {
  if (name.size() > kMaxLength) return {};
  std::vector<std::pair<size_t, const std::string*>> ranked;
  for (const std::string& candidate : names) {
    if (candidate.size() > kMaxLength) continue;
    const size_t distance = Distance(name, candidate);
    // Half of the letters wrong is no misspelling any more.
    if (distance * 2 > std::max(name.size(), candidate.size())) continue;
    ranked.emplace_back(distance, &candidate);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> closest;
  for (size_t i = 0; i < std::min(count, ranked.size()); ++i) closest.push_back(*ranked[i].second);
  return closest;
}

std::string DidYouMean(std::string_view name, const std::vector<std::string>& names) {
  const std::vector<std::string> closest = ClosestNames(name, names);
  if (closest.empty()) return "";
  std::string text = "; did you mean " + closest[0];
  for (size_t i = 1; i < closest.size(); ++i) {
    text += (i + 1 == closest.size() ? " or " : ", ") + closest[i];
  }
  return text + "?";
}

}  // namespace canhub
