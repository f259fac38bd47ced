#include "drivers/iseg/command_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"

namespace canhub::iseg {

namespace hvc = high_voltage::channel;

std::string FormatNumber(double value) { return Value::Number(value).ToString(); }

CommandPlanner::CommandPlanner(const Settings& settings, const DeviceConfig& config,
                               const DeviceImage& image)
    : settings_(settings), config_(config), image_(image) {}

absl::StatusOr<CommandPlan> CommandPlanner::Plan(const Command& command) {
  if (const auto* writes = std::get_if<std::vector<ItemWrite>>(&command.what)) {
    return PlanWrites(*writes);
  }
  return PlanAction(std::get<ActionCall>(command.what));
}

absl::Status CommandPlanner::Refuse(absl::StatusCode code, std::string_view reason,
                                    const std::string& text,
                                    std::map<std::string, std::string> fields) const {
  fields.emplace("device_id", config_.id);
  return MakeError(code, reason, config_.id + ": " + text, std::move(fields));
}

absl::StatusOr<std::optional<int>> CommandPlanner::ChannelArgument(
    const Arguments& arguments) const {
  const Value* argument = FindArgument(arguments, "channel");
  if (argument == nullptr || !argument->has_value()) return std::optional<int>();
  const int64_t channel =
      argument->type() == ValueType::kInteger ? argument->integer() : int64_t{-1};
  if (channel < 0 || channel >= image_.channels()) {
    return Refuse(
        absl::StatusCode::kNotFound, "NO_SUCH_CHANNEL",
        "channel " + argument->ToString() +
            " does not exist; the device has channels 0 "
            "to " +
            std::to_string(image_.channels() - 1),
        {{"channel", argument->ToString()}, {"channels", std::to_string(image_.channels())}});
  }
  return std::optional<int>(static_cast<int>(channel));
}

uint64_t CommandPlanner::KnownChannels() const { return (uint64_t{1} << image_.channels()) - 1; }

bool CommandPlanner::InEmergencyOff(int channel) const {
  if ((locked_ & ChannelBits(channel)) != 0) return true;
  // Also when the reading is old: 0x4001 = 0 must not release a lock by mistake.
  const std::optional<Value> status = image_.Last(channel, hvc::kStatus);
  return status &&
         (static_cast<uint32_t>(status->integer()) & Bit(channel_bit::kEmergencyOff)) != 0;
}

std::vector<ItemId> CommandPlanner::ItemsOfChannels(
    uint64_t channels, std::initializer_list<const char*> names) const {
  std::vector<ItemId> items;
  for (int channel = 0; channel < image_.channels(); ++channel) {
    if ((channels & ChannelBits(channel)) == 0) continue;
    for (const char* name : names) {
      if (const auto item = image_.Find(channel, name)) items.push_back(*item);
    }
  }
  return items;
}

void CommandPlanner::AddDevice(std::vector<ItemId>& items,
                               std::initializer_list<const char*> names) const {
  for (const char* name : names) {
    if (const auto item = image_.Find(DeviceImage::kDevice, name)) items.push_back(*item);
  }
}

std::string CommandPlanner::Name(int channel, std::string_view name) const {
  return (channel < 0 ? std::string() : "ch" + std::to_string(channel) + ".") + std::string(name);
}

bool CommandPlanner::Available(ItemId item) const {
  const std::optional<uint16_t> data_id = image_.items().DataId(item);
  return !data_id || !image_.IsAbsent(*data_id);
}

absl::StatusOr<double> CommandPlanner::Known(int channel, std::string_view name) const {
  if (const std::optional<double> value = image_.Number(channel, name)) return *value;
  if (const auto item = image_.Find(channel, name); item && !Available(*item)) {
    return Refuse(absl::StatusCode::kFailedPrecondition, "ITEM_NOT_AVAILABLE",
                  "this device does not have " + Name(channel, name) +
                      ", so the value cannot be checked; nothing was sent",
                  {{"item", Name(channel, name)}});
  }
  return Refuse(absl::StatusCode::kFailedPrecondition, "NOT_READ_YET",
                Name(channel, name) +
                    " was not read yet, so the value cannot be checked; nothing "
                    "was sent; wait until the device is polled",
                {{"item", Name(channel, name)}});
}

void CommandPlanner::AddControl(CommandPlan& plan, int channel, uint16_t value,
                                const std::string& text) const {
  const absl::StatusOr<WireBytes> bytes = EncodeValue(WireType::kUi2, Value::Integer(value));
  plan.writes.push_back(
      {WriteChannelFrame(settings_.address, id::kChannelControl, channel, *bytes), text});
  plan.targets.emplace(id::kChannelControl, channel);
  plan.channels |= ChannelBits(channel);
}

absl::Status CommandPlanner::AddWrite(CommandPlan& plan, ItemId item, const Value& value,
                                      const std::string& text) const {
  absl::StatusOr<CanFrame> frame = image_.items().WriteFrame(settings_.address, item, value);
  if (!frame.ok()) return Annotate(frame.status(), config_.id + ": ", {{"device_id", config_.id}});
  plan.writes.push_back({*std::move(frame), text});
  plan.targets.emplace(image_.items().Entry(item).data_id, image_.items().Channel(item));
  return absl::OkStatus();
}

std::optional<double> CommandPlanner::SettleTolerance(int channel) const {
  const std::optional<double> nominal = image_.Number(channel, hvc::kVoltageNominal);
  if (!nominal) return std::nullopt;
  const double part = settings_.settle_tolerance_percent / 100 * std::abs(*nominal);
  return std::max(part, image_.Number(channel, hvc::kVoltageBounds).value_or(0));
}

}  // namespace canhub::iseg
