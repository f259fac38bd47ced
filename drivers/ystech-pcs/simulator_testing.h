// One simulated converter on a virtual clock, with a controller that sends heartbeats. For tests
// only.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"
#include "drivers/ystech-pcs/codec_settings.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/frames.h"
#include "drivers/ystech-pcs/modes.h"
#include "drivers/ystech-pcs/simulator.h"
#include "drivers/ystech-pcs/states.h"
#include "gtest/gtest.h"

namespace canhub::ystech_pcs {

inline DeviceConfig SimulatorConfig(std::vector<std::pair<std::string, Value>> overrides = {}) {
  std::vector<ParameterSpec> parameters = SimulatorParameters();
  for (ParameterSpec& parameter : CodecParameters()) parameters.push_back(std::move(parameter));
  overrides.insert(overrides.begin(),
                   {{"address", Value::Integer(kDefaultAddress)}, {"sim_noise", Value::Number(0)}});
  return DefaultConfig("pcs0", parameters, std::move(overrides));
}

class SimulatorTest : public ::testing::Test {
 protected:
  using Overrides = std::vector<std::pair<std::string, Value>>;

  // Address 0xFA, no noise, 400 V and 0.1 ohm, unless told otherwise. Ends 50 ms after the first
  // cycle.
  void Boot(Overrides overrides = {}) {
    simulator_.reset();
    log_.clear();
    harness_ = std::make_unique<DriverHarness>(SimulatorConfig(std::move(overrides)));
    harness_->bus.OnSend(
        [this](const TxFrame& tx) { log_.emplace_back(harness_->clock.Now(), tx.frame); });
    simulator_ = CreateSimulator(harness_->ForSimulator());
    simulator_->Start();
    harness_->timers.Every(std::chrono::milliseconds(kPeriodMilliseconds), [this] {
      if (beats_) Send("181AFAB4#0000271002000000");  // row 23
    });
    Advance(std::chrono::milliseconds(150));
  }

  void Advance(Duration by) { harness_->Advance(by); }
  void Send(std::string_view frame) { simulator_->OnFrame(harness_->Rx(*ParseFrame(frame))); }
  template <typename T>
  void Command(Pf pf, const T& message) {
    simulator_->OnFrame(harness_->Rx(*EncodeAs(pf, kDefaultAddress, message)));
  }
  // The replies to a frame, within 20 ms.
  std::vector<std::string> Ask(std::string_view frame) {
    const size_t before = log_.size();
    Send(frame);
    Advance(std::chrono::milliseconds(20));
    std::vector<std::string> replies;
    for (size_t i = before; i < log_.size(); ++i) {
      const CanFrame& sent = log_[i].second;
      const FrameSpec* spec = FindFrame(static_cast<uint8_t>(sent.id >> 16));
      if (spec != nullptr && spec->sent == Sent::kReply) replies.push_back(FormatFrame(sent));
    }
    return replies;
  }
  std::string AskOne(std::string_view frame) {
    const std::vector<std::string> replies = Ask(frame);
    return replies.size() == 1 ? replies[0] : std::to_string(replies.size()) + " replies";
  }
  // All frames of one code, as text.
  std::vector<std::string> All(Pf pf) const {
    std::vector<std::string> frames;
    for (const auto& [time, frame] : log_) {
      if ((frame.id >> 16 & 0xFF) == static_cast<uint32_t>(pf))
        frames.push_back(FormatFrame(frame));
    }
    return frames;
  }
  // The newest frame of one code; the test fails when there is none.
  template <typename T>
  T Newest(Pf pf) const {
    const auto newest = std::find_if(log_.rbegin(), log_.rend(), [pf](const auto& sent) {
      return (sent.second.id >> 16 & 0xFF) == static_cast<uint32_t>(pf);
    });
    EXPECT_NE(newest, log_.rend()) << FrameOf(pf).name;
    if (newest == log_.rend()) return {};
    return As<T>(*Decode(newest->second, ParseCodecOptions(harness_->config)));
  }
  State state() const { return static_cast<State>(Newest<Status>(Pf::kStatus).running_state); }
  int code() const { return Newest<Status>(Pf::kStatus).fault_code; }
  // The states that were shown, without repetitions.
  std::vector<State> Path() const {
    std::vector<State> path;
    for (const std::string& text : All(Pf::kStatus)) {
      const auto shown = static_cast<State>(As<Status>(*Decode(*ParseFrame(text))).running_state);
      if (path.empty() || path.back() != shown) path.push_back(shown);
    }
    return path;
  }
  double Voltage() const { return Newest<HighResDc>(Pf::kHighResDc).voltage_v; }
  double Current() const { return Newest<HighResDc>(Pf::kHighResDc).current_a; }

  // Mode and parameters, which the converter must accept.
  void Set(Mode mode, std::vector<double> values) {
    Command(Pf::kSetWorkingMode, WorkingMode{.mode = static_cast<int>(mode)});
    const ModeCounts counts = *ToCounts(*FindMode(static_cast<int>(mode)), values);
    Command(Pf::kSetModeParams12, ModeParams{counts[0], counts[1]});
    if (values.size() > 2) Command(Pf::kSetModeParams34, ModeParams{counts[2], counts[3]});
    Advance(std::chrono::milliseconds(20));
    EXPECT_EQ(All(Pf::kSetModeReply).back(), "180EB4FA#0100000000000000");
  }
  // Until the run has begun: self check, soft start, and the next cycle.
  void StartRun() {
    EXPECT_EQ(AskOne("180FFAB4#0100000000000000"), "1810B4FA#0100000000000000");
    Advance(std::chrono::milliseconds(2600));
  }
  void Run(Mode mode, std::vector<double> values) {
    Set(mode, std::move(values));
    StartRun();
  }
  void Stop() { EXPECT_EQ(AskOne("180FFAB4#0000000000000000"), "1810B4FA#0100000000000000"); }
  void Inject(std::string_view fault, const Arguments& arguments = {}) {
    const absl::Status status = simulator_->InjectFault(fault, arguments);
    ASSERT_TRUE(status.ok()) << status;
  }
  void ClearFaults() { ASSERT_TRUE(simulator_->ClearFaults("").ok()); }

  bool beats_ = true;
  std::vector<std::pair<MonoTime, CanFrame>> log_;
  std::unique_ptr<DriverHarness> harness_;
  std::unique_ptr<Simulator> simulator_;
};

}  // namespace canhub::ystech_pcs
