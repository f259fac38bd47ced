#include "drivers/ystech-pcs/codec_settings.h"

namespace canhub::ystech_pcs {

std::vector<ParameterSpec> CodecParameters() {
  return {
      {.name = "signed_powers",
       .type = ParameterType::kFlag,
       .default_text = "true",
       .description = "powers are two's complement; false: the device sends magnitudes"},
      {.name = "power_factor_scale",
       .type = ParameterType::kChoice,
       .default_text = "0.1",
       .choices = {"0.1", "0.001"},
       .description = "power factor per count of the measured one (0x15): 0.1 as it is printed, "
                      "0.001 if that is a misprint"},
  };
}

CodecOptions ParseCodecOptions(const DeviceConfig& config) {
  return {
      .signed_powers = config.Parameter("signed_powers").flag(),
      .power_factor_counts = config.Parameter("power_factor_scale").text() == "0.001" ? 1000 : 10};
}

}  // namespace canhub::ystech_pcs
