#include "daemon/bus/socketcand_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace canhub {
namespace {

using Type = SocketcandMessage::Type;
using testing::ElementsAre;

std::vector<std::string> Elements(ElementParser& parser, std::string_view bytes) {
  parser.Feed(bytes);
  std::vector<std::string> elements;
  while (auto element = parser.Next()) elements.push_back(*element);
  return elements;
}

TEST(ElementParserTest, SeveralInOnePacket) {
  ElementParser parser;
  EXPECT_THAT(Elements(parser, "< hi >< ok >\n<echo>"), ElementsAre("hi", "ok", "echo"));
  EXPECT_EQ(parser.dropped(), 0u);
}

TEST(ElementParserTest, OneInManyPackets) {
  ElementParser parser;
  const std::string text = "< frame 123 23.424242 11223344 >";
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    EXPECT_TRUE(Elements(parser, text.substr(i, 1)).empty());
  }
  EXPECT_THAT(Elements(parser, text.substr(text.size() - 1)),
              ElementsAre("frame 123 23.424242 11223344"));
}

TEST(ElementParserTest, GarbageIsSkippedAndCounted) {
  ElementParser parser;
  EXPECT_THAT(Elements(parser, "xy>< ok >"), ElementsAre("ok"));
  EXPECT_EQ(parser.dropped(), 3u);
}

TEST(ElementParserTest, LostEndDoesNotSwallowTheNextElement) {
  ElementParser parser;
  EXPECT_THAT(Elements(parser, "< frame 123 < ok >"), ElementsAre("ok"));
  EXPECT_EQ(parser.dropped(), 1u);
}

TEST(ElementParserTest, OverlongElementIsDroppedWithoutBeingKept) {
  ElementParser parser;
  EXPECT_TRUE(Elements(parser, "< " + std::string(1 << 20, 'A')).empty());
  EXPECT_THAT(Elements(parser, " >< ok >"), ElementsAre("ok"));
  EXPECT_EQ(parser.dropped(), 1u);
}

TEST(ElementParserTest, RandomBytesNeverBreakWhatFollows) {
  static constexpr char kBytes[] = "<>\0 0123456789ABCDEFframesdrto\xff.";
  std::mt19937 random(1);
  ElementParser parser;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = kBytes[random() % (sizeof(kBytes) - 1)];
    for (const std::string& element : Elements(parser, bytes)) {
      const SocketcandMessage message = ParseSocketcand(element);
      if (message.type == Type::kFrame || message.type == Type::kSend) {
        EXPECT_LE(message.frame.dlc, 8);
        EXPECT_LE(message.frame.id, message.frame.extended ? 0x1FFFFFFFu : 0x7FFu);
      }
    }
    EXPECT_EQ(Elements(parser, "> < ok >").back(), "ok");
  }
}

TEST(SocketcandMessageTest, SendAsPythonCanWritesIt) {
  // can/interfaces/socketcand/socketcand.py: bytes as "{x:x}", so without a leading zero.
  const SocketcandMessage message = ParseSocketcand("send 210 7 41 0 3 44 bb 80 0");
  EXPECT_EQ(message.type, Type::kSend);
  EXPECT_EQ(FormatFrame(message.frame), "210#41000344BB8000");
}

TEST(SocketcandMessageTest, SendWithoutData) {
  const SocketcandMessage message = ParseSocketcand("send 00001229 0");
  EXPECT_EQ(message.type, Type::kSend);
  EXPECT_EQ(FormatFrame(message.frame), "00001229#");
}

TEST(SocketcandMessageTest, EightDigitsMakeA29BitIdentifier) {
  EXPECT_FALSE(ParseSocketcand("send 123 0").frame.extended);
  EXPECT_TRUE(ParseSocketcand("send 00000123 0").frame.extended);
}

