#include "clients/canhubctl/message_fields.h"

#include <array>
#include <cctype>
#include <utility>

#include "clients/canhubctl/text_table.h"

namespace canhub::ctl {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Ends of field names, the longest first.
constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kUnits = {
    {{"_percent", "%"},
     {"_degc", "degC"},
     {"_var", "var"},
     {"_ohm", "ohm"},
     {"_va", "VA"},
     {"_ah", "Ah"},
     {"_as", "As"},
     {"_wh", "Wh"},
     {"_hz", "Hz"},
     {"_v", "V"},
     {"_a", "A"},
     {"_w", "W"},
     {"_s", "s"}}};

// "ParallelRole": "PARALLEL_ROLE_".
std::string ValuePrefix(const EnumDescriptor& type) {
  const std::string zero = type.FindValueByNumber(0)->name();
  return zero.substr(0, zero.rfind('_') + 1);
}

std::string Word(const std::string& value, const EnumDescriptor& type) {
  std::string word;
  for (const char c : value.substr(ValuePrefix(type).size())) {
    word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return word;
}

std::string Names(const Descriptor& type) {
  std::string names;
  for (int i = 0; i < type.field_count(); ++i) {
    names += (i == 0 ? "" : ", ") + SplitUnit(*type.field(i)).name;
  }
  return names;
}

}  // namespace

FieldName SplitUnit(const FieldDescriptor& field) {
  const std::string& name = field.name();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    for (const auto& [suffix, unit] : kUnits) {
      if (name.ends_with(suffix)) {
        return {name.substr(0, name.size() - suffix.size()), std::string(unit)};
      }
    }
  }
  return {name, ""};
}

Parsed<bool> SetFieldFromText(const FieldDescriptor& field, const std::string& text,
                              Message* message) {
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  const FieldName name = SplitUnit(field);
  const auto wrong = [&](const std::string& why) {
    return Parsed<bool>::Error(name.name + " " + why);
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const Parsed<double> value = ParseQuantity(text, name.unit);
      if (!value.ok()) return wrong(value.error());
      reflection.SetDouble(message, &field, *value);
      return true;
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      const Parsed<int64_t> value = ParseInteger(text);
      if (!value.ok()) return wrong(value.error());
      if (*value != static_cast<int32_t>(*value)) return wrong("is too large: " + text);
      reflection.SetInt32(message, &field, static_cast<int32_t>(*value));
      return true;
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const Parsed<bool> value = ParseFlag(text);
      if (!value.ok()) return wrong(value.error());
      reflection.SetBool(message, &field, *value);
      return true;
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      std::string words;
      for (int i = 1; i < field.enum_type()->value_count(); ++i) {
        const auto* value = field.enum_type()->value(i);
        const std::string word = Word(value->name(), *field.enum_type());
        if (word == text) {
          reflection.SetEnum(message, &field, value);
          return true;
        }
        words += (i == 1 ? "" : ", ") + word;
      }
      return wrong("found \"" + text + "\", expected one of " + words);
    }
    default:
      return wrong("cannot be set from a text");
  }
}

Parsed<bool> SetFieldsFromText(const std::vector<std::string>& assignments, Message* message) {
  const Descriptor& type = *message->GetDescriptor();
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos) {
      return Parsed<bool>::Error("found \"" + assignment + "\", expected NAME=VALUE");
    }
    const std::string name = assignment.substr(0, equals);
    const FieldDescriptor* found = nullptr;
    for (int i = 0; i < type.field_count(); ++i) {
      if (SplitUnit(*type.field(i)).name == name || type.field(i)->name() == name) {
        found = type.field(i);
      }
    }
    if (found == nullptr) {
      return Parsed<bool>::Error("found \"" + name + "\", expected one of " + Names(type));
    }
    Parsed<bool> set = SetFieldFromText(*found, assignment.substr(equals + 1), message);
    if (!set.ok()) return set;
  }
  return true;
}

std::vector<std::string> FieldLines(const Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  TextTable table({{""}, {""}});
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_repeated() || !field.has_presence() || !reflection.HasField(message, &field)) {
      continue;
    }
    const FieldName name = SplitUnit(field);
    std::string value;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_DOUBLE:
        value = FormatQuantity(reflection.GetDouble(message, &field), name.unit);
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        value = std::to_string(reflection.GetInt32(message, &field));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        value = reflection.GetBool(message, &field) ? "on" : "off";
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        value = Word(reflection.GetEnum(message, &field)->name(), *field.enum_type());
        break;
      default:
        continue;
    }
    table.AddRow({name.name, value});
  }
  std::vector<std::string> lines = table.Lines();
  if (!lines.empty()) lines.erase(lines.begin());  // the title line
  return lines;
}

}  // namespace canhub::ctl
