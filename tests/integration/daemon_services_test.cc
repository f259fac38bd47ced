// Hub, device, bus, lease, alarm and simulation services.
#include <gmock/gmock.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include <algorithm>
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

void SetTime(WallTime time, google::protobuf::Timestamp* out) {
  const auto since = time.time_since_epoch();
  out->set_seconds(std::chrono::duration_cast<seconds>(since).count());
  out->set_nanos(static_cast<int32_t>((since % seconds(1)).count()));
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

TEST_F(DaemonServicesTest, WaitReadyEndsWhenAllAre) {
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

// ------------------------------------------------------------------ the daemon

using HubCalls = v1::HubService::StubInterface::async_interface;
using Devices = v1::DeviceService::StubInterface::async_interface;
using Buses = v1::BusService::StubInterface::async_interface;
using Simulation = v1::SimulationService::StubInterface::async_interface;

TEST(HubServiceTest, TheLogLevelAskedForIsSet) {
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

TEST(HubServiceTest, WhatTheProgramDoesNotOfferIsUnimplemented) {
  RpcLab lab;
  v1::ReloadConfigResponse reloaded;
  EXPECT_EQ(lab.Rpc(lab.hub_stub->async(), &HubCalls::ReloadConfig, {}, &reloaded).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(DaemonServicesTest, ReloadingIsAnEngineersAndCheckingIsNotAudited) {
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

TEST_F(DaemonServicesTest, TheAuditRecordIsReadPageByPage) {
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

// ------------------------------------------------------------------ devices and buses

TEST_F(DaemonServicesTest, ARestartedDeviceComesOnlineAgainAndIsAudited) {
  lab_.WaitPolled();
  const v1::WatchDevicesRequest all;
  StreamClient<v1::WatchDevicesResponse> watch([&](auto* context, auto* reactor) {
    lab_.devices->async()->WatchDevices(context, &all, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }));
  const size_t before = watch.count();
  v1::RestartDeviceRequest request;
  request.set_device_id("hv0");
  v1::RestartDeviceResponse response;
  ASSERT_TRUE(lab_.Rpc(lab_.devices->async(), &Devices::RestartDevice, request, &response).ok());
  const auto links_of_hv0 = [&] {
    std::vector<v1::LinkState> links;
    const auto messages = watch.messages();
    for (size_t i = before; i < messages.size(); ++i) {
      if (messages[i].device().device_id() == "hv0") links.push_back(messages[i].device().link());
    }
    return links;
  };
  ASSERT_TRUE(lab_.StepUntil([&] {
    const auto links = links_of_hv0();
    return links.size() > 1 && links.back() == v1::LINK_STATE_ONLINE;
  }));
  EXPECT_NE(links_of_hv0().front(), v1::LINK_STATE_ONLINE);

  const auto page = lab_.audit().Query({.device_id = "hv0"});
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->entries.size(), 1u);
  EXPECT_EQ(page->entries[0].text, "restart of the driver");
  request.set_device_id("hv9");
  EXPECT_EQ(
      lab_.Rpc(lab_.devices->async(), &Devices::RestartDevice, request, &response).error_code(),
      grpc::StatusCode::NOT_FOUND);
}

TEST_F(DaemonServicesTest, ADeviceIsNotRestartedUnderACommand) {
  lab_.WaitPolled();
  v1::SetVoltageRequest set;
  set.set_device_id("hv0");
  set.set_channel(0);
  set.set_voltage_v(1000);
  v1::SetVoltageResponse set_response;
  using Hv = v1::HighVoltageService::StubInterface::async_interface;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SetVoltage, set, &set_response).ok());
  v1::SetRampRequest ramp;
  ramp.set_device_id("hv0");
  ramp.set_up_v_per_s(5);  // 200 s to 1000 V
  v1::SetRampResponse ramp_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SetRamp, ramp, &ramp_response).ok());
  v1::SwitchOnRequest on;
  on.set_device_id("hv0");
  on.set_channel(0);
  on.mutable_options()->set_wait_for(v1::WAIT_FOR_SETTLED);
  v1::SwitchOnResponse on_response;
  grpc::ClientContext context;
  std::atomic<bool> over{false};
  lab_.hv->async()->SwitchOn(&context, &on, &on_response, [&](grpc::Status) { over = true; });
  lab_.WaitHeld([&] {
    const auto page = lab_.audit().Query({.device_id = "hv0", .limit = 1});
    return page.ok() && page->entries.size() == 1 && page->entries[0].kind == "command" &&
           page->entries[0].text.starts_with("switch_on");
  });
  v1::RestartDeviceRequest request;
  request.set_device_id("hv0");
  v1::RestartDeviceResponse response;
  EXPECT_EQ(
      lab_.Rpc(lab_.devices->async(), &Devices::RestartDevice, request, &response).error_code(),
      grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_FALSE(over);
  EXPECT_TRUE(lab_.StepUntil([&] { return over.load(); }));
}

class WatchFramesTest : public DaemonServicesTest {
 protected:
  void SetUp() override { lab_.WaitPolled(); }
  std::unique_ptr<StreamClient<v1::WatchFramesResponse>> Watch(Reads reads = Reads::kAlways) {
    auto watch = std::make_unique<StreamClient<v1::WatchFramesResponse>>(
        [this](auto* context, auto* reactor) {
          lab_.buses->async()->WatchFrames(context, &request_, reactor);
        },
        reads);
    return watch;
  }
  grpc::Status Send(const std::string& text) {
    v1::SendFrameRequest request;
    request.set_bus_id("lab");
    request.set_text(text);
    v1::SendFrameResponse response;
    return lab_.Rpc(lab_.buses->async(), &Buses::SendFrame, request, &response);
  }
  static std::vector<v1::BusFrame> Frames(StreamClient<v1::WatchFramesResponse>& watch) {
    std::vector<v1::BusFrame> frames;
    for (const auto& message : watch.messages()) {
      frames.insert(frames.end(), message.frames().begin(), message.frames().end());
    }
    return frames;
  }
  v1::WatchFramesRequest request_;
};

TEST_F(WatchFramesTest, FiltersCompareIdentifierAndForm) {
  v1::FrameFilter* filter = request_.add_filters();
  filter->set_id(0x7A5);
  filter->set_mask(0x1FFFFFFF);
  filter->set_extended(true);
  auto watch = Watch();
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->accepted(); }));
  for (const char* text : {"7A5#01", "000007A5#02", "000007A6#03", "7A4#04", "000007A5#05"}) {
    ASSERT_TRUE(Send(text).ok()) << text;
  }
  ASSERT_TRUE(lab_.StepUntil([&] { return Frames(*watch).size() >= 2; }));
  const auto frames = Frames(*watch);
  EXPECT_EQ(frames[0].frame().data(), "\x02");
  EXPECT_EQ(frames[1].frame().data(), "\x05");
  EXPECT_TRUE(frames[1].frame().extended());
}

