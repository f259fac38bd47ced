// The command tree: parsing, completion, examples.
#include "clients/canhubctl/command_line.h"

#include <csignal>
#include <sstream>

#include "clients/canhubctl/child_process.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/completion.h"
#include "clients/canhubctl/hv_call.h"
#include "clients/canhubctl/hv_ramp_arguments.h"
#include "clients/canhubctl/stop_signal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canhub::ctl {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class CommandTree : public testing::Test {
 protected:
  CommandTree() { BuildCommandTree(app_, session_); }

  // Empty when it is right, else the error.
  std::string Parse(std::vector<std::string> arguments) {
    try {
      app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::ParseError& error) {
      return UsageText(app_, error.what());
    }
    return "";
  }
  std::vector<std::string> Complete(const std::vector<std::string>& words) {
    const CompletionPoint point = FindCompletionPoint(app_, session_, words);
    return Candidates(point, session_, [](enum Complete kind, const CompletionPoint&) {
      if (kind == Complete::kDevice) return std::vector<std::string>{"hv0", "hv1", "crate0"};
      if (kind == Complete::kItem) return std::vector<std::string>{"hv0/ch3.on"};
      return std::vector<std::string>{};
    });
  }

  Session session_{{}};
  CLI::App app_{"", "canhubctl"};
};

TEST_F(CommandTree, TakesGlobalOptionsAnywhere) {
  EXPECT_EQ(Parse({"hv", "set", "hv0", "3", "1000", "--wait", "settled", "--json"}), "");
  EXPECT_EQ(session_.options.wait, "settled");
  EXPECT_TRUE(session_.options.json);
}
TEST_F(CommandTree, TakesNegativeNumbersAsValues) {
  EXPECT_EQ(Parse({"set", "hv0/ch3.voltage_set", "-1000"}), "");
  EXPECT_NE(session_.action, nullptr);
}
TEST_F(CommandTree, NamesAnUnknownCommand) {
  EXPECT_EQ(Parse({"hv", "explode"}),
            "\"explode\" is no command of canhubctl hv; see canhubctl hv "
            "--help");
}
TEST_F(CommandTree, RefusesOneWordTooMany) {
  EXPECT_NE(Parse({"device", "hv0", "hv1"}), "");
  EXPECT_NE(Parse({"bus", "send", "can0", "201#R", "extra"}), "");
}
TEST_F(CommandTree, RefusesAWrongChoiceAndListsTheRightOnes) {
  EXPECT_THAT(Parse({"hv", "kill", "hv0", "maybe"}), HasSubstr("{on,off}"));
}
TEST_F(CommandTree, BusTakesAnId) { EXPECT_EQ(Parse({"bus", "can0"}), ""); }
TEST_F(CommandTree, BusTakesNothing) { EXPECT_EQ(Parse({"bus"}), ""); }
TEST_F(CommandTree, BusTakesASubcommand) {
  EXPECT_EQ(Parse({"bus", "watch", "can0", "--filter", "200:780", "--filter", "201:7FF"}), "");
}

// Every line of every "Examples:" is a command line that parses.
TEST_F(CommandTree, EveryExampleParses) {
  std::vector<std::string> examples;
  const std::function<void(CLI::App*)> collect = [&](CLI::App* command) {
    std::istringstream footer(command->get_footer());
    for (std::string line; std::getline(footer, line);) {
      if (line.starts_with("  canhubctl ")) examples.push_back(line.substr(12));
    }
    for (CLI::App* sub : command->get_subcommands([](CLI::App*) { return true; })) collect(sub);
  };
  collect(&app_);
  ASSERT_GT(examples.size(), 60u);
  for (const std::string& example : examples) {
    if (example.starts_with("COMMAND")) continue;
    // Words as a shell splits them; an explanation follows after several spaces, a pipe ends it.
    std::vector<std::string> words;
    std::string word;
    bool quoted = false;
    for (size_t i = 0; i < example.size(); ++i) {
      const char c = example[i];
      if (c == '\'') {
        quoted = !quoted;
      } else if (c == ' ' && !quoted) {
        words.push_back(word);
        word.clear();
        if (example.compare(i, 3, "   ") == 0) break;
      } else if ((c == '|' || c == '<' || c == '>' || c == '&') && !quoted) {
        break;
      } else {
        word += c;
      }
    }
    if (!word.empty()) words.push_back(word);
    std::vector<std::string> arguments = words;
    Session session({});
    CLI::App app("", "canhubctl");
    BuildCommandTree(app, session);
    session.command_tail = TakeCommandTail(&arguments);
    try {
      app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
      EXPECT_NE(session.action, nullptr) << example;
    } catch (const CLI::ParseError& error) {
      ADD_FAILURE() << example << ": " << error.what();
    }
  }
}

