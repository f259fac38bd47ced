// Carries out commands: reads what must be fresh, sends, proves, waits for the end of ramps, and
// says exactly what was done when something comes in between.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/iseg/command_plan.h"
#include "drivers/iseg/event_alarms.h"
#include "drivers/iseg/poller.h"
#include "drivers/iseg/session.h"
#include "drivers/iseg/transaction_queue.h"

namespace canhub::iseg {

// On the actor's thread. Phases of a command:
//   reading ──▶ composing (checks; a refusal ends here, nothing sent) ──▶ writing ──▶ proving
//   ──▶ settling ──▶ done. It ends with the stage that the caller waits for.
class CommandEngine {
 public:
  struct Parts {
    const Settings& settings;
    const Clock& clock;
    CommandReporter& reporter;
    DeviceLog& log;
    TransactionQueue& queue;
    Poller& poller;
    DeviceImage& image;
    CommandPlanner& planner;
    EventAlarms& alarms;
    const Session& session;
    // Something was done that other parts must know of, by the action's name.
    std::function<void(const Command&)> confirmed;
  };
  CommandEngine(Parts parts, Timers& timers);

  void Execute(Command command);
  void Cancel(CommandId id, const absl::Status& why);
  // Ends all commands; `why` is extended by what each had done.
  void AbortAll(const absl::Status& why);
  bool busy() const { return !jobs_.empty(); }

 private:
  struct GoalState {
    Goal goal;
    bool reached = false;
    double volt = 0;      // at the last progress
    MonoTime progress{};  // when it last moved or ramped
  };
  struct Job {
    Command command;
    CommandPlan plan;
    std::shared_ptr<CommandGuard> guard;  // child of the command's
    bool writing = false;
    size_t reported = 0;
    std::vector<TxOutcome> outcomes;
    std::vector<bool> went_out;
    MonoTime on_wire{};
    bool echo = true;
    MonoTime prove_until{};
    int rounds = 0;  // of an insisting plan
    std::vector<GoalState> goals;
    std::vector<std::string> answers;  // of a raw exchange
    Stage reached = Stage::kAccepted;
  };

  Job* Find(CommandId id);
  Priority PriorityOf(const Job& job) const;
  Priority ReadPriorityOf(const Job& job) const;
  void Overtake(const Job& job);
  void ReplaceOlder(const Job& job);
  void Compose(CommandId id);
  void StartWriting(CommandId id);
  void OnWritten(CommandId id, size_t index, TxOutcome outcome, MonoTime time);
  void RawRead(CommandId id);
  void StartProving(CommandId id);
  void Prove(CommandId id);
  void OnProofsRead(CommandId id, const absl::Status& status);
  void Mismatch(Job& job, const Proof& proof);
  bool Holds(const Proof& proof) const;
  void Confirm(CommandId id);
  void StartSettling(Job& job);
  void ReadGoals(CommandId id);
  void OnGoalsRead(CommandId id, const absl::Status& status);
  absl::Status Evaluate(GoalState& state) const;
  absl::Status GoalFailure(int channel, std::string_view reason, const std::string& text) const;

  void Reach(Job& job, Stage stage, MonoTime time);
  void Finish(CommandId id, absl::Status status);
  // "done: …; not done: …"; "" when nothing is to be said.
  std::string Account(const Job& job) const;
  absl::Status WithAccount(const Job& job, const absl::Status& why) const;
  void After(Duration delay, CommandId id, void (CommandEngine::*step)(CommandId));
  std::string Describe(const Command& command) const;

  const Parts p_;
  TimerScope timers_;
  std::map<CommandId, Job> jobs_;
};

}  // namespace canhub::iseg
