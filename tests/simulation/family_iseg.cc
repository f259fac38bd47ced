// iseg modules and crates in the simulation. The reader here stands on iseg-edcp.md alone (sections
// 3, 6, 9 and the tables 10 to 13); nothing of drivers/iseg's codec is used.
#include "tests/simulation/family_iseg.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <set>

#include "drivers/all_drivers.h"

namespace canhub::simulation {
namespace {

using Kind = FrameMeaning::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t kCrate = 0x400;
// Registers, section 10 to 11.
constexpr uint32_t kModuleControl = 0x1001;
constexpr uint32_t kModuleRamp = 0x1100;
constexpr uint32_t kCratePower = 0x1A05;
constexpr uint32_t kEmergencyOffList = 0x2201;
constexpr uint32_t kStatus = 0x4000;
constexpr uint32_t kControl = 0x4001;
constexpr uint32_t kEvents = 0x4002;
constexpr uint32_t kTripTime = 0x4005;
constexpr uint32_t kVoltageSet = 0x4100;
constexpr uint32_t kCurrentSet = 0x4101;
constexpr uint32_t kVoltageMeasure = 0x4102;
constexpr uint32_t kCurrentMeasure = 0x4103;
constexpr uint32_t kVoltageBounds = 0x4104;
constexpr uint32_t kRampUp = 0x4123;
constexpr uint32_t kRampDown = 0x4124;
constexpr uint8_t kOnBit = 0x08;
constexpr uint8_t kEmergencyBit = 0x20;
// The driver repeats a safe action that does not show at most this often (its README: insists).
constexpr int kInsistence = 5;

// 0x6xxx is 0x4xxx of many channels; +0x80 the 32-bit form of a status register.
uint32_t Fold(uint32_t data_id) {
  if ((data_id & 0xF000) == 0x6000) data_id &= 0xDFFF;
  if (data_id == 0x4080 || data_id == 0x4082 || (data_id >= 0x1080 && data_id <= 0x1085)) {
    data_id &= ~uint32_t{0x80};
  }
  return data_id;
}

// Bytes of the value; 0: not known to this reader.
size_t ValueBytes(uint32_t data_id) {
  switch (data_id & 0xDFFF) {
    case 0x4000:
    case 0x4001:
    case 0x4002:
    case 0x4003:
    case 0x4005:
    case 0x1000:
    case 0x1001:
    case 0x1002:
    case 0x1003:
      return 2;
    case 0x4080:
    case 0x4082:
    case 0x1080:
    case 0x1200:
      return 4;
    default:
      break;
  }
  const uint32_t folded = data_id & 0xDFFF;
  const bool number = (folded >= 0x4100 && folded <= 0x4107) || folded == 0x4123 ||
                      folded == 0x4124 || (folded >= 0x1100 && folded <= 0x1106);
  return number ? 4 : 0;
}
bool IsNumber(uint32_t data_id) { return ValueBytes(data_id) == 4 && (data_id & 0x0F00) == 0x0100; }

bool Finite(const uint8_t* bytes) {
  const uint32_t bits = uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 |
                        uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
  return (bits & 0x7F800000) != 0x7F800000;
}

uint32_t BaseId(const PlannedDevice& device) {
  return 0x200 | (device.address & kCrate) | (device.address & 0x3F) << 3;
}

CanFrame WriteFrame(const PlannedDevice& device, uint32_t data_id, int channel,
                    std::initializer_list<uint8_t> value) {
  CanFrame frame{.id = BaseId(device)};
  const auto add = [&frame](uint32_t byte) {
    frame.data[frame.dlc++] = static_cast<uint8_t>(byte);
  };
  add(data_id >> 8);
  add(data_id & 0xFF);
  if (channel >= 0) add(static_cast<uint32_t>(channel));
  for (const uint8_t byte : value) add(byte);
  return frame;
}

CanFrame NumberFrame(const PlannedDevice& device, uint32_t data_id, int channel, double value) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  return WriteFrame(device, data_id, channel,
                    {static_cast<uint8_t>(bits >> 24), static_cast<uint8_t>(bits >> 16),
                     static_cast<uint8_t>(bits >> 8), static_cast<uint8_t>(bits)});
}

struct Written {
  uint32_t data_id = 0;  // 0: none
  int channel = -1;
  std::optional<uint16_t> word;
};
// A write on a device's own identifier, longer than its DATA_ID.
Written ReadWrite(const PlannedDevice& device, const CanFrame& frame) {
  if (frame.extended || frame.id != BaseId(device) || frame.dlc < 3) return {};
  Written written{.data_id = uint32_t{frame.data[0]} << 8 | frame.data[1]};
  size_t at = 2;
  if ((written.data_id & 0xF000) == 0x4000) written.channel = frame.data[at++];
  if (frame.dlc == at + 2) {
    written.word = static_cast<uint16_t>(frame.data[at] << 8 | frame.data[at + 1]);
  }
  return written;
}

// "ch3.voltage_set" → 3, "voltage_set".
std::pair<int, std::string> SplitName(const std::string& item) {
  if (!item.starts_with("ch")) return {-1, item};
  const size_t dot = item.find('.');
  if (dot == std::string::npos) return {-1, item};
  return {std::atoi(item.c_str() + 2), item.substr(dot + 1)};
}

std::optional<int> ChannelOf(const ActionCall& call) {
  const Value* channel = FindArgument(call.arguments, "channel");
  if (channel == nullptr || channel->type() != ValueType::kInteger) return std::nullopt;
  return static_cast<int>(channel->integer());
}

std::string ChannelItem(Random& random, const PlannedDevice& device, const char* name) {
  const auto channels = static_cast<uint64_t>(std::max(device.channels, 1));
  return "ch" + std::to_string(random.Below(channels)) + "." + name;
}

class Iseg final : public Family {
 public:
  const DriverInfo& driver() const override { return *FindDriver("iseg"); }

