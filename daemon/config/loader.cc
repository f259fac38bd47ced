#include "daemon/config/loader.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

#include "daemon/config/sections.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

// The folder that relative paths of a file are below; absolute.
std::string FolderOf(const std::string& file) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(file, error);
  return error ? "/" : absolute.parent_path().lexically_normal().string();
}

absl::StatusOr<std::string> ReadFile(const std::string& file) {
  const auto failed = [&](int code, const std::string& why) {
    const absl::StatusCode status = code == ENOENT   ? absl::StatusCode::kNotFound
                                    : code == EACCES ? absl::StatusCode::kPermissionDenied
                                                     : absl::StatusCode::kUnavailable;
    return MakeError(status, "CONFIG_UNREADABLE", file + ": cannot be read: " + why,
                     {{"file", file}});
  };
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) return failed(EISDIR, "it is a folder");
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return failed(errno, std::strerror(errno));
  // One byte more than is allowed tells a file that is too large; /dev/zero ends, too.
  std::string text(kMaxYamlBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) return failed(EIO, "input/output error");
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

}  // namespace

absl::StatusOr<Config> LoadConfig(const std::string& file,
                                  std::span<const DriverInfo* const> drivers) {
  const absl::StatusOr<std::string> text = ReadFile(file);
  if (!text.ok()) return text.status();
  return ParseConfig(*text, file, drivers);
}

absl::StatusOr<Config> ParseConfig(std::string_view text, const std::string& file,
                                   std::span<const DriverInfo* const> drivers) {
  Problems problems(file);
  const std::optional<YamlNode> tree = ParseYaml(text, problems);
  if (!tree) return problems.ToStatus();
  const YamlNode& root = *tree;
  if (root.kind == YamlNode::Kind::kNull) {
    problems.Add(1, "", "an empty file", "a map with the keys buses and devices");
    return problems.ToStatus();
  }
  MapReader map(root, "", &problems);
  if (!map.valid()) return problems.ToStatus();
  const std::string folder = FolderOf(file);
  Config config;
  config.file = file;
  ReadListen(map, &config, &problems);
  ReadTls(map, folder, &config, &problems);
  ReadAccess(map, &config, &problems);
  ReadDaemon(map, folder, &config, &problems);
  ReadRpc(map, &config, &problems);
  ReadBuses(map, &config, &problems);
  ReadDevices(map, drivers, folder, &config, &problems);
  ReadGroups(map, &config, &problems);
  ReadSafety(map, &config, &problems);
  map.RejectUnknown();
  if (!problems.empty()) return problems.ToStatus();
  return config;
}

std::vector<std::string> MissingFiles(const Config& config) {
  std::vector<std::string> missing;
  std::error_code error;
  if (config.tls) {
    for (const std::string& path :
         {config.tls->certificate, config.tls->key, config.tls->client_ca}) {
      if (!std::ifstream(path)) missing.push_back("tls: " + path + " cannot be read");
    }
  }
  for (const ListenConfig& listen : config.listen) {
    if (!listen.is_unix()) continue;
    const std::filesystem::path folder =
        std::filesystem::path(AbsoluteListenAddress(config, listen.address).substr(5))
            .parent_path();
    // The state directory is made at the start.
    if (folder == config.state_directory) continue;
    if (!std::filesystem::is_directory(folder, error)) {
      missing.push_back("listen: " + listen.address + ": there is no folder " + folder.string());
    }
  }
  return missing;
}

}  // namespace canhub
