// Items, readings and receipts as text, and texts as values.
#pragma once

#include <string>
#include <string_view>

#include "canhub/v1/common.pb.h"
#include "canhub/v1/item_service.pb.h"
#include "clients/canhubctl/clock.h"
#include "clients/canhubctl/units.h"
#include "google/protobuf/duration.pb.h"

namespace canhub::ctl {

// "1000.25 V", "on", "E08F2"; "–" when no field is set.
std::string FormatValue(const v1::Value& value, std::string_view unit);
// Without unit, in full precision, flags as true and false: for scripts.
std::string ExactValue(const v1::Value& value);
// "1000.25 V"; of a reading that is not GOOD: "– (last good 3.2 V)".
std::string FormatReadingValue(const v1::Reading& reading);

// Reads a value for this item: its type, its unit, the labels of an enumeration. The range is the
// daemon's to check.
Parsed<v1::Value> ParseValue(const v1::ItemDescriptor& item, std::string_view text);
// A value of the type that the text looks like: true, 12, 1.5, "text". For fault parameters.
v1::Value GuessValue(std::string_view text);

// An enum value's name without the enum's own: "QUALITY_GOOD" → "GOOD".
std::string ShortName(std::string_view full_name, std::string_view prefix);
std::string QualityName(v1::Quality quality);

// Within what nanoseconds hold, 292 years: the message may come from anywhere.
std::chrono::nanoseconds ToNanoseconds(const google::protobuf::Duration& duration);
google::protobuf::Duration ToProto(std::chrono::nanoseconds duration);

// Local time: "14:03:07.120".
std::string FormatTimeOfDay(WallTime time);
// Local time: "2026-03-01 14:03:07"; "" for an unset time.
std::string FormatTime(const google::protobuf::Timestamp& time);
// "3 s ago", "in 5 s"; "" for an unset time.
std::string FormatAgo(const google::protobuf::Timestamp& time, WallTime now);
// UTC with milliseconds, for files: "2026-03-01T13:03:07.120Z"; "" for an unset time.
std::string FormatIsoTime(const google::protobuf::Timestamp& time);
// "1h", "30 min" before now, or "2026-03-01", "2026-03-01 14:03[:07]" in local time, or with Z in
// UTC.
Parsed<WallTime> ParseTimePoint(std::string_view text, WallTime now);

// "confirmed in 12 ms; ch3.voltage_set = 1000 V".
std::string FormatReceipt(const v1::Receipt& receipt);

}  // namespace canhub::ctl
