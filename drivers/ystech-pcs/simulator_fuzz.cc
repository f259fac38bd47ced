// The simulated converter on any frames at any times: it is reached by whatever is on the bus, and
// canhub-sim on a real one by what strangers send.
#include <algorithm>
#include <bit>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"
#include "drivers/testing/fuzz_input.h"
#include "drivers/ystech-pcs/codec_settings.h"
#include "drivers/ystech-pcs/faults.h"
#include "drivers/ystech-pcs/frames.h"
#include "drivers/ystech-pcs/modes.h"
#include "drivers/ystech-pcs/simulator.h"

namespace canhub::ystech_pcs {
namespace {

constexpr auto kMostTime = std::chrono::seconds(60);
constexpr int kMostFrames = 64;

DeviceConfig Config(uint8_t form) {
  std::vector<ParameterSpec> parameters = SimulatorParameters();
  for (ParameterSpec& parameter : CodecParameters()) parameters.push_back(std::move(parameter));
  return DefaultConfig("pcs0", parameters,
                       {{"address", Value::Integer(kDefaultAddress)},
                        {"signed_powers", Value::Flag((form & 1) != 0)},
                        {"power_factor_scale", Value::Text((form & 2) != 0 ? "0.1" : "0.001")},
                        {"sim_any_frame_counts", Value::Flag((form & 4) != 0)},
                        {"sim_answer_broadcast", Value::Flag((form & 8) != 0)},
                        {"sim_noise", Value::Number((form & 0x10) != 0 ? 0.1 : 0)},
                        {"sim_battery_resistance", Value::Number((form & 0x20) != 0 ? 0.1 : 0)},
                        {"sim_soft_start", Value::Number((form & 0x40) != 0 ? 2 : 0)},
                        {"sim_battery_capacity", Value::Number((form & 0x80) != 0 ? 100 : 0.001)}});
}

// Mostly a command: a fuzzer finds the identifiers seldom.
CanFrame TakeFrame(FuzzInput& input) {
  const uint8_t form = input.Byte();
  if (form >= 0xE0) return input.Frame();
  CanFrame frame;
  frame.extended = true;
  const uint32_t address = form >= 0xC0 ? kBroadcastAddress : kDefaultAddress;
  frame.id =
      0x18000000 | static_cast<uint32_t>(form % 0x3A) << 16 | address << 8 | kControllerAddress;
  for (const uint8_t byte : input.Bytes(kFrameBytes)) frame.data[frame.dlc++] = byte;
  return frame;
}

// A mode with parameters that it mostly takes, and a start.
std::vector<CanFrame> TakeRun(FuzzInput& input) {
  const ModeSpec& mode = Modes()[input.Below(Modes().size())];
  std::vector<double> values;
  for (const ModeParameter& parameter : mode.parameters) {
    const bool voltage = parameter.quantity == Quantity::kVoltage;
    values.push_back(voltage ? 300.0 + input.Byte() : static_cast<int8_t>(input.Byte()));
  }
  const ModeCounts counts = *ToCounts(mode, values);
  return {*EncodeAs(Pf::kSetWorkingMode, kDefaultAddress, WorkingMode{static_cast<int>(mode.mode)}),
          *EncodeAs(Pf::kSetModeParams12, kDefaultAddress, ModeParams{counts[0], counts[1]}),
          *EncodeAs(Pf::kSetModeParams34, kDefaultAddress, ModeParams{counts[2], counts[3]}),
          *EncodeAs(kDefaultAddress, StartStop{.start = 1})};
}

void Inject(FuzzInput& input, Simulator& simulator) {
  const FaultSpec& fault = Faults()[input.Below(Faults().size())];
  Arguments arguments;
  for (const auto& [name, text] : fault.parameters) {
    const uint8_t form = input.Byte();
    if ((form & 1) != 0) arguments.emplace_back(name, Value::Integer(form >> 1));
    if (form == 0xFE) arguments.emplace_back(name, Value::Number(-1e308));
    if (form == 0xFC) arguments.emplace_back(name, Value::Number(1e9));
  }
  simulator.InjectFault(fault.name, arguments).IgnoreError();
}

void Run(FuzzInput input) {
  DriverHarness h(Config(input.Byte()));
  const std::unique_ptr<Simulator> simulator = CreateSimulator(h.ForSimulator());
  simulator->Start();
  h.Advance(std::chrono::milliseconds(300));
  const MonoTime end = h.clock.Now() + kMostTime;
  for (int frames = 0; !input.empty() && frames < kMostFrames && h.clock.Now() < end;) {
    std::vector<CanFrame> commands;
    // Random bytes may look like anything; else each frame is one of the protocol.
    const auto active = simulator->ActiveFaults();
    bool garbled = std::any_of(active.begin(), active.end(), [](const auto& fault) {
      return fault.first == "garbled" || fault.first == "wrong_length";
    });
    switch (input.Below(8)) {
      case 0:
        h.Advance(std::chrono::milliseconds(int{input.Byte()} * 10));
        break;
      case 1:
        Inject(input, *simulator);
        garbled = true;
        break;
      case 2:
        Require(simulator->ClearFaults("").ok(), "faults can be cleared");
        Require(simulator->ActiveFaults().empty(), "no fault is left");
        break;
      case 3: {
        const int channel = input.Byte() & 1;
        const auto resistance = std::bit_cast<float>(input.Take<uint32_t>());
        const auto capacitance = std::bit_cast<float>(input.Take<uint32_t>());
        simulator->SetLoad(channel, resistance, capacitance).IgnoreError();
        break;
      }
      case 4:
        commands = TakeRun(input);
        break;
      default:
        commands = {TakeFrame(input)};
        break;
    }
    for (const CanFrame& frame : commands) {
      simulator->OnFrame(h.Rx(frame));
      h.Advance(std::chrono::milliseconds(5));
      ++frames;
    }
    for (const CanFrame& frame : h.bus.Take()) {
      Require(DeviceFilter(kDefaultAddress).Matches(frame), "a converter sends as itself",
              FormatFrame(frame));
      if (garbled) continue;
      const absl::StatusOr<Message> message = Decode(frame, ParseCodecOptions(h.config));
      Require(message.ok(), "a converter sends frames of the protocol", FormatFrame(frame));
      Require(FrameOf(message->pf).direction == Direction::kFromPcs, "and only its own",
              FormatFrame(frame));
    }
  }
}

}  // namespace
}  // namespace canhub::ystech_pcs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::ystech_pcs::Run(canhub::FuzzInput(data, size));
  return 0;
}
