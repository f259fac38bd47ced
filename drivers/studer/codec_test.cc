// Golden frames: "Studer facts", section 14 (rows E1 to E39) and 4.3.
#include "drivers/studer/codec.h"

#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::studer {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Row {
  const char* row;
  const char* request_frame;
  const char* answer_frame;
  uint16_t client;
  uint16_t unit;
  int service;
  uint16_t object;
  uint8_t part = 0;
  float value = 0;
  float answer = 0;
  uint32_t error_code = 0;
};

// What the table says in words and decoded values.
constexpr Row kRows[] = {
    {.row = "E1",
     .request_frame = "03280000#0B.B8",
     .answer_frame = "0000CA00#0B.B8.41.45.C0.00",
     .client = 0,
     .unit = 101,
     .service = 0,
     .object = 3000,
     .answer = 12.359375F},
    {.row = "E2",
     .request_frame = "03280000#0B.B9",
     .answer_frame = "0000CA00#0B.B9.46.FF.FE.00",
     .client = 0,
     .unit = 101,
     .service = 0,
     .object = 3001,
     .answer = 32767.0F},
    {.row = "E3",
     .request_frame = "03300000#0B.D4",
     .answer_frame = "0000CC00#0B.D4.40.00.00.00",
     .client = 0,
     .unit = 102,
     .service = 0,
     .object = 3028,
     .answer = 2.0F},
    {.row = "E4",
     .request_frame = "03680000#0C.41",
     .answer_frame = "0000DA00#0C.41.BF.C0.00.00",
     .client = 0,
     .unit = 109,
     .service = 0,
     .object = 3137,
     .answer = -1.5F},
    {.row = "E5",
     .request_frame = "03280040#04.72.00",
     .answer_frame = "0000CA40#04.72.00.42.70.00.00",
     .client = 0,
     .unit = 101,
     .service = 1,
     .object = 1138,
     .part = 0,
     .answer = 60.0F},
    {.row = "E6",
     .request_frame = "03280040#05.06.01",
     .answer_frame = "0000CA40#05.06.01.42.DC.00.00",
     .client = 0,
     .unit = 101,
     .service = 1,
     .object = 1286,
     .part = 1,
     .answer = 110.0F},
    {.row = "E7",
     .request_frame = "03280040#05.06.02",
     .answer_frame = "0000CA40#05.06.02.43.8C.00.00",
     .client = 0,
     .unit = 101,
     .service = 1,
     .object = 1286,
     .part = 2,
     .answer = 280.0F},
    {.row = "E8",
     .request_frame = "03280040#05.06.04",
     .answer_frame = "0000CA40#05.06.04.43.66.00.00",
     .client = 0,
     .unit = 101,
     .service = 1,
     .object = 1286,
     .part = 4,
     .answer = 230.0F},
    {.row = "E9",
     .request_frame = "03280080#05.06.04.43.66.00.00",
     .answer_frame = "0000CA80#05.06.04.43.66.00.00",
     .client = 0,
     .unit = 101,
     .service = 2,
     .object = 1286,
     .part = 4,
     .value = 230.0F,
     .answer = 230.0F},
    {.row = "E10",
     .request_frame = "03280080#04.72.00.41.40.00.00",
     .answer_frame = "0000CA80#04.72.00.41.40.00.00",
     .client = 0,
     .unit = 101,
     .service = 2,
     .object = 1138,
     .part = 0,
     .value = 12.0F,
     .answer = 12.0F},
    {.row = "E11",
     .request_frame = "03380080#04.64.04.00.00.00.00",
     .answer_frame = "0000CE80#04.64.04.00.00.00.00",
     .client = 0,
     .unit = 103,
     .service = 2,
     .object = 1124,
     .part = 4,
     .value = 0.0F,
     .answer = 0.0F},
    {.row = "E12",
     .request_frame = "03380080#04.68.04.3F.80.00.00",
     .answer_frame = "0000CE80#04.68.04.3F.80.00.00",
     .client = 0,
     .unit = 103,
     .service = 2,
     .object = 1128,
     .part = 4,
     .value = 1.0F,
     .answer = 1.0F},
    {.row = "E13",
     .request_frame = "03280080#06.10.04.40.80.00.00",
     .answer_frame = "0000CA80#06.10.04.40.80.00.00",
     .client = 0,
     .unit = 101,
     .service = 2,
     .object = 1552,
     .part = 4,
     .value = 4.0F,
     .answer = 4.0F},
    {.row = "E14",
     .request_frame = "03280080#04.B5.04.41.F8.00.00",
     .answer_frame = "0000CA80#04.B5.04.41.F8.00.00",
     .client = 0,
     .unit = 101,
     .service = 2,
     .object = 1205,
     .part = 4,
     .value = 31.0F,
     .answer = 31.0F},
    {.row = "E15",
     .request_frame = "03280080#04.B6.04.44.4D.40.00",
     .answer_frame = "0000CA80#04.B6.04.44.4D.40.00",
     .client = 0,
     .unit = 101,
     .service = 2,
     .object = 1206,
     .part = 4,
     .value = 821.0F,
     .answer = 821.0F},
    {.row = "E16",
     .request_frame = "03280080#05.BB.00.3F.80.00.00",
     .answer_frame = "0000CA80#05.BB.00.3F.80.00.00",
     .client = 0,
     .unit = 101,
     .service = 2,
     .object = 1467,
     .part = 0,
     .value = 1.0F,
     .answer = 1.0F},
    {.row = "E17",
     .request_frame = "03200080#04.53.04.41.80.00.00",
     .answer_frame = "0000C880#04.53.04.41.80.00.00",
     .client = 0,
     .unit = 100,
     .service = 2,
     .object = 1107,
     .part = 4,
     .value = 16.0F,
     .answer = 16.0F},
    {.row = "E18",
     .request_frame = "09680000#2A.FC",
     .answer_frame = "00025A00#2A.FC.3F.60.00.00",
     .client = 0,
     .unit = 301,
     .service = 0,
     .object = 11004,
     .answer = 0.875F},
    {.row = "E19",
     .request_frame = "09D80040#27.19.00",
     .answer_frame = "00027640#27.19.00.42.66.66.66",
     .client = 0,
     .unit = 315,
     .service = 1,
     .object = 10009,
     .part = 0,
     .answer = 57.599998474121094F},
    {.row = "E20",
     .request_frame = "16580000#3A.A2",
     .answer_frame = "00059600#3A.A2.40.50.00.00",
     .client = 0,
     .unit = 715,
     .service = 0,
     .object = 15010,
     .answer = 3.25F},
    {.row = "E21",
     .request_frame = "12C80000#1B.5A",
     .answer_frame = "0004B200#1B.5A.42.AF.00.00",
     .client = 0,
     .unit = 601,
     .service = 0,
     .object = 7002,
     .answer = 87.5F},
    {.row = "E22",
     .request_frame = "12C80000#1B.59",
     .answer_frame = "0004B200#1B.59.C1.48.00.00",
     .client = 0,
     .unit = 601,
     .service = 0,
     .object = 7001,
     .answer = -12.5F},
    {.row = "E23",
     .request_frame = "12C80000#1B.5C",
     .answer_frame = "0004B200#1B.5C.7F.C0.00.00",
     .client = 0,
     .unit = 601,
     .service = 0,
     .object = 7004,
     .answer = kNaN},
    {.row = "E24",
     .request_frame = "03280000#27.0F",
     .answer_frame = "0000CA01#27.0F.00.00.00.22",
     .client = 0,
     .unit = 101,
     .service = 0,
     .object = 9999,
     .error_code = 0x22},
    {.row = "E25",
     .request_frame = "03680000#0B.B8",
     .answer_frame = "0000DA01#0B.B8.00.00.00.02",
     .client = 0,
     .unit = 109,
     .service = 0,
     .object = 3000,
     .error_code = 0x02},
    {.row = "E26",
     .request_frame = "03280080#05.06.04.43.96.00.00",
     .answer_frame = "0000CA81#05.06.00.00.00.28",
     .client = 0,
     .unit = 101,
     .service = 2,
     .object = 1286,
     .part = 4,
     .value = 300.0F,
     .error_code = 0x28},
    {.row = "E27",
     .request_frame = "15E00000#3A.98",
     .answer_frame = "00057801#3A.98.00.00.00.2D",
     .client = 0,
     .unit = 700,
     .service = 0,
     .object = 15000,
     .error_code = 0x2D},
    {.row = "E28",
     .request_frame = "03280040#04.53.00",
     .answer_frame = "0000CA41#04.53.00.00.00.13",
     .client = 0,
     .unit = 101,
     .service = 1,
     .object = 1107,
     .part = 0,
     .error_code = 0x13},
    {.row = "E29",
     .request_frame = "03280200#0B.B8",
     .answer_frame = "0008CA00#0B.B8.42.4D.00.00",
     .client = 1,
     .unit = 101,
     .service = 0,
     .object = 3000,
     .answer = 51.25F},
    {.row = "E30",
     .request_frame = "0987FE40#27.15.02",
     .answer_frame = "1FFA6040#27.15.02.42.88.66.66",
     .client = 1023,
     .unit = 304,
     .service = 1,
     .object = 10005,
     .part = 2,
     .answer = 68.19999694824219F},
};

