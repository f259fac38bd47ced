#include "drivers/iseg/command_engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/high_voltage.h"

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
namespace hvc = high_voltage::channel;
namespace action = high_voltage::action;

// A module takes over a write within its own cycle, whose length nobody states: a value that does
// not read back at once is read again, for so long.
constexpr Duration kProofTime = milliseconds(500);
constexpr Duration kProofPause = milliseconds(25);
// A safe action whose effect does not show is planned and sent again, so often.
constexpr int kInsistRounds = 5;
// Frames of commands that were overtaken leave the bus's queue within this.
constexpr Duration kOvertakenPause = milliseconds(2);

std::string ActionName(const Command& command) {
  const auto* call = std::get_if<ActionCall>(&command.what);
  return call == nullptr ? std::string() : call->name;
}

// As binary32, which is what the wire carries.
bool EqualNumbers(double a, double b, double tolerance) {
  if (tolerance > 0) return std::abs(a - b) <= tolerance;
  return static_cast<float>(a) == static_cast<float>(b);
}

std::string Hex(const Answer& answer) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text;
  const auto add = [&text](unsigned byte) {
    text += kDigits[byte >> 4 & 0xF];
    text += kDigits[byte & 0xF];
  };
  if (answer.kind == Answer::Kind::kDcp) {
    add(answer.data_id);
  } else {
    const unsigned id = answer.data_id | (answer.multiple ? kMultipleBit : 0u);
    add(id >> 8);
    add(id & 0xFF);
    if (answer.index >= 0) add(static_cast<unsigned>(answer.index));
  }
  for (const uint8_t byte : answer.bytes.view()) add(byte);
  return text;
}

}  // namespace

CommandEngine::CommandEngine(Parts parts, Timers& timers) : p_(std::move(parts)), timers_(timers) {}

