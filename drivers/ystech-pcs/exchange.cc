#include "drivers/ystech-pcs/exchange.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub::ystech_pcs {
namespace {

// Tags of the exchange; the heartbeat has one of its own.
constexpr uint64_t kFirstTag = 1000;

// Replies that do not say what they answer.
bool IsBlind(Pf pf) {
  return pf == Pf::kSetModeReply || pf == Pf::kStartStopReply || pf == Pf::kSetTimeReply;
}

}  // namespace

std::string FrameName(Pf pf) {
  char text[64];
  std::snprintf(text, sizeof text, "%s (0x%02X)", FrameOf(pf).name, static_cast<unsigned>(pf));
  return text;
}

Exchange::Exchange(std::string device_id, const Clock& clock, Timers& timers, FrameSender& bus,
                   DeviceLog& log)
    : device_id_(std::move(device_id)),
      clock_(clock),
      timers_(timers),
      bus_(bus),
      log_(log),
      last_tag_(kFirstTag) {}

bool Exchange::MustWait(Pf reply) const {
  const auto owed = owed_.find(reply);
  return owed != owed_.end() && clock_.Now() < owed->second;
}

absl::Status Exchange::NotSent(const std::string& why, absl::StatusCode code) const {
  return MakeError(code, "NOT_SENT",
                   device_id_ + ": " +
                       FrameName(static_cast<Pf>(ParseIdentifier(current_->request.frame)->pf)) +
                       " was not sent: " + why,
                   {{"device_id", device_id_}});
}

void Exchange::Start(Request request) {
  current_.emplace(std::move(request), ++last_tag_);
  const Request& now = current_->request;
  if (now.out) outs_.emplace(current_->tag, now.out);
  const absl::Status sent = bus_.Send({.frame = now.frame,
                                       .urgency = now.urgency,
                                       .deadline = clock_.Now() + now.timeout,
                                       .guard = now.guard,
                                       .tag = current_->tag});
  if (!sent.ok()) {
    outs_.erase(current_->tag);
    // Not from within Start: the caller's steps go on from where they are.
    const absl::Status why = Annotate(sent, device_id_ + ": ", {{"device_id", device_id_}});
    current_->timer = timers_.At(clock_.Now(), [this, why] { End(why); });
    return;
  }
  current_->timer = timers_.At(clock_.Now() + now.timeout, [this] { OnTimeout(); });
}

void Exchange::OnTimeout() {
  log_.CountTimeout();
  Owe();  // it may still come
  std::string missing;
  for (size_t i = 0; i < current_->replies.size(); ++i) {
    if (current_->replies[i]) continue;
    missing += (missing.empty() ? "" : ", ") + FrameName(current_->request.replies[i]);
  }
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(current_->request.timeout).count();
  End(MakeError(absl::StatusCode::kDeadlineExceeded, "NO_REPLY",
                device_id_ + ": no " + missing + " within " + std::to_string(milliseconds) + " ms",
                {{"device_id", device_id_},
                 {"missing", missing},
                 {"timeout_ms", std::to_string(milliseconds)}}));
}

void Exchange::End(absl::StatusOr<Replies> result) {
  const Current ended = *std::move(current_);
  current_.reset();
  timers_.Cancel(ended.timer);
  ended.request.done(std::move(result));
}

void Exchange::Owe() {
  for (size_t i = 0; i < current_->replies.size(); ++i) {
    const Pf pf = current_->request.replies[i];
    if (current_->replies[i] || !IsBlind(pf)) continue;
    const MonoTime until = clock_.Now() + current_->request.timeout;
    owed_[pf] = until;
    timers_.At(until, [this] {
      if (free_) free_();
    });
  }
}

void Exchange::Abandon() {
  if (!current_) return;
  Owe();
  timers_.Cancel(current_->timer);
  current_.reset();
}

void Exchange::Reset() {
  if (current_) timers_.Cancel(current_->timer);
  current_.reset();
  owed_.clear();
}

bool Exchange::OnMessage(const Message& message) {
  // What comes before the request is out answers something else.
  if (current_ && current_->on_wire) {
    const Request& request = current_->request;
    for (size_t i = 0; i < request.replies.size(); ++i) {
      if (request.replies[i] != message.pf || current_->replies[i]) continue;
      if (request.selector >= 0 && message.values[0] != request.selector) continue;
      current_->replies[i] = message;
      Replies replies;
      for (const std::optional<Message>& reply : current_->replies) {
        if (!reply) return true;  // more have to come
        replies.push_back(*reply);
      }
      End(std::move(replies));
      return true;
    }
  }
  if (owed_.erase(message.pf) > 0) {
    if (free_) free_();
    return true;
  }
  return false;
}

void Exchange::OnTxReport(const TxReport& report) {
  const auto out = outs_.extract(report.tag);
  if (!out.empty() &&
      (report.outcome == TxOutcome::kOnWire || report.outcome == TxOutcome::kSent)) {
    out.mapped()();
  }
  if (!current_ || current_->tag != report.tag) return;
  switch (report.outcome) {
    case TxOutcome::kOnWire:
    case TxOutcome::kSent:
      current_->on_wire = true;
      if (current_->request.on_wire) current_->request.on_wire(report.time);
      return;
    case TxOutcome::kExpired:
      End(NotSent("its command was withdrawn or its deadline passed",
                  absl::StatusCode::kDeadlineExceeded));
      return;
    case TxOutcome::kPurged:
      End(NotSent("the bus went down", absl::StatusCode::kUnavailable));
      return;
    case TxOutcome::kFailed:
      End(NotSent("the interface refused it", absl::StatusCode::kUnavailable));
      return;
  }
}

}  // namespace canhub::ystech_pcs
