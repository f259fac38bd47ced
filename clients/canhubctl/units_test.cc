#include "clients/canhubctl/units.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::ctl {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseDuration, TakesEveryUnit) {
  EXPECT_EQ(*ParseDuration("500ms"), milliseconds(500));
  EXPECT_EQ(*ParseDuration("5 s"), seconds(5));
  EXPECT_EQ(*ParseDuration("1.5h"), minutes(90));
  EXPECT_EQ(*ParseDuration("2min"), minutes(2));
  EXPECT_EQ(*ParseDuration("1d"), hours(24));
  EXPECT_EQ(*ParseDuration("20us"), microseconds(20));
  EXPECT_EQ(*ParseDuration("0s"), nanoseconds(0));
}
TEST(ParseDuration, RoundsOnce) { EXPECT_EQ(*ParseDuration("0.1s"), milliseconds(100)); }
TEST(ParseDuration, RefusesABareNumber) {
  EXPECT_THAT(ParseDuration("5").error(), HasSubstr("\"5\" has no unit"));
}
TEST(ParseDuration, RefusesAnUnknownUnitAndNamesIt) {
  EXPECT_THAT(ParseDuration("5 V").error(), HasSubstr("the unit \"V\""));
}
TEST(ParseDuration, RefusesNegativeAndHuge) {
  EXPECT_FALSE(ParseDuration("-1s").ok());
  EXPECT_FALSE(ParseDuration("1e300s").ok());
  EXPECT_FALSE(ParseDuration("10001d").ok());
}
TEST(ParseDuration, RefusesWhatIsNoNumber) {
  for (const char* text : {"", "s", "inf s", "nan s", "1s2", "--1s"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(ParseQuantity, TakesBareNumbers) {
  EXPECT_EQ(*ParseQuantity("1000", "V"), 1000.0);
  EXPECT_EQ(*ParseQuantity("-12.5", "V"), -12.5);
  EXPECT_EQ(*ParseQuantity("+3", "V"), 3.0);
  EXPECT_EQ(*ParseQuantity(".5", "V"), 0.5);
  EXPECT_EQ(*ParseQuantity("2e3", ""), 2000.0);
}
TEST(ParseQuantity, TakesTheUnitWithAndWithoutPrefix) {
  EXPECT_EQ(*ParseQuantity("1000V", "V"), 1000.0);
  EXPECT_EQ(*ParseQuantity("1.5 kV", "V"), 1500.0);
  EXPECT_EQ(*ParseQuantity("100uA", "A"), 100e-6);
  EXPECT_EQ(*ParseQuantity("100 µA", "A"), 100e-6);
  EXPECT_EQ(*ParseQuantity("50V/s", "V/s"), 50.0);
  EXPECT_EQ(*ParseQuantity("5s", "ms"), 5000.0);
  EXPECT_EQ(*ParseQuantity("10MOhm", "Ohm"), 10e6);
  EXPECT_EQ(*ParseQuantity("5%/s", "%/s"), 5.0);
}
TEST(ParseQuantity, IsExactInTheLastDigit) {
  EXPECT_EQ(*ParseQuantity("0.1mA", "A"), 0.0001);
  EXPECT_EQ(*ParseQuantity("1.1e3 mV", "V"), 1.1);
}
TEST(ParseQuantity, RefusesAnotherUnit) {
  EXPECT_THAT(ParseQuantity("1000 A", "V").error(), HasSubstr("expected a number in V"));
  EXPECT_FALSE(ParseQuantity("50 V", "V/s").ok());
  EXPECT_FALSE(ParseQuantity("50 kv", "V").ok());
  EXPECT_FALSE(ParseQuantity("3 V", "").ok());
  // Milli-percent does not exist; "mV" is not mega.
  EXPECT_FALSE(ParseQuantity("3 m%", "%").ok());
}
TEST(ParseQuantity, SaysThatADecimalCommaIsNone) {
  EXPECT_EQ(ParseQuantity("1,5", "V").error(),
            "\"1,5\" has a comma, expected a number in V with a point as decimal sign");
  EXPECT_THAT(ParseQuantity("1,5 kV", "V").error(), HasSubstr("a point as decimal sign"));
}
TEST(ParseDuration, SaysThatADecimalCommaIsNone) {
  EXPECT_THAT(ParseDuration("1,5s").error(), HasSubstr("a point as decimal sign"));
}
TEST(ParseQuantity, RefusesWhatIsNotFinite) {
  for (const char* text : {"inf", "nan", "-inf", "1e999", "1e308kV", "", "V", "0x10", "1 000"}) {
    EXPECT_FALSE(ParseQuantity(text, "V").ok()) << text;
  }
}

TEST(ParseChannels, TakesListsAndRanges) {
  EXPECT_THAT(*ParseChannels("3"), ElementsAre(3));
  EXPECT_THAT(*ParseChannels("0-3,7"), ElementsAre(0, 1, 2, 3, 7));
  EXPECT_THAT(*ParseChannels("5, 2"), ElementsAre(5, 2));
}
TEST(ParseChannels, RefusesNonsense) {
  for (const char* text : {"", "a", "3-", "-3", "3-1", "1,,2", "1,1", "0-5,3", "4096", "1.5",
                           "0-4294967295", "99999999999"}) {
    EXPECT_FALSE(ParseChannels(text).ok()) << text;
  }
}

TEST(ParseInteger, TakesDecimalAndHexadecimal) {
  EXPECT_EQ(*ParseInteger("12"), 12);
  EXPECT_EQ(*ParseInteger("-12"), -12);
  EXPECT_EQ(*ParseInteger("0x1F"), 31);
}
TEST(ParseInteger, RefusesTheRest) {
  for (const char* text : {"", "1.5", "12a", "0x", "0x-1", "9223372036854775808"}) {
    EXPECT_FALSE(ParseInteger(text).ok()) << text;
  }
}

TEST(ParseFlag, TakesTheUsualWords) {
  EXPECT_TRUE(*ParseFlag("on"));
  EXPECT_FALSE(*ParseFlag("off"));
  EXPECT_TRUE(*ParseFlag("1"));
  EXPECT_FALSE(ParseFlag("ON!").ok());
}

TEST(FormatQuantity, GivesSmallCurrentsAPrefix) {
  EXPECT_EQ(FormatQuantity(1.25e-6, "A"), "1.25 µA");
  EXPECT_EQ(FormatQuantity(-2e-3, "A"), "-2 mA");
  EXPECT_EQ(FormatQuantity(0, "A"), "0 A");
}
TEST(FormatQuantity, LeavesVoltsVolts) {
  EXPECT_EQ(FormatQuantity(0.012, "V"), "0.012 V");
  EXPECT_EQ(FormatQuantity(1000.125, "V"), "1000.125 V");
  EXPECT_EQ(FormatQuantity(-0.0, "V"), "0 V");
}
TEST(ExactNumber, ReadsBackEqual) {
  EXPECT_EQ(ExactNumber(0.1), "0.1");
  EXPECT_EQ(ExactNumber(1000), "1000");
}

TEST(FormatDuration, ChoosesItsUnit) {
  EXPECT_EQ(FormatDuration(nanoseconds(0)), "0 s");
  EXPECT_EQ(FormatDuration(microseconds(20)), "20 µs");
  EXPECT_EQ(FormatDuration(milliseconds(12)), "12 ms");
  EXPECT_EQ(FormatDuration(microseconds(999700)), "0.9997 s");
  EXPECT_EQ(FormatDuration(milliseconds(1500)), "1.5 s");
  EXPECT_EQ(FormatDuration(seconds(90)), "1 min 30 s");
  EXPECT_EQ(FormatDuration(hours(2)), "2 h");
  EXPECT_EQ(FormatDuration(hours(49)), "2 d 1 h");
  EXPECT_EQ(FormatDuration(-seconds(3)), "-3 s");
}

}  // namespace
}  // namespace canhub::ctl
