#include "daemon/bus/can_filter_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/can.h>
#include <linux/can/raw.h>

namespace canhub {
namespace {

using testing::ElementsAre;

static_assert(kMaxKernelFilters == CAN_RAW_FILTER_MAX);

TEST(MergeFiltersTest, NobodyListeningWantsNothing) {
  EXPECT_TRUE(MergeFilters({}, {}, false).empty());
}

TEST(MergeFiltersTest, TapWantsEverything) {
  const auto merged = MergeFilters({}, {}, true);
  for (uint32_t id : {0u, 0x7FFu, 0x123u | CAN_RTR_FLAG, 0x1FFFFFFFu | CAN_EFF_FLAG}) {
    EXPECT_TRUE(Passes(merged, id));
  }
}

TEST(MergeFiltersTest, FilterPassesItsFormOnlyAndNoRemoteFrames) {
  const std::vector<CanFilter> filters = {{0x210, 0x7F8, false}};
  const auto merged = MergeFilters(filters, {}, false);
  EXPECT_TRUE(Passes(merged, 0x210));
  EXPECT_TRUE(Passes(merged, 0x217));
  EXPECT_FALSE(Passes(merged, 0x218));
  EXPECT_FALSE(Passes(merged, 0x210 | CAN_EFF_FLAG));
  EXPECT_FALSE(Passes(merged, 0x210 | CAN_RTR_FLAG));
}

TEST(MergeFiltersTest, DoublesAndCoveredFiltersAreLeftOut) {
  const std::vector<CanFilter> filters = {
      {0x210, 0x7FF, false}, {0x211, 0x7FF, false}, {0x210, 0x7F8, false}, {0x210, 0x7F8, false}};
  EXPECT_THAT(MergeFilters(filters, {}, false),
              ElementsAre(KernelFilter{0x210, 0x7F8 | CAN_EFF_FLAG | CAN_RTR_FLAG}));
}

TEST(MergeFiltersTest, BitsOutsideTheMaskDoNotMatter) {
  const std::vector<CanFilter> filters = {{0x217, 0x7F8, false}, {0x210, 0x7F8, false}};
  EXPECT_EQ(MergeFilters(filters, {}, false).size(), 1u);
}

TEST(MergeFiltersTest, EchoesOfSentFramesPass) {
  CanFrame remote;
  remote.id = 0x3AB;
  remote.remote = true;
  CanFrame extended;
  extended.id = 0x1229;
  extended.extended = true;
  const auto merged = MergeFilters({}, {KernelId(remote), KernelId(extended)}, false);
  EXPECT_TRUE(Passes(merged, 0x3AB | CAN_RTR_FLAG));
  EXPECT_FALSE(Passes(merged, 0x3AB));
  EXPECT_TRUE(Passes(merged, 0x1229 | CAN_EFF_FLAG));
  EXPECT_FALSE(Passes(merged, 0x1228 | CAN_EFF_FLAG));
}

TEST(MergeFiltersTest, MoreThanTheKernelTakesBecomesEverything) {
  std::vector<CanFilter> filters;
  for (uint32_t id = 0; id < kMaxKernelFilters; ++id) filters.push_back({id, 0x7FF, false});
  EXPECT_EQ(MergeFilters(filters, {}, false).size(), kMaxKernelFilters);
  filters.push_back({kMaxKernelFilters, 0x7FF, false});
  EXPECT_THAT(MergeFilters(filters, {}, false), ElementsAre(KernelFilter{0, 0}));
}

}  // namespace
}  // namespace canhub
