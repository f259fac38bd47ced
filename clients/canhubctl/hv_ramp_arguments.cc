#include "clients/canhubctl/hv_ramp_arguments.h"

namespace canhub::ctl {

Parsed<RampArguments> ParseRampArguments(std::vector<std::string> values) {
  using Result = Parsed<RampArguments>;
  if (values.empty() || values.size() > 3) {
    return Result::Error("expected [CH] UP [DOWN], found " + std::to_string(values.size()) +
                         " values");
  }
  RampArguments result;
  const bool starts_with_channel =
      values.size() == 3 ||
      (values.size() == 2 && (values[0] == "all" || ParseChannels(values[0]).ok()));
  if (starts_with_channel) {
    if (values[0] != "all") {
      const Parsed<std::vector<uint32_t>> channels = ParseChannels(values[0]);
      if (!channels.ok()) return Result::Error("channel " + channels.error() + ", or \"all\"");
      result.channel_text = values[0];
    }
    values.erase(values.begin());
  }
  const Parsed<double> up = ParseQuantity(values[0], "V/s");
  if (!up.ok()) return Result::Error("ramp speed up: " + up.error());
  const Parsed<double> down = ParseQuantity(values.back(), "V/s");
  if (!down.ok()) return Result::Error("ramp speed down: " + down.error());
  result.up_v_per_s = *up;
  result.down_v_per_s = *down;
  return result;
}

}  // namespace canhub::ctl
