#include "daemon/config/yaml_tree.h"

#include <gtest/gtest.h>

namespace canhub {
namespace {

// The errors of a text, or "".
std::string ErrorsOf(std::string_view text) {
  Problems problems("t");
  ParseYaml(text, problems);
  return std::string(problems.ToStatus().message());
}

TEST(YamlTreeTest, KnowsTheLineOfEveryKey) {
  Problems problems("t");
  const auto tree = ParseYaml("a: 1\nb:\n  c: x\n", problems);
  ASSERT_TRUE(tree);
  ASSERT_EQ(tree->entries.size(), 2u);
  EXPECT_EQ(tree->entries[1].line, 2);
  EXPECT_EQ(tree->Find("b")->entries[0].line, 3);
  EXPECT_EQ(tree->Find("b")->Find("c")->text, "x");
}

TEST(YamlTreeTest, KnowsWhatWasQuoted) {
  Problems problems("t");
  const auto tree = ParseYaml("a: '1'\nb: 1\n", problems);
  EXPECT_TRUE(tree->Find("a")->quoted);
  EXPECT_FALSE(tree->Find("b")->quoted);
}

TEST(YamlTreeTest, ReportsADoubleKeyAndItsFirstLine) {
  EXPECT_EQ(ErrorsOf("x:\n  a: 1\n  b: 2\n  a: 3\n"),
            "t:4: x.a: found the key twice (first in line 2), expected it once");
}

TEST(YamlTreeTest, FirstOfTwoKeysCounts) {
  Problems problems("t");
  EXPECT_EQ(ParseYaml("a: 1\na: 2\n", problems)->Find("a")->text, "1");
}

TEST(YamlTreeTest, RefusesAnchors) {
  EXPECT_EQ(ErrorsOf("a: &x 1\n"),
            "t:1: a: found an anchor (&), expected none: write the value out");
}

TEST(YamlTreeTest, RefusesAliasBombs) {
  std::string bomb = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string n = std::to_string(i), p = std::to_string(i - 1);
    bomb += "a" + n + ": &a" + n + " [*a" + p + ", *a" + p + "]\n";
  }
  EXPECT_NE(ErrorsOf(bomb).find("t:2: a1[0]: found an alias (*), expected the value itself"),
            std::string::npos);
}

TEST(YamlTreeTest, RefusesTags) {
  EXPECT_NE(ErrorsOf("a: !!str 1\n").find("found the tag"), std::string::npos);
}

TEST(YamlTreeTest, RefusesMapsAsKeys) {
  EXPECT_EQ(ErrorsOf("? {a: b}\n: c\n"), "t:1: found a map, expected a word as key");
}

TEST(YamlTreeTest, RefusesASecondDocument) {
  EXPECT_EQ(ErrorsOf("a: 1\n---\nb: 2\n"), "t:2: found a second document (---), expected one");
}

TEST(YamlTreeTest, NamesTheLineOfBrokenSyntax) {
  EXPECT_EQ(ErrorsOf("a: 1\nb: [1, 2\nc: 3\n").substr(0, 27), "t:3: found what is not YAML");
}

TEST(YamlTreeTest, RefusesInvalidUtf8) {
  EXPECT_EQ(ErrorsOf("a: 1\nb: \xC3(\n"),
            "t:2: found the byte 0xC3, expected UTF-8 text without control characters");
}

TEST(YamlTreeTest, RefusesOverlongUtf8) {
  EXPECT_EQ(ErrorsOf("a: \xE0\x80\x80"),
            "t:1: found the byte 0xE0, expected UTF-8 text without control characters");
}

TEST(YamlTreeTest, RefusesNul) {
  EXPECT_EQ(ErrorsOf(std::string_view("a: \0", 4)),
            "t:1: found the byte 0x00, expected UTF-8 text without control characters");
}

TEST(YamlTreeTest, RefusesDeepNesting) {
  EXPECT_EQ(ErrorsOf("a: " + std::string(17, '[') + std::string(17, ']')),
            "t:1: found more than 16 levels within each other, expected a configuration");
}

TEST(YamlTreeTest, RefusesNestingThatWouldOverflowTheStack) {
  EXPECT_NE(ErrorsOf(std::string(500'000, '[')), "");
  EXPECT_NE(ErrorsOf(std::string(500'000, '{')), "");
}

TEST(YamlTreeTest, RefusesTooManyValues) {
  std::string text = "a: [";
  for (int i = 0; i < kMaxYamlNodes; ++i) text += "1,";
  EXPECT_EQ(ErrorsOf(text + "]"), "t:1: found more than 100000 values, expected a configuration");
}

TEST(YamlTreeTest, RefusesLargeFiles) {
  EXPECT_EQ(ErrorsOf(std::string(kMaxYamlBytes + 1, '#')),
            "t:1: found 1048577 bytes, expected at most 1048576");
}

}  // namespace
}  // namespace canhub
