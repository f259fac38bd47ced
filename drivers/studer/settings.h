// The YAML's keys of one unit behind an Xcom-CAN, checked and typed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "drivers/api/driver.h"
#include "drivers/studer/catalogue.h"
#include "drivers/studer/codec.h"

namespace canhub::studer {

// A unit, or the gateway itself. Groups (section 4.2) are none: what is written to flash and RAM is
// known unit by unit.
struct UnitId {
  std::optional<Family> family;  // nullopt: the gateway
  int number = 1;                // from 1
  bool is_gateway() const { return !family.has_value(); }
  uint16_t address() const;      // of a gateway: 501, where remote controls begin
  std::string ToString() const;  // "xtender 1", "gateway"
  friend bool operator==(const UnitId&, const UnitId&) = default;
};

struct Settings {
  UnitId unit;
  uint16_t client = 0;
  Duration poll{};
  Duration timeout{};
  Duration write_interval{};        // between two writes of one parameter
  std::vector<const Entry*> infos;  // what is polled, in this order
  std::vector<const Entry*> parameters;
  int battery_voltage = 48;
  bool is_120v = false;
  Part signal_part = Part::kFlash;
  int64_t flash_cap = 0;
};

// The checks of one device (DriverInfo::check): unit, number, names of infos and parameters.
absl::Status CheckSettings(const DeviceConfig& config);
// Requires that CheckSettings is OK.
Settings ParseSettings(const DeviceConfig& config);
// The driver's own keys, without the simulator's.
std::vector<ParameterSpec> DriverParameters();

// The infos that are polled when the YAML names none: those of section 10.1 that change.
std::vector<uint16_t> DefaultInfos(Family family);
// What is asked to find a unit (section 10).
uint16_t ProbeInfo(Family family);

// The configured limit that bounds a parameter; "" for none.
const char* LimitOf(const Entry& entry);
// DriverInfo::limits.
std::vector<LimitSpec> Limits();

// Seconds of a kDuration.
Duration ToDuration(const Value& seconds);

}  // namespace canhub::studer
