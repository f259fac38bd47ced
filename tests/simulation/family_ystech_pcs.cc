// YSTECH converters in the simulation. The reader here stands on ystech-pcs.md alone (sections 3,
// 5, 6, 7, 8); nothing of drivers/ystech-pcs's codec is used.
#include "tests/simulation/family_ystech_pcs.h"

#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "drivers/all_drivers.h"
#include "tests/simulation/mutation_tools.h"

namespace canhub::simulation {
namespace {

using Kind = FrameMeaning::Kind;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint32_t kController = 0xB4;
// Codes, section 5.
constexpr uint32_t kHeartbeat = 0x1A;
constexpr uint32_t kStartStop = 0x0F;
constexpr uint32_t kSetMode = 0x0B;
constexpr uint32_t kSetParameters12 = 0x0C;
constexpr uint32_t kSetParameters34 = 0x0D;
constexpr uint32_t kSetProtection1 = 0x05;
constexpr uint32_t kSetTime = 0x09;
constexpr uint32_t kSetIo = 0x1F;
constexpr uint32_t kLastCode = 0x39;
constexpr uint8_t kStandbyMode = 0x94;
// Periodic ones, section 5.
const std::set<uint32_t> kPeriodic = {0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
                                      0x18, 0x19, 0x23, 0x24, 0x25, 0x39};
// Answers, by the names of section 5 that items have as their source.
const std::map<std::string_view, uint32_t> kNames = {
    {"DCData", 0x11},
    {"CapacityEnergy", 0x12},
    {"Status", 0x13},
    {"GridVoltage", 0x14},
    {"GridCurrent", 0x15},
    {"SystemPower", 0x16},
    {"LoadVoltage", 0x17},
    {"LoadCurrent", 0x18},
    {"LoadPower", 0x19},
    {"PhaseAPower", 0x23},
    {"PhaseBPower", 0x24},
    {"PhaseCPower", 0x25},
    {"HighResDC", 0x39},
    {"ProtectionParams1Reply", 0x02},
    {"ProtectionParams2Reply", 0x03},
    {"ProtectionParams3Reply", 0x04},
    {"StoredBusVoltageReactive", 0x1E},
    {"IOAndAD", 0x20},
    {"SplitPhaseEnableReply", 0x27},
    {"InverterPhaseReply", 0x29},
    {"ReactiveControlReply", 0x2B},
    {"GridModeReply", 0x2D},
    {"ModuleParallelReply", 0x2F},
    {"ChannelParallelReply", 0x31},
    {"BusParallelReply", 0x33},
    {"WorkingModeReply", 0x36},
};
// The driver's README: a stop that does not show is sent five times at most.
constexpr int kInsistence = 5;

uint32_t Code(const CanFrame& frame) { return frame.id >> 16 & 0xFF; }
bool Reads(uint32_t code) { return code == 0x01 || code == 0x1D; }

CanFrame CommandFrame(const PlannedDevice& device, uint32_t code,
                      std::initializer_list<uint8_t> bytes) {
  CanFrame frame{.id = 0x18000000 | code << 16 | device.address << 8 | kController,
                 .extended = true,
                 .dlc = 8};
  std::copy(bytes.begin(), bytes.end(), frame.data.begin());
  return frame;
}

void PutNumber(double value, double scale, size_t at, CanFrame* frame) {
  const auto counts = static_cast<uint32_t>(static_cast<int32_t>(std::llround(value / scale)));
  for (size_t i = 0; i < 4; ++i) {
    frame->data[at + i] = static_cast<uint8_t>(counts >> (24 - 8 * i));
  }
}

// Modes that clients here use, with their parameters in order (section 7).
struct ModeRow {
  const char* name;
  uint8_t code;
  std::vector<std::pair<const char*, double>> parameters;  // name, scale
};
const std::vector<ModeRow>& Modes() {
  static const auto* const modes = new std::vector<ModeRow>{
      {"dc_constant_voltage", 0x02, {{"voltage_setpoint", 0.001}}},
      {"dc_constant_current", 0x21, {{"current_setpoint", 0.001}}},
      {"dc_constant_power", 0x22, {{"power_setpoint", 0.001}}},
      {"dc_cc_cv",
       0x29,
       {{"voltage_setpoint", 0.001}, {"current_setpoint", 0.001}, {"end_current", 0.001}}},
      {"dc_pulse_current",
       0x28,
       {{"current_1", 0.001}, {"current_2", 0.001}, {"cycle_time", 0.01}, {"duty_cycle", 0.01}}},
      {"standby", kStandbyMode, {}},
  };
  return *modes;
}

const ModeRow* ModeOf(const ActionCall& call) {
  const Value* name = FindArgument(call.arguments, "mode");
  if (name == nullptr || name->type() != ValueType::kText) return nullptr;
  for (const ModeRow& mode : Modes()) {
    if (name->text() == mode.name) return &mode;
  }
  return nullptr;
}

// 0x0C (first 0) or 0x0D (first 2) of a set-point; nullopt when the mode has none there.
std::optional<CanFrame> ParameterFrame(const ActionCall& call, const PlannedDevice& device,
                                       size_t first) {
  const ModeRow* mode = ModeOf(call);
  if (mode == nullptr || mode->parameters.size() <= first) return std::nullopt;
  CanFrame frame = CommandFrame(device, first == 0 ? kSetParameters12 : kSetParameters34, {});
  for (size_t i = first; i < first + 2 && i < mode->parameters.size(); ++i) {
    const auto& [name, scale] = mode->parameters[i];
    const Value* value = FindArgument(call.arguments, name);
    if (value == nullptr || value->type() == ValueType::kText) return std::nullopt;
    PutNumber(value->AsNumber(), scale, 4 * (i - first), &frame);
  }
  return frame;
}

// How often a set-point allows this frame.
int AllowsMode(const ActionCall& call, const PlannedDevice& device, const CanFrame& frame) {
  const ModeRow* mode = ModeOf(call);
  if (mode == nullptr) return 0;
  for (const size_t first : {size_t{0}, size_t{2}}) {
    const std::optional<CanFrame> parameters = ParameterFrame(call, device, first);
    if (parameters && *parameters == frame) return 1;
  }
  if (call.name != "set_mode") return 0;
  if (frame == CommandFrame(device, kSetMode, {mode->code})) return 1;
  const Value* stop_first = FindArgument(call.arguments, "stop_first");
  const bool stops = stop_first != nullptr && stop_first->flag();
  return stops && Code(frame) == kStartStop && frame.data[0] == 0 && frame.data[1] == 0 ? 1 : 0;
}

// The current alone: a parameter of constant current, and the second of CC-CV; what stands beside
// it, or in the other frame, is what the device had.
int AllowsCurrent(double ampere, const CanFrame& frame) {
  if (Code(frame) == kSetParameters34) return 1;
  if (Code(frame) != kSetParameters12) return 0;
  CanFrame wanted{.dlc = 8};
  PutNumber(ampere, 0.001, 0, &wanted);
  const auto at = [&](size_t offset) {
    return std::equal(wanted.data.begin(), wanted.data.begin() + 4,
                      frame.data.begin() + static_cast<ptrdiff_t>(offset));
  };
  return at(0) || at(4) ? 1 : 0;
}

class YstechPcs final : public Family {
 public:
  const DriverInfo& driver() const override { return *FindDriver("ystech-pcs"); }
  // Seventy frames a second from each.
  Duration LongestRun() const override { return minutes(20); }

