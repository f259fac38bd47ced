#include "drivers/studer/exchange_queue.h"

#include <algorithm>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub::studer {
namespace {

Urgency UrgencyOf(Rank rank) {
  switch (rank) {
    case Rank::kSafe:
      return Urgency::kSafe;
    case Rank::kCommand:
      return Urgency::kCommand;
    default:
      return Urgency::kPoll;
  }
}

bool IsWrite(const Question& question) { return question.service == Service::kWriteParameter; }

}  // namespace

ExchangeQueue::ExchangeQueue(Options options, const Clock& clock, Timers& timers, FrameSender& bus,
                             Turn& turn, DeviceLog& log)
    : options_(std::move(options)),
      clock_(clock),
      timers_(timers),
      bus_(bus),
      turn_(turn),
      log_(log) {}

ExchangeQueue::~ExchangeQueue() { turn_.Release(); }

void ExchangeQueue::Add(Question question) {
  // Also an earlier safe action: the newest is what is wanted.
  const bool overtakes = question.rank == Rank::kSafe && current_;
  // First: what is called back below may drop it again.
  waiting_.push_back({.question = std::move(question)});
  if (overtakes) {
    Withdraw();
    Finish({.status = MakeError(absl::StatusCode::kAborted, "OVERTAKEN",
                                Describe(current_->asked.question) +
                                    ", sent: overtaken by a safe action before it was answered",
                                {{"device_id", options_.device_id}}),
            .sent = true});
  }
  Pump();
}

void ExchangeQueue::OnTurn() {
  // Whoever had the turn has its answer: the gateway is free for a safe action.
  for (Waiting& waiting : waiting_) {
    if (waiting.question.rank == Rank::kSafe) waiting.not_before = clock_.Now();
  }
  Pump();
  if (!current_) turn_.Release();
}

bool ExchangeQueue::SafeActionWaits() const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [](const Waiting& w) { return w.question.rank == Rank::kSafe; });
}

ExchangeQueue::Waiting* ExchangeQueue::Next(MonoTime now, MonoTime* wake) {
  Waiting* best = nullptr;
  *wake = kNever;
  const bool safe_only = SafeActionWaits();
  for (Waiting& waiting : waiting_) {
    if (safe_only && waiting.question.rank != Rank::kSafe) continue;
    if (waiting.not_before > now) {
      *wake = std::min(*wake, waiting.not_before);
    } else if (best == nullptr || waiting.question.rank < best->question.rank) {
      best = &waiting;
    }
  }
  return best;
}

// `done` may add questions, so that this is called again from within.
void ExchangeQueue::Pump() {
  if (pumping_) return;
  pumping_ = true;
  while (!current_) {
    const MonoTime now = clock_.Now();
    MonoTime wake = kNever;
    Waiting* next = Next(now, &wake);
    timers_.Cancel(std::exchange(wake_, 0));
    if (next == nullptr) {
      // While a safe action waits to be asked again, no neighbour fills the gateway before it.
      if (SafeActionWaits()) {
        turn_.Want(static_cast<int>(Rank::kSafe));
      } else {
        turn_.Release();
      }
      if (wake != kNever) wake_ = timers_.At(wake, [this] { Pump(); });
      break;
    }
    const Rank rank = next->question.rank;
    const bool safe = rank == Rank::kSafe;
    if (!turn_.Want(static_cast<int>(rank)) && !safe) break;
    Waiting waiting = std::move(*next);
    waiting_.erase(std::find_if(waiting_.begin(), waiting_.end(),
                                [next](const Waiting& other) { return &other == next; }));
    Send(std::move(waiting));
  }
  pumping_ = false;
}

void ExchangeQueue::Send(Waiting waiting) {
  const MonoTime now = clock_.Now();
  current_ = Current{.asked = std::move(waiting), .tag = ++last_tag_};
  Question& asked = current_->asked.question;
  if (asked.guard != nullptr && !asked.guard->MaySend(now)) {
    return Finish({.status = MakeError(absl::StatusCode::kAborted, "WITHDRAWN",
                                       Describe(asked) + ": withdrawn before it was sent",
                                       {{"device_id", options_.device_id}})});
  }
  if (asked.guard != nullptr) current_->guard = std::make_shared<CommandGuard>(asked.guard);
  if (++current_->asked.tries == 1) current_->asked.first_sent = now;
  const absl::Status sent =
      bus_.Send({.frame = EncodeRequest({.destination = asked.unit,
                                         .source = options_.client,
                                         .service = asked.service,
                                         .object = asked.object,
                                         .part = static_cast<uint8_t>(asked.part),
                                         .value = asked.value}),
                 .urgency = UrgencyOf(asked.rank),
                 .deadline = now + kSendLimit,
                 .guard = current_->guard,
                 .tag = current_->tag});
  if (!sent.ok()) {
    return Finish({.status = Annotate(sent, Describe(asked) + ": ")});
  }
  // A line that never reports: as if it had been on the wire at the last moment.
  current_->timer = timers_.At(now + kSendLimit + options_.timeout, [this] { OnTimeout(); });
  Reached(Stage::kSent, now);
}

// A command never goes back: what is asked again reaches nothing anew.
void ExchangeQueue::Reached(Stage stage, MonoTime time) {
  Waiting& asked = current_->asked;
  if (stage <= asked.reached) return;
  asked.reached = stage;
  if (asked.question.reached) asked.question.reached(stage, time);
}

