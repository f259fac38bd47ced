#include "drivers/studer/simulator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "drivers/api/errors.h"
#include "drivers/studer/settings.h"

namespace canhub::studer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Codes of section 6 that the gateway itself gives.
constexpr uint32_t kInvalidFrame = 0x01, kDeviceNotFound = 0x02, kGatewayBusy = 0x13,
                   kNoSuchObject = 0x22, kInvalidLength = 0x24, kGroupRead = 0x2D;
// Messages (section 8.1).
constexpr uint16_t kBatteryLow = 0, kStartingUp = 10;
// The gateway among the remote controls.
constexpr uint16_t kGatewayAddress = 501;

constexpr Duration kHousekeeping = seconds(1);
constexpr double kLowBattery = 0.1, kBatteryFine = 0.2;

std::vector<std::pair<Family, int>> PlantOf(const DeviceConfig& config) {
  const UnitId unit = ParseSettings(config).unit;
  if (unit.is_gateway()) return *ParsePlant(config.Parameter("sim_units").text());
  return {{*unit.family, std::max(unit.number, 1)}};
}

PlantOptions OptionsOf(const DeviceConfig& config) {
  const Settings settings = ParseSettings(config);
  PlantOptions options{.start_hour = config.Parameter("sim_hour").AsNumber(),
                       .day = ToDuration(config.Parameter("sim_day")),
                       .nominal_voltage = static_cast<double>(settings.battery_voltage),
                       .mains_voltage = settings.is_120v ? 120.0 : 230.0};
  for (const auto& [family, count] : PlantOf(config)) {
    if (family == Family::kXtender) options.xtenders = count;
    if (family == Family::kVarioTrack) options.variotracks = count;
    if (family == Family::kVarioString) options.variostrings = count;
  }
  return options;
}

// Whether a unit could have this address (section 4), the groups included.
bool IsAddressOfUnits(uint16_t address) {
  for (int i = 0; i < kFamilyCount; ++i) {
    const FamilyInfo& family = Describe(static_cast<Family>(i));
    if (address == family.group || (address >= family.first && address <= family.last)) return true;
  }
  return false;
}

