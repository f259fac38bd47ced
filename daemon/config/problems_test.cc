#include "daemon/config/problems.h"

#include <gtest/gtest.h>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

TEST(ProblemsTest, NoProblemIsOk) { EXPECT_TRUE(Problems("a.yaml").ToStatus().ok()); }

TEST(ProblemsTest, TellsAllInOrderOfTheFile) {
  Problems problems("a.yaml");
  problems.Add(7, "x.y", "1", "2");
  problems.Add(3, "", "found rubbish");
  EXPECT_EQ(problems.ToStatus().message(),
            "a.yaml:3: found rubbish\n"
            "a.yaml:7: x.y: found 1, expected 2");
}

TEST(ProblemsTest, CarriesTheFirstProblemsPlace) {
  Problems problems("a.yaml");
  problems.Add(7, "x.y", "1", "2");
  problems.Add(9, "z", "1", "2");
  const ErrorInfo info = GetErrorInfo(problems.ToStatus());
  EXPECT_EQ(info.reason, "CONFIG_INVALID");
  EXPECT_EQ(info.fields.at("line"), "7");
  EXPECT_EQ(info.fields.at("key"), "x.y");
  EXPECT_EQ(info.fields.at("problems"), "2");
}

TEST(ProblemsTest, ShowsAHundredAndCountsTheRest) {
  Problems problems("a.yaml");
  for (int i = 1; i <= 150; ++i) problems.Add(i, "k", "wrong");
  const std::string text(problems.ToStatus().message());
  EXPECT_NE(text.find("a.yaml:100: k: wrong\na.yaml: and 50 more"), std::string::npos) << text;
}

TEST(ProblemsTest, KeysCannotBreakTheLine) {
  Problems problems("a.yaml");
  problems.Add(1, "a\nb", "wrong");
  EXPECT_EQ(problems.ToStatus().message(), "a.yaml:1: a\\x0Ab: wrong");
}

TEST(ClosestNameTest, FindsASlip) {
  EXPECT_EQ(ClosestName("voltge", {"ramp", "voltage", "power"}), "voltage");
}

TEST(ClosestNameTest, CaseIsASmallDifference) {
  EXPECT_EQ(ClosestName("CAN0", {"CAM0", "can0"}), "can0");
}

TEST(ClosestNameTest, NothingWhenNothingIsClose) {
  EXPECT_EQ(ClosestName("banana", {"ramp", "voltage"}), "");
}

TEST(QuoteTest, NeverCutsInsideALetter) {
  std::string text(59, 'a');
  text += "\u00B5\u00B5";
  EXPECT_EQ(Quote(text), "\"" + std::string(59, 'a') + "\u00B5…\"");
}

}  // namespace
}  // namespace canhub
