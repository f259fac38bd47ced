#include "daemon/core/item_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/api/errors.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const ItemSpec kModuleSpecs[] = {{.name = "status", .alias = "Status.module"},
                                 {.name = "temperature"}};
const ItemSpec kChannelSpecs[] = {
    {.name = "voltage_set", .alias = "Control.voltageSet", .access = Access::kReadWrite},
    {.name = "voltage_measure", .alias = "Status.voltageMeasure"},
    {.name = "on"}};

std::shared_ptr<const ItemTable> Table(int channels) {
  return std::make_shared<const ItemTable>(
      std::vector<ItemBlock>{{.prefix = "", .specs = kModuleSpecs},
                             {.prefix = "ch", .count = channels, .specs = kChannelSpecs}});
}

std::vector<std::string> Names(std::string_view pattern, int channels = 16) {
  const absl::StatusOr<ItemPattern> parsed = ItemPattern::Parse(pattern);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  const auto table = Table(channels);
  std::vector<std::string> names;
  for (const ItemId item : parsed->Match(*table)) names.push_back(table->Name(item));
  return names;
}

std::string ErrorOf(std::string_view pattern) {
  const absl::StatusOr<ItemPattern> parsed = ItemPattern::Parse(pattern);
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << pattern;
  EXPECT_EQ(GetErrorInfo(parsed.status()).reason, "MALFORMED_PATTERN");
  return std::string(parsed.status().message());
}

TEST(ItemPatternTest, APlainNameMatchesOneItem) {
  EXPECT_THAT(Names("hv0/ch3.voltage_set"), ElementsAre("ch3.voltage_set"));
}

TEST(ItemPatternTest, AnAliasIsAName) {
  EXPECT_THAT(Names("hv0/ch3.Status.voltageMeasure"), ElementsAre("ch3.voltage_measure"));
}

TEST(ItemPatternTest, AStarMatchesAnyLetters) {
  EXPECT_THAT(Names("hv0/ch*.on", 3), ElementsAre("ch0.on", "ch1.on", "ch2.on"));
  EXPECT_THAT(Names("hv0/ch1*.on", 12), ElementsAre("ch1.on", "ch10.on", "ch11.on"));
}

// The names ruled out by their ends are those that do not match anyway.
TEST(ItemPatternTest, MatchesWhatEachNameAloneMatches) {
  const auto table = Table(13);
  for (const char* text : {"*",
                           "*e*",
                           "ch*",
                           "*set",
                           "ch1*",
                           "ch[0-2,11].*",
                           "*.on",
                           "ch*.*",
                           "c*e",
                           "*Measure",
                           "*1.voltage*",
                           "ch1[0-9]*",
                           "s*",
                           "*.",
                           "ch[3].*asure",
                           "ch*.on",
                           "c*.voltage_measure",
                           "ch*.Status.voltageMeasure",
                           "chx*.on",
                           "h*.on",
                           "ch*.n",
                           "ch*.voltageMeasure",
                           "ch[2,4-9].voltage_set",
                           "ch[1-2].Control.voltageSet",
                           "ch[1-2].voltageSet",
                           "c[1].on",
                           "ch1[2].on",
                           "s[1].on",
                           "*[12].on"}) {
    const absl::StatusOr<ItemPattern> pattern = ItemPattern::Parse("hv0/" + std::string(text));
    ASSERT_TRUE(pattern.ok()) << pattern.status();
    std::vector<ItemId> expected;
    for (ItemId item = 0; item < table->size(); ++item) {
      // A device's name follows the same rules, and is matched whole.
      const ItemTable::Place place = table->Locate(item);
      const ItemBlock& block = table->blocks()[place.block];
      const std::string prefix =
          block.prefix.empty() ? "" : block.prefix + std::to_string(place.instance) + ".";
      const ItemSpec& spec = block.specs[place.spec];
      const absl::StatusOr<ItemPattern> as_device = ItemPattern::Parse(std::string(text) + "/x");
      ASSERT_TRUE(as_device.ok());
      if (as_device->MatchesDevice(prefix + spec.name) ||
          (spec.alias[0] != '\0' && as_device->MatchesDevice(prefix + spec.alias))) {
        expected.push_back(item);
      }
    }
    EXPECT_EQ(pattern->Match(*table), expected) << text;
  }
}

TEST(ItemPatternTest, AStarAlsoMatchesAliases) {
  EXPECT_THAT(Names("hv0/ch*.Status.*", 2),
              ElementsAre("ch0.voltage_measure", "ch1.voltage_measure"));
}

TEST(ItemPatternTest, ANumberListMatchesWholeNumbers) {
  EXPECT_THAT(Names("hv0/ch[0-1,7].on"), ElementsAre("ch0.on", "ch1.on", "ch7.on"));
  EXPECT_THAT(Names("hv0/ch[1].on"), ElementsAre("ch1.on")) << "not ch10 … ch15";
  EXPECT_THAT(Names("hv0/*[3].on"), ElementsAre("ch3.on")) << "not the end of ch13";
}

TEST(ItemPatternTest, SeveralStarsBacktrack) {
  EXPECT_THAT(Names("hv0/*o*o*", 1), ElementsAre("ch0.voltage_set"));
  EXPECT_THAT(Names("hv0/*_set*", 1), ElementsAre("ch0.voltage_set"));
  EXPECT_THAT(Names("hv0/ch*e_*e", 1), ElementsAre("ch0.voltage_measure"));
}

