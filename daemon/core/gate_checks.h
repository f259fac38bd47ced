// What the gate checks of a command: its caller, how it is given, and its content: names, types,
// ranges, limits. Pure functions.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/command_gate.h"
#include "daemon/core/gate_impl.h"
#include "daemon/core/state_cache.h"

namespace canhub {

// Texts from outside are cut to this in error messages and audit entries, and lose their control
// characters, so that an entry is one line of bounded size.
inline constexpr size_t kMaxQuotedName = 80;
inline constexpr size_t kMaxAuditText = 2000;
std::string Printable(std::string_view text, size_t max_size);

inline constexpr size_t kMaxIdentity = 256;

// What is checked of a caller and of how the command is given. `place`: the device or bus.
absl::Status RoleTooLow(const Caller& caller, Role needed, const std::string& place,
                        const std::string& act);
absl::Status CheckRequestId(const std::string& place, const std::string& request_id);
absl::Status CheckWaitFor(const std::string& place, Stage stage,
                          std::initializer_list<Stage> known);
absl::Status DeadlinePassed(const std::string& place, MonoTime deadline, MonoTime now);

// The longest text that an item or argument takes.
inline constexpr size_t kMaxTextValue = 256;

// Every write with its item's number, in the order given, integers turned into numbers where the
// item is one. The first that is wrong is the error; nothing is clamped.
absl::StatusOr<std::vector<ItemWrite>> CheckWrites(const GatedDevice& device,
                                                   const DeviceSnapshot& snapshot,
                                                   const std::vector<NamedWrite>& writes);

// nullptr when the driver has no such action.
const ActionSpec* FindAction(const DriverInfo& driver, std::string_view name);
absl::Status UnknownAction(const GatedDevice& device, std::string_view name);
// The call with its arguments in their declared types.
absl::StatusOr<ActionCall> CheckAction(const GatedDevice& device, const ActionSpec& spec,
                                       const ActionCall& call);

// For the audit record: "ch3.voltage_set = 1000 V, ch3.on = true", "set_ramp(channel = 3, up = 50
// V/s)".
std::string Describe(const DeviceSnapshot& snapshot, const std::vector<ItemWrite>& writes);
std::string Describe(const ActionSpec& spec, const ActionCall& call);
// The same for what was refused: no units, as nothing is known to be right.
std::string DescribeRequest(const CommandRequest& request);

}  // namespace canhub
