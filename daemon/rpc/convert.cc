#include "daemon/rpc/convert.h"

#include <cmath>
#include <utility>

#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/status_mapping.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
// What most names of items fit in: "/ch15.voltage_measure".
constexpr size_t kItemNameLength = 32;
// Limits of google.protobuf.Duration and Timestamp are wider than int64 nanoseconds; these fit.
constexpr int64_t kMaxSeconds = 9'000'000'000;

std::string Seconds(Duration d) {
  return Value::Number(std::chrono::duration<double>(d).count()).ToString() + " s";
}

}  // namespace

void SetTimestamp(WallTime time, google::protobuf::Timestamp* out) {
  const int64_t nanos = time.time_since_epoch().count();
  int64_t seconds = nanos / kNanosPerSecond;
  int64_t rest = nanos % kNanosPerSecond;
  if (rest < 0) {  // Timestamp counts nanos forward, before 1970 too
    rest += kNanosPerSecond;
    --seconds;
  }
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(rest));
}

void SetDuration(Duration duration, google::protobuf::Duration* out) {
  out->set_seconds(duration.count() / kNanosPerSecond);
  out->set_nanos(static_cast<int32_t>(duration.count() % kNanosPerSecond));
}

absl::StatusOr<Duration> ReadDuration(const google::protobuf::Duration& in, std::string_view field,
                                      Duration minimum, Duration maximum) {
  const bool well_formed =
      std::abs(int64_t{in.nanos()}) < kNanosPerSecond && in.seconds() >= -kMaxSeconds &&
      in.seconds() <= kMaxSeconds &&
      (in.seconds() == 0 || in.nanos() == 0 || (in.seconds() < 0) == (in.nanos() < 0));
  const std::string expected = Seconds(minimum) + " … " + Seconds(maximum);
  if (!well_formed) {
    return InvalidField(
        field, "seconds " + std::to_string(in.seconds()) + ", nanos " + std::to_string(in.nanos()),
        "a duration, " + expected);
  }
  const Duration duration{in.seconds() * kNanosPerSecond + in.nanos()};
  if (duration < minimum || duration > maximum) {
    return InvalidField(field, Seconds(duration), expected);
  }
  return duration;
}

absl::StatusOr<WallTime> ReadTimestamp(const google::protobuf::Timestamp& in,
                                       std::string_view field) {
  if (in.seconds() < -kMaxSeconds || in.seconds() > kMaxSeconds || in.nanos() < 0 ||
      in.nanos() >= kNanosPerSecond) {
    return InvalidField(
        field, "seconds " + std::to_string(in.seconds()) + ", nanos " + std::to_string(in.nanos()),
        "a time, nanos 0 … 999999999");
  }
  return WallTime(Duration{in.seconds() * kNanosPerSecond + in.nanos()});
}

void SetValue(const Value& value, v1::Value* out) {
  switch (value.type()) {
    case ValueType::kNone:
      out->clear_kind();
      return;
    case ValueType::kFlag:
      out->set_flag(value.flag());
      return;
    case ValueType::kInteger:
      out->set_integer(value.integer());
      return;
    case ValueType::kNumber:
      out->set_number(value.number());
      return;
    case ValueType::kText:
      out->set_text(CleanText(value.text()));
      return;
  }
}

absl::StatusOr<Value> ReadValue(const v1::Value& in, std::string_view what) {
  switch (in.kind_case()) {
    case v1::Value::kFlag:
      return Value::Flag(in.flag());
    case v1::Value::kInteger:
      return Value::Integer(in.integer());
    case v1::Value::kNumber:
      if (!std::isfinite(in.number())) {
        return MakeError(absl::StatusCode::kInvalidArgument, "VALUE_NOT_FINITE",
                         std::string(what) + ": found " +
                             (std::isnan(in.number()) ? "NaN" : "infinity") +
                             ", expected a finite number",
                         {{"field", std::string(what)}});
      }
      return Value::Number(in.number());
    case v1::Value::kText:
      return Value::Text(in.text());
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return MissingField(std::string(what) + ": value", "one of flag, integer, number, text");
}

absl::StatusOr<Value> ReadFinite(std::string_view field, double value) {
  if (!std::isfinite(value)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "VALUE_NOT_FINITE",
                     std::string(field) + ": found " + (std::isnan(value) ? "NaN" : "infinity") +
                         ", expected a finite number; nothing was sent",
                     {{"field", std::string(field)}});
  }
  return Value::Number(value);
}

