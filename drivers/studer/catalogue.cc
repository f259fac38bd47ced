#include "drivers/studer/catalogue.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <set>

#include "drivers/api/errors.h"
#include "drivers/studer/catalogue_data.h"
#include "drivers/studer/csv.h"

namespace canhub::studer {
namespace {

constexpr char kInfosFile[] = "studer-user-infos.csv";
constexpr char kParametersFile[] = "studer-parameters.csv";
constexpr char kMessagesFile[] = "studer-messages.csv";

// Section 4.
constexpr std::array<FamilyInfo, kFamilyCount> kFamilies = {{
    {Family::kXtender, "xtender", "Xtender", 101, 109, 100},
    {Family::kRcc, "rcc", "RCC / Xcom", 501, 505, 500},
    {Family::kBsp, "bsp", "BSP", 601, 601, 600},
    {Family::kBms, "bms", "Xcom-CAN BMS", 601, 601, 600},
    {Family::kVarioTrack, "variotrack", "VarioTrack", 301, 315, 300},
    {Family::kVarioString, "variostring", "VarioString", 701, 715, 700},
}};

// Reads the fields of one row; the first that is wrong is the error.
class RowReader {
 public:
  RowReader(const char* file, const std::vector<std::string>& columns, const CsvRow& row)
      : file_(file), columns_(columns), row_(row) {}

  const std::string& Text(std::string_view column) const {
    const auto at = std::find(columns_.begin(), columns_.end(), column);
    return row_.fields[static_cast<size_t>(at - columns_.begin())];
  }
  std::string Needed(std::string_view column) {
    if (Text(column).empty()) Wrong(column, "a text");
    return Text(column);
  }
  std::optional<double> OptionalNumber(std::string_view column) {
    const std::string& text = Text(column);
    if (text.empty()) return std::nullopt;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
      Wrong(column, "a number");
    }
    return value;
  }
  int Integer(std::string_view column, int minimum, int maximum) {
    const std::string& text = Text(column);
    int value = minimum;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < minimum ||
        value > maximum) {
      Wrong(column,
            "a whole number from " + std::to_string(minimum) + " to " + std::to_string(maximum));
      return minimum;
    }
    return value;
  }
  uint16_t Id(std::string_view column) { return static_cast<uint16_t>(Integer(column, 0, 0xFFFF)); }
  // The index among `words`.
  size_t Word(std::string_view column, const std::vector<std::string_view>& words) {
    const auto at = std::find(words.begin(), words.end(), Text(column));
    if (at != words.end()) return static_cast<size_t>(at - words.begin());
    std::string expected;
    for (const std::string_view word : words) {
      expected += (expected.empty() ? "\"" : ", \"") + std::string(word) + "\"";
    }
    Wrong(column, "one of " + expected);
    return 0;
  }
  void Wrong(std::string_view column, const std::string& expected) {
    if (!status_.ok()) return;
    const std::string line = std::to_string(row_.line);
    status_ = MakeError(absl::StatusCode::kInvalidArgument, "BAD_TABLE",
                        std::string(file_) + ":" + line + ": " + std::string(column) +
                            ": found \"" + Text(column) + "\", expected " + expected,
                        {{"file", file_}, {"line", line}, {"column", std::string(column)}});
  }
  const absl::Status& status() const { return status_; }

 private:
  const char* file_;
  const std::vector<std::string>& columns_;
  const CsvRow& row_;
  absl::Status status_;
};

std::string Slug(std::string_view name) {
  std::string slug;
  for (const char c : name) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      slug += c;
    } else if (c >= 'A' && c <= 'Z') {
      slug += static_cast<char>(c - 'A' + 'a');
    } else if (!slug.empty() && slug.back() != '_') {
      slug += '_';
    }
  }
  while (!slug.empty() && slug.back() == '_') slug.pop_back();
  return slug;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Family ReadFamily(RowReader& row) {
  std::vector<std::string_view> names;
  for (const FamilyInfo& family : kFamilies) names.emplace_back(family.csv_name);
  const FamilyInfo& family = kFamilies[row.Word("family", names)];
  const std::string first = std::to_string(family.first);
  const std::string addresses =
      family.first == family.last ? first : first + "-" + std::to_string(family.last);
  row.Word("unicast_addresses", {addresses});
  row.Word("group_address", {std::to_string(family.group)});
  return family.family;
}

