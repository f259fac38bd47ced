// Parameters that name a file, and those that may be "none".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemon/config/describe.h"
#include "daemon/config/diff.h"
#include "daemon/config/loader.h"

namespace canhub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const DriverInfo* CellInfo() {
  static const DriverInfo info = {
      .name = "cells",
      .kind = "battery",
      .description = "Cells.",
      .parameters = {{.name = "dbc",
                      .type = ParameterType::kFile,
                      .default_text = "",
                      .description = "messages"},
                     {.name = "low",
                      .type = ParameterType::kNumber,
                      .unit = "V",
                      .default_text = "none",
                      .maximum = 5,
                      .may_be_none = true}},
      .default_safe_action = "hold",
  };
  return &info;
}

class FileParameter : public testing::Test {
 protected:
  FileParameter() {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    Write("cells.dbc", "BO_ 1 M: 8 N\n");
  }
  ~FileParameter() override { std::filesystem::remove_all(folder_); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }
  absl::StatusOr<Config> Load(const std::string& keys) {
    const DriverInfo* const drivers[] = {CellInfo()};
    return ParseConfig(
        "buses: {lab: {type: simulated, bitrate: 500000}}\n"
        "devices:\n"
        "  bat0: {driver: cells, bus: lab" +
            keys + "}\n",
        folder_ + "/lab.yaml", drivers);
  }
  std::string Fault(const std::string& keys) { return std::string(Load(keys).status().message()); }
  std::string folder_ = testing::TempDir() + "canhub-file-parameter-XXXXXX";
};

TEST_F(FileParameter, IsReadFromTheFolderOfTheYaml) {
  const auto config = Load(", dbc: cells.dbc");
  ASSERT_TRUE(config.ok()) << config.status();
  const DeviceConfig& device = config->devices[0].config;
  EXPECT_EQ(device.Parameter("dbc").text(), "cells.dbc");
  EXPECT_EQ(*device.files.at("dbc"), "BO_ 1 M: 8 N\n");
}

TEST_F(FileParameter, AbsolutePathsAreTakenAsTheyAre) {
  const auto config = Load(", dbc: " + folder_ + "/cells.dbc");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->devices[0].config.files.contains("dbc"));
}

TEST_F(FileParameter, NobodyHasToNameOne) {
  const auto config = Load("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->devices[0].config.Parameter("dbc").text(), "");
  EXPECT_FALSE(config->devices[0].config.files.contains("dbc"));
}

TEST_F(FileParameter, WhatCannotBeReadIsTold) {
  EXPECT_THAT(Fault(", dbc: cels.dbc"), HasSubstr("lab.yaml:3: devices.bat0.dbc: found " + folder_ +
                                                  "/cels.dbc: no such file"));
  EXPECT_THAT(Fault(", dbc: ."), HasSubstr("no ordinary file"));
  EXPECT_THAT(Fault(", dbc: /dev/zero"), HasSubstr("no ordinary file"));
  Write("huge.dbc", std::string((size_t{16} << 20) + 1, ' '));
  EXPECT_THAT(Fault(", dbc: huge.dbc"), HasSubstr("more than 16 MiB"));
}

TEST_F(FileParameter, AFileThatHasChangedNeedsARestart) {
  const auto running = Load(", dbc: cells.dbc");
  Write("cells.dbc", "BO_ 2 M: 8 N\n");
  const auto loaded = Load(", dbc: cells.dbc");
  ASSERT_TRUE(running.ok() && loaded.ok());
  EXPECT_THAT(CompareConfigs(*running, *loaded).needs_restart,
              ElementsAre(HasSubstr("devices.bat0.dbc: cells.dbc (13 bytes")));
  EXPECT_TRUE(CompareConfigs(*loaded, *loaded).needs_restart.empty());
}

TEST_F(FileParameter, ANumberMayBeNone) {
  EXPECT_FALSE(Load("")->devices[0].config.Parameter("low").has_value());
  EXPECT_FALSE(Load(", low: none")->devices[0].config.Parameter("low").has_value());
  EXPECT_EQ(Load(", low: 2.7 V")->devices[0].config.Parameter("low").number(), 2.7);
  EXPECT_THAT(Fault(", low: nothing"), HasSubstr("devices.bat0.low"));
  EXPECT_THAT(Fault(", low: 6 V"), HasSubstr("at most 5 V"));
}

TEST_F(FileParameter, BothAreDescribed) {
  const DriverInfo* const drivers[] = {CellInfo()};
  const std::string text = DescribeConfig(drivers);
  EXPECT_THAT(text, HasSubstr("| `dbc` | path | | empty | messages |"));
  EXPECT_THAT(text, HasSubstr("| `low` | number in V, or `none` |"));
}

}  // namespace
}  // namespace canhub
