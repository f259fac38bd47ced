#include "daemon/rpc/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr ItemSpec kVolts{.name = "voltage", .type = ValueType::kNumber, .unit = "V"};

google::protobuf::Duration Proto(int64_t seconds, int32_t nanos) {
  google::protobuf::Duration d;
  d.set_seconds(seconds);
  d.set_nanos(nanos);
  return d;
}

TEST(ConvertTest, TimestampsBefore1970CountNanosForward) {
  google::protobuf::Timestamp t;
  SetTimestamp(WallTime(Duration(-1)), &t);
  EXPECT_EQ(t.seconds(), -1);
  EXPECT_EQ(t.nanos(), 999'999'999);
}

TEST(ConvertTest, DurationsSurviveTheRoundTrip) {
  for (const Duration d :
       {Duration(0), Duration(1), Duration(milliseconds(1500)), Duration(milliseconds(-1500))}) {
    google::protobuf::Duration proto;
    SetDuration(d, &proto);
    EXPECT_EQ(*ReadDuration(proto, "d", -hours(1), hours(1)), d);
  }
}

TEST(ConvertTest, MalformedDurationsAreRefused) {
  for (const auto& d :
       {Proto(1, -1), Proto(-1, 1), Proto(0, 1'000'000'000),
        Proto(std::numeric_limits<int64_t>::max(), 0),
        Proto(std::numeric_limits<int64_t>::min(), std::numeric_limits<int32_t>::min())}) {
    EXPECT_EQ(ReadDuration(d, "d", -hours(1'000'000), hours(1'000'000)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(ConvertTest, DurationsOutsideTheirBoundsAreRefused) {
  EXPECT_TRUE(ReadDuration(Proto(1, 0), "d", seconds(1), seconds(2)).ok());
  EXPECT_FALSE(ReadDuration(Proto(0, 999'999'999), "d", seconds(1), seconds(2)).ok());
  EXPECT_FALSE(ReadDuration(Proto(2, 1), "d", seconds(1), seconds(2)).ok());
}

TEST(ConvertTest, ValuesSurviveTheRoundTrip) {
  for (const Value& value :
       {Value::Flag(false), Value::Integer(-5), Value::Number(0.25), Value::Text("E08F2")}) {
    v1::Value proto;
    SetValue(value, &proto);
    EXPECT_EQ(*ReadValue(proto, "v"), value);
  }
}

TEST(ConvertTest, ValuesThatAreNotFiniteAreRefused) {
  for (const double bad : {NAN, INFINITY, -INFINITY}) {
    v1::Value proto;
    proto.set_number(bad);
    EXPECT_EQ(ReadValue(proto, "v").status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ConvertTest, AValueWithoutKindIsRefused) {
  EXPECT_EQ(ReadValue(v1::Value(), "v").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ConvertTest, TextOfADeviceThatIsNoTextIsReplaced) {
  v1::Value proto;
  SetValue(Value::Text("a\xff"), &proto);
  EXPECT_EQ(proto.text(), "a?");
}

class ReadingTest : public testing::Test {
 protected:
  v1::Reading Convert(const ReadingFields& fields = {}) {
    v1::Reading out;
    SetReading(reading_, "hv0", items_, items_.Id(0, 2, 0), true, TimeView(clock_), &out, fields);
    return out;
  }
  static absl::StatusOr<ReadingFields> Mask(std::initializer_list<const char*> paths) {
    google::protobuf::FieldMask mask;
    for (const char* path : paths) mask.add_paths(path);
    return ReadFields(mask);
  }
  SimulatedClock clock_;
  const ItemTable items_{{{"ch", 0, 4, std::span(&kVolts, 1)}}};
  Reading reading_{.value = Value::Number(5),
                   .read_time = clock_.Now() - seconds(1),
                   .change_time = clock_.Now() - seconds(2),
                   .good_until = clock_.Now() + seconds(1),
                   .quality = Quality::kGood};
};

TEST_F(ReadingTest, GoodReadingHasItsValue) {
  const v1::Reading out = Convert();
  EXPECT_EQ(out.value().number(), 5);
  EXPECT_EQ(out.name(), "hv0/ch2.voltage");
  EXPECT_FALSE(out.has_last_good_value());
  EXPECT_EQ(out.quality(), v1::QUALITY_GOOD);
  EXPECT_EQ(out.unit(), "V");
  EXPECT_TRUE(out.simulated());
}

TEST_F(ReadingTest, TimeOverMeansStaleWithTheLastGoodValueBesideIt) {
  clock_.Advance(seconds(1));
  const v1::Reading out = Convert();
  EXPECT_FALSE(out.has_value());
  EXPECT_EQ(out.last_good_value().number(), 5);
  EXPECT_EQ(out.quality(), v1::QUALITY_STALE);
}

TEST_F(ReadingTest, AMaskLeavesOutWhatItDoesNotName) {
  EXPECT_EQ(Convert(*Mask({"value", "quality"})).ShortDebugString(),
            "value { number: 5 } quality: QUALITY_GOOD");
  EXPECT_EQ(Convert(*Mask({"name", "unit", "simulated"})).ShortDebugString(),
            "name: \"hv0/ch2.voltage\" unit: \"V\" simulated: true");
  EXPECT_TRUE(Convert(*Mask({"read_time"})).has_read_time());
  EXPECT_FALSE(Convert(*Mask({"read_time"})).has_change_time());
}

TEST_F(ReadingTest, AMaskMakesNoValueOfAStaleReading) {
  clock_.Advance(seconds(1));
  EXPECT_EQ(Convert(*Mask({"value", "quality"})).ShortDebugString(), "quality: QUALITY_STALE");
  EXPECT_EQ(Convert(*Mask({"last_good_value"})).last_good_value().number(), 5);
}

TEST_F(ReadingTest, AnEmptyMaskIsAllFields) {
  EXPECT_EQ(Convert(*Mask({})).ShortDebugString(), Convert().ShortDebugString());
}

TEST_F(ReadingTest, AnUnknownFieldIsRefusedByName) {
  const absl::Status status = Mask({"value", "voltage"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "read_mask: found \"voltage\", expected fields of Reading: name, value, "
            "last_good_value, quality, read_time, change_time, unit, simulated");
}

TEST_F(ReadingTest, TimesAreWallTimes) {
  const v1::Reading out = Convert();
  EXPECT_EQ(WallTime(seconds(out.read_time().seconds())), clock_.WallNow() - seconds(1));
  EXPECT_EQ(WallTime(seconds(out.change_time().seconds())), clock_.WallNow() - seconds(2));
}

TEST_F(ReadingTest, NeverReadHasNeitherValueNorTime) {
  reading_ = Reading{};
  const v1::Reading out = Convert();
  EXPECT_FALSE(out.has_value());
  EXPECT_FALSE(out.has_last_good_value());
  EXPECT_FALSE(out.has_read_time());
  EXPECT_EQ(out.quality(), v1::QUALITY_NEVER_READ);
}

TEST(ReceiptTest, StagesThatWereNotReachedAreUnset) {
  SimulatedClock clock;
  CommandReceipt receipt;
  receipt.command_id = 7;
  receipt.device_id = "hv0";
  receipt.accepted = clock.Now();
  receipt.sent = clock.Now() + milliseconds(2);
  v1::Receipt out;
  SetReceipt(receipt, false, TimeView(clock), &out);
  EXPECT_EQ(out.command_id(), 7u);
  EXPECT_TRUE(out.has_sent_time());
  EXPECT_FALSE(out.has_confirmed_time());
  EXPECT_EQ(out.elapsed().nanos(), 2'000'000);
}

}  // namespace
}  // namespace canhub
