// Packs of battery modules in the simulation. The reader here stands on battery-safety.md alone
// (sections 4.2, 4.4, 12.2); nothing of drivers/battery-module's codec or of the DBC is used.
#include "tests/simulation/family_battery_module.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include "drivers/all_drivers.h"
#include "tests/simulation/mutation_tools.h"

namespace canhub::simulation {
namespace {

using Kind = FrameMeaning::Kind;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint32_t kSync = 0x080;
constexpr uint32_t kRequest = 0x600;
constexpr uint32_t kPdo1 = 0x180;
constexpr uint32_t kPdo6 = 0x290;
constexpr uint32_t kAlarm = 0x1A0;
constexpr uint32_t kInfo = 0x2A0;
// A bus has one pack, whatever its modules.
constexpr uint32_t kPack = 1;

// Of the names that items have as their source.
const std::map<std::string_view, uint32_t> kSources = {
    {"battery facts 4.3, pdo1", kPdo1}, {"battery facts 4.3, pdo2", 0x280},
    {"battery facts 4.3, pdo3", 0x380}, {"battery facts 4.3, pdo4", 0x480},
    {"battery facts 4.3, pdo5", 0x190}, {"battery facts 4.3, pdo6", kPdo6},
    {"battery facts 4.3, pdo7", 0x390}, {"battery facts 4.3, pdo8", 0x490},
    {"battery facts 12.2", kAlarm},     {"battery facts 12.3", kInfo}};

uint8_t CheckSum(uint32_t module, const CanFrame& frame) {
  uint8_t sum = 0xFF;
  for (int i = -1; i < 7; ++i) {
    sum ^= i < 0 ? static_cast<uint8_t>(module) : frame.data[static_cast<size_t>(i)];
    for (int bit = 0; bit < 8; ++bit) {
      const bool carry = (sum & 0x80) != 0;
      sum = static_cast<uint8_t>(sum << 1);
      if (carry) sum ^= 0x1D;
    }
  }
  return static_cast<uint8_t>(~sum);
}

bool IsSensorRequest(const CanFrame& frame) {
  return frame == MakeFrame(frame.id, {0x2F, 0x05, 0x18, 0x01, 0, 0, 0, 0});
}

std::string Text(Duration time) {
  return std::to_string(std::chrono::duration_cast<milliseconds>(time).count()) + " ms";
}

Arguments OfSomeModule(Random& random, const PlannedDevice& device) {
  return {{"module", Value::Integer(1 + static_cast<int64_t>(random.Below(
                                            static_cast<uint64_t>(device.channels))))}};
}

class BatteryModule final : public Family {
 public:
  const DriverInfo& driver() const override { return *FindDriver("battery-module"); }
  // The modules talk all the time.
  Duration LongestRun() const override { return std::chrono::hours(3); }

  std::vector<PlannedDevice> PlanDevices(Random& random, const std::vector<std::string>& buses,
                                         Duration poll) const override {
    std::vector<PlannedDevice> devices;
    for (size_t b = 0; b < buses.size(); ++b) {
      const int modules = 1 + static_cast<int>(random.Below(3));
      std::string yaml =
          "sim_modules: " + std::to_string(modules) + ", sync_period: " + Text(poll) +
          ", request_period: " + Text(2 * poll) + ", stale_after: " + Text(3 * poll) +
          ", sensors_stale_after: " + Text(std::max<Duration>(10 * poll, seconds(1))) +
          ", sim_soc: " + std::to_string(random.Below(100)) + " %" +
          ", sim_current: " + std::to_string(random.Below(200)) + " A" + ", sim_capacity: 20 Ah";
      if (random.Chance(0.3)) yaml += ", expected_modules: " + std::to_string(modules);
      if (random.Chance(0.2)) yaml += ", require_lease: true";
      devices.push_back({.id = "bat" + std::to_string(b),
                         .bus = buses[b],
                         .yaml = std::move(yaml),
                         .address = kPack,
                         .channels = modules,
                         .poll = poll});
    }
    return devices;
  }

