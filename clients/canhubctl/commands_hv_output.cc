// hv: what acts on channels.
#include <memory>
#include <optional>

#include "canhub/v1/high_voltage_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/hv_call.h"
#include "clients/canhubctl/hv_ramp_arguments.h"

namespace canhub::ctl {
namespace {

using v1::HighVoltageService;

ExitCode SetVoltage(Session& session, const HvTarget& target, const std::string& text) {
  const Parsed<double> voltage = ParseQuantity(text, "V");
  if (!voltage.ok()) return session.Usage("voltage " + voltage.error());
  if (target.channel_text == "all") {
    return session.Usage(
        "hv set takes channels one by one or as a list such as 0-15; for a "
        "pattern: canhubctl set '" +
        target.device + "/ch*.voltage_set' VALUE");
  }
  v1::SetVoltageRequest request;
  request.set_voltage_v(*voltage);
  const std::function<std::string(const v1::SetVoltageResponse&)> describe =
      [](const v1::SetVoltageResponse& response) {
        return response.has_voltage_measure_v()
                   ? "; measured " + FormatQuantity(response.voltage_measure_v(), "V")
                   : std::string();
      };
  return HvCommandChannels(session, target, &HighVoltageService::Stub::SetVoltage, request,
                           describe);
}

ExitCode SetCurrent(Session& session, const HvTarget& target, const std::string& text) {
  const Parsed<double> current = ParseQuantity(text, "A");
  if (!current.ok()) return session.Usage("current " + current.error());
  if (target.channel_text == "all") {
    return session.Usage("hv current takes channels one by one or as a list such as 0-15");
  }
  v1::SetCurrentRequest request;
  request.set_current_a(*current);
  return HvCommandChannels<v1::SetCurrentRequest, v1::SetCurrentResponse>(
      session, target, &HighVoltageService::Stub::SetCurrent, request);
}

ExitCode SetRamp(Session& session, const std::string& device,
                 const std::vector<std::string>& values) {
  const Parsed<RampArguments> ramp = ParseRampArguments(values);
  if (!ramp.ok()) return session.Usage(ramp.error());
  v1::SetRampRequest request;
  request.set_up_v_per_s(ramp->up_v_per_s);
  request.set_down_v_per_s(ramp->down_v_per_s);
  const std::function<std::string(const v1::SetRampResponse&)> describe =
      [](const v1::SetRampResponse& response) {
        if (!response.applies_to_module()) return std::string();
        std::string text = "; applies to all channels of the module";
        if (response.has_module_percent_per_s()) {
          text += ", now " + FormatQuantity(response.module_percent_per_s(), "%/s") +
                  " of the nominal voltage";
        }
        return text;
      };
  return HvCommandChannels(session, HvTarget{device, ramp->channel_text},
                           &HighVoltageService::Stub::SetRamp, request, describe);
}

ExitCode EmergencyOff(Session& session, const HvTarget& target, bool all) {
  if (all != target.device.empty()) {
    return session.Usage(all ? "--all means every device; " + target.device + " is too much"
                             : std::string("name a device, or --all for every one"));
  }
  const Parsed<std::optional<std::vector<uint32_t>>> channels = TargetChannels(target);
  if (!channels.ok()) return session.Usage(channels.error());
  std::vector<std::optional<uint32_t>> calls;
  if (channels->has_value()) {
    for (uint32_t channel : **channels) calls.emplace_back(channel);
  } else {
    calls.emplace_back(std::nullopt);
  }
  Output& output = session.output();
  // A channel that fails must not keep the next ones from being cut off.
  ExitCode result = ExitCode::kOk;
  int part = 0;
  for (const std::optional<uint32_t>& channel : calls) {
    v1::EmergencyOffRequest request;
    request.set_device_id(target.device);
    request.set_all_devices(all);
    if (channel) request.set_channel(*channel);
    *request.mutable_options() = session.CommandOptions(++part);
    v1::EmergencyOffResponse response;
    const grpc::Status status = session.Command<HighVoltageService>(
        &HighVoltageService::Stub::EmergencyOff, request, &response);
    if (!status.ok()) {
      result = session.Fail(status);
      continue;
    }
    if (output.json()) {
      output.Json(response);
    } else {
      for (const v1::Receipt& receipt : response.receipts()) {
        output.Line(TargetName(receipt.device_id(), channel) + ": emergency off " +
                    FormatReceipt(receipt));
      }
    }
    if (!response.failures().empty()) {
      std::string text = "emergency off failed on";
      for (const std::string& failure : response.failures()) text += " " + failure + ";";
      text.back() = '.';
      result = output.Fail(
          {ExitCode::kUnavailable, "UNAVAILABLE", "EMERGENCY_OFF_INCOMPLETE", text, {}});
    }
  }
  return result;
}

struct BoundsArguments {
  HvTarget target;
  std::string voltage;
  std::string current;
};

ExitCode SetBounds(Session& session, const BoundsArguments& arguments) {
  v1::SetBoundsRequest request;
  if (!arguments.voltage.empty()) {
    const Parsed<double> value = ParseQuantity(arguments.voltage, "V");
    if (!value.ok()) return session.Usage("--voltage: " + value.error());
    request.set_voltage_bounds_v(*value);
  }
  if (!arguments.current.empty()) {
    const Parsed<double> value = ParseQuantity(arguments.current, "A");
    if (!value.ok()) return session.Usage("--current: " + value.error());
    request.set_current_bounds_a(*value);
  }
  if (arguments.voltage.empty() && arguments.current.empty()) {
    return session.Usage("give --voltage, --current or both");
  }
  return HvCommandChannels<v1::SetBoundsRequest, v1::SetBoundsResponse>(
      session, arguments.target, &HighVoltageService::Stub::SetBounds, request);
}

struct TripArguments {
  HvTarget target;
  std::string time;
  std::string action;
  std::string inhibit;
};

v1::ChannelReaction ReactionByName(const std::string& name) {
  if (name == "flag-only") return v1::CHANNEL_REACTION_FLAG_ONLY;
  if (name == "ramp-down") return v1::CHANNEL_REACTION_RAMP_DOWN;
  if (name == "channel-off") return v1::CHANNEL_REACTION_CHANNEL_OFF;
  if (name == "module-off") return v1::CHANNEL_REACTION_MODULE_OFF;
  if (name == "disabled") return v1::CHANNEL_REACTION_DISABLED;
  return v1::CHANNEL_REACTION_UNSPECIFIED;
}

ExitCode SetTripPolicy(Session& session, const TripArguments& arguments) {
  if (arguments.time.empty() && arguments.action.empty() && arguments.inhibit.empty()) {
    return session.Usage("give at least one of --time, --action, --inhibit");
  }
  v1::SetTripPolicyRequest request;
  if (!arguments.time.empty()) {
    const Parsed<std::chrono::nanoseconds> time = ParseDuration(arguments.time);
    if (!time.ok()) return session.Usage("--time: " + time.error());
    *request.mutable_delayed_trip_time() = ToProto(*time);
  }
  request.set_delayed_trip_action(ReactionByName(arguments.action));
  request.set_external_inhibit_action(ReactionByName(arguments.inhibit));
  return HvCommandChannels<v1::SetTripPolicyRequest, v1::SetTripPolicyResponse>(
      session, arguments.target, &HighVoltageService::Stub::SetTripPolicy, request);
}

struct OutputArguments {
  HvTarget target;
  std::string polarity;
  uint32_t mode = 0;
};

ExitCode SetOutput(Session& session, const OutputArguments& arguments) {
  if (arguments.polarity.empty() && arguments.mode == 0) {
    return session.Usage("give --polarity, --mode or both");
  }
  v1::SetOutputRequest request;
  if (arguments.polarity == "positive") request.set_polarity(v1::POLARITY_POSITIVE);
  if (arguments.polarity == "negative") request.set_polarity(v1::POLARITY_NEGATIVE);
  request.set_output_mode(arguments.mode);
  return HvCommandChannels<v1::SetOutputRequest, v1::SetOutputResponse>(
      session, arguments.target, &HighVoltageService::Stub::SetOutput, request);
}

ExitCode ClearEvents(Session& session, const HvTarget& target) {
  const std::function<std::string(const v1::ClearEventsResponse&)> describe =
      [](const v1::ClearEventsResponse& response) {
        std::string text;
        for (const std::string& event : response.still_active()) {
          text += (text.empty() ? "; set again, their condition still holds: " : ", ") + event;
        }
        return text;
      };
  return HvCommandChannels(session, target, &HighVoltageService::Stub::ClearEvents,
                           v1::ClearEventsRequest(), describe);
}

void AddSwitches(CLI::App& hv, Session& session) {
  {
    CLI::App* command =
        AddCommand(hv, "on", "switch channels on; they ramp to their set voltage",
                   "canhubctl hv on hv0 3\n"
                   "canhubctl hv on hv0 0-3 --wait settled     returns when the ramps have ended\n"
                   "canhubctl hv on hv0 all");
    auto target = std::make_shared<HvTarget>();
    AddTarget(*command, session, *target, ChannelArgument::kNeeded);
    command->callback([&session, target] {
      session.action = [&session, target] {
        return HvCommandChannels<v1::SwitchOnRequest, v1::SwitchOnResponse>(
            session, *target, &HighVoltageService::Stub::SwitchOn, v1::SwitchOnRequest());
      };
    });
  }
  {
    CLI::App* command = AddCommand(hv, "off", "switch channels off with ramp",
                                   "canhubctl hv off hv0 3\n"
                                   "canhubctl hv off hv0 all --wait settled");
    auto target = std::make_shared<HvTarget>();
    AddTarget(*command, session, *target, ChannelArgument::kNeeded);
    command->callback([&session, target] {
      session.action = [&session, target] {
        return HvCommandChannels<v1::SwitchOffRequest, v1::SwitchOffResponse>(
            session, *target, &HighVoltageService::Stub::SwitchOff, v1::SwitchOffRequest());
      };
    });
  }
  {
    CLI::App* command = AddCommand(
        hv, "emergency-off",
        "cut channels off without ramp, whoever holds a lease; they stay locked until hv release",
        "canhubctl hv emergency-off --all       every device of this daemon\n"
        "canhubctl hv emergency-off hv0\n"
        "canhubctl hv emergency-off hv0 3");
    auto target = std::make_shared<HvTarget>();
    auto all = std::make_shared<bool>(false);
    session.Hint(command->add_option("device", target->device, "the device's id"),
                 Complete::kDevice);
    command->add_option("channel", target->channel_text,
                        "a channel or a list such as 0-3,7; without: the whole device");
    command->add_flag("--all", *all, "every high-voltage device");
    command->callback([&session, target, all] {
      session.action = [&session, target, all] { return EmergencyOff(session, *target, *all); };
    });
  }
  {
    CLI::App* command =
        AddCommand(hv, "release", "leave emergency off and clear its event; the channels stay off",
                   "canhubctl hv release hv0\ncanhubctl hv release hv0 3");
    auto target = std::make_shared<HvTarget>();
    AddTarget(*command, session, *target, ChannelArgument::kOptional);
    command->callback([&session, target] {
      session.action = [&session, target] {
        return HvCommandChannels<v1::ReleaseEmergencyOffRequest, v1::ReleaseEmergencyOffResponse>(
            session, *target, &HighVoltageService::Stub::ReleaseEmergencyOff,
            v1::ReleaseEmergencyOffRequest());
      };
    });
  }
  {
    CLI::App* command =
        AddCommand(hv, "clear", "clear latched events of channels, of a whole module, of a crate",
                   "canhubctl hv clear hv0 3\ncanhubctl hv clear hv0");
    auto target = std::make_shared<HvTarget>();
    AddTarget(*command, session, *target, ChannelArgument::kOptional);
    command->callback([&session, target] {
      session.action = [&session, target] { return ClearEvents(session, *target); };
    });
  }
}

void AddSetPoints(CLI::App& hv, Session& session) {
  {
    CLI::App* command = AddCommand(
        hv, "set", "set channels' voltage; while on they ramp there, while off it is only stored",
        "canhubctl hv set hv0 3 1000\n"
        "canhubctl hv set hv0 0-3 1.5kV\n"
        "canhubctl hv set hv0 3 800V --wait settled");
    auto target = std::make_shared<HvTarget>();
    auto value = std::make_shared<std::string>();
    AddTarget(*command, session, *target, ChannelArgument::kNeeded);
    command->add_option("voltage", *value, "in V, or with a unit: 1.5kV")->required();
    command->callback([&session, target, value] {
      session.action = [&session, target, value] { return SetVoltage(session, *target, *value); };
    });
  }
  {
    CLI::App* command =
        AddCommand(hv, "current", "set channels' current: a limit, or with kill enabled the trip",
                   "canhubctl hv current hv0 3 1mA\ncanhubctl hv current hv0 0-15 0.0005");
    auto target = std::make_shared<HvTarget>();
    auto value = std::make_shared<std::string>();
    AddTarget(*command, session, *target, ChannelArgument::kNeeded);
    command->add_option("current", *value, "in A, or with a unit: 100uA")->required();
    command->callback([&session, target, value] {
      session.action = [&session, target, value] { return SetCurrent(session, *target, *value); };
    });
  }
  {
    CLI::App* command = AddCommand(
        hv, "ramp", "set ramp speeds of channels, or of the module where the model has no other",
        "canhubctl hv ramp hv0 50V/s               module: up and down\n"
        "canhubctl hv ramp hv0 50V/s 100V/s        module: up 50, down 100\n"
        "canhubctl hv ramp hv0 3 50V/s             channel 3\n"
        "canhubctl hv ramp hv0 0-3 50V/s 100V/s\n"
        "canhubctl hv ramp hv0 all 50 100          a bare number first would be a channel");
    auto device = std::make_shared<std::string>();
    auto values = std::make_shared<std::vector<std::string>>();
    session.Hint(command->add_option("device", *device, "the device's id")->required(),
                 Complete::kDevice);
    command
        ->add_option(
            "channel_up_down", *values,
            "the channel (or a list, or all), the speed up, the speed down in V/s; without "
            "the last it is the same as up")
        ->required()
        ->type_name("[CH] UP [DOWN]");
    command->callback([&session, device, values] {
      session.action = [&session, device, values] { return SetRamp(session, *device, *values); };
    });
  }
  {
    CLI::App* command = AddCommand(
        hv, "bounds", "set the tolerance bands outside which the bounds events are raised",
        "canhubctl hv bounds hv0 3 --voltage 5V --current 10uA");
    auto arguments = std::make_shared<BoundsArguments>();
    AddTarget(*command, session, arguments->target, ChannelArgument::kNeeded);
    command->add_option("--voltage", arguments->voltage, "half width")->type_name("VOLTS");
    command->add_option("--current", arguments->current, "half width")->type_name("AMPS");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return SetBounds(session, *arguments); };
    });
  }
}