// "0=Opened|1=Closed".
void ReadLabels(RowReader& row, Entry* entry) {
  std::vector<int> values;
  for (const std::string& part : Split(row.Text("enum_values"), '|')) {
    const size_t equals = part.find('=');
    int value = 0;
    const char* const end = part.data() + std::min(equals, part.size());
    const auto [parsed, error] = std::from_chars(part.data(), end, value);
    if (equals == std::string::npos || error != std::errc() || parsed != end ||
        equals + 1 == part.size()) {
      return row.Wrong("enum_values", "number=meaning, separated by bars");
    }
    values.push_back(value);
    entry->label_texts.push_back(part.substr(equals + 1));
  }
  // The texts stay where they are: an entry is only ever moved.
  for (size_t i = 0; i < values.size(); ++i) {
    entry->labels.push_back({values[i], entry->label_texts[i].c_str()});
  }
}

void ReadCommon(RowReader& row, Entry* entry) {
  entry->family = ReadFamily(row);
  entry->id = row.Id("id");
  entry->id_text = std::to_string(entry->id);
  entry->name = row.Needed("name");
  entry->unit = row.Text("unit");
  entry->notes = row.Text("notes");
  entry->slug = Slug(entry->name);
  if (entry->slug.empty()) row.Wrong("name", "letters or digits");
  row.Needed("sources");
  entry->two_sources = row.Word("confidence", {"two", "one"}) == 0;
}

// "min {1109} max {1110}".
void ReadRuntimeLimits(RowReader& row, Entry* entry) {
  const std::string& text = row.Text("runtime_limits");
  if (text.empty()) return;
  const std::vector<std::string> words = Split(text, ' ');
  for (size_t i = 0; i + 1 < words.size(); i += 2) {
    const std::string& word = words[i + 1];
    uint16_t id = 0;
    const bool braces = word.size() > 2 && word.front() == '{' && word.back() == '}';
    const auto [end, error] = std::from_chars(word.data() + 1, word.data() + word.size() - 1, id);
    if (braces && error == std::errc() && end == word.data() + word.size() - 1) {
      if (words[i] == "min") entry->minimum_from = id;
      if (words[i] == "max") entry->maximum_from = id;
    }
  }
  const std::string read =
      (entry->minimum_from != 0 ? "min {" + std::to_string(entry->minimum_from) + "}" : "") +
      (entry->minimum_from != 0 && entry->maximum_from != 0 ? " " : "") +
      (entry->maximum_from != 0 ? "max {" + std::to_string(entry->maximum_from) + "}" : "");
  if (read != text) row.Wrong("runtime_limits", "\"min {id}\", \"max {id}\" or both");
}

void CheckBounds(RowReader& row, const Entry& entry) {
  const Bounds& bounds = entry.bounds;
  const bool whole = bounds.default_value && bounds.minimum && bounds.maximum;
  switch (entry.format) {
    case Format::kNumber:
    case Format::kEnum:
    case Format::kWeekdays:
    case Format::kMinutes:
    case Format::kFlag:
      if (!whole || *bounds.minimum > *bounds.default_value ||
          *bounds.default_value > *bounds.maximum) {
        row.Wrong("default", "a default between min and max");
      }
      break;
    case Format::kSignal:
    case Format::kMenu:
      if (bounds.default_value || bounds.minimum || bounds.maximum) {
        row.Wrong("default", "no value of what has none");
      }
      break;
    default:
      break;
  }
}

bool IsWordOf(std::string_view text, std::string_view word) {
  const auto boundary = [](char c) { return !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')); };
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || boundary(text[at - 1])) && (end == text.size() || boundary(text[end]))) {
      return true;
    }
  }
  return false;
}

