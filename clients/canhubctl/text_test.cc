// Tables, the live screen, logs.
#include <algorithm>
#include <sstream>

#include "clients/canhubctl/frame_filter.h"
#include "clients/canhubctl/live_screen.h"
#include "clients/canhubctl/output.h"
#include "clients/canhubctl/reading_log.h"
#include "clients/canhubctl/text_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;

int64_t LineEnds(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST(TextTable, AlignsByPlacesNotBytes) {
  TextTable table({{"A"}, {"B", Align::kRight}, {"C"}});
  table.AddRow({"µ", "1", "x"});
  table.AddRow({"long", "100", "y"});
  EXPECT_EQ(table.ToString(),
            "A       B  C\n"
            "µ       1  x\n"
            "long  100  y\n");
}
TEST(TextTable, LeavesOutColumnsWithoutContent) {
  TextTable table({{"A"}, {"EMPTY"}, {"C"}});
  table.AddRow({"1", "", "3"});
  EXPECT_EQ(table.ToString(), "A  C\n1  3\n");
}
TEST(TextTable, ColoursTakeNoPlace) { EXPECT_EQ(DisplayWidth("\x1b[1;31mCRITICAL\x1b[0m"), 8u); }
TEST(CutToWidth, SaysThatSomethingIsMissingAndEndsTheColour) {
  EXPECT_EQ(CutToWidth("abcdef", 4), "abc…");
  EXPECT_EQ(CutToWidth("abcd", 4), "abcd");
  EXPECT_EQ(CutToWidth("\x1b[32mabcdef\x1b[0m", 4), "\x1b[32mabc…\x1b[0m");
}

TEST(LiveScreen, GoesBackOverWhatItDrew) {
  std::ostringstream out;
  LiveScreen screen(out);
  screen.Draw({"one", "two"}, {24, 80});
  out.str("");
  screen.Draw({"three"}, {24, 80});
  EXPECT_EQ(out.str(), "\x1b[2A\rthree\x1b[K\n\x1b[J");
}
TEST(LiveScreen, NeverDrawsMoreThanTheTerminalHolds) {
  std::ostringstream out;
  LiveScreen screen(out);
  out.str("");
  screen.Draw(std::vector<std::string>(100, "x"), {10, 80});
  EXPECT_EQ(LineEnds(out.str()), 9);
  EXPECT_THAT(out.str(), HasSubstr("92 more lines"));
}
TEST(LiveScreen, ShowsTheCursorAgain) {
  std::ostringstream out;
  { LiveScreen screen(out); }
  EXPECT_EQ(out.str(), "\x1b[?25l\x1b[?25h");
}

v1::Reading GoodReading() {
  v1::Reading reading;
  reading.set_name("hv0/ch3.voltage_measure");
  reading.set_unit("V");
  reading.set_quality(v1::QUALITY_GOOD);
  reading.mutable_value()->set_number(999.5);
  reading.mutable_read_time()->set_seconds(1700000000);
  return reading;
}
TEST(ReadingLog, WritesCsvWithATitle) {
  std::ostringstream out;
  ReadingLog log(out, LogFormat::kCsv);
  log.Write(GoodReading());
  EXPECT_EQ(out.str(),
            "time,name,value,unit,quality\n"
            "2023-11-14T22:13:20.000Z,hv0/ch3.voltage_measure,999.5,V,GOOD\n");
}
TEST(ReadingLog, ACsvFieldOfAStaleReadingIsEmpty) {
  v1::Reading reading = GoodReading();
  reading.clear_value();
  reading.set_quality(v1::QUALITY_STALE);
  reading.mutable_last_good_value()->set_number(3);
  std::ostringstream out;
  ReadingLog log(out, LogFormat::kCsv);
  log.Write(reading);
  EXPECT_THAT(out.str(), HasSubstr("voltage_measure,,V,STALE"));
}
TEST(ReadingLog, NamesAQualityThatIsNotGood) {
  v1::Reading reading = GoodReading();
  std::ostringstream good, stale;
  ReadingLog(good, LogFormat::kLines).Write(reading);
  reading.set_quality(v1::QUALITY_STALE);
  ReadingLog(stale, LogFormat::kLines).Write(reading);
  EXPECT_THAT(good.str(), Not(HasSubstr("GOOD")));
  EXPECT_THAT(stale.str(), HasSubstr("STALE"));
}
TEST(ReadingLog, JsonIsOneLineWithProtoNames) {
  std::ostringstream out;
  ReadingLog(out, LogFormat::kJsonLines).Write(GoodReading());
  EXPECT_EQ(LineEnds(out.str()), 1);
  EXPECT_THAT(out.str(), HasSubstr("\"read_time\":\"2023-11-14T22:13:20Z\""));
}
TEST(CsvField, QuotesWhatRfc4180Wants) {
  EXPECT_EQ(CsvField("plain"), "plain");
  EXPECT_EQ(CsvField("a,\"b\""), "\"a,\"\"b\"\"\"");
}

TEST(ParseFrameFilter, TellsStandardFromExtended) {
  const auto standard = ParseFrameFilter("200:780");
  EXPECT_EQ(standard->id(), 0x200u);
  EXPECT_EQ(standard->mask(), 0x780u);
  EXPECT_FALSE(standard->extended());
  EXPECT_TRUE(ParseFrameFilter("00001229:1FFFFFFF")->extended());
}
TEST(ParseFrameFilter, RefusesNonsense) {
  for (const char* text : {"", "200", "200:", ":780", "xyz:780", "1234:7FF", "800:7FF", "200:FFF",
                           "20000000:1FFFFFFF", "200:780:1", "0x200:780"}) {
    EXPECT_FALSE(ParseFrameFilter(text).ok()) << text;
  }
}

TEST(Output, PaintsOnlyWhereColoursAreShown) {
  std::ostringstream out;
  EXPECT_EQ(Output(out, out, {.colour = false}).Paint(Colour::kBad, "x"), "x");
  EXPECT_EQ(Output(out, out, {.colour = true}).Paint(Colour::kBad, "x"), "\x1b[1;31mx\x1b[0m");
}
TEST(Output, ErrorsGoToStandardErrorAndGiveTheExitCode) {
  std::ostringstream out, err;
  Output output(out, err, {.json = true});
  EXPECT_EQ(output.Fail(Failure::Usage("wrong")), ExitCode::kUsage);
  EXPECT_EQ(out.str(), "");
  EXPECT_THAT(err.str(), HasSubstr("\"code\": \"USAGE\""));
}

}  // namespace
}  // namespace canhub::ctl
