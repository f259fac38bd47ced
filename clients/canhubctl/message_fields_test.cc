// Fields of typed messages as people write them.
#include "clients/canhubctl/message_fields.h"

#include "canhub/v1/power_converter_service.pb.h"
#include "clients/canhubctl/commands.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PcsFields, TakeNamesWithoutUnitAndValuesWithOne) {
  v1::PowerConverterProtection protection;
  const auto set =
      SetFieldsFromText({"max_charge_current=50A", "max_charge_power=20 kW"}, &protection);
  ASSERT_TRUE(set.ok()) << set.error();
  EXPECT_EQ(protection.max_charge_current_a(), 50);
  EXPECT_EQ(protection.max_charge_power_w(), 20000);
  EXPECT_FALSE(protection.has_max_discharge_current_a());
}

TEST(PcsFields, TakeWordsFlagsAndWholeNumbers) {
  v1::ModuleParallelSetting parallel;
  ASSERT_TRUE(SetFieldsFromText({"parallel_role=host", "parallel_modules=3"}, &parallel).ok());
  EXPECT_EQ(parallel.parallel_role(), v1::PARALLEL_ROLE_HOST);
  EXPECT_EQ(parallel.parallel_modules(), 3);
  v1::IoSetting io;
  ASSERT_TRUE(SetFieldsFromText({"io1_output=on", "io2_output=false"}, &io).ok());
  EXPECT_TRUE(io.io1_output());
  EXPECT_TRUE(io.has_io2_output());
}

TEST(PcsFields, NameWhatIsWrong) {
  v1::ModuleParallelSetting parallel;
  const auto error = [&](const char* text) {
    const auto set = SetFieldsFromText({text}, &parallel);
    return set.ok() ? std::string("taken") : set.error();
  };
  EXPECT_THAT(error("parallel_role"), HasSubstr("expected NAME=VALUE"));
  EXPECT_THAT(error("role=host"), HasSubstr("expected one of parallel_role, parallel_modules"));
  EXPECT_THAT(error("parallel_role=king"), HasSubstr("expected one of single, host, slave"));
  EXPECT_THAT(error("parallel_modules=three"), HasSubstr("parallel_modules"));
  v1::PowerConverterProtection protection;
  EXPECT_FALSE(SetFieldsFromText({"max_charge_current=50V"}, &protection).ok());
}

TEST(PcsFields, AreShownWithTheirUnits) {
  v1::PowerConverterProtection protection;
  protection.set_max_charge_current_a(50);
  protection.set_ac_frequency_lower_hz(45);
  EXPECT_THAT(FieldLines(protection),
              ElementsAre(HasSubstr("max_charge_current"), HasSubstr("45 Hz")));
}

}  // namespace
}  // namespace canhub::ctl
