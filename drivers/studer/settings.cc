#include "drivers/studer/settings.h"

#include <cmath>

#include "drivers/api/errors.h"

namespace canhub::studer {
namespace {

constexpr char kGateway[] = "gateway";

absl::Status Wrong(const DeviceConfig& config, const std::string& key, const std::string& found,
                   const std::string& expected) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, "BAD_UNIT",
      config.id + ": " + key + ": found " + found + ", expected " + expected,
      {{"device_id", config.id}, {"key", key}, {"found", found}, {"expected", expected}});
}

UnitId UnitOf(const DeviceConfig& config) {
  return {.family = FindFamily(config.Parameter("unit").text()),
          .number = static_cast<int>(config.Parameter("number").integer())};
}

// "3000, battery_cycle_phase" → entries; "default" is those of the family, "none" is none.
absl::StatusOr<std::vector<const Entry*>> ReadEntries(const DeviceConfig& config, const char* key,
                                                      const UnitId& unit, bool parameters) {
  std::vector<const Entry*> entries;
  const std::string& text = config.Parameter(key).text();
  if (text == "none" || !unit.family) return entries;
  const Catalogue& catalogue = Catalogue::Get();
  if (text == "default") {
    for (const uint16_t id : DefaultInfos(*unit.family)) {
      entries.push_back(catalogue.Find(*unit.family, id));
    }
    return entries;
  }
  std::string word;
  const auto take = [&]() -> absl::Status {
    if (word.empty()) return absl::OkStatus();
    const Entry* entry = catalogue.FindByName(*unit.family, word);
    if (entry == nullptr || entry->parameter != parameters || !entry->IsObject() ||
        entry->format == Format::kSignal) {
      return Wrong(config, key, "\"" + word + "\"",
                   std::string("ids or names of ") + (parameters ? "parameters" : "user infos") +
                       " of a " + Describe(*unit.family).name +
                       " (canhubctl studer search), \"default\" or \"none\"");
    }
    entries.push_back(entry);
    word.clear();
    return absl::OkStatus();
  };
  for (const char c : text + ",") {
    if (c != ',' && c != ' ') {
      word += c;
    } else if (absl::Status status = take(); !status.ok()) {
      return status;
    }
  }
  return entries;
}

}  // namespace

uint16_t UnitId::address() const {
  if (!family) return Describe(Family::kRcc).first;
  return static_cast<uint16_t>(Describe(*family).first + number - 1);
}

std::string UnitId::ToString() const {
  if (!family) return kGateway;
  return std::string(Describe(*family).name) + " " + std::to_string(number);
}

Duration ToDuration(const Value& seconds) {
  return Duration(std::llround(seconds.AsNumber() * 1e9));
}

uint16_t ProbeInfo(Family family) {
  switch (family) {
    case Family::kXtender:
      return 3000;
    case Family::kVarioTrack:
      return 11000;
    case Family::kVarioString:
      return 15000;
    case Family::kBsp:
      return 7034;
    case Family::kBms:
      return 7054;
    case Family::kRcc:
      return 0;
  }
  return 0;
}

std::vector<uint16_t> DefaultInfos(Family family) {
  switch (family) {
    case Family::kXtender:
      return {3000, 3005, 3010, 3011, 3012, 3020, 3021, 3022, 3028, 3030, 3049,
              3084, 3085, 3136, 3137, 3138, 3139, 3078, 3081, 3083, 3168};
    case Family::kVarioTrack:
      return {11000, 11001, 11002, 11004, 11007, 11016, 11034, 11038, 11069};
    case Family::kVarioString:
      return {15000, 15001, 15002, 15004, 15007, 15010, 15013, 15017, 15049, 15108};
    case Family::kBsp:
      return {7000, 7001, 7002, 7003, 7004, 7007, 7008, 7029};
    case Family::kBms:
      return {7000, 7001, 7002, 7029, 7055, 7057, 7061, 7062, 7063, 7064, 7068};
    case Family::kRcc:
      return {};
  }
  return {};
}

const char* LimitOf(const Entry& entry) {
  switch (entry.parameter ? entry.id : 0) {
    case 1107:
    case 1567:  // in force instead through 1566
      return "input_current";
    case 1138:
    case 10002:
    case 14001:
    case 14217:  // of a VS-70
    case 6059:
    case 6069:
      return "charge_current";
    case 1523:
      return "feeding_current";
    default:
      return "";
  }
}

std::vector<LimitSpec> Limits() {
  return {{"input_current", "A", 50, "largest current of the AC source (Xtender, 1107, 1567)"},
          {"charge_current", "A", 10000,
           "largest charge current of the battery (1138, 6059, 6069, 10002, 14001, 14217)"},
          {"feeding_current", "A", 50, "largest current fed into the grid (Xtender, 1523)"}};
}