// How well the entry answers the words; 0: not.
int Score(const Entry& entry, const std::vector<std::string>& words, std::string_view slug) {
  const std::string name = Lower(entry.name);
  std::string rest = Lower(entry.short_name) + " " + entry.id_text + " " + Lower(entry.unit);
  for (const std::string& label : entry.label_texts) rest += " " + Lower(label);
  int score = 1;
  for (const std::string& word : words) {
    if (IsWordOf(name, word) || word == entry.id_text) {
      score += 20;
    } else if (name.find(word) != std::string::npos) {
      score += 10;
    } else if (rest.find(word) != std::string::npos) {
      score += 2;
    } else {
      return 0;
    }
  }
  if (entry.slug == slug) score += 1000;
  if (std::string_view(entry.slug).starts_with(slug)) score += 15;
  if (!entry.parameter) score += 5;
  return score;
}

}  // namespace

const FamilyInfo& Describe(Family family) { return kFamilies[static_cast<size_t>(family)]; }

std::optional<Family> FindFamily(std::string_view name) {
  for (const FamilyInfo& family : kFamilies) {
    if (name == family.name) return family.family;
  }
  return std::nullopt;
}

bool Entry::IsObject() const {
  // Remote controls are sources of notifications only (section 4).
  return format != Format::kMenu && format != Format::kUnsupported && format != Format::kSeconds &&
         family != Family::kRcc;
}

Bounds BoundsOf(const Entry& entry, int battery_voltage, bool is_120v) {
  Bounds bounds = is_120v && entry.bounds_120v ? *entry.bounds_120v : entry.bounds;
  if (entry.scales) {
    for (std::optional<double>* value : {&bounds.default_value, &bounds.minimum, &bounds.maximum}) {
      if (*value) **value = **value * battery_voltage / 48;
    }
  }
  return bounds;
}

std::string_view ToString(MessageClass message_class) {
  switch (message_class) {
    case MessageClass::kInfo:
      return "info";
    case MessageClass::kWarning:
      return "warning";
    case MessageClass::kError:
      return "error";
    case MessageClass::kHalted:
      return "halted";
  }
  return "";
}

absl::StatusOr<Catalogue> Catalogue::Parse(const CatalogueTexts& texts) {
  Catalogue catalogue;
  absl::Status status = catalogue.AddInfos(texts.infos);
  if (status.ok()) status = catalogue.AddParameters(texts.parameters);
  if (status.ok()) status = catalogue.AddMessages(texts.messages);
  if (status.ok()) status = catalogue.Finish();
  if (!status.ok()) return status;
  return catalogue;
}

const Catalogue& Catalogue::Get() {
  static const Catalogue* const catalogue = [] {
    absl::StatusOr<Catalogue> parsed = Parse(BuiltInTexts());
    if (!parsed.ok()) {
      // Part of the program, and a test has read it.
      std::fprintf(stderr, "%s\n", parsed.status().ToString().c_str());
      std::abort();
    }
    return new Catalogue(*std::move(parsed));
  }();
  return *catalogue;
}

absl::Status Catalogue::AddInfos(std::string_view text) {
  static const std::vector<std::string> kColumns = {
      "family",   "unicast_addresses", "group_address", "id",    "name",    "short_name", "unit",
      "rcc_unit", "native_format",     "enum_values",   "notes", "sources", "confidence"};
  absl::StatusOr<std::vector<CsvRow>> rows = ParseCsv(text, kInfosFile, kColumns);
  if (!rows.ok()) return rows.status();
  for (const CsvRow& fields : *rows) {
    RowReader row(kInfosFile, kColumns, fields);
    Entry entry;
    ReadCommon(row, &entry);
    entry.short_name = row.Text("short_name");
    if (row.Word("native_format", {"FLOAT", "SHORT_ENUM"}) == 1) {
      entry.format = Format::kEnum;
      ReadLabels(row, &entry);
    } else if (!row.Text("enum_values").empty()) {
      row.Wrong("enum_values", "none for a FLOAT");
    }
    if (!row.status().ok()) return row.status();
    entries_.push_back(std::move(entry));
  }
  return absl::OkStatus();
}

