// Which frame of the DBC is which module's, and which signal is which item.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "drivers/api/can_frame.h"
#include "drivers/battery-module/pack_items.h"
#include "drivers/battery-module/settings.h"
#include "drivers/formats/dbc.h"

namespace canhub::battery_module {

// What a signal means to the driver, beside being an item.
enum class SignalRole : uint8_t {
  kOther,  // an item and nothing more, or not even that
  kVoltage,
  kCurrent,
  kCell,
  kReportedCellMin,
  kReportedCellMax,
  kTemperatureMin,
  kTemperatureMax,
  kSensor,
  kSoc,
  kAlarmBit,
  kFaultCode,
  kLiveCounter,
  kCrc,
  kInfoPage,
  kCellResistance,
};

struct Target {
  SignalRole role = SignalRole::kOther;
  int number = 0;  // cell or sensor from 1, alarm bit from 0
  int spec = -1;   // of PackItems; -1: no item
};

// Groups of frames that live and die together.
enum class Group : uint8_t { kMain, kSensors, kAlarm, kInfo, kExtra };

// One message of one module.
struct Route {
  const dbc::Message* message = nullptr;
  int module = 0;  // 1 … 15
  Group group = Group::kExtra;
  bool has_voltage = false;     // the frame by which a module is known to be there
  std::vector<Target> targets;  // by the signal's index in the message
};

class Layout {
 public:
  // Requires CheckLayout.
  Layout(const Settings& settings, const PackItems& items);
  // nullptr: no frame of a module.
  const Route* Find(const CanFrame& frame) const;
  int IndexOf(const Route* route) const { return static_cast<int>(route - routes_.data()); }
  const std::vector<Route>& routes() const { return routes_; }
  // Frames of `group` that one module sends.
  int FramesOf(int module, Group group) const;
  // The role's first signal; all are scaled alike. nullptr: none.
  const dbc::Signal* SignalOf(SignalRole role) const;

 private:
  std::vector<Route> routes_;
  std::vector<int16_t> by_id_;  // 11-bit identifiers; -1: none
};

// In V: a module above what all its cells at their highest make tells nonsense. Infinite where the
// DBC does not say how high a cell can be.
double HighestModuleVolt(const Settings& settings, const Layout& layout);

// INVALID_ARGUMENT: no module in the DBC, a signal that must be there is missing, a message that
// is needed cannot be used, a level's signal is no whole number that rises with the quantity, or
// two signals of one role are scaled differently.
absl::Status CheckLayout(const Settings& settings, const std::string& device_id);

// Every identifier that a module may send with.
std::vector<CanFilter> ModuleFilters(const Settings& settings);

std::string_view BuiltInDbc();

}  // namespace canhub::battery_module
