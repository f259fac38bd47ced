// The simulated gateway on any frames at any times, in both modes, with any faults: it answers as
// its units and only in this protocol, and never dies.
#include <algorithm>
#include <chrono>
#include <string>

#include "drivers/studer/line_testing.h"
#include "drivers/studer/simulator.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::studer {
namespace {

constexpr int kMostSteps = 64;

CanFrame TakeFrame(FuzzInput& input) {
  const uint8_t form = input.Byte();
  if (form >= 0xC0) return input.Frame();
  // Mostly to a unit: a fuzzer finds one seldom.
  constexpr uint16_t kUnits[] = {101, 102, 301, 601, 100, 501, 109, 700};
  CanFrame frame = EncodeRequest({.destination = kUnits[form & 7],
                                  .source = static_cast<uint16_t>(form >> 3 & 1),
                                  .service = static_cast<Service>((form >> 4) % 3),
                                  .object = input.Take<uint16_t>(),
                                  .part = static_cast<uint8_t>(input.Byte() % 6)});
  if (frame.dlc == 7) {
    for (size_t i = 3; i < 7; ++i) frame.data[i] = input.Byte();
  }
  return frame;
}

void Inject(FuzzInput& input, Simulator& simulator) {
  const FaultSpec& fault = Faults()[input.Below(Faults().size())];
  Arguments arguments;
  for (const auto& [name, text] : fault.parameters) {
    const uint8_t form = input.Byte();
    if ((form & 1) != 0) arguments.emplace_back(name, Value::Integer(input.Take<uint16_t>()));
    if (form == 0xFE) arguments.emplace_back(name, Value::Number(-1e308));
  }
  simulator.InjectFault(fault.name, arguments).IgnoreError();
}

void Run(FuzzInput input) {
  const uint8_t form = input.Byte();
  DriverHarness h(PlantConfig(
      {{"sim_mode", Value::Text((form & 1) != 0 ? "exclusive" : "tolerant")},
       {"sim_group_read", Value::Flag((form & 2) != 0)},
       {"sim_missing_is_nan", Value::Flag((form & 4) != 0)},
       {"sim_units", Value::Text((form & 8) != 0 ? "xtender 9, variostring 2, bms 1"
                                                 : "xtender 2, variotrack 1, bsp 1, rcc 1")}}));
  StuderSimulator simulator(h.ForSimulator());
  simulator.Start();
  for (int step = 0; step < kMostSteps && !input.empty(); ++step) {
    switch (input.Below(8)) {
      case 0:
        h.Advance(std::chrono::seconds(input.Byte()));
        break;
      case 1:
        Inject(input, simulator);
        break;
      case 2:
        Require(simulator.ClearFaults("").ok() && simulator.ActiveFaults().empty(),
                "faults can be cleared");
        break;
      default:
        simulator.OnFrame(h.Rx(TakeFrame(input)));
        h.Advance(std::chrono::milliseconds(input.Byte()));
    }
    const bool distorted = !simulator.ActiveFaults().empty();
    for (const CanFrame& frame : h.bus.Take()) {
      Require(frame.extended && !frame.remote && frame.dlc <= 8, "a gateway sends data frames",
              FormatFrame(frame));
      // What the exclusive mode says of foreign frames has their service.
      const bool complains = ParseId(frame.id).source == 501 && ParseId(frame.id).error();
      Require(distorted || complains || DecodeAnswer(frame).ok(), "answers are answers",
              FormatFrame(frame));
    }
  }
}

}  // namespace
}  // namespace canhub::studer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::studer::Run(canhub::FuzzInput(data, size));
  return 0;
}