  std::vector<PlannedDevice> PlanDevices(Random& random, const std::vector<std::string>& buses,
                                         Duration poll) const override {
    // Its own frames come every 200 ms, however seldom it is asked.
    poll = std::min<Duration>(poll, seconds(5));
    const auto text = [](Duration d) {
      return std::to_string(std::chrono::duration_cast<milliseconds>(d).count()) + " ms";
    };
    std::vector<PlannedDevice> devices;
    for (size_t b = 0; b < buses.size(); ++b) {
      const uint64_t count = 1 + random.Below(2);
      for (uint64_t i = 0; i < count; ++i) {
        const auto address = static_cast<uint32_t>(1 + 100 * i + random.Below(50));
        std::string yaml = "address: " + std::to_string(address) + ", poll: " + text(poll) +
                           ", slow_poll: " + text(std::max<Duration>(5 * poll, seconds(1))) +
                           ", sim_soft_start: 500 ms, limits: {voltage: 500 V, current: 100 A, "
                           "power: 60 kW}";
        if (random.Chance(0.3)) yaml += ", on_lease_lost: standby";
        if (random.Chance(0.2)) yaml += ", require_lease: true";
        devices.push_back({.id = "pcs" + std::to_string(b) + std::to_string(i),
                           .bus = buses[b],
                           .yaml = std::move(yaml),
                           .address = address,
                           .poll = poll});
      }
    }
    return devices;
  }

