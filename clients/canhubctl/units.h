// Numbers as people write them on a command line: with or without a unit, never with a wrong one.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace canhub::ctl {

// A value, or why the text is none: names found and expected.
template <typename T>
class Parsed {
 public:
  Parsed(T value) : result_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  static Parsed Error(std::string text) { return Parsed(Failed{std::move(text)}); }
  bool ok() const { return std::holds_alternative<T>(result_); }
  const T& operator*() const { return std::get<T>(result_); }
  const T* operator->() const { return &std::get<T>(result_); }
  const std::string& error() const { return std::get<Failed>(result_).text; }

 private:
  struct Failed {
    std::string text;
  };
  explicit Parsed(Failed failed) : result_(std::move(failed)) {}
  std::variant<T, Failed> result_;
};

// "500ms", "5 s", "1.5h"; the unit is needed, because a bare 5 may mean anything. Not negative,
// at most 10000 days.
Parsed<std::chrono::nanoseconds> ParseDuration(std::string_view text);

// A finite number in `unit`: "1000", "1000V", "1.5 kV", "-2e3 V" for the unit "V". A different unit
// is an error, as is any unit where there is none ("").
Parsed<double> ParseQuantity(std::string_view text, std::string_view unit);

// "3", "0-3", "0-3,7": channels in the order given, each at most once, none above 4095.
Parsed<std::vector<uint32_t>> ParseChannels(std::string_view text);

// Decimal, or hexadecimal with 0x; whole text.
Parsed<int64_t> ParseInteger(std::string_view text);

// "on", "true", "yes", "1" and their opposites.
Parsed<bool> ParseFlag(std::string_view text);

// The shortest text that reads back as the same number.
std::string ExactNumber(double value);

// At most 7 digits, for people: "1000.125 V", "1.25 µA", "3 %/s". Small and large values of units
// that take a prefix get one.
std::string FormatQuantity(double value, std::string_view unit);
// "–" for what was not read or cannot be believed.
inline std::string FormatOptional(bool has, double value, std::string_view unit) {
  return has ? FormatQuantity(value, unit) : "–";
}

// "250 ms", "5 s", "1 min 30 s", "2 h".
std::string FormatDuration(std::chrono::nanoseconds duration);

}  // namespace canhub::ctl
