// HighVoltageService: what acts on a module, a crate or a line beyond voltages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "drivers/api/high_voltage.h"
#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using grpc::StatusCode;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Hv = v1::HighVoltageService::StubInterface::async_interface;
using Items = v1::ItemService::StubInterface::async_interface;

class HighVoltageActsTest : public testing::Test {
 protected:
  explicit HighVoltageActsTest(const RpcLabSetup& setup = {}) : lab_({}, {}, setup) {}
  void SetUp() override { lab_.WaitPolled(); }

  // Sets a channel's voltage, switches it on and waits for the end of the ramp.
  void Raise(const std::string& device, uint32_t channel, double volts) {
    v1::SetVoltageRequest set;
    set.set_device_id(device);
    set.set_channel(channel);
    set.set_voltage_v(volts);
    v1::SetVoltageResponse set_response;
    grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::SetVoltage, set, &set_response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    v1::SwitchOnRequest on;
    on.set_device_id(device);
    on.set_channel(channel);
    on.mutable_options()->set_wait_for(v1::WAIT_FOR_SETTLED);
    v1::SwitchOnResponse on_response;
    status = lab_.Rpc(lab_.hv->async(), &Hv::SwitchOn, on, &on_response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  v1::HighVoltageChannel Channel(const std::string& device, uint32_t channel) {
    v1::GetChannelsRequest request;
    request.set_device_id(device);
    request.add_channels(channel);
    v1::GetChannelsResponse response;
    const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::GetChannels, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.channels_size() == 1 ? response.channels(0) : v1::HighVoltageChannel();
  }
  // Of the cache; fails the test unless it is GOOD.
  v1::Value Item(const std::string& name) {
    v1::GetItemsRequest request;
    request.add_names(name);
    v1::GetItemsResponse response;
    const grpc::Status status = lab_.Rpc(lab_.items->async(), &Items::GetItems, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    if (response.readings_size() != 1) return {};
    EXPECT_EQ(response.readings(0).quality(), v1::QUALITY_GOOD) << name;
    return response.readings(0).value();
  }
  template <typename Names>
  void ExpectTrueItems(const std::string& prefix, const Names& names) {
    for (const std::string& name : names) EXPECT_TRUE(Item(prefix + name).flag()) << name;
  }

  RpcLab lab_;
};

TEST_F(HighVoltageActsTest, PrepareRemovalRampsDownAndTellsTheHighestVoltage) {
  Raise("hv0", 0, 600);
  v1::PrepareRemovalRequest request;
  request.set_device_id("hv0");
  v1::PrepareRemovalResponse response;
  const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::PrepareRemoval, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.receipt().has_settled_time());
  EXPECT_LE(response.highest_voltage_v(), high_voltage::kSafeToTouchVolt);
  EXPECT_FALSE(Channel("hv0", 0).on());
  EXPECT_LE(std::abs(Channel("hv0", 0).voltage_measure_v()), high_voltage::kSafeToTouchVolt);
  request.set_device_id("crate0");
  EXPECT_EQ(lab_.Rpc(lab_.hv->async(), &Hv::PrepareRemoval, request, &response).error_code(),
            StatusCode::UNIMPLEMENTED);
}

TEST_F(HighVoltageActsTest, SetTripPolicyIsInTheModule) {
  v1::SetTripPolicyRequest request;
  request.set_device_id("hv0");
  request.set_channel(3);
  request.mutable_delayed_trip_time()->set_nanos(100'000'000);
  request.set_delayed_trip_action(v1::CHANNEL_REACTION_RAMP_DOWN);
  request.set_external_inhibit_action(v1::CHANNEL_REACTION_CHANNEL_OFF);
  v1::SetTripPolicyResponse response;
  const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::SetTripPolicy, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.receipt().has_confirmed_time());
  EXPECT_EQ(Item("hv0/ch3.delayed_trip_time").integer(), 100);
  EXPECT_EQ(Item("hv0/ch3.delayed_trip_action").integer(), 1);
  EXPECT_EQ(Item("hv0/ch3.external_inhibit_action").integer(), 2);
}

TEST_F(HighVoltageActsTest, MalformedTripPoliciesNameTheField) {
  v1::SetTripPolicyResponse response;
  const auto field = [&](const std::function<void(v1::SetTripPolicyRequest*)>& set) {
    v1::SetTripPolicyRequest request;
    request.set_device_id("hv0");
    request.set_channel(3);
    set(&request);
    const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::SetTripPolicy, request, &response);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    return InfoOf(status).metadata().at("field");
  };
  EXPECT_EQ(field([](auto*) {}), "delayed_trip_time");
  EXPECT_EQ(field([](auto* r) { r->mutable_delayed_trip_time()->set_nanos(1'500'000); }),
            "delayed_trip_time");
  EXPECT_EQ(field([](auto* r) { r->mutable_delayed_trip_time()->set_seconds(66); }),
            "delayed_trip_time");
  EXPECT_EQ(field([](auto* r) { r->set_external_inhibit_action(v1::CHANNEL_REACTION_DISABLED); }),
            "external_inhibit_action");
}