  std::vector<PlannedDevice> PlanDevices(Random& random, const std::vector<std::string>& buses,
                                         Duration poll) const override {
    struct Model {
      const char* name;
      int channels;
      int limit_volt;
    };
    // What tells them apart: own ramps or the module's, wide or narrow status, modes, size.
    static const std::vector<Model> kModels = {{"E08F2", 8, 4000},  {"E08F0", 8, 3000},
                                               {"E08C2", 8, 2500},  {"N04C2", 4, 5000},
                                               {"E16D0", 16, 2000}, {"E12B0", 12, 450}};
    const auto period = std::to_string(std::chrono::duration_cast<milliseconds>(poll).count());
    const Duration slow = std::min<Duration>(10 * poll, seconds(300));
    const Duration verify = std::min<Duration>(60 * poll, seconds(3600));
    const auto text = [](Duration d) {
      return std::to_string(std::chrono::duration_cast<milliseconds>(d).count()) + " ms";
    };
    const std::string timing =
        ", poll: " + period + " ms, slow_poll: " + text(slow) + ", verify_poll: " + text(verify);
    std::vector<PlannedDevice> devices;
    for (size_t b = 0; b < buses.size(); ++b) {
      const std::string number = std::to_string(b);
      const bool crate = b == 0;
      if (crate) {
        devices.push_back({.id = "crate" + number,
                           .bus = buses[b],
                           .yaml = "class: crate, address: 0" + timing,
                           .address = kCrate,
                           .poll = poll});
      }
      const uint64_t modules = 1 + random.Below(3);
      for (uint64_t m = 0; m < modules; ++m) {
        const Model& model = random.Pick(kModels);
        // Few channels: many lab hours; sometimes all of them.
        const int channels =
            random.Chance(0.1) ? model.channels : 1 + static_cast<int>(random.Below(3));
        const auto address = static_cast<uint32_t>(3 * m + random.Below(3));
        std::string yaml = "address: " + std::to_string(address) + ", sim_model: " + model.name +
                           ", sim_channels: " + std::to_string(channels) + timing +
                           ", limits: {voltage: " + std::to_string(model.limit_volt) +
                           " V, ramp: 1200 V/s}";
        if (crate && random.Chance(0.3)) yaml += ", sim_crate: 0";
        if (random.Chance(0.3)) yaml += ", on_lease_lost: emergency_off";
        if (random.Chance(0.2)) yaml += ", require_lease: true";
        if (random.Chance(0.2)) yaml += ", group_lists: false";
        devices.push_back({.id = "hv" + number + std::to_string(m),
                           .bus = buses[b],
                           .yaml = std::move(yaml),
                           .address = address,
                           .channels = channels,
                           .poll = poll});
      }
    }
    return devices;
  }

