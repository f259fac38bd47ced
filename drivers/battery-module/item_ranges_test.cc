// What the items can report at all: facts 4.3 (bits, factors, offsets), for the pack 12.5.
#include "drivers/battery-module/item_ranges.h"

#include <gtest/gtest.h>

#include "drivers/battery-module/battery_testing.h"

namespace canhub::battery_module {
namespace {

class ItemRanges : public ::testing::Test {
 protected:
  void Expect(const char* item, double lowest, double highest) {
    const std::optional<ItemId> id = table_->Find(item);
    ASSERT_TRUE(id.has_value()) << item;
    const ItemSpec& spec = table_->Spec(*id);
    ASSERT_TRUE(spec.lowest.has_value() && spec.highest.has_value()) << item;
    EXPECT_NEAR(*spec.lowest, lowest, 1e-9) << item;
    EXPECT_NEAR(*spec.highest, highest, 1e-9) << item;
  }
  void Configure(Overrides overrides) { table_ = Info().items(TestConfig(std::move(overrides))); }
  std::shared_ptr<const ItemTable> table_ = Info().items(TestConfig());
};

TEST_F(ItemRanges, OfASignalAreWhatItsBitsHold) {
  Expect("module1.cell1_voltage", 2.2, 4.75);
  Expect("module15.cell12_voltage", 2.2, 4.75);
  Expect("module3.temperature_max", -128, 127);
  Expect("module3.temperature7", -128, 127);
  Expect("module3.soc", 0, 127.5);
  Expect("module3.charge", 0, 4294967295.0);
}

// Twelve cells of 4.75 V and the tolerance of their sum: above that it is BAD.
TEST_F(ItemRanges, OfAModuleAreNoMoreThanItsCellsMake) {
  Expect("module3.voltage", 0, 57.3);
  Configure({{"cells_per_module", Value::Integer(8)}});
  Expect("module3.voltage", 0, 38.3);
  Expect("module3.cell_voltage_sum", 17.6, 38);
}

// Positive is discharge here, and charge on the bus.
TEST_F(ItemRanges, OfACurrentTurnWithItsSign) {
  Expect("module3.current", -3276.7, 3276.8);
  Configure({{"current_positive_is", Value::Text("discharge")}});
  Expect("module3.current", -3276.8, 3276.7);
}

TEST_F(ItemRanges, OfThePackAreThoseOfItsModules) {
  Expect("pack.cell_voltage_max", 2.2, 4.75);
  Expect("pack.cell_voltage_spread", 0, 2.55);
  Expect("pack.level", 0, 2);
  Expect("pack.voltage", 0, 15 * 57.3);
  Configure({{"expected_modules", Value::Integer(9)}});
  Expect("pack.voltage", 0, 9 * 57.3);
  Expect("pack.cell_voltage_sum", 12 * 2.2, 9 * 12 * 4.75);
  Expect("pack.module_count", 0, 15);
}

// What a rule is held against must hold for what is published.
TEST_F(ItemRanges, HoldWhatASimulatedPackSays) {
  Bench bench;
  ASSERT_TRUE(bench.StartAndPoll());
  bench.h.Advance(std::chrono::seconds(20));
  for (ItemId id = 0; id < table_->size(); ++id) {
    const ItemSpec& spec = table_->Spec(id);
    const Reading reading = bench.h.state.Read(table_->Name(id));
    if (reading.quality != Quality::kGood || reading.value.type() == ValueType::kText) continue;
    if (spec.lowest) {
      EXPECT_GE(reading.value.AsNumber(), *spec.lowest) << table_->Name(id);
    }
    if (spec.highest) {
      EXPECT_LE(reading.value.AsNumber(), *spec.highest) << table_->Name(id);
    }
  }
}

}  // namespace
}  // namespace canhub::battery_module