  FrameMeaning Read(const CanFrame& frame, bool from_daemon) const override {
    FrameMeaning meaning;
    if (!frame.extended || frame.remote || frame.id >> 24 != 0x18) return meaning;
    const uint32_t destination = frame.id >> 8 & 0xFF;
    const uint32_t source = frame.id & 0xFF;
    meaning.what = Code(frame);
    if (meaning.what == 0 || meaning.what > kLastCode) return meaning;
    if (from_daemon) {
      if (source != kController) return meaning;
      meaning.address = destination;
      meaning.whole_line = destination == 0;
      meaning.kind = meaning.what == kHeartbeat ? Kind::kSession
                     : Reads(meaning.what)      ? Kind::kQuestion
                                                : Kind::kAct;
      return meaning;
    }
    if (destination != kController) return meaning;
    meaning.kind = Kind::kAnswer;
    meaning.address = source;
    meaning.malformed = frame.dlc != 8;
    return meaning;
  }

  std::optional<std::pair<uint32_t, int>> Origin(const ItemTable& items,
                                                 ItemId item) const override {
    const auto found = kNames.find(items.Spec(item).source);
    if (found == kNames.end()) return std::nullopt;
    return std::pair(found->second, -1);
  }

  std::optional<Duration> GoodFor(uint32_t what, const DeviceSnapshot&) const override {
    // README: periodic ones for lost_after, 1 s.
    if (kPeriodic.contains(what)) return seconds(1);
    return std::nullopt;
  }

  Act MakeSetting(Random& random, const PlannedDevice&) const override {
    if (random.Chance(0.2)) {
      return std::vector<NamedWrite>{
          {"current_setpoint", Value::Number(std::floor(random.Between(-100, 100)))}};
    }
    const char* const name = random.Chance(0.6) ? "update_parameters" : "set_mode";
    return ActionCall{name,
                      {{"mode", Value::Text("dc_constant_current")},
                       {"current_setpoint", Value::Number(std::floor(random.Between(-100, 100)))}}};
  }

  Act MakeForbidden(Random& random, const PlannedDevice&) const override {
    Arguments arguments = {{"mode", Value::Text("dc_constant_current")}};
    switch (random.Below(5)) {
      case 0:  // above the limit
        arguments.emplace_back("current_setpoint", Value::Number(140));
        break;
      case 1:  // above protection as well
        arguments.emplace_back("current_setpoint", Value::Number(-1e9));
        break;
      case 2:
        arguments.emplace_back("current_setpoint", Value::Text("a lot"));
        break;
      case 3:
        arguments.emplace_back("ampere", Value::Number(1));
        break;
      default:
        return std::vector<NamedWrite>{{"dc_voltage", Value::Number(1)}};
    }
    return ActionCall{"set_mode", std::move(arguments)};
  }

  std::optional<CanFrame> FrameOf(const Act& act, const PlannedDevice& device) const override {
    const auto* call = std::get_if<ActionCall>(&act);
    if (call == nullptr) return std::nullopt;
    return ParameterFrame(*call, device, 0);
  }

