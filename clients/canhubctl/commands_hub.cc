#include <memory>

#include "canhub/v1/hub_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::HubService;

std::string Join(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : ", ") + text;
  return joined;
}

ExitCode Info(Session& session) {
  v1::GetInfoResponse info;
  const grpc::Status status =
      session.Call<HubService>(&HubService::Stub::GetInfo, v1::GetInfoRequest(), &info);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(info);
    return ExitCode::kOk;
  }
  output.Line("canhubd " + info.version() + " at " + session.connection().address().target);
  output.Line("started    " + FormatTime(info.start_time()) + " (" +
              FormatAgo(info.start_time(), Now()) + ")");
  output.Line("config     " + info.config_file());
  output.Line("devices    " + std::to_string(info.device_count()) + " on " +
              std::to_string(info.bus_count()) + (info.bus_count() == 1 ? " bus" : " buses") +
              (info.any_simulated() ? output.Paint(Colour::kWarn, ", some are simulated") : ""));
  output.Line("drivers    " + Join(info.drivers()));
  output.Line("you are    " + info.your_identity() + ", role " + info.your_role());
  output.Line("audit      " + (info.audit_writable()
                                   ? std::string("is written")
                                   : output.Paint(Colour::kBad,
                                                  "CANNOT BE WRITTEN: commands are refused, safe "
                                                  "actions still go out")));
  return ExitCode::kOk;
}

ExitCode WaitReady(Session& session) {
  v1::WaitReadyRequest request;
  *request.mutable_timeout() = ToProto(session.timeout());
  v1::WaitReadyResponse response;
  // The daemon answers at the end of the time with what is missing; the call must outlive that.
  const grpc::Status status =
      session.Call<HubService>(&HubService::Stub::WaitReady, request, &response,
                               session.timeout() + std::chrono::seconds(2));
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return response.ready() ? ExitCode::kOk : ExitCode::kDeadlineExceeded;
  }
  if (response.ready()) {
    output.Line("all devices are ready");
    return ExitCode::kOk;
  }
  output.Line("not ready after " + FormatDuration(session.timeout()) + ":");
  for (const std::string& device : response.not_ready()) output.Line("  " + device);
  return ExitCode::kDeadlineExceeded;
}

ExitCode SetLogLevel(Session& session, const std::string& level) {
  v1::SetLogLevelRequest request;
  if (level == "trace") request.set_level(v1::LOG_LEVEL_TRACE);
  if (level == "debug") request.set_level(v1::LOG_LEVEL_DEBUG);
  if (level == "info") request.set_level(v1::LOG_LEVEL_INFO);
  if (level == "warning") request.set_level(v1::LOG_LEVEL_WARNING);
  if (level == "error") request.set_level(v1::LOG_LEVEL_ERROR);
  v1::SetLogLevelResponse response;
  const grpc::Status status =
      session.Call<HubService>(&HubService::Stub::SetLogLevel, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line("log level: " + level + " until the next start, was " +
                          ShortName(v1::LogLevel_Name(response.previous()), "LOG_LEVEL_"));
  }
  return ExitCode::kOk;
}

ExitCode Reload(Session& session, bool check_only) {
  v1::ReloadConfigRequest request;
  request.set_check_only(check_only);
  v1::ReloadConfigResponse response;
  const grpc::Status status =
      session.Call<HubService>(&HubService::Stub::ReloadConfig, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  if (response.applied().empty() && response.needs_restart().empty()) {
    output.Line("the file is right and changes nothing");
  }
  if (!response.applied().empty()) {
    output.Line(check_only ? "would be applied:" : "in force now:");
    for (const std::string& change : response.applied()) output.Line("  " + change);
  }
  if (!response.needs_restart().empty()) {
    output.Line(output.Paint(Colour::kWarn, "need a restart of canhubd:"));
    for (const std::string& change : response.needs_restart()) output.Line("  " + change);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddHubCommands(CLI::App& app, Session& session) {
  AddCommand(app, "info", "what daemon this is, and who you are to it", "canhubctl info")
      ->callback([&session] { session.action = [&session] { return Info(session); }; });

  AddCommand(app, "wait-ready",
             "wait, at most --timeout, until every device has been polled once; exit code 6 when "
             "one has not",
             "canhubctl wait-ready --timeout 30s && ./scan.sh")
      ->callback([&session] { session.action = [&session] { return WaitReady(session); }; });

  {
    CLI::App* command =
        AddCommand(app, "log-level", "change how much the daemon logs, until its next start",
                   "canhubctl log-level debug");
    auto level = std::make_shared<std::string>();
    CLI::Option* option = command->add_option("level", *level, "how much")->required();
    session.Choices(option, {"trace", "debug", "info", "warning", "error"});
    command->callback([&session, level] {
      session.action = [&session, level] { return SetLogLevel(session, *level); };
    });
  }
  {
    CLI::App* command = AddCommand(
        app, "reload", "read the configuration again: limits, access rules, log level, leases",
        "canhubctl reload --check\ncanhubctl reload");
    auto check_only = std::make_shared<bool>(false);
    command->add_flag("--check", *check_only, "only check the file; apply nothing");
    command->callback([&session, check_only] {
      session.action = [&session, check_only] { return Reload(session, *check_only); };
    });
  }
}

}  // namespace canhub::ctl
