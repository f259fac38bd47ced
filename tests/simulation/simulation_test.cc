// The simulation in CI: random labs, the same seed twice, wall jumps against none, and a proof that
// the checker can fail. For longer: scripts/simulate --hours N --seed S.
#include "tests/simulation/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/simulation/campaign.h"
#include "tests/simulation/family_iseg.h"
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

TEST(Simulation, ASeedReplaysExactly) {
  for (const uint64_t seed : {1, 2, 3}) {
    const RunResult first = Simulate(Everything(seed));
    const RunResult second = Simulate(Everything(seed));
    EXPECT_EQ(first.hash, second.hash) << "seed " << seed;
    EXPECT_EQ(first.steps, second.steps) << "seed " << seed;
    EXPECT_GT(first.acts, 0u);
  }
}

TEST(Simulation, SeedsDiffer) {
  EXPECT_NE(Simulate(Everything(1)).hash, Simulate(Everything(2)).hash);
}

TEST(Simulation, S12_ARunWithWallJumpsIsTheRunWithout) {
  for (const uint64_t seed : {4, 5, 6}) {
    RunOptions options = Everything(seed);
    options.weights.wall_jump = 10;
    const RunResult with = Simulate(options);
    options.no_wall_jumps = true;
    const RunResult without = Simulate(options);
    EXPECT_EQ(with.hash, without.hash) << "seed " << seed;
  }
}

// ---------------------------------------------------------------- the checker can fail

class Mutants : public testing::TestWithParam<size_t> {};

TEST_P(Mutants, AreCaught) {
  const Mutation& mutation = Mutations()[GetParam()];
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

INSTANTIATE_TEST_SUITE_P(Simulation, Mutants, testing::Range<size_t>(0, 12),
                         [](const testing::TestParamInfo<size_t>& info) {
                           return std::string(Mutations()[info.param].invariant);
                         });

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

}  // namespace
}  // namespace canhub::simulation
