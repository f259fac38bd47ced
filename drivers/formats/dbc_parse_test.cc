// The statements of section 11.1 and every row of the table of section 11.4 that is about loading.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/formats/dbc.h"

namespace canhub::dbc {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Database Good(const std::string& text) {
  absl::StatusOr<Database> database = Parse(text, "a.dbc");
  EXPECT_TRUE(database.ok()) << database.status();
  return database.ok() ? *std::move(database) : Database{};
}

std::string Bad(const std::string& text) {
  const absl::StatusOr<Database> database = Parse(text, "a.dbc");
  EXPECT_EQ(database.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(database.status().message());
}

// A message of eight bytes with these signals.
std::string With(const std::string& signals) { return "BO_ 100 M: 8 N\n" + signals; }

TEST(DbcParse, ReadsAMessageAndItsSignal) {
  const Database database = Good(R"(VERSION "1.2"
BS_:
BU_: A B
BO_ 100 M: 8 A
 SG_ S : 8|16@0- (0.5,-3) [-10|20] "V" B,C
)");
  EXPECT_EQ(database.version, "1.2");
  EXPECT_THAT(database.nodes, ElementsAre("A", "B"));
  const Message& message = *database.Find(100, false);
  EXPECT_EQ(message.name, "M");
  EXPECT_EQ(message.line, 4);
  EXPECT_EQ(message.length, 8);
  EXPECT_THAT(message.senders, ElementsAre("A"));
  const Signal& signal = message.signals[0];
  EXPECT_EQ(signal.name, "S");
  EXPECT_EQ(signal.line, 5);
  EXPECT_EQ(signal.start, 8);
  EXPECT_EQ(signal.length, 16);
  EXPECT_TRUE(signal.big_endian);
  EXPECT_TRUE(signal.is_signed);
  EXPECT_EQ(signal.factor, 0.5);
  EXPECT_EQ(signal.offset, -3);
  EXPECT_EQ(signal.minimum, -10);
  EXPECT_EQ(signal.maximum, 20);
  EXPECT_EQ(signal.unit, "V");
  EXPECT_THAT(signal.receivers, ElementsAre("B", "C"));
}

TEST(DbcParse, BothLimitsZeroAreNone) {
  EXPECT_FALSE(Good(With("SG_ S : 0|8@1+ (1,0) [0|0] \"\" N")).messages[0].signals[0].maximum);
}

TEST(DbcParse, Bit31MakesAnExtendedIdentifier) {
  const Database database = Good("BO_ 2316304640 M: 8 N\n");
  ASSERT_NE(database.Find(0x0A100100, true), nullptr);
  EXPECT_EQ(database.Find(0x0A100100, false), nullptr);
}

TEST(DbcParse, AStandardAndAnExtendedIdentifierOfOneNumberAreTwo) {
  const Database database = Good("BO_ 100 A: 8 N\nBO_ 2147483748 B: 8 N\n");
  EXPECT_EQ(database.Find(100, false)->name, "A");
  EXPECT_EQ(database.Find(100, true)->name, "B");
}

TEST(DbcParse, RefusesIdentifiersThatDoNotExist) {
  EXPECT_THAT(Bad("BO_ 2048 M: 8 N\n"), HasSubstr("a.dbc:1: M: found the identifier 2048"));
  EXPECT_THAT(Bad("BO_ 2684354560 M: 8 N\n"), HasSubstr("29 bits"));
}

TEST(DbcParse, RefusesTwoMessagesOfOneIdentifier) {
  EXPECT_THAT(Bad("BO_ 100 A: 8 N\nBO_ 100 B: 8 N\n"),
              HasSubstr("a.dbc:2: B: found the identifier 100 of a message above"));
}

TEST(DbcParse, TellsEveryFaultOfAFile) {
  const std::string text = Bad("BO_ 2048 A: 8 N\nBO_ 2049 B: 8 N\n");
  EXPECT_THAT(text, HasSubstr("a.dbc:1: A"));
  EXPECT_THAT(text, HasSubstr("a.dbc:2: B"));
}

TEST(DbcParse, RefusesASignalBeyondTheMessage) {
  EXPECT_THAT(Bad(With("SG_ S : 60|16@1+ (1,0) [0|0] \"\" N")),
              HasSubstr("a.dbc:2: M.S: found start bit 60 and length 16"));
  // Issue 412 of cantools: 0|16@0 needs a third byte.
  EXPECT_THAT(Bad("BO_ 1 M: 2 N\nSG_ S : 0|16@0+ (1,0) [0|0] \"\" N"), HasSubstr("2 bytes"));
}

TEST(DbcParse, RefusesASignalWithoutBits) {
  EXPECT_THAT(Bad(With("SG_ S : 0|0@1+ (1,0) [0|0] \"\" N")), HasSubstr("a length of 0 bits"));
}

TEST(DbcParse, RefusesTwoSignalsOfOneName) {
  EXPECT_THAT(Bad(With("SG_ S : 0|1@1+ (1,0) [0|0] \"\" N\nSG_ S : 1|1@1+ (1,0) [0|0] \"\" N")),
              HasSubstr("a.dbc:3: M.S: found a second signal of this name"));
}

TEST(DbcParse, WarnsOfOverlappingSignalsAndSpoilsTheirMessage) {
  const Database database =
      Good(With("SG_ A : 0|9@1+ (1,0) [0|0] \"\" N\nSG_ B : 8|8@1+ (1,0) [0|0] \"\" N\n") +
           "BO_ 101 Fine: 8 N\n");
  EXPECT_THAT(database.warnings,
              ElementsAre(HasSubstr("a.dbc:3: M.B: found bits that A (line 2)")));
  EXPECT_THAT(database.Find(100, false)->problem, HasSubstr("cannot be used"));
  EXPECT_EQ(database.Find(101, false)->problem, "");
}

TEST(DbcParse, SignalsOnDifferentPagesMayOverlap) {
  const Database database =
      Good(With("SG_ Page M : 0|8@1+ (1,0) [0|0] \"\" N\nSG_ A m1 : 8|8@1+ (1,0) [0|0] \"\" N\n"
                "SG_ B m2 : 8|8@1+ (1,0) [0|0] \"\" N\n"));
  EXPECT_THAT(database.warnings, IsEmpty());
}

TEST(DbcParse, SignalsOnOnePageMayNot) {
  const Database database =
      Good(With("SG_ Page M : 0|8@1+ (1,0) [0|0] \"\" N\nSG_ A m1 : 8|8@1+ (1,0) [0|0] \"\" N\n"
                "SG_ B m1 : 8|8@1+ (1,0) [0|0] \"\" N\n"));
  EXPECT_NE(database.messages[0].problem, "");
}

TEST(DbcParse, DropsTheEditorsDumpOfUnusedSignals) {
  EXPECT_THAT(Good("BO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX\n"
                   "SG_ A : 0|8@1+ (1,0) [0|0] \"\" Vector__XXX\n")
                  .messages,
              IsEmpty());
}

TEST(DbcParse, NobodyIsNoTransmitterAndNoReceiver) {
  const Database database =
      Good("BO_ 1 M: 8 Vector__XXX\nSG_ S : 0|8@1+ (1,0) [0|0] \"\" Vector__XXX");
  EXPECT_THAT(database.messages[0].senders, IsEmpty());
  EXPECT_THAT(database.messages[0].signals[0].receivers, IsEmpty());
}

TEST(DbcParse, AnOrderDigitOtherThan0IsIntel) {
  EXPECT_FALSE(Good(With("SG_ S : 0|8@2+ (1,0) [0|0] \"\" N")).messages[0].signals[0].big_endian);
}

TEST(DbcParse, TakesReceiversWithSpacesOrNone) {
  const Database database = Good(With(
      "SG_ A : 0|8@1+ (1,0) [0|0] \"\" X Y\nSG_ B : 8|8@1+ (1,0) [0|0] \"\"\nBO_ 101 N: 1 X\n"));
  EXPECT_THAT(database.messages[0].signals[0].receivers, ElementsAre("X", "Y"));
  EXPECT_THAT(database.messages[0].signals[1].receivers, IsEmpty());
  EXPECT_EQ(database.messages.size(), 2u);
}

TEST(DbcParse, Numbers) {
  const auto factor = [](const std::string& text) {
    return Good(With("SG_ S : 0|8@1+ (" + text + ",0) [0|0] \"\" N")).messages[0].signals[0].factor;
  };
  EXPECT_EQ(factor("1E-005"), 1e-5);
  EXPECT_EQ(factor("1."), 1);
  EXPECT_EQ(factor(".5"), 0.5);
  EXPECT_EQ(factor("+2.5"), 2.5);
  EXPECT_EQ(factor("-2"), -2);
  EXPECT_THAT(Bad(With("SG_ S : 0|8@1+ (0x10,0) [0|0] \"\" N")),
              HasSubstr("a.dbc:2: M.S: found \"0x10\", expected the factor"));
  EXPECT_THAT(Bad(With("SG_ S : 0|8@1+ (1e999,0) [0|0] \"\" N")), HasSubstr("a double can hold"));
}

TEST(DbcParse, TakesAByteOrderMarkCommentsCarriageReturnsAndBlankLines) {
  const Database database = Good(
      "\xEF\xBB\xBF// by hand\r\nBO_ 100 M: 8 N\r\n SG_ A : 0|8@1+ (1,0) [0|0] \"\" N\r\n\r\n"
      " SG_ B : 8|8@1+ (1,0) [0|0] \"\" N // both\r\n");
  EXPECT_EQ(database.messages[0].signals.size(), 2u);
}

TEST(DbcParse, NewSymbolsAreNoStatements) {
  const Database database =
      Good("NS_ :\n\tCM_\n\tVAL_TABLE_\n\tBO_TX_BU_\nBS_:\nBU_:\nBO_ 1 M: 0 N");
  EXPECT_EQ(database.messages.size(), 1u);
  EXPECT_EQ(Good("NS_ :\n\tCM_\n\tBO_\nBO_ 1 M: 0 N").messages.size(), 1u);
}

TEST(DbcParse, SkipsUnknownStatementsWithAWarning) {
  const Database database = Good("FANCY_ 1 \"a;b\" x ;\nBO_ 1 M: 0 N");
  EXPECT_THAT(database.warnings, ElementsAre(HasSubstr("a.dbc:1: found the statement \"FANCY_\"")));
  EXPECT_EQ(database.messages.size(), 1u);
}

TEST(DbcParse, SkipsStatementsWithoutUse) {
  const Database database = Good(
      "BO_ 1 M: 8 N\nSIG_GROUP_ 1 G 1 : A B;\nEV_ E: 0 [0|1] \"\" 0 1 DUMMY N;\n"
      "ENVVAR_DATA_ E: 5;\nBA_DEF_REL_ BU_SG_REL_ \"x\" INT 0 1;\nBA_REL_ \"x\" BU_SG_REL_ N SG_ 1 "
      "S 0;\n"
      "CAT_ 1;\nSIG_TYPE_REF_ 1 S : T;\n");
  EXPECT_THAT(database.warnings, IsEmpty());
}

TEST(DbcParse, ACommentMaySpanLinesAndHoldKeywords) {
  const Database database = Good(
      "BO_ 1 M: 8 N\nSG_ S : 0|8@1+ (1,0) [0|0] \"\" N\nCM_ SG_ 1 S \"one; BO_ 2\ntwo "
      "\\\"x\\\"\";\n"
      "CM_ BO_ 1 \"whole\";\nCM_ \"file\";\nCM_ BU_ N \"node\";\nCM_ BO_ 9 \"nobody\";\n");
  EXPECT_EQ(database.messages[0].signals[0].comment, "one; BO_ 2\ntwo \"x\"");
  EXPECT_EQ(database.messages[0].comment, "whole");
}

TEST(DbcParse, TextsBecomeUtf8) {
  EXPECT_EQ(Good(With("SG_ S : 0|8@1+ (1,0) [0|0] \"\xB0"
                      "C\" N"))
                .messages[0]
                .signals[0]
                .unit,
            "\u00B0C");
  EXPECT_EQ(Good(With("SG_ S : 0|8@1+ (1,0) [0|0] \"\x80\" N")).messages[0].signals[0].unit,
            "\u20AC");
  EXPECT_EQ(Good(With("SG_ S : 0|8@1+ (1,0) [0|0] \"\u00B0C\" N")).messages[0].signals[0].unit,
            "\u00B0C");
}

TEST(DbcParse, ValueNames) {
  const Database database =
      Good(With("SG_ S : 0|8@1- (1,0) [0|0] \"\" N\n") +
           "VAL_ 100 S 1 \"on\" -1 \"broken\" 0 \"off\" ;\nVAL_ 100 T 1 \"x\" ;\nVAL_ E 0 \"y\" ;\n"
           "VAL_TABLE_ T 0 \"z\" ;\n");
  const Signal& signal = database.messages[0].signals[0];
  EXPECT_EQ(*signal.NameOf(static_cast<Bits>(-1)), "broken");
  EXPECT_EQ(*signal.NameOf(1), "on");
  EXPECT_EQ(signal.NameOf(2), nullptr);
}

TEST(DbcParse, Attributes) {
  const Database database = Good(With("SG_ S : 0|8@1+ (1,0) [0|0] \"\" N\n") + R"(BO_ 101 O: 8 N
BA_DEF_ "Baudrate" INT 0 1000000;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ BO_ "GenMsgSendType" ENUM "Cyclic","OnChange";
BA_DEF_ SG_ "GenSigStartValue" FLOAT 0 100;
BA_DEF_ SG_ "SystemSignalLongSymbol" STRING ;
BA_DEF_ BO_ "SystemMessageLongSymbol" STRING ;
BA_DEF_DEF_ "GenMsgCycleTime" 20;
BA_DEF_DEF_ "GenMsgSendType" "Cyclic";
BA_ "Baudrate" 250000;
BA_ "GenMsgCycleTime" BO_ 100 500;
BA_ "GenMsgSendType" BO_ 100 1;
BA_ "GenSigStartValue" SG_ 100 S 7;
BA_ "SystemSignalLongSymbol" SG_ 100 S "ASignalWithANameOfMoreThanThirtyTwoLetters";
BA_ "SystemMessageLongSymbol" BO_ 100 "AMessageWithANameOfMoreThanThirtyTwoLetters";
)");
  EXPECT_EQ(database.bitrate, 250000u);
  const Message& message = database.messages[0];
  EXPECT_EQ(message.cycle, milliseconds(500));
  EXPECT_EQ(message.send_type, "OnChange");
  EXPECT_EQ(message.name, "AMessageWithANameOfMoreThanThirtyTwoLetters");
  EXPECT_EQ(message.signals[0].name, "ASignalWithANameOfMoreThanThirtyTwoLetters");
  EXPECT_EQ(message.signals[0].start_value, 7);
  EXPECT_EQ(database.messages[1].cycle, milliseconds(20));
  EXPECT_EQ(database.messages[1].send_type, "Cyclic");
}

TEST(DbcParse, RefusesAnAttributeThatIsNotDefined) {
  EXPECT_THAT(Bad("BA_ \"X\" 1;"), HasSubstr("a.dbc:1: BA_: found the attribute \"X\""));
}

TEST(DbcParse, MoreTransmitters) {
  EXPECT_THAT(Good("BO_ 1 M: 8 A\nBO_TX_BU_ 1 : A,B;").messages[0].senders, ElementsAre("A", "B"));
}

TEST(DbcParse, ValueTypesWithAndWithoutColon) {
  const Database database = Good(With("SG_ A : 0|32@1- (1,0) [0|0] \"\" N\n"
                                      "SG_ B : 32|32@1- (1,0) [0|0] \"\" N\n") +
                                 "SIG_VALTYPE_ 100 A : 1;\nSIG_VALTYPE_ 100 B 1;\n");
  EXPECT_TRUE(database.messages[0].signals[0].is_float);
  EXPECT_TRUE(database.messages[0].signals[1].is_float);
}

TEST(DbcParse, AFloatOf24BitsSpoilsItsMessage) {
  const Database database =
      Good(With("SG_ A : 0|24@1- (1,0) [0|0] \"\" N\n") + "SIG_VALTYPE_ 100 A : 1;\n");
  EXPECT_THAT(database.messages[0].problem, HasSubstr("a float of 24 bits"));
}

TEST(DbcParse, SeveralSelectorsWithoutRangesAreNone) {
  const Database database =
      Good(With("SG_ P M : 0|4@1+ (1,0) [0|0] \"\" N\nSG_ Q M : 4|4@1+ (1,0) [0|0] \"\" N\n"
                "SG_ A m1 : 8|8@1+ (1,0) [0|0] \"\" N\n"));
  EXPECT_EQ(database.messages[0].signals[2].selected_by, -1);
  EXPECT_THAT(database.warnings, ElementsAre(HasSubstr("M.A: found several selectors")));
}

TEST(DbcParse, APageWithoutSelectorIsAlwaysThere) {
  const Database database = Good(With("SG_ A m1 : 8|8@1+ (1,0) [0|0] \"\" N\n"));
  EXPECT_EQ(database.messages[0].signals[0].selected_by, -1);
  EXPECT_THAT(database.warnings, ElementsAre(HasSubstr("a page without a selector")));
}

TEST(DbcParse, RefusesSelectorsThatAreNoneOrSelectEachOther) {
  const std::string two =
      With("SG_ P m0M : 0|4@1+ (1,0) [0|0] \"\" N\nSG_ Q m0M : 4|4@1+ (1,0) [0|0] \"\" N\n");
  EXPECT_THAT(Bad(two + "SG_MUL_VAL_ 100 P X 0-1;\n"),
              HasSubstr("a.dbc:4: SG_MUL_VAL_: M.P: found the selector X"));
  EXPECT_THAT(Bad(two + "SG_MUL_VAL_ 100 P Q 0-1;\nSG_MUL_VAL_ 100 Q P 0-1;\n"),
              HasSubstr("select each other"));
}

TEST(DbcParse, NamesWhatAStatementLacks) {
  EXPECT_THAT(Bad("BO_ 100 M 8 N\n"), HasSubstr("a.dbc:1: BO_: found \"8\", expected \":\""));
  EXPECT_THAT(Bad("BO_ 100 M: 8"), HasSubstr("found the end of the file"));
  EXPECT_THAT(Bad("CM_ \"never closed"), HasSubstr("a.dbc:1: found a text that does not end"));
  EXPECT_THAT(Bad("BO_ 1 M: 65 N"), HasSubstr("from 0 to 64"));
  EXPECT_THAT(Bad("SG_ S : 0|8@1+ (1,0) [0|0] \"\" N"), HasSubstr("BO_ before the first signal"));
  EXPECT_THAT(Bad("BO_ 1 M\xB5: 8 N"), HasSubstr("found the byte 0xB5"));
}

TEST(DbcParse, LoadSharesWhatIsLoaded) {
  const auto first = Load("BO_ 1 M: 8 N", "a.dbc");
  const auto second = Load("BO_ 1 M: 8 N", "a.dbc");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_NE(*first, *Load("BO_ 2 M: 8 N", "a.dbc"));
}

TEST(DbcPatterns, MatchNames) {
  EXPECT_TRUE(MatchesAny("BMU*_pdo1, SYNC", "BMU07_pdo1"));
  EXPECT_TRUE(MatchesAny("BMU*_pdo1, SYNC", "SYNC"));
  EXPECT_FALSE(MatchesAny("BMU*_pdo1, SYNC", "BMU07_pdo11"));
  EXPECT_TRUE(MatchesAny("*", ""));
  EXPECT_FALSE(MatchesAny("", "x"));
  EXPECT_TRUE(MatchesAny("*a*b", "xaabab"));
}

}  // namespace
}  // namespace canhub::dbc
