#include "drivers/iseg/simulator_crate.h"

#include <algorithm>
#include <iterator>

#include "drivers/api/errors.h"
#include "drivers/iseg/models.h"

namespace canhub::iseg {
namespace {

constexpr uint32_t kSerialNumber = 5800001;
constexpr char kFirmwareName[] = "CC24A";
constexpr char kFirmwareRelease[] = "02.30";
constexpr int kDcpRelease = 230;
constexpr int kDcpMessageMode = 4;
constexpr char kArticle[] = "CC24MASTER";
constexpr double kAmbient = 31.0;
constexpr double kTooHot = 70.0;
// H's fan control: 25 … 45 degC map to 5 … 100 % (section 13.1).
constexpr double kFanStart = 25;
constexpr double kFanFull = 45;

constexpr int kBatteryLow = 0;
constexpr int kBackplane24Low = 4;
constexpr uint32_t kFaultBits = 0x0FFF;  // what the sum error sums up
constexpr uint32_t kLatchedBits =
    kFaultBits | Bit(crate_bit::kSumError) | Bit(crate_bit::kPowerFail);

// Modules are asked for their status every few seconds; one that is not asked for this long is
// forgotten.
constexpr Duration kStatusLasts = std::chrono::seconds(30);

WireBytes Number(double v) { return *EncodeValue(WireType::kR4, Value::Number(v)); }
WireBytes Word(uint32_t v) { return *EncodeValue(WireType::kUi4, Value::Integer(v)); }

DeviceAddress AddressOf(const DeviceConfig& config) {
  return {static_cast<int>(config.Parameter("address").AsNumber()), true,
          static_cast<int>(config.Parameter("line").AsNumber())};
}

}  // namespace

IsegCrateSimulator::IsegCrateSimulator(SimulatorContext context)
    : SimulatedDevice(context, AddressOf(context.config), kCrateClass) {}

void IsegCrateSimulator::Reset(bool cold) {
  if (cold) power_on_ = true;
  events_ = 0;
  event_mask_ = 0;
  OnFaultsChanged();
}

double IsegCrateSimulator::Temperature() const {
  return FaultActive("over_temperature") ? kTooHot : kAmbient;
}

uint32_t IsegCrateSimulator::Status() const {
  uint32_t status = 0;
  if (FaultActive("battery_bad")) status |= Bit(kBatteryLow);
  if (FaultActive("supply_bad")) status |= Bit(kBackplane24Low);
  if (FaultActive("over_temperature")) status |= Bit(crate_bit::kTemperature);
  if ((status & kFaultBits) != 0) status |= Bit(crate_bit::kSumError);
  if (power_on_) status |= Bit(crate_bit::kPowerOn);
  if (FaultActive("power_fail")) status |= Bit(crate_bit::kPowerFail);
  if (HighVoltageOn()) status |= Bit(crate_bit::kHighVoltageOn);
  return status;
}

bool IsegCrateSimulator::HighVoltageOn() const {
  if (!power_on_) return false;
  return std::any_of(high_voltage_.begin(), high_voltage_.end(),
                     [this](const auto& module) { return Now() - module.second < kStatusLasts; });
}

void IsegCrateSimulator::OnForeignFrame(const CanFrame& frame) {
  const std::optional<Identifier> identifier = ParseIdentifier(frame);
  if (!identifier.has_value() || identifier->device.crate || identifier->read) return;
  const std::span<const uint8_t> payload = frame.payload();
  if (payload.size() != 4 && payload.size() != 6) return;
  const auto data_id = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  if (data_id != (payload.size() == 4 ? id::kModuleStatus : id::kWideModuleStatus)) return;
  if ((payload.back() & Bit(module_bit::kHighVoltageOn)) != 0) {
    high_voltage_[identifier->device.number] = Now();
  } else {
    high_voltage_.erase(identifier->device.number);
  }
}

uint8_t IsegCrateSimulator::GeneralStatus() {
  return (Status() & Bit(crate_bit::kSumError)) == 0 ? 0x27 : 0x06;
}

std::optional<WireBytes> IsegCrateSimulator::ReadRegister(uint16_t data_id) const {
  switch (data_id) {
    case id::kCrateStatus:
      return Word(Status());
    case id::kCrateControl:
      return Word(0);
    case id::kCrateEventStatus:
      return Word(events_);
    case id::kCrateEventMask:
      return Word(event_mask_);
    case id::kCrateFanSpeed: {
      const double share = (Temperature() - kFanStart) / (kFanFull - kFanStart);
      return Number(5 + 95 * std::clamp(share, 0.0, 1.0));
    }
    case id::kCratePower:
      return *EncodeValue(WireType::kUi1, Value::Flag(power_on_));
    case id::kCrateBackplane:
      return Word(0);
    case id::kSerialNumber:
      return Word(kSerialNumber);
    case id::kFirmwareRelease:
      return *EncodeValue(WireType::kRelease, Value::Text(kFirmwareRelease));
    case id::kFirmwareName:
      return *EncodeValue(WireType::kName5, Value::Text(kFirmwareName));
    default:
      return std::nullopt;
  }
}

void IsegCrateSimulator::OnRead(std::span<const uint8_t> payload) {
  // A read of another length, or of a channel, has no meaning here: no answer.
  if (payload.size() != 2) return;
  const uint16_t data_id = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  if (data_id == id::kArticle) return AnswerText(data_id, kArticle);
  if (data_id == id::kTemperatures) {
    AnswerIndexed(data_id, 0, Number(Temperature()));
    AnswerIndexed(data_id, 1, Number(Temperature() - 1.5));
    return;
  }
  if (data_id == id::kSupplies) {
    const bool bad = FaultActive("supply_bad");
    const double backplane24 = !power_on_ ? 0 : bad ? 19.8 : 24.1;
    AnswerIndexed(data_id, 0, Number(backplane24));
    AnswerIndexed(data_id, 2, Number(power_on_ ? 5.05 : 0));
    AnswerIndexed(data_id, 5, Number(5.02));
    AnswerIndexed(data_id, 6, Number(3.3));
    AnswerIndexed(data_id, 7, Number(FaultActive("power_fail") ? 0 : 230));
    AnswerIndexed(data_id, 8, Number(FaultActive("battery_bad") ? 18.2 : 25.6));
    return;
  }
  AnswerModule(data_id, ReadRegister(data_id).value_or(WireBytes()));
}

void IsegCrateSimulator::OnWrite(std::span<const uint8_t> payload) {
  const uint16_t data_id = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  const Register* row = FindRegister(data_id);
  if (row == nullptr || row->access == RegisterAccess::kRead) return;
  const absl::StatusOr<WireValue> decoded = DecodeValue(row->type, payload.subspan(2));
  if (!decoded.ok() || decoded->value.type() != ValueType::kInteger) return;
  const uint32_t number = static_cast<uint32_t>(decoded->value.integer());
  switch (data_id) {
    case id::kCrateControl:
      if ((number & Bit(control_bit::kCrateClear)) != 0) events_ = 0;
      break;
    case id::kCrateEventStatus:
      events_ &= ~number;
      break;
    case id::kCrateEventMask:
      event_mask_ = number;
      break;
    case id::kCratePower:
      if (number > 1) break;
      if (number == 1 && !power_on_) events_ |= Bit(crate_bit::kPowerOn);
      power_on_ = number == 1;
      break;
    case id::kAntiCollision:
      if (config().Parameter("sim_anti_collision").flag()) anti_collision_ = number != 0;
      break;
    default:
      break;
  }
  OnFaultsChanged();
}

void IsegCrateSimulator::OnDcpRead(uint8_t data_id) {
  if (data_id == kDcpIdentity) {
    const CanFrame frame =
        DcpIdentityFrame(address(), {kSerialNumber, kDcpMessageMode, kDcpRelease, 0});
    return Answer(frame.payload());
  }
  if (data_id == kDcpGeneralStatus) {
    const uint8_t payload[] = {kDcpGeneralStatus, GeneralStatus()};
    Answer(payload);
  }
}

absl::StatusOr<bool> IsegCrateSimulator::OnFault(std::string_view fault, const Arguments&) {
  constexpr std::string_view kOfModules[] = {
      "trip", "overcurrent", "inhibit", "dead_channel", "arc", "safety_loop_open", "need_service"};
  if (std::find(std::begin(kOfModules), std::end(kOfModules), fault) != std::end(kOfModules)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "FAULT_OF_MODULES",
                     "the fault \"" + std::string(fault) + "\" is one of modules",
                     {{"fault", std::string(fault)}});
  }
  return false;
}

// Events stay until they are cleared, and come again while the condition holds.
void IsegCrateSimulator::OnFaultsChanged() { events_ |= Status() & kLatchedBits; }

absl::Status IsegCrateSimulator::SetLoad(std::optional<int>, std::optional<double>,
                                         std::optional<double>) {
  return MakeError(absl::StatusCode::kUnimplemented, "NO_OUTPUT",
                   "a crate controller has no output that a load could be at");
}

}  // namespace canhub::iseg
