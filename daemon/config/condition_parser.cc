#include "daemon/config/condition_parser.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "daemon/config/map_reader.h"
#include "daemon/config/quantity.h"
#include "drivers/api/can_bus.h"

namespace canhub {
namespace {

using Kind = RuleCondition::Kind;

constexpr std::string_view kForm =
    "a condition, like \"bat0/pack.level >= 2\", \"pcs1/state is standby\", \"pcs1/state is "
    "STALE\", \"level cells is dangerous\", \"alarm bat0/pack.none\", \"bus can0 is bus-off\" or "
    "\"interlock overcharge\"";

// More is no rule that anybody can read.
constexpr size_t kMostParts = 100;

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : std::string(text) + " ") {
    if (c != ' ' && c != '\t') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

constexpr std::array<Quality, 4> kQualities = {Quality::kGood, Quality::kStale, Quality::kBad,
                                               Quality::kNeverRead};
constexpr std::array<BusState, 6> kBusStates = {BusState::kActive,  BusState::kWarning,
                                                BusState::kPassive, BusState::kBusOff,
                                                BusState::kDown,    BusState::kUnplugged};

template <typename Values>
std::optional<uint32_t> MaskOf(const Values& values, std::string_view name) {
  for (const auto value : values) {
    if (ToString(value) == name) return uint32_t{1} << static_cast<int>(value);
  }
  return std::nullopt;
}

template <typename Values>
std::vector<std::string> NamesOf(const Values& values) {
  std::vector<std::string> names;
  names.reserve(values.size());
  for (const auto value : values) names.emplace_back(ToString(value));
  return names;
}

std::optional<Comparison> ComparisonOf(std::string_view text) {
  for (const Comparison c : {Comparison::kAtLeast, Comparison::kAtMost, Comparison::kAbove,
                             Comparison::kBelow, Comparison::kEqual, Comparison::kNotEqual}) {
    if (ToString(c) == text) return c;
  }
  return std::nullopt;
}

// One line of a condition.
class LineReader {
 public:
  LineReader(const YamlNode& node, std::string_view path, const RuleNames& names,
             Problems* problems)
      : words_(Words(node.text)),
        line_(node.line),
        path_(path),
        names_(names),
        problems_(problems) {
    condition_.text = node.text;
    condition_.line = node.line;
  }

  std::optional<RuleCondition> Read() {
    if (words_.size() < 2) return Fail(Quote(condition_.text), kForm);
    if (words_[0] == "alarm") return ReadAlarm();
    if (words_[0] == "interlock") return ReadInterlock();
    if (words_[0] == "bus") return ReadBus();
    if (words_[0] == "level") return ReadLevel();
    return ReadItem();
  }

 private:
  std::nullopt_t Fail(const std::string& found, std::string_view expected) {
    problems_->Add(line_, path_, found, expected);
    return std::nullopt;
  }
  // Takes "not" at `at` away.
  void TakeNot(size_t at) {
    if (words_.size() <= at || words_[at] != "not") return;
    condition_.negated = true;
    words_.erase(words_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  std::optional<RuleCondition> ReadAlarm() {
    condition_.kind = Kind::kAlarm;
    TakeNot(1);
    const size_t slash = words_.size() == 2 ? words_[1].find('/') : std::string::npos;
    if (slash == std::string::npos || slash + 1 == words_[1].size()) {
      return Fail(Quote(condition_.text), "an alarm's id, like \"alarm bat0/pack.none\"");
    }
    const std::string owner = words_[1].substr(0, slash);
    if (names_.config().FindBus(owner) == nullptr &&
        !names_.NeedDevice(owner, line_, path_, problems_)) {
      return std::nullopt;
    }
    condition_.subject = words_[1];
    return condition_;
  }

  std::optional<RuleCondition> ReadInterlock() {
    condition_.kind = Kind::kInterlock;
    TakeNot(1);
    std::vector<std::string> ids;
    for (const InterlockRule& rule : names_.config().safety.interlocks) ids.push_back(rule.id);
    if (words_.size() != 2 || std::find(ids.begin(), ids.end(), words_[1]) == ids.end()) {
      return Fail("the interlock " + Quote(words_.size() > 1 ? words_[1] : "") +
                      Suggestion(words_.size() > 1 ? words_[1] : "", ids),
                  "one that stands above: " + JoinNames(ids));
    }
    condition_.subject = words_[1];
    return condition_;
  }

  std::optional<RuleCondition> ReadBus() {
    condition_.kind = Kind::kBus;
    TakeNot(3);
    std::vector<std::string> buses;
    for (const BusConfig& bus : names_.config().buses) buses.push_back(bus.id);
    if (words_.size() != 4 || words_[2] != "is") {
      return Fail(Quote(condition_.text), "\"bus\", its id, \"is\" and a state");
    }
    if (names_.config().FindBus(words_[1]) == nullptr) {
      return Fail("the bus " + Quote(words_[1]) + Suggestion(words_[1], buses),
                  "one of buses: " + JoinNames(buses));
    }
    const std::optional<uint32_t> mask = MaskOf(kBusStates, words_[3]);
    if (!mask) return Fail(Quote(words_[3]), JoinNames(NamesOf(kBusStates)));
    condition_.subject = words_[1];
    condition_.mask = *mask;
    return condition_;
  }

  std::optional<RuleCondition> ReadLevel() {
    condition_.kind = Kind::kLevel;
    TakeNot(3);
    std::vector<std::string> levels;
    for (const LevelRule& rule : names_.config().safety.levels) levels.push_back(rule.id);
    if (words_.size() != 4 || words_[2] != "is") {
      return Fail(Quote(condition_.text), "\"level\", its id, \"is\" and warning or dangerous");
    }
    if (names_.config().safety.FindLevel(words_[1]) == nullptr) {
      return Fail("the level " + Quote(words_[1]) + Suggestion(words_[1], levels),
                  "one of levels: " + JoinNames(levels));
    }
    condition_.subject = words_[1];
    for (const Level level : {Level::kWarning, Level::kDangerous}) {
      const std::string name(ToString(level));
      condition_.level = level;
      condition_.side = LevelSide::kAny;
      if (words_[3] == name) return condition_;
      condition_.side = LevelSide::kLow;
      if (words_[3] == name + "_low") return condition_;
      condition_.side = LevelSide::kHigh;
      if (words_[3] == name + "_high") return condition_;
    }
    return Fail(Quote(words_[3]), "warning, dangerous, or one of them with _low or _high");
  }

  std::optional<RuleCondition> ReadItem() {
    std::string& name = words_[0];
    if (name.starts_with("abs(") && name.ends_with(')')) {
      condition_.absolute = true;
      name = name.substr(4, name.size() - 5);
    }
    const bool is = words_[1] == "is";
    const std::optional<Comparison> comparison = ComparisonOf(words_[1]);
    if ((!is && !comparison) || words_.size() < 3) return Fail(Quote(condition_.text), kForm);
    const ItemSpec* spec = names_.NeedSpec(name, line_, path_, problems_);
    if (spec == nullptr) return std::nullopt;
    condition_.subject = name;
    condition_.kind = Kind::kValue;
    if (is) return ReadIs(*spec);
    condition_.comparison = *comparison;
    if (spec->type == ValueType::kText || spec->type == ValueType::kFlag) {
      return Fail(
          Quote(condition_.text) + ", where " + name + " is a " + std::string(ToString(spec->type)),
          spec->type == ValueType::kFlag ? "\"is true\" or \"is false\""
                                         : "an item that is a number or a flag");
    }
    std::string value = words_[2];
    for (size_t i = 3; i < words_.size(); ++i) value += " " + words_[i];
    const YamlNode node{.kind = YamlNode::Kind::kScalar, .line = line_, .text = value};
    const std::optional<double> bound = ReadNumber(node, path_, spec->unit, {}, problems_);
    if (!bound) return std::nullopt;
    SetBound(*bound, &condition_);
    return condition_;
  }

  std::optional<RuleCondition> ReadIs(const ItemSpec& spec) {
    TakeNot(2);
    if (words_.size() != 3) return Fail(Quote(condition_.text), kForm);
    const std::string& word = words_[2];
    if (const std::optional<uint32_t> mask = MaskOf(kQualities, word)) {
      condition_.kind = Kind::kQuality;
      condition_.mask = *mask;
      return condition_;
    }
    condition_.comparison = condition_.negated ? Comparison::kNotEqual : Comparison::kEqual;
    const bool negated = std::exchange(condition_.negated, false);
    if (spec.type == ValueType::kFlag && (word == "true" || word == "false")) {
      // A flag that is not true is false.
      condition_.comparison = Comparison::kEqual;
      condition_.counts = SafetyCounts((word == "true") != negated ? 1 : 0, kResolution);
      return condition_;
    }
    std::vector<std::string> labels = NamesOf(kQualities);
    for (const ValueLabel& label : spec.labels) {
      labels.emplace_back(label.name);
      if (word != label.name) continue;
      condition_.counts = SafetyCounts(label.value, kResolution);
      return condition_;
    }
    if (spec.type == ValueType::kFlag) labels.insert(labels.end(), {"true", "false"});
    return Fail(Quote(word) + Suggestion(word, labels), JoinNames(labels));
  }

  std::vector<std::string> words_;
  const int line_;
  const std::string path_;
  const RuleNames& names_;
  Problems* const problems_;
  RuleCondition condition_;
};

std::optional<RuleCondition> ReadParts(Kind kind, const YamlNode& list, std::string_view path,
                                       const RuleNames& names, Problems* problems) {
  if (list.kind != YamlNode::Kind::kList || list.items.empty() || list.items.size() > kMostParts) {
    problems->Add(list.line, path, list.Describe(),
                  "a list of conditions, at most " + std::to_string(kMostParts));
    return std::nullopt;
  }
  RuleCondition condition{.kind = kind, .line = list.line};
  bool whole = true;
  for (const YamlNode& item : list.items) {
    std::optional<RuleCondition> part = ReadCondition(item, path, names, problems);
    whole &= part.has_value();
    if (!part) continue;
    if (!condition.text.empty()) condition.text += kind == Kind::kAny ? " or " : " and ";
    const bool group = part->kind == Kind::kAny || part->kind == Kind::kAll;
    condition.text += group ? "(" + part->text + ")" : part->text;
    condition.parts.push_back(*std::move(part));
  }
  if (!whole) return std::nullopt;
  return condition;
}

}  // namespace

std::shared_ptr<const ItemTable> RuleNames::ItemsOf(const std::string& device_id) const {
  const auto known = tables_.find(device_id);
  if (known != tables_.end()) return known->second;
  const DeviceEntry* device = config_->FindDevice(device_id);
  if (device == nullptr || device->driver->items == nullptr) return nullptr;
  return tables_[device_id] = device->driver->items(device->config);
}

const ItemSpec* RuleNames::FindSpec(std::string_view name) const {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return nullptr;
  const std::shared_ptr<const ItemTable> table = ItemsOf(std::string(name.substr(0, slash)));
  if (table == nullptr) return nullptr;
  const std::optional<ItemId> item = table->Find(name.substr(slash + 1));
  return item ? &table->Spec(*item) : nullptr;
}

bool RuleNames::NeedDevice(const std::string& id, int line, std::string_view path,
                           Problems* problems) const {
  if (config_->FindDevice(id) != nullptr) return true;
  std::vector<std::string> ids;
  for (const DeviceEntry& device : config_->devices) ids.push_back(device.config.id);
  problems->Add(line, path, "the device " + Quote(id) + Suggestion(id, ids),
                "one of devices: " + JoinNames(ids));
  return false;
}

const ItemSpec* RuleNames::NeedSpec(std::string_view name, int line, std::string_view path,
                                    Problems* problems) const {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos || slash + 1 == name.size()) {
    problems->Add(line, path, Quote(name), "an item of a device, like \"bat0/pack.level\"");
    return nullptr;
  }
  const std::string device(name.substr(0, slash));
  if (!NeedDevice(device, line, path, problems)) return nullptr;
  const std::shared_ptr<const ItemTable> table = ItemsOf(device);
  if (table == nullptr) {
    problems->Add(line, path,
                  "an item of " + device + ", whose driver " +
                      config_->FindDevice(device)->driver->name + " does not tell its items",
                  "a device of another driver");
    return nullptr;
  }
  if (const ItemSpec* spec = FindSpec(name)) return spec;
  std::vector<std::string> items;
  // Nobody reads more suggestions than are shown, and each takes a while to find.
  for (ItemId i = 0; i < table->size() && problems->size() < Problems::kMaxShown; ++i) {
    items.push_back(table->Name(i));
  }
  problems->Add(
      line, path,
      "the item " + Quote(name.substr(slash + 1)) + Suggestion(name.substr(slash + 1), items),
      "an item of " + device);
  return nullptr;
}

std::optional<RuleCondition> ReadCondition(const YamlNode& node, std::string_view path,
                                           const RuleNames& names, Problems* problems) {
  switch (node.kind) {
    case YamlNode::Kind::kScalar:
      return LineReader(node, path, names, problems).Read();
    case YamlNode::Kind::kList:
      return ReadParts(Kind::kAny, node, path, names, problems);
    case YamlNode::Kind::kMap:
      if (node.entries.size() == 1 &&
          (node.entries[0].key == "any" || node.entries[0].key == "all")) {
        const YamlNode::Entry& entry = node.entries[0];
        return ReadParts(entry.key == "any" ? Kind::kAny : Kind::kAll, entry.value,
                         std::string(path) + "." + entry.key, names, problems);
      }
      break;
    case YamlNode::Kind::kNull:
      break;
  }
  problems->Add(node.line, path, node.Describe(),
                std::string(kForm) + ", a list of them, or a map with `any` or `all`");
  return std::nullopt;
}

}  // namespace canhub
