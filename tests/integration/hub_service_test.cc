// HubService: info, readiness, log level, reload, audit record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::seconds;
using testing::SizeIs;

using HubCalls = v1::HubService::StubInterface::async_interface;

RpcHooks Hooks() {
  RpcHooks hooks;
  hooks.version = "1.2.3";
  hooks.config_file = "lab.yaml";
  hooks.drivers = {"iseg"};
  hooks.set_log_level = [](LogLevel) { return LogLevel::kInfo; };
  hooks.reload = [](bool check_only) -> absl::StatusOr<ReloadOutcome> {
    if (check_only) return absl::InvalidArgumentError("lab.yaml:3: found 1, expected 2");
    return ReloadOutcome{{"limits of hv0"}, {"bus lab"}};
  };
  return hooks;
}

void SetTime(WallTime time, google::protobuf::Timestamp* out) {
  const auto since = time.time_since_epoch();
  out->set_seconds(std::chrono::duration_cast<seconds>(since).count());
  out->set_nanos(static_cast<int32_t>((since % seconds(1)).count()));
}

class HubServiceTest : public testing::Test {
 protected:
  RpcLab lab_{RpcOptions{}, Hooks()};
};

TEST_F(HubServiceTest, GetInfoTellsDaemonAndCaller) {
  v1::GetInfoResponse info;
  v1::GetInfoRequest request;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.hub_stub->async()->GetInfo(context, &request, &info, done);
                  })
                  .ok());
  EXPECT_EQ(info.version(), "1.2.3");
  EXPECT_EQ(info.device_count(), 3u);
  EXPECT_EQ(info.bus_count(), 1u);
  EXPECT_TRUE(info.any_simulated());
  EXPECT_EQ(info.your_identity(), "inproc");
  EXPECT_EQ(info.your_role(), "engineer");
  EXPECT_TRUE(info.audit_writable());
}

TEST_F(HubServiceTest, WaitReadyEndsWhenAllAre) {
  v1::WaitReadyRequest request;
  request.mutable_timeout()->set_seconds(600);
  v1::WaitReadyResponse response;
  const MonoTime before = lab_.clock().Now();
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.hub_stub->async()->WaitReady(context, &request, &response, done);
                  })
                  .ok());
  EXPECT_TRUE(response.ready());
  EXPECT_THAT(response.not_ready(), SizeIs(0));
  EXPECT_LT(lab_.clock().Now() - before, seconds(600));
}