v1::Quality ToProto(Quality quality) {
  switch (quality) {
    case Quality::kGood:
      return v1::QUALITY_GOOD;
    case Quality::kStale:
      return v1::QUALITY_STALE;
    case Quality::kBad:
      return v1::QUALITY_BAD;
    case Quality::kNeverRead:
      break;
  }
  return v1::QUALITY_NEVER_READ;
}

absl::StatusOr<ReadingFields> ReadFields(const google::protobuf::FieldMask& mask) {
  if (mask.paths().empty()) return ReadingFields();
  ReadingFields fields{false, false, false, false, false, false, false, false};
  const std::pair<std::string_view, bool*> known[] = {{"name", &fields.name},
                                                      {"value", &fields.value},
                                                      {"last_good_value", &fields.last_good_value},
                                                      {"quality", &fields.quality},
                                                      {"read_time", &fields.read_time},
                                                      {"change_time", &fields.change_time},
                                                      {"unit", &fields.unit},
                                                      {"simulated", &fields.simulated}};
  for (const std::string& path : mask.paths()) {
    bool found = false;
    std::string names;
    for (const auto& [name, field] : known) {
      if (name == path) found = *field = true;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    if (!found) {
      return InvalidField("read_mask", "\"" + CleanText(path, 80) + "\"",
                          "fields of Reading: " + names);
    }
  }
  return fields;
}

void SetReading(const Reading& reading, const std::string& device_id, const ItemTable& items,
                ItemId item, bool simulated, const TimeView& time, v1::Reading* out,
                const ReadingFields& fields) {
  if (fields.name) {
    std::string* const name = out->mutable_name();
    name->reserve(device_id.size() + kItemNameLength);
    name->append(device_id).push_back('/');
    items.AppendName(item, name);
  }
  const Quality quality = reading.EffectiveQuality(time.now());
  // Without any value there is no moment to show.
  if (reading.value.has_value()) {
    if (quality == Quality::kGood) {
      if (fields.value) SetValue(reading.value, out->mutable_value());
    } else if (fields.last_good_value) {
      SetValue(reading.value, out->mutable_last_good_value());
    }
    if (fields.read_time) SetTimestamp(time.ToWall(reading.read_time), out->mutable_read_time());
    if (fields.change_time) {
      SetTimestamp(time.ToWall(reading.change_time), out->mutable_change_time());
    }
  }
  if (fields.quality) out->set_quality(ToProto(quality));
  if (fields.unit) {
    const char* const unit = items.Spec(item).unit;
    if (unit[0] != '\0') out->set_unit(unit);
  }
  if (simulated && fields.simulated) out->set_simulated(true);
}

void SetReceipt(const CommandReceipt& receipt, bool simulated, const TimeView& time,
                v1::Receipt* out) {
  out->set_command_id(receipt.command_id);
  out->set_request_id(receipt.request_id);
  out->set_device_id(receipt.device_id);
  MonoTime last = receipt.accepted;
  const auto stage = [&](MonoTime t, google::protobuf::Timestamp* (v1::Receipt::*field)()) {
    if (!time.IsSet(t)) return;
    SetTimestamp(time.ToWall(t), (out->*field)());
    last = std::max(last, t);
  };
  stage(receipt.accepted, &v1::Receipt::mutable_accepted_time);
  stage(receipt.sent, &v1::Receipt::mutable_sent_time);
  stage(receipt.on_wire, &v1::Receipt::mutable_on_wire_time);
  stage(receipt.confirmed, &v1::Receipt::mutable_confirmed_time);
  stage(receipt.settled, &v1::Receipt::mutable_settled_time);
  if (time.IsSet(receipt.accepted)) {
    SetDuration(last - receipt.accepted, out->mutable_elapsed());
  }
  if (receipt.items == nullptr) return;
  for (const auto& [item, reading] : receipt.read_back) {
    if (item >= receipt.items->size()) continue;  // read back from a table replaced meanwhile
    SetReading(reading, receipt.device_id, *receipt.items, item, simulated, time,
               out->add_read_back());
  }
}

}  // namespace canhub
