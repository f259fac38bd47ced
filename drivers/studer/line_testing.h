// For tests: one unit's driver and the simulated gateway on a line, on a virtual clock.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/studer/codec.h"
#include "drivers/studer/driver.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/simulator.h"
#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"

namespace canhub::studer {

using Parameters = std::map<std::string, Value, std::less<>>;

// A device with every key at its default but those given.
inline DeviceConfig TestConfig(Parameters parameters = {}) {
  DeviceConfig config = DefaultConfig("xt1", Info().parameters, {{"unit", Value::Text("xtender")}});
  for (auto& [name, value] : parameters) config.parameters.insert_or_assign(name, value);
  return config;
}

// A gateway's configuration: the whole plant.
inline DeviceConfig PlantConfig(Parameters parameters = {}) {
  parameters.insert_or_assign("unit", Value::Text("gateway"));
  DeviceConfig config = TestConfig(std::move(parameters));
  config.id = "xcom1";
  return config;
}

// Two nodes and the frames between them; each frame takes a millisecond.
class TestLine {
 public:
  static constexpr Duration kWireTime = std::chrono::milliseconds(1);

  explicit TestLine(DriverHarness& h) : h_(h) {
    h_.bus.OnSend([this](const TxFrame& tx) {
      sent_.push_back(tx);
      if (!carries_) return;
      h_.timers.After(kWireTime, [this, tx] {
        const bool may = tx.guard == nullptr || tx.guard->MaySend(h_.clock.Now());
        const TxOutcome outcome = may ? TxOutcome::kOnWire : TxOutcome::kExpired;
        if (may && simulator_ != nullptr) simulator_->OnFrame(h_.Rx(tx.frame));
        if (driver_ != nullptr && tx.tag != 0) {
          driver_->OnTxReport({tx.tag, outcome, h_.clock.Now()});
        }
      });
    });
  }

  void Connect(Driver* driver, Simulator* simulator) {
    driver_ = driver;
    simulator_ = simulator;
  }
  // Frames are lost, and never reported, while it does not carry.
  void Carry(bool carries) { carries_ = carries; }

  // Of the driver, since the last call.
  std::vector<Request> TakeRequests() {
    std::vector<Request> requests;
    for (const TxFrame& tx : std::exchange(sent_, {})) {
      requests.push_back(*DecodeRequest(tx.frame));
    }
    return requests;
  }
  std::vector<TxFrame> TakeSent() { return std::exchange(sent_, {}); }

  // The simulator's way to the line.
  class Port final : public FrameSender {
   public:
    explicit Port(TestLine* line) : line_(line) {}
    absl::Status Send(TxFrame tx) override {
      line_->answers_.push_back(tx.frame);
      line_->h_.timers.After(kWireTime, [line = line_, frame = tx.frame] { line->Deliver(frame); });
      return absl::OkStatus();
    }

   private:
    TestLine* const line_;
  };
  FrameSender& simulator_port() { return port_; }
  std::vector<CanFrame> TakeAnswers() { return std::exchange(answers_, {}); }

  void Deliver(const CanFrame& frame) {
    if (driver_ == nullptr) return;
    for (const CanFilter& filter : Info().filters(h_.config)) {
      if (filter.Matches(frame)) return driver_->OnFrame(h_.Rx(frame));
    }
  }

 private:
  DriverHarness& h_;
  Driver* driver_ = nullptr;
  Simulator* simulator_ = nullptr;
  bool carries_ = true;
  std::vector<TxFrame> sent_;
  std::vector<CanFrame> answers_;
  Port port_{this};
};

// A driver of one unit in front of a whole plant.
struct TestUnit {
  explicit TestUnit(Parameters parameters = {}, Parameters plant = {})
      : h(TestConfig(std::move(parameters))),
        plant_config(PlantConfig(std::move(plant))),
        line(h),
        simulator({plant_config, h.clock, h.timers, line.simulator_port(), 1}) {
    h.memory.SaveAtOnce();
    MakeDriver();
    simulator.Start();
  }
  ~TestUnit() { line.Connect(nullptr, nullptr); }

  void MakeDriver() {
    line.Connect(nullptr, nullptr);
    driver = Info().create(h.Context());
    line.Connect(driver.get(), &simulator);
  }
  void Start() {
    driver->OnBusState(BusState::kActive);
    driver->Start();
  }
  // Started, found and polled.
  void StartPolled() {
    Start();
    for (int i = 0; i < 200 && !h.state.polled(); ++i) h.Advance(std::chrono::milliseconds(50));
    line.TakeSent();
    line.TakeAnswers();
  }
  // Carries a command out; nullptr: it has not ended.
  const RecordingReporter::Finished* Run(Command command,
                                         Duration time = std::chrono::milliseconds(500)) {
    const CommandId id = command.id;
    driver->Execute(std::move(command));
    h.Advance(time);
    return h.commands.finished(id);
  }
  absl::Status Fault(std::string_view name, Arguments arguments = {}) {
    return simulator.InjectFault(name, arguments);
  }

  DriverHarness h;
  const DeviceConfig plant_config;
  TestLine line;
  StuderSimulator simulator;
  std::unique_ptr<Driver> driver;
};

}  // namespace canhub::studer
