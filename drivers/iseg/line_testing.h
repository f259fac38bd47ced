// For tests: an iseg driver and its simulator on one line.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"
#include "drivers/iseg/driver.h"
#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"
#include "drivers/testing/test_line.h"

namespace canhub::iseg {

inline DeviceConfig TestConfig(std::vector<std::pair<std::string, Value>> overrides = {}) {
  DeviceConfig config = DefaultConfig("hv0", Info().parameters, {{"address", Value::Integer(2)}});
  for (auto& [name, value] : overrides) config.parameters[name] = std::move(value);
  return config;
}

inline Arguments Channel(int channel) { return {{"channel", Value::Integer(channel)}}; }
inline std::string Reason(const absl::Status& status) { return GetErrorInfo(status).reason; }

// A write on a device's own identifier that is no log-on.
inline bool IsSettingFrame(const CanFrame& frame) {
  return (frame.id & 1) == 0 && !(frame.dlc >= 1 && frame.data[0] == 0xD8);
}

struct Bench : TestBench {
  explicit Bench(DeviceConfig config = TestConfig(), BusInfo bus = {.id = "can0"})
      : TestBench(Info(), std::move(config), std::move(bus)) {
    line.is_setting = &IsSettingFrame;
  }
  // Channel on, at this voltage, settled.
  absl::Status SwitchOnAt(int channel, double volt) {
    if (absl::Status s = Set("ch" + std::to_string(channel) + ".voltage_set", Value::Number(volt));
        !s.ok()) {
      return s;
    }
    return Act(high_voltage::action::kSwitchOn, Channel(channel), Stage::kSettled);
  }
  void Replace(std::vector<std::pair<std::string, Value>> parameters) {
    TestBench::Replace(TestConfig(std::move(parameters)));
  }
};

}  // namespace canhub::iseg