void ExchangeQueue::OnTxReport(const TxReport& report) {
  if (!current_ || report.tag != current_->tag || current_->on_wire) return;
  if (report.outcome == TxOutcome::kOnWire || report.outcome == TxOutcome::kSent) {
    current_->on_wire = true;
    timers_.Cancel(current_->timer);
    current_->timer = timers_.At(report.time + options_.timeout, [this] { OnTimeout(); });
    if (report.outcome == TxOutcome::kOnWire) Reached(Stage::kOnWire, report.time);
    return;
  }
  Finish({.status = MakeError(
              absl::StatusCode::kUnavailable, "NOT_SENT",
              Describe(current_->asked.question) + ": the line did not take it; nothing was sent",
              {{"device_id", options_.device_id}})});
  Pump();
}

bool ExchangeQueue::OnAnswer(const Answer& answer, MonoTime time) {
  // What comes before the question was on the wire answers an earlier one.
  if (!current_ || !current_->on_wire) return false;
  const Question& asked = current_->asked.question;
  // Section 5: service, source, object and part; of an error service and source only.
  if (answer.service != asked.service || answer.source != asked.unit) return false;
  if (answer.kind == Answer::Kind::kError) {
    OnError(answer, time);
    Pump();
    return true;
  }
  if (answer.object != asked.object) return false;
  if (asked.service != Service::kReadInfo && answer.part != static_cast<uint8_t>(asked.part)) {
    return false;
  }
  Finish({.value = answer.value, .time = time, .sent = true});
  Pump();
  return true;
}

void ExchangeQueue::OnError(const Answer& answer, MonoTime time) {
  Waiting& asked = current_->asked;
  const uint32_t code = answer.error_code;
  const Reaction reaction = ReactionTo(code);
  const bool busy = code == 0x13;
  if (busy && asked.question.rank == Rank::kSafe) {
    if (clock_.Now() < asked.first_sent + kSafeBusyLimit) return AskAgain(kBusyDelay);
  } else if (busy && ++asked.busy <= kMostBusy) {
    return AskAgain(kBusyDelay * asked.busy);
  }
  // The unit says that it was not done.
  if (reaction == Reaction::kRetryOnce && !std::exchange(asked.failed, true) &&
      (!IsWrite(asked.question) || (asked.question.repeat && asked.question.repeat()))) {
    return AskAgain(kBusyDelay);
  }
  // The unit did not answer the gateway: of a write nobody knows whether it was done.
  if (reaction == Reaction::kRetryLater && !busy && !IsWrite(asked.question) &&
      asked.tries < asked.question.tries) {
    return AskAgain(kBusyDelay);
  }
  Finish(
      {.status = ErrorStatus(
           code, Describe(asked.question) + (IsWrite(asked.question) ? ", sent" : ""),
           {{"device_id", options_.device_id}, {"object", std::to_string(asked.question.object)}}),
       .error_code = code,
       .time = time,
       .sent = true});
}

void ExchangeQueue::OnTimeout() {
  current_->timer = 0;
  log_.CountTimeout();
  Waiting& asked = current_->asked;
  if (!IsWrite(asked.question) && asked.tries < asked.question.tries) {
    AskAgain(Duration(0));
  } else {
    const bool write = IsWrite(asked.question);
    Finish({.status = MakeError(
                write ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kUnavailable,
                "NO_ANSWER",
                Describe(asked.question) + (write ? ", sent: no answer" : ": no answer") +
                    (!write ? ""
                     : asked.question.part == Part::kRam
                         ? "; whether it was done is not known and cannot be read: write it again"
                         : "; whether it was done is not known, read flash before you try again"),
                {{"device_id", options_.device_id},
                 {"object", std::to_string(asked.question.object)}}),
            .sent = true,
            .timed_out = true});
  }
  Pump();
}

void ExchangeQueue::AskAgain(Duration delay) {
  timers_.Cancel(current_->timer);
  Waiting again = std::move(current_->asked);
  current_.reset();
  // Nobody waits for it any more.
  if (!again.question.done) return turn_.Release();
  if (again.question.rank != Rank::kSafe) turn_.Release();
  again.not_before = clock_.Now() + delay;
  waiting_.push_front(std::move(again));
}

void ExchangeQueue::Finish(Outcome outcome) {
  timers_.Cancel(current_->timer);
  const auto done = std::move(current_->asked.question.done);
  current_.reset();
  turn_.Release();
  if (done) done(outcome);
}

bool ExchangeQueue::Drop(uint64_t owner) {
  std::erase_if(waiting_, [owner](const Waiting& w) { return w.question.owner == owner; });
  if (!current_ || current_->asked.question.owner != owner) return false;
  // The gateway works on it: the turn is kept until it has answered.
  Withdraw();
  current_->asked.question.done = nullptr;
  current_->asked.question.reached = nullptr;
  current_->asked.question.repeat = nullptr;
  return true;
}

void ExchangeQueue::Withdraw() {
  if (current_ && current_->guard != nullptr) current_->guard->Revoke();
}

void ExchangeQueue::Clear() {
  Withdraw();
  timers_.CancelAll();
  wake_ = 0;
  waiting_.clear();
  current_.reset();
  turn_.Release();
}

std::string ExchangeQueue::Describe(const Question& question) const {
  return options_.device_id + ": " + std::to_string(question.object) +
         (question.service == Service::kReadInfo ? std::string()
                                                 : ", " + std::string(ToString(question.part)));
}

}  // namespace canhub::studer