Request RequestOf(const Row& row) {
  return {.destination = row.unit,
          .source = row.client,
          .service = static_cast<Service>(row.service),
          .object = row.object,
          .part = row.part,
          .value = row.value};
}

class GoldenFrame : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Section14, GoldenFrame, testing::ValuesIn(kRows),
                         [](const auto& info) { return std::string(info.param.row); });

TEST_P(GoldenFrame, RequestIsEncoded) {
  EXPECT_EQ(EncodeRequest(RequestOf(GetParam())), *ParseFrame(GetParam().request_frame));
}

TEST_P(GoldenFrame, RequestIsDecoded) {
  const absl::StatusOr<Request> request = DecodeRequest(*ParseFrame(GetParam().request_frame));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(*request, RequestOf(GetParam()));
}

TEST_P(GoldenFrame, AnswerIsDecoded) {
  const Row& row = GetParam();
  const absl::StatusOr<Answer> answer = DecodeAnswer(*ParseFrame(row.answer_frame));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->destination, row.client);
  EXPECT_EQ(answer->source, row.unit);
  EXPECT_EQ(static_cast<int>(answer->service), row.service);
  EXPECT_EQ(answer->object, row.object);
  EXPECT_EQ(answer->error_code, row.error_code);
  if (row.error_code != 0) {
    EXPECT_EQ(answer->kind, Answer::Kind::kError);
    return;
  }
  EXPECT_EQ(answer->kind, Answer::Kind::kValue);
  EXPECT_EQ(answer->part, row.part);
  if (std::isnan(row.answer)) {
    EXPECT_TRUE(std::isnan(answer->value));
  } else {
    EXPECT_EQ(answer->value, row.answer);
  }
}

