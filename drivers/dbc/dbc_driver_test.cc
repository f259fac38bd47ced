// Any device by its DBC: items, readings, writes, periods.
#include "drivers/dbc/dbc_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/api/errors.h"
#include "drivers/dbc/driver.h"
#include "drivers/testing/default_config.h"
#include "drivers/testing/driver_harness.h"
#include "drivers/testing/test_line.h"

namespace canhub::dbc_device {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kDbc[] = R"(VERSION "7"
BU_: PUMP HOST
BO_ 256 Status: 8 PUMP
 SG_ Speed : 0|16@1+ (0.5,0) [0|3000] "rpm" HOST
 SG_ Temperature : 23|16@0- (0.1,0) [-40|150] "degC" HOST
 SG_ State : 32|2@1+ (1,0) [0|3] "" HOST
 SG_ Count : 40|24@1+ (1,0) [0|0] "" HOST
BO_ 512 Command: 4 HOST
 SG_ SetSpeed : 0|16@1+ (0.5,0) [0|3000] "rpm" PUMP
 SG_ Enable : 16|1@1+ (1,0) [0|1] "" PUMP
 SG_ Mode : 24|4@1+ (1,0) [0|15] "" PUMP
BO_ 513 Paged: 3 HOST
 SG_ Page M : 0|8@1+ (1,0) [0|0] "" PUMP
 SG_ A m1 : 8|8@1+ (1,0) [0|0] "" PUMP
 SG_ B m2 : 8|8@1- (1,0) [0|0] "" PUMP
BO_ 2147484160 Wide: 8 PUMP
 SG_ Float : 0|32@1- (1,0) [0|0] "bar" HOST
 SG_ Serial : 0|64@1+ (1,0) [0|0] "" HOST
BO_ 2147484161 Float: 4 PUMP
 SG_ Value : 0|32@1- (1,0) [0|0] "bar" HOST
BO_ 2147484162 Serial: 8 PUMP
 SG_ Value : 0|64@1+ (1,0) [0|0] "" HOST
BO_ 300 Fast: 64 PUMP
 SG_ Far : 500|8@1+ (1,0) [0|0] "" HOST
CM_ SG_ 256 Speed "of the shaft";
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ SG_ "GenSigStartValue" INT 0 65535;
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_ "GenMsgCycleTime" BO_ 256 100;
BA_ "GenMsgCycleTime" BO_ 512 50;
BA_ "GenSigStartValue" SG_ 512 Mode 3;
VAL_ 256 State 0 "off" 1 "on" 3 "fault" ;
SIG_VALTYPE_ 2147484161 Value : 1;
)";

using Overrides = std::vector<std::pair<std::string, Value>>;

DeviceConfig TestConfig(Overrides overrides = {}, std::string dbc = kDbc) {
  const Overrides usual = {{"dbc", Value::Text("pump.dbc")},
                           {"messages", Value::Text("Status, Float, Serial")},
                           {"writable", Value::Text("Command, Paged")}};
  overrides.insert(overrides.begin(), usual.begin(), usual.end());
  DeviceConfig config = DefaultConfig("pump0", Info().parameters, std::move(overrides));
  config.files["dbc"] = std::make_shared<const std::string>(std::move(dbc));
  return config;
}

struct Device {
  explicit Device(Overrides overrides = {})
      : h(TestConfig(std::move(overrides))), driver(Info().create(h.Context())) {
    driver->OnBusState(BusState::kActive);
    driver->Start();
  }
  void Receive(const char* frame) { driver->OnFrame(h.Rx(*ParseFrame(frame))); }
  std::vector<std::string> Sent() {
    std::vector<std::string> texts;
    for (const CanFrame& frame : h.bus.Take()) texts.push_back(FormatFrame(frame));
    return texts;
  }
  Command Writes(std::vector<std::pair<const char*, Value>> values,
                 Stage wait_for = Stage::kConfirmed) {
    std::vector<ItemWrite> writes;
    for (auto& [name, value] : values) writes.push_back({h.state.Id(name), value});
    return h.Writes(std::move(writes), wait_for);
  }
  // Everything of Command at once, and out.
  void SetAll() {
    driver->Execute(Writes({{"Command.SetSpeed", Value::Number(1000)},
                            {"Command.Enable", Value::Integer(1)},
                            {"Command.Mode", Value::Integer(2)}}));
    h.ReportOnWire(*driver);
    h.bus.Take();
  }
  absl::Status Last() {
    const auto* finished = h.commands.finished(h.last_command());
    return finished == nullptr ? absl::UnknownError("not finished") : finished->status;
  }
  DriverHarness h;
  std::unique_ptr<Driver> driver;
};

