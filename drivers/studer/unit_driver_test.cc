#include "drivers/studer/unit_driver.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/studer/line_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::studer {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

auto IsWrite() { return Field(&Request::service, Service::kWriteParameter); }

// ---------------------------------------------------------------- finding a unit

TEST(UnitDriver, FindsItsUnitAndSaysWhoItIs) {
  TestUnit t;
  t.StartPolled();
  EXPECT_EQ(t.h.state.link(), LinkState::kOnline);
  EXPECT_TRUE(t.h.state.polled());
  EXPECT_EQ(t.h.state.identity().at("unit"), "xtender 1");
  EXPECT_EQ(t.h.state.identity().at("firmware_version"), "1.6.30");  // section 3.3
  EXPECT_EQ(t.h.state.identity().at("serial_number"), "305419896");
}

TEST(UnitDriver, ReadsItsDefaultInfos) {
  TestUnit t;
  t.StartPolled();
  for (const uint16_t id : DefaultInfos(Family::kXtender)) {
    EXPECT_EQ(t.h.state.Read(std::to_string(id)).quality, Quality::kGood) << id;
  }
  EXPECT_EQ(t.h.state.Read("output_voltage").value.number(), 230);
  EXPECT_EQ(t.h.state.Read("state_of_the_inverter").value.integer(), 1);
}

TEST(UnitDriver, S01_StartingSendsReadsOnly) {
  TestUnit t;
  t.Start();
  t.h.Advance(30s);
  const std::vector<Request> requests = t.line.TakeRequests();
  EXPECT_FALSE(requests.empty());
  EXPECT_THAT(requests, Each(Not(IsWrite())));
}

TEST(UnitDriver, PollsWhatTheConfigurationNames) {
  TestUnit t({{"infos", Value::Text("3000, output_voltage")}, {"parameters", Value::Text("1107")}});
  t.StartPolled();
  t.h.Advance(5s);
  std::vector<uint16_t> objects;
  for (const Request& request : t.line.TakeRequests()) objects.push_back(request.object);
  EXPECT_THAT(objects, ElementsAre(3000, 3021, 1107));
}

TEST(UnitDriver, HasOneQuestionOnTheBusAtATime) {
  TestUnit t;
  int open = 0, most = 0;
  t.Start();
  for (int i = 0; i < 2000; ++i) {
    t.h.Advance(1ms);
    open += static_cast<int>(t.line.TakeRequests().size());
    most = std::max(most, open);
    open -= static_cast<int>(t.line.TakeAnswers().size());
  }
  EXPECT_EQ(most, 1);
}

TEST(UnitDriver, PollingKeepsToItsShareOfTheLine) {
  TestUnit t({{"poll", Value::Number(0.05)}}, {{"sim_answer_delay", Value::Number(0)}});
  t.h.bus_info = {.id = "can0", .bitrate = 125000, .poll_share = 0.1};
  t.MakeDriver();
  t.StartPolled();
  t.h.Advance(10s);
  int64_t bits = 0;
  for (const TxFrame& tx : t.line.TakeSent()) bits += WireBits(tx.frame);
  for (const CanFrame& frame : t.line.TakeAnswers()) bits += WireBits(frame);
  EXPECT_LE(bits, 125000);
  EXPECT_GE(bits, 60000);
}

TEST(UnitDriver, AnAbsentUnitIsAskedForEverMoreSeldom) {
  TestUnit t({{"number", Value::Integer(9)}});
  t.Start();
  t.h.Advance(60s);
  const size_t first_minute = t.line.TakeRequests().size();
  EXPECT_GE(first_minute, 4u);
  EXPECT_LE(first_minute, 7u);
  t.h.Advance(60s);
  EXPECT_LE(t.line.TakeRequests().size(), 3u);
  EXPECT_EQ(t.h.state.link(), LinkState::kSearching);
  EXPECT_THAT(t.h.state.link_text(), HasSubstr("DEVICE_NOT_FOUND"));
}

TEST(UnitDriver, ABatteryMonitorOfTheOtherKindIsUnsupported) {  // section 10
  TestUnit t({{"unit", Value::Text("bms")}});
  t.Start();
  t.h.Advance(1s);
  EXPECT_EQ(t.h.state.link(), LinkState::kUnsupported);
}

TEST(UnitDriver, ARemoteControlIsHeardAndNotAsked) {  // section 4
  TestUnit t({{"unit", Value::Text("rcc")}});
  t.Start();
  t.h.Advance(30s);
  EXPECT_THAT(t.line.TakeRequests(), IsEmpty());
  EXPECT_EQ(t.h.state.link(), LinkState::kOnline);
  EXPECT_TRUE(t.h.state.polled());
}

