#include "drivers/studer/write_runner.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/studer.h"

namespace canhub::studer {
namespace {

using absl::StatusCode;

// Reads of a command are asked twice.
constexpr int kReadTries = 2;

std::string Text(double value) { return Value::Number(value).ToString(); }

// Section 10.2.
uint16_t SwitchSignal(Family family, bool on) {
  switch (family) {
    case Family::kXtender:
      return on ? 1415 : 1399;
    case Family::kVarioTrack:
      return on ? 10039 : 10040;
    case Family::kVarioString:
      return on ? 14038 : 14039;
    default:
      return 0;
  }
}

bool Flag(const ActionCall& call, const char* name) {
  const Value* value = FindArgument(call.arguments, name);
  return value != nullptr && value->flag();
}

}  // namespace

WriteRunner::WriteRunner(const DriverContext& context, const Settings& settings,
                         const UnitItems& items, Parts parts)
    : context_(context), settings_(settings), items_(items), parts_(std::move(parts)) {}

// ---------------------------------------------------------------- commands

void WriteRunner::Execute(Command command) {
  if (command.urgency == Urgency::kSafe) {
    AbortAll(MakeError(StatusCode::kAborted, "OVERTAKEN",
                       context_.config.id + ": overtaken by a safe action",
                       {{"device_id", context_.config.id}}));
  }
  waiting_.push_back(std::move(command));
  StartNext();
}

void WriteRunner::Cancel(CommandId id, const absl::Status& why) {
  const auto waits = std::find_if(waiting_.begin(), waiting_.end(),
                                  [id](const Command& command) { return command.id == id; });
  if (waits != waiting_.end()) {
    waiting_.erase(waits);
    return context_.commands.Finish(id, why);
  }
  if (!active_ || active_->command.id != id) return;
  const bool uncertain = parts_.queue.Drop(id) && active_->sent;
  if (uncertain) {
    const Write& write = active_->writes[active_->at];
    parts_.image.OnUncertain(*write.entry, write.part);
  }
  Finish(WithHistory(why, uncertain));
}

void WriteRunner::AbortAll(const absl::Status& why) {
  for (const Command& command : std::exchange(waiting_, {})) {
    context_.commands.Finish(command.id, why);
  }
  if (active_) Cancel(active_->command.id, why);
}

void WriteRunner::AbortOrdinary(const absl::Status& why) {
  std::deque<Command> safe;
  for (Command& command : std::exchange(waiting_, {})) {
    if (command.urgency == Urgency::kSafe) {
      safe.push_back(std::move(command));
    } else {
      context_.commands.Finish(command.id, why);
    }
  }
  waiting_ = std::move(safe);
  if (active_ && !is_safe()) Cancel(active_->command.id, why);
}

void WriteRunner::StartNext() {
  // Commands that end at once start the next from within.
  if (std::exchange(starting_, true)) return;
  while (!active_ && !waiting_.empty()) {
    Command command = std::move(waiting_.front());
    waiting_.pop_front();
    absl::StatusOr<std::vector<Write>> writes = Plan(command);
    // A safe action is tried whatever is known of the link.
    absl::Status status = writes.status();
    if (status.ok() && command.urgency != Urgency::kSafe) status = parts_.online();
    if (!status.ok()) {
      context_.commands.Finish(command.id,
                               Annotate(status, "", {{"device_id", context_.config.id}}));
      continue;
    }
    ++run_;
    active_ = Active{.command = std::move(command), .writes = *std::move(writes)};
    Begin();
  }
  starting_ = false;
}

// ---------------------------------------------------------------- planning

absl::StatusOr<std::vector<WriteRunner::Write>> WriteRunner::Plan(const Command& command) const {
  if (const auto* call = std::get_if<ActionCall>(&command.what)) return PlanAction(*call);
  std::vector<Write> writes;
  for (const ItemWrite& item : std::get<std::vector<ItemWrite>>(command.what)) {
    const UnitItems::Meaning meaning = items_.MeaningOf(item.item);
    if (meaning.kind != ItemKind::kParameter) {
      return MakeError(StatusCode::kFailedPrecondition, "ITEM_READ_ONLY",
                       context_.config.id + ": " + items_.table()->Name(item.item) +
                           " can only be read; nothing was sent");
    }
    absl::StatusOr<Write> write = PlanWrite(*meaning.entry, item.value, Part::kRam, false);
    if (!write.ok()) return write.status();
    writes.push_back(*std::move(write));
  }
  return writes;
}

absl::StatusOr<const Entry*> WriteRunner::FindParameter(const ActionCall& call,
                                                        const char* argument) const {
  const std::string& name = FindArgument(call.arguments, argument)->text();
  const Entry* entry =
      settings_.unit.family ? Catalogue::Get().FindByName(*settings_.unit.family, name) : nullptr;
  // A name that an info has too, means the parameter here.
  if (entry != nullptr && !entry->parameter) {
    entry = Catalogue::Get().FindByName(*settings_.unit.family, kParameterItems + name);
  }
  if (entry == nullptr || !entry->parameter || !entry->IsObject()) {
    return MakeError(StatusCode::kNotFound, "PARAMETER_UNKNOWN",
                     context_.config.id + " (" + settings_.unit.ToString() +
                         ") has no parameter \"" + name +
                         "\"; canhubctl studer search finds them; nothing was sent",
                     {{"device_id", context_.config.id}, {"parameter", name}});
  }
  return entry;
}

absl::StatusOr<std::vector<WriteRunner::Write>> WriteRunner::PlanAction(
    const ActionCall& call) const {
  const bool write_ram = call.name == action::kWriteParameter;
  if (write_ram || call.name == action::kWriteFlash) {
    absl::StatusOr<const Entry*> entry = FindParameter(call, action::kArgumentParameter);
    if (!entry.ok()) return entry.status();
    const Value* value = FindArgument(call.arguments, action::kArgumentValue);
    const Value* label = FindArgument(call.arguments, action::kArgumentLabel);
    if ((value == nullptr) == (label == nullptr)) {
      return MakeError(StatusCode::kInvalidArgument, "VALUE_MISSING",
                       context_.config.id + ": " + call.name +
                           ": found a value and a label, or neither; expected one of them");
    }
    if ((*entry)->format == Format::kSignal) {
      return MakeError(StatusCode::kFailedPrecondition, "IS_SIGNAL",
                       context_.config.id + ": " + (*entry)->id_text + " (" + (*entry)->name +
                           ") is a signal: use the action " + action::kTrigger);
    }
    absl::StatusOr<Write> write =
        PlanWrite(**entry, label == nullptr ? *value : *label,
                  write_ram ? Part::kRam : Part::kFlash, Flag(call, action::kArgumentForce));
    if (!write.ok()) return write.status();
    return std::vector<Write>{*std::move(write)};
  }
  const Entry* signal = nullptr;
  if (call.name == action::kTrigger) {
    absl::StatusOr<const Entry*> entry = FindParameter(call, action::kArgumentSignal);
    if (!entry.ok()) return entry.status();
    signal = *entry;
    if (signal->format != Format::kSignal) {
      return MakeError(StatusCode::kFailedPrecondition, "NO_SIGNAL",
                       context_.config.id + ": " + signal->id_text + " (" + signal->name +
                           ") is no signal: it is written, not triggered");
    }
  } else if (settings_.unit.family &&
             (call.name == action::kSwitchOn || call.name == action::kSwitchOff)) {
    const uint16_t id = SwitchSignal(*settings_.unit.family, call.name == action::kSwitchOn);
    if (id != 0) signal = Catalogue::Get().Find(*settings_.unit.family, id);
  }
  if (signal == nullptr) {
    return MakeError(
        StatusCode::kUnimplemented, "ACTION_NOT_OF_UNIT",
        context_.config.id + ": " + settings_.unit.ToString() + " has no \"" + call.name + "\"",
        {{"device_id", context_.config.id}, {"action", call.name}});
  }
  absl::StatusOr<Write> write = PlanWrite(*signal, Value::Flag(true), settings_.signal_part, true);
  if (!write.ok()) return write.status();
  return std::vector<Write>{*std::move(write)};
}

absl::StatusOr<WriteRunner::Write> WriteRunner::PlanWrite(const Entry& entry, const Value& value,
                                                          Part part, bool force) const {
  absl::StatusOr<Value> checked = CheckValue(entry, value);
  if (!checked.ok()) return Annotate(checked.status(), context_.config.id + ": ");
  if (checked->type() == ValueType::kNumber) {
    *checked = Value::Number(OnStep(entry, checked->number()));
  }
  Write write{&entry, *std::move(checked), part, force};
  absl::Status status = CheckLimit(entry, write.value);
  if (status.ok()) status = CheckBounds(write);
  if (!status.ok()) return status;
  return write;
}

absl::Status WriteRunner::CheckLimit(const Entry& entry, const Value& value) const {
  const auto limit = context_.config.limits.find(LimitOf(entry));
  if (limit == context_.config.limits.end() || std::abs(value.AsNumber()) <= limit->second) {
    return absl::OkStatus();
  }
  const auto found = context_.config.limit_origins.find(limit->first);
  const std::string origin =
      found == context_.config.limit_origins.end() ? "the configuration" : found->second;
  return MakeError(StatusCode::kOutOfRange, "SETPOINT_ABOVE_LIMIT",
                   context_.config.id + ": " + value.ToString() + " " + entry.unit +
                       " is above the limit of " + Text(limit->second) + " (" + origin + "); " +
                       entry.id_text + ", nothing was sent",
                   {{"device_id", context_.config.id},
                    {"item", entry.id_text},
                    {"requested", value.ToString()},
                    {"limit", Text(limit->second)},
                    {"origin", origin}});
}

absl::Status WriteRunner::CheckBounds(const Write& write) const {
  const Entry& entry = *write.entry;
  if (entry.format == Format::kSignal || entry.format == Format::kFlag) return absl::OkStatus();
  const Bounds bounds = parts_.image.BoundsOf(entry);
  const double number = write.value.AsNumber();
  const bool below = bounds.minimum && number < *bounds.minimum;
  const bool above = bounds.maximum && number > *bounds.maximum;
  if (!below && !above) return absl::OkStatus();
  return MakeError(StatusCode::kOutOfRange, above ? "VALUE_ABOVE_RANGE" : "VALUE_BELOW_RANGE",
                   context_.config.id + ": " + entry.id_text + " (" + entry.name + "): " +
                       Text(number) + " is outside " + Text(bounds.minimum.value_or(0)) + " to " +
                       Text(bounds.maximum.value_or(0)) + " " + entry.unit + "; nothing was sent",
                   {{"device_id", context_.config.id},
                    {"item", entry.id_text},
                    {"requested", Text(number)},
                    {"minimum", Text(bounds.minimum.value_or(0))},
                    {"maximum", Text(bounds.maximum.value_or(0))}});
}

absl::Status WriteRunner::CheckRate(const Write& write) const {
  const auto last = last_write_.find(write.entry->id);
  const MonoTime now = context_.clock.Now();
  if (is_safe() || last == last_write_.end() || now >= last->second + settings_.write_interval) {
    return absl::OkStatus();
  }
  const std::string interval =
      Text(std::chrono::duration<double>(settings_.write_interval).count());
  return MakeError(StatusCode::kResourceExhausted, "WRITTEN_TOO_OFTEN",
                   context_.config.id + ": " + write.entry->id_text +
                       " was written less than write_interval (" + interval +
                       " s) ago; nothing was sent",
                   {{"device_id", context_.config.id},
                    {"object", write.entry->id_text},
                    {"interval_s", interval}});
}

// ---------------------------------------------------------------- one write

bool WriteRunner::is_safe() const { return active_ && active_->command.urgency == Urgency::kSafe; }

void WriteRunner::Ask(const Write& write, Service service, Part part,
                      std::function<void(const Outcome&)> done) {
  const bool writes = service == Service::kWriteParameter;
  Question question{.unit = settings_.unit.address(),
                    .service = service,
                    .object = write.entry->id,
                    .part = part,
                    .value = writes ? ToWire(*write.entry, write.value) : 0,
                    .rank = is_safe() ? Rank::kSafe : Rank::kCommand,
                    .owner = active_->command.id,
                    .tries = writes ? 1 : kReadTries};
  if (writes) {
    question.guard = active_->command.guard;
    question.repeat = [this, run = run_] { return active_ && run == run_ && RepeatFailed(); };
    question.reached = [this](Stage stage, MonoTime time) { Reached(stage, time); };
  }
  question.done = [this, run = run_, done = std::move(done)](const Outcome& outcome) {
    if (active_ && run == run_) done(outcome);
  };
  parts_.queue.Add(std::move(question));
}

// A loop, not a recursion: there may be a thousand writes, all of them equal.
void WriteRunner::Begin() {
  while (IsInRam(active_->writes[active_->at])) {
    if (!Advance(true)) return;
  }
  const Write& write = active_->writes[active_->at];
  if (write.part == Part::kRam) return ReadBounds();
  if (is_safe()) return CountAndSend();
  if (write.force) return ReadBounds();
  CompareFlash();
}

// A flash cell that has the value already is not written again (section 7).
void WriteRunner::CompareFlash() {
  const Write& write = active_->writes[active_->at];
  Ask(write, Service::kReadParameter, Part::kFlash, [this](const Outcome& outcome) {
    Write& write = active_->writes[active_->at];
    if (!outcome.status.ok()) return Finish(WithHistory(outcome.status, false));
    parts_.image.OnFlashRead(*write.entry, outcome.value, outcome.time);
    const std::optional<Value> flash = FromWire(*write.entry, outcome.value);
    // Fixed point inside the unit: equal is what is nearer than half a step (section 3.2).
    const double tolerance =
        write.entry->format == Format::kNumber ? write.entry->increment / 4 : 0;
    const bool equal = flash && std::abs(flash->AsNumber() - write.value.AsNumber()) <= tolerance;
    if (!equal) return ReadBounds();
    if (parts_.image.IsInForce(*write.entry, write.value)) return WriteDone(true);
    // RAM may hold something else; a write there costs no flash.
    write.part = Part::kRam;
    ReadBounds();
  });
}

void WriteRunner::ReadBounds() {
  const Write& write = active_->writes[active_->at];
  if (!parts_.image.NeedsBounds(*write.entry)) return CountAndSend();
  // Where the unit does not tell them, the catalogue's hold; they were checked before.
  Ask(write, Service::kReadParameter, Part::kMinimum, [this](const Outcome& outcome) {
    const Write& write = active_->writes[active_->at];
    if (!outcome.answered()) return Finish(WithHistory(outcome.status, false));
    if (!outcome.status.ok() || !std::isfinite(outcome.value)) return CountAndSend();
    Ask(write, Service::kReadParameter, Part::kMaximum,
        [this, minimum = outcome.value](const Outcome& outcome) {
          const Write& write = active_->writes[active_->at];
          if (!outcome.answered()) return Finish(WithHistory(outcome.status, false));
          if (outcome.status.ok() && std::isfinite(outcome.value)) {
            parts_.image.OnBounds(*write.entry, ShortestDecimal(minimum),
                                  ShortestDecimal(outcome.value));
          }
          if (absl::Status status = CheckBounds(write); !status.ok()) {
            return Finish(WithHistory(status, false));
          }
          CountAndSend();
        });
  });
}

void WriteRunner::CountAndSend() {
  const Write& write = active_->writes[active_->at];
  if (absl::Status status = CheckRate(write); !status.ok()) {
    return Finish(WithHistory(status, false));
  }
  if (write.part == Part::kRam) return Send();
  if (is_safe()) {
    // It waits for no disk, and no cap holds it up.
    parts_.wear.Add(*write.entry, nullptr);
    return Send();
  }
  if (absl::Status status = parts_.wear.Check(*write.entry); !status.ok()) {
    return Finish(WithHistory(status, false));
  }
  parts_.wear.Add(*write.entry, [this, run = run_](const absl::Status& saved) {
    if (!active_ || run != run_) return;
    if (saved.ok()) return Send();
    Finish(WithHistory(
        MakeError(StatusCode::kUnavailable, "FLASH_WEAR_NOT_COUNTED",
                  context_.config.id +
                      ": the write to flash could not be counted, so it was not sent: " +
                      std::string(saved.message()),
                  {{"device_id", context_.config.id}}),
        false));
  });
}

void WriteRunner::Send() {
  const Write& write = active_->writes[active_->at];
  last_write_[write.entry->id] = context_.clock.Now();
  Ask(write, Service::kWriteParameter, write.part,
      [this](const Outcome& outcome) { OnWritten(outcome); });
}

// A write to flash that failed may have worn it: only a safe action is worth that twice.
bool WriteRunner::RepeatFailed() {
  const Write& write = active_->writes[active_->at];
  if (write.part == Part::kRam) return true;
  if (!is_safe()) return false;
  parts_.wear.Add(*write.entry, nullptr);
  return true;
}

void WriteRunner::OnWritten(const Outcome& outcome) {
  const Write& write = active_->writes[active_->at];
  active_->sent = false;  // what became of it is known, or in the status
  if (outcome.status.ok()) {
    parts_.image.OnWritten(*write.entry, write.value, write.part, outcome.time);
    // What is kept inside may be a little off: the next poll or fresh read shows it.
    return WriteDone(false);
  }
  // A unit that did not answer the gateway, or not at all, may have done it.
  const bool uncertain = outcome.sent && (!outcome.answered() ||
                                          ReactionTo(outcome.error_code) == Reaction::kRetryLater);
  if (uncertain) parts_.image.OnUncertain(*write.entry, write.part);
  // Who waits for the wire only has what was asked for.
  if (!outcome.answered() && active_->on_wire && active_->command.wait_for < Stage::kConfirmed) {
    return Finish(absl::OkStatus());
  }
  const Bounds bounds = parts_.image.BoundsOf(*write.entry);
  Finish(WithHistory(Annotate(outcome.status, "",
                              {{"requested", write.value.ToString()},
                               {"minimum", bounds.minimum ? Text(*bounds.minimum) : ""},
                               {"maximum", bounds.maximum ? Text(*bounds.maximum) : ""}}),
                     false));
}

bool WriteRunner::IsInRam(const Write& write) const {
  const Value* ram = parts_.image.Remembered(*write.entry);
  return write.part == Part::kRam && !write.force && ram != nullptr && *ram == write.value;
}

void WriteRunner::WriteDone(bool skipped) {
  if (Advance(skipped)) Begin();
}

bool WriteRunner::Advance(bool skipped) {
  const Write& write = active_->writes[active_->at];
  const Entry& entry = *write.entry;
  active_->done.push_back(entry.id_text);
  active_->items.push_back(items_.Of(entry));
  Arguments& results = active_->results;
  results = {{action::kResultParameter, Value::Text(entry.id_text)},
             {action::kResultWritten, write.value},
             {action::kResultPart, Value::Text(ToString(write.part))},
             {action::kResultSkipped, Value::Flag(skipped)},
             {action::kResultFlashWrites, Value::Integer(parts_.wear.Count(entry.id))}};
  if (!skipped) {
    results.emplace_back(action::kResultWarning, Value::Text(action::kRestartWarning));
  }
  if (++active_->at < active_->writes.size()) return true;
  const MonoTime now = context_.clock.Now();
  if (skipped && active_->command.wait_for < Stage::kConfirmed) {
    context_.commands.Reached(active_->command.id, active_->command.wait_for, now);
  }
  context_.commands.Reached(active_->command.id, Stage::kConfirmed, now);
  if (active_->command.wait_for == Stage::kSettled) {
    context_.commands.Reached(active_->command.id, Stage::kSettled, now);
  }
  Finish(absl::OkStatus());
  return false;
}

void WriteRunner::Reached(Stage stage, MonoTime time) {
  if (!active_) return;
  active_->sent = true;
  // The writes before the last are only steps on the way.
  if (active_->at + 1 != active_->writes.size()) return;
  context_.commands.Reached(active_->command.id, stage, time);
  active_->on_wire |= stage == Stage::kOnWire;
}

void WriteRunner::Finish(absl::Status status) {
  Active ended = *std::exchange(active_, std::nullopt);
  ++run_;
  context_.commands.Finish(ended.command.id, std::move(status), std::move(ended.items),
                           std::move(ended.results));
  StartNext();
}

absl::Status WriteRunner::WithHistory(const absl::Status& why, bool uncertain) const {
  std::string text(why.message());
  ErrorInfo info = GetErrorInfo(why);
  info.fields["device_id"] = context_.config.id;
  if (active_->sent) {
    const std::string& id = active_->writes[active_->at].entry->id_text;
    text += "; " + id +
            " was sent: " + (uncertain ? "whether it was done is not known" : "it was not done");
    if (uncertain) info.fields["uncertain"] = id;
  }
  if (!active_->done.empty()) {
    std::string list;
    for (const std::string& id : active_->done) list += (list.empty() ? "" : ", ") + id;
    text += "; done: " + list;
    info.fields["done"] = list;
  }
  return MakeError(why.code(), info.reason, text, info.fields);
}

}  // namespace canhub::studer
