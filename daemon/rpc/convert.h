// Values, readings, times and receipts: ours ↔ canhub.v1.
#pragma once

#include <google/protobuf/field_mask.pb.h>

#include <chrono>
#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "canhub/v1/common.pb.h"
#include "daemon/core/command_gate.h"
#include "daemon/core/state_cache.h"
#include "drivers/api/time.h"
#include "drivers/api/value.h"

namespace canhub {

// Monotonic moments as wall times, all by the one offset taken at construction: two clock reads
// for a whole response, and its times agree with each other.
class TimeView {
 public:
  explicit TimeView(const Clock& clock) : now_(clock.Now()), wall_now_(clock.WallNow()) {}
  MonoTime now() const { return now_; }
  WallTime ToWall(MonoTime t) const { return wall_now_ + (t - now_); }
  // False at the epoch ("not reached") and at kNever: the field stays unset.
  bool IsSet(MonoTime t) const { return t != MonoTime{} && t != kNever; }

 private:
  const MonoTime now_;
  const WallTime wall_now_;
};

void SetTimestamp(WallTime time, google::protobuf::Timestamp* out);
void SetDuration(Duration duration, google::protobuf::Duration* out);
// INVALID_ARGUMENT: out of the type's range, or outside minimum … maximum.
absl::StatusOr<Duration> ReadDuration(const google::protobuf::Duration& in, std::string_view field,
                                      Duration minimum, Duration maximum);
// min_interval of a watch's request; 0 when it is not given.
template <typename Request>
absl::StatusOr<Duration> ReadMinInterval(const Request& request) {
  if (!request.has_min_interval()) return Duration(0);
  return ReadDuration(request.min_interval(), "min_interval", Duration(0), std::chrono::hours(24));
}
absl::StatusOr<WallTime> ReadTimestamp(const google::protobuf::Timestamp& in,
                                       std::string_view field);

// Leaves `out` without a kind for kNone.
void SetValue(const Value& value, v1::Value* out);
// INVALID_ARGUMENT: no kind set, or not finite. `what` names it in the text.
absl::StatusOr<Value> ReadValue(const v1::Value& in, std::string_view what);
// INVALID_ARGUMENT unless it is finite; `field` names it in the text.
absl::StatusOr<Value> ReadFinite(std::string_view field, double value);
v1::Quality ToProto(Quality quality);
// Which fields of a v1::Reading are asked for.
struct ReadingFields {
  bool name = true, value = true, last_good_value = true, quality = true;
  bool read_time = true, change_time = true, unit = true, simulated = true;
  auto operator<=>(const ReadingFields&) const = default;
};
// An empty mask: all. INVALID_ARGUMENT: a path that is no field of Reading.
absl::StatusOr<ReadingFields> ReadFields(const google::protobuf::FieldMask& mask);
// `out` is empty; its name becomes "<device id>/<item name>".
void SetReading(const Reading& reading, const std::string& device_id, const ItemTable& items,
                ItemId item, bool simulated, const TimeView& time, v1::Reading* out,
                const ReadingFields& fields = {});
void SetReceipt(const CommandReceipt& receipt, bool simulated, const TimeView& time,
                v1::Receipt* out);

}  // namespace canhub