CommandEngine::Job* CommandEngine::Find(CommandId id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

Priority CommandEngine::PriorityOf(const Job& job) const {
  return job.command.urgency == Urgency::kSafe ? Priority::kSafe : Priority::kCommand;
}

Priority CommandEngine::ReadPriorityOf(const Job& job) const {
  return job.command.urgency == Urgency::kSafe ? Priority::kSafe : Priority::kReadBack;
}

std::string CommandEngine::Describe(const Command& command) const {
  if (const auto* call = std::get_if<ActionCall>(&command.what)) return call->name;
  std::string text = "setting";
  const auto& writes = std::get<std::vector<ItemWrite>>(command.what);
  for (size_t i = 0; i < writes.size() && i < 3; ++i) {
    if (writes[i].item >= p_.image.items().table()->size()) continue;
    text += (i == 0 ? " " : ", ") + p_.image.items().table()->Name(writes[i].item);
  }
  return text + (writes.size() > 3 ? ", …" : "");
}

void CommandEngine::After(Duration delay, CommandId id, void (CommandEngine::*step)(CommandId)) {
  timers_.At(p_.clock.Now() + delay, [this, id, step] {
    if (Find(id) != nullptr) (this->*step)(id);
  });
}

void CommandEngine::Execute(Command command) {
  const CommandId id = command.id;
  if (jobs_.contains(id)) return;
  const bool emergency = ActionName(command) == action::kEmergencyOff;
  if (emergency) command.urgency = Urgency::kSafe;
  const bool safe = command.urgency == Urgency::kSafe;
  const LinkState link = p_.session.state();
  // A safe action is sent even to a device that is silent: perhaps only its answers are lost.
  if (!p_.session.online() && (!safe || link == LinkState::kBusDown)) {
    const std::string state(ToString(link));
    const absl::Status status = MakeError(
        absl::StatusCode::kUnavailable, link == LinkState::kBusDown ? "BUS_DOWN" : "DEVICE_OFFLINE",
        Describe(command) + ": the device is " + state + "; nothing was sent", {{"link", state}});
    if (safe) p_.alarms.OnSafeAction(status, Describe(command));
    return p_.reporter.Finish(id, status);
  }
  absl::StatusOr<CommandPlan> plan = p_.planner.Plan(command);
  if (!plan.ok()) return p_.reporter.Finish(id, plan.status());

  Job& job = jobs_[id];
  job.guard = std::make_shared<CommandGuard>(command.guard);
  job.command = std::move(command);
  job.plan = *std::move(plan);
  if (safe) Overtake(job);
  if (job.plan.reads_first.empty()) return Compose(id);
  p_.poller.Read(job.plan.reads_first, ReadPriorityOf(job), id, job.guard,
                 [this, id](const absl::Status& status) {
                   if (Find(id) == nullptr) return;
                   if (status.ok()) return Compose(id);
                   Finish(id, MakeError(absl::StatusCode::kUnavailable, "NO_ANSWER",
                                        "the state that the command depends on could not be read "
                                        "(" +
                                            std::string(status.message()) + "); nothing was sent"));
                 });
}

// S10: what waits is withdrawn before the first safe frame is queued.
void CommandEngine::Overtake(const Job& job) {
  const std::string name = ActionName(job.command);
  std::vector<CommandId> overtaken;
  for (const auto& [id, other] : jobs_) {
    if (&other == &job || (other.plan.channels & job.plan.channels) == 0) continue;
    const std::string other_name = ActionName(other.command);
    // Emergency off ends everything but its like; a ramp down does not stop an emergency off.
    if (other_name == action::kEmergencyOff || other_name == name) continue;
    overtaken.push_back(id);
  }
  for (const CommandId id : overtaken) {
    Finish(id, MakeError(absl::StatusCode::kAborted, "OVERTAKEN",
                         "overtaken by the safe action " + name, {{"safe_action", name}}));
  }
}

void CommandEngine::ReplaceOlder(const Job& job) {
  std::vector<CommandId> replaced;
  for (const auto& [id, other] : jobs_) {
    if (&other == &job || other.command.urgency < job.command.urgency) continue;
    // Two safe actions of a kind do not hurt each other, and both callers want to know.
    if (other.command.urgency == Urgency::kSafe) continue;
    const bool same =
        std::any_of(other.plan.targets.begin(), other.plan.targets.end(),
                    [&job](const Target& target) { return job.plan.targets.contains(target); });
    if (same) replaced.push_back(id);
  }
  for (const CommandId id : replaced) {
    Finish(id, MakeError(absl::StatusCode::kAborted, "REPLACED",
                         "replaced by a newer command for the same item",
                         {{"newer_command", std::to_string(job.command.id)}}));
  }
}

void CommandEngine::Compose(CommandId id) {
  Job& job = *Find(id);
  if (job.plan.compose) {
    const auto compose = std::exchange(job.plan.compose, nullptr);
    if (absl::Status status = compose(job.plan); !status.ok()) return Finish(id, status);
  }
  if (!job.guard->MaySend(p_.clock.Now())) {
    return Finish(id, MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE",
                                "the deadline passed before anything was sent"));
  }
  ReplaceOlder(job);
  if (job.plan.raw_read) return RawRead(id);
  StartWriting(id);
}

void CommandEngine::StartWriting(CommandId id) {
  Job& job = *Find(id);
  const size_t count = job.plan.writes.size();
  job.writing = true;
  job.reported = 0;
  job.outcomes.assign(count, TxOutcome::kFailed);
  job.went_out.assign(count, false);
  job.on_wire = p_.clock.Now();
  if (ActionName(job.command) == action::kEmergencyOff) {
    p_.planner.LockEmergencyOff(job.plan.channels);
  }
  if (count == 0) {
    Reach(job, Stage::kSent, job.on_wire);
    return StartProving(id);
  }
  const Priority priority = PriorityOf(job);
  const std::vector<PlannedWrite> writes = job.plan.writes;
  for (size_t i = 0; i < count; ++i) {
    WriteRequest request{.frame = writes[i].frame,
                         .priority = priority,
                         .owner = id,
                         .guard = job.guard,
                         .done = [this, id, i](TxOutcome outcome, MonoTime time) {
                           OnWritten(id, i, outcome, time);
                         }};
    if (writes[i].at == Duration::zero()) {
      p_.queue.Write(std::move(request));
    } else {
      timers_.At(p_.clock.Now() + writes[i].at, [this, id, request = std::move(request)] {
        if (Find(id) != nullptr) p_.queue.Write(request);
      });
    }
    // A bus that reports from within Send may have ended the command.
    if (Find(id) == nullptr) return;
  }
}

