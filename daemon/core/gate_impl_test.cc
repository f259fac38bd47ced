#include "daemon/core/gate_impl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "daemon/core/gate_testing.h"
#include "daemon/core/request_ids.h"

namespace canhub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using namespace std::chrono_literals;

class GateTest : public ::testing::Test {
 protected:
  // Refused with this code and reason, and nothing reached the device (S08).
  void ExpectRefused(CommandRequest request, absl::StatusCode code, const std::string& reason) {
    const absl::Status status = lab_.Refusal(std::move(request));
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(ReasonOf(status), reason) << status;
    EXPECT_THAT(lab_.target().commands, IsEmpty());
    EXPECT_THAT(lab_.audit.Lines().back(), StartsWith("refused "));
  }
  GateTestLab lab_;
};

TEST_F(GateTest, AnAcceptedWriteIsAuditedThenPostedThenAnswered) {
  lab_.Submit(lab_.Write("ch3.voltage_set", Value::Integer(1000)));
  ASSERT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_THAT(lab_.audit.Lines(),
              ElementsAre("command  ch3.voltage_set = 1000 V, wait for confirmed"));
  const auto& writes = std::get<std::vector<ItemWrite>>(lab_.target().commands[0].what);
  EXPECT_EQ(lab_.items->Name(writes[0].item), "ch3.voltage_set");
  EXPECT_EQ(writes[0].value, Value::Number(1000));
  EXPECT_EQ(lab_.target().commands[0].urgency, Urgency::kCommand);
  EXPECT_EQ(lab_.gate->UnderWay("hv0"), 1);
  EXPECT_THAT(lab_.results, IsEmpty());
  lab_.target().Finish(0);
  ASSERT_THAT(lab_.results, SizeIs(1));
  EXPECT_TRUE(lab_.results[0].status.ok());
  EXPECT_EQ(lab_.results[0].receipt.accepted, lab_.clock.Now());
  EXPECT_EQ(lab_.gate->UnderWay("hv0"), 0);
  EXPECT_THAT(lab_.audit.Lines().back(), StartsWith("result OK ch3.voltage_set = 1000 V"));
}

TEST_F(GateTest, ALimitIsNamedWithValueBoundAndOrigin) {
  const absl::Status status = lab_.Refusal(lab_.Write("ch3.voltage_set", Value::Number(1250)));
  EXPECT_TRUE(absl::IsOutOfRange(status));
  EXPECT_THAT(std::string(status.message()),
              StartsWith("hv0: 1250 V is above the limit of 1000 V (lab.yaml:41, "
                         "devices.hv0.limits.voltage)"));
  const ErrorInfo info = GetErrorInfo(status);
  EXPECT_EQ(info.reason, "SETPOINT_ABOVE_LIMIT");
  EXPECT_EQ(info.fields, (ErrorFields{{"device_id", "hv0"},
                                      {"item", "ch3.voltage_set"},
                                      {"requested", "1250"},
                                      {"limit", "1000"},
                                      {"unit", "V"},
                                      {"origin", "lab.yaml:41, devices.hv0.limits.voltage"}}));
  EXPECT_THAT(lab_.target().commands, IsEmpty());
}

