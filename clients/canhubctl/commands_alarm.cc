#include <memory>

#include "canhub/v1/alarm_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/live_watch.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::AlarmService;

std::string SeverityText(const Output& output, v1::AlarmSeverity severity) {
  const std::string name = ShortName(v1::AlarmSeverity_Name(severity), "ALARM_SEVERITY_");
  switch (severity) {
    case v1::ALARM_SEVERITY_CRITICAL:
      return output.Paint(Colour::kBad, name);
    case v1::ALARM_SEVERITY_WARNING:
      return output.Paint(Colour::kWarn, name);
    default:
      return name;
  }
}

std::string StateText(v1::AlarmState state) {
  switch (state) {
    case v1::ALARM_STATE_ACTIVE_UNACKNOWLEDGED:
      return "active";
    case v1::ALARM_STATE_ACTIVE_ACKNOWLEDGED:
      return "active, acknowledged";
    case v1::ALARM_STATE_CLEARED_UNACKNOWLEDGED:
      return "gone, not acknowledged";
    case v1::ALARM_STATE_NORMAL:
      return "normal";
    default:
      return "?";
  }
}

std::string NoteText(const v1::Alarm& alarm) {
  std::string note;
  if (!alarm.acknowledged_by().empty()) note = "acknowledged by " + alarm.acknowledged_by();
  if (!alarm.comment().empty()) note += (note.empty() ? "" : ": ") + alarm.comment();
  if (alarm.has_shelved_until()) {
    note += (note.empty() ? "" : "; ") + std::string("shelved until ") +
            FormatTime(alarm.shelved_until());
    if (!alarm.shelved_by().empty()) note += " by " + alarm.shelved_by();
  }
  return note;
}

struct AlarmArguments {
  std::string device;
  bool watch = false;
  bool all = false;
  std::string duration;
};

