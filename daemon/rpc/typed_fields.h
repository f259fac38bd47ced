// Typed messages whose fields are named as items and arguments are, with the unit at their end:
// current_setpoint_a is the argument or item "current_setpoint" in A. Enumerations are labels:
// PARALLEL_ROLE_HOST is "host".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/state_cache.h"
#include "daemon/rpc/convert.h"
#include "drivers/api/driver.h"
#include "google/protobuf/message.h"

namespace canhub {

// "V" → "_v", "%" → "_percent", "" → "".
std::string UnitSuffix(std::string_view unit);

// The arguments that the fields of `message` give an action. `path` stands before the field's name
// in texts: "mode.dc_cc_cv.". INVALID_ARGUMENT: a number that is not finite, or with `all` a field
// that is not given. UNIMPLEMENTED: the action has no such argument.
absl::StatusOr<Arguments> ReadArguments(const google::protobuf::Message& message,
                                        const ActionSpec& action, const std::string& path,
                                        bool all);

// Sets those fields whose items exist and are GOOD; leaves the others as they are. `prefix` stands
// before the items' names: "pack.".
void SetFields(const DeviceSnapshot& snapshot, const TimeView& time,
               google::protobuf::Message* message, std::string_view prefix = "");
// Sets those fields that are named as numbers of the device's configuration, where it has them.
void SetConfiguredFields(const DriverInfo& driver, const DeviceConfig& config,
                         google::protobuf::Message* message);

// The name of an enumeration item's value; "" when it has none.
std::string_view LabelOf(const ItemSpec& spec, int64_t value);

}  // namespace canhub
