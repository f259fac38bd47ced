#include "daemon/config/map_reader.h"

#include <algorithm>

#include "daemon/config/quantity.h"

namespace canhub {
namespace {

// True when inside; otherwise reported.
bool CheckBounds(const YamlNode& node, std::string_view path, double value, std::string_view unit,
                 const Bounds& bounds, Problems* problems) {
  const std::string source = bounds.source.empty() ? "" : " (" + bounds.source + ")";
  if (bounds.minimum && value < *bounds.minimum) {
    problems->Add(node.line, path, node.text,
                  "at least " + FormatQuantity(*bounds.minimum, unit) + source);
    return false;
  }
  if (bounds.maximum && value > *bounds.maximum) {
    problems->Add(node.line, path, node.text,
                  "at most " + FormatQuantity(*bounds.maximum, unit) + source);
    return false;
  }
  return true;
}

bool IsPlain(const YamlNode& node) { return node.kind == YamlNode::Kind::kScalar && !node.quoted; }

}  // namespace

std::optional<std::string> ReadText(const YamlNode& node, std::string_view path, Problems* problems,
                                    std::string_view expected) {
  if (node.kind == YamlNode::Kind::kScalar && !node.text.empty()) return node.text;
  problems->Add(node.line, path, node.Describe(), expected);
  return std::nullopt;
}

std::optional<bool> ReadFlag(const YamlNode& node, std::string_view path, Problems* problems) {
  if (IsPlain(node) && node.text == "true") return true;
  if (IsPlain(node) && node.text == "false") return false;
  problems->Add(node.line, path, node.Describe(), "true or false");
  return std::nullopt;
}

std::optional<int64_t> ReadInteger(const YamlNode& node, std::string_view path,
                                   const Bounds& bounds, Problems* problems) {
  const std::optional<int64_t> value = IsPlain(node) ? ParseInteger(node.text) : std::nullopt;
  if (!value) {
    problems->Add(node.line, path, node.Describe(), "a whole number, like 3 or 0xFA");
    return std::nullopt;
  }
  if (!CheckBounds(node, path, static_cast<double>(*value), "", bounds, problems)) return {};
  return value;
}

std::optional<double> ReadNumber(const YamlNode& node, std::string_view path, std::string_view unit,
                                 const Bounds& bounds, Problems* problems) {
  std::optional<double> value;
  if (unit.empty()) {
    if (IsPlain(node)) value = ParseNumber(node.text);
    if (!value) problems->Add(node.line, path, node.Describe(), "a number without unit, like 0.5");
  } else if (node.kind != YamlNode::Kind::kScalar) {
    problems->Add(node.line, path, node.Describe(), QuantityForm(unit));
  } else {
    const absl::StatusOr<double> parsed = ParseQuantity(node.text, unit);
    if (parsed.ok()) {
      value = *parsed;
    } else {
      problems->Add(node.line, path, node.Describe(), std::string(parsed.status().message()));
    }
  }
  if (!value || !CheckBounds(node, path, *value, unit, bounds, problems)) return std::nullopt;
  return value;
}

std::optional<size_t> ReadChoice(const YamlNode& node, std::string_view path,
                                 const std::vector<std::string>& names, Problems* problems) {
  if (node.kind == YamlNode::Kind::kScalar) {
    const auto found = std::find(names.begin(), names.end(), node.text);
    if (found != names.end()) return found - names.begin();
    problems->Add(node.line, path, node.Describe(),
                  JoinNames(names) + Suggestion(node.text, names));
  } else {
    problems->Add(node.line, path, node.Describe(), JoinNames(names));
  }
  return std::nullopt;
}

MapReader::MapReader(const YamlNode& node, std::string path, Problems* problems)
    : node_(&node), path_(std::move(path)), line_(node.line), problems_(problems) {
  if (node.kind != YamlNode::Kind::kMap) {
    problems_->Add(line_, path_, node.Describe(), "a map");
    node_ = &empty_;
    valid_ = false;
  }
}

int MapReader::LineOf(std::string_view key) const {
  for (const YamlNode::Entry& entry : node_->entries) {
    if (entry.key == key) return entry.line;
  }
  return line_;
}

std::string MapReader::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const YamlNode* MapReader::Find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return node_->Find(key);
}

const YamlNode* MapReader::Need(std::string_view key, std::string_view expected) {
  const YamlNode* node = Find(key);
  if (node == nullptr && valid_) {
    problems_->Add(line_, PathOf(key), "no such key", expected);
  }
  return node;
}

std::optional<std::string> MapReader::Text(std::string_view key) {
  const YamlNode* node = Find(key);
  return node == nullptr ? std::nullopt : ReadText(*node, PathOf(key), problems_);
}

std::optional<bool> MapReader::Flag(std::string_view key) {
  const YamlNode* node = Find(key);
  return node == nullptr ? std::nullopt : ReadFlag(*node, PathOf(key), problems_);
}

std::optional<int64_t> MapReader::Integer(std::string_view key, const Bounds& bounds) {
  const YamlNode* node = Find(key);
  return node == nullptr ? std::nullopt : ReadInteger(*node, PathOf(key), bounds, problems_);
}

std::optional<double> MapReader::Number(std::string_view key, std::string_view unit,
                                        const Bounds& bounds) {
  const YamlNode* node = Find(key);
  return node == nullptr ? std::nullopt : ReadNumber(*node, PathOf(key), unit, bounds, problems_);
}

std::optional<size_t> MapReader::Choice(std::string_view key,
                                        const std::vector<std::string>& names) {
  const YamlNode* node = Find(key);
  return node == nullptr ? std::nullopt : ReadChoice(*node, PathOf(key), names, problems_);
}

void MapReader::Refuse(std::string_view key, std::string_view why) {
  const bool known = std::find(known_.begin(), known_.end(), key) != known_.end();
  if (!known && Find(key) != nullptr) problems_->Add(LineOf(key), PathOf(key), why);
}

void MapReader::RejectUnknown() {
  for (const YamlNode::Entry& entry : node_->entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    // Nobody reads more suggestions than are shown, and each takes a while to find.
    const std::string suggestion =
        problems_->size() < Problems::kMaxShown ? Suggestion(entry.key, known_) : "";
    problems_->Add(entry.line, PathOf(entry.key), "an unknown key" + suggestion,
                   "one of " + JoinNames(known_));
  }
}

}  // namespace canhub
