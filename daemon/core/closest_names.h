// Suggestions for a name that is not known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace canhub {

// At most `count` of the names that need the fewest letters changed to become `name`, the closest
// first; none that shares next to nothing with it.
std::vector<std::string> ClosestNames(std::string_view name, const std::vector<std::string>& names,
                                      size_t count = 3);
// "; did you mean a, b or c?", or "" when nothing is close.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& names);

}  // namespace canhub
