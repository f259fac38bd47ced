// StuderService over gRPC, against the simulated plant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "canhub/v1/studer_service.grpc.pb.h"
#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using Stub = v1::StuderService::StubInterface::async_interface;

constexpr char kPlant[] = R"(
  xcom1: {driver: studer, bus: lab, unit: gateway, simulate: true}
  xt1: {driver: studer, bus: lab, unit: xtender, limits: {input_current: 32 A}}
  vt1: {driver: studer, bus: lab, unit: variotrack}
  bsp1: {driver: studer, bus: lab, unit: bsp}
  hv0: {driver: iseg, bus: lab, address: 0, simulate: true, sim_model: E08F2}
)";

class StuderServiceTest : public testing::Test {
 protected:
  StuderServiceTest()
      : lab_({}, {}, {.devices = kPlant}), studer_(v1::StuderService::NewStub(lab_.channel())) {
    lab_.WaitPolled();
  }

  grpc::Status ReadInfo(const std::string& device, const std::string& info,
                        v1::ReadUserInfoResponse* response) {
    v1::ReadUserInfoRequest request;
    request.set_device_id(device);
    request.set_info(info);
    return lab_.Rpc(studer_->async(), &Stub::ReadUserInfo, request, response);
  }
  grpc::Status ReadParameter(const std::string& parameter, v1::ReadParameterResponse* response) {
    v1::ReadParameterRequest request;
    request.set_device_id("xt1");
    request.set_parameter(parameter);
    return lab_.Rpc(studer_->async(), &Stub::ReadParameter, request, response);
  }
  static v1::WriteParameterRequest Write(const std::string& parameter, double value) {
    v1::WriteParameterRequest request;
    request.set_device_id("xt1");
    request.set_parameter(parameter);
    request.set_value(value);
    return request;
  }
  grpc::Status Write(const v1::WriteParameterRequest& request,
                     v1::WriteParameterResponse* response) {
    return lab_.Rpc(studer_->async(), &Stub::WriteParameter, request, response);
  }
  void Inject(const std::string& fault, std::map<std::string, int64_t> arguments = {}) {
    v1::InjectFaultRequest request;
    request.set_device_id("xcom1");
    request.set_fault(fault);
    for (const auto& [name, value] : arguments) {
      (*request.mutable_parameters())[name].set_integer(value);
    }
    v1::InjectFaultResponse response;
    const grpc::Status status = lab_.Rpc(
        lab_.simulation->async(),
        &v1::SimulationService::StubInterface::async_interface::InjectFault, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  RpcLab lab_;
  std::unique_ptr<v1::StuderService::Stub> studer_;
};

TEST_F(StuderServiceTest, AnInfoIsReadByIdAndByName) {
  v1::ReadUserInfoResponse by_id, by_name;
  ASSERT_TRUE(ReadInfo("xt1", "3021", &by_id).ok());
  ASSERT_TRUE(ReadInfo("xt1", "output_voltage", &by_name).ok());
  EXPECT_EQ(by_id.id(), 3021u);
  EXPECT_EQ(by_id.reading().name(), "xt1/output_voltage");
  EXPECT_EQ(by_id.reading().value().number(), 230);
  EXPECT_EQ(by_name.reading().value().number(), 230);
  EXPECT_TRUE(by_id.reading().simulated());
}

TEST_F(StuderServiceTest, AChoiceComesInWords) {
  v1::ReadUserInfoResponse response;
  ASSERT_TRUE(ReadInfo("xt1", "operating_state", &response).ok());
  EXPECT_EQ(response.label(), "Inverter");
}

TEST_F(StuderServiceTest, AnUnknownInfoSaysWhoseItIs) {
  v1::ReadUserInfoResponse response;
  const grpc::Status status = ReadInfo("xt1", "11000", &response);
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
  EXPECT_THAT(status.error_message(),
              HasSubstr("11000 (Battery voltage) is an info of a variotrack"));
  EXPECT_EQ(InfoOf(status).reason(), "INFO_UNKNOWN");
}

TEST_F(StuderServiceTest, AParameterIsNoInfo) {
  v1::ReadUserInfoResponse response;
  const grpc::Status status = ReadInfo("xt1", "1107", &response);
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("is a parameter of a xtender"));
}

TEST_F(StuderServiceTest, AnotherKindIsRefused) {
  v1::ReadUserInfoResponse response;
  EXPECT_EQ(ReadInfo("hv0", "3000", &response).error_code(), grpc::UNIMPLEMENTED);
  EXPECT_EQ(ReadInfo("nobody", "3000", &response).error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(ReadInfo("xt1", "", &response).error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(StuderServiceTest, AnErrorOfTheUnitCarriesTheVendorsName) {
  Inject("error", {{"code", 0x2B}});
  v1::ReadUserInfoResponse response;
  const grpc::Status status = ReadInfo("xt1", "3089", &response);
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(InfoOf(status).metadata().at("error"), "ACCESS_DENIED");
}

TEST_F(StuderServiceTest, AParameterIsReadWithItsBounds) {
  v1::ReadParameterResponse response;
  const grpc::Status status = ReadParameter("floating_voltage", &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.id(), 1140u);
  EXPECT_EQ(response.name(), "floating_voltage");
  EXPECT_EQ(response.flash().value().number(), 54.4);
  EXPECT_EQ(response.ram().value().number(), 54.4);
  EXPECT_EQ(response.minimum(), 37.9);
  EXPECT_EQ(response.maximum(), 57.6);  // the absorption voltage
}

TEST_F(StuderServiceTest, AWriteGoesToRam) {
  v1::WriteParameterResponse response;
  const grpc::Status status = Write(Write("1107", 16), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.part(), v1::STUDER_PART_RAM);
  EXPECT_EQ(response.written().number(), 16);
  EXPECT_FALSE(response.skipped());
  EXPECT_THAT(response.warning(), HasSubstr("algorithm"));
  EXPECT_TRUE(response.receipt().has_confirmed_time());
  v1::ReadParameterResponse read;
  ASSERT_TRUE(ReadParameter("1107", &read).ok());
  EXPECT_EQ(read.ram().value().number(), 16);
  EXPECT_EQ(read.flash().value().number(), 32);
}

TEST_F(StuderServiceTest, AnEqualWriteIsSkipped) {
  v1::WriteParameterResponse response;
  ASSERT_TRUE(Write(Write("1107", 16), &response).ok());
  lab_.RunFor(seconds(1));
  ASSERT_TRUE(Write(Write("1107", 16), &response).ok());
  EXPECT_TRUE(response.skipped());
}

TEST_F(StuderServiceTest, AChoiceIsWrittenInWords) {
  v1::WriteParameterRequest request;
  request.set_device_id("xt1");
  request.set_parameter("1552");
  request.set_label("Fast");
  v1::WriteParameterResponse response;
  const grpc::Status status = Write(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.written().integer(), 4);
}

TEST_F(StuderServiceTest, ABoundIsRefusedWithAllNumbers) {
  v1::WriteParameterResponse response;
  const grpc::Status status = Write(Write("1286", 300), &response);
  EXPECT_EQ(status.error_code(), grpc::OUT_OF_RANGE);
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.metadata().at("requested"), "300");
  EXPECT_EQ(info.metadata().at("minimum"), "110");
  EXPECT_EQ(info.metadata().at("maximum"), "280");
}

TEST_F(StuderServiceTest, TheConfiguredLimitHolds) {
  v1::WriteParameterResponse response;
  const grpc::Status status = Write(Write("1107", 40), &response);
  EXPECT_EQ(status.error_code(), grpc::OUT_OF_RANGE);
  EXPECT_EQ(InfoOf(status).reason(), "SETPOINT_ABOVE_LIMIT");
}

TEST_F(StuderServiceTest, FlashNeedsAnEngineer) {
  lab_.SetRole(Role::kOperator);
  v1::WriteParameterRequest request = Write("1107", 16);
  request.set_part(v1::STUDER_PART_FLASH);
  v1::WriteParameterResponse response;
  EXPECT_EQ(Write(request, &response).error_code(), grpc::PERMISSION_DENIED);
  request.set_part(v1::STUDER_PART_RAM);
  EXPECT_TRUE(Write(request, &response).ok());
}

TEST_F(StuderServiceTest, FlashWritesAreCounted) {
  v1::WriteParameterRequest request = Write("1107", 16);
  request.set_part(v1::STUDER_PART_FLASH);
  v1::WriteParameterResponse written;
  const grpc::Status status = Write(request, &written);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(written.flash_writes(), 1u);
  v1::GetFlashWearResponse wear;
  ASSERT_TRUE(
      lab_.Rpc(studer_->async(), &Stub::GetFlashWear, v1::GetFlashWearRequest(), &wear).ok());
  ASSERT_EQ(wear.parameters_size(), 1);
  EXPECT_EQ(wear.parameters(0).device_id(), "xt1");
  EXPECT_EQ(wear.parameters(0).id(), 1107u);
  EXPECT_EQ(wear.parameters(0).name(), "maximum_current_of_ac_source_input_limit");
  EXPECT_EQ(wear.parameters(0).writes(), 1u);
  EXPECT_EQ(wear.parameters(0).guaranteed(), 1000u);
}

TEST_F(StuderServiceTest, AUnitIsSwitched) {
  v1::SwitchUnitRequest request;
  request.set_device_id("xt1");
  v1::SwitchUnitResponse response;
  EXPECT_EQ(lab_.Rpc(studer_->async(), &Stub::SwitchUnit, request, &response).error_code(),
            grpc::INVALID_ARGUMENT);
  request.set_on(false);
  const grpc::Status status = lab_.Rpc(studer_->async(), &Stub::SwitchUnit, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::ReadUserInfoResponse state;
  ASSERT_TRUE(ReadInfo("xt1", "state_of_the_inverter", &state).ok());
  EXPECT_EQ(state.label(), "Off");
  request.set_device_id("bsp1");
  EXPECT_EQ(lab_.Rpc(studer_->async(), &Stub::SwitchUnit, request, &response).error_code(),
            grpc::UNIMPLEMENTED);
}

TEST_F(StuderServiceTest, ASignalIsTriggered) {
  v1::TriggerSignalRequest request;
  request.set_device_id("xt1");
  request.set_signal("1467");
  v1::TriggerSignalResponse response;
  EXPECT_TRUE(lab_.Rpc(studer_->async(), &Stub::TriggerSignal, request, &response).ok());
}

TEST_F(StuderServiceTest, MessagesAreListed) {
  Inject("message", {{"message", 16}, {"unit", 101}});
  lab_.RunFor(seconds(1));
  v1::ListMessagesResponse response;
  ASSERT_TRUE(
      lab_.Rpc(studer_->async(), &Stub::ListMessages, v1::ListMessagesRequest(), &response).ok());
  ASSERT_EQ(response.messages_size(), 1);
  EXPECT_EQ(response.messages(0).device_id(), "xt1");
  EXPECT_EQ(response.messages(0).number(), 16u);
  EXPECT_THAT(response.messages(0).text(), HasSubstr("warning: fan fault detected"));
  EXPECT_FALSE(response.messages(0).active());
  EXPECT_FALSE(response.messages(0).acknowledged());
}

TEST_F(StuderServiceTest, MessagesAreWatched) {
  Inject("message", {{"message", 16}, {"unit", 101}});
  lab_.RunFor(seconds(1));
  v1::WatchMessagesRequest request;
  StreamClient<v1::WatchMessagesResponse> watch([&](auto* context, auto* reactor) {
    studer_->async()->WatchMessages(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }, seconds(10)));
  ASSERT_EQ(watch.count(), 2u);
  EXPECT_EQ(watch.messages()[0].message().number(), 16u);
  EXPECT_FALSE(watch.messages()[0].synced());
  // Alarms of other kinds are none of its messages.
  lab_.Inject("hv0", "trip", 1);
  lab_.RunFor(seconds(2));
  Inject("message", {{"message", 0}, {"unit", 101}});
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.count() >= 3; }, seconds(10)));
  ASSERT_EQ(watch.count(), 3u);
  EXPECT_EQ(watch.messages()[2].message().device_id(), "xt1");
  EXPECT_EQ(watch.messages()[2].message().number(), 0u);
  EXPECT_THAT(watch.messages()[2].message().text(), HasSubstr("battery voltage low"));
}

TEST_F(StuderServiceTest, AWatchOfMessagesIsOfTheUnitThatWasNamed) {
  v1::WatchMessagesRequest request;
  request.set_device_id("vt1");
  StreamClient<v1::WatchMessagesResponse> watch([&](auto* context, auto* reactor) {
    studer_->async()->WatchMessages(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }, seconds(10)));
  Inject("message", {{"message", 16}, {"unit", 101}});
  lab_.RunFor(seconds(1));
  Inject("message", {{"message", 95}, {"unit", 301}});
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.count() >= 2; }, seconds(10)));
  EXPECT_EQ(watch.messages()[1].message().device_id(), "vt1");
  EXPECT_EQ(watch.messages()[1].message().number(), 95u);
}

