// Devices of the kind "power_converter" that a call names, and what can be done with them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "canhub/v1/power_converter_service.pb.h"
#include "daemon/core/hub.h"
#include "daemon/rpc/command_call.h"
#include "daemon/rpc/convert.h"
#include "drivers/api/power_converter.h"

namespace canhub {

class PowerConverterTarget {
 public:
  // NOT_FOUND; UNIMPLEMENTED: a device of another kind.
  static absl::StatusOr<PowerConverterTarget> Find(Hub& hub, const std::string& device_id);

  const std::string& id() const { return device_.setup->config.id; }
  const DriverInfo& driver() const { return *device_.setup->driver; }
  bool simulated() const { return device_.setup->simulated; }
  DeviceIndex index() const { return device_.index; }
  const DeviceSnapshot& snapshot() const { return *snapshot_; }

  // UNIMPLEMENTED: its driver does not have the action.
  absl::StatusOr<const ActionSpec*> FindAction(const std::string& action) const;
  absl::StatusOr<CommandContent> Action(const std::string& action, Arguments arguments = {}) const;

 private:
  Hub::DeviceView device_;
  std::shared_ptr<const DeviceSnapshot> snapshot_;
};

// What a device_id stands for.
struct PowerConverters {
  std::vector<PowerConverterTarget> members;  // at least one
  const DeviceGroup* group = nullptr;         // when it is a group's id
};
// Of a group all members; for "" all converters, where `all` allows it. NOT_FOUND, UNIMPLEMENTED.
absl::StatusOr<PowerConverters> FindConverters(Hub& hub, const std::string& device_id, bool all);

// One moment of a converter.
void SetConverterState(const PowerConverterTarget& target, const DeviceSnapshot& snapshot,
                       const TimeView& time, v1::PowerConverterState* out);
// Of the family's table, or just the number.
void SetFault(const DriverInfo& driver, int64_t code, v1::PowerConverterFault* out);

// The mode's name and its message; nullptr: none is given.
struct NamedMode {
  std::string name;
  const google::protobuf::Message* parameters = nullptr;
};
NamedMode ModeOf(const v1::PowerConverterMode& mode);

}  // namespace canhub
