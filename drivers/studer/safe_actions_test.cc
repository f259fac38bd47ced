// Safe actions of a unit (S10): what they overtake, and what holds them up.
#include <chrono>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/studer/exchange_queue.h"
#include "drivers/studer/writes_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::studer {
namespace {

using namespace std::chrono_literals;
using absl::StatusCode;
using testing::ElementsAre;

class SafeActionsTest : public WritesTest {
 protected:
  Command SwitchOff() {
    return t_.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe, 1min);
  }
  // Everything is answered with 0x13, or with 0x29.
  void Busy() { ASSERT_TRUE(t_.Fault("error", {{"code", Value::Integer(0x13)}}).ok()); }
  void Fail() { ASSERT_TRUE(t_.Fault("error", {{"code", Value::Integer(0x29)}}).ok()); }
  void Free() { ASSERT_TRUE(t_.simulator.ClearFaults("error").ok()); }

  const int turns_ = t_.h.turn.turns();
};

TEST_F(SafeActionsTest, S10_ASafeActionOvertakesWhatWaits) {
  ASSERT_TRUE(t_.Fault("delay", {{"milliseconds", Value::Integer(800)}}).ok());
  t_.driver->Execute(t_.h.Write("1124", Value::Flag(false)));
  t_.driver->Execute(t_.h.Write("1125", Value::Flag(false)));
  t_.h.Advance(10ms);
  t_.driver->Execute(t_.h.Action(action::kSwitchOff, {}, Stage::kSent, Urgency::kSafe));
  t_.h.Advance(10ms);
  EXPECT_EQ(t_.h.commands.finished(1)->status.code(), StatusCode::kAborted);
  EXPECT_EQ(t_.h.commands.finished(2)->status.code(), StatusCode::kAborted);
  EXPECT_THAT(Writes(), ElementsAre("03280080#04640400000000", "03280080#0577003F800000"));
}

TEST_F(SafeActionsTest, S10_ASafeActionWaitsForNoTurn) {
  t_.h.turn.Take();
  t_.driver->Execute(t_.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_THAT(Writes(), ElementsAre("03280080#0577003F800000"));
  t_.h.Advance(500ms);
  EXPECT_TRUE(t_.h.commands.finished(1)->status.ok());
  EXPECT_FALSE(t_.simulator.FindUnit(101)->on());
}

TEST_F(SafeActionsTest, S10_ASafeActionIsSentToAUnitThatIsJustBeingLost) {
  ASSERT_TRUE(t_.Fault("silence").ok());
  // Two questions without answer, the third is on the bus.
  while (t_.h.log.timeouts() < 2) t_.h.Advance(10ms);
  t_.h.Advance(100ms);
  Writes();
  t_.driver->Execute(t_.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_EQ(t_.h.commands.finished(1), nullptr);
  t_.h.Advance(5s);
  EXPECT_THAT(Writes(), ElementsAre("03280080#0577003F800000"));
  ASSERT_NE(t_.h.commands.finished(1), nullptr);
  EXPECT_EQ(t_.h.commands.finished(1)->status.code(), StatusCode::kDeadlineExceeded);
}

TEST_F(SafeActionsTest, S08_AnAnswerToAnEarlierQuestionConfirmsNothingThatIsNotOnTheWireYet) {
  t_.driver->Execute(t_.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe));
  t_.h.Advance(5ms);
  t_.driver->Execute(t_.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe));
  t_.line.Deliver(*ParseFrame("0000CA80#0577003F800000"));  // to the first
  EXPECT_EQ(t_.h.commands.finished(2), nullptr);
  t_.h.Advance(500ms);
  ASSERT_NE(t_.h.commands.finished(2), nullptr);
  EXPECT_TRUE(t_.h.commands.finished(2)->status.ok()) << t_.h.commands.finished(2)->status;
}

TEST_F(SafeActionsTest, S10_ASafeActionOvertakesAnEarlierOneThatIsNotAnswered) {
  ASSERT_TRUE(t_.Fault("silence").ok());
  t_.driver->Execute(t_.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe));
  t_.h.Advance(5ms);
  t_.driver->Execute(t_.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_EQ(Writes().size(), 2u);
  EXPECT_EQ(t_.h.commands.finished(1)->status.code(), StatusCode::kAborted);
}

