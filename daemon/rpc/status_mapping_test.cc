#include "daemon/rpc/status_mapping.h"

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "drivers/api/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace canhub {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.details_size(), 1);
  google::rpc::ErrorInfo info;
  EXPECT_TRUE(details.details(0).UnpackTo(&info));
  return info;
}

TEST(StatusMappingTest, OkStaysOk) { EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok()); }

TEST(StatusMappingTest, CarriesReasonAndEveryField) {
  const grpc::Status status =
      ToGrpc(MakeError(absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT",
                       "hv0: 1250 V is above the limit of 1000 V",
                       {{"device_id", "hv0"}, {"requested", "1250"}, {"limit", "1000"}}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "hv0: 1250 V is above the limit of 1000 V");
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.reason(), "SETPOINT_ABOVE_LIMIT");
  EXPECT_EQ(info.domain(), "canhub");
  EXPECT_EQ(info.metadata().at("limit"), "1000");
  EXPECT_EQ(info.metadata().size(), 3u);
}

TEST(StatusMappingTest, DetailsRepeatCodeAndText) {
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(
      ToGrpc(MakeError(absl::StatusCode::kNotFound, "X", "no device")).error_details()));
  EXPECT_EQ(details.code(), 5);
  EXPECT_EQ(details.message(), "no device");
}

TEST(StatusMappingTest, EveryCodeKeepsItsNumber) {
  for (int code = 1; code <= 16; ++code) {
    if (code == 2) continue;
    EXPECT_EQ(static_cast<int>(
                  ToGrpc(absl::Status(static_cast<absl::StatusCode>(code), "t")).error_code()),
              code);
  }
}

TEST(StatusMappingTest, UnknownBecomesInternal) {
  EXPECT_EQ(ToGrpc(absl::UnknownError("?")).error_code(), grpc::StatusCode::INTERNAL);
}

TEST(StatusMappingTest, StatusWithoutReasonGetsItsCodesName) {
  EXPECT_EQ(InfoOf(ToGrpc(absl::AbortedError("gone"))).reason(), "ABORTED");
}

TEST(StatusMappingTest, LongTextsAreCutToFitIntoHeaders) {
  const grpc::Status status = ToGrpc(absl::InternalError(std::string(100'000, 'x')));
  EXPECT_LT(status.error_message().size() + status.error_details().size(), 8192u);
  EXPECT_THAT(status.error_message(), EndsWith("…"));
}

TEST(StatusMappingTest, BytesThatAreNoTextAreReplaced) {
  const grpc::Status status = ToGrpc(
      MakeError(absl::StatusCode::kInternal, "X", "bad \xff\xfe name", {{"name", "\xc0\xaf"}}));
  EXPECT_EQ(status.error_message(), "bad ?? name");
  EXPECT_EQ(InfoOf(status).metadata().at("name"), "??");
}

TEST(StatusMappingTest, MissingFieldNamesFieldAndExpectation) {
  const absl::Status status = MissingField("channel", "the channel's number");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("channel is missing"));
  EXPECT_EQ(GetErrorInfo(status).fields.at("field"), "channel");
}

}  // namespace
}  // namespace canhub