  FrameMeaning Read(const CanFrame& frame, bool from_daemon) const override {
    FrameMeaning meaning;
    if (frame.extended || frame.remote) return meaning;
    const uint32_t module = frame.id & 0xF;
    if (from_daemon) {
      if (frame.id == kSync) {
        meaning = {.kind = Kind::kQuestion, .address = kPack, .what = kPdo1};
      } else if ((frame.id & ~uint32_t{0xF}) == kRequest && module > 0) {
        // Whatever else is written to a module may set something.
        meaning = {.kind = IsSensorRequest(frame) ? Kind::kQuestion : Kind::kAct,
                   .address = kPack,
                   .what = kPdo6};
      }
      return meaning;
    }
    const uint32_t base = frame.id & ~uint32_t{0xF};
    const bool known = std::any_of(kSources.begin(), kSources.end(),
                                   [base](const auto& row) { return row.second == base; });
    if (!known || module == 0) return meaning;
    meaning = {
        .kind = Kind::kAnswer, .address = kPack, .what = base, .channel = static_cast<int>(module)};
    const bool ones = std::all_of(frame.data.begin(), frame.data.end(),
                                  [](uint8_t byte) { return byte == 0xFF; });
    meaning.malformed =
        frame.dlc != 8 || ones || (base == kAlarm && CheckSum(module, frame) != frame.data[7]);
    return meaning;
  }

  std::optional<std::pair<uint32_t, int>> Origin(const ItemTable& items,
                                                 ItemId item) const override {
    const ItemSpec& spec = items.Spec(item);
    const auto source = kSources.find(spec.source);
    if (spec.confidence == Confidence::kDerived || source == kSources.end()) return std::nullopt;
    return std::pair(source->second, items.Locate(item).instance + 1);
  }

  // The driver's README: "What is good for how long".
  std::optional<Duration> GoodFor(uint32_t what, const DeviceSnapshot& device) const override {
    const auto stated = [&](const char* key) -> std::optional<Duration> {
      const auto found = device.identity().find(key);
      if (found == device.identity().end()) return std::nullopt;
      return std::chrono::duration_cast<Duration>(
          std::chrono::duration<double>(std::strtod(found->second.c_str(), nullptr)));
    };
    switch (what) {
      case kAlarm:
        return milliseconds(1500);
      case kInfo:
        return minutes(1);
      case kPdo6:
        return stated("sensors_stale_after");
      default:
        return stated("stale_after");
    }
  }

  bool Acts() const override { return false; }
  Act MakeAct(Random& random, const PlannedDevice&) const override {
    if (random.Chance(0.2)) return std::vector<NamedWrite>{{"pack.voltage", Value::Number(48)}};
    return ActionCall{"detect", {}};
  }
  // There is nothing to set; a count is the one thing that can be asked for.
  Act MakeSetting(Random&, const PlannedDevice&) const override { return ActionCall{"detect", {}}; }
  Act MakeForbidden(Random& random, const PlannedDevice&) const override {
    switch (random.Below(4)) {
      case 0:
        return std::vector<NamedWrite>{{"module1.voltage", Value::Number(40)}};
      case 1:
        return std::vector<NamedWrite>{{"module16.voltage", Value::Number(40)}};
      case 2:
        return ActionCall{"detect", {{"module", Value::Integer(1)}}};
      default:
        return std::vector<NamedWrite>{{"pack.level", Value::Integer(0)}};
    }
  }
  std::optional<CanFrame> FrameOf(const Act&, const PlannedDevice&) const override {
    return std::nullopt;
  }
  int Allows(const Act&, const PlannedDevice&, const CanFrame&) const override { return 0; }
  // A battery has no brake: the converter beside it has. It is refused.
  ActionCall EmergencyOff() const override { return {"emergency_off", {}}; }
  std::vector<Act> Recovery(const PlannedDevice&) const override {
    return {ActionCall{"detect", {}}};
  }
  // Toggles a bit with every answer.
  std::string LiveItem(const PlannedDevice&) const override { return "module1.status"; }

  CanFrame MakeRawFrame(Random& random, const PlannedDevice& device) const override {
    const auto module = static_cast<uint32_t>(
        1 + random.Below(static_cast<uint64_t>(std::max(device.channels, 1))));
    switch (random.Below(4)) {
      case 0:
        // No frame of the driver's own: what it polls must be told from what somebody asked for.
        return MakeFrame(kSync, {0x00});
      case 1:
        return MakeFrame(kRequest + 14, {0x2F, 0x05, 0x18, 0x01, 0, 0, 0, 0});
      case 2:  // another object of the module
        return MakeFrame(kRequest + module, {0x2F, 0x00, 0x20, 0x01, 0, 0, 0, 0});
      default:
        return MakeFrame(0x700 + static_cast<uint32_t>(random.Below(0x80)), {1, 2, 3});
    }
  }