void CommandEngine::OnWritten(CommandId id, size_t index, TxOutcome outcome, MonoTime time) {
  Job* job = Find(id);
  if (job == nullptr || index >= job->outcomes.size()) return;
  ++job->reported;
  job->outcomes[index] = outcome;
  const bool went_out = outcome == TxOutcome::kOnWire || outcome == TxOutcome::kSent;
  job->went_out[index] = went_out;
  if (!went_out) {
    const bool expired = outcome == TxOutcome::kExpired;
    return Finish(id, MakeError(expired ? absl::StatusCode::kDeadlineExceeded
                                        : absl::StatusCode::kUnavailable,
                                expired ? "DEADLINE" : "NOT_SENT",
                                expired ? "the command's time was over before its frames went out"
                                        : "the bus did not take the command's frames"));
  }
  job->echo = job->echo && outcome == TxOutcome::kOnWire;
  job->on_wire = std::max(job->on_wire, time);
  if (job->reported < job->outcomes.size()) return;
  job->writing = false;
  Reach(*job, Stage::kSent, job->on_wire);
  if (job->echo) Reach(*job, Stage::kOnWire, job->on_wire);
  if (job->command.wait_for <= Stage::kSent && !job->plan.always_settle && !job->plan.insist) {
    // The caller is content; the readings still follow.
    std::vector<ItemId> items;
    for (const Proof& proof : job->plan.proofs) items.push_back(proof.item);
    p_.confirmed(job->command);
    Finish(id, absl::OkStatus());
    p_.poller.Refresh(std::move(items), nullptr);
    return;
  }
  if (job->plan.pause > Duration::zero()) {
    After(job->plan.pause, id, &CommandEngine::StartProving);
  } else {
    StartProving(id);
  }
}

void CommandEngine::RawRead(CommandId id) {
  Job& job = *Find(id);
  ReadRequest request = *job.plan.raw_read;
  request.priority = Priority::kCommand;
  request.owner = id;
  request.guard = job.guard;
  request.on_answer = [this, id](const Answer& answer) {
    if (Job* j = Find(id)) j->answers.push_back(Hex(answer));
  };
  request.done = [this, id](const ReadResult& result) {
    Job* j = Find(id);
    if (j == nullptr) return;
    if (j->answers.empty()) {
      return Finish(id, absl::IsUnavailable(result.status)
                            ? result.status
                            : MakeError(absl::StatusCode::kDeadlineExceeded, "NO_ANSWER",
                                        "the device did not answer"));
    }
    std::string text;
    for (const std::string& answer : j->answers) text += (text.empty() ? "" : " ") + answer;
    j->plan.conclude = [text](Arguments& results) {
      results.emplace_back("answers", Value::Text(text));
      return absl::OkStatus();
    };
    Reach(*j, Stage::kSent, p_.clock.Now());
    Confirm(id);
  };
  p_.queue.Read(std::move(request));
}

void CommandEngine::StartProving(CommandId id) {
  Job& job = *Find(id);
  // A frame of an overtaken command that the bus had already taken may still follow: the proof must
  // see the state after it.
  if (job.command.urgency == Urgency::kSafe && p_.queue.WritesInFlightOfOthers(id)) {
    return After(kOvertakenPause, id, &CommandEngine::StartProving);
  }
  job.prove_until = p_.clock.Now() + kProofTime;
  Prove(id);
}

void CommandEngine::Prove(CommandId id) {
  Job& job = *Find(id);
  std::vector<ItemId> items;
  for (const Proof& proof : job.plan.proofs) items.push_back(proof.item);
  if (items.empty()) return Confirm(id);
  p_.poller.Read(std::move(items), ReadPriorityOf(job), id, job.guard,
                 [this, id](const absl::Status& status) { OnProofsRead(id, status); });
}

