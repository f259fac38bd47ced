#include "clients/canhubctl/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace canhub::ctl {
namespace {

constexpr std::array kPrefixableUnits = {"V", "A", "W", "s", "Hz", "F", "Ohm", "V/s", "A/s", "V*s"};

struct Prefix {
  std::string_view symbol;
  int exponent;
};
// "u" stands for micro on keyboards without µ.
constexpr std::array<Prefix, 9> kPrefixes = {{{"p", -12},
                                              {"n", -9},
                                              {"u", -6},
                                              {"µ", -6},
                                              {"μ", -6},
                                              {"m", -3},
                                              {"k", 3},
                                              {"M", 6},
                                              {"G", 9}}};

bool TakesPrefix(std::string_view unit) {
  return std::find(kPrefixableUnits.begin(), kPrefixableUnits.end(), unit) !=
         kPrefixableUnits.end();
}

struct ScaledUnit {
  std::string_view base;
  int exponent = 0;  // power of ten
};

// "kV" is 10^3 "V"; what is not a known prefix and unit stands for itself.
ScaledUnit SplitUnit(std::string_view unit) {
  if (TakesPrefix(unit)) return {unit, 0};
  for (const Prefix& prefix : kPrefixes) {
    if (unit.starts_with(prefix.symbol) && TakesPrefix(unit.substr(prefix.symbol.size()))) {
      return {unit.substr(prefix.symbol.size()), prefix.exponent};
    }
  }
  return {unit, 0};
}

std::string_view Trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

struct NumberAndUnit {
  std::string_view number;
  std::string_view unit;
};

// Splits after the longest decimal number; nothing if the text does not start with one.
std::optional<NumberAndUnit> SplitNumber(std::string_view text) {
  text = Trim(text);
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.empty() || !(digits[0] == '-' || digits[0] == '.' || std::isdigit(digits[0]))) {
    return std::nullopt;  // from_chars would also take "inf" and "nan"
  }
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::invalid_argument || !std::isdigit(end[-1] == '.' ? '0' : end[-1])) {
    return std::nullopt;
  }
  const size_t length = static_cast<size_t>(end - digits.data());
  return NumberAndUnit{digits.substr(0, length), Trim(digits.substr(length))};
}

// "1,5" begins with the number 1.
bool HasDecimalComma(const NumberAndUnit& split) { return split.unit.starts_with(','); }

constexpr char kPointExpected[] = " with a point as decimal sign";

// number * 10^exponent, rounded once: "0.1" with -3 is the double nearest to 0.0001.
double Scale(std::string_view number, int exponent) {
  std::string text(number);
  const size_t e = text.find_first_of("eE");
  if (e != std::string::npos) {
    int written = 0;
    size_t start = e + 1;
    if (start < text.size() && text[start] == '+') ++start;
    std::from_chars(text.data() + start, text.data() + text.size(), written);
    exponent += written;
    text.resize(e);
  }
  text += "e" + std::to_string(exponent);
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? value : std::nan("");
}

}  // namespace

Parsed<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  using Result = Parsed<std::chrono::nanoseconds>;
  constexpr std::string_view kExpected = ", expected a number with ms, s, min, h or d (\"500ms\")";
  const std::optional<NumberAndUnit> split = SplitNumber(text);
  if (!split) return Result::Error(Quoted(text) + " is not a duration" + std::string(kExpected));
  if (HasDecimalComma(*split)) {
    return Result::Error(Quoted(text) + " has a comma" + std::string(kExpected) + kPointExpected);
  }
  struct Unit {
    std::string_view name;
    double factor;
    int exponent;
  };
  constexpr std::array<Unit, 9> kUnits = {{{"ns", 1, 0},
                                           {"us", 1, 3},
                                           {"µs", 1, 3},
                                           {"ms", 1, 6},
                                           {"s", 1, 9},
                                           {"min", 60, 9},
                                           {"m", 60, 9},
                                           {"h", 3600, 9},
                                           {"d", 86400, 9}}};
  for (const Unit& unit : kUnits) {
    if (split->unit != unit.name) continue;
    const double ns = Scale(split->number, unit.exponent) * unit.factor;
    constexpr double kMost = 10000.0 * 86400e9;
    if (!(ns >= 0 && ns <= kMost)) {
      return Result::Error(Quoted(text) + " is outside 0 … 10000 d");
    }
    return std::chrono::nanoseconds(std::llround(ns));
  }
  if (split->unit.empty()) {
    return Result::Error(Quoted(text) + " has no unit" + std::string(kExpected));
  }
  return Result::Error(Quoted(text) + " has the unit " + Quoted(split->unit) +
                       std::string(kExpected));
}

Parsed<double> ParseQuantity(std::string_view text, std::string_view unit) {
  using Result = Parsed<double>;
  const std::string expected = unit.empty() ? "expected a number without a unit"
                                            : "expected a number in " + std::string(unit);
  const std::optional<NumberAndUnit> split = SplitNumber(text);
  if (!split) return Result::Error(Quoted(text) + " is not a number, " + expected);
  if (HasDecimalComma(*split)) {
    return Result::Error(Quoted(text) + " has a comma, " + expected + kPointExpected);
  }
  int exponent = 0;
  if (!split->unit.empty()) {
    const ScaledUnit found = SplitUnit(split->unit);
    const ScaledUnit wanted = SplitUnit(unit);
    if (found.base != wanted.base) {
      return Result::Error(Quoted(text) + " has the unit " + Quoted(split->unit) + ", " + expected);
    }
    exponent = found.exponent - wanted.exponent;
  }
  const double value = Scale(split->number, exponent);
  if (!std::isfinite(value)) {
    return Result::Error(Quoted(text) + " is too large or too small for a number");
  }
  return value;
}