  Act MakeAct(Random& random, const PlannedDevice&) const override {
    switch (random.Below(14)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return ActionCall{"start", {}};
      case 4:
        return ActionCall{"stop", {}};
      case 5:
        return ActionCall{"standby", {}};
      case 6:
        return ActionCall{"clear_faults", {}};
      case 7:
        return ActionCall{"set_self_start", {{"self_start", Value::Flag(random.Chance(0.5))}}};
      case 8:
        return ActionCall{"set_io",
                          {{"io1_output", Value::Flag(random.Chance(0.5))},
                           {"io2_output", Value::Flag(random.Chance(0.5))},
                           {"io3_output", Value::Flag(random.Chance(0.5))},
                           {"io4_output", Value::Flag(random.Chance(0.5))}}};
      case 9:
        return ActionCall{
            "set_protection",
            {{"max_charge_current", Value::Number(std::floor(random.Between(60, 150)))}}};
      case 10:
        // Without these it is the wall time, and a run with wall jumps (S12) another run by right.
        return ActionCall{"set_time",
                          {{"year", Value::Integer(2024)},
                           {"month", Value::Integer(2)},
                           {"day", Value::Integer(29)},
                           {"hour", Value::Integer(23)},
                           {"minute", Value::Integer(59)},
                           {"second", Value::Integer(int64_t(random.Below(60)))}}};
      case 11:
        return ActionCall{"set_mode",
                          {{"mode", Value::Text("dc_pulse_current")},
                           {"current_1", Value::Number(std::floor(random.Between(0, 50)))},
                           {"current_2", Value::Number(std::floor(random.Between(-50, 0)))},
                           {"cycle_time", Value::Number(2)},
                           {"duty_cycle", Value::Number(25)},
                           {"stop_first", Value::Flag(random.Chance(0.5))}}};
      default:
        return ActionCall{"set_mode",
                          {{"mode", Value::Text("dc_cc_cv")},
                           {"voltage_setpoint", Value::Number(410)},
                           {"current_setpoint", Value::Number(-50)},
                           {"end_current", Value::Number(5)},
                           {"stop_first", Value::Flag(random.Chance(0.5))}}};
    }
  }

  int Allows(const Act& act, const PlannedDevice& device, const CanFrame& frame) const override {
    if ((frame.id >> 8 & 0xFF) != device.address) return 0;
    if (const auto* writes = std::get_if<std::vector<NamedWrite>>(&act)) {
      if (writes->size() != 1 || writes->front().item != "current_setpoint") return 0;
      const Value& value = writes->front().value;
      const bool number = value.type() == ValueType::kNumber || value.type() == ValueType::kInteger;
      return number ? AllowsCurrent(value.AsNumber(), frame) : 0;
    }
    const auto* call = std::get_if<ActionCall>(&act);
    const uint32_t code = Code(frame);
    const bool stop = code == kStartStop && frame.data[0] == 0 && frame.data[1] == 0;
    const std::string& name = call->name;
    if (name == "set_mode" || name == "update_parameters") {
      return AllowsMode(*call, device, frame);
    }
    if (name == "start") {
      return code == kStartStop && frame.data[0] == 1 && frame.data[1] == 0 ? 1 : 0;
    }
    if (name == "stop") return stop ? kInsistence : 0;
    if (name == "standby") {
      if (frame == CommandFrame(device, kSetMode, {kStandbyMode})) return 1;
      return stop ? kInsistence : 0;
    }
    if (name == "clear_faults") {
      return code == kStartStop && frame.data[0] == 0 && frame.data[1] == 1 ? 1 : 0;
    }
    if (name == "set_self_start") {
      const Value* on = FindArgument(call->arguments, "self_start");
      const bool as_asked = on != nullptr && (frame.data[2] != 0) == on->flag();
      return code == kStartStop && frame.data[0] == 0 && frame.data[1] == 0 && as_asked ? 1 : 0;
    }
    if (name == "set_io") return code == kSetIo ? 1 : 0;
    if (name == "set_time") return code == kSetTime ? 1 : 0;
    if (name == "set_protection") {
      const Value* ampere = FindArgument(call->arguments, "max_charge_current");
      const auto counts = static_cast<uint32_t>(frame.data[4] << 8 | frame.data[5]);
      return code == kSetProtection1 && ampere != nullptr &&
                     counts == static_cast<uint32_t>(std::llround(ampere->AsNumber() * 10))
                 ? 1
                 : 0;
    }
    return 0;
  }

