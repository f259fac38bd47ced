// Fields of typed messages as people write them: NAME=VALUE, with units.
#pragma once

#include <string>
#include <vector>

#include "clients/canhubctl/units.h"
#include "google/protobuf/message.h"

namespace canhub::ctl {

// A field's name without its unit, and the unit: "current_setpoint_a" → "current_setpoint", "A".
struct FieldName {
  std::string name;
  std::string unit;
};
FieldName SplitUnit(const google::protobuf::FieldDescriptor& field);

// Sets the fields that are named: "max_charge_current=50A", "parallel_role=host", "io1_output=on".
// An error names the field, found and expected.
Parsed<bool> SetFieldsFromText(const std::vector<std::string>& assignments,
                               google::protobuf::Message* message);
// Sets one field from a text.
Parsed<bool> SetFieldFromText(const google::protobuf::FieldDescriptor& field,
                              const std::string& text, google::protobuf::Message* message);
// "max_charge_current  150 A", a line for each field that is set.
std::vector<std::string> FieldLines(const google::protobuf::Message& message);

}  // namespace canhub::ctl
