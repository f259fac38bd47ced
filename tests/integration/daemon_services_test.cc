// Hub, device, bus, lease, alarm and simulation services.
#include <gmock/gmock.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::SizeIs;

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

class DaemonServicesTest : public testing::Test {
 protected:
  RpcLab lab_{RpcOptions{}, Hooks()};
};

TEST_F(DaemonServicesTest, GetInfoTellsDaemonAndCaller) {
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

TEST_F(DaemonServicesTest, WaitReadyListsWhoIsNotAndEndsWhenAllAre) {
  v1::WaitReadyRequest request;
  v1::WaitReadyResponse response;
  const auto wait = [&](int64_t timeout_s) {
    request.mutable_timeout()->set_seconds(timeout_s);
    response.Clear();
    return lab_.Call([&](auto* context, auto done) {
      lab_.hub_stub->async()->WaitReady(context, &request, &response, done);
    });
  };
  ASSERT_TRUE(wait(0).ok());
  EXPECT_FALSE(response.ready());
  EXPECT_THAT(response.not_ready(), SizeIs(3));
  ASSERT_TRUE(wait(600).ok());
  EXPECT_TRUE(response.ready());
}

TEST_F(DaemonServicesTest, LogLevelNeedsAnEngineerAndALevel) {
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

TEST_F(DaemonServicesTest, ReloadIsDoneAndAudited) {
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

TEST_F(DaemonServicesTest, DevicesAreListedAndDescribed) {
  lab_.WaitPolled();
  v1::ListDevicesRequest list;
  v1::ListDevicesResponse all;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.devices->async()->ListDevices(context, &list, &all, done);
                  })
                  .ok());
  ASSERT_EQ(all.devices_size(), 3);
  EXPECT_EQ(all.devices(0).device_id(), "crate0");
  EXPECT_EQ(all.devices(1).link(), v1::LINK_STATE_ONLINE);
  EXPECT_EQ(all.devices(1).limits().at("voltage"), "1000 V");

  v1::GetDeviceRequest request;
  request.set_device_id("hv0");
  v1::GetDeviceResponse response;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.devices->async()->GetDevice(context, &request, &response, done);
                  })
                  .ok());
  EXPECT_EQ(response.device().kind(), "high_voltage");
  EXPECT_GT(response.counters().frames_received(), 0u);
  EXPECT_THAT(response.safe_actions(), testing::Contains("ramp_down"));
}

TEST_F(DaemonServicesTest, WatchDevicesTellsWhenADeviceComesOnline) {
  v1::WatchDevicesRequest request;
  StreamClient<v1::WatchDevicesResponse> watch([&](auto* context, auto* reactor) {
    lab_.devices->async()->WatchDevices(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }));
  EXPECT_TRUE(lab_.StepUntil([&] {
    for (const auto& message : watch.messages()) {
      if (message.device().device_id() == "hv0" &&
          message.device().link() == v1::LINK_STATE_ONLINE) {
        return true;
      }
    }
    return false;
  }));
}

