#include "drivers/iseg/transaction_queue.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace canhub::iseg {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long a request may wait in the bus's queue before it is worth nothing.
constexpr Duration kTxWait = seconds(1);
// A bus that never reports on a frame has lost it; its place is given to the next.
constexpr Duration kReportWait = seconds(5);
// A full queue of the bus is tried again after about the time of a few frames.
constexpr Duration kFullQueuePause = milliseconds(2);
// Frames of commands that are at the bus at a time: enough to keep the line busy, few enough that
// a safe action finds next to nothing before it.
constexpr size_t kWriteWindow = 4;
// An answer may come this long after its read was given up, or come twice.
constexpr Duration kRecentTime = seconds(2);
// A silent read of lower priority gives way to a waiting one after the single time-out.
constexpr Duration kYieldAfter = milliseconds(50);

constexpr int kMaskedChannels = 16;

// A garbled frame may name channel 255: no bit then.
uint64_t Bits(int first, int count) {
  if (first >= 64) return 0;
  return (count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1) << std::max(first, 0);
}

}  // namespace

Urgency UrgencyOf(Priority priority) {
  switch (priority) {
    case Priority::kSafe:
      return Urgency::kSafe;
    case Priority::kCommand:
    case Priority::kReadBack:
      return Urgency::kCommand;
    case Priority::kSession:
      return Urgency::kHeartbeat;
    case Priority::kRefresh:
    case Priority::kPoll:
      break;
  }
  return Urgency::kPoll;
}

TransactionQueue::TransactionQueue(DeviceAddress address, const Clock& clock, Timers& timers,
                                   FrameSender& bus, DeviceLog& log, Events events)
    : address_(address),
      clock_(clock),
      bus_(bus),
      log_(log),
      events_(std::move(events)),
      timers_(timers) {}

void TransactionQueue::Read(ReadRequest request) {
  reads_[static_cast<size_t>(request.priority)].push_back(std::move(request));
  if (outstanding_ && HigherReadWaits()) ArmTimer();
  Pump();
}

void TransactionQueue::Write(WriteRequest request) {
  writes_[static_cast<size_t>(request.priority)].push_back(std::move(request));
  Pump();
}

void TransactionQueue::Pump() {
  // Callbacks add transactions and a bus may answer from within Send: one loop, never nested.
  pump_again_ = true;
  if (pumping_) return;
  pumping_ = true;
  while (std::exchange(pump_again_, false)) PumpOnce();
  pumping_ = false;
}

void TransactionQueue::PumpOnce() {
  std::vector<InFlight> lost;
  for (auto it = in_flight_.begin(); it != in_flight_.end();) {
    if (clock_.Now() < it->second.given_up_at) {
      ++it;
      continue;
    }
    lost.push_back(std::move(it->second));
    it = in_flight_.erase(it);
  }
  for (InFlight& write : lost) {
    if (write.request.done) write.request.done(TxOutcome::kFailed, clock_.Now());
  }
  while (SendNextWrite()) {
  }
  while (!outstanding_ && retry_timer_ == 0 && SendNextRead()) {
  }
  if (idle() && !pump_again_ && events_.idle) events_.idle();
}

bool TransactionQueue::idle() const {
  return !outstanding_ && std::all_of(std::begin(reads_), std::end(reads_), [](const auto& queue) {
    return queue.empty();
  }) && std::all_of(std::begin(writes_), std::end(writes_), [](const auto& queue) {
    return queue.empty();
  });
}

