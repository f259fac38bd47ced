// Shared by the `pcs` commands: one call and one line per receipt.
#pragma once

#include <string>

#include "canhub/v1/power_converter_service.grpc.pb.h"
#include "clients/canhubctl/message_fields.h"
#include "clients/canhubctl/session.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {

// Adds the positional argument "device": a converter, or a group of them.
inline CLI::Option* AddConverter(CLI::App& command, Session& session, std::string& device) {
  CLI::Option* option =
      command.add_option("device", device, "the converter's id, or a group's")->required();
  session.Hint(option, Complete::kDevice);
  return option;
}

template <typename Request, typename Response>
using PcsMethod = grpc::Status (v1::PowerConverterService::Stub::*)(grpc::ClientContext*,
                                                                    const Request&, Response*);

// One command to a converter or a group: a line for each converter.
template <typename Request, typename Response>
ExitCode PcsCommand(Session& session, const std::string& device,
                    PcsMethod<Request, Response> method, Request request,
                    std::chrono::nanoseconds timeout) {
  request.set_device_id(device);
  *request.mutable_options() = session.CommandOptions();
  Response response;
  const grpc::Status status =
      session.Call<v1::PowerConverterService>(method, request, &response, timeout);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
    return ExitCode::kOk;
  }
  for (const v1::Receipt& receipt : response.receipts()) {
    session.output().Line(receipt.device_id() + ": " + FormatReceipt(receipt));
  }
  return ExitCode::kOk;
}

// What only reads one converter. JSON is printed here; false then, or after a failure.
template <typename Request, typename Response>
bool PcsRead(Session& session, const std::string& device, PcsMethod<Request, Response> method,
             Response* response, ExitCode* exit_code) {
  Request request;
  request.set_device_id(device);
  const grpc::Status status = session.Call<v1::PowerConverterService>(method, request, response);
  *exit_code = status.ok() ? ExitCode::kOk : session.Fail(status);
  if (status.ok() && session.output().json()) session.output().Json(*response);
  return status.ok() && !session.output().json();
}

}  // namespace canhub::ctl