std::string Reason(const absl::Status& status) { return GetErrorInfo(status).reason; }

// ---------------------------------------------------------------- items and readings

TEST(DbcDevice, SignalsAreItems) {
  Device d;
  const ItemTable& items = d.h.state.items();
  const ItemSpec& speed = items.Spec(*items.Find("Status.Speed"));
  EXPECT_EQ(speed.type, ValueType::kNumber);
  EXPECT_STREQ(speed.unit, "rpm");
  EXPECT_STREQ(speed.description, "of the shaft");
  EXPECT_STREQ(speed.source, "DBC 0x100");
  EXPECT_EQ(speed.access, Access::kReadOnly);
  const ItemSpec& state = items.Spec(*items.Find("Status.State"));
  EXPECT_EQ(state.type, ValueType::kInteger);
  ASSERT_EQ(state.labels.size(), 3u);
  EXPECT_STREQ(state.labels[2].name, "fault");
  const ItemSpec& set = items.Spec(*items.Find("Command.SetSpeed"));
  EXPECT_EQ(set.access, Access::kReadWrite);
  EXPECT_EQ(set.maximum, 3000);
  EXPECT_EQ(items.Find("Fast.Far"), std::nullopt);
}

TEST(DbcDevice, FramesAreReadings) {
  Device d;
  d.Receive("100#D007FF3801020300");
  EXPECT_EQ(d.h.state.Read("Status.Speed").value.number(), 1000);
  EXPECT_EQ(d.h.state.Read("Status.Temperature").value.number(), -20);
  EXPECT_EQ(d.h.state.Read("Status.State").value, Value::Integer(1));
  EXPECT_EQ(d.h.state.Read("Status.Count").value, Value::Integer(0x000302));
  d.Receive("00000201#0000C03F");
  EXPECT_EQ(d.h.state.Read("Float.Value").value.number(), 1.5);
}

TEST(DbcDevice, LargeCountersStayExact) {
  Device d;
  d.Receive("00000202#FFFFFFFFFFFFFF7F");
  EXPECT_EQ(d.h.state.Read("Serial.Value").value, Value::Integer(INT64_MAX));
  d.Receive("00000202#0000000000000080");
  EXPECT_EQ(d.h.state.Read("Serial.Value").quality, Quality::kBad);
}

TEST(DbcDevice, AnIdentifierOfTheOtherFormIsAnotherMessage) {
  Device d;
  d.Receive("201#0000C03F");
  EXPECT_EQ(d.h.state.Read("Float.Value").quality, Quality::kNeverRead);
}

TEST(DbcDevice, S07_AShortFrameChangesNothing) {
  Device d;
  d.Receive("100#D007FF38010203");
  EXPECT_EQ(d.h.log.bad_frames("short_frame"), 1);
  EXPECT_EQ(d.h.state.Read("Status.Speed").quality, Quality::kNeverRead);
}

TEST(DbcDevice, AValueOutsideOfItsLimitsIsBad) {
  Device d;
  d.Receive("100#D007FF3801020300");
  d.Receive("100#7217FF3801020300");  // 3001 rpm
  EXPECT_EQ(d.h.state.Read("Status.Speed").quality, Quality::kBad);
  EXPECT_EQ(d.h.state.Read("Status.Temperature").quality, Quality::kGood);
  Device lenient({{"check_range", Value::Flag(false)}});
  lenient.Receive("100#7217FF3801020300");
  EXPECT_EQ(lenient.h.state.Read("Status.Speed").value.number(), 3001);
}

