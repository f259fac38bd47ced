// Wire format of YSTECH PCS modules (external CAN protocol v1.11): all 57 frames, both ways, from
// one table. No I/O, no clock, no state. Source: the PCS facts; "section" below is theirs.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/bad_frame.h"
#include "drivers/api/can_frame.h"

namespace canhub::ystech_pcs {

// ---------------------------------------------------------------- identifiers (section 3)

inline constexpr uint8_t kControllerAddress = 0xB4;  // ours, a constant of the protocol
inline constexpr uint8_t kDefaultAddress = 0xFA;     // of a PCS
inline constexpr uint8_t kBroadcastAddress = 0x00;   // destination only
inline constexpr uint8_t kFrameBytes = 8;            // of every frame

// PF, the command code. Names: section 5.
enum class Pf : uint8_t {
  kReadProtectionParams = 0x01,
  kProtectionParams1Reply = 0x02,
  kProtectionParams2Reply = 0x03,
  kProtectionParams3Reply = 0x04,
  kSetProtectionParams1 = 0x05,
  kSetProtectionParams2 = 0x06,
  kSetProtectionParams3 = 0x07,
  kSetProtectionReply = 0x08,
  kSetTime = 0x09,
  kSetTimeReply = 0x0A,
  kSetWorkingMode = 0x0B,
  kSetModeParams12 = 0x0C,
  kSetModeParams34 = 0x0D,
  kSetModeReply = 0x0E,
  kStartStop = 0x0F,
  kStartStopReply = 0x10,
  kDcData = 0x11,
  kCapacityEnergy = 0x12,
  kStatus = 0x13,
  kGridVoltage = 0x14,
  kGridCurrent = 0x15,
  kSystemPower = 0x16,
  kLoadVoltage = 0x17,
  kLoadCurrent = 0x18,
  kLoadPower = 0x19,
  kHeartbeat = 0x1A,
  kSetBusVoltageReactive = 0x1B,
  kSpecialSetReply = 0x1C,
  kReadSpecialData = 0x1D,
  kStoredBusVoltageReactive = 0x1E,
  kSetIo = 0x1F,
  kIoAndAd = 0x20,
  kSetPhaseActivePower = 0x21,
  kSetPhaseReactivePower = 0x22,
  kPhaseAPower = 0x23,
  kPhaseBPower = 0x24,
  kPhaseCPower = 0x25,
  kSetSplitPhaseEnable = 0x26,
  kSplitPhaseEnableReply = 0x27,
  kSetInverterPhase = 0x28,
  kInverterPhaseReply = 0x29,
  kSetReactiveControl = 0x2A,
  kReactiveControlReply = 0x2B,
  kSetGridMode = 0x2C,
  kGridModeReply = 0x2D,
  kSetModuleParallel = 0x2E,
  kModuleParallelReply = 0x2F,
  kSetChannelParallel = 0x30,
  kChannelParallelReply = 0x31,
  kSetBusParallel = 0x32,
  kBusParallelReply = 0x33,
  kArmVersion = 0x34,
  kDspVersion = 0x35,
  kWorkingModeReply = 0x36,
  kModeParams12Reply = 0x37,
  kModeParams34Reply = 0x38,
  kHighResDc = 0x39,
};

// 1 … 254 without the controller's own.
inline constexpr bool IsPcsAddress(int address) {
  return address >= 0x01 && address <= 0xFE && address != kControllerAddress;
}

struct Identifier {
  uint8_t pf = 0;  // any: 0 … 0xEF; a Pf only where the table has it
  uint8_t destination = 0;
  uint8_t source = 0;
};
// nullopt: 11-bit or remote frame, priority other than 6, reserved or data page bit set, or a PF of
// the PDU2 form (0xF0 …).
std::optional<Identifier> ParseIdentifier(const CanFrame& frame);
// What the PCS at this address sends to the controller.
CanFilter DeviceFilter(uint8_t address);
// What a controller sends to the PCS at this address: the daemon never hears its own frames, so
// whatever passes comes from a second controller.
CanFilter ControllerFilter(uint8_t address);

// ---------------------------------------------------------------- the table (sections 5 and 6)

enum class Direction : uint8_t { kToPcs, kFromPcs };
enum class Sent : uint8_t {
  kOnDemand,  // once, as a command
  kReply,
  kPeriodic,  // every 200 ms; kStatus also at once when the state changes
};
inline constexpr int kPeriodMilliseconds = 200;

// How a field becomes a number. All big-endian, on byte boundaries.
enum class Encoding : uint8_t {
  kUnsigned,
  kSigned,       // two's complement
  kPower,        // as CodecOptions::signed_powers says
  kPowerFactor,  // signed, counts per 1 as CodecOptions::power_factor_counts says
};

// physical = (raw - zero) / counts.
struct FieldSpec {
  const char* name;  // as the Python application has it where it has one: "inlet_temperature"
  const char* unit;  // "V", "A", "kW", "kvar", "kVA", "Hz", "degC", "Ah", "Wh", "" for none
  uint8_t byte;      // first one, 0 … 7
  uint8_t length;    // 1, 2 or 4
  Encoding encoding = Encoding::kUnsigned;
  int counts = 1;  // raw counts per unit: 10 for a scale of 0.1
  int zero = 0;    // raw count of 0: 10000 for an offset of -1000 A at 0.1 A
  // The vendor's range of what may be set, physical. Equal: none is stated, all that the bytes
  // hold. Encode keeps to it, Decode does not: a device says what it says.
  double minimum = 0;
  double maximum = 0;
};
inline constexpr bool HasRange(const FieldSpec& field) { return field.minimum < field.maximum; }

struct FrameSpec {
  Pf pf;
  const char* name;  // "DCData"
  Direction direction;
  Sent sent;
  std::span<const FieldSpec> fields;  // in order of bytes; at most kMaxFields
};
inline constexpr size_t kMaxFields = 6;
inline constexpr int kFrameCount = 57;

// All frames, PF 0x01 to 0x39 in order.
std::span<const FrameSpec> Frames();
// nullptr: no frame has this code.
const FrameSpec* FindFrame(uint8_t pf);
const FrameSpec& FrameOf(Pf pf);

// Special settings and readings (section 6.9): the type in 0x1C and 0x1D, the frame that sets, and
// the frames that answer a read.
struct SpecialSpec {
  uint8_t type;
  const char* name;       // "bus_voltage_reactive"
  std::optional<Pf> set;  // nullopt: read only (versions), or set by 0x0B … 0x0D (working mode)
  std::span<const Pf> replies;
};
inline constexpr uint8_t kSpecialBusVoltageReactive = 0x01;
inline constexpr uint8_t kSpecialIo = 0x02;
inline constexpr uint8_t kSpecialSplitPhase = 0x03;
inline constexpr uint8_t kSpecialInverterPhase = 0x04;
inline constexpr uint8_t kSpecialReactiveControl = 0x05;
inline constexpr uint8_t kSpecialGridMode = 0x06;
inline constexpr uint8_t kSpecialModuleParallel = 0x07;
inline constexpr uint8_t kSpecialChannelParallel = 0x08;
inline constexpr uint8_t kSpecialBusParallel = 0x09;
inline constexpr uint8_t kSpecialVersions = 0x0A;
inline constexpr uint8_t kSpecialWorkingMode = 0x0B;
// Types 0x01 to 0x0B in order.
std::span<const SpecialSpec> Specials();
// nullptr: no such type.
const SpecialSpec* FindSpecial(uint8_t type);

// Result byte of every set reply: 1 is success, anything else failure.
inline constexpr int kSuccess = 1;

// ---------------------------------------------------------------- any frame, by the table

// What the sources leave open (sections 4 and 6.7).
struct CodecOptions {
  // Powers (DC, active, reactive, load, per phase) and reactive settings are two's complement. Off:
  // magnitudes; setting a negative one is OUT_OF_RANGE.
  bool signed_powers = true;
  // Counts per 1.0 of the power factor in 0x15: 10 as printed, 1000 if that is a misprint.
  int power_factor_counts = 10;
};

// A decoded frame.
struct Message {
  Pf pf = Pf::kStatus;
  // The PCS's: source of what it sends, destination of what it gets; kBroadcastAddress for all.
  uint8_t address = kDefaultAddress;
  // Physical values in the order of the table's fields; integers are exact.
  std::array<double, kMaxFields> values{};
};

// INVALID_ARGUMENT with one of BadFrameReason's words. Reserved bytes are ignored; numbers beyond
// the vendor's ranges, unknown states, modes and codes are kept.
absl::StatusOr<Message> Decode(const CanFrame& frame, const CodecOptions& options = {});
// Rounds to the nearest count; reserved bytes are 0. Requires as many values as the frame has
// fields. INVALID_ARGUMENT: NaN or infinite; a bad address. OUT_OF_RANGE: beyond the vendor's range
// or the bytes (never clamped); both name frame, field, found and expected.
absl::StatusOr<CanFrame> Encode(Pf pf, uint8_t address, std::span<const double> values,
                                const CodecOptions& options = {});
// Least and greatest value that Encode takes.
std::pair<double, double> FieldLimits(const FieldSpec& field, const CodecOptions& options = {});
// Least and greatest value that a device can send: all that the bytes hold.
std::pair<double, double> FieldRange(const FieldSpec& field, const CodecOptions& options = {});
// The value as the wire can hold it: rounded to the field's resolution. Same errors as Encode.
absl::StatusOr<double> Quantize(const FieldSpec& field, double value,
                                const CodecOptions& options = {});

// What BadFrameReason finds in Decode's errors: "bad_identifier" (not this protocol's form),
// "unknown_frame" (no such PF), "bad_address" (not between the controller and a PCS, or in the
// wrong direction), "short_frame".

// ---------------------------------------------------------------- typed frames

// Each struct lists the codes it stands for and its members in the order of the table's fields.
// Voltages are phase to neutral on the AC side. DC current and power: positive discharges the
// battery (section 7; that the measured ones have the same sign as the set ones is inferred).

struct ReadProtectionParams {
  static constexpr std::array kPfs = {Pf::kReadProtectionParams};
  int set = 1;  // 1, 2, 3
  auto Fields() { return std::tie(set); }
};
// Magnitudes, positive (section 6.2).
struct ProtectionParams1 {
  static constexpr std::array kPfs = {Pf::kSetProtectionParams1, Pf::kProtectionParams1Reply};
  double max_output_voltage_v = 0;
  double min_output_voltage_v = 0;
  double max_charge_current_a = 0;
  double max_discharge_current_a = 0;
  auto Fields() {
    return std::tie(max_output_voltage_v, min_output_voltage_v, max_charge_current_a,
                    max_discharge_current_a);
  }
  friend bool operator==(const ProtectionParams1&, const ProtectionParams1&) = default;
};
struct ProtectionParams2 {
  static constexpr std::array kPfs = {Pf::kSetProtectionParams2, Pf::kProtectionParams2Reply};
  double max_charge_power_kw = 0;
  double max_discharge_power_kw = 0;
  double ac_voltage_upper_v = 0;
  double ac_voltage_lower_v = 0;
  auto Fields() {
    return std::tie(max_charge_power_kw, max_discharge_power_kw, ac_voltage_upper_v,
                    ac_voltage_lower_v);
  }
  friend bool operator==(const ProtectionParams2&, const ProtectionParams2&) = default;
};
struct ProtectionParams3 {
  static constexpr std::array kPfs = {Pf::kSetProtectionParams3, Pf::kProtectionParams3Reply};
  double discharge_freq_upper_hz = 0;
  double charge_freq_lower_hz = 0;
  int ac_freq_upper_hz = 0;
  int ac_freq_lower_hz = 0;
  auto Fields() {
    return std::tie(discharge_freq_upper_hz, charge_freq_lower_hz, ac_freq_upper_hz,
                    ac_freq_lower_hz);
  }
  friend bool operator==(const ProtectionParams3&, const ProtectionParams3&) = default;
};
// `selector`: the set written (0x08) or the type of the special setting (0x1C).
struct SelectedReply {
  static constexpr std::array kPfs = {Pf::kSetProtectionReply, Pf::kSpecialSetReply};
  int selector = 0;
  int result = 0;
  bool success() const { return result == kSuccess; }
  auto Fields() { return std::tie(selector, result); }
};
struct PlainReply {
  static constexpr std::array kPfs = {Pf::kSetTimeReply, Pf::kSetModeReply, Pf::kStartStopReply};
  int result = 0;
  bool success() const { return result == kSuccess; }
  auto Fields() { return std::tie(result); }
};
// Plain binary; no time zone is stated.
struct SetTime {
  static constexpr std::array kPfs = {Pf::kSetTime};
  int year = 2000;
  int month = 1;
  int day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
  auto Fields() { return std::tie(year, month, day, hour, minute, second); }
};
struct WorkingMode {
  static constexpr std::array kPfs = {Pf::kSetWorkingMode, Pf::kWorkingModeReply};
  int mode = 0;  // modes.h
  auto Fields() { return std::tie(mode); }
};
// Parameters 1 and 2, or 3 and 4, as counts: what a count is depends on the mode (modes.h).
struct ModeParams {
  static constexpr std::array kPfs = {Pf::kSetModeParams12, Pf::kSetModeParams34,
                                      Pf::kModeParams12Reply, Pf::kModeParams34Reply};
  int32_t first = 0;
  int32_t second = 0;
  auto Fields() { return std::tie(first, second); }
};
// All three are commands at once: what is not meant to change must repeat its value (section 8).
struct StartStop {
  static constexpr std::array kPfs = {Pf::kStartStop};
  int start = 0;        // 0 stop, 1 start
  int clear_fault = 0;  // 1 clear
  int self_start = 0;   // 1: starts by itself at power-on
  auto Fields() { return std::tie(start, clear_fault, self_start); }
};
struct DcData {
  static constexpr std::array kPfs = {Pf::kDcData};
  double voltage_v = 0;
  double current_a = 0;
  double power_kw = 0;
  double inlet_temperature_degc = 0;
  auto Fields() { return std::tie(voltage_v, current_a, power_kw, inlet_temperature_degc); }
};
// Counted from the start of the run (inferred, section 6.7).
struct CapacityEnergy {
  static constexpr std::array kPfs = {Pf::kCapacityEnergy};
  double capacity_ah = 0;
  double energy_wh = 0;
  double outlet_temperature_degc = 0;
  auto Fields() { return std::tie(capacity_ah, energy_wh, outlet_temperature_degc); }
};
struct Status {
  static constexpr std::array kPfs = {Pf::kStatus};
  int running_state = 0;  // states.h
  int fault_code = 0;     // faults.h; 0 is none
  auto Fields() { return std::tie(running_state, fault_code); }
};
// Also the active or reactive power per phase of 0x21 (kW) and 0x22 (kvar).
struct ThreePhases {
  static constexpr std::array kPfs = {Pf::kGridVoltage, Pf::kLoadVoltage, Pf::kLoadCurrent,
                                      Pf::kSetPhaseActivePower, Pf::kSetPhaseReactivePower};
  double u = 0;
  double v = 0;
  double w = 0;
  auto Fields() { return std::tie(u, v, w); }
};
struct GridCurrent {
  static constexpr std::array kPfs = {Pf::kGridCurrent};
  double u_a = 0;
  double v_a = 0;
  double w_a = 0;
  double power_factor = 0;
  auto Fields() { return std::tie(u_a, v_a, w_a, power_factor); }
};
struct SystemPower {
  static constexpr std::array kPfs = {Pf::kSystemPower};
  double active_kw = 0;
  double reactive_kvar = 0;
  double apparent_kva = 0;
  double frequency_hz = 0;
  auto Fields() { return std::tie(active_kw, reactive_kvar, apparent_kva, frequency_hz); }
};
struct AcPower {
  static constexpr std::array kPfs = {Pf::kLoadPower, Pf::kPhaseAPower, Pf::kPhaseBPower,
                                      Pf::kPhaseCPower};
  double active_kw = 0;
  double reactive_kvar = 0;
  double apparent_kva = 0;
  auto Fields() { return std::tie(active_kw, reactive_kvar, apparent_kva); }
};
// Zero voltage and 0 A (00 00 27 10) when nothing is measured (section 6.8).
struct Heartbeat {
  static constexpr std::array kPfs = {Pf::kHeartbeat};
  static constexpr int kShutDown = 1;
  static constexpr int kRunning = 2;
  static constexpr int kFault = 3;  // stops the PCS
  double voltage_v = 0;
  double current_a = 0;
  int state = kRunning;
  auto Fields() { return std::tie(voltage_v, current_a, state); }
};
struct BusVoltageReactive {
  static constexpr std::array kPfs = {Pf::kSetBusVoltageReactive, Pf::kStoredBusVoltageReactive};
  double bus_voltage_v = 0;
  double reactive_power_kvar = 0;
  auto Fields() { return std::tie(bus_voltage_v, reactive_power_kvar); }
};
struct ReadSpecialData {
  static constexpr std::array kPfs = {Pf::kReadSpecialData};
  int type = 0;
  auto Fields() { return std::tie(type); }
};
struct IoOutputs {
  static constexpr std::array kPfs = {Pf::kSetIo};
  int io1 = 0;
  int io2 = 0;
  int io3 = 0;
  int io4 = 0;
  auto Fields() { return std::tie(io1, io2, io3, io4); }
};
struct IoAndAd {
  static constexpr std::array kPfs = {Pf::kIoAndAd};
  int io1 = 0;
  int io2 = 0;
  int io3 = 0;
  int io4 = 0;
  double ad1_voltage_v = 0;
  double ad2_voltage_v = 0;
  auto Fields() { return std::tie(io1, io2, io3, io4, ad1_voltage_v, ad2_voltage_v); }
};
// One byte: split phase (0 off, 1 on), inverter phase (7 A host, 8 B host, 9 C host, 10 … 12 A … C
// slave), grid mode (0 off, 1 automatic; read back also 2: switched by IO), bus parallel (0, 1).
struct SingleSetting {
  static constexpr std::array kPfs = {Pf::kSetSplitPhaseEnable, Pf::kSplitPhaseEnableReply,
                                      Pf::kSetInverterPhase,    Pf::kInverterPhaseReply,
                                      Pf::kSetGridMode,         Pf::kGridModeReply,
                                      Pf::kSetBusParallel,      Pf::kBusParallelReply};
  int value = 0;
  auto Fields() { return std::tie(value); }
};
struct ReactiveControl {
  static constexpr std::array kPfs = {Pf::kSetReactiveControl, Pf::kReactiveControlReply};
  int mode = 0;  // 0 reactive power, 1 power factor
  double power_factor = 1;
  auto Fields() { return std::tie(mode, power_factor); }
};
struct ModuleParallel {
  static constexpr std::array kPfs = {Pf::kSetModuleParallel, Pf::kModuleParallelReply};
  int mode = 0;  // 0 single, 1 host, 2 slave
  int modules = 1;
  int hall_ratio = 0;
  auto Fields() { return std::tie(mode, modules, hall_ratio); }
};
struct ChannelParallel {
  static constexpr std::array kPfs = {Pf::kSetChannelParallel, Pf::kChannelParallelReply};
  int role = 0;  // 0 single, 1 main, 2 slave
  int kind = 0;  // 0 none, 1 channels of one module, 2 channels of several modules
  int channels = 1;
  auto Fields() { return std::tie(role, kind, channels); }
};
struct Version {
  static constexpr std::array kPfs = {Pf::kArmVersion, Pf::kDspVersion};
  int hardware_v = 0;
  int hardware_b = 0;
  int hardware_d = 0;
  int software_v = 0;
  int software_b = 0;
  int software_d = 0;
  auto Fields() {
    return std::tie(hardware_v, hardware_b, hardware_d, software_v, software_b, software_d);
  }
};
// Milli-resolution form of DcData's first two.
struct HighResDc {
  static constexpr std::array kPfs = {Pf::kHighResDc};
  double voltage_v = 0;
  double current_a = 0;
  auto Fields() { return std::tie(voltage_v, current_a); }
};

// True when T is the type of frames with this code.
template <typename T>
constexpr bool IsType(Pf pf) {
  for (const Pf own : T::kPfs) {
    if (own == pf) return true;
  }
  return false;
}

// Requires IsType<T>(message.pf).
template <typename T>
T As(const Message& message) {
  T result;
  std::apply(
      [&message](auto&... member) {
        size_t i = 0;
        ((member = static_cast<std::remove_reference_t<decltype(member)>>(message.values[i++])),
         ...);
      },
      result.Fields());
  return result;
}

// Encode for the typed forms; same errors. Requires IsType<T>(pf).
template <typename T>
absl::StatusOr<CanFrame> EncodeAs(Pf pf, uint8_t address, T message,
                                  const CodecOptions& options = {}) {
  const auto values = std::apply(
      [](const auto&... member) {
        return std::array<double, sizeof...(member)>{static_cast<double>(member)...};
      },
      message.Fields());
  return Encode(pf, address, values, options);
}
// The same for types that stand for one frame.
template <typename T>
absl::StatusOr<CanFrame> EncodeAs(uint8_t address, const T& message,
                                  const CodecOptions& options = {}) {
  static_assert(T::kPfs.size() == 1);
  return EncodeAs(T::kPfs[0], address, message, options);
}

}  // namespace canhub::ystech_pcs
