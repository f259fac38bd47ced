#include "drivers/iseg/edcp.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "drivers/iseg/registers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::iseg {
namespace {

constexpr DeviceAddress kModule0{0};
constexpr DeviceAddress kModule2{2};
constexpr DeviceAddress kModule3{3};
constexpr DeviceAddress kModule5{5};
constexpr DeviceAddress kModule63{63};
constexpr DeviceAddress kCrate0{0, true};
constexpr DeviceAddress kSlaveModule{5, false, 1};

WireBytes Bytes(std::initializer_list<uint8_t> list) {
  WireBytes bytes;
  for (const uint8_t b : list) bytes.data[bytes.size++] = b;
  return bytes;
}
WireBytes R4(double v) { return *EncodeValue(WireType::kR4, Value::Number(v)); }
WireBytes Ui(WireType type, int64_t v) { return *EncodeValue(type, Value::Integer(v)); }
WireBytes Text(WireType type, const char* text) { return *EncodeValue(type, Value::Text(text)); }

std::string Hex4(int v) {
  char buffer[8];
  snprintf(buffer, sizeof buffer, "%04X", v);
  return buffer;
}

// What a frame says, in words: by ParseAnswer where a device could have sent it, else as a request.
std::string Describe(const CanFrame& frame) {
  const std::optional<Identifier> identifier = ParseIdentifier(frame);
  if (!identifier.has_value()) return "no identifier";
  if (identifier->nmt) return "nmt";
  std::string text =
      (identifier->device.crate ? "crate " : "module ") +
      std::to_string(identifier->device.number) +
      (identifier->device.line > 0 ? " of line " + std::to_string(identifier->device.line)
                                   : std::string()) +
      ": ";
  const absl::StatusOr<Answer> answer = ParseAnswer(frame);
  if (!answer.ok()) {
    text += BadFrameReason(answer.status());
    if (identifier->read && frame.dlc >= 2) {
      text += ", read " + Hex4(frame.data[0] << 8 | frame.data[1]);
    }
    return text;
  }
  const std::string index = answer->index >= 0 ? "[" + std::to_string(answer->index) + "]" : "";
  switch (answer->kind) {
    case Answer::Kind::kAnnouncement:
      return text + "announces status " + std::to_string(answer->general_status) + " class " +
             std::to_string(answer->device_class);
    case Answer::Kind::kDcp:
      return text + "dcp " + Hex4(answer->data_id).substr(2);
    case Answer::Kind::kNotImplemented:
      return text + Hex4(answer->data_id) + index + " not implemented";
    case Answer::Kind::kBootLoader:
      return text + "boot loader of class " + std::to_string(answer->device_class);
    case Answer::Kind::kValue:
      break;
  }
  const absl::StatusOr<WireValue> value = DecodeAnswer(*answer);
  if (!value.ok()) return text + Hex4(answer->data_id) + " " + BadFrameReason(value.status());
  return text + Hex4(answer->data_id) + (answer->multiple ? " multiple" : "") + index + " = " +
         value->value.ToString() + (value->low_range ? " low range" : "");
}

// Section 21 of the facts: every row, by its number. `frame` is the table's, in cansend's form.
struct GoldenRow {
  int number;
  const char* frame;
  std::function<CanFrame()> encode;
  const char* meaning;
};

std::vector<GoldenRow> GoldenRows() {
  using WT = WireType;
  const auto write = WriteModuleFrame;
  const auto channel = WriteChannelFrame;
  return {
      {1, "211#D8271A", [] { return AnnouncementFrame(kModule2, 0x27, 26); },
       "module 2: announces status 39 class 26"},
      {2, "200#D801", [] { return LogOnFrame(kModule0); }, "module 0: foreign_master"},
      {3, "210#D801", [] { return LogOnFrame(kModule2); }, "module 2: foreign_master"},
      {4, "3F8#D800", [] { return LogOffFrame(kModule63); }, "module 63: foreign_master"},
      {5, "211#E0", [] { return DcpReadFrame(kModule2, kDcpIdentity); },
       "module 2: foreign_master"},
      {6, "210#E0473011410108",
       [] {
         return DcpIdentityFrame(kModule2, {473011, 4, 101, 8});
       },
       "module 2: dcp E0"},
      {7, "211#1200", [] { return ReadModuleFrame(kModule2, 0x1200); },
       "module 2: foreign_master, read 1200"},
      {8, "210#12000057219A", [=] { return write(kModule2, 0x1200, Ui(WT::kUi4, 5710234)); },
       "module 2: 1200 = 5710234"},
      {9, "211#1203", [] { return ReadModuleFrame(kModule2, 0x1203); },
       "module 2: foreign_master, read 1203"},
      {10, "210#12034530384632", [=] { return write(kModule2, 0x1203, Text(WT::kName5, "E08F2")); },
       "module 2: 1203 = E08F2"},
      {11, "210#120100050701", [=] { return write(kModule2, 0x1201, Text(WT::kRelease, "05.71")); },
       "module 2: 1201 = 05.71"},
      {12, "210#120808", [=] { return write(kModule2, 0x1208, Ui(WT::kUi1, 8)); },
       "module 2: 1208 = 8"},
      {13, "211#1000", [] { return ReadModuleFrame(kModule2, 0x1000); },
       "module 2: foreign_master, read 1000"},
      {14, "210#10007701", [=] { return write(kModule2, 0x1000, Ui(WT::kUi2, 0x7701)); },
       "module 2: 1000 = 30465"},
      {15, "211#1080", [] { return ReadModuleFrame(kModule2, 0x1080); },
       "module 2: foreign_master, read 1080"},
      {16, "210#1080000E7701", [=] { return write(kModule2, 0x1080, Ui(WT::kUi4, 0x000E7701)); },
       "module 2: 1080 = 947969"},
      {17, "228#1080", [=] { return write(kModule5, 0x1080, Bytes({})); },
       "module 5: 1080 not implemented"},
      {18, "210#10011840", [=] { return write(kModule2, 0x1001, Ui(WT::kUi2, 0x1840)); },
       "module 2: 1001 = 6208"},
      {19, "210#10015800", [=] { return write(kModule2, 0x1001, Ui(WT::kUi2, 0x5800)); },
       "module 2: 1001 = 22528"},
      {20, "210#10020400", [=] { return write(kModule2, 0x1002, Ui(WT::kUi2, 1024)); },
       "module 2: 1002 = 1024"},
      {21, "210#110041200000", [=] { return write(kModule2, 0x1100, R4(10)); },
       "module 2: 1100 = 10"},
      {22, "210#110041200000", [=] { return write(kModule2, 0x1100, R4(10)); },
       "module 2: 1100 = 10"},
      {23, "210#110641D26666", [=] { return write(kModule2, 0x1106, R4(26.3)); },
       "module 2: 1106 = 26.3"},
      {24, "210#20020041C0CCCD", [=] { return channel(kModule2, 0x2002, 0, R4(24.1)); },
       "module 2: 2002[0] = 24.1"},
      {25, "218#1209005352303432",
       [=] {
         return channel(kModule3, 0x1209, 0, Bytes({'S', 'R', '0', '4', '2'}));
       },
       "module 3: 1209[0] = SR042"},
      {26, "218#12090330323030",
       [=] {
         return channel(kModule3, 0x1209, 3, Bytes({'0', '2', '0', '0'}));
       },
       "module 3: 1209[3] = 0200"},
      {27, "211#1004", [] { return ReadModuleFrame(kModule2, 0x1004); },
       "module 2: foreign_master, read 1004"},
      {28, "210#10040008", [=] { return write(kModule2, 0x1004, Ui(WT::kUi2, 8)); },
       "module 2: 1004 = 8"},
      {29, "210#41000344BB8000", [=] { return channel(kModule2, 0x4100, 3, R4(1500)); },
       "module 2: 4100[3] = 1500"},
      {30, "210#4101033851B717", [=] { return channel(kModule2, 0x4101, 3, R4(50e-6)); },
       "module 2: 4101[3] = 5e-05"},
      {31, "210#4001030008", [=] { return channel(kModule2, 0x4001, 3, Ui(WT::kUi2, 8)); },
       "module 2: 4001[3] = 8"},
      {32, "210#4000030098", [=] { return channel(kModule2, 0x4000, 3, Ui(WT::kUi2, 0x98)); },
       "module 2: 4000[3] = 152"},
      {33, "211#410203", [] { return ReadChannelFrame(kModule2, 0x4102, 3); },
       "module 2: foreign_master, read 4102"},
      {34, "210#41020344BB7C00", [=] { return channel(kModule2, 0x4102, 3, R4(1499.875)); },
       "module 2: 4102[3] = 1499.875"},
      {35, "210#41030335C9539C", [=] { return channel(kModule2, 0x4103, 3, R4(1.5e-6)); },
       "module 2: 4103[3] = 1.5e-06"},
      {36, "201#400100", [] { return ReadChannelFrame(kModule0, 0x4001, 0); },
       "module 0: foreign_master, read 4001"},
      {37, "200#4001000008", [=] { return channel(kModule0, 0x4001, 0, Ui(WT::kUi2, 8)); },
       "module 0: 4001[0] = 8"},
      {38, "210#4001030020", [=] { return channel(kModule2, 0x4001, 3, Ui(WT::kUi2, 0x20)); },
       "module 2: 4001[3] = 32"},
      {39, "210#4001030000", [=] { return channel(kModule2, 0x4001, 3, Ui(WT::kUi2, 0)); },
       "module 2: 4001[3] = 0"},
      {40, "210#4002032010", [=] { return channel(kModule2, 0x4002, 3, Ui(WT::kUi2, 0x2010)); },
       "module 2: 4002[3] = 8208"},
      {41, "210#400203D020", [=] { return channel(kModule2, 0x4002, 3, Ui(WT::kUi2, 53280)); },
       "module 2: 4002[3] = 53280"},
      {42, "210#40050300FA", [=] { return channel(kModule2, 0x4005, 3, Ui(WT::kUi2, 250)); },
       "module 2: 4005[3] = 250"},
      {43, "210#40060302", [=] { return channel(kModule2, 0x4006, 3, Ui(WT::kUi1, 2)); },
       "module 2: 4006[3] = 2"},
      {44, "218#414100FF", [=] { return channel(kModule3, 0x4141, 0, Ui(WT::kSi1, -1)); },
       "module 3: 4141[0] = -1"},
      {45, "210#412300", [=] { return channel(kModule2, 0x4123, 0, Bytes({})); },
       "module 2: 4123[0] not implemented"},
      {46, "211#610200FF00", [] { return ReadMultipleFrame(kModule2, 0x4102, 0x00FF, 0); },
       "module 2: foreign_master, read 6102"},
      {47, "210#610201443B9000", [=] { return channel(kModule2, 0x6102, 1, R4(750.25)); },
       "module 2: 4102 multiple[1] = 750.25"},
      {48, "211#6000000000", [] { return ReadMultipleFrame(kModule2, 0x4000, 0, 0); },
       "module 2: foreign_master, read 6000"},
      {49, "211#6103000310", [] { return ReadMultipleFrame(kModule2, 0x6103, 3, 16); },
       "module 2: foreign_master, read 6103"},
      {50, "210#610902348637BD01",
       [=] {
         return channel(kModule2, 0x6109, 2, Bytes({0x34, 0x86, 0x37, 0xBD, 1}));
       },
       "module 2: 4109 multiple[2] = 2.5e-07 low range"},
      {51, "210#22000000FFFF", [=] { return write(kModule2, 0x2200, Ui(WT::kUi4, 0xFFFF)); },
       "module 2: 2200 = 65535"},
      {52, "210#22010000FFFF", [=] { return write(kModule2, 0x2201, Ui(WT::kUi4, 0xFFFF)); },
       "module 2: 2201 = 65535"},
      {53, "004#E80060010008", [] { return BroadcastFrame(0, 0x4001, 8); }, "nmt"},
      {54, "004#E80060010020", [] { return BroadcastFrame(0, 0x6001, 0x20); }, "nmt"},
      {55, "004#C4", [] { return NmtFrame(0, Nmt::kStart); }, "nmt"},
      {56, "004#F80001",
       [] {
         const uint8_t data[] = {0, 1};
         return NmtFrame(0, Nmt::kConfigure, data);
       },
       "nmt"},
      {57, "210#12A00001", [=] { return write(kModule2, 0x12A0, Ui(WT::kUi2, 1)); },
       "module 2: 12A0 = 1"},
      {58, "210#12F00057219A15E6", [] { return FactoryResetFrame(kModule2, 5710234, false); },
       // Only a master sends it: there is no value to read.
       "module 2: 12F0 unknown_data_id"},
      {59, "600#D801", [] { return LogOnFrame(kCrate0); }, "crate 0: foreign_master"},
      {60, "601#1A05", [] { return ReadModuleFrame(kCrate0, 0x1A05); },
       "crate 0: foreign_master, read 1A05"},
      {61, "600#1A0501", [=] { return write(kCrate0, 0x1A05, Ui(WT::kUi1, 1)); },
       "crate 0: 1A05 = 1"},
      {62, "600#1A0000010000", [=] { return write(kCrate0, 0x1A00, Ui(WT::kUi4, 1 << 16)); },
       "crate 0: 1A00 = 65536"},
      {63, "00001229#1000", [] { return ReadModuleFrame(kSlaveModule, 0x1000); },
       "module 5 of line 1: foreign_master, read 1000"},
      {64, "210#D00682",
       [] {
         const uint8_t value[] = {0x06, 0x82};
         return DcpWriteFrame(kModule2, 0xD0, value);
       },
       "module 2: dcp D0"},
      {65, "210#CC0001",
       [] {
         const uint8_t value[] = {0, 1};
         return DcpWriteFrame(kModule2, 0xCC, value);
       },
       "module 2: dcp CC"},
      {66, "210#A08235",
       [] {
         const uint8_t value[] = {0x82, 0x35};
         return DcpWriteFrame(kModule2, 0xA0, value);
       },
       "module 2: dcp A0"},
  };
}

TEST(ParseAnswer, ADcpAnswerOfEightBytesIsKeptWhole) {
  const absl::StatusOr<Answer> answer = ParseAnswer(*ParseFrame("210#9E01020304050607"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(answer->bytes.view(), ::testing::ElementsAre(1, 2, 3, 4, 5, 6, 7));
}

TEST(ParseAnswer, ADcpIdentityWithAByteTooManyIsNone) {
  const absl::StatusOr<Answer> answer = ParseAnswer(*ParseFrame("210#E012345612001000"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(BadFrameReason(DecodeDcpIdentity(answer->bytes.view()).status()), "long_frame");
}

class GoldenTest : public ::testing::TestWithParam<GoldenRow> {};

TEST_P(GoldenTest, EncodesToTheTablesBytes) {
  EXPECT_EQ(FormatFrame(GetParam().encode()), GetParam().frame);
}

TEST_P(GoldenTest, DecodesToTheTablesMeaning) {
  const absl::StatusOr<CanFrame> frame = ParseFrame(GetParam().frame);
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(Describe(*frame), GetParam().meaning);
}

INSTANTIATE_TEST_SUITE_P(Section21, GoldenTest, ::testing::ValuesIn(GoldenRows()),
                         [](const auto& info) {
                           return "row" + std::to_string(info.param.number);
                         });

TEST(GoldenTable, HasEveryRowOfSection21) {
  std::set<int> numbers;
  for (const GoldenRow& row : GoldenRows()) numbers.insert(row.number);
  EXPECT_EQ(numbers.size(), 66u);
  EXPECT_EQ(*numbers.rbegin(), 66);
}

TEST(GoldenTable, DcpIdentityOfRow6) {
  const CanFrame frame = *ParseFrame("210#E0473011410108");
  const absl::StatusOr<DcpIdentity> identity = DecodeDcpIdentity(frame.payload().subspan(1));
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->serial_number, 473011u);
  EXPECT_EQ(identity->message_mode, 4);
  EXPECT_EQ(identity->release, 101);
  EXPECT_EQ(identity->channels, 8);
}

std::string Reason(const char* text) {
  const absl::StatusOr<Answer> answer = ParseAnswer(*ParseFrame(text));
  if (!answer.ok()) return BadFrameReason(answer.status());
  const absl::StatusOr<WireValue> value = DecodeAnswer(*answer);
  return value.ok() ? "ok" : BadFrameReason(value.status());
}

TEST(Decode, RefusesNanAndInfinity) {
  EXPECT_EQ(Reason("210#4102037FC00000"), "not_finite");
  EXPECT_EQ(Reason("210#4102037F800000"), "not_finite");
  EXPECT_EQ(Reason("210#410203FF800000"), "not_finite");
}

TEST(Decode, RefusesWrongLengths) {
  EXPECT_EQ(Reason("210#41020344BB7C"), "short_frame");
  EXPECT_EQ(Reason("210#41020344BB7C0000"), "long_frame");
  EXPECT_EQ(Reason("210#100077"), "short_frame");
  EXPECT_EQ(Reason("210#1000770100"), "long_frame");
  EXPECT_EQ(Reason("210#10"), "short_frame");
  EXPECT_EQ(Reason("210#4102"), "short_frame");
  EXPECT_EQ(Reason("210#"), "short_frame");
  EXPECT_EQ(Reason("210#200200"), "short_frame");
  EXPECT_EQ(Reason("211#D827"), "short_frame");
}

TEST(Decode, RefusesBadContents) {
  EXPECT_EQ(Reason("210#12010005070A"), "bad_digits");
  EXPECT_EQ(Reason("210#12034530380132"), "bad_text");
  EXPECT_EQ(Reason("210#0FFF00"), "bad_class");
  EXPECT_EQ(Reason("210#13330000"), "unknown_data_id");
  EXPECT_EQ(Reason("004#C4"), "bad_identifier");
}

TEST(Decode, AcceptsAnswersWithAntiCollisionAndExtendedListBits) {
  for (const char* text : {"214#10007701", "212#10007701", "216#10007701"}) {
    const absl::StatusOr<Answer> answer = ParseAnswer(*ParseFrame(text));
    ASSERT_TRUE(answer.ok()) << text;
    EXPECT_EQ(answer->from, kModule2) << text;
    EXPECT_TRUE(DeviceFilter(kModule2).Matches(*ParseFrame(text))) << text;
  }
}

TEST(Decode, KnowsIsegcansOffsetForm) {
  const absl::StatusOr<Answer> answer = ParseAnswer(*ParseFrame("210#1004100008"));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->index, 16);
  EXPECT_EQ(DecodeAnswer(*answer)->value, Value::Integer(8));
}

TEST(Decode, KeepsRawBytesOfUnknownDataIds) {
  const absl::StatusOr<Answer> answer = ParseAnswer(*ParseFrame("210#4F0103AABB"));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->index, 3);
  EXPECT_THAT(answer->bytes.view(), ::testing::ElementsAre(0xAA, 0xBB));
}

TEST(Filter, PassesTheDeviceAlone) {
  const CanFilter filter = DeviceFilter(kModule2);
  EXPECT_TRUE(filter.Matches(*ParseFrame("211#D8271A")));
  EXPECT_FALSE(filter.Matches(*ParseFrame("218#10007701")));
  EXPECT_FALSE(filter.Matches(*ParseFrame("610#10007701")));
  EXPECT_FALSE(filter.Matches(*ParseFrame("00001210#10007701")));
  EXPECT_TRUE(DeviceFilter(kSlaveModule).Matches(*ParseFrame("00001228#10007701")));
}

TEST(DecodeValue, TheLargestNumberCanBeSentAgain) {
  const std::vector<uint8_t> bytes = {0xFF, 0x7F, 0xFF, 0xFF};
  const absl::StatusOr<WireValue> decoded = DecodeValue(WireType::kR4, bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  const absl::StatusOr<WireBytes> again = EncodeValue(WireType::kR4, decoded->value);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(std::ranges::equal(again->view(), bytes));
}

TEST(Encode, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(EncodeValue(WireType::kUi1, Value::Integer(256)).ok());
  EXPECT_FALSE(EncodeValue(WireType::kUi2, Value::Integer(-1)).ok());
  EXPECT_FALSE(EncodeValue(WireType::kSi1, Value::Integer(128)).ok());
  EXPECT_FALSE(EncodeValue(WireType::kUi4, Value::Integer(int64_t{1} << 32)).ok());
  EXPECT_FALSE(EncodeValue(WireType::kR4, Value::Number(1e39)).ok());
  EXPECT_FALSE(EncodeValue(WireType::kR4, Value::Text("1")).ok());
  EXPECT_FALSE(EncodeValue(WireType::kUi2, Value::Number(1)).ok());
  EXPECT_FALSE(EncodeValue(WireType::kName5, Value::Text("E08F")).ok());
  EXPECT_FALSE(EncodeValue(WireType::kRelease, Value::Text("5.71")).ok());
}

TEST(Encode, Binary32ReadsBackAsItWasWritten) {
  for (const double v : {0.1, 1500.1, 26.3, -0.0, 6e3, 5e-5, 1e-30, 3.4e38}) {
    EXPECT_EQ(DecodeValue(WireType::kR4, R4(v).view())->value, Value::Number(v)) << v;
  }
}

TEST(Text, IsPutTogetherInAnyOrder) {
  const std::string article = "SR042060r4050000200";
  TextAssembler assembler;
  for (const int piece : {3, 0, 2}) {
    const std::string part = article.substr(piece * 5, 5);
    EXPECT_TRUE(assembler.Add(piece, {reinterpret_cast<const uint8_t*>(part.data()), part.size()}));
    EXPECT_FALSE(assembler.complete());
  }
  const std::string part = article.substr(5, 5);
  assembler.Add(1, {reinterpret_cast<const uint8_t*>(part.data()), part.size()});
  EXPECT_TRUE(assembler.complete());
  EXPECT_EQ(assembler.text(), article);
}

TEST(Text, RefusesPiecesBeyondTheEnd) {
  TextAssembler assembler;
  const uint8_t five[] = {'a', 'b', 'c', 'd', 'e'};
  EXPECT_FALSE(assembler.Add(12, five));
  EXPECT_TRUE(assembler.Add(12, std::span<const uint8_t>(five).first(4)));
  EXPECT_FALSE(assembler.Add(13, std::span<const uint8_t>(five).first(0)));
  EXPECT_FALSE(assembler.Add(-1, five));
}

// Anything may come from the wire. What is accepted must be a value that Value allows, and must
// encode to the bytes it came from.
TEST(Property, RandomFramesNeverCrashAndRoundTrip) {
  std::mt19937_64 random(20201);
  int accepted = 0;
  for (int i = 0; i < 300000; ++i) {
    CanFrame frame;
    frame.extended = random() % 8 == 0;
    frame.id = static_cast<uint32_t>(random()) & (frame.extended ? 0x1FFFFFFF : 0x7FF);
    frame.dlc = static_cast<uint8_t>(random() % 9);
    for (uint8_t& b : frame.data) b = static_cast<uint8_t>(random());
    if (random() % 2 == 0) {
      const Register& row = Registers()[random() % Registers().size()];
      frame.data[0] = static_cast<uint8_t>(row.data_id >> 8);
      frame.data[1] = static_cast<uint8_t>(row.data_id & 0xFF);
    }
    const absl::StatusOr<Answer> answer = ParseAnswer(frame);
    if (!answer.ok()) {
      EXPECT_NE(BadFrameReason(answer.status()), "") << FormatFrame(frame);
      continue;
    }
    if (answer->kind != Answer::Kind::kValue) continue;
    const absl::StatusOr<WireValue> value = DecodeAnswer(*answer);
    if (!value.ok()) {
      EXPECT_NE(BadFrameReason(value.status()), "") << FormatFrame(frame);
      continue;
    }
    ++accepted;
    const WireType type = FindRegister(answer->data_id)->type;
    if (type == WireType::kR4 || type == WireType::kUi2 || type == WireType::kUi4) {
      const absl::StatusOr<WireBytes> bytes = EncodeValue(type, value->value);
      ASSERT_TRUE(bytes.ok()) << FormatFrame(frame);
      EXPECT_TRUE(std::ranges::equal(bytes->view(), answer->bytes.view())) << FormatFrame(frame);
    }
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace canhub::iseg
