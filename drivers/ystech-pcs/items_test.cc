// What the items can report at all: bytes and scales of their frames.
#include "drivers/ystech-pcs/items.h"

#include <gtest/gtest.h>

#include "drivers/ystech-pcs/driver_testing.h"

namespace canhub::ystech_pcs {
namespace {

class PcsItemRanges : public ::testing::Test {
 protected:
  void Expect(const char* item, double lowest, double highest) {
    const ItemSpec& spec = table_->Spec(table_->Find(item).value());
    ASSERT_TRUE(spec.lowest.has_value() && spec.highest.has_value()) << item;
    EXPECT_NEAR(*spec.lowest, lowest, 1e-6) << item;
    EXPECT_NEAR(*spec.highest, highest, 1e-6) << item;
  }
  std::shared_ptr<const ItemTable> table_ = Info().items(DriverConfig());
};

// Section 6.7: 0x11 with 0.1 V, 0.1 A from -1000 A, 0.1 degC from -50 degC; 0x39; 0x13.
TEST_F(PcsItemRanges, AreWhatTheBytesOfTheFrameHold) {
  Expect("dc_voltage_coarse", 0, 6553.5);
  Expect("dc_current_coarse", -1000, 5553.5);
  Expect("inlet_temperature", -50, 6503.5);
  Expect("dc_current", -1000, 4293967.295);
  Expect("state", 0, 255);
  Expect("fault_code", 0, 65535);
}

TEST_F(PcsItemRanges, OfPowersDependOnWhetherTheyAreSigned) {
  Expect("dc_power", -3'276'800, 3'276'700);
  table_ = Info().items(DriverConfig({{"signed_powers", Value::Flag(false)}}));
  Expect("dc_power", 0, 6'553'500);
}

// A parameter of a mode: 32 bits of a thousandth (section 7).
TEST_F(PcsItemRanges, OfSetPointsAreThoseOfTheParameters) {
  Expect("current_setpoint", -2147483.648, 2147483.647);
}

TEST_F(PcsItemRanges, AreOfTheSameItemsAsTheDevices) {
  ASSERT_EQ(table_->size(), Items()->size());
  for (ItemId id = 0; id < table_->size(); ++id) EXPECT_EQ(table_->Name(id), Items()->Name(id));
}

TEST_F(PcsItemRanges, HoldWhatASimulatedConverterSays) {
  Bench b;
  b.Boot();
  b.RunCharge();
  b.h.Advance(std::chrono::seconds(5));
  int held = 0;
  for (ItemId id = 0; id < table_->size(); ++id) {
    const ItemSpec& spec = table_->Spec(id);
    const Reading reading = b.h.state.Read(table_->Name(id));
    if (reading.quality != Quality::kGood || !spec.lowest) continue;
    ++held;
    EXPECT_GE(reading.value.AsNumber(), *spec.lowest) << table_->Name(id);
    EXPECT_LE(reading.value.AsNumber(), *spec.highest) << table_->Name(id);
  }
  EXPECT_GT(held, 50);
}

}  // namespace
}  // namespace canhub::ystech_pcs
