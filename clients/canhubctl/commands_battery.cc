// battery: packs, their modules and cells.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "canhub/v1/battery_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/live_watch.h"
#include "clients/canhubctl/message_fields.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::BatteryService;

std::string LevelText(const Output& output, bool has, v1::BatteryLevel level) {
  if (!has) return "–";
  switch (level) {
    case v1::BATTERY_LEVEL_NORMAL:
      return output.Paint(Colour::kGood, "normal");
    case v1::BATTERY_LEVEL_WARNING:
      return output.Paint(Colour::kWarn, "warning");
    case v1::BATTERY_LEVEL_DANGEROUS:
      return output.Paint(Colour::kBad, "dangerous");
    default:
      return "?";
  }
}

std::string PresenceText(const Output& output, const v1::BatteryModule& module) {
  switch (module.presence()) {
    case v1::MODULE_PRESENCE_ABSENT:
      return "absent";
    case v1::MODULE_PRESENCE_GOOD:
      return "good";
    case v1::MODULE_PRESENCE_STALE:
      return output.Paint(Colour::kBad, "stale");
    case v1::MODULE_PRESENCE_UNEXPECTED:
      return output.Paint(Colour::kWarn, "unexpected");
    default:
      return "–";
  }
}

// "8 of 8"; "–" for a battery that tells only of itself as a whole.
std::string ModuleCount(const v1::Battery& battery) {
  if (!battery.has_module_count()) return "–";
  return std::to_string(battery.modules_good()) + " of " + std::to_string(battery.module_count());
}

// "3.55 … 3.71 V"; of what is known of it.
std::string Extremes(bool has_low, double low, bool has_high, double high, const char* unit) {
  if (!has_low && !has_high) return "–";
  if (!has_low) return FormatQuantity(high, unit);
  if (!has_high) return FormatQuantity(low, unit);
  return FormatQuantity(low, "") + " … " + FormatQuantity(high, unit);
}

std::string Cells(const v1::Battery& battery) {
  return Extremes(battery.has_cell_voltage_min_v(), battery.cell_voltage_min_v(),
                  battery.has_cell_voltage_max_v(), battery.cell_voltage_max_v(), "V");
}

std::string Temperatures(const v1::Battery& battery) {
  return Extremes(battery.has_temperature_min_degc(), battery.temperature_min_degc(),
                  battery.has_temperature_max_degc(), battery.temperature_max_degc(), "degC");
}

std::string Charge(const v1::Battery& battery) {
  return Extremes(battery.has_soc_min_percent(), battery.soc_min_percent(),
                  battery.has_soc_max_percent(), battery.soc_max_percent(), "%");
}

TextTable BatteryTable() {
  return TextTable({{"DEVICE"},
                    {"LEVEL"},
                    {"MODULES", Align::kRight},
                    {"VOLTAGE", Align::kRight},
                    {"CURRENT", Align::kRight},
                    {"CELLS", Align::kRight},
                    {"TEMPERATURE", Align::kRight},
                    {"CHARGE", Align::kRight},
                    {"QUALITY"}});
}

void AddBatteryRow(const Output& output, const v1::Battery& battery, TextTable* table) {
  table->AddRow({battery.device_id(), LevelText(output, battery.has_level(), battery.level()),
                 ModuleCount(battery),
                 FormatOptional(battery.has_voltage_v(), battery.voltage_v(), "V"),
                 FormatOptional(battery.has_current_mean_a(), battery.current_mean_a(), "A"),
                 Cells(battery), Temperatures(battery), Charge(battery),
                 output.Paint(battery.quality() == v1::QUALITY_GOOD ? Colour::kGood : Colour::kBad,
                              QualityName(battery.quality()))});
}

std::string BatteryLine(const Output& output, const v1::Battery& battery) {
  std::string line = LineTime(battery) + "  " + battery.device_id() + "  " +
                     LevelText(output, battery.has_level(), battery.level()) + "  " +
                     FormatOptional(battery.has_voltage_v(), battery.voltage_v(), "V") + "  " +
                     FormatOptional(battery.has_current_mean_a(), battery.current_mean_a(), "A") +
                     "  cells " + Cells(battery) + "  " + Temperatures(battery);
  if (battery.quality() != v1::QUALITY_GOOD) line += "  " + QualityName(battery.quality());
  return line;
}

