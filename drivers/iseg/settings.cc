#include "drivers/iseg/settings.h"

#include <cmath>

namespace canhub::iseg {
namespace {

Duration Seconds(const Value& value) { return Duration(std::llround(value.AsNumber() * 1e9)); }

}  // namespace

std::vector<ParameterSpec> DriverParameters() {
  using T = ParameterType;
  return {
      {.name = "address",
       .type = T::kInteger,
       .minimum = 0,
       .maximum = kMaxAddress,
       .description = "CAN address of the module, or number of the crate controller"},
      {.name = "class",
       .type = T::kChoice,
       .default_text = "module",
       .choices = {"module", "crate"},
       .description = "what sits at the address"},
      {.name = "line",
       .type = T::kInteger,
       .default_text = "0",
       .minimum = 0,
       .maximum = kMaxLine,
       .description = "slave line behind a CC2x master (29-bit identifiers); 0: the bus itself"},
      {.name = "poll",
       .type = T::kDuration,
       .default_text = "500 ms",
       .minimum = 0.01,
       .maximum = 30,
       .description = "period of measured values, status and events; longer where the bus's share "
                      "for polling does not allow it"},
      {.name = "slow_poll",
       .type = T::kDuration,
       .default_text = "5 s",
       .minimum = 0.1,
       .maximum = 300,
       .description = "period of module status, temperatures, supplies and limits"},
      {.name = "verify_poll",
       .type = T::kDuration,
       .default_text = "60 s",
       .minimum = 1,
       .maximum = 3600,
       .description = "period in which set values and policies are read again, beside the reads "
                      "after a write; nominal values and identity: ten times as long"},
      {.name = "read_timeout",
       .type = T::kDuration,
       .default_text = "50 ms",
       .minimum = 0.005,
       .maximum = 5,
       .description = "wait for the answer of a single read"},
      {.name = "multiple_timeout",
       .type = T::kDuration,
       .default_text = "500 ms",
       .minimum = 0.005,
       .maximum = 10,
       .description = "wait for the answers of a multiple or group read"},
      {.name = "short_form",
       .type = T::kFlag,
       .default_text = "false",
       .description = "ask for all channels with one request (newer firmware only)"},
      {.name = "group_lists",
       .type = T::kFlag,
       .default_text = "true",
       .description = "send the emergency-off list 0x2201 beside each channel's own emergency off"},
      {.name = "anti_collision",
       .type = T::kFlag,
       .default_text = "false",
       .description = "write 0x12A0 = 1 after each log-on: answers carry identifier bit 2"},
      {.name = "channels",
       .type = T::kInteger,
       .default_text = "0",
       .minimum = 0,
       .maximum = kMaxChannels,
       .description = "number of channels; 0: ask the module"},
      {.name = "channel_ramp",
       .type = T::kChoice,
       .default_text = "auto",
       .choices = {"auto", "yes", "no"},
       .description =
           "use the ramp speeds of the channels (0x4123, 0x4124); auto: where the module "
           "answers them"},
      {.name = "read_back_tolerance",
       .type = T::kNumber,
       .unit = "%",
       .default_text = "0 %",
       .minimum = 0,
       .maximum = 5,
       .description = "a set value that reads back within this part of the nominal value counts as "
                      "taken; 0: exactly as written"},
      {.name = "settle_tolerance",
       .type = T::kNumber,
       .unit = "%",
       .default_text = "0.5 %",
       .minimum = 0.001,
       .maximum = 20,
       .description = "the measured voltage counts as settled within this part of the nominal "
                      "voltage, or within the channel's voltage bounds where these are wider"},
  };
}

Settings ParseSettings(const DeviceConfig& config) {
  Settings s;
  s.address = {.number = static_cast<int>(config.Parameter("address").integer()),
               .crate = config.Parameter("class").text() == "crate",
               .line = static_cast<int>(config.Parameter("line").integer())};
  s.fast_period = Seconds(config.Parameter("poll"));
  s.slow_period = Seconds(config.Parameter("slow_poll"));
  s.rare_period = Seconds(config.Parameter("verify_poll"));
  s.single_timeout = Seconds(config.Parameter("read_timeout"));
  s.multiple_timeout = Seconds(config.Parameter("multiple_timeout"));
  s.short_form = config.Parameter("short_form").flag();
  s.group_lists = config.Parameter("group_lists").flag();
  s.anti_collision = config.Parameter("anti_collision").flag();
  s.channels = static_cast<int>(config.Parameter("channels").integer());
  const std::string& ramp = config.Parameter("channel_ramp").text();
  s.channel_ramp = ramp == "yes"  ? ChannelRampUse::kYes
                   : ramp == "no" ? ChannelRampUse::kNo
                                  : ChannelRampUse::kAuto;
  s.read_back_tolerance_percent = config.Parameter("read_back_tolerance").AsNumber();
  s.settle_tolerance_percent = config.Parameter("settle_tolerance").AsNumber();
  return s;
}

std::optional<ConfiguredLimit> FindLimit(const DeviceConfig& config, std::string_view name) {
  const auto it = config.limits.find(name);
  if (it == config.limits.end()) return std::nullopt;
  const auto origin = config.limit_origins.find(name);
  return ConfiguredLimit{
      it->second, origin == config.limit_origins.end() ? "the configuration" : origin->second};
}

}  // namespace canhub::iseg