TEST_P(GoldenFrame, AnswerIsEncoded) {
  const Row& row = GetParam();
  Answer answer{.destination = row.client,
                .source = row.unit,
                .service = static_cast<Service>(row.service),
                .object = row.object,
                .part = row.part,
                .value = row.answer};
  if (row.error_code != 0) {
    answer.kind = Answer::Kind::kError;
    answer.error_code = row.error_code;
  }
  EXPECT_EQ(EncodeAnswer(answer), *ParseFrame(row.answer_frame));
}

struct Notification {
  const char* frame;
  uint16_t source;
  uint16_t message;
};
class GoldenNotification : public testing::TestWithParam<Notification> {};
INSTANTIATE_TEST_SUITE_P(Section14, GoldenNotification,
                         testing::Values(Notification{"0FA0D2C0#001000000000", 105, 16},
                                         Notification{"0FA3EAC0#00E100000000", 501, 225},
                                         Notification{"0FA25CC0#005100000000", 302, 81}));

TEST_P(GoldenNotification, IsDecoded) {
  const absl::StatusOr<Answer> answer = DecodeAnswer(*ParseFrame(GetParam().frame));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->kind, Answer::Kind::kMessage);
  EXPECT_EQ(answer->destination, kNotificationAddress);
  EXPECT_EQ(answer->source, GetParam().source);
  EXPECT_EQ(answer->object, GetParam().message);
  EXPECT_EQ(answer->message_value, 0u);
}

TEST_P(GoldenNotification, IsEncoded) {
  EXPECT_EQ(EncodeAnswer({.kind = Answer::Kind::kMessage,
                          .destination = kNotificationAddress,
                          .source = GetParam().source,
                          .service = Service::kMessage,
                          .object = GetParam().message}),
            *ParseFrame(GetParam().frame));
}

TEST_P(GoldenNotification, PassesTheFilterOfItsSourceOnly) {
  const CanFrame frame = *ParseFrame(GetParam().frame);
  EXPECT_TRUE(NotificationFilter(GetParam().source).Matches(frame));
  EXPECT_FALSE(NotificationFilter(GetParam().source + 1).Matches(frame));
}

// Section 14, "frames a driver with client address 0 must ignore".
TEST(AnswerFilter, StopsAnAnswerToAnotherClient) {  // E34
  EXPECT_FALSE(AnswerFilter(0, 101).Matches(*ParseFrame("0038CA00#0BB83F800000")));
  EXPECT_FALSE(AllAnswersFilter(0).Matches(*ParseFrame("0038CA00#0BB83F800000")));
}
TEST(AnswerFilter, StopsABatteryFrame) {  // E35
  EXPECT_FALSE(AnswerFilter(0, 101).Matches(*ParseFrame("351#480200050005AE01")));
  EXPECT_FALSE(AllAnswersFilter(0).Matches(*ParseFrame("351#480200050005AE01")));
}
TEST(AnswerFilter, StopsAnotherUnitsAnswer) {  // E36
  EXPECT_FALSE(AnswerFilter(0, 101).Matches(*ParseFrame("0000CC00#0BB83F800000")));
  EXPECT_TRUE(AnswerFilter(0, 102).Matches(*ParseFrame("0000CC00#0BB83F800000")));
}