  Fault MakeFault(Random& random, const PlannedDevice& device) const override {
    static const std::vector<std::string> kOfModules = {"silence",  "freeze",  "sensor_open",
                                                        "heat",     "doubled", "wrong_length",
                                                        "all_ones", "bad_crc", "stuck_counter"};
    switch (random.Below(6)) {
      case 0:
        return {"lost_frames", {{"probability", Value::Number(random.Between(0.05, 0.9))}}};
      case 1:
        return {"current", {{"ampere", Value::Number(random.Between(-300, 300))}}};
      case 2:
        return {"extra_module", {{"module", Value::Integer(9)}}};
      case 3: {
        Arguments arguments = OfSomeModule(random, device);
        arguments.emplace_back("signal",
                               Value::Text(random.Chance(0.5) ? "Cell_3_Voltage" : "CMA_Voltage"));
        arguments.emplace_back("value", Value::Number(random.Between(0, 60)));
        return {"force", std::move(arguments)};
      }
      default:
        return {random.Pick(kOfModules), OfSomeModule(random, device)};
    }
  }
  Fault Silence() const override { return {"silence", {}}; }
  Fault Malformation(Random& random) const override {
    const double p = random.Unit();
    return {p < 0.5 ? "wrong_length" : p < 0.75 ? "all_ones" : "bad_crc", {}};
  }
};

// ---------------------------------------------------------------- what only batteries can break

// S01: the request writes to another object than it should.
class WritesElsewhere final : public BusChange {
 public:
  absl::Status Send(BusPort& port, TxFrame frame) override {
    if ((frame.frame.id & ~uint32_t{0xF}) == kRequest) frame.frame.data[1] = 0x06;
    return port.Send(std::move(frame));
  }
};

// S07: what is too short is filled up, and so becomes a value.
class CompletesFrames final : public BusChange {
 public:
  RxFrame Receive(RxFrame frame) override {
    while (frame.frame.dlc < 8) frame.frame.data[frame.frame.dlc++] = 0;
    return frame;
  }
};

// S07: the check sum of alarm frames is mended on the way.
class MendsCheckSums final : public BusChange {
 public:
  RxFrame Receive(RxFrame frame) override {
    CanFrame& alarm = frame.frame;
    if ((alarm.id & ~uint32_t{0xF}) == kAlarm && alarm.dlc == 8) {
      alarm.data[7] = CheckSum(alarm.id & 0xF, alarm);
    }
    return frame;
  }
};

// S04: modules of a pack whose actor hangs are polled by somebody else.
class PollsForOthers final : public Steppable, private FrameSink {
 public:
  PollsForOthers(const Strain* strain, const std::shared_ptr<CanBus>& bus)
      : strain_(strain), port_(bus->Attach({}, this)) {}
  MonoTime RunUntil(MonoTime now) override {
    if (!strain_->paused.empty()) port_->Send({.frame = MakeFrame(kSync, {0xFF})}).IgnoreError();
    return now + seconds(1);
  }

 private:
  void OnRx(const RxFrame&) override {}
  void OnTxReport(const TxReport&) override {}
  void OnBusState(BusState) override {}
  const Strain* const strain_;
  const std::unique_ptr<BusPort> port_;
};

std::vector<Mutation> MakeMutations() {
  const auto lively = [](RunOptions& options, Weights weights) {
    Lively(options, BatteryModuleFamily(), weights);
  };
  return {
      {"S01", "the sensor request writes to another object",
       [lively](RunOptions& options) {
         lively(options, kQuiet);
         ChangeBus<WritesElsewhere>(options);
       }},
      {"S03", "a reader of the cache does not look at the end of GOOD",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.pause = 2;
         lively(options, weights);
         options.doubles.quality = [](const Reading& reading, MonoTime) { return reading.quality; };
       }},
      {"S04", "modules of a pack whose actor hangs are polled from elsewhere",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.pause = 2;
         lively(options, weights);
         options.doubles.bystander = [](const Strain* strain, const std::vector<PlannedDevice>&,
                                        std::shared_ptr<CanBus> bus) {
           return std::make_unique<PollsForOthers>(strain, bus);
         };
       }},
      {"S07", "a frame that is too short is filled up with zeros",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.malformed = 3;
         lively(options, weights);
         ChangeBus<CompletesFrames>(options);
       }},
      {"S07", "a wrong check sum is put right",
       [lively](RunOptions& options) {
         Weights weights = kQuiet;
         weights.malformed = 4;
         lively(options, weights);
         ChangeBus<MendsCheckSums>(options);
       }},
  };
}

}  // namespace

const Family& BatteryModuleFamily() {
  static const BatteryModule* const family = new BatteryModule;
  return *family;
}

const std::vector<Mutation>& BatteryModuleMutations() {
  static const auto* const mutations = new std::vector<Mutation>(MakeMutations());
  return *mutations;
}

}  // namespace canhub::simulation
