#include "drivers/ystech-pcs/settings.h"

#include <cmath>

#include "drivers/ystech-pcs/codec_settings.h"

namespace canhub::ystech_pcs {
namespace {

Duration Seconds(const Value& value) { return Duration(std::llround(value.AsNumber() * 1e9)); }

}  // namespace

std::vector<ParameterSpec> DriverParameters() {
  using T = ParameterType;
  std::vector<ParameterSpec> parameters = {
      {.name = "address",
       .type = T::kInteger,
       .default_text = "0xFA",
       .minimum = 1,
       .maximum = 254,
       .description = "CAN address of the module or cabinet; not 0xB4, the controller's"},
      {.name = "external_voltage",
       .type = T::kItem,
       .default_text = "",
       .description = "item in V that measures the battery; sent with every heartbeat while it is "
                      "GOOD, otherwise zero"},
      {.name = "external_current",
       .type = T::kItem,
       .default_text = "",
       .description =
           "item in A that measures the battery's current, positive while it discharges"},
      {.name = "invert_external_current",
       .type = T::kFlag,
       .default_text = "false",
       .description = "the item is positive while the battery charges"},
      {.name = "lost_after",
       .type = T::kDuration,
       .default_text = "1 s",
       .minimum = 0.4,
       .maximum = 60,
       .description =
           "without a status frame the converter is lost; readings of periodic frames are "
           "GOOD for so long (they come every 200 ms)"},
      {.name = "reply_timeout",
       .type = T::kDuration,
       .default_text = "3 s",
       .minimum = 0.1,
       .maximum = 30,
       .description = "wait for the reply to a command"},
      {.name = "poll",
       .type = T::kDuration,
       .default_text = "2 s",
       .minimum = 0.2,
       .maximum = 600,
       .description = "period in which mode, parameters, inputs and outputs are read"},
      {.name = "slow_poll",
       .type = T::kDuration,
       .default_text = "30 s",
       .minimum = 1,
       .maximum = 3600,
       .description = "period in which protection parameters and settings are read"},
  };
  for (ParameterSpec& codec : CodecParameters()) parameters.push_back(std::move(codec));
  return parameters;
}

Settings ParseSettings(const DeviceConfig& config) {
  Settings s;
  s.address = static_cast<uint8_t>(config.Parameter("address").integer());
  s.codec = ParseCodecOptions(config);
  s.lost_after = Seconds(config.Parameter("lost_after"));
  s.reply_timeout = Seconds(config.Parameter("reply_timeout"));
  s.poll = Seconds(config.Parameter("poll"));
  s.slow_poll = Seconds(config.Parameter("slow_poll"));
  s.external_voltage = config.Parameter("external_voltage").text();
  s.external_current = config.Parameter("external_current").text();
  s.invert_external_current = config.Parameter("invert_external_current").flag();
  return s;
}

std::optional<ConfiguredLimit> FindLimit(const DeviceConfig& config, std::string_view name) {
  const auto it = config.limits.find(name);
  if (it == config.limits.end()) return std::nullopt;
  const auto origin = config.limit_origins.find(name);
  return ConfiguredLimit{
      it->second, origin == config.limit_origins.end() ? "the configuration" : origin->second};
}

}  // namespace canhub::ystech_pcs
