// A pack driver with any frames, commands and bus states: never a value that is no number, never a
// frame that is no poll, every command ends once, a pack that was counted never becomes smaller by
// itself.
#include <cmath>
#include <memory>
#include <string>

#include "drivers/api/battery.h"
#include "drivers/battery-module/driver.h"
#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::battery_module {
namespace {

class Session {
 public:
  explicit Session(FuzzInput& input)
      : input_(input),
        h_(DefaultConfig("bat0", Info().parameters,
                         {{"cells_per_module", Value::Integer(1 + input.Byte() % 14)},
                          {"temps_per_module", Value::Integer(input.Byte() % 8)},
                          {"expected_modules", Value::Integer(input.Byte() % 4)}}),
           {.id = "can0", .bitrate = 500000}),
        driver_(Info().create(h_.Context())) {
    driver_->OnBusState(BusState::kActive);
    driver_->Start();
  }

  void Run() {
    while (!input_.empty()) {
      Step();
      CheckSent();
    }
    CheckReadings();
    for (const std::string& error : h_.commands.errors()) Require(false, "commands", error);
  }

 private:
  void Step() {
    switch (input_.Below(8)) {
      case 0:
        return h_.Advance(std::chrono::milliseconds(input_.Byte()));
      case 1:
        return h_.Advance(std::chrono::milliseconds(100 * input_.Byte()));
      case 2: {
        const auto states = {BusState::kActive, BusState::kPassive, BusState::kBusOff,
                             BusState::kDown};
        return driver_->OnBusState(*(states.begin() + input_.Below(states.size())));
      }
      case 3:
        counted_ = 0;  // a count by command may find fewer
        return driver_->Execute(h_.Action(battery::action::kDetect));
      case 4:
        return driver_->Refresh({input_.Take<uint16_t>(), input_.Byte()}, [](absl::Status) {});
      case 5:
        return driver_->OnFrame(h_.Rx(input_.Frame()));
      default: {
        // A frame of a module, with any payload.
        static constexpr uint32_t kBases[] = {0x180, 0x280, 0x380, 0x480, 0x190,
                                              0x290, 0x390, 0x490, 0x1A0, 0x2A0};
        CanFrame frame{.id = kBases[input_.Below(std::size(kBases))] + input_.Byte() % 16,
                       .dlc = 8};
        const std::span<const uint8_t> bytes = input_.Bytes(8);
        std::copy(bytes.begin(), bytes.end(), frame.data.begin());
        return driver_->OnFrame(h_.Rx(frame));
      }
    }
  }

  void CheckSent() {
    for (const CanFrame& frame : h_.bus.Take()) {
      const std::string text = FormatFrame(frame);
      Require(text == "080#FF" ||
                  (frame.id > 0x600 && frame.id < 0x610 && text.substr(3) == "#2F05180100000000"),
              "only polls are sent (S01)", text);
    }
    const Reading count = h_.state.Read(battery::pack::kModuleCount);
    if (count.quality == Quality::kNeverRead) return;
    Require(count.value.integer() >= counted_, "a pack does not become smaller by itself",
            count.value.ToString());
    counted_ = count.value.integer();
  }

  void CheckReadings() {
    const ItemTable& items = h_.state.items();
    for (ItemId item = 0; item < items.size(); ++item) {
      const Reading reading = h_.state.Read(item);
      if (reading.quality != Quality::kGood) continue;
      Require(reading.value.type() == items.Spec(item).type, "a reading has its item's type",
              items.Name(item));
      Require(reading.read_time <= h_.clock.Now(), "no reading is of the future", items.Name(item));
    }
  }

  FuzzInput& input_;
  DriverHarness h_;
  std::unique_ptr<Driver> driver_;
  int64_t counted_ = 0;
};

}  // namespace
}  // namespace canhub::battery_module

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::FuzzInput input(data, size);
  canhub::battery_module::Session(input).Run();
  return 0;
}