ExitCode Status(Session& session, const std::string& device) {
  v1::GetBatteryRequest request;
  request.set_device_id(device);
  v1::GetBatteryResponse response;
  const grpc::Status status =
      session.Call<BatteryService>(&BatteryService::Stub::GetBattery, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  TextTable table = BatteryTable();
  for (const v1::Battery& battery : response.batteries()) AddBatteryRow(output, battery, &table);
  output.out() << table.ToString();
  if (device.empty()) return ExitCode::kOk;
  // One by its name: everything there is about it.
  const v1::Battery& battery = response.batteries(0);
  for (const std::string& line : FieldLines(battery)) output.Line("  " + line);
  const std::vector<std::string> limits = FieldLines(battery.limits());
  if (!limits.empty()) output.Line("limits");
  for (const std::string& line : limits) output.Line("  " + line);
  return ExitCode::kOk;
}

struct ModuleArguments {
  std::string device;
  std::vector<uint32_t> modules;
};

// "3.55 3.56 – 3.58".
std::string CellVoltages(const v1::BatteryModule& module) {
  std::string text;
  for (const v1::BatteryCell& cell : module.cells()) {
    text += (text.empty() ? "" : " ") + FormatOptional(cell.has_voltage_v(), cell.voltage_v(), "");
  }
  return text;
}

std::string SensorTemperatures(const v1::BatteryModule& module) {
  std::string text;
  for (const v1::BatterySensor& sensor : module.sensors()) {
    text += (text.empty() ? "" : " ") +
            FormatOptional(sensor.has_temperature_degc(), sensor.temperature_degc(), "");
  }
  return text;
}

ExitCode Modules(Session& session, const ModuleArguments& arguments) {
  v1::ListModulesRequest request;
  request.set_device_id(arguments.device);
  for (const uint32_t module : arguments.modules) request.add_modules(module);
  v1::ListModulesResponse response;
  const grpc::Status status =
      session.Call<BatteryService>(&BatteryService::Stub::ListModules, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  if (response.modules().empty()) {
    output.Line("no module");
    return ExitCode::kOk;
  }
  TextTable table({{"MODULE", Align::kRight},
                   {"PRESENCE"},
                   {"LEVEL"},
                   {"VOLTAGE", Align::kRight},
                   {"CURRENT", Align::kRight},
                   {"CELLS IN V"},
                   {"SENSORS IN degC"},
                   {"FAULT"}});
  for (const v1::BatteryModule& module : response.modules()) {
    table.AddRow({std::to_string(module.module()), PresenceText(output, module),
                  LevelText(output, module.has_level(), module.level()),
                  FormatOptional(module.has_voltage_v(), module.voltage_v(), "V"),
                  FormatOptional(module.has_current_a(), module.current_a(), "A"),
                  CellVoltages(module), SensorTemperatures(module),
                  module.fault_code() == 0
                      ? ""
                      : std::to_string(module.fault_code()) + " " + module.fault_name()});
  }
  output.out() << table.ToString();
  return ExitCode::kOk;
}

struct WatchArguments {
  std::string device;
  LiveOptions live;
};

ExitCode Watch(Session& session, const WatchArguments& arguments) {
  v1::WatchBatteryRequest request;
  request.set_device_id(arguments.device);
  const LiveView<std::string, v1::Battery> view{
      .key = [](const v1::Battery& battery) { return battery.device_id(); },
      .table = &BatteryTable,
      .add_row = &AddBatteryRow,
      .line = [&session](
                  const v1::Battery& battery) { return BatteryLine(session.output(), battery); }};
  return WatchLive<BatteryService>(session, &BatteryService::Stub::WatchBattery, request,
                                   arguments.live, &v1::WatchBatteryResponse::batteries, view);
}

ExitCode Detect(Session& session, const std::string& device) {
  v1::DetectModulesRequest request;
  request.set_device_id(device);
  *request.mutable_options() = session.CommandOptions();
  v1::DetectModulesResponse response;
  const grpc::Status status =
      session.Command<BatteryService>(&BatteryService::Stub::DetectModules, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line(device + ": " + FormatReceipt(response.receipt()));
  }
  return ExitCode::kOk;
}

CLI::Option* AddDevice(CLI::App& command, Session& session, std::string& device) {
  CLI::Option* option = command.add_option("device", device, "the battery");
  session.Hint(option, Complete::kDevice);
  return option;
}

}  // namespace

void AddBatteryCommands(CLI::App& app, Session& session) {
  CLI::App* battery = app.add_subcommand("battery", "batteries: packs, modules, cells");
  battery->require_subcommand(1);
  {
    CLI::App* command = AddCommand(*battery, "status", "levels, extremes, counts",
                                   "canhubctl battery status\n"
                                   "canhubctl battery status bat0     one, in detail, with limits");
    auto device = std::make_shared<std::string>();
    AddDevice(*command, session, *device);
    command->callback([&session, device] {
      session.action = [&session, device] { return Status(session, *device); };
    });
  }
  {
    CLI::App* command = AddCommand(*battery, "modules", "the modules, with cells and sensors",
                                   "canhubctl battery modules bat0\n"
                                   "canhubctl battery modules bat0 3 4");
    auto arguments = std::make_shared<ModuleArguments>();
    AddDevice(*command, session, arguments->device)->required();
    command->add_option("module", arguments->modules, "only these, by number");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return Modules(session, *arguments); };
    });
  }
  {
    CLI::App* command =
        AddCommand(*battery, "watch", "batteries live: a table, or lines when not on a terminal",
                   "canhubctl battery watch\n"
                   "canhubctl battery watch bat0 --interval 1s --duration 1min --json");
    auto arguments = std::make_shared<WatchArguments>();
    AddDevice(*command, session, arguments->device);
    AddLiveOptions(*command, arguments->live, " [200ms]");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return Watch(session, *arguments); };
    });
  }
  {
    CLI::App* command =
        AddCommand(*battery, "detect", "count the modules anew", "canhubctl battery detect bat0");
    auto device = std::make_shared<std::string>();
    AddDevice(*command, session, *device)->required();
    command->callback([&session, device] {
      session.action = [&session, device] { return Detect(session, *device); };
    });
  }
}

}  // namespace canhub::ctl
