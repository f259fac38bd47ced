// Xtenders and VarioTracks behind an Xcom-CAN in the simulation. The reader here stands on
// studer-xcom-can.md alone (sections 2, 3 and 10.2); nothing of drivers/studer's codec is used.
#include "tests/simulation/family_studer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

#include "drivers/all_drivers.h"
#include "tests/simulation/mutation_tools.h"

namespace canhub::simulation {
namespace {

using Kind = FrameMeaning::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Section 2: the daemon asks as client 0.
constexpr uint32_t kWriteService = 2;
constexpr uint32_t kMessageService = 3;
constexpr uint8_t kFlash = 0, kRam = 4;
// Section 10.2.
constexpr uint32_t kOff = 1399, kOn = 1415, kForceFloating = 1467;
// The driver's README: the pause between two questions to a unit that does not answer grows to 30
// s.
constexpr Duration kLongestPause = seconds(31);
// A gateway that is busy is asked again, at most so often; a unit that failed, once. A safe action
// every 50 ms for ten seconds.
constexpr int kMostBusy = 5;
constexpr int kMostBusyOfSafeActions = seconds(10) / milliseconds(50);

uint32_t Destination(const CanFrame& frame) { return frame.id >> 19 & 0x3FF; }
uint32_t Source(const CanFrame& frame) { return frame.id >> 9 & 0x3FF; }
uint32_t Service(const CanFrame& frame) { return frame.id >> 6 & 7; }

struct Parameter {
  const char* item;
  uint32_t id;
  double low, high;
  bool flag;
};
// Of an Xtender, section 10.2.
constexpr Parameter kParameters[] = {
    {"parameter.battery_charge_current", 1138, 0, 100, false},
    {"parameter.ac_output_voltage", 1286, 200, 240, false},
    {"parameter.inverter_allowed", 1124, 0, 1, true},
    {"parameter.charger_allowed", 1125, 0, 1, true},
};

CanFrame WriteFrame(const PlannedDevice& device, uint32_t id, uint8_t part, double value) {
  CanFrame frame{.id = device.address << 19 | kWriteService << 6, .extended = true, .dlc = 7};
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  frame.data = {static_cast<uint8_t>(id >> 8),
                static_cast<uint8_t>(id),
                part,
                static_cast<uint8_t>(bits >> 24),
                static_cast<uint8_t>(bits >> 16),
                static_cast<uint8_t>(bits >> 8),
                static_cast<uint8_t>(bits)};
  return frame;
}

std::optional<CanFrame> FrameOfWrite(const NamedWrite& write, const PlannedDevice& device) {
  for (const Parameter& parameter : kParameters) {
    if (write.item != parameter.item) continue;
    const bool flag = write.value.type() == ValueType::kFlag;
    const bool number =
        write.value.type() == ValueType::kNumber || write.value.type() == ValueType::kInteger;
    if (parameter.flag != flag || (!flag && !number)) return std::nullopt;
    return WriteFrame(device, parameter.id, kRam, write.value.AsNumber());
  }
  return std::nullopt;
}

class Studer final : public Family {
 public:
  const DriverInfo& driver() const override { return *FindDriver("studer"); }

  std::vector<PlannedDevice> PlanDevices(Random& random, const std::vector<std::string>& buses,
                                         Duration poll) const override {
    // One question at a time: a gateway that is asked faster is a gateway that is late.
    poll = std::clamp<Duration>(poll, seconds(2), seconds(300));
    const std::string period =
        std::to_string(std::chrono::duration_cast<milliseconds>(poll).count()) + " ms";
    std::vector<PlannedDevice> devices;
    for (size_t b = 0; b < buses.size(); ++b) {
      const uint64_t count = 1 + random.Below(3);
      for (uint64_t i = 0; i < count; ++i) {
        std::string yaml = "unit: xtender, number: " + std::to_string(i + 1) + ", poll: " + period +
                           ", infos: \"3000, 3021\", limits: {charge_current: 150 A}";
        if (random.Chance(0.5)) yaml += ", parameters: \"1138\"";
        if (random.Chance(0.3)) yaml += ", on_lease_lost: switch_off";
        if (random.Chance(0.2)) yaml += ", require_lease: true";
        if (random.Chance(0.2)) yaml += ", signals: ram";
        devices.push_back({.id = "xt" + std::to_string(b) + std::to_string(i),
                           .bus = buses[b],
                           .yaml = std::move(yaml),
                           .address = static_cast<uint32_t>(101 + i),
                           .poll = std::max(poll, kLongestPause)});
      }
    }
    return devices;
  }

