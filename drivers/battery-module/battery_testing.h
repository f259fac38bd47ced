// For tests: a pack driver and its simulator on one line, and frames by hand.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "drivers/api/battery.h"
#include "drivers/battery-module/driver.h"
#include "drivers/battery-module/layout.h"
#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"
#include "drivers/testing/test_line.h"

namespace canhub::battery_module {

using Overrides = std::vector<std::pair<std::string, Value>>;

// Three modules, so that tests are quick.
inline DeviceConfig TestConfig(Overrides overrides = {}) {
  overrides.insert(overrides.begin(), {"sim_modules", Value::Integer(3)});
  return DefaultConfig("bat0", Info().parameters, std::move(overrides));
}

inline BusInfo TestBus() { return {.id = "can0", .bitrate = 500000}; }

struct Bench : TestBench {
  explicit Bench(Overrides overrides = {})
      : TestBench(Info(), TestConfig(std::move(overrides)), TestBus()) {}
  absl::Status Fault(std::string_view name, Arguments arguments = {}) {
    return simulator->InjectFault(name, arguments);
  }
  absl::Status Force(const char* signal, double value, int module = 1) {
    return Fault("force", {{"module", Value::Integer(module)},
                           {"signal", Value::Text(signal)},
                           {"value", Value::Number(value)}});
  }
  bool Alarm(std::string_view code) const { return h.alarms.active(code); }
  int Level(std::string_view item = battery::pack::kLevel) const {
    return static_cast<int>(h.state.Read(item).value.integer());
  }
  void Pass(Duration time) { h.Advance(time); }
};

inline Arguments OfModule(int module) { return {{"module", Value::Integer(module)}}; }

// A driver alone: frames go in by hand, written out byte by byte.
struct Alone {
  explicit Alone(Overrides overrides = {})
      : h(TestConfig(std::move(overrides)), TestBus()), driver(Info().create(h.Context())) {
    driver->OnBusState(BusState::kActive);
    driver->Start();
  }
  void Receive(const char* frame) { driver->OnFrame(h.Rx(*ParseFrame(frame))); }
  // The frames of module 1 as they are normally: 47.3 V, twelve cells at 3.94 V, 20 to 22 degC.
  void ReceiveNormal(const char* voltage = "181#00007A12AEAE1416") {
    Receive(voltage);
    Receive("381#AEAEAEAEAEAEAEAE");
    Receive("481#AEAEAEAE00000000");
  }
  // Counts the pack, with module 1 alone.
  void Count() {
    for (int i = 0; i < 11; ++i) {
      ReceiveNormal();
      h.Advance(std::chrono::milliseconds(100));
    }
  }
  // `times` polls with these frames among the normal ones.
  void Poll(const std::vector<const char*>& frames, int times = 1) {
    for (int i = 0; i < times; ++i) {
      h.Advance(std::chrono::milliseconds(100));
      for (const char* frame : frames) Receive(frame);
    }
  }
  double Number(std::string_view item) const { return h.state.Read(item).value.AsNumber(); }
  Quality QualityOf(std::string_view item) const { return h.state.Read(item).quality; }
  bool Alarm(std::string_view code) const { return h.alarms.active(code); }
  int Level(std::string_view item = battery::pack::kLevel) const {
    return static_cast<int>(h.state.Read(item).value.integer());
  }

  DriverHarness h;
  std::unique_ptr<Driver> driver;
};

}  // namespace canhub::battery_module
