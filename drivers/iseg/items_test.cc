#include "drivers/iseg/items.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "drivers/api/high_voltage.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::iseg {
namespace {

constexpr DeviceAddress kModule2{2};
constexpr Features kWideModule = feature::kWide | feature::kNewBoard | feature::kModuleLimits |
                                 feature::kChannelVoltageRamp | feature::kModuleCurrentRamp;
constexpr Features kNarrowModule = feature::kNarrow | feature::kOldBoard | feature::kModuleLimits |
                                   feature::kModuleVoltageRampOnly;
constexpr Features kAllFeatures = 0xFFFFFFFF;

Answer Parse(const char* frame) {
  const absl::StatusOr<Answer> answer = ParseAnswer(*ParseFrame(frame));
  EXPECT_TRUE(answer.ok()) << answer.status();
  return *answer;
}

struct Scope {
  const char* name;
  std::span<const ItemEntry> entries;
};
std::vector<Scope> Scopes() {
  return {{"module", ModuleEntries()}, {"channel", ChannelEntries()}, {"crate", CrateEntries()}};
}

TEST(ItemRows, EveryDataIdIsARegister) {
  for (const Scope& scope : Scopes()) {
    for (const ItemEntry& entry : scope.entries) {
      if (entry.data_id == 0) continue;
      EXPECT_NE(FindRegister(entry.data_id), nullptr) << scope.name << " " << entry.spec.name;
      if (entry.wide_id != 0) {
        ASSERT_NE(FindRegister(entry.wide_id), nullptr) << entry.spec.name;
        EXPECT_EQ(FindRegister(entry.wide_id)->type, WireType::kUi4) << entry.spec.name;
        EXPECT_EQ(entry.wide_id, entry.data_id | kWideBit) << entry.spec.name;
      }
    }
  }
}

// Every DATA_ID of the facts is an item, but those that only commands use.
TEST(ItemRows, EveryRegisterIsAnItemOrACommand) {
  const std::set<uint16_t> commands = {id::kAntiCollision, id::kFactoryReset, id::kEmergencyOffList,
                                       id::kVoltageModeListIsegcan};
  std::set<uint16_t> items;
  for (const Scope& scope : Scopes()) {
    for (const ItemEntry& entry : scope.entries) {
      items.insert(entry.data_id);
      items.insert(entry.wide_id);
    }
  }
  for (const Register& row : Registers()) {
    EXPECT_NE(items.count(row.data_id), commands.count(row.data_id)) << std::hex << row.data_id;
  }
}

TEST(ItemRows, WritableItemsHaveWritableRegisters) {
  for (const Scope& scope : Scopes()) {
    for (const ItemEntry& entry : scope.entries) {
      const bool writable = entry.spec.access != Access::kReadOnly;
      EXPECT_EQ(writable, entry.writing != Writing::kNone) << entry.spec.name;
      if (entry.writing == Writing::kRegister || entry.writing == Writing::kClearOnes) {
        EXPECT_EQ(FindRegister(entry.data_id)->access, RegisterAccess::kReadWrite)
            << entry.spec.name;
      }
      if (entry.writing == Writing::kBit) {
        EXPECT_NE(entry.flag_parent, nullptr) << entry.spec.name;
        EXPECT_EQ(entry.spec.type, ValueType::kFlag) << entry.spec.name;
      }
    }
  }
}

TEST(ItemRows, FlagsHaveAParentBeforeThem) {
  for (const Scope& scope : Scopes()) {
    std::set<std::string> seen;
    std::set<std::tuple<std::string, int, bool>> bits;
    for (const ItemEntry& entry : scope.entries) {
      if (entry.flag_parent != nullptr) {
        EXPECT_EQ(seen.count(entry.flag_parent), 1u) << entry.spec.name;
        EXPECT_GE(entry.spec.bit, 0) << entry.spec.name;
        EXPECT_TRUE(
            bits.insert({entry.flag_parent, entry.spec.bit, entry.spec.bit_inverted}).second)
            << entry.spec.name << " shares its bit";
        if (entry.spec.bit >= 16 && std::string_view(scope.name) != "crate") {
          EXPECT_NE(entry.needs & feature::kWide, 0u) << entry.spec.name;
        }
      }
      seen.insert(entry.spec.name);
    }
  }
}

TEST(ItemRows, NamesAndAliasesAreUniqueInADevice) {
  for (const Features features : {kWideModule, kNarrowModule}) {
    for (const Scope& scope : Scopes()) {
      std::map<std::string, std::string> names;
      for (const ItemEntry& entry : scope.entries) {
        if ((entry.needs & features) != entry.needs) continue;
        EXPECT_TRUE(names.emplace(entry.spec.name, entry.spec.name).second) << entry.spec.name;
        const std::string alias = entry.spec.alias;
        if (!alias.empty() && alias != entry.spec.name) {
          EXPECT_TRUE(names.emplace(alias, entry.spec.name).second) << alias;
        }
      }
    }
  }
}

TEST(ItemRows, EveryRowIsDescribedWithItsSource) {
  for (const Scope& scope : Scopes()) {
    for (const ItemEntry& entry : scope.entries) {
      EXPECT_STRNE(entry.spec.description, "") << entry.spec.name;
      EXPECT_STRNE(entry.spec.source, "") << entry.spec.name;
      const bool derived = entry.data_id == 0 && entry.flag_parent == nullptr;
      EXPECT_EQ(derived, entry.spec.confidence == Confidence::kDerived) << entry.spec.name;
      EXPECT_EQ(entry.poll == Poll::kNone, entry.data_id == 0) << entry.spec.name;
    }
  }
}

TEST(ItemRows, HaveTheNamesOfTheKind) {
  namespace hv = high_voltage;
  const DeviceItems items = BuildModuleItems(2, kAllFeatures);
  for (const char* name : {hv::channel::kVoltageSet,
                           hv::channel::kCurrentSet,
                           hv::channel::kVoltageMeasure,
                           hv::channel::kCurrentMeasure,
                           hv::channel::kVoltageNominal,
                           hv::channel::kCurrentNominal,
                           hv::channel::kVoltageLimit,
                           hv::channel::kCurrentLimit,
                           hv::channel::kVoltageBounds,
                           hv::channel::kCurrentBounds,
                           hv::channel::kRampUp,
                           hv::channel::kRampDown,
                           hv::channel::kStatus,
                           hv::channel::kEventStatus,
                           hv::channel::kOn,
                           hv::channel::kEmergencyOff,
                           hv::channel::kDelayedTripTime,
                           hv::channel::kDelayedTripAction,
                           hv::channel::kExternalInhibitAction,
                           hv::channel::kOutputMode,
                           hv::channel::kOutputPolarity,
                           hv::channel::kIsOn,
                           hv::channel::kIsRamping,
                           hv::channel::kIsTripped,
                           hv::channel::kIsEmergencyOff,
                           hv::channel::kIsInhibited}) {
    EXPECT_TRUE(items.OfChannel(1, name).has_value()) << name;
  }
  for (const char* name :
       {hv::module::kStatus, hv::module::kEventStatus, hv::module::kTemperature,
        hv::module::kRampPercent, hv::module::kVoltageLimit, hv::module::kCurrentLimit,
        hv::module::kKillEnable, hv::module::kFineAdjustment, hv::module::kSafetyLoopGood,
        hv::module::kHighVoltageOn, hv::module::kSerialNumber, hv::module::kFirmwareName,
        hv::module::kFirmwareRelease, hv::module::kArticle, hv::module::kChannels}) {
    EXPECT_TRUE(items.Device(name).has_value()) << name;
  }
  const DeviceItems crate = BuildCrateItems();
  for (const char* name : {hv::crate::kStatus, hv::crate::kEventStatus, hv::crate::kPowerOn,
                           hv::crate::kIsPowerOn, hv::crate::kFanSpeed}) {
    EXPECT_TRUE(crate.Device(name).has_value()) << name;
  }
}

TEST(DeviceItems, WideModuleUsesWideStatus) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  EXPECT_EQ(items.DataId(*items.OfChannel(3, "status")), 0x4080);
  EXPECT_EQ(items.DataId(*items.OfChannel(3, "is_trip")), 0x4080);
  EXPECT_EQ(items.DataId(*items.Device("event_mask")), 0x1083);
  EXPECT_TRUE(items.OfChannel(0, "event_voltage_bottom").has_value());
  EXPECT_EQ(items.Entry(*items.OfChannel(0, "is_voltage_ramp_up")).poll, Poll::kNone);
  EXPECT_EQ(items.table()->Spec(*items.OfChannel(0, "is_voltage_ramp_up")).bit, 19);
}