  FrameMeaning Read(const CanFrame& frame, bool from_daemon) const override {
    FrameMeaning meaning;
    if (frame.extended || frame.remote) return meaning;
    if (frame.id == 0x004) {
      meaning.kind = from_daemon ? Kind::kAct : Kind::kForeign;
      meaning.whole_line = true;
      return meaning;
    }
    if ((frame.id & 0x200) == 0 || (frame.id & 0x002) != 0) return meaning;
    const bool read = (frame.id & 1) != 0;
    meaning.address = (frame.id & kCrate) | (frame.id >> 3 & 0x3F);
    if (frame.dlc == 0) return meaning;
    const uint32_t data_id =
        frame.dlc > 1 ? uint32_t{frame.data[0]} << 8 | frame.data[1] : uint32_t{frame.data[0]} << 8;
    if (from_daemon) {
      if (read) {
        meaning.kind = Kind::kQuestion;
      } else {
        meaning.kind = frame.data[0] == 0xD8 ? Kind::kSession : Kind::kAct;
      }
      meaning.what = Fold(data_id);
      return meaning;
    }
    if (read) {
      meaning.kind = Kind::kAnnouncement;
      return meaning;
    }
    meaning.kind = Kind::kAnswer;
    if ((frame.data[0] & 0x80) != 0) {
      meaning.what = uint32_t{frame.data[0]} << 16;  // DCP: a name space of its own
      return meaning;
    }
    meaning.what = Fold(data_id);
    size_t at = 2;
    if ((data_id & 0x4000) != 0 && (data_id & 0x8000) == 0) {
      if (frame.dlc > 2) meaning.channel = frame.data[2];
      at = 3;
    }
    const size_t bytes = ValueBytes(data_id);
    if (bytes == 0 || frame.dlc == at) return meaning;  // unknown here; or: has no such item
    meaning.malformed = frame.dlc != at + bytes || (IsNumber(data_id) && !Finite(&frame.data[at]));
    return meaning;
  }

  std::optional<std::pair<uint32_t, int>> Origin(const ItemTable& items,
                                                 ItemId item) const override {
    const ItemSpec& spec = items.Spec(item);
    const std::string_view source = spec.source;
    if (spec.confidence == Confidence::kDerived || !source.starts_with("EDCP 0x")) {
      return std::nullopt;
    }
    const auto data_id =
        static_cast<uint32_t>(std::strtoul(std::string(source.substr(7, 4)).c_str(), nullptr, 16));
    if ((data_id & 0xF000) == 0x2000) return std::nullopt;  // members of a group: one frame each
    const ItemTable::Place place = items.Locate(item);
    const bool channel = (data_id & 0xF000) == 0x4000;
    return std::pair(Fold(data_id), channel ? place.instance : -1);
  }

  std::optional<Duration> GoodFor(uint32_t what, const DeviceSnapshot& device) const override {
    static const std::set<uint32_t> kFast = {kStatus, kEvents, kVoltageMeasure, kCurrentMeasure};
    if (!kFast.contains(what)) return std::nullopt;
    const auto period = device.identity().find("poll_period");
    if (period == device.identity().end()) return std::nullopt;
    // README: three periods and the time-out of a multiple read, 500 ms. The identity shows the
    // period in milliseconds: as much for its rounding.
    const auto ms = static_cast<int64_t>(std::llround(std::atof(period->second.c_str()) * 1000));
    return 3 * milliseconds(ms + 1) + milliseconds(500);
  }

