#include "drivers/api/can_frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

using ::testing::HasSubstr;

CanFrame Parsed(std::string_view text) {
  absl::StatusOr<CanFrame> frame = ParseFrame(text);
  EXPECT_TRUE(frame.ok()) << frame.status();
  return frame.ok() ? *frame : CanFrame{};
}

std::string ErrorOf(std::string_view text) {
  absl::StatusOr<CanFrame> frame = ParseFrame(text);
  EXPECT_FALSE(frame.ok()) << text;
  return frame.ok() ? "" : std::string(frame.status().message());
}

TEST(CanFrameText, StandardFrameBothWays) {
  // EDCP facts, section 21 row 29: channel 3 voltage set = 1500 V.
  const CanFrame frame = Parsed("210#41000344BB8000");
  EXPECT_EQ(frame, MakeFrame(0x210, {0x41, 0x00, 0x03, 0x44, 0xBB, 0x80, 0x00}));
  EXPECT_EQ(FormatFrame(frame), "210#41000344BB8000");
}

TEST(CanFrameText, ExtendedFrameBothWays) {
  // Row 63: module 5 on slave line 1.
  const CanFrame frame = Parsed("00001229#1000");
  EXPECT_TRUE(frame.extended);
  EXPECT_EQ(frame.id, 0x1229u);
  EXPECT_EQ(FormatFrame(frame), "00001229#1000");
}

TEST(CanFrameText, RemoteFrame) {
  const CanFrame frame = Parsed("201#R2");
  EXPECT_TRUE(frame.remote);
  EXPECT_EQ(frame.dlc, 2);
  EXPECT_TRUE(frame.payload().empty());
  EXPECT_EQ(FormatFrame(frame), "201#R2");
  EXPECT_EQ(FormatFrame(Parsed("201#R")), "201#R");
}

TEST(CanFrameText, DotsBetweenBytes) {
  EXPECT_EQ(Parsed("123#11.22.33"), MakeFrame(0x123, {0x11, 0x22, 0x33}));
}

TEST(CanFrameText, ErrorsNamePositionFoundAndExpected) {
  EXPECT_THAT(ErrorOf("21#00"), HasSubstr("3 (11-bit) or 8 (29-bit)"));
  EXPECT_THAT(ErrorOf("800#00"), HasSubstr("at most 7FF"));
  EXPECT_THAT(ErrorOf("20000000#00"), HasSubstr("at most 1FFFFFFF"));
  EXPECT_THAT(ErrorOf("210#4"), HasSubstr("second hexadecimal digit"));
  EXPECT_THAT(ErrorOf("210#4G"), HasSubstr("position 6: found 'G'"));
  EXPECT_THAT(ErrorOf("210#112233445566778899"), HasSubstr("at most 8 bytes"));
  EXPECT_THAT(ErrorOf("210"), HasSubstr("'#'"));
  EXPECT_THAT(ErrorOf("201#R9"), HasSubstr("0 to 8"));
  EXPECT_THAT(ErrorOf("210#11."), HasSubstr("found '.'"));
}

TEST(CanFrameText, CandumpLineBothWays) {
  const std::string text = "(1700000000.123456) can0 210#40010300 08";
  EXPECT_FALSE(ParseCandumpLine(text).ok());
  const std::string line = "(1700000000.123456) can0 210#4001030008";
  absl::StatusOr<CandumpLine> parsed = ParseCandumpLine(line + "\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->interface, "can0");
  EXPECT_EQ(parsed->time.time_since_epoch(), std::chrono::microseconds(1700000000123456));
  EXPECT_EQ(FormatCandumpLine(parsed->time, "can0", parsed->frame), line);
}

TEST(CanFrameText, CandumpLineWithDirection) {
  EXPECT_TRUE(ParseCandumpLine("(1.5) vcan0 004#C4 R").ok());
}

TEST(CanFrameText, CandumpTimeBeyondNanosecondsIsRefused) {
  // 2262 is the last year that 64 bits of nanoseconds reach.
  const absl::StatusOr<CandumpLine> last = ParseCandumpLine("(9223372035.999999999) can0 004#C4");
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_GT(last->time, WallTime{});
  EXPECT_FALSE(ParseCandumpLine("(9223372037.000000) can0 004#C4").ok());
  EXPECT_FALSE(ParseCandumpLine("(9999999999.000000) can0 004#C4").ok());
}

TEST(CanFrameText, CandumpGarbageIsRefused) {
  for (const char* text : {"", "(", "(1", "(1.", "(1.2", "(1.2)", "(1.2) ", "(1.2) can0",
                           "(x.2) can0 004#C4", "(99999999999.0) can0 004#C4", "(1.2) can0 zz"}) {
    EXPECT_FALSE(ParseCandumpLine(text).ok()) << text;
  }
}

TEST(S07_CanFrameText, RandomTextNeverCrashesAndWhatParsesFormatsBack) {
  std::mt19937 random(7);
  const std::string alphabet = "0123456789ABCDEFabcdef#.R() \n_can";
  int parsed = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text = i % 2 ? "210#" : "";
    for (int n = static_cast<int>(random() % 14); n > 0; --n) {
      text += alphabet[random() % alphabet.size()];
    }
    if (absl::StatusOr<CanFrame> frame = ParseFrame(text); frame.ok()) {
      ++parsed;
      EXPECT_EQ(Parsed(FormatFrame(*frame)), *frame) << text;
    }
    (void)ParseCandumpLine(text);
  }
  EXPECT_GT(parsed, 1000);
}

