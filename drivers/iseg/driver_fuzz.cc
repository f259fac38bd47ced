// The driver as a whole on any order of frames, answers, times, bus states and commands, with or
// without a simulated device behind it. Whatever comes: nothing that sets goes out without a
// command (S01) or after its guard (S02), and every command ends exactly once.
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/iseg/edcp.h"
#include "drivers/iseg/line_testing.h"
#include "drivers/iseg/settings.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What one input may take.
constexpr int kMostSteps = 96;
constexpr auto kMostTime = seconds(15);

// Reads, and logging on: what a driver may send of its own accord (S01).
bool Acts(const CanFrame& frame) {
  const bool reads = (frame.id & kReadBit) != 0;
  const bool logs_on = frame.dlc == 2 && frame.data[0] == kDcpLogOn && frame.data[1] == 1;
  return !reads && !logs_on;
}

// Between the driver and the line: judges every frame.
class JudgingSender final : public FrameSender {
 public:
  JudgingSender(FrameSender& line, const Clock& clock) : line_(line), clock_(clock) {}
  // Live insertion stays on by itself once it was asked for (README).
  bool live_insertion = false;
  int commands = 0;
  bool refuses = false;

  absl::Status Send(TxFrame tx) override {
    Require(tx.frame.dlc >= 1 && tx.frame.dlc <= 8 && !tx.frame.remote,
            "a driver sends data frames", FormatFrame(tx.frame));
    if (Acts(tx.frame)) {
      Require(commands > 0, "S01: nothing that sets without a command", FormatFrame(tx.frame));
      const bool repeats_live = live_insertion && tx.frame.data[0] == uint8_t(Nmt::kLiveInsertion);
      Require(tx.guard != nullptr || repeats_live, "S02: what sets has a guard",
              FormatFrame(tx.frame));
      Require(tx.guard == nullptr || tx.guard->MaySend(clock_.Now()),
              "S02: nothing is sent after its guard", FormatFrame(tx.frame));
    }
    if (refuses) return absl::ResourceExhaustedError("the queue is full");
    return line_.Send(std::move(tx));
  }

 private:
  FrameSender& line_;
  const Clock& clock_;
};

DeviceConfig Config(uint8_t form) {
  return TestConfig({{"class", Value::Text((form & 1) != 0 ? "crate" : "module")},
                     {"line", Value::Integer((form & 2) != 0 ? 1 : 0)},
                     {"channels", Value::Integer((form & 4) != 0 && (form & 1) == 0 ? 3 : 0)},
                     {"group_lists", Value::Flag((form & 8) != 0)},
                     {"sim_channels", Value::Integer(2)},
                     {"sim_dcp_only", Value::Flag((form & 0x20) != 0)}});
}

