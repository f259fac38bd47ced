#include "drivers/api/simulated_faults.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

const FaultSpec* Find(const std::vector<FaultSpec>& specs, std::string_view fault) {
  const auto found = std::find_if(specs.begin(), specs.end(),
                                  [fault](const FaultSpec& spec) { return fault == spec.name; });
  return found == specs.end() ? nullptr : &*found;
}

// ", expected one of a, b".
std::string Expected(const std::vector<std::string>& names) {
  if (names.empty()) return ", expected none";
  std::string text = ", expected one of " + names[0];
  for (size_t i = 1; i < names.size(); ++i) text += ", " + names[i];
  return text;
}

absl::Status UnknownFault(const std::vector<FaultSpec>& specs, std::string_view fault) {
  std::vector<std::string> names;
  names.reserve(specs.size());
  for (const FaultSpec& spec : specs) names.emplace_back(spec.name);
  return MakeError(absl::StatusCode::kNotFound, "UNKNOWN_FAULT",
                   "no fault is named \"" + std::string(fault) + "\"" + Expected(names),
                   {{"fault", std::string(fault)}});
}

absl::Status UnknownArgument(const FaultSpec& spec, const std::string& argument) {
  std::vector<std::string> names;
  names.reserve(spec.parameters.size());
  for (const auto& [name, form] : spec.parameters) names.emplace_back(name);
  return MakeError(absl::StatusCode::kInvalidArgument, "UNKNOWN_FAULT_ARGUMENT",
                   "the fault \"" + std::string(spec.name) + "\" has no argument \"" + argument +
                       "\"" + Expected(names),
                   {{"fault", std::string(spec.name)}, {"argument", argument}});
}

}  // namespace

std::vector<FaultSpec> LineFaults() {
  return {
      {"silence", "sends nothing and ignores all frames", {}},
      {"delay", "answers come later", {{"milliseconds", "0 …, added to sim_answer_delay"}}},
      {"wrong_length", "frames lose their last byte", {}},
      {"lost_frames", "frames to it and from it are lost", {{"probability", "0 … 1, default 1"}}},
      {"garbled", "all bytes of its frames are random", {{"probability", "0 … 1, default 1"}}},
  };
}

absl::Status SimulatedFaults::Check(std::string_view fault, const Arguments& arguments) const {
  const FaultSpec* spec = Find(specs_, fault);
  if (spec == nullptr) return UnknownFault(specs_, fault);
  for (const auto& [name, value] : arguments) {
    const auto known = std::find_if(spec->parameters.begin(), spec->parameters.end(),
                                    [&name = name](const auto& p) { return name == p.first; });
    if (known == spec->parameters.end()) return UnknownArgument(*spec, name);
    const std::string_view form = known->second;
    const bool is_text = form.starts_with("text");
    if ((value.type() == ValueType::kText) != is_text || !value.has_value()) {
      return MakeError(absl::StatusCode::kInvalidArgument, "FAULT_ARGUMENT_TYPE",
                       "found " + name + " = \"" + value.ToString() + "\", expected a " +
                           (is_text ? "text" : "number"),
                       {{"argument", name}, {"found", value.ToString()}});
    }
    if (is_text || form.starts_with("±")) continue;
    const double high = name == "probability" ? 1 : 1e9;
    if (value.AsNumber() < 0 || value.AsNumber() > high) {
      return MakeError(absl::StatusCode::kOutOfRange, "FAULT_ARGUMENT_RANGE",
                       "found " + name + " = " + value.ToString() + ", expected 0 to " +
                           Value::Number(high).ToString(),
                       {{"argument", name}, {"found", value.ToString()}});
    }
  }
  return absl::OkStatus();
}

void SimulatedFaults::Add(std::string_view fault, const Arguments& arguments,
                          std::string_view key) {
  const Value* mine = FindArgument(arguments, key);
  std::erase_if(active_, [&](const auto& other) {
    if (other.first != fault) return false;
    const Value* theirs = FindArgument(other.second, key);
    if (mine == nullptr || theirs == nullptr) return true;
    const bool text = mine->type() == ValueType::kText;
    return text ? *mine == *theirs : mine->AsNumber() == theirs->AsNumber();
  });
  active_.emplace_back(fault, arguments);
}

absl::StatusOr<int> SimulatedFaults::Clear(std::string_view fault) {
  if (!fault.empty() && Find(specs_, fault) == nullptr) return UnknownFault(specs_, fault);
  return static_cast<int>(std::erase_if(
      active_, [fault](const auto& active) { return fault.empty() || active.first == fault; }));
}

bool SimulatedFaults::Active(std::string_view fault) const {
  return std::any_of(active_.begin(), active_.end(),
                     [fault](const auto& active) { return active.first == fault; });
}

bool SimulatedFaults::Active(std::string_view fault, std::string_view argument,
                             double value) const {
  return std::any_of(active_.begin(), active_.end(), [&](const auto& active) {
    const Value* found = FindArgument(active.second, argument);
    return active.first == fault && found != nullptr && found->AsNumber() == value;
  });
}

const Arguments* SimulatedFaults::FindActive(std::string_view fault, std::string_view argument,
                                             double value) const {
  for (const auto& [name, arguments] : active_) {
    if (name != fault) continue;
    const Value* found = FindArgument(arguments, argument);
    if (found == nullptr || found->AsNumber() == value) return &arguments;
  }
  return nullptr;
}

double SimulatedFaults::Number(std::string_view fault, std::string_view argument,
                               double otherwise) const {
  for (const auto& [name, arguments] : active_) {
    if (name != fault) continue;
    const Value* value = FindArgument(arguments, argument);
    if (value != nullptr) return value->AsNumber();
  }
  return otherwise;
}

bool SimulatedFaults::Lost(std::mt19937_64& random) const {
  if (!Active("lost_frames")) return false;
  return std::bernoulli_distribution(Number("lost_frames", "probability", 1))(random);
}

bool SimulatedFaults::Receives(std::mt19937_64& random) const {
  return !Active("silence") && !Lost(random);
}

bool SimulatedFaults::Distort(CanFrame* frame, std::mt19937_64& random) const {
  if (!Receives(random)) return false;
  if (Active("wrong_length") && frame->dlc > 0) --frame->dlc;
  if (Active("garbled") &&
      std::bernoulli_distribution(Number("garbled", "probability", 1))(random)) {
    for (uint8_t i = 0; i < frame->dlc; ++i) frame->data[i] = static_cast<uint8_t>(random());
  }
  return true;
}

Duration SimulatedFaults::delay() const {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::milli>(Number("delay", "milliseconds", 0)));
}

}  // namespace canhub
