// Conditions of interlocks, as the YAML has them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/problems.h"
#include "daemon/config/yaml_tree.h"
#include "daemon/safety/rules.h"
#include "drivers/api/items.h"

namespace canhub {

// What the rules of one file can name.
class RuleNames {
 public:
  // `config` outlives it, and has its devices, buses and, as they are read, levels and interlocks.
  explicit RuleNames(const Config* config) : config_(config) {}
  const Config& config() const { return *config_; }

  // nullptr: no such device, or its driver cannot say.
  std::shared_ptr<const ItemTable> ItemsOf(const std::string& device_id) const;
  // nullptr: unknown. `name`: "bat0/pack.level". Lives as long as this.
  const ItemSpec* FindSpec(std::string_view name) const;
  // Reports an item that is not there.
  const ItemSpec* NeedSpec(std::string_view name, int line, std::string_view path,
                           Problems* problems) const;
  // Reports a device that is not there.
  bool NeedDevice(const std::string& id, int line, std::string_view path, Problems* problems) const;

 private:
  const Config* const config_;
  mutable std::map<std::string, std::shared_ptr<const ItemTable>> tables_;  // by device
};

// One line:
//   bat0/pack.level >= 2                  >=, <=, >, <, ==, !=, with the item's unit
//   abs(pcs1/dc_current) <= 2 A
//   pcs1/state is [not] standby           a label, true, false
//   pcs1/state is [not] STALE             GOOD, STALE, BAD, NEVER_READ
//   level cells is [not] dangerous        at least; also warning; with _low or _high for one side
//   alarm [not] bat0/pack.contradiction   active
//   bus can0 is [not] bus-off
//   interlock [not] overcharge            tripped or latched; one that stands above
// or a list of these, of which one must hold, or a map with `any:` or `all:` and a list. Nothing
// after a report.
std::optional<RuleCondition> ReadCondition(const YamlNode& node, std::string_view path,
                                           const RuleNames& names, Problems* problems);

}  // namespace canhub
