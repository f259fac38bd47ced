#include "drivers/studer/catalogue.h"

#include <cmath>
#include <map>
#include <set>
#include <string>

#include "drivers/studer/catalogue_data.h"
#include "drivers/studer/csv.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::studer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;

const Entry& Xtender(uint16_t id) { return *Catalogue::Get().Find(Family::kXtender, id); }

// ---------------------------------------------------------------- the tables as they are

struct Counts {
  int infos = 0, parameters = 0, menus = 0;
  friend bool operator==(const Counts&, const Counts&) = default;
};
std::ostream& operator<<(std::ostream& out, const Counts& c) {
  return out << c.infos << " infos, " << c.parameters << " parameters, " << c.menus << " menus";
}

Counts CountOf(Family family) {
  Counts counts;
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (entry.family != family) continue;
    ++(!entry.parameter                ? counts.infos
       : entry.format == Format::kMenu ? counts.menus
                                       : counts.parameters);
  }
  return counts;
}

// Section 10.3.
TEST(Catalogue, HasEveryRowOfEveryFamily) {
  EXPECT_EQ(CountOf(Family::kXtender), (Counts{115, 356, 52}));
  EXPECT_EQ(CountOf(Family::kRcc), (Counts{0, 82, 16}));
  EXPECT_EQ(CountOf(Family::kBsp), (Counts{35, 25, 2}));
  EXPECT_EQ(CountOf(Family::kBms), (Counts{44, 39, 7}));
  EXPECT_EQ(CountOf(Family::kVarioTrack), (Counts{55, 263, 36}));
  EXPECT_EQ(CountOf(Family::kVarioString), (Counts{87, 174, 25}));
}

TEST(Catalogue, HasTheVendorsTotals) {
  int infos = 0, parameters = 0;
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (!entry.parameter) ++infos;
    if (entry.parameter && entry.format != Format::kMenu) ++parameters;
  }
  EXPECT_EQ(parameters, 939);
  EXPECT_EQ(infos, 336);
  EXPECT_EQ(Catalogue::Get().messages().size(), 190u);
}

// Section 10: the ranges of object ids.
TEST(Catalogue, IdsLieInTheirFamilysRange) {
  const std::map<Family, std::pair<int, int>> thousands = {
      {Family::kXtender, {1, 3}},      {Family::kRcc, {5, -1}},
      {Family::kBsp, {6, 7}},          {Family::kBms, {6, 7}},
      {Family::kVarioTrack, {10, 11}}, {Family::kVarioString, {14, 15}}};
  for (const Entry& entry : Catalogue::Get().entries()) {
    const auto& [parameters, infos] = thousands.at(entry.family);
    EXPECT_EQ(entry.id / 1000, entry.parameter ? parameters : infos) << entry.id;
  }
}

TEST(Catalogue, NamesAreUniqueWithinAFamily) {
  std::set<std::string> names;
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (entry.format == Format::kMenu) continue;
    const std::string name = std::string(Describe(entry.family).name) +
                             (entry.parameter ? "/parameter." : "/") + entry.slug;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

TEST(Catalogue, DefaultsAreAmongTheLabels) {
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (entry.format != Format::kEnum || !entry.parameter) continue;
    bool found = false;
    for (const ValueLabel& label : entry.labels) {
      found |= label.value == std::lround(*entry.bounds.default_value);
    }
    EXPECT_TRUE(found) << entry.id << " " << *entry.bounds.default_value;
  }
}

TEST(Catalogue, BatteryVoltageIsAsTheFactsSay) {  // section 10.1
  const Entry& entry = Xtender(3000);
  EXPECT_EQ(entry.slug, "battery_voltage");
  EXPECT_EQ(entry.unit, "V");
  EXPECT_EQ(entry.format, Format::kNumber);
  EXPECT_FALSE(entry.parameter);
}

TEST(Catalogue, OperatingStateHasItsWords) {  // section 10.1
  std::vector<std::pair<int, std::string>> labels;
  for (const ValueLabel& label : Xtender(3028).labels) labels.emplace_back(label.value, label.name);
  EXPECT_THAT(labels, ElementsAre(std::pair(0, "Invalid"), std::pair(1, "Inverter"),
                                  std::pair(2, "Charger"), std::pair(3, "Boost"),
                                  std::pair(4, "Injection")));
}

TEST(Catalogue, OneHotEnumHasItsWords) {  // section 14, E13
  std::vector<std::pair<int, std::string>> labels;
  for (const ValueLabel& label : Xtender(1552).labels) labels.emplace_back(label.value, label.name);
  EXPECT_THAT(labels,
              ElementsAre(std::pair(1, "Slow"), std::pair(2, "Tolerant"), std::pair(4, "Fast")));
}