void AddPolicies(CLI::App& hv, Session& session) {
  {
    CLI::App* command = AddCommand(
        hv, "trip-policy",
        "what a channel does after it was at its current limit for a time, and on external inhibit",
        "canhubctl hv trip-policy hv0 3 --time 100ms --action ramp-down\n"
        "canhubctl hv trip-policy hv0 0-15 --inhibit module-off");
    auto arguments = std::make_shared<TripArguments>();
    AddTarget(*command, session, arguments->target, ChannelArgument::kNeeded);
    command
        ->add_option("--time", arguments->time,
                     "how long the current may be at its limit, 1 ms … 65.535 s")
        ->type_name("DURATION");
    const std::vector<std::string> reactions = {"flag-only", "ramp-down", "channel-off",
                                                "module-off", "disabled"};
    session.Choices(command->add_option("--action", arguments->action, "what happens then"),
                    reactions);
    session.Choices(
        command->add_option("--inhibit", arguments->inhibit, "what happens on external inhibit"),
        {"flag-only", "ramp-down", "channel-off", "module-off"});
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return SetTripPolicy(session, *arguments); };
    });
  }
  {
    CLI::App* command = AddCommand(
        hv, "output", "set polarity or mode of a switchable output; refused unless off and at 0 V",
        "canhubctl hv output hv0 3 --polarity negative\ncanhubctl hv output hv0 3 --mode 2");
    auto arguments = std::make_shared<OutputArguments>();
    AddTarget(*command, session, arguments->target, ChannelArgument::kNeeded);
    session.Choices(command->add_option("--polarity", arguments->polarity, "of the output"),
                    {"positive", "negative"});
    command->add_option("--mode", arguments->mode, "the output mode, 1 to 3")
        ->check(CLI::Range(1, 3))
        ->type_name("MODE");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return SetOutput(session, *arguments); };
    });
  }
}

}  // namespace

void AddHvOutputCommands(CLI::App& hv, Session& session) {
  AddSwitches(hv, session);
  AddSetPoints(hv, session);
  AddPolicies(hv, session);
}

}  // namespace canhub::ctl
