#include "daemon/wiring_reload.h"

#include "daemon/config/loader.h"
#include "drivers/api/errors.h"

namespace canhub {

ConfigReloader::ConfigReloader(Config running, std::span<const DriverInfo* const> drivers, Hub* hub,
                               std::function<void(LogLevel)> set_log_level)
    : drivers_(drivers),
      hub_(hub),
      set_log_level_(std::move(set_log_level)),
      running_(std::move(running)) {}

absl::StatusOr<ConfigChanges> ConfigReloader::Reload(bool check_only) {
  const std::lock_guard lock(mutex_);
  const absl::StatusOr<Config> loaded = LoadConfig(running_.file, drivers_);
  if (!loaded.ok()) return loaded.status();
  ConfigChanges changes = CompareConfigs(running_, *loaded);
  if (check_only) return changes;
  for (const std::string& line : changes.applied) {
    const absl::Status audited = hub_->audit().Append({.time = hub_->clock().WallNow(),
                                                       .kind = "config",
                                                       .identity = DaemonCaller().identity,
                                                       .text = "reload: " + line,
                                                       .status = "OK"});
    if (!audited.ok()) {
      return Annotate(audited,
                      running_.file + ": nothing was applied, since it cannot be audited: ");
    }
  }
  if (changes.access_changed) hub_->SetAccess(changes.next.access.Rules());
  if (changes.log_level_changed && set_log_level_) set_log_level_(changes.next.log_level);
  for (const std::string& id : changes.devices_changed) {
    const DeviceEntry* device = changes.next.FindDevice(id);
    hub_->UpdateDevice(id, device->config, device->on_lease_lost, device->on_shutdown,
                       device->require_lease);
  }
  running_ = changes.next;
  return changes;
}

}  // namespace canhub