  ActionCall EmergencyOff() const override { return {"stop", {}}; }
  std::vector<Act> Recovery(const PlannedDevice&) const override {
    return {ActionCall{"stop", {}}, ActionCall{"clear_faults", {}}};
  }
  std::string LiveItem(const PlannedDevice&) const override { return "dc_voltage"; }

  CanFrame MakeRawFrame(Random& random, const PlannedDevice& device) const override {
    switch (random.Below(4)) {
      case 0:  // a question
        return CommandFrame(device, 0x1D, {0x0B});
      case 1:  // a start past all checks
        return CommandFrame(device, kStartStop, {1});
      case 2:  // somebody else's heartbeat, shut down
        return CommandFrame(device, kHeartbeat, {0, 0, 0x27, 0x10, 1});
      default: {  // nobody's
        CanFrame frame{.id = 0x700 + static_cast<uint32_t>(random.Below(0x80)),
                       .dlc = static_cast<uint8_t>(random.Below(9))};
        return frame;
      }
    }
  }

  Fault MakeFault(Random& random, const PlannedDevice&) const override {
    static const std::vector<std::string> kAll = {
        "silence",    "delay",          "wrong_length",    "lost_frames", "garbled", "deaf",
        "no_start",   "no_stop",        "slow_soft_start", "odd_state",   "reboot",  "trip",
        "fault_code", "emergency_stop", "grid_lost",       "refuse",      "no_reply"};
    Fault fault{random.Pick(kAll), {}};
    if (fault.name == "delay") {
      fault.arguments = {
          {"milliseconds", Value::Integer(static_cast<int64_t>(random.Below(3500)))}};
    } else if (fault.name == "lost_frames" || fault.name == "garbled") {
      fault.arguments = {{"probability", Value::Number(random.Between(0.05, 0.9))}};
    } else if (fault.name == "trip" || fault.name == "fault_code") {
      static const std::vector<int64_t> kCodes = {1, 4, 5, 17, 257, 0x800E};
      fault.arguments = {{"code", Value::Integer(random.Pick(kCodes))}};
    } else if (fault.name == "odd_state") {
      fault.arguments = {{"state", Value::Integer(77)}};
    } else if (fault.name == "refuse" || fault.name == "no_reply") {
      static const std::vector<int64_t> kCommands = {kSetMode, kSetParameters12, kStartStop};
      fault.arguments = {{"code", Value::Integer(random.Pick(kCommands))}};
    }
    return fault;
  }
  Fault Silence() const override { return {"silence", {}}; }
  Fault Malformation(Random&) const override { return {"wrong_length", {}}; }
};

// ---------------------------------------------------------------- mutations

// S04: another thread sends the heartbeats of devices whose actors hang. That is what must never be
// built "to be safe": a converter would run on with nobody at its controls.
class BeatsForOthers final : public Steppable, private FrameSink {
 public:
  BeatsForOthers(const Strain* strain, const std::vector<PlannedDevice>& devices,
                 const std::shared_ptr<CanBus>& bus)
      : strain_(strain), devices_(devices), bus_(bus), port_(bus->Attach({}, this)) {}
  MonoTime RunUntil(MonoTime now) override {
    for (const size_t device : strain_->paused) {
      port_->Send({.frame = CommandFrame(devices_[device], kHeartbeat, {0, 0, 0x27, 0x10, 2})})
          .IgnoreError();
    }
    return now + milliseconds(200);
  }

