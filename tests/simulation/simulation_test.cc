// The simulation in CI: random labs, the same seed twice, wall jumps against none, and a proof that
// the checker can fail. For longer: scripts/simulate --hours N --seed S.
#include "tests/simulation/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/simulation/campaign.h"
#include "tests/simulation/family_battery_module.h"
#include "tests/simulation/family_iseg.h"
#include "tests/simulation/family_studer.h"
#include "tests/simulation/family_ystech_pcs.h"
#include "tests/simulation/mutations.h"

namespace canhub::simulation {
namespace {

using std::chrono::minutes;

std::string Scratch() { return testing::TempDir() + "canhub-simulation"; }

// A short run with everything in it.
RunOptions Everything(uint64_t seed) {
  RunOptions options{.seed = seed, .length = minutes(15), .scratch = Scratch()};
  options.poll = std::chrono::seconds(1);
  options.idle = minutes(1);
  return options;
}

// ---------------------------------------------------------------- labs

// Each family, whatever seeds draw.
class EachFamily : public testing::TestWithParam<size_t> {};
TEST_P(EachFamily, KeepsEveryPromise) {
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    RunOptions options = Everything(seed);
    options.families = {Families()[GetParam()]};
    const RunResult result = Simulate(options);
    ASSERT_FALSE(result.violation) << Report(options, result);
    EXPECT_GT(result.given, 0u);
    if (Families()[GetParam()]->Acts()) {
      EXPECT_GT(result.acts, 0u);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Simulation, EachFamily, testing::Range<size_t>(0, Families().size()),
                         [](const testing::TestParamInfo<size_t>& info) {
                           std::string name = Families()[info.param]->driver().name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// High voltage, a converter and a battery in one lab, on lines of their own.
std::vector<const Family*> BatteryTestFamilies() {
  return {&IsegFamily(), &YstechPcsFamily(), &BatteryModuleFamily()};
}

class MixedLabs : public testing::TestWithParam<uint64_t> {};
TEST_P(MixedLabs, KeepEveryPromise) {
  RunOptions options = Everything(GetParam());
  options.families = BatteryTestFamilies();
  const RunResult result = Simulate(options);
  ASSERT_FALSE(result.violation) << Report(options, result);
  EXPECT_GT(result.acts, 0u);
}
INSTANTIATE_TEST_SUITE_P(Simulation, MixedLabs, testing::Range<uint64_t>(1, 7));

// One test for each share, so that they can run side by side: CANHUB_SIMULATE_HOURS in all.
class RandomLabs : public testing::TestWithParam<int> {};
constexpr int kShares = 4;

TEST_P(RandomLabs, KeepEveryPromise) {
  const char* const wanted = std::getenv("CANHUB_SIMULATE_HOURS");
  const double hours = wanted != nullptr ? std::atof(wanted) : 200;
  ASSERT_GT(hours, 0) << "CANHUB_SIMULATE_HOURS=" << wanted;
  const CampaignResult result = RunCampaign({.hours = hours / kShares,
                                             .seed = 1 + 10000 * static_cast<uint64_t>(GetParam()),
                                             .scratch = Scratch() + std::to_string(GetParam())});
  EXPECT_FALSE(result.failed) << result.report;
  RecordProperty("lab_hours", std::to_string(result.hours));
}

INSTANTIATE_TEST_SUITE_P(Simulation, RandomLabs, testing::Range(0, kShares));

// One test for each seed, so that none is long under a sanitizer.
class Seeds : public testing::TestWithParam<uint64_t> {};
TEST_P(Seeds, ReplayExactly) {
  const RunResult first = Simulate(Everything(GetParam()));
  const RunResult second = Simulate(Everything(GetParam()));
  EXPECT_EQ(first.hash, second.hash);
  EXPECT_EQ(first.steps, second.steps);
  EXPECT_GT(first.given, 0u);
}

TEST_P(Seeds, S12_ARunWithWallJumpsIsTheRunWithout) {
  RunOptions options = Everything(GetParam() + 3);
  options.weights.wall_jump = 10;
  const RunResult with = Simulate(options);
  options.no_wall_jumps = true;
  const RunResult without = Simulate(options);
  EXPECT_EQ(with.hash, without.hash);
}
INSTANTIATE_TEST_SUITE_P(Simulation, Seeds, testing::Range<uint64_t>(1, 4));

TEST(Simulation, SeedsDiffer) {
  RunOptions one = Everything(1), other = Everything(2);
  one.length = other.length = minutes(2);
  EXPECT_NE(Simulate(one).hash, Simulate(other).hash);
}

// ---------------------------------------------------------------- the checker can fail

void ExpectCaught(const Mutation& mutation) {
  constexpr uint64_t kSeeds = 5;
  std::string seen;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    RunOptions options{.seed = seed, .scratch = Scratch()};
    mutation.apply(options);
    // The same run of the daemon as it is: what is caught is the mutation.
    RunOptions sound = options;
    sound.doubles = {};
    const RunResult result = Simulate(options);
    const RunResult fine = Simulate(sound);
    EXPECT_FALSE(fine.violation) << Report(sound, fine);
    if (result.violation && result.violation->invariant == mutation.invariant) return;
    seen +=
        "\nseed " + std::to_string(seed) + ": " +
        (result.violation ? result.violation->invariant + " " + result.violation->text : "nothing");
  }
  FAIL() << mutation.invariant << " (" << mutation.what << ") was not caught:" << seen;
}

class Mutants : public testing::TestWithParam<size_t> {};
TEST_P(Mutants, AreCaught) { ExpectCaught(Mutations()[GetParam()]); }
INSTANTIATE_TEST_SUITE_P(Simulation, Mutants, testing::Range<size_t>(0, 12),
                         [](const testing::TestParamInfo<size_t>& info) {
                           return std::string(Mutations()[info.param].invariant);
                         });

// With the other families beside.
class MixedMutants : public testing::TestWithParam<size_t> {};
TEST_P(MixedMutants, AreCaught) {
  Mutation mutation = Mutations()[GetParam()];
  mutation.apply = [apply = mutation.apply](RunOptions& options) {
    apply(options);
    options.families = BatteryTestFamilies();
  };
  ExpectCaught(mutation);
}
INSTANTIATE_TEST_SUITE_P(Simulation, MixedMutants, testing::Range<size_t>(0, 12),
                         [](const testing::TestParamInfo<size_t>& info) {
                           return std::string(Mutations()[info.param].invariant);
                         });

class BatteryModuleMutants : public testing::TestWithParam<size_t> {};
TEST_P(BatteryModuleMutants, AreCaught) { ExpectCaught(BatteryModuleMutations()[GetParam()]); }
INSTANTIATE_TEST_SUITE_P(Simulation, BatteryModuleMutants,
                         testing::Range<size_t>(0, BatteryModuleMutations().size()));

class StuderMutants : public testing::TestWithParam<size_t> {};
TEST_P(StuderMutants, AreCaught) { ExpectCaught(StuderMutations()[GetParam()]); }
INSTANTIATE_TEST_SUITE_P(Simulation, StuderMutants,
                         testing::Range<size_t>(0, StuderMutations().size()));

class YstechPcsMutants : public testing::TestWithParam<size_t> {};
TEST_P(YstechPcsMutants, AreCaught) { ExpectCaught(YstechPcsMutations()[GetParam()]); }
INSTANTIATE_TEST_SUITE_P(Simulation, YstechPcsMutants,
                         testing::Range<size_t>(0, YstechPcsMutations().size()));

TEST(Mutations, ThereIsOneForEachInvariant) {
  std::vector<std::string> invariants;
  for (const Mutation& mutation : Mutations()) invariants.emplace_back(mutation.invariant);
  EXPECT_THAT(invariants, testing::ElementsAre("S01", "S02", "S03", "S04", "S05", "S06", "S07",
                                               "S08", "S09", "S10", "S11", "S12"));
}

TEST(Simulation, AFailureIsMadeShorter) {
  RunOptions options{.seed = 1, .scratch = Scratch()};
  Mutations()[7].apply(options);  // S08: one refused command is enough
  const RunResult failed = Simulate(options);
  ASSERT_TRUE(failed.violation);
  const RunOptions shorter = Shrink(options, failed, 60);
  const RunResult again = Simulate(shorter);
  ASSERT_TRUE(again.violation);
  EXPECT_EQ(again.violation->invariant, "S08");
  EXPECT_LE(again.events.size(), 2u) << Report(shorter, again);
  EXPECT_THAT(Report(shorter, again), testing::HasSubstr("seed 1: S08 is broken"));
}

// ---------------------------------------------------------------- the families' readers

// Worked frames of iseg-edcp.md: the reader must not learn from the driver what it judges.
TEST(IsegReader, KnowsWhatActs) {
  const Family& iseg = IsegFamily();
  using Kind = FrameMeaning::Kind;
  const auto kind = [&](const char* text, bool from_daemon) {
    return iseg.Read(*ParseFrame(text), from_daemon).kind;
  };
  EXPECT_EQ(kind("210#41000344BB8000", true), Kind::kAct);
  EXPECT_EQ(kind("211#410003", true), Kind::kQuestion);
  EXPECT_EQ(kind("210#D801", true), Kind::kSession);
  EXPECT_EQ(kind("004#C8", true), Kind::kAct);
  EXPECT_EQ(kind("600#1A0501", true), Kind::kAct);
  EXPECT_EQ(kind("210#41000344BB8000", false), Kind::kAnswer);
  EXPECT_EQ(kind("201#D8001A", false), Kind::kAnnouncement);
}

TEST(IsegReader, KnowsWhatIsMalformed) {
  const Family& iseg = IsegFamily();
  const auto malformed = [&](const char* text) {
    return iseg.Read(*ParseFrame(text), false).malformed;
  };
  EXPECT_FALSE(malformed("210#41020344BB8000"));
  EXPECT_FALSE(malformed("210#410203")) << "a device without such an item";
  EXPECT_TRUE(malformed("210#41020344BB80"));
  EXPECT_TRUE(malformed("210#4102037FC00000")) << "not a number";
}

// Worked frames of studer-xcom-can.md, section 14.
TEST(StuderReader, KnowsWhatActs) {
  const Family& studer = StuderFamily();
  using Kind = FrameMeaning::Kind;
  const auto read = [&](const char* text, bool from_daemon) {
    return studer.Read(*ParseFrame(text), from_daemon);
  };
  EXPECT_EQ(read("03280080#05060443660000", true).kind, Kind::kAct);    // E9
  EXPECT_EQ(read("03280000#0BB8", true).kind, Kind::kQuestion);         // E1
  EXPECT_EQ(read("03280040#050602", true).kind, Kind::kQuestion);       // E7
  EXPECT_EQ(read("0000CA00#0BB84145C000", false).kind, Kind::kAnswer);  // E1
  EXPECT_EQ(read("0000CA00#0BB84145C000", false).address, 101u);
  EXPECT_EQ(read("0000CA00#0BB84145C000", false).what, 3000u);
  EXPECT_EQ(read("0000CA01#270F00000022", false).kind, Kind::kAnnouncement);  // E24: no value
  EXPECT_EQ(read("0FA0D2C0#001000000000", false).kind, Kind::kAnnouncement);  // E31
  EXPECT_TRUE(read("0000CA00#0BB841", false).malformed);                      // E38
  EXPECT_EQ(read("351#480200050005AE01", false).kind, Kind::kForeign);        // E35
}

// Worked frames of ystech-pcs.md, section 18.
TEST(YstechPcsReader, KnowsWhatActs) {
  const Family& pcs = YstechPcsFamily();
  using Kind = FrameMeaning::Kind;
  const auto read = [&](const char* text, bool from_daemon) {
    return pcs.Read(*ParseFrame(text), from_daemon);
  };
  EXPECT_EQ(read("180BFAB4#0200000000000000", true).kind, Kind::kAct);       // row 6
  EXPECT_EQ(read("180FFAB4#0100000000000000", true).kind, Kind::kAct);       // row 18
  EXPECT_EQ(read("180F00B4#0000000000000000", true).kind, Kind::kAct);       // row 22
  EXPECT_EQ(read("181AFAB4#0000271002000000", true).kind, Kind::kSession);   // row 23
  EXPECT_EQ(read("181DFAB4#0A00000000000000", true).kind, Kind::kQuestion);  // row 36
  EXPECT_EQ(read("1801FAB4#0100000000000000", true).kind, Kind::kQuestion);  // row 1
  EXPECT_EQ(read("1813B4FA#0D00000000000000", false).kind, Kind::kAnswer);   // row 46
  EXPECT_EQ(read("1813B4FA#0D00000000000000", false).address, 0xFAu);
  EXPECT_TRUE(read("1813B4FA#0D000000000000", false).malformed);
  EXPECT_EQ(read("210#41000344BB8000", true).kind, Kind::kForeign);
}

}  // namespace
}  // namespace canhub::simulation
