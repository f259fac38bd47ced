// Every name of iCS (section 20 of the facts) and every command of isegcan leads to an item, an
// action or a call that exists, or says why there is none; and the README's tables name them all.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "drivers/api/high_voltage.h"
#include "drivers/iseg/driver.h"
#include "drivers/iseg/items.h"
#include "drivers/iseg/settings.h"
#include "drivers/iseg/simulator.h"
#include "gtest/gtest.h"

namespace canhub::iseg {
namespace {

namespace fs = std::filesystem;

fs::path Folder() { return fs::path(CANHUB_SOURCE_DIR) / "drivers/iseg"; }

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Row {
  std::string scope;
  std::string name;
  std::string target;
};

std::vector<Row> ReadTable(const char* file) {
  std::istringstream lines(ReadFile(Folder() / "testdata" / file));
  std::vector<Row> rows;
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "scope,name,target");
  while (std::getline(lines, line)) {
    const size_t first = line.find(',');
    const size_t second = line.find(',', first + 1);
    EXPECT_NE(second, std::string::npos) << line;
    if (second == std::string::npos) continue;
    rows.push_back({line.substr(0, first), line.substr(first + 1, second - first - 1),
                    line.substr(second + 1)});
  }
  return rows;
}

bool HasItem(std::string_view scope, std::string_view name) {
  const std::span<const ItemEntry> entries = scope == "module"    ? ModuleEntries()
                                             : scope == "channel" ? ChannelEntries()
                                             : scope == "crate"   ? CrateEntries()
                                                                  : std::span<const ItemEntry>();
  return std::any_of(entries.begin(), entries.end(),
                     [name](const ItemEntry& entry) { return name == entry.spec.name; });
}

bool HasAction(std::string_view name) {
  namespace action = high_voltage::action;
  const std::set<std::string_view> actions = {
      action::kSwitchOn,        action::kSwitchOff,      action::kRampDown,
      action::kEmergencyOff,    action::kClearEvents,    action::kReleaseEmergencyOff,
      action::kSetRamp,         action::kPrepareRemoval, action::kSaveSetValues,
      action::kRecallSetValues, action::kResetSetValues, action::kFactoryReset,
      action::kLiveInsertionOn, action::kRestartScan,    action::kLiveInsertionOff,
      action::kRawExchange,     action::kCratePower,     action::kCratePowerForced};
  return actions.count(name) != 0;
}

// "BusService.GetBus" → the rpc stands in the service's proto.
bool HasCall(const std::string& call) {
  const size_t dot = call.find('.');
  if (dot == std::string::npos) return false;
  const std::string service = call.substr(0, dot);
  for (const auto& entry : fs::directory_iterator(Folder() / "../../proto/canhub/v1")) {
    if (entry.path().extension() != ".proto") continue;
    const std::string text = ReadFile(entry.path());
    if (text.find("service " + service + " {") == std::string::npos) continue;
    return text.find("rpc " + call.substr(dot + 1) + "(") != std::string::npos;
  }
  return false;
}

void CheckTargets(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const std::string where = row.scope + " " + row.name + ": ";
    if (row.target.rfind("none:", 0) == 0) {
      EXPECT_GT(row.target.size(), std::string("none:").size() + 10) << where << "why not?";
      continue;
    }
    std::istringstream targets(row.target);
    std::string target;
    int count = 0;
    while (targets >> target) {
      ++count;
      const size_t colon = target.find(':');
      ASSERT_NE(colon, std::string::npos) << where << target;
      const std::string kind = target.substr(0, colon);
      const std::string what = target.substr(colon + 1);
      if (kind == "item") {
        const size_t dot = what.find('.');
        ASSERT_NE(dot, std::string::npos) << where << target;
        EXPECT_TRUE(HasItem(what.substr(0, dot), what.substr(dot + 1))) << where << what;
      } else if (kind == "action") {
        EXPECT_TRUE(HasAction(what)) << where << what;
      } else {
        EXPECT_EQ(kind, "call") << where << target;
        EXPECT_TRUE(HasCall(what)) << where << what;
      }
    }
    EXPECT_GT(count, 0) << where << "no target";
  }
}

