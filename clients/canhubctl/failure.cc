#include "clients/canhubctl/failure.h"

#include <algorithm>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "nlohmann/json.hpp"

namespace canhub::ctl {

Failure Failure::Usage(std::string text) {
  return {ExitCode::kUsage, "USAGE", "", std::move(text), {}};
}

Failure Failure::Local(std::string text) {
  return {ExitCode::kOther, "LOCAL", "", std::move(text), {}};
}

std::string StatusCodeName(grpc::StatusCode code) {
  switch (code) {
    case grpc::OK:
      return "OK";
    case grpc::CANCELLED:
      return "CANCELLED";
    case grpc::UNKNOWN:
      return "UNKNOWN";
    case grpc::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case grpc::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::NOT_FOUND:
      return "NOT_FOUND";
    case grpc::ALREADY_EXISTS:
      return "ALREADY_EXISTS";
    case grpc::PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case grpc::UNAUTHENTICATED:
      return "UNAUTHENTICATED";
    case grpc::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case grpc::FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case grpc::ABORTED:
      return "ABORTED";
    case grpc::OUT_OF_RANGE:
      return "OUT_OF_RANGE";
    case grpc::UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case grpc::INTERNAL:
      return "INTERNAL";
    case grpc::UNAVAILABLE:
      return "UNAVAILABLE";
    case grpc::DATA_LOSS:
      return "DATA_LOSS";
    default:
      return "CODE_" + std::to_string(static_cast<int>(code));
  }
}

ExitCode ToExitCode(grpc::StatusCode code) {
  switch (code) {
    case grpc::OK:
      return ExitCode::kOk;
    case grpc::INVALID_ARGUMENT:
    case grpc::OUT_OF_RANGE:
    case grpc::FAILED_PRECONDITION:
    case grpc::PERMISSION_DENIED:
    case grpc::UNAUTHENTICATED:
    case grpc::ALREADY_EXISTS:
      return ExitCode::kRefused;
    case grpc::NOT_FOUND:
    case grpc::UNIMPLEMENTED:
      return ExitCode::kNotFound;
    case grpc::UNAVAILABLE:
      return ExitCode::kUnavailable;
    case grpc::DEADLINE_EXCEEDED:
      return ExitCode::kDeadlineExceeded;
    case grpc::ABORTED:
      return ExitCode::kAborted;
    case grpc::RESOURCE_EXHAUSTED:
      return ExitCode::kResourceExhausted;
    case grpc::INTERNAL:
    case grpc::DATA_LOSS:
      return ExitCode::kInternal;
    default:
      return ExitCode::kOther;
  }
}

Failure FailureFromStatus(const grpc::Status& status) {
  Failure failure;
  failure.exit_code = ToExitCode(status.error_code());
  failure.code = StatusCodeName(status.error_code());
  failure.text = status.error_message();
  google::rpc::Status rich;
  if (!status.error_details().empty() && rich.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : rich.details()) {
      google::rpc::ErrorInfo info;
      if (!detail.Is<google::rpc::ErrorInfo>() || !detail.UnpackTo(&info)) continue;
      failure.reason = info.reason();
      for (const auto& [key, value] : info.metadata()) failure.metadata[key] = value;
    }
  }
  if (failure.text.empty()) failure.text = "the daemon gave no reason";
  return failure;
}

std::string FailureLine(const Failure& failure) {
  std::string text = failure.text;
  const bool of_a_file = failure.reason == "CONFIG_INVALID" || failure.reason == "TEST_REFUSED";
  if (of_a_file && text.find('\n') != std::string::npos) {
    for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) text.insert(++at, "  ");
    return "canhubctl: " + failure.code + " [" + failure.reason + "]:\n  " + text;
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::string line = "canhubctl: ";
  if (failure.code != "USAGE" && failure.code != "LOCAL") line += failure.code + ": ";
  line += text;
  if (!failure.reason.empty()) line += " [" + failure.reason + "]";
  return line;
}

std::string FailureJson(const Failure& failure) {
  const nlohmann::ordered_json json = {{"error",
                                        {{"code", failure.code},
                                         {"reason", failure.reason},
                                         {"text", failure.text},
                                         {"metadata", failure.metadata},
                                         {"exit_code", static_cast<int>(failure.exit_code)}}}};
  // Device text may hold any byte; it must not make the error message itself fail.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace canhub::ctl
