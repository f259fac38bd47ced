// The battery frames on any bytes: values are finite, what is encoded is decoded again, refusals
// have stable reasons.
#include <cmath>
#include <string>

#include "drivers/studer/bms_codec.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::studer {
namespace {

void Check(const CanFrame& frame) {
  for (const BatteryCondition& condition : ConditionsOf(frame)) {
    Require(*condition.name != '\0', "a condition has a name");
  }
  const absl::StatusOr<BatteryReport> report = DecodeBattery(frame);
  if (!report.ok()) {
    const std::string reason = BadFrameReason(report.status());
    return Require(reason == "short_frame" || reason == "not_standard",
                   "a refusal has a stable reason", report.status().ToString());
  }
  for (const auto& value :
       {report->charge_voltage, report->charge_current_limit, report->discharge_current_limit,
        report->discharge_voltage, report->soc, report->soh, report->voltage, report->current,
        report->temperature, report->capacity}) {
    Require(!value || std::isfinite(*value), "a value is finite", FormatFrame(frame));
  }
  for (const uint32_t id : {kBmsLimits, kBmsMeasured, kBmsRequest}) {
    const std::optional<CanFrame> encoded = EncodeBattery(id, *report);
    if (!encoded) continue;
    const absl::StatusOr<BatteryReport> again = DecodeBattery(*encoded);
    Require(again.ok() && *again == *report, "what is encoded is decoded again",
            FormatFrame(frame));
  }
}

}  // namespace
}  // namespace canhub::studer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::FuzzInput input(data, size);
  while (!input.empty()) {
    canhub::CanFrame frame = input.Frame();
    // Mostly frames of a battery.
    if (!frame.extended && (frame.id & 0x400) == 0) frame.id = 0x350 | (frame.id & 0xF);
    canhub::studer::Check(frame);
  }
  return 0;
}