TEST(IcsNames, AllHaveATargetThatExists) { CheckTargets(ReadTable("ics_names.csv")); }

TEST(IcsNames, AreAllOfSection20) {
  std::map<std::string, int> counts;
  std::set<std::pair<std::string, std::string>> names;
  for (const Row& row : ReadTable("ics_names.csv")) {
    ++counts[row.scope];
    EXPECT_TRUE(names.insert({row.scope, row.name}).second) << row.scope << " " << row.name;
  }
  // Counted in the facts: 20.1, 20.2, 20.3, and 20.4 to 20.6 together.
  EXPECT_EQ(counts["connection"], 43);
  EXPECT_EQ(counts["crate"], 32);
  EXPECT_EQ(counts["module"], 50);
  EXPECT_EQ(counts["channel"], 125);
}

// The vendor's names of the item tables are iCS names: "Status.on" is what getStatusOn reads.
TEST(IcsNames, EveryAliasIsOneOfThem) {
  std::set<std::pair<std::string, std::string>> names;
  for (const Row& row : ReadTable("ics_names.csv")) names.insert({row.scope, row.name});
  // Names that iCS has for a neighbour or for a whole list.
  const std::set<std::string> composed = {"Status.serialNumber", "Status.temperature0",
                                          "Status.temperature1", "Status.heartBeat",
                                          "Setup.cycleTime",     "Status.liveInsertion"};
  const std::pair<const char*, std::span<const ItemEntry>> scopes[] = {
      {"module", ModuleEntries()}, {"channel", ChannelEntries()}, {"crate", CrateEntries()}};
  for (const auto& [scope, entries] : scopes) {
    for (const ItemEntry& entry : entries) {
      const std::string alias = entry.spec.alias;
      const size_t dot = alias.find('.');
      if (dot == std::string::npos || composed.count(alias) != 0) continue;
      std::string method = alias.substr(0, dot) + alias.substr(dot + 1);
      method[dot] = static_cast<char>(std::toupper(method[dot]));
      if (method.find("ModeList") != std::string::npos) method.pop_back();
      EXPECT_TRUE(names.count({scope, "get" + method}) != 0) << scope << " " << alias;
    }
  }
}

// A client that has an iCS name uses it as it is: "ch3.Status.voltageMeasure".
TEST(IcsNames, OfGettersResolveToTheirItems) {
  // A device with everything: features that exclude each other, one after the other.
  constexpr Features kAll = ~Features{0};
  const DeviceItems modules[] = {
      BuildModuleItems(16, kAll & ~(feature::kNarrow | feature::kOldBoard |
                                    feature::kModuleVoltageRampOnly | feature::kIndexedLimits)),
      BuildModuleItems(16, kAll & ~(feature::kWide | feature::kNewBoard |
                                    feature::kChannelVoltageRamp | feature::kModuleLimits))};
  const DeviceItems crate = BuildCrateItems();
  // Second names: an item has one alias, and that is the other one (README: "iCS and isegcan
  // names").
  const std::set<std::string> second = {"getControlLiveInsertion", "getStatusRamping",
                                        "getStatusVoltageMeasureWithTimestamp",
                                        "getStatusCurrentMeasureWithTimestamp"};
  int resolved = 0;
  for (const Row& row : ReadTable("ics_names.csv")) {
    if (second.count(row.name) != 0) continue;
    std::string method = row.name.substr(0, 3) == "get" ? row.name.substr(3) : "";
    if (method.empty() || row.target.rfind("item:", 0) != 0 ||
        row.target.find(' ') != std::string::npos) {
      continue;
    }
    for (const char* group : {"Status", "Control", "Setup", "Event", "Error"}) {
      const size_t length = std::string(group).size();
      if (method.rfind(group, 0) != 0) continue;
      method[length] = static_cast<char>(std::tolower(method[length]));
      method.insert(length, ".");
      break;
    }
    const std::string prefix = row.scope == "channel" ? "ch3." : "";
    const std::string item = prefix + row.target.substr(row.target.find('.') + 1);
    const std::string alias = prefix + method;
    std::vector<const ItemTable*> tables = {modules[0].table().get(), modules[1].table().get()};
    if (row.target.rfind("item:crate", 0) == 0) tables = {crate.table().get()};
    for (const ItemTable* table : tables) {
      const std::optional<ItemId> id = table->Find(item);
      if (!id) continue;  // that form of the device has it under another DATA_ID
      EXPECT_TRUE(table->Find(alias).has_value()) << row.scope << " " << alias;
      if (!table->Find(alias)) continue;
      EXPECT_EQ(table->Name(*table->Find(alias)), item) << row.scope << " " << alias;
      ++resolved;
    }
  }
  EXPECT_GT(resolved, 200);
}

