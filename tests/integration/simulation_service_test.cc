// SimulationService: faults, loads, time; and the alarm that a fault raises.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::seconds;

using Simulation = v1::SimulationService::StubInterface::async_interface;

class SimulationServiceTest : public testing::Test {
 protected:
  RpcLab lab_;
};

TEST_F(SimulationServiceTest, ATripIsInjectedSeenAsAlarmAndAcknowledged) {
  lab_.WaitPolled();
  v1::WatchAlarmsRequest watch_request;
  StreamClient<v1::WatchAlarmsResponse> watch([&](auto* context, auto* reactor) {
    lab_.alarms->async()->WatchAlarms(context, &watch_request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }));

  v1::ListFaultsRequest list;
  list.set_device_id("hv0");
  v1::ListFaultsResponse faults;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.simulation->async()->ListFaults(context, &list, &faults, done);
                  })
                  .ok());
  ASSERT_EQ(faults.devices_size(), 1);
  EXPECT_GT(faults.devices(0).faults_size(), 0);

  v1::InjectFaultRequest inject;
  inject.set_device_id("hv0");
  inject.set_fault("trip");
  (*inject.mutable_parameters())["channel"].set_integer(3);
  v1::InjectFaultResponse injected;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.simulation->async()->InjectFault(context, &inject, &injected, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();

  std::string alarm_id;
  ASSERT_TRUE(lab_.StepUntil(
      [&] {
        for (const auto& message : watch.messages()) {
          if (message.alarm().alarm_id().starts_with("hv0/ch3."))
            alarm_id = message.alarm().alarm_id();
        }
        return !alarm_id.empty();
      },
      seconds(60)));

  v1::AcknowledgeAlarmRequest acknowledge;
  acknowledge.set_alarm_id(alarm_id);
  acknowledge.set_comment("seen");
  v1::AcknowledgeAlarmResponse acknowledged;
  const auto ack = [&] {
    return lab_.Call([&](auto* context, auto done) {
      lab_.alarms->async()->AcknowledgeAlarm(context, &acknowledge, &acknowledged, done);
    });
  };
  ASSERT_TRUE(ack().ok());
  EXPECT_EQ(acknowledged.alarm().acknowledged_by(), "inproc");
  EXPECT_EQ(ack().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  acknowledge.set_alarm_id("hv0/nothing");
  EXPECT_EQ(ack().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(SimulationServiceTest, SimulationRefusesWhatIsNotSimulatedOrNotStepped) {
  v1::InjectFaultRequest inject;
  inject.set_device_id("pcs1");
  inject.set_fault("trip");
  v1::InjectFaultResponse injected;
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.simulation->async()->InjectFault(context, &inject, &injected, done);
                })
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
  v1::SetLoadRequest load;
  load.set_device_id("hv0");
  load.set_resistance_ohm(-1);
  v1::SetLoadResponse loaded;
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.simulation->async()->SetLoad(context, &load, &loaded, done);
                })
                .error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
  v1::AdvanceRequest advance;
  advance.mutable_by()->set_seconds(1);
  v1::AdvanceResponse advanced;
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.simulation->async()->Advance(context, &advance, &advanced, done);
                })
                .error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(SimulationServiceTest, ALoadDrawsItsCurrent) {
  lab_.WaitPolled();
  using Items = v1::ItemService::StubInterface::async_interface;
  using Hv = v1::HighVoltageService::StubInterface::async_interface;
  v1::SetVoltageRequest set;
  set.set_device_id("hv0");
  set.set_channel(0);
  set.set_voltage_v(500);
  v1::SetVoltageResponse set_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SetVoltage, set, &set_response).ok());
  v1::SwitchOnRequest on;
  on.set_device_id("hv0");
  on.set_channel(0);
  on.mutable_options()->set_wait_for(v1::WAIT_FOR_SETTLED);
  v1::SwitchOnResponse on_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SwitchOn, on, &on_response).ok());
  v1::SetLoadRequest load;
  load.set_device_id("hv0");
  load.set_channel(0);
  load.set_resistance_ohm(1e6);
  v1::SetLoadResponse loaded;
  ASSERT_TRUE(lab_.Rpc(lab_.simulation->async(), &Simulation::SetLoad, load, &loaded).ok());
  lab_.RunFor(seconds(5));
  v1::GetItemsRequest get;
  get.add_names("hv0/ch0.current_measure");
  v1::GetItemsResponse got;
  ASSERT_TRUE(lab_.Rpc(lab_.items->async(), &Items::GetItems, get, &got).ok());
  EXPECT_NEAR(got.readings(0).value().number(), 0.5e-3, 0.02e-3);

  lab_.SetRole(Role::kViewer);
  EXPECT_EQ(lab_.Rpc(lab_.simulation->async(), &Simulation::SetLoad, load, &loaded).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  lab_.SetRole(Role::kOperator);
  load.clear_resistance_ohm();
  EXPECT_EQ(lab_.Rpc(lab_.simulation->async(), &Simulation::SetLoad, load, &loaded).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(AdvanceTest, ASteppedClockIsMovedByWhatWasAskedFor) {
  Duration moved{0};
  RpcHooks hooks;
  hooks.advance = [&moved](Duration by) {
    moved += by;
    return absl::OkStatus();
  };
  RpcLab lab({}, std::move(hooks));
  v1::AdvanceRequest request;
  v1::AdvanceResponse response;
  const auto advance = [&] {
    return lab.Rpc(lab.simulation->async(), &Simulation::Advance, request, &response).error_code();
  };
  EXPECT_EQ(advance(), grpc::StatusCode::INVALID_ARGUMENT);
  request.mutable_by()->set_seconds(3601);
  EXPECT_EQ(advance(), grpc::StatusCode::INVALID_ARGUMENT);
  request.mutable_by()->set_seconds(0);
  EXPECT_EQ(advance(), grpc::StatusCode::INVALID_ARGUMENT);
  request.mutable_by()->set_seconds(90);
  lab.SetRole(Role::kViewer);
  EXPECT_EQ(advance(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(moved, Duration(0));
  lab.SetRole(Role::kOperator);
  EXPECT_EQ(advance(), grpc::StatusCode::OK);
  EXPECT_EQ(moved, seconds(90));
}

}  // namespace
}  // namespace canhub
