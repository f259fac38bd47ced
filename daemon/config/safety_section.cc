// levels, interlocks, safety: rules over the devices of the file.
#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "daemon/config/condition_parser.h"
#include "daemon/config/quantity.h"
#include "daemon/config/sections.h"
#include "daemon/core/item_pattern.h"
#include "daemon/core/safety_device.h"
#include "daemon/safety/rule_check.h"

namespace canhub {
namespace {

constexpr double kLongestTime = 3600;
constexpr char kNone[] = "none";
// Each is compared with each other.
constexpr size_t kMostRules = 250;

Duration ToDuration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

Duration ReadTime(MapReader& map, std::string_view key, Duration otherwise) {
  const std::optional<double> seconds = map.Number(key, "s", {0, kLongestTime, ""});
  return seconds ? ToDuration(*seconds) : otherwise;
}

// "none": never.
std::optional<Duration> ReadPatience(MapReader& map, std::string_view key, Duration otherwise) {
  const YamlNode* node = map.Find(key);
  if (node != nullptr && node->kind == YamlNode::Kind::kScalar && node->text == kNone) {
    return std::nullopt;
  }
  return ReadTime(map, key, otherwise);
}

// The items of a list; none when there is no such key, or after a report.
const std::vector<YamlNode>& ReadList(MapReader& map, std::string_view key, Problems* problems) {
  static const auto* const none = new std::vector<YamlNode>;
  const YamlNode* node = map.Find(key);
  if (node == nullptr) return *none;
  if (node->kind == YamlNode::Kind::kList) return node->items;
  problems->Add(node->line, map.PathOf(key), node->Describe(), "a list");
  return *none;
}

// All of a node on one line, for comparing it with another.
std::string Source(const YamlNode& node) {
  std::string text = node.text;
  for (const YamlNode& item : node.items) text += "- " + Source(item) + " ";
  for (const YamlNode::Entry& entry : node.entries) {
    text += entry.key + ": " + Source(entry.value) + " ";
  }
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

// Levels and interlocks share their names: they have alarms and items of the same form.
bool CheckRuleId(const YamlNode::Entry& entry, const std::string& path, const Config& config,
                 Problems* problems) {
  if (!CheckId(entry, path, problems)) return false;
  if (entry.key != "state" && config.safety.FindLevel(entry.key) == nullptr) return true;
  problems->Add(entry.line, path, entry.key == "state" ? "the id state" : "the id of a level",
                "an id of its own");
  return false;
}

// ---------------------------------------------------------------- levels

// The specs of what the pattern names; a report when they do not make one quantity.
std::vector<const ItemSpec*> SpecsOf(const ItemPattern& pattern, const RuleNames& names, int line,
                                     const std::string& path, size_t* count, Problems* problems) {
  std::vector<const ItemSpec*> specs;
  *count = 0;
  for (const DeviceEntry& device : names.config().devices) {
    if (!pattern.MatchesDevice(device.config.id)) continue;
    const std::shared_ptr<const ItemTable> table = names.ItemsOf(device.config.id);
    if (table == nullptr) continue;
    for (const ItemId item : pattern.Match(*table)) {
      ++*count;
      const ItemSpec& spec = table->Spec(item);
      const std::string name = device.config.id + "/" + table->Name(item);
      if (spec.type != ValueType::kNumber && spec.type != ValueType::kInteger) {
        problems->Add(line, path, name + ", which is a " + std::string(ToString(spec.type)),
                      "items that are numbers");
        return {};
      }
      if (!specs.empty() && std::string_view(specs.front()->unit) != spec.unit) {
        problems->Add(
            line, path,
            name + " in " + Quote(spec.unit) + " beside others in " + Quote(specs.front()->unit),
            "items of one unit");
        return {};
      }
      if (std::find(specs.begin(), specs.end(), &spec) == specs.end()) specs.push_back(&spec);
    }
  }
  return specs;
}

void ReadLevel(const YamlNode::Entry& entry, const RuleNames& names, Config* config,
               Problems* problems) {
  const std::string path = "levels." + entry.key;
  CheckRuleId(entry, path, *config, problems);
  MapReader map(entry.value, path, problems);
  if (!map.valid()) return;
  const size_t before = problems->size();
  LevelRule rule{.id = entry.key, .line = entry.line, .source = Source(entry.value)};

  const char* const form = "an item or a pattern of items, like \"bat0/module*.cell*_voltage\"";
  map.Need("items", form);
  rule.items = map.Text("items").value_or("");
  if (problems->size() != before) return;
  const int line = map.LineOf("items");
  const absl::StatusOr<ItemPattern> pattern = ItemPattern::Parse(rule.items);
  if (!pattern.ok()) {
    problems->Add(line, map.PathOf("items"), Quote(rule.items), form);
    return;
  }
  if (pattern->exact() &&
      names.NeedSpec(rule.items, line, map.PathOf("items"), problems) == nullptr) {
    return;
  }
  size_t matches = 0;
  const std::vector<const ItemSpec*> specs =
      SpecsOf(*pattern, names, line, map.PathOf("items"), &matches, problems);
  if (problems->size() != before) return;
  if (specs.empty()) {
    problems->Add(line, map.PathOf("items"), Quote(rule.items) + ", which no item fits",
                  "a pattern that fits items of devices");
    return;
  }
  rule.unit = specs.front()->unit;
  if (pattern->exact()) {
    map.Refuse("count", "found it beside the name of one item, expected it beside a pattern");
  } else {
    map.Need("count",
             "how many items must be there; a pattern alone cannot tell a missing item from one "
             "that was never fitted");
    rule.count = static_cast<int>(
        map.Integer("count", {1, static_cast<double>(matches), "items that fit the pattern"})
            .value_or(1));
  }
  rule.resolution = map.Number("resolution", rule.unit, {1e-15, 1e9, ""}).value_or(kResolution);
  const auto whole = [&](const char* key, std::optional<double> value) {
    const double counts = value.value_or(0) / rule.resolution;
    if (std::abs(counts - std::round(counts)) > 1e-6 * std::max(1.0, std::abs(counts))) {
      problems->Add(map.LineOf(key), path + "." + key,
                    Value::Number(*value).ToString() + " " + rule.unit,
                    "a whole number of resolution, which is " +
                        Value::Number(rule.resolution).ToString() + " " + rule.unit);
    }
    return value;
  };
  const auto number = [&](const char* key) { return whole(key, map.Number(key, rule.unit, {})); };
  rule.limits = {.dangerous_low = number("dangerous_low"),
                 .warning_low = number("warning_low"),
                 .warning_high = number("warning_high"),
                 .dangerous_high = number("dangerous_high")};
  const double hysteresis =
      whole("hysteresis", map.Number("hysteresis", rule.unit, {0, std::nullopt, ""})).value_or(0);
  const auto counts = [&](std::optional<double> value) {
    return value ? std::optional(SafetyCounts(*value, rule.resolution)) : std::nullopt;
  };
  rule.bounds = {.dangerous_low = counts(rule.limits.dangerous_low),
                 .warning_low = counts(rule.limits.warning_low),
                 .warning_high = counts(rule.limits.warning_high),
                 .dangerous_high = counts(rule.limits.dangerous_high),
                 .hysteresis = SafetyCounts(hysteresis, rule.resolution),
                 .release_low = counts(number("release_low")),
                 .release_high = counts(number("release_high"))};
  const auto samples = [&](const char* key) {
    return static_cast<int>(map.Integer(key, {1, 1000, ""}).value_or(1));
  };
  rule.bounds.samples_to_warning = samples("samples_to_warning");
  rule.bounds.samples_to_dangerous = samples("samples_to_dangerous");
  rule.stale_to_warning = ReadPatience(map, "stale_to_warning", Duration(0));
  rule.stale_to_dangerous = ReadPatience(map, "stale_to_dangerous", std::chrono::seconds(3));
  map.RejectUnknown();
  if (problems->size() != before) return;
  for (const RuleProblem& problem : CheckLevel(rule, specs)) {
    const size_t dot = problem.path.rfind('.');
    const std::string key = problem.path.size() > path.size() ? problem.path.substr(dot + 1) : "";
    problems->Add(key.empty() ? entry.line : map.LineOf(key), problem.path, problem.found,
                  problem.expected);
  }
  config->safety.levels.push_back(std::move(rule));
}

// ---------------------------------------------------------------- interlocks

// What is to be written into the item, in its type; a report when it cannot be.
std::optional<Value> ReadItemValue(const YamlNode& node, const std::string& path,
                                   const ItemSpec& spec, const DeviceConfig& device,
                                   Problems* problems) {
  Bounds bounds{spec.minimum, spec.maximum, "the item's own"};
  // A number with an upper bound alone is bounded in its magnitude.
  if (spec.type == ValueType::kNumber && spec.maximum && !spec.minimum) {
    bounds.minimum = -*spec.maximum;
  }
  if (const auto limit = device.limits.find(spec.limit); limit != device.limits.end()) {
    const auto origin = device.limit_origins.find(spec.limit);
    const std::string source = origin == device.limit_origins.end() ? "" : origin->second;
    if (!bounds.maximum || *bounds.maximum > limit->second) {
      bounds.maximum = limit->second;
      bounds.source = source;
    }
    if (!bounds.minimum || *bounds.minimum < -limit->second) {
      bounds.minimum = -limit->second;
      bounds.source = source;
    }
  }
  switch (spec.type) {
    case ValueType::kFlag:
      if (const std::optional<bool> flag = ReadFlag(node, path, problems)) {
        return Value::Flag(*flag);
      }
      return std::nullopt;
    case ValueType::kInteger:
      for (const ValueLabel& label : spec.labels) {
        if (node.text == label.name) return Value::Integer(label.value);
      }
      if (const std::optional<int64_t> integer = ReadInteger(node, path, bounds, problems)) {
        return Value::Integer(*integer);
      }
      return std::nullopt;
    case ValueType::kNumber:
      if (const std::optional<double> number =
              ReadNumber(node, path, spec.unit, bounds, problems)) {
        return Value::Number(*number);
      }
      return std::nullopt;
    default:
      if (const std::optional<std::string> text = ReadText(node, path, problems)) {
        return Value::Text(*text);
      }
      return std::nullopt;
  }
}

// {set: pcs1/current_setpoint, to: 2 A}; false after a report.
bool ReadSet(MapReader& map, const std::string& name, const RuleNames& names, SafeStep* step,
             Problems* problems) {
  const int line = map.LineOf("set");
  const YamlNode* to = map.Need("to", "the value that is set");
  const ItemSpec* spec = names.NeedSpec(name, line, map.PathOf("set"), problems);
  if (spec == nullptr || to == nullptr) return false;
  if (spec->access == Access::kReadOnly) {
    problems->Add(line, map.PathOf("set"), Quote(name) + ", which can only be read",
                  "an item that can be set");
    return false;
  }
  const size_t slash = name.find('/');
  step->device = name.substr(0, slash);
  const std::optional<Value> value = ReadItemValue(
      *to, map.PathOf("to"), *spec, names.config().FindDevice(step->device)->config, problems);
  if (!value) return false;
  // Commands are looked up by the item's own name.
  const std::shared_ptr<const ItemTable> table = names.ItemsOf(step->device);
  step->item = table->Name(*table->Find(name.substr(slash + 1)));
  step->value = *value;
  step->text = step->device + "/" + step->item + " = " + to->text;
  return true;
}

// "pcs1/stop"; false after a report.
bool ReadAct(const std::string& act, int line, const std::string& path, const RuleNames& names,
             SafeStep* step, Problems* problems) {
  const size_t slash = act.find('/');
  step->device = act.substr(0, slash);
  step->action = slash == std::string::npos ? "" : act.substr(slash + 1);
  if (!names.NeedDevice(step->device, line, path, problems)) return false;
  std::vector<std::string> actions = SafeActions(*names.config().FindDevice(step->device)->driver);
  std::erase(actions, "hold");
  step->text = act;
  if (std::find(actions.begin(), actions.end(), step->action) != actions.end()) return true;
  problems->Add(line, path, Quote(act) + Suggestion(step->action, actions),
                "a safe action of " + step->device + ": " + JoinNames(actions));
  return false;
}

void ReadStep(const YamlNode& node, const std::string& path, const RuleNames& names,
              std::vector<SafeStep>* steps, Problems* problems) {
  const char* const form =
      "a safe action, like \"pcs1/stop\", or a map with act, or set and to, and until, within, if";
  SafeStep step{.line = node.line};
  if (node.kind != YamlNode::Kind::kMap) {
    const std::optional<std::string> act = ReadText(node, path, problems, form);
    if (!act || !ReadAct(*act, node.line, path, names, &step, problems)) return;
    steps->push_back(std::move(step));
    return;
  }
  MapReader map(node, path, problems);
  const std::optional<std::string> act = map.Text("act");
  const std::optional<std::string> set = act ? std::nullopt : map.Text("set");
  if (act) map.Refuse("set", "found it beside act, expected a step for each");
  if (!set) map.Refuse("to", "found it without set, expected the two together");
  if (const YamlNode* until = map.Find("until")) {
    step.until = ReadCondition(*until, map.PathOf("until"), names, problems);
  }
  if (step.until) {
    step.within = ReadTime(map, "within", std::chrono::seconds(2));
  } else {
    map.Refuse("within", "found it without until, expected the two together");
  }
  if (const YamlNode* only_if = map.Find("if")) {
    step.only_if = ReadCondition(*only_if, map.PathOf("if"), names, problems);
  }
  if (!act && !set && !step.until) {
    problems->Add(node.line, path, "neither act nor set nor until", form);
  }
  const bool whole = act   ? ReadAct(*act, node.line, path, names, &step, problems)
                     : set ? ReadSet(map, *set, names, &step, problems)
                           : true;
  map.RejectUnknown();
  if (!whole) return;
  if (!step.acts() && step.until) step.text = "until " + step.until->text;
  steps->push_back(std::move(step));
}

// What only the end of one that does not latch can have.
void ReadEnd(MapReader& map, const RuleNames& names, InterlockRule* rule, Problems* problems) {
  if (rule->latch) {
    constexpr char kWhy[] = "found it where the interlock latches, expected latch: false beside it";
    map.Refuse("hold", kWhy);
    map.Refuse("on_clear", kWhy);
    return;
  }
  rule->hold = ReadTime(map, "hold", Duration(0));
  for (const YamlNode& item : ReadList(map, "on_clear", problems)) {
    const size_t before = problems->size();
    ReadStep(item, map.PathOf("on_clear"), names, &rule->clear_steps, problems);
    if (problems->size() != before) continue;
    const SafeStep& step = rule->clear_steps.back();
    if (!step.acts() || std::any_of(rule->steps.begin(), rule->steps.end(),
                                    [&](const SafeStep& own) { return Meet(own, step); })) {
      continue;
    }
    problems->Add(step.line, map.PathOf("on_clear"), step.text + ", where `do` does nothing",
                  "the end of what `do` does");
  }
}

void ReadRefusal(const YamlNode& node, const std::string& path, const RuleNames& names,
                 std::vector<Refusal>* refuse, Problems* problems) {
  const std::optional<std::string> text = ReadText(
      node, path, problems, "a device, or an action or an item of it, like \"pcs1/start\"");
  if (!text) return;
  const size_t slash = text->find('/');
  Refusal refusal{.device = text->substr(0, slash)};
  if (!names.NeedDevice(refusal.device, node.line, path, problems)) return;
  if (slash != std::string::npos) {
    refusal.name = text->substr(slash + 1);
    const DriverInfo& driver = *names.config().FindDevice(refusal.device)->driver;
    std::vector<std::string> known;
    for (const ActionSpec& action : driver.actions) {
      if (!action.safe) known.emplace_back(action.name);
    }
    const bool is_action = std::find(known.begin(), known.end(), refusal.name) != known.end();
    const ItemSpec* spec = is_action ? nullptr : names.FindSpec(*text);
    if (!is_action && (spec == nullptr || spec->access == Access::kReadOnly)) {
      problems->Add(node.line, path, Quote(*text) + Suggestion(refusal.name, known),
                    "a device, one of its actions that is no safe one, or an item that can be set");
      return;
    }
    // Commands are looked up by the item's own name.
    if (spec != nullptr) {
      const std::shared_ptr<const ItemTable> table = names.ItemsOf(refusal.device);
      refusal.name = table->Name(*table->Find(refusal.name));
    }
  }
  refuse->push_back(std::move(refusal));
}

void ReadInterlock(const YamlNode::Entry& entry, const RuleNames& names, Config* config,
                   Problems* problems) {
  const std::string path = "interlocks." + entry.key;
  CheckRuleId(entry, path, *config, problems);
  MapReader map(entry.value, path, problems);
  if (!map.valid()) return;
  const size_t before = problems->size();
  InterlockRule rule{.id = entry.key, .line = entry.line, .source = Source(entry.value)};
  rule.description = map.Text("description").value_or("");
  if (const YamlNode* when = map.Need("when", "the conditions, one of which trips it")) {
    if (std::optional<RuleCondition> read =
            ReadCondition(*when, map.PathOf("when"), names, problems)) {
      rule.when = *std::move(read);
    }
  }
  rule.latch = map.Flag("latch").value_or(true);
  const std::optional<size_t> severity = map.Choice("severity", {"warning", "dangerous"});
  if (severity == 0U) rule.severity = Level::kWarning;
  rule.unknown_for = ReadTime(map, "unknown_for", Duration(0));
  for (const YamlNode& item : ReadList(map, "do", problems)) {
    ReadStep(item, map.PathOf("do"), names, &rule.steps, problems);
  }
  ReadEnd(map, names, &rule, problems);
  if (const YamlNode* verify = map.Find("verify")) {
    // All of them must hold, other than what trips: one is enough there.
    YamlNode all = *verify;
    if (verify->kind == YamlNode::Kind::kList) {
      all = {.kind = YamlNode::Kind::kMap, .line = verify->line};
      all.entries.push_back({.key = "all", .line = verify->line, .value = *verify});
    }
    rule.verify = ReadCondition(all, map.PathOf("verify"), names, problems);
  }
  rule.verify_within = ReadTime(map, "verify_within", std::chrono::seconds(5));
  for (const YamlNode& item : ReadList(map, "refuse", problems)) {
    ReadRefusal(item, map.PathOf("refuse"), names, &rule.refuse, problems);
  }
  if (map.Find("refuse") == nullptr) {
    // Who was made safe is not to be commanded.
    for (const SafeStep& step : rule.steps) {
      const auto is = [&](const Refusal& refusal) { return refusal.device == step.device; };
      if (!step.device.empty() && std::none_of(rule.refuse.begin(), rule.refuse.end(), is)) {
        rule.refuse.push_back({step.device, ""});
      }
    }
  }
  for (const YamlNode& item : ReadList(map, "yields_to", problems)) {
    if (std::optional<std::string> id = ReadText(item, map.PathOf("yields_to"), problems)) {
      rule.yields_to.push_back(*std::move(id));
    }
  }
  map.RejectUnknown();
  if (problems->size() != before) return;
  if (rule.steps.empty() && rule.refuse.empty()) {
    problems->Add(entry.line, path, "neither do nor refuse", "what it does when it trips");
  }
  config->safety.interlocks.push_back(std::move(rule));
}

// What only all rules together show.
void CheckRules(const YamlNode& interlocks, const RuleNames& names, const Config& config,
                Problems* problems) {
  std::vector<std::string> ids;
  for (const YamlNode::Entry& entry : interlocks.entries) ids.push_back(entry.key);
  for (const InterlockRule& rule : config.safety.interlocks) {
    for (const std::string& id : rule.yields_to) {
      if (id != rule.id && std::find(ids.begin(), ids.end(), id) != ids.end()) continue;
      problems->Add(rule.line, "interlocks." + rule.id + ".yields_to",
                    "the interlock " + Quote(id) + Suggestion(id, ids), "another interlock");
    }
  }
  if (!problems->empty()) return;
  const SpecLookup lookup = [&](std::string_view name) { return names.FindSpec(name); };
  for (const RuleProblem& problem : CheckInterlocks(config.safety, lookup)) {
    problems->Add(problem.line, problem.path, problem.found, problem.expected);
  }
}

}  // namespace

void ReadSafety(MapReader& root, Config* config, Problems* problems) {
  const YamlNode* const levels = root.Find("levels");
  const YamlNode* const interlocks = root.Find("interlocks");
  const YamlNode* const safety = root.Find("safety");
  if (levels == nullptr && interlocks == nullptr && safety == nullptr) return;
  // Every name would be told to be wrong whose device has a mistake of its own.
  if (!problems->empty()) return;
  const RuleNames names(config);
  const auto each = [&](const YamlNode* node, const char* key, auto read) {
    if (node == nullptr) return;
    const MapReader map(*node, key, problems);
    if (!map.valid()) return;
    if (node->entries.size() > kMostRules) {
      problems->Add(node->line, key, std::to_string(node->entries.size()) + " rules",
                    "at most " + std::to_string(kMostRules));
      return;
    }
    for (const YamlNode::Entry& entry : node->entries) read(entry, names, config, problems);
  };
  each(levels, "levels", ReadLevel);
  // A level that is wrong must not make wrong what is said of it.
  if (!problems->empty()) return;
  each(interlocks, "interlocks", ReadInterlock);
  config->safety.settle = std::chrono::seconds(10);
  if (safety != nullptr) {
    MapReader map(*safety, "safety", problems);
    config->safety.source = Source(*safety);
    config->safety.settle = ReadTime(map, "settle", config->safety.settle);
    if (const YamlNode* precharge = map.Find("precharge")) {
      config->safety.precharge =
          ReadCondition(*precharge, map.PathOf("precharge"), names, problems);
    }
    map.RejectUnknown();
    if (config->safety.empty() && problems->empty()) {
      problems->Add(map.line(), "safety", "no levels and no interlocks", "some of them beside it");
    }
  }
  if (problems->empty() && interlocks != nullptr) CheckRules(*interlocks, names, *config, problems);
}

}  // namespace canhub
