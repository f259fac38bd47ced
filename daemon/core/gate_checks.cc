#include "daemon/core/gate_checks.h"

#include <cmath>
#include <optional>
#include <utility>

#include "daemon/core/closest_names.h"
#include "daemon/core/request_ids.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using absl::StatusCode;

std::string WithUnit(const std::string& number, const char* unit) {
  return *unit == '\0' ? number : number + " " + unit;
}

std::string NumberText(double value) { return Value::Number(value).ToString(); }

std::string Quoted(std::string_view name) { return "\"" + Printable(name, kMaxQuotedName) + "\""; }

// What a value is to be put into: an item of a device, or an argument of one of its actions.
struct Destination {
  const GatedDevice& device;
  std::string_view name;  // "ch3.voltage_set", "set_ramp.up"
  ValueType type;
  const char* unit;
  const char* limit;

  ErrorFields Fields(const Value& requested) const {
    return {{"device_id", device.config.id},
            {"item", std::string(name)},
            {"requested", Printable(requested.ToString(), kMaxQuotedName)},
            {"unit", unit}};
  }
};

absl::Status WrongValue(const Destination& to, const Value& value, std::string_view reason,
                        const std::string& found, const std::string& expected) {
  ErrorFields fields = to.Fields(value);
  fields["found"] = found;
  fields["expected"] = expected;
  return MakeError(StatusCode::kInvalidArgument, reason,
                   to.device.config.id + ": " + std::string(to.name) + ": found " + found +
                       ", expected " + expected,
                   std::move(fields));
}

// The value in the destination's own type. Only an integer may stand for a number: every other
// conversion guesses.
absl::StatusOr<Value> InType(const Destination& to, const Value& value) {
  if (value.type() == ValueType::kNumber && !std::isfinite(value.number())) {
    return WrongValue(to, Value::Text("not finite"), "VALUE_NOT_FINITE",
                      "a value that is not finite", "a finite number");
  }
  if (value.type() == ValueType::kText && value.text().size() > kMaxTextValue) {
    return WrongValue(to, value, "TEXT_TOO_LONG",
                      "a text of " + std::to_string(value.text().size()) + " bytes",
                      "at most " + std::to_string(kMaxTextValue));
  }
  if (value.type() == to.type && value.has_value()) return value;
  if (to.type == ValueType::kNumber && value.type() == ValueType::kInteger) {
    return Value::Number(static_cast<double>(value.integer()));
  }
  const std::string found = value.has_value() ? std::string(ToString(value.type())) + " " +
                                                    Printable(value.ToString(), kMaxQuotedName)
                                              : "no value";
  return WrongValue(to, value, "VALUE_TYPE", found, std::string(ToString(to.type)));
}

absl::Status OutOfRange(const Destination& to, const Value& value, bool above, double bound,
                        bool magnitude, const std::string& origin) {
  ErrorFields fields = to.Fields(value);
  fields[above ? "maximum" : "minimum"] = NumberText(bound);
  fields["origin"] = origin;
  return MakeError(StatusCode::kOutOfRange, above ? "VALUE_ABOVE_RANGE" : "VALUE_BELOW_RANGE",
                   to.device.config.id + ": " + std::string(to.name) + ": " +
                       WithUnit(value.ToString(), to.unit) + (above ? " is above" : " is below") +
                       " the device's " + (above ? "maximum" : "minimum") + " of " +
                       WithUnit(NumberText(bound), to.unit) +
                       (magnitude ? " in magnitude (" : " (") + origin + "); nothing was sent",
                   std::move(fields));
}

bool IsNumeric(ValueType type) { return type == ValueType::kNumber || type == ValueType::kInteger; }

