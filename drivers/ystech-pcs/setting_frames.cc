#include "drivers/ystech-pcs/setting_frames.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/power_converter.h"
#include "drivers/ystech-pcs/items.h"
#include "drivers/ystech-pcs/settings.h"

namespace canhub::ystech_pcs {
namespace {

namespace action = power_converter::action;

SettingFrame Protection(int set, Pf frame, Pf stored, std::vector<const char*> items) {
  return {action::kSetProtection, frame, Pf::kSetProtectionReply, set, stored,
          std::move(items),       false};
}

SettingFrame Special(const char* name, uint8_t type, Pf stored, std::vector<const char*> items) {
  return {name, *FindSpecial(type)->set, Pf::kSpecialSetReply, type, stored, std::move(items),
          false};
}

// The configured limit that bounds an item's setting.
const char* LimitOf(std::string_view name) {
  if (name == "max_output_voltage") return kLimitVoltage;
  if (name == "max_charge_current" || name == "max_discharge_current") return kLimitCurrent;
  if (name == "max_charge_power" || name == "max_discharge_power" ||
      name == "reactive_power_setting" || name.starts_with("phase_active_setting_") ||
      name.starts_with("phase_reactive_setting_")) {
    return kLimitPower;
  }
  return "";
}

absl::Status Wrong(const std::string& device_id, const char* name, const std::string& found,
                   const std::string& expected) {
  return MakeError(absl::StatusCode::kInvalidArgument, "SETTING_VALUE",
                   device_id + ": " + name + ": found " + found + ", expected " + expected +
                       "; nothing was sent",
                   {{"device_id", device_id}, {"item", name}, {"found", found}});
}

std::string LabelNames(const ItemRow& row) {
  std::string names;
  for (const ValueLabel& label : row.spec.labels) {
    names += (names.empty() ? "" : ", ") + std::string(label.name);
  }
  return "one of " + names;
}

}  // namespace

const std::vector<SettingFrame>& SettingFrames() {
  static const auto* const frames = new std::vector<SettingFrame>{
      Protection(1, Pf::kSetProtectionParams1, Pf::kProtectionParams1Reply,
                 {"max_output_voltage", "min_output_voltage", "max_charge_current",
                  "max_discharge_current"}),
      Protection(
          2, Pf::kSetProtectionParams2, Pf::kProtectionParams2Reply,
          {"max_charge_power", "max_discharge_power", "ac_voltage_upper", "ac_voltage_lower"}),
      Protection(3, Pf::kSetProtectionParams3, Pf::kProtectionParams3Reply,
                 {"discharge_frequency_upper", "charge_frequency_lower", "ac_frequency_upper",
                  "ac_frequency_lower"}),
      Special("set_bus", kSpecialBusVoltageReactive, Pf::kStoredBusVoltageReactive,
              {"bus_voltage_setting", "reactive_power_setting"}),
      {"set_io",
       Pf::kSetIo,
       Pf::kSpecialSetReply,
       kSpecialIo,
       std::nullopt,
       {"io1_output", "io2_output", "io3_output", "io4_output"},
       false},
      Special("set_split_phase", kSpecialSplitPhase, Pf::kSplitPhaseEnableReply,
              {"split_phase_enabled"}),
      Special("set_inverter_phase", kSpecialInverterPhase, Pf::kInverterPhaseReply,
              {"inverter_phase"}),
      Special("set_reactive_control", kSpecialReactiveControl, Pf::kReactiveControlReply,
              {"reactive_control", "power_factor_setting"}),
      Special("set_grid_mode", kSpecialGridMode, Pf::kGridModeReply, {"grid_mode"}),
      Special("set_module_parallel", kSpecialModuleParallel, Pf::kModuleParallelReply,
              {"parallel_role", "parallel_modules", "hall_ratio"}),
      Special("set_channel_parallel", kSpecialChannelParallel, Pf::kChannelParallelReply,
              {"channel_role", "channel_parallel", "parallel_channels"}),
      Special("set_bus_parallel", kSpecialBusParallel, Pf::kBusParallelReply,
              {"bus_parallel_enabled"}),
      {"set_phase_active_power",
       Pf::kSetPhaseActivePower,
       Pf::kSetModeReply,
       -1,
       std::nullopt,
       {"phase_active_setting_a", "phase_active_setting_b", "phase_active_setting_c"},
       true},
      {"set_phase_reactive_power",
       Pf::kSetPhaseReactivePower,
       Pf::kSetModeReply,
       -1,
       std::nullopt,
       {"phase_reactive_setting_a", "phase_reactive_setting_b", "phase_reactive_setting_c"},
       true},
  };
  return *frames;
}

std::vector<const SettingFrame*> SettingFramesOf(std::string_view action) {
  std::vector<const SettingFrame*> found;
  for (const SettingFrame& frame : SettingFrames()) {
    if (action == frame.action) found.push_back(&frame);
  }
  return found;
}

std::vector<ActionSpec> SettingActions() {
  std::vector<ActionSpec> actions;
  for (const SettingFrame& frame : SettingFrames()) {
    if (actions.empty() || std::string_view(actions.back().name) != frame.action) {
      actions.push_back({.name = frame.action,
                         .role = Role::kEngineer,
                         .safe = false,
                         .description = "sets what is given; the rest keeps its value"});
    }
    for (const char* name : frame.items) {
      const ItemSpec& spec = ItemRows()[IdOf(name)].spec;
      actions.back().arguments.push_back({name, spec.labels.empty() ? spec.type : ValueType::kText,
                                          false, spec.description, spec.unit, LimitOf(name)});
    }
  }
  return actions;
}

bool Concerns(const SettingFrame& frame, const Arguments& arguments) {
  return std::any_of(frame.items.begin(), frame.items.end(),
                     [&](const char* name) { return FindArgument(arguments, name) != nullptr; });
}

absl::StatusOr<std::vector<double>> SettingValues(const std::string& device_id,
                                                  const SettingFrame& frame,
                                                  const Arguments& arguments,
                                                  const Present& present) {
  std::vector<double> values;
  for (size_t i = 0; i < frame.items.size(); ++i) {
    const char* const name = frame.items[i];
    const ItemRow& row = ItemRows()[IdOf(name)];
    const Value* given = FindArgument(arguments, name);
    std::optional<double> value = given != nullptr ? ToField(row, *given) : present(i);
    if (!value && given != nullptr) {
      return Wrong(device_id, name, "\"" + given->text() + "\"", LabelNames(row));
    }
    if (!value) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "SETTING_UNKNOWN",
                       device_id + ": " + name +
                           " is not given, and what the device has is not known; give it; nothing "
                           "was sent",
                       {{"device_id", device_id}, {"item", name}});
    }
    if (FrameOf(frame.set).fields[i].counts == 1 && *value != std::round(*value)) {
      return Wrong(device_id, name, Value::Number(*value).ToString(), "a whole number");
    }
    values.push_back(*value);
  }
  return values;
}

}  // namespace canhub::ystech_pcs
