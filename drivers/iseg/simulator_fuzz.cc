// The simulated devices on any frames at any times: a simulator is reached by whatever is on the
// bus, and canhub-sim on a real one by what strangers send.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "drivers/iseg/edcp.h"
#include "drivers/iseg/line_testing.h"
#include "drivers/iseg/simulator.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::iseg {
namespace {

// What one input may take: time enough for each supervision and ramp of the device.
constexpr auto kMostTime = std::chrono::seconds(60);
constexpr int kMostFrames = 64;

DeviceConfig Config(uint8_t form) {
  const std::vector<ParameterSpec> parameters = SimulatorParameters();
  const auto model =
      std::find_if(parameters.begin(), parameters.end(), [](const ParameterSpec& parameter) {
        return std::string_view(parameter.name) == "sim_model";
      });
  return TestConfig({{"class", Value::Text((form & 1) != 0 ? "crate" : "module")},
                     {"line", Value::Integer((form & 2) != 0 ? 1 : 0)},
                     {"sim_model", Value::Text(model->choices[form % model->choices.size()])},
                     {"sim_channels", Value::Integer(form >> 4 & 3)},
                     {"sim_dcp_only", Value::Flag((form & 0x40) != 0)},
                     {"sim_anti_collision", Value::Flag((form & 0x80) != 0)}});
}

// Mostly to the device: a fuzzer finds its identifier seldom.
CanFrame TakeFrame(FuzzInput& input, const DeviceAddress& device) {
  const uint8_t form = input.Byte();
  if (form >= 0xC0) return input.Frame();
  const std::span<const uint8_t> payload = input.Bytes(std::min<size_t>(form & 0xF, 8));
  uint32_t id = (form & 0x10) != 0 ? ReadId(device) : WriteId(device);
  if ((form & 0x20) != 0) id = (id & ~uint32_t{0xFFF}) | kNmtId;
  CanFrame frame = MakeFrame(0, payload);
  frame.id = id;
  frame.extended = device.line != 0;
  return frame;
}

void Inject(FuzzInput& input, Simulator& simulator) {
  const std::vector<FaultSpec>& faults = Info().faults;
  const FaultSpec& fault = faults[input.Below(faults.size())];
  Arguments arguments;
  for (const auto& [name, text] : fault.parameters) {
    const uint8_t form = input.Byte();
    if ((form & 1) != 0) arguments.emplace_back(name, Value::Integer(form >> 1));
    if (form == 0xFE) arguments.emplace_back(name, Value::Number(-1e308));
  }
  simulator.InjectFault(fault.name, arguments).IgnoreError();
}

void Run(FuzzInput input) {
  DriverHarness h(Config(input.Byte()));
  const DeviceAddress device{2, h.config.Parameter("class").text() == "crate",
                             static_cast<int>(h.config.Parameter("line").integer())};
  const std::unique_ptr<Simulator> simulator = Info().create_simulator(h.ForSimulator());
  simulator->Start();
  h.Advance(std::chrono::seconds(1));
  const MonoTime end = h.clock.Now() + kMostTime;
  for (int frames = 0; !input.empty() && frames < kMostFrames && h.clock.Now() < end;) {
    switch (input.Below(8)) {
      case 0:
        h.Advance(std::chrono::milliseconds(int{input.Byte()} * 10));
        break;
      case 1:
        Inject(input, *simulator);
        break;
      case 2:
        Require(simulator->ClearFaults("").ok(), "faults can be cleared");
        Require(simulator->ActiveFaults().empty(), "no fault is left");
        break;
      case 3:
        simulator
            ->SetLoad(input.Byte(), std::bit_cast<float>(input.Take<uint32_t>()),
                      std::bit_cast<float>(input.Take<uint32_t>()))
            .IgnoreError();
        break;
      default:
        simulator->OnFrame(h.Rx(TakeFrame(input, device)));
        h.Advance(std::chrono::milliseconds(5));
        ++frames;
        break;
    }
    for (const CanFrame& frame : h.bus.Take()) {
      Require(frame.dlc <= 8 && !frame.remote, "a device sends data frames", FormatFrame(frame));
      const std::optional<Identifier> identifier = ParseIdentifier(frame);
      Require(identifier && identifier->device == device, "a device sends as itself",
              FormatFrame(frame));
    }
  }
}

}  // namespace
}  // namespace canhub::iseg

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::iseg::Run(canhub::FuzzInput(data, size));
  return 0;
}