bool CommandEngine::Holds(const Proof& proof) const {
  const std::optional<Value> value = p_.image.Get(proof.item);
  if (!value) return false;
  if (!proof.expected) return true;
  if (value->type() == ValueType::kNumber) {
    return EqualNumbers(value->number(), proof.expected->AsNumber(), proof.tolerance);
  }
  if (value->type() == ValueType::kInteger && proof.expected->type() == ValueType::kInteger) {
    return ((static_cast<uint64_t>(value->integer()) ^
             static_cast<uint64_t>(proof.expected->integer())) &
            (proof.mask == ~uint32_t{0} ? ~uint64_t{0} : uint64_t{proof.mask})) == 0;
  }
  return *value == *proof.expected;
}

void CommandEngine::OnProofsRead(CommandId id, const absl::Status& status) {
  Job* job = Find(id);
  if (job == nullptr) return;
  const MonoTime now = p_.clock.Now();
  if (!status.ok()) {
    // A safe action goes on asking as long as its time lasts; others have had their tries.
    if (absl::IsFailedPrecondition(status)) {
      return Finish(id, Annotate(status, "sent, but it cannot be proven: "));
    }
    if (now < job->prove_until && !absl::IsUnavailable(status)) {
      return After(kProofPause, id, &CommandEngine::Prove);
    }
    const bool offline = !p_.session.online();
    return Finish(id, MakeError(offline ? absl::StatusCode::kUnavailable
                                        : absl::StatusCode::kDeadlineExceeded,
                                "NOT_CONFIRMED",
                                "sent, but the device did not answer the read-back; read its state "
                                "before you try again"));
  }
  const auto wrong = std::find_if(job->plan.proofs.begin(), job->plan.proofs.end(),
                                  [this](const Proof& proof) { return !Holds(proof); });
  if (wrong == job->plan.proofs.end()) return Confirm(id);
  if (now < job->prove_until) {
    // The input-error bit ends the waiting: the device has said no.
    const int channel = p_.image.items().Channel(wrong->item);
    const std::optional<ItemId> state = p_.image.Find(channel, hvc::kStatus);
    if (job->plan.insist || !state) return After(kProofPause, id, &CommandEngine::Prove);
    const Proof proof = *wrong;
    p_.poller.Read({*state}, ReadPriorityOf(*job), id, job->guard,
                   [this, id, proof](const absl::Status&) {
                     Job* j = Find(id);
                     if (j == nullptr) return;
                     const int ch = p_.image.items().Channel(proof.item);
                     const uint16_t data_id = ch < 0 ? id::kModuleStatus : id::kChannelStatus;
                     const int bit = ch < 0 ? module_bit::kInputError : channel_bit::kInputError;
                     const auto bits = p_.image.Register(ch, data_id);
                     if (bits && (*bits & Bit(bit)) != 0 && !Holds(proof)) {
                       return Mismatch(*j, proof);
                     }
                     After(kProofPause, id, &CommandEngine::Prove);
                   });
    return;
  }
  if (job->plan.insist && ++job->rounds < kInsistRounds && job->guard->MaySend(now)) {
    absl::StatusOr<CommandPlan> again = p_.planner.Plan(job->command);
    if (again.ok()) {
      p_.log.Log(LogLevel::kWarning, Describe(job->command) + " did not show: sent again");
      job->plan = *std::move(again);
      return StartWriting(id);
    }
  }
  Mismatch(*job, *wrong);
}

