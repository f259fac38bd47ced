// hv: what acts on whole modules, crates and lines.
#include <memory>

#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/hv_call.h"

namespace canhub::ctl {
namespace {

using v1::HighVoltageService;

ExitCode SetKill(Session& session, const std::string& device, bool enable) {
  v1::SetKillRequest request;
  request.set_device_id(device);
  request.set_enable(enable);
  return HvCommand<v1::SetKillRequest, v1::SetKillResponse>(
      session, device, &HighVoltageService::Stub::SetKill, request, nullptr,
      session.CommandTimeout());
}

ExitCode PrepareRemoval(Session& session, const std::string& device) {
  v1::PrepareRemovalRequest request;
  request.set_device_id(device);
  const std::function<std::string(const v1::PrepareRemovalResponse&)> describe =
      [](const v1::PrepareRemovalResponse& response) {
        return "; SAFE TO REMOVE, highest voltage on any channel " +
               FormatQuantity(response.highest_voltage_v(), "V");
      };
  return HvCommand(session, device, &HighVoltageService::Stub::PrepareRemoval, request, describe,
                   session.long_timeout());
}

ExitCode SetCratePower(Session& session, const std::string& device, bool on, bool force) {
  v1::SetCratePowerRequest request;
  request.set_device_id(device);
  request.set_on(on);
  request.set_force(force);
  return HvCommand<v1::SetCratePowerRequest, v1::SetCratePowerResponse>(
      session, device, &HighVoltageService::Stub::SetCratePower, request, nullptr,
      session.CommandTimeout());
}

ExitCode StoreSetValues(Session& session, const std::string& device, const std::string& operation) {
  v1::StoreSetValuesRequest request;
  request.set_device_id(device);
  if (operation == "save") request.set_operation(v1::SET_VALUES_OPERATION_SAVE);
  if (operation == "recall") request.set_operation(v1::SET_VALUES_OPERATION_RECALL);
  if (operation == "reset") request.set_operation(v1::SET_VALUES_OPERATION_RESET);
  if (operation == "factory-reset") request.set_operation(v1::SET_VALUES_OPERATION_FACTORY_RESET);
  return HvCommand<v1::StoreSetValuesRequest, v1::StoreSetValuesResponse>(
      session, device, &HighVoltageService::Stub::StoreSetValues, request, nullptr,
      session.CommandTimeout());
}

ExitCode ControlLine(Session& session, const std::string& device, const std::string& operation) {
  v1::ControlLineRequest request;
  request.set_device_id(device);
  if (operation == "live-insertion-on") {
    request.set_operation(v1::LINE_OPERATION_LIVE_INSERTION_ON);
  } else if (operation == "live-insertion-off") {
    request.set_operation(v1::LINE_OPERATION_LIVE_INSERTION_OFF);
  } else {
    request.set_operation(v1::LINE_OPERATION_RESTART_SCAN);
  }
  return HvCommand<v1::ControlLineRequest, v1::ControlLineResponse>(
      session, device, &HighVoltageService::Stub::ControlLine, request, nullptr,
      session.CommandTimeout());
}

ExitCode RawExchange(Session& session, const std::string& device,
                     const std::vector<std::string>& bytes, bool write) {
  v1::RawExchangeRequest request;
  request.set_device_id(device);
  std::string hex;
  for (const std::string& part : bytes) hex += (hex.empty() ? "" : " ") + part;
  request.set_data_hex(hex);
  request.set_write(write);
  *request.mutable_options() = session.CommandOptions();
  v1::RawExchangeResponse response;
  const grpc::Status status = session.Command<HighVoltageService>(
      &HighVoltageService::Stub::RawExchange, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
  } else if (write) {
    output.Line(device + ": " + FormatReceipt(response.receipt()) + "; a write has no answer");
  } else {
    for (const std::string& answer : response.answers_hex()) output.Line(answer);
  }
  return ExitCode::kOk;
}

void AddDeviceArgument(CLI::App& command, Session& session, std::string& device) {
  session.Hint(command.add_option("device", device, "the device's id")->required(),
               Complete::kDevice);
}

void AddModuleCommands(CLI::App& hv, Session& session) {
  {
    CLI::App* command = AddCommand(
        hv, "kill",
        "enable or disable a module's kill function: a channel that reaches its set current is "
        "shut off without ramp and stays off",
        "canhubctl hv kill hv0 on");
    auto device = std::make_shared<std::string>();
    auto position = std::make_shared<std::string>();
    AddDeviceArgument(*command, session, *device);
    session.Choices(command->add_option("position", *position, "on or off")->required(),
                    {"on", "off"});
    command->callback([&session, device, position] {
      session.action = [&session, device, position] {
        return SetKill(session, *device, *position == "on");
      };
    });
  }
  {
    CLI::App* command = AddCommand(
        hv, "prepare-removal",
        "ramp everything down, wait until no channel is above 63 V, and say that the module may be "
        "pulled; waits up to 10min unless --timeout",
        "canhubctl hv prepare-removal hv0");
    auto device = std::make_shared<std::string>();
    AddDeviceArgument(*command, session, *device);
    command->callback([&session, device] {
      session.action = [&session, device] { return PrepareRemoval(session, *device); };
    });
  }
  {
    CLI::App* command =
        AddCommand(hv, "store", "save, recall or reset the set values in a module's memory",
                   "canhubctl hv store hv0 save");
    auto device = std::make_shared<std::string>();
    auto operation = std::make_shared<std::string>();
    AddDeviceArgument(*command, session, *device);
    session.Choices(command->add_option("operation", *operation, "what to do")->required(),
                    {"save", "recall", "reset", "factory-reset"});
    command->callback([&session, device, operation] {
      session.action = [&session, device, operation] {
        return StoreSetValues(session, *device, *operation);
      };
    });
  }
  {
    CLI::App* command =
        AddCommand(hv, "raw", "exchange one EDCP frame that has no item with a device",
                   "canhubctl hv raw hv0 1000              read: prints the answers\n"
                   "canhubctl hv raw hv0 10 00 40 --write");
    auto device = std::make_shared<std::string>();
    auto bytes = std::make_shared<std::vector<std::string>>();
    auto write = std::make_shared<bool>(false);
    AddDeviceArgument(*command, session, *device);
    command->add_option("hex", *bytes, "the whole data field, DATA_ID first, hexadecimal")
        ->required()
        ->type_name("HEX");
    command->add_flag("--write", *write, "send it as a write, which has no answer");
    command->callback([&session, device, bytes, write] {
      session.action = [&session, device, bytes, write] {
        return RawExchange(session, *device, *bytes, *write);
      };
    });
  }
}

void AddCrateAndLineCommands(CLI::App& hv, Session& session) {
  {
    CLI::App* command = AddCommand(
        hv, "crate-power",
        "switch a crate's backplane supply; off is refused while a channel in it carries voltage",
        "canhubctl hv crate-power crate0 on\n"
        "canhubctl hv crate-power crate0 off --force     needs the role engineer");
    auto device = std::make_shared<std::string>();
    auto position = std::make_shared<std::string>();
    auto force = std::make_shared<bool>(false);
    AddDeviceArgument(*command, session, *device);
    session.Choices(command->add_option("position", *position, "on or off")->required(),
                    {"on", "off"});
    command->add_flag("--force", *force, "also when channels carry voltage");
    command->callback([&session, device, position, force] {
      session.action = [&session, device, position, force] {
        return SetCratePower(session, *device, *position == "on", *force);
      };
    });
  }
  {
    CLI::App* command =
        AddCommand(hv, "line", "act on all modules of a line: live insertion, a new scan",
                   "canhubctl hv line hv0 live-insertion-on\n"
                   "canhubctl hv line hv0 restart-scan");
    auto device = std::make_shared<std::string>();
    auto operation = std::make_shared<std::string>();
    session.Hint(command->add_option("device", *device, "any device on the line")->required(),
                 Complete::kDevice);
    session.Choices(command->add_option("operation", *operation, "what to do")->required(),
                    {"live-insertion-on", "live-insertion-off", "restart-scan"});
    command->callback([&session, device, operation] {
      session.action = [&session, device, operation] {
        return ControlLine(session, *device, *operation);
      };
    });
  }
}

}  // namespace

void AddHvModuleCommands(CLI::App& hv, Session& session) {
  AddModuleCommands(hv, session);
  AddCrateAndLineCommands(hv, session);
}

void AddHvCommands(CLI::App& app, Session& session) {
  CLI::App* hv = AddCommand(app, "hv", "high voltage: channels, modules, crates",
                            "canhubctl hv set hv0 3 1000V\n"
                            "canhubctl hv on hv0 3 --wait settled\n"
                            "canhubctl hv status hv0\n"
                            "canhubctl hv emergency-off --all\n"
                            "Channels: 3, 0-3,7 or all. Commands return once the device has been "
                            "read back;\n--wait settled returns at the end of the ramp.");
  hv->require_subcommand(1);
  AddHvShowCommands(*hv, session);
  AddHvOutputCommands(*hv, session);
  AddHvModuleCommands(*hv, session);
}

}  // namespace canhub::ctl
