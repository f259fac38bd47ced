#include "daemon/rpc/typed_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "canhub/v1/power_converter_service.pb.h"
#include "drivers/api/errors.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

using std::chrono::seconds;

const ActionSpec kSetParallel = {
    .name = "set_module_parallel",
    .role = Role::kEngineer,
    .safe = false,
    .description = "",
    .arguments = {{"parallel_role", ValueType::kText, false, ""},
                  {"parallel_modules", ValueType::kInteger, false, ""}}};
const ActionSpec kSetMode = {.name = "set_mode",
                             .role = Role::kOperator,
                             .safe = false,
                             .description = "",
                             .arguments = {{"voltage_setpoint", ValueType::kNumber, false, "", "V"},
                                           {"current_setpoint", ValueType::kNumber, false, "", "A"},
                                           {"end_current", ValueType::kNumber, false, "", "A"}}};

TEST(TypedFields, AFieldIsItsArgumentWithTheUnit) {
  v1::DcCcCv mode;
  mode.set_voltage_setpoint_v(400);
  mode.set_current_setpoint_a(-50);
  mode.set_end_current_a(5);
  const auto arguments = ReadArguments(mode, kSetMode, "mode.", /*all=*/true);
  ASSERT_TRUE(arguments.ok()) << arguments.status();
  ASSERT_EQ(arguments->size(), 3u);
  EXPECT_EQ(*FindArgument(*arguments, "voltage_setpoint"), Value::Number(400));
  EXPECT_EQ(*FindArgument(*arguments, "current_setpoint"), Value::Number(-50));
}

TEST(TypedFields, AMissingFieldIsNamedWithItsPath) {
  v1::DcCcCv mode;
  mode.set_voltage_setpoint_v(400);
  const absl::Status all = ReadArguments(mode, kSetMode, "mode.", /*all=*/true).status();
  EXPECT_TRUE(absl::IsInvalidArgument(all));
  EXPECT_THAT(std::string(all.message()), testing::HasSubstr("mode.current_setpoint_a"));
  EXPECT_EQ(ReadArguments(mode, kSetMode, "mode.", /*all=*/false)->size(), 1u);
}

TEST(TypedFields, WhatIsNotFiniteIsRefused) {
  v1::DcCcCv mode;
  mode.set_voltage_setpoint_v(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(GetErrorInfo(ReadArguments(mode, kSetMode, "", false).status()).reason,
            "VALUE_NOT_FINITE");
}

TEST(TypedFields, AnEnumerationIsALabel) {
  v1::ModuleParallelSetting parallel;
  parallel.set_parallel_role(v1::PARALLEL_ROLE_HOST);
  parallel.set_parallel_modules(3);
  const auto arguments = ReadArguments(parallel, kSetParallel, "", false);
  ASSERT_TRUE(arguments.ok()) << arguments.status();
  EXPECT_EQ(*FindArgument(*arguments, "parallel_role"), Value::Text("host"));
  EXPECT_EQ(*FindArgument(*arguments, "parallel_modules"), Value::Integer(3));
  parallel.set_parallel_role(v1::PARALLEL_ROLE_UNSPECIFIED);
  EXPECT_TRUE(absl::IsInvalidArgument(ReadArguments(parallel, kSetParallel, "", false).status()));
}

TEST(TypedFields, AFieldWithoutAnArgumentIsUnimplemented) {
  v1::ModuleParallelSetting parallel;
  parallel.set_hall_ratio(666);
  EXPECT_TRUE(absl::IsUnimplemented(ReadArguments(parallel, kSetParallel, "", false).status()));
}

TEST(TypedFields, OnlyGoodItemsAreShown) {
  static const ValueLabel kRoles[] = {{0, "single"}, {1, "host"}};
  static const ItemSpec kSpecs[] = {
      {.name = "parallel_role", .type = ValueType::kInteger, .labels = kRoles},
      {.name = "parallel_modules", .type = ValueType::kInteger},
      {.name = "hall_ratio", .type = ValueType::kInteger}};
  SimulatedClock clock;
  StateCache cache(clock);
  const auto writer = cache.Writer(cache.AddDevice("pcs1"));
  writer->SetItems(
      std::make_shared<const ItemTable>(std::vector<ItemBlock>{{.prefix = "", .specs = kSpecs}}));
  writer->Set(0, Value::Integer(1), clock.Now(), seconds(10));
  writer->Set(1, Value::Integer(3), clock.Now(), seconds(1));
  writer->Commit();
  clock.Advance(seconds(2));
  v1::ModuleParallelSetting shown;
  SetFields(*cache.Snapshot(0), TimeView(clock), &shown);
  EXPECT_EQ(shown.parallel_role(), v1::PARALLEL_ROLE_HOST);
  EXPECT_FALSE(shown.has_parallel_modules());  // stale
  EXPECT_FALSE(shown.has_hall_ratio());        // never read
}

// Of two units that both fit the end of a name, the item's own decides.
TEST(TypedFields, PhaseVIsNotVolt) {
  static const ItemSpec kSpecs[] = {{.name = "grid_voltage_v", .unit = "V"},
                                    {.name = "grid_voltage_w", .unit = "V"}};
  SimulatedClock clock;
  StateCache cache(clock);
  const auto writer = cache.Writer(cache.AddDevice("pcs1"));
  writer->SetItems(
      std::make_shared<const ItemTable>(std::vector<ItemBlock>{{.prefix = "", .specs = kSpecs}}));
  writer->Set(0, Value::Number(230), clock.Now(), seconds(10));
  writer->Set(1, Value::Number(231), clock.Now(), seconds(10));
  writer->Commit();
  v1::PowerConverterState shown;
  SetFields(*cache.Snapshot(0), TimeView(clock), &shown);
  EXPECT_EQ(shown.grid_voltage_v_v(), 230);
  EXPECT_EQ(shown.grid_voltage_w_v(), 231);
}

}  // namespace
}  // namespace canhub
