// The driver as a whole on any order of frames, answers, times, bus states and commands, with or
// without a simulated converter behind it. Whatever comes: nothing that sets goes out without a
// command (S01) or after its guard (S02), the heartbeat goes on (S04), and every command ends once.
#include <bit>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/testing/fuzz_input.h"
#include "drivers/ystech-pcs/driver_testing.h"
#include "drivers/ystech-pcs/pcs_driver.h"

namespace canhub::ystech_pcs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What one input may take.
constexpr int kMostSteps = 96;
constexpr auto kMostTime = seconds(60);

bool IsHeartbeat(const CanFrame& frame) { return (frame.id >> 16 & 0xFF) == 0x1A; }

// Between the driver and the line: judges every frame.
class JudgingSender final : public FrameSender {
 public:
  JudgingSender(FrameSender& line, const Clock& clock) : line_(line), clock_(clock) {}
  int commands = 0;
  bool refuses = false;
  MonoTime last_heartbeat{};

  absl::Status Send(TxFrame tx) override {
    Require(tx.frame.extended && !tx.frame.remote && tx.frame.dlc == 8,
            "every frame has 29 bits and 8 bytes", FormatFrame(tx.frame));
    if (IsHeartbeat(tx.frame)) last_heartbeat = clock_.Now();
    if (IsSettingFrame(tx.frame)) {
      Require(commands > 0, "S01: nothing that sets without a command", FormatFrame(tx.frame));
      Require(tx.guard != nullptr, "S02: what sets has a guard", FormatFrame(tx.frame));
      Require(tx.guard->MaySend(clock_.Now()) || tx.urgency == Urgency::kSafe,
              "S02: nothing is sent after its guard", FormatFrame(tx.frame));
    }
    if (refuses) return absl::ResourceExhaustedError("the queue is full");
    return line_.Send(std::move(tx));
  }

 private:
  FrameSender& line_;
  const Clock& clock_;
};