absl::Status CheckSettings(const DeviceConfig& config) {
  const UnitId unit = UnitOf(config);
  const FamilyInfo* family = unit.family ? &Describe(*unit.family) : nullptr;
  const int most = family == nullptr ? 1 : family->last - family->first + 1;
  if (unit.number > most) {
    return Wrong(config, "number", std::to_string(unit.number),
                 most == 1 ? "1: there is only one" : "1 to " + std::to_string(most));
  }
  if (config.Parameter("client_address").integer() != 0) {
    const auto client = static_cast<uint16_t>(config.Parameter("client_address").integer());
    for (int i = 0; i < kFamilyCount; ++i) {
      const FamilyInfo& other = Describe(static_cast<Family>(i));
      if (client == other.group || (client >= other.first && client <= other.last)) {
        return Wrong(config, "client_address", std::to_string(client),
                     std::string("an address that no unit has; this is one of ") + other.name);
      }
    }
  }
  for (const auto& [key, parameters] : {std::pair{"infos", false}, {"parameters", true}}) {
    const auto entries = ReadEntries(config, key, unit, parameters);
    if (!entries.ok()) return entries.status();
  }
  return absl::OkStatus();
}

Settings ParseSettings(const DeviceConfig& config) {
  Settings s;
  s.unit = UnitOf(config);
  s.client = static_cast<uint16_t>(config.Parameter("client_address").integer());
  s.poll = ToDuration(config.Parameter("poll"));
  s.timeout = ToDuration(config.Parameter("timeout"));
  s.write_interval = ToDuration(config.Parameter("write_interval"));
  s.infos = *ReadEntries(config, "infos", s.unit, false);
  s.parameters = *ReadEntries(config, "parameters", s.unit, true);
  s.battery_voltage = std::stoi(config.Parameter("battery").text());
  s.is_120v = config.Parameter("mains").text() == "120 V";
  s.signal_part = config.Parameter("signals").text() == "ram" ? Part::kRam : Part::kFlash;
  s.flash_cap = config.Parameter("flash_cap").integer();
  return s;
}

std::vector<ParameterSpec> DriverParameters() {
  using T = ParameterType;
  return {
      {.name = "unit",
       .type = T::kChoice,
       .choices = {"xtender", "variotrack", "variostring", "bsp", "bms", "rcc", "gateway"},
       .description = "what the device is: a unit behind the Xcom-CAN (bms: the battery that an "
                      "Xcom-CAN in battery mode shows), or the gateway itself, which scans"},
      {.name = "number",
       .type = T::kInteger,
       .default_text = "1",
       .minimum = 1,
       .maximum = 15,
       .description = "which unit of its kind, as the remote control counts"},
      {.name = "client_address",
       .type = T::kInteger,
       .default_text = "0",
       .minimum = 0,
       .maximum = kMaxAddress,
       .description = "the daemon's own address on the bus"},
      {.name = "poll",
       .type = T::kDuration,
       .default_text = "5 s",
       .minimum = 0.05,
       .maximum = 3600,
       .description =
           "period of the polled infos and parameters; longer where the gateway does not "
           "manage it"},
      {.name = "infos",
       .type = T::kText,
       .default_text = "default",
       .description = "user infos to poll, ids or names separated by commas; others are read when "
                      "somebody asks for a fresh value"},
      {.name = "parameters",
       .type = T::kText,
       .default_text = "none",
       .description = "parameters to poll, ids or names separated by commas"},
      {.name = "timeout",
       .type = T::kDuration,
       .default_text = "1 s",
       .minimum = 0.01,
       .maximum = 1.5,  // a turn ends after 2 s
       .description = "wait for an answer"},
      {.name = "battery",
       .type = T::kChoice,
       .default_text = "48 V",
       .choices = {"48 V", "24 V", "12 V"},
       .description = "nominal voltage of the battery: scales bounds and defaults"},
      {.name = "mains",
       .type = T::kChoice,
       .default_text = "230 V",
       .choices = {"230 V", "120 V"},
       .description = "kind of Xtender: 120 V models have other bounds"},
      {.name = "signals",
       .type = T::kChoice,
       .default_text = "flash",
       .choices = {"flash", "ram"},
       .description = "part that a signal (\"write 1 to trigger\") is written to; the sources are "
                      "silent, flash is what the serial protocol does"},
      {.name = "flash_cap",
       .type = T::kInteger,
       .default_text = "900",
       .minimum = 0,
       .maximum = kGuaranteedFlashWrites,
       .description = "writes of one parameter's flash cell, counted for ever, beyond which flash "
                      "writes are refused; the vendor guarantees 1000"},
      {.name = "write_interval",
       .type = T::kDuration,
       .default_text = "200 ms",
       .minimum = 0,
       .maximum = 60,
       .description = "shortest time between two writes of one parameter"},
  };
}

}  // namespace canhub::studer
