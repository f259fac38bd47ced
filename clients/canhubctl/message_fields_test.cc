// Fields of typed messages as people write them.
#include "clients/canhubctl/message_fields.h"

#include "canhub/v1/power_converter_service.pb.h"
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

// The words of the Python application.
class PcsWords : public testing::TestWithParam<std::vector<std::string>> {};
TEST_P(PcsWords, AreUnderstood) {
  Session session({});
  CLI::App app("", "canhubctl");
  BuildCommandTree(app, session);
  std::vector<std::string> words = GetParam();
  std::reverse(words.begin(), words.end());
  EXPECT_NO_THROW(app.parse(words));
  EXPECT_NE(session.action, nullptr);
}
INSTANTIATE_TEST_SUITE_P(
    PythonApplication, PcsWords,
    testing::Values(std::vector<std::string>{"pcs", "status"},
                    std::vector<std::string>{"pcs", "status", "pcs1"},
                    std::vector<std::string>{"pcs", "monitor", "pcs1", "--count", "3"},
                    std::vector<std::string>{"pcs", "modes", "pcs1"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "cv", "400"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "cc", "-50"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "cp", "-10000"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "cccv", "400", "-50", "5"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "mode", "DC_RAMP_VOLTAGE", "300",
                                             "400", "60"},
                    std::vector<std::string>{"pcs", "enable", "pcs1"},
                    std::vector<std::string>{"pcs", "disable", "pcs1"},
                    std::vector<std::string>{"pcs", "reset-faults", "pcs1"},
                    std::vector<std::string>{"pcs", "faults", "pcs1"},
                    std::vector<std::string>{"pcs", "dump-faults", "pcs1"},
                    std::vector<std::string>{"pcs", "version", "pcs1"},
                    std::vector<std::string>{"pcs", "read-params", "pcs1"},
                    std::vector<std::string>{"pcs", "protection", "pcs1", "max_charge_current=50A"},
                    std::vector<std::string>{"pcs", "time", "pcs1"},
                    std::vector<std::string>{"pcs", "io", "pcs1"},
                    std::vector<std::string>{"pcs", "parallel", "pcs1", "module"},
                    std::vector<std::string>{"watch", "pcs1/dc_*", "--format", "csv", "--out",
                                             "run.csv", "--duration", "10"}));

}  // namespace
}  // namespace canhub::ctl
