// For tests: a PCS driver and its simulator on one line.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/api/power_converter.h"
#include "drivers/testing/default_config.h"
#include "drivers/testing/fuzz_input.h"
#include "drivers/testing/test_line.h"
#include "drivers/ystech-pcs/driver.h"

namespace canhub::ystech_pcs {

using Overrides = std::vector<std::pair<std::string, Value>>;

// Address 0xFA, no noise; a simulated battery of 400 V.
inline DeviceConfig DriverConfig(Overrides overrides = {}) {
  overrides.insert(overrides.begin(), {"sim_noise", Value::Number(0)});
  return DefaultConfig("pcs1", Info().parameters, std::move(overrides));
}

// Codes that set or command something (PCS facts, section 5), out of the identifier's third byte.
inline bool IsSettingFrame(const CanFrame& frame) {
  switch ((frame.id >> 16) & 0xFF) {
    case 0x01:  // reads
    case 0x1D:
    case 0x1A:  // heartbeat
      return false;
    default:
      return true;
  }
}

inline std::string Reason(const absl::Status& status) { return GetErrorInfo(status).reason; }
inline Value Number(double value) { return Value::Number(value); }

// "dc_cc_cv", 400 V, charging with 50 A, ends at 5 A: rows 7, 11 and 12 of section 18.
inline Arguments CcCv() {
  return {{"mode", Value::Text("dc_cc_cv")},
          {"voltage_setpoint", Number(400)},
          {"current_setpoint", Number(-50)},
          {"end_current", Number(5)}};
}
inline Arguments Charge(double ampere) {
  return {{"mode", Value::Text("dc_constant_current")}, {"current_setpoint", Number(ampere)}};
}

struct Bench : TestBench {
  explicit Bench(Overrides overrides = {})
      : TestBench(Info(), DriverConfig(std::move(overrides)), {.id = "can0", .bitrate = 250000}) {
    line.is_setting = &IsSettingFrame;
    h.memory.SaveAtOnce();
  }
  // Ready, with nothing in the line's log.
  void Boot() {
    Require(StartAndPoll(), "a simulated converter answers");
    line.ClearLog();
  }
  absl::Status Stop() {
    return Run(h.Action("stop", {}, Stage::kConfirmed, Urgency::kSafe, std::chrono::minutes(10)));
  }
  // A charge with 50 A, running.
  void RunCharge() {
    Require(Act("set_mode", Charge(-50)).ok() && Act("start").ok(), "a simulated converter runs");
    line.ClearLog();
  }
  int64_t State() const { return h.state.Read("state").value.integer(); }
  const absl::Status& StatusOf(CommandId id) const { return h.commands.finished(id)->status; }
};

}  // namespace canhub::ystech_pcs
