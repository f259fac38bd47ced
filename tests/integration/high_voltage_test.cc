// HighVoltageService against simulated iseg modules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;

class HighVoltageRpcTest : public testing::Test {
 protected:
  void SetUp() override { lab_.WaitPolled(); }

  v1::SetVoltageRequest Voltage(const std::string& device, uint32_t channel, double volts) {
    v1::SetVoltageRequest request;
    request.set_device_id(device);
    request.set_channel(channel);
    request.set_voltage_v(volts);
    return request;
  }
  grpc::Status SetVoltage(const v1::SetVoltageRequest& request) {
    return lab_.Call([&](auto* context, auto done) {
      lab_.hv->async()->SetVoltage(context, &request, &set_voltage_, done);
    });
  }
  grpc::Status SwitchOn(const std::string& device, uint32_t channel,
                        v1::WaitFor wait = v1::WAIT_FOR_CONFIRMED) {
    v1::SwitchOnRequest request;
    request.set_device_id(device);
    request.set_channel(channel);
    request.mutable_options()->set_wait_for(wait);
    v1::SwitchOnResponse response;
    return lab_.Call([&](auto* context, auto done) {
      lab_.hv->async()->SwitchOn(context, &request, &response, done);
    });
  }
  v1::HighVoltageChannel Channel(const std::string& device, uint32_t channel) {
    v1::GetChannelsRequest request;
    request.set_device_id(device);
    request.add_channels(channel);
    v1::GetChannelsResponse response;
    const grpc::Status status = lab_.Call([&](auto* context, auto done) {
      lab_.hv->async()->GetChannels(context, &request, &response, done);
    });
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.channels_size() == 1 ? response.channels(0) : v1::HighVoltageChannel();
  }

  RpcLab lab_;
  v1::SetVoltageResponse set_voltage_;
};

TEST_F(HighVoltageRpcTest, SetsAVoltageAndConfirmsItByReadingItBack) {
  const grpc::Status status = SetVoltage(Voltage("hv0", 3, 800));
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::Receipt& receipt = set_voltage_.receipt();
  EXPECT_EQ(receipt.device_id(), "hv0");
  EXPECT_GT(receipt.command_id(), 0u);
  EXPECT_TRUE(receipt.has_on_wire_time());
  EXPECT_TRUE(receipt.has_confirmed_time());
  ASSERT_GT(receipt.read_back_size(), 0);
  EXPECT_EQ(receipt.read_back(0).value().number(), 800);
  EXPECT_TRUE(receipt.read_back(0).simulated());
  EXPECT_EQ(Channel("hv0", 3).voltage_set_v(), 800);
}

TEST_F(HighVoltageRpcTest, AChannelRampsToItsVoltageAndSettlesThere) {
  ASSERT_TRUE(SetVoltage(Voltage("hv0", 0, 500)).ok());
  const grpc::Status status = SwitchOn("hv0", 0, v1::WAIT_FOR_SETTLED);
  ASSERT_TRUE(status.ok()) << status.error_message();
  lab_.RunFor(seconds(2));
  const v1::HighVoltageChannel channel = Channel("hv0", 0);
  EXPECT_EQ(channel.state(), "on");
  EXPECT_NEAR(std::abs(channel.voltage_measure_v()), 500, 30);
  EXPECT_THAT(channel.status(), Contains("is_on"));
}

// The registers of events and of the status are read one after the other.
TEST_F(HighVoltageRpcTest, ATripIsTheStateAsSoonAsOneOfItsRegistersTells) {
  for (uint32_t number = 0; number < 16; ++number) {
    ASSERT_TRUE(SetVoltage(Voltage("hv0", number, 500)).ok());
    ASSERT_TRUE(SwitchOn("hv0", number, v1::WAIT_FOR_SETTLED).ok());
    lab_.RunFor(std::chrono::milliseconds(7 * number));  // somewhere else in the round of polls
    lab_.Inject("hv0", "trip", static_cast<int>(number));
    v1::HighVoltageChannel channel;
    ASSERT_TRUE(lab_.StepUntil([&] {
      channel = Channel("hv0", number);
      return !channel.on() || testing::Value(channel.events(), Contains("event_trip"));
    }));
    EXPECT_EQ(channel.state(), "tripped") << "channel " << number;
    EXPECT_TRUE(channel.tripped());
  }
}

TEST_F(HighVoltageRpcTest, AVoltageAboveTheConfiguredLimitIsRefusedWithTheLimit) {
  const grpc::Status status = SetVoltage(Voltage("hv0", 3, 1250));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.reason(), "SETPOINT_ABOVE_LIMIT");
  EXPECT_EQ(info.domain(), "canhub");
  EXPECT_EQ(info.metadata().at("limit"), "1000");
  EXPECT_THAT(status.error_message(), HasSubstr("devices.hv0.limits.voltage"));
}