Parsed<std::vector<uint32_t>> ParseChannels(std::string_view text) {
  using Result = Parsed<std::vector<uint32_t>>;
  constexpr uint32_t kMost = 4095;
  const std::string expected = ", expected a channel or a list such as \"0-3,7\"";
  std::vector<uint32_t> channels;
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view part = Trim(rest.substr(0, comma));
    uint32_t first = 0;
    const char* const end = part.data() + part.size();
    auto [next, error] = std::from_chars(part.data(), end, first);
    if (error != std::errc()) return Result::Error(Quoted(text) + " is no channel" + expected);
    uint32_t last = first;
    if (next != end && *next == '-') {
      const auto second = std::from_chars(next + 1, end, last);
      if (second.ec != std::errc()) {
        return Result::Error(Quoted(text) + " is no channel" + expected);
      }
      next = second.ptr;
    }
    if (next != end) return Result::Error(Quoted(text) + " is no channel" + expected);
    if (last < first || last > kMost) {
      return Result::Error(Quoted(text) + ": " + Quoted(part) +
                           " is no rising range of channels 0 … " + std::to_string(kMost));
    }
    for (uint32_t channel = first; channel <= last; ++channel) {
      if (std::find(channels.begin(), channels.end(), channel) != channels.end()) {
        return Result::Error(Quoted(text) + " names channel " + std::to_string(channel) + " twice");
      }
      channels.push_back(channel);
    }
    if (comma == std::string_view::npos) return channels;
    rest.remove_prefix(comma + 1);
  }
}

Parsed<int64_t> ParseInteger(std::string_view text) {
  using Result = Parsed<int64_t>;
  std::string_view digits = Trim(text);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    digits.remove_prefix(2);
    base = 16;
    if (digits.starts_with('-')) digits = "";
  }
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return Result::Error(Quoted(text) + " is not a whole number, expected one such as 12 or 0x1F");
  }
  return value;
}

Parsed<bool> ParseFlag(std::string_view text) {
  for (std::string_view yes : {"on", "true", "yes", "1"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"off", "false", "no", "0"}) {
    if (text == no) return false;
  }
  return Parsed<bool>::Error(Quoted(text) + " is not a switch position, expected on or off");
}

std::string ExactNumber(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return error == std::errc() ? std::string(buffer.data(), end) : std::string();
}

std::string FormatQuantity(double value, std::string_view unit) {
  std::string_view prefix;
  const double magnitude = std::fabs(value);
  // Volts stay volts down to 1 mV: a channel near zero that jumps between V and mV is hard to read.
  const bool scales = unit == "A" || unit == "F" || unit == "Ohm";
  if (scales && std::isfinite(value) && magnitude > 0) {
    struct Step {
      double from;
      std::string_view symbol;
    };
    constexpr std::array<Step, 7> kSteps = {
        {{1e6, "M"}, {1e3, "k"}, {1, ""}, {1e-3, "m"}, {1e-6, "µ"}, {1e-9, "n"}, {1e-12, "p"}}};
    for (const Step& step : kSteps) {
      if (magnitude >= step.from || step.from == 1e-12) {
        value /= step.from;
        prefix = step.symbol;
        break;
      }
    }
  }
  std::array<char, 40> buffer;
  std::snprintf(buffer.data(), buffer.size(), "%.7g", value);
  std::string text = buffer.data();
  if (text == "-0") text = "0";
  if (!unit.empty()) text += " " + std::string(prefix) + std::string(unit);
  return text;
}

std::string FormatDuration(std::chrono::nanoseconds duration) {
  using namespace std::chrono;
  if (duration < nanoseconds(0)) return "-" + FormatDuration(-duration);
  const auto number = [](double value) {
    std::array<char, 32> buffer;
    std::snprintf(buffer.data(), buffer.size(), "%.3g", value);
    return std::string(buffer.data());
  };
  if (duration == nanoseconds(0)) return "0 s";
  if (duration < milliseconds(1)) return number(duration.count() / 1e3) + " µs";
  // Up to 999.4 ms, so that nothing is ever printed as "1e+03 ms".
  if (duration < microseconds(999500)) return number(duration.count() / 1e6) + " ms";
  if (duration < seconds(60)) {
    std::array<char, 32> buffer;
    std::snprintf(buffer.data(), buffer.size(), "%.4g s", duration.count() / 1e9);
    return buffer.data();
  }
  const auto two = [](int64_t major, const char* major_unit, int64_t minor,
                      const char* minor_unit) {
    std::string text = std::to_string(major) + major_unit;
    if (minor != 0) text += " " + std::to_string(minor) + minor_unit;
    return text;
  };
  const int64_t s = duration_cast<seconds>(duration).count();
  if (s < 3600) return two(s / 60, " min", s % 60, " s");
  if (s < 2 * 86400) return two(s / 3600, " h", s % 3600 / 60, " min");
  return two(s / 86400, " d", s % 86400 / 3600, " h");
}

}  // namespace canhub::ctl
