#include "drivers/ystech-pcs/pcs_alarms.h"

#include <chrono>

#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/states.h"

namespace canhub::ystech_pcs {
namespace {

using std::chrono::seconds;

constexpr char kPowerFailure[] = "power_failure";
constexpr char kLost[] = "lost";
constexpr char kNotStopped[] = "not_stopped";
constexpr char kExternal[] = "external_measurement";
constexpr char kWider[] = "protection_wider";
constexpr char kSecondController[] = "second_controller";
// Without data from the controller for so long the device stops with 0x800D (section 10).
constexpr Duration kDeviceTimeout = seconds(5);
// A frame now and then keeps the alarm up.
constexpr Duration kSecondControllerGone = seconds(10);

std::string FaultCodeName(int code) { return "fault_" + std::to_string(code); }

}  // namespace

std::string PcsAlarms::HeartbeatAdvice() const {
  if (!last_heartbeat_) {
    return "this daemon has not sent it a heartbeat since it started: it was not running, or its "
           "bus was down; ";
  }
  if (clock_.Now() - *last_heartbeat_ < kDeviceTimeout) {
    return "this daemon's heartbeats were on the wire all the time: check the cable to CAN1, its "
           "termination, the address, and whether the device listens on CAN1; ";
  }
  return "none of this daemon's heartbeats was on the wire for 5 s: its bus was down, or it hung; ";
}

std::string PcsAlarms::FaultAlarmText(int code) const {
  if (code == kNoFault) return "the state is fault, and no code is shown";
  std::string text = FaultText(code);
  const FaultCode* known = FindFaultCode(code);
  if (code == kCan1Failure)
    text += "; " + HeartbeatAdvice() + "then clear the fault and start again";
  if (known != nullptr && *known->remedy != '\0') text += "; " + std::string(known->remedy);
  return text;
}

void PcsAlarms::OnStatus(const Status& status) {
  const bool faulty =
      status.fault_code != kNoFault || ClassOf(status.running_state) == StateClass::kFault;
  const std::optional<int> now = faulty ? std::optional<int>(status.fault_code) : std::nullopt;
  if (fault_ != now) {
    if (fault_) alarms_.Clear(FaultCodeName(*fault_));
    if (now) alarms_.Raise(FaultCodeName(*now), AlarmSeverity::kCritical, FaultAlarmText(*now));
    fault_ = now;
  }
  const bool failure = status.running_state == static_cast<int>(State::kPowerFailure);
  if (failure != power_failure_) {
    power_failure_ = failure;
    if (failure) {
      alarms_.Raise(kPowerFailure, AlarmSeverity::kWarning,
                    "it has lost the grid and stands still");
    } else {
      alarms_.Clear(kPowerFailure);
    }
  }
  if (not_stopped_ && (ClassOf(status.running_state) == StateClass::kStopped ||
                       ClassOf(status.running_state) == StateClass::kFault)) {
    not_stopped_ = false;
    alarms_.Clear(kNotStopped);
  }
}

void PcsAlarms::OnLost(bool was_running, const std::string& text) {
  lost_ = true;
  alarms_.Raise(kLost, was_running ? AlarmSeverity::kCritical : AlarmSeverity::kWarning, text);
}

void PcsAlarms::OnFound() {
  if (!lost_) return;
  lost_ = false;
  alarms_.Clear(kLost);
}

void PcsAlarms::OnNotStopped(const std::string& text) {
  not_stopped_ = true;
  alarms_.Raise(kNotStopped, AlarmSeverity::kCritical, text);
}

void PcsAlarms::OnExternal(const std::string& problem) {
  if (problem == external_) return;
  external_ = problem;
  if (problem.empty()) {
    alarms_.Clear(kExternal);
  } else {
    alarms_.Raise(kExternal, AlarmSeverity::kWarning,
                  problem + "; the heartbeat says that nothing is measured");
  }
}

void PcsAlarms::OnProtection(const std::string& wider) {
  if (wider == wider_) return;
  wider_ = wider;
  if (wider.empty()) {
    alarms_.Clear(kWider);
  } else {
    alarms_.Raise(kWider, AlarmSeverity::kWarning,
                  "limits bound what may be set; what flows is bounded by the device's protection "
                  "parameters alone, and these are wider: " +
                      wider + "; set them as tight as the limits");
  }
}

void PcsAlarms::OnSecondController(const CanFrame& frame) {
  if (second_controller_ == 0) {
    alarms_.Raise(kSecondController, AlarmSeverity::kWarning,
                  "another controller commands it (" + FormatFrame(frame) +
                      "): the protocol allows one; stop it, or stop this daemon");
  }
  timers_.Cancel(second_controller_);
  second_controller_ = timers_.At(clock_.Now() + kSecondControllerGone, [this] {
    second_controller_ = 0;
    alarms_.Clear(kSecondController);
  });
}

}  // namespace canhub::ystech_pcs