TEST(DbcDevice, NotANumberIsBad) {
  Device d;
  d.Receive("00000201#0000C03F");
  d.Receive("00000201#0000C07F");
  EXPECT_EQ(d.h.state.Read("Float.Value").quality, Quality::kBad);
}

TEST(DbcDevice, AllOnesAreBadWhereConfigured) {
  Device d({{"all_ones_is_bad", Value::Flag(true)}});
  d.Receive("100#D007FF3801020300");
  d.Receive("100#D007FF38FFFFFFFF");
  EXPECT_EQ(d.h.state.Read("Status.Count").quality, Quality::kBad);
  EXPECT_EQ(d.h.state.Read("Status.State").value, Value::Integer(3));  // it has a name
}

TEST(DbcDevice, AnUnknownPageIsCounted) {
  Device d;
  d.Receive("201#090000");
  EXPECT_EQ(d.h.log.bad_frames("unknown_page"), 1);
  EXPECT_EQ(d.h.state.Read("Paged.Page").value, Value::Integer(9));
  EXPECT_EQ(d.h.state.Read("Paged.A").quality, Quality::kNeverRead);
}

TEST(DbcDevice, S03_GoodEndsAfterThreePeriods) {
  Device d;
  d.Receive("100#D007FF3801020300");
  d.h.Advance(milliseconds(299));
  EXPECT_EQ(d.h.state.Read("Status.Speed").quality, Quality::kGood);
  d.h.Advance(milliseconds(1));
  EXPECT_EQ(d.h.state.Read("Status.Speed").quality, Quality::kStale);
  // Without a GenMsgCycleTime, of the configured period.
  d.Receive("00000201#0000C03F");
  d.h.Advance(milliseconds(2999));
  EXPECT_EQ(d.h.state.Read("Float.Value").quality, Quality::kGood);
}

TEST(DbcDevice, TheLinkIsWhetherItSends) {
  Device d;
  EXPECT_EQ(d.h.state.link(), LinkState::kSearching);
  d.Receive("100#D007FF3801020300");
  EXPECT_EQ(d.h.state.link(), LinkState::kOnline);
  EXPECT_TRUE(d.h.state.polled());
  d.h.Advance(seconds(5));
  EXPECT_EQ(d.h.state.link(), LinkState::kLost);
  d.driver->OnBusState(BusState::kBusOff);
  EXPECT_EQ(d.h.state.link(), LinkState::kBusDown);
  EXPECT_FALSE(d.h.state.polled());
}

TEST(DbcDevice, ARefreshWaitsForTheNextFrame) {
  Device d;
  absl::Status done = absl::UnknownError("not yet");
  d.driver->Refresh({d.h.state.Id("Status.Speed")}, [&](absl::Status s) { done = std::move(s); });
  d.Receive("100#D007FF3801020300");
  EXPECT_TRUE(done.ok());
  d.driver->Refresh({d.h.state.Id("Status.Speed")}, [&](absl::Status s) { done = std::move(s); });
  d.h.Advance(milliseconds(300));
  EXPECT_EQ(done.code(), absl::StatusCode::kUnavailable);
}

// ---------------------------------------------------------------- writes

TEST(DbcDevice, S01_StartingSendsNothing) {
  Device d({{"send", Value::Text("periodic")}});
  d.h.Advance(seconds(10));
  EXPECT_THAT(d.Sent(), IsEmpty());
}

TEST(DbcDevice, AMessageIsSentWholeAtOnce) {
  Device d;
  d.driver->Execute(d.Writes({{"Command.SetSpeed", Value::Number(1000)},
                              {"Command.Enable", Value::Integer(1)},
                              {"Command.Mode", Value::Integer(5)}}));
  EXPECT_THAT(d.Sent(), ElementsAre("200#D0070105"));
  EXPECT_FALSE(d.h.commands.finished(1) != nullptr);
  d.h.ReportOnWire(*d.driver);
  EXPECT_TRUE(d.Last().ok());
  EXPECT_THAT(d.h.commands.stages(1),
              ElementsAre(Stage::kSent, Stage::kOnWire, Stage::kConfirmed, Stage::kSettled));
  EXPECT_EQ(d.h.state.Read("Command.SetSpeed").value.number(), 1000);
  EXPECT_THAT(d.h.commands.errors(), IsEmpty());
}

