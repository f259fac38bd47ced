// The alarms of a PCS.
//
//   code                 severity  while
//   fault_<code>         critical  the device shows this fault; fault_0: the state fault without
//   one power_failure        warning   it has lost the grid lost                 critical  it does
//   not report any more, and ran when it did last
//                        warning   the same, and it did not run
//   not_stopped          critical  a stop was sent and it is not known to have stopped
//   external_measurement warning   the configured item for the heartbeat is not GOOD
//   protection_wider     warning   its protection parameters allow more than the configured limits
//   second_controller    warning   somebody else on the bus sends as controller
#pragma once

#include <optional>
#include <string>

#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/ystech-pcs/frames.h"

namespace canhub::ystech_pcs {

class PcsAlarms {
 public:
  PcsAlarms(const Clock& clock, Timers& timers, AlarmSink& alarms)
      : clock_(clock), alarms_(alarms), timers_(timers) {}

  void OnStatus(const Status& status);
  // The last heartbeat that is known to have been on the wire.
  void OnHeartbeat(MonoTime time) { last_heartbeat_ = time; }
  void OnLost(bool was_running, const std::string& text);
  void OnFound();
  void OnNotStopped(const std::string& text);
  // `problem`: "" when the values are there, or none are configured.
  void OnExternal(const std::string& problem);
  // `wider`: as WiderThanLimits says it; "" clears it.
  void OnProtection(const std::string& wider);
  void OnSecondController(const CanFrame& frame);

 private:
  std::string FaultAlarmText(int code) const;
  std::string HeartbeatAdvice() const;

  const Clock& clock_;
  AlarmSink& alarms_;
  TimerScope timers_;
  std::optional<int> fault_;  // the one that is raised
  bool power_failure_ = false;
  bool lost_ = false;
  bool not_stopped_ = false;
  std::string external_, wider_;  // the texts that are raised
  TimerId second_controller_ = 0;
  std::optional<MonoTime> last_heartbeat_;
};

}  // namespace canhub::ystech_pcs
