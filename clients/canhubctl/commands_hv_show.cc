#include <map>
#include <memory>
#include <optional>

#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/hv_call.h"
#include "clients/canhubctl/live_watch.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::HighVoltageService;

std::string Join(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : " ") + text;
  return joined;
}

Colour StateColour(const std::string& state) {
  if (state == "on") return Colour::kGood;
  if (state == "ramping") return Colour::kWarn;
  if (state == "off") return Colour::kNone;
  return Colour::kBad;
}

TextTable ChannelTable() {
  return TextTable({{"CH", Align::kRight},
                    {"STATE"},
                    {"V SET", Align::kRight},
                    {"V MEASURED", Align::kRight},
                    {"I SET", Align::kRight},
                    {"I MEASURED", Align::kRight},
                    {"RAMP UP", Align::kRight},
                    {"RAMP DOWN", Align::kRight},
                    {"QUALITY"},
                    {"EVENTS"}});
}

void AddChannelRow(const Output& output, const v1::HighVoltageChannel& channel, TextTable* table) {
  table->AddRow(
      {std::to_string(channel.channel()),
       output.Paint(StateColour(channel.state()), channel.state()),
       FormatOptional(channel.has_voltage_set_v(), channel.voltage_set_v(), "V"),
       FormatOptional(channel.has_voltage_measure_v(), channel.voltage_measure_v(), "V"),
       FormatOptional(channel.has_current_set_a(), channel.current_set_a(), "A"),
       FormatOptional(channel.has_current_measure_a(), channel.current_measure_a(), "A"),
       FormatOptional(channel.has_ramp_up_v_per_s(), channel.ramp_up_v_per_s(), "V/s"),
       FormatOptional(channel.has_ramp_down_v_per_s(), channel.ramp_down_v_per_s(), "V/s"),
       output.Paint(channel.quality() == v1::QUALITY_GOOD ? Colour::kGood : Colour::kBad,
                    QualityName(channel.quality())),
       output.Paint(Colour::kWarn, Join(channel.events()))});
}

void PrintModule(Output& output, const v1::HighVoltageModule& module) {
  std::string head = output.Paint(Colour::kBold, module.device_id());
  if (!module.article().empty()) head += "  " + module.article();
  if (!module.serial_number().empty()) head += "  serial " + module.serial_number();
  if (!module.firmware_name().empty()) {
    head += "  firmware " + module.firmware_name() + " " + module.firmware_release();
  }
  output.Line(head);
  std::string state = "status register " + QualityName(module.quality());
  const auto flag = [&state, &output](bool has, bool value, const char* yes, const char* no,
                                      Colour no_colour) {
    if (has) state += ", " + (value ? std::string(yes) : output.Paint(no_colour, no));
  };
  flag(module.has_high_voltage_on(), module.high_voltage_on(), "HIGH VOLTAGE ON", "no high voltage",
       Colour::kNone);
  flag(module.has_safety_loop_closed(), module.safety_loop_closed(), "safety loop closed",
       "SAFETY LOOP OPEN", Colour::kBad);
  flag(module.has_kill_enabled(), module.kill_enabled(), "kill enabled", "kill disabled",
       Colour::kNone);
  if (module.has_voltage_ramp_percent_per_s()) {
    state += ", ramp " + FormatQuantity(module.voltage_ramp_percent_per_s(), "%/s");
  }
  if (module.has_temperature_degc()) {
    state += ", " + FormatQuantity(module.temperature_degc(), "degC");
  }
  output.Line(state);
  std::string limits;
  if (module.has_voltage_limit_percent() || module.has_current_limit_percent()) {
    limits = "limits " +
             FormatOptional(module.has_voltage_limit_percent(), module.voltage_limit_percent(),
                            "% of nominal voltage") +
             ", " +
             FormatOptional(module.has_current_limit_percent(), module.current_limit_percent(),
                            "% of nominal current");
    output.Line(limits);
  }
  std::string supplies;
  for (const auto& [name, value] :
       std::map<std::string, double>(module.supplies_v().begin(), module.supplies_v().end())) {
    supplies += (supplies.empty() ? "supplies " : ", ") + name + " = " + FormatQuantity(value, "V");
  }
  if (!supplies.empty()) output.Line(supplies);
  if (!module.events().empty()) {
    output.Line("module events: " + output.Paint(Colour::kWarn, Join(module.events())));
  }
  for (const std::string& quirk : module.quirks()) output.Line("quirk: " + quirk);
}