TEST(UnitDriver, ASilentUnitIsLostAndFoundAgain) {
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(t.Fault("unit_silent").ok());
  t.h.Advance(10s);
  EXPECT_THAT(t.h.state.link(), testing::AnyOf(LinkState::kLost, LinkState::kSearching));
  EXPECT_FALSE(t.h.state.polled());
  EXPECT_GT(t.h.log.timeouts(), 2);
  ASSERT_TRUE(t.simulator.ClearFaults("").ok());
  t.h.Advance(60s);
  EXPECT_EQ(t.h.state.link(), LinkState::kOnline);
  EXPECT_EQ(t.h.state.Read("battery_voltage").quality, Quality::kGood);
}

TEST(UnitDriver, S03_AReadingIsGoodForThreePeriodsAndTwoSeconds) {
  TestUnit t;
  t.StartPolled();
  const Reading reading = t.h.state.Read("battery_voltage");
  EXPECT_EQ(reading.good_until - reading.read_time, 17s);
}

TEST(UnitDriver, S03_ReadingsEndWithTheUnit) {
  TestUnit t;
  t.StartPolled();
  t.line.Carry(false);
  t.h.Advance(17s);  // three periods and two seconds
  EXPECT_EQ(t.h.state.Read("battery_voltage").quality, Quality::kStale);
}

TEST(UnitDriver, WhatItCountedAndHeardStaysWhenTheUnitIsLost) {
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(t.Fault("message", {{"message", Value::Integer(16)}}).ok());
  t.h.Advance(10ms);
  t.driver->OnBusState(BusState::kBusOff);
  EXPECT_EQ(t.h.state.Read("flash_wear").quality, Quality::kGood);
  EXPECT_EQ(t.h.state.Read("last_message").quality, Quality::kGood);
}

TEST(UnitDriver, TheBusMayBeDownAtTheStart) {
  TestUnit t;
  t.driver->OnBusState(BusState::kDown);
  t.driver->Start();
  EXPECT_EQ(t.h.state.link(), LinkState::kBusDown);
  t.driver->OnBusState(BusState::kActive);
  t.h.Advance(2s);
  EXPECT_EQ(t.h.state.link(), LinkState::kOnline);
}

TEST(UnitDriver, GoesWithTheBus) {
  TestUnit t;
  t.StartPolled();
  t.driver->OnBusState(BusState::kBusOff);
  EXPECT_EQ(t.h.state.link(), LinkState::kBusDown);
  EXPECT_EQ(t.h.state.Read("battery_voltage").quality, Quality::kStale);
  t.line.TakeRequests();
  t.h.Advance(30s);
  EXPECT_THAT(t.line.TakeRequests(), IsEmpty());
  t.driver->OnBusState(BusState::kActive);
  t.h.Advance(2s);
  EXPECT_EQ(t.h.state.link(), LinkState::kOnline);
}

// ---------------------------------------------------------------- answers

TEST(UnitDriver, ANumberThatIsNoneIsNoReading) {  // section 3.2
  TestUnit t({{"unit", Value::Text("bsp")}}, {{"sim_hour", Value::Number(12)}});
  t.StartPolled();
  EXPECT_NE(t.h.state.Read("remaining_autonomy").quality, Quality::kGood);
  EXPECT_EQ(t.h.state.Read("state_of_charge").quality, Quality::kGood);
}

TEST(UnitDriver, AMissingSensorIsNoReading) {  // section 3.2: 32767
  TestUnit t({{"infos", Value::Text("3001, 3000")}});
  t.StartPolled();
  EXPECT_NE(t.h.state.Read("3001").quality, Quality::kGood);
  EXPECT_EQ(t.h.state.Read("3000").quality, Quality::kGood);
}

TEST(UnitDriver, AnObjectThatIsMissingIsNotAskedForAgain) {  // section 6: 0x22
  TestUnit t({{"infos", Value::Text("3000, 3005")}});
  t.StartPolled();
  // Only this info is missing: the gateway answers it so.
  t.line.Connect(t.driver.get(), nullptr);
  bool answered = false;
  for (int i = 0; i < 20000 && !answered; ++i) {
    const std::vector<Request> requests = t.line.TakeRequests();
    t.h.Advance(1ms);
    for (const Request& request : requests) {
      const bool missing = request.object == 3005;
      t.line.Deliver(EncodeAnswer({.kind = missing ? Answer::Kind::kError : Answer::Kind::kValue,
                                   .source = 101,
                                   .service = request.service,
                                   .object = request.object,
                                   .value = 50,
                                   .error_code = missing ? 0x22u : 0u}));
      answered |= missing;
    }
  }
  ASSERT_TRUE(answered);
  t.line.Connect(t.driver.get(), &t.simulator);
  t.h.Advance(20s);
  for (const Request& request : t.line.TakeRequests()) EXPECT_NE(request.object, 3005);
}