TEST(DeviceItems, NarrowModuleHasNoWideFlags) {
  const DeviceItems items = BuildModuleItems(4, kNarrowModule);
  EXPECT_EQ(items.DataId(*items.OfChannel(3, "status")), 0x4000);
  EXPECT_FALSE(items.OfChannel(0, "event_voltage_bottom").has_value());
  const ItemId up = *items.OfChannel(0, "is_voltage_ramp_up");
  EXPECT_EQ(items.table()->Spec(up).confidence, Confidence::kDerived);
  EXPECT_EQ(items.DataId(up), std::nullopt);
}

TEST(DeviceItems, ChannelRampIsDerivedWhereTheModelHasNone) {
  const DeviceItems items = BuildModuleItems(4, kNarrowModule);
  const ItemId up = *items.OfChannel(0, "voltage_ramp_speed_up");
  EXPECT_EQ(items.table()->Spec(up).access, Access::kReadOnly);
  EXPECT_FALSE(items.WriteFrame(kModule2, up, Value::Number(10)).ok());
}

TEST(DeviceItems, AbsentDataIdsHaveNoItems) {
  const DeviceItems items = BuildModuleItems(4, kWideModule, {id::kEventGroupMask, id::kArticle});
  EXPECT_FALSE(items.Device("event_group_mask").has_value());
  EXPECT_FALSE(items.Device("article").has_value());
  EXPECT_TRUE(items.Device("event_group_status").has_value());
}