bool TransactionQueue::SendNextWrite() {
  const auto queue = std::find_if(std::begin(writes_), std::end(writes_),
                                  [](const auto& q) { return !q.empty(); });
  if (queue == std::end(writes_)) return false;
  const bool safe = queue->front().priority == Priority::kSafe;
  if (!safe && in_flight_.size() >= kWriteWindow) return false;

  WriteRequest request = std::move(queue->front());
  queue->pop_front();
  if (request.guard &&
      !request.guard->MaySend(clock_.Now())) {  // it waited here for too long (S02)
    if (request.done) request.done(TxOutcome::kExpired, clock_.Now());
    return true;
  }
  const uint64_t tag = ++last_tag_;
  TxFrame frame{.frame = request.frame,
                .urgency = UrgencyOf(request.priority),
                .deadline = request.guard ? request.guard->deadline() : kNever,
                .guard = request.guard,
                .tag = tag};
  const Priority priority = request.priority;
  // Kept before it is sent: the report may come from within Send.
  in_flight_.emplace(tag, InFlight{std::move(request), clock_.Now() + kReportWait});
  last_sent_ = clock_.Now();
  const absl::Status sent = bus_.Send(std::move(frame));
  if (sent.ok()) return true;
  const auto it = in_flight_.find(tag);
  if (it == in_flight_.end()) return true;
  WriteRequest unsent = std::move(it->second.request);
  in_flight_.erase(it);
  if (absl::IsResourceExhausted(sent)) {
    writes_[static_cast<size_t>(priority)].push_front(std::move(unsent));
    RetrySoon();
    return false;
  }
  if (unsent.done) unsent.done(TxOutcome::kPurged, clock_.Now());
  return true;
}

bool TransactionQueue::SendNextRead() {
  const auto queue =
      std::find_if(std::begin(reads_), std::end(reads_), [](const auto& q) { return !q.empty(); });
  if (queue == std::end(reads_)) return false;
  Outstanding next;
  next.request = std::move(queue->front());
  queue->pop_front();
  next.tries_left = std::max(next.request.tries, 1);
  if (next.request.answers == ReadRequest::Answers::kOne) {
    next.missing = 1;
  } else if (next.request.answers == ReadRequest::Answers::kChannels) {
    next.missing = next.request.wanted != 0 ? next.request.wanted
                                            : Bits(next.request.first, next.request.count);
  }
  outstanding_ = std::move(next);
  SendOutstanding();
  return true;
}

void TransactionQueue::SendOutstanding() {
  Outstanding& out = *outstanding_;
  CanFrame frame = out.request.frame;
  if (out.request.answers == ReadRequest::Answers::kChannels && out.answers > 0) {
    // Again only for those that are missing, where one mask can name them.
    const int low = std::countr_zero(out.missing) / kMaskedChannels * kMaskedChannels;
    if ((out.missing >> low) <= 0xFFFF) {
      frame =
          ReadMultipleFrame(address_, out.request.data_id,
                            static_cast<uint16_t>(out.missing >> low), static_cast<uint8_t>(low));
    }
  }
  --out.tries_left;
  const MonoTime now = clock_.Now();
  out.tag = ++last_tag_;
  out.on_wire = false;
  out.unsent = false;
  out.last_activity = now;
  out.expires = now + kTxWait + out.request.timeout;
  const bool poll = out.request.guard == nullptr;
  TxFrame tx{.frame = frame,
             .urgency = UrgencyOf(out.request.priority),
             .deadline = poll ? now + kTxWait : out.request.guard->deadline(),
             .guard = out.request.guard,
             .tag = out.tag};
  Remember();
  ArmTimer();
  last_sent_ = now;
  const uint64_t tag = out.tag;
  const absl::Status sent = bus_.Send(std::move(tx));
  if (sent.ok() || !outstanding_ || outstanding_->tag != tag) return;
  if (absl::IsResourceExhausted(sent)) {
    ReadRequest request = std::move(outstanding_->request);
    request.tries = outstanding_->tries_left + 1;
    outstanding_.reset();
    ArmTimer();
    reads_[static_cast<size_t>(request.priority)].push_front(std::move(request));
    // Nothing else can be sent before the bus has room again.
    RetrySoon();
    return;
  }
  Finish(absl::UnavailableError("the bus cannot transmit"));
}

void TransactionQueue::RetrySoon() {
  if (retry_timer_ != 0) return;
  retry_timer_ = timers_.At(clock_.Now() + kFullQueuePause, [this] {
    retry_timer_ = 0;
    Pump();
  });
}

void TransactionQueue::Remember() {
  const MonoTime now = clock_.Now();
  while (!recent_.empty() && recent_.front().until <= now) recent_.pop_front();
  recent_.push_back({outstanding_->request.dcp, outstanding_->request.data_id,
                     now + kRecentTime + outstanding_->request.timeout});
}