  FrameMeaning Read(const CanFrame& frame, bool from_daemon) const override {
    FrameMeaning meaning;
    if (!frame.extended || frame.remote || Service(frame) > kMessageService) return meaning;
    if (from_daemon) {
      if (frame.dlc < 2) return meaning;
      meaning.kind = Service(frame) == kWriteService    ? Kind::kAct
                     : Service(frame) < kMessageService ? Kind::kQuestion
                                                        : Kind::kForeign;
      meaning.address = Destination(frame);
      meaning.what = uint32_t{frame.data[0]} << 8 | frame.data[1];
      return meaning;
    }
    meaning.address = Source(frame);
    if (Service(frame) == kMessageService || (frame.id & 1) != 0) {
      meaning.kind = Kind::kAnnouncement;  // a message or an error: no value
      return meaning;
    }
    if (Destination(frame) != 0) return meaning;
    meaning.kind = Kind::kAnswer;
    const uint8_t bytes = Service(frame) == 0 ? 6 : 7;
    meaning.malformed = frame.dlc < bytes;
    if (frame.dlc >= 2) meaning.what = uint32_t{frame.data[0]} << 8 | frame.data[1];
    return meaning;
  }

  std::optional<std::pair<uint32_t, int>> Origin(const ItemTable& items,
                                                 ItemId item) const override {
    std::string_view alias = items.Spec(item).alias;
    if (alias.starts_with("flash.")) alias.remove_prefix(6);
    const auto id = static_cast<uint32_t>(std::atoi(std::string(alias).c_str()));
    if (id == 0) return std::nullopt;
    return std::pair(id, -1);
  }

  std::optional<Duration> GoodFor(uint32_t, const DeviceSnapshot& device) const override {
    const auto period = device.identity().find("poll_period");
    if (period == device.identity().end()) return std::nullopt;
    // README: three periods and two seconds.
    return 3 * milliseconds(std::llround(std::atof(period->second.c_str()) * 1000)) + seconds(2);
  }

  Act MakeAct(Random& random, const PlannedDevice& device) const override {
    switch (random.Below(8)) {
      case 0:
        return ActionCall{"switch_off", {}};
      case 1:
        return ActionCall{"switch_on", {}};
      case 2:
        return ActionCall{"trigger", {{"signal", Value::Text(std::to_string(kForceFloating))}}};
      case 3:
        return ActionCall{"write_flash",
                          {{"parameter", Value::Text("1138")},
                           {"value", Value::Number(std::floor(random.Between(0, 100)))}}};
      case 4:
        return ActionCall{"write_parameter",
                          {{"parameter", Value::Text("1138")},
                           {"value", Value::Number(std::floor(random.Between(0, 100)))},
                           {"force", Value::Flag(random.Chance(0.5))}}};
      case 5: {
        // A command of several frames.
        std::vector<NamedWrite> writes;
        for (const Parameter& parameter : kParameters) writes.push_back(Write(random, parameter));
        return writes;
      }
      default:
        return MakeSetting(random, device);
    }
  }

  Act MakeSetting(Random& random, const PlannedDevice&) const override {
    return std::vector<NamedWrite>{
        Write(random, kParameters[random.Below(std::size(kParameters))])};
  }

  Act MakeForbidden(Random& random, const PlannedDevice& device) const override {
    std::vector<NamedWrite> writes;
    if (random.Chance(0.5)) {
      writes = std::get<std::vector<NamedWrite>>(MakeSetting(random, device));
    }
    static const std::vector<NamedWrite> kForbidden = {
        {"parameter.battery_charge_current", Value::Number(160)},  // the configured limit
        {"parameter.ac_output_voltage", Value::Number(300)},
        {"battery_voltage", Value::Number(48)},
        {"parameter.inverter_allowed", Value::Text("yes")},
        {"parameter.nothing", Value::Number(1)},
    };
    writes.push_back(random.Pick(kForbidden));
    return writes;
  }

  std::optional<CanFrame> FrameOf(const Act& act, const PlannedDevice& device) const override {
    const auto* writes = std::get_if<std::vector<NamedWrite>>(&act);
    if (writes == nullptr || writes->empty()) return std::nullopt;
    return FrameOfWrite(writes->front(), device);
  }

  int Allows(const Act& act, const PlannedDevice& device, const CanFrame& frame) const override {
    int times = 0;
    int most_busy = kMostBusy;
    if (const auto* writes = std::get_if<std::vector<NamedWrite>>(&act)) {
      for (const NamedWrite& write : *writes) {
        const std::optional<CanFrame> expected = FrameOfWrite(write, device);
        if (expected && *expected == frame) ++times;
      }
    } else {
      const auto& call = std::get<ActionCall>(act);
      times = AllowsCall(call, device, frame) ? 1 : 0;
      if (call.name == EmergencyOff().name) most_busy = kMostBusyOfSafeActions;
    }
    return times * (1 + most_busy);
  }

  ActionCall EmergencyOff() const override { return {"switch_off", {}}; }
  std::vector<Act> Recovery(const PlannedDevice&) const override {
    return {ActionCall{"switch_on", {}}};
  }
  std::string LiveItem(const PlannedDevice&) const override { return "battery_voltage"; }

  CanFrame MakeRawFrame(Random& random, const PlannedDevice& device) const override {
    // A parameter that no client here sets: whose frame it is can be told.
    return WriteFrame(device, 1107, kRam, std::floor(random.Between(2, 50)));
  }

