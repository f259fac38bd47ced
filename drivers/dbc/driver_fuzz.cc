// The driver of any DBC with any frames, writes, reports and bus states: readings have their item's
// type, every command ends once, nothing goes out that no command wrote.
#include <memory>
#include <string>

#include "drivers/dbc/dbc_driver.h"
#include "drivers/dbc/driver.h"
#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::dbc_device {
namespace {

constexpr char kDbc[] = R"(BU_: PUMP HOST
BO_ 256 Status: 8 PUMP
 SG_ Speed : 0|16@1+ (0.5,0) [0|3000] "rpm" HOST
 SG_ Temperature : 23|16@0- (0.1,0) [-40|150] "degC" HOST
 SG_ State : 32|2@1+ (1,0) [0|3] "" HOST
 SG_ Count : 40|24@1+ (1,0) [0|0] "" HOST
BO_ 512 Command: 4 HOST
 SG_ SetSpeed : 0|16@1+ (0.5,0) [0|3000] "rpm" PUMP
 SG_ Enable : 16|1@1+ (1,0) [0|1] "" PUMP
 SG_ Mode : 24|4@1+ (1,0) [0|15] "" PUMP
BO_ 513 Paged: 3 HOST
 SG_ Page M : 0|8@1+ (1,0) [0|0] "" PUMP
 SG_ A m1 : 8|8@1+ (1,0) [0|0] "" PUMP
 SG_ B m2 : 8|8@1- (1,0) [0|0] "" PUMP
BO_ 514 Float: 8 HOST
 SG_ Value : 0|32@1- (1,0) [0|0] "" PUMP
 SG_ Half : 39|16@0- (2,1) [0|0] "" PUMP
SIG_VALTYPE_ 514 Value : 1;
SIG_VALTYPE_ 514 Half : 1;
)";
constexpr uint32_t kIds[] = {0x100, 0x200, 0x201, 0x202};

class Session {
 public:
  explicit Session(FuzzInput& input)
      : input_(input), h_(Config(input.Byte() % 2 == 1)), driver_(Info().create(h_.Context())) {
    driver_->OnBusState(BusState::kActive);
    driver_->Start();
  }
  void Run() {
    while (!input_.empty()) {
      Step();
      for (const CanFrame& frame : h_.bus.Take()) {
        Require(wrote_, "nothing is sent that no command wrote (S01)", FormatFrame(frame));
      }
    }
    driver_->OnBusState(BusState::kDown);
    for (CommandId id = 1; id <= h_.last_command(); ++id) {
      Require(h_.commands.finished(id) != nullptr, "every command ends");
    }
    for (const std::string& error : h_.commands.errors()) Require(false, "commands", error);
    const ItemTable& items = h_.state.items();
    for (ItemId item = 0; item < items.size(); ++item) {
      const Reading reading = h_.state.Read(item);
      if (!reading.value.has_value()) continue;
      Require(reading.value.type() == items.Spec(item).type, "a reading has its item's type",
              items.Name(item));
    }
  }

 private:
  static DeviceConfig Config(bool periodic) {
    DeviceConfig config =
        DefaultConfig("pump0", Info().parameters,
                      {{"dbc", Value::Text("pump.dbc")},
                       {"writable", Value::Text("Command, Paged, Float")},
                       {"send", Value::Text(periodic ? "periodic" : "on_change")}});
    static const auto* const text = new std::shared_ptr<const std::string>(
        std::make_shared<const std::string>(kDbc));  // lives to the end
    config.files["dbc"] = *text;
    return config;
  }

  void Step() {
    switch (input_.Below(8)) {
      case 0:
        return h_.Advance(std::chrono::milliseconds(input_.Byte()));
      case 1:
        return driver_->OnFrame(h_.Rx(input_.Frame()));
      case 2:
        return driver_->Execute(h_.Action(kStopSending, {}, Stage::kConfirmed, Urgency::kSafe));
      case 3: {
        const ItemId item = 4 + static_cast<ItemId>(input_.Below(8));
        const auto value = static_cast<int32_t>(input_.Take<uint32_t>());
        const bool whole = h_.state.items().Spec(item).type == ValueType::kInteger;
        wrote_ = true;
        return driver_->Execute(
            h_.Writes({{item, whole ? Value::Integer(value) : Value::Number(value / 16.0)}}));
      }
      case 4: {
        CanFrame frame{.id = kIds[input_.Below(std::size(kIds))], .dlc = 8};
        const std::span<const uint8_t> bytes = input_.Bytes(8);
        std::copy(bytes.begin(), bytes.end(), frame.data.begin());
        return driver_->OnFrame(h_.Rx(frame));
      }
      case 5: {
        const auto outcomes = {TxOutcome::kOnWire, TxOutcome::kSent, TxOutcome::kExpired,
                               TxOutcome::kPurged, TxOutcome::kFailed};
        return h_.ReportTx(*driver_, *(outcomes.begin() + input_.Below(outcomes.size())));
      }
      case 6: {
        const auto states = {BusState::kActive, BusState::kPassive, BusState::kBusOff,
                             BusState::kDown};
        return driver_->OnBusState(*(states.begin() + input_.Below(states.size())));
      }
      default:
        return driver_->Cancel(h_.last_command(), absl::AbortedError("the lease is over"));
    }
  }

  FuzzInput& input_;
  DriverHarness h_;
  std::unique_ptr<Driver> driver_;
  bool wrote_ = false;
};

}  // namespace
}  // namespace canhub::dbc_device

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::FuzzInput input(data, size);
  canhub::dbc_device::Session(input).Run();
  return 0;
}
