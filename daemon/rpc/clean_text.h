// Texts from devices and requests made fit for a proto3 string.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace canhub {

// Bytes that are not UTF-8 become '?': receivers refuse a message with such a string. Cut at
// `limit` bytes, at the end of a character, with an ellipsis.
std::string CleanText(std::string_view text, size_t limit = std::string_view::npos);

}  // namespace canhub
