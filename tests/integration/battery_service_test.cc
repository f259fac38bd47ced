// BatteryService over gRPC, against simulated modules and the battery of an Xcom-CAN.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "canhub/v1/battery_service.grpc.pb.h"
#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using Stub = v1::BatteryService::StubInterface::async_interface;

constexpr char kDevices[] = R"(
  bat0: {driver: battery-module, bus: lab, simulate: true, sim_modules: 3, expected_modules: 3,
         sim_current: 20 A, cell_warning_high: 4.05 V, temperature_warning_low: -5 degC}
  bms0: {driver: studer-battery, bus: lab, simulate: true}
  hv0: {driver: iseg, bus: lab, address: 0, simulate: true, sim_model: E08F2}
)";

class BatteryServiceTest : public testing::Test {
 protected:
  BatteryServiceTest()
      : lab_({}, {}, {.devices = kDevices}), stub_(v1::BatteryService::NewStub(lab_.channel())) {
    lab_.WaitPolled();
    // The sensors are asked for once a second, one module after the other.
    lab_.RunFor(seconds(3));
  }

  template <typename Request, typename Response>
  grpc::Status Call(void (Stub::*method)(grpc::ClientContext*, const Request*, Response*,
                                         std::function<void(grpc::Status)>),
                    const Request& request, Response* response) {
    return lab_.Rpc(stub_->async(), method, request, response);
  }
  v1::Battery Battery(const std::string& id) {
    v1::GetBatteryRequest request;
    request.set_device_id(id);
    v1::GetBatteryResponse response;
    const grpc::Status status = Call(&Stub::GetBattery, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.batteries_size() == 1 ? response.batteries(0) : v1::Battery();
  }
  std::vector<v1::BatteryModule> Modules(const std::vector<uint32_t>& numbers = {}) {
    v1::ListModulesRequest request;
    request.set_device_id("bat0");
    request.mutable_modules()->Add(numbers.begin(), numbers.end());
    v1::ListModulesResponse response;
    const grpc::Status status = Call(&Stub::ListModules, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.modules().begin(), response.modules().end()};
  }
  void Inject(const std::string& fault, const std::map<std::string, double>& arguments) {
    v1::InjectFaultRequest request;
    request.set_device_id("bat0");
    request.set_fault(fault);
    for (const auto& [name, value] : arguments) {
      (*request.mutable_parameters())[name].set_number(value);
    }
    v1::InjectFaultResponse response;
    const grpc::Status status = lab_.Rpc(
        lab_.simulation->async(),
        &v1::SimulationService::StubInterface::async_interface::InjectFault, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  RpcLab lab_;
  std::unique_ptr<v1::BatteryService::Stub> stub_;
};

TEST_F(BatteryServiceTest, APackTellsItsLevelsAndExtremes) {
  const v1::Battery battery = Battery("bat0");
  EXPECT_EQ(battery.device_id(), "bat0");
  EXPECT_EQ(battery.quality(), v1::QUALITY_GOOD);
  EXPECT_TRUE(battery.has_read_time());
  EXPECT_TRUE(battery.simulated());
  EXPECT_EQ(battery.level(), v1::BATTERY_LEVEL_NORMAL);
  EXPECT_EQ(battery.module_count(), 3);
  EXPECT_EQ(battery.modules_good(), 3);
  EXPECT_EQ(battery.current_mean_a(), 20);  // discharges: positive
  EXPECT_GT(battery.cell_voltage_min_v(), 3.0);
  EXPECT_GE(battery.cell_voltage_max_v(), battery.cell_voltage_min_v());
  EXPECT_NEAR(battery.voltage_v(), 36 * battery.cell_voltage_min_v(), 2);
  EXPECT_FALSE(battery.has_charge_voltage_limit_v());  // modules do not tell
}

TEST_F(BatteryServiceTest, ItsLimitsAreThoseOfTheConfiguration) {
  const v1::BatteryLimits limits = Battery("bat0").limits();
  EXPECT_EQ(limits.cell_warning_high_v(), 4.05);   // given
  EXPECT_EQ(limits.cell_dangerous_high_v(), 4.2);  // the default
  EXPECT_EQ(limits.temperature_warning_low_degc(), -5);
  EXPECT_FALSE(limits.has_temperature_dangerous_low_degc());  // not watched
  EXPECT_EQ(limits.temperature_release_degc(), 30);
}

TEST_F(BatteryServiceTest, ABatteryWithoutModulesTellsWhatItAllows) {
  const v1::Battery battery = Battery("bms0");
  EXPECT_EQ(battery.quality(), v1::QUALITY_GOOD);
  EXPECT_GT(battery.voltage_v(), 40);
  EXPECT_GT(battery.charge_voltage_limit_v(), battery.discharge_voltage_limit_v());
  EXPECT_TRUE(battery.charge_enable());
  EXPECT_FALSE(battery.has_module_count());
  EXPECT_FALSE(battery.has_level());
  v1::ListModulesRequest request;
  request.set_device_id("bms0");
  v1::ListModulesResponse response;
  const grpc::Status status = Call(&Stub::ListModules, request, &response);
  EXPECT_EQ(status.error_code(), grpc::UNIMPLEMENTED);
  EXPECT_EQ(InfoOf(status).reason(), "NO_MODULES");
}

TEST_F(BatteryServiceTest, WithoutADeviceAllBatteriesComeAndNothingElse) {
  v1::GetBatteryResponse response;
  ASSERT_TRUE(Call(&Stub::GetBattery, v1::GetBatteryRequest(), &response).ok());
  ASSERT_EQ(response.batteries_size(), 2);
  EXPECT_EQ(response.batteries(0).device_id(), "bat0");
  EXPECT_EQ(response.batteries(1).device_id(), "bms0");
}

TEST_F(BatteryServiceTest, ModulesComeWithCellsAndSensors) {
  const std::vector<v1::BatteryModule> modules = Modules();
  ASSERT_EQ(modules.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    const v1::BatteryModule& module = modules[i];
    EXPECT_EQ(module.device_id(), "bat0");
    EXPECT_EQ(module.module(), i + 1);
    EXPECT_EQ(module.presence(), v1::MODULE_PRESENCE_GOOD);
    EXPECT_EQ(module.level(), v1::BATTERY_LEVEL_NORMAL);
    EXPECT_EQ(module.current_a(), 20);
    ASSERT_EQ(module.cells_size(), 12);
    double sum = 0;
    for (const v1::BatteryCell& cell : module.cells()) {
      ASSERT_TRUE(cell.has_voltage_v());
      EXPECT_FALSE(cell.has_soc_percent());  // never sent on the plant
      sum += cell.voltage_v();
    }
    EXPECT_EQ(module.cells(11).cell(), 12);
    EXPECT_NEAR(module.cell_voltage_sum_v(), sum, 1e-9);
    EXPECT_EQ(module.cells(module.cell_voltage_max_cell() - 1).voltage_v(),
              module.cell_voltage_max_v());
    ASSERT_EQ(module.sensors_size(), 7);
    EXPECT_TRUE(module.sensors(0).has_temperature_degc());
    EXPECT_TRUE(module.has_discharge_as());
    EXPECT_EQ(module.fault_code(), 0);
  }
}

TEST_F(BatteryServiceTest, ModulesMayBeNamed) {
  const std::vector<v1::BatteryModule> modules = Modules({2, 5, 2});
  ASSERT_EQ(modules.size(), 2u);
  EXPECT_EQ(modules[0].module(), 2);
  EXPECT_EQ(modules[1].module(), 5);
  EXPECT_EQ(modules[1].presence(), v1::MODULE_PRESENCE_ABSENT);
  EXPECT_FALSE(modules[1].has_voltage_v());
  v1::ListModulesRequest request;
  request.set_device_id("bat0");
  v1::ListModulesResponse response;
  for (const uint32_t wrong : {0u, 16u}) {
    request.clear_modules();
    request.add_modules(wrong);
    const grpc::Status status = Call(&Stub::ListModules, request, &response);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("1 … 15"));
  }
}

TEST_F(BatteryServiceTest, AHotModuleIsDangerousAndNamed) {
  Inject("heat", {{"module", 3}, {"degrees", 55}});
  lab_.RunFor(seconds(1));
  const v1::Battery battery = Battery("bat0");
  EXPECT_EQ(battery.level(), v1::BATTERY_LEVEL_DANGEROUS);
  EXPECT_EQ(battery.temperature_high_level(), v1::BATTERY_LEVEL_DANGEROUS);
  EXPECT_EQ(battery.temperature_low_level(), v1::BATTERY_LEVEL_NORMAL);
  EXPECT_EQ(battery.temperature_max_module(), 3);
  const v1::BatteryModule module = Modules({3})[0];
  EXPECT_EQ(module.level(), v1::BATTERY_LEVEL_DANGEROUS);
  EXPECT_EQ(module.fault_code(), 308);
  EXPECT_EQ(module.fault_name(), "ErrOvertemperature");
}

TEST_F(BatteryServiceTest, ASilentModuleIsStaleAndThePacksVoltageUnset) {
  Inject("silence", {{"module", 2}});
  lab_.RunFor(seconds(2));
  const v1::Battery battery = Battery("bat0");
  EXPECT_EQ(battery.quality(), v1::QUALITY_STALE);
  EXPECT_FALSE(battery.has_voltage_v());
  EXPECT_EQ(battery.module_count(), 3);
  EXPECT_EQ(battery.modules_good(), 2);
  EXPECT_EQ(battery.data_level(), v1::BATTERY_LEVEL_WARNING);
  const std::vector<v1::BatteryModule> modules = Modules();
  ASSERT_EQ(modules.size(), 3u);
  EXPECT_EQ(modules[1].presence(), v1::MODULE_PRESENCE_STALE);
  EXPECT_FALSE(modules[1].has_voltage_v());
  EXPECT_FALSE(modules[1].cells(0).has_voltage_v());
  EXPECT_TRUE(modules[0].has_voltage_v());
}

TEST_F(BatteryServiceTest, AnotherKindIsRefused) {
  v1::GetBatteryRequest request;
  v1::GetBatteryResponse response;
  request.set_device_id("hv0");
  EXPECT_EQ(Call(&Stub::GetBattery, request, &response).error_code(), grpc::UNIMPLEMENTED);
  request.set_device_id("nobody");
  EXPECT_EQ(Call(&Stub::GetBattery, request, &response).error_code(), grpc::NOT_FOUND);
  v1::ListModulesResponse modules;
  EXPECT_EQ(Call(&Stub::ListModules, v1::ListModulesRequest(), &modules).error_code(),
            grpc::INVALID_ARGUMENT);
}

TEST_F(BatteryServiceTest, AWatchHasEachOnceThenChanges) {
  v1::WatchBatteryRequest request;
  StreamClient<v1::WatchBatteryResponse> watch([&](auto* context, auto* reactor) {
    stub_->async()->WatchBattery(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }, seconds(10)));
  std::vector<std::string> seen;
  for (const auto& message : watch.messages()) {
    if (message.synced()) break;  // changes may have come since
    for (const auto& battery : message.batteries()) seen.push_back(battery.device_id());
    EXPECT_EQ(message.modules_size(), 0);  // they were not asked for
  }
  EXPECT_THAT(seen, ElementsAre("bat0", "bms0"));
  Inject("heat", {{"module", 3}, {"degrees", 55}});
  EXPECT_TRUE(lab_.StepUntil(
      [&] {
        const auto messages = watch.messages();
        return std::any_of(messages.begin(), messages.end(), [](const auto& message) {
          return message.batteries_size() > 0 &&
                 message.batteries(0).level() == v1::BATTERY_LEVEL_DANGEROUS;
        });
      },
      seconds(10)));
}

TEST_F(BatteryServiceTest, AWatchBringsTheModulesWhereTheyAreWanted) {
  v1::WatchBatteryRequest request;
  request.set_device_id("bat0");
  request.set_with_modules(true);
  StreamClient<v1::WatchBatteryResponse> watch([&](auto* context, auto* reactor) {
    stub_->async()->WatchBattery(context, &request, reactor);
  });
  ASSERT_TRUE(lab_.StepUntil([&] { return watch.synced(); }, seconds(10)));
  ASSERT_EQ(watch.messages()[0].modules_size(), 3);
  EXPECT_EQ(watch.messages()[0].modules(2).cells_size(), 12);
}

TEST_F(BatteryServiceTest, AWatchKeepsToItsInterval) {
  v1::WatchBatteryRequest request;
  request.set_device_id("bat0");
  request.mutable_min_interval()->set_seconds(1);
  // From before the first message: this client's thread may be behind the virtual clock.
  const MonoTime begin = lab_.clock().Now();
  StreamClient<v1::WatchBatteryResponse> watch([&](auto* context, auto* reactor) {
    stub_->async()->WatchBattery(context, &request, reactor);
  });
  const auto changes = [&] {
    const auto messages = watch.messages();
    const auto synced = std::find_if(messages.begin(), messages.end(),
                                     [](const auto& message) { return message.synced(); });
    return messages.end() - synced;  // and the one that says so
  };
  ASSERT_TRUE(lab_.StepUntil([&] { return changes() >= 1 + 3; }, seconds(10)));
  EXPECT_GE(lab_.clock().Now() - begin, seconds(2));
  EXPECT_GT(watch.messages().back().coalesced_count(), 0u);
}

TEST_F(BatteryServiceTest, TheModulesAreCountedAnew) {
  Inject("extra_module", {{"module", 4}});
  lab_.RunFor(seconds(2));
  EXPECT_EQ(Battery("bat0").modules_unexpected(), 1);
  EXPECT_EQ(Modules().back().presence(), v1::MODULE_PRESENCE_UNEXPECTED);
  v1::DetectModulesRequest request;
  request.set_device_id("bat0");
  v1::DetectModulesResponse response;
  const grpc::Status status = Call(&Stub::DetectModules, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.receipt().has_confirmed_time());
  EXPECT_EQ(Battery("bat0").module_count(), 4);
  request.set_device_id("bms0");
  EXPECT_EQ(Call(&Stub::DetectModules, request, &response).error_code(), grpc::UNIMPLEMENTED);
}

TEST_F(BatteryServiceTest, AnOperatorMayLookButNotCount) {
  lab_.SetRole(Role::kOperator);
  v1::DetectModulesRequest request;
  request.set_device_id("bat0");
  v1::DetectModulesResponse response;
  EXPECT_EQ(Call(&Stub::DetectModules, request, &response).error_code(), grpc::PERMISSION_DENIED);
  lab_.SetRole(Role::kViewer);
  EXPECT_EQ(Battery("bat0").module_count(), 3);
}

}  // namespace
}  // namespace canhub