absl::Status CheckRange(const Destination& to, const Value& value, const ItemSpec& spec,
                        const ItemRange& range) {
  if (!IsNumeric(to.type)) return absl::OkStatus();
  const double number = value.AsNumber();
  // A bound that is not the family's own is what this very device reports.
  const auto origin = [&](double bound, const std::optional<double>& own) {
    if (bound == own || (spec.maximum && !spec.minimum && bound == -*spec.maximum)) {
      return std::string("every ") + to.device.driver->name + " device" +
             (*spec.source == '\0' ? "" : std::string(", ") + spec.source);
    }
    return "as " + to.device.config.id + " reports";
  };
  const bool magnitude = to.type == ValueType::kNumber && !range.minimum && range.maximum;
  if (range.maximum && (magnitude ? std::abs(number) : number) > *range.maximum) {
    return OutOfRange(to, value, true, *range.maximum, magnitude,
                      origin(*range.maximum, spec.maximum));
  }
  if (range.minimum && number < *range.minimum) {
    return OutOfRange(to, value, false, *range.minimum, false,
                      origin(*range.minimum, spec.minimum));
  }
  return absl::OkStatus();
}

absl::Status CheckLimit(const Destination& to, const Value& value) {
  if (*to.limit == '\0' || !IsNumeric(to.type)) return absl::OkStatus();
  const auto limit = to.device.config.limits.find(to.limit);
  if (limit == to.device.config.limits.end()) return absl::OkStatus();
  if (std::abs(value.AsNumber()) <= limit->second) return absl::OkStatus();
  const auto origin_entry = to.device.config.limit_origins.find(to.limit);
  const std::string origin = origin_entry != to.device.config.limit_origins.end()
                                 ? origin_entry->second
                                 : "devices." + to.device.config.id + ".limits." + to.limit;
  ErrorFields fields = to.Fields(value);
  fields["limit"] = NumberText(limit->second);
  fields["origin"] = origin;
  return MakeError(StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT",
                   to.device.config.id + ": " + WithUnit(value.ToString(), to.unit) +
                       " is above the limit of " + WithUnit(NumberText(limit->second), to.unit) +
                       " (" + origin + "); " + std::string(to.name) + ", nothing was sent",
                   std::move(fields));
}

std::vector<std::string> AllNames(const ItemTable& items) {
  std::vector<std::string> names;
  names.reserve(items.size());
  for (ItemId id = 0; id < items.size(); ++id) names.push_back(items.Name(id));
  return names;
}

absl::Status UnknownItem(const GatedDevice& device, const DeviceSnapshot& snapshot,
                         std::string_view name) {
  const std::string& id = device.config.id;
  if (snapshot.items().size() == 0) {
    return MakeError(StatusCode::kUnavailable, "DEVICE_NOT_IDENTIFIED",
                     id + ": its items are not known yet, the link is " +
                         std::string(ToString(snapshot.link())) +
                         (snapshot.link_text().empty() ? "" : " (" + snapshot.link_text() + ")") +
                         "; nothing was sent, try again once it is online",
                     {{"device_id", id}, {"item", Printable(name, kMaxQuotedName)}});
  }
  return MakeError(
      StatusCode::kNotFound, "ITEM_UNKNOWN",
      id + " has no item " + Quoted(name) + DidYouMean(name, AllNames(snapshot.items())),
      {{"device_id", id}, {"item", Printable(name, kMaxQuotedName)}});
}

const ActionArgument* FindArgumentSpec(const ActionSpec& spec, std::string_view name) {
  for (const ActionArgument& argument : spec.arguments) {
    if (name == argument.name) return &argument;
  }
  return nullptr;
}

}  // namespace

std::string Printable(std::string_view text, size_t max_size) {
  std::string printable(text.substr(0, max_size));
  if (text.size() > max_size) {
    // Not in the middle of a UTF-8 sequence.
    size_t end = max_size;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    printable.resize(end);
    printable += "…";
  }
  for (char& c : printable) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return printable;
}