TEST_F(SafeActionsTest, S10_TheFrameOfAnOvertakenCommandIsTakenBack) {
  t_.driver->Execute(t_.h.Write("1124", Value::Flag(false)));
  const std::vector<TxFrame> sent = t_.line.TakeSent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(sent[0].guard->MaySend(t_.h.clock.Now()));
  t_.driver->Execute(t_.h.Action(action::kSwitchOff, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_FALSE(sent[0].guard->MaySend(t_.h.clock.Now()));
}

// ---------------------------------------------------------------- a gateway that is busy (0x13)

TEST_F(SafeActionsTest, S10_ItOutlastsAQuestionThatTheGatewayNeedsLongFor) {
  ASSERT_TRUE(t_.Fault("delay", {{"milliseconds", Value::Integer(900)}}).ok());
  t_.driver->Execute(t_.h.Write("1124", Value::Flag(false)));
  t_.h.Advance(10ms);
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(3s);
  ASSERT_NE(t_.h.commands.finished(2), nullptr);
  EXPECT_TRUE(t_.h.commands.finished(2)->status.ok()) << t_.h.commands.finished(2)->status;
  EXPECT_FALSE(t_.simulator.FindUnit(101)->on());
}

TEST_F(SafeActionsTest, S10_ItIsAskedAgainInSomebodyElsesTurnWhateverElseWaits) {
  t_.h.turn.Take();
  t_.driver->Refresh({t_.h.state.Id("battery_voltage")}, [](absl::Status) {});
  Busy();
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(40ms);
  Free();
  t_.h.Advance(100ms);
  EXPECT_FALSE(t_.simulator.FindUnit(101)->on());
}

TEST_F(SafeActionsTest, S10_NothingPassesItWhileItWaitsToBeAskedAgain) {
  Busy();
  t_.driver->Execute(SwitchOff());
  t_.driver->Refresh({t_.h.state.Id("battery_voltage")}, [](absl::Status) {});
  t_.h.Advance(200ms);
  for (const Request& request : t_.line.TakeRequests()) {
    EXPECT_EQ(request.service, Service::kWriteParameter);
  }
}

TEST_F(SafeActionsTest, S10_ItAsksForTheTurnBeforeAnybodyWhileItWaitsToBeAskedAgain) {
  t_.h.turn.Take();
  Busy();
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(30ms);
  EXPECT_EQ(t_.h.turn.wanted(), static_cast<int>(Rank::kSafe));
}

TEST_F(SafeActionsTest, S10_ItKeepsTheTurnWhileItWaitsToBeAskedAgain) {
  Busy();
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(30ms);
  EXPECT_TRUE(t_.h.turn.held());
  EXPECT_EQ(t_.h.turn.turns(), turns_ + 1);
}

TEST_F(SafeActionsTest, S10_ItGoesOutWithTheTurn) {
  t_.h.turn.Take();
  Busy();
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(30ms);
  Writes();
  ASSERT_TRUE(t_.h.turn.Free());
  t_.driver->OnTurn();
  EXPECT_THAT(Writes(), ElementsAre("03280080#0577003F800000"));
}

TEST_F(SafeActionsTest, TheTurnIsGivenBackAfterIt) {
  Busy();
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(40ms);
  Free();
  t_.h.Advance(200ms);
  EXPECT_FALSE(t_.h.turn.held());
}

TEST_F(SafeActionsTest, OfAGatewayThatIsNeverFreeItIsToldAfterTenSeconds) {
  Busy();
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(9900ms);
  EXPECT_EQ(t_.h.commands.finished(1), nullptr);
  t_.h.Advance(300ms);
  ASSERT_NE(t_.h.commands.finished(1), nullptr);
  EXPECT_EQ(GetErrorInfo(t_.h.commands.finished(1)->status).fields["error"], "GATEWAY_BUSY");
}

// ---------------------------------------------------------------- a unit that fails (0x29)

TEST_F(SafeActionsTest, S10_OneThatFailedIsRepeatedOnce) {
  Fail();
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(30ms);
  Free();
  t_.h.Advance(200ms);
  EXPECT_FALSE(t_.simulator.FindUnit(101)->on());
}

TEST_F(SafeActionsTest, S11_EveryWriteToFlashOfOneThatFailedIsCounted) {
  Fail();
  t_.driver->Execute(SwitchOff());
  t_.h.Advance(500ms);
  EXPECT_EQ(Writes().size(), 2u);
  EXPECT_EQ(t_.h.state.Read("flash_wear").value.text(), "1399=2");
}

}  // namespace
}  // namespace canhub::studer
