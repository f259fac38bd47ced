// DeviceService: lists, watches, restarts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using Devices = v1::DeviceService::StubInterface::async_interface;

class DeviceServiceTest : public testing::Test {
 protected:
  RpcLab lab_;
};

TEST_F(DeviceServiceTest, DevicesAreListedAndDescribed) {
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

TEST_F(DeviceServiceTest, WatchDevicesTellsWhenADeviceComesOnline) {
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

TEST_F(DeviceServiceTest, RestartNeedsAnEngineer) {
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

TEST_F(DeviceServiceTest, ARestartedDeviceComesOnlineAgainAndIsAudited) {
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

TEST_F(DeviceServiceTest, ADeviceIsNotRestartedUnderACommand) {
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

}  // namespace
}  // namespace canhub
