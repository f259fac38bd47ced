// AlarmService against simulated iseg modules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using grpc::StatusCode;
using std::chrono::seconds;
using Alarms = v1::AlarmService::StubInterface::async_interface;

constexpr char kTrip[] = "hv0/ch3.trip";

std::vector<std::string> List(RpcLab& lab, bool include_shelved = false) {
  v1::ListAlarmsRequest request;
  request.set_include_shelved(include_shelved);
  v1::ListAlarmsResponse response;
  EXPECT_TRUE(lab.Rpc(lab.alarms->async(), &Alarms::ListAlarms, request, &response).ok());
  std::vector<std::string> ids;
  for (const v1::Alarm& alarm : response.alarms()) ids.push_back(alarm.alarm_id());
  return ids;
}

grpc::Status Acknowledge(RpcLab& lab, const std::string& id, const std::string& comment) {
  v1::AcknowledgeAlarmRequest request;
  request.set_alarm_id(id);
  request.set_comment(comment);
  v1::AcknowledgeAlarmResponse response;
  return lab.Rpc(lab.alarms->async(), &Alarms::AcknowledgeAlarm, request, &response);
}

std::optional<v1::Alarm> Find(RpcLab& lab, const std::string& id) {
  v1::ListAlarmsRequest request;
  request.set_include_history(true);
  request.set_include_shelved(true);
  v1::ListAlarmsResponse response;
  EXPECT_TRUE(lab.Rpc(lab.alarms->async(), &Alarms::ListAlarms, request, &response).ok());
  for (const v1::Alarm& alarm : response.alarms()) {
    if (alarm.alarm_id() == id) return alarm;
  }
  return std::nullopt;
}

// hv0/ch3.trip is raised.
void Trip(RpcLab& lab) {
  lab.WaitPolled();
  lab.Inject("hv0", "trip", 3);
  ASSERT_TRUE(lab.StepUntil([&] { return Find(lab, kTrip).has_value(); }, seconds(60)));
}

class AlarmsRpcTest : public testing::Test {
 protected:
  AlarmsRpcTest() : lab_({}, {}, {.alarm_store = &store_}) {}
  void SetUp() override { Trip(lab_); }

  grpc::Status Shelve(int64_t duration_s) {
    v1::ShelveAlarmRequest request;
    request.set_alarm_id(kTrip);
    request.mutable_duration()->set_seconds(duration_s);
    request.set_comment("known");
    return lab_.Rpc(lab_.alarms->async(), &Alarms::ShelveAlarm, request, &shelved_);
  }

  MemoryAlarmStore store_;
  RpcLab lab_;
  v1::ShelveAlarmResponse shelved_;
};

TEST_F(AlarmsRpcTest, AnAcknowledgementOutlivesTheDaemon) {
  ASSERT_TRUE(Acknowledge(lab_, kTrip, "cable fixed").ok());
  RpcLab next({}, {}, {.alarm_store = &store_});
  const std::optional<v1::Alarm> alarm = Find(next, kTrip);
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->acknowledged_by(), "inproc");
  EXPECT_EQ(alarm->comment(), "cable fixed");
  EXPECT_TRUE(alarm->has_acknowledge_time());
}

TEST_F(AlarmsRpcTest, WhatCannotBeWrittenIsNotAcknowledged) {
  store_.SetBroken(true);
  const grpc::Status status = Acknowledge(lab_, kTrip, "");
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_EQ(Find(lab_, kTrip)->state(), v1::ALARM_STATE_ACTIVE_UNACKNOWLEDGED);
  store_.SetBroken(false);
  EXPECT_TRUE(Acknowledge(lab_, kTrip, "").ok());
  EXPECT_EQ(Find(lab_, kTrip)->state(), v1::ALARM_STATE_ACTIVE_ACKNOWLEDGED);
}

TEST_F(AlarmsRpcTest, AViewerMayReadButNotAcknowledgeOrShelve) {
  lab_.SetRole(Role::kViewer);
  EXPECT_THAT(List(lab_), testing::Contains(kTrip));
  EXPECT_EQ(Acknowledge(lab_, kTrip, "").error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Shelve(60).error_code(), StatusCode::PERMISSION_DENIED);
}

TEST_F(AlarmsRpcTest, AShelvedAlarmIsHiddenUntilItsTimeIsOver) {
  ASSERT_TRUE(Shelve(60).ok());
  EXPECT_EQ(shelved_.alarm().shelved_by(), "inproc");
  EXPECT_TRUE(shelved_.alarm().has_shelved_until());
  EXPECT_THAT(List(lab_), testing::Not(testing::Contains(kTrip)));
  EXPECT_THAT(List(lab_, /*include_shelved=*/true), testing::Contains(kTrip));
  lab_.RunFor(seconds(61));
  EXPECT_THAT(List(lab_), testing::Contains(kTrip));
}

TEST_F(AlarmsRpcTest, AShelvingOfZeroSecondsTakesItBack) {
  ASSERT_TRUE(Shelve(3600).ok());
  ASSERT_TRUE(Shelve(0).ok());
  EXPECT_THAT(List(lab_), testing::Contains(kTrip));
}

TEST_F(AlarmsRpcTest, ShelvingsAreBetweenASecondAndADay) {
  for (const int64_t wrong : {-1, 24 * 3600 + 1}) {
    EXPECT_EQ(Shelve(wrong).error_code(), StatusCode::INVALID_ARGUMENT) << wrong;
  }
  v1::ShelveAlarmRequest request;
  request.set_alarm_id(kTrip);
  EXPECT_EQ(lab_.Rpc(lab_.alarms->async(), &Alarms::ShelveAlarm, request, &shelved_).error_code(),
            StatusCode::INVALID_ARGUMENT);
  request.set_alarm_id("hv0/nothing");
  request.mutable_duration()->set_seconds(60);
  EXPECT_EQ(lab_.Rpc(lab_.alarms->async(), &Alarms::ShelveAlarm, request, &shelved_).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(AlarmsRpcTest, WatchersGetTheStateThenSyncedThenChanges) {
  v1::WatchAlarmsRequest request;
  request.set_device_id("hv0");
  StreamClient<v1::WatchAlarmsResponse> watch([&](auto* context, auto* reactor) {
    lab_.alarms->async()->WatchAlarms(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }));
  std::vector<std::string> first;
  for (const auto& message : watch.messages()) {
    if (message.synced()) break;
    first.push_back(message.alarm().alarm_id());
  }
  EXPECT_THAT(first, testing::Contains(kTrip));
  const size_t before = watch.count();
  ASSERT_TRUE(Acknowledge(lab_, kTrip, "").ok());
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.count() > before; }));
  const v1::Alarm changed = watch.messages()[before].alarm();
  EXPECT_EQ(changed.alarm_id(), kTrip);
  EXPECT_EQ(changed.state(), v1::ALARM_STATE_ACTIVE_ACKNOWLEDGED);
}

TEST_F(AlarmsRpcTest, WatchersOfOneDeviceHearNothingOfAnother) {
  v1::WatchAlarmsRequest request;
  request.set_device_id("hv1");
  StreamClient<v1::WatchAlarmsResponse> watch([&](auto* context, auto* reactor) {
    lab_.alarms->async()->WatchAlarms(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }));
  ASSERT_TRUE(Acknowledge(lab_, kTrip, "").ok());
  lab_.Inject("hv1", "trip", 5);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.count() > 1; }, seconds(60)));
  for (const auto& message : watch.messages()) {
    if (message.synced()) continue;
    EXPECT_EQ(message.alarm().device_id(), "hv1");
  }
}

}  // namespace
}  // namespace canhub