TEST(Catalogue, FormatsAreThoseOfTheFacts) {  // sections 3.2, 10.2
  EXPECT_EQ(Xtender(1107).format, Format::kNumber);
  EXPECT_EQ(Xtender(1124).format, Format::kFlag);
  EXPECT_EQ(Xtender(1545).format, Format::kEnum);
  EXPECT_EQ(Xtender(1205).format, Format::kWeekdays);
  EXPECT_EQ(Xtender(1206).format, Format::kMinutes);
  EXPECT_EQ(Xtender(1395).format, Format::kSignal);
  EXPECT_EQ(Xtender(1100).format, Format::kMenu);
  EXPECT_EQ(Catalogue::Get().Find(Family::kRcc, 5002)->format, Format::kSeconds);
  EXPECT_EQ(Catalogue::Get().Find(Family::kRcc, 5012)->format, Format::kUnsupported);
}

// Section 10.2.
struct Selected {
  Family family;
  uint16_t id;
  double default_value, minimum, maximum, increment;
  int level;
};
class SelectedParameter : public testing::TestWithParam<Selected> {};
INSTANTIATE_TEST_SUITE_P(
    Section102, SelectedParameter,
    testing::Values(Selected{Family::kXtender, 1107, 32, 2, 50, 1, 0x10},
                    Selected{Family::kXtender, 1108, 46.3, 36, 72, 0.1, 0x20},
                    Selected{Family::kXtender, 1138, 60, 0, 200, 1, 0x10},
                    Selected{Family::kXtender, 1286, 230, 110, 280, 1, 0x20},
                    Selected{Family::kXtender, 1550, 1, 0, 1, 1, 0x30},
                    Selected{Family::kXtender, 1629, 60, 10, 300, 10, 0x30},
                    Selected{Family::kBsp, 6001, 110, 20, 20000, 10, 0x10},
                    Selected{Family::kBms, 6062, 30, 0, 100, 1, 0x20},
                    Selected{Family::kVarioTrack, 10002, 80, 0, 80, 2, 0x20},
                    Selected{Family::kVarioTrack, 10021, 62.4, 52.1, 68.2, 0.1, 0x10},
                    Selected{Family::kVarioString, 14001, 120, 0, 120, 2, 0x20}),
    [](const auto& info) { return "Id" + std::to_string(info.param.id); });
TEST_P(SelectedParameter, IsAsListed) {
  const Selected& listed = GetParam();
  const Entry* entry = Catalogue::Get().Find(listed.family, listed.id);
  ASSERT_NE(entry, nullptr);
  EXPECT_TRUE(entry->parameter);
  EXPECT_THAT(entry->bounds.default_value, Optional(listed.default_value));
  EXPECT_THAT(entry->bounds.minimum, Optional(listed.minimum));
  EXPECT_THAT(entry->bounds.maximum, Optional(listed.maximum));
  EXPECT_NEAR(entry->increment, listed.increment, listed.increment / 500);  // fixed-point steps
  EXPECT_EQ(entry->level, listed.level);
}

// Section 7.1.
TEST(Catalogue, LimitsThatMoveNameTheirParameters) {
  EXPECT_EQ(Xtender(1108).minimum_from, 1109);
  EXPECT_EQ(Xtender(1108).maximum_from, 1110);
  EXPECT_EQ(Xtender(1156).minimum_from, 1140);
  EXPECT_EQ(Xtender(1156).maximum_from, 0);
}

// Section 7.2: "10005 and 10009 are listed as 13.6/27.2/54.4 and 14.4/28.8/57.6".
TEST(BoundsOf, ScaleWithTheBattery) {
  const Entry& floating = *Catalogue::Get().Find(Family::kVarioTrack, 10005);
  EXPECT_THAT(BoundsOf(floating, 12, false).default_value,
              Optional(testing::DoubleNear(13.6, 1e-9)));
  EXPECT_THAT(BoundsOf(floating, 24, false).default_value,
              Optional(testing::DoubleNear(27.2, 1e-9)));
  EXPECT_THAT(BoundsOf(floating, 48, false).default_value, Optional(54.4));
  const Entry& absorption = *Catalogue::Get().Find(Family::kVarioTrack, 10009);
  EXPECT_THAT(BoundsOf(absorption, 24, false).default_value,
              Optional(testing::DoubleNear(28.8, 1e-9)));
}
TEST(BoundsOf, CurrentsDoNotScale) {
  EXPECT_THAT(BoundsOf(Xtender(1138), 12, false).maximum, Optional(200));
}
TEST(BoundsOf, Of120VoltModelsDiffer) {
  EXPECT_THAT(BoundsOf(Xtender(1286), 48, true).default_value, Optional(120));
  EXPECT_THAT(BoundsOf(Xtender(1286), 48, false).default_value, Optional(230));
  EXPECT_THAT(BoundsOf(Xtender(1107), 48, true).maximum, Optional(50));
}

