// A mode with its parameters, and what bounds them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/driver.h"
#include "drivers/ystech-pcs/frames.h"
#include "drivers/ystech-pcs/modes.h"
#include "drivers/ystech-pcs/settings.h"

namespace canhub::ystech_pcs {

struct ModeSetting {
  const ModeSpec* mode = nullptr;
  std::vector<double> values;  // P1 first, each in its parameter's unit
};

// Arguments of set_mode and update_parameters: "mode" and every parameter of every mode, none
// needed.
std::vector<ActionArgument> ModeArguments();

// From such arguments. INVALID_ARGUMENT: no mode or an unknown one, a parameter of the mode is
// missing, or one of another mode is given.
absl::StatusOr<ModeSetting> ReadModeSetting(const std::string& device_id,
                                            const Arguments& arguments);

// What the device protects itself with, as read from it.
struct Protection {
  ProtectionParams1 one;
  ProtectionParams2 two;
  ProtectionParams3 three;
};

// OUT_OF_RANGE: names the parameter, its value, the bound and where that is from: the device's
// protection parameter, the configured limit, or reason (a time below 0).
// FAILED_PRECONDITION: a limit is configured that nothing can be held against in this mode.
absl::Status CheckModeSetting(const DeviceConfig& config, const Protection& protection,
                              const ModeSetting& setting);

// Which of these protection parameters let more flow than the configured limits allow to be set,
// with both values and where the limit stands; "" for none. nullopt: not known, and not compared.
std::string WiderThanLimits(const DeviceConfig& config, const std::optional<ProtectionParams1>& one,
                            const std::optional<ProtectionParams2>& two);

// "dc_cc_cv: voltage_setpoint 400 V, current_setpoint -50 A".
std::string ToText(const ModeSetting& setting);

}  // namespace canhub::ystech_pcs