TEST(UnitDriver, AUnitThatDeniesEverythingForAWhileIsStillAsked) {
  TestUnit t({{"infos", Value::Text("3021, 3005")}});
  t.StartPolled();
  ASSERT_TRUE(t.Fault("error", {{"code", Value::Integer(0x2C)}}).ok());
  t.h.Advance(6s);
  ASSERT_TRUE(t.simulator.ClearFaults("").ok());
  t.line.TakeRequests();
  t.h.Advance(6s);
  EXPECT_FALSE(t.line.TakeRequests().empty());
  t.h.Advance(2min);
  EXPECT_EQ(t.h.state.Read("3021").quality, Quality::kGood);
}

TEST(UnitDriver, ALatePollIsMadeUpForByTheNext) {
  TestUnit t({{"poll", Value::Number(0.05)}}, {{"sim_answer_delay", Value::Number(0)}});
  t.h.bus_info = {.id = "can0", .bitrate = 125000, .poll_share = 0.1};
  t.MakeDriver();
  t.StartPolled();
  // 260 bits of 125 kbit/s, a tenth of the time: a question each 20.8 ms, 192 in 4 s. Each other
  // one is answered after 30 ms, when the next is due already.
  size_t asked = 0;
  for (int i = 0; i < 4000; ++i) {
    t.h.Advance(1ms);
    if (t.line.TakeRequests().empty()) continue;
    if (++asked % 2 == 0) {
      ASSERT_TRUE(t.simulator.ClearFaults("").ok());
    } else {
      ASSERT_TRUE(t.Fault("delay", {{"milliseconds", Value::Integer(30)}}).ok());
    }
  }
  EXPECT_GE(asked, 180u);
  EXPECT_LE(asked, 193u);
}

struct Foreign {
  const char* fault;
  const char* reason;
};
class ForeignAnswers : public testing::TestWithParam<Foreign> {};
INSTANTIATE_TEST_SUITE_P(All, ForeignAnswers,
                         testing::Values(Foreign{"wrong_object", "unexpected_answer"},
                                         Foreign{"wrong_length", "short_frame"}),
                         [](const auto& info) { return std::string(info.param.fault); });
TEST_P(ForeignAnswers, AreCountedAndChangeNothing) {
  TestUnit t;
  t.StartPolled();
  const Reading before = t.h.state.Read("battery_voltage");
  ASSERT_TRUE(t.Fault(GetParam().fault).ok());
  t.h.Advance(6s);
  EXPECT_GT(t.h.log.bad_frames(GetParam().reason), 0);
  EXPECT_EQ(t.h.state.Read("battery_voltage").read_time, before.read_time);
}

TEST(UnitDriver, AnAnswerToTheGatewaysQuestionIsNoBadFrame) {
  TestUnit t;
  t.StartPolled();
  // Info 3000 of Xtender 1, 50.5625 V, to client 0: what the gateway asks at the start and in a
  // scan.
  t.line.Deliver(*ParseFrame("0000CA00#0BB8424A4000"));
  EXPECT_EQ(t.h.log.bad_frames("unexpected_answer"), 0);
  // 3001, which no device of ours asked.
  t.line.Deliver(*ParseFrame("0000CA00#0BB9424A4000"));
  EXPECT_EQ(t.h.log.bad_frames("unexpected_answer"), 1);
}

TEST(UnitDriver, ALateAnswerIsNotTakenForTheNextOnes) {  // section 5
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(t.Fault("delay", {{"milliseconds", Value::Integer(1200)}}).ok());
  t.h.Advance(8s);
  EXPECT_GT(t.h.log.bad_frames("unexpected_answer"), 0);
}

TEST(UnitDriver, ABusyGatewayIsAskedAgain) {  // section 6: 0x13
  TestUnit t({{"infos", Value::Text("3000")}});
  t.StartPolled();
  ASSERT_TRUE(t.Fault("error", {{"code", Value::Integer(0x13)}}).ok());
  t.h.Advance(5100ms);
  const size_t asked = t.line.TakeRequests().size();
  EXPECT_GE(asked, 2u);
  EXPECT_LE(asked, 6u);
  ASSERT_TRUE(t.simulator.ClearFaults("").ok());
  t.h.Advance(6s);
  EXPECT_EQ(t.h.state.link(), LinkState::kOnline);
  EXPECT_EQ(t.h.state.Read("3000").quality, Quality::kGood);
}