TEST_F(GateTest, ACheckSaysWhatSubmitWouldAndDoesNothing) {
  const CommandRequest good = lab_.Write("ch3.voltage_set", Value::Number(1000));
  EXPECT_TRUE(lab_.gate->Check(good).ok());
  CommandRequest bad = lab_.Write("ch3.voltage_set", Value::Number(1250));
  EXPECT_EQ(lab_.gate->Check(bad), lab_.Refusal(bad));
  CommandRequest named = good;
  named.request_id = "a";
  lab_.Submit(named);
  EXPECT_EQ(lab_.gate->Check(named).code(), absl::StatusCode::kAlreadyExists);
  named.request_id = "b";
  EXPECT_TRUE(lab_.gate->Check(named).ok());
  EXPECT_TRUE(lab_.gate->Check(named).ok());
  bad.device_id = "hv9";
  EXPECT_EQ(lab_.gate->Check(bad).code(), absl::StatusCode::kNotFound);
  bad = good;
  bad.caller = lab_.viewer;
  EXPECT_EQ(lab_.gate->Check(bad).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(lab_.target().commands, SizeIs(1)) << "Submit's own";
  EXPECT_THAT(lab_.audit.Lines(), SizeIs(2)) << "Refusal's own, and Submit's";
}

TEST_F(GateTest, ALimitBoundsTheMagnitude) {
  ExpectRefused(lab_.Write("ch3.voltage_set", Value::Number(-1000.001)),
                absl::StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT");
  lab_.Submit(lab_.Write("ch3.voltage_set", Value::Number(-1000)));
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
}

TEST_F(GateTest, ALimitBoundsAnActionsArgument) {
  ExpectRefused(lab_.Act("set_ramp", {{"up", Value::Number(51)}}), absl::StatusCode::kOutOfRange,
                "SETPOINT_ABOVE_LIMIT");
}

TEST_F(GateTest, AReloadedLimitHoldsForTheNextCommand) {
  auto device = std::make_shared<GatedDevice>(lab_.Device(0));
  device->config.limits["voltage"] = 500;
  lab_.gate->SetDevice(device);
  ExpectRefused(lab_.Write("ch3.voltage_set", Value::Number(501)), absl::StatusCode::kOutOfRange,
                "SETPOINT_ABOVE_LIMIT");
}

TEST_F(GateTest, RefusesByRoleTypeRangeAndName) {
  using Code = absl::StatusCode;
  CommandRequest request = lab_.Write("ch3.voltage_set", Value::Number(1));
  request.caller = lab_.viewer;
  ExpectRefused(request, Code::kPermissionDenied, "ROLE_TOO_LOW");
  ExpectRefused(lab_.Act("factory_reset"), Code::kPermissionDenied, "ROLE_TOO_LOW");
  ExpectRefused(lab_.Write("ch3.voltage_sett", Value::Number(1)), Code::kNotFound, "ITEM_UNKNOWN");
  ExpectRefused(lab_.Act("ramp_dwon"), Code::kNotFound, "ACTION_UNKNOWN");
  ExpectRefused(lab_.Write("ch3.voltage_measure", Value::Number(1)), Code::kFailedPrecondition,
                "ITEM_READ_ONLY");
  ExpectRefused(lab_.Write("ch3.on", Value::Integer(1)), Code::kInvalidArgument, "VALUE_TYPE");
  ExpectRefused(lab_.Write("ch3.delayed_trip_time", Value::Number(5)), Code::kInvalidArgument,
                "VALUE_TYPE");
  ExpectRefused(lab_.Write("ch3.voltage_set", Value()), Code::kInvalidArgument, "VALUE_TYPE");
  ExpectRefused(lab_.Write("ch3.voltage_set", Value::Number(6001)), Code::kOutOfRange,
                "VALUE_ABOVE_RANGE");
  ExpectRefused(lab_.Write("ch3.delayed_trip_time", Value::Integer(0)), Code::kOutOfRange,
                "VALUE_BELOW_RANGE");
  ExpectRefused(lab_.Write("label", Value::Text(std::string(300, 'x'))), Code::kInvalidArgument,
                "TEXT_TOO_LONG");
  ExpectRefused(lab_.Act("set_ramp"), Code::kInvalidArgument, "ARGUMENT_MISSING");
  ExpectRefused(lab_.Act("ramp_down", {{"x", Value::Number(1)}}), Code::kInvalidArgument,
                "ARGUMENT_UNKNOWN");
}

TEST_F(GateTest, AMisspelledNameIsAnsweredWithTheClosest) {
  EXPECT_THAT(std::string(lab_.Refusal(lab_.Write("ch3.voltage_sett", Value::Number(1))).message()),
              HasSubstr("did you mean ch3.voltage_set"));
  CommandRequest request = lab_.Write("ch3.on", Value::Flag(true));
  request.device_id = "hv00";
  EXPECT_THAT(std::string(lab_.Refusal(request).message()), HasSubstr("did you mean hv0?"));
}

TEST_F(GateTest, TheRangeThatTheDeviceReportsIsNamedAsItsOwn) {
  lab_.writers[0]->SetRange(*lab_.items->Find("ch3.voltage_set"), std::nullopt, 800);
  lab_.writers[0]->Commit();
  const absl::Status status = lab_.Refusal(lab_.Write("ch3.voltage_set", Value::Number(-801)));
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("as hv0 reports"));
}

TEST_F(GateTest, S08_OneWrongWriteAmongManySendsNone) {
  CommandRequest request = lab_.Write("ch0.voltage_set", Value::Number(10));
  std::get<std::vector<NamedWrite>>(request.what)
      .push_back({"ch1.voltage_set", Value::Number(9e9)});
  ExpectRefused(request, absl::StatusCode::kOutOfRange, "VALUE_ABOVE_RANGE");
}

TEST_F(GateTest, RefusesNoWritesAndTooMany) {
  CommandRequest request = lab_.Write("ch3.on", Value::Flag(true));
  auto& writes = std::get<std::vector<NamedWrite>>(request.what);
  writes.resize(HubGate::kMaxWrites + 1, writes[0]);
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, "TOO_MANY_WRITES");
  writes.clear();
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, "NO_WRITES");
}