TEST(DbcDevice, OneSignalGoesWithTheOthersLastValues) {
  Device d;
  d.SetAll();
  d.driver->Execute(d.Writes({{"Command.SetSpeed", Value::Number(20)}}));
  EXPECT_THAT(d.Sent(), ElementsAre("200#28000102"));
}

TEST(DbcDevice, LastValuesMayHaveBeenReceived) {
  Device d;
  d.Receive("200#D0070104");
  d.driver->Execute(d.Writes({{"Command.Enable", Value::Integer(0)}}));
  EXPECT_THAT(d.Sent(), ElementsAre("200#D0070004"));
}

TEST(DbcDevice, StartValuesStandInForWhatWasNeverSet) {
  Device d;
  d.driver->Execute(
      d.Writes({{"Command.SetSpeed", Value::Number(1)}, {"Command.Enable", Value::Integer(1)}}));
  EXPECT_THAT(d.Sent(), ElementsAre("200#02000103"));
}

TEST(DbcDevice, AMessageWithSignalsThatNobodySetIsRefused) {
  Device d;
  d.driver->Execute(d.Writes({{"Command.SetSpeed", Value::Number(1)}}));
  EXPECT_EQ(d.Last().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(d.Last().message()), HasSubstr("Command needs Enable"));
  EXPECT_THAT(d.Sent(), IsEmpty());
}

TEST(DbcDevice, S08_OneBadValueSendsNothingOfTheCommand) {
  Device d;
  d.SetAll();
  d.driver->Execute(
      d.Writes({{"Command.SetSpeed", Value::Number(5)}, {"Paged.Page", Value::Integer(256)}}));
  EXPECT_EQ(Reason(d.Last()), "VALUE_DOES_NOT_FIT");
  EXPECT_THAT(d.Sent(), IsEmpty());
  d.driver->Execute(d.Writes({{"Command.Enable", Value::Integer(1)}}));
  EXPECT_THAT(d.Sent(), ElementsAre("200#D0070102"));  // as it was
}

TEST(DbcDevice, OnlyThePageThatIsShownIsSent) {
  Device d;
  d.driver->Execute(d.Writes({{"Paged.Page", Value::Integer(2)}, {"Paged.B", Value::Integer(-1)}}));
  EXPECT_THAT(d.Sent(), ElementsAre("201#02FF00"));
  d.h.ReportOnWire(*d.driver);
  d.driver->Execute(d.Writes({{"Paged.A", Value::Integer(1)}}));
  EXPECT_EQ(Reason(d.Last()), "SIGNAL_ON_OTHER_PAGE");
  EXPECT_THAT(d.Sent(), IsEmpty());
}

TEST(DbcDevice, SeveralMessagesOfOneCommand) {
  Device d;
  d.SetAll();
  d.driver->Execute(d.Writes({{"Command.Mode", Value::Integer(1)},
                              {"Paged.Page", Value::Integer(1)},
                              {"Paged.A", Value::Integer(7)}}));
  EXPECT_THAT(d.Sent(), ElementsAre("200#D0070101", "201#010700"));
}

TEST(DbcDevice, S08_AHalfSentCommandSaysWhatWasDone) {
  Device d;
  d.SetAll();
  const Command command = d.Writes({{"Command.Mode", Value::Integer(1)},
                                    {"Paged.Page", Value::Integer(1)},
                                    {"Paged.A", Value::Integer(7)}});
  d.driver->Execute(command);
  const std::vector<uint64_t> tags = d.h.bus.TakeTags();
  d.driver->OnTxReport({tags[0], TxOutcome::kOnWire, d.h.clock.Now()});
  d.driver->OnTxReport({tags[1], TxOutcome::kPurged, d.h.clock.Now()});
  EXPECT_EQ(d.Last().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(d.Last().message()), HasSubstr("done: sent 200#D0070101"));
}

