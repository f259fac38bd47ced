#include "clients/canhubctl/commands.h"

namespace canhub::ctl {
namespace {

// CLI11 writes TEXT behind everything that is not a number; a positional's name says more.
void DropTextTypes(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_type_name().starts_with("TEXT")) option->type_name("");
  }
  for (CLI::App* subcommand : app.get_subcommands([](CLI::App*) { return true; })) {
    DropTextTypes(*subcommand);
  }
}

}  // namespace

void BuildCommandTree(CLI::App& app, Session& session) {
  GlobalOptions& options = session.options;
  app.description(
      "Shows and commands the devices of a canhubd: high-voltage supplies, power converters and "
      "whatever else is on "
      "its CAN buses.");
  app.footer(
      std::string("Start with:\n"
                  "  canhubctl devices                       what there is\n"
                  "  canhubctl items hv0                     what it lets you read or set\n"
                  "  canhubctl watch 'hv0/ch3.*_measure'     live\n"
                  "  canhubctl hv set hv0 3 1000V            the typed way\n"
                  "  canhubctl pcs set pcs1 cccv 400 -50 5   of each kind\n"
                  "  canhubctl COMMAND --help                examples for each command\n\n") +
      kExitCodeHelp + "\nEnvironment: CANHUB_ADDRESS, CANHUB_LEASE, NO_COLOR.\n");
  app.require_subcommand(1);
  // Global options may stand anywhere: canhubctl devices --json.
  app.fallthrough();

  const char* const connection = "Connection";
  const char* const result = "Output";
  const char* const commands = "Commands to devices";
  app.add_option("--address", options.address,
                 "daemon: unix:PATH, PATH or HOST:PORT [$CANHUB_ADDRESS, else "
                 "unix:/run/canhub/canhub.sock if it exists, else 127.0.0.1:50051]")
      ->type_name("ADDRESS")
      ->group(connection);
  app.add_option("--tls-ca", options.tls.ca,
                 "PEM file: who may have signed the daemon's certificate")
      ->type_name("FILE")
      ->group(connection);
  app.add_option("--tls-cert", options.tls.certificate, "PEM file: own certificate")
      ->type_name("FILE")
      ->group(connection);
  app.add_option("--tls-key", options.tls.key, "PEM file: its key")
      ->type_name("FILE")
      ->group(connection);
  app.add_option("--timeout", options.timeout,
                 "how long a call may take [10s; 10min where the end of a ramp is waited for]")
      ->type_name("DURATION")
      ->group(connection);
  app.add_flag("--json", options.json, "JSON instead of tables; errors as JSON on standard error")
      ->group(result);
  app.add_flag("--no-color,--no-colour", options.no_colour, "no colours [also $NO_COLOR]")
      ->group(result);
  app.add_option("--lease", options.lease, "the lease under which to act [$CANHUB_LEASE]")
      ->type_name("ID")
      ->group(commands);
  CLI::Option* const wait =
      app.add_option("--wait", options.wait,
                     "return when sent, confirmed by reading back [default], or settled: the ramp "
                     "has ended")
          ->group(commands);
  session.Choices(wait, {"sent", "confirmed", "settled"});
  app.add_option("--request-id", options.request_id,
                 "your name for the command: repeated within 10 minutes it is refused, so that a "
                 "retry never acts twice")
      ->type_name("ID")
      ->group(commands);

  AddHubCommands(app, session);
  AddDeviceCommands(app, session);
  AddItemCommands(app, session);
  AddWatchCommand(app, session);
  AddHvCommands(app, session);
  AddPcsCommands(app, session);
  AddStuderCommands(app, session);
  AddBatteryCommands(app, session);
  AddAlarmCommands(app, session);
  AddInterlockCommands(app, session);
  AddLeaseCommands(app, session);
  AddBusCommands(app, session);
  AddSimCommands(app, session);
  AddAuditCommand(app, session);
  AddDbcCommands(app, session);
  AddCompletionCommand(app, session);
  DropTextTypes(app);
}

}  // namespace canhub::ctl