  Act MakeSetting(Random& random, const PlannedDevice& device) const override {
    return std::vector<NamedWrite>{Setting(random, device)};
  }

  // Sometimes behind one that is allowed: all or nothing.
  Act MakeForbidden(Random& random, const PlannedDevice& device) const override {
    std::vector<NamedWrite> writes;
    if (random.Chance(0.5)) writes.push_back(Setting(random, device));
    writes.push_back(Forbidden(random, device));
    return writes;
  }

  std::optional<CanFrame> FrameOf(const Act& act, const PlannedDevice& device) const override {
    const auto* writes = std::get_if<std::vector<NamedWrite>>(&act);
    if (writes == nullptr || writes->empty()) return std::nullopt;
    return FrameOfWrite(writes->front(), device);
  }

  static NamedWrite Setting(Random& random, const PlannedDevice& device) {
    if (device.channels == 0) return {"power", Value::Flag(true)};
    return {ChannelItem(random, device, "voltage_set"),
            Value::Number(std::floor(random.Between(0, 400)))};
  }

  static NamedWrite Forbidden(Random& random, const PlannedDevice& device) {
    if (device.channels == 0) return {"power", Value::Number(3)};
    switch (random.Below(5)) {
      case 0:
        return {ChannelItem(random, device, "voltage_set"), Value::Number(99999)};
      case 1:
        return {ChannelItem(random, device, "voltage_measure"), Value::Number(1)};
      case 2:
        return {ChannelItem(random, device, "voltage_set"), Value::Text("a lot")};
      case 3:
        return {ChannelItem(random, device, "voltage_ramp_speed_up"), Value::Number(50000)};
      default:
        return {"ch99.voltage_set", Value::Number(1)};
    }
  }

  static std::optional<CanFrame> FrameOfWrite(const NamedWrite& write,
                                              const PlannedDevice& device) {
    const auto [channel, name] = SplitName(write.item);
    const bool number =
        write.value.type() == ValueType::kNumber || write.value.type() == ValueType::kInteger;
    struct Row {
      const char* name;
      uint32_t data_id;
    };
    static constexpr Row kNumbers[] = {{"voltage_set", kVoltageSet},
                                       {"current_set", kCurrentSet},
                                       {"voltage_bounds", kVoltageBounds},
                                       {"voltage_ramp_speed_up", kRampUp},
                                       {"voltage_ramp_speed_down", kRampDown}};
    if (number && channel >= 0) {
      for (const Row& row : kNumbers) {
        if (name == row.name) {
          return NumberFrame(device, row.data_id, channel, write.value.AsNumber());
        }
      }
    }
    if (number && channel < 0 && name == "voltage_ramp_speed") {
      return NumberFrame(device, kModuleRamp, -1, write.value.AsNumber());
    }
    if (name == "delayed_trip_time" && write.value.type() == ValueType::kInteger) {
      const auto ms = static_cast<uint16_t>(write.value.integer());
      return WriteFrame(device, kTripTime, channel,
                        {static_cast<uint8_t>(ms >> 8), static_cast<uint8_t>(ms)});
    }
    if (name == "on" && write.value.type() == ValueType::kFlag) {
      return WriteFrame(device, kControl, channel, {0, write.value.flag() ? kOnBit : uint8_t{0}});
    }
    if (name == "power" && write.value.type() == ValueType::kFlag) {
      return WriteFrame(device, kCratePower, -1, {write.value.flag() ? uint8_t{1} : uint8_t{0}});
    }
    return std::nullopt;
  }

