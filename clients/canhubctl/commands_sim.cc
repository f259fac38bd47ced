#include <map>
#include <memory>

#include "canhub/v1/simulation_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::SimulationService;

ExitCode Faults(Session& session, const std::string& device) {
  v1::ListFaultsRequest request;
  request.set_device_id(device);
  v1::ListFaultsResponse response;
  const grpc::Status status =
      session.Call<SimulationService>(&SimulationService::Stub::ListFaults, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  TextTable table({{"DEVICE"}, {"FAULT"}, {"PARAMETERS"}, {"WHAT IT DOES"}});
  for (const v1::DeviceFaults& faults : response.devices()) {
    for (const v1::FaultKind& fault : faults.faults()) {
      std::string parameters;
      for (const auto& [name, meaning] : std::map<std::string, std::string>(
               fault.parameters().begin(), fault.parameters().end())) {
        parameters += (parameters.empty() ? "" : "; ") + name + ": " + meaning;
      }
      table.AddRow({faults.device_id(), fault.fault(), parameters, fault.description()});
    }
  }
  output.out() << table.ToString();
  for (const v1::ActiveFault& fault : response.active()) {
    std::string line = "in force: " + fault.device_id() + " " + fault.fault();
    for (const auto& [name, value] : fault.parameters()) {
      line += " " + name + "=" + ExactValue(value);
    }
    output.Line(output.Paint(Colour::kWarn, line));
  }
  return ExitCode::kOk;
}

ExitCode Inject(Session& session, const std::string& device, const std::string& fault,
                const std::vector<std::string>& parameters) {
  v1::InjectFaultRequest request;
  request.set_device_id(device);
  request.set_fault(fault);
  for (const std::string& parameter : parameters) {
    const size_t equals = parameter.find('=');
    if (equals == std::string::npos || equals == 0) {
      return session.Usage("\"" + parameter +
                           "\" is no parameter, expected NAME=VALUE such as "
                           "channel=3");
    }
    const auto [place, is_new] = request.mutable_parameters()->insert(
        {parameter.substr(0, equals), GuessValue(parameter.substr(equals + 1))});
    if (!is_new) return session.Usage("parameter " + place->first + " is given twice");
  }
  v1::InjectFaultResponse response;
  const grpc::Status status =
      session.Call<SimulationService>(&SimulationService::Stub::InjectFault, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line(device + ": " + fault +
                          " injected; take it back with: canhubctl sim clear " + device);
  }
  return ExitCode::kOk;
}

ExitCode Clear(Session& session, const std::string& device, const std::string& fault) {
  v1::ClearFaultsRequest request;
  request.set_device_id(device);
  request.set_fault(fault);
  v1::ClearFaultsResponse response;
  const grpc::Status status =
      session.Call<SimulationService>(&SimulationService::Stub::ClearFaults, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line(std::to_string(response.cleared()) +
                          (response.cleared() == 1 ? " fault" : " faults") + " taken back");
  }
  return ExitCode::kOk;
}

struct LoadArguments {
  std::string device;
  std::string channel;
  std::string resistance;
  std::string capacitance;
};

ExitCode SetLoad(Session& session, const LoadArguments& arguments) {
  v1::SetLoadRequest request;
  request.set_device_id(arguments.device);
  if (!arguments.channel.empty() && arguments.channel != "all") {
    const Parsed<std::vector<uint32_t>> channels = ParseChannels(arguments.channel);
    if (!channels.ok()) return session.Usage(channels.error());
    if (channels->size() != 1) return session.Usage("sim load takes one channel, or all");
    request.set_channel(channels->front());
  }
  if (arguments.resistance.empty() && arguments.capacitance.empty()) {
    return session.Usage("give --resistance, --capacitance or both");
  }
  if (!arguments.resistance.empty()) {
    const Parsed<double> value = ParseQuantity(arguments.resistance, "Ohm");
    if (!value.ok()) return session.Usage("--resistance: " + value.error());
    request.set_resistance_ohm(*value);
  }
  if (!arguments.capacitance.empty()) {
    const Parsed<double> value = ParseQuantity(arguments.capacitance, "F");
    if (!value.ok()) return session.Usage("--capacitance: " + value.error());
    request.set_capacitance_f(*value);
  }
  v1::SetLoadResponse response;
  const grpc::Status status =
      session.Call<SimulationService>(&SimulationService::Stub::SetLoad, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line(arguments.device + ": load changed");
  }
  return ExitCode::kOk;
}

ExitCode Advance(Session& session, const std::string& text) {
  const Parsed<std::chrono::nanoseconds> by = ParseDuration(text);
  if (!by.ok()) return session.Usage(by.error());
  v1::AdvanceRequest request;
  *request.mutable_by() = ToProto(*by);
  v1::AdvanceResponse response;
  const grpc::Status status =
      session.Call<SimulationService>(&SimulationService::Stub::Advance, request, &response);
  if (!status.ok()) return session.Fail(status);
  session.output().Note("clock moved by " + FormatDuration(*by));
  return ExitCode::kOk;
}

}  // namespace

