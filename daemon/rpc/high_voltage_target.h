// A device of the kind "high_voltage" that a call names, and what can be done with it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/hub.h"
#include "daemon/rpc/command_call.h"
#include "drivers/api/high_voltage.h"

namespace canhub {

class HighVoltageTarget {
 public:
  // NOT_FOUND; UNIMPLEMENTED: a device of another kind.
  static absl::StatusOr<HighVoltageTarget> Find(const Hub& hub, StateCache& cache,
                                                const std::string& device_id);

  const Hub::DeviceView& device() const { return device_; }
  const std::string& id() const { return device_.setup->config.id; }
  const DeviceSnapshot& snapshot() const { return *snapshot_; }
  bool is_crate() const;
  int channel_count() const { return channel_count_; }

  // NOT_FOUND: names the number of channels. UNIMPLEMENTED: a crate. UNAVAILABLE: not identified
  // yet, so that nobody knows.
  absl::Status RequireChannel(uint32_t channel) const;
  // A module (not a crate), a crate. UNIMPLEMENTED.
  absl::Status RequireModule() const;
  absl::Status RequireCrate() const;

  // Writes of items of one channel, or of the device itself (nullopt). UNIMPLEMENTED: this device
  // does not have the item.
  absl::StatusOr<CommandContent> Writes(
      std::optional<uint32_t> channel,
      const std::vector<std::pair<std::string, Value>>& items) const;
  // UNIMPLEMENTED: its driver does not have the action. With a channel: RequireChannel.
  absl::StatusOr<CommandContent> Action(const char* action, std::optional<uint32_t> channel,
                                        Arguments arguments = {}) const;

 private:
  absl::Status NotIdentified() const;

  Hub::DeviceView device_;
  std::shared_ptr<const DeviceSnapshot> snapshot_;
  int channel_count_ = 0;
};

}  // namespace canhub