ExitCode Status(Session& session, const HvTarget& target) {
  const Parsed<std::optional<std::vector<uint32_t>>> channels = TargetChannels(target);
  if (!channels.ok()) return session.Usage(channels.error());
  Output& output = session.output();
  v1::GetChannelsRequest request;
  request.set_device_id(target.device);
  if (channels->has_value()) {
    for (uint32_t channel : **channels) request.add_channels(channel);
  }
  v1::GetModuleResponse module;
  if (!channels->has_value()) {
    v1::GetModuleRequest module_request;
    module_request.set_device_id(target.device);
    const grpc::Status status = session.Call<HighVoltageService>(
        &HighVoltageService::Stub::GetModule, module_request, &module);
    if (!status.ok()) return session.Fail(status);
  }
  v1::GetChannelsResponse response;
  const grpc::Status status =
      session.Call<HighVoltageService>(&HighVoltageService::Stub::GetChannels, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (output.json()) {
    if (module.has_module()) output.Json(module);
    output.Json(response);
    return ExitCode::kOk;
  }
  if (module.has_module()) PrintModule(output, module.module());
  TextTable table = ChannelTable();
  for (const v1::HighVoltageChannel& channel : response.channels()) {
    AddChannelRow(output, channel, &table);
  }
  output.out() << table.ToString();
  // One channel alone: everything there is about it.
  if (response.channels_size() == 1) {
    const v1::HighVoltageChannel& channel = response.channels(0);
    output.Line("nominal  " +
                FormatOptional(channel.has_voltage_nominal_v(), channel.voltage_nominal_v(), "V") +
                ", " +
                FormatOptional(channel.has_current_nominal_a(), channel.current_nominal_a(), "A"));
    output.Line("limit    " +
                FormatOptional(channel.has_voltage_limit_v(), channel.voltage_limit_v(), "V") +
                ", " +
                FormatOptional(channel.has_current_limit_a(), channel.current_limit_a(), "A"));
    output.Line("bounds   ±" +
                FormatOptional(channel.has_voltage_bounds_v(), channel.voltage_bounds_v(), "V") +
                ", ±" +
                FormatOptional(channel.has_current_bounds_a(), channel.current_bounds_a(), "A"));
    output.Line("status   " + Join(channel.status()));
  }
  return ExitCode::kOk;
}

struct WatchArguments {
  HvTarget target;
  LiveOptions live;
};

std::string ChannelLine(const v1::HighVoltageChannel& channel) {
  std::string line =
      LineTime(channel) + "  ch" + std::to_string(channel.channel()) + "  " + channel.state() +
      "  " + FormatOptional(channel.has_voltage_measure_v(), channel.voltage_measure_v(), "V") +
      "  " + FormatOptional(channel.has_current_measure_a(), channel.current_measure_a(), "A");
  if (channel.quality() != v1::QUALITY_GOOD) line += "  " + QualityName(channel.quality());
  if (!channel.events().empty()) line += "  " + Join(channel.events());
  return line;
}

ExitCode Watch(Session& session, const WatchArguments& arguments) {
  const Parsed<std::optional<std::vector<uint32_t>>> channels = TargetChannels(arguments.target);
  if (!channels.ok()) return session.Usage(channels.error());
  v1::WatchChannelsRequest request;
  request.set_device_id(arguments.target.device);
  if (channels->has_value()) {
    for (uint32_t channel : **channels) request.add_channels(channel);
  }
  const LiveView<uint32_t, v1::HighVoltageChannel> view{
      .key = [](const v1::HighVoltageChannel& channel) { return channel.channel(); },
      .table = &ChannelTable,
      .add_row = &AddChannelRow,
      .line = &ChannelLine,
      .line_interval = "0s"};
  return WatchLive<HighVoltageService>(session, &HighVoltageService::Stub::WatchChannels, request,
                                       arguments.live, &v1::WatchChannelsResponse::channels, view);
}

ExitCode ShowCrate(Session& session, const std::string& device) {
  v1::GetCrateRequest request;
  request.set_device_id(device);
  v1::GetCrateResponse response;
  const grpc::Status status =
      session.Call<HighVoltageService>(&HighVoltageService::Stub::GetCrate, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  const v1::Crate& crate = response.crate();
  const auto line = [&output](const std::string& name, const std::string& value) {
    if (!value.empty()) {
      output.Line(name + std::string(name.size() < 24 ? 24 - name.size() : 1, ' ') + value);
    }
  };
  const auto power = [](bool has, bool on) { return !has ? "–" : on ? "on" : "off"; };
  line("crate", crate.device_id() +
                    (crate.serial_number().empty() ? "" : ", serial " + crate.serial_number()) +
                    (crate.firmware_name().empty() ? "" : ", firmware " + crate.firmware_name()));
  line("quality", QualityName(crate.quality()));
  line("power", std::string(power(crate.has_power_on(), crate.power_on())) + " (commanded " +
                    power(crate.has_power_commanded(), crate.power_commanded()) + ")");
  if (crate.has_fan_speed_percent()) line("fans", FormatQuantity(crate.fan_speed_percent(), "%"));
  for (const auto& [name, value] : std::map<std::string, double>(crate.temperatures_degc().begin(),
                                                                 crate.temperatures_degc().end())) {
    line("temperature " + name, FormatQuantity(value, "degC"));
  }
  for (const auto& [name, value] :
       std::map<std::string, double>(crate.supplies_v().begin(), crate.supplies_v().end())) {
    line("supply " + name, FormatQuantity(value, "V"));
  }
  line("status", Join(crate.status()));
  line("events", output.Paint(Colour::kWarn, Join(crate.events())));
  return ExitCode::kOk;
}

}  // namespace

void AddHvShowCommands(CLI::App& hv, Session& session) {
  {
    CLI::App* command = AddCommand(hv, "status", "a module and its channels",
                                   "canhubctl hv status hv0\n"
                                   "canhubctl hv status hv0 3       one channel, in detail\n"
                                   "canhubctl hv status hv0 0-3,7");
    auto target = std::make_shared<HvTarget>();
    AddTarget(*command, session, *target, ChannelArgument::kOptional);
    command->callback([&session, target] {
      session.action = [&session, target] { return Status(session, *target); };
    });
  }
  {
    CLI::App* command =
        AddCommand(hv, "watch", "channels live: a table, or lines when not on a terminal",
                   "canhubctl hv watch hv0\n"
                   "canhubctl hv watch hv0 3 --interval 500ms --duration 10s");
    auto arguments = std::make_shared<WatchArguments>();
    AddTarget(*command, session, arguments->target, ChannelArgument::kOptional);
    AddLiveOptions(*command, arguments->live, "");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return Watch(session, *arguments); };
    });
  }
  {
    CLI::App* command = AddCommand(hv, "crate", "a crate: power, temperatures, fans, supplies",
                                   "canhubctl hv crate crate0");
    auto target = std::make_shared<HvTarget>();
    AddTarget(*command, session, *target, ChannelArgument::kNone);
    command->callback([&session, target] {
      session.action = [&session, target] { return ShowCrate(session, target->device); };
    });
  }
}

}  // namespace canhub::ctl