absl::Status Catalogue::AddParameters(std::string_view text) {
  static const std::vector<std::string> kColumns = {"family",
                                                    "unicast_addresses",
                                                    "group_address",
                                                    "id",
                                                    "parent_menu_id",
                                                    "name",
                                                    "unit",
                                                    "native_format",
                                                    "kind",
                                                    "default",
                                                    "min",
                                                    "max",
                                                    "increment",
                                                    "level",
                                                    "level_code",
                                                    "default_120v",
                                                    "min_120v",
                                                    "max_120v",
                                                    "enum_values",
                                                    "scales_with_battery_voltage",
                                                    "runtime_limits",
                                                    "notes",
                                                    "sources",
                                                    "confidence"};
  // The kinds, and the native format that each must have.
  static const std::vector<std::string_view> kKinds = {
      "NUMBER", "BOOL", "ENUM",         "WEEKDAYS",    "MINUTES_OF_DAY",
      "SIGNAL", "INT",  "UNIX_SECONDS", "UNSUPPORTED", "MENU"};
  static const std::vector<std::string_view> kNative = {
      "FLOAT", "BOOL",  "LONG_ENUM", "LONG_ENUM",     "INT32",
      "INT32", "INT32", "INT32",     "NOT_SUPPORTED", "ONLY_LEVEL"};
  static const Format kFormats[] = {
      Format::kNumber, Format::kFlag,    Format::kEnum,    Format::kWeekdays,    Format::kMinutes,
      Format::kSignal, Format::kInteger, Format::kSeconds, Format::kUnsupported, Format::kMenu};
  static const std::vector<std::string_view> kLevels = {"VIEW_ONLY", "BASIC", "EXPERT", "INSTALLER",
                                                        "QSP"};
  static const std::vector<std::string_view> kLevelCodes = {"0x00", "0x10", "0x20", "0x30", "0x40"};
  absl::StatusOr<std::vector<CsvRow>> rows = ParseCsv(text, kParametersFile, kColumns);
  if (!rows.ok()) return rows.status();
  for (const CsvRow& fields : *rows) {
    RowReader row(kParametersFile, kColumns, fields);
    Entry entry;
    entry.parameter = true;
    ReadCommon(row, &entry);
    if (!row.Text("parent_menu_id").empty()) entry.menu = row.Id("parent_menu_id");
    const size_t kind = row.Word("kind", kKinds);
    entry.format = kFormats[kind];
    row.Word("native_format", {kNative[kind]});
    entry.bounds = {row.OptionalNumber("default"), row.OptionalNumber("min"),
                    row.OptionalNumber("max")};
    entry.increment = row.OptionalNumber("increment").value_or(0);
    if (entry.increment < 0) row.Wrong("increment", "a positive number");
    const Bounds bounds_120v = {row.OptionalNumber("default_120v"), row.OptionalNumber("min_120v"),
                                row.OptionalNumber("max_120v")};
    if (bounds_120v.default_value || bounds_120v.minimum || bounds_120v.maximum) {
      // What the columns leave out is as for 230 V.
      entry.bounds_120v =
          Bounds{bounds_120v.default_value ? bounds_120v.default_value : entry.bounds.default_value,
                 bounds_120v.minimum ? bounds_120v.minimum : entry.bounds.minimum,
                 bounds_120v.maximum ? bounds_120v.maximum : entry.bounds.maximum};
    }
    const size_t level = row.Word("level", kLevels);
    row.Word("level_code", {kLevelCodes[level]});
    entry.level = static_cast<int>(level) << 4;
    entry.level_name = kLevels[level];
    entry.scales =
        row.Word("scales_with_battery_voltage", {"", "n/a (48 V only family)", "yes"}) == 2;
    if (entry.format == Format::kEnum) {
      ReadLabels(row, &entry);
    } else if (entry.format == Format::kWeekdays) {
      row.Word("enum_values", {"bit0=Mo|bit1=Tu|bit2=We|bit3=Th|bit4=Fr|bit5=Sa|bit6=Su"});
    } else if (entry.format == Format::kSignal) {
      row.Word("enum_values", {"write 1 to trigger"});
    }
    ReadRuntimeLimits(row, &entry);
    CheckBounds(row, entry);
    if (!row.status().ok()) return row.status();
    entries_.push_back(std::move(entry));
  }
  return absl::OkStatus();
}

