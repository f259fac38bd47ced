// What goes wrong, for people and for programs.
#pragma once

#include <map>
#include <string>

#include "clients/canhubctl/exit_code.h"
#include "grpcpp/support/status.h"

namespace canhub::ctl {

struct Failure {
  ExitCode exit_code = ExitCode::kOther;
  std::string code;    // "OUT_OF_RANGE", or "USAGE" and "LOCAL" for what never reached a daemon
  std::string reason;  // stable UPPER_SNAKE word of the daemon; may be empty
  std::string text;    // one line; of a configuration one for each error
  std::map<std::string, std::string> metadata;  // every value that the text names

  static Failure Usage(std::string text);
  static Failure Local(std::string text);
};

// The name as the gRPC documents write it: "OUT_OF_RANGE".
std::string StatusCodeName(grpc::StatusCode code);
ExitCode ToExitCode(grpc::StatusCode code);

// Decodes google.rpc.Status with its ErrorInfo from the status's details. Requires !status.ok().
Failure FailureFromStatus(const grpc::Status& status);

// "canhubctl: OUT_OF_RANGE: hv0: … [SETPOINT_ABOVE_LIMIT]"; several errors of a configuration
// follow in lines of their own.
std::string FailureLine(const Failure& failure);
// {"error": {"code": …, "reason": …, "text": …, "metadata": {…}, "exit_code": 3}}
std::string FailureJson(const Failure& failure);

}  // namespace canhub::ctl
