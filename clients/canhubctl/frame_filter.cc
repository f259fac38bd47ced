#include "clients/canhubctl/frame_filter.h"

#include <charconv>
#include <string>

namespace canhub::ctl {
namespace {

bool ParseHex(std::string_view text, uint32_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, 16);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Parsed<v1::FrameFilter> ParseFrameFilter(std::string_view text) {
  using Result = Parsed<v1::FrameFilter>;
  const std::string expected = "\"" + std::string(text) +
                               "\": expected ID:MASK in hexadecimal, 3 digits for 11-bit " +
                               "identifiers, 8 for 29-bit ones, such as 200:780";
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return Result::Error(expected);
  const std::string_view id_text = text.substr(0, colon);
  uint32_t id = 0;
  uint32_t mask = 0;
  if (!ParseHex(id_text, &id) || !ParseHex(text.substr(colon + 1), &mask)) {
    return Result::Error(expected);
  }
  const bool extended = id_text.size() == 8;
  if (!extended && id_text.size() > 3) return Result::Error(expected);
  const uint32_t most = extended ? 0x1FFFFFFF : 0x7FF;
  if (id > most || mask > most) {
    return Result::Error("\"" + std::string(text) + "\": beyond the " +
                         (extended ? "29 bits of an extended" : "11 bits of a standard") +
                         " identifier");
  }
  v1::FrameFilter filter;
  filter.set_id(id);
  filter.set_mask(mask);
  filter.set_extended(extended);
  return filter;
}

}  // namespace canhub::ctl
