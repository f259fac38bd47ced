// pcs: what only reads.
#include <map>
#include <memory>
#include <optional>

#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/live_watch.h"
#include "clients/canhubctl/pcs_call.h"
#include "clients/canhubctl/text_table.h"

namespace canhub::ctl {
namespace {

using Service = v1::PowerConverterService;

Colour StateColour(const v1::PowerConverterState& state) {
  if (state.is_faulty() || !state.has_state()) return Colour::kBad;
  return state.is_running() ? Colour::kGood : Colour::kNone;
}

std::string FaultText(const v1::PowerConverterFault& fault) {
  std::string text = "fault " + std::to_string(fault.code());
  if (!fault.meaning().empty()) text += " " + fault.meaning();
  return text;
}

// "dc_cc_cv: voltage_setpoint 400 V, current_setpoint -50 A".
std::string ModeText(const v1::PowerConverterState& state) {
  const auto* field = v1::PowerConverterMode::GetReflection()->GetOneofFieldDescriptor(
      state.mode_set(), v1::PowerConverterMode::descriptor()->oneof_decl(0));
  if (field == nullptr) return state.has_mode() ? "mode " + std::to_string(state.mode()) : "–";
  std::string text = field->name();
  const auto& mode = v1::PowerConverterMode::GetReflection()->GetMessage(state.mode_set(), field);
  for (int i = 0; i < mode.GetDescriptor()->field_count(); ++i) {
    const FieldName name = SplitUnit(*mode.GetDescriptor()->field(i));
    text += (i == 0 ? ": " : ", ") + name.name + " " +
            FormatQuantity(mode.GetReflection()->GetDouble(mode, mode.GetDescriptor()->field(i)),
                           name.unit);
  }
  return text;
}

TextTable StateTable() {
  return TextTable({{"DEVICE"},
                    {"STATE"},
                    {"DC VOLTAGE", Align::kRight},
                    {"DC CURRENT", Align::kRight},
                    {"DC POWER", Align::kRight},
                    {"GRID POWER", Align::kRight},
                    {"CHARGE", Align::kRight},
                    {"AIR IN/OUT", Align::kRight},
                    {"MODE"},
                    {"FAULT"}});
}

void AddStateRow(const Output& output, const v1::PowerConverterState& state, TextTable* table) {
  table->AddRow(
      {state.device_id(), output.Paint(StateColour(state), state.state_name()),
       FormatOptional(state.has_dc_voltage_v(), state.dc_voltage_v(), "V"),
       FormatOptional(state.has_dc_current_a(), state.dc_current_a(), "A"),
       FormatOptional(state.has_dc_power_w(), state.dc_power_w(), "W"),
       FormatOptional(state.has_active_power_w(), state.active_power_w(), "W"),
       FormatOptional(state.has_capacity_ah(), state.capacity_ah(), "Ah"),
       FormatOptional(state.has_inlet_temperature_degc(), state.inlet_temperature_degc(), "degC") +
           " / " +
           FormatOptional(state.has_outlet_temperature_degc(), state.outlet_temperature_degc(),
                          "degC"),
       ModeText(state),
       state.has_fault() ? output.Paint(Colour::kBad, FaultText(state.fault())) : ""});
}

ExitCode Status(Session& session, const std::string& device) {
  v1::GetStateRequest request;
  request.set_device_id(device);
  v1::GetStateResponse response;
  const grpc::Status status = session.Call<Service>(&Service::Stub::GetState, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  TextTable table = StateTable();
  for (const v1::PowerConverterState& state : response.converters()) {
    AddStateRow(output, state, &table);
  }
  output.out() << table.ToString();
  if (response.converters_size() != 1) return ExitCode::kOk;
  // One alone: everything there is about it.
  const v1::PowerConverterState& state = response.converters(0);
  for (const std::string& line : FieldLines(state)) output.Line("  " + line);
  if (state.has_fault()) {
    output.Line(output.Paint(Colour::kBad, FaultText(state.fault())));
    if (!state.fault().trigger().empty()) output.Line("  when    " + state.fault().trigger());
    if (!state.fault().remedy().empty()) output.Line("  what to do  " + state.fault().remedy());
  }
  return ExitCode::kOk;
}

struct MonitorArguments {
  std::string device;
  LiveOptions live;
};

std::string StateLine(const v1::PowerConverterState& state) {
  std::string line = LineTime(state) + "  " + state.device_id() + "  " + state.state_name() + "  " +
                     FormatOptional(state.has_dc_voltage_v(), state.dc_voltage_v(), "V") + "  " +
                     FormatOptional(state.has_dc_current_a(), state.dc_current_a(), "A") + "  " +
                     FormatOptional(state.has_dc_power_w(), state.dc_power_w(), "W");
  if (state.has_fault()) line += "  " + FaultText(state.fault());
  if (state.quality() != v1::QUALITY_GOOD) line += "  " + QualityName(state.quality());
  return line;
}

ExitCode Monitor(Session& session, const MonitorArguments& arguments) {
  v1::WatchStateRequest request;
  request.set_device_id(arguments.device);
  const LiveView<std::string, v1::PowerConverterState> view{
      .key = [](const v1::PowerConverterState& state) { return state.device_id(); },
      .table = &StateTable,
      .add_row = &AddStateRow,
      .line = &StateLine};
  return WatchLive<Service>(session, &Service::Stub::WatchState, request, arguments.live,
                            &v1::WatchStateResponse::converters, view);
}

ExitCode ListModes(Session& session, const std::string& device) {
  v1::ListModesResponse response;
  ExitCode exit_code;
  if (!PcsRead(session, device, &Service::Stub::ListModes, &response, &exit_code)) return exit_code;
  TextTable table({{"CODE", Align::kRight}, {"MODE"}, {"PARAMETERS"}});
  for (const v1::PowerConverterModeInfo& mode : response.modes()) {
    std::string parameters;
    for (const std::string& name : mode.parameters()) {
      parameters += (parameters.empty() ? "" : " ") + name;
    }
    table.AddRow({std::to_string(mode.code()), mode.name(), parameters});
  }
  session.output().out() << table.ToString();
  return ExitCode::kOk;
}

ExitCode ListFaults(Session& session, const std::string& device) {
  v1::ListFaultCodesResponse response;
  ExitCode exit_code;
  if (!PcsRead(session, device, &Service::Stub::ListFaultCodes, &response, &exit_code)) {
    return exit_code;
  }
  TextTable table({{"CODE", Align::kRight}, {"GROUP"}, {"MEANING"}, {"WHEN"}, {"WHAT TO DO"}});
  for (const v1::PowerConverterFault& fault : response.faults()) {
    table.AddRow({std::to_string(fault.code()), fault.group(), fault.meaning(), fault.trigger(),
                  fault.remedy()});
  }
  session.output().out() << table.ToString();
  return ExitCode::kOk;
}

ExitCode ShowVersion(Session& session, const std::string& device) {
  v1::GetVersionsResponse response;
  ExitCode exit_code;
  if (!PcsRead(session, device, &Service::Stub::GetVersions, &response, &exit_code)) {
    return exit_code;
  }
  session.output().Line("ARM Version: HW=" + response.arm_hardware() +
                        "  SW=" + response.arm_software());
  session.output().Line("DSP Version: HW=" + response.dsp_hardware() +
                        "  SW=" + response.dsp_software());
  return ExitCode::kOk;
}

// A command with nothing but the device.
using Show = ExitCode (*)(Session&, const std::string&);
CLI::App* AddShow(CLI::App& pcs, Session& session, const char* name, const char* description,
                  const char* examples, Show show, bool all) {
  CLI::App* command = AddCommand(pcs, name, description, examples);
  auto device = std::make_shared<std::string>();
  CLI::Option* option = AddConverter(*command, session, *device);
  if (all) option->required(false);
  command->callback([&session, device, show] {
    session.action = [&session, device, show] { return show(session, *device); };
  });
  return command;
}

}  // namespace

void AddPcsShowCommands(CLI::App& pcs, Session& session) {
  AddShow(pcs, session, "status", "state, fault, mode and measured values",
          "canhubctl pcs status\n"
          "canhubctl pcs status pcs1     one converter, in detail",
          &Status, /*all=*/true);
  AddShow(pcs, session, "modes", "the modes that it has, with their parameters",
          "canhubctl pcs modes pcs1", &ListModes, /*all=*/false);
  AddShow(pcs, session, "faults", "the fault codes that are known, with remedies",
          "canhubctl pcs faults pcs1", &ListFaults, /*all=*/false)
      ->alias("dump-faults");
  AddShow(pcs, session, "version", "versions of its programs", "canhubctl pcs version pcs1",
          &ShowVersion, /*all=*/false);
  CLI::App* command =
      AddCommand(pcs, "monitor", "converters live: a table, or lines when not on a terminal",
                 "canhubctl pcs monitor\n"
                 "canhubctl pcs monitor pcs1 --interval 1s --duration 1min --json");
  auto arguments = std::make_shared<MonitorArguments>();
  AddConverter(*command, session, arguments->device)->required(false);
  AddLiveOptions(*command, arguments->live, " [200ms]");
  command->callback([&session, arguments] {
    session.action = [&session, arguments] { return Monitor(session, *arguments); };
  });
}

}  // namespace canhub::ctl
