// Bits and values: section 11.2 and 11.3, and what section 11.4 has about decoding and encoding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <map>

#include "drivers/formats/dbc.h"

namespace canhub::dbc {
namespace {

using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;
using Bytes = std::vector<uint8_t>;

Database Good(const std::string& text) {
  absl::StatusOr<Database> database = Parse(text, "a.dbc");
  EXPECT_TRUE(database.ok()) << database.status();
  return *std::move(database);
}

// One signal of a message of eight bytes: "7|16@0- (1,0)".
Signal One(const std::string& text, const std::string& more = "") {
  return Good("BO_ 1 M: 8 N\nSG_ S : " + text + " [0|0] \"\" N\n" + more).messages[0].signals[0];
}

// Of the bytes, missing ones 0.
Bits Raw(const Signal& signal, Bytes bytes) {
  bytes.resize(8);
  const Bits fast = Payload(bytes).Get(signal);
  EXPECT_EQ(fast, ExtractBits(signal, bytes));
  return fast;
}

TEST(DbcBits, IntelStartsAtTheLeastSignificantBit) {
  EXPECT_EQ(Raw(One("4|12@1+ (1,0)"), {0xA0, 0xBC}), 0xBCAu);
}

TEST(DbcBits, MotorolaStartsAtTheMostSignificantBitAndGoesOnInTheNextByte) {
  EXPECT_EQ(Raw(One("7|16@0+ (1,0)"), {0x12, 0x34}), 0x1234u);
  EXPECT_EQ(Raw(One("3|12@0+ (1,0)"), {0xF1, 0x23}), 0x123u);
}

TEST(DbcBits, ANibbleIsTheSameInBothOrders) {
  EXPECT_EQ(Raw(One("7|4@0+ (1,0)"), {0xA5}), 0xAu);
  EXPECT_EQ(Raw(One("4|4@1+ (1,0)"), {0xA5}), 0xAu);
}

TEST(DbcBits, SignedIsTwosComplementOverItsLength) {
  EXPECT_EQ(static_cast<int64_t>(Raw(One("0|1@1- (1,0)"), {1})), -1);
  EXPECT_EQ(static_cast<int64_t>(Raw(One("0|12@1- (1,0)"), {0x00, 0x08})), -2048);
  EXPECT_EQ(static_cast<int64_t>(Raw(One("0|64@1- (1,0)"), Bytes(8, 0xFF))), -1);
}

TEST(DbcBits, AWholeFrame) {
  const Bytes bytes = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(Raw(One("0|64@1+ (1,0)"), bytes), 0x0807060504030201u);
  EXPECT_EQ(Raw(One("7|64@0+ (1,0)"), bytes), 0x0102030405060708u);
}

TEST(DbcBits, BeyondEightBytes) {
  const Database database = Good(
      "BO_ 1 M: 64 N\nSG_ A : 60|12@1+ (1,0) [0|0] \"\" N\nSG_ B : 507|4@0+ (1,0) [0|0] \"\" N");
  Bytes bytes(64);
  bytes[7] = 0x50;
  bytes[8] = 0x34;
  bytes[63] = 0x09;
  const Payload payload(bytes);
  EXPECT_EQ(payload.Get(database.messages[0].signals[0]), 0x345u);
  EXPECT_EQ(payload.Get(database.messages[0].signals[1]), 9u);
}

TEST(DbcBits, InsertChangesNoOtherBit) {
  for (const char* text : {"4|12@1+ (1,0)", "3|12@0+ (1,0)", "0|64@1+ (1,0)", "7|64@0- (1,0)",
                           "17|1@1- (1,0)", "31|33@0- (1,0)"}) {
    const Signal signal = One(text);
    for (const uint8_t fill : {0x00, 0xFF}) {
      Bytes bytes(8, fill);
      InsertBits(signal, 0x123456789ABCDEF1, bytes);
      const Bits mask = signal.length == 64 ? ~Bits{0} : (Bits{1} << signal.length) - 1;
      EXPECT_EQ(ExtractBits(signal, bytes) & mask, 0x123456789ABCDEF1 & mask) << text;
      InsertBits(signal, fill == 0 ? 0 : ~Bits{0}, bytes);
      EXPECT_EQ(bytes, Bytes(8, fill)) << text;
    }
  }
}

TEST(DbcValues, MultiplyAndThenAddInDoubles) {
  // Section 4.7, and the defect 5 of section 13.
  EXPECT_EQ(One("0|16@1- (0.1,0)").Physical(static_cast<Bits>(-963)), -96.30000000000001);
  EXPECT_EQ(One("0|8@1+ (0.01,2.2)").Physical(174), 3.9400000000000004);
  EXPECT_EQ(One("0|8@1+ (0.01,2.2)").Physical(60), 2.8000000000000003);
  EXPECT_EQ(One("0|16@1+ (0.01,0)").Physical(4730), 47.300000000000004);
}

TEST(DbcValues, WholeNumbersStayWhole) {
  const Signal counter = One("0|64@1+ (1,0)");
  EXPECT_EQ(counter.PhysicalInteger(0x7FFFFFFFFFFFFFFF), INT64_MAX);
  EXPECT_EQ(counter.PhysicalInteger(0x8000000000000000), std::nullopt);
  EXPECT_EQ(One("0|8@1+ (-3,7)").PhysicalInteger(4), -5);
  EXPECT_EQ(One("0|8@1+ (0.5,0)").PhysicalInteger(4), std::nullopt);
}

TEST(DbcValues, Floats) {
  const std::string one = "SIG_VALTYPE_ 1 S : 1;";
  EXPECT_EQ(One("0|32@1- (1,0)", one).Physical(0x431C8000), 156.5);
  EXPECT_EQ(One("0|32@1- (2,1)", one).Physical(0x431C8000), 314);
  EXPECT_EQ(One("7|64@0- (1,0)", "SIG_VALTYPE_ 1 S : 2;").Physical(std::bit_cast<Bits>(0.1)), 0.1);
  EXPECT_TRUE(std::isnan(One("0|32@1- (1,0)", one).Physical(0x7FC00000)));
}

TEST(DbcValues, HalfFloats) {
  const Signal half = One("0|16@1- (1,0)", "SIG_VALTYPE_ 1 S : 1;");
  EXPECT_EQ(half.Physical(0x3C00), 1);
  EXPECT_EQ(half.Physical(0xC000), -2);
  EXPECT_EQ(half.Physical(0x7BFF), 65504);
  EXPECT_EQ(half.Physical(0x0001), std::ldexp(1, -24));
  EXPECT_TRUE(std::isinf(half.Physical(0x7C00)));
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double value = half.Physical(bits);
    if (!std::isfinite(value) || bits == 0x8000) continue;  // -0 + 0 is 0
    EXPECT_EQ(*half.FromPhysical(value), bits);
  }
}

TEST(DbcEncode, RoundsHalvesToEven) {
  const Signal signal = One("0|8@1+ (1,0)");
  EXPECT_EQ(*signal.FromPhysical(2.5), 2u);
  EXPECT_EQ(*signal.FromPhysical(3.5), 4u);
}

TEST(DbcEncode, RefusesWhatTheBitsCannotHold) {
  const Signal byte = One("0|8@1+ (1,0)");
  EXPECT_THAT(std::string(byte.FromPhysical(256).status().message()), HasSubstr("8 bits"));
  EXPECT_FALSE(byte.FromPhysical(-1).ok());
  EXPECT_FALSE(byte.FromPhysical(std::nan("")).ok());
  EXPECT_FALSE(byte.FromRaw(256).ok());
  EXPECT_EQ(*One("0|8@1- (1,0)").FromRaw(-128), static_cast<Bits>(-128));
  EXPECT_FALSE(One("0|8@1- (1,0)").FromRaw(128).ok());
  EXPECT_FALSE(One("0|64@1+ (1,0)").FromPhysical(18446744073709551616.0).ok());
}

TEST(DbcEncode, RefusesWhatIsOutsideTheLimits) {
  const Signal signal =
      Good("BO_ 1 M: 8 N\nSG_ S : 0|8@1+ (0.1,0) [1|2] \"\" N\nVAL_ 1 S 255 \"invalid\" ;")
          .messages[0]
          .signals[0];
  EXPECT_EQ(*signal.FromPhysical(2), 20u);
  EXPECT_EQ(*signal.FromPhysical(2 + 0.5e-7), 20u);
  EXPECT_THAT(std::string(signal.FromPhysical(2.1).status().message()),
              HasSubstr("above the maximum of 2"));
  EXPECT_THAT(std::string(signal.FromPhysical(0.9).status().message()),
              HasSubstr("below the minimum of 1"));
  // A raw value that has a name is what the file wants.
  EXPECT_EQ(*signal.FromPhysical(25.5), 255u);
}

// ---------------------------------------------------------------- multiplexing

using Shown = std::map<std::string, Bits>;
Shown Show(const Message& message, Bytes bytes, int* unknown = nullptr) {
  bytes.resize(8);
  Shown shown;
  const int page = message.ForEach(Payload(bytes), [&](int index, Bits bits) {
    shown[message.signals[static_cast<size_t>(index)].name] = bits;
  });
  if (unknown != nullptr) *unknown = page;
  return shown;
}

TEST(DbcPages, OnlyThePageThatTheSelectorShows) {
  const Database database = Good(
      "BO_ 1 M: 8 N\nSG_ A m1 : 8|8@1+ (1,0) [0|0] \"\" N\nSG_ P M : 0|8@1+ (1,0) [0|0] \"\" N\n"
      "SG_ B m2 : 8|8@1+ (1,0) [0|0] \"\" N\nSG_ C : 16|8@1+ (1,0) [0|0] \"\" N\n");
  int unknown = 0;
  EXPECT_THAT(Show(database.messages[0], {1, 7, 9}, &unknown),
              UnorderedElementsAre(Pair("P", 1), Pair("A", 7), Pair("C", 9)));
  EXPECT_EQ(unknown, -1);
  EXPECT_THAT(Show(database.messages[0], {2, 7, 9}),
              UnorderedElementsAre(Pair("P", 2), Pair("B", 7), Pair("C", 9)));
}

TEST(DbcPages, AnUnknownPageShowsWhatIsAlwaysThere) {
  const Database database = Good(
      "BO_ 1 M: 8 N\nSG_ P M : 0|8@1+ (1,0) [0|0] \"\" N\nSG_ A m1 : 8|8@1+ (1,0) [0|0] \"\" N\n"
      "VAL_ 1 P 5 \"empty\" ;");
  int unknown = -1;
  EXPECT_THAT(Show(database.messages[0], {3, 7}, &unknown), UnorderedElementsAre(Pair("P", 3)));
  EXPECT_EQ(unknown, 0);
  // A page with a name may have nothing on it.
  Show(database.messages[0], {5, 7}, &unknown);
  EXPECT_EQ(unknown, -1);
}

TEST(DbcPages, RangesAddToThePageOfTheMark) {
  const Database database = Good(
      "BO_ 1 M: 8 N\nSG_ P M : 0|8@1+ (1,0) [0|0] \"\" N\nSG_ A m1 : 8|8@1+ (1,0) [0|0] \"\" N\n"
      "SG_MUL_VAL_ 1 A P 4-6, 9-9;");
  for (const uint8_t page : {1, 4, 6, 9}) {
    EXPECT_EQ(Show(database.messages[0], {page, 7}).count("A"), 1u) << int{page};
  }
  for (const uint8_t page : {0, 2, 7, 10}) {
    EXPECT_EQ(Show(database.messages[0], {page, 7}).count("A"), 0u) << int{page};
  }
}

TEST(DbcPages, SelectorsBelowSelectors) {
  const Database database = Good(R"(BO_ 1 M: 8 N
SG_ Deep m3 : 16|8@1+ (1,0) [0|0] "" N
SG_ Q m1M : 8|8@1+ (1,0) [0|0] "" N
SG_ P M : 0|8@1+ (1,0) [0|0] "" N
SG_MUL_VAL_ 1 Q P 1-1;
SG_MUL_VAL_ 1 Deep Q 3-3;
)");
  EXPECT_THAT(Show(database.messages[0], {1, 3, 9}),
              UnorderedElementsAre(Pair("P", 1), Pair("Q", 3), Pair("Deep", 9)));
  EXPECT_THAT(Show(database.messages[0], {0, 3, 9}), UnorderedElementsAre(Pair("P", 0)));
}

}  // namespace
}  // namespace canhub::dbc