TEST_F(CommandTree, EveryCommandHasADescriptionAndExamples) {
  const std::function<void(CLI::App*)> check = [&](CLI::App* command) {
    EXPECT_NE(command->get_description(), "") << command->get_name();
    EXPECT_NE(command->get_footer(), "") << command->get_name();
    for (CLI::App* sub : command->get_subcommands([](CLI::App*) { return true; })) check(sub);
  };
  check(&app_);
}

TEST_F(CommandTree, CompletesCommandsDevicesChoicesAndOptions) {
  EXPECT_THAT(Complete({"de"}), ElementsAre("device", "devices"));
  EXPECT_THAT(Complete({"hv", "st"}), ElementsAre("status", "store"));
  EXPECT_THAT(Complete({"hv", "status", "hv"}), ElementsAre("hv0", "hv1"));
  EXPECT_THAT(Complete({"hv", "kill", "hv0", ""}), ElementsAre("off", "on"));
  EXPECT_THAT(Complete({"--wait", "s"}), ElementsAre("sent", "settled"));
  EXPECT_THAT(Complete({"watch", "x", "--for"}), ElementsAre("--format"));
  EXPECT_THAT(Complete({"devices", "--js"}), ElementsAre("--json"));
}
TEST_F(CommandTree, CompletesNoCommandAfterItsPositional) {
  EXPECT_THAT(Complete({"bus", "can0", ""}), IsEmpty());
}
TEST_F(CommandTree, CompletesNamesButNotValuesOfSet) {
  EXPECT_THAT(Complete({"set", "hv0/"}), ElementsAre("hv0/ch3.on"));
  EXPECT_THAT(Complete({"set", "hv0/ch3.on", ""}), IsEmpty());
  EXPECT_THAT(Complete({"set", "hv0/ch3.on", "1", ""}), ElementsAre("hv0/ch3.on"));
}
TEST_F(CommandTree, CompletionAsksTheDaemonThatTheLineNames) {
  Complete({"--address", "host:1", "hv", "status", ""});
  EXPECT_EQ(session_.options.address, "host:1");
}
TEST(StepwiseNames, StopsAtTheNextDot) {
  const std::vector<std::string> names = {"hv0/ch1.on", "hv0/ch1.status", "hv0/ch2.on",
                                          "hv0/status"};
  EXPECT_THAT(StepwiseNames(names, "hv0/"), ElementsAre("hv0/ch1.", "hv0/ch2.", "hv0/status"));
  EXPECT_THAT(StepwiseNames(names, "hv0/ch1."), ElementsAre("hv0/ch1.on", "hv0/ch1.status"));
}

TEST(TakeCommandTail, LeavesTheOtherProgramsOptionsAlone) {
  std::vector<std::string> words = {"lease", "run", "hv0", "--", "scan.py", "--json"};
  EXPECT_THAT(TakeCommandTail(&words), ElementsAre("scan.py", "--json"));
  EXPECT_THAT(words, ElementsAre("lease", "run", "hv0"));
}
TEST(TakeCommandTail, OnlyForLeaseRun) {
  std::vector<std::string> words = {"set", "--", "hv0/x", "-5"};
  EXPECT_THAT(TakeCommandTail(&words), IsEmpty());
  EXPECT_THAT(words, Contains("--"));
}

TEST(RampArguments, OneIsTheModulesSpeed) {
  const auto ramp = ParseRampArguments({"50V/s"});
  EXPECT_EQ(ramp->channel_text, "");
  EXPECT_EQ(ramp->up_v_per_s, 50);
  EXPECT_EQ(ramp->down_v_per_s, 50);
}
TEST(RampArguments, OfTwoABareNumberIsAChannel) {
  EXPECT_EQ(ParseRampArguments({"3", "50"})->channel_text, "3");
  EXPECT_EQ(ParseRampArguments({"50V/s", "100V/s"})->channel_text, "");
  EXPECT_EQ(ParseRampArguments({"50V/s", "100V/s"})->down_v_per_s, 100);
}
TEST(RampArguments, AllIsTheModule) {
  const auto ramp = ParseRampArguments({"all", "50", "100"});
  EXPECT_EQ(ramp->channel_text, "");
  EXPECT_EQ(ramp->up_v_per_s, 50);
}
TEST(RampArguments, RefusesVoltsAndNonsense) {
  EXPECT_THAT(ParseRampArguments({"3", "50V"}).error(), HasSubstr("V/s"));
  EXPECT_FALSE(ParseRampArguments({"x", "50", "60"}).ok());
  EXPECT_FALSE(ParseRampArguments({}).ok());
}

TEST(TargetChannels, AllAndNoneAreTheWholeDevice) {
  EXPECT_FALSE((*TargetChannels({"hv0", ""})).has_value());
  EXPECT_FALSE((*TargetChannels({"hv0", "all"})).has_value());
  EXPECT_THAT(**TargetChannels({"hv0", "1-2"}), ElementsAre(1, 2));
  EXPECT_FALSE(TargetChannels({"hv0", "one"}).ok());
}

