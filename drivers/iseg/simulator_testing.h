// One simulated device on a virtual clock, spoken to in cansend's form. For tests only.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/iseg/edcp.h"
#include "drivers/iseg/simulator.h"
#include "drivers/testing/driver_harness.h"
#include "gtest/gtest.h"

namespace canhub::iseg {

class SimulatorTest : public ::testing::Test {
 protected:
  using Parameters = std::map<std::string, Value, std::less<>>;

  // Module 2 (0x210) with four channels of 1000 V and 1 mA, without noise, unless told otherwise.
  static Parameters Defaults() {
    return {{"class", Value::Text("module")},
            {"address", Value::Integer(2)},
            {"line", Value::Integer(0)},
            {"sim_model", Value::Text("E16C1")},
            {"sim_channels", Value::Integer(4)},
            {"sim_nominal_voltage", Value::Number(1000)},
            {"sim_nominal_current", Value::Number(1e-3)},
            {"sim_answer_delay", Value::Number(0.002)},
            {"sim_load_resistance", Value::Number(1e9)},
            {"sim_load_capacitance", Value::Number(1e-12)},
            {"sim_noise", Value::Number(0)},
            {"sim_keep_set_values", Value::Flag(false)},
            {"sim_dcp_only", Value::Flag(false)},
            {"sim_anti_collision", Value::Flag(true)},
            {"sim_crate", Value::Integer(-1)},
            {"sim_bit_rate", Value::Integer(125)}};
  }

  void Boot(const Parameters& changes = {}) {
    Parameters parameters = Defaults();
    for (const auto& [name, value] : changes) parameters[name] = value;
    simulator_.reset();
    harness_ = std::make_unique<DriverHarness>(
        DeviceConfig{.id = "hv0", .parameters = std::move(parameters)});
    simulator_ = CreateSimulator(harness_->ForSimulator());
    simulator_->Start();
    harness_->Advance(std::chrono::seconds(1));
  }
  // Also logs on, so that no announcement comes between.
  void BootLoggedOn(const Parameters& changes = {}) {
    Boot(changes);
    Send("210#D801");
    harness_->bus.Take();
  }

  void Send(std::string_view frame) { simulator_->OnFrame(harness_->Rx(*ParseFrame(frame))); }
  // What the device sent since the last look.
  std::vector<std::string> Sent() {
    std::vector<std::string> texts;
    for (const CanFrame& frame : harness_->bus.Take()) texts.push_back(FormatFrame(frame));
    return texts;
  }
  // Sends a request and waits for its answers.
  std::vector<std::string> Ask(std::string_view frame) {
    harness_->bus.Take();
    Send(frame);
    Advance(std::chrono::milliseconds(80));
    return Sent();
  }
  std::string AskOne(std::string_view frame) {
    const std::vector<std::string> answers = Ask(frame);
    return answers.size() == 1 ? answers[0] : std::to_string(answers.size()) + " answers";
  }
  // The value that the one answer to a request holds.
  double Number(std::string_view request) {
    const std::string text = AskOne(request);
    const absl::StatusOr<CanFrame> frame = ParseFrame(text);
    EXPECT_TRUE(frame.ok()) << request << " gave " << text;
    if (!frame.ok()) return -1e9;
    const absl::StatusOr<Answer> answer = ParseAnswer(*frame);
    EXPECT_TRUE(answer.ok()) << text;
    if (!answer.ok()) return -1e9;
    const absl::StatusOr<WireValue> value = DecodeAnswer(*answer);
    EXPECT_TRUE(value.ok()) << text;
    return value.ok() ? value->value.AsNumber() : -1e9;
  }
  uint32_t Word(std::string_view request) { return static_cast<uint32_t>(Number(request)); }
  void Advance(Duration by) { harness_->Advance(by); }
  void Inject(std::string_view fault, const Arguments& arguments = {}) {
    const absl::Status status = simulator_->InjectFault(fault, arguments);
    ASSERT_TRUE(status.ok()) << status;
  }
  static Arguments Channel(int channel) { return {{"channel", Value::Integer(channel)}}; }

  std::unique_ptr<DriverHarness> harness_;
  std::unique_ptr<Simulator> simulator_;
};

}  // namespace canhub::iseg
