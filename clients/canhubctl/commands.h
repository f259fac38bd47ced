// The command groups. Each adds its subcommands to the tree; a subcommand that is named sets
// Session::action.
#pragma once

#include "CLI/CLI.hpp"
#include "clients/canhubctl/session.h"

namespace canhub::ctl {

void AddHubCommands(CLI::App& app, Session& session);      // info, wait-ready, log-level, reload
void AddAuditCommand(CLI::App& app, Session& session);     // audit
void AddDeviceCommands(CLI::App& app, Session& session);   // devices, device, restart
void AddItemCommands(CLI::App& app, Session& session);     // items, get, set
void AddWatchCommand(CLI::App& app, Session& session);     // watch
void AddBusCommands(CLI::App& app, Session& session);      // bus …
void AddHvCommands(CLI::App& app, Session& session);       // hv …
void AddHvShowCommands(CLI::App& hv, Session& session);    // hv status, watch, crate
void AddHvOutputCommands(CLI::App& hv, Session& session);  // hv on, off, set, current, ramp, …
void AddHvModuleCommands(CLI::App& hv, Session& session);  // hv kill, crate-power, store, raw, …
void AddAlarmCommands(CLI::App& app, Session& session);    // alarms …
void AddLeaseCommands(CLI::App& app, Session& session);    // lease …
void AddSimCommands(CLI::App& app, Session& session);      // sim …
void AddCompletionCommand(CLI::App& app, Session& session);  // completion

// The whole tree with its global options.
void BuildCommandTree(CLI::App& app, Session& session);

}  // namespace canhub::ctl