TEST(IsegcanCommands, AllHaveATargetThatExists) {
  const std::vector<Row> rows = ReadTable("isegcan_commands.csv");
  CheckTargets(rows);
  // isegcan's command_list and its Resource.user_commands.
  const auto user =
      std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.scope == "user"; });
  EXPECT_EQ(user, 13);
  EXPECT_EQ(rows.size(), 53u + 13u);
}

// Its DATA_IDs are known here too, if only to be answered sensibly.
TEST(IsegcanCommands, EveryDataIdIsARegister) {
  for (const Row& row : ReadTable("isegcan_commands.csv")) {
    if (row.scope == "user" || row.name == "register") continue;
    const auto data_id = static_cast<uint16_t>(std::stoi(row.scope, nullptr, 16));
    EXPECT_NE(FindRegister(data_id), nullptr) << row.name;
  }
}

TEST(Readme, NamesThemAll) {
  const std::string readme = ReadFile(Folder() / "README.md");
  for (const char* table : {"ics_names.csv", "isegcan_commands.csv"}) {
    for (const Row& row : ReadTable(table)) {
      // As a whole word of a table's cell.
      const bool named = readme.find("| " + row.name + " |") != std::string::npos ||
                         readme.find("| " + row.name + ",") != std::string::npos ||
                         readme.find(", " + row.name + ",") != std::string::npos ||
                         readme.find(", " + row.name + " |") != std::string::npos;
      EXPECT_TRUE(named) << row.scope << " " << row.name;
    }
  }
}

// The rows of its tables that begin with `name`; "" without.
std::string RowOf(const std::string& readme, const std::string& name) {
  const size_t start = readme.find("| `" + name + "` |");
  return start == std::string::npos ? "" : readme.substr(start, readme.find('\n', start) - start);
}

TEST(Readme, HasEveryParameterWithItsDefault) {
  const std::string readme = ReadFile(Folder() / "README.md");
  for (const ParameterSpec& spec : DriverParameters()) {
    const std::string row = RowOf(readme, spec.name);
    ASSERT_FALSE(row.empty()) << spec.name;
    const std::string text = spec.default_text == nullptr ? "needed" : spec.default_text;
    EXPECT_TRUE(row.find("| " + text + " |") != std::string::npos ||
                row.find("| `" + text + "` |") != std::string::npos)
        << spec.name << ": default " << text << " in " << row;
  }
  for (const ParameterSpec& spec : SimulatorParameters()) {
    EXPECT_NE(readme.find("`" + std::string(spec.name) + "`"), std::string::npos) << spec.name;
  }
}

TEST(Readme, HasEveryActionArgumentAndFault) {
  const std::string readme = ReadFile(Folder() / "README.md");
  for (const ActionSpec& spec : Info().actions) {
    EXPECT_NE(readme.find("`" + std::string(spec.name) + "`"), std::string::npos) << spec.name;
    for (const ActionArgument& argument : spec.arguments) {
      EXPECT_NE(readme.find("`" + std::string(argument.name) + "`"), std::string::npos)
          << spec.name << " " << argument.name;
    }
  }
  for (const FaultSpec& fault : Faults()) {
    EXPECT_NE(readme.find("`" + std::string(fault.name) + "`"), std::string::npos) << fault.name;
  }
}

}  // namespace
}  // namespace canhub::iseg