TEST_F(HighVoltageActsTest, SetOutputIsUnimplementedWhereNothingCanBeSwitched) {
  v1::SetOutputRequest request;
  request.set_device_id("hv0");
  request.set_channel(0);
  v1::SetOutputResponse response;
  EXPECT_EQ(lab_.Rpc(lab_.hv->async(), &Hv::SetOutput, request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
  request.set_polarity(v1::POLARITY_NEGATIVE);
  EXPECT_EQ(lab_.Rpc(lab_.hv->async(), &Hv::SetOutput, request, &response).error_code(),
            StatusCode::UNIMPLEMENTED);
}

TEST_F(HighVoltageActsTest, ReleasingOneChannelLeavesTheOthersLocked) {
  v1::EmergencyOffRequest off;
  off.set_device_id("hv0");
  v1::EmergencyOffResponse off_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::EmergencyOff, off, &off_response).ok());
  v1::ReleaseEmergencyOffRequest release;
  release.set_device_id("hv0");
  release.set_channel(2);
  v1::ReleaseEmergencyOffResponse released;
  const grpc::Status status =
      lab_.Rpc(lab_.hv->async(), &Hv::ReleaseEmergencyOff, release, &released);
  ASSERT_TRUE(status.ok()) << status.error_message();
  lab_.RunFor(seconds(3));
  EXPECT_EQ(Channel("hv0", 2).state(), "off");
  EXPECT_EQ(Channel("hv0", 1).state(), "emergency_off");
}

TEST_F(HighVoltageActsTest, ClearEventsNamesWhatHoldsAsItemsAreNamed) {
  lab_.Inject("hv0", "arc", 3);
  lab_.RunFor(seconds(3));
  v1::ClearEventsRequest request;
  request.set_device_id("hv0");
  request.set_channel(3);
  v1::ClearEventsResponse response;
  grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::ClearEvents, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.still_active(), Contains("ch3.event_arc"));
  ExpectTrueItems("hv0/", response.still_active());
  EXPECT_THAT(Channel("hv0", 3).events(), Contains("event_arc"));

  lab_.ClearFaults("hv0");
  lab_.RunFor(seconds(3));
  status = lab_.Rpc(lab_.hv->async(), &Hv::ClearEvents, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.still_active(), IsEmpty());
  EXPECT_THAT(Channel("hv0", 3).events(), IsEmpty());
}

TEST_F(HighVoltageActsTest, StatusAndEventNamesAreItemsThatAreTrue) {
  Raise("hv0", 3, 400);
  lab_.Inject("hv0", "arc", 3);
  lab_.RunFor(seconds(3));
  const v1::HighVoltageChannel channel = Channel("hv0", 3);
  EXPECT_THAT(channel.status(), Contains("is_on"));
  EXPECT_THAT(channel.events(), Contains("event_arc"));
  ExpectTrueItems("hv0/ch3.", channel.status());
  ExpectTrueItems("hv0/ch3.", channel.events());

  lab_.Inject("hv0", "over_temperature");
  lab_.Inject("crate0", "power_fail");
  lab_.RunFor(seconds(20));

  v1::GetModuleRequest module;
  module.set_device_id("hv0");
  v1::GetModuleResponse module_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::GetModule, module, &module_response).ok());
  EXPECT_THAT(module_response.module().events(), Contains("event_temperature_not_good"));
  ExpectTrueItems("hv0/", module_response.module().status());
  ExpectTrueItems("hv0/", module_response.module().events());

  v1::GetCrateRequest crate;
  crate.set_device_id("crate0");
  v1::GetCrateResponse crate_response;
  ASSERT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::GetCrate, crate, &crate_response).ok());
  EXPECT_THAT(crate_response.crate().status(), Contains("is_power_fail"));
  // One bit, two items: the other is true while the bit is not set.
  EXPECT_THAT(crate_response.crate().status(), Not(Contains("is_mains_good")));
  EXPECT_THAT(crate_response.crate().status(), Contains("is_temperature_good"));
  ExpectTrueItems("crate0/", crate_response.crate().status());
  ExpectTrueItems("crate0/", crate_response.crate().events());
}