TEST(Entry, RemoteControlsHaveNoObjectsOnCan) {  // section 4
  for (const Entry& entry : Catalogue::Get().entries()) {
    if (entry.family != Family::kRcc) continue;
    EXPECT_FALSE(entry.IsObject()) << entry.id;
  }
}

// Section 8.1.
TEST(Messages, HaveClassAndText) {
  const Message* fan = Catalogue::Get().FindMessage(16);
  ASSERT_NE(fan, nullptr);
  EXPECT_EQ(fan->message_class, MessageClass::kWarning);
  EXPECT_EQ(fan->text, "fan fault detected");
  EXPECT_EQ(Catalogue::Get().FindMessage(183)->message_class, MessageClass::kHalted);
  EXPECT_EQ(Catalogue::Get().FindMessage(225)->message_class, MessageClass::kError);
  EXPECT_EQ(Catalogue::Get().FindMessage(3)->message_class, MessageClass::kInfo);
}
TEST(Messages, OthersAreNotKnown) {
  for (const uint16_t id : {66, 96, 135, 151, 201, 219, 236, 254, 256}) {
    EXPECT_EQ(Catalogue::Get().FindMessage(id), nullptr) << id;
  }
}

// ---------------------------------------------------------------- names and search

TEST(FindByName, TakesIdsAndNames) {
  const Catalogue& catalogue = Catalogue::Get();
  EXPECT_EQ(catalogue.FindByName(Family::kXtender, "3000")->id, 3000);
  EXPECT_EQ(catalogue.FindByName(Family::kXtender, "battery_voltage")->id, 3000);
  EXPECT_EQ(catalogue.FindByName(Family::kVarioTrack, "battery_voltage")->id, 11000);
  EXPECT_EQ(catalogue.FindByName(Family::kXtender, "parameter.floating_voltage")->id, 1140);
  EXPECT_EQ(catalogue.FindByName(Family::kXtender, "11000"), nullptr);
  EXPECT_EQ(catalogue.FindByName(Family::kXtender, "battery"), nullptr);
}
TEST(FindByName, TheAccurateOneOfTwoHasThePlainName) {
  EXPECT_EQ(Catalogue::Get().FindByName(Family::kXtender, "output_active_power")->id, 3136);
  EXPECT_EQ(Catalogue::Get().FindByName(Family::kXtender, "output_active_power_3087")->id, 3087);
}

TEST(Search, FindsTheBatteryVoltageFirst) {
  EXPECT_EQ(Catalogue::Get().Search("battery voltage").front()->id, 3000);
  EXPECT_EQ(Catalogue::Get().Search("Battery Voltage", Family::kVarioTrack).front()->id, 11000);
}
TEST(Search, TakesIds) { EXPECT_EQ(Catalogue::Get().Search("1107").front()->id, 1107); }
TEST(Search, EveryWordMustBeThere) {
  EXPECT_TRUE(Catalogue::Get().Search("battery zeppelin").empty());
  EXPECT_TRUE(Catalogue::Get().Search("").empty());
}
TEST(Search, LooksAtLabels) {
  bool found = false;
  for (const Entry* entry : Catalogue::Get().Search("injection")) found |= entry->id == 3028;
  EXPECT_TRUE(found);
}

// ---------------------------------------------------------------- the loader is strict

std::string Replaced(std::string_view text, std::string_view what, std::string_view by) {
  std::string changed(text);
  const size_t at = changed.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  changed.replace(at, what.size(), by);
  return changed;
}
std::string ParametersError(std::string_view what, std::string_view by) {
  CatalogueTexts texts = BuiltInTexts();
  const std::string changed = Replaced(texts.parameters, what, by);
  texts.parameters = changed;
  return std::string(Catalogue::Parse(texts).status().message());
}
std::string InfosError(std::string_view what, std::string_view by) {
  CatalogueTexts texts = BuiltInTexts();
  const std::string changed = Replaced(texts.infos, what, by);
  texts.infos = changed;
  return std::string(Catalogue::Parse(texts).status().message());
}