TEST(Session, GivesEachPartOfACommandItsOwnRequestId) {
  Session session({});
  session.options.request_id = "scan";
  EXPECT_EQ(session.CommandOptions(1).request_id(), "scan");
  EXPECT_EQ(session.CommandOptions(2).request_id(), "scan-2");
}
TEST(Session, TakesTheLeaseFromTheEnvironment) {
  std::ostringstream out;
  Output output(out, out, {});
  Session session({{"CANHUB_LEASE", "abc"}, {"CANHUB_ADDRESS", "127.0.0.1:1"}});
  ASSERT_EQ(session.Start(&output), ExitCode::kOk);
  EXPECT_EQ(session.CommandOptions().lease_id(), "abc");
  EXPECT_EQ(session.connection().address().target, "127.0.0.1:1");
}
TEST(Session, RefusesATimeoutWithoutUnit) {
  std::ostringstream out, err;
  Output output(out, err, {});
  Session session({});
  session.options.timeout = "10";
  EXPECT_EQ(session.Start(&output), ExitCode::kUsage);
  EXPECT_THAT(err.str(), HasSubstr("--timeout"));
}

TEST(ChildProcess, GivesTheExitCode) {
  std::string error;
  const auto child = ChildProcess::Start({"sh", "-c", "exit $CODE"},
                                         {{"CODE", "7"}, {"PATH", "/bin:/usr/bin"}}, &error);
  ASSERT_NE(child, nullptr) << error;
  EXPECT_EQ(child->Wait(), 7);
  child->Signal(SIGTERM);  // its number may be another program's by now
}
TEST(ChildProcess, GivesTheSignalAsAShellDoes) {
  std::string error;
  const auto child = ChildProcess::Start({"sleep", "100"}, {}, &error);
  ASSERT_NE(child, nullptr) << error;
  child->Signal(SIGTERM);
  EXPECT_EQ(child->Wait(), 128 + SIGTERM);
}
TEST(ChildProcess, SaysWhatCannotBeRun) {
  std::string error;
  EXPECT_EQ(ChildProcess::Start({"/does/not/exist"}, {}, &error), nullptr);
  EXPECT_THAT(error, HasSubstr("/does/not/exist"));
}

TEST(StopSignal, TurnsSigintIntoACall) {
  std::atomic<int> calls{0};
  StopSignal stop([&calls] { ++calls; });
  EXPECT_FALSE(stop.WaitFor(std::chrono::nanoseconds(0)));
  raise(SIGINT);
  EXPECT_TRUE(stop.WaitFor(std::chrono::seconds(10)));
  EXPECT_EQ(stop.signal(), SIGINT);
}
TEST(StopSignal, EndsWithoutASignal) {
  for (int i = 0; i < 100; ++i) StopSignal stop([] {});
}

TEST(CompletionScripts, AskTheHiddenCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_THAT(CompletionScript(shell), HasSubstr("__complete")) << shell;
  }
}

// The words of the Python application.
class PcsWords : public testing::TestWithParam<std::vector<std::string>> {};
TEST_P(PcsWords, AreUnderstood) {
  Session session({});
  CLI::App app("", "canhubctl");
  BuildCommandTree(app, session);
  std::vector<std::string> words = GetParam();
  std::reverse(words.begin(), words.end());
  EXPECT_NO_THROW(app.parse(words));
  EXPECT_NE(session.action, nullptr);
}
INSTANTIATE_TEST_SUITE_P(
    PythonApplication, PcsWords,
    testing::Values(std::vector<std::string>{"pcs", "status"},
                    std::vector<std::string>{"pcs", "status", "pcs1"},
                    std::vector<std::string>{"pcs", "monitor", "pcs1", "--count", "3"},
                    std::vector<std::string>{"pcs", "modes", "pcs1"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "cv", "400"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "cc", "-50"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "cp", "-10000"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "cccv", "400", "-50", "5"},
                    std::vector<std::string>{"pcs", "set", "pcs1", "mode", "DC_RAMP_VOLTAGE", "300",
                                             "400", "60"},
                    std::vector<std::string>{"pcs", "enable", "pcs1"},
                    std::vector<std::string>{"pcs", "disable", "pcs1"},
                    std::vector<std::string>{"pcs", "reset-faults", "pcs1"},
                    std::vector<std::string>{"pcs", "faults", "pcs1"},
                    std::vector<std::string>{"pcs", "dump-faults", "pcs1"},
                    std::vector<std::string>{"pcs", "version", "pcs1"},
                    std::vector<std::string>{"pcs", "read-params", "pcs1"},
                    std::vector<std::string>{"pcs", "protection", "pcs1", "max_charge_current=50A"},
                    std::vector<std::string>{"pcs", "time", "pcs1"},
                    std::vector<std::string>{"pcs", "io", "pcs1"},
                    std::vector<std::string>{"pcs", "parallel", "pcs1", "module"},
                    std::vector<std::string>{"watch", "pcs1/dc_*", "--format", "csv", "--out",
                                             "run.csv", "--duration", "10"}));

}  // namespace
}  // namespace canhub::ctl