TEST_F(HighVoltageActsTest, EmergencyOffOfAllDevicesNamesTheOneThatIsLost) {
  Raise("hv0", 0, 500);
  lab_.Inject("hv1", "silence");
  lab_.RunFor(seconds(60));
  v1::EmergencyOffRequest request;
  request.set_all_devices(true);
  v1::EmergencyOffResponse response;
  const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::EmergencyOff, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.receipts_size(), 1);
  EXPECT_EQ(response.receipts(0).device_id(), "hv0");
  EXPECT_THAT(response.failures(), ElementsAre(StartsWith("hv1: ")));
  lab_.RunFor(seconds(3));
  EXPECT_EQ(Channel("hv0", 0).state(), "emergency_off");
}

TEST_F(HighVoltageActsTest, EmergencyOffFailsWhereNoDeviceAnswers) {
  lab_.Inject("hv0", "silence");
  lab_.Inject("hv1", "silence");
  lab_.RunFor(seconds(60));
  v1::EmergencyOffRequest request;
  request.set_all_devices(true);
  v1::EmergencyOffResponse response;
  const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::EmergencyOff, request, &response);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.error_message(), HasSubstr("no device was switched off"));
  EXPECT_THAT(InfoOf(status).metadata().at("failures"), HasSubstr("hv1: "));
}