constexpr char kRow1107[] = ",FLOAT,NUMBER,32,2,50,1,BASIC,0x10,";
TEST(Parse, RefusesANumberThatIsNone) {
  EXPECT_EQ(ParametersError(kRow1107, ",FLOAT,NUMBER,32x,2,50,1,BASIC,0x10,"),
            "studer-parameters.csv:4: default: found \"32x\", expected a number");
}
TEST(Parse, RefusesADefaultOutsideItsBounds) {
  EXPECT_THAT(ParametersError(kRow1107, ",FLOAT,NUMBER,51,2,50,1,BASIC,0x10,"),
              HasSubstr("a default between min and max"));
}
TEST(Parse, RefusesAFormatThatIsNotTheKinds) {
  EXPECT_THAT(ParametersError(kRow1107, ",BOOL,NUMBER,32,2,50,1,BASIC,0x10,"),
              HasSubstr("native_format: found \"BOOL\", expected one of \"FLOAT\""));
}
TEST(Parse, RefusesAnUnknownLevel) {
  EXPECT_THAT(ParametersError(kRow1107, ",FLOAT,NUMBER,32,2,50,1,EASY,0x10,"),
              HasSubstr("level: found \"EASY\""));
}
TEST(Parse, RefusesALevelWithAnotherCode) {
  EXPECT_THAT(ParametersError(kRow1107, ",FLOAT,NUMBER,32,2,50,1,BASIC,0x20,"),
              HasSubstr("level_code: found \"0x20\""));
}
TEST(Parse, RefusesAnotherColumn) {
  EXPECT_THAT(ParametersError("family,unicast", "kind,unicast"),
              HasSubstr(":1: found the columns"));
}
TEST(Parse, RefusesAMissingField) {
  EXPECT_THAT(ParametersError(kRow1107, ",FLOAT,NUMBER,32,2,50,1,BASIC,"),
              HasSubstr(":4: found 23 fields, expected 24"));
}
TEST(Parse, RefusesAnIdThatIsThereTwice) {
  EXPECT_THAT(ParametersError("100,1108,", "100,1107,"), HasSubstr("1107 is there twice"));
}
TEST(Parse, RefusesABoundThatNamesNothing) {
  EXPECT_THAT(ParametersError("min {1109} max {1110}", "min {1109} max {1999}"),
              HasSubstr("names 1999"));
}
TEST(Parse, RefusesABoundInOtherWords) {
  EXPECT_THAT(ParametersError("min {1109} max {1110}", "from {1109} to {1110}"),
              HasSubstr("runtime_limits: found"));
}
TEST(Parse, RefusesAnotherFamilysAddresses) {
  EXPECT_THAT(InfosError("Xtender,101-109,100,3000", "Xtender,301-315,100,3000"),
              HasSubstr("unicast_addresses: found \"301-315\""));
}
TEST(Parse, RefusesALabelWithoutNumber) {
  EXPECT_THAT(InfosError("0=Invalid|1=Bulk", "Invalid|1=Bulk"), HasSubstr("enum_values: found"));
}
TEST(Parse, RefusesAMessageWithAnUnknownClass) {
  CatalogueTexts texts = BuiltInTexts();
  const std::string changed = Replaced(texts.messages, "0,Warning,", "0,Bad,");
  texts.messages = changed;
  EXPECT_THAT(std::string(Catalogue::Parse(texts).status().message()),
              HasSubstr("studer-messages.csv:2: class: found \"Bad\""));
}

// ---------------------------------------------------------------- CSV

std::string CsvError(std::string_view text) {
  return std::string(ParseCsv(text, "t.csv", {"a", "b"}).status().message());
}
TEST(ParseCsv, ReadsQuotesCommasAndLineEndsWithin) {
  const auto rows = ParseCsv("a,b\r\n\"x,\"\"y\"\"\nz\",2\n3,\n", "t.csv", {"a", "b"});
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_THAT((*rows)[0].fields, ElementsAre("x,\"y\"\nz", "2"));
  EXPECT_THAT((*rows)[1].fields, ElementsAre("3", ""));
  EXPECT_EQ((*rows)[1].line, 4);
}
TEST(ParseCsv, RefusesWhatItDoesNotUnderstandWhole) {
  EXPECT_THAT(CsvError(""), HasSubstr("an empty table"));
  EXPECT_THAT(CsvError("a,b\n\"x,2\n"), HasSubstr("t.csv:2: found a quote that does not end"));
  EXPECT_THAT(CsvError("a,b\nx\"y,2\n"), HasSubstr("a quote within a field"));
  EXPECT_THAT(CsvError("a,b\n\"x\"y,2\n"), HasSubstr("text after a field"));
  EXPECT_THAT(CsvError("a,b\nx\ty,2\n"), HasSubstr("a control character"));
  EXPECT_THAT(CsvError("a,b\n1,2,3\n"), HasSubstr("t.csv:2: found 3 fields, expected 2"));
}

}  // namespace
}  // namespace canhub::studer