 private:
  void OnRx(const RxFrame&) override {}
  void OnTxReport(const TxReport&) override {}
  void OnBusState(BusState) override {}
  const Strain* const strain_;
  const std::vector<PlannedDevice>& devices_;
  const std::shared_ptr<CanBus> bus_;
  const std::unique_ptr<BusPort> port_;
};

// S01: who was running is started again when the daemon comes back.
class StartsAgain final : public BusChange {
 public:
  absl::Status Send(BusPort& port, TxFrame frame) override {
    if (Code(frame.frame) == kStartStop && frame.frame.data[0] == 1) start_ = frame.frame;
    return port.Send(std::move(frame));
  }
  void OnAttached(BusPort& port) override {
    if (start_) port.Send({.frame = *start_, .urgency = Urgency::kCommand}).IgnoreError();
  }

 private:
  std::optional<CanFrame> start_;
};

// S01: a stop goes out as a start: its first byte is wrong.
class StopsAreStarts final : public BusChange {
 public:
  absl::Status Send(BusPort& port, TxFrame frame) override {
    if (Code(frame.frame) == kStartStop) frame.frame.data[0] = 1;
    return port.Send(std::move(frame));
  }
};

// S07: what is too short is filled up.
class CompletesFrames final : public BusChange {
 public:
  RxFrame Receive(RxFrame frame) override {
    while (frame.frame.extended && frame.frame.dlc < 8) frame.frame.data[frame.frame.dlc++] = 0;
    return frame;
  }
};

// S02: what was waiting for a bus that was away goes out when it is back.
class RemembersSetPoints final : public BusChange {
 public:
  absl::Status Send(BusPort& port, TxFrame frame) override {
    if (Code(frame.frame) == kSetParameters12) last_ = frame.frame;
    return port.Send(std::move(frame));
  }
  void OnState(BusState state, BusPort& port) override {
    if (!CanTransmit(state)) {
      away_ = true;
    } else if (std::exchange(away_, false) && last_) {
      port.Send({.frame = *last_, .urgency = Urgency::kCommand}).IgnoreError();
    }
  }

 private:
  std::optional<CanFrame> last_;
  bool away_ = false;
};

std::vector<Mutation> MakeMutations() {
  const auto lively = [](RunOptions& options, Weights weights) {
    Lively(options, YstechPcsFamily(), weights);
  };
  return {
      {"S04", "heartbeats of converters whose actors hang come from elsewhere",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.pause = 2;
         lively(options, weights);
         options.doubles.bystander = [](const Strain* strain,
                                        const std::vector<PlannedDevice>& devices,
                                        std::shared_ptr<CanBus> bus) {
           return std::make_unique<BeatsForOthers>(strain, devices, bus);
         };
       }},
      {"S01", "a daemon that starts starts the converter as well",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.act = 8;
         weights.kill = 1;
         lively(options, weights);
         ChangeBus<StartsAgain>(options);
       }},
      {"S01", "a stop goes out as a start",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.emergency = 3;
         lively(options, weights);
         ChangeBus<StopsAreStarts>(options);
       }},
      {"S07", "a frame that is too short is filled up with zeros",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.malformed = 3;
         lively(options, weights);
         ChangeBus<CompletesFrames>(options);
       }},
      {"S02", "a bus that comes back gets the last set-point again",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         // No stops: they would make it S10.
         weights.act = weights.recover = 0;
         weights.bus = 1;
         lively(options, weights);
         ChangeBus<RemembersSetPoints>(options);
       }},
      {"S03", "a reader of the cache does not look at the end of GOOD",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.pause = 2;
         lively(options, weights);
         options.doubles.quality = [](const Reading& reading, MonoTime) { return reading.quality; };
       }},
  };
}

}  // namespace

const Family& YstechPcsFamily() {
  static const YstechPcs* const family = new YstechPcs;
  return *family;
}

const std::vector<Mutation>& YstechPcsMutations() {
  static const auto* const mutations = new std::vector<Mutation>(MakeMutations());
  return *mutations;
}

}  // namespace canhub::simulation