std::string Refusal(std::string_view frame) {
  const absl::StatusOr<Answer> answer = DecodeAnswer(*ParseFrame(frame));
  return answer.ok() ? "accepted" : BadFrameReason(answer.status());
}
TEST(DecodeAnswer, RefusesAShortOne) {  // E38
  EXPECT_EQ(Refusal("0000CA00#0BB841"), "short_frame");
}
TEST(DecodeAnswer, RefusesAnUnknownService) {  // E39
  EXPECT_EQ(Refusal("0000D100#0BB83F800000"), "unknown_service");
}
TEST(DecodeAnswer, RefusesAStandardFrame) {  // section 2.2: the vendor's client takes it
  EXPECT_EQ(Refusal("00F#0BB83F800000"), "not_extended");
}
TEST(DecodeAnswer, RefusesARemoteFrame) { EXPECT_EQ(Refusal("0000CA00#R6"), "not_extended"); }
TEST(DecodeAnswer, RefusesAShortError) { EXPECT_EQ(Refusal("0000CA01#270F000000"), "short_frame"); }
TEST(DecodeAnswer, RefusesANotificationWithTheErrorBit) {
  EXPECT_EQ(Refusal("0FA0D2C1#001000000000"), "error_message");
}
TEST(DecodeAnswer, RefusesAParameterWithoutItsLastByte) {
  EXPECT_EQ(Refusal("0000CA40#047200427000"), "short_frame");
}
TEST(DecodeAnswer, IgnoresDataBeyondTheLayout) {  // section 3
  const absl::StatusOr<Answer> answer = DecodeAnswer(*ParseFrame("0000CA00#0BB84145C000FFFF"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->value, 12.359375F);
}
TEST(DecodeAnswer, IgnoresUndocumentedFlags) {  // section 2
  const absl::StatusOr<Answer> answer = DecodeAnswer(*ParseFrame("0000CA3E#0BB84145C000"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->kind, Answer::Kind::kValue);
}

std::string RequestRefusal(std::string_view frame) {
  const absl::StatusOr<Request> request = DecodeRequest(*ParseFrame(frame));
  return request.ok() ? "accepted" : BadFrameReason(request.status());
}
TEST(DecodeRequest, RefusesEveryOtherLength) {
  EXPECT_EQ(RequestRefusal("03280000#0B"), "length");
  EXPECT_EQ(RequestRefusal("03280000#0BB800"), "length");
  EXPECT_EQ(RequestRefusal("03280040#0472"), "length");
  EXPECT_EQ(RequestRefusal("03280080#047200424000"), "length");
}
TEST(DecodeRequest, RefusesAnErrorBit) { EXPECT_EQ(RequestRefusal("03280001#0BB8"), "flags"); }
TEST(DecodeRequest, RefusesANotification) {
  EXPECT_EQ(RequestRefusal("0FA0D2C0#001000000000"), "service");
}
TEST(DecodeRequest, RefusesAStandardFrame) {
  EXPECT_EQ(RequestRefusal("100#0BB8"), "not_extended");
}

// Section 4.3: request and answer identifiers of every kind of unit, client address 0.
struct Constants {
  uint16_t address;
  uint32_t info, parameter, write, info_answer, read_answer, write_answer;
};
class AddressConstants : public testing::TestWithParam<Constants> {};
INSTANTIATE_TEST_SUITE_P(
    Section43, AddressConstants,
    testing::Values(
        Constants{100, 0x03200000, 0x03200040, 0x03200080, 0x0000C800, 0x0000C840, 0x0000C880},
        Constants{109, 0x03680000, 0x03680040, 0x03680080, 0x0000DA00, 0x0000DA40, 0x0000DA80},
        Constants{301, 0x09680000, 0x09680040, 0x09680080, 0x00025A00, 0x00025A40, 0x00025A80},
        Constants{315, 0x09D80000, 0x09D80040, 0x09D80080, 0x00027600, 0x00027640, 0x00027680},
        Constants{601, 0x12C80000, 0x12C80040, 0x12C80080, 0x0004B200, 0x0004B240, 0x0004B280},
        Constants{715, 0x16580000, 0x16580040, 0x16580080, 0x00059600, 0x00059640, 0x00059680}));
TEST_P(AddressConstants, AreMade) {
  const Constants& c = GetParam();
  const auto request = [&](uint8_t service) {
    return MakeId({.destination = c.address, .service = service});
  };
  const auto answer = [&](uint8_t service) {
    return MakeId({.source = c.address, .service = service});
  };
  EXPECT_EQ(request(0), c.info);
  EXPECT_EQ(request(1), c.parameter);
  EXPECT_EQ(request(2), c.write);
  EXPECT_EQ(answer(0), c.info_answer);
  EXPECT_EQ(answer(1), c.read_answer);
  EXPECT_EQ(answer(2), c.write_answer);
}

TEST(ErrorText, NamesTheVendorsWord) {  // section 6
  EXPECT_EQ(ErrorText(0x28), "DATA_TOO_BIG (0x28)");
  EXPECT_EQ(ErrorText(0x02), "DEVICE_NOT_FOUND (0x02)");
}
TEST(ErrorText, PassesUnknownCodesOnAsNumbers) { EXPECT_EQ(ErrorText(0x1234), "error 0x1234"); }

TEST(ErrorStatus, CarriesTheVendorsNameAndTheCode) {
  const absl::Status status = ErrorStatus(0x28, "xt1: 1286", {{"requested", "300"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  const ErrorInfo info = GetErrorInfo(status);
  EXPECT_EQ(info.reason, "STUDER_ERROR");
  EXPECT_THAT(info.fields, testing::UnorderedElementsAre(testing::Pair("error", "DATA_TOO_BIG"),
                                                         testing::Pair("error_code", "40"),
                                                         testing::Pair("requested", "300")));
}

// Section 6: every code of the table has its name and its own gRPC code.
struct Code {
  uint32_t code;
  const char* name;
  absl::StatusCode status;
};
class ErrorCodes : public testing::TestWithParam<Code> {};
using absl::StatusCode;
INSTANTIATE_TEST_SUITE_P(
    Section6, ErrorCodes,
    testing::Values(Code{0x01, "INVALID_FRAME", StatusCode::kInternal},
                    Code{0x02, "DEVICE_NOT_FOUND", StatusCode::kUnavailable},
                    Code{0x03, "RESPONSE_TIMEOUT", StatusCode::kUnavailable},
                    Code{0x11, "SERVICE_NOT_SUPPORTED", StatusCode::kUnimplemented},
                    Code{0x12, "INVALID_SERVICE_ARGUMENT", StatusCode::kInvalidArgument},
                    Code{0x13, "GATEWAY_BUSY", StatusCode::kUnavailable},
                    Code{0x21, "TYPE_NOT_SUPPORTED", StatusCode::kUnimplemented},
                    Code{0x22, "OBJECT_ID_NOT_FOUND", StatusCode::kNotFound},
                    Code{0x23, "PROPERTY_NOT_SUPPORTED", StatusCode::kUnimplemented},
                    Code{0x24, "INVALID_DATA_LENGTH", StatusCode::kInternal},
                    Code{0x25, "PROPERTY_IS_READ_ONLY", StatusCode::kFailedPrecondition},
                    Code{0x26, "INVALID_DATA", StatusCode::kInvalidArgument},
                    Code{0x27, "DATA_TOO_SMALL", StatusCode::kOutOfRange},
                    Code{0x28, "DATA_TOO_BIG", StatusCode::kOutOfRange},
                    Code{0x29, "WRITE_PROPERTY_FAILED", StatusCode::kUnavailable},
                    Code{0x2A, "READ_PROPERTY_FAILED", StatusCode::kUnavailable},
                    Code{0x2B, "ACCESS_DENIED", StatusCode::kFailedPrecondition},
                    Code{0x2C, "OBJECT_NOT_SUPPORTED", StatusCode::kNotFound},
                    Code{0x2D, "MULTICAST_READ_NOT_SUPPORTED", StatusCode::kUnimplemented},
                    Code{0x2E, "OBJECT_PROPERTY_INVALID", StatusCode::kInternal},
                    Code{0x2F, "FILE_OR_DIR_NOT_PRESENT", StatusCode::kInternal},
                    Code{0x30, "FILE_CORRUPTED", StatusCode::kInternal},
                    Code{0x81, "INVALID_SHELL_ARG", StatusCode::kInternal}),
    [](const auto& info) { return std::string(info.param.name); });
TEST_P(ErrorCodes, AreMapped) {
  EXPECT_STREQ(ErrorName(GetParam().code), GetParam().name);
  EXPECT_EQ(ErrorStatus(GetParam().code, "x").code(), GetParam().status);
}

}  // namespace
}  // namespace canhub::studer
