// Shared by the `pcs` commands: one call and one line per receipt, fields as NAME=VALUE.
#pragma once

#include <string>
#include <vector>

#include "canhub/v1/power_converter_service.grpc.pb.h"
#include "clients/canhubctl/session.h"
#include "clients/canhubctl/values.h"
#include "google/protobuf/message.h"

namespace canhub::ctl {

// Adds the positional argument "device": a converter, or a group of them.
CLI::Option* AddConverter(CLI::App& command, Session& session, std::string& device);

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