absl::StatusOr<std::vector<ItemWrite>> CheckWrites(const GatedDevice& device,
                                                   const DeviceSnapshot& snapshot,
                                                   const std::vector<NamedWrite>& writes) {
  const std::string& device_id = device.config.id;
  if (writes.empty()) {
    return MakeError(StatusCode::kInvalidArgument, "NO_WRITES",
                     device_id + ": found no item to set, expected at least one",
                     {{"device_id", device_id}});
  }
  if (writes.size() > HubGate::kMaxWrites) {
    return MakeError(StatusCode::kInvalidArgument, "TOO_MANY_WRITES",
                     device_id + ": found " + std::to_string(writes.size()) +
                         " items to set, expected at most " + std::to_string(HubGate::kMaxWrites),
                     {{"device_id", device_id},
                      {"found", std::to_string(writes.size())},
                      {"maximum", std::to_string(HubGate::kMaxWrites)}});
  }
  const ItemTable& items = snapshot.items();
  std::vector<ItemWrite> checked;
  checked.reserve(writes.size());
  for (const NamedWrite& write : writes) {
    const std::optional<ItemId> item = items.Find(write.item);
    if (!item) return UnknownItem(device, snapshot, write.item);
    const ItemSpec& spec = items.Spec(*item);
    const Destination to{device, write.item, spec.type, spec.unit, spec.limit};
    if (spec.access == Access::kReadOnly) {
      return MakeError(StatusCode::kFailedPrecondition, "ITEM_READ_ONLY",
                       device_id + ": " + items.Name(*item) + " can only be read; nothing was sent",
                       {{"device_id", device_id}, {"item", items.Name(*item)}});
    }
    absl::StatusOr<Value> value = InType(to, write.value);
    if (!value.ok()) return value.status();
    if (absl::Status status = CheckRange(to, *value, spec, snapshot.Range(*item)); !status.ok()) {
      return status;
    }
    if (absl::Status status = CheckLimit(to, *value); !status.ok()) return status;
    checked.push_back({*item, *std::move(value)});
  }
  return checked;
}

absl::Status RoleTooLow(const Caller& caller, Role needed, const std::string& place,
                        const std::string& act) {
  return MakeError(StatusCode::kPermissionDenied, "ROLE_TOO_LOW",
                   Printable(place, kMaxQuotedName) + ": " + act + " needs the role " +
                       std::string(ToString(needed)) + "; " +
                       Printable(caller.identity, kMaxIdentity) + " has the role " +
                       std::string(ToString(caller.role)) + " (access rules of the configuration)",
                   {{"device_id", Printable(place, kMaxQuotedName)},
                    {"needed", std::string(ToString(needed))},
                    {"role", std::string(ToString(caller.role))},
                    {"identity", Printable(caller.identity, kMaxIdentity)}});
}

absl::Status CheckRequestId(const std::string& place, const std::string& request_id) {
  if (request_id.size() <= RequestIds::kMaxLength) return absl::OkStatus();
  return MakeError(StatusCode::kInvalidArgument, "REQUEST_ID_TOO_LONG",
                   place + ": found a request id of " + std::to_string(request_id.size()) +
                       " bytes, expected at most " + std::to_string(RequestIds::kMaxLength),
                   {{"device_id", place},
                    {"found", std::to_string(request_id.size())},
                    {"maximum", std::to_string(RequestIds::kMaxLength)}});
}

absl::Status CheckWaitFor(const std::string& place, Stage stage,
                          std::initializer_list<Stage> known) {
  std::string expected;
  for (const Stage s : known) {
    if (s == stage) return absl::OkStatus();
    expected += (expected.empty() ? "" : ", ") + std::string(ToString(s));
  }
  return MakeError(
      StatusCode::kInvalidArgument, "WAIT_FOR",
      place + ": cannot wait for " + std::string(ToString(stage)) + ", expected one of " + expected,
      {{"device_id", place}, {"found", std::string(ToString(stage))}, {"expected", expected}});
}

absl::Status DeadlinePassed(const std::string& place, MonoTime deadline, MonoTime now) {
  const auto late = std::chrono::duration_cast<std::chrono::milliseconds>(now - deadline);
  return MakeError(StatusCode::kDeadlineExceeded, "DEADLINE_PASSED",
                   place + ": the caller's deadline passed " + std::to_string(late.count()) +
                       " ms ago; nothing was sent",
                   {{"device_id", place}, {"late_ms", std::to_string(late.count())}});
}

const ActionSpec* FindAction(const DriverInfo& driver, std::string_view name) {
  for (const ActionSpec& action : driver.actions) {
    if (name == action.name) return &action;
  }
  return nullptr;
}

