#include "clients/canhubctl/output.h"

#include "google/protobuf/util/json_util.h"

namespace canhub::ctl {

std::string Output::Paint(Colour colour, std::string_view text) const {
  const char* code = nullptr;
  switch (colour) {
    case Colour::kNone:
      break;
    case Colour::kGood:
      code = "32";
      break;
    case Colour::kWarn:
      code = "33";
      break;
    case Colour::kBad:
      code = "1;31";
      break;
    case Colour::kDim:
      code = "2";
      break;
    case Colour::kBold:
      code = "1";
      break;
  }
  if (!options_.colour || code == nullptr || text.empty()) return std::string(text);
  return std::string("\x1b[") + code + "m" + std::string(text) + "\x1b[0m";
}

std::string ToJson(const google::protobuf::Message& message, bool one_line) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !one_line;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) {
    // Only a reply that is not valid by its own proto: text that is not UTF-8, a time out of range.
    return "{\"error\": {\"code\": \"LOCAL\", \"text\": \"the reply cannot be shown as JSON\"}}";
  }
  return text;
}

void Output::Json(const google::protobuf::Message& message) {
  const std::string text = ToJson(message, false);
  out_ << text << (text.ends_with('\n') ? "" : "\n");
}

void Output::JsonLine(const google::protobuf::Message& message) {
  out_ << ToJson(message, true) << "\n" << std::flush;
}

ExitCode Output::Fail(const Failure& failure) {
  out_ << std::flush;
  err_ << (options_.json ? FailureJson(failure) : FailureLine(failure)) << "\n" << std::flush;
  return failure.exit_code;
}

}  // namespace canhub::ctl