void TransactionQueue::ArmTimer() {
  timers_.Cancel(timer_);
  timer_ = 0;
  if (!outstanding_) return;
  timer_ = timers_.At(Expiry(), [this] {
    timer_ = 0;
    if (!outstanding_) return;
    // Answers have come since the timer was set: there is more time.
    if (clock_.Now() < Expiry()) return ArmTimer();
    OnTimer();
  });
}

MonoTime TransactionQueue::Expiry() const {
  const MonoTime expires = outstanding_->expires;
  if (!outstanding_->on_wire || !HigherReadWaits()) return expires;
  return std::min(expires, outstanding_->last_activity + kYieldAfter);
}

bool TransactionQueue::HigherReadWaits() const {
  for (size_t i = 0; i < static_cast<size_t>(outstanding_->request.priority); ++i) {
    if (!reads_[i].empty()) return true;
  }
  return false;
}

void TransactionQueue::OnTimer() {
  if (!outstanding_) return;
  using Answers = ReadRequest::Answers;
  const Answers kind = outstanding_->request.answers;
  const bool open_ended = kind == Answers::kPieces ||
                          (kind == Answers::kIndexed && outstanding_->request.count == 0) ||
                          kind == Answers::kRaw;
  if (open_ended && outstanding_->answers > 0) {
    Finish(absl::OkStatus());
  } else {
    if (!outstanding_->unsent) {
      log_.CountTimeout();
      if (outstanding_->answers == 0) ++silent_tries_;
    }
    const int silent = silent_tries_;
    RetryOrFinish();
    if (silent > 0 && events_.unanswered) events_.unanswered(silent);
  }
  Pump();
}

void TransactionQueue::RetryOrFinish() {
  const std::shared_ptr<const CommandGuard>& guard = outstanding_->request.guard;
  const bool may_send = !guard || guard->MaySend(clock_.Now());
  const bool give_way = HigherReadWaits() && outstanding_->request.priority == Priority::kPoll;
  if (outstanding_->tries_left > 0 && may_send && !give_way) {
    SendOutstanding();
    return;
  }
  Finish(outstanding_->unsent
             ? absl::UnavailableError("the request could not be sent")
             : absl::DeadlineExceededError("no answer within the time-out, after all tries"));
}

TransactionQueue::Match TransactionQueue::Classify(const Answer& answer) const {
  const bool dcp = answer.kind == Answer::Kind::kDcp;
  if (outstanding_ && outstanding_->request.dcp == dcp &&
      outstanding_->request.data_id == answer.data_id) {
    const Outstanding& out = *outstanding_;
    const bool empty = answer.kind == Answer::Kind::kNotImplemented;
    switch (out.request.answers) {
      case ReadRequest::Answers::kOne:
        if (answer.index == out.request.first) return Match::kWanted;
        break;
      case ReadRequest::Answers::kChannels:
        // "Not implemented" to a whole multiple read names no channel.
        if (empty && answer.index < 0) return Match::kWanted;
        if (answer.index >= 0 && (out.missing & Bits(answer.index, 1)) != 0) return Match::kWanted;
        break;
      case ReadRequest::Answers::kIndexed:
      case ReadRequest::Answers::kPieces:
        if (answer.index < 0 || (out.seen & Bits(answer.index, 1)) == 0) return Match::kWanted;
        break;
      case ReadRequest::Answers::kRaw:
        return Match::kWanted;
    }
    return Match::kRepeated;
  }
  const MonoTime now = clock_.Now();
  const bool asked = std::any_of(recent_.begin(), recent_.end(), [&](const Recent& r) {
    return r.dcp == dcp && r.data_id == answer.data_id && now < r.until;
  });
  return asked ? Match::kRepeated : Match::kUnasked;
}