TEST_F(GateTest, S02_ACommandWhoseDeadlineHasPassedIsRefused) {
  CommandRequest request = lab_.Write("ch3.on", Value::Flag(true));
  request.deadline = lab_.clock.Now();
  ExpectRefused(request, absl::StatusCode::kDeadlineExceeded, "DEADLINE_PASSED");
}

TEST_F(GateTest, S02_EveryCommandHasADeadlineInItsGuard) {
  CommandRequest request = lab_.Write("ch3.on", Value::Flag(true));
  lab_.Submit(request);
  request.wait_for = Stage::kSettled;
  lab_.Submit(request);
  request.deadline = lab_.clock.Now() + 3s;
  lab_.Submit(request);
  const MonoTime now = lab_.clock.Now();
  const auto& commands = lab_.target().commands;
  EXPECT_EQ(commands[0].guard->deadline(), now + HubGate::kDefaultDeadline);
  EXPECT_EQ(commands[1].guard->deadline(), now + HubGate::kDefaultSettledDeadline);
  EXPECT_EQ(commands[2].guard->deadline(), now + 3s);
}

TEST_F(GateTest, ARequestIdActsOncePerCallerAndDeviceForTenMinutes) {
  CommandRequest request = lab_.Write("ch3.on", Value::Flag(true));
  request.request_id = "scan-1";
  lab_.Submit(request);
  lab_.clock.Advance(10min - 1ms);
  EXPECT_TRUE(absl::IsAlreadyExists(lab_.Refusal(request)));
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
  request.caller = lab_.bob;
  lab_.Submit(request);
  EXPECT_THAT(lab_.target().commands, SizeIs(2));
  request.caller = lab_.alice;
  lab_.clock.Advance(1ms);
  lab_.Submit(request);
  EXPECT_THAT(lab_.target().commands, SizeIs(3));
}

TEST_F(GateTest, ARefusedCommandDoesNotUseUpItsRequestId) {
  CommandRequest request = lab_.Write("ch3.on", Value::Flag(true));
  request.request_id = "scan-1";
  lab_.target().full = true;
  EXPECT_TRUE(absl::IsResourceExhausted(lab_.Refusal(request)));
  lab_.target().full = false;
  lab_.Submit(request);
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
}

