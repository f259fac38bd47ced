#include "daemon/bus/tx_queue.h"

#include <algorithm>
#include <string>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

constexpr uint32_t kStandardIdMax = 0x7FF;
constexpr uint32_t kExtendedIdMax = 0x1FFFFFFF;

bool MaySend(const TxFrame& tx, MonoTime now) {
  return now < tx.deadline && (tx.guard == nullptr || tx.guard->MaySend(now));
}

void Report(const TxQueue::Entry& entry, TxOutcome outcome, MonoTime now,
            std::vector<OwnedReport>* reports) {
  if (entry.tx.tag != 0) reports->push_back({entry.port, {entry.tx.tag, outcome, now}});
}

}  // namespace

std::string_view ToString(Urgency urgency) {
  switch (urgency) {
    case Urgency::kSafe:
      return "safe";
    case Urgency::kCommand:
      return "command";
    case Urgency::kHeartbeat:
      return "heartbeat";
    case Urgency::kPoll:
      return "poll";
  }
  return "unknown";
}

absl::Status CheckFrame(const CanFrame& frame) {
  const uint32_t max = frame.extended ? kExtendedIdMax : kStandardIdMax;
  if (frame.id > max) {
    return MakeError(absl::StatusCode::kInvalidArgument, "FRAME_ID_OUT_OF_RANGE",
                     "CAN identifier " + std::to_string(frame.id) + " is above " +
                         std::to_string(max) + ", the largest of " +
                         (frame.extended ? "29" : "11") + " bits (ISO 11898-1)",
                     {{"id", std::to_string(frame.id)}, {"maximum", std::to_string(max)}});
  }
  if (frame.dlc > 8) {
    return MakeError(absl::StatusCode::kInvalidArgument, "FRAME_TOO_LONG",
                     "CAN frame of " + std::to_string(frame.dlc) +
                         " bytes: a classic frame has at most 8 (ISO 11898-1)",
                     {{"length", std::to_string(frame.dlc)}, {"maximum", "8"}});
  }
  return absl::OkStatus();
}

absl::Status TxQueue::Push(PortId port, TxFrame frame, MonoTime now, std::string_view bus,
                           std::vector<OwnedReport>* reports) {
  const size_t urgency = static_cast<size_t>(frame.urgency);
  if (urgency >= kUrgencyCount) {
    return MakeError(absl::StatusCode::kInvalidArgument, "URGENCY_UNKNOWN",
                     "urgency " + std::to_string(urgency) + " does not exist (0 to 3)",
                     {{"urgency", std::to_string(urgency)}});
  }
  if (absl::Status status = CheckFrame(frame.frame); !status.ok()) return status;
  if (frame.guard != nullptr && frame.guard->revoked()) {
    ++expired_;
    return MakeError(absl::StatusCode::kAborted, "COMMAND_WITHDRAWN",
                     std::string(bus) + ": the command was withdrawn; nothing was sent",
                     {{"bus_id", std::string(bus)}});
  }
  if (!MaySend(frame, now)) {
    ++expired_;
    return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_BEFORE_SEND",
                     std::string(bus) + ": the frame's deadline has passed; nothing was sent",
                     {{"bus_id", std::string(bus)}});
  }
  std::deque<Entry>& queue = queues_[urgency];
  const size_t bound = bounds_[urgency];
  const size_t port_bound =
      frame.urgency == Urgency::kSafe ? bound : std::max<size_t>(1, bound / 2);
  const auto held_by_port = [&] {
    const auto it = held_.find(port);
    return it == held_.end() ? size_t{0} : it->second[urgency];
  };
  if (queue.size() >= bound || held_by_port() >= port_bound) DropExpiredOf(urgency, now, reports);
  if (queue.size() >= bound || held_by_port() >= port_bound) {
    ++refused_;
    const bool alone = queue.size() < bound;
    const size_t found = alone ? held_by_port() : queue.size();
    const size_t limit = alone ? port_bound : bound;
    return MakeError(absl::StatusCode::kResourceExhausted, "TRANSMIT_QUEUE_FULL",
                     std::string(bus) + ": " + std::to_string(found) + " frames of urgency \"" +
                         std::string(ToString(frame.urgency)) + "\" wait" +
                         (alone ? " from this device alone" : "") + ", the limit is " +
                         std::to_string(limit) + " (built in); the line is too slow for them",
                     {{"bus_id", std::string(bus)},
                      {"urgency", std::string(ToString(frame.urgency))},
                      {"waiting", std::to_string(found)},
                      {"limit", std::to_string(limit)}});
  }
  ++held_[port][urgency];
  ++size_;
  queue.push_back({port, std::move(frame), now, next_sequence_++});
  return absl::OkStatus();
}

const TxQueue::Entry* TxQueue::Peek(MonoTime now, std::vector<OwnedReport>* reports) {
  for (std::deque<Entry>& queue : queues_) {
    while (!queue.empty()) {
      if (MaySend(queue.front().tx, now)) return &queue.front();
      Report(queue.front(), TxOutcome::kExpired, now, reports);
      ++expired_;
      Forget(queue.front());
      queue.pop_front();
    }
  }
  return nullptr;
}

std::optional<TxQueue::Entry> TxQueue::Pop(MonoTime now, std::vector<OwnedReport>* reports) {
  if (Peek(now, reports) == nullptr) return std::nullopt;
  for (std::deque<Entry>& queue : queues_) {
    if (queue.empty()) continue;
    Entry entry = std::move(queue.front());
    queue.pop_front();
    Forget(entry);
    return entry;
  }
  return std::nullopt;
}

void TxQueue::PutBack(Entry entry) {
  const size_t urgency = static_cast<size_t>(entry.tx.urgency);
  ++held_[entry.port][urgency];
  ++size_;
  queues_[urgency].push_front(std::move(entry));
}

void TxQueue::Purge(MonoTime now, std::vector<OwnedReport>* reports) {
  for (std::deque<Entry>& queue : queues_) {
    for (const Entry& entry : queue) Report(entry, TxOutcome::kPurged, now, reports);
    purged_ += queue.size();
    queue.clear();
  }
  held_.clear();
  size_ = 0;
}

void TxQueue::DropExpired(MonoTime now, std::vector<OwnedReport>* reports) {
  for (size_t urgency = 0; urgency < kUrgencyCount; ++urgency) DropExpiredOf(urgency, now, reports);
}

void TxQueue::Remove(PortId port) {
  if (held_.find(port) == held_.end()) return;
  for (std::deque<Entry>& queue : queues_) {
    size_ -= std::erase_if(queue, [port](const Entry& entry) { return entry.port == port; });
  }
  held_.erase(port);
}

void TxQueue::DropExpiredOf(size_t urgency, MonoTime now, std::vector<OwnedReport>* reports) {
  std::erase_if(queues_[urgency], [&](const Entry& entry) {
    if (MaySend(entry.tx, now)) return false;
    Report(entry, TxOutcome::kExpired, now, reports);
    ++expired_;
    Forget(entry);
    return true;
  });
}

void TxQueue::Forget(const Entry& entry) {
  --size_;
  const auto it = held_.find(entry.port);
  if (it == held_.end()) return;
  --it->second[static_cast<size_t>(entry.tx.urgency)];
  if (it->second == std::array<size_t, kUrgencyCount>{}) held_.erase(it);
}

}  // namespace canhub
