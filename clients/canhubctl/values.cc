#include "clients/canhubctl/values.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace canhub::ctl {

using std::chrono::nanoseconds;

std::string FormatValue(const v1::Value& value, std::string_view unit) {
  switch (value.kind_case()) {
    case v1::Value::kFlag:
      return value.flag() ? "on" : "off";
    case v1::Value::kInteger: {
      std::string text = std::to_string(value.integer());
      if (!unit.empty()) text += " " + std::string(unit);
      return text;
    }
    case v1::Value::kNumber:
      return FormatQuantity(value.number(), unit);
    case v1::Value::kText:
      return value.text();
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return "–";
}

std::string ExactValue(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kFlag:
      return value.flag() ? "true" : "false";
    case v1::Value::kInteger:
      return std::to_string(value.integer());
    case v1::Value::kNumber:
      return ExactNumber(value.number());
    case v1::Value::kText:
      return value.text();
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return "";
}

std::string FormatReadingValue(const v1::Reading& reading) {
  if (reading.has_value()) return FormatValue(reading.value(), reading.unit());
  if (reading.has_last_good_value()) {
    return "– (last good " + FormatValue(reading.last_good_value(), reading.unit()) + ")";
  }
  return "–";
}

Parsed<v1::Value> ParseValue(const v1::ItemDescriptor& item, std::string_view text) {
  using Result = Parsed<v1::Value>;
  const auto named = [&item](const std::string& error) {
    return Result::Error(item.name() + ": " + error);
  };
  v1::Value value;
  switch (item.type()) {
    case v1::VALUE_TYPE_FLAG: {
      const Parsed<bool> flag = ParseFlag(text);
      if (!flag.ok()) return named(flag.error());
      value.set_flag(*flag);
      return value;
    }
    case v1::VALUE_TYPE_INTEGER: {
      std::string labels;
      for (const auto& [number, label] : item.labels()) {
        if (label == text) {
          value.set_integer(number);
          return value;
        }
        labels += (labels.empty() ? "" : ", ") + label;
      }
      const Parsed<int64_t> integer = ParseInteger(text);
      if (integer.ok()) {
        value.set_integer(*integer);
        return value;
      }
      if (!labels.empty()) return named(integer.error() + ", or one of: " + labels);
      if (item.unit().empty()) return named(integer.error());
      const Parsed<double> quantity = ParseQuantity(text, item.unit());
      if (!quantity.ok()) return named(quantity.error());
      // 2^53: beyond it a double does not hold every whole number.
      constexpr double kMost = 9007199254740992.0;
      if (*quantity < -kMost || *quantity > kMost ||
          *quantity != static_cast<double>(static_cast<int64_t>(*quantity))) {
        return named("\"" + std::string(text) + "\" is not a whole number of " + item.unit());
      }
      value.set_integer(static_cast<int64_t>(*quantity));
      return value;
    }
    case v1::VALUE_TYPE_TEXT:
      value.set_text(std::string(text));
      return value;
    case v1::VALUE_TYPE_NUMBER: {
      const Parsed<double> quantity = ParseQuantity(text, item.unit());
      if (!quantity.ok()) return named(quantity.error());
      value.set_number(*quantity);
      return value;
    }
    default:
      break;
  }
  return named("the daemon describes it with a type that this canhubctl does not know");
}

v1::Value GuessValue(std::string_view text) {
  v1::Value value;
  if (text == "true" || text == "on") {
    value.set_flag(true);
  } else if (text == "false" || text == "off") {
    value.set_flag(false);
  } else if (const Parsed<int64_t> integer = ParseInteger(text); integer.ok()) {
    value.set_integer(*integer);
  } else if (const Parsed<double> number = ParseQuantity(text, ""); number.ok()) {
    value.set_number(*number);
  } else {
    value.set_text(std::string(text));
  }
  return value;
}

std::string ShortName(std::string_view full_name, std::string_view prefix) {
  if (full_name.starts_with(prefix)) full_name.remove_prefix(prefix.size());
  return full_name.empty() ? "?" : std::string(full_name);
}

std::string QualityName(v1::Quality quality) {
  return ShortName(v1::Quality_Name(quality), "QUALITY_");
}

nanoseconds ToNanoseconds(const google::protobuf::Duration& duration) {
  constexpr int64_t kMost = 9'223'372'035;
  constexpr int32_t kMostNanos = 999'999'999;
  return std::chrono::seconds(std::clamp(duration.seconds(), -kMost, kMost)) +
         nanoseconds(std::clamp(duration.nanos(), -kMostNanos, kMostNanos));
}

google::protobuf::Duration ToProto(nanoseconds duration) {
  google::protobuf::Duration result;
  result.set_seconds(duration.count() / 1'000'000'000);
  result.set_nanos(static_cast<int32_t>(duration.count() % 1'000'000'000));
  return result;
}

namespace {

std::string Strftime(const char* format, WallTime time, bool utc) {
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  std::tm parts{};
  if (utc) {
    gmtime_r(&seconds, &parts);
  } else {
    localtime_r(&seconds, &parts);
  }
  std::array<char, 64> buffer;
  return std::string(buffer.data(), std::strftime(buffer.data(), buffer.size(), format, &parts));
}

std::string Milliseconds(WallTime time) {
  const auto rest = time - std::chrono::floor<std::chrono::seconds>(time);
  std::array<char, 8> buffer;
  std::snprintf(
      buffer.data(), buffer.size(), ".%03d",
      static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(rest).count()));
  return buffer.data();
}

bool IsUnset(const google::protobuf::Timestamp& time) {
  return time.seconds() == 0 && time.nanos() == 0;
}

}  // namespace

std::string FormatTimeOfDay(WallTime time) {
  return Strftime("%H:%M:%S", time, false) + Milliseconds(time);
}

std::string FormatTime(const google::protobuf::Timestamp& time) {
  return IsUnset(time) ? "" : Strftime("%Y-%m-%d %H:%M:%S", ToWallTime(time), false);
}

std::string FormatAgo(const google::protobuf::Timestamp& time, WallTime now) {
  if (IsUnset(time)) return "";
  const nanoseconds age = now - ToWallTime(time);
  return age >= nanoseconds(0) ? FormatDuration(age) + " ago" : "in " + FormatDuration(-age);
}

std::string FormatIsoTime(const google::protobuf::Timestamp& time) {
  if (IsUnset(time)) return "";
  const WallTime wall = ToWallTime(time);
  return Strftime("%Y-%m-%dT%H:%M:%S", wall, true) + Milliseconds(wall) + "Z";
}

Parsed<WallTime> ParseTimePoint(std::string_view text, WallTime now) {
  using Result = Parsed<WallTime>;
  if (const Parsed<nanoseconds> age = ParseDuration(text); age.ok()) {
    return now - std::chrono::duration_cast<WallTime::duration>(*age);
  }
  std::string date(text);
  const bool utc = date.ends_with('Z');
  if (utc) date.pop_back();
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* end = strptime(date.c_str(), format, &parts);
    if (end == nullptr || *end != '\0') continue;
    parts.tm_isdst = -1;
    const std::time_t seconds = utc ? timegm(&parts) : std::mktime(&parts);
    // A WallTime ends in 2262, and nothing was recorded before 1970.
    if (seconds < 0 || seconds > 9'223'372'035) break;
    return std::chrono::system_clock::from_time_t(seconds);
  }
  return Result::Error("\"" + std::string(text) +
                       "\" is no time, expected one such as \"1h\" (ago), \"2026-03-01\", "
                       "\"2026-03-01 14:03\" or \"2026-03-01T13:03:00Z\"");
}

std::string FormatReceipt(const v1::Receipt& receipt) {
  std::string text;
  if (receipt.has_settled_time()) {
    text = "settled";
  } else if (receipt.has_confirmed_time()) {
    text = "confirmed";
  } else if (receipt.has_on_wire_time()) {
    text = "on the wire";
  } else if (receipt.has_sent_time()) {
    text = "sent";
  } else {
    text = "accepted";
  }
  if (receipt.has_elapsed()) text += " in " + FormatDuration(ToNanoseconds(receipt.elapsed()));
  const std::string own_prefix = receipt.device_id() + "/";
  for (int i = 0; i < receipt.read_back_size(); ++i) {
    const v1::Reading& reading = receipt.read_back(i);
    text += i == 0 ? "; " : ", ";
    text += ShortName(reading.name(), own_prefix) + " = " + FormatReadingValue(reading);
    // A switch of 48 channels reads back more than a line holds; --json has them all.
    if (i == 3 && receipt.read_back_size() > 5) {
      text += ", … " + std::to_string(receipt.read_back_size() - i - 1) + " more";
      break;
    }
  }
  return text;
}

}  // namespace canhub::ctl
