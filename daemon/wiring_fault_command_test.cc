#include "daemon/wiring_fault_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canhub {
namespace {

using What = FaultCommand::What;

class RecordingSimulator final : public SimulatorAccess {
 public:
  absl::Status InjectFault(std::string_view fault, const Arguments& parameters) override {
    faults.emplace_back(fault, parameters);
    return absl::OkStatus();
  }
  absl::StatusOr<int> ClearFaults(std::string_view fault) override {
    if (fault == "nonsense") return absl::NotFoundError("no such fault");
    return 2;
  }
  std::vector<std::pair<std::string, Arguments>> ActiveFaults() override { return faults; }
  absl::Status SetLoad(std::optional<int> c, std::optional<double> r,
                       std::optional<double> f) override {
    channel = c;
    resistance = r;
    capacitance = f;
    return absl::OkStatus();
  }
  std::vector<std::pair<std::string, Arguments>> faults;
  std::optional<int> channel;
  std::optional<double> resistance, capacitance;
};

std::string ErrorOf(std::string_view line) {
  return std::string(ParseFaultCommand(line).status().message());
}

TEST(FaultCommandTest, ReadsInject) {
  const auto command = ParseFaultCommand("inject hv0 trip channel=3 delay=0.5 hard=true kind=x\n");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->what, What::kInject);
  EXPECT_EQ(command->device, "hv0");
  EXPECT_EQ(command->fault, "trip");
  EXPECT_EQ(*FindArgument(command->parameters, "channel"), Value::Integer(3));
  EXPECT_EQ(*FindArgument(command->parameters, "delay"), Value::Number(0.5));
  EXPECT_EQ(*FindArgument(command->parameters, "hard"), Value::Flag(true));
  EXPECT_EQ(*FindArgument(command->parameters, "kind"), Value::Text("x"));
}

TEST(FaultCommandTest, ReadsClearOfOneFaultAndOfAll) {
  EXPECT_EQ(ParseFaultCommand("clear hv0 trip")->fault, "trip");
  EXPECT_EQ(ParseFaultCommand("clear hv0")->fault, "");
}

TEST(FaultCommandTest, SaysWhatIsExpected) {
  EXPECT_EQ(ErrorOf(""), "found nothing, expected inject, clear, load or faults");
  EXPECT_EQ(ErrorOf("injct hv0 trip"),
            "found \"injct\", expected inject, clear, load or faults (did you mean \"inject\"?)");
  EXPECT_EQ(ErrorOf("inject hv0"),
            "found \"inject hv0\", expected inject DEVICE FAULT [NAME=VALUE …]");
  EXPECT_EQ(ErrorOf("inject hv0 trip channel"), "found \"channel\", expected NAME=VALUE");
  EXPECT_EQ(ErrorOf("inject hv0 trip a=1 a=2"), "found a twice, expected it once");
  EXPECT_EQ(ErrorOf("clear"), "found \"clear\", expected clear DEVICE [FAULT]");
  EXPECT_EQ(ErrorOf("faults"), "found \"faults\", expected faults DEVICE");
}

TEST(FaultCommandTest, ReadsTheFlag) {
  const auto command = ParseInjectFlag("hv0:trip:channel=3,delay=1");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->device, "hv0");
  EXPECT_EQ(command->fault, "trip");
  EXPECT_EQ(command->parameters.size(), 2u);
  EXPECT_EQ(ParseInjectFlag("hv0:silence")->fault, "silence");
}

TEST(FaultCommandTest, RefusesAFlagWithoutFault) {
  for (const char* text : {"", "hv0", "hv0:", ":trip", "hv0::a=1"}) {
    EXPECT_FALSE(ParseInjectFlag(text).ok()) << text;
  }
  EXPECT_EQ(ParseInjectFlag("hv0").status().message(),
            "found \"hv0\", expected DEVICE:FAULT[:NAME=VALUE,…]");
}

TEST(FaultCommandTest, InjectsAndLists) {
  RecordingSimulator simulator;
  ASSERT_TRUE(RunFaultCommand(*ParseFaultCommand("inject a trip channel=3"), simulator).ok());
  EXPECT_EQ(*RunFaultCommand(*ParseFaultCommand("faults a"), simulator), "trip channel=3");
}

TEST(FaultCommandTest, ClearsAndPassesErrorsOn) {
  RecordingSimulator simulator;
  EXPECT_EQ(*RunFaultCommand(*ParseFaultCommand("clear a"), simulator), "2 cleared");
  EXPECT_EQ(RunFaultCommand(*ParseFaultCommand("clear a nonsense"), simulator).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(FaultCommandTest, SetsALoad) {
  RecordingSimulator simulator;
  ASSERT_TRUE(
      RunFaultCommand(*ParseFaultCommand("load a channel=3 resistance=1e7"), simulator).ok());
  EXPECT_EQ(simulator.channel, 3);
  EXPECT_EQ(simulator.resistance, 1e7);
  EXPECT_EQ(simulator.capacitance, std::nullopt);
}

TEST(FaultCommandTest, RefusesAnUnknownPropertyOfALoad) {
  RecordingSimulator simulator;
  EXPECT_EQ(RunFaultCommand(*ParseFaultCommand("load a color=red"), simulator).status().message(),
            "found color=red, expected channel, resistance or capacitance, a number");
  EXPECT_EQ(simulator.resistance, std::nullopt);
}

}  // namespace
}  // namespace canhub
