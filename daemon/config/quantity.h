// Numbers as a person writes them: "1.5 kV", "500 ms", "70 %", "0xFA", "4 MiB".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace canhub {

// A number without unit; no value unless all of the text is a finite decimal number.
std::optional<double> ParseNumber(std::string_view text);
// Decimal or 0x…; no value for anything else, or a leading 0 (which might be meant as octal).
std::optional<int64_t> ParseInteger(std::string_view text);

// A number with `unit` (one of kKnownUnits' kind: "V", "V/s", "s", "%", "B", "calls/s"), in that
// unit: 1500 for "1.5 kV". SI prefixes are accepted where the unit takes them; times also as min,
// h, d, sizes as KiB, MiB, GiB. INVALID_ARGUMENT with a text that names what was expected; the
// unit must be there.
absl::StatusOr<double> ParseQuantity(std::string_view text, std::string_view unit);

// `a number with its unit, like "10 V/s"`.
std::string QuantityForm(std::string_view unit);
// "1500 V", "500 ms" (times with the unit that reads best), "4 MiB".
std::string FormatQuantity(double value, std::string_view unit);
// In the shortest form that reads back equal.
std::string FormatNumber(double value);

}  // namespace canhub
