// Levels of the YAML over readings of the cache.
#include <cmath>

#include "daemon/safety/safety_testing.h"

namespace canhub {
namespace {

using namespace safety_testing;  // NOLINT: a fixture and the words of rules
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class LevelTest : public SafetyTest {
 protected:
  void StartLevel(LevelRule rule) { Start(Rules({}, {std::move(rule)})); }
};

TEST(SafetyCounts, AValueAtABoundIsAtIt) {
  // Battery safety facts, section 5.4: 2.8000000000000003.
  EXPECT_EQ(SafetyCounts(0.01 * 60 + 2.2, kResolution), SafetyCounts(2.8, kResolution));
  EXPECT_NE(SafetyCounts(2.79, kResolution), SafetyCounts(2.8, kResolution));
}

TEST(ResolutionFor, ABoundIsExactWhateverItsSize) {
  for (const double bound :
       {1e-12, 100e-9, 500e-9, -500e-9, 999e-9, 2e-6, 0.05, 0.5, 2.8, 6000.0}) {
    const double resolution = ResolutionFor(bound);
    const int64_t counts = SafetyCounts(bound, resolution);
    EXPECT_GT(SafetyCounts(bound + std::abs(bound) * 2e-6, resolution), counts) << bound;
    EXPECT_LT(SafetyCounts(bound - std::abs(bound) * 2e-6, resolution), counts) << bound;
    EXPECT_EQ(SafetyCounts(bound * (1 + 1e-12), resolution), counts) << bound;
  }
}

TEST(ResolutionFor, ZeroIsNoBillionth) {
  EXPECT_GT(SafetyCounts(1e-9, ResolutionFor(0)), 0);
  EXPECT_EQ(SafetyCounts(1e-10, ResolutionFor(0)), 0);
}

TEST(SafetyCounts, WhatDoesNotFitIsTheMost) {
  EXPECT_GT(SafetyCounts(1e300, kResolution), int64_t{3'000'000'000'000'000'000});
  EXPECT_LT(SafetyCounts(-1e300, kResolution), -int64_t{3'000'000'000'000'000'000});
}

TEST_F(LevelTest, FollowsItsBoundsAndHysteresis) {
  StartLevel(VoltageLevel());
  const std::pair<int, Level> steps[] = {
      {10, Level::kNormal},    {79, Level::kNormal},  {80, Level::kWarning},
      {76, Level::kWarning},   {75, Level::kNormal},  {100, Level::kDangerous},
      {96, Level::kDangerous}, {95, Level::kWarning}, {10, Level::kNormal}};
  for (const auto& [volt, level] : steps) {
    Measure(0, static_cast<uint8_t>(volt));
    EXPECT_EQ(LevelNow().level, level) << volt;
  }
}

TEST_F(LevelTest, CountsNewReadingsOnly) {
  LevelRule rule = VoltageLevel();
  rule.bounds.samples_to_dangerous = 2;
  StartLevel(rule);
  Measure(0, 10);
  clock_.Advance(milliseconds(1));
  Measure(0, 100);
  runner_->RunFor(milliseconds(300));
  EXPECT_EQ(LevelNow().level, Level::kWarning) << "one reading, looked at three times";
  Measure(0, 100);
  EXPECT_EQ(LevelNow().level, Level::kDangerous) << "the same value, read again";
}

TEST_F(LevelTest, RaisesAndClearsItsAlarm) {
  StartLevel(VoltageLevel());
  Measure(0, 85);
  EXPECT_EQ(Alarm("volts"), "active");
  EXPECT_EQ(AlarmText("volts"), "level volts is warning: hv0/voltage_measure is 85 V");
  Measure(0, 120);
  EXPECT_EQ(AlarmText("volts"), "level volts is dangerous: hv0/voltage_measure is 120 V");
  Measure(0, 10);
  EXPECT_EQ(Alarm("volts"), "gone");
}

TEST_F(LevelTest, StaleIsAWarningAtOnceAndDangerousAfterThreeSecondsMore) {
  StartLevel(VoltageLevel());
  Measure(0, 10);
  runner_->RunFor(fake::kGoodFor + milliseconds(100));
  EXPECT_EQ(LevelNow().level, Level::kWarning);
  EXPECT_EQ(LevelNow().worst, "hv0/voltage_measure is STALE, last 10 V");
  runner_->RunFor(milliseconds(2800));
  EXPECT_EQ(LevelNow().level, Level::kWarning);
  runner_->RunFor(milliseconds(300));
  EXPECT_EQ(LevelNow().level, Level::kDangerous);
  Measure(0, 10);
  EXPECT_EQ(LevelNow().level, Level::kNormal);
}

TEST_F(LevelTest, DangerStaysWhileItIsNotKnown) {
  StartLevel(VoltageLevel());
  Measure(0, 100);
  runner_->RunFor(seconds(1));
  EXPECT_EQ(LevelNow().level, Level::kDangerous);
}

TEST_F(LevelTest, TheWorstOfManyCounts) {
  StartLevel(VoltageLevel("hv*/voltage_measure", 2));
  Measure(0, 10);
  Measure(1, 85);
  EXPECT_EQ(LevelNow().level, Level::kWarning);
  EXPECT_EQ(LevelNow().worst, "hv1/voltage_measure is 85 V");
}

TEST_F(LevelTest, TooFewItemsAreAsStaleOnes) {
  StartLevel(VoltageLevel("hv*/voltage_measure", 2));
  RunMeasuring(milliseconds(100), 10, 10);
  EXPECT_EQ(LevelNow().level, Level::kNormal);
  for (int i = 0; i < 10; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  EXPECT_EQ(LevelNow().level, Level::kWarning) << "hv1 is silent";
}

TEST_F(LevelTest, WhatWasThereOnceIsMissedEvenWhereFewerAreNeeded) {
  StartLevel(VoltageLevel("hv*/voltage_measure", 1));
  Measure(0, 10);
  Measure(1, 10);
  for (int i = 0; i < 10; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  EXPECT_EQ(LevelNow().level, Level::kWarning);
  EXPECT_EQ(LevelNow().worst, "hv1/voltage_measure is STALE, last 10 V");
}

TEST_F(LevelTest, WhatWasNeverThereIsNotMissedWhereFewerAreNeeded) {
  StartLevel(VoltageLevel("hv*/voltage_measure", 1));
  for (int i = 0; i < 40; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  EXPECT_EQ(LevelNow().level, Level::kNormal);
}

TEST_F(LevelTest, TooFewItemsAreCountedOnceItHasSettled) {
  StartLevel(VoltageLevel("hv*/voltage_measure", 2));
  for (int i = 0; i < 15; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  EXPECT_EQ(LevelNow().level, Level::kNormal);
  for (int i = 0; i < 10; ++i) {
    Measure(0, 10);
    runner_->RunFor(milliseconds(100));
  }
  EXPECT_EQ(LevelNow().level, Level::kWarning);
  EXPECT_EQ(LevelNow().worst, "hv*/voltage_measure is 1 of 2 items read");
}

TEST_F(LevelTest, ASideIsOfItsOwnBoundsAlone) {
  LevelRule rule = VoltageLevel();
  rule.limits.dangerous_low = 5;
  rule.bounds.dangerous_low = SafetyCounts(5, kResolution);
  InterlockRule low = Rule("low"), high = Rule("high");
  low.when = IsLevel("volts", Level::kDangerous, LevelSide::kLow);
  high.when = IsLevel("volts", Level::kDangerous, LevelSide::kHigh);
  Start(Rules({low, high}, {rule}));
  Measure(0, 10);
  Measure(0, 5);
  EXPECT_EQ(State(0), InterlockState::kTripped);
  EXPECT_EQ(State(1), InterlockState::kClear);
}

TEST_F(LevelTest, AnInterlockGivesAStaleLevelItsTime) {
  InterlockRule rule = Rule();
  rule.when = IsLevel("volts", Level::kDangerous);
  Start(Rules({rule}, {VoltageLevel()}));
  Measure(0, 10);
  runner_->RunFor(seconds(3));
  EXPECT_EQ(State(), InterlockState::kClear);
  runner_->RunFor(seconds(1));
  EXPECT_EQ(State(), InterlockState::kTripped);
  EXPECT_THAT(Info().causes[0].found, HasSubstr("STALE"));
}

TEST_F(LevelTest, WhereStaleIsNoLevelItIsUnknownToAnInterlock) {
  LevelRule level = VoltageLevel();
  level.stale_to_dangerous.reset();
  InterlockRule rule = Rule();
  rule.when = IsLevel("volts", Level::kDangerous);
  Start(Rules({rule}, {level}));
  Measure(0, 10);
  runner_->RunFor(fake::kGoodFor + milliseconds(100));
  EXPECT_EQ(State(), InterlockState::kTripped);
}

TEST_F(LevelTest, ADangerousLevelIsADangerWithoutAnyInterlock) {
  StartLevel(VoltageLevel());
  Measure(0, 120);
  EXPECT_EQ(hub_->interlocks()->state(), SafetyState::kDangerous);
  EXPECT_EQ(Own("volts.level").value, Value::Integer(2));
}

}  // namespace
}  // namespace canhub
