#include "daemon/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

namespace canhub {
namespace {

// 1 for the first line; yaml-cpp gives -1 where it does not know.
int LineOf(const YAML::Mark& mark) { return mark.line < 0 ? 1 : mark.line + 1; }

// Byte offset of the first byte that is not UTF-8, or a control character YAML does not have.
std::optional<size_t> FindBadByte(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const unsigned char c = text[i];
    if (c < 0x80) {
      if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) return i;
      ++i;
      continue;
    }
    const int length = c >= 0xC2 && c <= 0xDF   ? 2
                       : (c & 0xF0) == 0xE0     ? 3
                       : c >= 0xF0 && c <= 0xF4 ? 4
                                                : 0;
    if (length == 0 || i + length > text.size()) return i;
    uint32_t code = c & (0xFF >> (length + 1));
    for (int k = 1; k < length; ++k) {
      const unsigned char next = text[i + k];
      if ((next & 0xC0) != 0x80) return i;
      code = code << 6 | (next & 0x3F);
    }
    // Overlong forms, surrogates, and what lies beyond Unicode.
    if ((length == 3 && code < 0x800) || (length == 4 && code < 0x10000) || code > 0x10FFFF ||
        (code >= 0xD800 && code <= 0xDFFF)) {
      return i;
    }
    i += length;
  }
  return std::nullopt;
}

// Builds the tree from the parser's events. Nothing is thrown: once a bound is exceeded the rest of
// the events are let pass.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Problems& problems) : problems_(problems) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    CheckAnchor(mark, anchor);
    Leaf({.kind = YamlNode::Kind::kNull, .line = LineOf(mark)});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(LineOf(mark), "an alias (*)", "the value itself");
    Leaf({.kind = YamlNode::Kind::kNull, .line = LineOf(mark)});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckAnchor(mark, anchor);
    CheckTag(mark, tag);
    // yaml-cpp's tag is "?" for a plain scalar and "!" for a quoted one.
    Leaf({.kind = YamlNode::Kind::kScalar,
          .line = LineOf(mark),
          .text = value,
          .quoted = tag == "!"});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    CheckAnchor(mark, anchor);
    CheckTag(mark, tag);
    Open({.kind = YamlNode::Kind::kList, .line = LineOf(mark)});
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    CheckAnchor(mark, anchor);
    CheckTag(mark, tag);
    Open({.kind = YamlNode::Kind::kMap, .line = LineOf(mark)});
  }
  void OnMapEnd() override { Close(); }

  // After the whole document was read without an exception.
  std::optional<YamlNode> Take() {
    if (unclear_) return std::nullopt;
    return std::move(root_);
  }

 private:
  struct Level {
    YamlNode node;
    // Of a map: the key whose value comes next.
    std::optional<YamlNode::Entry> key;
    bool key_is_double = false;
    std::map<std::string, int> lines;  // of the keys so far
    // This container stands where a key should.
    bool is_key = false;
  };

  std::string Path() const {
    std::string path;
    for (const Level& level : stack_) {
      if (level.node.kind == YamlNode::Kind::kList) {
        path += "[" + std::to_string(level.node.items.size()) + "]";
      } else if (level.key) {
        if (!path.empty()) path += ".";
        path += level.key->key;
      }
    }
    return path;
  }
  void Refuse(int line, const std::string& found, const std::string& expected) {
    if (stopped_) return;
    problems_.Add(line, Path(), found, expected);
    unclear_ = true;
  }
  void Stop(int line, const std::string& found) {
    problems_.Add(line, "", found, "a configuration");
    stopped_ = unclear_ = true;
  }
  void CheckAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) Refuse(LineOf(mark), "an anchor (&)", "none: write the value out");
  }
  void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    Refuse(LineOf(mark), "the tag " + Quote(tag), "none");
  }
  bool ExpectsKey() const {
    return !stack_.empty() && stack_.back().node.kind == YamlNode::Kind::kMap && !stack_.back().key;
  }
  // Counts a node; false once there are too many.
  bool Count(int line) {
    if (stopped_) return false;
    if (++nodes_ <= kMaxYamlNodes) return true;
    Stop(line, "more than " + std::to_string(kMaxYamlNodes) + " values");
    return false;
  }
  void Leaf(YamlNode node) {
    if (!Count(node.line)) return;
    if (!ExpectsKey()) return Place(std::move(node));
    Level& map = stack_.back();
    const int line = node.line;
    if (node.kind == YamlNode::Kind::kNull) {
      Refuse(line, "nothing", "a key");
      map.key = YamlNode::Entry{.key = "", .line = line};
      return;
    }
    const auto [first, is_new] = map.lines.emplace(node.text, line);
    map.key_is_double = !is_new;
    if (!is_new) {
      const std::string path = Path();
      problems_.Add(line, (path.empty() ? "" : path + ".") + node.text,
                    "found the key twice (first in line " + std::to_string(first->second) +
                        "), expected it once");
    }
    map.key = YamlNode::Entry{.key = std::move(node.text), .line = line};
  }
  void Open(YamlNode node) {
    if (!Count(node.line)) return;
    const bool is_key = ExpectsKey();
    if (is_key) Refuse(node.line, node.Describe(), "a word as key");
    if (static_cast<int>(stack_.size()) >= kMaxYamlDepth) {
      Stop(node.line, "more than " + std::to_string(kMaxYamlDepth) + " levels within each other");
      return;
    }
    stack_.push_back({.node = std::move(node), .is_key = is_key});
  }
  void Close() {
    if (stack_.empty()) return;
    if (stopped_) return;  // the matching Open may have been let pass
    Level level = std::move(stack_.back());
    stack_.pop_back();
    if (level.is_key) {
      if (!stack_.empty()) stack_.back().key = YamlNode::Entry{.key = "", .line = level.node.line};
      return;
    }
    Place(std::move(level.node));
  }
  void Place(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = stack_.back();
    if (level.node.kind == YamlNode::Kind::kList) {
      level.node.items.push_back(std::move(node));
      return;
    }
    if (!level.key) return;
    // yaml-cpp gives an absent value the line of whatever follows.
    if (node.kind == YamlNode::Kind::kNull) node.line = level.key->line;
    level.key->value = std::move(node);
    if (!level.key_is_double) level.node.entries.push_back(std::move(*level.key));
    level.key_is_double = false;
    level.key.reset();
  }

  Problems& problems_;
  YamlNode root_;
  std::vector<Level> stack_;
  int nodes_ = 0;
  bool stopped_ = false;  // a bound was exceeded: events are let pass
  bool unclear_ = false;  // the tree does not say what the file means
};