class Run {
 public:
  explicit Run(FuzzInput input)
      : input_(input), form_(input_.Byte()), h_(Config(form_)), end_(h_.clock.Now() + kMostTime) {
    if ((form_ & 0x80) == 0) {
      simulator_ = Info().create_simulator(
          {h_.config, h_.clock, h_.timers, line_.port(TestLine::From::kSimulator), 1});
    }
    driver_ = Info().create(h_.Context(sender_));
    line_.Connect(driver_.get(), simulator_.get());
    if (simulator_) simulator_->Start();
    driver_->OnBusState(BusState::kActive);
    driver_->Start();
    if (simulator_ && (form_ & 0x40) == 0) {
      for (int i = 0; i < 100 && !h_.state.polled(); ++i) h_.Advance(milliseconds(50));
    }
    line_.ClearLog();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() { line_.Connect(nullptr, nullptr); }

  void Go() {
    for (int i = 0; i < kMostSteps && !input_.empty() && h_.clock.Now() < end_; ++i) Step();
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
    switch (input_.Below(16)) {
      case 0:
      case 1:
        return Frame();
      case 2:
      case 3:
      case 4:
      case 5:
        return Answer();
      case 6:
        return h_.Advance(milliseconds(input_.Byte()));
      case 7:
        return h_.Advance(milliseconds(50 * int{input_.Byte()}));
      case 8:
        return line_.SetBus(static_cast<BusState>(input_.Below(6)));
      case 9:
      case 10:
        return Write();
      case 11:
      case 12:
        return Act();
      case 13:
        return driver_->Cancel(1 + input_.Below(h_.last_command() + 2),
                               absl::AbortedError("overtaken"));
      case 14:
        return Refresh();
      default:
        return Disturb();
    }
  }

  void Frame() {
    CanFrame frame = input_.Frame();
    // Mostly from the device.
    if ((frame.id & 0x7) != 0x7) {
      const DeviceAddress device = ParseSettings(h_.config).address;
      frame.id = (frame.id & 1) != 0 ? ReadId(device) : WriteId(device);
      frame.extended = device.line != 0;
      frame.remote = false;
    }
    if (Info().filters(h_.config)[0].Matches(frame)) driver_->OnFrame(h_.Rx(frame));
  }

  // What the driver reads gets an answer of the right form with any value.
  void Answer() {
    for (size_t i = answered_; i < line_.log().size(); ++i) {
      const TestLine::Sent& sent = line_.log()[i];
      answered_ = i + 1;
      if (sent.from != TestLine::From::kDriver || (sent.frame.id & kReadBit) == 0) continue;
      CanFrame frame = sent.frame;
      frame.id &= ~kReadBit;
      // A read of many channels is answered by one of them.
      if (frame.dlc == 5) {
        frame.data[2] = static_cast<uint8_t>(frame.data[4] + input_.Below(16));
        frame.dlc = 3;
      }
      const std::span<const uint8_t> value =
          input_.Bytes(std::min<size_t>(input_.Below(8), 8u - frame.dlc));
      std::copy(value.begin(), value.end(), frame.data.begin() + frame.dlc);
      frame.dlc = static_cast<uint8_t>(frame.dlc + value.size());
      driver_->OnFrame(h_.Rx(frame));
      h_.Advance(milliseconds(1));
      return;
    }
    h_.Advance(milliseconds(2));
  }

  Value TakeValue(ValueType type) {
    switch (type) {
      case ValueType::kFlag:
        return Value::Flag((input_.Byte() & 1) != 0);
      case ValueType::kInteger:
        return Value::Integer(input_.Take<int16_t>());
      case ValueType::kNumber: {
        const float number = std::bit_cast<float>(input_.Take<uint32_t>());
        return Value::Number(std::isfinite(number) ? number : 0);
      }
      default:
        return Value::Text(input_.Text(input_.Below(20)));
    }
  }

  void Execute(Command command) {
    command.wait_for = static_cast<Stage>(1 + input_.Below(4));
    ++sender_.commands;
    driver_->Execute(std::move(command));
  }

  // Items that the gate lets through, with values in the range that it checks.
  void Write() {
    const ItemTable& items = h_.state.items();
    std::vector<ItemWrite> writes;
    const size_t count = 1 + input_.Below(3);
    for (size_t i = 0; i < count && items.size() > 0; ++i) {
      const ItemId item = input_.Take<uint16_t>() % items.size();
      const ItemSpec& spec = items.Spec(item);
      if (spec.access == Access::kReadOnly) continue;
      Value value = TakeValue(spec.type);
      if (spec.type == ValueType::kInteger || spec.type == ValueType::kNumber) {
        const double number = value.AsNumber();
        if ((spec.minimum && number < *spec.minimum) || (spec.maximum && number > *spec.maximum)) {
          continue;
        }
      }
      writes.push_back({item, std::move(value)});
    }
    if (!writes.empty()) Execute(h_.Writes(std::move(writes)));
  }

  void Act() {
    const std::vector<ActionSpec>& actions = Info().actions;
    const ActionSpec& action = actions[input_.Below(actions.size())];
    Arguments arguments;
    for (const ActionArgument& argument : action.arguments) {
      if (!argument.needed && (input_.Byte() & 1) != 0) continue;
      arguments.emplace_back(argument.name, TakeValue(argument.type));
    }
    if (std::string_view(action.name) == high_voltage::action::kLiveInsertionOn) {
      sender_.live_insertion = true;
    }
    Execute(h_.Action(action.name, std::move(arguments), Stage::kConfirmed,
                      action.safe && (input_.Byte() & 1) != 0 ? Urgency::kSafe : Urgency::kCommand,
                      milliseconds(100 * int{input_.Byte()})));
  }

  void Refresh() {
    const ItemTable& items = h_.state.items();
    std::vector<ItemId> wanted;
    const size_t count = input_.Below(8);
    for (size_t i = 0; i < count && items.size() > 0; ++i) {
      wanted.push_back(input_.Take<uint16_t>() % items.size());
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
        // Reports that belong to nothing, or come twice.
        return driver_->OnTxReport(
            {input_.Byte(), static_cast<TxOutcome>(input_.Below(5)), h_.clock.Now()});
      case 2:
        line_.lose = [form](TestLine::From, const CanFrame& frame) {
          return (frame.data[1] & form >> 3) == form >> 3;
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
        h_.clock.JumpWall(seconds(input_.Take<int16_t>()));
        return;
      case 6:
        return driver_->OnLimitsChanged();
      default:
        if (simulator_) {
          const std::vector<FaultSpec>& faults = Info().faults;
          simulator_
              ->InjectFault(faults[input_.Below(faults.size())].name,
                            Channel(static_cast<int>(input_.Below(3))))
              .IgnoreError();
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
  size_t answered_ = 0;
};

}  // namespace
}  // namespace canhub::iseg

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::iseg::Run(canhub::FuzzInput(data, size)).Go();
  return 0;
}
