#include <signal.h>

#include <algorithm>
#include <map>
#include <memory>

#include "canhub/v1/lease_service.grpc.pb.h"
#include "clients/canhubctl/child_process.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/stop_signal.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using std::chrono::nanoseconds;
using v1::LeaseService;

// What a program gets to end by itself after its lease is lost.
constexpr std::chrono::seconds kGrace(5);

struct LeaseArguments {
  std::vector<std::string> devices;
  std::string window;
  std::string purpose;
  std::string safe_action;
  bool keep = false;
  bool id_only = false;
  bool no_safe_action = false;
};

std::string Devices(const v1::Lease& lease) {
  std::string text;
  for (const std::string& device : lease.device_ids()) text += (text.empty() ? "" : ", ") + device;
  return text;
}

std::string SafeActions(const v1::Lease& lease) {
  std::string text;
  for (const auto& [device, action] : std::map<std::string, std::string>(
           lease.safe_actions().begin(), lease.safe_actions().end())) {
    text += (text.empty() ? "" : ", ") + device + " " + action;
  }
  return text;
}

// Nothing acquired: `exit_code` is what was reported.
bool AcquireLease(Session& session, const LeaseArguments& arguments, v1::Lease* lease,
                  ExitCode* exit_code) {
  v1::AcquireLeaseRequest request;
  for (const std::string& device : arguments.devices) *request.add_device_ids() = device;
  request.set_purpose(arguments.purpose);
  request.set_safe_action(arguments.safe_action);
  if (!arguments.window.empty()) {
    const Parsed<nanoseconds> window = ParseDuration(arguments.window);
    if (!window.ok()) {
      *exit_code = session.Usage("--window: " + window.error());
      return false;
    }
    *request.mutable_window() = ToProto(*window);
  }
  v1::AcquireLeaseResponse response;
  const grpc::Status status =
      session.Call<LeaseService>(&LeaseService::Stub::AcquireLease, request, &response);
  if (!status.ok()) {
    *exit_code = session.Fail(status);
    return false;
  }
  *lease = response.lease();
  return true;
}

ExitCode ReleaseLease(Session& session, const std::string& id, bool run_safe_actions) {
  v1::ReleaseLeaseRequest request;
  request.set_lease_id(id);
  request.set_run_safe_actions(run_safe_actions);
  v1::ReleaseLeaseResponse response;
  const grpc::Status status =
      session.Call<LeaseService>(&LeaseService::Stub::ReleaseLease, request, &response);
  return status.ok() ? ExitCode::kOk : session.Fail(status);
}

// Keeps the lease alive until `wait_for` says that it is over, which it is given the time to the
// next sign of life. Anything but kOk: the lease is lost, reported.
ExitCode KeepAlive(Session& session, const v1::Lease& lease,
                   const std::function<bool(nanoseconds)>& wait_for) {
  // Two signs of life may get lost before the third comes in time.
  const nanoseconds period = ToNanoseconds(lease.window()) / 3;
  bool complained = false;
  while (!wait_for(period)) {
    v1::KeepLeaseAliveRequest request;
    request.set_lease_id(lease.lease_id());
    v1::KeepLeaseAliveResponse response;
    const grpc::Status status =
        session.Call<LeaseService>(&LeaseService::Stub::KeepLeaseAlive, request, &response,
                                   std::max<nanoseconds>(period, std::chrono::milliseconds(100)));
    if (status.ok()) {
      complained = false;
      continue;
    }
    if (status.error_code() == grpc::NOT_FOUND || status.error_code() == grpc::PERMISSION_DENIED) {
      return session.Fail(status);
    }
    // Whether the lease has lapsed is the daemon's to say; until it does, go on trying.
    if (!complained) session.Fail(status);
    complained = true;
  }
  return ExitCode::kOk;
}

void PrintLease(Output& output, const v1::Lease& lease) {
  if (output.json()) {
    output.Json(lease);
  } else {
    output.Line("lease " + lease.lease_id() + " of " + Devices(lease));
    output.Line("lapses after " + FormatDuration(ToNanoseconds(lease.window())) +
                " without a sign of life; then: " + SafeActions(lease));
  }
  output.out() << std::flush;
}

