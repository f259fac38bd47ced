// What every simulated device does on its line, registers, and crates.
#include "drivers/iseg/simulator.h"

#include <random>
#include <set>

#include "drivers/iseg/models.h"
#include "drivers/iseg/registers.h"
#include "drivers/iseg/simulator_testing.h"
#include "gmock/gmock.h"

namespace canhub::iseg {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LineTest : public SimulatorTest {};
class AccessTest : public SimulatorTest {};
class LineFaultTest : public SimulatorTest {};
class CrateTest : public SimulatorTest {
 protected:
  void BootCrate() {
    Boot({{"class", Value::Text("crate")}, {"address", Value::Integer(0)}});
    Send("600#D801");
    Sent();
  }
};

TEST_F(LineTest, AnnouncesUntilLoggedOn) {
  Boot();
  EXPECT_THAT(Sent(), ElementsAre("211#D82746"));
  Advance(10s);
  EXPECT_THAT(Sent(), ElementsAre("211#D82746", "211#D82746"));
  Send("210#D801");
  Advance(30s);
  EXPECT_THAT(Sent(), IsEmpty());
}

TEST_F(LineTest, AnnouncesAgainAfterLogOffWithinASweepsTwoSeconds) {
  BootLoggedOn();
  Send("210#D800");
  Advance(2s);
  EXPECT_THAT(Sent(), ElementsAre("211#D82746"));
}

TEST_F(LineTest, AnnouncesAgainAfterAMinuteWithoutAccess) {
  BootLoggedOn();
  Advance(59s);
  EXPECT_EQ(AskOne("211#1208"), "210#120804");
  Advance(59s);
  EXPECT_THAT(Sent(), IsEmpty());
  Advance(2s);
  EXPECT_THAT(Sent(), ElementsAre("211#D82746"));
}

TEST_F(LineTest, NmtResetsMakeItAnnounce) {
  for (const char* frame : {"004#CC", "004#D0", "004#F80001"}) {
    BootLoggedOn();
    Send(frame);
    Advance(1s);
    EXPECT_THAT(Sent(), ElementsAre("211#D82746")) << frame;
  }
}

TEST_F(LineTest, SaysNothingBetweenStopAndStart) {
  BootLoggedOn();
  Send("004#C8");
  EXPECT_THAT(Ask("211#1208"), IsEmpty());
  Send("004#C4");
  EXPECT_THAT(Ask("211#1208"), SizeIs(1));
}

TEST_F(LineTest, LeavesOtherAddressesAlone) {
  BootLoggedOn();
  for (const char* frame : {"219#1208", "611#1208", "00001211#1208"}) {
    EXPECT_THAT(Ask(frame), IsEmpty()) << frame;
  }
}

TEST_F(LineTest, AnswersOnItsSlaveLine) {
  Boot({{"line", Value::Integer(1)}});
  EXPECT_THAT(Sent(), ElementsAre("00001211#D82746"));
  EXPECT_EQ(AskOne("00001211#1208"), "00001210#120804");
  EXPECT_THAT(Ask("211#1208"), IsEmpty());
}

TEST_F(LineTest, AnswersAfterTheDelay) {
  BootLoggedOn();
  Send("211#1208");
  Advance(1900us);
  EXPECT_THAT(Sent(), IsEmpty());
  Advance(200us);
  EXPECT_THAT(Sent(), SizeIs(1));
}

TEST_F(LineTest, AntiCollisionSetsBit2) {
  BootLoggedOn();
  Send("210#12A00001");
  EXPECT_EQ(AskOne("211#1208"), "214#120804");
  Send("210#12A00000");
  EXPECT_EQ(AskOne("211#1208"), "210#120804");
}

TEST_F(LineTest, LiveInsertionIsShownAndIsAnEvent) {
  BootLoggedOn();
  Send("004#E006");
  EXPECT_EQ(AskOne("211#1000"), "210#10007705");
  EXPECT_EQ(AskOne("211#1002"), "210#10020004");
  Send("004#E000");
  EXPECT_EQ(AskOne("211#1000"), "210#10007701");
}

TEST_F(LineTest, DcpOnlyModuleAnswersDcpOnly) {
  Boot({{"sim_dcp_only", Value::Flag(true)}});
  EXPECT_THAT(Sent(), ElementsAre("211#D82700"));
  EXPECT_EQ(AskOne("211#E0"), "210#E0710016457104");
  EXPECT_EQ(AskOne("211#80"), "210#800000");
  EXPECT_THAT(Ask("211#1208"), IsEmpty());
  EXPECT_THAT(Ask("211#410200"), IsEmpty());
}

// Rows 6 to 16 on the model they are about.
TEST_F(AccessTest, IdentityOfAnE08f2) {
  BootLoggedOn({{"sim_model", Value::Text("E08F2")}, {"sim_channels", Value::Integer(0)}});
  EXPECT_EQ(AskOne("211#E0"), "210#E0710234457108");
  EXPECT_EQ(AskOne("211#1200"), "210#12000057219A");
  EXPECT_EQ(AskOne("211#1203"), "210#12034530384632");
  EXPECT_EQ(AskOne("211#1201"), "210#120100050701");
  EXPECT_EQ(AskOne("211#1208"), "210#120808");
  EXPECT_EQ(AskOne("211#1000"), "210#10007701");
  EXPECT_EQ(AskOne("211#1080"), "210#1080000E7701");
  EXPECT_EQ(AskOne("211#1106"), "210#110641D26666");
  EXPECT_EQ(Ask("211#2002").front(), "210#20020041C0CCCD");
}

TEST_F(AccessTest, ArticleOfAnN04c2ComesInPieces) {
  BootLoggedOn({{"sim_model", Value::Text("N04C2")}, {"sim_channels", Value::Integer(0)}});
  EXPECT_THAT(Ask("211#1209"), ElementsAre("210#1209005352303432", "210#1209013036307234",
                                           "210#1209023035303030", "210#12090330323030"));
}

TEST_F(AccessTest, NarrowModuleLacksTheWideForms) {
  BootLoggedOn({{"sim_model", Value::Text("E24D1")}});
  EXPECT_EQ(AskOne("211#1080"), "210#1080");
  EXPECT_EQ(AskOne("211#408001"), "210#408001");
  EXPECT_EQ(AskOne("211#412300"), "210#412300");
  EXPECT_EQ(AskOne("211#1101"), "210#1101");
}

TEST_F(AccessTest, UnknownDataIdsAreAnsweredWithoutData) {
  BootLoggedOn();
  EXPECT_EQ(AskOne("211#1333"), "210#1333");
  EXPECT_EQ(AskOne("211#2345"), "210#2345");
  EXPECT_EQ(AskOne("211#4F0002"), "210#4F0002");
  EXPECT_EQ(AskOne("211#1000"), "210#10007701");
}

TEST_F(AccessTest, MultipleReadGivesOneFramePerChannelThatExists) {
  BootLoggedOn();
  EXPECT_THAT(Ask("211#6102000E00"),
              ElementsAre("210#61020100000000", "210#61020200000000", "210#61020300000000"));
  EXPECT_THAT(Ask("211#6000FFFF00"), SizeIs(4));
  EXPECT_THAT(Ask("211#6000FFFF10"), IsEmpty());
}

TEST_F(AccessTest, ShortFormReadsAllChannelsOfNewBoards) {
  BootLoggedOn({{"sim_model", Value::Text("T48C0")}, {"sim_channels", Value::Integer(0)}});
  EXPECT_THAT(Ask("211#6000000000"), SizeIs(48));
  EXPECT_THAT(Ask("211#6103000320"), ElementsAre("210#61032000000000", "210#61032100000000"));
  BootLoggedOn({{"sim_model", Value::Text("E24D1")}});
  EXPECT_THAT(Ask("211#6000000000"), IsEmpty());
}

TEST_F(AccessTest, ChannelThatDoesNotExistIsAModuleInputError) {
  BootLoggedOn();
  EXPECT_THAT(Ask("211#410204"), IsEmpty());
  EXPECT_EQ(AskOne("211#1000"), "210#10007741");
  EXPECT_EQ(AskOne("211#1002"), "210#10020040");
  Send("210#10020040");
  EXPECT_EQ(AskOne("211#1000"), "210#10007701");
  EXPECT_EQ(AskOne("211#1002"), "210#10020000");
}

TEST_F(AccessTest, BadSetValuesKeepTheOldOnes) {
  BootLoggedOn();
  Send("210#41000144160000");  // 600 V
  // 2000 V, NaN, too short, too long, and a negative one.
  for (const char* frame : {"210#41000144FA0000", "210#4100017FC00000", "210#4100014416",
                            "210#4100014416000000", "210#410001C4160000"}) {
    Send("210#40020100FF");
    Send("210#41000144160000");
    EXPECT_EQ(Word("211#400201") & 4u, 0u) << frame;
    Send(frame);
    EXPECT_EQ(Number("211#410001"), 600) << frame;
    EXPECT_EQ(Word("211#400001") & 4u, 4u) << frame;
    EXPECT_EQ(Word("211#400201") & 4u, 4u) << frame;
  }
}

TEST_F(AccessTest, InputErrorStatusEndsWithTheNextGoodAccessButTheEventStays) {
  BootLoggedOn();
  Send("210#41000144FA0000");
  Send("210#41000144160000");
  EXPECT_EQ(Word("211#400001") & 4u, 0u);
  EXPECT_EQ(Word("211#400201") & 4u, 4u);
}

TEST_F(AccessTest, EventChannelStatusInBothForms) {
  BootLoggedOn();
  Send("210#4003030004");      // mask: input error of channel 3
  Send("210#41000344FA0000");  // above nominal
  EXPECT_EQ(AskOne("211#1004"), "210#10040008");
  EXPECT_EQ(AskOne("211#100400"), "210#1004000008");
  EXPECT_EQ(AskOne("211#100410"), "210#1004100000");
  Send("210#10050008");
  EXPECT_EQ(AskOne("211#1000"), "210#10007F01");
  // Cleared at channel and module.
  Send("210#4002030004");
  Send("210#10040008");
  EXPECT_EQ(AskOne("211#1004"), "210#10040000");
  EXPECT_EQ(AskOne("211#1000"), "210#10007701");
}

TEST_F(AccessTest, IsegcansOffsetWriteClearsEventChannels) {
  BootLoggedOn();
  Send("210#4003030004");
  Send("210#41000344FA0000");
  Send("210#4002030004");
  Send("210#1004000008");
  EXPECT_EQ(AskOne("211#1004"), "210#10040000");
}

TEST_F(AccessTest, EventChannelStatusComesBackWhileTheEventStands) {
  BootLoggedOn();
  Send("210#4003030004");
  Send("210#41000344FA0000");
  Send("210#10040008");
  EXPECT_EQ(AskOne("211#1004"), "210#10040008");
}

TEST_F(AccessTest, CounterOfChangedSetValuesCountsAcceptedWritesOnly) {
  BootLoggedOn();
  const double before = Number("211#1090");
  Send("210#41000144160000");
  Send("210#41000144FA0000");
  EXPECT_EQ(Number("211#1090"), before + 1);
}

TEST_F(AccessTest, SaveAndRecallSetValues) {
  BootLoggedOn();
  Send("210#41000144160000");
  Send("210#10019800");  // save
  Send("210#41000142C80000");
  EXPECT_EQ(Number("211#410001"), 100);
  Send("210#10011802");  // recall
  EXPECT_EQ(Number("211#410001"), 600);
  EXPECT_EQ(AskOne("211#1001"), "210#10011800");
}

TEST_F(AccessTest, ResetOfSetValuesNeedsSerialNumberAndKey) {
  BootLoggedOn({{"sim_model", Value::Text("E08F2")}});
  Send("210#41000144160000");
  Send("210#12F00157219B15E6");
  EXPECT_EQ(Number("211#410001"), 600);
  EXPECT_EQ(Word("211#1000") & 0x40u, 0x40u);
  Send("210#12F00157219A15E6");
  EXPECT_EQ(Number("211#410001"), 0);
}

TEST_F(AccessTest, FactoryResetBringsDefaultsBack) {
  BootLoggedOn({{"sim_model", Value::Text("E08F2")}});
  Send("210#10015800");  // kill
  Send("210#40030100FF");
  Send("210#12F00057219A15E6");
  EXPECT_EQ(AskOne("211#1001"), "210#10011800");
  EXPECT_EQ(Number("211#400301"), 0);
}

TEST_F(AccessTest, SetValuesAreLostAtPowerOffUnlessKept) {
  for (const bool kept : {false, true}) {
    BootLoggedOn({{"sim_keep_set_values", Value::Flag(kept)}});
    Send("210#41000144160000");
    Inject("power_off");
    Advance(1s);
    ASSERT_TRUE(simulator_->ClearFaults("power_off").ok());
    EXPECT_EQ(Number("211#410001"), kept ? 600 : 0);
  }
}

TEST_F(AccessTest, ModesAndPolarityOnlyWhenOffAndAtZero) {
  BootLoggedOn({{"sim_model", Value::Text("N04C2")},
                {"sim_nominal_voltage", Value::Number(6000)},
                {"sim_nominal_current", Value::Number(2e-3)}});
  EXPECT_EQ(Number("211#414000"), 3);
  EXPECT_EQ(Number("211#410600"), 6000);
  EXPECT_EQ(Number("211#415000"), 2000);
  EXPECT_EQ(AskOne("211#415300"), "210#415300");
  Send("210#41400001");
  EXPECT_EQ(Number("211#410600"), 2000);
  EXPECT_EQ(Number("211#410700"), 4e-3);
  Send("210#414100FF");
  EXPECT_EQ(AskOne("211#414100"), "210#414100FF");
  EXPECT_EQ(Number("211#410600"), -2000);
  Send("210#410000C2C80000");
  Send("210#4001000008");
  Advance(5s);
  EXPECT_NEAR(Number("211#410200"), -100, 0.01);
  Send("210#41410001");
  EXPECT_EQ(AskOne("211#414100"), "210#414100FF");
  EXPECT_EQ(Word("211#400000") & 4u, 4u);
}

TEST_F(AccessTest, ListsSwitchAndShutDownChannels) {
  BootLoggedOn();
  Send("210#41000142C80000");
  Send("210#220000000003");
  EXPECT_EQ(AskOne("211#2200"), "210#220000000003");
  EXPECT_EQ(Word("211#400101"), 8u);
  Send("210#220100000002");
  EXPECT_EQ(Word("211#400101"), 0x20u);
  EXPECT_EQ(Word("211#400100"), 8u);
}

TEST_F(AccessTest, EveryModelAnswersItsOwnItems) {
  for (const char* name : SimulatedModelNames()) {
    const SimulatedModel& model = *FindSimulatedModel(name);
    BootLoggedOn({{"sim_model", Value::Text(name)},
                  {"sim_channels", Value::Integer(0)},
                  {"sim_nominal_voltage", Value::Number(0)},
                  {"sim_nominal_current", Value::Number(0)}});
    const DeviceItems items = BuildModuleItems(model.channels, model.features);
    const ItemTable& table = *items.table();
    std::set<std::string> asked;
    for (ItemId item = 0; item < table.size(); ++item) {
      const auto request = items.ReadFrame({2}, item);
      if (!request.ok() || items.Channel(item) > 0) continue;
      if (!asked.insert(FormatFrame(*request)).second) continue;
      const std::vector<std::string> answers = Ask(FormatFrame(*request));
      ASSERT_FALSE(answers.empty()) << name << " " << table.Name(item);
      for (const std::string& text : answers) {
        const absl::StatusOr<Answer> answer = ParseAnswer(*ParseFrame(text));
        ASSERT_TRUE(answer.ok()) << name << " " << text;
        if (answer->kind == Answer::Kind::kNotImplemented) {
          // Modes 4 to 6 of a module with three.
          EXPECT_TRUE(items.Entry(item).optional) << name << " " << table.Name(item);
          continue;
        }
        const auto values = items.Decode(*answer);
        EXPECT_TRUE(values.ok()) << name << " " << text << " " << values.status();
      }
    }
    EXPECT_GE(asked.size(), 40u);
  }
}

TEST_F(LineFaultTest, SilenceStopsEverythingUntilCleared) {
  Boot();
  Sent();
  Inject("silence");
  EXPECT_THAT(Ask("211#1208"), IsEmpty());
  Advance(20s);
  EXPECT_THAT(Sent(), IsEmpty());
  EXPECT_EQ(*simulator_->ClearFaults("silence"), 1);
  EXPECT_EQ(AskOne("211#1208"), "210#120804");
}

TEST_F(LineFaultTest, DelayIsAdded) {
  BootLoggedOn();
  Inject("delay", {{"milliseconds", Value::Integer(100)}});
  Send("211#1208");
  Advance(101ms);
  EXPECT_THAT(Sent(), IsEmpty());
  Advance(2ms);
  EXPECT_THAT(Sent(), SizeIs(1));
}

TEST_F(LineFaultTest, WrongLengthAndNanAreRefusedByTheDecoder) {
  BootLoggedOn();
  Inject("wrong_length");
  EXPECT_EQ(AskOne("211#410200"), "210#410200000000");
  simulator_->ClearFaults("").IgnoreError();
  Inject("nan");
  EXPECT_EQ(AskOne("211#410200"), "210#4102007FC00000");
  EXPECT_EQ(AskOne("211#1106"), "210#11067FC00000");
  EXPECT_EQ(AskOne("211#1208"), "210#120804");
}

TEST_F(LineFaultTest, LostFramesAreLostByTheirShare) {
  BootLoggedOn();
  Inject("lost_frames", {{"probability", Value::Number(0.5)}});
  int answered = 0;
  for (int i = 0; i < 400; ++i) answered += static_cast<int>(Ask("211#1208").size());
  EXPECT_NEAR(answered, 100, 40);  // request and answer must both get through
}

TEST_F(LineFaultTest, GarbledAnswersAreRandom) {
  BootLoggedOn();
  Inject("garbled");
  std::set<std::string> seen;
  for (int i = 0; i < 10; ++i) seen.insert(AskOne("211#1208"));
  EXPECT_GT(seen.size(), 5u);
}

TEST_F(LineFaultTest, RebootSwitchesOffAndAnnouncesAndDoesNotStand) {
  BootLoggedOn();
  Send("210#41000142C80000");
  Send("210#4001000008");
  Inject("reboot");
  EXPECT_THAT(simulator_->ActiveFaults(), IsEmpty());
  Advance(1s);
  EXPECT_THAT(Sent(), SizeIs(1));
  EXPECT_EQ(Word("211#400100"), 0u);
  EXPECT_EQ(Word("211#1002"), 2u);
}

TEST_F(LineFaultTest, BadFaultsAreRefused) {
  BootLoggedOn();
  EXPECT_EQ(simulator_->InjectFault("no_such_fault", {}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(simulator_->ClearFaults("no_such_fault").status().code(), absl::StatusCode::kNotFound);
  for (const Arguments& arguments :
       {Arguments{}, Channel(4), Arguments{{"channel", Value::Number(0.5)}},
        Arguments{{"channel", Value::Text("x")}}, Arguments{{"kanal", Value::Integer(0)}}}) {
    EXPECT_EQ(simulator_->InjectFault("trip", arguments).code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(simulator_->InjectFault("lost_frames", {{"probability", Value::Number(2)}}).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(simulator_->InjectFault("power_fail", {}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(simulator_->ActiveFaults(), IsEmpty());
}

TEST_F(LineFaultTest, EveryFaultCanBeInjectedAndCleared) {
  int standing = 0;
  for (const FaultSpec& fault : Faults()) {
    const bool of_crate = std::string_view(fault.name) == "power_fail" ||
                          std::string_view(fault.name) == "battery_bad";
    BootLoggedOn({{"class", Value::Text(of_crate ? "crate" : "module")}});
    Arguments arguments;
    for (const auto& [name, text] : fault.parameters) {
      arguments.emplace_back(name, Value::Integer(1));
    }
    Inject(fault.name, arguments);
    const int active = static_cast<int>(simulator_->ActiveFaults().size());
    standing += active;
    EXPECT_EQ(*simulator_->ClearFaults(""), active) << fault.name;
    EXPECT_THAT(simulator_->ActiveFaults(), IsEmpty());
  }
  // All but those that happen once: trip and reboot.
  EXPECT_EQ(standing, static_cast<int>(Faults().size()) - 2);
}

TEST_F(CrateTest, AnnouncesItsClassAndIdentity) {
  Boot({{"class", Value::Text("crate")}, {"address", Value::Integer(0)}});
  EXPECT_THAT(Sent(), ElementsAre("601#D8272E"));
  Send("600#D801");
  EXPECT_EQ(AskOne("601#1203"), "600#12034343323441");
  EXPECT_EQ(AskOne("601#1A00"), "600#1A0000010000");
}

TEST_F(CrateTest, PowerSwitch) {
  BootCrate();
  EXPECT_EQ(AskOne("601#1A05"), "600#1A0501");
  Send("600#1A0500");
  EXPECT_EQ(AskOne("601#1A05"), "600#1A0500");
  EXPECT_EQ(AskOne("601#1A00"), "600#1A0000000000");
  Send("600#1A0501");
  EXPECT_EQ(AskOne("601#1A00"), "600#1A0000010000");
  EXPECT_EQ(AskOne("601#1A02"), "600#1A0200010000");
}

TEST_F(CrateTest, HighVoltageIsOnWhileAModuleSaysSo) {
  BootCrate();
  constexpr uint32_t kHighVoltageOn = 1u << 18;
  EXPECT_EQ(Word("601#1A00") & kHighVoltageOn, 0u);
  Send("210#1000770B");  // module 2, 16-bit status with bit 3
  Send("218#1080000E7709");
  EXPECT_NE(Word("601#1A00") & kHighVoltageOn, 0u);
  Send("210#10007701");
  EXPECT_NE(Word("601#1A00") & kHighVoltageOn, 0u);  // module 3 still has some
  Send("218#1080000E7701");
  EXPECT_EQ(Word("601#1A00") & kHighVoltageOn, 0u);
}

TEST_F(CrateTest, BadWritesChangeNothing) {
  BootCrate();
  for (const char* frame : {"600#1A0502", "600#1A05", "600#1A050001", "600#1A0400000000"}) {
    Send(frame);
    EXPECT_EQ(AskOne("601#1A05"), "600#1A0501") << frame;
  }
}

TEST_F(CrateTest, EventsLatchAndComeBackWhileTheConditionHolds) {
  BootCrate();
  Inject("over_temperature");
  EXPECT_EQ(Word("601#1A00"), 0x11080u);
  Send("600#1A0100000001");
  EXPECT_EQ(Word("601#1A02") & 0x80u, 0x80u);
  simulator_->ClearFaults("").IgnoreError();
  EXPECT_EQ(Word("601#1A02") & 0x80u, 0x80u);
  Send("600#1A0100000001");
  EXPECT_EQ(Word("601#1A02"), 0u);
}

TEST_F(CrateTest, SuppliesAndTemperatures) {
  BootCrate();
  EXPECT_THAT(Ask("601#2001"), SizeIs(2));
  EXPECT_THAT(Ask("601#2002"), SizeIs(6));
  EXPECT_EQ(AskOne("601#1000"), "600#1000");
}

TEST_F(CrateTest, ModuleLosesItsSupplyWithTheCratesSwitch) {
  BootLoggedOn({{"sim_crate", Value::Integer(0)}});
  Send("600#1A0500");
  EXPECT_THAT(Ask("211#1208"), IsEmpty());
  Advance(20s);
  EXPECT_THAT(Sent(), IsEmpty());
  Send("600#1A0501");
  Advance(1s);
  EXPECT_THAT(Sent(), ElementsAre("211#D82746"));
}

TEST_F(CrateTest, ClearedPowerFaultDoesNotPowerAModuleWhoseCrateIsOff) {
  BootLoggedOn({{"sim_crate", Value::Integer(0)}});
  Inject("power_off");
  Send("600#1A0500");
  simulator_->ClearFaults("").IgnoreError();
  EXPECT_THAT(Ask("211#1208"), IsEmpty());
  Send("600#1A0501");
  EXPECT_THAT(Ask("211#1208"), SizeIs(1));
}

TEST_F(CrateTest, HasNoLoad) {
  BootCrate();
  EXPECT_EQ(simulator_->SetLoad(std::nullopt, 1e6, std::nullopt).code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace canhub::iseg