TEST(WireBits, EdcpSetVoltage1000Volt) {
  // Performance anchors, section 1: exactly 111 bits (module 2, channel 0).
  EXPECT_EQ(WireBits(Parsed("210#410000447A0000")), 111);
}

TEST(WireBits, EdcpReadAndAnswer) {
  // Performance anchors, section 1: the sample is 185 bits (facts, section 21, rows 33 and 34).
  EXPECT_EQ(WireBits(Parsed("211#410203")) + WireBits(Parsed("210#41020344BB7C00")), 185);
}

TEST(WireBits, StaysWithinTheFormulas) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    CanFrame frame;
    frame.extended = random() % 2;
    frame.id = random() & (frame.extended ? 0x1FFFFFFF : 0x7FF);
    frame.dlc = random() % 9;
    for (uint8_t& byte : frame.data) byte = random() % 4 == 0 ? random() : (random() % 2 ? 0 : 255);
    const int n = frame.dlc;
    const int best = frame.extended ? 67 + 8 * n : 47 + 8 * n;
    const int worst = best + (frame.extended ? (53 + 8 * n) / 4 : (33 + 8 * n) / 4);
    EXPECT_GE(WireBits(frame), best) << FormatFrame(frame);
    EXPECT_LE(WireBits(frame), worst) << FormatFrame(frame);
  }
}

TEST(WireBits, AllZerosIsStuffedAfterEveryFive) {
  // Identifier 0, no data: 1 + 11 + 3 + 4 + 15 zero bits (the CRC of zeros is zero): 34 equal bits,
  // a stuff bit after every five: 6.
  EXPECT_EQ(WireBits(MakeFrame(0, {})), 47 + 6);
}

TEST(CanFilter, MatchesFormAndMask) {
  // EDCP facts, section 3.2: answers, announcements and answers with bit 2 of module 2.
  const CanFilter filter{.id = 0x210, .mask = 0x7FA, .extended = false};
  EXPECT_TRUE(filter.Matches(Parsed("210#00")));
  EXPECT_TRUE(filter.Matches(Parsed("211#D8")));
  EXPECT_TRUE(filter.Matches(Parsed("214#00")));
  EXPECT_FALSE(filter.Matches(Parsed("218#00")));
  EXPECT_FALSE(filter.Matches(Parsed("00000210#00")));
  EXPECT_FALSE(filter.Matches(Parsed("210#R")));
}

TEST(Errors, CarryReasonAndFields) {
  const absl::Status status = MakeError(absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT",
                                        "hv0: too much", {{"limit", "1000"}, {"requested", ""}});
  const absl::Status annotated = Annotate(status, "while testing: ", {{"device_id", "hv0"}});
  EXPECT_EQ(annotated.message(), "while testing: hv0: too much");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kOutOfRange);
  const ErrorInfo info = GetErrorInfo(annotated);
  EXPECT_EQ(info.reason, "SETPOINT_ABOVE_LIMIT");
  EXPECT_EQ(info.fields, (ErrorFields{{"device_id", "hv0"}, {"limit", "1000"}, {"requested", ""}}));
  EXPECT_EQ(GetErrorInfo(absl::InternalError("plain")).reason, "");
}

}  // namespace
}  // namespace canhub