absl::Status Catalogue::AddMessages(std::string_view text) {
  static const std::vector<std::string> kColumns = {"id", "class", "meaning", "sources",
                                                    "confidence"};
  absl::StatusOr<std::vector<CsvRow>> rows = ParseCsv(text, kMessagesFile, kColumns);
  if (!rows.ok()) return rows.status();
  for (const CsvRow& fields : *rows) {
    RowReader row(kMessagesFile, kColumns, fields);
    Message message;
    message.id = row.Id("id");
    message.message_class =
        static_cast<MessageClass>(row.Word("class", {"Info", "Warning", "Error", "Halted"}));
    message.text = row.Needed("meaning");
    row.Needed("sources");
    row.Word("confidence", {"two", "one"});
    if (!messages_.empty() && messages_.back().id >= message.id) {
      row.Wrong("id", "ids in rising order");
    }
    if (!row.status().ok()) return row.status();
    messages_.push_back(std::move(message));
  }
  return absl::OkStatus();
}

absl::Status Catalogue::Finish() {
  // Names that occur more than once get the id; of infos the newest keeps the plain name, for it is
  // the more accurate one of the same quantity (3136 of 3087 and 3136).
  std::map<std::pair<Family, std::string>, std::vector<size_t>> same[2];
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (!by_id_.emplace(std::pair(entry.family, entry.id), i).second) {
      return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TABLE",
                       std::string(entry.parameter ? kParametersFile : kInfosFile) + ": the id " +
                           entry.id_text + " is there twice for " + Describe(entry.family).name,
                       {{"id", entry.id_text}});
    }
    if (entry.format == Format::kMenu) continue;
    same[entry.parameter ? 1 : 0][{entry.family, entry.slug}].push_back(i);
  }
  for (const bool parameter : {false, true}) {
    for (const auto& [key, indices] : same[parameter ? 1 : 0]) {
      if (indices.size() < 2) continue;
      const size_t newest =
          *std::max_element(indices.begin(), indices.end(),
                            [&](size_t a, size_t b) { return entries_[a].id < entries_[b].id; });
      for (const size_t i : indices) {
        if (parameter || i != newest) entries_[i].slug += "_" + entries_[i].id_text;
      }
    }
  }
  for (const Entry& entry : entries_) {
    for (const uint16_t id : {entry.minimum_from, entry.maximum_from}) {
      if (id == 0 || by_id_.contains({entry.family, id})) continue;
      return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TABLE",
                       std::string(kParametersFile) + ": " + entry.id_text +
                           ": runtime_limits names " + std::to_string(id) +
                           ", which is not in the table",
                       {{"id", entry.id_text}});
    }
  }
  return absl::OkStatus();
}

const Entry* Catalogue::Find(Family family, uint16_t id) const {
  const auto it = by_id_.find({family, id});
  return it == by_id_.end() ? nullptr : &entries_[it->second];
}

const Entry* Catalogue::FindByName(Family family, std::string_view name) const {
  uint16_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error == std::errc() && end == name.data() + name.size()) return Find(family, id);
  const bool parameter_only = name.starts_with(kParameterItems);
  if (parameter_only) name.remove_prefix(std::string_view(kParameterItems).size());
  for (const Entry& entry : entries_) {
    if (entry.family == family && entry.slug == name && entry.format != Format::kMenu &&
        (entry.parameter || !parameter_only)) {
      return &entry;
    }
  }
  return nullptr;
}

const Message* Catalogue::FindMessage(uint16_t id) const {
  const auto it = std::lower_bound(messages_.begin(), messages_.end(), id,
                                   [](const Message& m, uint16_t wanted) { return m.id < wanted; });
  return it == messages_.end() || it->id != id ? nullptr : &*it;
}

std::vector<const Entry*> Catalogue::Search(std::string_view words,
                                            std::optional<Family> family) const {
  std::vector<std::string> wanted;
  for (const std::string& word : Split(Slug(words), '_')) {
    if (!word.empty()) wanted.push_back(word);
  }
  if (wanted.empty()) return {};
  std::vector<std::pair<int, const Entry*>> found;
  for (const Entry& entry : entries_) {
    if (entry.format == Format::kMenu || (family && entry.family != *family)) continue;
    if (const int score = Score(entry, wanted, Slug(words)); score > 0) {
      found.emplace_back(score, &entry);
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first > b.first;
    return a.second->name.size() < b.second->name.size();
  });
  std::vector<const Entry*> entries;
  for (const auto& [score, entry] : found) entries.push_back(entry);
  return entries;
}

}  // namespace canhub::studer