TEST_F(StuderServiceTest, AWatchOfAnotherKindsMessagesIsRefused) {
  v1::WatchMessagesRequest request;
  request.set_device_id("hv0");
  StreamClient<v1::WatchMessagesResponse> watch([&](auto* context, auto* reactor) {
    studer_->async()->WatchMessages(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.over(); }, seconds(10)));
  EXPECT_EQ(watch.Finish().error_code(), grpc::UNIMPLEMENTED);
}

TEST_F(StuderServiceTest, TheCatalogueIsSearched) {
  v1::SearchCatalogueRequest request;
  request.set_words("battery voltage");
  v1::SearchCatalogueResponse response;
  ASSERT_TRUE(lab_.Rpc(studer_->async(), &Stub::SearchCatalogue, request, &response).ok());
  ASSERT_GT(response.objects_size(), 0);
  EXPECT_EQ(response.objects_size(), 20);
  EXPECT_GT(response.total(), 20u);
  EXPECT_EQ(response.objects(0).id(), 3000u);
  EXPECT_EQ(response.objects(0).item(), "battery_voltage");
  request.set_device_id("vt1");
  request.set_limit(1);
  ASSERT_TRUE(lab_.Rpc(studer_->async(), &Stub::SearchCatalogue, request, &response).ok());
  ASSERT_EQ(response.objects_size(), 1);
  EXPECT_EQ(response.objects(0).id(), 11000u);
}

TEST_F(StuderServiceTest, AScanNamesTheUnits) {
  v1::ScanRequest request;
  request.set_device_id("xcom1");
  v1::ScanResponse response;
  const grpc::Status status = lab_.Rpc(studer_->async(), &Stub::Scan, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.units(), ElementsAre("xtender 1", "xtender 2", "variotrack 1", "bsp 1"));
}

}  // namespace
}  // namespace canhub