TEST_F(WatchFramesTest, AnyOfSeveralFiltersPasses) {
  for (const uint32_t id : {0x7A1, 0x7A2}) {
    v1::FrameFilter* filter = request_.add_filters();
    filter->set_id(id);
    filter->set_mask(0x7FF);
  }
  auto watch = Watch();
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->accepted(); }));
  for (const char* text : {"7A0#", "7A1#", "7A3#", "7A2#"}) ASSERT_TRUE(Send(text).ok());
  ASSERT_TRUE(lab_.StepUntil([&] { return Frames(*watch).size() >= 2; }));
  EXPECT_EQ(Frames(*watch)[0].frame().id(), 0x7A1u);
  EXPECT_EQ(Frames(*watch)[1].frame().id(), 0x7A2u);
}

TEST_F(WatchFramesTest, MalformedFiltersAreRefused) {
  const auto refused = [&](const std::function<void(v1::FrameFilter*)>& set) {
    request_.Clear();
    set(request_.add_filters());
    auto watch = Watch();
    EXPECT_TRUE(lab_.StepUntil([&] { return watch->over(); }));
    return watch->Finish().error_code();
  };
  EXPECT_EQ(refused([](auto* f) { f->set_id(0x20000000); }), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refused([](auto* f) { f->set_mask(0x20000000); }), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refused([](auto* f) {
              f->set_id(0x800);
              f->set_mask(0xFFF);
              f->set_extended(false);
            }),
            grpc::StatusCode::INVALID_ARGUMENT);
  request_.Clear();
  request_.set_bus_id("can7");
  auto watch = Watch();
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->over(); }));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(WatchFramesTest, AReaderThatStopsLosesTheOldestAndIsToldHowMany) {
  auto watch = Watch(Reads::kNot);
  ASSERT_TRUE(lab_.StepUntil([&] { return watch->accepted(); }));
  const BusStatus before = lab_.hub().FindBus("lab")->bus->Status();
  lab_.RunFor(seconds(60));
  const BusStatus after = lab_.hub().FindBus("lab")->bus->Status();
  ASSERT_TRUE(Send("7A5#0102").ok());
  const uint64_t on_the_wire =
      after.frames_sent + after.frames_received - before.frames_sent - before.frames_received;
  ASSERT_GT(on_the_wire, 10000u);  // more than any ring keeps
  watch->Resume();
  ASSERT_TRUE(lab_.StepUntil([&] {
    const auto frames = Frames(*watch);  // others come after it
    return std::any_of(frames.begin(), frames.end(),
                       [](const v1::BusFrame& frame) { return frame.frame().id() == 0x7A5; });
  }));
  uint64_t lost = 0;
  for (const auto& message : watch->messages()) lost += message.lost_count();
  const uint64_t got = Frames(*watch).size();
  EXPECT_GT(lost, 0u);
  EXPECT_LT(got, on_the_wire);
  EXPECT_GE(lost + got, on_the_wire);
}

// ------------------------------------------------------------------ simulation

TEST_F(DaemonServicesTest, ALoadDrawsItsCurrent) {
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