void TransactionQueue::Accept(const Answer& answer) {
  if (!outstanding_) return;
  silent_tries_ = 0;
  Outstanding& out = *outstanding_;
  ++out.answers;
  out.last_activity = clock_.Now();
  const bool empty = answer.kind == Answer::Kind::kNotImplemented;
  bool complete = false;
  switch (out.request.answers) {
    case ReadRequest::Answers::kOne:
      out.missing = 0;
      complete = true;
      break;
    case ReadRequest::Answers::kChannels:
      out.missing &= answer.index < 0 ? 0 : ~Bits(answer.index, 1);
      complete = out.missing == 0;
      break;
    case ReadRequest::Answers::kIndexed:
      if (answer.index >= 0) out.seen |= Bits(answer.index, 1);
      complete = empty || (out.request.count > 0 && out.answers >= out.request.count);
      break;
    case ReadRequest::Answers::kPieces:
      if (answer.index >= 0) out.seen |= Bits(answer.index, 1);
      complete = empty;
      break;
    case ReadRequest::Answers::kRaw:
      complete = (empty && answer.index < 0) || out.answers >= out.request.count;
      break;
  }
  const uint64_t tag = out.tag;
  const auto on_answer = out.request.on_answer;
  if (on_answer) on_answer(answer);
  // The callback may have ended the read.
  if (complete && outstanding_ && outstanding_->tag == tag) {
    Finish(absl::OkStatus());
    Pump();
  }
}

void TransactionQueue::EndOutstanding() {
  if (!outstanding_) return;
  Finish(absl::OkStatus());
  Pump();
}

void TransactionQueue::OnTxReport(const TxReport& report) {
  const bool went_out = report.outcome == TxOutcome::kOnWire || report.outcome == TxOutcome::kSent;
  if (const auto it = in_flight_.find(report.tag); it != in_flight_.end()) {
    const WriteRequest request = std::move(it->second.request);
    in_flight_.erase(it);
    if (request.done) request.done(report.outcome, report.time);
    Pump();
    return;
  }
  if (!outstanding_ || outstanding_->tag != report.tag) return;
  if (went_out) {
    outstanding_->on_wire = true;
    outstanding_->last_activity = std::max(outstanding_->last_activity, report.time);
    outstanding_->expires = report.time + outstanding_->request.timeout;
    ArmTimer();
    return;
  }
  outstanding_->unsent = true;
  OnTimer();
}

void TransactionQueue::Finish(absl::Status status) {
  Outstanding out = std::move(*outstanding_);
  outstanding_.reset();
  ArmTimer();
  pump_again_ = true;
  if (out.request.done) out.request.done({std::move(status), out.answers, out.missing});
}

void TransactionQueue::CancelOwner(OwnerId owner) {
  for (auto& queue : reads_) {
    std::erase_if(queue, [owner](const ReadRequest& r) { return r.owner == owner; });
  }
  for (auto& queue : writes_) {
    std::erase_if(queue, [owner](const WriteRequest& w) { return w.owner == owner; });
  }
  for (auto& [tag, write] : in_flight_) {
    if (write.request.owner == owner) write.request.done = nullptr;
  }
  if (outstanding_ && outstanding_->request.owner == owner) {
    // Its answers may still come; they are taken, but nobody waits for them.
    outstanding_->request.done = nullptr;
    outstanding_->request.on_answer = nullptr;
    outstanding_->tries_left = 0;
  }
}

bool TransactionQueue::WritesInFlightOfOthers(OwnerId owner) const {
  return std::any_of(in_flight_.begin(), in_flight_.end(),
                     [owner](const auto& entry) { return entry.second.request.owner != owner; });
}

void TransactionQueue::Flush(const absl::Status& why) {
  std::vector<ReadRequest> reads;
  std::vector<WriteRequest> writes;
  for (auto& queue : reads_) {
    for (ReadRequest& r : std::exchange(queue, {})) reads.push_back(std::move(r));
  }
  for (auto& queue : writes_) {
    for (WriteRequest& w : std::exchange(queue, {})) writes.push_back(std::move(w));
  }
  for (auto& [tag, write] : std::exchange(in_flight_, {})) {
    writes.push_back(std::move(write.request));
  }
  if (outstanding_) {
    reads.push_back(std::move(outstanding_->request));
    outstanding_.reset();
    ArmTimer();
  }
  silent_tries_ = 0;
  for (const WriteRequest& w : writes) {
    if (w.done) w.done(TxOutcome::kPurged, clock_.Now());
  }
  for (const ReadRequest& r : reads) {
    if (r.done) r.done({why, 0, 0});
  }
}

}  // namespace canhub::iseg
