// What a changed file means for a running daemon.
#pragma once

#include <string>
#include <vector>

#include "daemon/config/config.h"

namespace canhub {

struct ConfigChanges {
  // One line each, "devices.hv0.limits.voltage: 1500 V → 1000 V".
  std::vector<std::string> applied;
  std::vector<std::string> needs_restart;
  // The running configuration with what can be applied taken over: limits, access, log level, lease
  // and shutdown actions, the need for a lease.
  Config next;
  bool access_changed = false;
  bool log_level_changed = false;
  // Devices for which Hub::UpdateDevice is to be called: something applied, or a limit's line
  // moved.
  std::vector<std::string> devices_changed;
};
ConfigChanges CompareConfigs(const Config& running, const Config& loaded);

}  // namespace canhub
