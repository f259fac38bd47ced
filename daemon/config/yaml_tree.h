// A YAML file as a tree that remembers where everything stands. The only code that sees yaml-cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/problems.h"

namespace canhub {

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  struct Entry;
  Kind kind = Kind::kNull;
  int line = 1;         // 1 is the first
  std::string text;     // of a scalar
  bool quoted = false;  // a scalar in quotes is text, whatever it looks like
  std::vector<YamlNode> items;
  std::vector<Entry> entries;  // in the order of the file; keys are unique

  // nullptr when the map has no such key, or this is no map.
  const YamlNode* Find(std::string_view key) const;
  // For error texts: `1500 V`, `"1500" in quotes`, `nothing`, `a list`, `a map`.
  std::string Describe() const;
};
struct YamlNode::Entry {
  std::string key;
  int line = 1;  // of the key
  YamlNode value;
};

// Bounds of what is read, so that no file can take the memory or the time of the machine.
inline constexpr size_t kMaxYamlBytes = 1 << 20;
inline constexpr int kMaxYamlNodes = 100'000;
inline constexpr int kMaxYamlDepth = 16;

// Parses one document. Everything wrong is added to `problems`: invalid UTF-8, control characters,
// syntax, duplicate keys, keys that are no scalars, anchors, aliases, tags, a second document, more
// than the bounds above. No tree where it could not say what the file means; of duplicate keys the
// first counts.
std::optional<YamlNode> ParseYaml(std::string_view text, Problems& problems);

}  // namespace canhub
