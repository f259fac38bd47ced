#include "daemon/rpc/typed_fields.h"

#include <array>
#include <cctype>
#include <cmath>
#include <utility>

#include "daemon/rpc/status_mapping.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

struct UnitName {
  std::string_view unit, suffix;
};
// Longest suffixes first: "_va" before "_a".
constexpr std::array<UnitName, 15> kUnits = {{{"%", "_percent"},
                                              {"degC", "_degc"},
                                              {"var", "_var"},
                                              {"ohm", "_ohm"},
                                              {"VA", "_va"},
                                              {"Ah", "_ah"},
                                              {"As", "_as"},
                                              {"Wh", "_wh"},
                                              {"Hz", "_hz"},
                                              {"ms", "_ms"},
                                              {"V", "_v"},
                                              {"A", "_a"},
                                              {"W", "_w"},
                                              {"s", "_s"},
                                              {"", ""}}};

std::string Upper(std::string_view text) {
  std::string upper;
  for (const char c : text) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return upper;
}

std::string Lower(std::string_view text) {
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// "ParallelRole" → "PARALLEL_ROLE_".
std::string ValuePrefix(const EnumDescriptor& type) {
  const std::string zero = type.FindValueByNumber(0)->name();  // PARALLEL_ROLE_UNSPECIFIED
  return zero.substr(0, zero.rfind('_') + 1);
}

bool IsScalar(const FieldDescriptor& field) {
  return !field.is_repeated() && field.has_presence() &&
         field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE &&
         field.cpp_type() != FieldDescriptor::CPPTYPE_STRING;
}

absl::StatusOr<Value> ReadField(const Message& message, const FieldDescriptor& field,
                                const std::string& name) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ReadFinite(name, reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_INT32:
      return Value::Integer(reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return Value::Flag(reflection.GetBool(message, &field));
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = reflection.GetEnumValue(message, &field);
      const EnumValueDescriptor* value = field.enum_type()->FindValueByNumber(number);
      if (value == nullptr || number == 0) {
        return InvalidField(name, std::to_string(number),
                            "a value of " + field.enum_type()->name());
      }
      return Value::Text(Lower(value->name().substr(ValuePrefix(*field.enum_type()).size())));
    }
    default:
      return MakeError(absl::StatusCode::kInternal, "FIELD_TYPE",
                       name + ": its type is not mapped");
  }
}

void SetField(const Value& value, const ItemSpec& spec, const FieldDescriptor& field,
              Message* message) {
  const Reflection& reflection = *message->GetReflection();
  if (value.type() == ValueType::kText || !value.has_value()) return;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.SetDouble(message, &field, value.AsNumber());
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.SetInt32(message, &field, static_cast<int32_t>(value.AsNumber()));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.SetBool(message, &field, value.AsNumber() != 0);
    case FieldDescriptor::CPPTYPE_ENUM: {
      if (value.type() != ValueType::kInteger) return;
      const std::string_view label = LabelOf(spec, value.integer());
      if (label.empty()) return;
      const EnumValueDescriptor* named =
          field.enum_type()->FindValueByName(ValuePrefix(*field.enum_type()) + Upper(label));
      if (named != nullptr) reflection.SetEnumValue(message, &field, named->number());
      return;
    }
    default:
      return;
  }
}

// The item that a field stands for.
std::optional<ItemId> FindItem(const ItemTable& items, std::string_view prefix,
                               std::string_view field) {
  std::string name(prefix);
  for (const UnitName& unit : kUnits) {
    if (!field.ends_with(unit.suffix)) continue;
    name.resize(prefix.size());
    name += field.substr(0, field.size() - unit.suffix.size());
    const std::optional<ItemId> item = items.Find(name);
    if (item && items.Spec(*item).unit == unit.unit) return item;
  }
  return std::nullopt;
}

std::string Expected(const ActionArgument& argument) {
  const std::string type(ToString(argument.type));
  return *argument.unit == '\0' ? "a " + type : "a " + type + " in " + argument.unit;
}

}  // namespace

std::string UnitSuffix(std::string_view unit) {
  for (const UnitName& known : kUnits) {
    if (known.unit == unit) return std::string(known.suffix);
  }
  return "_" + Lower(unit);
}

std::string_view LabelOf(const ItemSpec& spec, int64_t value) {
  for (const ValueLabel& label : spec.labels) {
    if (label.value == value) return label.name;
  }
  return "";
}

absl::StatusOr<Arguments> ReadArguments(const Message& message, const ActionSpec& action,
                                        const std::string& path, bool all) {
  const Descriptor& type = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  Arguments arguments;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (!IsScalar(field)) continue;
    const std::string name = path + field.name();
    const ActionArgument* argument = nullptr;
    for (const ActionArgument& known : action.arguments) {
      if (known.name + UnitSuffix(known.unit) == field.name()) argument = &known;
    }
    if (!reflection.HasField(message, &field)) {
      if (all && argument != nullptr) return MissingField(name, Expected(*argument));
      continue;
    }
    if (argument == nullptr) {
      return MakeError(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                       name + " cannot be set here; nothing was sent", {{"field", name}});
    }
    absl::StatusOr<Value> value = ReadField(message, field, name);
    if (!value.ok()) return value.status();
    arguments.emplace_back(argument->name, *std::move(value));
  }
  return arguments;
}

void SetFields(const DeviceSnapshot& snapshot, const TimeView& time, Message* message,
               std::string_view prefix) {
  const Descriptor& type = *message->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (!IsScalar(field)) continue;
    const std::optional<ItemId> item = FindItem(snapshot.items(), prefix, field.name());
    if (!item) continue;
    const Reading reading = snapshot.Read(*item);
    if (reading.EffectiveQuality(time.now()) != Quality::kGood) continue;
    SetField(reading.value, snapshot.items().Spec(*item), field, message);
  }
}

void SetConfiguredFields(const DriverInfo& driver, const DeviceConfig& config, Message* message) {
  for (const ParameterSpec& parameter : driver.parameters) {
    if (parameter.type != ParameterType::kNumber) continue;
    const FieldDescriptor* field =
        message->GetDescriptor()->FindFieldByName(parameter.name + UnitSuffix(parameter.unit));
    const Value& value = config.Parameter(parameter.name);
    if (field != nullptr && value.has_value()) SetField(value, {}, *field, message);
  }
}

}  // namespace canhub