void AddSimCommands(CLI::App& app, Session& session) {
  CLI::App* sim = AddCommand(app, "sim", "make simulated devices misbehave, change their loads",
                             "canhubctl sim faults\n"
                             "canhubctl sim inject hv0 trip channel=3\n"
                             "canhubctl sim clear");
  sim->require_subcommand(1);
  {
    CLI::App* command =
        AddCommand(*sim, "faults", "what can be injected, and what is", "canhubctl sim faults hv0");
    auto device = std::make_shared<std::string>();
    session.Hint(command->add_option("device", *device, "only this one"), Complete::kDevice);
    command->callback([&session, device] {
      session.action = [&session, device] { return Faults(session, *device); };
    });
  }
  {
    CLI::App* command = AddCommand(*sim, "inject", "make a simulated device misbehave",
                                   "canhubctl sim inject hv0 trip channel=3\n"
                                   "canhubctl sim inject hv0 silence");
    auto device = std::make_shared<std::string>();
    auto fault = std::make_shared<std::string>();
    auto parameters = std::make_shared<std::vector<std::string>>();
    session.Hint(command->add_option("device", *device, "the simulated device")->required(),
                 Complete::kDevice);
    session.Hint(command->add_option("fault", *fault, "sim faults lists them")->required(),
                 Complete::kFault);
    command->add_option("parameter", *parameters, "NAME=VALUE")->type_name("NAME=VALUE");
    command->callback([&session, device, fault, parameters] {
      session.action = [&session, device, fault, parameters] {
        return Inject(session, *device, *fault, *parameters);
      };
    });
  }
  {
    CLI::App* command =
        AddCommand(*sim, "clear",
                   "take faults back; what they caused (a trip) stays until it is cleared there",
                   "canhubctl sim clear\n"
                   "canhubctl sim clear hv0 silence");
    auto device = std::make_shared<std::string>();
    auto fault = std::make_shared<std::string>();
    session.Hint(command->add_option("device", *device, "only this one"), Complete::kDevice);
    session.Hint(command->add_option("fault", *fault, "only this one"), Complete::kFault);
    command->callback([&session, device, fault] {
      session.action = [&session, device, fault] { return Clear(session, *device, *fault); };
    });
  }
  {
    CLI::App* command =
        AddCommand(*sim, "load", "change the load behind an output",
                   "canhubctl sim load hv0 3 --resistance 10MOhm --capacitance 1nF");
    auto arguments = std::make_shared<LoadArguments>();
    session.Hint(
        command->add_option("device", arguments->device, "the simulated device")->required(),
        Complete::kDevice);
    command->add_option("channel", arguments->channel, "the channel; without: all");
    command->add_option("--resistance", arguments->resistance, "in Ohm, or 10MOhm")
        ->type_name("OHMS");
    command->add_option("--capacitance", arguments->capacitance, "in F, or 1nF")
        ->type_name("FARADS");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return SetLoad(session, *arguments); };
    });
  }
  {
    CLI::App* command =
        AddCommand(*sim, "advance", "move the time of a simulation whose clock is stepped",
                   "canhubctl sim advance 10s");
    auto by = std::make_shared<std::string>();
    command->add_option("time", *by, "by how much")->required()->type_name("DURATION");
    command->callback(
        [&session, by] { session.action = [&session, by] { return Advance(session, *by); }; });
  }
}

}  // namespace canhub::ctl