// Sees whether there is anything after the first document.
class Ignore final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (line == 0) line = LineOf(mark);
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
  int line = 0;
};

}  // namespace

const YamlNode* YamlNode::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::string YamlNode::Describe() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return quoted ? Quote(text) + " in quotes" : Quote(text);
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "?";
}

std::optional<YamlNode> ParseYaml(std::string_view text, Problems& problems) {
  if (text.size() > kMaxYamlBytes) {
    problems.Add(1, "", std::to_string(text.size()) + " bytes",
                 "at most " + std::to_string(kMaxYamlBytes));
    return std::nullopt;
  }
  if (const std::optional<size_t> bad = FindBadByte(text)) {
    const int line = 1 + static_cast<int>(std::count(text.begin(), text.begin() + *bad, '\n'));
    static constexpr char kHex[] = "0123456789ABCDEF";
    const unsigned char c = text[*bad];
    problems.Add(line, "", std::string("the byte 0x") + kHex[c >> 4] + kHex[c & 15],
                 "UTF-8 text without control characters");
    return std::nullopt;
  }
  TreeBuilder builder(problems);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    Ignore rest;
    if (parser.HandleNextDocument(rest)) {
      problems.Add(rest.line, "", "a second document (---)", "one");
    }
  } catch (const YAML::Exception& error) {
    problems.Add(LineOf(error.mark), "", "found what is not YAML: " + error.msg);
    return std::nullopt;
  } catch (const std::exception& error) {
    problems.Add(1, "", std::string("found what is not YAML: ") + error.what());
    return std::nullopt;
  }
  return builder.Take();
}

}  // namespace canhub
