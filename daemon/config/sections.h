// The parts of the YAML, each read into its struct. Used only by loader.cc.
#pragma once

#include <span>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/map_reader.h"

namespace canhub {

// Names of buses and devices: a lower-case letter, then letters, digits, '_' and '-'; at most 64.
// Reports and returns false for others.
bool CheckId(const YamlNode::Entry& entry, std::string_view path, Problems* problems);

void ReadListen(MapReader& root, Config* config, Problems* problems);
void ReadTls(MapReader& root, const std::string& folder, Config* config, Problems* problems);
void ReadAccess(MapReader& root, Config* config, Problems* problems);
void ReadDaemon(MapReader& root, const std::string& folder, Config* config, Problems* problems);
void ReadRpc(MapReader& root, Config* config, Problems* problems);
void ReadBuses(MapReader& root, Config* config, Problems* problems);
// After ReadBuses.
void ReadDevices(MapReader& root, std::span<const DriverInfo* const> drivers,
                 const std::string& folder, Config* config, Problems* problems);

// After ReadDevices.
void ReadGroups(MapReader& root, Config* config, Problems* problems);

// levels, interlocks, safety. After ReadDevices; only of a file that is right so far, since what a
// rule may name depends on the rest.
void ReadSafety(MapReader& root, Config* config, Problems* problems);

// Names of the safe actions of a driver, "hold" first.
std::vector<std::string> SafeActions(const DriverInfo& driver);

// The value of a parameter from a node of the YAML; empty after a report.
std::optional<Value> ReadParameter(const ParameterSpec& spec, const YamlNode& node,
                                   std::string_view path, Problems* problems);

}  // namespace canhub
