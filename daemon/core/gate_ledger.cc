#include "daemon/core/gate_ledger.h"

#include <utility>

#include "daemon/core/gate_checks.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using absl::StatusCode;

// The status of a withdrawn command, with what its device said of it.
absl::Status WithReason(const absl::Status& withdrawn, const absl::Status& outcome) {
  if (withdrawn.ok() || outcome.ok()) return outcome;
  const ErrorInfo reason = GetErrorInfo(withdrawn);
  const ErrorInfo said = GetErrorInfo(outcome);
  if (said.reason == reason.reason) return outcome;
  ErrorFields fields = reason.fields;
  for (const auto& [name, value] : said.fields) fields.emplace(name, value);
  return MakeError(withdrawn.code(), reason.reason,
                   std::string(withdrawn.message()) + " (" + std::string(outcome.message()) + ")",
                   std::move(fields));
}

}  // namespace

void GateLedger::Add(const PendingPtr& pending) {
  pending->counts->under_way.fetch_add(1, std::memory_order_relaxed);
  MutexLock lock(&mutex_);
  pending_.emplace(pending->id, pending);
  if (pending->frame) ++frames_;
}

PendingPtr GateLedger::Take(CommandId id) {
  MutexLock lock(&mutex_);
  const auto found = pending_.find(id);
  if (found == pending_.end()) return nullptr;
  PendingPtr pending = std::move(found->second);
  pending_.erase(found);
  if (pending->frame) --frames_;
  pending->counts->under_way.fetch_sub(1, std::memory_order_relaxed);
  return pending;
}

CommandCallback GateLedger::TakeDone(Pending& pending) {
  MutexLock lock(&mutex_);
  return std::exchange(pending.done, nullptr);
}

int GateLedger::Withdraw(const std::function<bool(const Pending&)>& matches,
                         const absl::Status& why) {
  std::vector<PendingPtr> withdrawn;
  {
    MutexLock lock(&mutex_);
    for (const auto& [id, pending] : pending_) {
      if (pending->safe || !pending->withdrawn.ok() || !matches(*pending)) continue;
      pending->guard->Revoke();
      pending->withdrawn = why;
      withdrawn.push_back(pending);
    }
  }
  for (const PendingPtr& pending : withdrawn) {
    if (pending->target != nullptr) pending->target->PostCancel(pending->id, why);
  }
  return static_cast<int>(withdrawn.size());
}

int GateLedger::frame_count() const {
  MutexLock lock(&mutex_);
  return frames_;
}

std::vector<CommandId> GateLedger::Frames() const { return FramesExpiredAt(kNever); }

std::vector<CommandId> GateLedger::FramesExpiredAt(MonoTime now) const {
  std::vector<CommandId> ids;
  MutexLock lock(&mutex_);
  if (frames_ == 0) return ids;
  for (const auto& [id, pending] : pending_) {
    if (pending->frame && pending->guard->deadline() <= now) ids.push_back(id);
  }
  return ids;
}

AuditEntry GateLedger::Entry(const char* kind, const Pending& pending, std::string text) const {
  AuditEntry entry;
  entry.time = clock_->WallNow();
  entry.kind = kind;
  entry.identity = pending.identity;
  entry.device_id = pending.place;
  entry.command_id = pending.id;
  entry.request_id = pending.request_id;
  entry.text = std::move(text);
  return entry;
}

void GateLedger::Finish(Pending& pending, CommandOutcome outcome) {
  outcome.status = WithReason(pending.withdrawn, outcome.status);
  AuditEntry entry = Entry(
      "result", pending,
      outcome.status.ok()
          ? Printable(pending.text, kMaxAuditText)
          : Printable(pending.text + ": " + std::string(outcome.status.message()), kMaxAuditText));
  entry.status = absl::StatusCodeToString(outcome.status.code());
  // A command that was recorded gets its outcome recorded, if need be from the reserve. When even
  // that is full the device has acted nevertheless, and the caller is told what it did.
  if (pending.safe) {
    audit_->AppendReserved(std::move(entry)).IgnoreError();
  } else if (!audit_->Append(entry).ok()) {
    audit_->AppendReserved(std::move(entry)).IgnoreError();
  }
  CommandCallback done = TakeDone(pending);
  if (!done) return;
  CommandResult result;
  result.status = std::move(outcome.status);
  CommandReceipt& receipt = result.receipt;
  receipt.command_id = pending.id;
  receipt.request_id = std::move(pending.request_id);
  receipt.device_id = std::move(pending.place);
  receipt.accepted = pending.accepted;
  receipt.sent = outcome.sent;
  receipt.on_wire = outcome.on_wire;
  receipt.confirmed = outcome.confirmed;
  receipt.settled = outcome.settled;
  receipt.read_back = std::move(outcome.read_back);
  receipt.items = std::move(outcome.items);
  result.results = std::move(outcome.results);
  done(std::move(result));
}

void GateLedger::FrameReported(const TxReport& report) {
  const PendingPtr pending = Take(report.tag);
  if (pending == nullptr) return;
  CommandOutcome outcome;
  outcome.sent = pending->sent;
  const std::string& bus = pending->place;
  const auto failed = [&bus](StatusCode code, std::string_view reason, const std::string& text) {
    return MakeError(code, reason, bus + ": " + text, {{"bus_id", bus}});
  };
  switch (report.outcome) {
    case TxOutcome::kOnWire:
      outcome.on_wire = report.time;
      break;
    case TxOutcome::kSent:
      // The line has no echo: that it was handed over is all that can be known, and the receipt
      // says so by an unset time.
      break;
    case TxOutcome::kExpired:
      outcome.status = failed(StatusCode::kDeadlineExceeded, "FRAME_EXPIRED",
                              "the frame was not on the wire in time; it will not be sent");
      break;
    case TxOutcome::kPurged:
      outcome.status = failed(StatusCode::kUnavailable, "FRAME_PURGED",
                              "the bus went off or down while the frame waited; it was not sent");
      break;
    case TxOutcome::kFailed:
      outcome.status = failed(StatusCode::kUnavailable, "FRAME_NOT_SENT",
                              "the interface did not take the frame");
      break;
  }
  Finish(*pending, std::move(outcome));
}

}  // namespace canhub
