#include "daemon/config/quantity.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "daemon/config/problems.h"

namespace canhub {
namespace {

// Value = number * multiply / divide: dividing by 1000 is exact where multiplying by 0.001 is not.
struct Scale {
  std::string_view name;
  double multiply = 1;
  double divide = 1;
};

constexpr std::array<Scale, 8> kPrefixes = {{{"", 1, 1},
                                             {"k", 1e3, 1},
                                             {"M", 1e6, 1},
                                             {"G", 1e9, 1},
                                             {"m", 1, 1e3},
                                             {"u", 1, 1e6},
                                             {"n", 1, 1e9},
                                             {"p", 1, 1e12}}};
constexpr std::array<Scale, 7> kTimes = {{{"ns", 1, 1e9},
                                          {"us", 1, 1e6},
                                          {"ms", 1, 1e3},
                                          {"s", 1, 1},
                                          {"min", 60, 1},
                                          {"h", 3600, 1},
                                          {"d", 86400, 1}}};
constexpr std::array<Scale, 4> kSizes = {
    {{"B", 1, 1}, {"KiB", 1024, 1}, {"MiB", 1 << 20, 1}, {"GiB", 1 << 30, 1}}};

// Units that are counts or ratios: "k%" means nothing.
bool TakesPrefixes(std::string_view unit) {
  return unit.find('%') == std::string_view::npos && !unit.starts_with("calls") &&
         !unit.starts_with("deg");
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// "µ" has two code points and "Ω" three; they become "u" and "ohm".
std::string PlainUnit(std::string_view text) {
  static constexpr std::pair<std::string_view, std::string_view> kPlain[] = {
      {"\u00B5", "u"}, {"\u03BC", "u"}, {"\u03A9", "ohm"}, {"\u2126", "ohm"}, {"\u00B0C", "degC"}};
  std::string out(text);
  for (const auto& [from, to] : kPlain) {
    for (size_t at = out.find(from); at != std::string::npos; at = out.find(from, at)) {
      out.replace(at, from.size(), to);
    }
  }
  return out;
}

std::vector<Scale> ScalesOf(std::string_view unit) {
  if (unit == "s") return {kTimes.begin(), kTimes.end()};
  if (unit == "B") return {kSizes.begin(), kSizes.end()};
  if (TakesPrefixes(unit)) return {kPrefixes.begin(), kPrefixes.end()};
  return {Scale{}};
}

// The whole unit that a scale stands for.
std::string UnitOf(const Scale& scale, std::string_view unit) {
  if (unit == "s" || unit == "B") return std::string(scale.name);
  return std::string(scale.name) + std::string(unit);
}

}  // namespace

std::optional<double> ParseNumber(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  // from_chars would take "inf", "nan" and a second sign; the first character rules them out.
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || (digits[0] != '.' && (digits[0] < '0' || digits[0] > '9'))) return {};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    return {};
  }
  if (text.empty() || text[0] == '-' || text[0] == '+') return {};
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return negative ? -value : value;
}

absl::StatusOr<double> ParseQuantity(std::string_view text, std::string_view unit) {
  const std::string_view trimmed = Trim(text);
  // An exponent's "e" belongs to the number, so the unit starts after the longest number.
  size_t split = trimmed.find_first_not_of("+-.0123456789");
  if (split == std::string_view::npos) split = trimmed.size();
  if (split < trimmed.size() && (trimmed[split] == 'e' || trimmed[split] == 'E')) {
    size_t end = trimmed.find_first_not_of("+-0123456789", split + 1);
    if (end == std::string_view::npos) end = trimmed.size();
    if (end > split + 1 && ParseNumber(trimmed.substr(0, end))) split = end;
  }
  const std::optional<double> number = ParseNumber(trimmed.substr(0, split));
  if (!number) return absl::InvalidArgumentError(QuantityForm(unit));
  const std::string given = PlainUnit(Trim(trimmed.substr(split)));
  if (given.empty()) return absl::InvalidArgumentError(QuantityForm(unit));
  const std::string wanted = PlainUnit(unit);
  std::vector<std::string> names;
  for (const Scale& scale : ScalesOf(wanted)) {
    names.push_back(UnitOf(scale, wanted));
    if (given != names.back()) continue;
    const double value = *number * scale.multiply / scale.divide;
    if (!std::isfinite(value)) return absl::InvalidArgumentError("a finite number");
    return value;
  }
  // Two letters at most differ from each other in a unit; only a change of case is a slip.
  std::string hint;
  for (const std::string& name : names) {
    if (name.size() == given.size() &&
        std::equal(name.begin(), name.end(), given.begin(), [](unsigned char a, unsigned char b) {
          return std::tolower(a) == std::tolower(b);
        })) {
      hint = " (did you mean \"" + name + "\"?)";
    }
  }
  return absl::InvalidArgumentError(QuantityForm(unit) + hint);
}

std::string QuantityForm(std::string_view unit) {
  std::string example = "10 " + std::string(unit);
  if (unit == "s") example = "500 ms";
  if (unit == "B") example = "1 MiB";
  return "a number with its unit, like \"" + example + "\"";
}

std::string FormatNumber(double value) {
  char text[32];
  // Fixed as long as it is short: 1500 rather than 1.5e+03.
  const bool fixed = value == 0 || (std::abs(value) >= 1e-4 && std::abs(value) < 1e15);
  const auto result = fixed
                          ? std::to_chars(text, text + sizeof text, value, std::chars_format::fixed)
                          : std::to_chars(text, text + sizeof text, value);
  return std::string(text, result.ptr);
}

std::string FormatQuantity(double value, std::string_view unit) {
  if (unit.empty()) return FormatNumber(value);
  if (unit == "s" || unit == "B") {
    // The largest unit in which it is a whole number, up to an hour: 90 s stays 90 s.
    const auto scales = ScalesOf(unit);
    for (auto scale = scales.rbegin(); scale != scales.rend(); ++scale) {
      if (scale->name == "d") continue;
      const double in_unit = value * scale->divide / scale->multiply;
      if (value != 0 && in_unit >= 1 && in_unit == std::floor(in_unit)) {
        return FormatNumber(in_unit) + " " + std::string(scale->name);
      }
    }
  }
  return FormatNumber(value) + " " + std::string(unit);
}

}  // namespace canhub
