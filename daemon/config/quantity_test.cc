#include "daemon/config/quantity.h"

#include <gtest/gtest.h>

namespace canhub {
namespace {

struct Good {
  const char* text;
  const char* unit;
  double value;
};
class QuantityGoodTest : public testing::TestWithParam<Good> {};
TEST_P(QuantityGoodTest, Reads) {
  const auto value = ParseQuantity(GetParam().text, GetParam().unit);
  ASSERT_TRUE(value.ok()) << GetParam().text << ": " << value.status();
  EXPECT_EQ(*value, GetParam().value) << GetParam().text;
}
INSTANTIATE_TEST_SUITE_P(
    All, QuantityGoodTest,
    testing::Values(Good{"1500 V", "V", 1500}, Good{"1500V", "V", 1500}, Good{"1.5 kV", "V", 1500},
                    Good{"3 mV", "V", 0.003}, Good{"7 \u00B5A", "A", 7e-6},
                    Good{"7 \u03BCA", "A", 7e-6}, Good{"7 uA", "A", 7e-6}, Good{"2 nA", "A", 2e-9},
                    Good{"60 kW", "W", 60000}, Good{"10 V/s", "V/s", 10},
                    Good{"0.1 kV/s", "V/s", 100}, Good{"500 ms", "s", 0.5}, Good{"2 min", "s", 120},
                    Good{"1 h", "s", 3600}, Good{"250 us", "s", 0.00025}, Good{"70 %", "%", 70},
                    Good{"70%", "%", 70}, Good{"4 MiB", "B", 4 << 20}, Good{"20 %/s", "%/s", 20},
                    Good{"-5 V", "V", -5}, Good{"+5 V", "V", 5}, Good{"1e3 V", "V", 1000},
                    Good{"1e-3 kV", "V", 1}, Good{".5 V", "V", 0.5},
                    Good{"1000 calls/s", "calls/s", 1000}, Good{"10 M\u03A9", "ohm", 1e7},
                    Good{"25 \u00B0C", "degC", 25}));

struct Bad {
  const char* text;
  const char* unit;
  const char* expected;
};
class QuantityBadTest : public testing::TestWithParam<Bad> {};
TEST_P(QuantityBadTest, SaysWhatIsExpected) {
  const auto value = ParseQuantity(GetParam().text, GetParam().unit);
  ASSERT_FALSE(value.ok()) << GetParam().text << " read as " << *value;
  EXPECT_EQ(value.status().message(), GetParam().expected) << GetParam().text;
}
constexpr char kVolt[] = "a number with its unit, like \"10 V\"";
INSTANTIATE_TEST_SUITE_P(
    All, QuantityBadTest,
    testing::Values(Bad{"1500", "V", kVolt}, Bad{"", "V", kVolt}, Bad{"V", "V", kVolt},
                    Bad{"1500 A", "V", kVolt}, Bad{"1,5 kV", "V", kVolt}, Bad{"nan V", "V", kVolt},
                    Bad{"inf V", "V", kVolt}, Bad{"1e999 V", "V", kVolt}, Bad{"0x10 V", "V", kVolt},
                    Bad{"--5 V", "V", kVolt}, Bad{"5 V V", "V", kVolt},
                    Bad{"1e308 GV", "V", "a finite number"},
                    Bad{"1.5 KV", "V",
                        "a number with its unit, like \"10 V\" (did you mean \"kV\"?)"},
                    Bad{"10 V", "V/s", "a number with its unit, like \"10 V/s\""},
                    Bad{"5 k%", "%", "a number with its unit, like \"10 %\""},
                    Bad{"500", "s", "a number with its unit, like \"500 ms\""},
                    Bad{"4 MB", "B", "a number with its unit, like \"1 MiB\""}));

TEST(IntegerTest, TakesHexadecimal) { EXPECT_EQ(ParseInteger("0xFA"), 250); }
TEST(IntegerTest, RefusesALeadingZero) { EXPECT_EQ(ParseInteger("010"), std::nullopt); }
TEST(IntegerTest, TakesZero) { EXPECT_EQ(ParseInteger("0"), 0); }
TEST(IntegerTest, RefusesFractions) { EXPECT_EQ(ParseInteger("1.0"), std::nullopt); }
TEST(IntegerTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(ParseInteger("9223372036854775808"), std::nullopt);
  EXPECT_EQ(ParseInteger("-9223372036854775807"), -9223372036854775807);
}
TEST(IntegerTest, RefusesTwoSigns) { EXPECT_EQ(ParseInteger("--1"), std::nullopt); }

TEST(FormatQuantityTest, TimesReadWell) {
  EXPECT_EQ(FormatQuantity(0.5, "s"), "500 ms");
  EXPECT_EQ(FormatQuantity(90, "s"), "90 s");
  EXPECT_EQ(FormatQuantity(3600, "s"), "1 h");
  EXPECT_EQ(FormatQuantity(0, "s"), "0 s");
}
TEST(FormatQuantityTest, SizesReadWell) { EXPECT_EQ(FormatQuantity(4 << 20, "B"), "4 MiB"); }
TEST(FormatQuantityTest, NumbersStayShort) {
  EXPECT_EQ(FormatQuantity(1500, "V"), "1500 V");
  EXPECT_EQ(FormatQuantity(0.1, ""), "0.1");
}

}  // namespace
}  // namespace canhub