TEST(DeviceItems, FlagsOfAnAbsentRegisterAreAbsent) {
  const DeviceItems items = BuildModuleItems(4, kWideModule, {id::kChannelEventMask});
  EXPECT_FALSE(items.OfChannel(0, "mask_trip").has_value());
}

TEST(DeviceItems, FindsByIcsName) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  EXPECT_EQ(items.table()->Find("ch3.Status.voltageMeasure"),
            items.OfChannel(3, "voltage_measure"));
  EXPECT_EQ(items.table()->Find("Control.kill"), items.Device("kill_enable"));
}

TEST(DeviceItems, DecodesAMultipleAnswer) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  const auto values = items.Decode(Parse("210#610201443B9000"));
  ASSERT_TRUE(values.ok());
  ASSERT_EQ(values->size(), 1u);
  EXPECT_EQ(items.table()->Name(values->front().item), "ch1.voltage_measure");
  EXPECT_EQ(values->front().value, Value::Number(750.25));
}

TEST(DeviceItems, DecodesCurrentWithItsRange) {
  const DeviceItems items = BuildModuleItems(4, kWideModule | feature::kRangedCurrent);
  const auto values = items.Decode(Parse("210#610902348637BD01"));
  ASSERT_TRUE(values.ok());
  ASSERT_EQ(values->size(), 2u);
  EXPECT_EQ((*values)[0].value, Value::Number(2.5e-7));
  EXPECT_EQ((*values)[1].value, Value::Integer(1));
  EXPECT_EQ(items.table()->Name((*values)[1].item), "ch2.current_range");
}

TEST(DeviceItems, DecodesGroupMembers) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  const auto values = items.Decode(Parse("210#20020041C0CCCD"));
  ASSERT_TRUE(values.ok());
  ASSERT_EQ(values->size(), 1u);
  EXPECT_EQ(values->front().item, items.Device("supply_24v_external"));
}

TEST(DeviceItems, DecodesCratePowerAsAFlag) {
  const DeviceItems items = BuildCrateItems();
  const auto values = items.Decode(Parse("600#1A0501"));
  ASSERT_TRUE(values.ok());
  EXPECT_EQ(values->front().value, Value::Flag(true));
}

TEST(DeviceItems, RefusesChannelsThatDoNotExist) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  EXPECT_EQ(BadFrameReason(items.Decode(Parse("210#61020444BB7C00")).status()), "no_such_channel");
}

TEST(DeviceItems, RefusesUnknownMembersAndItems) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  EXPECT_EQ(BadFrameReason(items.Decode(Parse("210#20021F41C0CCCD")).status()), "unknown_index");
  EXPECT_EQ(BadFrameReason(items.Decode(Parse("210#110441C0CCCD")).status()), "unknown_data_id");
}

TEST(DeviceItems, IgnoresNarrowAnswersOnAWideModule) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  const auto values = items.Decode(Parse("210#10007701"));
  ASSERT_TRUE(values.ok());
  EXPECT_TRUE(values->empty());
}

TEST(DeviceItems, WritesChannelEventsInThe16BitForm) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  const auto frame =
      items.WriteFrame(kModule2, *items.OfChannel(3, "event_status"), Value::Integer(0x02002010));
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(FormatFrame(*frame), "210#4002032010");
}

TEST(DeviceItems, WritesTheControlRegistersThatFlagsAreBitsOf) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  const ItemId on = *items.OfChannel(3, "on");
  EXPECT_FALSE(items.WriteFrame(kModule2, on, Value::Flag(true)).ok());
  const auto frame = items.WriteFrame(kModule2, items.table()->Storage(on), Value::Integer(8));
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(FormatFrame(*frame), "210#4001030008");
}

TEST(DeviceItems, ReadsByTheRegister) {
  const DeviceItems items = BuildModuleItems(4, kWideModule);
  EXPECT_EQ(FormatFrame(*items.ReadFrame(kModule2, *items.OfChannel(3, "voltage_measure"))),
            "211#410203");
  EXPECT_EQ(FormatFrame(*items.ReadFrame(kModule2, *items.Device("is_no_ramp"))), "211#1080");
  EXPECT_FALSE(items.ReadFrame(kModule2, *items.Device("is_alive")).ok());
}

TEST(DeviceItems, EveryWritableItemEncodes) {
  const DeviceItems items =
      BuildModuleItems(2, kAllFeatures & ~feature::kModuleVoltageRampOnly & ~feature::kNarrow);
  int written = 0;
  for (ItemId item = 0; item < items.table()->size(); ++item) {
    const ItemEntry& entry = items.Entry(item);
    if (entry.writing != Writing::kRegister && entry.writing != Writing::kClearOnes) continue;
    const Value value =
        entry.spec.type == ValueType::kInteger ? Value::Integer(1) : Value::Number(1);
    const auto frame = items.WriteFrame(kModule2, item, value);
    EXPECT_TRUE(frame.ok()) << items.table()->Name(item) << " " << frame.status();
    ++written;
  }
  EXPECT_GT(written, 40);
}

}  // namespace
}  // namespace canhub::iseg
