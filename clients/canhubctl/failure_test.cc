#include "clients/canhubctl/failure.h"

#include "clients/canhubctl/connection.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace canhub::ctl {
namespace {

using testing::HasSubstr;

grpc::Status RichStatus() {
  google::rpc::ErrorInfo info;
  info.set_reason("SETPOINT_ABOVE_LIMIT");
  (*info.mutable_metadata())["limit_v"] = "1000";
  google::rpc::Status rich;
  rich.set_code(grpc::OUT_OF_RANGE);
  rich.add_details()->PackFrom(info);
  return {grpc::OUT_OF_RANGE, "hv0: 1250 V is above the limit of 1000 V", rich.SerializeAsString()};
}

TEST(Failure, DecodesReasonAndMetadata) {
  const Failure failure = FailureFromStatus(RichStatus());
  EXPECT_EQ(failure.reason, "SETPOINT_ABOVE_LIMIT");
  EXPECT_EQ(failure.metadata.at("limit_v"), "1000");
  EXPECT_EQ(failure.exit_code, ExitCode::kRefused);
}
TEST(Failure, IsOneLineForPeople) {
  EXPECT_EQ(FailureLine(FailureFromStatus(RichStatus())),
            "canhubctl: OUT_OF_RANGE: hv0: 1250 V is above the limit of 1000 V "
            "[SETPOINT_ABOVE_LIMIT]");
  EXPECT_EQ(FailureLine(FailureFromStatus({grpc::INTERNAL, "a\nb"})), "canhubctl: INTERNAL: a b");
}
TEST(Failure, ErrorsOfAFileStandEachOnItsLine) {
  const std::string two = "lab.yaml:3: found a\nlab.yaml:7: found b";
  EXPECT_EQ(FailureLine({ExitCode::kRefused, "INVALID_ARGUMENT", "CONFIG_INVALID", two, {}}),
            "canhubctl: INVALID_ARGUMENT [CONFIG_INVALID]:\n"
            "  lab.yaml:3: found a\n"
            "  lab.yaml:7: found b");
  EXPECT_EQ(FailureLine({ExitCode::kRefused, "INVALID_ARGUMENT", "TEST_REFUSED", two, {}}),
            "canhubctl: INVALID_ARGUMENT [TEST_REFUSED]:\n"
            "  lab.yaml:3: found a\n"
            "  lab.yaml:7: found b");
  EXPECT_EQ(FailureLine({ExitCode::kRefused, "INVALID_ARGUMENT", "CONFIG_INVALID", "one", {}}),
            "canhubctl: INVALID_ARGUMENT: one [CONFIG_INVALID]");
}
TEST(Failure, IsAnObjectForPrograms) {
  const auto json = nlohmann::json::parse(FailureJson(FailureFromStatus(RichStatus())));
  EXPECT_EQ(json["error"]["code"], "OUT_OF_RANGE");
  EXPECT_EQ(json["error"]["metadata"]["limit_v"], "1000");
  EXPECT_EQ(json["error"]["exit_code"], 3);
}
TEST(Failure, BytesThatAreNoTextDoNotBreakTheObject) {
  const std::string text = FailureJson(FailureFromStatus({grpc::ABORTED, "\xff"}));
  EXPECT_TRUE(nlohmann::json::accept(text)) << text;
}
TEST(Failure, GarbledDetailsAreIgnored) {
  EXPECT_EQ(FailureFromStatus({grpc::ABORTED, "x", "\xff\xff"}).reason, "");
}

TEST(ExitCodes, AreThoseOfTheDocuments) {
  const std::map<grpc::StatusCode, int> expected = {{grpc::OK, 0},
                                                    {grpc::CANCELLED, 1},
                                                    {grpc::UNKNOWN, 1},
                                                    {grpc::INVALID_ARGUMENT, 3},
                                                    {grpc::OUT_OF_RANGE, 3},
                                                    {grpc::FAILED_PRECONDITION, 3},
                                                    {grpc::PERMISSION_DENIED, 3},
                                                    {grpc::UNAUTHENTICATED, 3},
                                                    {grpc::ALREADY_EXISTS, 3},
                                                    {grpc::NOT_FOUND, 4},
                                                    {grpc::UNIMPLEMENTED, 4},
                                                    {grpc::UNAVAILABLE, 5},
                                                    {grpc::DEADLINE_EXCEEDED, 6},
                                                    {grpc::ABORTED, 7},
                                                    {grpc::RESOURCE_EXHAUSTED, 8},
                                                    {grpc::INTERNAL, 9},
                                                    {grpc::DATA_LOSS, 9}};
  for (const auto& [code, exit_code] : expected) {
    EXPECT_EQ(static_cast<int>(ToExitCode(code)), exit_code) << StatusCodeName(code);
  }
}

TEST(ResolveAddress, OptionBeatsEnvironmentBeatsSocketBeatsTcp) {
  const auto yes = [](const std::string&) { return true; };
  const auto no = [](const std::string&) { return false; };
  EXPECT_EQ(ResolveAddress("h:1", "e:2", yes).target, "h:1");
  EXPECT_EQ(ResolveAddress("", "e:2", yes).target, "e:2");
  EXPECT_EQ(ResolveAddress("", "", yes).target, "unix:/run/canhub/canhub.sock");
  EXPECT_EQ(ResolveAddress("", nullptr, no).target, "127.0.0.1:50051");
}
TEST(ResolveAddress, APathIsASocket) {
  const auto no = [](const std::string&) { return false; };
  EXPECT_EQ(ResolveAddress("/tmp/x.sock", nullptr, no).target, "unix:/tmp/x.sock");
}
TEST(Connection, WantsCertificateAndKeyTogether) {
  Failure failure;
  EXPECT_EQ(Connection::Open({"h:1", "--address"}, {"", "cert.pem", ""}, &failure), nullptr);
  EXPECT_EQ(failure.exit_code, ExitCode::kUsage);
  EXPECT_THAT(failure.text, HasSubstr("--tls-key is missing"));
}
TEST(Connection, NamesAFileItCannotRead) {
  Failure failure;
  EXPECT_EQ(Connection::Open({"h:1", "--address"}, {"/does/not/exist.pem", "", ""}, &failure),
            nullptr);
  EXPECT_THAT(failure.text, HasSubstr("/does/not/exist.pem"));
}

}  // namespace
}  // namespace canhub::ctl