ExitCode Acquire(Session& session, const LeaseArguments& arguments) {
  ExitCode exit_code = ExitCode::kOk;
  StopSignal stop([] {});
  v1::Lease lease;
  if (!AcquireLease(session, arguments, &lease, &exit_code)) return exit_code;
  Output& output = session.output();
  if (arguments.id_only) {
    output.out() << lease.lease_id() << "\n" << std::flush;
  } else {
    PrintLease(output, lease);
  }
  if (!arguments.keep) {
    if (!arguments.id_only) {
      output.Note("export CANHUB_LEASE=" + lease.lease_id());
      output.Note("keep it alive: canhubctl lease keepalive " + lease.lease_id() + ", or --keep");
    }
    return ExitCode::kOk;
  }
  if (!arguments.id_only) {
    output.Note("export CANHUB_LEASE=" + lease.lease_id());
    output.Note("kept alive until Ctrl-C, then given back");
    output.out() << std::flush;
  }
  const ExitCode lost =
      KeepAlive(session, lease, [&stop](nanoseconds time) { return stop.WaitFor(time); });
  if (lost != ExitCode::kOk) return lost;
  const ExitCode released = ReleaseLease(session, lease.lease_id(), false);
  if (released == ExitCode::kOk && !arguments.id_only) output.Note("lease given back");
  return released;
}

ExitCode Run(Session& session, const LeaseArguments& arguments,
             const std::map<std::string, std::string>& environment) {
  if (session.command_tail.empty()) {
    return session.Usage(
        "lease run needs a command after --: canhubctl lease run hv0 -- ./scan.sh");
  }
  ExitCode exit_code = ExitCode::kOk;
  v1::Lease lease;
  std::unique_ptr<ChildProcess> child;
  // Ctrl-C reaches the program through the terminal; it decides. SIGTERM comes to us alone.
  std::mutex child_mutex;
  bool stopped_before_start = false;
  StopSignal* stop_pointer = nullptr;
  StopSignal stop([&] {
    const std::lock_guard<std::mutex> lock(child_mutex);
    if (child == nullptr) {
      stopped_before_start = true;
    } else if (stop_pointer->signal() == SIGTERM) {
      child->Signal(SIGTERM);
    }
  });
  {
    const std::lock_guard<std::mutex> lock(child_mutex);
    stop_pointer = &stop;
  }
  if (!AcquireLease(session, arguments, &lease, &exit_code)) return exit_code;
  std::map<std::string, std::string> variables = environment;
  variables["CANHUB_LEASE"] = lease.lease_id();
  variables["CANHUB_ADDRESS"] = session.connection().address().target;
  std::string error;
  {
    const std::lock_guard<std::mutex> lock(child_mutex);
    if (stopped_before_start) {
      error = "stopped before the command was started";
    } else {
      child = ChildProcess::Start(session.command_tail, variables, &error);
    }
  }
  if (child == nullptr) {
    ReleaseLease(session, lease.lease_id(), false);
    return session.FailLocal(error);
  }
  const ExitCode lost =
      KeepAlive(session, lease, [&child](nanoseconds time) { return child->WaitFor(time); });
  if (lost != ExitCode::kOk) {
    child->Signal(SIGTERM);
    // Without the lease nothing that it still does can be right.
    if (!child->WaitFor(kGrace)) child->Signal(SIGKILL);
    child->Wait();
    return session.output().Fail({ExitCode::kAborted,
                                  "ABORTED",
                                  "LEASE_LOST",
                                  "the lease was lost; " + session.command_tail[0] + " was ended",
                                  {{"lease_id", lease.lease_id()}}});
  }
  const int code = child->Wait();
  const bool safe = code != 0 && !arguments.no_safe_action;
  if (safe) {
    session.output().err() << "canhubctl: " << session.command_tail[0] << " ended with " << code
                           << "; running the safe actions: " << SafeActions(lease) << "\n";
  }
  const ExitCode released = ReleaseLease(session, lease.lease_id(), safe);
  if (released != ExitCode::kOk && code == 0) return released;
  return static_cast<ExitCode>(code);
}

