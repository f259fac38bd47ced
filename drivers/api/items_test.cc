#include "drivers/api/items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/api/value.h"

namespace canhub {
namespace {

constexpr ItemSpec kModule[] = {
    {.name = "status", .type = ValueType::kInteger},
    {.name = "is_good", .type = ValueType::kFlag, .flag_of = 0, .bit = 12},
};
constexpr ItemSpec kChannel[] = {
    {.name = "voltage_set", .alias = "Control.voltageSet", .unit = "V"},
    {.name = "voltage_measure", .alias = "Status.voltageMeasure", .unit = "V"},
    {.name = "status", .type = ValueType::kInteger},
    {.name = "is_on", .type = ValueType::kFlag, .flag_of = 2, .bit = 3},
};

ItemTable Table() {
  return ItemTable({{.prefix = "", .specs = kModule},
                    {.prefix = "ch", .first = 0, .count = 16, .specs = kChannel}});
}

TEST(ItemTable, NamesAndIdsAreOneToOne) {
  const ItemTable table = Table();
  ASSERT_EQ(table.size(), 2u + 16u * 4u);
  for (ItemId id = 0; id < table.size(); ++id) {
    EXPECT_EQ(table.Find(table.Name(id)), id) << table.Name(id);
  }
  EXPECT_EQ(table.Name(2), "ch0.voltage_set");
  EXPECT_EQ(table.Name(table.size() - 1), "ch15.is_on");
}

TEST(ItemTable, FindsTheVendorsName) {
  const ItemTable table = Table();
  EXPECT_EQ(table.Find("ch3.Status.voltageMeasure"), table.Find("ch3.voltage_measure"));
}

TEST(ItemTable, FindsNothingElse) {
  const ItemTable table = Table();
  for (const char* name : {"", "ch", "ch3", "ch3.", "ch16.voltage_set", "ch-1.voltage_set",
                           "ch03.voltage_set", "ch3.Voltage_set", "chx.voltage_set", "voltage_set",
                           "ch99999999999999.voltage_set", "ch3.voltage_set "}) {
    EXPECT_EQ(table.Find(name), std::nullopt) << name;
  }
}

TEST(ItemTable, AFlagIsStoredInItsRegister) {
  const ItemTable table = Table();
  EXPECT_EQ(table.Storage(*table.Find("ch7.is_on")), *table.Find("ch7.status"));
  EXPECT_EQ(table.Storage(*table.Find("ch7.voltage_set")), *table.Find("ch7.voltage_set"));
}

TEST(Reading, GoodEndsByItselfAtItsTime) {
  Reading reading;
  reading.quality = Quality::kGood;
  reading.good_until = MonoTime(std::chrono::seconds(5));
  EXPECT_EQ(reading.EffectiveQuality(MonoTime(std::chrono::milliseconds(4999))), Quality::kGood);
  EXPECT_EQ(reading.EffectiveQuality(MonoTime(std::chrono::seconds(5))), Quality::kStale);
  reading.quality = Quality::kBad;
  EXPECT_EQ(reading.EffectiveQuality(MonoTime(std::chrono::seconds(9))), Quality::kBad);
}

TEST(Value, TextIsSharedAndOutlivesItsSource) {
  Value copy;
  {
    const Value text = Value::Text("E08F2");
    copy = text;
  }
  EXPECT_EQ(copy.text(), "E08F2");
  const Value& same = copy;
  copy = same;  // self-assignment
  EXPECT_EQ(copy.text(), "E08F2");
  Value moved = std::move(copy);
  EXPECT_EQ(moved.text(), "E08F2");
  EXPECT_FALSE(
      copy.has_value());  // NOLINT(bugprone-use-after-move): the moved-from state is promised
}

TEST(Value, ComparesTypeAndContent) {
  EXPECT_EQ(Value::Number(1), Value::Number(1));
  EXPECT_NE(Value::Number(1), Value::Integer(1));
  EXPECT_EQ(Value::Text("a"), Value::Text("a"));
  EXPECT_NE(Value::Text("a"), Value::Text("b"));
  EXPECT_EQ(Value(), Value());
}

TEST(Value, FormatsSoThatItReadsBackEqual) {
  EXPECT_EQ(Value::Number(1000).ToString(), "1000");
  EXPECT_EQ(Value::Number(0.1).ToString(), "0.1");
  EXPECT_EQ(Value::Number(5e-05).ToString(), "5e-05");
  EXPECT_EQ(Value::Integer(-3).ToString(), "-3");
  EXPECT_EQ(Value::Flag(true).ToString(), "true");
  EXPECT_EQ(Value().ToString(), "");
  EXPECT_LE(sizeof(Value), 16u);
  EXPECT_LE(sizeof(Reading), 48u);
}

}  // namespace
}  // namespace canhub