  Act MakeAct(Random& random, const PlannedDevice& device) const override {
    if (device.channels == 0) {
      if (random.Chance(0.3)) return ActionCall{"clear_events", {}};
      return ActionCall{"crate_power", {{"on", Value::Flag(random.Chance(0.8))}}};
    }
    const auto one = [&]() -> Arguments {
      if (random.Chance(0.2)) return {};
      return {{"channel", Value::Integer(static_cast<int64_t>(
                              random.Below(static_cast<uint64_t>(device.channels) + 1)))}};
    };
    switch (random.Below(16)) {
      case 0:
      case 1:
        return ActionCall{"switch_on", one()};
      case 2:
        return ActionCall{"switch_off", one()};
      case 3:
        return ActionCall{"clear_events", one()};
      case 4:
        return ActionCall{"release_emergency_off", one()};
      case 5:
        return ActionCall{"ramp_down", {}};
      case 6: {
        Arguments arguments = one();
        arguments.emplace_back("up", Value::Number(std::floor(random.Between(1, 300))));
        return ActionCall{"set_ramp", std::move(arguments)};
      }
      case 7:
        return ActionCall{"raw_exchange", {{"data", Value::Text("1000")}}};
      case 8:
        return ActionCall{"raw_exchange",
                          {{"data", Value::Text("40050000FA")}, {"write", Value::Flag(true)}}};
      case 9:
        return std::vector<NamedWrite>{{ChannelItem(random, device, "delayed_trip_time"),
                                        Value::Integer(static_cast<int64_t>(random.Below(4000)))}};
      case 10:
        return std::vector<NamedWrite>{
            {ChannelItem(random, device, "on"), Value::Flag(random.Chance(0.5))}};
      case 11:
        return ActionCall{"prepare_removal", {}};
      case 12:
        return std::vector<NamedWrite>{{ChannelItem(random, device, "voltage_bounds"),
                                        Value::Number(std::floor(random.Between(0, 50)))}};
      default: {
        // As many channels as there are, each once: a command of several frames.
        std::vector<NamedWrite> writes;
        for (int channel = 0; channel < device.channels; ++channel) {
          writes.push_back({"ch" + std::to_string(channel) + ".voltage_set",
                            Value::Number(std::floor(random.Between(0, 400)))});
        }
        return writes;
      }
    }
  }

  int Allows(const Act& act, const PlannedDevice& device, const CanFrame& frame) const override {
    if (const auto* writes = std::get_if<std::vector<NamedWrite>>(&act)) {
      int times = 0;
      for (const NamedWrite& write : *writes) {
        const std::optional<CanFrame> expected = FrameOfWrite(write, device);
        if (expected && *expected == frame) ++times;
      }
      return times;
    }
    const auto& call = std::get<ActionCall>(act);
    const Written written = ReadWrite(device, frame);
    if (written.data_id == 0) return 0;
    const std::optional<int> channel = ChannelOf(call);
    const bool mine = !channel || *channel == written.channel;
    const bool control = written.data_id == kControl && mine && written.word.has_value();
    const std::string& name = call.name;
    if (name == "switch_on") return control && *written.word == kOnBit ? 1 : 0;
    if (name == "switch_off") return control && *written.word == 0 ? 1 : 0;
    if (name == "prepare_removal") return control && *written.word == 0 ? 1 : 0;
    if (name == "ramp_down") return control && *written.word == 0 ? kInsistence : 0;
    if (name == "emergency_off") {
      if (written.data_id == kEmergencyOffList) return kInsistence;
      return control && *written.word == kEmergencyBit ? kInsistence : 0;
    }
    if (name == "release_emergency_off") {
      const bool event = written.data_id == kEvents && mine && written.word == kEmergencyBit;
      return event || (control && *written.word == 0) ? 1 : 0;
    }
    if (name == "clear_events") {
      if (device.channels == 0) return written.data_id == 0x1A01 ? 1 : 0;
      if (!channel) return Fold(written.data_id) == kModuleControl ? 1 : 0;
      return Fold(written.data_id) == kEvents && mine ? 1 : 0;
    }
    if (name == "set_ramp") {
      const bool own = written.data_id == kRampUp || written.data_id == kRampDown;
      return (own && mine) || written.data_id == kModuleRamp ? 1 : 0;
    }
    if (name == "crate_power") return written.data_id == kCratePower ? 1 : 0;
    if (name == "raw_exchange") {
      const Value* data = FindArgument(call.arguments, "data");
      std::string hex;
      for (const uint8_t byte : frame.payload()) {
        constexpr char kDigits[] = "0123456789ABCDEF";
        hex += kDigits[byte >> 4];
        hex += kDigits[byte & 15];
      }
      const Value* write = FindArgument(call.arguments, "write");
      return write != nullptr && write->flag() && data != nullptr && data->text() == hex ? 1 : 0;
    }
    return 0;
  }