ExitCode List(Session& session) {
  v1::ListLeasesResponse response;
  const grpc::Status status = session.Call<LeaseService>(&LeaseService::Stub::ListLeases,
                                                         v1::ListLeasesRequest(), &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  if (response.leases().empty()) {
    output.Line("no lease");
    return ExitCode::kOk;
  }
  TextTable table(
      {{"LEASE"}, {"DEVICES"}, {"HOLDER"}, {"WINDOW"}, {"LAPSES"}, {"THEN"}, {"PURPOSE"}});
  const WallTime now = Now();
  for (const v1::Lease& lease : response.leases()) {
    table.AddRow({lease.lease_id(), Devices(lease), lease.holder(),
                  FormatDuration(ToNanoseconds(lease.window())),
                  FormatAgo(lease.expire_time(), now), SafeActions(lease), lease.purpose()});
  }
  output.out() << table.ToString();
  return ExitCode::kOk;
}

// The argument, else --lease or CANHUB_LEASE.
std::string LeaseId(const Session& session, const std::string& argument) {
  return argument.empty() ? session.options.lease : argument;
}

ExitCode Release(Session& session, const std::string& argument, bool safe) {
  const std::string id = LeaseId(session, argument);
  if (id.empty()) return session.Usage("name a lease, or set CANHUB_LEASE");
  const ExitCode result = ReleaseLease(session, id, safe);
  if (result == ExitCode::kOk) {
    session.output().Note(std::string("lease given back") +
                          (safe ? "; its safe actions were started" : ""));
  }
  return result;
}

ExitCode KeepAliveOnce(Session& session, const std::string& argument) {
  const std::string id = LeaseId(session, argument);
  if (id.empty()) return session.Usage("name a lease, or set CANHUB_LEASE");
  v1::KeepLeaseAliveRequest request;
  request.set_lease_id(id);
  v1::KeepLeaseAliveResponse response;
  const grpc::Status status =
      session.Call<LeaseService>(&LeaseService::Stub::KeepLeaseAlive, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line("lapses " + FormatAgo(response.expire_time(), Now()));
  }
  return ExitCode::kOk;
}

void AddLeaseOptions(CLI::App& command, Session& session, LeaseArguments& arguments) {
  session.Hint(command.add_option("device", arguments.devices, "the devices to take")->required(),
               Complete::kDevice);
  command.add_option("--window", arguments.window, "how long you may be silent [5s]")
      ->type_name("DURATION");
  command.add_option("--purpose", arguments.purpose, "what for; others see it")->type_name("TEXT");
  command
      .add_option("--safe-action", arguments.safe_action,
                  "what happens when you fall silent [each device's on_lease_lost]")
      ->type_name("NAME");
}

void AddHolding(CLI::App& lease, Session& session) {
  {
    CLI::App* command =
        AddCommand(lease, "acquire", "take devices: nobody else may command them",
                   "canhubctl lease acquire hv0 hv1 --keep --purpose 'night run'\n"
                   "export CANHUB_LEASE=$(canhubctl lease acquire hv0 --window 1min --id-only)");
    auto arguments = std::make_shared<LeaseArguments>();
    AddLeaseOptions(*command, session, *arguments);
    command->add_flag("--keep", arguments->keep, "keep it alive until Ctrl-C, then give it back");
    command->add_flag("--id-only", arguments->id_only, "print only the lease's id");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return Acquire(session, *arguments); };
    });
  }
  {
    CLI::App* command = AddCommand(
        lease, "run",
        "run a command under a lease, kept alive meanwhile, with CANHUB_LEASE and CANHUB_ADDRESS "
        "in "
        "its environment; exit code of the command, 7 when the lease was lost. If the command "
        "fails, the safe actions run",
        "canhubctl lease run hv0 -- ./scan.sh\n"
        "canhubctl lease run hv0 hv1 --window 2s -- python3 scan.py --from 0 --to 1000");
    auto arguments = std::make_shared<LeaseArguments>();
    AddLeaseOptions(*command, session, *arguments);
    command->add_flag("--no-safe-action", arguments->no_safe_action,
                      "give the lease back without safe actions even when the command fails");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] {
        return Run(session, *arguments, session.environment());
      };
    });
  }
}

}  // namespace

void AddLeaseCommands(CLI::App& app, Session& session) {
  CLI::App* lease = AddCommand(app, "lease",
                               "the right to command devices, kept alive by its holder, with a "
                               "safe action for when it falls "
                               "silent",
                               "canhubctl lease run hv0 -- ./scan.sh\n"
                               "canhubctl lease acquire hv0 --keep\n"
                               "canhubctl lease list");
  lease->require_subcommand(1);
  AddHolding(*lease, session);
  AddCommand(*lease, "list", "all leases", "canhubctl lease list")->callback([&session] {
    session.action = [&session] { return List(session); };
  });
  {
    CLI::App* command = AddCommand(*lease, "release", "give a lease back",
                                   "canhubctl lease release 4f3a…\n"
                                   "canhubctl lease release --safe-actions      $CANHUB_LEASE");
    auto id = std::make_shared<std::string>();
    auto safe = std::make_shared<bool>(false);
    session.Hint(command->add_option("lease", *id, "its id [$CANHUB_LEASE]"), Complete::kLease);
    command->add_flag("--safe-actions", *safe, "also run its safe actions");
    command->callback([&session, id, safe] {
      session.action = [&session, id, safe] { return Release(session, *id, *safe); };
    });
  }
  {
    CLI::App* command =
        AddCommand(*lease, "keepalive", "give one sign of life", "canhubctl lease keepalive 4f3a…");
    auto id = std::make_shared<std::string>();
    session.Hint(command->add_option("lease", *id, "its id [$CANHUB_LEASE]"), Complete::kLease);
    command->callback([&session, id] {
      session.action = [&session, id] { return KeepAliveOnce(session, *id); };
    });
  }
}

}  // namespace canhub::ctl