ExitCode List(Session& session, const AlarmArguments& arguments) {
  v1::ListAlarmsRequest request;
  request.set_device_id(arguments.device);
  request.set_include_history(arguments.all);
  request.set_include_shelved(arguments.all);
  v1::ListAlarmsResponse response;
  const grpc::Status status =
      session.Call<AlarmService>(&AlarmService::Stub::ListAlarms, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  if (response.alarms().empty()) {
    output.Line("no alarm");
    return ExitCode::kOk;
  }
  TextTable table({{"ALARM"},
                   {"SEVERITY"},
                   {"STATE"},
                   {"SINCE"},
                   {"COUNT", Align::kRight},
                   {"WHAT"},
                   {"NOTE"}});
  for (const v1::Alarm& alarm : response.alarms()) {
    table.AddRow({alarm.alarm_id(), SeverityText(output, alarm.severity()),
                  StateText(alarm.state()), FormatTime(alarm.first_time()),
                  std::to_string(alarm.count()), alarm.text(), NoteText(alarm)});
  }
  output.out() << table.ToString();
  return ExitCode::kOk;
}

ExitCode Watch(Session& session, const AlarmArguments& arguments) {
  v1::WatchAlarmsRequest request;
  request.set_device_id(arguments.device);
  Output& output = session.output();
  const auto show = [&](const v1::WatchAlarmsResponse& response) {
    if (!response.has_alarm()) return true;
    const v1::Alarm& alarm = response.alarm();
    if (output.json()) {
      output.JsonLine(alarm);
    } else {
      output.out() << FormatTimeOfDay(Now()) << "  " << SeverityText(output, alarm.severity())
                   << "  " << alarm.alarm_id() << "  " << StateText(alarm.state()) << "  "
                   << alarm.text() << "\n"
                   << std::flush;
    }
    return true;
  };
  return ReadWatch<AlarmService>(session, &AlarmService::Stub::WatchAlarms, request,
                                 arguments.duration,
                                 std::function<bool(const v1::WatchAlarmsResponse&)>(show));
}

ExitCode Acknowledge(Session& session, const std::vector<std::string>& ids,
                     const std::string& comment) {
  for (const std::string& id : ids) {
    v1::AcknowledgeAlarmRequest request;
    request.set_alarm_id(id);
    request.set_comment(comment);
    v1::AcknowledgeAlarmResponse response;
    const grpc::Status status =
        session.Call<AlarmService>(&AlarmService::Stub::AcknowledgeAlarm, request, &response);
    if (!status.ok()) return session.Fail(status);
    if (session.output().json()) {
      session.output().Json(response);
    } else {
      session.output().Line(id + ": acknowledged; now " + StateText(response.alarm().state()));
    }
  }
  return ExitCode::kOk;
}

ExitCode Shelve(Session& session, const std::string& id, const std::string& time,
                const std::string& comment) {
  const Parsed<std::chrono::nanoseconds> duration = ParseDuration(time);
  if (!duration.ok()) return session.Usage(duration.error());
  v1::ShelveAlarmRequest request;
  request.set_alarm_id(id);
  request.set_comment(comment);
  *request.mutable_duration() = ToProto(*duration);
  v1::ShelveAlarmResponse response;
  const grpc::Status status =
      session.Call<AlarmService>(&AlarmService::Stub::ShelveAlarm, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line(id +
                          (response.alarm().has_shelved_until()
                               ? ": hidden until " + FormatTime(response.alarm().shelved_until())
                               : std::string(": not shelved any more")));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddAlarmCommands(CLI::App& app, Session& session) {
  CLI::App* alarms =
      AddCommand(app, "alarms", "conditions a human must know of, the worst first",
                 "canhubctl alarms\n"
                 "canhubctl alarms --all                 also history and shelved ones\n"
                 "canhubctl alarms --watch\n"
                 "canhubctl alarms ack hv0/ch3.trip --comment 'spark, cleaned'");
  auto arguments = std::make_shared<AlarmArguments>();
  session.Hint(
      alarms->add_option("--device", arguments->device, "only this device or bus")->type_name("ID"),
      Complete::kDevice);
  CLI::Option* watch = alarms->add_flag("--watch", arguments->watch, "show every change");
  alarms->add_flag("--all", arguments->all, "also history and shelved ones")->excludes(watch);
  alarms->add_option("--duration", arguments->duration, "end --watch after this time")
      ->type_name("DURATION")
      ->needs(watch);
  alarms->require_subcommand(0, 1);
  alarms->callback([&session, alarms, arguments] {
    if (!alarms->get_subcommands().empty()) return;
    session.action = [&session, arguments] {
      return arguments->watch ? Watch(session, *arguments) : List(session, *arguments);
    };
  });
  {
    CLI::App* command = AddCommand(*alarms, "ack", "acknowledge alarms: somebody has seen them",
                                   "canhubctl alarms ack hv0/ch3.trip --comment 'spark, cleaned'");
    auto ids = std::make_shared<std::vector<std::string>>();
    auto comment = std::make_shared<std::string>();
    session.Hint(command->add_option("alarm", *ids, "ids as the list shows them")->required(),
                 Complete::kAlarm);
    command->add_option("--comment", *comment, "for the record")->type_name("TEXT");
    command->callback([&session, ids, comment] {
      session.action = [&session, ids, comment] { return Acknowledge(session, *ids, *comment); };
    });
  }
  {
    CLI::App* command = AddCommand(
        *alarms, "shelve", "hide an alarm from the list for a time, at most 24h; 0s shows it again",
        "canhubctl alarms shelve hv0/ch3.trip 1h --comment 'known, part ordered'");
    auto id = std::make_shared<std::string>();
    auto time = std::make_shared<std::string>();
    auto comment = std::make_shared<std::string>();
    session.Hint(command->add_option("alarm", *id, "its id")->required(), Complete::kAlarm);
    command->add_option("time", *time, "how long")->required()->type_name("DURATION");
    command->add_option("--comment", *comment, "for the record")->type_name("TEXT");
    command->callback([&session, id, time, comment] {
      session.action = [&session, id, time, comment] {
        return Shelve(session, *id, *time, *comment);
      };
    });
  }
}

}  // namespace canhub::ctl