absl::Status UnknownAction(const GatedDevice& device, std::string_view name) {
  std::vector<std::string> names;
  for (const ActionSpec& action : device.driver->actions) names.emplace_back(action.name);
  return MakeError(StatusCode::kNotFound, "ACTION_UNKNOWN",
                   device.config.id + " has no action " + Quoted(name) + DidYouMean(name, names),
                   {{"device_id", device.config.id}, {"action", Printable(name, kMaxQuotedName)}});
}

absl::StatusOr<ActionCall> CheckAction(const GatedDevice& device, const ActionSpec& spec,
                                       const ActionCall& call) {
  const std::string& device_id = device.config.id;
  ActionCall checked;
  checked.name = call.name;
  checked.arguments.reserve(call.arguments.size());
  for (const auto& [name, value] : call.arguments) {
    const ActionArgument* argument = FindArgumentSpec(spec, name);
    if (argument == nullptr) {
      std::vector<std::string> names;
      for (const ActionArgument& known : spec.arguments) names.emplace_back(known.name);
      return MakeError(StatusCode::kInvalidArgument, "ARGUMENT_UNKNOWN",
                       device_id + ": " + spec.name + " has no argument " + Quoted(name) +
                           DidYouMean(name, names),
                       {{"device_id", device_id},
                        {"action", spec.name},
                        {"argument", Printable(name, kMaxQuotedName)}});
    }
    if (FindArgument(checked.arguments, name) != nullptr) {
      return MakeError(StatusCode::kInvalidArgument, "ARGUMENT_TWICE",
                       device_id + ": " + spec.name + ": found argument " + Quoted(name) +
                           " twice, expected it once",
                       {{"device_id", device_id}, {"action", spec.name}, {"argument", name}});
    }
    const std::string full_name = std::string(spec.name) + "." + name;
    const Destination to{device, full_name, argument->type, argument->unit, argument->limit};
    absl::StatusOr<Value> typed = InType(to, value);
    if (!typed.ok()) return typed.status();
    if (absl::Status status = CheckLimit(to, *typed); !status.ok()) return status;
    checked.arguments.emplace_back(name, *std::move(typed));
  }
  for (const ActionArgument& argument : spec.arguments) {
    if (argument.needed && FindArgument(checked.arguments, argument.name) == nullptr) {
      return MakeError(
          StatusCode::kInvalidArgument, "ARGUMENT_MISSING",
          device_id + ": " + spec.name + ": argument " + Quoted(argument.name) + " is missing",
          {{"device_id", device_id}, {"action", spec.name}, {"argument", argument.name}});
    }
  }
  return checked;
}

std::string Describe(const DeviceSnapshot& snapshot, const std::vector<ItemWrite>& writes) {
  std::string text;
  for (const ItemWrite& write : writes) {
    // Long lists are cut by the record; do not build what will be cut.
    if (text.size() > kMaxAuditText) break;
    if (!text.empty()) text += ", ";
    text += snapshot.items().Name(write.item);
    text += " = ";
    text += WithUnit(write.value.ToString(), snapshot.items().Spec(write.item).unit);
  }
  return text;
}

std::string Describe(const ActionSpec& spec, const ActionCall& call) {
  std::string text = spec.name;
  if (call.arguments.empty()) return text;
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    const auto& [name, value] = call.arguments[i];
    const ActionArgument* argument = FindArgumentSpec(spec, name);
    text += i == 0 ? "(" : ", ";
    text += name + " = " + WithUnit(value.ToString(), argument == nullptr ? "" : argument->unit);
  }
  return text + ")";
}

std::string DescribeRequest(const CommandRequest& request) {
  std::string text;
  const auto add = [&text](const std::string& name, const Value& value) {
    if (text.size() > kMaxAuditText) return;
    if (!text.empty()) text += ", ";
    text += Printable(name, kMaxQuotedName) + " = " + Printable(value.ToString(), kMaxQuotedName);
  };
  if (const auto* writes = std::get_if<std::vector<NamedWrite>>(&request.what)) {
    for (const NamedWrite& write : *writes) add(write.item, write.value);
    return text;
  }
  const ActionCall& call = std::get<ActionCall>(request.what);
  for (const auto& [name, value] : call.arguments) add(name, value);
  return Printable(call.name, kMaxQuotedName) + (text.empty() ? "" : "(" + text + ")");
}

}  // namespace canhub