TEST_F(DaemonServicesTest, RestartNeedsAnEngineer) {
  lab_.SetRole(Role::kOperator);
  v1::RestartDeviceRequest request;
  request.set_device_id("hv0");
  v1::RestartDeviceResponse response;
  const auto restart = [&] {
    return lab_.Call([&](auto* context, auto done) {
      lab_.devices->async()->RestartDevice(context, &request, &response, done);
    });
  };
  EXPECT_EQ(restart().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  lab_.SetRole(Role::kEngineer);
  EXPECT_TRUE(restart().ok());
}

TEST_F(DaemonServicesTest, FramesAreSentAndWatched) {
  v1::WatchFramesRequest request;
  request.set_bus_id("lab");
  v1::FrameFilter* filter = request.add_filters();
  filter->set_id(0x7F0);
  filter->set_mask(0x7FF);
  StreamClient<v1::WatchFramesResponse> watch([&](auto* context, auto* reactor) {
    lab_.buses->async()->WatchFrames(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.accepted(); }));
  v1::SendFrameRequest send;
  send.set_bus_id("lab");
  send.set_text("7F0#0102");
  v1::SendFrameResponse response;
  const auto submit = [&] {
    return lab_.Call([&](auto* context, auto done) {
      lab_.buses->async()->SendFrame(context, &send, &response, done);
    });
  };
  const grpc::Status status = submit();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.receipt().has_on_wire_time());
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.count() > 0; }));
  const v1::BusFrame frame = watch.messages()[0].frames(0);
  EXPECT_EQ(frame.frame().id(), 0x7F0u);
  EXPECT_EQ(frame.frame().data(), std::string("\x01\x02"));
  EXPECT_TRUE(frame.own());
  EXPECT_THAT(frame.text(), HasSubstr("lab 7F0#0102"));

  send.set_text("nonsense");
  EXPECT_EQ(submit().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  send.mutable_frame()->set_id(0x800);
  EXPECT_EQ(submit().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  send.mutable_frame()->set_id(1);
  send.mutable_frame()->set_data(std::string(9, 'x'));
  EXPECT_EQ(submit().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  send.set_text("7F0#");
  lab_.SetRole(Role::kOperator);
  EXPECT_EQ(submit().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(DaemonServicesTest, BusesAreDescribed) {
  lab_.RunFor(seconds(3));
  v1::ListBusesRequest request;
  v1::ListBusesResponse response;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.buses->async()->ListBuses(context, &request, &response, done);
                  })
                  .ok());
  ASSERT_EQ(response.buses_size(), 1);
  const v1::Bus& bus = response.buses(0);
  EXPECT_EQ(bus.type(), "simulated");
  EXPECT_EQ(bus.state(), v1::BUS_STATE_ACTIVE);
  EXPECT_EQ(bus.bitrate(), 250000u);
  EXPECT_GT(bus.frames_sent(), 0u);
  EXPECT_THAT(bus.device_ids(), SizeIs(3));
  v1::GetBusRequest unknown;
  unknown.set_bus_id("can7");
  v1::GetBusResponse none;
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.buses->async()->GetBus(context, &unknown, &none, done);
                })
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(DaemonServicesTest, LeasesAreTakenKeptAndReleased) {
  lab_.WaitPolled();
  v1::AcquireLeaseRequest request;
  request.add_device_ids("hv0");
  request.mutable_window()->set_seconds(5);
  v1::AcquireLeaseResponse acquired;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.leases->async()->AcquireLease(context, &request, &acquired, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::string id = acquired.lease().lease_id();
  EXPECT_EQ(acquired.lease().holder(), "inproc");

  v1::SetVoltageRequest set;
  set.set_device_id("hv0");
  set.set_channel(0);
  set.set_voltage_v(10);
  v1::SetVoltageResponse set_response;
  const auto set_voltage = [&] {
    return lab_.Call([&](auto* context, auto done) {
      lab_.hv->async()->SetVoltage(context, &set, &set_response, done);
    });
  };
  EXPECT_EQ(set_voltage().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  set.mutable_options()->set_lease_id(id);
  EXPECT_TRUE(set_voltage().ok());

  v1::KeepLeaseAliveRequest keep;
  keep.set_lease_id(id);
  v1::KeepLeaseAliveResponse kept;
  EXPECT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.leases->async()->KeepLeaseAlive(context, &keep, &kept, done);
                  })
                  .ok());
  v1::ListLeasesRequest list;
  v1::ListLeasesResponse leases;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.leases->async()->ListLeases(context, &list, &leases, done);
                  })
                  .ok());
  ASSERT_EQ(leases.leases_size(), 1);
  EXPECT_EQ(leases.leases(0).lease_id(), id);

  lab_.RunFor(seconds(6));
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.leases->async()->KeepLeaseAlive(context, &keep, &kept, done);
                })
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(DaemonServicesTest, ATripIsInjectedSeenAsAlarmAndAcknowledged) {
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

TEST_F(DaemonServicesTest, SimulationRefusesWhatIsNotSimulatedOrNotStepped) {
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

}  // namespace
}  // namespace canhub
