#include "daemon/core/device_group.h"

#include "daemon/core/lease_impl.h"

namespace canhub {
namespace {

bool IsCritical(const AlarmRecord& alarm) {
  return alarm.active && alarm.severity == static_cast<int>(AlarmSeverity::kCritical);
}

}  // namespace

GroupGuard::GroupGuard(std::vector<DeviceGroup> groups, AlarmBook* alarms, CommandGate* gate)
    : groups_(std::move(groups)), gate_(gate) {
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i].on_failure == kHoldAction) continue;
    for (const std::string& device_id : groups_[i].device_ids) {
      Member& member = members_.emplace_back();
      member.group = i;
      member.device_id = device_id;
      member.watch = alarms->Watch(device_id, [this] { Wake(); });
      for (const AlarmRecord& alarm : member.watch->Drain().alarms) {
        if (IsCritical(alarm)) member.active.insert(alarm.code);
      }
    }
  }
}

MonoTime GroupGuard::RunUntil(MonoTime) {
  for (Member& member : members_) {
    // Until it is empty: only then the next change wakes again.
    for (AlarmWatch::Batch batch = member.watch->Drain(); !batch.alarms.empty();
         batch = member.watch->Drain()) {
      for (const AlarmRecord& alarm : batch.alarms) {
        if (!IsCritical(alarm)) {
          member.active.erase(alarm.code);
        } else if (member.active.insert(alarm.code).second) {
          Failed(member, alarm.text);
        }
      }
    }
  }
  return kNever;
}

void GroupGuard::Failed(const Member& member, const std::string& text) {
  const DeviceGroup& group = groups_[member.group];
  for (const std::string& device_id : group.device_ids) {
    if (device_id == member.device_id) continue;
    gate_->SubmitSafeAction(device_id, group.on_failure,
                            "group " + group.id + ": " + member.device_id + " failed: " + text,
                            [](const CommandResult&) {});  // its end stands in the audit record
  }
}

}  // namespace canhub