TEST_F(HighVoltageRpcTest, AMissingChannelIsNotChannelZero) {
  v1::SetVoltageRequest request = Voltage("hv0", 0, 100);
  request.clear_channel();
  const grpc::Status status = SetVoltage(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(InfoOf(status).metadata().at("field"), "channel");
}

TEST_F(HighVoltageRpcTest, AMissingVoltageIsNotZeroVolt) {
  v1::SetVoltageRequest request = Voltage("hv0", 0, 100);
  request.clear_voltage_v();
  EXPECT_EQ(InfoOf(SetVoltage(request)).metadata().at("field"), "voltage_v");
}

TEST_F(HighVoltageRpcTest, VoltagesThatAreNotFiniteAreRefused) {
  for (const double bad : {NAN, INFINITY, -INFINITY}) {
    EXPECT_EQ(SetVoltage(Voltage("hv0", 0, bad)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(HighVoltageRpcTest, AnUnknownChannelNamesTheNumberOfChannels) {
  const grpc::Status status = SetVoltage(Voltage("hv0", 16, 100));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(InfoOf(status).metadata().at("channel_count"), "16");
  EXPECT_EQ(SetVoltage(Voltage("hv0", 4294967295u, 100)).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HighVoltageRpcTest, AnUnknownDeviceListsThoseThereAre) {
  const grpc::Status status = SetVoltage(Voltage("hv7", 0, 100));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("crate0, hv0, hv1"));
}

TEST_F(HighVoltageRpcTest, ACrateHasNoChannels) {
  EXPECT_EQ(SetVoltage(Voltage("crate0", 0, 100)).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(HighVoltageRpcTest, AViewerMayNotCommand) {
  lab_.SetRole(Role::kViewer);
  const grpc::Status status = SetVoltage(Voltage("hv0", 0, 100));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(InfoOf(status).reason(), "ROLE_TOO_LOW");
}

TEST_F(HighVoltageRpcTest, WithoutARoleNothingMayBeRead) {
  lab_.SetRole(Role::kNone);
  v1::GetModuleRequest request;
  request.set_device_id("hv0");
  v1::GetModuleResponse response;
  EXPECT_EQ(lab_.Call([&](auto* c, auto done) {
                  lab_.hv->async()->GetModule(c, &request, &response, done);
                })
                .error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(HighVoltageRpcTest, ARepeatedRequestIdNeverActsTwice) {
  v1::SetVoltageRequest request = Voltage("hv0", 0, 100);
  request.mutable_options()->set_request_id("once");
  ASSERT_TRUE(SetVoltage(request).ok());
  EXPECT_EQ(SetVoltage(request).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(HighVoltageRpcTest, ReadsAModule) {
  v1::GetModuleRequest request;
  request.set_device_id("hv0");
  v1::GetModuleResponse response;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->GetModule(context, &request, &response, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::HighVoltageModule& module = response.module();
  EXPECT_EQ(module.channel_count(), 16u);
  EXPECT_FALSE(module.serial_number().empty());
  EXPECT_TRUE(module.has_status_word());
  EXPECT_TRUE(module.has_temperature_degc());
  EXPECT_GT(module.supplies_v_size(), 0);
  EXPECT_EQ(module.quality(), v1::QUALITY_GOOD);
}

TEST_F(HighVoltageRpcTest, ReadsACrate) {
  v1::GetCrateRequest request;
  request.set_device_id("crate0");
  v1::GetCrateResponse response;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->GetCrate(context, &request, &response, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.crate().has_status_word());
  EXPECT_TRUE(response.crate().has_power_on());
  request.set_device_id("hv0");
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.hv->async()->GetCrate(context, &request, &response, done);
                })
                .error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(HighVoltageRpcTest, SetRampSaysWhatItSet) {
  v1::SetRampRequest request;
  request.set_device_id("hv0");
  request.set_channel(1);
  request.set_up_v_per_s(50);
  v1::SetRampResponse response;
  grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->SetRamp(context, &request, &response, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_GT(response.receipt().command_id(), 0u);
  if (response.applies_to_module()) {
    EXPECT_GT(response.module_percent_per_s(), 0);
  } else {
    EXPECT_NEAR(Channel("hv0", 1).ramp_up_v_per_s(), 50, 0.01);
  }
  request.clear_up_v_per_s();
  status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->SetRamp(context, &request, &response, done);
  });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(HighVoltageRpcTest, EmergencyOffOvertakesACommandUnderWay) {
  v1::SetRampRequest ramp;
  ramp.set_device_id("hv0");
  ramp.set_up_v_per_s(20);
  v1::SetRampResponse ramp_response;
  ASSERT_TRUE(lab_.Call([&](auto* context, auto done) {
                    lab_.hv->async()->SetRamp(context, &ramp, &ramp_response, done);
                  })
                  .ok());
  ASSERT_TRUE(SetVoltage(Voltage("hv0", 2, 900)).ok());
  ASSERT_TRUE(SwitchOn("hv0", 2).ok());
  // A ramp that takes many seconds, waited for by another client.
  v1::SetVoltageRequest slow = Voltage("hv0", 2, 1000);
  slow.mutable_options()->set_wait_for(v1::WAIT_FOR_SETTLED);
  v1::SetVoltageResponse slow_response;
  grpc::ClientContext slow_context;
  std::atomic<bool> slow_over{false};
  grpc::Status slow_status;
  lab_.hv->async()->SetVoltage(&slow_context, &slow, &slow_response, [&](grpc::Status status) {
    slow_status = status;
    slow_over = true;
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return Channel("hv0", 2).voltage_set_v() == 1000; }));

  v1::EmergencyOffRequest request;
  request.set_device_id("hv0");
  v1::EmergencyOffResponse response;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->EmergencyOff(context, &request, &response, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.receipts_size(), 1);
  ASSERT_TRUE(lab_.StepUntil([&] { return slow_over.load(); }));
  EXPECT_EQ(slow_status.error_code(), grpc::StatusCode::ABORTED) << slow_status.error_message();
  lab_.RunFor(seconds(3));
  EXPECT_EQ(Channel("hv0", 2).state(), "emergency_off");

  v1::ReleaseEmergencyOffRequest release;
  release.set_device_id("hv0");
  v1::ReleaseEmergencyOffResponse released;
  const grpc::Status release_status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->ReleaseEmergencyOff(context, &release, &released, done);
  });
  EXPECT_TRUE(release_status.ok()) << release_status.error_message();
}

TEST_F(HighVoltageRpcTest, EmergencyOffOfAllDevicesReachesEveryModule) {
  v1::EmergencyOffRequest request;
  request.set_all_devices(true);
  v1::EmergencyOffResponse response;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->EmergencyOff(context, &request, &response, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  std::vector<std::string> devices;
  for (const v1::Receipt& receipt : response.receipts()) devices.push_back(receipt.device_id());
  EXPECT_THAT(devices, testing::UnorderedElementsAre("hv0", "hv1"));
  EXPECT_EQ(response.failures_size(), 0);
  request.set_device_id("hv0");
  EXPECT_EQ(lab_.Call([&](auto* context, auto done) {
                  lab_.hv->async()->EmergencyOff(context, &request, &response, done);
                })
                .error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(HighVoltageRpcTest, ForcingACrateOffNeedsAnEngineer) {
  lab_.SetRole(Role::kOperator);
  v1::SetCratePowerRequest request;
  request.set_device_id("crate0");
  request.set_on(false);
  request.set_force(true);
  v1::SetCratePowerResponse response;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->SetCratePower(context, &request, &response, done);
  });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(HighVoltageRpcTest, RawExchangeReturnsTheAnswer) {
  v1::RawExchangeRequest request;
  request.set_device_id("hv0");
  request.set_data_hex("1000");
  v1::RawExchangeResponse response;
  const grpc::Status status = lab_.Call([&](auto* context, auto done) {
    lab_.hv->async()->RawExchange(context, &request, &response, done);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.answers_hex_size(), 1);
  EXPECT_THAT(response.answers_hex(0), testing::StartsWith("1000"));
}

TEST_F(HighVoltageRpcTest, WatchChannelsSendsEachOnceThenSyncedThenChanges) {
  v1::WatchChannelsRequest request;
  request.set_device_id("hv0");
  request.add_channels(3);
  StreamClient<v1::WatchChannelsResponse> watch([&](auto* context, auto* reactor) {
    lab_.hv->async()->WatchChannels(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }));
  const auto first = watch.messages();
  ASSERT_GE(first.size(), 2u);
  EXPECT_EQ(first[0].channels(0).channel(), 3u);
  EXPECT_TRUE(first[1].synced());
  ASSERT_TRUE(SetVoltage(Voltage("hv0", 3, 77)).ok());
  EXPECT_TRUE(lab_.StepUntil([&] {
    for (const auto& message : watch.messages()) {
      for (const auto& channel : message.channels()) {
        if (channel.channel() != 3) ADD_FAILURE() << "channel " << channel.channel();
        if (channel.voltage_set_v() == 77) return true;
      }
    }
    return false;
  }));
}

TEST_F(HighVoltageRpcTest, WatchChannelsRefusesAChannelThatIsNotThere) {
  v1::WatchChannelsRequest request;
  request.set_device_id("hv0");
  request.add_channels(99);
  StreamClient<v1::WatchChannelsResponse> watch([&](auto* context, auto* reactor) {
    lab_.hv->async()->WatchChannels(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.over(); }));
  const grpc::Status status = watch.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(InfoOf(status).reason(), "CHANNEL_UNKNOWN");
}

}  // namespace
}  // namespace canhub
