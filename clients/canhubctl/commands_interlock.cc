#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>

#include "canhub/v1/interlock_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"
#include "daemon/config/loader.h"
#include "daemon/wiring_replay.h"
#include "drivers/all_drivers.h"
#include "nlohmann/json.hpp"

namespace canhub::ctl {
namespace {

using v1::InterlockService;

std::string StateText(const Output& output, v1::InterlockState state) {
  std::string name = ShortName(v1::InterlockState_Name(state), "INTERLOCK_STATE_");
  switch (state) {
    case v1::INTERLOCK_STATE_TRIPPED:
    case v1::INTERLOCK_STATE_LATCHED:
      return output.Paint(Colour::kBad, name);
    case v1::INTERLOCK_STATE_SETTLING:
      return output.Paint(Colour::kWarn, name);
    default:
      return name;
  }
}

// Why it holds, and what of its sequence did not work.
std::string WhyText(const v1::Interlock& interlock) {
  std::string text;
  for (const v1::InterlockCause& cause : interlock.causes()) {
    const std::string fact = cause.subject() + " is " + cause.found();
    text += (text.empty() ? "" : "; ") +
            (cause.condition() == fact ? fact : cause.condition() + ": " + fact);
  }
  for (const v1::InterlockStep& step : interlock.steps()) {
    if (step.problem().empty()) continue;
    text += (text.empty() ? "" : "; ") + step.text() + " FAILED: " + step.problem();
  }
  return text;
}

std::string DoneText(const v1::Interlock& interlock) {
  if (!interlock.has_trip_time()) return "";
  if (interlock.complete()) return "done";
  return "under way";
}

ExitCode List(Session& session) {
  v1::ListInterlocksResponse response;
  const grpc::Status status = session.Call<InterlockService>(
      &InterlockService::Stub::ListInterlocks, v1::ListInterlocksRequest(), &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  if (response.interlocks().empty() && response.levels().empty()) {
    output.Line("no interlock and no level");
    return ExitCode::kOk;
  }
  output.Line("state: " + ShortName(v1::SafetyState_Name(response.state()), "SAFETY_STATE_"));
  if (!response.interlocks().empty()) {
    TextTable table({{"INTERLOCK"}, {"STATE"}, {"SINCE"}, {"SEQUENCE"}, {"REFUSES"}, {"WHY"}});
    for (const v1::Interlock& interlock : response.interlocks()) {
      std::string refuses;
      for (const std::string& refused : interlock.refuses()) {
        refuses += (refuses.empty() ? "" : " ") + refused;
      }
      table.AddRow({interlock.interlock_id(), StateText(output, interlock.state()),
                    interlock.has_trip_time() ? FormatTime(interlock.trip_time()) : "",
                    DoneText(interlock), refuses, WhyText(interlock)});
    }
    output.out() << table.ToString();
  }
  if (!response.levels().empty()) {
    TextTable table({{"LEVEL"}, {"IS"}, {"WORST"}});
    for (const v1::LevelState& level : response.levels()) {
      table.AddRow({level.level_id(),
                    ShortName(v1::SafetyLevel_Name(level.level()), "SAFETY_LEVEL_"),
                    level.worst()});
    }
    output.out() << table.ToString();
  }
  return ExitCode::kOk;
}

ExitCode Acknowledge(Session& session, const std::vector<std::string>& ids,
                     const std::string& comment) {
  for (const std::string& id : ids) {
    v1::AcknowledgeInterlockRequest request;
    request.set_interlock_id(id);
    request.set_comment(comment);
    v1::AcknowledgeInterlockResponse response;
    const grpc::Status status = session.Call<InterlockService>(
        &InterlockService::Stub::AcknowledgeInterlock, request, &response);
    if (!status.ok()) return session.Fail(status);
    if (session.output().json()) {
      session.output().Json(response);
    } else {
      session.output().Line(id + ": acknowledged; now " +
                            StateText(session.output(), response.interlock().state()));
    }
  }
  return ExitCode::kOk;
}

double Seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

ExitCode Refused(Session& session, const absl::Status& status) {
  return session.output().Fail({.exit_code = ExitCode::kRefused,
                                .code = "INVALID_ARGUMENT",
                                .reason = "TEST_REFUSED",
                                .text = std::string(status.message())});
}

ExitCode Test(Session& session, const std::string& config_file, const std::string& log_file,
              const std::vector<std::string>& buses) {
  const absl::StatusOr<Config> config = LoadConfig(config_file, AllDrivers());
  if (!config.ok()) return Refused(session, config.status());
  std::ifstream file;
  if (log_file != "-") {
    file.open(log_file);
    if (!file) return session.FailLocal(log_file + ": cannot be read");
  }
  Output& output = session.output();
  ReplayOptions options;
  for (const std::string& bus : buses) {
    const size_t equals = bus.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == bus.size()) {
      return session.Usage("--bus: found \"" + bus + "\", expected NAME=BUS, like can0=pack");
    }
    options.buses[bus.substr(0, equals)] = bus.substr(equals + 1);
  }
  options.on_event = [&](const ReplayEvent& event) {
    if (output.json()) {
      output.out() << nlohmann::ordered_json{{"at_s", Seconds(event.at)},
                                             {"kind", event.kind},
                                             {"text", event.text}}
                          .dump()
                   << "\n";
      return;
    }
    char at[32];
    std::snprintf(at, sizeof at, "%12.3f s  %-11s  ", Seconds(event.at), event.kind.c_str());
    output.Line(at + event.text);
  };
  const absl::StatusOr<ReplaySummary> summary =
      ReplayLog(*config, log_file == "-" ? std::cin : file, options);
  if (!summary.ok()) return Refused(session, summary.status());
  if (output.json()) {
    output.out() << nlohmann::ordered_json{{"frames", summary->frames},
                                           {"other_frames", summary->other_frames},
                                           {"length_s", Seconds(summary->length)},
                                           {"trips", summary->trips}}
                        .dump()
                 << "\n";
    return ExitCode::kOk;
  }
  char text[96];
  std::snprintf(text, sizeof text, "%zu frames in %.3f s", summary->frames,
                Seconds(summary->length));
  output.Line(text + (summary->other_frames > 0
                          ? ", " + std::to_string(summary->other_frames) +
                                " others of no bus of the configuration (see --bus)"
                          : std::string()));
  for (const auto& [id, trips] : summary->trips) {
    output.Line(id + ": " +
                (trips == 0 ? "did not trip" : "tripped " + std::to_string(trips) + " times"));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddInterlockCommands(CLI::App& app, Session& session) {
  CLI::App* interlock =
      AddCommand(app, "interlock", "rules across devices: what trips, what is refused",
                 "canhubctl interlock list\n"
                 "canhubctl interlock ack battery_danger --comment 'module 3 exchanged'\n"
                 "canhubctl interlock test lab.yaml candump.log");
  interlock->require_subcommand(1);
  {
    CLI::App* command = AddCommand(*interlock, "list", "interlocks and levels, and why they hold",
                                   "canhubctl interlock list");
    command->callback([&session] { session.action = [&session] { return List(session); }; });
  }
  {
    CLI::App* command =
        AddCommand(*interlock, "ack",
                   "let go of latched interlocks: what they refuse is allowed again; sends nothing",
                   "canhubctl interlock ack battery_danger --comment 'module 3 exchanged'");
    auto ids = std::make_shared<std::vector<std::string>>();
    auto comment = std::make_shared<std::string>();
    command->add_option("interlock", *ids, "ids as the list shows them")->required();
    command->add_option("--comment", *comment, "for the record")->type_name("TEXT");
    command->callback([&session, ids, comment] {
      session.action = [&session, ids, comment] { return Acknowledge(session, *ids, *comment); };
    });
  }
  {
    CLI::App* command = AddCommand(
        *interlock, "test",
        "replay a recorded log, in the form of candump -l, through the real drivers and rules, and "
        "tell what would have happened when; needs no daemon and sends nothing",
        "canhubctl interlock test lab.yaml candump.log\n"
        "canhubctl interlock test lab.yaml - --bus can0=pack < candump.log");
    struct Arguments {
      std::string config, log;
      std::vector<std::string> buses;
    };
    auto arguments = std::make_shared<Arguments>();
    command->add_option("config", arguments->config, "the daemon's YAML")->required();
    command->add_option("log", arguments->log, "the log; - for standard input")->required();
    command
        ->add_option("--bus", arguments->buses,
                     "which bus a name in the log is; without it by the bus's id or interface")
        ->type_name("NAME=BUS");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] {
        return Test(session, arguments->config, arguments->log, arguments->buses);
      };
    });
  }
}

}  // namespace canhub::ctl