  Fault MakeFault(Random& random, const PlannedDevice&) const override {
    static const std::vector<std::string> kFaults = {"delay",  "error",        "lost_frames",
                                                     "nan",    "wrong_object", "grid_lost",
                                                     "clouds", "restart",      "message"};
    Fault fault{.name = random.Pick(kFaults)};
    if (fault.name == "delay") {
      fault.arguments = {
          {"milliseconds", Value::Integer(static_cast<int64_t>(random.Below(1500)))}};
    }
    if (fault.name == "error") {
      fault.arguments = {{"code", Value::Integer(static_cast<int64_t>(random.Below(0x30)))}};
    }
    if (fault.name == "lost_frames") fault.arguments = {{"probability", Value::Number(0.2)}};
    if (fault.name == "message") {
      fault.arguments = {{"message", Value::Integer(static_cast<int64_t>(random.Below(256)))}};
    }
    return fault;
  }
  Fault Silence() const override { return {"silence", {}}; }
  Fault Malformation(Random&) const override { return {"wrong_length", {}}; }

 private:
  static NamedWrite Write(Random& random, const Parameter& parameter) {
    const double value = std::floor(random.Between(parameter.low, parameter.high + 0.999));
    return {parameter.item, parameter.flag ? Value::Flag(value != 0) : Value::Number(value)};
  }

  // One frame; a signal goes to either part, as the device is configured. A write to flash may
  // become one to RAM, where flash has the value already.
  static bool AllowsCall(const ActionCall& call, const PlannedDevice& device,
                         const CanFrame& frame) {
    const auto either = [&](uint32_t id, double value) {
      return frame == WriteFrame(device, id, kFlash, value) ||
             frame == WriteFrame(device, id, kRam, value);
    };
    if (call.name == "switch_off") return either(kOff, 1);
    if (call.name == "switch_on") return either(kOn, 1);
    if (call.name == "trigger") return either(kForceFloating, 1);
    const Value* value = FindArgument(call.arguments, "value");
    if (value == nullptr) return false;
    if (call.name == "write_flash") return either(1138, value->AsNumber());
    return call.name == "write_parameter" &&
           frame == WriteFrame(device, 1138, kRam, value->AsNumber());
  }
};

// ---------------------------------------------------------------- mutations

bool IsWrite(const CanFrame& frame) {
  return frame.extended && Service(frame) == kWriteService && frame.dlc == 7;
}

// S01: what was meant for RAM wears out flash.
class WritesFlash final : public BusChange {
 public:
  absl::Status Send(BusPort& port, TxFrame frame) override {
    if (IsWrite(frame.frame)) frame.frame.data[2] = kFlash;
    return port.Send(std::move(frame));
  }
};

// S01: what was in RAM is written again when the daemon comes back.
class WritesAgain final : public BusChange {
 public:
  absl::Status Send(BusPort& port, TxFrame frame) override {
    if (IsWrite(frame.frame)) last_ = frame.frame;
    return port.Send(std::move(frame));
  }
  void OnAttached(BusPort& port) override {
    if (last_) port.Send({.frame = *last_, .urgency = Urgency::kCommand}).IgnoreError();
  }

 private:
  std::optional<CanFrame> last_;
};

// S03: an error is read as a value.
class ErrorsAreValues final : public BusChange {
 public:
  RxFrame Receive(RxFrame frame) override {
    if (frame.frame.extended && Service(frame.frame) == 0) frame.frame.id &= ~uint32_t{1};
    return frame;
  }
};

// S07: what is too short is filled up.
class CompletesAnswers final : public BusChange {
 public:
  RxFrame Receive(RxFrame frame) override {
    const uint8_t bytes = Service(frame.frame) == 0 ? 6 : 7;
    while (frame.frame.extended && (frame.frame.id & 1) == 0 && frame.frame.dlc < bytes) {
      frame.frame.data[frame.frame.dlc++] = 0;
    }
    return frame;
  }
};

std::vector<Mutation> MakeMutations() {
  const auto lively = [](RunOptions& options, Weights weights) {
    Lively(options, StuderFamily(), weights);
  };
  return {
      {"S01", "what is meant for RAM goes to flash",
       [lively](RunOptions& options) {
         lively(options, kQuiet);
         ChangeBus<WritesFlash>(options);
       }},
      {"S01", "a daemon that starts writes again what was in RAM",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.kill = 1;
         lively(options, weights);
         ChangeBus<WritesAgain>(options);
       }},
      {"S03", "an error is read as a value",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.fault = 4;
         weights.read = 20;
         lively(options, weights);
         ChangeBus<ErrorsAreValues>(options);
       }},
      {"S07", "an answer that is too short is filled up with zeros",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.malformed = 3;
         weights.read = 20;
         lively(options, weights);
         ChangeBus<CompletesAnswers>(options);
       }},
  };
}

}  // namespace

const std::vector<Mutation>& StuderMutations() {
  static const auto* const mutations = new std::vector<Mutation>(MakeMutations());
  return *mutations;
}

const Family& StuderFamily() {
  static const Studer family;
  return family;
}

}  // namespace canhub::simulation
