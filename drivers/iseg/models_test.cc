#include "drivers/iseg/models.h"

#include "gtest/gtest.h"

namespace canhub::iseg {
namespace {

TEST(FirmwareNames, AreParsed) {
  const std::optional<FirmwareName> name = ParseFirmwareName("E24D1");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->family, 'E');
  EXPECT_EQ(name->channels, 24);
  EXPECT_EQ(name->function, 'D');
  EXPECT_EQ(name->variant, 1);
  EXPECT_EQ(ParseFirmwareName("H101C0")->channels, 101);
}

TEST(FirmwareNames, ThatAreNoneAreRefused) {
  for (const char* name : {"", "MICC", "TxxIO", "E08F", "E08FX", "e08F2", "FILAMENT"}) {
    EXPECT_FALSE(ParseFirmwareName(name).has_value()) << name;
  }
}

TEST(Articles, HaveTheirOptionAtAPlaceOfTheirLength) {
  EXPECT_EQ(ParseArticleOptions("SR042060r4050000200"), 0u);  // 19: place 12
  EXPECT_EQ(ParseArticleOptions("SR042060r40500C0200"), 0x00Cu);
  EXPECT_EQ(ParseArticleOptions("SR042060r4500A0200"), 0x00Au);  // 18: place 11
  EXPECT_EQ(ParseArticleOptions("SR042060r01F00"), 0x01Fu);      // 14: place 9
  EXPECT_EQ(ParseArticleOptions("SR042060r"), std::nullopt);
  EXPECT_EQ(ParseArticleOptions("SR042060r405xyz0200"), std::nullopt);
}

TEST(Articles, OptionsHaveNames) {
  EXPECT_EQ(FormatArticleOptions(0x009), "SLA,VCT");
  EXPECT_EQ(FormatArticleOptions(0), "");
}

TEST(Classes, OfSection18) {
  EXPECT_EQ(FindDeviceClass(26)->kind, DeviceKind::kEdcpModule);
  EXPECT_EQ(FindDeviceClass(1)->kind, DeviceKind::kDcpModule);
  EXPECT_EQ(FindDeviceClass(0x11)->kind, DeviceKind::kDcpModule);
  EXPECT_EQ(FindDeviceClass(0x2E)->kind, DeviceKind::kCrate);
  EXPECT_EQ(FindDeviceClass(0x2D)->kind, DeviceKind::kOldCrate);
  EXPECT_EQ(FindDeviceClass(33), nullptr);
}

TEST(Features, FollowNameClassAndSerialNumber) {
  const Features new_board = ExpectedFeatures({26, 5710234, "E08F2", "", true});
  for (const Features f :
       {feature::kWide, feature::kNewBoard, feature::kRangedCurrent, feature::kVoltageBottom,
        feature::kRampPriority, feature::kModuleCurrentRamp, feature::kModuleLimits}) {
    EXPECT_NE(new_board & f, 0u) << f;
  }
  EXPECT_EQ(new_board & (feature::kOldBoard | feature::kNarrow | feature::kOutputModes), 0u);
  const Features old_board = ExpectedFeatures({21, 471024, "E24D1", "", false});
  EXPECT_NE(old_board & feature::kOldBoard, 0u);
  EXPECT_NE(old_board & feature::kNarrow, 0u);
  // EDS: no current ramp.
  EXPECT_EQ(old_board & feature::kModuleCurrentRamp, 0u);
}

TEST(Features, ModesVctAndIndexedLimits) {
  EXPECT_NE(ExpectedFeatures({82, 5710004, "N04C2", "", true}) & feature::kOutputModes, 0u);
  EXPECT_NE(ExpectedFeatures({28, 5710012, "E12B0", "EB120005p1060080200", true}) & feature::kVct,
            0u);
  const Features e12b0 = ExpectedFeatures({28, 5710012, "E12B0", "", true});
  EXPECT_NE(e12b0 & feature::kIndexedLimits, 0u);
  EXPECT_EQ(e12b0 & feature::kModuleLimits, 0u);
}

TEST(Quirks, ChannelRampOfTwoModels) {
  const ModuleIdentity identity{70, 5710016, "E16C1", "EH164060n3050000200", true};
  ASSERT_EQ(QuirksOf(identity).size(), 1u);
  EXPECT_STREQ(QuirksOf(identity)[0]->name, kQuirkNoChannelRamp);
  EXPECT_EQ(ExpectedFeatures(identity) & feature::kChannelVoltageRamp, 0u);
  EXPECT_NE(ExpectedFeatures(identity) & feature::kModuleVoltageRampOnly, 0u);
  EXPECT_TRUE(QuirksOf({70, 5710016, "E16C1", "EH160060p3050000200", true}).empty());
}

// What a simulated model is must be what its identity lets a driver expect; items that the
// expectation has and the model lacks are answered without data.
TEST(SimulatedModels, AreWhatTheirIdentitySays) {
  for (const char* name : SimulatedModelNames()) {
    const SimulatedModel& model = *FindSimulatedModel(name);
    const Features expected = ExpectedFeatures(
        {model.device_class, model.serial_number, model.firmware_name, model.article, model.wide});
    constexpr Features kFoundOutByAsking =
        feature::kChannelVoltageRamp | feature::kModuleVoltageRampOnly;
    EXPECT_EQ(model.features & ~expected & ~kFoundOutByAsking, 0u) << name;
    EXPECT_NE(FindDeviceClass(model.device_class), nullptr) << name;
    const bool wide = (model.features & feature::kWide) != 0;
    EXPECT_EQ(wide, model.wide) << name;
    EXPECT_NE(wide, (model.features & feature::kNarrow) != 0) << name;
  }
}

}  // namespace
}  // namespace canhub::iseg
