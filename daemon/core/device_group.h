// Groups of devices that belong together: what becomes of the others when one fails.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/core/alarm_book.h"
#include "daemon/core/command_gate.h"
#include "drivers/api/step.h"

namespace canhub {

// Several devices of one driver, to be commanded together.
struct DeviceGroup {
  std::string id;
  std::vector<std::string> device_ids;
  // Safe action on the other members when one fails; "hold" does nothing.
  std::string on_failure;
};

// A member fails when an alarm of severity critical is raised on it: by then the driver has said
// that the device does not do, or is not known to do, what it should. Alarms that stand when the
// daemon starts are no news. RunUntil is urgent: a safe action waits for it.
class GroupGuard final : public Steppable {
 public:
  // All outlive this.
  GroupGuard(std::vector<DeviceGroup> groups, AlarmBook* alarms, CommandGate* gate);

  MonoTime RunUntil(MonoTime now) override;

 private:
  struct Member {
    size_t group = 0;
    std::string device_id;
    std::unique_ptr<AlarmWatch> watch;
    std::set<std::string> active;  // critical alarms, by code
  };
  void Failed(const Member& member, const std::string& text);

  const std::vector<DeviceGroup> groups_;
  CommandGate* const gate_;
  std::vector<Member> members_;
};

}  // namespace canhub
