// Section 5.4 of the battery safety facts: its table and the rule of comparison.
#include "drivers/api/levels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canhub {
namespace {

using testing::HasSubstr;

constexpr LevelLimits kCell{2.70, 2.80, 4.10, 4.20};
constexpr LevelLimits kModule{33, 34, 48, 49};
constexpr LevelLimits kInverter{264, 268, 384, 390};

LevelBounds Debounced(LevelBounds bounds) {
  bounds.samples_to_warning = bounds.samples_to_dangerous = 2;
  return bounds;
}

void Sample(LevelTracker& tracker, int64_t counts, int times = 2) {
  for (int i = 0; i < times; ++i) tracker.Sample(counts);
}

// One cell signal: 0.01 V per count, 2.2 V at 0 (section 4.3).
const LevelBounds kCellBounds = Debounced(ToBounds(kCell, 0.01, 2.2, 0.02));

TEST(Levels, BoundsAreTheNearestCounts) {
  EXPECT_EQ(kCellBounds.dangerous_low, 50);
  EXPECT_EQ(kCellBounds.warning_low, 60);
  EXPECT_EQ(kCellBounds.warning_high, 190);
  EXPECT_EQ(kCellBounds.dangerous_high, 200);
  EXPECT_EQ(kCellBounds.hysteresis, 2);
  const LevelBounds module = ToBounds(kModule, 0.01, 0, 0.2);
  EXPECT_EQ(module.dangerous_low, 3300);
  EXPECT_EQ(module.dangerous_high, 4900);
  EXPECT_EQ(module.hysteresis, 20);
  // Section 7.8: 390 V is 12779 counts.
  const LevelBounds inverter = ToBounds(kInverter, 1 / 32.767, 0, 2);
  EXPECT_EQ(inverter.dangerous_high, 12779);
  EXPECT_EQ(inverter.dangerous_low, 8650);
  EXPECT_EQ(inverter.hysteresis, 66);
}

// Defect 5 of section 13: 0.01 × 60 + 2.2 is 2.8000000000000003, which is not at most 2.8.
TEST(Levels, AValueAtABoundIsAtIt) {
  LevelTracker cell(&kCellBounds);
  Sample(cell, 60);
  EXPECT_EQ(cell.low(), Level::kWarning);
  Sample(cell, 50);
  EXPECT_EQ(cell.low(), Level::kDangerous);
  cell.Reset();
  Sample(cell, 190);
  EXPECT_EQ(cell.high(), Level::kWarning);
  Sample(cell, 200);
  EXPECT_EQ(cell.high(), Level::kDangerous);
}

TEST(Levels, AValueOneCountWithinIsNormal) {
  LevelTracker cell(&kCellBounds);
  Sample(cell, 61);
  Sample(cell, 189);
  EXPECT_EQ(cell.level(), Level::kNormal);
}

// Defect 6: a low cell is low, and nothing else.
TEST(Levels, ALowValueIsNotHigh) {
  LevelTracker cell(&kCellBounds);
  Sample(cell, 40);
  EXPECT_EQ(cell.low(), Level::kDangerous);
  EXPECT_EQ(cell.high(), Level::kNormal);
}

TEST(Levels, OneSampleIsNone) {
  LevelTracker cell(&kCellBounds);
  Sample(cell, 200, 1);
  Sample(cell, 150, 1);
  Sample(cell, 200, 1);
  EXPECT_EQ(cell.level(), Level::kNormal);
  Sample(cell, 200, 1);
  EXPECT_EQ(cell.level(), Level::kDangerous);
}

TEST(Levels, AWarningIsLeftBehindTheHysteresis) {
  LevelTracker cell(&kCellBounds);
  Sample(cell, 190);
  Sample(cell, 189);
  EXPECT_EQ(cell.high(), Level::kWarning);
  Sample(cell, 188, 1);
  EXPECT_EQ(cell.high(), Level::kNormal);
  Sample(cell, 60);
  Sample(cell, 61);
  EXPECT_EQ(cell.low(), Level::kWarning);
  Sample(cell, 62, 1);
  EXPECT_EQ(cell.low(), Level::kNormal);
}

TEST(Levels, DangerFallsToAWarningFirst) {
  LevelTracker cell(&kCellBounds);
  Sample(cell, 200);
  Sample(cell, 199);
  EXPECT_EQ(cell.high(), Level::kDangerous);
  Sample(cell, 198, 1);
  EXPECT_EQ(cell.high(), Level::kWarning);
  Sample(cell, 188, 1);
  EXPECT_EQ(cell.high(), Level::kNormal);
}

// Defect 7: a level ends when its cause does, whatever level it was.
TEST(Levels, DangerEndsAtOnceWhenTheValueIsFarWithin) {
  LevelTracker cell(&kCellBounds);
  Sample(cell, 200);
  Sample(cell, 150, 1);
  EXPECT_EQ(cell.level(), Level::kNormal);
}

TEST(Levels, ATemperatureIsReleasedAtItsOwnValue) {
  LevelBounds bounds = Debounced(ToBounds({-20, -10, 40, 50}, 1, 0, 2));
  bounds.release_high = 30;
  LevelTracker heat(&bounds);
  Sample(heat, 50);
  EXPECT_EQ(heat.high(), Level::kDangerous);
  Sample(heat, 31);
  EXPECT_EQ(heat.high(), Level::kDangerous);
  Sample(heat, 30, 1);
  EXPECT_EQ(heat.high(), Level::kNormal);
  Sample(heat, 40);
  Sample(heat, 31);
  EXPECT_EQ(heat.high(), Level::kWarning);
}

TEST(Levels, AbsentBoundsAreNoLevel) {
  const LevelBounds bounds = Debounced(ToBounds({.warning_high = 40}, 1, 0, 2));
  LevelTracker heat(&bounds);
  Sample(heat, 1000);
  EXPECT_EQ(heat.high(), Level::kWarning);
  Sample(heat, -1000);
  EXPECT_EQ(heat.level(), Level::kNormal);
}

TEST(Levels, OnlyADangerousBound) {
  const LevelBounds bounds = Debounced(ToBounds({.dangerous_low = 10}, 1, 0, 2));
  LevelTracker tracker(&bounds);
  Sample(tracker, 10);
  EXPECT_EQ(tracker.low(), Level::kDangerous);
  Sample(tracker, 12, 1);
  EXPECT_EQ(tracker.low(), Level::kNormal);
}

TEST(Levels, BoundsMustBeInOrder) {
  EXPECT_TRUE(CheckOrder(kCell).ok());
  EXPECT_TRUE(CheckOrder({.warning_high = 1}).ok());
  EXPECT_THAT(std::string(CheckOrder({.warning_low = 3, .warning_high = 3}).message()),
              HasSubstr("found warning_high 3, expected above warning_low 3"));
  EXPECT_FALSE(CheckOrder({.dangerous_low = 3, .warning_low = 2}).ok());
}

}  // namespace
}  // namespace canhub
