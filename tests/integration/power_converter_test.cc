// PowerConverterService against the simulated converters: one, several on one bus, a group.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "canhub/v1/power_converter_service.grpc.pb.h"
#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Pcs = v1::PowerConverterService::StubInterface::async_interface;

constexpr char kDevices[] = R"(
  pcs1: {driver: ystech-pcs, bus: lab, address: 0x01, simulate: true, sim_noise: 0, limits: {current: 100 A}}
  pcs2: {driver: ystech-pcs, bus: lab, address: 0x02, simulate: true, sim_noise: 0, external_voltage: pcs1/dc_voltage}
  pcs3: {driver: ystech-pcs, bus: lab, address: 0x03, simulate: true, sim_noise: 0}
  hv0: {driver: iseg, bus: lab, address: 0, simulate: true, sim_model: E16C1}
groups:
  rack: {devices: [pcs1, pcs2]}
  loose: {devices: [pcs2, pcs3], on_failure: hold}
)";

class PowerConverterTest : public testing::Test {
 protected:
  PowerConverterTest() : lab_({}, {}, {.devices = kDevices}) {
    pcs_ = v1::PowerConverterService::NewStub(lab_.channel());
  }
  void SetUp() override { lab_.WaitPolled(); }

  template <typename Request, typename Response>
  grpc::Status Call(void (Pcs::*method)(grpc::ClientContext*, const Request*, Response*,
                                        std::function<void(grpc::Status)>),
                    const Request& request, Response* response) {
    return lab_.Rpc(pcs_->async(), method, request, response);
  }
  grpc::Status SetCurrent(const std::string& id, double ampere, bool divide = false) {
    v1::SetModeRequest request;
    request.set_device_id(id);
    request.mutable_mode()->mutable_dc_constant_current()->set_current_setpoint_a(ampere);
    request.set_divide(divide);
    v1::SetModeResponse response;
    return Call(&Pcs::SetMode, request, &response);
  }
  grpc::Status Start(const std::string& id, v1::StartResponse* response = nullptr) {
    v1::StartRequest request;
    request.set_device_id(id);
    v1::StartResponse own;
    return Call(&Pcs::Start, request, response == nullptr ? &own : response);
  }
  // The call ends when the frame is out.
  grpc::Status StartUnwatched(const std::string& id) {
    v1::StartRequest request;
    request.set_device_id(id);
    request.mutable_options()->set_wait_for(v1::WAIT_FOR_SENT);
    v1::StartResponse response;
    return Call(&Pcs::Start, request, &response);
  }
  grpc::Status Stop(const std::string& id) {
    v1::StopRequest request;
    request.set_device_id(id);
    v1::StopResponse response;
    return Call(&Pcs::Stop, request, &response);
  }
  v1::PowerConverterState State(const std::string& id) {
    v1::GetStateRequest request;
    request.set_device_id(id);
    v1::GetStateResponse response;
    const grpc::Status status = Call(&Pcs::GetState, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.converters_size() == 1 ? response.converters(0) : v1::PowerConverterState();
  }
  void Trip(const std::string& id, int code) {
    v1::InjectFaultRequest request;
    request.set_device_id(id);
    request.set_fault("trip");
    (*request.mutable_parameters())["code"].set_integer(code);
    v1::InjectFaultResponse response;
    const grpc::Status status = lab_.Rpc(
        lab_.simulation->async(),
        &v1::SimulationService::StubInterface::async_interface::InjectFault, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  RpcLab lab_;
  std::unique_ptr<v1::PowerConverterService::Stub> pcs_;
};

// ---------------------------------------------------------------- one converter

TEST_F(PowerConverterTest, AWholeRun) {
  v1::SetModeRequest mode;
  mode.set_device_id("pcs1");
  auto* cc_cv = mode.mutable_mode()->mutable_dc_cc_cv();
  cc_cv->set_voltage_setpoint_v(410);
  cc_cv->set_current_setpoint_a(-50);
  cc_cv->set_end_current_a(5);
  v1::SetModeResponse set;
  ASSERT_TRUE(Call(&Pcs::SetMode, mode, &set).ok());
  ASSERT_EQ(set.receipts_size(), 1);
  EXPECT_TRUE(set.receipts(0).has_confirmed_time());
  EXPECT_EQ(State("pcs1").mode_set().dc_cc_cv().current_setpoint_a(), -50);
  EXPECT_FALSE(State("pcs1").is_running());

  v1::StartResponse started;
  ASSERT_TRUE(Start("pcs1", &started).ok());
  EXPECT_EQ(started.receipts(0).device_id(), "pcs1");
  EXPECT_TRUE(State("pcs1").is_running());
  EXPECT_EQ(State("pcs1").state_name(), "constant_current");
  lab_.RunFor(seconds(20));
  EXPECT_NEAR(State("pcs1").dc_current_a(), -50, 0.5);
  EXPECT_GT(State("pcs1").capacity_ah(), 0.1);
  EXPECT_TRUE(State("pcs1").simulated());

  ASSERT_TRUE(Stop("pcs1").ok());
  EXPECT_EQ(State("pcs1").state_name(), "standby");
  lab_.RunFor(seconds(1));
  EXPECT_EQ(State("pcs1").dc_current_a(), 0);
}

TEST_F(PowerConverterTest, EveryModeComesBackAsItWasSet) {
  const auto* type = v1::PowerConverterMode::descriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    v1::SetModeRequest request;
    request.set_device_id("pcs3");
    auto* mode = request.mutable_mode();
    auto* parameters = mode->GetReflection()->MutableMessage(mode, type->field(i));
    for (int p = 0; p < parameters->GetDescriptor()->field_count(); ++p) {
      const auto* field = parameters->GetDescriptor()->field(p);
      // Inside every protection parameter: 50 … 800 V, 150 A, 176 … 264 V AC, 45 … 55 Hz.
      const bool ac = field->name() == "inverter_voltage_v";
      const bool hertz = field->name().ends_with("_hz");
      const bool share = field->name() == "magnification";  // of 100 Ah
      const double value = ac ? 220 : hertz ? 50 : share ? 0.5 : 60 + p;
      parameters->GetReflection()->SetDouble(parameters, field, value);
    }
    v1::SetModeResponse response;
    const grpc::Status status = Call(&Pcs::SetMode, request, &response);
    ASSERT_TRUE(status.ok()) << type->field(i)->name() << ": " << status.error_message();
    EXPECT_EQ(State("pcs3").mode_set().ShortDebugString(), mode->ShortDebugString());
  }
}

TEST_F(PowerConverterTest, AMissingParameterNamesItsField) {
  v1::SetModeRequest request;
  request.set_device_id("pcs1");
  request.mutable_mode()->mutable_dc_cc_cv()->set_voltage_setpoint_v(400);
  v1::SetModeResponse response;
  const grpc::Status status = Call(&Pcs::SetMode, request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("mode.dc_cc_cv.current_setpoint_a"));
  request.clear_mode();
  EXPECT_EQ(Call(&Pcs::SetMode, request, &response).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PowerConverterTest, WhatIsNotFiniteIsRefused) {
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const grpc::Status status = SetCurrent("pcs1", value);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(InfoOf(status).reason(), "VALUE_NOT_FINITE");
  }
}

TEST_F(PowerConverterTest, ALimitAndAProtectionParameterRefuse) {
  const grpc::Status limit = SetCurrent("pcs1", -120);
  EXPECT_EQ(limit.error_code(), StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(limit.error_message(), HasSubstr("devices.pcs1.limits.current"));
  const grpc::Status protection = SetCurrent("pcs3", -200);
  EXPECT_EQ(protection.error_code(), StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(protection.error_message(), HasSubstr("max_charge_current"));
}

TEST_F(PowerConverterTest, AModeWhileItRunsIsRefusedUnlessItIsStoppedFirst) {
  ASSERT_TRUE(SetCurrent("pcs1", -50).ok());
  ASSERT_TRUE(Start("pcs1").ok());
  EXPECT_EQ(SetCurrent("pcs1", -40).error_code(), StatusCode::FAILED_PRECONDITION);
  v1::SetModeRequest request;
  request.set_device_id("pcs1");
  request.mutable_mode()->mutable_standby();
  request.set_stop_first(true);
  v1::SetModeResponse response;
  const grpc::Status status = Call(&Pcs::SetMode, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(State("pcs1").is_running());
  EXPECT_TRUE(State("pcs1").mode_set().has_standby());
}

TEST_F(PowerConverterTest, UpdateParametersGoesOnRunning) {
  ASSERT_TRUE(SetCurrent("pcs1", -50).ok());
  ASSERT_TRUE(Start("pcs1").ok());
  v1::UpdateParametersRequest request;
  request.set_device_id("pcs1");
  request.mutable_mode()->mutable_dc_constant_current()->set_current_setpoint_a(-30);
  v1::UpdateParametersResponse response;
  ASSERT_TRUE(Call(&Pcs::UpdateParameters, request, &response).ok());
  lab_.RunFor(seconds(2));
  EXPECT_NEAR(State("pcs1").dc_current_a(), -30, 0.5);
}

TEST_F(PowerConverterTest, AFaultHasItsRemedyAndIsReset) {
  Trip("pcs1", 5);
  lab_.RunFor(seconds(1));
  const v1::PowerConverterState state = State("pcs1");
  EXPECT_TRUE(state.is_faulty());
  EXPECT_EQ(state.fault().code(), 5);
  EXPECT_THAT(state.fault().remedy(), Not(IsEmpty()));
  ASSERT_TRUE(SetCurrent("pcs1", -50).ok());
  EXPECT_EQ(Start("pcs1").error_code(), StatusCode::FAILED_PRECONDITION);
  v1::PowerConverterServiceClearFaultsRequest request;
  request.set_device_id("pcs1");
  v1::PowerConverterServiceClearFaultsResponse response;
  EXPECT_TRUE(Call(&Pcs::ClearFaults, request, &response).ok());
  EXPECT_FALSE(State("pcs1").has_fault());
  EXPECT_TRUE(Start("pcs1").ok());
}

TEST_F(PowerConverterTest, ProtectionIsReadAndSet) {
  v1::SetProtectionRequest set;
  set.set_device_id("pcs1");
  set.mutable_protection()->set_max_charge_current_a(80);
  set.mutable_protection()->set_max_charge_power_w(30000);
  v1::SetProtectionResponse response;
  const grpc::Status status = Call(&Pcs::SetProtection, set, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::GetProtectionRequest get;
  get.set_device_id("pcs1");
  v1::GetProtectionResponse protection;
  ASSERT_TRUE(Call(&Pcs::GetProtection, get, &protection).ok());
  EXPECT_EQ(protection.protection().max_charge_current_a(), 80);
  EXPECT_EQ(protection.protection().max_charge_power_w(), 30000);
  EXPECT_EQ(protection.protection().max_output_voltage_v(), 800);
  EXPECT_EQ(protection.protection().ac_frequency_upper_hz(), 55);
  lab_.SetRole(Role::kOperator);
  EXPECT_EQ(Call(&Pcs::SetProtection, set, &response).error_code(), StatusCode::PERMISSION_DENIED);
  lab_.SetRole(Role::kViewer);
  EXPECT_EQ(Start("pcs1").error_code(), StatusCode::PERMISSION_DENIED);
}

TEST_F(PowerConverterTest, SettingsAreReadAndSet) {
  v1::SetSettingRequest set;
  set.set_device_id("pcs1");
  set.mutable_module_parallel()->set_parallel_role(v1::PARALLEL_ROLE_HOST);
  set.mutable_module_parallel()->set_parallel_modules(3);
  v1::SetSettingResponse response;
  grpc::Status status = Call(&Pcs::SetSetting, set, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  set.mutable_self_start()->set_self_start(true);
  status = Call(&Pcs::SetSetting, set, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::GetSettingsRequest get;
  get.set_device_id("pcs1");
  v1::GetSettingsResponse settings;
  ASSERT_TRUE(Call(&Pcs::GetSettings, get, &settings).ok());
  EXPECT_EQ(settings.module_parallel().parallel_role(), v1::PARALLEL_ROLE_HOST);
  EXPECT_EQ(settings.module_parallel().parallel_modules(), 3);
  EXPECT_TRUE(settings.self_start().self_start());
  EXPECT_TRUE(settings.bus().has_bus_voltage_setting_v());
  EXPECT_TRUE(settings.io().has_ad1_voltage_v());
  // A field that can only be read.
  set.mutable_io()->set_io1(true);
  EXPECT_EQ(Call(&Pcs::SetSetting, set, &response).error_code(), StatusCode::UNIMPLEMENTED);
  set.mutable_io();
  set.mutable_io()->Clear();
  EXPECT_EQ(Call(&Pcs::SetSetting, set, &response).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PowerConverterTest, VersionsModesAndFaultCodes) {
  v1::GetVersionsRequest versions;
  versions.set_device_id("pcs1");
  v1::GetVersionsResponse version;
  ASSERT_TRUE(Call(&Pcs::GetVersions, versions, &version).ok());
  EXPECT_EQ(version.arm_software(), "2.1.39");
  v1::ListModesRequest modes;
  modes.set_device_id("pcs1");
  v1::ListModesResponse mode_list;
  ASSERT_TRUE(Call(&Pcs::ListModes, modes, &mode_list).ok());
  EXPECT_EQ(mode_list.modes_size(), 19);
  // Each is a mode that can be set, with its parameters.
  for (const v1::PowerConverterModeInfo& mode : mode_list.modes()) {
    const auto* field = v1::PowerConverterMode::descriptor()->FindFieldByName(mode.name());
    ASSERT_NE(field, nullptr) << mode.name();
    EXPECT_EQ(field->message_type()->field_count(), mode.parameters_size());
  }
  v1::ListFaultCodesRequest faults;
  faults.set_device_id("pcs1");
  v1::ListFaultCodesResponse fault_list;
  ASSERT_TRUE(Call(&Pcs::ListFaultCodes, faults, &fault_list).ok());
  EXPECT_GT(fault_list.faults_size(), 90);
}

TEST_F(PowerConverterTest, SetTimeTakesAllOrNothing) {
  v1::SetTimeRequest request;
  request.set_device_id("pcs1");
  v1::SetTimeResponse response;
  EXPECT_TRUE(Call(&Pcs::SetTime, request, &response).ok());
  request.mutable_time()->set_year(2024);
  EXPECT_EQ(Call(&Pcs::SetTime, request, &response).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PowerConverterTest, OtherKindsAndUnknownIdsAreTold) {
  EXPECT_EQ(Start("hv0").error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(Start("pcs9").error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(Start("").error_code(), StatusCode::INVALID_ARGUMENT);
  v1::GetStateRequest all;
  v1::GetStateResponse response;
  ASSERT_TRUE(Call(&Pcs::GetState, all, &response).ok());
  EXPECT_EQ(response.converters_size(), 3);
}

TEST_F(PowerConverterTest, AWatchHasEachOnceThenChanges) {
  v1::WatchStateRequest request;
  request.set_device_id("rack");
  StreamClient<v1::WatchStateResponse> watch(
      [&](auto* context, auto* reactor) { pcs_->async()->WatchState(context, &request, reactor); });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }, seconds(10)));
  std::set<std::string> seen;
  for (const auto& message : watch.messages()) {
    for (const auto& state : message.converters()) seen.insert(state.device_id());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"pcs1", "pcs2"}));
  const size_t before = watch.count();
  ASSERT_TRUE(SetCurrent("pcs1", -10).ok());
  EXPECT_TRUE(lab_.StepUntil([&] { return watch.count() > before; }, seconds(10)));
}

// A reading of one device in the heartbeat of another.
TEST_F(PowerConverterTest, TheHeartbeatCarriesAnotherDevicesReading) {
  EXPECT_FALSE(State("pcs1").heartbeat_is_measured());
  EXPECT_TRUE(State("pcs2").heartbeat_is_measured());
  EXPECT_NEAR(State("pcs2").heartbeat_voltage_v(), State("pcs1").dc_voltage_v(), 0.5);
  lab_.Inject("pcs1", "silence");
  lab_.RunFor(seconds(3));
  EXPECT_FALSE(State("pcs2").heartbeat_is_measured());
  EXPECT_EQ(State("pcs2").heartbeat_voltage_v(), 0);
}

// ---------------------------------------------------------------- groups

TEST_F(PowerConverterTest, AGroupStartsRunsAndStopsTogether) {
  ASSERT_TRUE(SetCurrent("rack", -80, /*divide=*/true).ok());
  EXPECT_EQ(State("pcs1").mode_set().dc_constant_current().current_setpoint_a(), -40);
  EXPECT_EQ(State("pcs2").mode_set().dc_constant_current().current_setpoint_a(), -40);
  v1::StartResponse started;
  ASSERT_TRUE(Start("rack", &started).ok());
  ASSERT_EQ(started.receipts_size(), 2);
  EXPECT_EQ(started.receipts(1).device_id(), "pcs2");
  EXPECT_TRUE(State("pcs1").is_running());
  EXPECT_TRUE(State("pcs2").is_running());
  EXPECT_FALSE(State("pcs3").is_running());
  ASSERT_TRUE(Stop("rack").ok());
  EXPECT_FALSE(State("pcs1").is_running());
  EXPECT_FALSE(State("pcs2").is_running());
}

TEST_F(PowerConverterTest, AMemberThatDoesNotStartStopsTheOthers) {
  ASSERT_TRUE(SetCurrent("rack", -40).ok());
  lab_.Inject("pcs2", "no_start");
  const grpc::Status status = Start("rack");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.error_message(), HasSubstr("group rack"));
  EXPECT_THAT(status.error_message(), HasSubstr("then stop"));
  EXPECT_EQ(InfoOf(status).metadata().at("device_id"), "pcs2");
  EXPECT_FALSE(State("pcs1").is_running());
}

// Nobody stops a group by asking it for what it may not do.
TEST_F(PowerConverterTest, S08_AGroupThatRunsIsLeftAloneByWhatIsRefused) {
  ASSERT_TRUE(SetCurrent("rack", -40).ok());
  ASSERT_TRUE(Start("rack").ok());
  const auto both_run = [&] { return State("pcs1").is_running() && State("pcs2").is_running(); };
  EXPECT_EQ(SetCurrent("rack", -30).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(both_run());
  EXPECT_EQ(SetCurrent("rack", std::nan("")).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(both_run());
  v1::UpdateParametersRequest update;
  update.set_device_id("rack");
  update.mutable_mode()->mutable_dc_constant_current()->set_current_setpoint_a(-30);
  update.mutable_options()->set_request_id("once");
  v1::UpdateParametersResponse response;
  EXPECT_TRUE(Call(&Pcs::UpdateParameters, update, &response).ok());
  EXPECT_EQ(Call(&Pcs::UpdateParameters, update, &response).error_code(),
            StatusCode::ALREADY_EXISTS);
  EXPECT_TRUE(both_run());
  // Used for one of them only: the other one is not touched.
  update.set_device_id("pcs1");
  update.mutable_options()->set_request_id("half");
  EXPECT_TRUE(Call(&Pcs::UpdateParameters, update, &response).ok());
  update.set_device_id("rack");
  update.mutable_mode()->mutable_dc_constant_current()->set_current_setpoint_a(-20);
  const grpc::Status half = Call(&Pcs::UpdateParameters, update, &response);
  EXPECT_EQ(half.error_code(), StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(half.error_message(), HasSubstr("pcs2: nothing was sent, because pcs1"));
  EXPECT_EQ(State("pcs2").mode_set().dc_constant_current().current_setpoint_a(), -30);
  EXPECT_TRUE(both_run());
  lab_.SetRole(Role::kViewer);
  EXPECT_EQ(SetCurrent("rack", -30).error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Start("rack").error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(both_run());
}

// pcs1 has a limit of 100 A, pcs2 has none.
TEST_F(PowerConverterTest, S08_WhatTheGateRefusesToOneIsSentToNone) {
  ASSERT_TRUE(SetCurrent("rack", -40).ok());
  const grpc::Status status = SetCurrent("rack", -120);
  EXPECT_EQ(status.error_code(), StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(InfoOf(status).metadata().at("device_id"), "pcs1");
  EXPECT_THAT(status.error_message(), HasSubstr("pcs2: nothing was sent, because pcs1"));
  EXPECT_EQ(State("pcs2").mode_set().dc_constant_current().current_setpoint_a(), -40);
  ASSERT_TRUE(Start("rack").ok());
  v1::UpdateParametersRequest request;
  request.set_device_id("rack");
  request.mutable_mode()->mutable_dc_constant_current()->set_current_setpoint_a(-120);
  v1::UpdateParametersResponse response;
  EXPECT_EQ(Call(&Pcs::UpdateParameters, request, &response).error_code(),
            StatusCode::OUT_OF_RANGE);
  EXPECT_TRUE(State("pcs1").is_running());
  EXPECT_TRUE(State("pcs2").is_running());
  EXPECT_EQ(State("pcs2").mode_set().dc_constant_current().current_setpoint_a(), -40);
}

TEST_F(PowerConverterTest, AMemberThatCannotStartStopsTheOneThatDid) {
  ASSERT_TRUE(SetCurrent("rack", -40).ok());
  Trip("pcs2", 5);
  lab_.RunFor(seconds(1));
  const grpc::Status status = Start("rack");
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("then stop"));
  EXPECT_FALSE(State("pcs1").is_running());
}

// Whoever waits for sent sees no member fail.
TEST_F(PowerConverterTest, AGroupThatIsStoppedOnFailureIsNotStartedUnwatched) {
  ASSERT_TRUE(SetCurrent("rack", -40).ok());
  lab_.Inject("pcs2", "no_start");
  const grpc::Status status = StartUnwatched("rack");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("WAIT_FOR_CONFIRMED"));
  lab_.RunFor(seconds(20));
  EXPECT_FALSE(State("pcs1").is_running());
}

TEST_F(PowerConverterTest, AGroupThatRunsIsNotUpdatedUnwatched) {
  ASSERT_TRUE(SetCurrent("rack", -40).ok());
  ASSERT_TRUE(Start("rack").ok());
  v1::UpdateParametersRequest request;
  request.set_device_id("rack");
  request.mutable_mode()->mutable_dc_constant_current()->set_current_setpoint_a(-30);
  request.mutable_options()->set_wait_for(v1::WAIT_FOR_SENT);
  v1::UpdateParametersResponse response;
  EXPECT_EQ(Call(&Pcs::UpdateParameters, request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(State("pcs1").mode_set().dc_constant_current().current_setpoint_a(), -40);
  EXPECT_TRUE(State("pcs1").is_running() && State("pcs2").is_running());
}

TEST_F(PowerConverterTest, AGroupThatHoldsMayBeStartedUnwatched) {
  ASSERT_TRUE(SetCurrent("loose", -40).ok());
  EXPECT_TRUE(StartUnwatched("loose").ok());
}

TEST_F(PowerConverterTest, AMemberThatFailsLaterStopsTheOthers) {
  ASSERT_TRUE(SetCurrent("rack", -40).ok());
  ASSERT_TRUE(Start("rack").ok());
  Trip("pcs2", 5);
  lab_.RunFor(seconds(2));
  EXPECT_FALSE(State("pcs1").is_running());
}

TEST_F(PowerConverterTest, AGroupThatHoldsLeavesTheOthersRunning) {
  ASSERT_TRUE(SetCurrent("loose", -40).ok());
  ASSERT_TRUE(Start("loose").ok());
  Trip("pcs3", 5);
  lab_.RunFor(seconds(2));
  EXPECT_TRUE(State("pcs2").is_running());
}

TEST_F(PowerConverterTest, GroupsAreListed) {
  v1::ListDevicesRequest request;
  v1::ListDevicesResponse response;
  ASSERT_TRUE(lab_.Rpc(lab_.devices->async(),
                       &v1::DeviceService::StubInterface::async_interface::ListDevices, request,
                       &response)
                  .ok());
  ASSERT_EQ(response.groups_size(), 2);
  EXPECT_EQ(response.groups(0).group_id(), "rack");
  EXPECT_EQ(response.groups(0).device_ids_size(), 2);
  EXPECT_EQ(response.groups(1).on_failure(), "hold");
}

TEST_F(PowerConverterTest, AResistanceIsNotDivided) {
  v1::SetModeRequest request;
  request.set_device_id("rack");
  request.mutable_mode()->mutable_dc_constant_resistance()->set_resistance_setpoint_ohm(100);
  request.set_divide(true);
  v1::SetModeResponse response;
  EXPECT_EQ(Call(&Pcs::SetMode, request, &response).error_code(), StatusCode::INVALID_ARGUMENT);
}

// ---------------------------------------------------------------- leases

TEST_F(PowerConverterTest, S05_ALostLeaseStopsTheConverter) {
  ASSERT_TRUE(SetCurrent("pcs1", -50).ok());
  ASSERT_TRUE(Start("pcs1").ok());
  v1::AcquireLeaseRequest acquire;
  acquire.add_device_ids("pcs1");
  acquire.mutable_window()->set_seconds(1);
  v1::AcquireLeaseResponse lease;
  ASSERT_TRUE(lab_.Rpc(lab_.leases->async(),
                       &v1::LeaseService::StubInterface::async_interface::AcquireLease, acquire,
                       &lease)
                  .ok());
  lab_.RunFor(milliseconds(900));
  EXPECT_TRUE(State("pcs1").is_running());
  lab_.RunFor(seconds(1));
  EXPECT_FALSE(State("pcs1").is_running());
}

}  // namespace
}  // namespace canhub