TEST(DbcDevice, ABusThatTakesNothingIsToldAndNothingIsDone) {
  Device d;
  d.SetAll();
  d.h.bus.FailWith(absl::ResourceExhaustedError("full"));
  d.driver->Execute(d.Writes({{"Command.Mode", Value::Integer(1)}}));
  EXPECT_EQ(d.Last().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(d.Last().message()), testing::Not(HasSubstr("done:")));
  EXPECT_EQ(d.h.state.Read("Command.Mode").value, Value::Integer(2));
}

TEST(DbcDevice, S02_FramesCarryTheCommandsGuardAndDeadline) {
  Device d;
  d.SetAll();
  const Command command = d.Writes({{"Command.Mode", Value::Integer(1)}});
  d.h.bus.TakeTx();
  d.driver->Execute(command);
  const TxFrame sent = d.h.bus.TakeTx().at(0);
  EXPECT_EQ(sent.deadline, command.guard->deadline());
  EXPECT_TRUE(sent.guard->MaySend(d.h.clock.Now()));
  d.driver->Cancel(command.id, absl::AbortedError("the lease is over"));
  EXPECT_FALSE(sent.guard->MaySend(d.h.clock.Now()));
  EXPECT_EQ(d.Last().code(), absl::StatusCode::kAborted);
}

TEST(DbcDevice, PeriodicMessagesAreSentAgain) {
  Device d({{"send", Value::Text("periodic")}});
  d.SetAll();
  d.h.Advance(milliseconds(160));
  EXPECT_THAT(d.Sent(), ElementsAre("200#D0070102", "200#D0070102", "200#D0070102"));
  EXPECT_EQ(d.h.state.Read("Command.Mode").quality, Quality::kGood);
}

TEST(DbcDevice, StopSendingEndsThePeriods) {
  Device d({{"send", Value::Text("periodic")}});
  d.SetAll();
  d.driver->Execute(d.h.Action(kStopSending, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_TRUE(d.Last().ok());
  d.h.Advance(seconds(1));
  EXPECT_THAT(d.Sent(), IsEmpty());
}

TEST(DbcDevice, S10_StopSendingOvertakesWhatIsUnderWay) {
  Device d;
  d.SetAll();
  const Command command = d.Writes({{"Command.Mode", Value::Integer(1)}});
  d.h.bus.TakeTx();
  d.driver->Execute(command);
  const TxFrame sent = d.h.bus.TakeTx().at(0);
  d.driver->Execute(d.h.Action(kStopSending, {}, Stage::kConfirmed, Urgency::kSafe));
  EXPECT_EQ(d.h.commands.finished(command.id)->status.code(), absl::StatusCode::kAborted);
  EXPECT_FALSE(sent.guard->MaySend(d.h.clock.Now()));
}

TEST(DbcDevice, S02_NothingIsSentAgainAfterBusOff) {
  Device d({{"send", Value::Text("periodic")}});
  d.SetAll();
  const Command command = d.Writes({{"Command.Mode", Value::Integer(1)}});
  d.driver->Execute(command);
  d.driver->OnBusState(BusState::kBusOff);
  EXPECT_EQ(d.h.commands.finished(command.id)->status.code(), absl::StatusCode::kUnavailable);
  d.h.bus.Take();
  d.driver->OnBusState(BusState::kActive);
  d.h.Advance(seconds(1));
  EXPECT_THAT(d.Sent(), IsEmpty());
  // And what it knew is not known any more.
  d.driver->Execute(d.Writes({{"Command.Mode", Value::Integer(1)}}));
  EXPECT_EQ(Reason(d.Last()), "SIGNALS_NEVER_SET");
}

// ---------------------------------------------------------------- the configuration

TEST(DbcDevice, WhatDoesNotFitIsRefused) {
  struct Case {
    Overrides overrides;
    std::string dbc;
    const char* says;
  };
  const std::string overlap =
      "BO_ 1 M: 8 N\n SG_ A : 0|8@1+ (1,0) [0|0] \"\" N\n"
      " SG_ B : 0|8@1+ (1,0) [0|0] \"\" N\nBO_ 2 Fine: 8 N\n";
  const Case cases[] = {
      {{{"messages", Value::Text("Statos")}}, kDbc, "\"Statos\", which fits no message"},
      {{{"writable", Value::Text("Command.Sped")}}, kDbc, "\"Command.Sped\", which fits no"},
      {{{"messages", Value::Text("Wide")}}, kDbc, "pump.dbc:18: Wide.Serial: found bits"},
      {{{"writable", Value::Text("Fast")}}, kDbc, "found Fast with 64 bytes"},
      {{{"messages", Value::Text("*")}, {"writable", Value::Text("")}}, overlap, "M.B: found bits"},
      {{}, "BO_ 1 M 8", "pump.dbc:1: BO_"},
  };
  for (const Case& c : cases) {
    const absl::Status status = Info().check(TestConfig(c.overrides, c.dbc));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.says;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.says));
  }
  // A message that cannot be used does not matter to who does not use it.
  EXPECT_TRUE(Info()
                  .check(TestConfig(
                      {{"messages", Value::Text("Fine")}, {"writable", Value::Text("")}}, overlap))
                  .ok());
}