// ---------------------------------------------------------------- fresh reads

TEST(UnitDriver, ReadsAnyInfoWhenAsked) {
  TestUnit t;
  t.StartPolled();
  ASSERT_EQ(t.h.state.Read("3089").quality, Quality::kNeverRead);
  absl::Status status = absl::UnknownError("not called");
  t.driver->Refresh({t.h.state.Id("3089")}, [&](absl::Status s) { status = s; });
  t.h.Advance(100ms);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(t.h.state.Read("3089").value.number(), 1);
}

TEST(UnitDriver, AFreshParameterComesWithItsBounds) {
  TestUnit t;
  t.StartPolled();
  int calls = 0;
  t.driver->Refresh({t.h.state.Id("parameter.floating_voltage")}, [&](absl::Status s) {
    EXPECT_TRUE(s.ok()) << s;
    ++calls;
  });
  t.h.Advance(200ms);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(t.h.state.Read("parameter.floating_voltage").value.number(), 54.4);
  EXPECT_EQ(t.h.state.Read("flash.floating_voltage").value.number(), 54.4);
  EXPECT_EQ(t.h.state.Range("parameter.floating_voltage"),
            std::pair(std::optional<double>(37.9), std::optional<double>(57.6)));  // 7.1: 1156
}

TEST(UnitDriver, AFreshReadOfASilentUnitEndsWithUnavailable) {
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(t.Fault("silence").ok());
  absl::Status status;
  t.driver->Refresh({t.h.state.Id("3089")}, [&](absl::Status s) { status = s; });
  t.h.Advance(10s);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  t.driver->Refresh({t.h.state.Id("3089")}, [&](absl::Status s) { status = s; });
  EXPECT_EQ(GetErrorInfo(status).reason, "UNIT_SILENT");
}

TEST(UnitDriver, AnItemThatTheUnitLacksIsNotAvailableAndTheOthersAreRead) {
  TestUnit t({{"unit", Value::Text("variotrack")}});
  t.StartPolled();
  t.line.Connect(t.driver.get(), nullptr);
  absl::Status status;
  t.driver->Refresh({t.h.state.Id("11015"), t.h.state.Id("11050")},
                    [&](absl::Status s) { status = s; });
  for (int i = 0; i < 100; ++i) {
    const std::vector<Request> requests = t.line.TakeRequests();
    t.h.Advance(1ms);
    for (const Request& request : requests) {
      const bool missing = request.object == 11015;
      t.line.Deliver(EncodeAnswer({.kind = missing ? Answer::Kind::kError : Answer::Kind::kValue,
                                   .source = 301,
                                   .service = request.service,
                                   .object = request.object,
                                   .value = 256,
                                   .error_code = missing ? 0x22u : 0u}));
    }
  }
  EXPECT_EQ(GetErrorInfo(status).reason, "ITEM_NOT_AVAILABLE");
  EXPECT_EQ(GetErrorInfo(status).fields["objects"], "11015");
  EXPECT_EQ(t.h.state.Read("11050").value.number(), 256);
}

TEST(UnitDriver, AFreshReadIsBounded) {
  TestUnit t;
  t.StartPolled();
  std::vector<ItemId> items;
  for (ItemId item = 0; item < t.h.state.items().size(); ++item) items.push_back(item);
  absl::Status status;
  t.driver->Refresh(items, [&](absl::Status s) { status = s; });
  EXPECT_EQ(GetErrorInfo(status).reason, "TOO_MANY_FRESH_READS");
}

TEST(UnitDriver, AnInfoErrorNamesTheVendorsWord) {
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(t.Fault("error", {{"code", Value::Integer(0x2B)}}).ok());
  absl::Status status;
  t.driver->Refresh({t.h.state.Id("3089")}, [&](absl::Status s) { status = s; });
  t.h.Advance(100ms);
  EXPECT_EQ(GetErrorInfo(status).fields["error"], "ACCESS_DENIED");
  EXPECT_EQ(GetErrorInfo(status).fields["object"], "3089");
}

// ---------------------------------------------------------------- turns