TEST_F(GateTest, AFullMailboxIsAnsweredAndAudited) {
  lab_.target().full = true;
  EXPECT_TRUE(absl::IsResourceExhausted(lab_.Refusal(lab_.Write("ch3.on", Value::Flag(true)))));
  EXPECT_THAT(lab_.audit.Lines().back(), StartsWith("result RESOURCE_EXHAUSTED ch3.on = true"));
  EXPECT_EQ(lab_.gate->UnderWay("hv0"), 0);
  EXPECT_EQ(lab_.gate->Counters("hv0").refused, 1u);
}

TEST_F(GateTest, WithoutARecordNothingIsSent) {
  lab_.audit.set_problem("/var/lib/canhub/state.db: disk full");
  const absl::Status status = lab_.Refusal(lab_.Write("ch3.on", Value::Flag(true)));
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(ReasonOf(status), "AUDIT_NOT_WRITABLE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("/var/lib/canhub/state.db: disk full"));
  EXPECT_THAT(lab_.target().commands, IsEmpty());
}

// Refuses from its n-th question on, and keeps what it was asked.
class FakeInterlocks final : public InterlockAuthority {
 public:
  explicit FakeInterlocks(int refuses_from) : refuses_from_(refuses_from) {}
  absl::Status MayCommand(const std::string& device_id,
                          const std::vector<std::string>& names) const override {
    for (const std::string& name : names) asked.push_back(device_id + "/" + name);
    return Answer();
  }
  absl::Status MaySet(const InterlockWrite& write) const override {
    asked.push_back(write.interlock + " " + write.device_id + "/" + write.write.item);
    return Answer();
  }
  absl::Status MaySendFrames(const std::vector<std::string>& device_ids) const override {
    asked.insert(asked.end(), device_ids.begin(), device_ids.end());
    return Answer();
  }
  mutable std::vector<std::string> asked;

 private:
  absl::Status Answer() const {
    return ++questions_ < refuses_from_
               ? absl::OkStatus()
               : MakeError(absl::StatusCode::kFailedPrecondition, "INTERLOCKED", "tripped");
  }
  const int refuses_from_;
  mutable int questions_ = 0;
};

TEST_F(GateTest, AnInterlockRefusesACommandByTheNamesOfItsItems) {
  const FakeInterlocks interlocks(1);
  lab_.gate->SetInterlocks(&interlocks);
  EXPECT_EQ(
      GetErrorInfo(lab_.Refusal(lab_.Write("ch3.Control.voltageSet", Value::Number(10)))).reason,
      "INTERLOCKED");
  EXPECT_THAT(interlocks.asked, ElementsAre(lab_.Device(0).config.id + "/ch3.voltage_set"));
  EXPECT_THAT(lab_.target().commands, SizeIs(0));
  lab_.gate->SetInterlocks(nullptr);
  lab_.Submit(lab_.Write("ch3.voltage_set", Value::Number(10)));
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
}

TEST_F(GateTest, S02_AnInterlockIsAskedAgainOnceTheCommandCanBeRevoked) {
  const FakeInterlocks interlocks(2);
  lab_.gate->SetInterlocks(&interlocks);
  EXPECT_EQ(GetErrorInfo(lab_.Refusal(lab_.Write("ch3.voltage_set", Value::Number(10)))).reason,
            "INTERLOCKED");
  EXPECT_THAT(lab_.target().commands, SizeIs(0));
  EXPECT_EQ(lab_.gate->UnderWay(lab_.Device(0).config.id), 0);
}

TEST_F(GateTest, S10_NoInterlockRefusesASafeAction) {
  const FakeInterlocks interlocks(1);
  lab_.gate->SetInterlocks(&interlocks);
  lab_.Submit(lab_.Act("emergency_off"));
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_THAT(interlocks.asked, SizeIs(0));
}

// ---------------------------------------------------------------- steps of interlocks

const InterlockWrite kStep{"heat", "hv0", {"ch3.voltage_set", Value::Number(10)}};

TEST_F(GateTest, AStepOfAnInterlockNeedsNoLeaseAndStandsInTheRecordAsIts) {
  auto device = std::make_shared<GatedDevice>(lab_.Device(0));
  device->require_lease = true;
  lab_.gate->SetDevice(device);
  lab_.gate->SubmitInterlockWrite(kStep, kNever, nullptr);
  ASSERT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_EQ(lab_.target().commands[0].urgency, Urgency::kCommand);
  ASSERT_THAT(lab_.audit.entries(), SizeIs(1));
  EXPECT_EQ(lab_.audit.entries()[0].identity, "interlock:heat");
  EXPECT_EQ(lab_.audit.entries()[0].text, "ch3.voltage_set = 10 V, wait for confirmed");
}

TEST_F(GateTest, AStepOfAnInterlockKeepsToTheLimits) {
  InterlockWrite step = kStep;
  step.write.value = Value::Number(1001);
  absl::Status status;
  lab_.gate->SubmitInterlockWrite(step, kNever, [&](CommandResult r) { status = r.status; });
  EXPECT_EQ(ReasonOf(status), "SETPOINT_ABOVE_LIMIT");
  EXPECT_THAT(lab_.target().commands, IsEmpty());
}

TEST_F(GateTest, AStepOfAnInterlockIsRefusedByOthers) {
  const FakeInterlocks interlocks(1);
  lab_.gate->SetInterlocks(&interlocks);
  absl::Status status;
  lab_.gate->SubmitInterlockWrite(kStep, kNever, [&](CommandResult r) { status = r.status; });
  EXPECT_EQ(ReasonOf(status), "INTERLOCKED");
  EXPECT_THAT(interlocks.asked, ElementsAre("heat hv0/ch3.voltage_set"));
}

TEST_F(GateTest, ARecordThatIsFullStopsNoStepOfAnInterlock) {
  lab_.audit.set_problem("disk full");
  lab_.gate->SubmitInterlockWrite(kStep, kNever, nullptr);
  EXPECT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_THAT(lab_.audit.entries(), SizeIs(1));
}

TEST_F(GateTest, ARevokedDeviceKeepsTheStepThatMayGoOn) {
  lab_.gate->SubmitInterlockWrite(kStep, kNever, nullptr);
  lab_.Submit(lab_.Write("ch3.voltage_set", Value::Number(5)));
  EXPECT_EQ(lab_.gate->RevokeDevice("hv0", absl::AbortedError("tripped")), 1);
  EXPECT_TRUE(lab_.target().commands[0].guard->MaySend(lab_.clock.Now()));
  const FakeInterlocks interlocks(1);
  lab_.gate->SetInterlocks(&interlocks);
  EXPECT_EQ(lab_.gate->RevokeDevice("hv0", absl::AbortedError("tripped")), 1);
  EXPECT_FALSE(lab_.target().commands[0].guard->MaySend(lab_.clock.Now()));
}

TEST_F(GateTest, AnInterlockRefusesRawFramesOfItsDevicesBus) {
  const FakeInterlocks interlocks(1);
  lab_.gate->SetInterlocks(&interlocks);
  EXPECT_EQ(GetErrorInfo(lab_.Refusal(lab_.Frame())).reason, "INTERLOCKED");
}

TEST_F(GateTest, S10_ASafeActionIsNeverRefusedForLeaseRecordMailboxOrDeadline) {
  lab_.audit.set_problem("disk full");
  lab_.target().full = true;
  auto device = std::make_shared<GatedDevice>(lab_.Device(0));
  device->require_lease = true;
  lab_.gate->SetDevice(device);
  CommandRequest request = lab_.Act("emergency_off", {{"channel", Value::Integer(3)}});
  request.deadline = lab_.clock.Now() - 1s;
  request.lease_id = "unknown";
  lab_.Submit(request);
  ASSERT_THAT(lab_.target().commands, SizeIs(1));
  EXPECT_EQ(lab_.target().commands[0].urgency, Urgency::kSafe);
  EXPECT_TRUE(lab_.target().commands[0].guard->MaySend(lab_.clock.Now()));
  EXPECT_THAT(lab_.audit.Lines(),
              ElementsAre("safe_action  emergency_off(channel = 3), wait for confirmed"));
}

TEST_F(GateTest, ASafeActionNeedsTheRoleOperator) {
  CommandRequest request = lab_.Act("emergency_off");
  request.caller = lab_.viewer;
  ExpectRefused(request, absl::StatusCode::kPermissionDenied, "ROLE_TOO_LOW");
}

TEST_F(GateTest, S10_ASafeActionWithdrawsWhatItOvertakes) {
  lab_.Submit(lab_.Write("ch3.on", Value::Flag(true)));
  lab_.Submit(lab_.Frame());
  lab_.gate->SubmitSafeAction("hv0", "ramp_down", "test", nullptr);
  EXPECT_TRUE(lab_.target().commands[0].guard->revoked());
  EXPECT_TRUE(lab_.bus.frames[0].guard->revoked());
  EXPECT_FALSE(lab_.target().commands[1].guard->revoked());
  lab_.target().Finish(0, absl::AbortedError("withdrawn"));
  EXPECT_EQ(ReasonOf(lab_.results.back().status), "OVERTAKEN_BY_SAFE_ACTION");
}

TEST_F(GateTest, TheDaemonsSafeActionIsAuditedWithItsReason) {
  absl::Status ended = absl::UnknownError("");
  lab_.gate->SubmitSafeAction("hv0", "ramp_down", "shutdown",
                              [&](const CommandResult& result) { ended = result.status; });
  EXPECT_EQ(lab_.audit.entries().back().identity, "canhubd");
  EXPECT_THAT(lab_.audit.Lines(), ElementsAre("safe_action  ramp_down (shutdown)"));
  lab_.target().Finish(0);
  EXPECT_TRUE(ended.ok());
}

TEST_F(GateTest, AnActionThatIsNotSafeCannotServeAsOne) {
  absl::Status ended;
  lab_.gate->SubmitSafeAction("hv0", "factory_reset", "test",
                              [&](const CommandResult& result) { ended = result.status; });
  EXPECT_EQ(ReasonOf(ended), "ACTION_NOT_SAFE");
  EXPECT_THAT(lab_.target().commands, IsEmpty());
}

TEST_F(GateTest, ADeviceThatIsNotIdentifiedYetIsUnavailable) {
  lab_.writers[0]->SetItems(std::make_shared<ItemTable>(std::vector<ItemBlock>{}));
  lab_.writers[0]->Commit();
  ExpectRefused(lab_.Write("ch3.on", Value::Flag(true)), absl::StatusCode::kUnavailable,
                "DEVICE_NOT_IDENTIFIED");
}

TEST_F(GateTest, TextsFromOutsideStayOneBoundedLineInTheRecord) {
  lab_.Submit(lab_.Write("ch3.on\nforged " + std::string(100'000, 'x'), Value::Flag(true)));
  const std::string line = lab_.audit.Lines().back();
  EXPECT_LT(line.size(), 3000u);
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

TEST_F(GateTest, CallbacksMayOutliveTheGate) {
  lab_.Submit(lab_.Write("ch3.on", Value::Flag(true)));
  lab_.gate.reset();
  lab_.target().Finish(0);
  EXPECT_THAT(lab_.results, SizeIs(1));
}

TEST_F(GateTest, AFrameIsAnsweredWhenItIsOnTheWire) {
  lab_.Submit(lab_.Frame());
  EXPECT_THAT(lab_.audit.Lines(), ElementsAre("frame  210#4100, wait for on the wire"));
  EXPECT_THAT(lab_.results, IsEmpty());
  lab_.bus.Report(0, TxOutcome::kOnWire, lab_.clock.Now() + 1ms);
  ASSERT_THAT(lab_.results, SizeIs(1));
  EXPECT_TRUE(lab_.results[0].status.ok());
  EXPECT_EQ(lab_.results[0].receipt.on_wire, lab_.clock.Now() + 1ms);
}

TEST_F(GateTest, AFrameThatIsOnlyToBeSentIsAnsweredAtOnceAndItsEndAudited) {
  FrameRequest request = lab_.Frame();
  request.wait_for = Stage::kSent;
  lab_.Submit(request);
  ASSERT_THAT(lab_.results, SizeIs(1));
  EXPECT_TRUE(lab_.results[0].status.ok());
  lab_.bus.Report(0, TxOutcome::kPurged, lab_.clock.Now());
  EXPECT_THAT(lab_.results, SizeIs(1));
  EXPECT_THAT(lab_.audit.Lines().back(), StartsWith("result UNAVAILABLE 210#4100"));
}

TEST_F(GateTest, AFrameNeedsAnEngineerABusAndItsForm) {
  FrameRequest request = lab_.Frame();
  request.caller = lab_.alice;
  EXPECT_EQ(ReasonOf(lab_.Refusal(request)), "ROLE_TOO_LOW");
  request = lab_.Frame();
  request.bus_id = "can1";
  EXPECT_EQ(ReasonOf(lab_.Refusal(request)), "BUS_UNKNOWN");
  request = lab_.Frame();
  request.frame.id = 0x800;
  EXPECT_EQ(ReasonOf(lab_.Refusal(request)), "NOT_A_CLASSIC_FRAME");
  request = lab_.Frame();
  request.deadline = lab_.clock.Now();
  EXPECT_EQ(ReasonOf(lab_.Refusal(request)), "DEADLINE_PASSED");
  lab_.bus.refuse = absl::UnavailableError("can0 is off");
  EXPECT_TRUE(absl::IsUnavailable(lab_.Refusal(lab_.Frame())));
  EXPECT_THAT(lab_.bus.frames, IsEmpty());
}

// Found by the simulation: the frame was formatted, beyond its data, before it was checked.
TEST_F(GateTest, S07_AFrameLongerThanAnyIsRefusedAndOverrunsNothing) {
  FrameRequest request = lab_.Frame();
  request.frame.dlc = 200;
  EXPECT_EQ(ReasonOf(lab_.Refusal(request)), "NOT_A_CLASSIC_FRAME");
  EXPECT_THAT(lab_.audit.Lines().back(), HasSubstr("a frame of 200 bytes"));
  EXPECT_THAT(lab_.bus.frames, IsEmpty());
}

TEST_F(GateTest, AFrameThatTheBusForgetsStillEnds) {
  FrameRequest request = lab_.Frame();
  request.deadline = lab_.clock.Now() + 1s;
  lab_.Submit(request);
  lab_.gate->RunUntil(lab_.clock.Now());
  EXPECT_THAT(lab_.results, IsEmpty());
  lab_.clock.Advance(2s);
  lab_.gate->RunUntil(lab_.clock.Now());
  ASSERT_THAT(lab_.results, SizeIs(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(lab_.results[0].status));
}

TEST_F(GateTest, FramesUnderWayEndWhenTheBusesGo) {
  lab_.Submit(lab_.Frame());
  lab_.gate->DetachBuses();
  ASSERT_THAT(lab_.results, SizeIs(1));
  EXPECT_TRUE(absl::IsUnavailable(lab_.results[0].status));
}

TEST(RequestIdsTest, AFloodIsRefusedRatherThanAnIdForgotten) {
  RequestIds ids;
  const MonoTime now(1h);
  for (size_t i = 0; i < RequestIds::kMaxPerCaller; ++i) {
    ASSERT_TRUE(ids.Claim("alice", "hv0", std::to_string(i), i, now).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(ids.Claim("alice", "hv0", "one more", 1, now)));
  EXPECT_TRUE(ids.Claim("bob", "hv0", "mine", 1, now).ok());
  EXPECT_TRUE(ids.Claim("alice", "hv0", "one more", 1, now + RequestIds::kMemory).ok());
}

}  // namespace
}  // namespace canhub