// ---------------------------------------------------------------- the simulator

struct Bench : TestBench {
  explicit Bench(Overrides overrides = {})
      : TestBench(Info(), TestConfig(std::move(overrides)), {.id = "can0", .bitrate = 250000}) {
    line.is_setting = [](const CanFrame&) { return true; };
  }
};

TEST(DbcSimulator, PlaysTheMessagesWithTheirPeriods) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  b.line.ClearLog();
  b.h.Advance(seconds(10));
  int status = 0, wide = 0;
  for (const auto& sent : b.line.log()) {
    EXPECT_EQ(sent.from, TestLine::From::kSimulator);
    status += sent.frame.id == 0x100 ? 1 : 0;
    wide += sent.frame.id == 0x201 ? 1 : 0;
  }
  EXPECT_NEAR(status, 100, 2);
  EXPECT_NEAR(wide, 10, 1);
  EXPECT_EQ(b.QualityOf("Status.Speed"), Quality::kGood);
}

TEST(DbcSimulator, SignalsMoveWithinTheirLimits) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  double low = 1e9, high = -1e9;
  for (int i = 0; i < 300; ++i) {
    b.h.Advance(milliseconds(100));
    low = std::min(low, b.Number("Status.Speed"));
    high = std::max(high, b.Number("Status.Speed"));
  }
  EXPECT_LT(low, 100);
  EXPECT_GT(high, 2900);
  EXPECT_TRUE(b.h.log.bad_frames().empty());
}

TEST(DbcSimulator, TakesWhatIsWritten) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  EXPECT_TRUE(b.Run(b.h.Writes({{b.h.state.Id("Command.SetSpeed"), Value::Number(100)},
                                {b.h.state.Id("Command.Enable"), Value::Integer(1)}}))
                  .ok());
  EXPECT_THAT(b.line.SettingFrames(), ElementsAre("200#C8000103"));
}

TEST(DbcSimulator, Faults) {
  Bench b;
  ASSERT_TRUE(b.StartAndPoll());
  ASSERT_TRUE(b.simulator->InjectFault("silence", {}).ok());
  b.h.Advance(seconds(1));
  EXPECT_EQ(b.QualityOf("Status.Speed"), Quality::kStale);
  ASSERT_TRUE(b.simulator->ClearFaults("").ok());
  ASSERT_TRUE(b.simulator->InjectFault("wrong_length", {}).ok());
  b.h.Advance(seconds(1));
  EXPECT_GT(b.h.log.bad_frames("short_frame"), 5);
  ASSERT_TRUE(b.simulator->ClearFaults("").ok());
  ASSERT_TRUE(b.simulator->InjectFault("all_ones", {}).ok());
  b.h.Advance(seconds(1));
  EXPECT_EQ(b.QualityOf("Status.Speed"), Quality::kBad);
}

}  // namespace
}  // namespace canhub::dbc_device