  ActionCall EmergencyOff() const override { return {"emergency_off", {}}; }
  std::vector<Act> Recovery(const PlannedDevice& device) const override {
    if (device.channels == 0) return {ActionCall{"crate_power", {{"on", Value::Flag(true)}}}};
    return {ActionCall{"release_emergency_off", {}}, ActionCall{"clear_events", {}}};
  }
  std::string LiveItem(const PlannedDevice& device) const override {
    return device.channels == 0 ? "status" : "ch0.voltage_measure";
  }

  CanFrame MakeRawFrame(Random& random, const PlannedDevice& device) const override {
    switch (random.Below(5)) {
      case 0:  // read the status
        return MakeFrame(BaseId(device) | 1, {0x10, 0x00});
      case 1:
        return NumberFrame(device, kVoltageSet, 0, std::floor(random.Between(0, 100)));
      case 2:  // as another master that logs it off
        return MakeFrame(BaseId(device), {0xD8, 0x00});
      default: {
        CanFrame frame{.id = 0x700 + static_cast<uint32_t>(random.Below(0x80)),
                       .dlc = static_cast<uint8_t>(random.Below(9))};
        frame.id &= ~uint32_t{0x200};  // nobody's here
        return frame;
      }
    }
  }

  Fault MakeFault(Random& random, const PlannedDevice& device) const override {
    static const std::vector<std::string> kOfCrates = {
        "silence", "wrong_length", "nan", "reboot", "power_off", "power_fail", "battery_bad"};
    static const std::vector<std::string> kOfModules = {"silence",
                                                        "delay",
                                                        "wrong_length",
                                                        "nan",
                                                        "lost_frames",
                                                        "garbled",
                                                        "reboot",
                                                        "trip",
                                                        "power_off",
                                                        "overcurrent",
                                                        "inhibit",
                                                        "dead_channel",
                                                        "safety_loop_open",
                                                        "over_temperature",
                                                        "arc"};
    static const std::set<std::string> kOfChannels = {"trip", "overcurrent", "inhibit",
                                                      "dead_channel", "arc"};
    Fault fault{random.Pick(device.channels == 0 ? kOfCrates : kOfModules), {}};
    if (kOfChannels.contains(fault.name)) {
      fault.arguments = {{"channel", Value::Integer(static_cast<int64_t>(
                                         random.Below(static_cast<uint64_t>(device.channels))))}};
    } else if (fault.name == "delay") {
      fault.arguments = {{"milliseconds", Value::Integer(static_cast<int64_t>(random.Below(700)))}};
    } else if (fault.name == "lost_frames" || fault.name == "garbled") {
      fault.arguments = {{"probability", Value::Number(random.Between(0.05, 0.9))}};
    }
    return fault;
  }
  Fault Silence() const override { return {"silence", {}}; }
  Fault Malformation(Random& random) const override {
    return {random.Chance(0.5) ? "wrong_length" : "nan", {}};
  }
};

}  // namespace

const Family& IsegFamily() {
  static const Iseg* const family = new Iseg;
  return *family;
}

}  // namespace canhub::simulation
