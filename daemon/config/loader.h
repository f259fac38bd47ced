// From a YAML file to a checked Config. Reads one file, writes and starts nothing.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/config/config.h"
#include "drivers/api/driver.h"

namespace canhub {

// INVALID_ARGUMENT (reason CONFIG_INVALID): one line for everything that is wrong,
// "lab.yaml:41: devices.hv0.limits.voltage: found 7 kV, expected at most 6000 V (…)".
// NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE: the file cannot be read.
absl::StatusOr<Config> LoadConfig(const std::string& file,
                                  std::span<const DriverInfo* const> drivers);

// The same for a text; `file` names it in errors, and relative paths in it are below `file`'s
// folder.
absl::StatusOr<Config> ParseConfig(std::string_view text, const std::string& file,
                                   std::span<const DriverInfo* const> drivers);

// What the file names and this machine does not have: TLS files, folders of Unix sockets. One line
// each. Needed for a start, not for a valid file.
std::vector<std::string> MissingFiles(const Config& config);

// "unix:canhub.sock" → "unix:/var/lib/canhub/canhub.sock"; other addresses as they are.
std::string AbsoluteListenAddress(const Config& config, std::string_view address);

// One address of `listen` as a flag of the command line gives it: Unix sockets and loopback only.
absl::StatusOr<ListenConfig> ParseListenFlag(const std::string& address);

}  // namespace canhub