TEST(UnitDriver, AsksOnlyInItsTurn) {
  TestUnit t;
  t.h.turn.Take();
  t.Start();
  t.h.Advance(5s);
  EXPECT_THAT(t.line.TakeRequests(), IsEmpty());
  EXPECT_EQ(t.h.turn.wanted(), static_cast<int>(Rank::kPoll));
  ASSERT_TRUE(t.h.turn.Free());
  t.driver->OnTurn();
  EXPECT_EQ(t.line.TakeRequests().size(), 1u);
}

TEST(UnitDriver, GivesTheTurnBackBetweenQuestions) {
  TestUnit t;
  t.StartPolled();
  t.h.Advance(4s);
  EXPECT_FALSE(t.h.turn.held());
  EXPECT_FALSE(t.h.turn.wanted().has_value());
  EXPECT_GT(t.h.turn.turns(), 20);  // one a question
}

TEST(UnitDriver, GivesTheTurnBackWhenTheUnitIsSilent) {
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(t.Fault("silence").ok());
  t.h.Advance(20s);
  int held = 0;
  for (int i = 0; i < 300; ++i) {
    t.h.Advance(100ms);
    held += t.h.turn.held() ? 1 : 0;
  }
  EXPECT_LE(held, 25);  // of half a minute, at most some seconds
}

// ---------------------------------------------------------------- messages, section 8

TEST(UnitDriver, AMessageIsAnAlarm) {
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(t.Fault("message", {{"message", Value::Integer(16)}}).ok());
  t.h.Advance(10ms);
  const auto& alarm = t.h.alarms.all().at("message.16");
  EXPECT_EQ(alarm.raised, 1);
  EXPECT_FALSE(alarm.active);  // nothing ever says that it is over
  EXPECT_EQ(alarm.severity, AlarmSeverity::kWarning);
  EXPECT_EQ(alarm.text, "warning: fan fault detected (message 16 of xtender 1)");
  EXPECT_EQ(t.h.state.Read("last_message").value.integer(), 16);
}

TEST(UnitDriver, APairOfMessagesRaisesAndClears) {
  TestUnit t({{"unit", Value::Text("rcc")}});
  t.Start();
  t.line.Deliver(*ParseFrame("0FA3EAC0#00E100000000"));  // E32: 225
  EXPECT_TRUE(t.h.alarms.active("message.225"));
  EXPECT_EQ(t.h.alarms.all().at("message.225").severity, AlarmSeverity::kCritical);
  t.line.Deliver(*ParseFrame("0FA3EAC0#00E200000000"));  // 226
  EXPECT_FALSE(t.h.alarms.active("message.225"));
}

TEST(UnitDriver, AnUnknownMessageIsAnAlarmToo) {
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(
      t.Fault("message", {{"message", Value::Integer(254)}, {"value", Value::Integer(7)}}).ok());
  t.h.Advance(10ms);
  EXPECT_EQ(t.h.alarms.all().at("message.254").text,
            "unknown message (message 254, value 7 of xtender 1)");
}

TEST(UnitDriver, AnotherUnitsMessageIsNotItsOwn) {
  TestUnit t;
  t.StartPolled();
  ASSERT_TRUE(
      t.Fault("message", {{"message", Value::Integer(16)}, {"unit", Value::Integer(102)}}).ok());
  t.h.Advance(10ms);
  EXPECT_FALSE(t.h.alarms.all().contains("message.16"));
}

// ---------------------------------------------------------------- the gateway

TEST(GatewayDriver, IsOnlineWhileItAnswers) {
  TestUnit t({{"unit", Value::Text("gateway")}});
  t.Start();
  t.h.Advance(1s);
  EXPECT_EQ(t.h.state.link(), LinkState::kOnline);
  ASSERT_TRUE(t.Fault("silence").ok());
  t.h.Advance(60s);
  EXPECT_EQ(t.h.state.link(), LinkState::kLost);
}

TEST(GatewayDriver, ScanNamesTheUnitsThatAnswer) {
  TestUnit t({{"unit", Value::Text("gateway")}});
  t.Start();
  t.h.Advance(1s);
  const auto* scan = t.Run(t.h.Action(action::kScan), 5s);
  ASSERT_NE(scan, nullptr);
  EXPECT_TRUE(scan->status.ok()) << scan->status;
  EXPECT_EQ(FindArgument(scan->results, action::kResultUnits)->text(),
            "xtender 1, xtender 2, variotrack 1, bsp 1");
  EXPECT_THAT(t.h.commands.errors(), IsEmpty());
}

TEST(GatewayDriver, RefusesWhatUnitsDo) {
  TestUnit t({{"unit", Value::Text("gateway")}});
  t.Start();
  const auto* done = t.Run(t.h.Action(action::kSwitchOff));
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(done->status.code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace canhub::studer
