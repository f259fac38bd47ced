#include "clients/canhubctl/values.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::ctl {
namespace {

using testing::HasSubstr;

v1::ItemDescriptor Item(v1::ValueType type, const std::string& unit) {
  v1::ItemDescriptor item;
  item.set_name("hv0/ch3.x");
  item.set_type(type);
  item.set_unit(unit);
  return item;
}

TEST(ParseValue, ReadsANumberInTheItemsUnit) {
  EXPECT_EQ(ParseValue(Item(v1::VALUE_TYPE_NUMBER, "V"), "1.5kV")->number(), 1500);
}
TEST(ParseValue, RefusesAnotherUnitAndNamesTheItem) {
  EXPECT_THAT(ParseValue(Item(v1::VALUE_TYPE_NUMBER, "V"), "3 A").error(), HasSubstr("hv0/ch3.x"));
}
TEST(ParseValue, ReadsSwitches) {
  const auto value = ParseValue(Item(v1::VALUE_TYPE_FLAG, ""), "off");
  EXPECT_EQ(value->kind_case(), v1::Value::kFlag);
  EXPECT_FALSE(value->flag());
  EXPECT_FALSE(ParseValue(Item(v1::VALUE_TYPE_FLAG, ""), "2").ok());
}
TEST(ParseValue, OneIsAFlagOrACountOrAVoltageByTheItemsType) {
  EXPECT_EQ(ParseValue(Item(v1::VALUE_TYPE_FLAG, ""), "1")->kind_case(), v1::Value::kFlag);
  EXPECT_EQ(ParseValue(Item(v1::VALUE_TYPE_INTEGER, ""), "1")->kind_case(), v1::Value::kInteger);
  EXPECT_EQ(ParseValue(Item(v1::VALUE_TYPE_NUMBER, "V"), "1")->kind_case(), v1::Value::kNumber);
  EXPECT_EQ(ParseValue(Item(v1::VALUE_TYPE_TEXT, ""), "1")->kind_case(), v1::Value::kText);
}
TEST(ParseValue, ReadsLabelsOfAnEnumeration) {
  v1::ItemDescriptor item = Item(v1::VALUE_TYPE_INTEGER, "");
  (*item.mutable_labels())[2] = "ramp_down";
  EXPECT_EQ(ParseValue(item, "ramp_down")->integer(), 2);
  EXPECT_EQ(ParseValue(item, "3")->integer(), 3);
  EXPECT_THAT(ParseValue(item, "explode").error(), HasSubstr("one of: ramp_down"));
}
TEST(ParseValue, ReadsWholeNumbersWithUnit) {
  EXPECT_EQ(ParseValue(Item(v1::VALUE_TYPE_INTEGER, "ms"), "2s")->integer(), 2000);
  EXPECT_FALSE(ParseValue(Item(v1::VALUE_TYPE_INTEGER, "ms"), "1.5ms").ok());
  EXPECT_FALSE(ParseValue(Item(v1::VALUE_TYPE_INTEGER, "ms"), "1e300s").ok());
}
TEST(ParseValue, RefusesATypeItDoesNotKnow) {
  EXPECT_FALSE(ParseValue(Item(v1::VALUE_TYPE_UNSPECIFIED, ""), "1").ok());
}

TEST(GuessValue, TellsTypesApart) {
  EXPECT_EQ(GuessValue("true").flag(), true);
  EXPECT_EQ(GuessValue("3").integer(), 3);
  EXPECT_EQ(GuessValue("0.5").number(), 0.5);
  EXPECT_EQ(GuessValue("abc").text(), "abc");
}

TEST(FormatReadingValue, ShowsNoValueForAReadingThatIsNotGood) {
  v1::Reading reading;
  reading.set_unit("V");
  reading.set_quality(v1::QUALITY_STALE);
  EXPECT_EQ(FormatReadingValue(reading), "–");
  reading.mutable_last_good_value()->set_number(3.5);
  EXPECT_EQ(FormatReadingValue(reading), "– (last good 3.5 V)");
}
TEST(ExactValue, KeepsEveryDigit) {
  v1::Value value;
  value.set_number(1000.123456789);
  EXPECT_EQ(ExactValue(value), "1000.123456789");
}

TEST(Times, UnsetIsEmpty) {
  EXPECT_EQ(FormatTime({}), "");
  EXPECT_EQ(FormatIsoTime({}), "");
  EXPECT_EQ(FormatAgo({}, WallTime()), "");
}
TEST(Times, IsoIsUtcWithMilliseconds) {
  google::protobuf::Timestamp time;
  time.set_seconds(1700000000);
  time.set_nanos(123456789);
  EXPECT_EQ(FormatIsoTime(time), "2023-11-14T22:13:20.123Z");
}
TEST(Times, AgoLooksBothWays) {
  google::protobuf::Timestamp time;
  time.set_seconds(1000);
  const WallTime at = ToWallTime(time);
  EXPECT_EQ(FormatAgo(time, at + std::chrono::seconds(3)), "3 s ago");
  EXPECT_EQ(FormatAgo(time, at - std::chrono::seconds(5)), "in 5 s");
}
TEST(Times, TimestampSurvivesARoundTripBeforeTheEpoch) {
  google::protobuf::Timestamp time;
  time.set_seconds(-2);
  time.set_nanos(500);
  EXPECT_EQ(ToTimestamp(ToWallTime(time)).SerializeAsString(), time.SerializeAsString());
}
TEST(ToWallTime, TimesBeyondTheClockAreItsEnds) {
  google::protobuf::Timestamp time;
  time.set_seconds(std::numeric_limits<int64_t>::max());
  time.set_nanos(std::numeric_limits<int32_t>::min());
  EXPECT_TRUE(FormatIsoTime(time).starts_with("2262-04-11T"));
  EXPECT_TRUE(FormatAgo(time, WallTime()).starts_with("in "));
  time.set_seconds(std::numeric_limits<int64_t>::min());
  EXPECT_TRUE(FormatIsoTime(time).starts_with("1811-"));
}

TEST(ToNanoseconds, DurationsBeyondTheTypeAreItsEnds) {
  google::protobuf::Duration duration;
  duration.set_seconds(std::numeric_limits<int64_t>::max());
  duration.set_nanos(std::numeric_limits<int32_t>::max());
  EXPECT_GT(ToNanoseconds(duration), std::chrono::hours(24 * 365 * 290));
  duration.set_seconds(std::numeric_limits<int64_t>::min());
  EXPECT_LT(ToNanoseconds(duration), -std::chrono::hours(24 * 365 * 290));
}

TEST(ParseTimePoint, DatesBeyondTheClockAreRefused) {
  EXPECT_FALSE(ParseTimePoint("9999-01-01", WallTime()).ok());
  EXPECT_FALSE(ParseTimePoint("1066-10-14", WallTime()).ok());
}

TEST(ParseTimePoint, TakesAgesAndDates) {
  const WallTime now = WallTime(std::chrono::seconds(1700000000));
  EXPECT_EQ(*ParseTimePoint("1h", now), now - std::chrono::hours(1));
  EXPECT_EQ(*ParseTimePoint("2023-11-14T22:13:20Z", now), now);
  EXPECT_FALSE(ParseTimePoint("yesterday", now).ok());
  EXPECT_FALSE(ParseTimePoint("2023-11-14 22:13:20 extra", now).ok());
}

TEST(FormatReceipt, NamesTheLastStageAndWhatWasReadBack) {
  v1::Receipt receipt;
  receipt.set_device_id("hv0");
  receipt.mutable_sent_time()->set_seconds(1);
  EXPECT_EQ(FormatReceipt(receipt), "sent");
  receipt.mutable_confirmed_time()->set_seconds(1);
  *receipt.mutable_elapsed() = ToProto(std::chrono::milliseconds(12));
  v1::Reading* reading = receipt.add_read_back();
  reading->set_name("hv0/ch3.voltage_set");
  reading->set_unit("V");
  reading->set_quality(v1::QUALITY_GOOD);
  reading->mutable_value()->set_number(1000);
  EXPECT_EQ(FormatReceipt(receipt), "confirmed in 12 ms; ch3.voltage_set = 1000 V");
}

}  // namespace
}  // namespace canhub::ctl
