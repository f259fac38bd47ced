// What the YAML and SimulationService can do to the simulated gateway.
#include <optional>

#include "drivers/studer/simulator.h"

namespace canhub::studer {
namespace {

constexpr char kMessageFault[] = "message";
constexpr char kRestartFault[] = "restart";

}  // namespace

std::vector<ParameterSpec> SimulatorParameters() {
  using T = ParameterType;
  return {
      {.name = "sim_units",
       .type = T::kText,
       .default_text = "xtender 2, variotrack 1, bsp 1, rcc 1",
       .description = "of a simulated gateway: the plant behind it, kinds and how many of each"},
      {.name = "sim_mode",
       .type = T::kChoice,
       .default_text = "tolerant",
       .choices = {"tolerant", "exclusive"},
       .description = "exclusive: every frame gets an answer, those of others an error"},
      {.name = "sim_answer_delay",
       .type = T::kDuration,
       .default_text = "20 ms",
       .minimum = 0,
       .maximum = 10,
       .description = "from a request to its answer"},
      {.name = "sim_group_read",
       .type = T::kFlag,
       .default_text = "false",
       .description = "a group that is read gives its first unit's value, not an error"},
      {.name = "sim_missing_is_nan",
       .type = T::kFlag,
       .default_text = "false",
       .description = "infos of the other kind of battery monitor read as NaN, not as an error"},
      {.name = "sim_hour",
       .type = T::kNumber,
       .default_text = "10",
       .minimum = 0,
       .maximum = 23.99,
       .description = "hour of the day at the start"},
      {.name = "sim_day",
       .type = T::kDuration,
       .default_text = "86400 s",
       .minimum = 1,
       .maximum = 864000,
       .description = "how long a day of sun and load takes"},
  };
}

const std::vector<FaultSpec>& Faults() {
  using Parameters = std::vector<std::pair<const char*, const char*>>;
  static const Parameters kUnit = {{"unit", "101 …, address; default all"}};
  static const std::vector<FaultSpec>* const kFaults = [] {
    auto* faults = new std::vector<FaultSpec>(LineFaults());
    const std::vector<FaultSpec> own = {
        {"unit_silent", "requests to the unit are not answered", kUnit},
        {"error",
         "every request is answered with this error",
         {{"code", "0 …, default 19: GATEWAY_BUSY"}, {"unit", "101 …, address; default all"}}},
        {"nan", "answers carry NaN", kUnit},
        {"wrong_source", "answers come from another unit's address", kUnit},
        {"wrong_object", "answers name another object", kUnit},
        {"grid_lost", "no voltage at the AC input", {}},
        {"clouds", "less sun", {{"share", "0 … 1, default 1: dark"}}},
        {kMessageFault,
         "a unit sends a notification once",
         {{"message", "0 …, default 0"},
          {"unit", "101 …, address; default the first unit"},
          {"value", "0 …"}}},
        {kRestartFault, "the unit restarts once: back to what is in flash", kUnit},
    };
    faults->insert(faults->end(), own.begin(), own.end());
    return faults;
  }();
  return *kFaults;
}

absl::Status StuderSimulator::InjectFault(std::string_view fault, const Arguments& arguments) {
  if (absl::Status status = faults_.Check(fault, arguments); !status.ok()) return status;
  const auto number = [&](const char* name) -> std::optional<uint32_t> {
    const Value* value = FindArgument(arguments, name);
    if (value == nullptr) return std::nullopt;
    return static_cast<uint32_t>(value->AsNumber());
  };
  // What happens once is no state.
  if (fault == kMessageFault) {
    const uint16_t first = units_.empty() ? uint16_t{0} : units_.front()->address();
    Notify(static_cast<uint16_t>(number("unit").value_or(first) & kMaxAddress),
           static_cast<uint16_t>(number("message").value_or(0)), number("value").value_or(0));
    return absl::OkStatus();
  }
  if (fault == kRestartFault) {
    for (const auto& unit : units_) {
      if (number("unit").value_or(unit->address()) == unit->address()) Restart(*unit);
    }
    return absl::OkStatus();
  }
  faults_.Add(fault, arguments, "unit");
  Advance();
  return absl::OkStatus();
}

absl::StatusOr<int> StuderSimulator::ClearFaults(std::string_view fault) {
  const absl::StatusOr<int> cleared = faults_.Clear(fault);
  Advance();
  return cleared;
}

std::vector<std::pair<std::string, Arguments>> StuderSimulator::ActiveFaults() const {
  return faults_.active();
}

const Arguments* StuderSimulator::InForce(std::string_view fault, uint16_t unit) const {
  for (const auto& [name, arguments] : faults_.active()) {
    if (name != fault) continue;
    const Value* only = FindArgument(arguments, "unit");
    if (only == nullptr || only->AsNumber() == unit) return &arguments;
  }
  return nullptr;
}

}  // namespace canhub::studer