TEST(SocketcandMessageTest, FrameInBothForms) {
  EXPECT_EQ(FormatFrame(ParseSocketcand("frame 123 23.424242 11223344").frame), "123#11223344");
  // The form of the protocol's document.
  EXPECT_EQ(FormatFrame(ParseSocketcand("frame 123 23.424242 11 22 33 44").frame), "123#11223344");
  EXPECT_EQ(FormatFrame(ParseSocketcand("frame 123 23.424242").frame), "123#");
}

TEST(SocketcandMessageTest, MalformedFramesAreNoFrames) {
  for (const char* text : {"send 123",
                           "send 800 0",
                           "send 123 1",
                           "send 123 1 11 22",
                           "send 123 9 1 2 3 4 5 6 7 8 9",
                           "send 123 1 1FF",
                           "send 1234 0",
                           "send 20000000 0",
                           "send -12 0",
                           "send 123 1 0x",
                           "send",
                           "frame 123",
                           "frame 123 x 11",
                           "frame 123 1.0 112233445566778899",
                           "frame 123 1.0 123",
                           "sendrtr 123",
                           "sendrtr 123 9",
                           "rtr 123 1.0",
                           "open",
                           "open a b"}) {
    const SocketcandMessage message = ParseSocketcand(text);
    EXPECT_EQ(message.type, Type::kMalformed) << text;
    EXPECT_EQ(message.frame, CanFrame{}) << text;
  }
  EXPECT_EQ(ParseSocketcand("").type, Type::kUnknown);
  EXPECT_EQ(ParseSocketcand("bcmmode").type, Type::kUnknown);
}

TEST(SocketcandMessageTest, RemoteFrames) {
  const SocketcandMessage sent = ParseSocketcand("sendrtr 123 2");
  EXPECT_EQ(sent.type, Type::kSend);
  EXPECT_TRUE(sent.frame.remote);
  EXPECT_EQ(sent.frame.dlc, 2);
  EXPECT_EQ(FormatSend(sent.frame), "< sendrtr 123 2 >");
  EXPECT_TRUE(ParseSocketcand("rtr 1AAAAAAA 1.5 4").frame.extended);
}

TEST(SocketcandMessageTest, ErrorsForMachinesAndForHumans) {
  const SocketcandMessage frame = ParseSocketcand("error 040 1700000000.123456");
  EXPECT_EQ(frame.type, Type::kErrorFrame);
  EXPECT_EQ(frame.error_class, 0x40u);
  const SocketcandMessage text = ParseSocketcand("error could not open bus");
  EXPECT_EQ(text.type, Type::kError);
  EXPECT_EQ(text.text, "could not open bus");
  EXPECT_EQ(ParseSocketcand("error").type, Type::kError);
}

TEST(SocketcandMessageTest, WhatIsWrittenReadsBackEqual) {
  for (const char* text : {"210#41000344BB8000", "000#", "1FFFFFFF#0102030405060708", "7FF#R3"}) {
    const CanFrame frame = *ParseFrame(text);
    const auto inner = [](std::string s) { return s.substr(2, s.size() - 4); };
    EXPECT_EQ(ParseSocketcand(inner(FormatSend(frame))).frame, frame);
    EXPECT_EQ(ParseSocketcand(inner(FormatReceived(frame, WallTime{}))).frame, frame);
  }
}

TEST(SocketcandMessageTest, ReceivedFrameHasSocketcandsForm) {
  const WallTime time{std::chrono::seconds(23) + std::chrono::nanoseconds(4242999)};
  EXPECT_EQ(FormatReceived(*ParseFrame("123#11223344"), time), "< frame 123 23.004242 11223344 >");
  // Two blanks: python-can splits at each and needs the empty word.
  EXPECT_EQ(FormatReceived(*ParseFrame("00000123#"), time), "< frame 00000123 23.004242  >");
  EXPECT_EQ(FormatErrorFrame(0x4, time), "< error 004 23.004242 >");
}

}  // namespace
}  // namespace canhub
