#include "daemon/rpc/high_voltage_target.h"

#include <algorithm>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

namespace hv = high_voltage;
using absl::StatusCode;

absl::Status CannotDo(const std::string& id, const std::string& text, ErrorFields fields = {}) {
  fields["device_id"] = id;
  return MakeError(StatusCode::kUnimplemented, "NOT_SUPPORTED", id + " " + text, std::move(fields));
}

}  // namespace

absl::StatusOr<HighVoltageTarget> HighVoltageTarget::Find(const Hub& hub, StateCache& cache,
                                                          const std::string& device_id) {
  absl::StatusOr<Hub::DeviceView> device = RequireDevice(hub, device_id);
  if (!device.ok()) return device.status();
  if (absl::Status kind = RequireKind(*device, hv::kKind); !kind.ok()) return kind;
  HighVoltageTarget target;
  target.device_ = *std::move(device);
  target.snapshot_ = cache.Snapshot(target.device_.index);
  for (const ItemBlock& block : target.snapshot_->items().blocks()) {
    if (block.prefix == hv::kChannelBlock) target.channel_count_ = block.count;
  }
  return target;
}

bool HighVoltageTarget::is_crate() const {
  const auto found = snapshot_->identity().find(hv::module::kClass);
  return found != snapshot_->identity().end() && found->second == "crate";
}

absl::Status HighVoltageTarget::NotIdentified() const {
  const std::string link(ToString(snapshot_->link()));
  return MakeError(StatusCode::kUnavailable, "DEVICE_NOT_IDENTIFIED",
                   id() + ": its channels are not known yet, the link is " + link +
                       (snapshot_->link_text().empty() ? "" : " (" + snapshot_->link_text() + ")") +
                       "; nothing was sent, try again once it is online",
                   {{"device_id", id()}, {"link", link}});
}

absl::Status HighVoltageTarget::RequireChannel(uint32_t channel) const {
  if (channel_count_ == 0) {
    const absl::Status module = RequireModule();
    return module.ok() ? NotIdentified() : module;
  }
  if (channel < static_cast<uint32_t>(channel_count_)) return absl::OkStatus();
  const std::string found = std::to_string(channel);
  const std::string count = std::to_string(channel_count_);
  return MakeError(StatusCode::kNotFound, "CHANNEL_UNKNOWN",
                   id() + " has " + count + " channels, 0 … " + std::to_string(channel_count_ - 1) +
                       "; found " + found,
                   {{"device_id", id()}, {"channel", found}, {"channel_count", count}});
}

absl::Status HighVoltageTarget::RequireModule() const {
  return is_crate() ? CannotDo(id(), "is a crate controller, it has no channels")
                    : absl::OkStatus();
}

absl::Status HighVoltageTarget::RequireCrate() const {
  if (is_crate()) return absl::OkStatus();
  if (snapshot_->items().size() == 0) return NotIdentified();
  return CannotDo(id(), "is a module, not a crate controller");
}

absl::StatusOr<CommandContent> HighVoltageTarget::Writes(
    std::optional<uint32_t> channel,
    const std::vector<std::pair<std::string, Value>>& items) const {
  if (channel) {
    const absl::Status exists = RequireChannel(*channel);
    if (!exists.ok()) return exists;
  } else if (snapshot_->items().size() == 0) {
    return NotIdentified();
  }
  std::string prefix;
  if (channel) prefix = hv::kChannelBlock + std::to_string(*channel) + ".";
  std::vector<NamedWrite> writes;
  for (const auto& [name, value] : items) {
    if (!snapshot_->items().Find(prefix + name)) {
      return CannotDo(id(), "does not have " + prefix + name + "; nothing was sent",
                      {{"item", prefix + name}});
    }
    writes.push_back({prefix + name, value});
  }
  return CommandContent(std::move(writes));
}

absl::StatusOr<CommandContent> HighVoltageTarget::Action(const char* action,
                                                         std::optional<uint32_t> channel,
                                                         Arguments arguments) const {
  const std::vector<ActionSpec>& actions = device_.setup->driver->actions;
  if (std::none_of(actions.begin(), actions.end(),
                   [&](const ActionSpec& spec) { return std::string_view(spec.name) == action; })) {
    return CannotDo(id(), std::string("cannot do ") + action + "; nothing was sent",
                    {{"action", action}});
  }
  if (channel) {
    const absl::Status exists = RequireChannel(*channel);
    if (!exists.ok()) return exists;
    arguments.emplace_back("channel", Value::Integer(*channel));
  }
  return CommandContent(ActionCall{action, std::move(arguments)});
}

}  // namespace canhub