class Run {
 public:
  explicit Run(FuzzInput input)
      : input_(input),
        form_(input_.Byte()),
        h_(DriverConfig({{"external_voltage", Value::Text((form_ & 1) != 0 ? "bat0/v" : "")},
                         {"signed_powers", Value::Flag((form_ & 2) == 0)}})),
        end_(h_.clock.Now() + kMostTime) {
    h_.readings.Set("bat0/v",
                    {.quality = Quality::kGood, .value = Value::Number(400), .unit = "V"});
    if ((form_ & 4) != 0) h_.memory.SaveAtOnce();
    if ((form_ & 0x80) == 0) {
      simulator_ = Info().create_simulator(
          {h_.config, h_.clock, h_.timers, line_.port(TestLine::From::kSimulator), 1});
    }
    driver_ = Info().create(h_.Context(sender_));
    line_.Connect(driver_.get(), simulator_.get());
    if (simulator_) simulator_->Start();
    driver_->OnBusState(BusState::kActive);
    driver_->Start();
    if (simulator_) h_.Advance(seconds(4));
    line_.ClearLog();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() { line_.Connect(nullptr, nullptr); }

  void Go() {
    for (int i = 0; i < kMostSteps && !input_.empty() && h_.clock.Now() < end_; ++i) {
      Step();
      if (!CanTransmit(bus_)) continue;
      Require(h_.clock.Now() - sender_.last_heartbeat <= PcsDriver::kHeartbeatPeriod,
              "S04: the heartbeat goes on");
    }
    // A bus that is gone ends what is under way.
    line_.SetBus(BusState::kDown);
    h_.Advance(milliseconds(10));
    for (CommandId id = 1; id <= h_.last_command(); ++id) {
      Require(h_.commands.finished(id) != nullptr, "every command ends", std::to_string(id));
    }
    Require(h_.commands.errors().empty(), "a command ends once",
            h_.commands.errors().empty() ? "" : h_.commands.errors()[0]);
  }

 private:
  void Step() {
    switch (input_.Below(12)) {
      case 0:
        return Frame();
      case 1:
      case 2:
        return Reply();
      case 3:
        return h_.Advance(milliseconds(input_.Byte()));
      case 4:
        return h_.Advance(milliseconds(20 * int{input_.Byte()}));
      case 5:
        return SetBus(static_cast<BusState>(input_.Below(6)));
      case 6:
      case 7:
      case 8:
        return Act();
      case 9:
        return driver_->Cancel(1 + input_.Below(h_.last_command() + 2),
                               absl::AbortedError("overtaken"));
      case 10:
        return Refresh();
      default:
        return Disturb();
    }
  }

  void SetBus(BusState state) {
    const bool back = CanTransmit(state) && !CanTransmit(bus_);
    bus_ = state;
    line_.SetBus(state);
    // It goes on with the next beat.
    if (back) h_.Advance(PcsDriver::kHeartbeatPeriod);
  }

  void Frame() {
    const CanFrame frame = input_.Frame();
    for (const CanFilter& filter : Info().filters(h_.config)) {
      if (filter.Matches(frame)) return driver_->OnFrame(h_.Rx(frame));
    }
  }

  // Any frame of the device, with any data.
  void Reply() {
    CanFrame frame{.id = 0x1800B4FA | uint32_t{input_.Byte()} << 16, .extended = true, .dlc = 8};
    const std::span<const uint8_t> data = input_.Bytes(8);
    std::copy(data.begin(), data.end(), frame.data.begin());
    if ((frame.id & 0x1F00FFFF) == 0x1800B4FA) driver_->OnFrame(h_.Rx(frame));
  }

  Value TakeValue(ValueType type) {
    switch (type) {
      case ValueType::kFlag:
        return Value::Flag((input_.Byte() & 1) != 0);
      case ValueType::kInteger:
        return Value::Integer(input_.Take<int16_t>());
      case ValueType::kNumber: {
        // Mostly numbers that a person would write.
        if ((input_.Byte() & 3) != 0) return Value::Number(input_.Take<int16_t>() / 10.0);
        const double number = std::bit_cast<double>(input_.Take<uint64_t>());
        return Value::Number(std::isfinite(number) ? number : 0);
      }
      default: {
        static const std::vector<const char*> kWords = {"dc_constant_current",
                                                        "dc_cc_cv",
                                                        "dc_pulse_power",
                                                        "dc_constant_resistance",
                                                        "standby",
                                                        "idle",
                                                        "host",
                                                        "a_slave",
                                                        "automatic",
                                                        ""};
        return Value::Text(kWords[input_.Below(kWords.size())]);
      }
    }
  }

  void Act() {
    const std::vector<ActionSpec>& actions = Info().actions;
    const ActionSpec& action = actions[input_.Below(actions.size())];
    const std::string_view name = action.name;
    Arguments arguments;
    if ((name == "set_mode" || name == "update_parameters") && (input_.Byte() & 3) != 0) {
      arguments = (input_.Byte() & 1) != 0 ? CcCv() : Charge(-50);
    } else {
      for (const ActionArgument& argument : action.arguments) {
        if (!argument.needed && (input_.Byte() & 1) != 0) continue;
        arguments.emplace_back(argument.name, TakeValue(argument.type));
      }
    }
    Command command = h_.Action(
        action.name, std::move(arguments), static_cast<Stage>(1 + input_.Below(4)),
        action.safe ? Urgency::kSafe : Urgency::kCommand, milliseconds(100 * int{input_.Byte()}));
    ++sender_.commands;
    driver_->Execute(std::move(command));
  }

  void Refresh() {
    std::vector<ItemId> wanted;
    const size_t count = input_.Below(8);
    for (size_t i = 0; i < count; ++i) {
      wanted.push_back(input_.Take<uint16_t>() % h_.state.items().size());
    }
    driver_->Refresh(std::move(wanted), [](const absl::Status&) {});
  }

  void Disturb() {
    const uint8_t form = input_.Byte();
    switch (form & 7) {
      case 0:
        sender_.refuses = !sender_.refuses;
        return;
      case 1:
        return driver_->OnTxReport(
            {input_.Byte(), static_cast<TxOutcome>(input_.Below(5)), h_.clock.Now()});
      case 2:
        line_.lose = [form](TestLine::From, const CanFrame& frame) {
          return (frame.id >> 16 & 0x1F) == form >> 3;
        };
        return;
      case 3: {
        const uint8_t at = input_.Below(8);
        const uint8_t bits = input_.Byte();
        line_.garble = [at, bits](TestLine::From, CanFrame& frame) { frame.data[at] ^= bits; };
        return;
      }
      case 4:
        line_.lose = nullptr;
        line_.garble = nullptr;
        return;
      case 5:
        h_.memory.Saved((form & 8) != 0 ? absl::OkStatus() : absl::UnavailableError("disk full"));
        return;
      case 6:
        h_.config.limits["current"] = input_.Byte();
        return driver_->OnLimitsChanged();
      default:
        if (simulator_) {
          const std::vector<FaultSpec>& faults = Info().faults;
          simulator_->InjectFault(faults[input_.Below(faults.size())].name, {}).IgnoreError();
        }
        return;
    }
  }

  FuzzInput input_;
  const uint8_t form_;
  DriverHarness h_;
  const MonoTime end_;
  TestLine line_{h_, Info()};
  JudgingSender sender_{line_.port(TestLine::From::kDriver), h_.clock};
  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<Driver> driver_;
  BusState bus_ = BusState::kActive;
};

}  // namespace
}  // namespace canhub::ystech_pcs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::ystech_pcs::Run(canhub::FuzzInput(data, size)).Go();
  return 0;
}
