// The CAN battery protocol that an Xcom-CAN speaks in battery mode: 11-bit identifiers, eight
// bytes, little-endian ("Studer facts", section 13; the SMA, BYD and Pylontech papers agree).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/bad_frame.h"
#include "drivers/api/can_frame.h"

namespace canhub::studer {

inline constexpr uint32_t kBmsLimits = 0x351, kBmsState = 0x355, kBmsMeasured = 0x356,
                          kBmsFlags = 0x359, kBmsAlarms = 0x35A, kBmsRequest = 0x35C,
                          kBmsMaker = 0x35E, kBmsData = 0x35F;

// What battery frames say; one of them fills its own fields. nullopt: absent, or sent as invalid
// (0x8000, 0xFFFF).
struct BatteryReport {
  // 0x351. V, A.
  std::optional<double> charge_voltage, charge_current_limit, discharge_current_limit,
      discharge_voltage;
  // 0x355. %.
  std::optional<double> soc, soh;
  // 0x356. V; A, positive charges; degC.
  std::optional<double> voltage, current, temperature;
  // 0x35C.
  std::optional<bool> charge_enable, discharge_enable;
  // 0x35E, 0x35F.
  std::optional<std::string> maker;
  std::optional<double> capacity;  // Ah
  friend bool operator==(const BatteryReport&, const BatteryReport&) = default;
};

// A condition that 0x359 or 0x35A tells of. `alarm`: worse than a warning.
struct BatteryCondition {
  const char* name;  // "high_voltage"
  bool alarm = false;
  bool raised = false;
};

// The frame's fields; empty for frames that carry none of them. INVALID_ARGUMENT, with the reason
// of BadFrameReason: "short_frame", "not_standard".
absl::StatusOr<BatteryReport> DecodeBattery(const CanFrame& frame);
// Every condition that the frame tells of, raised or not; none of other identifiers.
std::vector<BatteryCondition> ConditionsOf(const CanFrame& frame);

// The frame with this identifier (0x351, 0x355, 0x356, 0x35C, 0x35E) of a whole report. nullopt: a
// field is missing, or does not fit the wire: nothing is clamped.
std::optional<CanFrame> EncodeBattery(uint32_t id, const BatteryReport& report);

}  // namespace canhub::studer
