// Shared by the `hv` commands: channel arguments, one call per channel, one line per receipt.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "clients/canhubctl/session.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {

// What "DEV [CH]" names.
struct HvTarget {
  std::string device;
  std::string channel_text;  // "3", "0-3,7", "all", or "" for the whole device
};

// Nothing: the whole device.
Parsed<std::optional<std::vector<uint32_t>>> TargetChannels(const HvTarget& target);

// "hv0", "hv0 ch3".
std::string TargetName(const std::string& device, std::optional<uint32_t> channel);

enum class ChannelArgument { kNeeded, kOptional, kNone };
// Adds the positional arguments "device" and "channel".
void AddTarget(CLI::App& command, Session& session, HvTarget& target, ChannelArgument channel);

template <typename Request, typename Response>
using HvMethod = grpc::Status (v1::HighVoltageService::Stub::*)(grpc::ClientContext*,
                                                                const Request&, Response*);

// One command to a device. `describe` adds to the receipt's line, may be empty.
template <typename Request, typename Response>
ExitCode HvCommand(Session& session, const std::string& name, HvMethod<Request, Response> method,
                   Request& request, const std::function<std::string(const Response&)>& describe,
                   std::chrono::nanoseconds timeout, int part = 1) {
  *request.mutable_options() = session.CommandOptions(part);
  Response response;
  const grpc::Status status =
      session.Call<v1::HighVoltageService>(method, request, &response, timeout);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
    return ExitCode::kOk;
  }
  std::string line = name + ": " + FormatReceipt(response.receipt());
  if (describe) line += describe(response);
  session.output().Line(line);
  return ExitCode::kOk;
}

// The command once for each channel of the target, in their order, or once for the whole device.
// Ends at the first failure; the lines before tell which channels were done.
template <typename Request, typename Response>
ExitCode HvCommandChannels(Session& session, const HvTarget& target,
                           HvMethod<Request, Response> method, Request request,
                           const std::function<std::string(const Response&)>& describe = nullptr) {
  const Parsed<std::optional<std::vector<uint32_t>>> channels = TargetChannels(target);
  if (!channels.ok()) return session.Usage(channels.error());
  request.set_device_id(target.device);
  const std::chrono::nanoseconds timeout = session.CommandTimeout();
  if (!channels->has_value()) {
    if constexpr (requires { request.set_all_channels(true); }) request.set_all_channels(true);
    return HvCommand(session, TargetName(target.device, std::nullopt), method, request, describe,
                     timeout);
  }
  int part = 0;
  for (uint32_t channel : **channels) {
    request.set_channel(channel);
    const ExitCode result = HvCommand(session, TargetName(target.device, channel), method, request,
                                      describe, timeout, ++part);
    if (result != ExitCode::kOk) return result;
  }
  return ExitCode::kOk;
}

}  // namespace canhub::ctl
