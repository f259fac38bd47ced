// What is in force: RAM that is known, that is as flash, and that is not known (section 3.1).
#include <chrono>
#include <string>

#include "drivers/studer/writes_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::studer {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Flash of 1138 has 60 A.
class RamTest : public WritesTest {
 protected:
  void LoseTheBus() {
    t_.driver->OnBusState(BusState::kBusOff);
    t_.h.Advance(100ms);
    t_.driver->OnBusState(BusState::kActive);
    t_.h.Advance(10s);
    Writes();
  }
  // The unit does it, and its answer comes too late. The bounds are known: only the write is sent.
  const Result* RunWithLateAnswer(Command command) {
    ReadAgain(kInForce);
    EXPECT_TRUE(t_.Fault("delay", {{"milliseconds", Value::Integer(1300)}}).ok());
    const Result* done = t_.Run(std::move(command), 1200ms);
    EXPECT_TRUE(t_.simulator.ClearFaults("delay").ok());
    t_.h.Advance(1s);
    return done;
  }
  void RestartTheUnit() {
    ASSERT_TRUE(t_.Fault("restart").ok());
    t_.h.Advance(10ms);
  }
  Reading ReadAgain(const std::string& item) {
    t_.driver->Refresh({t_.h.state.Id(item)}, [](absl::Status) {});
    t_.h.Advance(500ms);
    return t_.h.state.Read(item);
  }
  const SimulatedUnit& unit() { return *t_.simulator.FindUnit(101); }

  static constexpr char kInForce[] = "parameter.battery_charge_current";
  static constexpr char kStored[] = "flash.battery_charge_current";
};

// ---------------------------------------------------------------- flash that has the value

TEST_F(RamTest, AfterABusOffFlashThatHasTheValueIsPutIntoForce) {
  t_.Run(WriteRam("1138", 150));
  LoseTheBus();
  const Result* done = t_.Run(WriteFlash("1138", 60));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_FALSE(Skipped(done));
  EXPECT_EQ(unit().Value(1138), 60);
}

TEST_F(RamTest, ADaemonThatHasJustStartedPutsFlashThatHasTheValueIntoForce) {
  t_.Run(WriteRam("1138", 150));
  t_.MakeDriver();
  t_.StartPolled();
  t_.h.Advance(1s);
  const Result* done = t_.Run(WriteFlash("1138", 60));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_EQ(unit().Value(1138), 60);
}

TEST_F(RamTest, PuttingFlashThatHasTheValueIntoForceCostsNoFlash) {
  const Result* done = t_.Run(WriteFlash("1138", 60));
  ASSERT_NE(done, nullptr);
  EXPECT_TRUE(done->status.ok()) << done->status;
  EXPECT_THAT(Writes(), ElementsAre("03280080#04720442700000"));  // part 4
  EXPECT_EQ(t_.h.state.Read("flash_wear").value.text(), "");
}

TEST_F(RamTest, FlashThatWasPutIntoForceIsSkippedTheNextTime) {
  t_.Run(WriteFlash("1138", 60));
  t_.h.Advance(1s);
  EXPECT_TRUE(Skipped(t_.Run(WriteFlash("1138", 60))));
}

TEST_F(RamTest, FlashThatThisDaemonWroteIsInForce) {
  t_.Run(WriteFlash("1138", 55));
  t_.h.Advance(1s);
  Writes();
  EXPECT_TRUE(Skipped(t_.Run(WriteFlash("1138", 55))));
  EXPECT_THAT(Writes(), IsEmpty());
}

TEST_F(RamTest, AfterALossFlashThatThisDaemonWroteMayNotBeInForce) {
  t_.Run(WriteFlash("1138", 55));
  LoseTheBus();
  EXPECT_FALSE(Skipped(t_.Run(WriteFlash("1138", 55))));
}

// ---------------------------------------------------------------- what is shown

TEST_F(RamTest, ADaemonThatHasJustStartedShowsFlash) {
  const Reading reading = ReadAgain(kInForce);
  EXPECT_EQ(reading.quality, Quality::kGood);
  EXPECT_EQ(reading.value.number(), 60);
}

TEST_F(RamTest, S03_AfterAnUncertainWriteAReadDoesNotShowFlashAsInForce) {
  t_.Run(WriteRam("1138", 100));
  t_.h.Advance(1s);
  RunWithLateAnswer(WriteRam("1138", 150));
  EXPECT_EQ(ReadAgain(kInForce).quality, Quality::kBad);
}

TEST_F(RamTest, AfterAnUncertainWriteFlashIsShownAsStored) {
  RunWithLateAnswer(WriteRam("1138", 150));
  const Reading stored = ReadAgain(kStored);
  EXPECT_EQ(stored.quality, Quality::kGood);
  EXPECT_EQ(stored.value.number(), 60);
}

TEST_F(RamTest, AConfirmedWriteEndsTheDoubt) {
  RunWithLateAnswer(WriteRam("1138", 150));
  t_.Run(WriteRam("1138", 150));
  const Reading reading = ReadAgain(kInForce);
  EXPECT_EQ(reading.quality, Quality::kGood);
  EXPECT_EQ(reading.value.number(), 150);
}

TEST_F(RamTest, ARestartOfTheUnitEndsTheDoubt) {
  RunWithLateAnswer(WriteRam("1138", 150));
  RestartTheUnit();
  const Reading reading = ReadAgain(kInForce);
  EXPECT_EQ(reading.quality, Quality::kGood);
  EXPECT_EQ(reading.value.number(), 60);
}

TEST_F(RamTest, S03_AfterALossAReadDoesNotShowFlashForWhatWasWrittenToRam) {
  t_.Run(WriteRam("1138", 150));
  LoseTheBus();
  EXPECT_EQ(ReadAgain(kInForce).quality, Quality::kBad);
}

TEST_F(RamTest, ALossDoesNotEndTheDoubt) {
  RunWithLateAnswer(WriteRam("1138", 150));
  LoseTheBus();
  EXPECT_EQ(ReadAgain(kInForce).quality, Quality::kBad);
}

TEST_F(RamTest, AfterAnUncertainWriteToFlashNoStoredValueIsShownUntilItIsRead) {
  RunWithLateAnswer(WriteFlash("1138", 55, /*force=*/true));
  EXPECT_EQ(t_.h.state.Read(kStored).quality, Quality::kBad);
  EXPECT_EQ(ReadAgain(kStored).value.number(), 55);
}

TEST_F(RamTest, AnUncertainWriteToRamIsToldToBeWrittenAgain) {
  const Result* done = RunWithLateAnswer(t_.h.Write("1124", Value::Flag(false)));
  ASSERT_NE(done, nullptr);
  EXPECT_THAT(std::string(done->status.message()), HasSubstr("cannot be read: write it again"));
}

}  // namespace
}  // namespace canhub::studer
