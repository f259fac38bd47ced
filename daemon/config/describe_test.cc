#include "daemon/config/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "daemon/config/loader.h"
#include "daemon/config/sections.h"
#include "daemon/config/test_drivers.h"
#include "drivers/all_drivers.h"

namespace canhub {
namespace {

constexpr char kSource[] = CANHUB_SOURCE_DIR;

TEST(DescribeTest, TellsKeysLimitsAndSafeActions) {
  EXPECT_EQ(DescribeConfig(TestDrivers()), R"(### driver: demo-psu

A supply. Kind: `high_voltage`.

| key | value | range | default | meaning |
|---|---|---|---|---|
| `address` | whole number | 0 … 63 | needed | module address |
| `poll` | time | 50 ms … 1 min | `500 ms` | poll period |
| `offset` | number in V | | `0 V` | added \| to readings |
| `gain` | number | | `1` | |
| `label` | text | | empty | |
| `fan` | `true`, `false` | | `true` | |
| `follow` | item of another device, `bat0/pack.voltage` | | empty | |
| `mirror` | item of another device, `bat0/pack.voltage`, or `none` | | `none` | |
| `model` | `small`, `large` | | `large` | |

| key below `limits` | up to | meaning |
|---|---|---|
| `voltage` | 6000 V | largest set voltage |
| `ramp` | 500 V/s | fastest ramp |

| safe action (`on_lease_lost`, `on_shutdown`) | meaning |
|---|---|
| `hold` | leaves the device as it is |
| `ramp_down`, the default of `on_lease_lost` | ramps all outputs to 0 V |
| `emergency_off` | switches off at once |
)");
}

TEST(DescribeTest, TheReferenceInDocsIsCurrent) {
  std::ifstream stream(std::string(kSource) + "/docs/config.md");
  ASSERT_TRUE(stream) << "docs/config.md cannot be read";
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const std::string begin = "<!-- canhubd --describe-config -->\n";
  const std::string end = "<!-- end -->\n";
  const size_t from = text.find(begin), to = text.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  EXPECT_EQ(text.substr(from + begin.size(), to - from - begin.size()),
            DescribeConfig(AllDrivers()))
      << "put the output of canhubd --describe-config between the two marks";
}

// A default that the loader would refuse stops every start.
TEST(DescribeTest, DefaultsOfAllDriversAreInRange) {
  for (const DriverInfo* driver : AllDrivers()) {
    for (const ParameterSpec& spec : driver->parameters) {
      if (spec.default_text == nullptr) continue;
      if (*spec.default_text == '\0') continue;  // what nobody gave
      Problems problems(driver->name);
      const YamlNode node{.kind = YamlNode::Kind::kScalar, .text = spec.default_text};
      EXPECT_TRUE(ReadParameter(spec, node, spec.name, &problems).has_value())
          << problems.ToStatus();
    }
  }
}

TEST(DescribeTest, DefaultSafeActionsOfAllDriversAreSafe) {
  for (const DriverInfo* driver : AllDrivers()) {
    bool found = std::string_view(driver->default_safe_action) == "hold";
    for (const ActionSpec& action : driver->actions) {
      found |= action.safe && std::string_view(action.name) == driver->default_safe_action;
    }
    EXPECT_TRUE(found) << driver->name << ": " << driver->default_safe_action;
  }
}

class ExampleTest : public testing::TestWithParam<std::string> {};
TEST_P(ExampleTest, IsAValidConfiguration) {
  const auto config = LoadConfig(GetParam(), AllDrivers());
  EXPECT_TRUE(config.ok()) << config.status();
}
std::vector<std::string> Examples() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(kSource) + "/config")) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}
INSTANTIATE_TEST_SUITE_P(Config, ExampleTest, testing::ValuesIn(Examples()), [](const auto& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});
TEST(ExamplesTest, ThereAreExamples) { EXPECT_GE(Examples().size(), 3u); }

}  // namespace
}  // namespace canhub