TEST_F(HighVoltageActsTest, ACrateIsSwitchedOffAndOn) {
  v1::SetCratePowerRequest request;
  request.set_device_id("crate0");
  v1::SetCratePowerResponse response;
  const auto set = [&] {
    return lab_.Rpc(lab_.hv->async(), &Hv::SetCratePower, request, &response);
  };
  EXPECT_EQ(InfoOf(set()).metadata().at("field"), "on");
  for (const bool on : {false, true}) {
    request.set_on(on);
    const grpc::Status status = set();
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(response.receipt().has_confirmed_time());
    EXPECT_EQ(Item("crate0/power").flag(), on);
  }
  request.set_device_id("hv0");
  EXPECT_EQ(set().error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(HighVoltageActsTest, ForcingACrateOffIsAnEngineersAct) {
  v1::SetCratePowerRequest request;
  request.set_device_id("crate0");
  request.set_on(false);
  request.set_force(true);
  v1::SetCratePowerResponse response;
  lab_.SetRole(Role::kOperator);
  EXPECT_EQ(lab_.Rpc(lab_.hv->async(), &Hv::SetCratePower, request, &response).error_code(),
            StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(Item("crate0/power").flag());
  lab_.SetRole(Role::kEngineer);
  EXPECT_TRUE(lab_.Rpc(lab_.hv->async(), &Hv::SetCratePower, request, &response).ok());
  EXPECT_FALSE(Item("crate0/power").flag());
}

TEST_F(HighVoltageActsTest, StoringSetValuesNeedsAnEngineerAndAnOperation) {
  v1::StoreSetValuesRequest request;
  request.set_device_id("hv0");
  v1::StoreSetValuesResponse response;
  const auto store = [&] {
    return lab_.Rpc(lab_.hv->async(), &Hv::StoreSetValues, request, &response);
  };
  EXPECT_EQ(store().error_code(), StatusCode::INVALID_ARGUMENT);
  for (const auto operation :
       {v1::SET_VALUES_OPERATION_SAVE, v1::SET_VALUES_OPERATION_RECALL,
        v1::SET_VALUES_OPERATION_RESET, v1::SET_VALUES_OPERATION_FACTORY_RESET}) {
    request.set_operation(operation);
    lab_.SetRole(Role::kOperator);
    EXPECT_EQ(store().error_code(), StatusCode::PERMISSION_DENIED) << operation;
    lab_.SetRole(Role::kEngineer);
    const grpc::Status status = store();
    EXPECT_TRUE(status.ok()) << operation << ": " << status.error_message();
  }
}

TEST_F(HighVoltageActsTest, SetValuesAreNotRecalledWhileAChannelIsOn) {
  Raise("hv0", 0, 100);
  v1::StoreSetValuesRequest request;
  request.set_device_id("hv0");
  request.set_operation(v1::SET_VALUES_OPERATION_RECALL);
  v1::StoreSetValuesResponse response;
  const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::StoreSetValues, request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(InfoOf(status).reason(), "CHANNEL_ON");
}

TEST_F(HighVoltageActsTest, LiveInsertionIsSwitchedForTheLine) {
  v1::ControlLineRequest request;
  request.set_device_id("hv0");
  v1::ControlLineResponse response;
  const auto control = [&] {
    return lab_.Rpc(lab_.hv->async(), &Hv::ControlLine, request, &response);
  };
  EXPECT_EQ(control().error_code(), StatusCode::INVALID_ARGUMENT);
  request.set_operation(v1::LINE_OPERATION_LIVE_INSERTION_ON);
  lab_.SetRole(Role::kOperator);
  EXPECT_EQ(control().error_code(), StatusCode::PERMISSION_DENIED);
  lab_.SetRole(Role::kEngineer);
  grpc::Status status = control();
  ASSERT_TRUE(status.ok()) << status.error_message();
  lab_.RunFor(seconds(5));
  EXPECT_TRUE(Item("hv0/is_live_insertion").flag());
  EXPECT_TRUE(Item("hv1/is_live_insertion").flag());
  request.set_operation(v1::LINE_OPERATION_LIVE_INSERTION_OFF);
  status = control();
  ASSERT_TRUE(status.ok()) << status.error_message();
  lab_.RunFor(seconds(5));
  EXPECT_FALSE(Item("hv1/is_live_insertion").flag());
}

TEST_F(HighVoltageActsTest, TheLinesScanIsNotRestartedWhileAChannelIsOn) {
  Raise("hv0", 0, 100);
  v1::ControlLineRequest request;
  request.set_device_id("hv0");
  request.set_operation(v1::LINE_OPERATION_RESTART_SCAN);
  v1::ControlLineResponse response;
  EXPECT_EQ(lab_.Rpc(lab_.hv->async(), &Hv::ControlLine, request, &response).error_code(),
            StatusCode::FAILED_PRECONDITION);
}

TEST_F(HighVoltageActsTest, ARawWriteHasNoAnswerAndActs) {
  v1::RawExchangeRequest request;
  request.set_device_id("hv0");
  request.set_data_hex("4100 03 42C80000");  // VoltageSet of channel 3: 100 V
  request.set_write(true);
  v1::RawExchangeResponse response;
  const grpc::Status status = lab_.Rpc(lab_.hv->async(), &Hv::RawExchange, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.answers_hex(), IsEmpty());
  lab_.RunFor(seconds(30));
  EXPECT_EQ(Channel("hv0", 3).voltage_set_v(), 100);
}

TEST_F(HighVoltageActsTest, RawExchangesAreAnEngineersAndWellFormed) {
  v1::RawExchangeRequest request;
  request.set_device_id("hv0");
  v1::RawExchangeResponse response;
  const auto exchange = [&](const std::string& data) {
    request.set_data_hex(data);
    return lab_.Rpc(lab_.hv->async(), &Hv::RawExchange, request, &response).error_code();
  };
  EXPECT_EQ(exchange(""), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(exchange("100"), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(exchange("10xx"), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(exchange("101112131415161718"), StatusCode::INVALID_ARGUMENT);
  lab_.SetRole(Role::kOperator);
  EXPECT_EQ(exchange("1000"), StatusCode::PERMISSION_DENIED);
}

// ------------------------------------------------------------------ switchable outputs

class SwitchableOutputTest : public HighVoltageActsTest {
 protected:
  SwitchableOutputTest()
      : HighVoltageActsTest({.devices = R"(
  hv0: {driver: iseg, bus: lab, address: 0, simulate: true, sim_model: N04C2}
)"}) {}
  grpc::Status SetOutput(v1::Polarity polarity, uint32_t mode = 0) {
    v1::SetOutputRequest request;
    request.set_device_id("hv0");
    request.set_channel(1);
    request.set_polarity(polarity);
    request.set_output_mode(mode);
    v1::SetOutputResponse response;
    return lab_.Rpc(lab_.hv->async(), &Hv::SetOutput, request, &response);
  }
};

TEST_F(SwitchableOutputTest, PolarityIsSwitchedWhileOff) {
  for (const auto& [polarity, value] :
       {std::pair(v1::POLARITY_NEGATIVE, -1), std::pair(v1::POLARITY_POSITIVE, 1)}) {
    const grpc::Status status = SetOutput(polarity);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(Item("hv0/ch1.output_polarity").integer(), value);
  }
}

TEST_F(SwitchableOutputTest, ModeIsSwitchedWhileOff) {
  const grpc::Status status = SetOutput(v1::POLARITY_UNSPECIFIED, 2);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Item("hv0/ch1.output_mode").integer(), 2);
  EXPECT_EQ(SetOutput(v1::POLARITY_UNSPECIFIED, 4).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(SwitchableOutputTest, NothingIsSwitchedWhileOn) {
  Raise("hv0", 1, 200);
  const grpc::Status status = SetOutput(v1::POLARITY_NEGATIVE);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(InfoOf(status).reason(), "CHANNEL_NOT_IDLE");
  EXPECT_EQ(Item("hv0/ch1.output_polarity").integer(), 1);
}

}  // namespace
}  // namespace canhub