TEST(ItemPatternTest, NothingMatchesNothing) {
  EXPECT_THAT(Names("hv0/ch99.on"), IsEmpty());
  EXPECT_THAT(Names("hv0/ch[20-30].on"), IsEmpty());
  EXPECT_THAT(Names("hv0/ch3.voltage"), IsEmpty());
}

TEST(ItemPatternTest, TheDevicePartMatchesLikeTheItemPart) {
  const auto matches = [](const char* pattern, const char* id) {
    return ItemPattern::Parse(pattern)->MatchesDevice(id);
  };
  EXPECT_TRUE(matches("hv0/x", "hv0"));
  EXPECT_FALSE(matches("hv0/x", "hv01"));
  EXPECT_TRUE(matches("hv*/x", "hv01"));
  EXPECT_TRUE(matches("*/x", "pcs1"));
  EXPECT_TRUE(matches("hv[0-3]/x", "hv2"));
  EXPECT_FALSE(matches("hv[0-3]/x", "hv12"));
}

TEST(ItemPatternTest, OnlyPlainPatternsAreExact) {
  EXPECT_TRUE(ItemPattern::Parse("hv0/ch3.on")->exact());
  EXPECT_FALSE(ItemPattern::Parse("hv*/ch3.on")->exact());
  EXPECT_FALSE(ItemPattern::Parse("hv0/ch[3].on")->exact());
}

TEST(ItemPatternTest, ErrorsNamePositionFoundAndExpected) {
  EXPECT_THAT(ErrorOf("hv0"), HasSubstr("position 4: found the end, expected '/'"));
  EXPECT_THAT(ErrorOf("/on"), HasSubstr("position 1: found '/', expected a device id"));
  EXPECT_THAT(ErrorOf("hv0/"), HasSubstr("position 5: found the end, expected an item"));
  EXPECT_THAT(ErrorOf("hv0/ch[3-].on"), HasSubstr("position 10: found ']', expected a number"));
  EXPECT_THAT(ErrorOf("hv0/ch[3"),
              HasSubstr("position 9: found the end, expected ',', '-' or ']'"));
  EXPECT_THAT(ErrorOf("hv0/ch[5-2].on"), HasSubstr("found 2, expected at least 5"));
  EXPECT_THAT(ErrorOf("hv0/a/b"), HasSubstr("position 6: found '/'"));
  EXPECT_THAT(ErrorOf("hv0/ch?.on"), HasSubstr("position 7: found '?'"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("position 1"));
  EXPECT_THAT(ErrorOf("hv0/\x01"), HasSubstr("byte 0x01"));
  EXPECT_THAT(ErrorOf("hv0/[99999999999]"), HasSubstr("a number beyond 32 bits"));
  EXPECT_THAT(ErrorOf("hv0/" + std::string(300, 'a')), HasSubstr("at most 256"));
}

TEST(ItemPatternTest, AnEvilPatternCostsLittle) {
  // Exponential in a naive matcher.
  std::string pattern = "hv0/";
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_THAT(Names(pattern + "b", 1000), IsEmpty());
}

class ResolveTest : public ::testing::Test {
 protected:
  ResolveTest() {
    for (const char* id : {"hv0", "hv1", "pcs1"}) cache_.AddDevice(id);
    for (DeviceIndex i = 0; i < 2; ++i) {
      const auto writer = cache_.Writer(i);
      writer->SetItems(Table(2));
      writer->Commit();
    }
  }
  SimulatedClock clock_;
  StateCache cache_{clock_};
};

TEST_F(ResolveTest, GivesMatchesInTheOrderOfThePatterns) {
  const auto refs = Resolve(cache_, {"hv1/ch0.on", "hv*/status"});
  ASSERT_TRUE(refs.ok()) << refs.status();
  EXPECT_THAT(*refs, ElementsAre(ItemRef{1, 4}, ItemRef{0, 0}, ItemRef{1, 0}));
}

TEST_F(ResolveTest, AWildcardThatMatchesNothingIsNoError) {
  const auto refs = Resolve(cache_, {"xy*/ch*.on", "pcs1/*"});
  ASSERT_TRUE(refs.ok()) << refs.status();
  EXPECT_THAT(*refs, IsEmpty());
}

TEST_F(ResolveTest, AMissingItemNamesTheClosestOnes) {
  const auto refs = Resolve(cache_, {"hv0/ch1.voltage_mesure"});
  EXPECT_EQ(refs.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorInfo(refs.status()).reason, "ITEM_UNKNOWN");
  EXPECT_THAT(
      std::string(refs.status().message()),
      HasSubstr("hv0 has no item \"ch1.voltage_mesure\"; did you mean ch1.voltage_measure"));
}

TEST_F(ResolveTest, AMissingDeviceNamesTheClosestOnes) {
  const auto refs = Resolve(cache_, {"hv2/ch1.on"});
  EXPECT_EQ(refs.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(refs.status().message()),
              HasSubstr("no device \"hv2\"; did you mean hv0"));
}

TEST_F(ResolveTest, AnItemOfADeviceThatWasNeverIdentifiedSaysSo) {
  const auto refs = Resolve(cache_, {"pcs1/power"});
  EXPECT_EQ(refs.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(refs.status().message()), HasSubstr("it has none yet: searching"));
}

}  // namespace
}  // namespace canhub