void CommandEngine::Mismatch(Job& job, const Proof& proof) {
  const DeviceItems& items = p_.image.items();
  const int channel = items.Channel(proof.item);
  const std::string name = items.table()->Name(proof.item);
  const std::optional<Value> now = p_.image.Get(proof.item);
  const std::string found = now ? now->ToString() : "nothing";
  const std::string wanted = proof.expected ? proof.expected->ToString() : "a value";
  const uint16_t data_id = channel < 0 ? id::kModuleStatus : id::kChannelStatus;
  const int bit = channel < 0 ? module_bit::kInputError : channel_bit::kInputError;
  const std::optional<uint32_t> status = p_.image.Register(channel, data_id);
  const bool refused = status && (*status & Bit(bit)) != 0;
  std::string text = Describe(job.command) + ": sent, but " + name + " reads back " + found +
                     " instead of " + wanted;
  if (proof.mask != ~uint32_t{0}) text += " in the bits " + std::to_string(proof.mask);
  if (refused) {
    text += "; the device set its input-error bit: it ignored the value";
    p_.alarms.NameInputError(channel, Describe(job.command) + ", wanted " + wanted);
  } else if (const auto events = p_.image.Register(channel, id::kChannelEventStatus);
             channel >= 0 && events && (*events & kBlockingChannelEvents) != 0) {
    text += "; the channel has blocking events: clear them";
  }
  Finish(job.command.id,
         MakeError(refused ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kAborted,
                   refused ? "DEVICE_REFUSED" : "READ_BACK_DIFFERS", text,
                   {{"item", name}, {"wanted", wanted}, {"found", found}}));
}

void CommandEngine::Confirm(CommandId id) {
  Job& job = *Find(id);
  if (!job.plan.unverified.ok()) return Finish(id, job.plan.unverified);
  Reach(job, Stage::kConfirmed, p_.clock.Now());
  p_.confirmed(job.command);
  if (Find(id) == nullptr) return;
  if (job.plan.changes_set_values) p_.poller.HurrySetValues();
  const bool settle = job.plan.always_settle || job.command.wait_for == Stage::kSettled;
  if (settle && !job.plan.goals.empty()) return StartSettling(job);
  if (settle) Reach(job, Stage::kSettled, p_.clock.Now());
  Finish(id, absl::OkStatus());
}

void CommandEngine::Reach(Job& job, Stage stage, MonoTime time) {
  if (stage <= job.reached) return;
  job.reached = stage;
  p_.reporter.Reached(job.command.id, stage, time);
}

std::string CommandEngine::Account(const Job& job) const {
  if (job.outcomes.empty()) return "";
  std::string done, open;
  for (size_t i = 0; i < job.plan.writes.size() && i < job.went_out.size(); ++i) {
    std::string& list = job.went_out[i] ? done : open;
    list += (list.empty() ? "" : ", ") + job.plan.writes[i].text;
  }
  if (done.empty()) return "; nothing was sent";
  return "; done: " + done + (open.empty() ? std::string() : "; not done: " + open);
}

absl::Status CommandEngine::WithAccount(const Job& job, const absl::Status& why) const {
  const std::string account = Account(job);
  if (account.empty() || why.ok()) return why;
  ErrorInfo info = GetErrorInfo(why);
  int done = 0;
  for (const bool out : job.went_out) done += out ? 1 : 0;
  info.fields["frames_done"] = std::to_string(done);
  info.fields["frames_planned"] = std::to_string(job.went_out.size());
  return MakeError(why.code(), info.reason.empty() ? "ENDED" : info.reason,
                   std::string(why.message()) + account, info.fields);
}

void CommandEngine::Finish(CommandId id, absl::Status status) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  Arguments results;
  if (status.ok() && it->second.plan.conclude) status = it->second.plan.conclude(results);
  Job job = std::move(it->second);
  jobs_.erase(it);
  job.guard->Revoke();
  p_.queue.CancelOwner(id);
  if (ActionName(job.command) == action::kEmergencyOff) {
    p_.planner.UnlockEmergencyOff(job.plan.channels);
  }
  if (!status.ok()) status = WithAccount(job, status);
  // One safe action that gives way to another is no failure.
  if (job.command.urgency == Urgency::kSafe && !absl::IsAborted(status)) {
    p_.alarms.OnSafeAction(status, Describe(job.command));
  }
  p_.reporter.Finish(id, std::move(status), job.plan.read_back, std::move(results));
}

void CommandEngine::Cancel(CommandId id, const absl::Status& why) { Finish(id, why); }

void CommandEngine::AbortAll(const absl::Status& why) {
  while (!jobs_.empty()) Finish(jobs_.begin()->first, why);
}

}  // namespace canhub::iseg
