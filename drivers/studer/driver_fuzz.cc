// A unit's driver on any order of frames, answers, times, bus states, turns and commands, with or
// without a gateway behind it. Whatever comes: nothing is written without a command (S01) or after
// its guard (S02), and every command ends exactly once.
#include <bit>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "drivers/studer/line_testing.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::studer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kMostSteps = 96;

// Between the driver and the line: judges every frame.
class JudgingSender final : public FrameSender {
 public:
  JudgingSender(FrameSender& line, const Clock& clock) : line_(line), clock_(clock) {}
  int commands = 0;
  bool refuses = false;

  absl::Status Send(TxFrame tx) override {
    const absl::StatusOr<Request> request = DecodeRequest(tx.frame);
    Require(request.ok(), "a driver sends requests", FormatFrame(tx.frame));
    if (request->service == Service::kWriteParameter) {
      Require(commands > 0, "S01: nothing is written without a command", FormatFrame(tx.frame));
      Require(tx.guard != nullptr, "S02: a write has a guard", FormatFrame(tx.frame));
      Require(tx.guard->MaySend(clock_.Now()), "S02: nothing is written after its guard",
              FormatFrame(tx.frame));
      Require(std::isfinite(request->value), "a written value is a number", FormatFrame(tx.frame));
      Require(request->part == 0 || request->part == 4, "bounds are not written",
              FormatFrame(tx.frame));
    }
    if (refuses) return absl::ResourceExhaustedError("the queue is full");
    return line_.Send(std::move(tx));
  }

 private:
  FrameSender& line_;
  const Clock& clock_;
};

constexpr const char* kUnits[] = {"xtender", "variotrack", "bsp",         "bms",
                                  "rcc",     "gateway",    "variostring", "xtender"};

class Run {
 public:
  explicit Run(FuzzInput input)
      : input_(input),
        form_(input_.Byte()),
        h_(TestConfig({{"unit", Value::Text(kUnits[form_ & 7])},
                       {"poll", Value::Number(1)},
                       {"flash_cap", Value::Integer((form_ & 8) != 0 ? 1 : 900)}})),
        plant_(PlantConfig()),
        line_(h_),
        sender_(h_.bus, h_.clock),
        simulator_({plant_, h_.clock, h_.timers, line_.simulator_port(), 1}) {
    if ((form_ & 0x10) != 0) h_.memory.SaveAtOnce();
    driver_ = Info().create(h_.Context(sender_));
    const bool alone = (form_ & 0x20) != 0;
    line_.Connect(driver_.get(), alone ? nullptr : &simulator_);
    simulator_.Start();
    driver_->OnBusState((form_ & 0x80) != 0 ? BusState::kDown : BusState::kActive);
    driver_->Start();
    if ((form_ & 0x40) == 0) h_.Advance(seconds(2));
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() { line_.Connect(nullptr, nullptr); }

  void Go() {
    for (int i = 0; i < kMostSteps && !input_.empty(); ++i) Step();
    driver_->OnBusState(BusState::kDown);
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
        return line_.Deliver(TakeFrame());
      case 2:
        return h_.Advance(milliseconds(input_.Byte()));
      case 3:
        return h_.Advance(milliseconds(50 * int{input_.Byte()}));
      case 4:
        return driver_->OnBusState(static_cast<BusState>(input_.Below(6)));
      case 5:
        h_.turn.Take();
        return;
      case 6:
        if (h_.turn.Free()) driver_->OnTurn();
        return;
      case 7:
        return h_.memory.Saved((input_.Byte() & 1) != 0 ? absl::OkStatus()
                                                        : absl::UnavailableError("disk full"));
      case 8:
        line_.Carry((input_.Byte() & 3) != 0);
        sender_.refuses = (input_.Byte() & 7) == 0;
        return;
      case 9:
        return driver_->Cancel(1 + input_.Below(h_.last_command() + 2),
                               absl::AbortedError("overtaken"));
      case 10:
        return Refresh();
      case 11: {
        const FaultSpec& fault = Faults()[input_.Below(Faults().size())];
        simulator_.InjectFault(fault.name, {}).IgnoreError();
        return;
      }
      case 12:
        Require(simulator_.ClearFaults("").ok(), "faults can be cleared");
        return;
      case 13:
        return Act();
      default:
        return Write();
    }
  }

  CanFrame TakeFrame() {
    CanFrame frame = input_.Frame();
    if ((frame.id & 3) == 0) return frame;
    // Mostly an answer of the unit.
    const Settings settings = ParseSettings(h_.config);
    frame.extended = true;
    frame.remote = false;
    frame.id = MakeId({.source = settings.unit.address(),
                       .service = static_cast<uint8_t>(frame.id % 4),
                       .flags = static_cast<uint8_t>(frame.id >> 3 & 1)});
    return frame;
  }

  void Execute(Command command) {
    command.wait_for = static_cast<Stage>(1 + input_.Below(4));
    ++sender_.commands;
    driver_->Execute(std::move(command));
  }

  void Write() {
    const ItemTable& items = h_.state.items();
    std::vector<ItemWrite> writes;
    const size_t count = 1 + input_.Below(3);
    for (size_t i = 0; i < count && items.size() > 0; ++i) {
      const ItemId item = input_.Take<uint16_t>() % items.size();
      const ItemSpec& spec = items.Spec(item);
      if (spec.access != Access::kReadWrite) continue;
      const float number = std::bit_cast<float>(input_.Take<uint32_t>());
      Value value = spec.type == ValueType::kFlag ? Value::Flag((input_.Byte() & 1) != 0)
                    : spec.type == ValueType::kInteger
                        ? Value::Integer(input_.Take<int16_t>())
                        : Value::Number(std::isfinite(number) ? number : 1);
      writes.push_back({item, std::move(value)});
    }
    if (!writes.empty()) Execute(h_.Writes(std::move(writes)));
  }

  void Act() {
    const std::vector<ActionSpec>& actions = Info().actions;
    const ActionSpec& spec = actions[input_.Below(actions.size())];
    Arguments arguments;
    for (const ActionArgument& argument : spec.arguments) {
      if (!argument.needed && (input_.Byte() & 1) != 0) continue;
      switch (argument.type) {
        case ValueType::kText:
          arguments.emplace_back(argument.name,
                                 Value::Text(std::to_string(input_.Take<uint16_t>())));
          break;
        case ValueType::kFlag:
          arguments.emplace_back(argument.name, Value::Flag((input_.Byte() & 1) != 0));
          break;
        default:
          arguments.emplace_back(argument.name, Value::Number(input_.Take<int16_t>()));
      }
    }
    const bool safe = spec.safe && (input_.Byte() & 1) != 0;
    Execute(h_.Action(spec.name, std::move(arguments), Stage::kConfirmed,
                      safe ? Urgency::kSafe : Urgency::kCommand));
  }

  void Refresh() {
    const ItemTable& items = h_.state.items();
    if (items.size() == 0) return;
    std::vector<ItemId> wanted;
    for (size_t i = input_.Below(4); i > 0; --i) {
      wanted.push_back(input_.Take<uint16_t>() % items.size());
    }
    driver_->Refresh(std::move(wanted), [](absl::Status) {});
  }

  FuzzInput input_;
  const uint8_t form_;
  DriverHarness h_;
  const DeviceConfig plant_;
  TestLine line_;
  JudgingSender sender_;
  StuderSimulator simulator_;
  std::unique_ptr<Driver> driver_;
};

}  // namespace
}  // namespace canhub::studer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::studer::Run(canhub::FuzzInput(data, size)).Go();
  return 0;
}