bool IsGroup(uint16_t address) {
  for (int i = 0; i < kFamilyCount; ++i) {
    if (address == Describe(static_cast<Family>(i)).group) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::vector<std::pair<Family, int>>> ParsePlant(std::string_view text) {
  std::vector<std::pair<Family, int>> plant;
  const std::string whole(text);
  const auto wrong = [&](const std::string& found) {
    return absl::InvalidArgumentError("sim_units: found \"" + found +
                                      "\", expected \"FAMILY COUNT\", separated by commas");
  };
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string part(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    part.erase(0, part.find_first_not_of(' '));
    const size_t space = part.find(' ');
    const std::optional<Family> family = FindFamily(part.substr(0, space));
    if (space == std::string::npos || !family) return wrong(part);
    const FamilyInfo& info = Describe(*family);
    const int most = info.last - info.first + 1;
    const std::string count = part.substr(space + 1);
    const bool digits = !count.empty() && count.size() <= 2 &&
                        count.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoi(count) > most) {
      return absl::InvalidArgumentError("sim_units: found \"" + part + "\", expected at most " +
                                        std::to_string(most) + " of " + info.name);
    }
    for (const auto& [other, n] : plant) {
      if (Describe(other).first == info.first) return wrong(whole);
    }
    plant.emplace_back(*family, std::stoi(count));
  }
  return plant;
}

StuderSimulator::StuderSimulator(SimulatorContext context)
    : context_(context),
      timers_(context.timers),
      exclusive_(context.config.Parameter("sim_mode").text() == "exclusive"),
      whole_plant_(ParseSettings(context.config).unit.is_gateway()),
      answer_delay_(ToDuration(context.config.Parameter("sim_answer_delay"))),
      group_reads_(context.config.Parameter("sim_group_read").flag()),
      missing_is_nan_(context.config.Parameter("sim_missing_is_nan").flag()),
      random_(context.seed),
      plant_(OptionsOf(context.config), context.seed, context.clock.Now()) {
  const Settings settings = ParseSettings(context.config);
  for (const auto& [family, count] : PlantOf(context.config)) {
    // Of a single unit's plant, the units before it are there for their share of the load only.
    for (int number = settings.unit.is_gateway() ? 1 : count; number <= count; ++number) {
      units_.push_back(std::make_unique<SimulatedUnit>(family, number, settings.battery_voltage,
                                                       settings.is_120v));
    }
  }
}

void StuderSimulator::Start() {
  timers_.Every(kHousekeeping, [this] {
    Advance();
    CheckWatchdogs();
    WatchBattery();
  });
  Advance();
}

void StuderSimulator::Advance() {
  bool solar = false;
  for (const auto& unit : units_) {
    if (unit->family() == Family::kXtender) plant_.SetXtender(unit->number() - 1, unit->State());
    solar |= unit->on() &&
             (unit->family() == Family::kVarioTrack || unit->family() == Family::kVarioString);
  }
  plant_.SetSolar(solar);
  plant_.SetGrid(!faults_.Active("grid_lost"));
  plant_.SetClouds(faults_.Active("clouds") ? std::min(faults_.Number("clouds", "share", 1), 1.0)
                                            : 0);
  plant_.AdvanceTo(context_.clock.Now());
}

SimulatedUnit* StuderSimulator::FindUnit(uint16_t address) {
  for (const auto& unit : units_) {
    if (unit->address() == address) return unit.get();
  }
  return nullptr;
}

std::vector<SimulatedUnit*> StuderSimulator::Addressed(uint16_t destination) {
  std::vector<SimulatedUnit*> units;
  for (const auto& unit : units_) {
    // Remote controls are heard, not asked (U16).
    if (unit->family() == Family::kRcc) continue;
    if (unit->address() == destination || Describe(unit->family()).group == destination) {
      units.push_back(unit.get());
    }
  }
  return units;
}

// ---------------------------------------------------------------- frames

void StuderSimulator::OnFrame(const RxFrame& rx) {
  const CanFrame& frame = rx.frame;
  if (!faults_.Receives(random_)) return;
  const absl::StatusOr<Request> request = DecodeRequest(frame);
  if (!request.ok()) {
    // Tolerant: whatever does not fit is not for this protocol (U5, U7).
    if (!exclusive_) return;
    const bool length = BadFrameReason(request.status()) == "length";
    return AnswerMalformed(frame, length ? kInvalidLength : kInvalidFrame);
  }
  if (!exclusive_ && !IsAddressOfUnits(request->destination)) return;
  // The simulators of single units share a line: each answers for its own only.
  if (!whole_plant_ && Addressed(request->destination).empty()) return;
  if (InForce("unit_silent", request->destination) != nullptr) return;
  // One question at a time (U15); the answer to the first is still to come.
  if (pending_.contains(request->source)) return Send(MakeErrorAnswer(*request, kGatewayBusy));
  pending_.insert(request->source);
  if (const Arguments* error = InForce("error", request->destination)) {
    const Value* code = FindArgument(*error, "code");
    const double number = code == nullptr ? kGatewayBusy : code->AsNumber();
    return AnswerLater(MakeErrorAnswer(*request, static_cast<uint32_t>(number)), request->source);
  }
  Advance();
  float value = 0;
  if (const std::optional<uint32_t> code = Serve(*request, &value)) {
    return AnswerLater(MakeErrorAnswer(*request, *code), request->source);
  }
  AnswerLater(MakeValueAnswer(*request, value), request->source);
}

// The order is that of U6; the length was first.
std::optional<uint32_t> StuderSimulator::Serve(const Request& request, float* value) {
  const std::vector<SimulatedUnit*> units = Addressed(request.destination);
  if (units.empty()) return kDeviceNotFound;
  const bool group = IsGroup(request.destination);
  const bool reads = request.service != Service::kWriteParameter;
  if (group && reads && !group_reads_) return kGroupRead;
  std::optional<UnitError> error;
  switch (request.service) {
    case Service::kReadInfo:
      return ReadInfo(*units.front(), request.object, value);
    case Service::kReadParameter:
      error = units.front()->Read(request.object, request.part, value);
      break;
    default:
      *value = request.value;
      for (SimulatedUnit* unit : units) {
        const std::optional<UnitError> refused =
            unit->Write(request.object, request.part, request.value, context_.clock.Now());
        if (!error) error = refused;
      }
      Advance();
  }
  if (error) return static_cast<uint32_t>(*error);
  return std::nullopt;
}

std::optional<uint32_t> StuderSimulator::ReadInfo(const SimulatedUnit& unit, uint16_t id,
                                                  float* value) const {
  const Entry* entry = Catalogue::Get().Find(unit.family(), id);
  const std::optional<double> modelled = plant_.Info(unit.family(), unit.number() - 1, id);
  const bool known = entry != nullptr && !entry->parameter;
  // Infos of the other kind of battery monitor (U13).
  const bool of_the_other = (unit.family() == Family::kBsp &&
                             (!known && Catalogue::Get().Find(Family::kBms, id) != nullptr)) ||
                            (unit.family() == Family::kBms && id == ProbeInfo(Family::kBsp));
  if (of_the_other && missing_is_nan_) {
    *value = std::numeric_limits<float>::quiet_NaN();
    return std::nullopt;
  }
  if (!known || of_the_other) return kNoSuchObject;
  *value =
      static_cast<float>(modelled.value_or(entry->labels.empty() ? 0 : entry->labels[0].value));
  return std::nullopt;
}

CanFrame StuderSimulator::MakeValueAnswer(const Request& request, float value) const {
  Answer answer{.destination = request.source,
                .source = request.destination,
                .service = request.service,
                .object = request.object,
                .part = request.part,
                .value = value};
  const uint16_t unit = request.destination;
  if (InForce("nan", unit)) answer.value = std::numeric_limits<float>::quiet_NaN();
  if (InForce("wrong_source", unit)) answer.source = unit ^ 1;
  if (InForce("wrong_object", unit)) answer.object = request.object ^ 1;
  return EncodeAnswer(answer);
}

CanFrame StuderSimulator::MakeErrorAnswer(const Request& request, uint32_t code) const {
  return EncodeAnswer({.kind = Answer::Kind::kError,
                       .destination = request.source,
                       .source = request.destination,
                       .service = request.service,
                       .object = request.object,
                       .error_code = code});
}

// U4: to whom the frame came from, where it can be seen.
void StuderSimulator::AnswerMalformed(const CanFrame& frame, uint32_t code) {
  const Identifier identifier = frame.extended ? ParseId(frame.id) : Identifier{};
  const auto byte = [&](size_t at) { return frame.payload().size() > at ? frame.data[at] : 0; };
  Answer answer{.kind = Answer::Kind::kError,
                .destination = identifier.source,
                .source = kGatewayAddress,
                .service = static_cast<Service>(identifier.service),
                .object = static_cast<uint16_t>(byte(0) << 8 | byte(1)),
                .error_code = code};
  Send(EncodeAnswer(answer));
}

void StuderSimulator::AnswerLater(const CanFrame& answer, uint16_t client) {
  timers_.At(context_.clock.Now() + answer_delay_ + faults_.delay(), [this, answer, client] {
    pending_.erase(client);
    Send(answer);
  });
}

void StuderSimulator::Notify(uint16_t source, uint16_t message, uint32_t value) {
  Send(EncodeAnswer({.kind = Answer::Kind::kMessage,
                     .destination = kNotificationAddress,
                     .source = source,
                     .service = Service::kMessage,
                     .object = message,
                     .message_value = value}));
}

void StuderSimulator::Send(CanFrame frame) {
  if (!faults_.Distort(&frame, random_)) return;
  // What the line does not take is lost, as on a real one.
  context_.bus.Send({.frame = frame}).IgnoreError();
}

// ---------------------------------------------------------------- what happens by itself

void StuderSimulator::Restart(SimulatedUnit& unit) {
  unit.Restart();
  Notify(unit.address(), kStartingUp);
}

void StuderSimulator::CheckWatchdogs() {
  for (const auto& unit : units_) {
    const std::optional<MonoTime> ends = unit->WatchdogEnds();
    if (ends && *ends <= context_.clock.Now()) Restart(*unit);
  }
}

void StuderSimulator::WatchBattery() {
  const double soc = plant_.state_of_charge();
  if (soc > kBatteryFine) battery_low_told_ = false;
  if (soc >= kLowBattery || battery_low_told_) return;
  battery_low_told_ = true;
  for (const auto& unit : units_) {
    if (unit->family() == Family::kXtender) Notify(unit->address(), kBatteryLow);
  }
}

absl::Status StuderSimulator::SetLoad(std::optional<int>, std::optional<double>,
                                      std::optional<double>) {
  return MakeError(absl::StatusCode::kUnimplemented, "NO_LOAD",
                   context_.config.id + ": the simulated plant has its own loads",
                   {{"device_id", context_.config.id}});
}

std::unique_ptr<Simulator> CreateSimulator(SimulatorContext context) {
  return std::make_unique<StuderSimulator>(context);
}

}  // namespace canhub::studer