TEST(WaitReadyTest, ListsWhoIsNotReadyWhenTheTimeIsOver) {
  RpcLab lab({}, {}, {.devices = R"(
  hv0: {driver: iseg, bus: lab, address: 0, simulate: true}
  nobody: {driver: iseg, bus: lab, address: 5}
)"});
  v1::WaitReadyRequest request;
  v1::WaitReadyResponse response;
  for (const int64_t timeout_s : {60, 0}) {
    request.mutable_timeout()->set_seconds(timeout_s);
    response.Clear();
    ASSERT_TRUE(lab.Call([&](auto* context, auto done) {
                     lab.hub_stub->async()->WaitReady(context, &request, &response, done);
                   })
                    .ok());
    EXPECT_FALSE(response.ready());
    EXPECT_THAT(response.not_ready(), testing::ElementsAre(testing::StartsWith("nobody: ")));
  }
}

TEST_F(HubServiceTest, LogLevelNeedsAnEngineerAndALevel) {
  v1::SetLogLevelRequest request;
  v1::SetLogLevelResponse response;
  const auto set = [&] {
    return lab_.Call([&](auto* context, auto done) {
      lab_.hub_stub->async()->SetLogLevel(context, &request, &response, done);
    });
  };
  EXPECT_EQ(set().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_level(v1::LOG_LEVEL_DEBUG);
  ASSERT_TRUE(set().ok());
  EXPECT_EQ(response.previous(), v1::LOG_LEVEL_INFO);
  lab_.SetRole(Role::kOperator);
  EXPECT_EQ(set().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST(HubServiceHooksTest, TheLogLevelAskedForIsSet) {
  LogLevel level = LogLevel::kInfo;
  RpcHooks hooks;
  hooks.set_log_level = [&level](LogLevel wanted) { return std::exchange(level, wanted); };
  RpcLab lab({}, std::move(hooks));
  v1::SetLogLevelRequest request;
  request.set_level(v1::LOG_LEVEL_ERROR);
  v1::SetLogLevelResponse response;
  ASSERT_TRUE(lab.Rpc(lab.hub_stub->async(), &HubCalls::SetLogLevel, request, &response).ok());
  EXPECT_EQ(response.previous(), v1::LOG_LEVEL_INFO);
  EXPECT_EQ(level, LogLevel::kError);
  request.set_level(static_cast<v1::LogLevel>(99));
  EXPECT_EQ(lab.Rpc(lab.hub_stub->async(), &HubCalls::SetLogLevel, request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(level, LogLevel::kError);
}

TEST_F(HubServiceTest, ReloadIsDoneAndAudited) {
  v1::ReloadConfigRequest request;
  v1::ReloadConfigResponse response;
  const auto reload = [&] {
    return lab_.Call([&](auto* context, auto done) {
      lab_.hub_stub->async()->ReloadConfig(context, &request, &response, done);
    });
  };
  ASSERT_TRUE(reload().ok());
  EXPECT_THAT(response.applied(), SizeIs(1));
  EXPECT_THAT(response.needs_restart(), SizeIs(1));
  request.set_check_only(true);
  EXPECT_EQ(reload().error_code(), grpc::StatusCode::INVALID_ARGUMENT);

  v1::QueryAuditRequest query;
  v1::QueryAuditResponse page;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.hub_stub->async()->QueryAudit(context, &query, &page, done);
                  })
                  .ok());
  ASSERT_GT(page.entries_size(), 0);
  EXPECT_EQ(page.entries(0).kind(), "config");
  EXPECT_EQ(page.entries(0).identity(), "inproc");
}

TEST_F(HubServiceTest, ReloadingIsAnEngineersAndCheckingIsNotAudited) {
  v1::ReloadConfigRequest request;
  v1::ReloadConfigResponse response;
  lab_.SetRole(Role::kOperator);
  EXPECT_EQ(
      lab_.Rpc(lab_.hub_stub->async(), &HubCalls::ReloadConfig, request, &response).error_code(),
      grpc::StatusCode::PERMISSION_DENIED);
  lab_.SetRole(Role::kEngineer);
  request.set_check_only(true);
  EXPECT_EQ(
      lab_.Rpc(lab_.hub_stub->async(), &HubCalls::ReloadConfig, request, &response).error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
  const auto page = lab_.audit().Query({});
  ASSERT_TRUE(page.ok());
  EXPECT_TRUE(page->entries.empty());
}

TEST(HubServiceHooksTest, WhatTheProgramDoesNotOfferIsUnimplemented) {
  RpcLab lab;
  v1::ReloadConfigResponse reloaded;
  EXPECT_EQ(lab.Rpc(lab.hub_stub->async(), &HubCalls::ReloadConfig, {}, &reloaded).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(HubServiceTest, TheAuditRecordIsReadPageByPage) {
  const WallTime start = lab_.clock().WallNow();
  for (int i = 0; i < 7; ++i) {
    AuditEntry entry;
    entry.time = start + seconds(i);
    entry.kind = "command";
    entry.identity = i == 3 ? "unix:uid=7(eve)" : "inproc";
    entry.text = std::to_string(i);
    ASSERT_TRUE(lab_.audit().Append(entry).ok());
  }
  v1::QueryAuditRequest request;
  request.set_limit(3);
  v1::QueryAuditResponse page;
  const auto query = [&] {
    return lab_.Rpc(lab_.hub_stub->async(), &HubCalls::QueryAudit, request, &page);
  };
  std::string texts;
  int pages = 0;
  do {
    ASSERT_TRUE(query().ok());
    ASSERT_LE(page.entries_size(), 3);
    ASSERT_GT(page.entries_size(), 0);
    for (const v1::AuditEntry& entry : page.entries()) texts += entry.text();
    request.set_before_sequence(page.entries().rbegin()->sequence());
    ++pages;
  } while (page.more());
  EXPECT_EQ(texts, "6543210");
  EXPECT_EQ(pages, 3);

  request.Clear();
  request.set_identity("eve");
  ASSERT_TRUE(query().ok());
  ASSERT_EQ(page.entries_size(), 1);
  EXPECT_EQ(page.entries(0).text(), "3");

  request.Clear();
  SetTime(start + seconds(2), request.mutable_from_time());
  SetTime(start + seconds(4), request.mutable_to_time());
  ASSERT_TRUE(query().ok());
  EXPECT_EQ(page.entries_size(), 2);

  request.Clear();
  request.set_limit(1001);
  EXPECT_EQ(query().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.Clear();
  request.mutable_from_time()->set_nanos(-1);
  EXPECT_EQ(query().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace canhub
