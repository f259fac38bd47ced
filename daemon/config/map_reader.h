// Reads the keys of one map, checks each, and reports those that nobody asked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/problems.h"
#include "daemon/config/yaml_tree.h"

namespace canhub {

struct Bounds {
  std::optional<double> minimum, maximum;
  // Who says so: "the driver iseg's maximum"; "" for the daemon itself.
  std::string source;
};

// Every read reports what is wrong and then gives no value.
class MapReader {
 public:
  // A `node` that is no map is reported, and reads as empty.
  MapReader(const YamlNode& node, std::string path, Problems* problems);
  MapReader(const MapReader&) = delete;
  MapReader& operator=(const MapReader&) = delete;

  const std::string& path() const { return path_; }
  int line() const { return line_; }
  // The line of a key, or of the map when it has none such.
  int LineOf(std::string_view key) const;
  std::string PathOf(std::string_view key) const;
  bool valid() const { return valid_; }

  // The value of a key, nullptr when absent. All keys asked for are known keys.
  const YamlNode* Find(std::string_view key);
  // The same, and reports an absent key: "found no key …".
  const YamlNode* Need(std::string_view key, std::string_view expected);

  std::optional<std::string> Text(std::string_view key);
  std::optional<bool> Flag(std::string_view key);
  std::optional<int64_t> Integer(std::string_view key, const Bounds& bounds);
  // With a unit, or a plain number when `unit` is "".
  std::optional<double> Number(std::string_view key, std::string_view unit, const Bounds& bounds);
  // Index into `names`.
  std::optional<size_t> Choice(std::string_view key, const std::vector<std::string>& names);

  // Makes a key known that is absent on purpose; given, it is reported with `why`.
  void Refuse(std::string_view key, std::string_view why);
  // To be called last: reports every key nobody asked for.
  void RejectUnknown();

 private:
  const YamlNode empty_{.kind = YamlNode::Kind::kMap};
  const YamlNode* node_;
  const std::string path_;
  int line_;
  Problems* problems_;
  bool valid_ = true;
  std::vector<std::string> known_;
};

// Reads of a single node, for lists and for what has no fixed key.
std::optional<std::string> ReadText(const YamlNode& node, std::string_view path, Problems* problems,
                                    std::string_view expected = "a text");
std::optional<bool> ReadFlag(const YamlNode& node, std::string_view path, Problems* problems);
std::optional<int64_t> ReadInteger(const YamlNode& node, std::string_view path,
                                   const Bounds& bounds, Problems* problems);
std::optional<double> ReadNumber(const YamlNode& node, std::string_view path, std::string_view unit,
                                 const Bounds& bounds, Problems* problems);
std::optional<size_t> ReadChoice(const YamlNode& node, std::string_view path,
                                 const std::vector<std::string>& names, Problems* problems);

}  // namespace canhub
